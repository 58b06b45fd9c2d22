// SPDX-License-Identifier: Apache-2.0
// The record of a request as three maxima (store::RequestRow) and how news joins it. Each part is a maximum
// of its own (a product of lattices is a lattice), so any order of arrival, with any repetition, ends in the
// same row. Duplicate runs are found where two parts meet.
#pragma once
#include <optional>
#include <vector>

#include "base/types.h"
#include "store/operations.h"
#include "store/requests_rows.h"

namespace refrain::idempotency {

using Found = std::vector<store::Duplicate>;

inline Version version_of(const store::GoId& go) {
  return {go.go, go.node};
}

/// at + by, the largest time instead of an overflow: a peer's numbers may be anything.
WallMs later(WallMs at, Milliseconds by);

/// When a claim means nothing any more; never, while it is under `hold` and not released.
std::optional<WallMs> claim_end(const store::Claim& claim);

/// The claim had seen that go, or a later one of that node.
bool has_seen(const store::Claim& claim, const store::GoId& go);

/// Another node's claim has seen it: it can neither complete nor bind any more.
bool superseded(const store::RequestRow& row, const store::GoId& go);

/// Not released, not superseded, newer than the row's outcome. Whether its time is over is not asked.
bool is_open(const store::RequestRow& row, const NodeName& node, const store::Claim& claim);
bool has_open_claim(const store::RequestRow& row);

/// The row means nothing at `now`: read it as absent, since a compaction may drop it any moment.
bool is_over(const store::RequestRow& row, WallMs now);

/// Of one node's claims the larger (go, released, lease_until) stays. Adds to `found` each pair of unreleased
/// claims of which neither had seen the other, while both meant something: `possible`.
void join_claim(store::RequestRow& row, const store::ClaimOp& news, Found& found);

/// The larger version stays; seen_until is the largest met. Adds to `found` the loser when another run's
/// outcome is met, unless the older life was over before the newer go was given. The body is not kept in the
/// row. True: `news` is the row's outcome now.
bool join_outcome(store::RequestRow& row, const store::OutcomeOp& news, const Version& version,
                  const CommitId& commit, Found& found);

}  // namespace refrain::idempotency
