// SPDX-License-Identifier: Apache-2.0
// What the decisions share. For this folder only.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.h"
#include "idempotency/requests.h"
#include "idempotency/token.h"
#include "store/requests_rows.h"

namespace refrain::idempotency {

/// The row while it means something; nullptr when there is none or it is over.
const store::RequestRow* live(const Row& row, WallMs now);
bool has_live_outcome(const store::RequestRow* row, WallMs now);
/// An outcome that is forgotten but newer than the go: the go belongs to a life that has ended.
bool has_dead_outcome_after(const store::RequestRow* row, const store::GoId& go, WallMs now);

/// The node's own claim of this very go.
const store::Claim* claim_of(const store::RequestRow* row, const store::GoId& go);
std::uint32_t largest_attempt(const store::RequestRow* row);
/// The gos of all other nodes' claims in the row.
store::Context seen_claims(const store::RequestRow* row, const NodeName& node);

/// 1 ms to `most`, 100 years without; else 400 invalid.
std::optional<Error> check_span(std::string_view name, const std::optional<Milliseconds>& span,
                                std::optional<Milliseconds> most = std::nullopt);
std::optional<Error> check_completion(const Completion& completion, const Terms& terms);

/// bad_token when the row knows the token's go otherwise than the token says.
std::optional<Error> check_against(const store::RequestRow* row, const Token& token);

/// A claim that took over from a token's.
struct Successor {
  store::GoId go;
  bool ran = true;  // a run was given a go; false: an operator's release and nothing else
};
std::optional<Successor> successor(const store::RequestRow* row, const Token& token);

/// Why a fresh go cannot be given here though nothing binds the request, or why it is bound.
/// nullopt = go ahead. A Replay is no refusal.
std::optional<Result<Replay>> held(const store::RequestRow* row, const Standing& standing,
                                   const Sha256& fingerprint, const Scope& scope, const Here& here);
std::optional<Error> not_fresh(const Freshness& freshness, const std::optional<Milliseconds>& max_lag);

/// The outcome of `go` at here.at. 400 invalid when response_ttl > seen_ttl.
struct OutcomeOf {
  store::GoId go;
  store::Fingerprint fingerprint{};
  std::uint32_t attempt = 1;
  std::optional<WallMs> started_at;
  Milliseconds response_ttl{0};  // where the completion says nothing
  Milliseconds seen_ttl{0};
};
Result<store::Outcome> make_outcome(const OutcomeOf& of, const Completion& completion, const Here& here);

Error wrong_node(const NodeName& node, const Here& here);
Error superseded_error(std::string_view why);
Error already_completed_error();
Error released_error();
Error in_progress_error(const Standing& standing, const Here& here);

}  // namespace refrain::idempotency
