// SPDX-License-Identifier: Apache-2.0
// A node on real RocksDB, on a machine whose power can be cut in the middle of any call of its disk. Its
// clock, log and peers are the simulator's.
//
// Each start has a thread of its own, on which everything of that process happens while the caller waits. A
// cut leaves that thread, and RocksDB's, standing for ever in the operation that they were in, and what the
// process had in memory with them: nothing of it runs on, not even a destructor.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "machine.h"
#include "power_disk.h"

namespace refrain::crash {

/// What looks on from outside.
struct Onlooker {
  std::function<void(const store::View&)> opened;  // the store, before the node has seen it
  std::function<void(const store::Batch&)> before_write;
};

/// Bugs of our own making; the product's are in base/planted.h.
struct Sabotage {
  bool split_batch = false;  // what was applied, and the cursors, in a batch before the data
  bool lying_disk = false;   // a sync does nothing
};

class DiskMachine final : public simulation::Machine {
 public:
  enum class Course : std::uint8_t { kDone, kCut };

  /// Directories of its disk are made below `root`, a new one after each cut.
  DiskMachine(node::Config config, simulation::Dice dice, Ties ties, Onlooker onlooker, Sabotage sabotage,
              std::string root);

  /// Threads of RocksDB as they come (true), or its jobs after each write, the same in each run (false).
  void set_free_threads(bool free) { free_threads_ = free; }
  /// The n-th operation of the disk from now, also in a start; 0 = none.
  void cut_at(std::uint64_t n);
  /// Behind the first bytes of the n-th log that the next start makes; 0 = none.
  void cut_at_new_log(std::uint64_t n) { cut_at_new_log_ = n; }

  /// kDone with what start() gave, or cut in it.
  Course start(Result<void>& started);
  Course step();
  /// A clean stop; kDone when it was clean.
  Course stop();
  /// The power fails now, while it does nothing.
  void cut_now();

  /// After a cut: the directory of the next start.
  void survive(Loss loss, simulation::Dice& dice);

  PowerDisk& disk() { return *disk_; }

 private:
  class Hand;
  Course run(std::function<void()> what);
  Result<std::unique_ptr<store::Engine>> open_engine() override;
  std::string directory() const;

  Onlooker onlooker_;
  Sabotage sabotage_;
  std::string root_;
  int disks_ = 0;
  bool free_threads_ = false;
  std::uint64_t cut_at_ = 0;
  std::uint64_t cut_at_new_log_ = 0;
  // Never freed after a cut: threads stand in them.
  PowerDisk* disk_ = nullptr;
  Hand* hand_ = nullptr;
};

}  // namespace refrain::crash
