// SPDX-License-Identifier: Apache-2.0
// One node of real parts: RocksDB, Kafka (or a log in this process), the machine's clock, an HTTP server, and
// the thread that steps it all. The only place that chooses them.
#pragma once
#include <functional>
#include <memory>
#include <optional>

#include "base/result.h"
#include "node/config.h"
#include "node/node.h"
#include "replication/memory_broker.h"

namespace refrain::cli {

struct RunningNodeOptions {
  bool found = false;  // found the cluster when there is none
  /// Given: this log in process instead of Kafka.
  std::shared_ptr<replication::MemoryBroker> broker;
};

class RunningNode {
 public:
  /// Opens the data directory and the port, in this order, and starts. Errors say what to do.
  static Result<std::unique_ptr<RunningNode>> start(node::Config config, RunningNodeOptions options);
  /// Without stop(): as kill -9 for all that outlives it, nothing is drained, nothing is flushed.
  virtual ~RunningNode() = default;

  /// The bound port.
  virtual std::uint16_t port() const = 0;
  /// Answers what is in flight, flushes to Kafka unless that is away, and ends, so early that destroying it
  /// fits into shutdown_timeout as well. True when everything acknowledged is in Kafka (what is not stays on
  /// disk and goes out after the next start).
  virtual bool stop() = 0;
  /// Why the node ended by itself; none while it runs.
  virtual std::optional<Error> ended() const = 0;
  /// Orders it to leave the cluster. Answered once, on the node's thread, within seconds: as far as it got.
  virtual void leave(node::Done<node::MemberChange> done) = 0;
  /// Off the log in process, or on it again. Without effect on Kafka.
  virtual void set_connected(bool connected) = 0;
};

}  // namespace refrain::cli
