// SPDX-License-Identifier: Apache-2.0
#include "resilience/retry_policy.h"

#include <algorithm>

#include "base/result.h"

namespace refrain::resilience {

Milliseconds RetryPolicy::ceiling(std::uint32_t failures) const {
  REFRAIN_ASSERT(initial.count() >= 0 && max >= initial, "a retry policy has 0 <= initial <= max");
  Milliseconds pause = initial;
  for (std::uint32_t i = 1; i < failures && pause.count() > 0 && pause < max; ++i)
    pause = pause > max / 2 ? max : 2 * pause;  // halving the limit: doubling first could overflow
  return pause;
}

Milliseconds RetryPolicy::pause(std::uint32_t failures, std::uint64_t random) const {
  auto choices = static_cast<std::uint64_t>(ceiling(failures).count()) + 1;
  return Milliseconds{static_cast<std::int64_t>(random % choices)};
}

}  // namespace refrain::resilience
