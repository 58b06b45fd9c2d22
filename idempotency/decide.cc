// SPDX-License-Identifier: Apache-2.0
#include "idempotency/decide.h"

#include <algorithm>
#include <string>

#include "base/planted.h"
#include "base/text.h"
#include "idempotency/row.h"

namespace refrain::idempotency {
namespace {

using store::Claim;
using store::GoId;
using store::RequestRow;

constexpr Milliseconds kMostSpan{36'500LL * 86'400'000};
constexpr std::int64_t kRetrySoonMs = 1'000;

bool printable(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= 0x20 && c <= 0x7E; });
}

std::string names(const std::vector<NodeName>& nodes) {
  std::string out;
  for (const NodeName& node : nodes) out += (out.empty() ? "" : ", ") + node;
  return out;
}

Error retry_soon(Error error) {
  error.retry_after_ms = kRetrySoonMs;
  return error;
}

/// An operator's release stands in its node's slot with the random bits of the claim whose place it took (0:
/// of none), and counts no attempt of its own: so it tells whether another run had been given a go.
bool other_run(const RequestRow& row, const NodeName& node, const Claim& after, const Token& token) {
  if (!after.by_operator) return true;
  if (node == token.go.node) return after.token_bits != token.bits;
  if (after.token_bits == 0) return false;
  const Claim* own = claim_of(&row, token.go);
  return !own || after.attempt > own->attempt;
}

Error mismatch_error() {
  return invalid("fingerprint_mismatch",
                 "The request id is in use with another payload. Use a new id, or send the payload that was "
                 "sent first.");
}

Error unknown_error() {
  return conflict("outcome_unknown",
                  "The lease of its last run lapsed under on_expiry=hold and nobody said how it ended. Find "
                  "out what happened, then resolve it, or complete it with its own token.");
}

Result<Replay> replay(const store::VersionedOutcome& stored, State state) {
  if (stored.outcome.too_large) {
    return conflict("response_too_large",
                    "The request was done; its response was too large to keep. Do not run it again.");
  }
  if (state == State::kSeen) return response_gone();
  return Replay{stored.version, stored.commit(), stored.outcome};
}

std::optional<Error> not_ours(const Scope& scope, const Here& here) {
  if (scope.kind == Scope::Kind::kGlobal) {
    return invalid("not_in_this_version",
                   "Scope global is not in this version. Give the namespace the scope local or home:NODE.");
  }
  bool elsewhere = scope.kind == Scope::Kind::kHome && scope.home != here.node;
  if (elsewhere && !REFRAIN_PLANTED(home_goes_elsewhere)) return wrong_node(scope.home, here);
  return std::nullopt;
}

}  // namespace

const RequestRow* live(const Row& row, WallMs now) {
  return row && !is_over(*row, now) ? &*row : nullptr;
}

bool has_live_outcome(const RequestRow* row, WallMs now) {
  return row && row->outcome && now < row->seen_until;
}

bool has_dead_outcome_after(const RequestRow* row, const GoId& go, WallMs now) {
  return row && row->outcome && now >= row->seen_until && version_of(go) <= row->outcome->version;
}

const Claim* claim_of(const RequestRow* row, const GoId& go) {
  if (!row) return nullptr;
  auto found = row->claims.find(go.node);
  return found != row->claims.end() && found->second.go == go.go ? &found->second : nullptr;
}

std::uint32_t largest_attempt(const RequestRow* row) {
  if (!row) return 0;
  std::uint32_t largest = row->outcome ? row->outcome->outcome.attempt : 0;
  for (const auto& [node, claim] : row->claims) largest = std::max(largest, claim.attempt);
  return largest;
}

store::Context seen_claims(const RequestRow* row, const NodeName& node) {
  store::Context seen;
  if (!row || REFRAIN_PLANTED(claims_seen_forgotten)) return seen;
  for (const auto& [other, claim] : row->claims) {
    if (other != node) seen[other] = claim.go;
  }
  return seen;
}

std::optional<Error> check_span(std::string_view name, const std::optional<Milliseconds>& span,
                                std::optional<Milliseconds> most) {
  Milliseconds limit = most.value_or(kMostSpan);
  if (!span || (span->count() >= 1 && *span <= limit)) return std::nullopt;
  return invalid("invalid", std::string(name) + " must be from 1ms to " + format_duration(limit) + ".");
}

std::optional<Error> check_completion(const Completion& completion, const Terms& terms) {
  if (completion.response.has_value() == completion.too_large) {
    return invalid("invalid", "Give a response, or \"response\": null with \"too_large\": true.");
  }
  if (const auto& response = completion.response) {
    if (response->status > 999) return invalid("invalid", "status must be from 0 to 999.");
    if (response->content_type.size() > 255 || !printable(response->content_type)) {
      return invalid("invalid", "content_type must be at most 255 printable ASCII characters.");
    }
    if (response->body.size() > terms.response_bytes) {
      return invalid("response_over_limit",
                     "The response has " + std::to_string(response->body.size()) + " bytes, the limit is " +
                         std::to_string(terms.response_bytes) +
                         ". Store less, or complete with \"response\": null, \"too_large\": true.");
    }
  }
  if (auto bad = check_span("response_ttl", completion.response_ttl)) return bad;
  return check_span("seen_ttl", completion.seen_ttl);
}

