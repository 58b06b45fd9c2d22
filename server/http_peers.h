// SPDX-License-Identifier: Apache-2.0
// The peers seam over HTTP: GET /v1/members and GET /v1/snapshot of another node.
#pragma once
#include <memory>
#include <string_view>

#include "replication/peers.h"

namespace refrain::server {

class Transfers;

/// One thread, as the seam says; the work is done on a thread of its own. What it gave out may outlive it.
class HttpPeers final : public replication::Peers {
 public:
  explicit HttpPeers(const NodeName& self);
  ~HttpPeers() override;

  std::unique_ptr<replication::Pending<replication::PeerMembers>> members(
      const std::string& address) override;
  /// A block of the stream is any piece of the bytes; store/snapshot.h puts them together. At most 4 MiB are
  /// held.
  std::unique_ptr<replication::SnapshotStream> snapshot(const std::string& address) override;

 private:
  std::shared_ptr<Transfers> transfers_;
};

/// The answer of GET /v1/members. kUnavailable when it is not what a node says.
Result<replication::PeerMembers> parse_members(std::string_view json);

}  // namespace refrain::server
