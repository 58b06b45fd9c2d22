// SPDX-License-Identifier: Apache-2.0
// What the handlers of all routes share. I/O thread only, except where said.
#pragma once
#include <atomic>
#include <chrono>
#include <memory>

#include "node/node.h"
#include "server/answer_queue.h"
#include "server/backups.h"
#include "server/metrics.h"
#include "server/request.h"
#include "server/server.h"

namespace refrain::server {

struct Door {
  Options options;
  std::shared_ptr<AnswerQueue> answers;
  Metrics metrics;
  std::atomic<node::Api*> node{
      nullptr};  // null until Server::serve(); routes under /v1 run only once it is set
  std::atomic<bool> draining{false};
  std::uint32_t connections = 0;
  std::uint32_t snapshots = 0;  // being streamed
  std::uint32_t digest_counts = 0;
  Backups backups;
  std::uint64_t body_bytes = 0;    // of all requests under way; bounded by options.body_memory
  std::uint64_t answer_bytes = 0;  // made and not yet taken by the kernel; bounded by options.answer_memory
  // Atomic, because the last owner of a request may be the node's thread.
  std::shared_ptr<std::atomic<std::uint32_t>> waiters = std::make_shared<std::atomic<std::uint32_t>>(0);

  node::Api& api() const { return *node.load(std::memory_order_acquire); }

  /// Lets a call wait for up to `patience`, unless max_waiters do so already.
  Result<void> admit_waiter(Request& request, Milliseconds patience);
};

/// Runs `then` on the I/O thread once the node has applied what the request's session has seen; answers 412
/// stale itself.
void when_covered(Door& door, const RequestPtr& request, Milliseconds wait, Reply reply,
                  std::function<void()> then);

}  // namespace refrain::server
