// SPDX-License-Identifier: Apache-2.0
// What a node that healed by itself says of it: what was found, and what was done.
#include <gtest/gtest.h>

#include <algorithm>

#include "small_cluster.h"

namespace refrain::node {
namespace {

using namespace std::chrono_literals;

StatusReport status_of(SmallCluster& world, const std::string& name) {
  return *world.ask<StatusReport>([&](Done<StatusReport> done) { world[name].node().status(done); });
}

/// Whether `name` lists something with all of this in it.
bool lists(SmallCluster& world, const std::string& name, const std::string& what, const std::string& found,
           const std::string& done) {
  auto healed = status_of(world, name).healed;
  return std::ranges::any_of(healed, [&](const HealedReport& one) {
    return one.what == what && one.found.find(found) != std::string::npos &&
           one.done.find(done) != std::string::npos;
  });
}

TEST(Healing, ANodeAwayPastRetentionGetsAllAndBothSidesSayHow) {
  SmallCluster world({"eu", "us"});
  world.start();
  ASSERT_TRUE(world.put("eu", "before", "1", {Ack::Kind::kAll, "", 20'000ms}));
  world["us"].crash();
  for (int i = 0; i < 10; ++i)
    ASSERT_TRUE(world.put("eu", "k" + std::to_string(i), "1", {Ack::Kind::kLog, "", 20'000ms}));
  auto records = world.broker().records("refrain.small.journal.eu");
  world.broker().truncate_front("refrain.small.journal.eu", Offset{records.back().offset.value + 1});
  ASSERT_TRUE(world["us"].start());
  EXPECT_TRUE(world.until([&] { return world.get("us", "k9") == "1"; }));
  for (int i = 0; i < 10; ++i) EXPECT_EQ(world.get("us", "k" + std::to_string(i)), "1") << i;
  world.run(2'000ms);
  EXPECT_TRUE(lists(world, "us", "journal eu", "", "read again from the log's start"));
  EXPECT_TRUE(lists(world, "us", "journal eu", "were missing in the log", "eu published them again"));
  EXPECT_TRUE(lists(world, "eu", "own journal", "us lacks commits from", "published again"));
}

TEST(Healing, AnEmptyKafkaClusterIsFilledAgainAndListed) {
  SmallCluster world({"eu", "us"});
  world.start();
  ASSERT_TRUE(world.put("eu", "a", "1", {Ack::Kind::kAll, "", 20'000ms}));
  world.broker().replace_cluster();
  ASSERT_TRUE(world.put("eu", "b", "1", {Ack::Kind::kAll, "", 20'000ms}));
  world.run(10'000ms);
  int mended = 0;
  for (const char* name : {"eu", "us"}) {
    EXPECT_EQ(world.get(name, "b"), "1");
    EXPECT_TRUE(lists(world, name, "own journal", "Kafka is another cluster", "published again")) << name;
    mended += lists(world, name, "members log", "0 of its 3 entries were left", "written again");
  }
  EXPECT_GE(mended, 1) << "whoever read it before it was whole again";
}

TEST(Healing, ATopicThatCouldNotBeMadeWhileSendingFailedIsNoTroubleOnceItGoesAgain) {
  SmallCluster world({"eu", "us"});
  world.start();
  auto trouble = [&] {
    auto checks = world["eu"].node().checks();
    return std::ranges::any_of(checks, [](const Check& c) { return c.name == "own journal" && !c.ok; });
  };
  simulation::Dice dice(1);
  world.broker().set_faults({.written_but_failed = 1, .done_but_failed = 1}, &dice);
  ASSERT_TRUE(world.put("eu", "k", "v"));
  EXPECT_TRUE(world.until(trouble));
  world.broker().set_faults({}, nullptr);
  EXPECT_TRUE(world.until([&] { return !trouble(); }));
}

TEST(Healing, TheListIsBoundedAndWhatIsMetAgainIsOneRow) {
  SmallCluster world({"eu", "us"});
  world.start();
  for (int i = 0; i < 40; ++i) {
    world.broker().move_to_mirror();
    world.run(2'000ms);
  }
  EXPECT_LE(status_of(world, "eu").healed.size(), 16u);
  EXPECT_GE(status_of(world, "eu").healed.size(), 2u);
}

}  // namespace
}  // namespace refrain::node
