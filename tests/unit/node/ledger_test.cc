// SPDX-License-Identifier: Apache-2.0
#include "node/ledger.h"

#include <gtest/gtest.h>

#include "replication/codec.h"
#include "store/kv.h"
#include "store/sim_engine.h"

namespace refrain::node {
namespace {

using store::Put;

class LedgerTest : public testing::Test {
 protected:
  LedgerTest() { open(true); }

  void open(bool fresh = false) {
    ledger_.reset();
    engine_.reset();
    auto engine = store::SimEngine::open(disk_);
    ASSERT_TRUE(engine);
    engine_ = std::move(*engine);
    if (fresh) {
      store::Draft draft(*engine_);
      store::Meta::set_identity(draft, {{7}, "eu", {11}, false, {}, false, false});
      ASSERT_TRUE(engine_->write(draft.take(), store::Durability::kSynced));
    }
    auto ledger = Ledger::load(*engine_, config_, [](auto&, auto&, auto&, WallMs) { return Result<void>(); });
    ASSERT_TRUE(ledger);
    ledger_ = std::move(*ledger);
  }

  CommitId put(const std::string& key, const std::string& value) {
    auto hlc = ledger_->mint();
    auto id = ledger_->append(*hlc, {Put{"ns", key, value, std::nullopt, {}}}, false);
    EXPECT_TRUE(id);
    return *id;
  }

  /// A batch of one commit, durable and taken.
  void write_one() {
    ledger_->start(wall_);
    put("a", "1");
    ASSERT_TRUE(ledger_->write());
    ledger_->take_new_commits();
  }

  std::optional<std::string> value(const std::string& key) {
    auto record = store::read_record(*engine_, "ns", key);
    return record && *record ? std::optional((*record)->value) : std::nullopt;
  }

