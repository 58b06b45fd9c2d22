// SPDX-License-Identifier: Apache-2.0
// A caller's writes as operations: conditions tested and contexts taken against one state, the running draft.
#pragma once
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "node/config.h"
#include "node/node.h"
#include "store/draft.h"
#include "store/operations.h"

namespace refrain::node {

struct PreparedWrites {
  std::vector<store::Operation> operations;
  std::vector<bool> existed;  // per write: a visible value was there
};

/// Names, sizes and doubles: what can be refused without looking. `invalid`, `duplicate_key` or
/// `value_too_large`, with the index of the write.
Result<void> check_writes(const std::vector<Write>& writes, const LimitSettings& limits);

/// The operations of a commit at `node`, or why one condition fails (412 version_mismatch with its index).
/// Reads only.
Result<PreparedWrites> prepare_writes(const store::Draft& draft, const NodeName& node, WallMs now,
                                      const std::vector<Write>& writes);

}  // namespace refrain::node
