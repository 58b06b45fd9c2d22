// SPDX-License-Identifier: Apache-2.0
#include "store/collector.h"

#include <gtest/gtest.h>

#include "tests/unit/store/replica.h"

namespace refrain::store {
namespace {

class CollectorTest : public testing::Test {
 protected:
  void put(const std::string& key, std::uint64_t hlc, std::optional<WallMs> expires_at = std::nullopt,
           const std::string& value = "v") {
    Commit commit = commit_of("us", hlc);
    commit.operations.push_back(Put{"ns", key, value, expires_at, {}});
    replica_.apply(commit);
    if (auto from = collectable_from({hlc}, false, expires_at)) collector_.expect(*from);
  }
  void remove(const std::string& key, std::uint64_t hlc, const NodeName& node = "us") {
    Commit commit = commit_of(node, hlc);
    commit.operations.push_back(Delete{"ns", key, {}});
    replica_.apply(commit);
    collector_.expect({hlc});
  }
  /// Steps in the running batch and writes it, a second later each time.
  void step(std::uint64_t floor, Milliseconds later = Milliseconds{1'000}) {
    now_ = now_ + later;
    ASSERT_TRUE(collector_.step(*replica_.draft, replica_.conflicts, {floor}, now_));
    write();
  }
  void write() {
    replica_.flush();
    collector_.written();
  }
  bool there(const std::string& key) {
    return replica_.engine->get(Family::kKv, kv_key("ns", key))->has_value();
  }

  Replica replica_{"eu"};
  Collector collector_{{.rows = 3, .bytes = 1'000}};
  SteadyNs now_;
};

TEST_F(CollectorTest, ATombstoneGoesOnceItLiesAtTheFloorAndAValueStays) {
  remove("a", 5);
  put("b", 4);
  write();
  step(4);
  EXPECT_TRUE(there("a"));
  step(5);
  EXPECT_FALSE(there("a"));
  EXPECT_TRUE(there("b"));
  EXPECT_EQ(collector_.removed(), (Collector::Counts{1, 0}));
}

TEST_F(CollectorTest, AnExpiredRecordGoesOnceTheFloorsTimeHasPassedItsEnd) {
  Hlc written = Hlc::of({100});
  put("a", written.value, WallMs{200});
  write();
  step(Hlc::of({199}, 65'535).value);
  EXPECT_TRUE(there("a")) << "somebody's time may still be before its end";
  step(Hlc::of({200}).value);
  EXPECT_FALSE(there("a"));
  EXPECT_EQ(collector_.removed(), (Collector::Counts{0, 1}));
}

TEST_F(CollectorTest, AnEndBeyondAllTimeIsNeverPassedAndOneBeforeAllTimeGoesWithTheVersion) {
  put("a", 5, WallMs{std::int64_t{1} << 48});
  put("b", 5, WallMs{std::numeric_limits<std::int64_t>::max()});
  put("c", 5, WallMs{-1});
  write();
  step(Hlc::of({1'000'000}).value);
  EXPECT_TRUE(there("a"));
  EXPECT_TRUE(there("b"));
  EXPECT_FALSE(there("c"));
}

TEST_F(CollectorTest, AStepLooksAtAFewRowsAndTheNextGoesOnFromThere) {
  for (char key = 'a'; key <= 'g'; ++key) remove(std::string(1, key), 5);
  write();
  step(9);
  EXPECT_EQ(collector_.removed().tombstones, 3u);
  step(9, Milliseconds{19});
  EXPECT_EQ(collector_.removed().tombstones, 3u) << "not so soon";
  step(9, Milliseconds{1});
  EXPECT_EQ(collector_.removed().tombstones, 6u);
  step(9, Milliseconds{20});
  EXPECT_EQ(collector_.removed().tombstones, 7u);
}

TEST_F(CollectorTest, AStepReadsAFewBytesMore) {
  put("a", 5, std::nullopt, std::string(2'000, 'x'));
  remove("b", 5);
  write();
  step(9);
  EXPECT_TRUE(there("b"));
  step(9, Milliseconds{20});
  EXPECT_FALSE(there("b"));
}

TEST_F(CollectorTest, NothingIsReadWhileNothingMayGo) {
  put("a", 5);
  write();
  step(9);  // what is there after a start is not known
  EXPECT_EQ(collector_.wakes_at({9}), std::nullopt);
  remove("a", 12);
  write();
  EXPECT_EQ(collector_.wakes_at({11}), std::nullopt);
  EXPECT_NE(collector_.wakes_at({12}), std::nullopt);
  step(12);
  EXPECT_FALSE(there("a"));
  EXPECT_EQ(collector_.wakes_at({99}), std::nullopt);
}

TEST_F(CollectorTest, ARowThatTheSameBatchWritesAnewStays) {
  remove("a", 5);
  write();
  put("a", 10);
  step(9);
  EXPECT_TRUE(there("a"));
  EXPECT_EQ(collector_.removed(), Collector::Counts{});
}

TEST_F(CollectorTest, WhatIsWrittenInTheBatchOfAWalkIsFoundByALaterOne) {
  put("a", 1);
  write();
  remove("b", 5);
  step(5);  // the walk sees what stood before the batch
  EXPECT_TRUE(there("b"));
  step(5);
  EXPECT_FALSE(there("b"));
}

TEST_F(CollectorTest, ARowWhoseConflictIsOpenStaysUntilItIsClosed) {
  put("a", 4);
  remove("a", 5, "ap");
  write();
  ASSERT_EQ(replica_.open().size(), 1u);
  step(9);
  EXPECT_TRUE(there("a"));
  Commit resolves = commit_of("us", 7);
  resolves.operations.push_back(Delete{"ns", "a", {{"ap", {5}}}});
  replica_.apply(resolves);
  collector_.expect({7});
  write();
  step(Hlc::of({20'000}).value);
  EXPECT_FALSE(there("a"));
}

TEST_F(CollectorTest, WhatWasNotWrittenIsLookedAtAgain) {
  remove("a", 5);
  write();
  now_ = now_ + Milliseconds{1'000};
  ASSERT_TRUE(collector_.step(*replica_.draft, replica_.conflicts, {9}, now_));
  replica_.draft->clear();
  collector_.not_written();
  EXPECT_EQ(collector_.removed(), Collector::Counts{});
  step(9);
  EXPECT_FALSE(there("a"));
  EXPECT_EQ(collector_.removed().tombstones, 1u);
}

TEST_F(CollectorTest, ARowThatCannotBeReadIsLeftAndStopsNothing) {
  replica_.draft->put(Family::kKv, kv_key("ns", "a"), "\x07 no record");
  remove("b", 5);
  write();
  step(9);
  EXPECT_TRUE(there("a"));
  EXPECT_FALSE(there("b"));
}

TEST_F(CollectorTest, AStoreThatCannotBeReadIsTriedAgainAMinuteLater) {
  remove("a", 5);
  write();
  replica_.disk.fail_reads(true);
  now_ = now_ + Milliseconds{1'000};
  EXPECT_FALSE(collector_.step(*replica_.draft, replica_.conflicts, {9}, now_));
  replica_.disk.fail_reads(false);
  step(9, Milliseconds{59'999});
  EXPECT_TRUE(there("a"));
  step(9, Milliseconds{1});
  EXPECT_FALSE(there("a"));
}

TEST_F(CollectorTest, AWriteAfterTheTombstoneIsGoneMeetsOneThatIsNotYetWithoutAConflictAndTheSameRow) {
  Replica slow("ap");
  Commit deletes = commit_of("us", 5);
  deletes.operations.push_back(Delete{"ns", "a", {}});
  replica_.apply(deletes);
  slow.apply(deletes);
  collector_.expect({5});
  write();
  step(5);
  ASSERT_FALSE(there("a"));
  Commit anew = commit_of("eu", 9);
  anew.floor = {5};  // its writer has forgotten the delete
  anew.operations.push_back(put_of("a", "anew"));
  EXPECT_FALSE(replica_.apply(anew).conflict);
  EXPECT_FALSE(slow.apply(anew).conflict);
  auto ours = **read_record(*replica_.draft, "ns", "a");
  auto theirs = **read_record(*slow.draft, "ns", "a");
  EXPECT_EQ(theirs.ctx, (Context{{"us", {5}}})) << "at or below its floor: says nothing more than that";
  theirs.ctx.clear();
  EXPECT_EQ(ours, theirs);
}

}  // namespace
}  // namespace refrain::store
