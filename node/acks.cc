// SPDX-License-Identifier: Apache-2.0
#include "node/acks.h"

#include <algorithm>

namespace refrain::node {

bool AckTable::reached(Seq seq, const Ack& ack, const Progress& progress) {
  switch (ack.kind) {
    case Ack::Kind::kLocal:
      return true;
    case Ack::Kind::kLog:
      return seq <= progress.published;
    case Ack::Kind::kAll:
      return seq <= progress.all;
    case Ack::Kind::kNode: {
      auto found = progress.nodes.find(ack.node);
      return found != progress.nodes.end() && seq <= found->second;
    }
  }
  return false;
}

template <class Mine, class Others>
void AckTable::take_if(Mine mine, Others others, bool timed_out) {
  std::vector<Call> due;
  for (auto it = waiters_.begin(); it != waiters_.end();) {
    if (mine(it->first, it->second)) {
      due.push_back(std::move(it->second.call));
      it = waiters_.erase(it);
    } else {
      ++it;
    }
  }
  std::erase_if(others_, [&](Other& other) {
    if (!others(other)) return false;
    due.push_back(std::move(other.call));
    return true;
  });
  for (Call& call : due) call(timed_out);  // after the loops: a call may add a waiter
}

void AckTable::settle(const Progress& progress) {
  if (size() == 0) return;
  Seq most = std::max(progress.published, progress.all);
  for (const auto& [name, seq] : progress.nodes) most = std::max(most, seq);
  if (others_.empty() && waiters_.begin()->first > most) return;
  take_if([&](Seq seq, const Waiter& waiter) { return seq <= most && reached(seq, waiter.ack, progress); },
          [](const Other& other) { return other.come(); }, false);
}

void AckTable::expire(SteadyNs now) {
  if (size() == 0 || !next_deadline_ || now < *next_deadline_) return;
  take_if([&](Seq, const Waiter& waiter) { return waiter.deadline <= now; },
          [&](const Other& other) { return other.deadline <= now; }, true);
  next_deadline_.reset();
  auto soonest = [&](SteadyNs deadline) {
    if (!next_deadline_ || deadline < *next_deadline_) next_deadline_ = deadline;
  };
  for (const auto& [seq, waiter] : waiters_) soonest(waiter.deadline);
  for (const Other& other : others_) soonest(other.deadline);
}

void AckTable::clear() {
  take_if([](Seq, const Waiter&) { return true; }, [](const Other&) { return true; }, true);
}

}  // namespace refrain::node
