// SPDX-License-Identifier: Apache-2.0
// Operators who wait for what comes of an order about membership.
#pragma once
#include <algorithm>
#include <functional>
#include <optional>
#include <utility>
#include <vector>

#include "base/types.h"
#include "node/node.h"

namespace refrain::node {

/// One thread.
class OrderWaiters {
 public:
  void add(MemberOrder order, SteadyNs deadline, Done<MemberChange> done) {
    waiting_.push_back({std::move(order), deadline, std::move(done)});
  }

  /// Answers those whose order is carried out, or whose time is over: how far it is.
  void settle(const std::function<MemberChange(const MemberOrder&)>& look, SteadyNs now) {
    std::erase_if(waiting_, [&](Waiting& waiting) {
      MemberChange change = look(waiting.order);
      if (!change.done && now < waiting.deadline) return false;
      waiting.done(std::move(change));
      return true;
    });
  }

  std::optional<SteadyNs> next_deadline() const {
    auto first = std::min_element(waiting_.begin(), waiting_.end(),
                                  [](const auto& a, const auto& b) { return a.deadline < b.deadline; });
    return first == waiting_.end() ? std::nullopt : std::optional(first->deadline);
  }
  std::size_t size() const { return waiting_.size(); }

 private:
  struct Waiting {
    MemberOrder order;
    SteadyNs deadline;
    Done<MemberChange> done;
  };
  std::vector<Waiting> waiting_;
};

}  // namespace refrain::node
