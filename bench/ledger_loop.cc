// SPDX-License-Identifier: Apache-2.0
// Durable commits without HTTP: the ledger on the RocksDB engine, then a bare RocksDB loop that writes the
// very same batches to the same column families, synced too. Prints one line of JSON.
//
//   bench_ledger_loop DIRECTORY [COMMITS] [COMMITS_IN_A_BATCH] [VALUE_BYTES]
//
// The batches of the bare loop come from a third run, which keeps them: neither measured run pays for that.
#include <rocksdb/db.h>
#include <rocksdb/write_batch.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "node/ledger.h"
#include "store/draft.h"
#include "store/meta.h"
#include "store/rocks_engine.h"

namespace {

using namespace refrain;
using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "bench_ledger_loop: %s\n", why.c_str());
  std::exit(1);
}

template <typename T>
T need(Result<T> result) {
  if (!result) fail(result.error().detail);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

/// Passes everything on and keeps the batches.
class Keeper final : public store::Engine {
 public:
  explicit Keeper(store::Engine& engine) : engine_(engine) {}
  Result<std::optional<std::string>> get(store::Family family, std::string_view key) const override {
    return engine_.get(family, key);
  }
  std::unique_ptr<store::Cursor> cursor(store::Family family) const override {
    return engine_.cursor(family);
  }
  Result<void> write(const store::Batch& batch, store::Durability durability) override {
    batches.push_back(batch);
    return engine_.write(batch, durability);
  }
  std::unique_ptr<store::View> snapshot() const override { return engine_.snapshot(); }
  Result<void> checkpoint(const std::string& directory) override { return engine_.checkpoint(directory); }
  store::EngineStats stats() const override { return engine_.stats(); }

  std::vector<store::Batch> batches;

 private:
  store::Engine& engine_;
};

struct Work {
  int commits = 200'000;
  int in_a_batch = 64;
  std::size_t value = 100;
};

struct Took {
  double seconds = 0;
  double record_bytes = 0;  // of a commit on its way out, on average
};

/// Made beforehand: the bare loop gets its rows ready-made, too.
std::vector<store::Put> puts_of(const Work& work) {
  std::mt19937_64 random(1);
  std::vector<store::Put> puts;
  puts.reserve(static_cast<std::size_t>(work.commits));
  for (int i = 0; i < work.commits; ++i) {
    std::string value(work.value, 'v');
    for (auto& c : value) c = static_cast<char>('a' + random() % 26);
    puts.push_back({"bench", "key" + std::to_string(i), std::move(value), std::nullopt, {}});
  }
  return puts;
}

Took run_ledger(store::Engine& engine, const Work& work) {
  store::Draft draft(engine);
  store::Meta::set_identity(draft, {{7}, "eu", {11}, false, {}, false, false});
  need(engine.write(draft.take(), store::Durability::kSynced));
  node::Config config;
  auto ledger =
      need(node::Ledger::load(engine, config, [](auto&, auto&, auto&, WallMs) { return Result<void>(); }));
  std::vector<store::Put> puts = puts_of(work);
  std::uint64_t bytes = 0;
  auto start = Clock::now();
  for (int done = 0; done < work.commits;) {
    auto wall = std::chrono::system_clock::now().time_since_epoch();
    ledger->start({std::chrono::duration_cast<Milliseconds>(wall).count()});
    for (int i = 0; i < work.in_a_batch && done < work.commits; ++i, ++done) {
      std::vector<store::Operation> operations;
      operations.emplace_back(std::move(puts[static_cast<std::size_t>(done)]));
      need(ledger->append(need(ledger->mint()), std::move(operations), false));
    }
    need(ledger->write());
    for (const auto& commit : ledger->take_new_commits()) bytes += commit.bytes.size();
  }
  return {std::chrono::duration<double>(Clock::now() - start).count(),
          static_cast<double>(bytes) / work.commits};
}

double run_bare(const std::string& directory, const std::vector<store::Batch>& batches) {
  rocksdb::DBOptions options;
  options.create_if_missing = true;
  options.create_missing_column_families = true;
  options.max_background_jobs = 2;
  options.max_total_wal_size = 128 << 20;
  std::vector<rocksdb::ColumnFamilyDescriptor> families;
  for (std::size_t i = 0; i < store::kFamilies; ++i) {
    std::string name(store::family_name(static_cast<store::Family>(i)));
    families.emplace_back(name, rocksdb::ColumnFamilyOptions());
  }
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* opened = nullptr;
  auto status = rocksdb::DB::Open(options, directory, families, &handles, &opened);
  if (!status.ok()) fail(status.ToString());
  std::unique_ptr<rocksdb::DB> db(opened);
  rocksdb::WriteOptions write;
  write.sync = true;
  auto start = Clock::now();
  for (const auto& batch : batches) {
    rocksdb::WriteBatch rows;
    for (const auto& change : batch.changes()) {
      auto* family = handles[static_cast<std::size_t>(change.family)];
      status = change.value ? rows.Put(family, change.key, *change.value) : rows.Delete(family, change.key);
      if (!status.ok()) fail(status.ToString());
    }
    status = db->Write(write, &rows);
    if (!status.ok()) fail(status.ToString());
  }
  double took = std::chrono::duration<double>(Clock::now() - start).count();
  for (auto* handle : handles) db->DestroyColumnFamilyHandle(handle);
  return took;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) fail("usage: bench_ledger_loop DIRECTORY [COMMITS] [COMMITS_IN_A_BATCH] [VALUE_BYTES]");
  std::string directory = argv[1];
  std::filesystem::create_directories(directory);
  Work work;
  if (argc > 2) work.commits = std::atoi(argv[2]);
  if (argc > 3) work.in_a_batch = std::atoi(argv[3]);
  if (argc > 4) work.value = static_cast<std::size_t>(std::atoi(argv[4]));
  if (work.commits < 1 || work.in_a_batch < 1) fail("commits and commits in a batch are at least 1");

  Took ours;
  {
    auto engine = need(store::RocksEngine::open(directory + "/ours", {}));
    ours = run_ledger(*engine, work);
  }
  std::vector<store::Batch> batches;
  {
    auto engine = need(store::RocksEngine::open(directory + "/kept", {}));
    Keeper keeper(*engine);
    run_ledger(keeper, work);
    batches = std::move(keeper.batches);
  }
  double bare = run_bare(directory + "/bare", batches);
  std::printf(R"({"ours_per_second":%.1f,"bare_per_second":%.1f,"record_bytes":%.2f})"
              "\n",
              work.commits / ours.seconds, work.commits / bare, ours.record_bytes);
}
