// SPDX-License-Identifier: Apache-2.0
#include "idempotency/report.h"

#include "idempotency/decide.h"
#include "idempotency/token.h"

namespace refrain::idempotency {
namespace {

void add_claim(const store::Claim& claim, const store::GoId& go, Report& out) {
  out.attempt = claim.attempt;
  out.node = go.node;
  out.on_expiry = claim.hold ? OnExpiry::kHold : OnExpiry::kRetry;
  out.started_at = claim.go.wall();
  out.lease_until = claim.lease_until;
}

void add_outcome(const store::RequestRow& row, Report& out) {
  const store::Outcome& outcome = row.outcome->outcome;
  out.attempt = outcome.attempt;
  out.node = outcome.go.node;
  if (const store::Claim* claim = claim_of(&row, outcome.go)) {
    out.on_expiry = claim->hold ? OnExpiry::kHold : OnExpiry::kRetry;
  }
  out.started_at = outcome.started_at;
  out.completed_at = outcome.completed_at;
  if (!outcome.too_large) out.response_until = outcome.response_until;
  out.seen_until = row.seen_until;
  out.response = {outcome.status, outcome.content_type, outcome.body_size, outcome.too_large};
}

}  // namespace

std::optional<Report> report(const Row& row, const RequestRules& rules,
                             const std::optional<Sha256>& fingerprint, const Here& here) {
  const store::RequestRow* known = live(row, here.now());
  Standing now = standing(known, here);
  if (now.state == State::kAbsent) return std::nullopt;
  Report out;
  out.state = now.state;
  out.scope = scope_of(row, rules.scope, here.now());
  out.on_expiry = rules.on_expiry;
  if (now.holder) {
    add_claim(known->claims.at(now.holder->node), *now.holder, out);
  } else {
    add_outcome(*known, out);
  }
  if (fingerprint) out.fingerprint_matches = fingerprint_fits(*known, now, kept_part(*fingerprint));
  return out;
}

}  // namespace refrain::idempotency
