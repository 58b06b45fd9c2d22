// SPDX-License-Identifier: Apache-2.0
// What a commit says, as plain structs. The codec (replication/) puts them on the wire, the row codecs
// (store/) on disk; idempotency/ decides what claims and outcomes mean.
#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/hash.h"
#include "base/types.h"

namespace refrain::store {

/// The versions of one key that a writer had seen: node -> hlc, never the writer's own entry.
using Context = std::map<NodeName, Hlc>;

struct Put {
  std::string ns;
  std::string key;
  std::string value;
  std::optional<WallMs> expires_at;  // decides visibility only, never order
  Context ctx;
  bool operator==(const Put&) const = default;
};

struct Delete {
  std::string ns;
  std::string key;
  Context ctx;
  bool operator==(const Delete&) const = default;
};

/// First 16 bytes of the SHA-256 of a request's payload: what is kept and compared everywhere.
using Fingerprint = std::array<std::uint8_t, 16>;

/// A node's newest claim on a request: the right to run it. Of two of one node the larger (go, released,
/// lease_until) stays.
struct Claim {
  Hlc go;  // when it was given; its fencing number
  bool released = false;
  WallMs lease_until;
  Milliseconds seen_ttl{0};      // without `hold` the claim means nothing after lease_until + seen_ttl
  Milliseconds response_ttl{0};  // the default for its completion
  bool hold = false;             // a lapsed lease means unknown, not absent
  std::uint32_t attempt = 1;     // 1 + the largest in the row
  Context seen;                  // per other node, the go of the claim it had seen: those are superseded
  std::uint64_t token_bits = 0;  // random; must match the token's
  Fingerprint fingerprint{};
  Incarnation incarnation;   // of the node that gave it
  bool by_operator = false;  // an operator's release of what was unknown: no go
  NodeName home;             // the scope of the row when it was given: home:<name>, or local when empty
  bool operator==(const Claim&) const = default;
};

struct ClaimOp {
  std::string ns;
  std::string id;
  NodeName node;  // whose claim; always the commit's own node
  Claim claim;
  bool operator==(const ClaimOp&) const = default;
};

/// Names one go: the node that gave it and when. What a token and an outcome refer to.
struct GoId {
  NodeName node;
  Hlc go;
  auto operator<=>(const GoId&) const = default;
};

/// The end of a request: the larger version (of the commit that carries it) stays.
struct Outcome {
  GoId go;  // the claim that it completes; execute and resolve make one of their own
  Fingerprint fingerprint{};
  std::uint32_t attempt = 1;
  Sha256 content_hash{};       // hash(response, operations): the same token with the same content is a repeat
  std::uint32_t status = 200;  // 0-999, the caller's
  std::string content_type;
  std::string body;  // empty in a stored row: the bytes are in `responses`
  std::uint64_t body_size = 0;
  bool too_large = false;  // completed without a response
  bool by_operator = false;
  std::optional<WallMs> started_at;  // when the go was given
  WallMs completed_at;
  WallMs response_until;
  WallMs seen_until;  // the row keeps the largest it has met
  bool operator==(const Outcome&) const = default;
};

struct OutcomeOp {
  std::string ns;
  std::string id;
  Outcome outcome;
  bool operator==(const OutcomeOp&) const = default;
};

/// A run that lost: found when two outcomes meet, when a complete is refused, or (possible) when two claims
/// meet of which neither had seen the other. Same id on every node: hash over (ns, id, loser), and the winner
/// too when only possible.
struct Duplicate {
  std::string ns;
  std::string id;
  GoId loser;
  GoId winner;  // as known where it was found
  bool possible = false;
  std::optional<Sha256> loser_hash;  // of the responses, where known
  std::optional<Sha256> winner_hash;
  WallMs detected_at;
  bool operator==(const Duplicate&) const = default;
};

struct DuplicateOp {
  Duplicate duplicate;
  bool operator==(const DuplicateOp&) const = default;
};

/// Says that commits first..last of an ended incarnation are void: nobody applies them.
struct VoidNotice {
  Journal journal;
  Seq first;
  Seq last;
  bool operator==(const VoidNotice&) const = default;
};

using Operation = std::variant<Put, Delete, ClaimOp, OutcomeOp, DuplicateOp, VoidNotice>;

/// Up to where a journal has been applied. seq answers who has a commit, hlc gives S.
struct Applied {
  Seq seq;
  Hlc hlc;
  auto operator<=>(const Applied&) const = default;
};

/// journal -> applied up to. A node's own journal is in it too.
using AppliedTable = std::map<Journal, Applied>;

/// A commit without operations that tells the others what its writer has, at that point of its journal.
struct Tick {
  AppliedTable applied;
  std::map<Journal, Seq> gaps;  // journal -> first seq that is missing here
  Seq lowest_kept;              // in the writer's outbox; its own tick's seq when it keeps nothing else
  std::uint64_t members_n = 0;  // entries of the members log that it has counted, and the hash of the newest
  Sha256 members_hash{};
  Hlc floor;
  bool operator==(const Tick&) const = default;
};

/// The atomic unit of change. Carries operations or a tick, never both.
struct Commit {
  NodeName node;
  Incarnation incarnation;
  Seq seq;
  Hlc hlc;
  Hlc floor;                // its writer's
  bool wants_tick = false;  // its writer waits for `all` or a node
  std::vector<Operation> operations;
  std::optional<Tick> tick;

  Version version() const { return {hlc, node}; }
  CommitId id() const { return {node, incarnation, seq}; }
  Journal journal() const { return {node, incarnation}; }
  bool operator==(const Commit&) const = default;
};

}  // namespace refrain::store
