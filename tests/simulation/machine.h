// SPDX-License-Identifier: Apache-2.0
// One node's machine: its disk, clock and way to the log, and the process on it, which comes and goes.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "dice.h"
#include "node/assembly.h"
#include "replication/memory_log.h"
#include "replication/peers.h"
#include "sim_clock.h"
#include "store/sim_engine.h"

namespace refrain::simulation {

class Machine {
 public:
  struct Ties {  // to its world
    const SteadyNs& now;
    std::shared_ptr<replication::MemoryBroker> broker;
    replication::Peers* peers;
    std::function<void(const store::View&)> looked;  // the store was written
    std::function<void(std::string)> say;
    std::function<void(const store::View&)> opened = [](const store::View&) {};  // before anything changes it
  };

  Machine(std::size_t index, node::Config config, bool founder, Dice dice, Ties ties);
  virtual ~Machine() = default;
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  /// Starts the process. What opening failed with, if it did.
  Result<void> start();
  /// Ends the process between two steps; what was in flight may still reach the log.
  void crash();
  /// Ends the machine: of the unsynced batches the oldest `keep` stay.
  void power_cut(std::size_t keep);

  /// From the next start on; only while it is down.
  void set_config(node::Config config) { config_ = std::move(config); }

  /// Ends the process, and with it all that was on its disk. Nobody founds with the new one.
  void lose_disk();

  /// A copy of its store as it is now; nullopt when that cannot be read.
  std::optional<store::SimDisk> copy_store();
  /// Another disk in the place of its own, and another configuration: the next start is of that.
  void begin_again(store::SimDisk disk, node::Config config, bool founder);

  bool up() const { return node_ != nullptr; }
  node::Node& node() { return *node_; }
  std::uint64_t life() const {
    return life_;
  }  // how often it was started: an answer of an earlier life reaches nobody
  store::SimDisk& disk() { return disk_; }
  void set_disk_full(bool full);
  /// Of the program that the next start runs.
  void set_formats(const replication::Formats& formats) { config_.formats = formats; }
  const replication::Formats& formats() const { return config_.formats; }
  /// The next start is without brokers.
  void set_alone() { config_.kafka.brokers.clear(); }
  SimClock& clock() { return clock_; }
  replication::MemoryLog& log() { return *log_; }
  const NodeName& name() const { return config_.node.name; }
  std::size_t index() const { return index_; }
  const node::Config& config() const { return config_; }

  /// Steps the process and plans its next step.
  void step();
  std::optional<SteadyNs> steps_at() const { return up() ? std::optional(steps_at_) : std::nullopt; }
  /// Until then each step takes up to `most` longer.
  void slow_until(SteadyNs until, Milliseconds most) {
    slow_until_ = until;
    slow_most_ = most;
  }
  /// Stands still until then.
  void pause_until(SteadyNs until) { paused_until_ = steps_at_ = until; }

 protected:
  virtual Result<std::unique_ptr<store::Engine>> open_engine();
  const Ties& ties() const { return ties_; }
  /// The process ended, and this is what is left of it in memory.
  std::unique_ptr<node::Node> end() {
    ++life_;
    return std::move(node_);
  }

 private:
  void wake();

  const std::size_t index_;
  node::Config config_;
  bool founder_;
  Dice dice_;
  Ties ties_;
  SimClock clock_;
  store::SimDisk disk_;
  std::unique_ptr<replication::MemoryLog> log_;
  std::unique_ptr<node::Node> node_;  // after what it uses
  std::uint64_t life_ = 0;
  SteadyNs steps_at_;
  SteadyNs busy_until_;  // the step before is not over
  SteadyNs paused_until_;
  SteadyNs slow_until_;
  Milliseconds slow_most_{0};
  bool woken_ = false;
  bool disk_full_ = false;
};

}  // namespace refrain::simulation
