// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/planted.h"
#include "idempotency/decide.h"
#include "idempotency/row.h"
#include "idempotency/token.h"

namespace refrain::idempotency {
namespace {

using store::Claim;
using store::RequestRow;

/// The token's own claim at the node that gave it, whatever has become of it; nullptr: it is gone.
struct Held {
  Token token;
  const RequestRow* row = nullptr;
  const Claim* claim = nullptr;
};

Result<Held> find(const Row& row, const std::string& ns, const std::string& id, const std::string& text,
                  const Here& here) {
  auto token = decode_token(text, ns, id, here.now(), here.max_drift);
  if (!token) return token.error();
  if (token->go.node != here.node && !REFRAIN_PLANTED(renew_by_anyone))
    return wrong_node(token->go.node, here);
  Held held{std::move(*token), live(row, here.now()), nullptr};
  if (auto bad = check_against(held.row, held.token)) return *bad;
  held.claim = claim_of(held.row, held.token.go);
  if (REFRAIN_PLANTED(renew_by_anyone) && held.row && held.row->claims.contains(here.node))
    held.claim = &held.row->claims.at(here.node);
  return held;
}

/// Why the claim can no longer be renewed or released.
std::optional<Error> ended(const Held& held, const Here& here) {
  if (has_live_outcome(held.row, here.now())) return already_completed_error();
  if (successor(held.row, held.token) && !REFRAIN_PLANTED(renew_of_superseded))
    return superseded_error("A later claim took over.");
  if (!held.claim || has_dead_outcome_after(held.row, held.token.go, here.now())) {
    return superseded_error("The claim is no longer known.");
  }
  if (held.claim->released) return released_error();
  auto end = claim_end(*held.claim);
  if (end && *end <= here.now()) return superseded_error("The claim is too old.");
  return std::nullopt;
}

}  // namespace

Decision<RenewAnswer> renew(const Row& row, const RenewCall& call, const Terms& terms, const Here& here) {
  if (auto bad = check_span("lease", call.lease, terms.max_lease)) return *bad;
  auto held = find(row, call.ns, call.id, call.token, here);
  if (!held) return held.error();
  if (auto over = ended(*held, here)) return *over;
  Claim claim = *held->claim;
  Milliseconds lease = call.lease.value_or(std::min(terms.rules.lease, terms.max_lease));
  WallMs least = REFRAIN_PLANTED(renew_shortens) ? WallMs{0} : claim.lease_until;
  claim.lease_until = std::max(least, here.now() + lease);
  RenewAnswer answer{claim.lease_until - here.now(), claim.lease_until};
  if (claim == *held->claim) return answer;
  return {answer, store::ClaimOp{call.ns, call.id, here.node, std::move(claim)}};
}

Decision<ReleaseAnswer> release(const Row& row, const ReleaseCall& call, const Here& here) {
  auto held = find(row, call.ns, call.id, call.token, here);
  if (!held) return held.error();
  if (held->claim && held->claim->released) return ReleaseAnswer{true};
  if (auto over = ended(*held, here)) return *over;
  Claim claim = *held->claim;
  claim.released = true;
  return {ReleaseAnswer{}, store::ClaimOp{call.ns, call.id, here.node, std::move(claim)}};
}

}  // namespace refrain::idempotency
