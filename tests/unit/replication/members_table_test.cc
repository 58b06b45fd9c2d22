// SPDX-License-Identifier: Apache-2.0
// members_table_vectors.json: random histories and what an independent model of the rules made of them.
#include "replication/members_table.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <boost/json.hpp>
#include <fstream>
#include <sstream>

#include "members_history.h"
#include "replication/members_replay.h"

namespace refrain::replication {
namespace {

namespace json = boost::json;

// ---- single rules

TEST(MembersTable, FoundCountsOnceAndMakesTheFirstActiveMember) {
  History history;
  EXPECT_TRUE(history.found("eu", 1));
  EXPECT_FALSE(history.found("us", 2));
  EXPECT_TRUE(history.table().is({1}, MemberState::kActive));
  EXPECT_EQ(history.table().cluster(), kCluster);
  EXPECT_EQ(history.table().n(), 1U);
}

TEST(MembersTable, NothingCountsBeforeFound) {
  History history;
  EXPECT_FALSE(history.join("eu", 1, std::nullopt));
  EXPECT_FALSE(history.add(EntryKind::kEvict, "eu", 1));
  EXPECT_TRUE(history.table().empty());
}

TEST(MembersTable, AnEntryCountsOnlyAtItsPlaceAndBehindItsPredecessor) {
  History history;
  history.found("eu", 1);
  LoggedEntry join = history.next(EntryKind::kJoin, "us", 2);
  for (std::uint64_t n : {0, 1, 3}) {
    MembersEntry moved = join.entry;
    moved.n = n;
    EXPECT_FALSE(count(history.table(), encode_entry(moved)).has_value()) << n;
  }
  MembersEntry other_past = join.entry;
  other_past.prev = sha256("another history");
  EXPECT_FALSE(count(history.table(), encode_entry(other_past)).has_value());
  EXPECT_TRUE(count(history.table(), join).has_value());
}

TEST(MembersTable, JoinReplacesExactlyWhatHasTheName) {
  History history;
  history.found("eu", 1);
  EXPECT_FALSE(history.join("us", 2, Incarnation{7}));
  EXPECT_TRUE(history.join("us", 2, std::nullopt));
  EXPECT_FALSE(history.join("us", 3, std::nullopt));
  EXPECT_TRUE(history.join("us", 3, Incarnation{2}));
  EXPECT_TRUE(history.table().is({2}, MemberState::kOver));
  EXPECT_EQ(history.table().current("us"), Incarnation{3});
  EXPECT_FALSE(history.join("us", 2, Incarnation{3})) << "an incarnation joins once";
}

TEST(MembersTable, TheLastActiveMemberCannotBeEnded) {
  History history;
  history.found("eu", 1);
  EXPECT_FALSE(history.join("eu", 2, Incarnation{1}));
  EXPECT_FALSE(history.add(EntryKind::kEvict, "eu", 1));
  EXPECT_FALSE(history.add(EntryKind::kLeave, "eu", 1));
  history.join("us", 3, std::nullopt);
  EXPECT_FALSE(history.add(EntryKind::kEvict, "eu", 1)) << "a joiner is no member yet";
  history.active("us", 3);
  EXPECT_TRUE(history.add(EntryKind::kEvict, "eu", 1));
  EXPECT_FALSE(history.add(EntryKind::kEvict, "eu", 1)) << "over is over";
}

TEST(MembersTable, ActiveCountsForAJoinerOnly) {
  History history;
  history.found("eu", 1);
  EXPECT_FALSE(history.active("us", 2));
  history.join("us", 2, std::nullopt);
  EXPECT_FALSE(history.active("ap", 2)) << "the incarnation of another name";
  EXPECT_TRUE(history.active("us", 2));
  EXPECT_FALSE(history.active("us", 2));
}

TEST(MembersTable, UpdateChangesWhatAMemberAnnounces) {
  History history;
  history.found("eu", 1);
  MembersEntry update = history.next(EntryKind::kUpdate, "eu", 1).entry;
  update.traits = {"region", "http://new", {1, 3}, sha256("x"), {}};
  ASSERT_TRUE(history.take(encode_entry(update)));
  EXPECT_EQ(history.table().find({1})->traits, update.traits);
  EXPECT_FALSE(history.add(EntryKind::kUpdate, "us", 2));
}

// ---- the cluster's format

/// An entry by which a node announces the formats of its program.
bool announce(History& history, EntryKind kind, const NodeName& node, std::uint64_t incarnation,
              Formats formats, std::optional<Incarnation> replaces = std::nullopt) {
  MembersEntry entry = next_entry(history.table(), kind, node, incarnation);
  entry.traits.formats = formats;
  entry.replaces = replaces;
  return history.take(encode_entry(entry));
}

TEST(ClusterFormat, IsTheNewestThatEveryMemberReadsAndRisesWithTheLast) {
  EXPECT_EQ(MembersTable().format(), 0u);
  History history = three_members();
  EXPECT_EQ(history.table().format(), 1u);
  EXPECT_TRUE(announce(history, EntryKind::kUpdate, "eu", 1, {1, 2}));
  EXPECT_TRUE(announce(history, EntryKind::kUpdate, "ap", 3, {1, 3}));
  EXPECT_EQ(history.table().format(), 1u);
  EXPECT_TRUE(announce(history, EntryKind::kUpdate, "us", 2, {1, 2}));
  EXPECT_EQ(history.table().format(), 2u);
}

TEST(ClusterFormat, WaitsForAJoinerAndNotForWhoIsOver) {
  History history;
  announce(history, EntryKind::kFound, "eu", 1, {1, 1});
  announce(history, EntryKind::kJoin, "us", 2, {1, 1});
  announce(history, EntryKind::kUpdate, "eu", 1, {1, 2});
  EXPECT_EQ(history.table().format(), 1u);
  history.active("us", 2);
  EXPECT_EQ(history.table().format(), 1u);
  history.add(EntryKind::kEvict, "us", 2);
  EXPECT_EQ(history.table().format(), 2u);
}

TEST(ClusterFormat, NoEntryCountsThatWouldLowerIt) {
  History history;
  announce(history, EntryKind::kFound, "eu", 1, {1, 2});
  EXPECT_EQ(history.table().format(), 2u) << "as its founder's program, when that is newer";
  EXPECT_FALSE(announce(history, EntryKind::kJoin, "us", 2, {1, 1}));
  EXPECT_FALSE(announce(history, EntryKind::kUpdate, "eu", 1, {1, 1})) << "too late to go back";
  EXPECT_TRUE(announce(history, EntryKind::kJoin, "us", 2, {2, 3}));
  EXPECT_EQ(history.table().format(), 2u);
}

TEST(ClusterFormat, AProgramThatHasGivenItUpDoesNotCount) {
  History history;
  EXPECT_FALSE(announce(history, EntryKind::kFound, "eu", 1, {2, 1})) << "it reads nothing";
  announce(history, EntryKind::kFound, "eu", 1, {1, 1});
  EXPECT_FALSE(announce(history, EntryKind::kJoin, "us", 2, {2, 3}));
  EXPECT_FALSE(announce(history, EntryKind::kUpdate, "eu", 1, {2, 3}));
}

TEST(ClusterFormat, GoingBackCountsWhileOthersReadNothingNewer) {
  History history = three_members();
  announce(history, EntryKind::kUpdate, "eu", 1, {1, 2});
  EXPECT_TRUE(announce(history, EntryKind::kUpdate, "eu", 1, {1, 1}));
  announce(history, EntryKind::kUpdate, "us", 2, {1, 2});
  announce(history, EntryKind::kUpdate, "ap", 3, {1, 2});
  EXPECT_EQ(history.table().format(), 1u) << "who went back holds it";
}

TEST(MembersTable, TheEndIsTheLargestWordOnceAllActiveMembersHaveSpoken) {
  History history = three_members();
  history.add(EntryKind::kEvict, "ap", 3);
  EXPECT_EQ(history.table().end({3}), std::nullopt);
  history.last("eu", 1, 3, 5);
  EXPECT_EQ(history.table().end({3}), std::nullopt) << "us has not spoken";
  history.last("us", 2, 3, 8);
  EXPECT_EQ(history.table().end({3}), Seq{8});
  history.last("us", 2, 3, 4);
  EXPECT_EQ(history.table().end({3}), Seq{5}) << "a word said anew replaces the one before";
}

TEST(MembersTable, AWordCountsForActiveMembersAboutEndedIncarnationsOnly) {
  History history = three_members();
  EXPECT_FALSE(history.last("eu", 1, 3, 5)) << "ap is not over";
  EXPECT_FALSE(history.last("eu", 1, 99, 5));
  history.add(EntryKind::kEvict, "ap", 3);
  EXPECT_FALSE(history.last("ap", 3, 3, 5)) << "ap is over";
  history.join("jp", 4, std::nullopt);
  EXPECT_FALSE(history.last("jp", 4, 3, 5)) << "jp is not active";
}

TEST(MembersTable, AnEndFallsWhenItsHolderIsOver) {
  History history = three_members();
  history.join("jp", 4, std::nullopt);
  history.active("jp", 4);
  history.add(EntryKind::kEvict, "ap", 3);
  history.last("eu", 1, 3, 5);
  history.last("us", 2, 3, 8);
  history.last("jp", 4, 3, 5);
  EXPECT_EQ(history.table().end({3}), Seq{8});
  history.add(EntryKind::kEvict, "us", 2);
  EXPECT_EQ(history.table().end({3}), Seq{5});
}

TEST(MembersTable, WhatNeverWasActiveEndsAtZeroWithoutWords) {
  History history = three_members();
  history.join("jp", 4, std::nullopt);
  EXPECT_EQ(history.table().end({4}), std::nullopt);
  history.add(EntryKind::kEvict, "jp", 4);
  EXPECT_EQ(history.table().end({4}), Seq{0});
  EXPECT_TRUE(history.table().ended().empty());
}

TEST(MembersTable, ActiveBringsAWordForEveryEndedIncarnation) {
  History history = three_members();
  history.add(EntryKind::kEvict, "ap", 3);
  history.last("eu", 1, 3, 5);
  history.last("us", 2, 3, 5);
  history.join("jp", 4, std::nullopt);
  history.active("jp", 4, {{{3}, {6}}, {{1}, {9}}});
  EXPECT_EQ(history.table().end({3}), Seq{6});
  EXPECT_EQ(history.table().word({1}, {4}), std::nullopt)
      << "eu is not over: that word would speak of another moment";
}

// ---- against the model

std::uint64_t number(const json::value& value) {
  return value.to_number<std::uint64_t>();
}

MembersEntry entry_of(const json::object& row, const MembersTable& table) {
  static const std::map<std::string, EntryKind, std::less<>> kinds{
      {"found", EntryKind::kFound}, {"join", EntryKind::kJoin},   {"active", EntryKind::kActive},
      {"evict", EntryKind::kEvict}, {"leave", EntryKind::kLeave}, {"last", EntryKind::kLast}};
  auto kind = kinds.find(std::string_view(row.at("kind").as_string()))->second;
  MembersEntry entry =
      next_entry(table, kind, std::string(row.at("node").as_string()), number(row.at("inc")));
  if (const auto* replaces = row.if_contains("replaces"); replaces != nullptr && !replaces->is_null())
    entry.replaces = Incarnation{number(*replaces)};
  if (const auto* words = row.if_contains("words")) {
    for (const json::value& word : words->as_array())
      entry.words.push_back({{number(word.as_array()[0])}, {number(word.as_array()[1])}});
  }
  if (kind == EntryKind::kLast) entry.words = {{{number(row.at("of"))}, {number(row.at("seq"))}}};
  return entry;
}

void expect_ends(const MembersTable& table, const json::object& ends) {
  for (const auto& [incarnation, end] : ends) {
    std::optional<Seq> expected;
    if (!end.is_null()) expected = Seq{number(end)};
    EXPECT_EQ(table.end({std::stoull(std::string(incarnation))}), expected) << incarnation;
  }
}

void expect_table(const MembersTable& table, const json::object& expected) {
  EXPECT_EQ(table.n(), number(expected.at("n")));
  const json::object& members = expected.at("members").as_object();
  EXPECT_EQ(table.members().size(), members.size());
  for (const auto& [incarnation, row] : members) {
    const Member* member = table.find({std::stoull(std::string(incarnation))});
    ASSERT_NE(member, nullptr);
    const json::object& is = row.as_object();
    EXPECT_EQ(member->node, std::string_view(is.at("node").as_string()));
    EXPECT_EQ(member_state_name(member->state), std::string_view(is.at("state").as_string()));
    EXPECT_EQ(member->joined_n, number(is.at("joined_n")));
    EXPECT_EQ(member->active_n, number(is.at("active_n")));
    EXPECT_EQ(member->over_n, number(is.at("over_n")));
  }
  for (const auto& [node, incarnation] : expected.at("current").as_object())
    EXPECT_EQ(table.current(std::string(node)), Incarnation{number(incarnation)});
  for (const auto& [of, words] : expected.at("words").as_object()) {
    for (const auto& [by, seq] : words.as_object())
      EXPECT_EQ(table.word({std::stoull(std::string(of))}, {std::stoull(std::string(by))}), Seq{number(seq)});
  }
}

TEST(MembersTable, CountsAsTheModelOfTheRulesDoes) {
  std::ifstream file(REFRAIN_SOURCE_DIR "/tests/unit/replication/members_table_vectors.json");
  std::stringstream text;
  text << file.rdbuf();
  json::value histories = json::parse(text.str());
  ASSERT_GE(histories.as_array().size(), 100U);
  for (const json::value& history : histories.as_array()) {
    MembersTable table;
    for (const json::value& row : history.at("entries").as_array()) {
      auto next = count(table, encode_entry(entry_of(row.as_object(), table)));
      EXPECT_EQ(next.has_value(), row.at("counts").as_bool()) << json::serialize(row);
      if (next) table = *next;
      if (const auto* ends = row.as_object().if_contains("ends")) expect_ends(table, ends->as_object());
    }
    expect_table(table, history.at("table").as_object());
    if (HasFailure()) FAIL() << json::serialize(history);
  }
}

// ---- any log that has the entries in it reads the same

std::vector<LoggedEntry> a_long_history() {
  History history = three_members();
  history.add(EntryKind::kUpdate, "us", 2);
  history.join("jp", 4, std::nullopt);
  history.add(EntryKind::kEvict, "ap", 3);
  history.last("eu", 1, 3, 5);
  history.last("us", 2, 3, 7);
  history.active("jp", 4, {{{3}, {7}}});
  history.join("ap", 5, Incarnation{3});
  history.last("eu", 1, 3, 7);
  history.active("ap", 5, {{{3}, {7}}});
  history.add(EntryKind::kLeave, "us", 2);
  return history.entries();
}

RC_GTEST_PROP(MembersReplay, DoubledLateAndStrayRecordsChangeNothing, ()) {
  std::vector<LoggedEntry> entries = a_long_history();
  MembersReplay clean;
  for (const LoggedEntry& entry : entries) clean.add(entry.bytes);
  MembersReplay noisy;
  for (std::size_t i = 0; i < entries.size(); ++i) {
    noisy.add(entries[i].bytes);
    for (int extra = *rc::gen::inRange(0, 3); extra > 0; --extra) {
      switch (*rc::gen::inRange(0, 3)) {
        case 0:  // again, or late
          noisy.add(entries[*rc::gen::inRange<std::size_t>(0, i + 1)].bytes);
          break;
        case 1: {  // somebody else's entry for a place that is taken
          MembersEntry lost = entries[*rc::gen::inRange<std::size_t>(0, i + 1)].entry;
          lost.at.value += 1;
          noisy.add(encode_entry(lost).bytes);
          break;
        }
        default:
          noisy.add("garbage");
      }
    }
  }
  RC_ASSERT(clean.table() == noisy.table());
  RC_ASSERT(noisy.table().n() == entries.size());
  RC_ASSERT(!noisy.halt());
}

TEST(MembersReplay, AnotherClustersEntryHalts) {
  History history;
  history.found("eu", 1);
  MembersEntry foreign = history.next(EntryKind::kJoin, "us", 2).entry;
  foreign.cluster = {99};
  MembersReplay replay;
  replay.add(history.entries()[0].bytes);
  replay.add(encode_entry(foreign).bytes);
  ASSERT_TRUE(replay.halt());
  EXPECT_EQ(replay.halt()->reason, MembersReplay::Halt::Reason::kWrongCluster);
  EXPECT_EQ(replay.table().n(), 1U);
}

TEST(MembersReplay, AFounderOfAnotherClusterHaltsWhoKnowsItsOwn) {
  History history;
  history.found("eu", 1);
  MembersReplay replay(ClusterId{99});
  replay.add(history.entries()[0].bytes);
  ASSERT_TRUE(replay.halt());
  EXPECT_EQ(replay.halt()->reason, MembersReplay::Halt::Reason::kWrongCluster);
}

TEST(MembersReplay, TheSecondOfTwoFoundersIsPassedOver) {
  History history;
  history.found("eu", 1);
  MembersEntry second = history.entries()[0].entry;
  second.cluster = {99};
  second.node = "us";
  MembersReplay replay;
  replay.add(history.entries()[0].bytes);
  replay.add(encode_entry(second).bytes);
  EXPECT_FALSE(replay.halt());
  EXPECT_EQ(replay.table().cluster(), kCluster);
  EXPECT_EQ(replay.records(), 2U);
}

TEST(MembersReplay, ANewerFormatIsNeverPassedOver) {
  History history;
  history.found("eu", 1);
  MembersReplay replay;
  replay.add(history.entries()[0].bytes);
  replay.add(R"({"min_reader":2,"cluster_id":"00c0ffee","n":2,"kind":"merge"})");
  replay.add(history.next(EntryKind::kJoin, "us", 2).bytes);
  ASSERT_TRUE(replay.halt());
  EXPECT_EQ(replay.halt()->reason, MembersReplay::Halt::Reason::kNewerFormat);
  EXPECT_EQ(replay.table().n(), 1U) << "nothing is read behind it";
}

}  // namespace
}  // namespace refrain::replication
