// SPDX-License-Identifier: Apache-2.0
#include "replication/membership.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "members_world.h"

namespace refrain::replication {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// eu, us and ap, all active.
void three_regions(MembersWorld& world) {
  world.add("eu", true);
  ASSERT_TRUE(world.comes([&] { return world.all_active(); }));
  world.add("us");
  ASSERT_TRUE(world.comes([&] { return world.all_active(); }));
  world.add("ap");
  ASSERT_TRUE(world.comes([&] { return world.all_active(); }));
  world.run(Milliseconds{6'000});
}

void expect_one_history(MembersWorld& world) {
  auto counted = world.counted();
  for (auto& [name, node] : world.nodes) {
    if (!node->up) continue;
    ASSERT_EQ(node->table().n(), counted.size()) << name;
    EXPECT_EQ(node->table().hash(), counted.back().hash) << name;
  }
}

// ---- programs change

/// As the process of another program on the same directory.
void restart_with(MembersWorld& world, TestNode& node, Formats formats) {
  node.config.traits.formats = formats;
  world.start(node);
}

TEST(Upgrade, OneNodeAfterAnotherRaisesTheFormatWithTheLast) {
  MembersWorld world;
  three_regions(world);
  for (const char* name : {"us", "ap"}) {
    restart_with(world, world[name], {1, 2});
    world.run(Milliseconds{10'000});
    EXPECT_EQ(world[name].membership->writes_format(), 1u) << name;
  }
  restart_with(world, world["eu"], {1, 2});
  ASSERT_TRUE(world.comes([&] {
    return std::ranges::all_of(
        world.nodes, [](const auto& node) { return node.second->membership->writes_format() == 2; });
  }));
  EXPECT_TRUE(world.all_active());
  world.run(Milliseconds{6'000});
  expect_one_history(world);
}

TEST(Upgrade, TheFormatRisesWhenTheLastOldMemberIsEvicted) {
  MembersWorld world;
  three_regions(world);
  world["ap"].up = false;
  for (const char* name : {"eu", "us"}) restart_with(world, world[name], {1, 2});
  world.run(Milliseconds{10'000});
  EXPECT_EQ(world["eu"].membership->writes_format(), 1u);
  world.evict("ap");
  EXPECT_TRUE(world.comes([&] { return world["eu"].membership->writes_format() == 2; }));
  world["ap"].up = true;
  ASSERT_TRUE(world.comes([&] { return world["ap"].mode() == Mode::kNewerFormat; }));
}

TEST(Upgrade, AnOldProgramDoesNotJoinAClusterThatWritesMore) {
  MembersWorld world;
  three_regions(world);
  for (auto& [name, node] : world.nodes) restart_with(world, *node, {1, 2});
  ASSERT_TRUE(world.comes([&] { return world["eu"].membership->writes_format() == 2; }));
  TestNode& sa = world.add("sa");
  ASSERT_TRUE(world.comes([&] { return sa.mode() == Mode::kNewerFormat; }));
  EXPECT_EQ(sa.detail(), "the cluster writes format 2, this program reads 1");
  world.run(Milliseconds{20'000});
  EXPECT_THAT(world.kinds(), testing::Not(testing::Contains("join sa")));
  restart_with(world, sa, {1, 2});
  EXPECT_TRUE(world.comes([&] { return sa.mode() == Mode::kActive; }));
}

TEST(Upgrade, AProgramThatSkipsAReleaseDoesNotJoinOrGoOn) {
  MembersWorld world;
  three_regions(world);
  TestNode& sa = world.add("sa");
  restart_with(world, sa, {2, 3});
  ASSERT_TRUE(world.comes([&] { return sa.mode() == Mode::kOlderFormat; }));
  EXPECT_EQ(sa.detail(), "the cluster writes format 1, this program takes part from 2 on");
  restart_with(world, world["us"], {2, 3});
  EXPECT_EQ(world["us"].membership->standing().takes_writes, false);
  world.run(Milliseconds{1'000});
  EXPECT_EQ(world["us"].mode(), Mode::kOlderFormat);
}

TEST(Upgrade, WhoWentBackTooFarStopsAtOnceAndWritesNothing) {
  MembersWorld world;
  three_regions(world);
  for (auto& [name, node] : world.nodes) restart_with(world, *node, {1, 2});
  ASSERT_TRUE(world.comes([&] { return world["us"].membership->writes_format() == 2; }));
  auto entries = world.counted().size();
  restart_with(world, world["us"], {1, 1});
  EXPECT_FALSE(world["us"].membership->standing().takes_writes);
  world.run(Milliseconds{10'000});
  EXPECT_EQ(world["us"].mode(), Mode::kNewerFormat);
  EXPECT_FALSE(world["us"].membership->standing().may_publish);
  EXPECT_EQ(world.counted().size(), entries);
}

TEST(Upgrade, WhoWentBackWhileTheFormatRoseStopsWhenItReadsSo) {
  MembersWorld world;
  three_regions(world);
  for (const char* name : {"us", "ap"}) restart_with(world, world[name], {1, 2});
  world.run(Milliseconds{10'000});
  world["us"].up = false;
  restart_with(world, world["eu"], {1, 2});
  ASSERT_TRUE(world.comes([&] { return world["eu"].membership->writes_format() == 2; }));
  world["us"].up = true;
  restart_with(world, world["us"], {1, 1});
  ASSERT_TRUE(world.comes([&] { return world["us"].mode() == Mode::kNewerFormat; }));
  restart_with(world, world["us"], {1, 2});
  EXPECT_TRUE(world.comes([&] { return world.all_active(); }));
}

TEST(Upgrade, OfAJoinAndTheLastUpdateAtOnePlaceOnlyOneCounts) {
  std::set<Mode> ended;
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    MembersWorld world(seed);
    three_regions(world);
    for (const char* name : {"us", "ap"}) restart_with(world, world[name], {1, 2});
    world.run(Milliseconds{7'000});
    TestNode& sa = world.add("sa");
    world.run(Milliseconds{50 * static_cast<std::int64_t>(seed)});
    restart_with(world, world["eu"], {1, 2});
    ASSERT_TRUE(world.comes([&] { return sa.mode() == Mode::kActive || sa.mode() == Mode::kNewerFormat; }));
    world.run(Milliseconds{10'000});
    EXPECT_EQ(sa.mode() == Mode::kActive ? 1u : 2u, world["eu"].membership->writes_format()) << seed;
    ended.insert(sa.mode());
  }
  EXPECT_EQ(ended.size(), 2u) << "each of them was the first somewhere";
}

// ---- founding

TEST(Founding, WithoutAFounderNodesWaitAndSaySo) {
  MembersWorld world;
  world.add("eu");
  world.add("us");
  world.run(Milliseconds{20'000});
  EXPECT_EQ(world["eu"].mode(), Mode::kWaitingForFounder);
  EXPECT_EQ(world["us"].mode(), Mode::kWaitingForFounder);
  EXPECT_THAT(world["eu"].detail(), HasSubstr("--found"));
  EXPECT_TRUE(world.broker->records(kMembersTopic).empty());
}

TEST(Founding, AFounderIsAMemberOnceItsEntryWasReadBack) {
  MembersWorld world;
  world.add("eu", true);
  ASSERT_TRUE(world.comes([&] { return world.all_active(); }));
  EXPECT_THAT(world.kinds(), ElementsAre("found eu"));
  EXPECT_EQ(world["eu"].identity.cluster, world.counted()[0].entry.cluster);
  EXPECT_NE(world["eu"].identity.cluster->value, 0U);
  EXPECT_TRUE(world["eu"].membership->standing().takes_writes);
}

TEST(Founding, WhoStartedOverNeverFoundsAlthoughItHasTheFlagAndKafkaIsEmpty) {
  MembersWorld world;
  three_regions(world);
  TestNode& eu = world["eu"];
  world.evict("eu");
  ASSERT_TRUE(world.comes([&] { return eu.mode() == Mode::kFenced; }));
  eu.membership->rejoin();
  ASSERT_TRUE(world.comes([&] { return eu.started_over == 1; }));
  for (const char* name : {"us", "ap"}) world[name].up = false;
  world.broker->replace_cluster();
  world.run(Milliseconds{20'000});
  EXPECT_EQ(eu.mode(), Mode::kWaitingForFounder);
  EXPECT_THAT(eu.detail(), HasSubstr("was a member's of cluster"));
  for (const char* name : {"us", "ap"}) world[name].up = true;
  EXPECT_TRUE(world.comes([&] { return world.all_active(); }));
  expect_one_history(world);
}

TEST(Founding, TheFlagDoesNothingLater) {
  MembersWorld world;
  three_regions(world);
  world.add("jp", true);
  ASSERT_TRUE(world.comes([&] { return world.all_active(); }));
  EXPECT_EQ(world.kinds()[0], "found eu");
  EXPECT_THAT(world.kinds(), testing::Not(testing::Contains("found jp")));
}

TEST(Founding, AJournalThatHoldsRecordsForbidsIt) {
  MembersWorld world;
  world.broker->make_topic("refrain.shop.journal.eu");
  world.broker->inject("refrain.shop.journal.eu", "a commit of long ago");
  world.add("us", true);
  world.run(Milliseconds{20'000});
  EXPECT_EQ(world["us"].mode(), Mode::kWaitingForFounder);
  EXPECT_THAT(world["us"].detail(), HasSubstr("refrain.shop.journal.eu"));
  EXPECT_TRUE(world.broker->records(kMembersTopic).empty());
}

TEST(Founding, AnotherClustersTopicsDoNotForbidIt) {
  MembersWorld world;
  world.broker->make_topic("refrain.shopping.members");
  world.broker->inject("refrain.shopping.members", "somebody else's");
  world.add("us", true);
  EXPECT_TRUE(world.comes([&] { return world.all_active(); }));
}

TEST(Founding, WhatIsAllowedIsLookedAtAgainBeforeItIsSent) {
  MembersWorld world;
  TestNode& eu = world.add("eu", true);
  ASSERT_TRUE(world.comes([&] { return eu.own.has_value(); }));
  world.broker->make_topic("refrain.shop.journal.us");
  world.broker->inject("refrain.shop.journal.us", "a commit");
  world.start(eu);
  world.run(Milliseconds{20'000});
  EXPECT_TRUE(world.broker->records(kMembersTopic).empty());
}

TEST(Founding, OfTwoAtOnceOneFoundsAndTheOtherJoins) {
  MembersWorld world;
  TestNode& eu = world.add("eu", true);
  TestNode& us = world.add("us", true);
  ASSERT_TRUE(world.comes([&] { return eu.own && us.own; }));
  CountingRandom random(1);
  MemoryFaults slow;
  slow.reader_stalls = 1;  // neither sees the other's entry before it sends its own
  world.broker->set_faults(slow, &random);
  world.run(Milliseconds{200});
  world.broker->set_faults({}, nullptr);
  ASSERT_EQ(world.broker->records(kMembersTopic).size(), 2U);
  ASSERT_TRUE(world.comes([&] { return world.all_active(); }));
  world.run(Milliseconds{6'000});
  expect_one_history(world);
  EXPECT_EQ(world.kinds().size(), 3U) << "found, join, active";
  EXPECT_GT(world.broker->records(kMembersTopic).size(), 3U) << "both had written";
  EXPECT_EQ(world["eu"].identity.cluster, world["us"].identity.cluster);
  EXPECT_TRUE(world["us"].membership->standing().may_publish);
}

TEST(Founding, ADirectoryMadeAloneNeedsTheFlagAndBringsItsClusterId) {
  MembersWorld world;
  TestNode& eu = world.add("eu");
  eu.identity.born_alone = true;
  eu.identity.cluster = ClusterId{0xAB};
  world.start(eu);
  world.run(Milliseconds{10'000});
  EXPECT_EQ(eu.mode(), Mode::kStandaloneData);
  eu.config.found = true;
  world.start(eu);
  ASSERT_TRUE(world.comes([&] { return world.all_active(); }));
  EXPECT_EQ(eu.table().cluster(), ClusterId{0xAB});
  eu.config.found = false;
  world.start(eu);
  world.run(Milliseconds{1'000});
  EXPECT_EQ(eu.mode(), Mode::kActive);
}

TEST(Founding, ADirectoryMadeAloneNeverJoinsAnother) {
  MembersWorld world;
  world.add("us", true);
  ASSERT_TRUE(world.comes([&] { return world.all_active(); }));
  TestNode& eu = world.add("eu", true);
  eu.identity.born_alone = true;
  eu.identity.cluster = ClusterId{0xAB};
  world.start(eu);
  world.run(Milliseconds{20'000});
  EXPECT_EQ(eu.mode(), Mode::kWrongCluster);
  EXPECT_THAT(world.kinds(), ElementsAre("found us"));
}

// ---- joining

TEST(Joining, ThreeNodesFoundJoinAndBecomeActive) {
  MembersWorld world;
  three_regions(world);
  EXPECT_THAT(world.kinds(), ElementsAre("found eu", "join us", "active us", "join ap", "active ap"));
  expect_one_history(world);
  EXPECT_EQ(world["us"].snapshots, 1);
  EXPECT_EQ(world["eu"].snapshots, 0);
}

TEST(Joining, NobodyJoinsWithoutAnActiveMemberThatHasReadTheSame) {
  MembersWorld world;
  world.add("eu", true);
  ASSERT_TRUE(world.comes([&] { return world.all_active(); }));
  world["eu"].answers = false;
  world.add("us");
  world.run(Milliseconds{20'000});
  EXPECT_EQ(world["us"].mode(), Mode::kJoining);
  EXPECT_THAT(world["us"].detail(), HasSubstr("active member"));
  EXPECT_THAT(world.kinds(), ElementsAre("found eu"));
  world["eu"].answers = true;
  EXPECT_TRUE(world.comes([&] { return world.all_active(); }));
}

TEST(Joining, AnActiveMemberMustAgreeAtTheMomentOfSendingToo) {
  MembersWorld world;
  world.add("eu", true);
  ASSERT_TRUE(world.comes([&] { return world.all_active(); }));
  TestNode& us = world.add("us");
  ASSERT_TRUE(world.comes([&] { return us.own.has_value(); }));
  world["eu"].answers = false;
  world.start(us);
  world.run(Milliseconds{20'000});
  EXPECT_THAT(world.kinds(), ElementsAre("found eu"));
}

TEST(Joining, AJoinerThatReadsACutLogDoesNotJoinByIt) {
  MembersWorld world;
  three_regions(world);
  // Nobody can write the lost entry again, and the joiner reads a log that looks whole.
  world.broker->truncate_back(kMembersTopic, {4});
  for (auto& [name, node] : world.nodes) node->log->set_connected(false);
  world.add("jp");
  world.run(Milliseconds{20'000});
  EXPECT_EQ(world["jp"].table().n(), 4U);
  EXPECT_EQ(world.broker->records(kMembersTopic).size(), 4U);
}

TEST(Joining, WaitsUntilEveryMemberHasShownThatItReadOfTheJoin) {
  MembersWorld world;
  three_regions(world);
  world["ap"].silent = true;
  world.add("jp");
  world.run(Milliseconds{20'000});
  EXPECT_EQ(world["jp"].mode(), Mode::kJoining);
  EXPECT_THAT(world["jp"].detail(), HasSubstr("ap"));
  world["ap"].silent = false;
  EXPECT_TRUE(world.comes([&] { return world.all_active(); }));
}

TEST(Joining, ATickFromBeforeTheJoinWasReadIsNotEnough) {
  MembersWorld world;
  three_regions(world);
  world["ap"].log->set_connected(false);  // it ticks, and knows nothing of the join
  world.add("jp");
  world.run(Milliseconds{20'000});
  EXPECT_EQ(world["jp"].mode(), Mode::kJoining);
  EXPECT_THAT(world["jp"].detail(), HasSubstr("waits until ap"));
  world["ap"].log->set_connected(true);
  EXPECT_TRUE(world.comes([&] { return world.all_active(); }));
}

TEST(Joining, StartsOverWithMoreOfAnEndedJournalThanItsEnd) {
  MembersWorld world;
  three_regions(world);
  Journal us = world["us"].identity.self;
  world["us"].up = false;
  TestNode& jp = world.add("jp");
  ASSERT_TRUE(world.comes([&] { return jp.snapshots == 1; }));
  world["ap"].silent = true;  // jp must not be done before
  jp.applied[us].seq.value += 5;
  world.evict("us");
  ASSERT_TRUE(world.comes([&] { return jp.started_over == 1; }));
  EXPECT_THAT(jp.start_over_reason, HasSubstr("more of us's ended journal"));
}

TEST(Joining, WaitsUntilItHasWhatTheMembersTicksShow) {
  MembersWorld world;
  three_regions(world);
  TestNode& jp = world.add("jp");
  ASSERT_TRUE(world.comes([&] { return jp.snapshots == 1; }));
  jp.deaf = true;
  // A tick came that shows more of us than jp has read.
  world.run(Milliseconds{3'000});
  for (const auto& [journal, ticks] : world.journals) {
    jp.ticks[journal] = ticks.back();
    jp.passes[journal.node] = {world.now, true, true, false};
  }
  world.run(Milliseconds{5'000});
  EXPECT_EQ(jp.mode(), Mode::kJoining);
  EXPECT_THAT(jp.detail(), HasSubstr("journal up to seq"));
  jp.deaf = false;
  EXPECT_TRUE(world.comes([&] { return world.all_active(); }));
  EXPECT_EQ(jp.started_over, 0);
}

TEST(Joining, StartsOverWithAGapThatTheLogDoesNotFill) {
  MembersWorld world;
  three_regions(world);
  TestNode& jp = world.add("jp");
  ASSERT_TRUE(world.comes([&] { return jp.snapshots == 1; }));
  Incarnation first = jp.identity.self.incarnation;
  jp.gaps[world["us"].identity.self] = {3};
  ASSERT_TRUE(world.comes([&] { return jp.started_over == 1; }));
  EXPECT_THAT(jp.start_over_reason, HasSubstr("missing"));
  ASSERT_TRUE(world.comes([&] { return world.all_active(); }));
  EXPECT_EQ(jp.identity.former, std::vector{first});
  EXPECT_TRUE(jp.table().is(first, MemberState::kOver))
      << "the new incarnation replaces the one that never was active";
  EXPECT_EQ(jp.snapshots, 2);
}

TEST(Joining, StartsOverWithAGapAlthoughThatIsNotSeenWhileTheLogIsReadOnceMore) {
  MembersWorld world;
  three_regions(world);
  Journal eu = world["eu"].identity.self;
  TestNode& fresh = world.add("sa");
  bool seen = world.comes([&] {
    // As a reader does: what it knew of gaps it forgets when it begins again.
    bool reads_again = !fresh.newest_step.read_again.empty();
    fresh.gaps.clear();
    if (fresh.identity.snapshot_taken && fresh.mode() == Mode::kJoining && !reads_again)
      fresh.gaps[eu] = fresh.applied[eu].seq.next();
    return fresh.started_over == 1;
  });
  EXPECT_TRUE(seen) << fresh.detail();
}

TEST(Joining, AParkedJournalHoldsItBack) {
  MembersWorld world;
  three_regions(world);
  TestNode& jp = world.add("jp");
  ASSERT_TRUE(world.comes([&] { return jp.snapshots == 1; }));
  for (int i = 0; i < 400; ++i) {
    world.run(Milliseconds{50});
    jp.passes["us"].parked = true;
  }
  EXPECT_EQ(jp.mode(), Mode::kJoining);
  EXPECT_THAT(jp.detail(), HasSubstr("us's journal is parked"));
}

TEST(Joining, TakesItsSnapshotOnlyFromAMemberThatHasReadOfTheJoin) {
  MembersWorld world;
  three_regions(world);
  TestNode& jp = world.add("jp");
  ASSERT_TRUE(world.comes([&] { return jp.own.has_value(); }));
  for (const char* name : {"eu", "us", "ap"}) world[name].disk_full = true;  // nobody can count the join
  world.run(Milliseconds{10'000});
  EXPECT_EQ(jp.table().n(), 6U);
  EXPECT_EQ(jp.snapshots, 0);
  EXPECT_THAT(jp.detail(), HasSubstr("has read so"));
  world["us"].disk_full = false;
  EXPECT_TRUE(world.comes([&] { return jp.snapshots == 1; }));
}

TEST(Joining, TriesAgainWhenASnapshotFails) {
  MembersWorld world;
  three_regions(world);
  TestNode& jp = world.add("jp");
  world.snapshots_fail = true;
  ASSERT_TRUE(world.comes([&] { return jp.detail().find("failed: nobody gives one") != std::string::npos; }));
  world.run(Milliseconds{10'000});
  EXPECT_EQ(jp.snapshots, 0);
  world.snapshots_fail = false;
  EXPECT_TRUE(world.comes([&] { return world.all_active(); }));
}

TEST(Joining, EntriesReadWhileTheStoreIsEmptiedLeaveNoHole) {
  MembersWorld world;
  three_regions(world);
  TestNode& jp = world.add("jp");
  world.snapshots_fail = true;
  ASSERT_TRUE(world.comes([&] { return jp.detail().find("failed") != std::string::npos; }));
  jp.entries.clear();  // as the node does before it takes a snapshot
  world["us"].config.traits.region = "elsewhere";
  world.start(world["us"]);
  ASSERT_TRUE(world.comes([&] { return jp.table().n() == 7; }));
  EXPECT_THAT(jp.entries, testing::Each(testing::Not(testing::IsEmpty())));
  EXPECT_EQ(jp.entries.size(), 7U);
}

TEST(Joining, ASnapshotOlderThanTheJoinIsNotBuiltOn) {
  MembersWorld world;
  three_regions(world);
  TestNode& jp = world.add("jp");
  jp.identity.snapshot_taken = true;
  jp.identity.cluster = world["eu"].identity.cluster;
  jp.entries = world["eu"].entries;
  world.start(jp);
  ASSERT_TRUE(world.comes([&] { return jp.started_over == 1; }));
  EXPECT_THAT(jp.start_over_reason, HasSubstr("had not read of its join"));
  EXPECT_TRUE(world.comes([&] { return world.all_active(); }));
}

TEST(Joining, DoesNotStartOverWhileItsActiveMayCount) {
  MembersWorld world;
  three_regions(world);
  TestNode& jp = world.add("jp");
  ASSERT_TRUE(world.comes([&] { return jp.own && decode_entry(*jp.own)->entry.kind == EntryKind::kActive; }));
  jp.log->set_connected(false);
  jp.gaps[world["us"].identity.self] = {3};
  for (int i = 0; i < 600; ++i) {
    world.run(Milliseconds{50});
    jp.passes["us"] = {world.now, true, true, false};
  }
  EXPECT_EQ(jp.started_over, 0);
  jp.log->set_connected(true);
  EXPECT_TRUE(world.comes([&] { return jp.mode() == Mode::kActive; }));
}

TEST(Joining, ANewDirectoryUnderANameThatTicksIsRefused) {
  MembersWorld world;
  three_regions(world);
  auto before = world.kinds();
  TestNode& other = world.add("us-2");
  other.identity.self.node = "us";
  world.start(other);
  world.run(Milliseconds{20'000});
  EXPECT_EQ(other.mode(), Mode::kNameInUse);
  EXPECT_THAT(other.detail(), HasSubstr("us"));
  EXPECT_EQ(world.kinds(), before);
}

TEST(Joining, ANewDiskReplacesWhatHadItsNameAfterTenSecondsOfSilence) {
  MembersWorld world;
  three_regions(world);
  Journal old = world["us"].identity.self;
  SteadyNs lost = world.now;
  TestNode& us = world.add("us");
  ASSERT_TRUE(world.comes([&] { return us.mode() == Mode::kActive; })) << us.detail();
  EXPECT_GE(world.now - lost, Milliseconds{10'000});
  EXPECT_TRUE(world["eu"].table().is(old.incarnation, MemberState::kOver));
  EXPECT_EQ(us.applied[old].seq, world["eu"].table().end(old.incarnation));
}

TEST(Joining, TheOnlyMembersLostDiskIsNotReplacedByAnEmptyOne) {
  MembersWorld world;
  world.add("eu", true);
  ASSERT_TRUE(world.comes([&] { return world.all_active(); }));
  TestNode& eu = world.add("eu");
  world.run(Milliseconds{30'000});
  EXPECT_EQ(eu.mode(), Mode::kJoining);
  EXPECT_THAT(eu.detail(), HasSubstr("nobody else has the data"));
}

TEST(Joining, TakesItsSnapshotFromItsOwnRegionWhenThereIsOne) {
  for (std::uint64_t seed = 1; seed <= 8; ++seed) {
    MembersWorld world(seed);
    three_regions(world);
    TestNode& near = world["ap"];
    near.config.traits.region = "asia";
    world.start(near);
    ASSERT_TRUE(world.comes([&] { return world.kinds().back() == "update ap"; }));
    TestNode& fresh = world.add("ap-2");
    fresh.config.traits.region = "asia";
    world.start(fresh);
    ASSERT_TRUE(world.comes([&] { return fresh.newest_step.snapshot.has_value(); }));
    EXPECT_EQ(fresh.newest_step.snapshot->member.node, "ap");
  }
}

TEST(Joining, ANewDirectoryMayTakeTheNameOfWhatWasEvicted) {
  MembersWorld world;
  three_regions(world);
  world["us"].up = false;
  world.evict("us");
  ASSERT_TRUE(world.comes([&] { return world["eu"].table().end({2}).has_value(); }));
  world.add("us");
  world.run(Milliseconds{15'000});
  EXPECT_EQ(world["us"].table().current("us"), world["us"].identity.self.incarnation);
}

TEST(Joining, WaitsTenSecondsAfterWhatItReplacesWasHeard) {
  MembersWorld world;
  three_regions(world);
  Journal old = world["us"].identity.self;
  world["us"].up = false;
  world.evict("us");
  ASSERT_TRUE(world.comes([&] { return world["eu"].table().is(old.incarnation, MemberState::kOver); }));
  SteadyNs heard = world["eu"].heard.at(old);
  world.add("us");
  ASSERT_TRUE(world.comes([&] { return world.counted().back().entry.kind == EntryKind::kJoin; }));
  EXPECT_GE(world.now - heard, Milliseconds{10'000});
}

TEST(Joining, IsFencedWhenItsNameWentToAnotherWhileItStartedOver) {
  MembersWorld world;
  three_regions(world);
  TestNode& us = world["us"];
  us.identity.former = {{77}, us.identity.self.incarnation};
  us.identity.self.incarnation = {1'000};
  us.entries.clear();
  us.applied.clear();
  us.ticks.clear();
  us.identity.snapshot_taken = false;
  us.up = false;
  world.evict("us");
  MembersReplay replay;
  for (const Record& record : world.broker->records(kMembersTopic)) replay.add(record.bytes);
  MembersEntry join = next_entry(replay.table(), EntryKind::kJoin, "us", 555);
  join.cluster = replay.table().cluster();
  join.replaces = replay.table().current("us");
  world.inject(encode_entry(join).bytes);
  us.up = true;
  world.start(us);
  world.run(Milliseconds{10'000});
  EXPECT_EQ(us.mode(), Mode::kFenced);
}

// ---- writing

TEST(Writing, AnOwnEntryIsDurableBeforeItIsSent) {
  MembersWorld world;
  TestNode& eu = world.add("eu", true);
  eu.disk_full = true;
  world.run(Milliseconds{20'000});
  EXPECT_TRUE(world.broker->records(kMembersTopic).empty());
  eu.disk_full = false;
  EXPECT_TRUE(world.comes([&] { return world.all_active(); }));
}

TEST(Writing, WhatWasReadIsNotActedOnBeforeItIsDurable) {
  MembersWorld world;
  TestNode& eu = world.add("eu", true);
  ASSERT_TRUE(world.comes([&] { return !world.broker->records(kMembersTopic).empty(); }));
  eu.disk_full = true;
  world.run(Milliseconds{10'000});
  EXPECT_NE(eu.mode(), Mode::kActive);
  EXPECT_TRUE(eu.table().empty());
  eu.disk_full = false;
  EXPECT_TRUE(world.comes([&] { return world.all_active(); }));
}

TEST(Writing, ACrashSendsTheSameBytesAgain) {
  MembersWorld world;
  TestNode& eu = world.add("eu", true);
  ASSERT_TRUE(world.comes([&] { return eu.own.has_value(); }));
  std::string first = *eu.own;
  EXPECT_TRUE(world.broker->records(kMembersTopic).empty());
  world.now = world.now + Milliseconds{100'000};
  world.start(eu);
  ASSERT_TRUE(world.comes([&] { return world.all_active(); }));
  EXPECT_EQ(world.broker->records(kMembersTopic)[0].bytes, first);
  EXPECT_EQ(world.counted().size(), 1U);
}

TEST(Writing, AnEntryWhosePlaceWasTakenIsMadeAnew) {
  MembersWorld world;
  world.add("eu", true);
  ASSERT_TRUE(world.comes([&] { return world.all_active(); }));
  world.add("us");
  world.add("ap");
  ASSERT_TRUE(world.comes([&] { return world.all_active(); }));
  world.run(Milliseconds{6'000});
  expect_one_history(world);
  EXPECT_EQ(world.kinds().size(), 5U);
}

TEST(Writing, AChangedAddressIsAnnounced) {
  MembersWorld world;
  three_regions(world);
  world["us"].config.traits.address = "http://us-new";
  world.start(world["us"]);
  ASSERT_TRUE(world.comes([&] { return world["eu"].table().n() == 6; }));
  EXPECT_EQ(world.kinds().back(), "update us");
  EXPECT_EQ(world["eu"].table().find(world["us"].identity.self.incarnation)->traits.address, "http://us-new");
  world.run(Milliseconds{20'000});
  EXPECT_EQ(world.kinds().size(), 6U);
}

TEST(Writing, WhoeverIsBehindAPeersTickReadsOnFirst) {
  MembersWorld world;
  three_regions(world);
  TestNode& us = world["us"];
  us.config.traits.region = "changed";
  world.start(us);
  us.deaf = true;
  us.ticks[world["eu"].identity.self].tick.members_n =
      6;  // eu has counted an entry that the log, as us reads it, lacks
  world.run(Milliseconds{20'000});
  EXPECT_EQ(world.kinds().size(), 5U);
}

// ---- the log is damaged

TEST(MembersLog, DoubledAndLateEntriesChangeNothing) {
  MembersWorld world;
  three_regions(world);
  auto records = world.broker->records(kMembersTopic);
  for (const Record& record : records) world.inject(record.bytes);
  world.inject(records[1].bytes);
  world.inject("garbage");
  world.run(Milliseconds{20'000});
  EXPECT_TRUE(world.all_active());
  expect_one_history(world);
  EXPECT_EQ(world.kinds().size(), 5U);
}

TEST(MembersLog, ADeletedTopicIsWrittenAgain) {
  MembersWorld world;
  three_regions(world);
  auto before = world.kinds();
  world.broker->delete_topic(kMembersTopic);
  ASSERT_TRUE(world.comes([&] { return world.kinds() == before; }));
  ASSERT_TRUE(world.comes([&] {
    return !world["eu"].membership->waits_for_agreement() && !world["us"].membership->waits_for_agreement() &&
           !world["ap"].membership->waits_for_agreement();
  }));
  expect_one_history(world);
}

TEST(MembersLog, ATruncatedTopicIsWrittenAgain) {
  MembersWorld world;
  three_regions(world);
  auto before = world.kinds();
  world.broker->truncate_back(kMembersTopic, {2});
  world.broker->inject(kMembersTopic, "something else");
  EXPECT_TRUE(world.comes([&] { return world.kinds() == before; }));
}

TEST(MembersLog, AFencedNodeWritesAgainWhatOnlyItKnows) {
  MembersWorld world;
  three_regions(world);
  world.evict("us");
  ASSERT_TRUE(world.comes([&] { return world["us"].mode() == Mode::kFenced; }));
  auto before = world.kinds();
  world["eu"].up = world["ap"].up = false;
  world.broker->delete_topic(kMembersTopic);
  ASSERT_TRUE(world.comes([&] { return world.kinds().size() >= 6; }));
  EXPECT_EQ(world.kinds()[5], "evict us");
}

TEST(MembersLog, AfterALossWhoSawItAddsNothingUntilAllShowTheSame) {
  MembersWorld world;
  three_regions(world);
  TestNode& us = world["us"];
  us.config.traits.region = "elsewhere";  // it wants to announce this
  us.up = false;
  for (const char* name : {"eu", "ap"}) world[name].log->set_connected(false);
  world["ap"].silent = true;
  world.broker->delete_topic(kMembersTopic);
  us.up = true;
  world.start(us);
  ASSERT_TRUE(world.comes([&] { return us.membership->waits_for_agreement(); }));
  for (const char* name : {"eu", "ap"}) world[name].log->set_connected(true);
  world.run(Milliseconds{30'000});
  EXPECT_EQ(world.kinds().size(), 5U) << "ap has shown nothing since the loss";
  EXPECT_TRUE(us.membership->waits_for_agreement());
  EXPECT_THAT(us.membership->trouble(), HasSubstr("waits until all active members show the same"));
  world["ap"].silent = false;
  EXPECT_TRUE(world.comes([&] { return world.kinds().size() == 6; }));
  EXPECT_FALSE(us.membership->waits_for_agreement());
}

TEST(MembersLog, ASecondLossAsksForAgreementAnew) {
  MembersWorld world;
  three_regions(world);
  TestNode& us = world["us"];
  us.config.traits.region = "elsewhere";
  for (const char* name : {"eu", "ap"}) world[name].log->set_connected(false);
  world["ap"].silent = true;
  world.broker->delete_topic(kMembersTopic);
  world.start(us);
  ASSERT_TRUE(world.comes([&] { return us.membership->waits_for_agreement(); }));
  world.run(Milliseconds{5'000});
  CountingRandom random(1);
  MemoryFaults faults;
  faults.record_lost = 1;  // it cannot be written again for a while
  world.broker->set_faults(faults, &random);
  world.broker->delete_topic(kMembersTopic);
  world.run(Milliseconds{3'000});
  world["ap"].silent = false;  // shows the same, but from before the log is whole again
  world.run(Milliseconds{3'000});
  world["ap"].silent = true;
  world.run(Milliseconds{2'000});
  world.broker->set_faults({}, nullptr);
  world.run(Milliseconds{20'000});
  EXPECT_EQ(world.kinds().size(), 5U);
  EXPECT_TRUE(us.membership->waits_for_agreement());
}

TEST(MembersLog, NobodyJoinsByAMemberThatWaitsForAgreement) {
  MembersWorld world;
  three_regions(world);
  for (const char* name : {"eu", "ap"}) {
    world[name].log->set_connected(false);
    world[name].answers = false;
  }
  world["ap"].silent = true;
  world.broker->delete_topic(kMembersTopic);
  world.add("jp");
  world.run(Milliseconds{20'000});
  EXPECT_TRUE(world["us"].membership->waits_for_agreement());
  EXPECT_EQ(world["jp"].table().n(), 5U) << "it has read what us wrote again";
  EXPECT_EQ(world.kinds().size(), 5U);
}

TEST(MembersLog, ALostDiskIsReplacedAlthoughItsNodeIsWaitedForAfterALoss) {
  MembersWorld world;
  three_regions(world);
  TestNode& us = world.add("us");  // its disk is lost, and so is the log
  world.broker->delete_topic(kMembersTopic);
  ASSERT_TRUE(world.comes([&] { return us.mode() == Mode::kActive && world.all_active(); })) << us.detail();
}

TEST(MembersLog, AMemberThatMeetsAnotherHistoryStops) {
  MembersWorld world;
  three_regions(world);
  std::vector<Record> records = world.broker->records(kMembersTopic);
  world.broker->truncate_back(kMembersTopic, {4});
  LoggedEntry other = *decode_entry(records[4].bytes);
  other.entry.at.value += 1;
  world.inject(encode_entry(other.entry).bytes);
  world.run(Milliseconds{10'000});
  for (auto& [name, node] : world.nodes) {
    EXPECT_EQ(node->mode(), Mode::kForked) << name;
    EXPECT_FALSE(node->membership->standing().takes_writes);
    EXPECT_FALSE(node->membership->standing().may_publish);
  }
  EXPECT_EQ(world.broker->records(kMembersTopic).size(), 5U) << "an operator decides";
  world.broker->delete_topic(kMembersTopic);
  world.run(Milliseconds{10'000});
  EXPECT_TRUE(world.broker->records(kMembersTopic).empty()) << "nobody writes his own history over it";
}

TEST(MembersLog, AMemberWhosePeerCountsAnotherHistoryStops) {
  MembersWorld world;
  three_regions(world);
  TestNode& us = world["us"];
  us.deaf = true;
  us.ticks[world["eu"].identity.self].tick.members_hash = sha256("another history");
  world.run(Milliseconds{1'000});
  EXPECT_EQ(us.mode(), Mode::kForked);
  EXPECT_EQ(world["eu"].mode(), Mode::kActive);
}

TEST(MembersLog, AJoinerInAnotherHistoryStartsOver) {
  MembersWorld world;
  three_regions(world);
  TestNode& jp = world.add("jp");
  ASSERT_TRUE(world.comes([&] { return world["jp"].table().n() == 6; }));
  Incarnation first = jp.identity.self.incarnation;
  // The join is lost, and another entry stands in its place before anybody could write it again.
  for (const char* name : {"eu", "us", "ap"}) {
    world[name].entries.resize(5);
    world.start(world[name]);
  }
  world.broker->truncate_back(kMembersTopic, {5});
  MembersReplay replay;
  for (const Record& record : world.broker->records(kMembersTopic)) replay.add(record.bytes);
  MembersEntry update =
      next_entry(replay.table(), EntryKind::kUpdate, "us", world["us"].identity.self.incarnation.value);
  update.cluster = replay.table().cluster();
  update.traits = world["us"].config.traits;
  world.inject(encode_entry(update).bytes);
  ASSERT_TRUE(world.comes([&] { return world["jp"].started_over == 1; }));
  ASSERT_TRUE(world.comes([&] { return world.all_active(); }));
  EXPECT_EQ(jp.table().find(first), nullptr);
}

TEST(MembersLog, AnotherClustersEntryStopsAllWriting) {
  MembersWorld world;
  three_regions(world);
  MembersEntry foreign = next_entry(world["eu"].table(), EntryKind::kJoin, "xx", 999);
  foreign.cluster = {0xBAD};
  world.inject(encode_entry(foreign).bytes);
  world.run(Milliseconds{6'000});
  TestNode& eu = world["eu"];
  EXPECT_EQ(eu.mode(), Mode::kActive) << "clients are served";
  EXPECT_FALSE(eu.membership->standing().may_publish);
  EXPECT_THAT(eu.membership->trouble(), HasSubstr("00000bad"));
  eu.config.traits.region = "changed";
  world.start(eu);
  world.add("jp");
  world.run(Milliseconds{20'000});
  EXPECT_EQ(world["jp"].mode(), Mode::kWrongCluster);
  EXPECT_EQ(world.broker->records(kMembersTopic).size(), 6U);
}

TEST(MembersLog, AMemberOnAnotherClustersKafkaWritesNothing) {
  MembersWorld staging(7);
  three_regions(staging);
  MembersWorld production(8);
  three_regions(production);
  TestNode& eu = production["eu"];
  eu.log = nullptr;
  eu.membership = nullptr;
  eu.log = std::make_unique<MemoryLog>(staging.broker, [] {});
  production.start(eu);
  auto before = staging.broker->records(kMembersTopic).size();
  production.run(Milliseconds{20'000});
  EXPECT_EQ(staging.broker->records(kMembersTopic).size(), before);
  EXPECT_FALSE(eu.membership->standing().may_publish);
  EXPECT_FALSE(eu.membership->trouble().empty());
}

TEST(MembersLog, AnUnknownKindStopsTheNode) {
  MembersWorld world;
  three_regions(world);
  std::string bytes = encode_entry(next_entry(world["eu"].table(), EntryKind::kEvict, "us", 2)).bytes;
  LoggedEntry entry = *decode_entry(bytes);
  entry.entry.cluster = world["eu"].table().cluster();
  bytes = encode_entry(entry.entry).bytes;
  bytes.replace(bytes.find("\"evict\""), 7, "\"split\"");
  world.inject(bytes);
  world.run(Milliseconds{6'000});
  for (auto& [name, node] : world.nodes) {
    EXPECT_EQ(node->mode(), Mode::kNewerFormat) << name;
    EXPECT_THAT(node->detail(), HasSubstr("split"));
    EXPECT_FALSE(node->membership->standing().takes_writes);
  }
  EXPECT_EQ(world.broker->records(kMembersTopic).size(), 6U);
}

TEST(MembersLog, AnEntryOfANewerProgramInTheStoreStopsTheNodeAndEmptiesNothing) {
  MembersWorld world;
  three_regions(world);
  TestNode& us = world["us"];
  us.entries[0].replace(us.entries[0].find("\"found\""), 7, "\"split\"");  // what only a newer one counts
  us.identity.snapshot_taken = true;
  world.start(us);
  world.run(Milliseconds{3'000});
  EXPECT_EQ(us.mode(), Mode::kNewerFormat);
  EXPECT_EQ(us.started_over, 0);
}

// ---- a member's life

TEST(Member, ServesAtOnceAfterARestartAndPublishesOnceTheLogWasRead) {
  MembersWorld world;
  three_regions(world);
  TestNode& us = world["us"];
  us.log->set_connected(false);
  world.start(us);
  world.run(Milliseconds{10'000});
  EXPECT_EQ(us.mode(), Mode::kActive);
  EXPECT_TRUE(us.membership->standing().takes_writes);
  EXPECT_FALSE(us.membership->standing().may_publish) << "this Kafka may be another cluster's";
  us.log->set_connected(true);
  EXPECT_TRUE(world.comes([&] { return us.membership->standing().may_publish; }));
}

TEST(Member, WhatIsOverIsFencedForGood) {
  MembersWorld world;
  three_regions(world);
  world.evict("us");
  ASSERT_TRUE(world.comes([&] { return world["us"].mode() == Mode::kFenced; }));
  EXPECT_FALSE(world["us"].membership->standing().takes_writes);
  EXPECT_FALSE(world["us"].membership->standing().may_publish);
  world.start(world["us"]);
  world.run(Milliseconds{20'000});
  EXPECT_EQ(world["us"].mode(), Mode::kFenced);
}

TEST(Member, SaysItsWordAboutAnEndedJournalOnceItReadThatToItsEnd) {
  MembersWorld world;
  three_regions(world);
  Journal us = world["us"].identity.self;
  world["us"].up = false;
  world["ap"].deaf = true;  // has not read on since the entry
  world.evict("us");
  ASSERT_TRUE(world.comes([&] {
    return world["eu"].table().word(us.incarnation, world["eu"].identity.self.incarnation).has_value();
  }));
  world.run(Milliseconds{20'000});
  EXPECT_FALSE(world["ap"].table().word(us.incarnation, world["ap"].identity.self.incarnation))
      << "ap has read nothing";
  EXPECT_FALSE(world["eu"].table().end(us.incarnation));
  world["ap"].deaf = false;
  ASSERT_TRUE(world.comes([&] { return world["eu"].table().end(us.incarnation).has_value(); }));
  EXPECT_EQ(world["eu"].table().end(us.incarnation), world.journals[us].back().seq);
}

TEST(Member, AWordBindsFromTheMomentItIsMadeAndAfterACrash) {
  MembersWorld world;
  three_regions(world);
  TestNode& eu = world["eu"];
  Journal us = world["us"].identity.self;
  world["us"].up = false;
  world.evict("us");
  ASSERT_TRUE(world.comes([&] { return eu.own && decode_entry(*eu.own)->entry.kind == EntryKind::kLast; }));
  EXPECT_FALSE(eu.table().word(us.incarnation, eu.identity.self.incarnation)) << "not in the log yet";
  EXPECT_EQ(eu.membership->limit(us.incarnation), eu.applied[us].seq);
  eu.log->set_connected(false);
  world.start(eu);
  EXPECT_EQ(eu.membership->limit(us.incarnation), eu.applied[us].seq);
  eu.log->set_connected(true);
  ASSERT_TRUE(world.comes([&] { return eu.table().end(us.incarnation).has_value(); }));
  EXPECT_EQ(eu.membership->limit(us.incarnation), eu.applied[us].seq);
}

TEST(Member, AWordThatWasReadBackBindsBeforeThatIsDurable) {
  MembersWorld world;
  three_regions(world);
  TestNode& eu = world["eu"];
  Journal us = world["us"].identity.self;
  world["us"].up = world["ap"].up = false;
  world.evict("us");
  ASSERT_TRUE(world.comes([&] { return eu.own && decode_entry(*eu.own)->entry.kind == EntryKind::kLast; }));
  eu.disk_full = true;
  world.run(Milliseconds{10'000});
  ASSERT_EQ(world.kinds().back(), "last eu");
  EXPECT_FALSE(eu.table().word(us.incarnation, eu.identity.self.incarnation));
  EXPECT_EQ(eu.membership->limit(us.incarnation), eu.applied[us].seq);
}

TEST(Member, AWordOnlyBindsUntilAnotherEntryStandsAtItsPlace) {
  MembersWorld world;
  three_regions(world);
  TestNode& eu = world["eu"];
  Journal us = world["us"].identity.self;
  world["us"].up = false;
  world.evict("us");
  ASSERT_TRUE(world.comes([&] { return eu.own && decode_entry(*eu.own)->entry.kind == EntryKind::kLast; }));
  std::uint64_t n = decode_entry(*eu.own)->entry.n;
  eu.up = false;
  ASSERT_TRUE(world.comes([&] { return world.counted().size() >= n; }));
  ASSERT_EQ(world.counted()[n - 1].entry.node, "ap");
  eu.up = true;
  ASSERT_TRUE(world.comes([&] { return eu.table().end(us.incarnation).has_value(); }));
}

TEST(MembersLog, WhoMissedTheLossDoesNotAddBesideAnEntryThatOnlyASilentMemberKnows) {
  MembersWorld world;
  three_regions(world);
  TestNode& us = world["us"];
  TestNode& ap = world["ap"];
  world["eu"].up = false;
  ap.up = false;
  us.config.traits.address = "http://us-new";
  world.start(us);
  auto n = world.counted().size();
  ASSERT_TRUE(world.comes([&] { return us.table().n() == n + 1; }));
  us.up = false;  // only us has counted its update
  world.broker->replace_cluster();
  world["eu"].up = true;
  ASSERT_TRUE(world.comes([&] { return world.counted().size() == n; }));  // eu wrote again what it knows
  ap.config.traits.region = "another";
  ap.up = true;
  world.start(ap);
  world.run(Milliseconds{10'000});
  EXPECT_EQ(world.counted().size(), n) << "ap has added another entry " << n + 1;
  us.up = true;
  world.run(Milliseconds{20'000});
  EXPECT_EQ(us.mode(), Mode::kActive) << mode_name(us.mode()) << " " << us.detail();
}

TEST(Member, WhoseJournalIsAheadOfItsDirectoryIsRolledBack) {
  for (int how = 0; how < 3; ++how) {
    MembersWorld world;
    three_regions(world);
    TestNode& us = world["us"];
    us.silent = true;
    if (how == 0) us.own_journal = OwnJournal{us.newest.next(), false};
    if (how == 1) us.own_journal = OwnJournal{us.newest, true};
    if (how == 2) us.newest = Seq{us.newest.value - 1};
    world.run(Milliseconds{5'000});
    EXPECT_EQ(us.mode(), Mode::kRolledBack) << how;
    EXPECT_FALSE(us.membership->standing().takes_writes);
    EXPECT_FALSE(us.membership->standing().may_publish);
    us.identity.rolled_back = true;
    us.newest = {1'000};
    us.own_journal.reset();
    world.start(us);
    world.run(Milliseconds{5'000});
    EXPECT_EQ(us.mode(), Mode::kRolledBack) << "writes taken since must not hide it";
  }
}

// ---- ends

TEST(Ending, AMemberEvictsAnotherByOrder) {
  MembersWorld world;
  three_regions(world);
  Journal us = world["us"].identity.self;
  world["us"].up = false;
  world["eu"].membership->evict(us);
  ASSERT_TRUE(world.comes([&] { return world["eu"].table().end(us.incarnation).has_value(); }));
  EXPECT_EQ(world["eu"].table().find(us.incarnation)->ending, Ending::kEvicted);
  world["us"].up = true;
  ASSERT_TRUE(world.comes([&] { return world["us"].mode() == Mode::kFenced; }));
  EXPECT_THAT(world["us"].detail(), HasSubstr("evicted"));
}

TEST(Ending, WhoeverLeavesTakesNoMoreWritesAndWaitsUntilAllHaveWhatItWrote) {
  MembersWorld world;
  three_regions(world);
  TestNode& us = world["us"];
  world["ap"].deaf = true;
  us.newest_write = us.newest = us.newest.next();  // ap will not see it
  us.applied[us.identity.self].seq = us.newest;
  world.journals[us.identity.self].push_back({us.newest, Hlc::of(world.wall()), {}});
  us.membership->leave();
  world.run(Milliseconds{20'000});
  EXPECT_FALSE(us.membership->standing().takes_writes);
  EXPECT_EQ(us.mode(), Mode::kActive);
  EXPECT_THAT(us.detail(), HasSubstr("waits until ap"));
  world["ap"].deaf = false;
  ASSERT_TRUE(world.comes([&] { return us.mode() == Mode::kFenced; }));
  EXPECT_THAT(us.detail(), HasSubstr("left"));
}

TEST(Ending, TheLastActiveMemberStays) {
  MembersWorld world;
  world.add("eu", true);
  ASSERT_TRUE(world.comes([&] { return world.all_active(); }));
  world["eu"].membership->leave();
  world.run(Milliseconds{10'000});
  EXPECT_EQ(world["eu"].mode(), Mode::kActive);
  EXPECT_THAT(world["eu"].detail(), HasSubstr("last active member"));
}

TEST(Ending, AMemberThatRejoinsEmptiesNothingBeforeItsJoinCounts) {
  MembersWorld world;
  three_regions(world);
  TestNode& us = world["us"];
  Incarnation before = us.identity.self.incarnation;
  us.membership->rejoin();
  ASSERT_TRUE(world.comes([&] { return us.started_over == 1; }));
  EXPECT_TRUE(world["eu"].table().is(before, MemberState::kOver));
  EXPECT_EQ(world["eu"].table().current("us"), us.identity.self.incarnation);
  ASSERT_TRUE(world.comes([&] { return us.mode() == Mode::kActive; }));
  EXPECT_EQ(us.started_over, 1);
}

TEST(Ending, AMemberRejoinsOnlyOnceTheOthersHaveWhatItWrote) {
  MembersWorld world;
  three_regions(world);
  TestNode& us = world["us"];
  world["ap"].deaf = true;
  us.newest_write = us.newest = us.newest.next();
  us.applied[us.identity.self].seq = us.newest;
  world.journals[us.identity.self].push_back({us.newest, Hlc::of(world.wall()), {}});
  us.membership->rejoin();
  world.run(Milliseconds{20'000});
  EXPECT_EQ(us.mode(), Mode::kActive);
  EXPECT_FALSE(us.membership->standing().takes_writes);
  EXPECT_EQ(us.started_over, 0);
  world["ap"].deaf = false;
  ASSERT_TRUE(world.comes([&] { return us.started_over == 1; }));
}

TEST(Ending, ARejoinGoesOnAfterACrashAsTheSameIncarnation) {
  MembersWorld world;
  three_regions(world);
  TestNode& us = world["us"];
  us.membership->rejoin();
  ASSERT_TRUE(world.comes([&] { return us.identity.next.value != 0; }));
  Incarnation next = us.identity.next;
  world.start(us);
  EXPECT_FALSE(us.membership->standing().takes_writes);
  ASSERT_TRUE(
      world.comes([&] { return us.mode() == Mode::kActive && us.identity.self.incarnation == next; }));
}

TEST(Ending, AnEvictedNodeRejoinsByOrderOnceWhatIsVoidIsPutAside) {
  MembersWorld world;
  three_regions(world);
  TestNode& us = world["us"];
  us.nothing_void_left = false;
  world.evict("us");
  ASSERT_TRUE(world.comes([&] { return us.mode() == Mode::kFenced; }));
  us.membership->rejoin();
  world.run(Milliseconds{10'000});
  EXPECT_EQ(us.started_over, 0);
  us.nothing_void_left = true;
  ASSERT_TRUE(world.comes([&] { return us.mode() == Mode::kActive; }));
  EXPECT_EQ(us.started_over, 1);
}

TEST(Ending, ARolledBackMemberRejoinsByOrder) {
  MembersWorld world;
  three_regions(world);
  TestNode& us = world["us"];
  us.silent = true;
  us.own_journal = OwnJournal{us.newest.next(), false};
  ASSERT_TRUE(world.comes([&] { return us.mode() == Mode::kRolledBack; }));
  us.membership->rejoin();
  us.own_journal.reset();
  us.silent = false;
  ASSERT_TRUE(world.comes([&] { return us.started_over == 1 && us.mode() == Mode::kActive; }));
}

/// us is evicted, eu has all of its journal, and before ap reads that to its end the log loses the last
/// commit. Gives the whole journal.
std::vector<PeerTick> lose_the_last_commit_of_us(MembersWorld& world) {
  three_regions(world);
  TestNode& eu = world["eu"];
  TestNode& ap = world["ap"];
  Journal us = world["us"].identity.self;
  world.run(Milliseconds{3'000});
  world["us"].up = false;
  ap.deaf = true;
  auto full = world.journals[us];
  world.run(Milliseconds{100});
  world.evict("us");
  EXPECT_TRUE(
      world.comes([&] { return eu.table().word(us.incarnation, eu.identity.self.incarnation).has_value(); }));
  world.journals[us].erase(world.journals[us].end() - 1);
  ap.applied[us].seq = Seq{full.back().seq.value - 1};
  ap.deaf = false;
  return full;
}

TEST(Ending, AMemberBelowTheEndSaysANewWordAsFarAsTheLogGoes) {
  MembersWorld world;
  auto full = lose_the_last_commit_of_us(world);
  TestNode& eu = world["eu"];
  TestNode& ap = world["ap"];
  Journal us = world["us"].identity.self;
  ASSERT_TRUE(world.comes([&] { return eu.table().end(us.incarnation) == full.back().seq; }));
  world.journals[us] = full;  // it was on its way
  ASSERT_TRUE(world.comes([&] { return ap.applied[us].seq == full.back().seq; }));
  EXPECT_EQ(ap.table().word(us.incarnation, ap.identity.self.incarnation), full.back().seq);
  EXPECT_EQ(ap.started_over, 0);
}

TEST(Ending, AWordThatTheLogNoLongerBearsOutIsLowered) {
  MembersWorld world;
  three_regions(world);
  TestNode& eu = world["eu"];
  TestNode& ap = world["ap"];
  Journal us = world["us"].identity.self;
  world.run(Milliseconds{3'000});
  world["us"].up = false;
  world.run(Milliseconds{500});
  world.evict("us");
  ASSERT_TRUE(world.comes([&] { return eu.table().end(us.incarnation).has_value(); }));
  Seq end = *eu.table().end(us.incarnation);
  // A power cut took ap's last commits of that journal after its word, and the log has lost them, too.
  ap.applied[us].seq = Seq{end.value - 1};
  world.journals[us].erase(world.journals[us].end() - 1);
  world.start(ap);
  ASSERT_TRUE(world.comes([&] {
    return ap.table().word(us.incarnation, ap.identity.self.incarnation) == Seq{end.value - 1};
  })) << ap.detail();
  EXPECT_EQ(ap.table().end(us.incarnation), end) << "eu has it";
}

TEST(Ending, AMemberThatLacksWhatTheLogHasLostRejoinsByItself) {
  MembersWorld world;
  Seq end = lose_the_last_commit_of_us(world).back().seq;
  TestNode& ap = world["ap"];
  Journal us = world["us"].identity.self;
  ASSERT_TRUE(world.comes([&] { return ap.started_over == 1; })) << ap.detail();
  EXPECT_THAT(ap.start_over_reason, HasSubstr("rejoins"));
  ASSERT_TRUE(world.comes([&] { return ap.mode() == Mode::kActive; }));
  EXPECT_EQ(ap.applied[us].seq, end);
}

TEST(Ending, AGapThatItsWriterCannotFillMakesAMemberRejoin) {
  MembersWorld world;
  three_regions(world);
  TestNode& ap = world["ap"];
  Journal eu = world["eu"].identity.self;
  Seq missing = ap.applied[eu].seq.next();
  ap.gaps[eu] = missing;
  ap.lowest_kept[eu] = missing;
  world.run(Milliseconds{30'000});
  EXPECT_EQ(ap.mode(), Mode::kActive) << "eu still has it";
  EXPECT_EQ(ap.started_over, 0);
  ap.lowest_kept[eu] = missing.next();
  ASSERT_TRUE(world.comes([&] { return ap.started_over == 1; })) << ap.detail();
}

// ---- anything at any time

class MembershipChaos : public testing::TestWithParam<std::uint64_t> {};

TEST_P(MembershipChaos, AllBecomeActiveInOneHistory) {
  CountingRandom random(GetParam());
  MembersWorld world(GetParam());
  MemoryFaults faults;
  faults.record_lost = faults.written_but_failed = faults.written_twice = 0.1;
  faults.send_stalls = faults.reports_stall = faults.reader_stalls = faults.answer_stalls = 0.2;
  faults.appender_hangs = faults.appender_dies = 0.03;
  faults.arrives_late = 0.5;
  faults.reader_rewinds = faults.done_but_failed = 0.05;
  world.broker->set_faults(faults, &random);
  world.add("eu", true);
  world.add("us", random.next() % 2 == 0);
  world.add("ap");
  for (int i = 0; i < 300; ++i) {
    world.run(Milliseconds{200});
    TestNode& node = *std::next(world.nodes.begin(), static_cast<std::ptrdiff_t>(random.next() % 3))->second;
    switch (random.next() % 12) {
      case 0:
        world.start(node);
        break;
      case 1:
        node.log->set_connected(random.next() % 2 == 0);
        break;
      case 2:
        node.disk_full = random.next() % 2 == 0;
        break;
      case 3:
        node.config.traits.region = std::to_string(i);
        world.start(node);
        break;
      default:
        break;
    }
  }
  world.broker->set_faults({}, nullptr);
  for (auto& [name, node] : world.nodes) {
    node->log->set_connected(true);
    node->disk_full = false;
  }
  EXPECT_TRUE(world.comes([&] { return world.all_active(); }));
  world.run(Milliseconds{20'000});
  expect_one_history(world);
  for (auto& [name, node] : world.nodes)
    EXPECT_EQ(node->table().find(node->identity.self.incarnation)->traits, node->config.traits) << name;
}
INSTANTIATE_TEST_SUITE_P(Seeds, MembershipChaos, testing::Range<std::uint64_t>(1, 41));

}  // namespace
}  // namespace refrain::replication
