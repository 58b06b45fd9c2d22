// SPDX-License-Identifier: Apache-2.0
// What forgetting costs the writes: durable commits through the ledger on RocksDB, every second one a delete
// of a key that was put before, in a store that has other keys too. Once without collecting, once with the
// floor just behind the newest batch and the collector at work all along. Prints one line of JSON.
//
//   bench_collect_loop DIRECTORY [COMMITS] [OTHER_KEYS] [COMMITS_IN_A_BATCH]
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "node/ledger.h"
#include "store/rocks_engine.h"

namespace {

using namespace refrain;
using Clock = std::chrono::steady_clock;

[[noreturn]] void fail(const std::string& why) {
  std::fprintf(stderr, "bench_collect_loop: %s\n", why.c_str());
  std::exit(1);
}

template <typename T>
T need(Result<T> result) {
  if (!result) fail(result.error().detail);
  if constexpr (!std::is_void_v<T>) return std::move(*result);
}

struct Work {
  int commits = 200'000;
  int others = 500'000;
  int in_a_batch = 64;
};

struct Took {
  double seconds = 0;
  double longest_ms = 0;  // of a batch
  std::uint64_t removed = 0;
};

class Loop {
 public:
  explicit Loop(const std::string& directory) : engine_(need(store::RocksEngine::open(directory, {}))) {
    store::Draft draft(*engine_);
    store::Meta::set_identity(draft, {{7}, "eu", {11}, false, {}, false, false});
    need(engine_->write(draft.take(), store::Durability::kSynced));
    ledger_ = need(
        node::Ledger::load(*engine_, config_, [](auto&, auto&, auto&, WallMs) { return Result<void>(); }));
  }

  Took run(const Work& work, bool collects) {
    for (int i = 0; i < work.others;) {
      begin();
      for (int n = 0; n < 1'000 && i < work.others; ++n, ++i)
        append(store::Put{"bench", name('o', i), value_, {}, {}});
      end();
    }
    Took took;
    auto start = Clock::now();
    for (int i = 0; i < work.commits;) {
      auto began = Clock::now();
      begin();
      auto synced = ledger_->synced_applied().at(ledger_->journal()).hlc;
      if (collects) ledger_->raise_floor(synced);
      for (int n = 0; n < work.in_a_batch && i < work.commits; ++n, ++i) {
        if (i % 2 == 0) {
          append(store::Put{"bench", name('k', i), value_, {}, {}});
        } else {
          append(store::Delete{"bench", name('k', i - 1), {}});
        }
      }
      if (collects) need(ledger_->collect({Clock::now().time_since_epoch().count()}));
      end();
      double ms = std::chrono::duration<double, std::milli>(Clock::now() - began).count();
      took.longest_ms = std::max(took.longest_ms, ms);
    }
    took.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    took.removed = ledger_->collector().removed().tombstones;
    return took;
  }

 private:
  void begin() {
    auto wall = std::chrono::system_clock::now().time_since_epoch();
    ledger_->start({std::chrono::duration_cast<Milliseconds>(wall).count()});
  }
  template <class Operation>
  void append(Operation operation) {
    std::vector<store::Operation> operations;
    operations.emplace_back(std::move(operation));
    need(ledger_->append(need(ledger_->mint()), std::move(operations), false));
  }
  void end() {
    need(ledger_->write());
    ledger_->take_new_commits();
  }
  /// Spread over the whole family, as keys are.
  static std::string name(char kind, int i) {
    return std::to_string(static_cast<std::uint32_t>(i) * 2'654'435'761U) + kind + std::to_string(i);
  }

  node::Config config_;
  std::string value_ = std::string(100, 'v');
  std::unique_ptr<store::Engine> engine_;
  std::unique_ptr<node::Ledger> ledger_;
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) fail("usage: bench_collect_loop DIRECTORY [COMMITS] [OTHER_KEYS] [COMMITS_IN_A_BATCH]");
  std::string directory = argv[1];
  std::filesystem::create_directories(directory);
  Work work;
  if (argc > 2) work.commits = std::atoi(argv[2]);
  if (argc > 3) work.others = std::atoi(argv[3]);
  if (argc > 4) work.in_a_batch = std::atoi(argv[4]);
  if (work.commits < 1 || work.others < 1 || work.in_a_batch < 1) fail("all numbers are at least 1");
  Took without = Loop(directory + "/without").run(work, false);
  Took with = Loop(directory + "/with").run(work, true);
  std::printf(R"({"with_per_second":%.1f,"without_per_second":%.1f,"removed":%llu,"with_longest_ms":%.2f,)"
              R"("without_longest_ms":%.2f})"
              "\n",
              work.commits / with.seconds, work.commits / without.seconds,
              static_cast<unsigned long long>(with.removed), with.longest_ms, without.longest_ms);
}
