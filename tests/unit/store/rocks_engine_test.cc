// SPDX-License-Identifier: Apache-2.0
// What happens to RocksDB's files, done to them by hand: a store that lost something is refused.
#include "store/rocks_engine.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <thread>
#include <vector>

#include "tests/unit/store/temporary_directory.h"

namespace refrain::store {
namespace {

namespace fs = std::filesystem;

RocksOptions small() {
  RocksOptions options;
  options.cache_bytes = 8 << 20;
  options.write_buffer_bytes = 1 << 20;
  options.reserve_bytes = 0;
  return options;
}

class RocksFiles : public testing::Test {
 protected:
  std::unique_ptr<RocksEngine> open() {
    auto engine = RocksEngine::open(directory_, small());
    EXPECT_TRUE(engine) << engine.error().detail;
    return engine ? std::move(*engine) : nullptr;
  }
  Error refusal() {
    auto engine = RocksEngine::open(directory_, small());
    EXPECT_FALSE(engine) << "opened with less";
    return engine ? Error{} : engine.error();
  }
  static void put(Engine& engine, const std::string& key, const std::string& value) {
    Batch batch;
    batch.put(Family::kKv, key, value);
    auto written = engine.write(batch, Durability::kSynced);
    ASSERT_TRUE(written) << written.error().detail;
  }
  static void fill(Engine& engine, int from, int to) {
    for (int i = from; i < to; ++i)
      put(engine, "key" + std::to_string(i), std::string(500, static_cast<char>('a' + i % 26)));
  }
  /// The store as kill -9 leaves it.
  void kill(std::unique_ptr<RocksEngine> engine) {
    fs::copy(directory_, root_ / "killed", fs::copy_options::recursive);
    engine.reset();
    directory_ = root_ / "killed";
  }
  std::vector<std::string> files(const std::string& part) {
    std::vector<std::string> found;
    for (const auto& file : fs::directory_iterator(directory_)) {
      if (file.path().filename().string().find(part) != std::string::npos)
        found.push_back(file.path().string());
    }
    std::sort(found.begin(), found.end());
    return found;
  }
  void expect_damage(const Error& error, const std::string& word) {
    EXPECT_EQ(error.code, Code::kCorrupt) << error.detail;
    EXPECT_NE(error.detail.find(directory_), std::string::npos) << error.detail;
    EXPECT_NE(error.detail.find(word), std::string::npos) << error.detail;
    EXPECT_NE(error.detail.find("another name"), std::string::npos) << error.detail;
  }
  TemporaryDirectory root_;
  std::string directory_ = root_ / "db";
};

void flip(const std::string& path, std::size_t at) {
  std::string bytes = read_whole(path);
  ASSERT_LT(at, bytes.size());
  bytes[at] = static_cast<char>(bytes[at] ^ 0x10);
  write_whole(path, bytes);
}

TEST_F(RocksFiles, AFlippedBitInTheMiddleOfTheLogIsRefusedThoughRocksDbsDefaultWouldDropTheRest) {
  auto engine = open();
  fill(*engine, 0, 100);
  kill(std::move(engine));
  std::string log = files(".log").back();
  flip(log, read_whole(log).find("key50"));
  expect_damage(refusal(), log);
}

TEST_F(RocksFiles, AnUnfinishedLastRecordIsAnUnacknowledgedWriteAndGoes) {
  auto engine = open();
  fill(*engine, 0, 10);
  kill(std::move(engine));
  std::string log = files(".log").back();
  std::string bytes = read_whole(log);
  write_whole(log, bytes.substr(0, bytes.find("key9") + 100));
  auto again = open();
  EXPECT_TRUE(again->get(Family::kKv, "key8")->has_value());
  EXPECT_FALSE(again->get(Family::kKv, "key9")->has_value());
}

TEST_F(RocksFiles, WhatACrashLeavesOfALoadOfManyRowsGoesWithTheNextStart) {
  auto loading = [&] { return files("loading-").size(); };
  auto engine = open();
  auto load = engine->bulk_load();
  ASSERT_TRUE(load->add(Family::kKv, "a", "v"));
  EXPECT_EQ(loading(), 1u);
  load.reset();
  EXPECT_EQ(loading(), 0u) << "dropped";
  engine.reset();
  write_whole(directory_ + "/loading-7", "half a table");
  engine = open();
  EXPECT_EQ(loading(), 0u) << "left of a crash";
  EXPECT_EQ(*engine->get(Family::kKv, "a"), std::nullopt);
}

TEST_F(RocksFiles, LostLogsAreRefused) {
  auto engine = open();
  fill(*engine, 0, 10);
  kill(std::move(engine));
  for (const std::string& log : files(".log")) fs::remove(log);
  expect_damage(refusal(), "log");
}

TEST_F(RocksFiles, ALostOlderLogIsRefused) {
  auto engine = open();
  Batch early;
  early.put(Family::kDefault, "early", "stays in memory, so its log is kept");
  ASSERT_TRUE(engine->write(early, Durability::kSynced));
  for (int i = 0; i < 30; ++i)
    put(*engine, "key" + std::to_string(i), std::string(100'000, 'x'));  // begins a second log
  kill(std::move(engine));
  std::vector<std::string> logs = files(".log");
  ASSERT_GE(logs.size(), 2u);
  fs::remove(logs.front());
  EXPECT_EQ(refusal().code, Code::kCorrupt);
}

TEST_F(RocksFiles, AfterACleanStopALostWriteIsRefused) {
  auto engine = open();
  fill(*engine, 0, 10);
  engine.reset();
  // As if the disk had gone back to an earlier state of the log and forgotten the table.
  std::string mark = directory_ + "/CLEAN_STOP";
  ASSERT_TRUE(fs::exists(mark));
  write_whole(mark, "00000000000000ff");
  expect_damage(refusal(), "lost writes");
}

TEST_F(RocksFiles, TheMarkOfACleanStopGoesWithTheNextStartAndComesBackWithTheNextStop) {
  std::string mark = directory_ + "/CLEAN_STOP";
  for (int round = 0; round < 3; ++round) {
    auto engine = open();
    ASSERT_NE(engine, nullptr);
    EXPECT_FALSE(fs::exists(mark));
    if (round == 1) fill(*engine, 0, 5);  // and once nothing
    engine.reset();
    EXPECT_TRUE(fs::exists(mark));
  }
}

TEST_F(RocksFiles, ALostCurrentIsRefusedThoughRocksDbWouldMakeANewStore) {
  auto engine = open();
  fill(*engine, 0, 10);
  engine.reset();
  fs::remove(directory_ + "/CURRENT");
  expect_damage(refusal(), "CURRENT");
}

TEST_F(RocksFiles, ALostOrDamagedManifestIsRefused) {
  auto engine = open();
  fill(*engine, 0, 10);
  engine.reset();
  std::string manifest = files("MANIFEST").back();
  std::string bytes = read_whole(manifest);
  flip(manifest, bytes.size() / 2);
  EXPECT_EQ(refusal().code, Code::kCorrupt);
  fs::remove(manifest);
  EXPECT_EQ(refusal().code, Code::kCorrupt);
}

TEST_F(RocksFiles, AManifestThatLostItsEndIsRefusedOrNothingIsMissing) {
  RocksOptions options = small();
  options.write_buffer_bytes = 64 << 10;  // several tables, and logs that are gone
  options.max_total_wal_bytes = 256 << 10;
  auto opened = RocksEngine::open(directory_, options);
  ASSERT_TRUE(opened);
  auto engine = std::move(*opened);
  for (int i = 0; i < 600; ++i) {
    Batch batch;
    batch.put(Family::kKv, "key" + std::to_string(i), std::string(500, 'x'));
    batch.put(Family::kOutbox, "key" + std::to_string(i), std::string(300, 'y'));
    batch.put(Family::kDefault, "newest", std::to_string(i));
    ASSERT_TRUE(engine->write(batch, Durability::kBuffered));
  }
  std::string killed = root_ / "killed";
  ASSERT_TRUE(engine->checkpoint(killed));  // as they are: a copy by hand would race with flushes
  engine.reset();
  directory_ = killed;
  std::string name = fs::path(files("MANIFEST").back()).filename().string();
  std::string whole = read_whole(killed + "/" + name);
  std::size_t refused = 0;
  for (std::size_t size = 0; size <= whole.size(); size += 61) {
    directory_ = root_ / ("cut" + std::to_string(size));
    fs::copy(killed, directory_);
    write_whole(directory_ + "/" + name, whole.substr(0, size));
    auto cut = RocksEngine::open(directory_, options);
    if (!cut) {
      ++refused;
      EXPECT_EQ(cut.error().code, Code::kCorrupt) << size << ": " << cut.error().detail;
      continue;
    }
    for (int i = 0; i < 600; ++i) {
      ASSERT_TRUE((*cut)->get(Family::kKv, "key" + std::to_string(i))->has_value()) << size << ": " << i;
      ASSERT_TRUE((*cut)->get(Family::kOutbox, "key" + std::to_string(i))->has_value()) << size << ": " << i;
    }
  }
  EXPECT_GT(refused, 0u) << "how many depends on when tables were written";
}

TEST_F(RocksFiles, ALostTableIsRefused) {
  auto engine = open();
  fill(*engine, 0, 10);
  engine.reset();
  fs::remove(files(".sst").back());
  expect_damage(refusal(), "No such file");
}

TEST_F(RocksFiles, ADamagedTableIsAnErrorWhereItIsReadNeverAMissingKey) {
  auto engine = open();
  fill(*engine, 0, 10);
  engine.reset();
  for (const std::string& table : files(".sst")) flip(table, 20);
  auto again = RocksEngine::open(directory_, small());
  if (!again) return expect_damage(again.error(), ".sst");
  auto value = (*again)->get(Family::kKv, "key5");
  ASSERT_FALSE(value);
  EXPECT_EQ(value.error().code, Code::kCorrupt);
  auto cursor = (*again)->cursor(Family::kKv);
  cursor->seek("");
  EXPECT_FALSE(cursor->valid());
  EXPECT_FALSE(cursor->status());
}

TEST_F(RocksFiles, AStoreOpenInAnotherProcessSaysSo) {
  auto engine = open();
  auto second = RocksEngine::open(directory_, small());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().slug, "locked") << second.error().detail;
}

TEST_F(RocksFiles, TheWatchdogBarksWhenAnOpenDoesNotComeBack) {
  open().reset();
  std::string current = directory_ + "/CURRENT";
  fs::remove(current);
  ASSERT_EQ(::mkfifo(current.c_str(), 0600), 0);  // reading it waits until somebody writes
  RocksOptions options = small();
  options.open_timeout = Milliseconds{1};
  std::string reason;
  options.on_open_timeout = [&](const std::string& why) {
    reason = why;
    std::ofstream writer(current);  // lets the reader in, to an empty file
    fs::remove(current);
    write_whole(current, "");
  };
  EXPECT_FALSE(RocksEngine::open(directory_, options));
  EXPECT_NE(reason.find("did not open within 1 ms"), std::string::npos) << reason;
}

/// A disk of 48 MiB. Needs root.
class RocksDisk : public testing::Test {
 protected:
  void SetUp() override {
    mounted_ = ::geteuid() == 0 && ::mount("tmpfs", root_.path().c_str(), "tmpfs", 0, "size=48m") == 0;
    if (!mounted_) GTEST_SKIP() << "cannot mount a small disk";
  }
  void TearDown() override {
    engine_.reset();
    if (mounted_) ::umount(root_.path().c_str());
  }
  void open(const RocksOptions& options) {
    auto engine = RocksEngine::open(root_ / "db", options);
    ASSERT_TRUE(engine) << engine.error().detail;
    engine_ = std::move(*engine);
  }
  Result<void> put(const std::string& key, const std::string& value) {
    Batch batch;
    batch.put(Family::kKv, key, value);
    return engine_->write(batch, Durability::kSynced);
  }
  /// Writes until one is refused; how many were not.
  int fill() {
    std::mt19937 random(1);
    for (int i = 0; i < 1000; ++i) {
      std::string noise(100'000, '\0');
      for (char& c : noise) c = static_cast<char>(random());
      refused_ = put("key" + std::to_string(i), noise);
      if (!refused_) return i;
    }
    return 1000;
  }
  void expect_all_there(int keys) {
    for (int i = 0; i < keys; ++i)
      EXPECT_TRUE(engine_->get(Family::kKv, "key" + std::to_string(i))->has_value()) << i;
  }
  std::string ballast() { return root_ / "ballast"; }

  TemporaryDirectory root_;
  bool mounted_ = false;
  std::unique_ptr<RocksEngine> engine_;
  Result<void> refused_;
};

TEST_F(RocksDisk, AFullDiskRefusesWritesKeepsReadsAndTakesWritesAgainOnceThereIsRoom) {
  RocksOptions options = small();
  options.reserve_bytes.reset();
  open(options);
  write_whole(ballast(), std::string(20 << 20, 'x'));
  int there = fill();
  ASSERT_FALSE(refused_);
  EXPECT_EQ(refused_.error().slug, "disk_full") << refused_.error().detail;
  EXPECT_EQ(refused_.error().code, Code::kUnavailable);
  EXPECT_NE(refused_.error().detail.find("reserve"), std::string::npos) << refused_.error().detail;
  expect_all_there(there);
  fs::remove(ballast());
  auto again = put("again", "1");
  EXPECT_TRUE(again) << again.error().detail;
}

TEST_F(RocksDisk, WithoutAReserveRocksDbsOwnRefusalLosesNothingAndHealsAtTheLatestWhenItIsOpenedAgain) {
  open(small());
  write_whole(ballast(), std::string(20 << 20, 'x'));
  int there = fill();
  ASSERT_FALSE(refused_);
  expect_all_there(there);
  fs::remove(ballast());
  Result<void> again = refused_;
  // RocksDB recovers in a thread of its own.
  auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!again && again.error().code == Code::kUnavailable && std::chrono::steady_clock::now() < deadline) {
    ASSERT_EQ(again.error().slug, "disk_full") << again.error().detail;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    again = put("again", "1");
  }
  if (!again) {
    ASSERT_EQ(again.error().code, Code::kUnknown) << again.error().detail;
    EXPECT_EQ(put("again", "1").error().slug, "store_failed");
    engine_.reset();
    open(small());
    again = put("again", "1");
  }
  ASSERT_TRUE(again) << again.error().detail;
  expect_all_there(there);
  engine_.reset();
  open(small());
  expect_all_there(there);
  EXPECT_TRUE(engine_->get(Family::kKv, "again")->has_value());
}

}  // namespace
}  // namespace refrain::store
