// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/planted.h"
#include "idempotency/decide.h"
#include "idempotency/row.h"
#include "idempotency/token.h"

namespace refrain::idempotency {
namespace {

using store::Claim;
using store::GoId;
using store::RequestRow;

std::optional<Error> check_call(const BeginCall& call, const Terms& terms) {
  if (auto bad = check_span("lease", call.lease, terms.max_lease)) return bad;
  return check_span("seen_ttl", call.seen_ttl);
}

Claim make_claim(const RequestRow* row, const BeginCall& call, const Terms& terms, const Scope& scope,
                 const Here& here) {
  Claim claim;
  claim.go = here.at;
  claim.lease_until = here.now() + call.lease.value_or(std::min(terms.rules.lease, terms.max_lease));
  claim.seen_ttl = call.seen_ttl.value_or(terms.rules.seen_ttl);
  claim.response_ttl = std::min(terms.rules.response_ttl, claim.seen_ttl);
  claim.hold = call.on_expiry.value_or(terms.rules.on_expiry) == OnExpiry::kHold;
  claim.attempt = REFRAIN_PLANTED(attempts_forgotten) ? 1 : largest_attempt(row) + 1;
  claim.seen = seen_claims(row, here.node);
  claim.token_bits = call.token_bits;
  claim.fingerprint = kept_part(call.fingerprint);
  claim.incarnation = here.incarnation;
  claim.home = scope.home;
  return claim;
}

Go make_go(const BeginCall& call, const Claim& claim, const Scope& scope, const Freshness& freshness,
           const Here& here) {
  Go go;
  go.token = encode_token(call.ns, call.id,
                          {{here.node, claim.go}, claim.incarnation, claim.fingerprint, claim.token_bits});
  go.fencing = format_fencing(claim.go);
  go.attempt = claim.attempt;
  go.lease = claim.lease_until - here.now();
  go.lease_until = claim.lease_until;
  go.on_expiry = claim.hold ? OnExpiry::kHold : OnExpiry::kRetry;
  go.scope = scope;
  go.lag = freshness.lag;
  go.behind = freshness.behind;
  return go;
}

void check_newest(const RequestRow* row, const Here& here) {
  if (!row) return;
  auto own = row->claims.find(here.node);
  REFRAIN_ASSERT(own == row->claims.end() || own->second.go < here.at, "a go is newer than the node's last");
  REFRAIN_ASSERT(!row->outcome || row->outcome->version < (Version{here.at, here.node}),
                 "a decision is newer than every outcome that was applied");
}

}  // namespace

Scope scope_of(const Row& row, const Scope& configured, WallMs now) {
  const RequestRow* known = live(row, now);
  if (!known || known->claims.empty()) return configured;
  auto newest = std::ranges::max_element(known->claims, {}, [](const auto& entry) {
    return Version{entry.second.go, entry.first};
  });
  const NodeName& home = newest->second.home;
  if (home.empty()) return {Scope::Kind::kLocal, {}};
  return configured.kind == Scope::Kind::kHome ? configured : Scope{Scope::Kind::kHome, home};
}

bool worth_waiting(const Error& error) {
  return error.slug == "request_in_progress" || error.slug == "catching_up";
}

Decision<std::variant<Go, Replay>> begin(const Row& row, const BeginCall& call, const Terms& terms,
                                         const Freshness& freshness, const Here& here) {
  using Answer = std::variant<Go, Replay>;
  if (auto bad = check_call(call, terms)) return *bad;
  const RequestRow* known = live(row, here.now());
  Scope scope = scope_of(row, terms.rules.scope, here.now());
  if (auto other = held(known, standing(known, here), call.fingerprint, scope, here)) {
    if (!*other) return other->error();
    return Answer(std::move(**other));
  }
  if (auto stale = not_fresh(freshness, call.max_lag)) return *stale;
  check_newest(known, here);
  Claim claim = make_claim(known, call, terms, scope, here);
  Go go = make_go(call, claim, scope, freshness, here);
  return {Answer(std::move(go)), store::ClaimOp{call.ns, call.id, here.node, std::move(claim)}};
}

Decision<std::variant<Ran, Replay>> execute(const Row& row, const ExecuteCall& call, const Terms& terms,
                                            const Freshness& freshness, const Here& here) {
  using Answer = std::variant<Ran, Replay>;
  const RequestRow* known = live(row, here.now());
  Scope scope = scope_of(row, terms.rules.scope, here.now());
  if (auto other = held(known, standing(known, here), call.fingerprint, scope, here)) {
    if (!*other) return other->error();
    return Answer(std::move(**other));
  }
  if (auto stale = not_fresh(freshness, std::nullopt)) return *stale;
  if (auto bad = check_completion(call.completion, terms)) return *bad;
  check_newest(known, here);
  OutcomeOf run{{here.node, here.at}, kept_part(call.fingerprint), largest_attempt(known) + 1,
                here.now(),           terms.rules.response_ttl,    terms.rules.seen_ttl};
  auto outcome = make_outcome(run, call.completion, here);
  if (!outcome) return outcome.error();
  Ran ran{{here.at, here.node}, outcome->completed_at, outcome->attempt};
  return {Answer(ran), store::OutcomeOp{call.ns, call.id, std::move(*outcome)}};
}

}  // namespace refrain::idempotency
