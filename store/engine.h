// SPDX-License-Identifier: Apache-2.0
// The engine seam: ordered bytes in column families. RocksDB behind it in production (rocks_engine.h), a
// sorted map that knows what was synced in the simulator (sim_engine.h). Both pass tests/contract.
//
// Crash behaviour that both keep: batches become durable in the order in which they were written; a batch is
// whole or absent; a batch written with kSynced, and every one before it, survives process and power.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"

namespace refrain::store {

enum class Family : std::uint8_t {
  kDefault,
  kKv,
  kRequests,
  kOpen,
  kResponses,
  kOutbox,
  kConflicts,
  kDuplicates,
  kAside
};
inline constexpr std::size_t kFamilies = 9;
std::string_view family_name(Family family);  // "default", "kv", ...
std::optional<Family> family_of(std::string_view name);

enum class Durability : std::uint8_t { kSynced, kBuffered };

/// Changes that become visible and durable together, in order; a later change of a key wins.
class Batch {
 public:
  struct Change {
    Family family;
    std::string key;
    std::optional<std::string> value;  // none = remove
  };
  void put(Family family, std::string key, std::string value) {
    bytes_ += key.size() + value.size();
    changes_.push_back({family, std::move(key), std::move(value)});
  }
  void remove(Family family, std::string key) {
    bytes_ += key.size();
    changes_.push_back({family, std::move(key), std::nullopt});
  }
  void clear() {
    changes_.clear();
    bytes_ = 0;
  }
  bool empty() const { return changes_.empty(); }
  std::size_t bytes() const { return bytes_; }
  const std::vector<Change>& changes() const { return changes_; }

 private:
  std::vector<Change> changes_;
  std::size_t bytes_ = 0;
};

/// Walks one family in bytewise key order. One thread. Sees the state of the moment it was made. After an
/// error valid() is false and status() says why: check it after the loop, or data can be missed silently.
class Cursor {
 public:
  virtual ~Cursor() = default;
  virtual void seek(std::string_view key) = 0;  // to the first key >= key
  virtual void next() = 0;
  virtual bool valid() const = 0;
  virtual std::string_view key() const = 0;  // good until the next move
  virtual std::string_view value() const = 0;
  virtual Result<void> status() const = 0;
};

/// Reads. Any thread, also beside write().
class View {
 public:
  virtual ~View() = default;
  /// nullopt = no such key; an Error (kCorrupt, or kUnavailable store_failed) is never "no such key".
  virtual Result<std::optional<std::string>> get(Family family, std::string_view key) const = 0;
  virtual std::unique_ptr<Cursor> cursor(Family family) const = 0;
};

struct EngineStats {
  std::uint64_t disk_free_bytes = 0;  // where the data directory is
  std::uint64_t disk_total_bytes = 0;
  std::uint64_t disk_reserve_bytes = 0;                // with less free than this, writes are refused
  std::uint64_t live_bytes = 0;                        // estimate of the data's size
  std::uint64_t rows = 0;                              // estimate, without outbox and void commits
  std::vector<std::pair<std::string, double>> gauges;  // engine's own, by metric name part ("memtable_bytes")
};

/// Whether rows come as a BulkLoad takes them.
class RowOrder {
 public:
  Result<void> take(Family family, std::string_view key);

 private:
  bool any_ = false;
  Family family_ = Family::kDefault;
  std::string key_;
};

/// Many rows at once, for families that hold none: in order of family, and bytewise of key within each, no
/// key twice. One thread, beside no write() to these families; gone before the engine is. Until finish() came
/// back a crash keeps none, some or all of them, and so does a load that is dropped.
class BulkLoad {
 public:
  virtual ~BulkLoad() = default;
  /// kInvalid when it is not behind the one before.
  virtual Result<void> add(Family family, std::string_view key, std::string_view value) = 0;
  /// All rows can be read; they are durable with the next synced write(), if not before. Errors as of
  /// write().
  virtual Result<void> finish() = 0;
};

class Engine : public View {
 public:
  /// One thread at a time. Ok: visible to reads; durable as asked. An error: kUnavailable when nothing was
  /// written (disk_full, store_failed); kUnknown when it may come back after a crash. After kUnknown every
  /// further write fails until the engine is opened again.
  virtual Result<void> write(const Batch& batch, Durability durability) = 0;

  /// By plain batches, unless an engine knows a faster way.
  virtual std::unique_ptr<BulkLoad> bulk_load();

  /// One state of everything, kept until the View is destroyed (before the engine is).
  virtual std::unique_ptr<View> snapshot() const = 0;

  /// A whole, openable copy in a new directory, of at least all synced batches. Writes go on.
  virtual Result<void> checkpoint(const std::string& directory) = 0;

  virtual EngineStats stats() const = 0;

  /// The time that decides which ended rows compactions may drop. Any thread; never goes back. Until then:
  /// none.
  virtual void set_now(WallMs) {}
};

}  // namespace refrain::store
