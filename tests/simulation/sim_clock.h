// SPDX-License-Identifier: Apache-2.0
// Time in a world: one steady time for all, a wall clock a node that can be wrong: off, too fast, too slow,
// or standing still.
#pragma once
#include "base/clock.h"
#include "base/types.h"

namespace refrain::simulation {

inline constexpr WallMs kEpoch{1'790'000'000'000};  // what a right wall clock shows when a world begins

class SimClock final : public Clock {
 public:
  explicit SimClock(const SteadyNs& now) : now_(now) {}
  WallMs wall() const override { return right_wall() + Milliseconds{off_ns() / 1'000'000}; }
  SteadyNs steady() const override { return now_; }

  /// Steps to this far from the right time.
  void set_offset(Milliseconds offset) { settle(offset.count() * 1'000'000); }
  /// From now on it gains (or loses) this many thousandths; -1000 = it stands still.
  void set_drift(std::int64_t per_mille) {
    settle(off_ns());
    drift_ = per_mille;
  }
  /// Right, and at the right speed.
  void mend() {
    drift_ = 0;
    settle(0);
  }

 private:
  WallMs right_wall() const { return kEpoch + Milliseconds{now_.value / 1'000'000}; }
  std::int64_t off_ns() const { return off_ + (now_.value - since_.value) / 1'000 * drift_; }
  void settle(std::int64_t off) {
    off_ = off;
    since_ = now_;
  }

  const SteadyNs& now_;
  std::int64_t off_ = 0;  // ns, at since_
  std::int64_t drift_ = 0;
  SteadyNs since_;
};

}  // namespace refrain::simulation
