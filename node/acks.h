// SPDX-License-Identifier: Apache-2.0
// Writers that wait for more than this disk: until Kafka, every active member, or one node has their commit.
#pragma once
#include <functional>
#include <map>
#include <vector>

#include "base/types.h"
#include "node/node.h"

namespace refrain::node {

/// How far own commits have come, worked out after each step.
struct Progress {
  Seq published;  // Kafka has everything up to it
  Seq all;        // every active member shows everything up to it
  std::map<NodeName, Seq>
      nodes;  // what each active member shows; a name that is missing is no member (any more)
};

/// Pure. One thread. Each waiter is called once: by settle(), expire() or clear().
class AckTable {
 public:
  using Call = std::function<void(bool timed_out)>;

  void add(Seq seq, const Ack& ack, SteadyNs deadline, Call call) {
    waiters_.emplace(seq, Waiter{ack, deadline, std::move(call)});
    if (!next_deadline_ || deadline < *next_deadline_) next_deadline_ = deadline;
  }

  /// Waits for something else: `come` is asked at each settle().
  void add_other(std::function<bool()> come, SteadyNs deadline, Call call) {
    others_.push_back({std::move(come), deadline, std::move(call)});
    if (!next_deadline_ || deadline < *next_deadline_) next_deadline_ = deadline;
  }

  static bool reached(Seq seq, const Ack& ack, const Progress& progress);

  /// Answers every waiter whose commit has come as far as it asked.
  void settle(const Progress& progress);
  /// Answers those whose time is over, with timed_out.
  void expire(SteadyNs now);
  /// Answers all, as timed out: the node ends or starts over.
  void clear();

  std::size_t size() const { return waiters_.size() + others_.size(); }
  std::optional<SteadyNs> next_deadline() const { return size() == 0 ? std::nullopt : next_deadline_; }

 private:
  struct Waiter {
    Ack ack;
    SteadyNs deadline;
    Call call;
  };
  struct Other {
    std::function<bool()> come;
    SteadyNs deadline;
    Call call;
  };
  template <class Mine, class Others>
  void take_if(Mine mine, Others others, bool timed_out);

  std::multimap<Seq, Waiter> waiters_;
  std::vector<Other> others_;
  std::optional<SteadyNs> next_deadline_;  // never later than the earliest deadline
};

}  // namespace refrain::node
