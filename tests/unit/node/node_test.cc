// SPDX-License-Identifier: Apache-2.0
// What whole nodes do, where no part alone can show it.
#include "node/assembly.h"

#include <gtest/gtest.h>

#include <set>

#include "base/text.h"
#include "small_cluster.h"
#include "store/outbox.h"
#include "store/refound.h"

namespace refrain::node {
namespace {

using namespace std::chrono_literals;

CompleteCall completion(const std::string& id, const std::string& token) {
  CompleteCall call;
  call.ns = "payments";
  call.id = id;
  call.token = token;
  call.response = StoredResponse{200, "text/plain", "done"};
  return call;
}

// ---- requests at a desk

TEST(Desk, ARenewalThatLengthensNothingIsAnsweredAndChangesNothing) {
  SmallCluster world({});
  world.start();
  BeginCall begin = SmallCluster::begin_call("a");
  begin.lease = 60'000ms;
  auto go = world.begin("eu", begin);
  world.until([&] { return go->has_value(); });
  ASSERT_EQ(SmallCluster::said(*go), "go");
  auto renewed = world.ask<RenewAnswer>([&](Done<RenewAnswer> done) {
    world["eu"].node().renew({"payments", "a", (**go)->go->token, 5'000ms, {}}, done);
  });
  ASSERT_TRUE(renewed) << renewed.error().detail;
  EXPECT_EQ(renewed->commit.seq, Seq{}) << "nothing had to be committed";
  EXPECT_GT(renewed->lease, 50'000ms);
}

TEST(Desk, AnotherPayloadIsRefusedAtOnceAlsoBehindOneThatWaits) {
  SmallCluster world({});
  world.start();
  ASSERT_EQ(world.begun("eu", SmallCluster::begin_call("a")), "go");
  BeginCall waits = SmallCluster::begin_call("a");
  waits.wait = 20'000ms;
  auto waiter = world.begin("eu", waits);
  BeginCall other = SmallCluster::begin_call("a", "another");
  other.wait = 20'000ms;
  auto refused = world.begin("eu", other);
  world.run(200ms);
  EXPECT_EQ(SmallCluster::said(*waiter), "nothing yet");
  EXPECT_EQ(SmallCluster::said(*refused), "fingerprint_mismatch");
}

TEST(Desk, ALapseLetsExactlyOneOfThoseThatWaitGo) {
  SmallCluster world({});
  world.start();
  BeginCall short_lease = SmallCluster::begin_call("a");
  short_lease.lease = 1'000ms;
  ASSERT_EQ(world.begun("eu", short_lease), "go");
  std::vector<std::shared_ptr<std::optional<Result<BeginAnswer>>>> waiters;
  for (int i = 0; i < 5; ++i) {
    BeginCall waits = SmallCluster::begin_call("a");
    waits.wait = 10'000ms;
    waiters.push_back(world.begin("eu", waits));
  }
  world.run(3'000ms);
  auto went = [&] {
    return std::count_if(waiters.begin(), waiters.end(),
                         [](const auto& waiter) { return SmallCluster::said(*waiter) == "go"; });
  };
  EXPECT_EQ(went(), 1);
  world.run(8'000ms);
  EXPECT_EQ(went(), 1) << "the others gave up while it ran";
}

TEST(Desk, ARepeatedCompleteNamesItsCommitAndWaitsAsItsAckAsks) {
  SmallCluster world({"eu", "us"});
  world.start();
  BeginCall begin = SmallCluster::begin_call("a");
  begin.wait = 15'000ms;
  auto go = world.begin("eu", begin);
  world.until([&] { return go->has_value(); });
  ASSERT_EQ(SmallCluster::said(*go), "go");
  auto complete = [&](const std::string& node, Ack ack) {
    return world.ask<CompleteAnswer>([&](Done<CompleteAnswer> done) {
      CompleteCall call = completion("a", (**go)->go->token);
      call.ack = ack;
      world[node].node().complete(std::move(call), done);
    });
  };
  auto first = complete("eu", {});
  ASSERT_TRUE(first) << first.error().detail;
  auto again = complete("eu", {Ack::Kind::kAll, "", 20'000ms});
  ASSERT_TRUE(again) << again.error().detail;
  EXPECT_TRUE(again->replayed);
  EXPECT_EQ(again->commit, first->commit);
  EXPECT_TRUE(again->state == "synced" || again->state == "stable") << again->state;
  auto elsewhere = complete("us", {Ack::Kind::kNode, "eu", 20'000ms});
  ASSERT_TRUE(elsewhere) << elsewhere.error().detail;
  EXPECT_EQ(elsewhere->commit, first->commit);
}

TEST(Desk, ACommitThatTakesMoreThanTheBurstPassesOnceTheBucketIsFullAndItsRefusalsTakeNothing) {
  SmallCluster world({}, [](Config& config) { config.limits.rate["shop"] = {1, 2}; });
  world.start();
  auto commit = [&] {
    return world.ask<CommitAnswer>([&](Done<CommitAnswer> done) {
      CommitCall call;
      for (std::string key : {"a", "b", "c"}) call.writes.push_back({"shop", key, "v", std::nullopt, {}});
      world["eu"].node().commit(std::move(call), done);
    });
  };
  EXPECT_TRUE(commit());
  for (int i = 0; i < 5; ++i) EXPECT_EQ(commit().error().slug, "rate_limited");
  world.run(2'100ms);
  EXPECT_TRUE(commit());
}

TEST(Desk, AnOperatorsCompleteAndTheWorkersOwnAreOnlyPossiblyTwoRuns) {
  SmallCluster world({});
  world.start();
  BeginCall begin = SmallCluster::begin_call("a");
  begin.lease = 1'000ms;
  begin.on_expiry = OnExpiry::kHold;
  auto go = world.begin("eu", begin);
  world.run(2'000ms);
  ASSERT_EQ(SmallCluster::said(*go), "go");
  auto resolved = world.ask<CompleteAnswer>([&](Done<CompleteAnswer> done) {
    world["eu"].node().resolve(
        {"payments", "a", true, StoredResponse{200, "text/plain", "as seen at the bank"}, false}, done);
  });
  ASSERT_TRUE(resolved) << resolved.error().detail;
  auto late = world.ask<CompleteAnswer>([&](Done<CompleteAnswer> done) {
    world["eu"].node().complete(completion("a", (**go)->go->token), done);
  });
  EXPECT_EQ(late.error().slug, "already_completed");
  EXPECT_TRUE(world["eu"].node().duplicates("payments", "", false, 10)->items.empty()) << "nothing certain";
  EXPECT_EQ(world["eu"].node().duplicates("payments", "", true, 10)->items.size(), 1u);
}

// ---- who may answer

MemberOrder order_of(MemberOrder::Kind kind, const NodeName& node) {
  MemberOrder order;
  order.kind = kind;
  order.node = node;
  order.although_heard = true;
  return order;
}

TEST(Desk, AClaimOfANodeThatWasEvictedIsOverTenSecondsAfterItsLease) {
  SmallCluster cluster({"eu", "us"});
  cluster.start();
  BeginCall call = SmallCluster::begin_call("r1");
  call.lease = Milliseconds{20'000};
  ASSERT_EQ(cluster.begun("us", call), "go");
  ASSERT_TRUE(cluster.until([&] { return cluster.begun("eu", call) == "request_in_progress"; }));
  cluster["us"].crash();
  auto done = cluster.ask<MemberChange>([&](Done<MemberChange> answer) {
    cluster["eu"].node().change_member(order_of(MemberOrder::Kind::kEvict, "us"), std::move(answer));
  });
  ASSERT_TRUE(done && done->done);
  cluster.run(Milliseconds{20'000});
  EXPECT_EQ(cluster.begun("eu", call), "request_in_progress");
  cluster.run(Milliseconds{10'000});
  EXPECT_EQ(cluster.begun("eu", call), "go");
}

TEST(Desk, AfterAStartAGoWaitsForTheJournalOfWhoWasEvictedMeanwhileAndThenNamesIt) {
  SmallCluster cluster({"eu", "us", "ap"});
  cluster.start();
  cluster["us"].crash();
  cluster["ap"].crash();
  cluster.broker().inject("refrain.small.journal.ap", "what lies behind this cannot be read");
  auto evict = cluster.ask<MemberChange>([&](Done<MemberChange> answer) {
    cluster["eu"].node().change_member(order_of(MemberOrder::Kind::kEvict, "ap"), std::move(answer));
  });
  ASSERT_TRUE(evict && evict->done);
  ASSERT_TRUE(cluster["us"].start());
  cluster.run(Milliseconds{8'000});
  EXPECT_EQ(cluster.begun("us", SmallCluster::begin_call("r1")), "catching_up");
  cluster.run(Milliseconds{4'000});
  auto answer = cluster.begin("us", SmallCluster::begin_call("r1"));
  ASSERT_TRUE(cluster.until([&] { return answer->has_value(); }));
  ASSERT_TRUE(**answer && (**answer)->go);
  EXPECT_EQ((**answer)->go->behind, std::vector<NodeName>{"ap"});
}

TEST(Rejoining, WhoFoundedFoundsNoOtherClusterWhereKafkaIsEmptyMeanwhile) {
  SmallCluster cluster({"eu", "us"});
  cluster.start();
  ASSERT_TRUE(cluster.put("eu", "k", "v", {Ack::Kind::kAll, "", Milliseconds{5'000}}));
  auto change = [&](const NodeName& at, const MemberOrder& order) {
    return cluster.ask<MemberChange>(
        [&](Done<MemberChange> done) { cluster[at].node().change_member(order, std::move(done)); });
  };
  ASSERT_TRUE(change("us", order_of(MemberOrder::Kind::kEvict, "eu")));
  cluster.run(Milliseconds{3'000});
  cluster.broker().replace_cluster();  // a while before us writes the members log again
  ASSERT_TRUE(change("eu", order_of(MemberOrder::Kind::kRejoin, "eu")));
  EXPECT_TRUE(cluster.until(
      [&] { return cluster.said("us", "Membership: members forked") > 0 || cluster.all_ready(); }));
  EXPECT_EQ(cluster.said("us", "Membership: members forked"), 0);
  EXPECT_EQ(cluster.get("eu", "k"), "v");
}

TEST(Rejoining, AFounderThatWasMadeOfABackupCanRejoinLikeAnyMember) {
  SmallCluster cluster({"eu", "us"});
  cluster.start();
  ASSERT_TRUE(cluster.put("eu", "k", "v"));
  auto disk = cluster["eu"].copy_store();
  ASSERT_TRUE(disk);
  {
    auto engine = store::SimEngine::open(*disk);
    ASSERT_TRUE(engine && store::refound(**engine, ClusterId{9}, Incarnation{11}));
  }
  cluster["us"].begin_again(store::SimDisk(), cluster["us"].config(), false);
  cluster["eu"].begin_again(std::move(*disk), cluster["eu"].config(), true);
  cluster.broker().replace_cluster();
  cluster.start();
  EXPECT_EQ(cluster.get("us", "k"), "v");
  for (auto [at, kind] :
       {std::pair("us", MemberOrder::Kind::kEvict), std::pair("eu", MemberOrder::Kind::kRejoin)}) {
    auto told = cluster.ask<MemberChange>([&, at = at, kind = kind](Done<MemberChange> done) {
      cluster[at].node().change_member(order_of(kind, "eu"), std::move(done));
    });
    ASSERT_TRUE(told) << told.error().detail;
    cluster.run(Milliseconds{3'000});
  }
  EXPECT_TRUE(
      cluster.until([&] { return cluster.said("eu", "The snapshot is in") > 0 && cluster.all_ready(); }));
  EXPECT_EQ(cluster.get("eu", "k"), "v");
}

TEST(Reads, ANodeThatIsNoMemberYetAnswersNone) {
  SmallCluster world({"eu", "us"});
  ASSERT_TRUE(world["us"].start());  // nobody has founded
  world.run(3'000ms);
  EXPECT_EQ(world.get("us", "k"), "error no_founder");
  EXPECT_EQ(world["us"].node().scan("shop", "", "", 10, true).error().slug, "no_founder");
  EXPECT_EQ(world["us"].node().request("payments", "a", std::nullopt).error().slug, "no_founder");
  world.start();
  EXPECT_EQ(world.get("us", "k"), "none");
}

TEST(Reads, AMemberAnswersThemFromItsStartOn) {
  SmallCluster world({"eu", "us"});
  world.start();
  ASSERT_TRUE(world.put("us", "k", "v"));
  world["us"].crash();
  ASSERT_TRUE(world["us"].start());
  EXPECT_EQ(world.get("us", "k"), "v") << "before its first step";
  EXPECT_TRUE(world.ready("us"));
}

TEST(Reads, TheSessionOfAListIsNoSmallerThanWhatItShows) {
  SmallCluster world({"eu", "us"});
  world.start();
  ASSERT_TRUE(world.put("eu", "k", "v"));
  ASSERT_TRUE(world.until([&] { return world.get("us", "k") == "v"; }));
  auto page = world["us"].node().scan("shop", "", "", 10, false);
  ASSERT_EQ(page->items.size(), 1u);
  EXPECT_GE(page->session.at("eu"), page->items[0].version.hlc);
}

// ---- bad days

TEST(Waiting, WhoWaitsIsRefusedLikeWhoAsksNow) {
  SmallCluster world({});
  world.start();
  ASSERT_EQ(world.begun("eu", SmallCluster::begin_call("a")), "go");
  BeginCall waits = SmallCluster::begin_call("a");
  waits.wait = 20'000ms;
  auto waiter = world.begin("eu", waits);
  world.run(100ms);
  world["eu"].set_disk_full(true);
  world.run(3'000ms);
  EXPECT_EQ(SmallCluster::said(*waiter), "disk_full");
}

TEST(Waiting, AtADrainABeginIsRefusedAndADurableWriteIsToldHowFarItCame) {
  SmallCluster world({"eu", "us"});
  world.start();
  world["eu"].log().set_connected(false);
  auto write = world.call<CommitAnswer>([&](Done<CommitAnswer> done) {
    CommitCall call;
    call.writes.push_back({"shop", "k", "v", std::nullopt, {}});
    call.ack = {Ack::Kind::kAll, "", 60'000ms};
    world["eu"].node().commit(std::move(call), done);
  });
  BeginCall begin = SmallCluster::begin_call("a");
  begin.on_expiry = OnExpiry::kHold;
  world.run(11'000ms);  // also past the patience for what the log held
  ASSERT_EQ(world.begun("eu", begin), "go");
  begin.wait = 60'000ms;
  auto waiter = world.begin("eu", begin);
  world.run(100ms);
  ASSERT_FALSE(write->has_value());
  ASSERT_FALSE(waiter->has_value());
  world["eu"].node().drain();
  world.run(200ms);
  ASSERT_TRUE(write->has_value());
  ASSERT_TRUE(**write) << (*write)->error().detail;
  EXPECT_TRUE((**write)->timed_out);
  EXPECT_EQ((**write)->state, "pending");
  EXPECT_EQ(SmallCluster::said(*waiter), "draining");
}

TEST(KafkaAway, ANodeSleepsWhileNothingHappens) {
  SmallCluster world({"eu"});
  world.start();
  world["eu"].log().set_connected(false);
  world.run(5'000ms);
  auto before = world.steps();
  world.run(10'000ms);
  EXPECT_LT(world.steps() - before, 1'000u) << "steps in ten idle seconds";
}

TEST(KafkaAway, AMirrorUnderAnotherClusterIdIsReadAgainAndRollsNobodyBack) {
  SmallCluster world({"eu", "us"});
  world.start();
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(world.put("eu", "k", std::to_string(i)));
  ASSERT_TRUE(world.put("eu", "k", "last", {Ack::Kind::kAll, "", 20'000ms}));
  world.broker().move_to_mirror();
  world.run(5'000ms);
  EXPECT_TRUE(world.all_ready());
  auto written = world.put("eu", "k", "after", {Ack::Kind::kAll, "", 20'000ms});
  ASSERT_TRUE(written) << written.error().detail;
  EXPECT_FALSE(written->timed_out);
  EXPECT_EQ(world.get("us", "k"), "after");
}

TEST(Disk, WhatAFailedSyncLeftIsNotPublishedBeforeItIsSynced) {
  SmallCluster world({"eu"});
  world.start();
  const std::string topic = "refrain.small.journal.eu";
  ASSERT_TRUE(world.put("eu", "k", "v", {Ack::Kind::kLog, "", 20'000ms}));
  world["eu"].disk().fail_next(store::SimFault::kSyncFails);
  std::optional<Error> error;
  world["eu"].node().commit(
      {.writes = {{"ns", "k", "uncertain", std::nullopt, {}}},
       .ack = {},
       .session = {},
       .idempotency_key = {}},
      [&](Result<CommitAnswer> answer) {
        error = answer.error();
        world["eu"].clock().set_offset(-20'000ms);  // no version can be minted, nothing synced
      });
  ASSERT_TRUE(world.until([&] { return error.has_value(); }));
  EXPECT_EQ(error->slug, "write_uncertain");
  std::size_t published = world.broker().records(topic).size();
  world.run(5'000ms);
  EXPECT_GT(world["eu"].disk().unsynced(), 0u);
  EXPECT_EQ(world.broker().records(topic).size(), published);
  world["eu"].clock().set_offset(0ms);
  world.run(5'000ms);
  EXPECT_GT(world.broker().records(topic).size(), published);
}

TEST(Disk, FullAtAStartItServesOnceThereIsRoom) {
  SmallCluster world({});
  world["eu"].set_disk_full(true);
  ASSERT_TRUE(world["eu"].start()) << "the process stays up";
  world.run(2'000ms);
  EXPECT_FALSE(world.ready("eu"));
  world["eu"].set_disk_full(false);
  world.run(3'000ms);
  EXPECT_TRUE(world.ready("eu"));
  EXPECT_TRUE(world.put("eu", "k", "v"));
}

TEST(Disk, AMemberThatIsStartedWhileItIsFullAnswersReads) {
  SmallCluster world({"eu", "us"});
  world.start();
  ASSERT_TRUE(world.put("us", "k", "v"));
  world["us"].crash();
  world["us"].set_disk_full(true);
  ASSERT_TRUE(world["us"].start());
  world.run(2'000ms);
  EXPECT_EQ(world.get("us", "k"), "v");
  EXPECT_EQ(world.put("us", "k", "w").error().slug, "disk_full");
  EXPECT_FALSE(world.ready("us"));
  world["us"].set_disk_full(false);
  world.run(3'000ms);
  EXPECT_TRUE(world.put("us", "k", "w"));
}

TEST(Disk, WhileItIsFullReadsStayAndNothingIsReadFromTheLog) {
  SmallCluster world({"eu", "us"});
  world.start();
  ASSERT_TRUE(world.put("eu", "k", "1", {Ack::Kind::kAll, "", 20'000ms}));
  world["us"].set_disk_full(true);
  world.run(2'000ms);
  ASSERT_TRUE(world.put("eu", "k", "2"));
  auto before = world.steps();
  world.run(5'000ms);
  EXPECT_LT(world.steps() - before, 2'500u) << "no hot loop";
  EXPECT_EQ(world.get("us", "k"), "1");
  EXPECT_EQ(world.put("us", "k", "3").error().slug, "disk_full");
  world["us"].set_disk_full(false);
  EXPECT_TRUE(world.until([&] { return world.get("us", "k") == "2"; }));
}

/// What eu's disk was before `lost` more commits, which us has.
store::SimDisk older_disk_of_eu(SmallCluster& world, int lost) {
  world.start();
  EXPECT_TRUE(world.put("eu", "k", "old", {Ack::Kind::kAll, "", 20'000ms}));
  world["eu"].power_cut(0);
  auto engine = store::SimEngine::open(world["eu"].disk());
  EXPECT_TRUE(engine && (*engine)->checkpoint("copy"));
  auto copy = store::SimEngine::open_checkpoint(world["eu"].disk(), "copy");
  engine->reset();
  EXPECT_TRUE(world["eu"].start());
  EXPECT_TRUE(world.until([&] { return world.ready("eu"); }));
  for (int i = 0; i < lost; ++i) {
    EXPECT_TRUE(world.put("eu", "k", "new", {Ack::Kind::kAll, "", 20'000ms}));
  }
  world["eu"].power_cut(0);
  return std::move(*copy);
}

TEST(OlderDirectory, ReadsStayWritesAreRefusedAndWhatWasWrittenSinceIsKeptAside) {
  SmallCluster world({"eu", "us"});
  store::SimDisk older = older_disk_of_eu(world, 1);
  auto newer = world["us"].node().get("shop", "k");
  ASSERT_TRUE(newer && *newer);
  world["eu"].disk() = std::move(older);
  ASSERT_TRUE(world["eu"].start());
  auto early = world.put("eu", "k", "written before it knew");
  BeginCall begin = SmallCluster::begin_call("a");
  begin.wait = 30'000ms;
  auto waiter = world.begin("eu", begin);
  ASSERT_TRUE(world.until([&] { return world.put("eu", "k", "x").has_value() == false; }));
  EXPECT_EQ(world.put("eu", "k", "x").error().slug, "rolled_back");
  world.run(15'000ms);
  EXPECT_EQ(SmallCluster::said(*waiter), "rolled_back") << "no go that would count nowhere";
  EXPECT_NE(world.get("eu", "k").substr(0, 5), "error") << "reads stay";
  EXPECT_EQ(world.get("us", "k"), "new");
  if (early) {
    auto kept = world["eu"].node().void_commits({}, {}, 100);
    ASSERT_TRUE(kept);
    ASSERT_EQ(kept->items.size(), 1u) << "without ticks";
    EXPECT_EQ(kept->items[0].commit.id(), early->commit);
    EXPECT_LT(kept->items[0].seen_own, (*newer)->version.hlc)
        << "the version that was lost is not one it had seen";
    EXPECT_GT(kept->items[0].seen_own, Hlc{});
    auto event = world.ask<EventReport>(
        [&](Done<EventReport> done) { world["eu"].node().event(early->commit, done); });
    ASSERT_TRUE(event);
    EXPECT_EQ(event->state, "void");
  }
  world["eu"].crash();
  auto after = store::SimEngine::open(world["eu"].disk());
  ASSERT_TRUE(after);
  EXPECT_GE(*store::Outbox::count_aside(**after), early ? 1u : 0u);
}

TEST(OlderDirectory, WhatSeveralStartsWroteBeforeTheJournalCouldBeReadIsAllKeptAside) {
  SmallCluster world({"eu", "us"});
  world["eu"].disk() = older_disk_of_eu(world, 2);
  simulation::Dice dice(1);
  world.broker().set_faults({.reader_stalls = 1, .answer_stalls = 1}, &dice);  // Kafka gives nothing
  std::set<CommitId> wrote;
  for (int start = 0; start < 3; ++start) {
    ASSERT_TRUE(world["eu"].start());
    for (int i = 0; i < 2; ++i) {
      auto put = world.put("eu", "k", "of no journal");
      ASSERT_TRUE(put) << put.error().detail;
      wrote.insert(put->commit);
    }
    world.run(3'000ms);
    world["eu"].power_cut(0);
  }
  world.broker().set_faults({}, nullptr);
  ASSERT_TRUE(world["eu"].start());
  ASSERT_TRUE(world.until([&] { return !world.put("eu", "k", "x").has_value(); }));
  EXPECT_EQ(world.put("eu", "k", "x").error().slug, "rolled_back");
  world.run(5'000ms);
  EXPECT_EQ(world.get("us", "k"), "new");
  std::set<CommitId> kept;
  auto aside = world["eu"].node().void_commits({}, {}, 100);
  ASSERT_TRUE(aside);
  for (const auto& commit : aside->items) kept.insert(commit.commit.id());
  for (const CommitId& commit : wrote) EXPECT_TRUE(kept.contains(commit)) << format_commit_id(commit);
}

TEST(OlderDirectory, WhatIsVoidIsKeptAsideThroughARejoinWhicheverWriteFailsMeanwhile) {
  for (int moment = 0; moment < 40; ++moment) {
    SmallCluster world({"eu", "us"});
    world["eu"].disk() = older_disk_of_eu(world, 2);
    simulation::Dice dice(1);
    world.broker().set_faults({.reader_stalls = 1, .answer_stalls = 1}, &dice);
    ASSERT_TRUE(world["eu"].start());
    auto put = world.put("eu", "k", "of no journal");
    ASSERT_TRUE(put) << put.error().detail;
    world.broker().set_faults({}, nullptr);
    world.run(Milliseconds{moment});
    world["eu"].disk().fail_next(store::SimFault::kDiskFull);
    auto rolled_back = [&] {
      auto checks = world["eu"].node().checks();
      return std::ranges::any_of(checks, [](const Check& check) { return check.code == "rolled_back"; });
    };
    ASSERT_TRUE(world.until(rolled_back)) << moment;
    MemberOrder order;
    order.kind = MemberOrder::Kind::kRejoin;
    order.node = "eu";
    auto ordered = world.ask<MemberChange>(
        [&](Done<MemberChange> done) { world["eu"].node().change_member(order, std::move(done)); });
    ASSERT_TRUE(ordered) << ordered.error().detail;
    ASSERT_TRUE(world.until([&] { return world.ready("eu"); })) << moment;
    auto aside = world["eu"].node().void_commits({}, {}, 100);
    ASSERT_TRUE(aside);
    ASSERT_EQ(aside->items.size(), 1u) << moment;
    EXPECT_EQ(aside->items[0].commit.id(), put->commit);
  }
}

TEST(OlderDirectory, RejoinsWithoutARestartAndWritesAgain) {
  SmallCluster world({"eu", "us"});
  world["eu"].disk() = older_disk_of_eu(world, 2);
  ASSERT_TRUE(world["eu"].start());
  ASSERT_TRUE(world.until([&] { return !world.put("eu", "k", "x").has_value(); }));
  ASSERT_EQ(world.put("eu", "k", "x").error().slug, "rolled_back");
  MemberOrder order;
  order.kind = MemberOrder::Kind::kRejoin;
  order.node = "eu";
  auto ordered = world.ask<MemberChange>(
      [&](Done<MemberChange> done) { world["eu"].node().change_member(order, std::move(done)); });
  ASSERT_TRUE(world.until([&] { return world.ready("eu"); }));
  auto put = world.put("eu", "k", "again", {Ack::Kind::kAll, "", 20'000ms});
  ASSERT_TRUE(put) << put.error().detail;
  EXPECT_EQ(world.get("us", "k"), "again");
}

TEST(OlderDirectory, IsFoundByAPeersTickWhenItsJournalIsGoneAndItHasWrittenMoreThanItLost) {
  SmallCluster world({"eu", "us"});
  world["eu"].disk() = older_disk_of_eu(world, 2);
  world.broker().delete_topic("refrain.small.journal.eu");
  simulation::Dice dice(1);
  world.broker().set_faults({.reader_stalls = 1}, &dice);
  ASSERT_TRUE(world["eu"].start());
  for (int i = 0; i < 20; ++i) {
    auto put = world.put("eu", "k", "of no journal");
    ASSERT_TRUE(put) << put.error().detail;
  }
  world.broker().set_faults({}, nullptr);
  ASSERT_TRUE(world.until([&] { return !world.put("eu", "k", "x").has_value(); }));
  EXPECT_EQ(world.put("eu", "k", "x").error().slug, "rolled_back");
  world.run(5'000ms);
  auto aside = world["eu"].node().void_commits({}, {}, 100);
  ASSERT_TRUE(aside);
  EXPECT_EQ(aside->items.size(), 20u);
  auto status = world.ask<StatusReport>([&](Done<StatusReport> done) { world["eu"].node().status(done); });
  EXPECT_EQ(status->void_commits, 20u) << "without ticks";
  EXPECT_EQ(world.get("us", "k"), "new") << "nothing of it was published";
}

// ---- forgetting

Result<CommitAnswer> erase(SmallCluster& world, const std::string& name, const std::string& key,
                           Ack ack = {}) {
  return world.ask<CommitAnswer>([&](Done<CommitAnswer> done) {
    CommitCall call;
    call.writes.push_back({"shop", key, std::nullopt, std::nullopt, {}});
    call.ack = std::move(ack);
    world[name].node().commit(std::move(call), std::move(done));
  });
}

StatusReport status_of(SmallCluster& world, const std::string& name) {
  return *world.ask<StatusReport>([&](Done<StatusReport> done) { world[name].node().status(done); });
}

const Ack kAll{Ack::Kind::kAll, "", 20'000ms};

TEST(Forgetting, ADeletedKeyIsForgottenEverywhereOnceAllHaveIt) {
  SmallCluster world({"eu", "us"});
  world.start();
  ASSERT_TRUE(world.put("eu", "a", "1"));
  ASSERT_TRUE(erase(world, "us", "a", kAll));
  world.run(6'000ms);
  for (const char* name : {"eu", "us"}) {
    EXPECT_EQ(status_of(world, name).collected_tombstones, 1u) << name;
    EXPECT_EQ(world.get(name, "a"), "none");
  }
}

TEST(Forgetting, AMemberThatIsAwayHoldsTheFloorForAsLongAsItIs) {
  SmallCluster world({"eu", "us", "ap"});
  world.start();
  ASSERT_TRUE(world.put("eu", "a", "1", kAll));
  world["ap"].crash();
  auto deleted = erase(world, "eu", "a");
  ASSERT_TRUE(deleted);
  world.run(3'600'000ms);
  EXPECT_EQ(status_of(world, "eu").collected_tombstones, 0u);
  EXPECT_LT(*status_of(world, "eu").floor_time, deleted->version.hlc.wall());
  EXPECT_NE(status_of(world, "eu").outbox_held_by.find("ap"), std::string::npos);
  ASSERT_TRUE(world["ap"].start());
  EXPECT_TRUE(world.until([&] { return status_of(world, "ap").collected_tombstones == 1; }));
  EXPECT_TRUE(world.until([&] { return status_of(world, "eu").collected_tombstones == 1; }));
  EXPECT_EQ(world.get("ap", "a"), "none");
}

TEST(Forgetting, ANewMembersFirstCommitIsAboveEveryFloorThoughItsClockIsSlow) {
  SmallCluster world({"ap", "eu", "us"});
  for (const char* name : {"ap", "eu"}) ASSERT_TRUE(world[name].start());
  ASSERT_TRUE(world.until([&] { return world.ready("ap") && world.ready("eu"); }));
  ASSERT_TRUE(erase(world, "eu", "a", kAll));
  ASSERT_TRUE(world.until([&] { return status_of(world, "ap").collected_tombstones == 1; }));
  world["us"].clock().set_offset(-450ms);
  ASSERT_TRUE(world["us"].start());
  std::optional<WallMs> floor;
  ASSERT_TRUE(world.until([&] {
    if (world.ready("us")) return true;
    floor = status_of(world, "ap").floor_time;
    return false;
  }));
  auto written = world.put("us", "a", "anew", kAll);
  ASSERT_TRUE(written) << written.error().detail;
  EXPECT_GT(written->version.hlc, Hlc::of(*floor));
  EXPECT_EQ(world.get("ap", "a"), "anew");
  EXPECT_EQ(status_of(world, "ap").conflicts_open, 0u);
  EXPECT_TRUE(status_of(world, "ap").sync.parked.empty());
}

TEST(Forgetting, ASnapshotOfASourceThatHasNotCollectedYetBringsRowsThatGoLaterAndNothingBack) {
  std::uint64_t brought = 0;
  for (const std::string slow : {"ap", "eu"}) {
    SmallCluster world({"ap", "eu", "us"}, [&](Config& config) {
      if (config.node.name == slow) config.collector.between_passes = 3'600'000ms;  // one walk, at the start
    });
    for (const char* name : {"ap", "eu"}) ASSERT_TRUE(world[name].start());
    ASSERT_TRUE(world.until([&] { return world.ready("ap") && world.ready("eu"); }));
    ASSERT_TRUE(world.put("eu", "a", "old"));
    ASSERT_TRUE(erase(world, "ap", "a", kAll));
    const std::string quick = slow == "ap" ? "eu" : "ap";
    ASSERT_TRUE(world.until([&] { return status_of(world, quick).collected_tombstones == 1; }));
    world.run(3'000ms);
    ASSERT_EQ(status_of(world, slow).collected_tombstones, 0u);
    ASSERT_TRUE(world["us"].start());
    ASSERT_TRUE(world.until([&] { return world.ready("us"); }));
    EXPECT_EQ(world.get("us", "a"), "none");
    world.run(5'000ms);
    EXPECT_EQ(world.get("us", "a"), "none");
    brought += status_of(world, "us").collected_tombstones;
    ASSERT_TRUE(world.put("us", "a", "anew", kAll));
    for (const char* name : {"ap", "eu", "us"}) {
      EXPECT_EQ(world.get(name, "a"), "anew") << name;
      EXPECT_EQ(status_of(world, name).conflicts_open, 0u) << name;
    }
  }
  EXPECT_EQ(brought, 1u) << "one of the two sources had not collected";
}

TEST(Forgetting, AfterARestartTheFloorGoesOnFromWhereItWas) {
  SmallCluster world({"eu", "us"});
  world.start();
  ASSERT_TRUE(world.put("eu", "a", "1", kAll));
  world.run(5'000ms);
  WallMs before = *status_of(world, "eu").floor_time;
  world["us"].crash();
  world["eu"].crash();
  ASSERT_TRUE(world["eu"].start());
  world.run(100ms);
  EXPECT_GE(*status_of(world, "eu").floor_time, before);
}

TEST(Forgetting, ANodeThatRunsAloneForgetsWhatIsOnItsDisk) {
  SmallCluster world({});
  world.start();
  ASSERT_TRUE(erase(world, "eu", "a"));
  world.run(5'000ms);  // nothing else is written
  EXPECT_EQ(status_of(world, "eu").collected_tombstones, 1u);
}

TEST(Forgetting, AMembersDirectoryThatRunsAloneForgetsNothing) {
  SmallCluster cluster({"eu", "us"});
  cluster.start();
  ASSERT_TRUE(cluster.put("eu", "a", "1", kAll));
  cluster["eu"].crash();
  SmallCluster alone({});
  alone["eu"].disk() = std::move(cluster["eu"].disk());
  alone.run(60'000ms);
  ASSERT_TRUE(alone["eu"].start());
  ASSERT_TRUE(alone.until([&] { return alone.ready("eu"); }));
  ASSERT_TRUE(erase(alone, "eu", "a"));
  alone.run(5'000ms);
  ASSERT_TRUE(alone.put("eu", "b", "1"));
  alone.run(60'000ms);
  EXPECT_EQ(status_of(alone, "eu").collected_tombstones, 0u) << "the other member has not seen it";
}

TEST(Forgetting, ADiskThatFillsUpSaysWhoHoldsTheOutbox) {
  SmallCluster world({"eu", "us"});
  world.start();
  ASSERT_TRUE(world.put("eu", "a", "1", kAll));
  world["us"].crash();
  ASSERT_TRUE(world.put("eu", "a", "2"));
  auto failing = [&](const std::string& name) -> std::string {
    for (const Check& check : world["eu"].node().checks()) {
      if (check.name == name && !check.ok) return check.detail;
    }
    return "";
  };
  world["eu"].disk().set_disk_used(72);
  ASSERT_TRUE(world.until([&] { return !failing("disk space").empty(); }));
  EXPECT_NE(failing("disk space").find("held by us has not applied it"), std::string::npos)
      << failing("disk space");
  EXPECT_EQ(failing("disk nearly full"), "");
  world["eu"].disk().set_disk_used(86);
  ASSERT_TRUE(world.until([&] { return !failing("disk nearly full").empty(); }));
  EXPECT_NE(failing("disk nearly full").find("held by us"), std::string::npos);
  EXPECT_EQ(world.said("eu", "The disk is 7"), 1) << "once, not each time it is looked at";
  EXPECT_EQ(world.said("eu", "The disk is 8"), 1);
  EXPECT_TRUE(world.put("eu", "a", "3")) << "writes go on";
}

TEST(Alone, ADirectoryMadeWithBrokersThatIsNoMembersTakesNoWrites) {
  SmallCluster with_brokers({"eu"});
  ASSERT_TRUE(with_brokers["eu"].start());  // it would found; ends before
  with_brokers["eu"].crash();
  SmallCluster alone({});
  alone["eu"].disk() = std::move(with_brokers["eu"].disk());
  auto started = alone["eu"].start();
  ASSERT_FALSE(started);
  EXPECT_NE(started.error().detail.find("kafka.brokers"), std::string::npos) << started.error().detail;
}

TEST(Alone, AnActiveMembersDirectoryServesWithoutBrokersAndSendsLater) {
  SmallCluster cluster({"eu", "us"});
  cluster.start();
  ASSERT_TRUE(cluster.put("eu", "k", "1", {Ack::Kind::kAll, "", 20'000ms}));
  cluster["eu"].crash();
  SmallCluster alone({});
  alone["eu"].disk() = std::move(cluster["eu"].disk());
  alone.run(60'000ms);  // its clock is not behind the cluster's
  ASSERT_TRUE(alone["eu"].start());
  ASSERT_TRUE(alone.until([&] { return alone.ready("eu"); }));
  EXPECT_EQ(alone.get("eu", "k"), "1");
  ASSERT_TRUE(alone.put("eu", "k", "2"));
  alone["eu"].crash();
  cluster["eu"].disk() = std::move(alone["eu"].disk());
  cluster.run(120'000ms);
  ASSERT_TRUE(cluster["eu"].start());
  EXPECT_TRUE(cluster.until([&] { return cluster.get("us", "k") == "2"; }));
}

}  // namespace
}  // namespace refrain::node
