// SPDX-License-Identifier: Apache-2.0
// What every engine does, whatever is behind it.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "store/engine.h"
#include "store/requests_rows.h"
#include "tests/contract/engine_world.h"

namespace refrain::store {
namespace {

using Make = std::unique_ptr<EngineWorld> (*)();

class EngineContract : public testing::TestWithParam<Make> {
 protected:
  Engine& engine() { return world_->engine(); }
  EngineWorld& world() { return *world_; }
  void write(Batch batch, Durability durability = Durability::kSynced) {
    auto written = engine().write(batch, durability);
    ASSERT_TRUE(written) << written.error().detail;
  }
  void put(Family family, const std::string& key, const std::string& value) {
    Batch batch;
    batch.put(family, key, value);
    write(std::move(batch));
  }
  static std::string get(const View& view, Family family, const std::string& key) {
    auto value = view.get(family, key);
    EXPECT_TRUE(value);
    return value->value_or("(none)");
  }
  static std::vector<std::string> rows(const View& view, Family family, const std::string& from = "") {
    std::vector<std::string> found;
    auto cursor = view.cursor(family);
    for (cursor->seek(from); cursor->valid(); cursor->next()) {
      found.push_back(std::string(cursor->key()) + "=" + std::string(cursor->value()));
    }
    EXPECT_TRUE(cursor->status());
    return found;
  }

