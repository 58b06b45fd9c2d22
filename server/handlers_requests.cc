// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "base/text.h"
#include "server/answers.h"
#include "server/arguments.h"
#include "server/call_json.h"
#include "server/door.h"
#include "server/handlers.h"
#include "server/memory_share.h"
#include "server/problem.h"
#include "store/session.h"

namespace refrain::server {
namespace {

using Clock = std::chrono::steady_clock;

/// A refusal names the scope of the request when the node came to decide.
Response refusal(const Error& error) {
  Response response = problem(error);
  if (error.scope) response.with("Refrain-Scope", *error.scope);
  return response;
}

Response go_answer(const node::BeginAnswer& answer) {
  const node::BeginAnswer::Go& go = *answer.go;
  JsonWriter json;
  json.begin_object();
  json.member("token", go.token).member("fencing", go.fencing).member("attempt", go.attempt);
  json.member("lease_ms", go.lease.count()).member("lease_until", go.lease_until);
  json.member("on_expiry", go.on_expiry == node::OnExpiry::kHold ? "hold" : "retry")
      .member("scope", answer.scope);
  json.member("lag_ms", go.lag_ms).member("behind", go.behind);
  json.end_object();
  Response response = json_response(201, json.take());
  response.with("Refrain-Decision", "go").with("Cache-Control", "no-store");
  return response;
}

Response replay_answer(const node::StoredResponse& stored) {
  Response response = stored_answer(200, stored);
  response.with("Refrain-Decision", "replay").with("Idempotent-Replayed", "true");
  return response;
}

bool admit(Door& door, Request& request, const node::Ack& ack, const Reply& reply) {
  if (ack.kind == node::Ack::Kind::kLocal) return true;
  auto admitted = door.admit_waiter(request, ack.timeout);
  if (!admitted) reply(problem(admitted.error()));
  return admitted.has_value();
}

/// `response`, `operations`, `response_ttl`, `seen_ttl`, and for complete the token.
std::optional<Error> read_completion(Request& request, const node::Limits& limits, bool with_token,
                                     node::CompleteCall& call) {
  auto parsed = parse_json(request.body);
  if (!parsed) return parsed.error();
  std::optional<Error> error;
  ObjectReader body(*parsed, "", error);
  if (with_token) call.token = body.required_text("token");
  read_response(body, limits, call.response, call.too_large);
  call.writes = read_operations(body, limits, call.response ? call.response->body.size() : 0);
  for (const auto& write : call.writes) {  // it is no part of what tells a repeat from another answer
    if (write.condition.if_seen) body.fail(invalid("invalid", "if_seen goes with POST /v1/commit only."));
  }
  call.response_ttl = body.duration("response_ttl");
  call.seen_ttl = body.duration("seen_ttl");
  for (const auto& ttl : {call.response_ttl, call.seen_ttl}) {
    if (ttl && *ttl > kMaxTtl)
      body.fail(invalid("invalid", "A ttl is at most " + format_duration(kMaxTtl) + "."));
  }
  if (call.response_ttl && call.seen_ttl && *call.response_ttl > *call.seen_ttl) {
    body.fail(invalid("invalid", "response_ttl is longer than seen_ttl."));
  }
  body.finish();
  return error;
}

/// null: nothing had to be committed.
void write_commit(JsonWriter& json, const CommitId& commit) {
  json.key("commit");
  commit.seq.value > 0 ? json.value(format_commit_id(commit)) : json.null();
}

std::string completion_json(const node::CompleteAnswer& answer) {
  JsonWriter json;
  json.begin_object();
  write_commit(json, answer.commit);
  json.member("state", answer.state).member("completed_at", answer.completed_at).end_object();
  return json.take();
}

Response complete_answer(const node::CompleteAnswer& answer) {
  Response response = json_response(200, completion_json(answer));
  if (answer.replayed) response.with("Idempotent-Replayed", "true");
  return response;
}

Response execute_answer(const node::CompleteAnswer& answer) {
  Response response = answer.replayed ? replay_answer(answer.response) : stored_answer(201, answer.response);
  if (!answer.replayed) response.with("Refrain-Decision", "go");
  response.with("Refrain-Scope", answer.scope);
  return response;
}

template <Response (*Render)(const node::CompleteAnswer&)>
node::Done<node::CompleteAnswer> completed(Door& door, const RequestPtr& request, Reply reply) {
  auto on_answer = [&door, request, reply = std::move(reply),
                    start = Clock::now()](const Result<node::CompleteAnswer>& answer) {
    if (!answer) return reply(refusal(answer.error()));
    door.metrics.committed(Clock::now() - start);
    store::join(request->session, answer->session);
    reply(Render(*answer));
  };
  return door.answers->deliver<node::CompleteAnswer>(std::move(on_answer));
}

/// A body with a token and, for renew, a lease.
struct TokenBody {
  std::string token;
  std::optional<Milliseconds> lease;
};
TokenBody read_token(Door& door, const Request& request, bool with_lease, Arguments& arguments) {
  TokenBody out;
  auto parsed = parse_json(request.body);
  if (!parsed) {
    arguments.fail(parsed.error());
    return out;
  }
  std::optional<Error> error;
  ObjectReader body(*parsed, "", error);
  out.token = body.required_text("token");
  if (with_lease) out.lease = body.duration("lease");
  if (out.lease && (out.lease->count() <= 0 || *out.lease > door.options.max_lease)) {
    body.fail(invalid(
        "invalid", "lease must be more than 0 and at most " + format_duration(door.options.max_lease) + "."));
  }
  body.finish();
  if (error) arguments.fail(std::move(*error));
  return out;
}

}  // namespace

void begin_request(Door& door, const RequestPtr& request, Reply reply) {
  Arguments arguments(*request, door.api().limits());
  node::BeginCall call;
  call.ns = arguments.request_namespace(false);
  call.id = arguments.request_id();
  const auto given = arguments.fingerprint();
  call.fingerprint = given ? *given : sha256(request->body);
  free_bytes(request->body);  // hashed, never kept
  call.lease = arguments.duration("lease", door.options.max_lease);
  call.on_expiry = arguments.on_expiry();
  call.seen_ttl = arguments.duration("seen_ttl");
  call.max_lag = arguments.duration("max_lag");
  call.wait = arguments.wait();
  call.session = request->session;
  call.gone = request->gone;
  if (arguments.error()) return reply(problem(*arguments.error()));
  if (auto admitted = door.admit_waiter(*request, call.wait); !admitted)
    return reply(problem(admitted.error()));
  request->ends_with_caller = call.wait.count() > 0;
  auto on_answer = [request, reply](const Result<node::BeginAnswer>& answer) {
    if (!answer) return reply(refusal(answer.error()));
    store::join(request->session, answer->session);
    Response response = answer->go ? go_answer(*answer) : replay_answer(*answer->replay);
    response.with("Refrain-Scope", answer->scope);
    reply(std::move(response));
  };
  door.api().begin(std::move(call), door.answers->deliver<node::BeginAnswer>(std::move(on_answer)));
}

void complete_request(Door& door, const RequestPtr& request, Reply reply) {
  Arguments arguments(*request, door.api().limits());
  node::CompleteCall call;
  call.ns = arguments.request_namespace(false);
  call.id = arguments.request_id();
  call.ack = arguments.ack();
  call.session = request->session;
  if (!arguments.error()) {
    if (auto error = read_completion(*request, door.api().limits(), true, call))
      arguments.fail(std::move(*error));
  }
  if (arguments.error()) return reply(problem(*arguments.error()));
  if (!admit(door, *request, call.ack, reply)) return;
  door.api().complete(std::move(call), completed<complete_answer>(door, request, std::move(reply)));
}

void execute_request(Door& door, const RequestPtr& request, Reply reply) {
  Arguments arguments(*request, door.api().limits());
  node::CompleteCall call;
  call.ns = arguments.request_namespace(false);
  call.id = arguments.request_id();
  call.fingerprint = arguments.fingerprint();
  call.ack = arguments.ack();
  call.session = request->session;
  if (!arguments.error()) {
    if (auto error = read_completion(*request, door.api().limits(), false, call))
      arguments.fail(std::move(*error));
  }
  if (arguments.error()) return reply(problem(*arguments.error()));
  if (!admit(door, *request, call.ack, reply)) return;
  door.api().execute(std::move(call), completed<execute_answer>(door, request, std::move(reply)));
}

void renew_request(Door& door, const RequestPtr& request, Reply reply) {
  Arguments arguments(*request, door.api().limits());
  node::RenewCall call;
  call.ns = arguments.request_namespace(false);
  call.id = arguments.request_id();
  call.ack = arguments.ack();
  auto body = read_token(door, *request, true, arguments);
  call.token = std::move(body.token);
  call.lease = body.lease;
  if (arguments.error()) return reply(problem(*arguments.error()));
  if (!admit(door, *request, call.ack, reply)) return;
  auto on_answer = [request, reply](const Result<node::RenewAnswer>& answer) {
    if (!answer) return reply(problem(answer.error()));
    store::join(request->session, answer->session);
    JsonWriter json;
    json.begin_object().member("lease_ms", answer->lease.count()).member("lease_until", answer->lease_until);
    write_commit(json, answer->commit);
    json.member("state", answer->state).end_object();
    reply(json_response(200, json.take()));
  };
  door.api().renew(std::move(call), door.answers->deliver<node::RenewAnswer>(std::move(on_answer)));
}

void release_request(Door& door, const RequestPtr& request, Reply reply) {
  Arguments arguments(*request, door.api().limits());
  node::ReleaseCall call;
  call.ns = arguments.request_namespace(false);
  call.id = arguments.request_id();
  call.ack = arguments.ack();
  call.token = read_token(door, *request, false, arguments).token;
  if (arguments.error()) return reply(problem(*arguments.error()));
  if (!admit(door, *request, call.ack, reply)) return;
  auto on_answer = [request, reply](const Result<node::ReleaseAnswer>& answer) {
    if (!answer) return reply(problem(answer.error()));
    store::join(request->session, answer->session);
    JsonWriter json;
    json.begin_object();
    write_commit(json, answer->commit);
    json.member("state", answer->state).end_object();
    reply(json_response(200, json.take()));
  };
  door.api().release(std::move(call), door.answers->deliver<node::ReleaseAnswer>(std::move(on_answer)));
}

void resolve_request(Door& door, const RequestPtr& request, Reply reply) {
  Arguments arguments(*request, door.api().limits());
  node::ResolveCall call;
  call.ns = arguments.request_namespace(false);
  call.id = arguments.request_id();
  auto parsed = parse_json(request->body);
  if (!parsed) arguments.fail(parsed.error());
  if (arguments.error()) return reply(problem(*arguments.error()));
  std::optional<Error> error;
  ObjectReader body(*parsed, "", error);
  const auto action = body.required_text("action");
  call.complete = action == "complete";
  if (!call.complete && action != "release") body.fail(invalid("invalid", "action is complete or release."));
  if (call.complete) read_response(body, door.api().limits(), call.response, call.too_large);
  body.finish();
  if (error) return reply(problem(*error));
  door.api().resolve(std::move(call), completed<complete_answer>(door, request, std::move(reply)));
}

}  // namespace refrain::server
