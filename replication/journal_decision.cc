// SPDX-License-Identifier: Apache-2.0
#include "replication/journal_decision.h"

#include <algorithm>

#include "base/planted.h"

namespace refrain::replication {

std::string_view park_reason_name(ParkReason reason) {
  switch (reason) {
    case ParkReason::kClockSkew:
      return "clock_skew";
    case ParkReason::kCorrupt:
      return "corrupt";
    case ParkReason::kNewerFormat:
      return "newer_format";
    case ParkReason::kWrongCluster:
      return "wrong_cluster";
    case ParkReason::kClonedNode:
      return "cloned_node";
    case ParkReason::kClockRegressed:
      return "clock_regressed";
  }
  return "unknown";
}

namespace {

Decision park(ParkReason reason) {
  return {Verdict::kPark, reason};
}
Decision go(Verdict verdict) {
  return {verdict, {}};
}

Decision decide_next(const RecordFacts& record, const IncarnationFacts& incarnation,
                     const ReaderFacts& here) {
  if (record.hlc.wall() - here.wall > here.max_drift && !REFRAIN_PLANTED(observe_without_bound)) {
    REFRAIN_BRANCH(parked_for_clock_skew);
    return park(ParkReason::kClockSkew);
  }
  if (record.hlc <= std::max(incarnation.newest_hlc, here.floor)) return park(ParkReason::kClockRegressed);
  return go(Verdict::kApply);
}

}  // namespace

Decision decide(const RecordFacts& record, const IncarnationFacts& incarnation,
                std::optional<std::uint32_t> applied_crc, const ReaderFacts& here) {
  if (record.cluster != here.cluster) return park(ParkReason::kWrongCluster);
  bool may_write =
      incarnation.state == IncarnationState::kActive || incarnation.state == IncarnationState::kOver;
  if (!may_write) return go(Verdict::kReadMembersFirst);
  if (record.seq <= incarnation.applied.seq && !REFRAIN_PLANTED(apply_duplicates)) {
    REFRAIN_BRANCH(duplicate_record);
    if (applied_crc && *applied_crc != record.crc) return park(ParkReason::kClonedNode);
    return go(Verdict::kDuplicate);
  }
  // Before the gap test: nobody may ask for what is void.
  bool over = incarnation.state == IncarnationState::kOver;
  if (over && incarnation.limit && record.seq > *incarnation.limit) return go(Verdict::kBeyondEnd);
  bool gap = record.seq > incarnation.applied.seq.next();
  if (gap) REFRAIN_BRANCH(gap_in_a_journal);
  if (gap && !REFRAIN_PLANTED(apply_behind_gap)) return go(Verdict::kGap);
  return decide_next(record, incarnation, here);
}

}  // namespace refrain::replication
