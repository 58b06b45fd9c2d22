// SPDX-License-Identifier: Apache-2.0
// What a node says of its rows, so that others can compare.
#include <gtest/gtest.h>

#include "small_cluster.h"

namespace refrain::node {
namespace {

using namespace std::chrono_literals;

DigestReport counted(SmallCluster& world, const std::string& name) {
  auto counting = world[name].node().count_digest();
  EXPECT_TRUE(counting);
  EXPECT_EQ((*counting)->step().value_or(false), true);
  return (*counting)->report();
}

/// A row that changes behind a stopped node's back.
void lose(SmallCluster& world, const std::string& name, const std::string& key) {
  world[name].crash();
  auto engine = store::SimEngine::open(world[name].disk());
  ASSERT_TRUE(engine);
  store::Batch batch;
  batch.remove(store::Family::kKv, "shop" + std::string(1, '\0') + key);
  ASSERT_TRUE((*engine)->write(batch, store::Durability::kSynced));
  engine->reset();
  ASSERT_TRUE(world[name].start());
  ASSERT_TRUE(world.until([&] { return world.ready(name); }));
}

TEST(NodeDigest, MembersThatAppliedTheSameKeepTheSameAndItIsWhatTheirRowsGive) {
  SmallCluster world({"eu", "us"});
  world.start();
  Ack all{Ack::Kind::kAll, "", 30'000ms};
  for (int i = 0; i < 20; ++i)
    ASSERT_TRUE(world.put(i % 2 ? "eu" : "us", "k" + std::to_string(i % 7), std::to_string(i), all));
  DigestReport eu = *world["eu"].node().digest();
  DigestReport us = *world["us"].node().digest();
  EXPECT_EQ(eu.kept, us.kept);
  EXPECT_NE(eu.kept, store::DigestBuckets());
  EXPECT_EQ(*counted(world, "eu").counted, eu.kept);
  EXPECT_EQ(eu.vector.size(), 2u);
}

TEST(NodeDigest, ARowLostBehindItsBackIsCountedAndTheDigestIsPutRightOnce) {
  SmallCluster world({});
  world.start();
  for (const char* key : {"a", "b", "c"}) ASSERT_TRUE(world.put("eu", key, "1"));
  ASSERT_NO_FATAL_FAILURE(lose(world, "eu", "b"));
  auto count = [&] {
    auto counting = world["eu"].node().count_digest();
    EXPECT_TRUE((*counting)->step().value_or(false));
    return std::shared_ptr<const DigestCounting>(std::move(*counting));
  };
  auto correct = [&](const std::shared_ptr<const DigestCounting>& counting) {
    return world.ask<std::uint64_t>(
        [&](Done<std::uint64_t> done) { world["eu"].node().correct_digest(counting, done); });
  };
  auto first = count();
  auto second = count();
  EXPECT_NE(first->report().kept, *first->report().counted);
  ASSERT_TRUE(world.put("eu", "a", "2")) << "writes go on";
  EXPECT_EQ(correct(first).value_or(99), 1u);
  auto again = correct(second);
  ASSERT_FALSE(again) << "the same difference twice would put the fault back";
  EXPECT_EQ(again.error().code, Code::kUnavailable);
  auto third = count();
  EXPECT_EQ(third->report().kept, *third->report().counted);
  EXPECT_EQ(correct(third).value_or(99), 0u);
}

TEST(NodeDigest, ACountEndsWhenTheStoreIsClosed) {
  SmallCluster world({});
  world.start();
  ASSERT_TRUE(world.put("eu", "a", "1"));
  auto counting = world["eu"].node().count_digest();
  ASSERT_TRUE(counting);
  world["eu"].disk().fail_next(store::SimFault::kSyncFails);
  ASSERT_FALSE(world.put("eu", "a", "2"));
  auto step = (*counting)->step();
  ASSERT_FALSE(step);
  EXPECT_EQ(step.error().code, Code::kUnavailable);
}

TEST(NodeDigest, RowsComeInPagesOfOneCutWithTombstonesAndByBucketNamespaceAndKey) {
  SmallCluster world({});
  world.start();
  for (int i = 0; i < 25; ++i) ASSERT_TRUE(world.put("eu", "k" + std::to_string(i), "1"));
  store::ComparedRows wanted;
  wanted.limit = 10;
  std::vector<std::string> keys;
  int pages = 0;
  for (;; ++pages) {
    auto page = world["eu"].node().digest_rows(wanted);
    ASSERT_TRUE(page);
    for (const store::ComparedRow& row : page->items) keys.push_back(row.key);
    if (!page->after) break;
    wanted.after = *page->after;
  }
  EXPECT_EQ(keys.size(), 25u);
  EXPECT_TRUE(std::ranges::is_sorted(keys));
  EXPECT_EQ(pages, 2);
  store::ComparedRows one;
  one.buckets = {store::digest_bucket("shop", "k7")};
  auto page = world["eu"].node().digest_rows(one);
  ASSERT_TRUE(page);
  ASSERT_EQ(page->items.size(), 1u);
  EXPECT_EQ(page->items[0].key, "k7");
  EXPECT_EQ(page->items[0].hash, store::value_hash("1"));
  store::ComparedRows key;
  key.ns = "shop";
  key.key = "k1";
  EXPECT_EQ(world["eu"].node().digest_rows(key)->items.size(), 1u) << "not k10 and the like";
  key.ns = "sho";
  EXPECT_TRUE(world["eu"].node().digest_rows(key)->items.empty());
  store::ComparedRows bad;
  bad.after = "no base64url!";
  EXPECT_EQ(world["eu"].node().digest_rows(bad).error().code, Code::kInvalid);
}

}  // namespace
}  // namespace refrain::node
