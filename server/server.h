// SPDX-License-Identifier: Apache-2.0
// The HTTP door of one node: docs/api.md. One I/O thread; every call on the node is answered
// back to it in batches, so a slow client never holds the node and a slow node never holds another client.
//
// Promise: no answer says that something was done before the node said so. Failure: an answer of the closed
// table of server/problem.h. Crash: nothing is kept here.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/result.h"
#include "node/config.h"
#include "node/node.h"

namespace refrain::server {

struct Options {
  node::HttpSettings http;
  Milliseconds max_lease = node::kHour;
  std::uint64_t snapshot_bytes_per_second = 100 * node::kMiB;
  /// Of a namespace of requests, as configured: named where the node did not come to decide.
  std::function<std::string(const std::string& ns)> scope_of = [](const std::string&) { return "local"; };
  std::uint64_t body_memory = 256 * node::kMiB;   // all request bodies together; past it 503 overloaded
  std::uint64_t answer_memory = 64 * node::kMiB;  // all answers that clients have not taken yet, likewise;
                                                  // one alone may be larger, small ones always go
};

class Server {
 public:
  /// Binds and listens; connections wait until start(). The error names the address and why ("address already
  /// in use").
  static Result<std::unique_ptr<Server>> open(Options options);

  /// stop(0), when that was not called. After it every snapshot of the node is gone.
  virtual ~Server() = default;

  /// The port that is bound: of use when port 0 was asked for. Any thread.
  virtual std::uint16_t port() const = 0;

  /// Starts the I/O thread. Until serve() live answers 200, ready 503 and the rest 503. Once.
  virtual void start() = 0;

  /// From now on calls go to `node`, which must outlive the server or stop() it first. Any thread; once.
  virtual void serve(node::Api& node) = 0;

  /// Graceful: ready goes false, nothing new is accepted, what was asked is answered, connections close. Half
  /// a request is ended soon, a snapshot at once. Returns when that is done, at the latest after `within` or
  /// a little more; what the node has not answered some time before that got 503 or 500 write_uncertain.
  /// After it no call on the node is made and no answer of the node is looked at. Any thread but the I/O
  /// thread; twice is once.
  virtual void stop(Milliseconds within) = 0;
};

}  // namespace refrain::server
