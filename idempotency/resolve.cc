// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/planted.h"
#include "idempotency/decide.h"
#include "idempotency/row.h"

namespace refrain::idempotency {
namespace {

using store::Claim;
using store::RequestRow;

std::optional<Error> not_unknown(const Standing& standing, const Here& here) {
  switch (standing.state) {
    case State::kUnknown:
      return std::nullopt;
    case State::kAbsent:
      return not_found("Nothing is to be resolved: the request is absent.");
    case State::kRunning:
      if (REFRAIN_PLANTED(resolve_of_running)) return std::nullopt;
      return in_progress_error(standing, here);
    case State::kCompleted:
    case State::kSeen:
      return already_completed_error();
  }
  return std::nullopt;
}

/// A claim that was never given to anyone: it has seen all others and is released.
Claim make_release(const RequestRow& row, const Claim& unknown, const Terms& terms, const Here& here) {
  Claim claim;
  claim.go = here.at;
  claim.released = true;
  claim.by_operator = true;
  claim.lease_until = here.now();
  claim.seen_ttl = std::max(terms.rules.seen_ttl, unknown.seen_ttl);
  claim.response_ttl = unknown.response_ttl;
  claim.attempt = largest_attempt(&row);
  claim.seen = seen_claims(&row, here.node);
  claim.fingerprint = unknown.fingerprint;
  claim.incarnation = here.incarnation;
  claim.home = unknown.home;
  // Tells a late complete of the claim that stood here from one of an older claim.
  if (auto own = row.claims.find(here.node); own != row.claims.end())
    claim.token_bits = own->second.token_bits;
  return claim;
}

}  // namespace

Decision<ResolveAnswer> resolve(const Row& row, const ResolveCall& call, const Terms& terms,
                                const Here& here) {
  if (call.completion) {
    if (auto bad = check_completion(*call.completion, terms)) return *bad;
    if (!call.completion->effects.empty()) return invalid("invalid", "A resolution takes no operations.");
  }
  const RequestRow* known = live(row, here.now());
  Standing now = standing(known, here);
  if (auto no = not_unknown(now, here)) return *no;
  const Claim& unknown = known->claims.at(now.holder->node);
  ResolveAnswer answer{here.now()};
  if (!call.completion) {
    Claim claim = make_release(*known, unknown, terms, here);
    return {answer, store::ClaimOp{call.ns, call.id, here.node, std::move(claim)}};
  }
  auto outcome = make_outcome({{here.node, here.at},
                               unknown.fingerprint,
                               unknown.attempt,
                               unknown.go.wall(),
                               unknown.response_ttl,
                               unknown.seen_ttl},
                              *call.completion, here);
  if (!outcome) return outcome.error();
  outcome->by_operator = true;
  return {answer, store::OutcomeOp{call.ns, call.id, std::move(*outcome)}};
}

}  // namespace refrain::idempotency
