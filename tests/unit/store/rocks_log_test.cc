// SPDX-License-Identifier: Apache-2.0
// The ends of RocksDB's logs: what a power cut leaves is told from what is damaged.
#include "store/rocks_log.h"

#include <gtest/gtest.h>

#include <string>

#include "store/rocks_engine.h"
#include "tests/unit/store/temporary_directory.h"

namespace refrain::store {
namespace {

using State = LogEnd::State;

/// A log as RocksDB itself writes it, of a few records; the last ones over a page long, some over a block.
class RocksLog : public testing::Test {
 protected:
  void SetUp() override {
    {
      RocksOptions options;
      options.cache_bytes = 8 << 20;
      options.reserve_bytes = 0;
      auto engine = RocksEngine::open(directory_, options);
      ASSERT_TRUE(engine) << engine.error().detail;
      for (int i = 0; i < 40; ++i) {
        Batch batch;
        batch.put(Family::kKv, "key" + std::to_string(i),
                  std::string(300 + 300 * i, static_cast<char>('a' + i % 26)));
        ASSERT_TRUE((*engine)->write(batch, Durability::kBuffered));
        if (i == 38) before_last_ = read_whole(log()).size();
      }
      bytes_ = read_whole(log());
    }
    ASSERT_GT(bytes_.size(), before_last_ + 10'000);
    ASSERT_GT(before_last_, 3 * 32'768U);
  }
  std::string log() const {
    std::string newest;
    for (const auto& file : std::filesystem::directory_iterator(directory_)) {
      if (file.path().extension() == ".log") newest = std::max(newest, file.path().string());
    }
    return newest;
  }
  std::string with(std::size_t at, char flipped) const {
    std::string bytes = bytes_;
    bytes[at] = static_cast<char>(bytes[at] ^ flipped);
    return bytes;
  }
  /// From the next sector on, as if it had not been written.
  std::string zeroed(std::size_t from) const {
    std::string bytes = bytes_;
    std::fill(bytes.begin() + static_cast<std::ptrdiff_t>((from + 511) / 512 * 512), bytes.end(), '\0');
    return bytes;
  }

  TemporaryDirectory root_;
  std::string directory_ = root_ / "db";
  std::string bytes_;
  std::size_t before_last_ = 0;
};

TEST_F(RocksLog, AWholeLogIsWholeToItsLastByte) {
  LogEnd end = log_end(bytes_);
  EXPECT_EQ(end.state, State::kWhole);
  EXPECT_EQ(end.whole_bytes, bytes_.size());
  EXPECT_EQ(log_end("").state, State::kWhole);
}

TEST_F(RocksLog, CutAnywhereItIsUnfinishedOrWholeAndKeepsTheRecordsBefore) {
  for (std::size_t size = before_last_ - 2'000; size < bytes_.size(); size += 7) {
    LogEnd end = log_end(std::string_view(bytes_).substr(0, size));
    EXPECT_TRUE(end.state == State::kUnfinished || end.whole_bytes == size) << size;
    EXPECT_TRUE(size < before_last_ || end.whole_bytes == before_last_) << size;
  }
}

TEST_F(RocksLog, ATailOfZerosFromASectorOnIsTorn) {
  for (std::size_t from = before_last_ + 1; from + 512 < bytes_.size(); from += 100) {
    LogEnd end = log_end(zeroed(from));
    EXPECT_EQ(end.state, State::kTorn) << from;
    EXPECT_EQ(end.whole_bytes, before_last_) << from;
  }
  LogEnd end = log_end(bytes_ + std::string(5'000, '\0'));
  EXPECT_EQ(end.state, State::kTorn);
  EXPECT_EQ(end.whole_bytes, bytes_.size());
}

TEST_F(RocksLog, AFlippedBitAnywhereIsDamage) {
  for (std::size_t at = 0; at < bytes_.size(); at += 401)
    EXPECT_EQ(log_end(with(at, 0x10)).state, State::kDamaged) << at;
}

TEST_F(RocksLog, ALengthThatPointsPastTheEndIsDamageThoughRocksDbWouldDropTheRest) {
  std::string few = bytes_.substr(0, 2'000);
  few[4] = '\xff';  // of the first record
  few[5] = '\x7f';
  EXPECT_EQ(log_end(few).state, State::kDamaged);
}

TEST_F(RocksLog, ZerosWithARecordBehindThemAreDamage) {
  std::string bytes = bytes_;
  std::fill(bytes.begin() + 4'096, bytes.begin() + 8'192, '\0');
  EXPECT_EQ(log_end(bytes).state, State::kDamaged);
}

TEST_F(RocksLog, ATornEndIsCutOffOnDiskAndTheStoreOpensWithTheRecordsBefore) {
  std::string torn = root_ / "torn";
  {
    RocksOptions options;
    options.cache_bytes = 8 << 20;
    options.reserve_bytes = 0;
    auto engine = RocksEngine::open(torn, options);
    ASSERT_TRUE(engine);
    for (const char* key : {"first", "second"}) {
      Batch batch;
      batch.put(Family::kKv, key, std::string(6'000, 'x'));
      ASSERT_TRUE((*engine)->write(batch, Durability::kBuffered));
    }
    std::filesystem::copy(torn, directory_ + "2", std::filesystem::copy_options::recursive);
  }
  directory_ += "2";
  std::string whole = read_whole(log());
  ASSERT_GT(whole.size(), 12'000U);
  write_whole(log(), whole.substr(0, 8'192) + std::string(whole.size() - 8'192, '\0'));
  RocksOptions options;
  options.cache_bytes = 8 << 20;
  options.reserve_bytes = 0;
  auto engine = RocksEngine::open(directory_, options);
  ASSERT_TRUE(engine) << engine.error().detail;
  EXPECT_TRUE((*engine)->get(Family::kKv, "first")->has_value());
  EXPECT_FALSE((*engine)->get(Family::kKv, "second")->has_value());
}

TEST_F(RocksLog, ADamagedLogIsRefusedByName) {
  std::filesystem::create_directories(root_ / "hurt");
  std::string path = root_ / "hurt/000007.log";
  write_whole(path, with(200, 1));
  auto mended = mend_logs(root_ / "hurt");
  ASSERT_FALSE(mended);
  EXPECT_EQ(mended.error().code, Code::kCorrupt);
  EXPECT_NE(mended.error().detail.find(path), std::string::npos) << mended.error().detail;
  EXPECT_NE(mended.error().detail.find("another name"), std::string::npos) << mended.error().detail;
}

}  // namespace
}  // namespace refrain::store
