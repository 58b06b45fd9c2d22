// SPDX-License-Identifier: Apache-2.0
#include "replication/watermarks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "members_history.h"

namespace refrain::replication {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const Journal kEu{"eu", {1}};
const Journal kUs{"us", {2}};
const Journal kAp{"ap", {3}};

/// Seen from eu. A seq stands at the hlc of the same millisecond.
struct Seen {
  History history = three_members();
  Journal self = kEu;
  store::AppliedTable applied;
  std::optional<store::AppliedTable> synced;  // none = all of it
  PeerTicks ticks;

  static store::Applied at(std::uint64_t seq) { return {{seq}, Hlc::of({static_cast<std::int64_t>(seq)})}; }
  void has(const Journal& reader, const Journal& journal, std::uint64_t seq) {
    if (reader == self) {
      applied[journal] = at(seq);
    } else {
      ticks[reader].tick.applied[journal] = at(seq);
    }
  }
  void all_have(const Journal& journal, std::uint64_t seq) {
    for (const Journal& member : history.table().active()) has(member, journal, seq);
  }
  Knowledge known() const { return {history.table(), self, applied, synced ? *synced : applied, ticks}; }
};

Seen all_at(std::uint64_t seq) {
  Seen seen;
  for (const Journal& journal : {kEu, kUs, kAp}) seen.all_have(journal, seq);
  return seen;
}

TEST(Stable, IsWhatEveryActiveMemberShows) {
  Seen seen = all_at(10);
  seen.has(kUs, kEu, 7);
  seen.has(kAp, kUs, 4);
  EXPECT_EQ(stable_seq(seen.known(), {10}, {0}), Seq{7});
  EXPECT_EQ(stable_hlc(seen.known(), {}), Hlc::of({4}));
}

TEST(Stable, WhatIsAppliedHereButNotSyncedCountsAsLacking) {
  Seen seen = all_at(10);
  seen.synced = seen.applied;
  seen.applied[kUs] = Seen::at(12);
  seen.has(kUs, kUs, 12);
  seen.has(kAp, kUs, 12);
  EXPECT_EQ(holders(seen.known(), {kUs.node, kUs.incarnation, {11}}).lacks, std::vector<NodeName>{kEu.node});
  EXPECT_EQ(stable_hlc(seen.known(), {}), Hlc::of({10}));
  EXPECT_EQ(lag(seen.known(), kEu, kUs).commits, 0U);  // it can be read here
}

TEST(Stable, AMemberThatWasNeverHeardHoldsAll) {
  Seen seen = all_at(10);
  seen.ticks.erase(kAp);
  EXPECT_EQ(stable_seq(seen.known(), {10}, {0}), Seq{0});
  EXPECT_EQ(stable_hlc(seen.known(), {}), Hlc{});
  EXPECT_EQ(synced_seq(seen.known(), {10}, {0}), Seq{0});
}

TEST(Stable, NeverFalls) {
  Seen seen = all_at(3);
  EXPECT_EQ(stable_seq(seen.known(), {10}, {8}), Seq{8});
  EXPECT_EQ(stable_hlc(seen.known(), Hlc::of({9})), Hlc::of({9}));
  EXPECT_EQ(synced_seq(seen.known(), {10}, {8}), Seq{8});
}

TEST(Stable, StandsStillWhileSomebodyJoinsAndSyncedGoesOn) {
  Seen seen = all_at(10);
  seen.history.join("jp", 4, std::nullopt);
  EXPECT_FALSE(settled(seen.known()));
  EXPECT_EQ(stable_seq(seen.known(), {10}, {2}), Seq{2});
  EXPECT_EQ(stable_hlc(seen.known(), Hlc::of({2})), Hlc::of({2}));
  EXPECT_EQ(synced_seq(seen.known(), {10}, {2}), Seq{10});
  seen.history.active("jp", 4);
  EXPECT_EQ(stable_seq(seen.known(), {10}, {2}), Seq{2}) << "jp has shown nothing yet";
  seen.all_have(kEu, 10);
  EXPECT_EQ(stable_seq(seen.known(), {10}, {2}), Seq{10});
}

TEST(Stable, StandsStillWhileAnEndedJournalIsIncomplete) {
  Seen seen = all_at(10);
  seen.history.add(EntryKind::kEvict, "ap", 3);
  EXPECT_EQ(stable_seq(seen.known(), {10}, {2}), Seq{2}) << "nobody has said a word";
  seen.history.last("eu", 1, 3, 10);
  seen.history.last("us", 2, 3, 12);
  EXPECT_EQ(stable_seq(seen.known(), {10}, {2}), Seq{2}) << "the end is 12, eu has 10";
  seen.has(kEu, kAp, 12);
  seen.has(kUs, kAp, 12);
  EXPECT_EQ(stable_seq(seen.known(), {10}, {2}), Seq{2}) << "eu's word is still 10";
  seen.history.last("eu", 1, 3, 12);
  EXPECT_TRUE(complete(seen.known(), {3}));
  EXPECT_EQ(stable_seq(seen.known(), {10}, {2}), Seq{10});
  seen.has(kUs, kAp, 11);
  EXPECT_FALSE(complete(seen.known(), {3}));
}

TEST(Stable, ACompleteJournalNoLongerHoldsIt) {
  Seen seen = all_at(10);
  seen.history.add(EntryKind::kEvict, "ap", 3);
  for (const char* node : {"eu", "us"}) seen.history.last(node, node == std::string("eu") ? 1 : 2, 3, 10);
  seen.all_have(kEu, 50);
  seen.all_have(kUs, 40);
  EXPECT_EQ(stable_hlc(seen.known(), {}), Hlc::of({40}));
}

TEST(Stable, WhatNeverWasActiveIsCompleteAtOnce) {
  Seen seen = all_at(10);
  seen.history.join("jp", 4, std::nullopt);
  seen.history.add(EntryKind::kEvict, "jp", 4);
  EXPECT_TRUE(complete(seen.known(), {4}));
  EXPECT_TRUE(settled(seen.known()));
}

TEST(Stable, NothingThatKafkaHasNotAcknowledged) {
  Seen seen = all_at(10);
  EXPECT_EQ(stable_seq(seen.known(), {6}, {0}), Seq{6});
  EXPECT_EQ(synced_seq(seen.known(), {6}, {0}), Seq{6});
}

TEST(Stable, IsNotForWhoeverIsNoActiveMember) {
  Seen seen = all_at(10);
  seen.history.add(EntryKind::kEvict, "eu", 1);
  EXPECT_EQ(stable_seq(seen.known(), {10}, {2}), Seq{2});
  EXPECT_EQ(stable_hlc(seen.known(), Hlc::of({2})), Hlc::of({2}));
  EXPECT_EQ(synced_seq(seen.known(), {10}, {2}), Seq{2});
}

RC_GTEST_PROP(Stable, WhateverTheTicksItIsAtEveryActiveMember, ()) {
  Seen seen;
  for (const Journal& reader : {kEu, kUs, kAp}) {
    for (const Journal& journal : {kEu, kUs, kAp})
      seen.has(reader, journal, *rc::gen::inRange<std::uint64_t>(0, 20));
  }
  Seq stable = stable_seq(seen.known(), {100}, {0});
  Hlc all = stable_hlc(seen.known(), {});
  for (const Journal& reader : {kEu, kUs, kAp}) {
    RC_ASSERT(shown(seen.known(), reader, kEu).seq >= stable);
    for (const Journal& journal : {kEu, kUs, kAp}) RC_ASSERT(shown(seen.known(), reader, journal).hlc >= all);
  }
}

TEST(NewestHlcMet, IsAboveAppliedTicksAndFloors) {
  Seen seen = all_at(10);
  EXPECT_EQ(newest_hlc_met(seen.known()), Hlc::of({10}));
  seen.ticks[kUs].tick.floor = Hlc::of({11});
  EXPECT_EQ(newest_hlc_met(seen.known()), Hlc::of({11}));
  seen.ticks[kUs].hlc = Hlc::of({12});
  EXPECT_EQ(newest_hlc_met(seen.known()), Hlc::of({12}));
  seen.has(kUs, kAp, 13);
  EXPECT_EQ(newest_hlc_met(seen.known()), Hlc::of({13}));
  seen.has(kEu, kAp, 14);
  EXPECT_EQ(newest_hlc_met(seen.known()), Hlc::of({14}));
}

// ---- states

TEST(EventState, GoesFromPendingToStable) {
  Seen seen = all_at(0);
  seen.has(kEu, kEu, 5);
  OwnProgress own;
  EXPECT_EQ(own_event_state(seen.known(), own, {5}), EventState::kPending);
  own.breaker_open = true;
  EXPECT_EQ(own_event_state(seen.known(), own, {5}), EventState::kFailed);
  own.published = {5};
  EXPECT_EQ(own_event_state(seen.known(), own, {5}), EventState::kPublished)
      << "the breaker is nothing to it";
  seen.has(kUs, kEu, 5);
  EXPECT_EQ(own_event_state(seen.known(), own, {5}), EventState::kApplied);
  EXPECT_THAT(holders(seen.known(), {"eu", {1}, {5}}).has, ElementsAre("eu", "us"));
  EXPECT_THAT(holders(seen.known(), {"eu", {1}, {5}}).lacks, ElementsAre("ap"));
  own.synced = {5};
  EXPECT_EQ(own_event_state(seen.known(), own, {5}), EventState::kSynced);
  own.stable = {5};
  EXPECT_EQ(own_event_state(seen.known(), own, {5}), EventState::kStable);
  EXPECT_EQ(own_event_state(seen.known(), own, {6}), EventState::kFailed);
}

TEST(EventState, AWriterHasItsOwnCommitBeforeItsNextTickSaysSo) {
  Seen seen = all_at(5);
  seen.has(kEu, kUs, 6);
  EXPECT_THAT(holders(seen.known(), {"us", {2}, {6}}).has, ElementsAre("eu", "us"));
  EXPECT_THAT(holders(seen.known(), {"us", {2}, {6}}).lacks, ElementsAre("ap"));
  EXPECT_EQ(other_event_state(seen.known(), {"us", {2}, {6}}), EventState::kApplied);
  EXPECT_EQ(other_event_state(seen.known(), {"us", {2}, {7}}), std::nullopt) << "nobody is known to have it";
  seen.has(kAp, kUs, 6);
  EXPECT_THAT(holders(seen.known(), {"us", {2}, {6}}).lacks, IsEmpty());
}

TEST(EventState, SyncedStaysWhenAMemberComes) {
  Seen seen = all_at(5);
  seen.history.join("jp", 4, std::nullopt);
  seen.history.active("jp", 4);
  OwnProgress own{{5}, {5}, {0}, false};
  EXPECT_EQ(own_event_state(seen.known(), own, {5}), EventState::kSynced);
}

TEST(EventState, BeyondTheEndIsVoidForAll) {
  Seen seen = all_at(10);
  seen.history.add(EntryKind::kEvict, "ap", 3);
  seen.history.last("eu", 1, 3, 10);
  EXPECT_EQ(other_event_state(seen.known(), {"ap", {3}, {11}}), std::nullopt) << "the end is not known yet";
  seen.history.last("us", 2, 3, 10);
  EXPECT_EQ(other_event_state(seen.known(), {"ap", {3}, {11}}), EventState::kVoid);
  EXPECT_EQ(other_event_state(seen.known(), {"ap", {3}, {10}}), EventState::kStable);
  seen.self = kAp;
  seen.applied = {{kAp, Seen::at(12)}};
  EXPECT_EQ(own_event_state(seen.known(), {}, {12}), EventState::kVoid);
}

TEST(EventState, OfAnotherNodeIsWhatTheTicksShow) {
  Seen seen = all_at(0);
  EXPECT_EQ(other_event_state(seen.known(), {"us", {2}, {3}}), std::nullopt);
  seen.has(kUs, kUs, 3);
  EXPECT_EQ(other_event_state(seen.known(), {"us", {2}, {3}}), EventState::kApplied);
  seen.all_have(kUs, 3);
  EXPECT_EQ(other_event_state(seen.known(), {"us", {2}, {3}}), EventState::kStable);
  seen.history.join("jp", 4, std::nullopt);
  EXPECT_EQ(other_event_state(seen.known(), {"us", {2}, {3}}), EventState::kSynced);
}

// ---- lag

TEST(Lag, IsAgainstTheNewestThatAnybodyHas) {
  Seen seen = all_at(10);
  seen.has(kUs, kAp, 25);  // us has read further in ap's journal than we have
  EXPECT_EQ(last_known(seen.known(), kAp), Seen::at(25));
  EXPECT_EQ(lag(seen.known(), kEu, kAp).commits, 15U);
  EXPECT_EQ(lag(seen.known(), kEu, kAp).time, Milliseconds{15});
  EXPECT_EQ(lag(seen.known(), kUs, kAp).commits, 0U);
  EXPECT_EQ(lag(seen.known(), kUs, kAp).time, Milliseconds{0});
}

TEST(Lag, ATickItselfIsKnownToExist) {
  Seen seen = all_at(10);
  seen.ticks[kUs].seq = {11};
  seen.ticks[kUs].hlc = Hlc::of({11});
  EXPECT_EQ(last_known(seen.known(), kUs), Seen::at(11));
}

// ---- holders of the outbox

TEST(OutboxHolders, NobodyWhenAllIsStable) {
  Seen seen = all_at(10);
  EXPECT_THAT(outbox_holders(seen.known(), {10}, {10}), IsEmpty());
}

TEST(OutboxHolders, NamesWhoAndSinceWhen) {
  Seen seen = all_at(10);
  seen.has(kUs, kEu, 8);
  seen.has(kAp, kEu, 3);
  seen.ticks[kAp].hlc = Hlc::of({77});
  auto holds = outbox_holders(seen.known(), {9}, {10});
  ASSERT_EQ(holds.size(), 3U);
  EXPECT_EQ(holds[0].who, kAp) << "the one furthest behind first";
  EXPECT_EQ(holds[0].since, WallMs{77});
  EXPECT_EQ(holds[1].who, kUs);
  EXPECT_EQ(holds[2].why, OutboxHolder::Why::kUnpublished);
  seen.history.join("jp", 4, std::nullopt);
  holds = outbox_holders(seen.known(), {9}, {10});
  EXPECT_EQ(holds[0].why, OutboxHolder::Why::kJoining);
  EXPECT_EQ(holds[0].who.node, "jp");
  seen.history.add(EntryKind::kEvict, "ap", 3);
  holds = outbox_holders(seen.known(), {9}, {10});
  EXPECT_EQ(holds[1].why, OutboxHolder::Why::kIncomplete);
  EXPECT_EQ(holds[1].who, kAp);
}

}  // namespace
}  // namespace refrain::replication