 private:
  std::unique_ptr<EngineWorld> world_ = GetParam()();
};

using Rows = std::vector<std::string>;

TEST_P(EngineContract, AMissingKeyIsNoError) {
  EXPECT_EQ(get(engine(), Family::kKv, "k"), "(none)");
  EXPECT_EQ(rows(engine(), Family::kKv), Rows{});
}

TEST_P(EngineContract, AWriteIsSeenAtOnceInItsFamilyOnly) {
  put(Family::kKv, "k", "v");
  EXPECT_EQ(get(engine(), Family::kKv, "k"), "v");
  EXPECT_EQ(get(engine(), Family::kDefault, "k"), "(none)");
}

TEST_P(EngineContract, AnEmptyValueIsAValue) {
  put(Family::kOpen, "k", "");
  EXPECT_EQ(get(engine(), Family::kOpen, "k"), "");
  EXPECT_EQ(rows(engine(), Family::kOpen), Rows{"k="});
}

TEST_P(EngineContract, ALaterChangeOfOneBatchWins) {
  Batch batch;
  batch.put(Family::kKv, "a", "1");
  batch.remove(Family::kKv, "a");
  batch.put(Family::kKv, "b", "1");
  batch.put(Family::kKv, "b", "2");
  write(batch);
  EXPECT_EQ(rows(engine(), Family::kKv), Rows{"b=2"});
}

TEST_P(EngineContract, RemovingWhatIsNotThereIsFine) {
  Batch batch;
  batch.remove(Family::kKv, "a");
  write(batch);
  EXPECT_EQ(rows(engine(), Family::kKv), Rows{});
}

TEST_P(EngineContract, AnEmptyBatchIsFine) {
  write(Batch{});
}

TEST_P(EngineContract, CursorsWalkInBytewiseOrderWithUnsignedBytes) {
  for (std::string key : {std::string("b"), std::string("a\0b", 3), std::string("a"), std::string("\xFF"),
                          std::string("a\xFF")}) {
    put(Family::kKv, key, "");
  }
  Rows expected = {"a=", std::string("a\0b=", 4), "a\xFF=", "b=", "\xFF="};
  EXPECT_EQ(rows(engine(), Family::kKv), expected);
}

TEST_P(EngineContract, SeekGoesToTheFirstKeyThatIsNotSmaller) {
  for (std::string key : {"a", "c", "e"}) put(Family::kKv, key, "1");
  EXPECT_EQ(rows(engine(), Family::kKv, "c"), (Rows{"c=1", "e=1"}));
  EXPECT_EQ(rows(engine(), Family::kKv, "d"), Rows{"e=1"});
  EXPECT_EQ(rows(engine(), Family::kKv, "f"), Rows{});
}

TEST_P(EngineContract, ACursorCanBeMovedBack) {
  for (std::string key : {"a", "b"}) put(Family::kKv, key, "1");
  auto cursor = engine().cursor(Family::kKv);
  cursor->seek("c");
  EXPECT_FALSE(cursor->valid());
  cursor->seek("a");
  ASSERT_TRUE(cursor->valid());
  EXPECT_EQ(cursor->key(), "a");
}

TEST_P(EngineContract, ACursorSeesTheStateOfTheMomentItWasMade) {
  for (std::string key : {"a", "b", "c"}) put(Family::kKv, key, "old");
  auto cursor = engine().cursor(Family::kKv);
  cursor->seek("a");
  ASSERT_TRUE(cursor->valid());
  std::string_view first = cursor->value();
  Batch batch;
  batch.put(Family::kKv, "a", "new");
  batch.remove(Family::kKv, "b");
  batch.put(Family::kKv, "bb", "new");
  write(batch);
  EXPECT_EQ(first, "old");
  cursor->next();
  ASSERT_TRUE(cursor->valid());
  EXPECT_EQ(cursor->key(), "b");
  cursor->next();
  ASSERT_TRUE(cursor->valid());
  EXPECT_EQ(cursor->key(), "c");
  EXPECT_EQ(rows(engine(), Family::kKv), (Rows{"a=new", "bb=new", "c=old"}));
}

TEST_P(EngineContract, ASnapshotIsOneStateOfAllFamilies) {
  put(Family::kKv, "a", "1");
  put(Family::kDefault, "d", "1");
  auto before = engine().snapshot();
  Batch batch;
  batch.put(Family::kKv, "a", "2");
  batch.remove(Family::kDefault, "d");
  write(batch);
  auto between = engine().snapshot();
  put(Family::kKv, "a", "3");
  EXPECT_EQ(get(*before, Family::kKv, "a"), "1");
  EXPECT_EQ(get(*before, Family::kDefault, "d"), "1");
  EXPECT_EQ(rows(*before, Family::kKv), Rows{"a=1"});
  EXPECT_EQ(get(*between, Family::kKv, "a"), "2");
  EXPECT_EQ(rows(*between, Family::kDefault), Rows{});
  before.reset();
  EXPECT_EQ(get(*between, Family::kKv, "a"), "2");
  between.reset();
  EXPECT_EQ(get(engine(), Family::kKv, "a"), "3");
}

TEST_P(EngineContract, ACursorOutlivesTheSnapshotsBesideIt) {
  put(Family::kKv, "a", "1");
  auto view = engine().snapshot();
  auto cursor = view->cursor(Family::kKv);
  cursor->seek("");
  put(Family::kKv, "a", "2");
  engine().snapshot().reset();
  ASSERT_TRUE(cursor->valid());
  EXPECT_EQ(cursor->value(), "1");
}

TEST_P(EngineContract, SyncedWritesSurviveACrash) {
  put(Family::kKv, "a", "1");
  put(Family::kOutbox, "b", "2");
  world().crash();
  EXPECT_EQ(get(engine(), Family::kKv, "a"), "1");
  EXPECT_EQ(get(engine(), Family::kOutbox, "b"), "2");
}

TEST_P(EngineContract, BufferedWritesSurviveACrashOfTheProcess) {
  Batch batch;
  batch.put(Family::kKv, "a", "1");
  write(batch, Durability::kBuffered);
  world().crash();
  EXPECT_EQ(get(engine(), Family::kKv, "a"), "1");
}

TEST_P(EngineContract, EverythingSurvivesAClose) {
  for (std::size_t i = 0; i < kFamilies; ++i) put(static_cast<Family>(i), "key", std::to_string(i));
  world().reopen();
  for (std::size_t i = 0; i < kFamilies; ++i) {
    EXPECT_EQ(get(engine(), static_cast<Family>(i), "key"), std::to_string(i));
  }
  put(Family::kKv, "key", "again");
  world().reopen();
  EXPECT_EQ(get(engine(), Family::kKv, "key"), "again");
}

TEST_P(EngineContract, ALargeBatchIsWholeAfterACrash) {
  Batch batch;
  for (int i = 0; i < 2000; ++i) batch.put(Family::kKv, "key" + std::to_string(i), std::string(1000, 'x'));
  write(batch);
  world().crash();
  EXPECT_EQ(rows(engine(), Family::kKv).size(), 2000u);
}

TEST_P(EngineContract, ACheckpointIsAWholeCopyThatLaterWritesDoNotTouch) {
  put(Family::kKv, "a", "1");
  std::string directory = world().new_directory();
  auto made = engine().checkpoint(directory);
  ASSERT_TRUE(made) << made.error().detail;
  put(Family::kKv, "a", "2");
  auto copy = world().open_checkpoint(directory);
  EXPECT_EQ(get(*copy, Family::kKv, "a"), "1");
  EXPECT_EQ(get(engine(), Family::kKv, "a"), "2");
}

TEST_P(EngineContract, ACheckpointOverAnExistingCopyIsRefused) {
  std::string directory = world().new_directory();
  ASSERT_TRUE(engine().checkpoint(directory));
  auto again = engine().checkpoint(directory);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().code, Code::kInvalid);
}

TEST_P(EngineContract, ManyRowsComeInAtOnceInOrderAndAreDurableWithTheNextSyncedWrite) {
  auto load = engine().bulk_load();
  std::vector<std::pair<Family, std::string>> rows;
  for (Family family : {Family::kKv, Family::kRequests, Family::kDuplicates}) {
    for (int i = 1000; i < 3000; ++i) rows.emplace_back(family, std::to_string(i));
  }
  for (const auto& [family, key] : rows) ASSERT_TRUE(load->add(family, key, std::string(100, key.back())));
  ASSERT_TRUE(load->finish());
  load.reset();
  for (const auto& [family, key] : rows) EXPECT_EQ(*engine().get(family, key), std::string(100, key.back()));
  EXPECT_EQ(*engine().get(Family::kOpen, "1000"), std::nullopt);
  Batch over;
  over.put(Family::kKv, "1000", "newer");
  over.remove(Family::kKv, "1001");
  ASSERT_TRUE(engine().write(over, Durability::kSynced));
  world().crash();
  EXPECT_EQ(*engine().get(Family::kKv, "1000"), "newer");
  EXPECT_EQ(*engine().get(Family::kKv, "1001"), std::nullopt);
  EXPECT_EQ(*engine().get(Family::kDuplicates, "2999"), std::string(100, '9'));
  world().reopen();
  EXPECT_EQ(*engine().get(Family::kDuplicates, "2999"), std::string(100, '9'));
}

TEST_P(EngineContract, RowsThatAreNotInOrderDoNotComeInAtOnce) {
  auto load = engine().bulk_load();
  ASSERT_TRUE(load->add(Family::kRequests, "b", "v"));
  for (const auto& [family, key] : std::vector<std::pair<Family, std::string>>{
           {Family::kRequests, "b"}, {Family::kRequests, "a"}, {Family::kKv, "c"}}) {
    auto refused = load->add(family, key, "v");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, Code::kInvalid);
  }
}

