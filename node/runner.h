// SPDX-License-Identifier: Apache-2.0
// The thread that steps a node in production. The simulator has none: it calls step() itself.
#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

#include "base/clock.h"
#include "base/types.h"

namespace refrain::node {

/// Wakes a sleeping runner. Any thread; cheap when it is awake. Made before the node, so that parts can hold
/// it.
class Wakeup {
 public:
  void notify() {
    if (pending_.exchange(true, std::memory_order_acq_rel)) return;
    std::lock_guard lock(mutex_);
    condition_.notify_one();
  }

  /// Sleeps until notify() was called (also before) or `limit` has passed.
  void wait_for(Nanoseconds limit) {
    std::unique_lock lock(mutex_);
    condition_.wait_for(lock, limit, [this] { return pending_.load(std::memory_order_acquire); });
    pending_.store(false, std::memory_order_release);
  }

 private:
  std::mutex mutex_;
  std::condition_variable condition_;
  std::atomic<bool> pending_{false};
};

/// Calls `step` until stop(): `step` gives how long it may sleep (zero = call again at once).
class Runner {
 public:
  Runner(Wakeup& wakeup, std::function<Nanoseconds()> step)
      : wakeup_(wakeup), step_(std::move(step)), thread_([this] { run(); }) {}
  ~Runner() { stop(); }
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  void stop() {
    stopping_.store(true);
    wakeup_.notify();
    if (thread_.joinable()) thread_.join();
  }

 private:
  void run() {
    while (!stopping_.load()) {
      Nanoseconds idle = step_();
      if (idle.count() > 0) wakeup_.wait_for(idle);
    }
  }

  Wakeup& wakeup_;
  std::function<Nanoseconds()> step_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;  // last: starts when everything else is there
};

}  // namespace refrain::node
