// SPDX-License-Identifier: Apache-2.0
// Time in a world: one steady time for all, a wall clock a node that can be wrong.
#pragma once
#include "base/clock.h"
#include "base/types.h"

namespace refrain::simulation {

inline constexpr WallMs kEpoch{1'790'000'000'000};  // what a right wall clock shows when a world begins

class SimClock final : public Clock {
 public:
  explicit SimClock(const SteadyNs& now) : now_(now) {}
  WallMs wall() const override { return kEpoch + Milliseconds{now_.value / 1'000'000} + offset_; }
  SteadyNs steady() const override { return now_; }

  void set_offset(Milliseconds offset) { offset_ = offset; }
  Milliseconds offset() const { return offset_; }

 private:
  const SteadyNs& now_;
  Milliseconds offset_{0};
};

}  // namespace refrain::simulation
