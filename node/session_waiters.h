// SPDX-License-Identifier: Apache-2.0
// Readers that wait until this node has applied what their session has seen.
#pragma once
#include <functional>
#include <list>
#include <vector>

#include "base/types.h"

namespace refrain::node {

/// Pure. One thread. Each waiter is called once.
class SessionWaiters {
 public:
  using Call = std::function<void(bool covered)>;
  using Covers = std::function<bool(const Vector& wanted)>;

  void add(Vector wanted, SteadyNs deadline, Call call) {
    waiters_.push_back({std::move(wanted), deadline, std::move(call)});
  }

  /// Calls those that are covered now with true, those whose time is over with false.
  void settle(const Covers& covers, SteadyNs now) {
    std::vector<std::pair<Call, bool>> due;
    for (auto it = waiters_.begin(); it != waiters_.end();) {
      bool covered = covers(it->wanted);
      if (covered || it->deadline <= now) {
        due.emplace_back(std::move(it->call), covered);
        it = waiters_.erase(it);
      } else {
        ++it;
      }
    }
    for (auto& [call, covered] : due) call(covered);
  }

  std::size_t size() const { return waiters_.size(); }

 private:
  struct Waiter {
    Vector wanted;
    SteadyNs deadline;
    Call call;
  };
  std::list<Waiter> waiters_;
};

}  // namespace refrain::node