TEST_P(EngineContract, ALoadThatWasDroppedIsNotSeenAndAnotherOneCan) {
  {
    auto load = engine().bulk_load();
    ASSERT_TRUE(load->add(Family::kKv, "a", "dropped"));
  }
  EXPECT_EQ(*engine().get(Family::kKv, "a"), std::nullopt);
  auto empty = engine().bulk_load();
  EXPECT_TRUE(empty->finish());
  auto load = engine().bulk_load();
  ASSERT_TRUE(load->add(Family::kKv, "a", "kept"));
  ASSERT_TRUE(load->finish());
  EXPECT_EQ(*engine().get(Family::kKv, "a"), "kept");
}

TEST_P(EngineContract, StatsKnowTheDisk) {
  put(Family::kKv, "a", std::string(10'000, 'x'));
  EngineStats stats = engine().stats();
  EXPECT_GT(stats.disk_total_bytes, 0u);
  EXPECT_GT(stats.disk_free_bytes, 0u);
  EXPECT_GE(stats.disk_total_bytes, stats.disk_free_bytes);
  EXPECT_GT(stats.live_bytes, 0u);
}

TEST_P(EngineContract, ReadersBesideAWriterSeeWholeBatchesOnly) {
  std::atomic<bool> done{false};
  std::thread reader([&] {
    while (!done) {
      auto view = engine().snapshot();
      EXPECT_EQ(get(*view, Family::kKv, "a"), get(*view, Family::kOutbox, "b"));
      auto cursor = view->cursor(Family::kKv);
      cursor->seek("");
      if (cursor->valid()) {
        EXPECT_EQ(cursor->value(), get(*view, Family::kOutbox, "b"));
      }
    }
  });
  for (int i = 0; i < 500; ++i) {
    Batch batch;
    batch.put(Family::kKv, "a", std::to_string(i));
    batch.put(Family::kOutbox, "b", std::to_string(i));
    ASSERT_TRUE(engine().write(batch, Durability::kBuffered));
  }
  done = true;
  reader.join();
}

TEST_P(EngineContract, CompactionsDropRowsPastTheirEndAndNoOthers) {
  ResponseRow early{200, "text/plain", WallMs{1000}, "early"};
  ResponseRow late{200, "text/plain", WallMs{3000}, "late"};
  put(Family::kResponses, "early", encode_response(early));
  put(Family::kResponses, "late", encode_response(late));
  put(Family::kKv, "kv", encode_response(early));  // bytes alike, other family
  RequestRow over;
  over.claims["eu"] = Claim();
  RequestRow held = over;
  held.claims["eu"].hold = true;
  put(Family::kRequests, "held", encode_request_row(held));
  put(Family::kRequests, "over", encode_request_row(over));
  world().compact(WallMs{2000});
  EXPECT_EQ(get(engine(), Family::kResponses, "early"), "(none)");
  EXPECT_NE(get(engine(), Family::kResponses, "late"), "(none)");
  EXPECT_NE(get(engine(), Family::kKv, "kv"), "(none)");
  EXPECT_NE(get(engine(), Family::kRequests, "held"), "(none)");
  EXPECT_EQ(get(engine(), Family::kRequests, "over"), "(none)");
}

INSTANTIATE_TEST_SUITE_P(Rocks, EngineContract, testing::Values(make_rocks_world));
INSTANTIATE_TEST_SUITE_P(Sim, EngineContract, testing::Values(make_sim_world));

}  // namespace
}  // namespace refrain::store
