// SPDX-License-Identifier: Apache-2.0
// A disk whose power can be cut: RocksDB writes to a real directory through it, and it knows what is synced.
//
// Fault model. Every call that changes something (make, append, sync, sync of the directory, rename, remove,
// truncate, close) is an operation. At the operation that was chosen the machine stops: it and every later
// one never returns, on whichever thread. Then survive() makes the directory that the next start finds:
//  - of a file, the bytes that were there at its last sync are there; of what was appended since, as the Loss
//    says: nothing, any prefix, everything, or a prefix whose last pages hold zeros or garbage.
//  - a name made, moved or removed is durable once the directory was synced; of those since, as the Loss
//  says:
//    none, the oldest few, all, or any of them. A file that lost its name is gone, synced or not.
//  - RocksDB's LOG files are kept outside of this, and are gone.
// What it does not do: damage what was synced, answer with an error, or keep a younger change of names
// without an older one (a file system with a journal keeps their order; RocksDB lets CURRENT name a MANIFEST
// before the directory was synced). An older file that is written over in place would be one of two wholes;
// RocksDB does not do that.
//
// Threads: any. RocksDB's background jobs run one at a time, on one thread: as they come, or, between hold()
// and run_jobs(), only when asked for, so that the same seed gives the same order of operations: but for a
// clean stop, and a loaded machine.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "dice.h"

namespace rocksdb {
class Env;
}

namespace refrain::crash {

struct Loss {
  enum class Bytes : std::uint8_t { kNone, kPrefix, kAll, kZeros, kGarbage } bytes = Bytes::kNone;
  enum class Names : std::uint8_t { kNone, kPrefix, kAll } names = Names::kNone;
};
const char* name_of(Loss::Bytes bytes);
const char* name_of(Loss::Names names);

class PowerDisk {
 public:
  /// What is in the directory now is durable. `stopped` is called once, by the thread that met the cut, which
  /// then stands still for ever, as do all others at their next operation: the disk must outlive them.
  PowerDisk(std::string directory, std::function<void()> stopped);
  ~PowerDisk();  // only when no thread stands still in it

  rocksdb::Env* env();
  const std::string& directory() const;

  /// The machine stops at the n-th operation from now; 0 = not at all.
  void cut_at(std::uint64_t n);
  /// The machine stops behind the first bytes that the n-th log from now gets, where one log is not synced
  /// and the next one has begun: a moment that a number would rarely hit. 0 = not there.
  void cut_at_new_log(std::uint64_t n);
  /// It stops now: between two operations.
  void cut_now();
  bool cut() const;
  std::uint64_t operations() const;
  /// The operation at which it stopped: "append to 000012.log".
  std::string place() const;

  /// Background jobs wait for run_jobs().
  void hold(bool held);
  /// Comes back when no job is left; while the calling thread waits here it touches nothing.
  void run_jobs();
  bool waits_for_jobs() const;

  /// A lie: files and names count as durable only when this is false. For showing that the checks can fail.
  void lie_about_syncs(bool lies);

  /// Makes `to`: what the next start finds. Once it is cut.
  void survive(const std::string& to, Loss loss, simulation::Dice& dice) const;

 private:
  class Files;
  class Jobs;
  std::shared_ptr<Files> files_;
  std::unique_ptr<Jobs> jobs_;
};

}  // namespace refrain::crash
