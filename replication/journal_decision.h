// SPDX-License-Identifier: Apache-2.0
// What to do with one record of a journal: apply, duplicate, gap or park, as a pure function.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/types.h"
#include "store/operations.h"

namespace refrain::replication {

enum class ParkReason : std::uint8_t {
  kClockSkew,       // hlc too far ahead of our wall; goes on by itself when our wall has caught up
  kCorrupt,         // bytes that are no record
  kNewerFormat,     // written for a newer program
  kWrongCluster,    // of another cluster
  kClonedNode,      // other bytes under a seq that was applied: two processes write as one incarnation
  kClockRegressed,  // hlc not above what this node had journalled before, or not above the floor
};
std::string_view park_reason_name(ParkReason reason);  // "clock_skew", ...

/// An incarnation in the members table.
enum class IncarnationState : std::uint8_t { kUnknown, kJoining, kActive, kOver };

/// What the node knows of one incarnation of a journal's node, as of the store and the members table.
struct IncarnationFacts {
  IncarnationState state = IncarnationState::kUnknown;
  std::uint64_t joined_n = 0;  // place of its join (or found) in the members log
  std::optional<Seq>
      limit;  // of one that is over: how far we may apply, by our word or the end; none = no limit yet
  store::Applied applied;  // seq 0 = nothing
  Hlc newest_hlc;          // the largest hlc applied of this incarnation and of earlier ones of its node
};

/// Of a record, what the decision needs.
struct RecordFacts {
  ClusterId cluster;
  Seq seq;
  Hlc hlc;
  std::uint32_t crc = 0;
};

/// Where we stand.
struct ReaderFacts {
  ClusterId cluster;
  WallMs wall;
  Milliseconds max_drift{500};
  Hlc floor;
};

enum class Verdict : std::uint8_t {
  kApply,
  kDuplicate,         // applied before
  kGap,               // something before it is missing: read on, flag it, believe nothing else
  kPark,              // hold the journal here
  kReadMembersFirst,  // of an incarnation that may not write yet, as far as we have read: stop here
  kBeyondEnd,         // void: pass it over
};

struct Decision {
  Verdict verdict = Verdict::kPark;
  ParkReason reason = ParkReason::kCorrupt;  // of kPark
  bool operator==(const Decision&) const = default;
};

/// `applied_crc`: of what was applied here under the record's seq, when that is still known.
Decision decide(const RecordFacts& record, const IncarnationFacts& incarnation,
                std::optional<std::uint32_t> applied_crc, const ReaderFacts& here);

}  // namespace refrain::replication
