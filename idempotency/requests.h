// SPDX-License-Identifier: Apache-2.0
// Each call on a request, decided: a pure function of the row as it is here, the call, the namespace's terms
// and where and when we are. Nothing is read, written or asked. The checks of a call stand in the order in
// which they are made; slugs are those of docs/api.md.
//
// The caller (the node's committer) gives the row as read (nullopt = none), commits `operations` with hlc
// `here.at` - also when the answer is an error: a refused complete may journal a duplicate - and then gives
// the answer. Namespaces and ids have been checked (base/text.h).
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/result.h"
#include "idempotency/content.h"
#include "idempotency/rules.h"
#include "idempotency/state.h"
#include "store/operations.h"
#include "store/requests_rows.h"

namespace refrain::idempotency {

using Row = std::optional<store::RequestRow>;

template <class Answer>
struct Decision {
  std::vector<store::Operation> operations;  // to be committed whatever the answer is; often none
  Result<Answer> answer;

  Decision(Error error) : answer(std::move(error)) {}   // NOLINT: a refusal that changes nothing
  Decision(Answer value) : answer(std::move(value)) {}  // NOLINT: an answer that changes nothing
  Decision(Answer value, store::Operation operation) : answer(std::move(value)) {
    operations.push_back(std::move(operation));
  }
};

// ---- begin

/// What the node knows of how fresh it is.
struct Freshness {
  Milliseconds lag{0};                // the largest of any active member
  std::vector<NodeName> catching_up;  // journals whose ends of the start were not passed yet: no go while any
  std::vector<NodeName> behind;       // those that we no longer wait for: the go says so
  std::optional<std::string> scope_differs;  // which member does not show our scope, and how: no go
};

struct BeginCall {
  std::string ns;
  std::string id;
  Sha256 fingerprint{};
  std::optional<Milliseconds> lease;
  std::optional<OnExpiry> on_expiry;
  std::optional<Milliseconds> seen_ttl;
  std::optional<Milliseconds> max_lag;
  std::uint64_t token_bits = 0;  // random
};

/// The caller may run.
struct Go {
  std::string token;
  std::string fencing;  // decimal
  std::uint32_t attempt = 1;
  Milliseconds lease{0};
  WallMs lease_until;
  OnExpiry on_expiry = OnExpiry::kRetry;
  Scope scope;
  Milliseconds lag{0};
  std::vector<NodeName> behind;
};

/// It was done: the stored response, whose bytes are the row `responses` of this version. Where that row is
/// gone, response_gone() is the answer.
struct Replay {
  Version version;
  CommitId commit;
  store::Outcome outcome;  // without the body
};

/// In order: a call that is wrong in itself, 422 fingerprint_mismatch, replay / response_expired /
/// response_too_large, wrong_node or not_in_this_version, request_in_progress, outcome_unknown, and before a
/// go: config_mismatch, catching_up, lag_too_large.
Decision<std::variant<Go, Replay>> begin(const Row& row, const BeginCall& call, const Terms& terms,
                                         const Freshness& freshness, const Here& here);

/// With `wait=` a call is asked again later instead of getting this answer.
bool worth_waiting(const Error& error);

Error response_gone();  // 410 response_expired

/// Of a row that exists it is fixed: local or home, as its claims say. A home may move.
Scope scope_of(const Row& row, const Scope& configured, WallMs now);

// ---- renew, release

struct RenewCall {
  std::string ns;
  std::string id;
  std::string token;
  std::optional<Milliseconds> lease;  // none = the namespace's
};
struct RenewAnswer {
  Milliseconds lease{0};  // from now
  WallMs lease_until;     // never earlier than it was: then nothing changes, and there are no operations
};
/// In order: bad_token, wrong_node, already_completed, superseded, released, superseded (too old).
Decision<RenewAnswer> renew(const Row& row, const RenewCall& call, const Terms& terms, const Here& here);

struct ReleaseCall {
  std::string ns;
  std::string id;
  std::string token;
};
struct ReleaseAnswer {
  bool again = false;  // it was released before; nothing changes
};
/// As renew; a second release of the same token is fine, whatever came after the first.
Decision<ReleaseAnswer> release(const Row& row, const ReleaseCall& call, const Here& here);

// ---- complete, execute

struct Completion {
  std::optional<Response> response;  // none only with too_large
  bool too_large = false;
  std::vector<Effect> effects;  // the caller puts them into the same commit
  std::optional<Milliseconds> response_ttl;
  std::optional<Milliseconds> seen_ttl;
};

struct CompleteCall {
  std::string ns;
  std::string id;
  std::string token;
  Completion completion;
};
struct CompleteAnswer {
  Version version;  // of the outcome's commit: this one, or the first one's when replayed
  WallMs completed_at;
  bool replayed = false;  // the same token with the same content: the effects are there already
  CommitId commit;        // that of the first time, when replayed
};
/// In order: a call that is wrong in itself, response_over_limit, bad_token, wrong_node (with operations),
/// replay / completed_differently, superseded (too old), already_completed, superseded, released, superseded
/// (operations whose claim is gone). When another run was given a go or has completed, the refusal carries a
/// `duplicate` operation; the caller leaves it out when it is known already.
Decision<CompleteAnswer> complete(const Row& row, const CompleteCall& call, const Terms& terms,
                                  const Here& here);

struct ExecuteCall {
  std::string ns;
  std::string id;
  Sha256 fingerprint{};
  Completion completion;
};
struct Ran {
  Version version;
  WallMs completed_at;
  std::uint32_t attempt = 1;
};
/// Begin and complete in one commit, without a lease: refusals of begin, then those of complete's content.
Decision<std::variant<Ran, Replay>> execute(const Row& row, const ExecuteCall& call, const Terms& terms,
                                            const Freshness& freshness, const Here& here);

// ---- resolve, by an operator

struct ResolveCall {
  std::string ns;
  std::string id;
  std::optional<Completion> completion;  // none = release; effects are not taken
};
struct ResolveAnswer {
  WallMs resolved_at;
};
/// Of an unknown request, at any node. Release = this node's own claim, which has seen the unknown ones and
/// is released. not_found, request_in_progress, already_completed.
Decision<ResolveAnswer> resolve(const Row& row, const ResolveCall& call, const Terms& terms,
                                const Here& here);

}  // namespace refrain::idempotency
