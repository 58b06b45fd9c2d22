// SPDX-License-Identifier: Apache-2.0
// Scope home, moved from one node to another by new configurations, one node after the other.
#include <gtest/gtest.h>

#include "small_cluster.h"

namespace refrain::node {
namespace {

using namespace std::chrono_literals;

class HomeMove : public testing::Test {
 protected:
  HomeMove() : world_({"ap", "eu", "us"}, [](Config& config) { set_home(config, "eu"); }) { world_.start(); }

  static void set_home(Config& config, const std::string& home) {
    config.requests.namespaces["payments"] = config.requests.defaults;
    config.requests.namespaces["payments"].scope = {Scope::Kind::kHome, home};
  }
  void restart_with_home(const std::string& name, const std::string& home) {
    world_[name].crash();
    Config config = world_[name].config();
    set_home(config, home);
    world_[name].set_config(config);
    ASSERT_TRUE(world_[name].start());
  }
  std::string begun(const std::string& name, const std::string& id) {
    return world_.begun(name, SmallCluster::begin_call(id));
  }

  SmallCluster world_;
};

TEST_F(HomeMove, TheNewHomeSaysGoOnlyOnceAllHaveMovedAndTheFormerOneNamesIt) {
  ASSERT_TRUE(world_.until([&] { return begun("eu", "a") != "catching_up"; }));
  EXPECT_EQ(begun("us", "b"), "wrong_node");
  restart_with_home("us", "us");
  EXPECT_TRUE(world_.until([&] { return begun("us", "c1") == "config_mismatch"; }));
  EXPECT_TRUE(world_.until([&] { return begun("eu", "c2") == "config_mismatch"; })) << "eu has read of it";
  restart_with_home("ap", "us");
  world_.run(10'000ms);
  EXPECT_EQ(begun("us", "d"), "config_mismatch");
  restart_with_home("eu", "us");
  EXPECT_TRUE(world_.until([&] { return begun("us", "e") == "go"; }));
  EXPECT_EQ(begun("eu", "f"), "wrong_node");
}

TEST_F(HomeMove, WhatTheFormerHomeDecidedIsKnownBeforeTheNewOneSaysGo) {
  ASSERT_TRUE(world_.until([&] { return begun("eu", "warm") == "go"; }));
  world_["us"].crash();
  world_["ap"].crash();
  // What eu says now is in the log, behind a record that parks its journal at whoever reads it.
  const std::string journal = "refrain.small.journal.eu";
  world_.broker().inject(journal, "garbage");
  Offset garbage = world_.broker().records(journal).back().offset;
  BeginCall call = SmallCluster::begin_call("decided-by-eu");
  call.lease = 3'600'000ms;
  ASSERT_EQ(world_.begun("eu", call), "go");
  world_.run(2'000ms);
  for (const char* name : {"eu", "us", "ap"}) {
    world_[name].crash();
    Config config = world_[name].config();
    set_home(config, "us");
    world_[name].set_config(config);
  }
  for (const char* name : {"eu", "us", "ap"}) ASSERT_TRUE(world_[name].start());
  // All show the new home, and reading in vain has lasted longer than anybody waits for a silent journal.
  world_.run(60'000ms);
  EXPECT_EQ(begun("us", "decided-by-eu"), "config_mismatch");
  EXPECT_EQ(begun("us", "another"), "config_mismatch");
  for (const char* name : {"us", "ap"}) {
    std::optional<Result<void>> resumed;
    world_[name].node().resume_journal("eu", garbage, [&](Result<void> done) { resumed = std::move(done); });
    EXPECT_TRUE(world_.until([&] { return resumed.has_value(); }));
    EXPECT_TRUE(*resumed) << name << ": " << resumed->error().detail;
  }
  EXPECT_TRUE(world_.until([&] { return begun("us", "decided-by-eu") == "request_in_progress"; }));
  EXPECT_TRUE(world_.until([&] { return begun("us", "another") == "go"; }));
}

}  // namespace
}  // namespace refrain::node
