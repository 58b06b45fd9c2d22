// SPDX-License-Identifier: Apache-2.0
// A store that was a member's becomes one that founds a new cluster: with all its rows, a clock above all of
// them, and nothing of the old cluster's membership, journals and cursors.
//
// Crash: only for a copy that is thrown away when this does not end well; the last write syncs all.
#pragma once
#include <cstdint>

#include "base/result.h"
#include "base/types.h"
#include "store/engine.h"
#include "store/meta.h"

namespace refrain::store {

struct Refounded {
  ClusterId old_cluster;
  AppliedTable applied;            // what the store had of each journal
  std::uint64_t void_commits = 0;  // kept aside
};

/// `cluster` and `incarnation`: new, random. kCorrupt: no node's store, or rows that cannot be read;
/// kConflict: half a snapshot; what writing fails with.
Result<Refounded> refound(Engine& engine, ClusterId cluster, Incarnation incarnation);

}  // namespace refrain::store
