// SPDX-License-Identifier: Apache-2.0
// The simulated engine: sorted maps that know what was synced.
//
// Fault model. The disk is a list of batches in the order in which they were written.
// - crash(): the process ends, the machine stays: everything written is there at the next open.
// - power_cut(keep): the machine ends: the synced batches are there, and of the unsynced ones after them the
// first `keep`.
//   A batch is whole or absent, and none is there without all before it.
// - fail_next(fault): the next write meets it.
//     kDiskFull      nothing written; kUnavailable disk_full. set_disk_full(true) makes it last.
//     kWriteFails    nothing written; kUnavailable store_failed.
//     kSyncFails     written, not synced, not visible; kUnknown. Every later write fails until the engine is
//     opened again.
//                    After that it is there when the process crashed, and may be when power was cut.
// - fail_reads(true): get() and cursors answer kUnavailable store_failed.
// Reads never give what a failed write left. Nothing here takes time, and nothing is damaged silently:
// flipped bits are RocksDB's business and are tested against the real one.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "base/result.h"
#include "base/types.h"
#include "store/engine.h"

namespace refrain::store {

enum class SimFault : std::uint8_t { kDiskFull, kWriteFails, kSyncFails };

struct SimDiskState;

/// What stays when an engine goes. One disk a node; at most one engine open on it.
class SimDisk {
 public:
  SimDisk();
  ~SimDisk();
  SimDisk(SimDisk&&) noexcept;
  SimDisk& operator=(SimDisk&&) noexcept;

  // Faults. The engine that was open is dead after the first two: its writes fail with kUnknown and its reads
  // with store_failed, so that a part which outlives the crash cannot cheat.
  void crash();
  void power_cut(std::size_t keep);
  void wipe();  // a new disk
  /// Another disk with what this one has, written or synced.
  SimDisk copy() const;
  void fail_next(SimFault fault);
  void set_disk_full(bool full);
  void set_disk_used(unsigned percent);  // as stats() gives it; writes go on
  void fail_reads(bool fail);
  std::size_t unsynced() const;  // batches that a power cut could take

  /// Drops the rows that a compaction at `now` could drop (past_its_end).
  void compact(WallMs now);

  /// Number of batches ever written, and a hash over all rows: for traces and for comparing replicas.
  std::uint64_t writes() const;
  std::uint64_t rows_hash() const;
  std::uint64_t rows_hash(Family family) const;
  /// What the newest state has of a family: for looking at it from outside.
  std::map<std::string, std::string> rows(Family family) const;

 private:
  friend class SimEngine;
  std::shared_ptr<SimDiskState> state_;
};

class SimEngine final : public Engine {
 public:
  /// Opens what is on the disk. kUnavailable while another engine is open on it.
  static Result<std::unique_ptr<SimEngine>> open(SimDisk& disk);
  ~SimEngine() override;  // closing keeps what a crash() would keep

  Result<std::optional<std::string>> get(Family family, std::string_view key) const override;
  std::unique_ptr<Cursor> cursor(Family family) const override;
  Result<void> write(const Batch& batch, Durability durability) override;
  std::unique_ptr<BulkLoad> bulk_load() override;
  std::unique_ptr<View> snapshot() const override;
  Result<void> checkpoint(
      const std::string& directory) override;  // into the disk's named copies; see open_checkpoint
  EngineStats stats() const override;

  /// A disk made of a checkpoint. nullopt when there is none of that name.
  static std::optional<SimDisk> open_checkpoint(const SimDisk& disk, const std::string& directory);

 private:
  SimEngine(std::shared_ptr<SimDiskState> state, std::uint64_t life)
      : state_(std::move(state)), life_(life) {}
  class Load;
  Result<void> refused_write();
  Result<void> take_in(const Batch& rows);
  std::shared_ptr<SimDiskState> state_;
  std::uint64_t life_;
};

}  // namespace refrain::store
