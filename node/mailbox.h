// SPDX-License-Identifier: Apache-2.0
// The way onto the node's thread: a bounded queue of tasks, many senders, one receiver.
#pragma once
#include <cstddef>
#include <functional>
#include <mutex>
#include <vector>

namespace refrain::node {

using Task = std::function<void()>;

class Mailbox {
 public:
  Mailbox(std::size_t capacity, std::function<void()> wake) : capacity_(capacity), wake_(std::move(wake)) {}

  /// Any thread. False when the queue is full: nothing was queued. Wakes the receiver when it may be asleep.
  bool post(Task task) {
    bool first = false;
    {
      std::lock_guard lock(mutex_);
      if (tasks_.size() >= capacity_) return false;
      first = tasks_.empty();
      tasks_.push_back(std::move(task));
    }
    if (first && wake_) wake_();
    return true;
  }

  /// The receiver's thread: everything queued, in order.
  void drain(std::vector<Task>& out) {
    out.clear();
    std::lock_guard lock(mutex_);
    out.swap(tasks_);
  }

  bool empty() const {
    std::lock_guard lock(mutex_);
    return tasks_.empty();
  }

 private:
  const std::size_t capacity_;
  std::function<void()> wake_;
  mutable std::mutex mutex_;
  std::vector<Task> tasks_;
};

}  // namespace refrain::node
