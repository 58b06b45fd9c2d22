// SPDX-License-Identifier: Apache-2.0
// The world that a node lives in: real in production, simulated in tests.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "base/types.h"
#include "node/config.h"
#include "replication/log.h"
#include "replication/peers.h"
#include "store/engine.h"
#include "store/store_format.h"

namespace refrain::node {

/// All that is pointed to outlives the node.
struct World {
  const Clock* clock = nullptr;
  Random* random = nullptr;
  /// Opens the store; called again, after the engine before was destroyed, when writing had failed.
  std::function<Result<std::unique_ptr<store::Engine>>()> open_engine;
  store::StoreFormat store_format = store::kStoreProgram.newest;  // of its directory
  /// Free bytes where the store is, asked while no engine is open; empty: not known.
  std::function<std::uint64_t()> disk_free_bytes;
  replication::Log* log = nullptr;      // none: the node runs alone
  replication::Peers* peers = nullptr;  // none only when it runs alone
  std::function<void()> wake = [] {};   // there is something for step(); any thread
  std::function<void(LogLevel, const std::string&)> say = [](LogLevel, const std::string&) {};
};

struct Start {
  bool found = false;  // found the cluster when there is none
  std::string program_version;
  /// A name can be taken over after so much silence of what has it.
  Milliseconds silence{10'000};
  /// With what does not move, before something is done about it: a joiner that lacks something starts over, a
  /// gap that its writer cannot fill makes a member rejoin.
  Milliseconds patience{10'000};
};

/// One reading of both clocks: a step happens at one moment.
struct Moment {
  WallMs wall;
  SteadyNs steady;
};

}  // namespace refrain::node
