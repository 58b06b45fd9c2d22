// SPDX-License-Identifier: Apache-2.0
// Applies the request operations of any commit, ours or a peer's, to a draft: the row joined, its mark in
// `open`, the winning response, the duplicates found. One thread. Nothing is decided here that the journals'
// order could change.
#pragma once
#include <cstdint>
#include <string>

#include "base/result.h"
#include "store/draft.h"
#include "store/operations.h"
#include "store/requests_rows.h"

namespace refrain::idempotency {

/// Entries of the duplicates list that are new here.
struct NewDuplicates {
  std::uint64_t certain = 0;
  std::uint64_t possible = 0;
  NewDuplicates& operator+=(const NewDuplicates& other) {
    certain += other.certain;
    possible += other.possible;
    return *this;
  }
};

/// `commit` is the one that carries the operation. kCorrupt, kUnavailable: the store's reads failed; the
/// draft must be thrown away.
///
/// A row that was over at the commit's time is taken as absent first: elsewhere a compaction may have dropped
/// it.
Result<NewDuplicates> apply(store::Draft& draft, const store::ClaimOp& op, const store::Commit& commit);
Result<NewDuplicates> apply(store::Draft& draft, const store::OutcomeOp& op, const store::Commit& commit);
Result<NewDuplicates> apply(store::Draft& draft, const store::DuplicateOp& op, const store::Commit& commit);

/// The list has it already, as certain as this: journalling it again would only repeat it.
Result<bool> is_known(const store::Draft& draft, const store::Duplicate& duplicate);

/// The stored response of a replay; response_gone() when it is no longer kept.
Result<store::ResponseRow> read_response(const store::Draft& draft, const std::string& ns,
                                         const std::string& id, const Version& version);

/// Takes the mark of a row away that is gone, over, or has no open claim that still means something at `now`.
/// True = it was taken away. For whoever walks `open`.
Result<bool> sweep_mark(store::Draft& draft, const store::RequestId& request, WallMs now);

}  // namespace refrain::idempotency
