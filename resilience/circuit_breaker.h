// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/types.h"

namespace refrain::resilience {

/// Stops a caller from hammering what is down (Nygard, "Release It!"). Pure: time is passed in. One thread;
/// its owner makes one attempt at a time and reports how each one ended.
///
///   closed --`failures` in a row--> open --`open_for`, or retry_now()--> half-open --success--> closed
///                                    ^----------------------failure--------'
class CircuitBreaker {
 public:
  enum class State : std::uint8_t { kClosed, kOpen, kHalfOpen };

  struct Policy {
    std::uint32_t failures = 5;
    Milliseconds open_for{30'000};
  };

  /// The trouble we are in: from the first failure after the last success on.
  struct Trouble {
    std::string error;           // the newest one
    SteadyNs since;              // of the first
    std::uint32_t failures = 0;  // in a row
  };

  explicit CircuitBreaker(Policy policy) : policy_(policy) {}

  State state(SteadyNs now) const;
  /// Whether an attempt may start.
  bool allows(SteadyNs now) const { return state(now) != State::kOpen; }

  void succeeded();
  void failed(SteadyNs now, std::string error);

  /// An operator's word: an open breaker is half-open at once. Without effect on one that is not open.
  void retry_now() { open_until_ = open_until_ ? std::optional<SteadyNs>(kAlways) : std::nullopt; }

  /// None when the last attempt succeeded.
  const std::optional<Trouble>& trouble() const { return trouble_; }
  /// When an open breaker becomes half-open by itself.
  std::optional<SteadyNs> half_opens_at(SteadyNs now) const;

 private:
  static constexpr SteadyNs kAlways{INT64_MIN};

  Policy policy_;
  std::optional<SteadyNs> open_until_;  // none = closed; in the past = half-open
  std::optional<Trouble> trouble_;
};

}  // namespace refrain::resilience
