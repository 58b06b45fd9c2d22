// SPDX-License-Identifier: Apache-2.0
// Hybrid logical clock (Kulkarni, Demirbas et al., "Logical Physical Clocks", 2014), bounded against a wall
// that steps.
#pragma once
#include "base/result.h"
#include "base/types.h"

namespace refrain {

/// Pure: the caller passes the wall time in. One thread. After a crash start it from the stored hlc (see
/// restart()).
class HlcClock {
 public:
  HlcClock(Hlc last, Milliseconds max_drift) : last_(last), max_drift_(max_drift) {}

  /// The next hlc, larger than all before. `unavailable clock_drift`, and nothing changes, when the clock is
  /// more than max_drift ahead of the wall: the wall stepped back.
  Result<Hlc> mint(WallMs wall);

  /// True when a remote hlc is more than max_drift ahead of our wall: its journal must wait.
  bool too_far_ahead(Hlc remote, WallMs wall) const { return remote.wall() - wall > max_drift_; }

  /// Makes every later hlc larger than `remote`.
  void observe(Hlc remote) {
    if (remote > last_) last_ = remote;
  }

  /// Newest hlc minted or observed.
  Hlc last() const { return last_; }

  /// Time as the node sees it: the wall, never behind what was minted or observed.
  WallMs now(WallMs wall) const { return wall > last_.wall() ? wall : last_.wall(); }

  /// Whether mint() would work.
  bool can_mint(WallMs wall) const { return last_.wall() - wall <= max_drift_; }

 private:
  Hlc last_;
  Milliseconds max_drift_;
};

}  // namespace refrain
