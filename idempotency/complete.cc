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

/// Older than what is remembered. A claim under `hold` has no such age while it is known here; of a claim
/// that is not here (any more, or not yet) the token's own time counts.
bool too_old(const RequestRow* row, const Token& token, const RequestRules& rules, WallMs now) {
  if (const Claim* claim = claim_of(row, token.go)) {
    auto end = claim_end(*claim);
    return end && *end <= now;
  }
  return later(token.go.go.wall(), rules.seen_ttl) <= now;
}

struct Attempt {
  const CompleteCall& call;
  const RequestRow* row;
  const Token& token;
  const Here& here;

  /// The refusal of a run that was not the only one: it is journalled, so that everyone lists it.
  Decision<CompleteAnswer> refuse(Error error, const GoId& winner, std::optional<Sha256> winner_hash,
                                  bool possible = false) const {
    Decision<CompleteAnswer> decision(std::move(error));
    Sha256 hash = content_hash(call.completion.response, call.completion.effects);
    decision.operations.push_back(
        store::DuplicateOp{{call.ns, call.id, token.go, winner, possible, hash, winner_hash, here.now()}});
    return decision;
  }
  /// An operator's word may be of this very run: then it is no more than possible that it ran twice.
  Decision<CompleteAnswer> refuse(Error error, const store::Outcome& winner) const {
    return refuse(std::move(error), winner.go, winner.content_hash, winner.by_operator);
  }

  std::optional<Decision<CompleteAnswer>> repeated() const {
    if (!has_live_outcome(row, here.now()) || row->outcome->outcome.go != token.go) return std::nullopt;
    const Version& version = row->outcome->version;
    const store::Outcome& outcome = row->outcome->outcome;
    if (REFRAIN_PLANTED(content_not_compared) ||
        outcome.content_hash == content_hash(call.completion.response, call.completion.effects)) {
      return CompleteAnswer{version, outcome.completed_at, true, row->outcome->commit()};
    }
    return conflict("completed_differently",
                    "The token has completed the request with another response or other operations. Nothing "
                    "was changed; begin again to get what is stored.");
  }

  std::optional<Decision<CompleteAnswer>> refused(const RequestRules& rules) const {
    if (too_old(row, token, rules, here.now())) {
      return superseded_error("The token is older than the request is remembered.");
    }
    if (has_live_outcome(row, here.now()) && !REFRAIN_PLANTED(replay_of_other)) {
      return refuse(already_completed_error(), row->outcome->outcome);
    }
    if (has_dead_outcome_after(row, token.go, here.now())) {
      Error error = superseded_error("The request was completed and is no longer remembered.");
      const store::Outcome& outcome = row->outcome->outcome;
      if (outcome.go == token.go) return error;
      return refuse(std::move(error), outcome);
    }
    if (auto next = successor(row, token); next && !REFRAIN_PLANTED(superseded_accepted)) {
      Error error = superseded_error(next->ran ? "A later claim took over." : "An operator released it.");
      if (!next->ran) return error;
      return refuse(std::move(error), next->go, std::nullopt);
    }
    return gone();
  }

  std::optional<Decision<CompleteAnswer>> gone() const {
    const Claim* claim = claim_of(row, token.go);
    if (claim && claim->released && !REFRAIN_PLANTED(released_accepted)) return released_error();
    if (claim) return std::nullopt;
    bool gave_it = token.go.node == here.node && token.incarnation == here.incarnation;
    if (gave_it || !call.completion.effects.empty()) return superseded_error("The claim is no longer known.");
    REFRAIN_BRANCH(complete_before_its_claim);
    return std::nullopt;  // it has not arrived here yet
  }
};

OutcomeOf outcome_of(const RequestRow* row, const Token& token, const RequestRules& rules) {
  const Claim* claim = claim_of(row, token.go);
  OutcomeOf of{token.go,           token.fingerprint,  std::max(1U, largest_attempt(row)),
               token.go.go.wall(), rules.response_ttl, rules.seen_ttl};
  if (claim) {
    of.attempt = claim->attempt;
    of.response_ttl = claim->response_ttl;
    of.seen_ttl = claim->seen_ttl;
  }
  return of;
}

}  // namespace

Decision<CompleteAnswer> complete(const Row& row, const CompleteCall& call, const Terms& terms,
                                  const Here& here) {
  if (auto bad = check_completion(call.completion, terms)) return *bad;
  auto token = decode_token(call.token, call.ns, call.id, here.now(), here.max_drift);
  if (!token) return token.error();
  bool elsewhere = token->go.node != here.node && !REFRAIN_PLANTED(operations_anywhere);
  if (!call.completion.effects.empty() && elsewhere) {
    return wrong_node(token->go.node, here);
  }
  Attempt attempt{call, live(row, here.now()), *token, here};
  if (auto bad = check_against(attempt.row, *token)) return *bad;
  if (auto again = attempt.repeated()) return std::move(*again);
  if (auto no = attempt.refused(terms.rules)) return std::move(*no);
  auto outcome = make_outcome(outcome_of(attempt.row, *token, terms.rules), call.completion, here);
  if (!outcome) return outcome.error();
  REFRAIN_ASSERT(
      !attempt.row || !attempt.row->outcome || attempt.row->outcome->version < (Version{here.at, here.node}),
      "a decision is newer than every outcome that was applied");
  CompleteAnswer answer{{here.at, here.node}, outcome->completed_at, false, {}};
  return {answer, store::OutcomeOp{call.ns, call.id, std::move(*outcome)}};
}

}  // namespace refrain::idempotency
