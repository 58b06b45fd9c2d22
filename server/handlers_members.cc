// SPDX-License-Identifier: Apache-2.0
// Orders about membership.
#include "base/text.h"
#include "server/answers.h"
#include "server/arguments.h"
#include "server/door.h"
#include "server/handlers.h"
#include "server/json_reader.h"
#include "server/problem.h"

namespace refrain::server {
namespace {

Response member_change(const node::MemberChange& change) {
  JsonWriter json;
  json.begin_object();
  json.member("node", change.node).member("incarnation", format_hex64(change.incarnation.value));
  json.member("state", change.state).member("newest_known", change.newest_known.value);
  json.member("end", change.end ? std::optional(change.end->value) : std::nullopt);
  json.member("detail", change.detail).end_object();
  Response response = json_response(change.done ? 200 : 202, json.take());
  response.with("Cache-Control", "no-store");
  return response;
}

void give_order(node::MemberOrder::Kind kind, Door& door, const RequestPtr& request, Reply reply) {
  Arguments arguments(*request, door.api().limits());
  node::MemberOrder order;
  order.kind = kind;
  order.node = arguments.node_name();
  order.timeout = arguments.timeout();
  if (arguments.error()) return reply(problem(*arguments.error()));
  if (!request->body.empty()) {
    auto parsed = parse_json(request->body);
    if (!parsed) return reply(problem(parsed.error()));
    std::optional<Error> error;
    ObjectReader body(*parsed, "", error);
    order.although_heard = body.flag("yes").value_or(false);
    body.finish();
    if (error) return reply(problem(*error));
  }
  if (auto admitted = door.admit_waiter(*request, order.timeout); !admitted)
    return reply(problem(admitted.error()));
  door.api().change_member(std::move(order),
                           door.answers->deliver<node::MemberChange>(
                               [reply = std::move(reply)](const Result<node::MemberChange>& change) {
                                 reply(change ? member_change(*change) : problem(change.error()));
                               }));
}

}  // namespace

void evict_member(Door& door, const RequestPtr& request, Reply reply) {
  give_order(node::MemberOrder::Kind::kEvict, door, request, std::move(reply));
}

void leave_cluster(Door& door, const RequestPtr& request, Reply reply) {
  give_order(node::MemberOrder::Kind::kLeave, door, request, std::move(reply));
}

void rejoin_cluster(Door& door, const RequestPtr& request, Reply reply) {
  give_order(node::MemberOrder::Kind::kRejoin, door, request, std::move(reply));
}

}  // namespace refrain::server
