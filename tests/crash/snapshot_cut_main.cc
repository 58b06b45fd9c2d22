// SPDX-License-Identifier: Apache-2.0
// refrain-snapshot-cut: cuts the power at every operation of the disk while a snapshot comes in on real
// RocksDB, and opens what survives: it must be empty or installing, or hold the whole snapshot.
//
//     refrain-snapshot-cut [--lie] [SEED]
//
// A cut is a process of its own, since the threads that meet it never go on. Exit code 0 = nothing was wrong;
// with --lie, a disk that says synced and has nothing synced: something was.
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "power_disk.h"
#include "store/draft.h"
#include "store/kv.h"
#include "store/meta.h"
#include "store/rocks_engine.h"
#include "store/sim_engine.h"
#include "store/snapshot.h"

namespace refrain::crash {
namespace {

namespace fs = std::filesystem;
using Rows = std::map<std::string, std::string>;
enum Verdict : int { kGood = 0, kWrong = 1, kNoCut = 3 };

constexpr unsigned kSecondsACut = 60;
constexpr std::uint64_t kMostCuts = 5'000;

template <class T>
T must(Result<T> result) {
  if (result) return std::move(*result);
  fmt::print(stderr, "{}\n", result.error().detail);
  std::exit(2);
}
void must(const Result<void>& result) {
  if (result) return;
  fmt::print(stderr, "{}\n", result.error().detail);
  std::exit(2);
}

store::Identity identity_of(const char* node, std::uint64_t incarnation) {
  store::Identity identity;
  identity.cluster = {7};
  identity.node = node;
  identity.incarnation = {incarnation};
  return identity;
}

void write_identity(store::Engine& engine, const store::Identity& identity) {
  store::Draft draft(engine);
  store::Meta::set_identity(draft, identity);
  must(engine.write(draft.take(), store::Durability::kSynced));
}

std::vector<std::string> snapshot_of_a_source() {
  store::SimDisk disk;
  auto engine = must(store::SimEngine::open(disk));
  write_identity(*engine, identity_of("eu", 1));
  store::Draft draft(*engine);
  store::Meta::set_applied(draft, {"eu", {1}}, {{5}, {50}});
  store::Meta::set_member(draft, 1, "found");
  for (int i = 0; i < 3'000; ++i) {
    std::string key = "key" + std::to_string(i);
    std::string value(300, static_cast<char>('a' + i % 26));
    store::KvRecord row;
    row.version = {{static_cast<std::uint64_t>(i)}, "eu"};
    row.value = value;
    draft.put(store::Family::kKv, store::kv_key("ns", key), store::encode(row));
    for (store::Family family : {store::Family::kRequests, store::Family::kConflicts})
      draft.put(family, key, value);
  }
  must(engine->write(draft.take(), store::Durability::kSynced));
  auto writer = must(store::SnapshotWriter::start(engine->snapshot()));
  std::vector<std::string> blocks;
  while (auto block = must(writer->next())) blocks.push_back(*block);
  blocks.push_back(writer->finish());
  return blocks;
}

/// All but the identity.
Rows rows_of(const store::Engine& engine) {
  Rows rows;
  for (std::size_t i = 0; i < store::kFamilies; ++i) {
    auto family = static_cast<store::Family>(i);
    auto cursor = engine.cursor(family);
    for (cursor->seek(""); cursor->valid(); cursor->next()) {
      if (cursor->key() != "identity")
        rows[std::string(store::family_name(family)) + "/" + std::string(cursor->key())] = cursor->value();
    }
    must(cursor->status());
  }
  return rows;
}

store::RocksOptions small(rocksdb::Env* env) {
  store::RocksOptions options;
  options.cache_bytes = 8 << 20;
  options.write_buffer_bytes = 4 << 20;
  options.reserve_bytes = 0;
  options.env = env;
  return options;
}

void load(store::Engine& engine, const std::vector<std::string>& blocks) {
  auto loader = must(store::SnapshotLoader::start(engine, identity_of("us", 9)));
  for (const std::string& block : blocks) must(loader->feed(block));
  must(loader->finish());
}

/// What is wrong with what survived; empty = nothing.
std::string wrong_with(const std::string& directory, const Rows& whole, bool finished, bool garbage) {
  auto opened = store::RocksEngine::open(directory, small(nullptr));
  // A tail of garbage cannot be told from a record that was there and is damaged.
  bool refused = !opened && garbage &&
                 opened.error().detail.find(" has a wrong record behind byte ") != std::string::npos;
  if (refused) return {};
  if (!opened) return "it does not open: " + opened.error().detail;
  store::Engine& engine = **opened;
  auto identity = store::Meta::identity(engine);
  if (!identity || !*identity) return "its identity is gone";
  Rows rows = rows_of(engine);
  if (!(*identity)->installing && !rows.empty() && rows != whole)
    return fmt::format("it says that it is whole and has {} of {} rows", rows.size(), whole.size());
  if (finished && ((*identity)->installing || rows.empty()))
    return "finish() came back and the rows are gone";
  must(store::empty_store(engine));
  if (!rows_of(engine).empty()) return "it cannot be emptied";
  return {};
}

[[noreturn]] void cut(const std::string& root, std::uint64_t n, std::uint64_t seed, bool lie,
                      const std::vector<std::string>& blocks, const Rows& whole) {
  ::alarm(kSecondsACut);
  simulation::Dice dice(seed * 10'007 + n);
  std::string before = root + "/before";
  std::string after = root + "/after";
  {
    auto engine = must(store::RocksEngine::open(before, small(nullptr)));
    write_identity(*engine, identity_of("us", 9));
  }
  std::mutex mutex;
  std::condition_variable changed;
  bool stopped = false;
  bool done = false;
  auto tell = [&](bool& what) {
    std::lock_guard lock(mutex);
    what = true;
    changed.notify_all();
  };
  auto* disk = new PowerDisk(before, [&] { tell(stopped); });  // threads stand still in it: it never goes
  disk->lie_about_syncs(lie);
  disk->cut_at(n);
  std::thread([&] {
    auto engine = must(store::RocksEngine::open(before, small(disk->env())));
    load(*engine, blocks);
    tell(done);
    static auto* kept = engine.release();  // its closing is no part of this
    (void)kept;
  }).detach();
  {
    std::unique_lock lock(mutex);
    changed.wait(lock, [&] { return stopped || done; });
  }
  bool past_the_end = done && !disk->cut();
  if (past_the_end) disk->cut_now();
  constexpr Loss::Bytes kBytes[] = {Loss::Bytes::kNone, Loss::Bytes::kPrefix, Loss::Bytes::kAll,
                                    Loss::Bytes::kZeros, Loss::Bytes::kGarbage};
  constexpr Loss::Names kNames[] = {Loss::Names::kNone, Loss::Names::kPrefix, Loss::Names::kAll};
  Loss loss{kBytes[dice.below(5)], kNames[dice.below(3)]};
  disk->survive(after, loss, dice);
  std::string wrong = wrong_with(after, whole, past_the_end, loss.bytes == Loss::Bytes::kGarbage);
  if (!wrong.empty())
    fmt::print("cut at {} ({}; bytes {}, names {}): {}\n", n, disk->place(), name_of(loss.bytes),
               name_of(loss.names), wrong);
  std::fflush(stdout);
  ::_exit(!wrong.empty() ? kWrong : past_the_end ? kNoCut : kGood);
}

int run(std::uint64_t seed, bool lie) {
  auto blocks = snapshot_of_a_source();
  store::SimDisk disk;
  auto engine = must(store::SimEngine::open(disk));
  load(*engine, blocks);
  Rows whole = rows_of(*engine);
  std::uint64_t wrong = 0, cuts = 0;
  for (std::uint64_t n = 1; n <= kMostCuts; ++n) {
    std::string pattern = (fs::temp_directory_path() / "refrain-snapshot-cut-XXXXXX").string();
    std::string root = ::mkdtemp(pattern.data());
    std::fflush(stdout);
    pid_t child = ::fork();
    if (child == 0) cut(root, n, seed, lie, blocks, whole);
    int status = 0;
    ::waitpid(child, &status, 0);
    fs::remove_all(root);
    int verdict = WIFEXITED(status) ? WEXITSTATUS(status) : kWrong;
    if (!WIFEXITED(status)) fmt::print("cut at {}: the process ended with status {:#x}\n", n, status);
    if (verdict == kNoCut) break;
    ++cuts;
    if (verdict != kGood) ++wrong;
    if (lie && wrong > 0) break;
  }
  fmt::print("{} cuts, {} wrong\n", cuts, wrong);
  bool enough = cuts > 20 || lie;
  return lie ? wrong == 0 : (wrong > 0 || !enough);
}

}  // namespace
}  // namespace refrain::crash

int main(int count, char** words) {
  bool lie = false;
  std::uint64_t seed = 1;
  for (int i = 1; i < count; ++i) {
    if (std::strcmp(words[i], "--lie") == 0)
      lie = true;
    else
      seed = std::strtoull(words[i], nullptr, 10);
  }
  return refrain::crash::run(seed, lie);
}
