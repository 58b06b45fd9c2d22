// SPDX-License-Identifier: Apache-2.0
#include "idempotency/state.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/planted.h"
#include "idempotency/row.h"

namespace refrain::idempotency {
namespace {

using store::Claim;
using store::GoId;
using store::RequestRow;

constexpr std::array<std::pair<State, std::string_view>, 5> kNames{{{State::kAbsent, "absent"},
                                                                    {State::kRunning, "running"},
                                                                    {State::kUnknown, "unknown"},
                                                                    {State::kCompleted, "completed"},
                                                                    {State::kSeen, "seen"}}};

const Peer* find_peer(const NodeName& node, const Here& here) {
  auto peer = here.peers.find(node);
  return peer == here.peers.end() ? nullptr : &peer->second;
}

bool is_silent(const NodeName& node, const Here& here) {
  const Peer* peer = find_peer(node, here);
  return !peer || peer->silent;
}

/// When a lease that is not over here may be so.
WallMs may_be_over(const NodeName& node, const Claim& claim, const Here& here) {
  if (here.now() < claim.lease_until) return claim.lease_until;
  WallMs soon = here.now() + kLookAgain;
  return is_silent(node, here) ? std::min(soon, later(claim.lease_until, kSilentGrace)) : soon;
}

bool means_something(const RequestRow& row, const NodeName& node, const Claim& claim, WallMs now) {
  if (!is_open(row, node, claim)) return false;
  auto end = claim_end(claim);
  return !end || now < *end;
}

bool newer(const GoId& a, const std::optional<GoId>& b) {
  return !b || version_of(*b) < version_of(a);
}

}  // namespace

std::string_view state_name(State state) {
  return kNames[static_cast<std::size_t>(state)].second;
}

std::optional<State> parse_state(std::string_view name) {
  for (const auto& [state, text] : kNames) {
    if (text == name) return state;
  }
  return std::nullopt;
}

bool lease_is_over(const NodeName& node, const Claim& claim, const Here& here) {
  if (node == here.node) return here.now() >= claim.lease_until;
  if (REFRAIN_PLANTED(lease_by_local_clock_only)) return here.now() >= claim.lease_until;
  const Peer* peer = find_peer(node, here);
  if (peer && peer->applied.wall() >= claim.lease_until) return true;
  return is_silent(node, here) && here.now() >= later(claim.lease_until, kSilentGrace);
}

Standing standing(const RequestRow* row, const Here& here) {
  Standing out;
  if (!row) return out;
  WallMs seen_until = row->seen_until;
  if (REFRAIN_PLANTED(seen_forgotten_early) && row->outcome)
    seen_until = row->outcome->outcome.response_until;
  if (row->outcome && here.now() < seen_until) {
    bool kept = here.now() < row->outcome->outcome.response_until || REFRAIN_PLANTED(response_never_expires);
    out.state = kept ? State::kCompleted : State::kSeen;
    return out;
  }
  std::optional<GoId> running;
  std::optional<GoId> unknown;
  for (const auto& [node, claim] : row->claims) {
    if (!means_something(*row, node, claim, here.now())) continue;
    GoId go{node, claim.go};
    out.open.push_back(go);
    if (!lease_is_over(node, claim, here)) {
      if (newer(go, running)) running = go;
      out.look_again = std::max(out.look_again.value_or(WallMs{}), may_be_over(node, claim, here));
    } else if (claim.hold && newer(go, unknown) && !REFRAIN_PLANTED(hold_lapses_by_time)) {
      unknown = go;
    }
  }
  out.holder = running ? running : unknown;
  out.state = running ? State::kRunning : unknown ? State::kUnknown : State::kAbsent;
  return out;
}

bool fingerprint_fits(const RequestRow& row, const Standing& standing,
                      const store::Fingerprint& fingerprint) {
  if (standing.state == State::kCompleted || standing.state == State::kSeen) {
    return row.outcome->outcome.fingerprint == fingerprint;
  }
  if (standing.open.empty()) return true;
  return std::ranges::any_of(
      standing.open, [&](const GoId& go) { return row.claims.at(go.node).fingerprint == fingerprint; });
}

}  // namespace refrain::idempotency
