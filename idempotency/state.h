// SPDX-License-Identifier: Apache-2.0
// What a request's row means, worked out, never stored. One pure function of the row, the time and what this
// node knows of the others.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/types.h"
#include "store/operations.h"
#include "store/requests_rows.h"

namespace refrain::idempotency {

/// Another member, as this node knows it. Who is not in the table is taken as silent.
struct Peer {
  Hlc applied;          // its journal has been applied up to here
  bool silent = false;  // not heard for a while, or its journal is parked
  std::string address;  // URL
};
using Peers = std::map<NodeName, Peer>;

/// Where and when a decision is made.
struct Here {
  NodeName node;
  Incarnation incarnation;
  Hlc at;  // of the commit that would carry the decision: newer than all that was applied. Its wall part is
           // now
  const Peers& peers;  // without ourselves
  Milliseconds max_drift{500};

  WallMs now() const { return at.wall(); }
};

/// How long after a silent node's lease we take it as over.
inline constexpr Milliseconds kSilentGrace{10'000};
/// When to look again at a lease that is past its time but not yet over here: ticks come once a second.
inline constexpr Milliseconds kLookAgain{1'000};

enum class State : std::uint8_t { kAbsent, kRunning, kUnknown, kCompleted, kSeen };
std::string_view state_name(State state);  // "absent", "running", "unknown", "completed", "seen"
std::optional<State> parse_state(std::string_view name);

struct Standing {
  State state = State::kAbsent;
  /// Claims that bind the fingerprint, lapsed ones too. Empty when completed or seen: the outcome's binds.
  std::vector<store::GoId> open;
  std::optional<store::GoId> holder;  // running, unknown: the newest claim that makes it so
  std::optional<WallMs> look_again;   // running: when it may be over
};

/// A lease is over here: ours at lease_until; another node's once its journal has been applied past
/// lease_until, or, while that node is silent, 10 s after it.
bool lease_is_over(const NodeName& node, const store::Claim& claim, const Here& here);

/// Of a row that exists and is not over (row.h); nullptr = no row.
Standing standing(const store::RequestRow* row, const Here& here);

/// `fingerprint` is that of the outcome, or of one of the open claims. True when nothing binds.
bool fingerprint_fits(const store::RequestRow& row, const Standing& standing,
                      const store::Fingerprint& fingerprint);

}  // namespace refrain::idempotency