std::optional<Error> check_against(const RequestRow* row, const Token& token) {
  const Claim* claim = claim_of(row, token.go);
  bool fits = !claim || (!claim->by_operator &&  // an operator's release gave nobody a token
                         claim->token_bits == token.bits && claim->fingerprint == token.fingerprint &&
                         claim->incarnation == token.incarnation);
  if (row && row->outcome && row->outcome->outcome.go == token.go) {
    fits = fits && row->outcome->outcome.fingerprint == token.fingerprint;
  }
  if (fits) return std::nullopt;
  return bad_token("was not given by its node");
}

std::optional<Successor> successor(const RequestRow* row, const Token& token) {
  std::optional<Successor> found;
  if (!row) return found;
  for (const auto& [node, claim] : row->claims) {
    bool after = node == token.go.node ? claim.go > token.go.go : has_seen(claim, token.go);
    if (!after) continue;
    Successor next{{node, claim.go}, other_run(*row, node, claim, token)};
    bool better = !found || (next.ran != found->ran ? next.ran : version_of(found->go) < version_of(next.go));
    if (better) found = next;
  }
  return found;
}

std::optional<Result<Replay>> held(const RequestRow* row, const Standing& standing, const Sha256& fingerprint,
                                   const Scope& scope, const Here& here) {
  bool mismatch = row && !fingerprint_fits(*row, standing, kept_part(fingerprint));
  if (mismatch && !REFRAIN_PLANTED(fingerprint_checked_last)) return mismatch_error();
  if (standing.state == State::kCompleted || standing.state == State::kSeen) {
    return replay(*row->outcome, standing.state);
  }
  if (auto elsewhere = not_ours(scope, here)) return *elsewhere;
  if (standing.state == State::kRunning) return in_progress_error(standing, here);
  if (standing.state == State::kUnknown) return unknown_error();
  if (mismatch) return mismatch_error();
  return std::nullopt;
}

std::optional<Error> not_fresh(const Freshness& freshness, const std::optional<Milliseconds>& max_lag) {
  if (freshness.scope_differs) {
    return retry_soon(unavailable("config_mismatch", *freshness.scope_differs));
  }
  if (!freshness.catching_up.empty()) {
    return retry_soon(unavailable("catching_up", "This node has not yet read what " +
                                                     names(freshness.catching_up) +
                                                     " had decided when it started. Call again soon."));
  }
  if (max_lag && freshness.lag > *max_lag && !REFRAIN_PLANTED(lag_ignored)) {
    return retry_soon(unavailable("lag_too_large", "A member is " + format_duration(freshness.lag) +
                                                       " behind, more than max_lag. Nothing was claimed; "
                                                       "call again later, or with a larger max_lag."));
  }
  return std::nullopt;
}

Result<store::Outcome> make_outcome(const OutcomeOf& of, const Completion& completion, const Here& here) {
  Milliseconds seen_ttl = completion.seen_ttl.value_or(of.seen_ttl);
  Milliseconds response_ttl = completion.response_ttl.value_or(std::min(of.response_ttl, seen_ttl));
  if (response_ttl > seen_ttl) {
    return invalid("invalid",
                   "response_ttl must not be longer than seen_ttl (" + format_duration(seen_ttl) + ").");
  }
  store::Outcome outcome;
  outcome.go = of.go;
  outcome.fingerprint = of.fingerprint;
  outcome.attempt = of.attempt;
  outcome.content_hash = content_hash(completion.response, completion.effects);
  if (completion.response) {
    outcome.status = completion.response->status;
    outcome.content_type = completion.response->content_type;
    outcome.body = completion.response->body;
    outcome.body_size = outcome.body.size();
  }
  outcome.too_large = completion.too_large;
  outcome.started_at = of.started_at;
  outcome.completed_at = here.now();
  outcome.response_until = later(here.now(), response_ttl);
  outcome.seen_until = later(here.now(), seen_ttl);
  return outcome;
}

Error response_gone() {
  return conflict("response_expired",
                  "The request was done; its response is no longer kept. Do not run it again.");
}

Error wrong_node(const NodeName& node, const Here& here) {
  auto peer = here.peers.find(node);
  bool known = peer != here.peers.end() && !peer->second.address.empty();
  std::string what =
      known ? " Send the call to " + peer->second.address + "."
            : " This node knows no member of that name with an address: see `refrain member ls`; "
              "if it is a wrong `scope`, correct `requests` on all nodes.";
  Error error = conflict("wrong_node", "Only node " + node + " decides this." + what);
  if (known) error.address = peer->second.address;
  return error;
}

Error superseded_error(std::string_view why) {
  return conflict("superseded", std::string(why) + " Nothing was changed; begin again to learn what is so.");
}

Error already_completed_error() {
  return conflict("already_completed",
                  "Another run completed the request. Nothing was changed; begin again to get its response.");
}

Error released_error() {
  return conflict("released", "The token was released. Nothing was changed; begin again for a new one.");
}

Error in_progress_error(const Standing& standing, const Here& here) {
  Error error = conflict("request_in_progress",
                         "Another run holds the claim. Call again after retry_after_ms, or with wait.");
  if (standing.look_again) {
    error.retry_after_ms = std::max<std::int64_t>(1, (*standing.look_again - here.now()).count());
  }
  return error;
}

}  // namespace refrain::idempotency
