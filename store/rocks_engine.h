// SPDX-License-Identifier: Apache-2.0
// The engine in production: RocksDB. Its headers appear in rocks_engine.cc only.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/types.h"
#include "store/engine.h"

namespace rocksdb {
class Env;
}

namespace refrain::store {

struct RocksOptions {
  std::uint64_t cache_bytes = 512ULL << 20;
  std::uint64_t write_buffer_bytes = 64ULL << 20;    // of the families that carry the load
  std::uint64_t max_total_wal_bytes = 128ULL << 20;  // bounds the time of an open after kill -9
  /// Free disk space below which writes are refused, at most a tenth of the disk. Unset: what flushing the
  /// memtables needs.
  std::optional<std::uint64_t> reserve_bytes;
  Milliseconds open_timeout{60'000};
  /// When given and true as the engine goes: it is dropped as by kill -9, nothing is flushed or marked as
  /// clean.
  std::shared_ptr<const std::atomic<bool>> abandoned;
  /// Called from another thread when open() has not come back in time. The default prints the reason and ends
  /// the process: RocksDB cannot be stopped from outside. When a given one returns, open() goes on waiting.
  std::function<void(const std::string& reason)> on_open_timeout;
  /// RocksDB's way to files and threads, for tests that cut the power; it outlives the engine. None: the
  /// machine's own. The small files that are ours (CLEAN_STOP) do not go through it.
  rocksdb::Env* env = nullptr;
};

class RocksEngine : public Engine {
 public:
  /// Opens the directory, making it when it is missing. kCorrupt with file, reason and what to do when
  /// something is damaged or missing: a store that lost something is never opened with less. What a power cut
  /// leaves of unsynced writes is no damage (rocks_log.h), and goes. kUnavailable
  /// disk_full or store_failed otherwise (nothing happened).
  static Result<std::unique_ptr<RocksEngine>> open(const std::string& directory, const RocksOptions& options);

  /// Drops ended rows and deleted ones by compacting everything. For tests and tools.
  virtual Result<void> compact() = 0;
};

}  // namespace refrain::store
