// SPDX-License-Identifier: Apache-2.0
// The two seams that let a simulator own time and chance.
#pragma once
#include <cstdint>

#include "base/types.h"

namespace refrain {

/// Any thread.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual WallMs wall() const = 0;
  virtual SteadyNs steady() const = 0;
};

/// One thread at a time.
class Random {
 public:
  virtual ~Random() = default;
  virtual std::uint64_t next() = 0;
};

/// The machine's clocks.
class SystemClock final : public Clock {
 public:
  WallMs wall() const override;
  SteadyNs steady() const override;
};

/// The kernel's random numbers (getrandom); aborts when there are none.
class SystemRandom final : public Random {
 public:
  std::uint64_t next() override;
};

}  // namespace refrain
