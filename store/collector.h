// SPDX-License-Identifier: Apache-2.0
// What may be forgotten of family kv, goes: tombstones and expired records that lie at or below the floor.
//
// The floor is S as this node has reached it (replication/watermarks.h): every active member has, on its
// disk, all that was committed anywhere up to there. Why a row at or below it can go:
// - No older write of its key is still to come. Every member has it, so a record of it is a duplicate by its
//   seq, whatever Kafka loses or brings again; a member that writes anew mints above the floor; a joiner
//   starts its clock above every floor met; while an incarnation joins, or is over and not complete, S stands
//   still.
// - No later write misses it. A commit carries its writer's floor, which says "all up to here was seen": so
// no
//   conflict is found too much or too little (store/kv.h).
// - An expired record goes once the floor's own time has passed its end: every member has journalled past
// that
//   time, and no node's time falls behind what it journalled, so it is visible nowhere any more, and never
//   again.
// Crash: the floor is written before its rows go, or in the same batch, and batches become durable in order.
// So a power cut leaves both, or the floor alone, or neither; what it brings back is collected again. A
// snapshot holds the floor of its cut: a source that has not collected yet hands on rows that go later, one
// that has hands on the floor that speaks for them.
//
// A row whose conflict is open stays: whoever resolves it sees what was deleted.
#pragma once
#include <algorithm>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/types.h"
#include "store/conflicts.h"
#include "store/draft.h"
#include "store/kv.h"

namespace refrain::store {

/// The floor from which on a row with this version may go; none for a value that stays.
std::optional<Hlc> collectable_from(Hlc version, bool deleted, std::optional<WallMs> expires_at);

struct CollectorLimits {
  std::size_t rows = 500;          // looked at in one step
  std::size_t bytes = 256 * 1024;  // read in one step; passed by at most one row
  Milliseconds between_steps{20};
  Milliseconds between_passes{1'000};
};

/// Walks the family, a bounded slice a step, from a position that it keeps in memory; a pass begins only when
/// some row may go. One thread. Counts are kept beside the draft: say written() or not_written().
class Collector {
 public:
  struct Counts {
    std::uint64_t tombstones = 0;
    std::uint64_t expired = 0;
    bool operator==(const Counts&) const = default;
  };

  explicit Collector(CollectorLimits limits) : limits_(limits) {}

  /// The running batch writes a row that may go from this floor on. A walk that begins now does not see it.
  void expect(Hlc from) { fresh_ = std::min(fresh_, from); }

  /// The last one to change the draft before it is written. An error is of reading: what it has put into the
  /// draft is right, and it begins again a minute later. A row that cannot be read is left to those who ask
  /// for it.
  Result<void> step(Draft& draft, const ConflictLog& conflicts, Hlc floor, SteadyNs now);
  void written();
  void not_written();
  /// Rows came or went beside it: begins again.
  void start_over();

  /// When step() has something to do, as things stand; none = nothing.
  std::optional<SteadyNs> wakes_at(Hlc floor) const;
  /// Removed since it was made.
  const Counts& removed() const { return removed_; }

 private:
  void meet(Hlc from) { earliest_ = std::min(earliest_, from); }
  Result<void> look_at(Draft& draft, const ConflictLog& conflicts, Hlc floor, const Cursor& row);

  Error give_up(SteadyNs now, Error error);

  const CollectorLimits limits_;
  bool walking_ = false;
  std::string position_;  // the next row to look at
  SteadyNs due_;
  static constexpr Hlc kNever{std::numeric_limits<std::uint64_t>::max()};
  Hlc earliest_;        // the smallest floor from which on some row may go; 0 = unknown
  Hlc fresh_ = kNever;  // the same of the running batch
  Counts removed_;
  Counts removing_;  // in the running batch
};

}  // namespace refrain::store
