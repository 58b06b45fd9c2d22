// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "base/types.h"

namespace refrain::resilience {

/// Exponential backoff with full jitter (Brooker, "Exponential Backoff And Jitter", 2015): many who failed
/// together do not come back together. Pure.
struct RetryPolicy {
  Milliseconds initial{1'000};
  Milliseconds max{10'000};

  /// The longest pause after `failures` (from 1) failed attempts in a row: initial, doubled each time, at
  /// most max.
  Milliseconds ceiling(std::uint32_t failures) const;

  /// The pause to make: from 0 to ceiling(failures), as evenly spread as `random` is.
  Milliseconds pause(std::uint32_t failures, std::uint64_t random) const;
};

}  // namespace refrain::resilience
