// SPDX-License-Identifier: Apache-2.0
// Where a log under test lives, and the hands that do to its topics what no log may do.
#pragma once
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "replication/log.h"

namespace refrain::replication {

/// Counts wakes and lets a test wait for the next.
class Bell {
 public:
  void ring() {
    {
      std::lock_guard lock(mutex_);
      ++rings_;
    }
    rung_.notify_all();
  }
  std::uint64_t rings() const {
    std::lock_guard lock(mutex_);
    return rings_;
  }
  /// False when nothing rang after ring number `seen` in time.
  bool wait(std::uint64_t seen, std::chrono::steady_clock::time_point deadline) {
    std::unique_lock lock(mutex_);
    return rung_.wait_until(lock, deadline, [&] { return rings_ > seen; });
  }

 private:
  mutable std::mutex mutex_;
  std::condition_variable rung_;
  std::uint64_t rings_ = 0;
};

class LogWorld {
 public:
  virtual ~LogWorld() = default;
  virtual std::unique_ptr<Log> open(std::function<void()> wake) = 0;
  virtual void delete_topic(const std::string& topic) = 0;
  virtual void truncate_front(const std::string& topic, Offset first_kept) = 0;
};

std::unique_ptr<LogWorld> memory_world();
std::unique_ptr<LogWorld> kafka_world(const std::string& brokers);

}  // namespace refrain::replication
