// SPDX-License-Identifier: Apache-2.0
// A thread for backups, one at a time: they copy files, which the I/O thread must not wait for.
#pragma once
#include <pthread.h>

#include <atomic>
#include <functional>
#include <thread>

namespace refrain::server {

/// I/O thread, save join(). What was started runs to its end.
class Backups {
 public:
  ~Backups() { join(); }

  /// False when one is being made.
  bool start(std::function<void()> make) {
    if (busy_.exchange(true)) return false;
    join();
    thread_ = std::thread([this, make = std::move(make)] {
      pthread_setname_np(pthread_self(), "refrain-backup");
      make();
      busy_ = false;
    });
    return true;
  }
  /// Once the I/O thread has ended, or from it.
  void join() {
    if (thread_.joinable()) thread_.join();
  }

 private:
  std::atomic<bool> busy_{false};
  std::thread thread_;
};

}  // namespace refrain::server