  Config config_;
  store::SimDisk disk_;
  std::unique_ptr<store::SimEngine> engine_;
  std::unique_ptr<Ledger> ledger_;
  WallMs wall_{1'000'000};
};

TEST_F(LedgerTest, ACommitCarriesTheFloorAndNothingSeenAtOrBelowIt) {
  ledger_->start(wall_);
  Hlc floor = Hlc::of(wall_);
  ledger_->raise_floor(floor);
  Hlc above{floor.value + 1};
  Hlc hlc{floor.value + 9};
  ASSERT_TRUE(
      ledger_->append(hlc, {Put{"ns", "a", "1", std::nullopt, {{"ap", floor}, {"us", above}}}}, false));
  ASSERT_TRUE(ledger_->write());
  auto sent = replication::decode(ledger_->take_new_commits().at(0).bytes, "eu");
  ASSERT_TRUE(sent);
  EXPECT_EQ(sent->commit.floor, floor);
  EXPECT_EQ(std::get<Put>(sent->commit.operations.at(0)).ctx, (store::Context{{"us", above}}));
}

TEST_F(LedgerTest, FromWhereOnCommitsAreInDoubtIsKeptUntilTheJournalsEndWasReadAndThatSurvivesAPowerCut) {
  write_one();
  store::Applied first = ledger_->newest_own();
  open();  // by another process: nothing proved the first one
  EXPECT_EQ(ledger_->books().unproven, (store::Applied{}));
  ledger_->start(wall_);
  ledger_->prove();
  ASSERT_TRUE(ledger_->write());
  disk_.power_cut(0);
  open();
  EXPECT_EQ(ledger_->books().unproven, std::nullopt) << "what was published since is not another's";
  write_one();
  EXPECT_EQ(ledger_->books().unproven, first);
  open();
  EXPECT_EQ(ledger_->books().unproven, first);
  EXPECT_EQ(ledger_->newest_own().seq, first.seq.next());
}

TEST_F(LedgerTest, AfterAPowerCutAtAnyPointARowIsGoneOnlyWhereTheFloorSpeaksForIt) {
  int gone = 0;
  for (std::size_t keep = 0; keep <= 4; ++keep) {
    disk_.wipe();
    open(true);
    ledger_->start(wall_);
    Hlc deleted = *ledger_->mint();
    ASSERT_TRUE(ledger_->append(deleted, {store::Delete{"ns", "a", {}}}, false));
    ASSERT_TRUE(ledger_->write());
    ledger_->take_new_commits();
    for (int step = 1; step <= 4; ++step) {  // unsynced, all of them
      ledger_->start(wall_);
      if (step == 2) ledger_->raise_floor(deleted);
      ledger_->set_published({static_cast<std::uint64_t>(step)});
      ASSERT_TRUE(ledger_->collect({step * 2'000'000'000LL}));
      ASSERT_TRUE(ledger_->write());
    }
    EXPECT_EQ(ledger_->collector().removed().tombstones, 1u);
    disk_.power_cut(keep);
    open();
    auto row = store::read_record(*engine_, "ns", "a");
    ASSERT_TRUE(row);
    if (*row) continue;
    ++gone;
    EXPECT_GE(ledger_->books().floor, deleted) << "kept " << keep;
  }
  EXPECT_GT(gone, 0);
  EXPECT_LT(gone, 5);
}

TEST_F(LedgerTest, TheFloorNeverFallsAndGoesBackWithABatchThatIsNotWritten) {
  ledger_->start(wall_);
  ledger_->raise_floor({50});
  ledger_->raise_floor({40});
  EXPECT_EQ(ledger_->books().floor, Hlc{50});
  ledger_->break_batch(unavailable("no", "no"));
  EXPECT_FALSE(ledger_->write());
  EXPECT_EQ(ledger_->books().floor, Hlc{});
}

TEST_F(LedgerTest, CommitsOfOneBatchBecomeDurableTogetherWithSeqAndOutbox) {
  ledger_->start(wall_);
  EXPECT_EQ(put("a", "1").seq, Seq{1});
  EXPECT_EQ(put("b", "2").seq, Seq{2});
  EXPECT_EQ(value("a"), std::nullopt) << "nothing before the write";
  ASSERT_TRUE(ledger_->write());
  EXPECT_EQ(ledger_->take_new_commits().size(), 2u);
  disk_.power_cut(0);
  open();
  EXPECT_EQ(value("a"), "1");
  EXPECT_EQ(value("b"), "2");
  EXPECT_EQ(ledger_->books().newest, Seq{2});
  EXPECT_EQ(ledger_->outbox().stats().commits, 2u);
}

TEST_F(LedgerTest, ABatchThatIsNotWrittenNeverHappened) {
  ASSERT_NO_FATAL_FAILURE(write_one());
  disk_.fail_next(store::SimFault::kDiskFull);
  ledger_->start(wall_);
  put("b", "2");
  auto written = ledger_->write();
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Code::kUnavailable);
  EXPECT_FALSE(ledger_->must_reload());
  EXPECT_EQ(ledger_->books().newest, Seq{1});
  EXPECT_EQ(ledger_->outbox().stats().commits, 1u);
  ledger_->start(wall_);
  EXPECT_EQ(put("b", "3").seq, Seq{2}) << "the seq is used again: nobody saw it";
  ASSERT_TRUE(ledger_->write());
  EXPECT_EQ(value("b"), "3");
}

TEST_F(LedgerTest, WhatWasSyncedStaysSoWhenItCannotBeWrittenAndIsWrittenLater) {
  ASSERT_NO_FATAL_FAILURE(write_one());
  disk_.fail_next(store::SimFault::kDiskFull);
  ledger_->start(wall_);
  ledger_->set_synced({1});
  ASSERT_FALSE(ledger_->write());
  EXPECT_EQ(ledger_->books().synced, Seq{1}) << "it may have been told";
  ledger_->start(wall_);
  ledger_->set_synced({1});
  ASSERT_TRUE(ledger_->write());
  ASSERT_TRUE(ledger_->reload());
  EXPECT_EQ(ledger_->books().synced, Seq{1});
}

TEST_F(LedgerTest, WhatAnOpenFoundIsSafeOnceASyncedWriteHasSucceeded) {
  EXPECT_FALSE(ledger_->synced_since_load()) << "it may be from a write whose sync failed";
  ASSERT_NO_FATAL_FAILURE(write_one());
  EXPECT_TRUE(ledger_->synced_since_load());
  ASSERT_TRUE(ledger_->reload());
  EXPECT_FALSE(ledger_->synced_since_load());
}

TEST_F(LedgerTest, OnlyWrittenBatchesAreCountedWithTheCommitsInThem) {
  ledger_->start(wall_);
  put("a", "1");
  put("b", "2");
  ASSERT_TRUE(ledger_->write());
  ledger_->take_new_commits();
  disk_.fail_next(store::SimFault::kDiskFull);
  ledger_->start(wall_);
  put("c", "3");
  ASSERT_FALSE(ledger_->write());
  ledger_->start(wall_);
  put("c", "3");
  ASSERT_TRUE(ledger_->write());
  EXPECT_EQ(ledger_->batch_counts().batches, 2u);
  EXPECT_EQ(ledger_->batch_counts().commits, 3u);
}

TEST_F(LedgerTest, AWriteThatMayHaveHappenedStopsEverythingUntilTheStoreIsOpenedAgain) {
  disk_.fail_next(store::SimFault::kSyncFails);
  ledger_->start(wall_);
  put("a", "1");
  auto written = ledger_->write();
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, Code::kUnknown);
  EXPECT_TRUE(ledger_->must_reload());
  ledger_->start(wall_);
  put("b", "1");
  EXPECT_FALSE(ledger_->write());
}

TEST_F(LedgerTest, NoVersionIsMintedTwiceAfterAPowerCutThoughTheWallStepsBack) {
  ledger_->start(wall_);
  auto first = ledger_->mint();
  ASSERT_TRUE(ledger_->append(*first, {Put{"ns", "a", "1", std::nullopt, {}}}, false));
  ASSERT_TRUE(ledger_->write());
  disk_.power_cut(0);
  open();
  ledger_->start(wall_ - Milliseconds{400});
  auto second = ledger_->mint();
  ASSERT_TRUE(second);
  EXPECT_GT(*second, *first);
}

TEST_F(LedgerTest, AnAppliedCommitMovesTheVectorInTheBatchThatHasItsData) {
  store::Commit commit{.node = "us",
                       .incarnation = {5},
                       .seq = {1},
                       .hlc = Hlc::of(wall_),
                       .floor = {},
                       .wants_tick = false,
                       .operations = {Put{"ns", "a", "us", std::nullopt, {}}},
                       .tick = std::nullopt};
  ledger_->start(wall_);
  ASSERT_TRUE(ledger_->apply(commit));
  ASSERT_TRUE(ledger_->write());
  disk_.power_cut(0);  // not synced: data and vector go together
  open();
  EXPECT_EQ(value("a"), std::nullopt);
  EXPECT_FALSE(ledger_->books().applied.contains(commit.journal()));
  ledger_->start(wall_);
  ASSERT_TRUE(ledger_->apply(commit));
  put("b", "own");  // an own commit syncs all before it
  ASSERT_TRUE(ledger_->write());
  disk_.power_cut(0);
  open();
  EXPECT_EQ(value("a"), "us");
  EXPECT_EQ(ledger_->books().applied.at(commit.journal()).seq, Seq{1});
}

TEST_F(LedgerTest, OwnVersionsAreLargerThanAnyThatWasApplied) {
  store::Commit commit{.node = "us",
                       .incarnation = {5},
                       .seq = {1},
                       .hlc = Hlc::of(wall_ + Milliseconds{300}),
                       .floor = {},
                       .wants_tick = false,
                       .operations = {},
                       .tick = std::nullopt};
  ledger_->start(wall_);
  ASSERT_TRUE(ledger_->apply(commit));
  auto hlc = ledger_->mint();
  ASSERT_TRUE(hlc);
  EXPECT_GT(*hlc, commit.hlc);
}

TEST_F(LedgerTest, ACommitOverTheLimitIsRefusedAndChangesNothing) {
  config_.limits.commit_bytes = 1'000;
  ledger_->start(wall_);
  auto hlc = ledger_->mint();
  auto id = ledger_->append(*hlc, {Put{"ns", "a", std::string(2'000, 'x'), std::nullopt, {}}}, false);
  ASSERT_FALSE(id);
  EXPECT_EQ(id.error().slug, "commit_too_large");
  ASSERT_TRUE(ledger_->write());
  EXPECT_EQ(ledger_->books().newest, Seq{});
  EXPECT_EQ(value("a"), std::nullopt);
}

TEST_F(LedgerTest, TheOutboxKeepsTheExactBytesThatAreOffered) {
  ledger_->start(wall_);
  put("a", "1");
  ASSERT_TRUE(ledger_->write());
  auto offered = ledger_->take_new_commits();
  auto kept = store::Outbox::get(*engine_, Seq{1});
  ASSERT_TRUE(kept && *kept);
  EXPECT_EQ(**kept, offered.at(0).bytes);
  auto decoded = replication::decode(**kept, "eu");
  ASSERT_TRUE(decoded);
  EXPECT_EQ(decoded->cluster, ClusterId{7});
  EXPECT_EQ(decoded->commit.seq, Seq{1});
}

TEST_F(LedgerTest, WhatIsForgottenOfTheOutboxStaysForgotten) {
  ledger_->start(wall_);
  for (int i = 0; i < 5; ++i) put("k" + std::to_string(i), "v");
  ASSERT_TRUE(ledger_->write());
  ledger_->take_new_commits();
  ledger_->start(wall_);
  ASSERT_TRUE(ledger_->forget_outbox_up_to(Seq{3}));
  ASSERT_TRUE(ledger_->write());
  EXPECT_EQ(ledger_->outbox().stats().commits, 2u);
  EXPECT_EQ(ledger_->outbox().stats().lowest, Seq{4});
  open();
  EXPECT_EQ(ledger_->outbox().stats().lowest, Seq{4});
}

TEST_F(LedgerTest, OneVersionWithTwoContentsIsRefusedAndNeitherIsPicked) {
  store::Commit commit{"us", {5}, {1}, Hlc::of(wall_), {}, false, {}, {}};
  commit.operations.push_back(Put{"ns", "k", "one", std::nullopt, {}});
  ledger_->start(wall_);
  ASSERT_TRUE(ledger_->apply(commit));
  ASSERT_TRUE(ledger_->write());
  commit.seq = {2};
  commit.operations = {Put{"ns", "k", "two", std::nullopt, {}}};
  ledger_->start(wall_);
  auto applied = ledger_->apply(commit);
  ASSERT_FALSE(applied);
  EXPECT_EQ(applied.error().slug, "cloned_node");
  EXPECT_FALSE(ledger_->write());
  EXPECT_EQ(value("k"), "one");
}

TEST_F(LedgerTest, TheListOfConflictsStaysWithinItsBytesHoweverManyComeAtOnce) {
  config_.conflicts.max_bytes = 20'000;
  open();
  for (std::uint64_t batch = 1; batch <= 5; ++batch) {
    ledger_->start(wall_);
    for (const char* node : {"us", "ap"}) {
      store::Commit commit{node, {5},   {batch}, Hlc::of(wall_, static_cast<std::uint16_t>(batch)),
                           {},   false, {},      {}};
      for (int key = 0; key < 500; ++key)
        commit.operations.push_back(Put{"ns", std::to_string(batch * 1000 + key), node, std::nullopt, {}});
      ASSERT_TRUE(ledger_->apply(commit));
    }
    ASSERT_TRUE(ledger_->expire_conflicts());
    ASSERT_TRUE(ledger_->write());
    // What one batch brought goes with the next one.
    EXPECT_LE(ledger_->conflicts().stats().kept, 1'100u);
  }
  EXPECT_GE(ledger_->conflicts().stats().dropped, 1'400u);
}

TEST_F(LedgerTest, AWriteAroundItThatFailedMakesItBeReadAgain) {
  ledger_->start(wall_);
  ledger_->engine_failed(Error{Code::kUnknown, "write_uncertain", "the disk failed"});
  auto written = ledger_->write();
  ASSERT_FALSE(written);
  EXPECT_TRUE(ledger_->must_reload());
}

}  // namespace
}  // namespace refrain::node
