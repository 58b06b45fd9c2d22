// SPDX-License-Identifier: Apache-2.0
#include "base/clock.h"

#include <sys/random.h>

#include <chrono>

#include "base/result.h"

namespace refrain {

WallMs SystemClock::wall() const {
  using namespace std::chrono;
  return {duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count()};
}

SteadyNs SystemClock::steady() const {
  using namespace std::chrono;
  return {duration_cast<nanoseconds>(steady_clock::now().time_since_epoch()).count()};
}

std::uint64_t SystemRandom::next() {
  std::uint64_t value = 0;
  REFRAIN_ASSERT(getrandom(&value, sizeof value, 0) == sizeof value, "getrandom gives random bytes");
  return value;
}

}  // namespace refrain
