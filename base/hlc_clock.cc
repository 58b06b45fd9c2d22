// SPDX-License-Identifier: Apache-2.0
#include "base/hlc_clock.h"

#include <fmt/format.h>

namespace refrain {

Result<Hlc> HlcClock::mint(WallMs wall) {
  if (!can_mint(wall)) {
    auto ahead = last_.wall() - wall;
    Error error = unavailable(
        "clock_drift",
        fmt::format("The clock of this machine is {} ms behind the newest write. Writes go on when it "
                    "catches up; check its time service.",
                    ahead.count()));
    error.retry_after_ms = (ahead - max_drift_).count();
    return error;
  }
  Hlc next = wall > last_.wall() ? Hlc::of(wall)
                                 : Hlc{last_.value + 1};  // the carry runs into the milliseconds by itself
  last_ = next;
  return next;
}

}  // namespace refrain
