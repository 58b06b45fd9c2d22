// SPDX-License-Identifier: Apache-2.0
// Nodes of this program beside nodes of one that pretends to be the next.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "programs.h"
#include "replication/codec.h"
#include "small_cluster.h"

namespace refrain::node {
namespace {

using simulation::kNextProgram;
using simulation::kThisProgram;
using testing::HasSubstr;

/// The newest record of a node's journal is one that this program reads.
bool readable_by_this_program(SmallCluster& world, const std::string& node) {
  auto records = world.broker().records("refrain.small.journal." + node);
  return replication::decode(records.back().bytes, node, kThisProgram.max).has_value();
}

void restart_with(SmallCluster& world, const std::string& name, const replication::Formats& formats) {
  world[name].crash();
  world[name].set_formats(formats);
  ASSERT_TRUE(world[name].start());
}

TEST(Upgrade, AMixedClusterWritesWhatAllReadAndTheNextFormatOnceNobodyIsLeftBehind) {
  SmallCluster world({"eu", "us", "ap"});
  world.start();
  int value = 0;
  for (const char* name : {"us", "ap"}) {
    restart_with(world, name, kNextProgram);
    ASSERT_TRUE(world.until([&] { return world.all_ready(); }));
    ASSERT_TRUE(world.put(name, "k", std::to_string(++value), Ack{Ack::Kind::kAll, {}}));
    EXPECT_EQ(world.get("eu", "k"), std::to_string(value));
    EXPECT_TRUE(readable_by_this_program(world, name)) << name;
  }
  auto report = world.ask<StatusReport>([&](auto done) { world["us"].node().status(done); });
  ASSERT_TRUE(report);
  EXPECT_EQ(report->format, kThisProgram.max);
  EXPECT_EQ(report->members[1].formats, kThisProgram) << report->members[1].node;
  EXPECT_THAT(report->members[1].note, HasSubstr("can be upgraded"));
  restart_with(world, "eu", kNextProgram);
  for (const char* name : {"eu", "us", "ap"}) {
    EXPECT_TRUE(world.until([&] { return !readable_by_this_program(world, name); })) << name;
    ASSERT_TRUE(world.put(name, "k", std::to_string(++value), Ack{Ack::Kind::kAll, {}}));
  }
  for (const char* name : {"eu", "us", "ap"}) EXPECT_EQ(world.get(name, "k"), std::to_string(value)) << name;
}

TEST(Upgrade, GoingBackIsPossibleUntilTheLastOneWasUpgraded) {
  SmallCluster world({"eu", "us"});
  world.start();
  restart_with(world, "us", kNextProgram);
  ASSERT_TRUE(world.until([&] { return world.all_ready(); }));
  restart_with(world, "us", kThisProgram);
  ASSERT_TRUE(world.until([&] { return world.all_ready(); }));
  ASSERT_TRUE(world.put("us", "k", "1", Ack{Ack::Kind::kAll, {}}));
  for (const char* name : {"us", "eu"}) restart_with(world, name, kNextProgram);
  ASSERT_TRUE(world.until([&] { return !readable_by_this_program(world, "us"); }));
  restart_with(world, "us", kThisProgram);
  ASSERT_TRUE(world.until([&] { return world["us"].node().must_end().has_value(); }));
  EXPECT_THAT(world["us"].node().must_end()->detail,
              HasSubstr("the cluster writes format 2, this program reads 1"));
}

TEST(Upgrade, WithoutBrokersAnOlderProgramDoesNotTouchWhatTheNewerOneWrote) {
  SmallCluster world({"eu"}, [](Config& config) { config.formats = kNextProgram; });
  world.start();
  ASSERT_TRUE(world.put("eu", "k", "1"));
  world["eu"].crash();
  world["eu"].set_formats(kThisProgram);
  world["eu"].set_alone();
  auto started = world["eu"].start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().slug, "newer_format");
  world["eu"].set_formats(kNextProgram);
  EXPECT_TRUE(world["eu"].start());
}

}  // namespace
}  // namespace refrain::node
