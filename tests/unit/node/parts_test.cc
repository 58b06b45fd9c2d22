// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "node/acks.h"
#include "node/catch_up.h"
#include "node/mailbox.h"
#include "node/session_waiters.h"
#include "node/writes.h"
#include "store/kv.h"
#include "store/sim_engine.h"

namespace refrain::node {
namespace {

SteadyNs at(std::int64_t ms) {
  return SteadyNs{} + Milliseconds{ms};
}

TEST(AckTable, AWriterIsAnsweredOnceItsCommitCameAsFarAsItAsked) {
  AckTable acks;
  std::vector<std::string> answered;
  auto call = [&](std::string name) {
    return [&answered, name](bool late) { answered.push_back(name + (late ? " late" : "")); };
  };
  acks.add(Seq{1}, {Ack::Kind::kLog, "", Milliseconds{100}}, at(100), call("log"));
  acks.add(Seq{1}, {Ack::Kind::kAll, "", Milliseconds{100}}, at(100), call("all"));
  acks.add(Seq{2}, {Ack::Kind::kNode, "us", Milliseconds{50}}, at(50), call("us"));
  acks.settle({Seq{1}, Seq{0}, {{"us", Seq{1}}}});
  EXPECT_EQ(answered, (std::vector<std::string>{"log"}));
  acks.expire(at(49));
  EXPECT_EQ(answered.size(), 1u);
  acks.expire(at(50));
  EXPECT_EQ(answered.back(), "us late");
  acks.settle({Seq{2}, Seq{1}, {}});
  EXPECT_EQ(answered.back(), "all");
  EXPECT_EQ(acks.size(), 0u);
}

TEST(AckTable, AnEvictedNodeIsNoLongerWaitedForUnderAll) {
  AckTable acks;
  int answered = 0;
  acks.add(Seq{5}, {Ack::Kind::kAll, "", Milliseconds{100}}, at(100),
           [&](bool late) { answered += late ? 100 : 1; });
  acks.settle({Seq{5}, Seq{4}, {{"us", Seq{5}}, {"ap", Seq{4}}}});
  EXPECT_EQ(answered, 0);
  acks.settle({Seq{5}, Seq{5}, {{"us", Seq{5}}}});
  EXPECT_EQ(answered, 1);
}

TEST(CatchUp, AJournalIsMissingUntilItsEndWasPassed) {
  CatchUp catch_up(at(0));
  catch_up.expect({"us", "ap"});
  EXPECT_EQ(catch_up.missing(), (std::vector<NodeName>{"ap", "us"}));
  catch_up.passed("us");
  EXPECT_EQ(catch_up.missing(), (std::vector<NodeName>{"ap"}));
  catch_up.expect({"us", "ap", "eu"});
  EXPECT_EQ(catch_up.missing(), (std::vector<NodeName>{"ap", "eu"})) << "a member met later counts too";
  EXPECT_FALSE(catch_up.patience_is_over(at(9'999)));
  EXPECT_TRUE(catch_up.patience_is_over(at(10'000)));
}

TEST(Mailbox, IsBoundedAndKeepsTheOrder) {
  int woken = 0;
  Mailbox mailbox(2, [&] { ++woken; });
  std::vector<int> ran;
  EXPECT_TRUE(mailbox.post([&] { ran.push_back(1); }));
  EXPECT_TRUE(mailbox.post([&] { ran.push_back(2); }));
  EXPECT_FALSE(mailbox.post([&] { ran.push_back(3); }));
  EXPECT_EQ(woken, 1);
  std::vector<Task> tasks;
  mailbox.drain(tasks);
  for (Task& task : tasks) task();
  EXPECT_EQ(ran, (std::vector<int>{1, 2}));
  EXPECT_TRUE(mailbox.empty());
}

TEST(SessionWaiters, AreCalledWhenCoveredOrWhenTheirTimeIsOver) {
  SessionWaiters waiters;
  std::vector<bool> calls;
  waiters.add({{"us", Hlc{5}}}, at(10), [&](bool covered) { calls.push_back(covered); });
  waiters.add({{"us", Hlc{9}}}, at(10), [&](bool covered) { calls.push_back(covered); });
  auto applied_up_to = [](Hlc hlc) { return [hlc](const Vector& wanted) { return wanted.at("us") <= hlc; }; };
  waiters.settle(applied_up_to(Hlc{4}), at(5));
  EXPECT_TRUE(calls.empty());
  waiters.settle(applied_up_to(Hlc{5}), at(5));
  EXPECT_EQ(calls, std::vector<bool>{true});
  waiters.settle(applied_up_to(Hlc{5}), at(10));
  EXPECT_EQ(calls, (std::vector<bool>{true, false}));
}

Write put(std::string key, std::string value = "v") {
  return {"ns", std::move(key), std::move(value), std::nullopt, {}};
}

TEST(Writes, LimitsHoldAtTheByte) {
  LimitSettings limits;
  EXPECT_TRUE(check_writes({put(std::string(1'023, 'k'))}, limits));
  EXPECT_TRUE(check_writes({put(std::string(1'024, 'k'))}, limits));
  EXPECT_FALSE(check_writes({put(std::string(1'025, 'k'))}, limits));
  EXPECT_TRUE(check_writes({put("k", std::string(limits.value_bytes, 'v'))}, limits));
  auto refused = check_writes({put("a"), put("k", std::string(limits.value_bytes + 1, 'v'))}, limits);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().slug, "value_too_large");
  EXPECT_EQ(refused.error().operation, 1u);
}

TEST(Writes, AKeyTwiceInOneCommitIsRefused) {
  auto refused = check_writes({put("a"), put("b"), put("a")}, LimitSettings{});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().slug, "duplicate_key");
  EXPECT_EQ(refused.error().operation, 2u);
}

TEST(Writes, OneFailedConditionNamesItsOperation) {
  store::SimDisk disk;
  auto engine = store::SimEngine::open(disk);
  ASSERT_TRUE(engine);
  store::Draft draft(**engine);
  Write exists = put("b");
  exists.condition.if_match = Version{Hlc{1}, "eu"};
  auto refused = prepare_writes(draft, "eu", WallMs{0}, {put("a"), exists});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().slug, "version_mismatch");
  EXPECT_EQ(refused.error().operation, 1u);
  Write absent = put("b");
  absent.condition.if_none_match = true;
  auto prepared = prepare_writes(draft, "eu", WallMs{0}, {put("a"), absent});
  ASSERT_TRUE(prepared);
  EXPECT_EQ(prepared->existed, (std::vector<bool>{false, false}));
}

TEST(Writes, OfWhoHadNotSeenTheKeysVersionAreRefusedAlsoWhenTheKeyIsDeleted) {
  store::SimDisk disk;
  auto engine = store::SimEngine::open(disk);
  ASSERT_TRUE(engine);
  store::Draft rows(**engine);
  auto keep = [&](const std::string& key, bool deleted) {
    store::KvRecord record;
    record.version = {Hlc{70}, "us"};
    record.deleted = deleted;
    rows.put(store::Family::kKv, store::kv_key("ns", key), store::encode(record));
  };
  keep("there", false);
  keep("deleted", true);
  auto code = [&](const std::string& key, Vector seen) {
    Write write = put(key);
    write.condition.if_seen = std::move(seen);
    auto prepared = prepare_writes(rows, "eu", WallMs{0}, {write});
    return prepared ? std::string("ok") : prepared.error().slug;
  };
  for (const std::string key : {"there", "deleted"}) {
    EXPECT_EQ(code(key, {}), "version_mismatch");
    EXPECT_EQ(code(key, {{"us", Hlc{69}}}), "version_mismatch");
    EXPECT_EQ(code(key, {{"ap", Hlc{99}}}), "version_mismatch");
    EXPECT_EQ(code(key, {{"us", Hlc{70}}}), "ok");
    EXPECT_EQ(code(key, {{"*", Hlc{70}}}), "ok");
    EXPECT_EQ(code(key, {{"*", Hlc{69}}, {"us", Hlc{3}}}), "version_mismatch");
  }
  EXPECT_EQ(code("never there", {}), "ok");
}

}  // namespace
}  // namespace refrain::node
