// SPDX-License-Identifier: Apache-2.0
// Calls that wait for a running request (begin with `wait=`): who waits for which, since when, until when.
// The node drives it with row changes and the time.
#pragma once
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "store/requests_rows.h"

namespace refrain::idempotency {

/// What asking a waiter's call again came to.
struct Asked {
  enum class Kind : std::uint8_t {
    kAnswered,   // it has its answer (a replay, an error)
    kWent,       // it got the go: nobody behind it may go before the row changes again
    kStillWaits  // nor behind this one
  };
  Kind kind = Kind::kStillWaits;
  WallMs look_again;  // kWent, kStillWaits: when the lease may be over
};

/// Bounded, pure, one thread. `Call` is movable and says `bool gone() const`: the caller has closed its
/// connection. A gone call is never asked, so it never goes.
template <class Call>
class Waiters {
 public:
  explicit Waiters(std::size_t most) : most_(most) {}

  /// unavailable overloaded when as many wait as may; the caller then answers at once.
  Result<void> add(const store::RequestId& request, Call call, SteadyNs deadline, WallMs look_again) {
    if (size_ >= most_) drop_gone();
    if (size_ >= most_) {
      return unavailable(
          "overloaded",
          "Too many calls wait for requests on this node. Call again without `wait`, or later.");
    }
    Queue& queue = queues_[request];
    queue.look_again = queue.calls.empty() ? look_again : std::min(queue.look_again, look_again);
    queue.calls.push_back({std::move(call), deadline});
    ++size_;
    return {};
  }

  /// The row has changed (or its lease may be over): asks the calls in their order. `ask(Call&, bool may_go)
  /// -> Asked` decides and answers; behind one that went or still waits nobody may go, but who is refused, or
  /// gets what was stored, is told at once.
  template <class Ask>
  void settle(const store::RequestId& request, Ask ask) {
    auto found = queues_.find(request);
    if (found == queues_.end()) return;
    Queue& queue = found->second;
    bool may_go = true;
    size_ -= std::erase_if(queue.calls, [&](Waiting& waiting) {
      if (waiting.call.gone()) return true;
      Asked asked = ask(waiting.call, may_go);
      if (asked.kind == Asked::Kind::kAnswered) return true;
      if (may_go) queue.look_again = asked.look_again;
      may_go = false;
      return asked.kind == Asked::Kind::kWent;
    });
    if (queue.calls.empty()) queues_.erase(found);
  }

  /// What was decided was not written: every request is due again.
  void look_at_all_again() {
    for (auto& [request, queue] : queues_) queue.look_again = WallMs{0};
  }

  /// Requests whose lease may be over at `now`: settle() each.
  std::vector<store::RequestId> due(WallMs now) const {
    std::vector<store::RequestId> requests;
    for (const auto& [request, queue] : queues_) {
      if (queue.look_again <= now) requests.push_back(request);
    }
    return requests;
  }

  /// Takes out the calls whose time is over, oldest first; the node answers each with what is so now. Gone
  /// ones are dropped.
  std::vector<std::pair<store::RequestId, Call>> take_expired(SteadyNs now) {
    std::vector<std::pair<store::RequestId, Call>> expired;
    drop_if([&](const store::RequestId& request, Waiting& waiting) {
      if (waiting.call.gone()) return true;
      if (waiting.deadline > now) return false;
      expired.emplace_back(request, std::move(waiting.call));
      return true;
    });
    return expired;
  }

  /// Takes out all (the node stops).
  std::vector<std::pair<store::RequestId, Call>> take_all() { return take_expired({INT64_MAX}); }

  bool waits_for(const store::RequestId& request) const { return queues_.contains(request); }
  std::size_t size() const { return size_; }

 private:
  struct Waiting {
    Call call;
    SteadyNs deadline;
  };
  struct Queue {
    std::deque<Waiting> calls;  // in order of arrival
    WallMs look_again;
  };

  void drop_gone() {
    drop_if([](const store::RequestId&, Waiting& waiting) { return waiting.call.gone(); });
  }
  template <class Wanted>
  void drop_if(Wanted wanted) {
    for (auto it = queues_.begin(); it != queues_.end();) {
      size_ -= std::erase_if(it->second.calls, [&](Waiting& waiting) { return wanted(it->first, waiting); });
      it = it->second.calls.empty() ? queues_.erase(it) : std::next(it);
    }
  }

  std::size_t most_;
  std::size_t size_ = 0;
  std::map<store::RequestId, Queue> queues_;
};

}  // namespace refrain::idempotency
