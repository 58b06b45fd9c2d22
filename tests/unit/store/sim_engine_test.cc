// SPDX-License-Identifier: Apache-2.0
// The faults of the simulated disk; what it shares with RocksDB stands in tests/contract.
#include "store/sim_engine.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>

namespace refrain::store {
namespace {

class SimFaults : public testing::Test {
 protected:
  SimFaults() { open(); }
  void open() {
    engine_.reset();
    engine_ = std::move(*SimEngine::open(disk_));
  }
  Result<void> put(const std::string& key, Durability durability = Durability::kSynced) {
    Batch batch;
    batch.put(Family::kKv, key, "1");
    batch.put(Family::kOutbox, key, "1");
    return engine_->write(batch, durability);
  }
  bool there(const std::string& key) {
    bool one = (*engine_->get(Family::kKv, key)).has_value();
    EXPECT_EQ(one, (*engine_->get(Family::kOutbox, key)).has_value()) << "half a batch";
    return one;
  }
  SimDisk disk_;
  std::unique_ptr<SimEngine> engine_;
};

TEST_F(SimFaults, APowerCutKeepsWhatWasSyncedAndAnyPrefixOfTheRest) {
  for (std::size_t keep = 0; keep <= 3; ++keep) {
    disk_.wipe();
    open();
    ASSERT_TRUE(put("synced"));
    for (std::string key : {"a", "b", "c"}) ASSERT_TRUE(put(key, Durability::kBuffered));
    EXPECT_EQ(disk_.unsynced(), 3u);
    disk_.power_cut(keep);
    open();
    EXPECT_TRUE(there("synced"));
    EXPECT_EQ(there("a"), keep > 0);
    EXPECT_EQ(there("b"), keep > 1);
    EXPECT_EQ(there("c"), keep > 2);
    disk_.power_cut(0);
    open();
    EXPECT_EQ(there("a"), keep > 0) << "what came through one cut is on the disk";
  }
}

TEST_F(SimFaults, ASyncTakesInEverythingBeforeIt) {
  ASSERT_TRUE(put("a", Durability::kBuffered));
  ASSERT_TRUE(put("b"));
  EXPECT_EQ(disk_.unsynced(), 0u);
  disk_.power_cut(0);
  open();
  EXPECT_TRUE(there("a"));
}

TEST_F(SimFaults, AFailedSyncIsUncertainAndStopsWritesUntilReopened) {
  for (bool power : {false, true}) {
    for (std::size_t keep : {0u, 1u}) {
      disk_.wipe();
      open();
      disk_.fail_next(SimFault::kSyncFails);
      auto written = put("a");
      ASSERT_FALSE(written);
      EXPECT_EQ(written.error().code, Code::kUnknown);
      EXPECT_FALSE(there("a")) << "reads never give what a failed write left";
      auto next = put("b");
      ASSERT_FALSE(next);
      EXPECT_EQ(next.error().code, Code::kUnavailable);
      power ? disk_.power_cut(keep) : disk_.crash();
      open();
      EXPECT_EQ(there("a"), !power || keep == 1);
      EXPECT_TRUE(put("b"));
    }
  }
}

TEST_F(SimFaults, RefusedWritesLeaveNothing) {
  disk_.fail_next(SimFault::kWriteFails);
  EXPECT_EQ(put("a").error().slug, "store_failed");
  disk_.set_disk_full(true);
  EXPECT_EQ(put("a").error().slug, "disk_full");
  EXPECT_EQ(put("a").error().slug, "disk_full");
  EXPECT_EQ(engine_->stats().disk_free_bytes, 0u);
  EXPECT_FALSE(there("a"));
  disk_.set_disk_full(false);
  EXPECT_TRUE(put("a"));
  disk_.crash();
  open();
  EXPECT_TRUE(there("a"));
}

TEST_F(SimFaults, AnEngineThatOutlivesItsCrashCanDoNothing) {
  ASSERT_TRUE(put("a"));
  auto cursor = engine_->cursor(Family::kKv);
  auto view = engine_->snapshot();
  cursor->seek("");
  disk_.crash();
  EXPECT_EQ(put("b").error().code, Code::kUnknown);
  EXPECT_FALSE(engine_->get(Family::kKv, "a"));
  EXPECT_FALSE(view->get(Family::kKv, "a"));
  cursor->seek("");
  EXPECT_FALSE(cursor->valid());
  EXPECT_FALSE(cursor->status());
  auto next = SimEngine::open(disk_);
  ASSERT_TRUE(next);
  EXPECT_FALSE((*next)->get(Family::kKv, "b")->has_value());
  engine_.reset();  // its end is not the new one's
  Batch batch;
  batch.put(Family::kKv, "c", "1");
  EXPECT_TRUE((*next)->write(batch, Durability::kSynced));
}

TEST_F(SimFaults, OneEngineADisk) {
  auto second = SimEngine::open(disk_);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().slug, "locked");
}

TEST_F(SimFaults, FailedReadsSaySo) {
  ASSERT_TRUE(put("a"));
  disk_.fail_reads(true);
  EXPECT_EQ(engine_->get(Family::kKv, "a").error().code, Code::kUnavailable);
  auto cursor = engine_->cursor(Family::kKv);
  cursor->seek("");
  EXPECT_FALSE(cursor->valid());
  EXPECT_FALSE(cursor->status());
  disk_.fail_reads(false);
  EXPECT_TRUE(there("a"));
}

TEST_F(SimFaults, TheHashIsOfTheRowsNotOfTheirHistory) {
  SimDisk other;
  auto engine = std::move(*SimEngine::open(other));
  ASSERT_TRUE(put("a"));
  EXPECT_NE(disk_.rows_hash(), other.rows_hash());
  Batch batch;
  batch.put(Family::kKv, "x", "1");
  ASSERT_TRUE(engine->write(batch, Durability::kSynced));
  batch.clear();
  batch.remove(Family::kKv, "x");
  batch.put(Family::kKv, "a", "1");
  batch.put(Family::kOutbox, "a", "1");
  ASSERT_TRUE(engine->write(batch, Durability::kBuffered));
  EXPECT_EQ(disk_.rows_hash(), other.rows_hash());
  EXPECT_EQ(disk_.rows_hash(Family::kKv), other.rows_hash(Family::kKv));
}

/// Any run of writes, views, cuts: each view shows what was there when it was made; a cut leaves a prefix.
RC_GTEST_PROP(SimEngine, BehavesAsAListOfBatches, (const std::vector<std::uint16_t>& steps)) {
  using Model = std::map<std::string, std::string>;
  SimDisk disk;
  auto engine = std::move(*SimEngine::open(disk));
  std::vector<Model> unsynced;  // the state after each batch that a power cut could take
  Model synced;
  std::vector<std::pair<std::unique_ptr<View>, Model>> views;
  auto rows = [](const View& view) {
    Model found;
    auto cursor = view.cursor(Family::kKv);
    for (cursor->seek(""); cursor->valid(); cursor->next()) found.emplace(cursor->key(), cursor->value());
    return found;
  };
  auto now = [&]() -> const Model& { return unsynced.empty() ? synced : unsynced.back(); };
  for (std::uint16_t step : steps) {
    std::string key(1, static_cast<char>('a' + step % 5));
    switch (step / 8 % 8) {
      case 0:
        views.emplace_back(engine->snapshot(), now());
        break;
      case 1:
        if (!views.empty()) views.erase(views.begin() + step % static_cast<std::ptrdiff_t>(views.size()));
        break;
      case 2: {
        views.clear();
        std::size_t keep = unsynced.empty() ? 0 : step % (unsynced.size() + 1);
        disk.power_cut(keep);
        if (keep > 0) synced = unsynced[keep - 1];
        unsynced.clear();
        engine.reset();
        engine = std::move(*SimEngine::open(disk));
        break;
      }
      default: {
        Batch batch;
        Model after = now();
        if (step % 3 == 0) {
          batch.remove(Family::kKv, key);
          after.erase(key);
        } else {
          batch.put(Family::kKv, key, std::to_string(step));
          after[key] = std::to_string(step);
        }
        bool sync = step % 7 == 0;
        RC_ASSERT(engine->write(batch, sync ? Durability::kSynced : Durability::kBuffered).has_value());
        if (sync) {
          synced = after;
          unsynced.clear();
        } else {
          unsynced.push_back(after);
        }
      }
    }
    RC_ASSERT(rows(*engine) == now());
    for (const auto& [view, model] : views) RC_ASSERT(rows(*view) == model);
  }
}

}  // namespace
}  // namespace refrain::store
