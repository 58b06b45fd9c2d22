// SPDX-License-Identifier: Apache-2.0
// Is everything everywhere? Worked out from /v1/status alone. Pure.
#pragma once
#include <string>
#include <vector>

#include "base/types.h"
#include "cli/json_access.h"

namespace refrain::cli {

struct SyncVerdict {
  std::vector<std::string> reasons;  // why not; empty = in sync
  bool in_sync() const { return reasons.empty(); }
};

/// In sync: every active member heard, every lag and the oldest own commit that is not yet synced within
/// `max_lag`, and nothing parked. A node that runs alone is in sync.
SyncVerdict sync_verdict(const json::value& status, Milliseconds max_lag);

}  // namespace refrain::cli
