// SPDX-License-Identifier: Apache-2.0
#include "idempotency/row.h"

#include <algorithm>
#include <limits>
#include <tuple>

#include "base/planted.h"

namespace refrain::idempotency {
namespace {

using store::Claim;
using store::GoId;
using store::RequestRow;

auto rank(const Claim& claim) {
  return std::make_tuple(claim.go, claim.released, claim.lease_until);
}

bool was_over(const Claim& claim, WallMs at) {
  auto end = claim_end(claim);
  return end && *end <= at;
}

/// Two claims that both may have run without knowing of each other.
bool met_unseen(const GoId& a, const Claim& of_a, const GoId& b, const Claim& of_b) {
  if (of_a.released || of_b.released) return false;
  if (has_seen(of_a, b) || has_seen(of_b, a)) return false;
  return !was_over(of_a, b.go.wall()) && !was_over(of_b, a.go.wall());
}

store::Duplicate possible(const store::ClaimOp& news, const GoId& a, const GoId& b) {
  store::Duplicate found{news.ns, news.id, a, b, true, {}, {}, {}};
  if (version_of(found.winner) < version_of(found.loser)) std::swap(found.loser, found.winner);
  found.detected_at = found.winner.go.wall();
  return found;
}

/// What an operator said may be the run that completes now, or another one: then it is only possible.
store::Duplicate twice(const store::OutcomeOp& news, const store::VersionedOutcome& loser,
                       const store::VersionedOutcome& winner) {
  return {news.ns,
          news.id,
          loser.outcome.go,
          winner.outcome.go,
          loser.outcome.by_operator || winner.outcome.by_operator,
          loser.outcome.content_hash,
          winner.outcome.content_hash,
          winner.version.hlc.wall()};
}

/// Other runs' outcomes met, and the older one was still remembered when the newer run began.
bool ran_twice(const store::VersionedOutcome& loser, const store::VersionedOutcome& winner) {
  return loser.outcome.go != winner.outcome.go && loser.outcome.seen_until > winner.outcome.go.go.wall();
}

}  // namespace

WallMs later(WallMs at, Milliseconds by) {
  std::int64_t sum = 0;
  if (__builtin_add_overflow(at.value, by.count(), &sum)) return {std::numeric_limits<std::int64_t>::max()};
  return {sum};
}

std::optional<WallMs> claim_end(const Claim& claim) {
  if (claim.hold && !claim.released) return std::nullopt;
  return later(claim.lease_until, claim.seen_ttl);
}

bool has_seen(const Claim& claim, const GoId& go) {
  auto seen = claim.seen.find(go.node);
  return seen != claim.seen.end() && seen->second >= go.go;
}

bool superseded(const RequestRow& row, const GoId& go) {
  return std::ranges::any_of(
      row.claims, [&](const auto& other) { return other.first != go.node && has_seen(other.second, go); });
}

bool is_open(const RequestRow& row, const NodeName& node, const Claim& claim) {
  if (claim.released || superseded(row, {node, claim.go})) return false;
  return !row.outcome || row.outcome->version < Version{claim.go, node};
}

bool has_open_claim(const RequestRow& row) {
  return std::ranges::any_of(row.claims,
                             [&](const auto& entry) { return is_open(row, entry.first, entry.second); });
}

bool is_over(const RequestRow& row, WallMs now) {
  auto end = store::ends_at(row);
  return end && *end <= now;
}

void join_claim(RequestRow& row, const store::ClaimOp& news, Found& found) {
  auto mine = row.claims.find(news.node);
  bool new_go = mine == row.claims.end() || mine->second.go < news.claim.go;
  if (new_go) {
    GoId go{news.node, news.claim.go};
    for (const auto& [node, claim] : row.claims) {
      GoId other{node, claim.go};
      if (node != news.node && met_unseen(go, news.claim, other, claim)) {
        REFRAIN_BRANCH(claims_met_unseen);
        found.push_back(possible(news, other, go));
      }
    }
  }
  if (mine == row.claims.end()) {
    row.claims.emplace(news.node, news.claim);
  } else if (rank(mine->second) < rank(news.claim)) {
    mine->second = news.claim;
  }
}

bool join_outcome(RequestRow& row, const store::OutcomeOp& news, const Version& version,
                  const CommitId& commit, Found& found) {
  row.seen_until = std::max(row.seen_until, news.outcome.seen_until);
  store::VersionedOutcome incoming{version, news.outcome, commit.incarnation, commit.seq};
  incoming.outcome.body.clear();
  bool wins = !row.outcome || (row.outcome->version < version && !REFRAIN_PLANTED(first_outcome_stays));
  if (row.outcome && row.outcome->version != version) {
    REFRAIN_BRANCH(outcomes_met);
    const auto& winner = wins ? incoming : *row.outcome;
    const auto& loser = wins ? *row.outcome : incoming;
    if (ran_twice(loser, winner) && !REFRAIN_PLANTED(second_outcome_unlisted))
      found.push_back(twice(news, loser, winner));
  }
  if (wins) row.outcome = std::move(incoming);
  return wins;
}

}  // namespace refrain::idempotency
