// SPDX-License-Identifier: Apache-2.0
// The peers seam: asking another node directly. HTTP behind it in production (server/), a call in the
// simulator.
//
// Nothing blocks and nothing throws. One thread. An address is what a member announced in the members log.
// Whoever answers may be anyone: the asker compares node, incarnation and cluster with what the members log
// says.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/result.h"
#include "base/types.h"
#include "replication/log.h"

namespace refrain::replication {

/// What GET /v1/members says of the node that answers.
struct PeerMembers {
  ClusterId cluster;
  NodeName node;
  Incarnation incarnation;
  bool active = false;                      // it is an active member, by its own table, and serves
  bool waits_for_agreement = false;         // it has seen the members log lost or cut,
  std::vector<Incarnation> waits_for = {};  // and these have not yet shown what it has
  /// For how long at least it has heard no tick of an incarnation.
  std::map<Incarnation, Milliseconds> silent = {};
  std::vector<Sha256> hashes;  // of the entries that it has counted: hashes[n - 1] is that of entry n

  std::uint64_t n() const { return hashes.size(); }
};

/// A peer's snapshot as it comes in: blocks of store/snapshot.h. Destroying it ends the transfer.
class SnapshotStream {
 public:
  enum class State : std::uint8_t { kBlock, kWait, kEnd };
  virtual ~SnapshotStream() = default;
  /// kBlock: `block` is the next one. kWait: nothing yet, poll again. kEnd: all was given. An error
  /// (kUnavailable: the peer refuses, or the connection broke) ends it.
  virtual Result<State> poll(std::string& block) = 0;
  /// About how many rows the whole of it has; 0 = not known (yet).
  virtual std::uint64_t expected_rows() const { return 0; }
};

class Peers {
 public:
  virtual ~Peers() = default;
  /// kUnavailable when nobody answers within a few seconds, or not as a node would.
  virtual std::unique_ptr<Pending<PeerMembers>> members(const std::string& address) = 0;
  virtual std::unique_ptr<SnapshotStream> snapshot(const std::string& address) = 0;
};

}  // namespace refrain::replication
