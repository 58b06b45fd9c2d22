// SPDX-License-Identifier: Apache-2.0
// The peers seam as calls: an address is a machine's name. An answer takes time, and none comes from a
// machine that is down or cut off, or whose process ends before it has answered.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "dice.h"
#include "node/node.h"
#include "replication/peers.h"

namespace refrain::simulation {

class Machine;

class SimPeers final : public replication::Peers {
 public:
  /// `reach` gives the machine of an address, or null when `from` cannot reach it now.
  using Reach = std::function<Machine*(const std::string& address)>;
  SimPeers(const SteadyNs& now, Dice dice, Reach reach) : now_(now), dice_(dice), reach_(std::move(reach)) {}

  std::unique_ptr<replication::Pending<replication::PeerMembers>> members(
      const std::string& address) override;
  std::unique_ptr<replication::SnapshotStream> snapshot(const std::string& address) override;

 private:
  SteadyNs later() { return now_ + Nanoseconds{dice_.between(100'000, 20'000'000)}; }

  const SteadyNs& now_;
  Dice dice_;
  Reach reach_;
};

}  // namespace refrain::simulation
