// SPDX-License-Identifier: Apache-2.0
#include "server/door.h"

#include "server/problem.h"

namespace refrain::server {
namespace {

bool covers(const Vector& applied, const Vector& seen) {
  for (const auto& [node, hlc] : seen) {
    const auto found = applied.find(node);
    if (found == applied.end() || found->second < hlc) return false;
  }
  return true;
}

}  // namespace

Result<void> Door::admit_waiter(Request& request, Milliseconds patience) {
  if (patience.count() <= 0 || request.waiter) return {};
  const std::uint32_t waiting = *waiters;
  if (waiting >= options.http.max_waiters) {
    return unavailable(
        "overloaded",
        "Already " + std::to_string(waiting) +
            " calls wait on this node (http.max_waiters). Try again later, or without waiting.");
  }
  ++*waiters;
  request.patience = patience;
  request.waiter = std::shared_ptr<void>(nullptr, [count = waiters](void*) { --*count; });
  return {};
}

void when_covered(Door& door, const RequestPtr& request, Milliseconds wait, Reply reply,
                  std::function<void()> then) {
  // A vector that is covered without looking at evicted nodes is covered with them; the node decides the
  // rest.
  if (request->session.empty() || covers(door.api().applied(), request->session)) return then();
  if (auto admitted = door.admit_waiter(*request, wait); !admitted) return reply(problem(admitted.error()));
  request->ends_with_caller = wait.count() > 0;
  auto on_answer = [reply = std::move(reply), then = std::move(then)](Result<void> covered) {
    if (!covered) return reply(problem(covered.error()));
    then();
  };
  door.api().await_session(request->session, wait, door.answers->deliver<void>(std::move(on_answer)));
}

}  // namespace refrain::server
