// SPDX-License-Identifier: Apache-2.0
#include "resilience/circuit_breaker.h"

#include <utility>

namespace refrain::resilience {

CircuitBreaker::State CircuitBreaker::state(SteadyNs now) const {
  if (!open_until_) return State::kClosed;
  return now < *open_until_ ? State::kOpen : State::kHalfOpen;
}

void CircuitBreaker::succeeded() {
  open_until_.reset();
  trouble_.reset();
}

void CircuitBreaker::failed(SteadyNs now, std::string error) {
  if (!trouble_) trouble_ = Trouble{{}, now, 0};
  trouble_->error = std::move(error);
  if (trouble_->failures < UINT32_MAX) ++trouble_->failures;
  // A report that comes late, while the breaker is open, does not keep it open for longer.
  bool probe_failed = state(now) == State::kHalfOpen;
  bool too_many = state(now) == State::kClosed && trouble_->failures >= policy_.failures;
  if (probe_failed || too_many) open_until_ = now + policy_.open_for;
}

std::optional<SteadyNs> CircuitBreaker::half_opens_at(SteadyNs now) const {
  return state(now) == State::kOpen ? open_until_ : std::nullopt;
}

}  // namespace refrain::resilience
