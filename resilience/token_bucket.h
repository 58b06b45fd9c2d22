// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "base/types.h"

namespace refrain::resilience {

/// Lets `per_second` through on average and `burst` at once. Exact in whole numbers: no drift over time.
/// Pure: time is passed in. One thread.
class TokenBucket {
 public:
  /// Starts full. Both at least 1 and at most 1,000,000,000.
  TokenBucket(std::uint64_t per_second, std::uint64_t burst);

  /// Zero: `tokens` were taken. Else nothing was taken, and they will be there after that time if nobody else
  /// takes any. More than `burst` can never be there at once: such a call needs, and takes, a full bucket.
  Nanoseconds take(SteadyNs now, std::uint64_t tokens = 1);
  /// What take() would say; takes nothing.
  Nanoseconds wait(SteadyNs now, std::uint64_t tokens = 1);

 private:
  std::uint64_t per_second_;
  std::uint64_t full_;  // in billionths of a token, so that a nanosecond adds per_second_
  std::uint64_t level_;
  SteadyNs filled_at_;
};

}  // namespace refrain::resilience
