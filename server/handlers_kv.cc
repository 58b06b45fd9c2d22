// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/text.h"
#include "server/answers.h"
#include "server/arguments.h"
#include "server/call_json.h"
#include "server/door.h"
#include "server/handlers.h"
#include "server/problem.h"
#include "store/session.h"

namespace refrain::server {
namespace {

using Clock = std::chrono::steady_clock;

void make_commit(Door& door, const RequestPtr& request, node::CommitCall call, bool with_existed,
                 Reply reply) {
  call.session = request->session;
  const bool waits = call.ack.kind != node::Ack::Kind::kLocal;
  if (waits) {
    if (auto admitted = door.admit_waiter(*request, call.ack.timeout); !admitted)
      return reply(problem(admitted.error()));
  }
  auto on_answer = [&door, request, with_existed, reply = std::move(reply),
                    start = Clock::now()](const Result<node::CommitAnswer>& answer) {
    if (!answer) return reply(problem(answer.error()));
    door.metrics.committed(Clock::now() - start);
    store::join(request->session, answer->session);
    reply(commit_answer(*answer, with_existed));
  };
  door.api().commit(std::move(call), door.answers->deliver<node::CommitAnswer>(std::move(on_answer)));
}

/// Everything that makes a put what it is; how long its writer waits is not part of it.
Sha256 fingerprint_of_put(const node::Write& write) {
  return sha256_framed({"PUT", write.ns, write.key, *write.value,
                        write.ttl ? format_duration(*write.ttl) : "",
                        write.condition.if_match ? format_version(*write.condition.if_match) : "",
                        write.condition.if_none_match ? "*" : ""});
}

std::optional<node::IdempotencyKey> idempotency_key(Arguments& arguments, const Sha256& fingerprint) {
  auto key = arguments.idempotency_key();
  if (!key) return std::nullopt;
  return node::IdempotencyKey{std::move(*key), fingerprint};
}

/// A list of entity tags, compared weakly, as a read asks for (RFC 9110, 13.1.2).
bool none_match_holds(const Request& request, const Version& version) {
  const auto* header = request.head.field("if-none-match");
  if (!header) return true;
  if (*header == "*") return false;
  std::string_view rest = *header;
  const std::string ours = etag(version);
  while (!rest.empty()) {
    const auto comma = std::min(rest.find(','), rest.size());
    auto tag = rest.substr(0, comma);
    rest.remove_prefix(std::min(comma + 1, rest.size()));
    while (tag.starts_with(' ') || tag.starts_with('\t')) tag.remove_prefix(1);
    while (tag.ends_with(' ') || tag.ends_with('\t')) tag.remove_suffix(1);
    if (tag.starts_with("W/")) tag.remove_prefix(2);
    if (tag == ours) return false;
  }
  return true;
}

Response read_answer(Door& door, Request& request, const std::string& ns, const std::string& key) {
  auto read = door.api().get(ns, key);
  if (!read) return problem(read.error());
  if (!read->has_value()) {
    store::join(request.session, door.api().seen());
    return problem(
        not_found("There is no such key here. A write in another region may still be on its way."));
  }
  auto& found = **read;
  store::join(request.session, {{found.version.node, found.version.hlc}});
  Response response;
  response.with("ETag", etag(found.version)).with("Cache-Control", "no-cache");
  if (found.open_conflicts > 0) response.with("Refrain-Conflicts", std::to_string(found.open_conflicts));
  if (!none_match_holds(request, found.version)) {
    response.status = 304;
    return response;
  }
  response.content_type = "application/octet-stream";
  response.with("X-Content-Type-Options", "nosniff");
  response.body = std::move(found.value);
  return response;
}

std::string scan_json(const node::ScanAnswer& page, bool values) {
  const auto write_item = [values](JsonWriter& json, const node::ScanItem& item) {
    json.begin_object().member("key", item.key).member("version", format_version(item.version));
    if (values) json.bytes("value", item.value);
    json.end_object();
  };
  JsonWriter json;
  json.begin_object().key("items").begin_array();
  const std::size_t written = write_items(json, page.items, write_item);
  json.end_array().key("after");
  written < page.items.size() ? json.value(page.items[written - 1].key) : json.value(page.after);
  json.end_object();
  return json.take();
}

}  // namespace

void put_key(Door& door, const RequestPtr& request, Reply reply) {
  Arguments arguments(*request, door.api().limits());
  node::Write write;
  write.ns = arguments.kv_namespace();
  write.key = arguments.key();
  write.ttl = arguments.duration("ttl");
  write.condition = arguments.condition();
  write.value = std::move(request->body);
  node::CommitCall call;
  call.ack = arguments.ack();
  if (request->head.field("idempotency-key"))
    call.idempotency_key = idempotency_key(arguments, fingerprint_of_put(write));
  if (arguments.error()) return reply(problem(*arguments.error()));
  call.writes.push_back(std::move(write));
  make_commit(door, request, std::move(call), false, std::move(reply));
}

void delete_key(Door& door, const RequestPtr& request, Reply reply) {
  Arguments arguments(*request, door.api().limits());
  node::Write write;
  write.ns = arguments.kv_namespace();
  write.key = arguments.key();
  write.condition = arguments.condition();
  node::CommitCall call;
  call.ack = arguments.ack();
  // Taken in silence, a repeat that the caller believes harmless could delete a value that was put meanwhile.
  if (request->head.field("idempotency-key"))
    arguments.fail(
        invalid("invalid", "Only PUT and POST /v1/commit take an Idempotency-Key. A commit may delete."));
  if (write.condition.if_none_match)
    arguments.fail(invalid("invalid", "A delete takes If-Match, not If-None-Match."));
  if (arguments.error()) return reply(problem(*arguments.error()));
  call.writes.push_back(std::move(write));
  make_commit(door, request, std::move(call), true, std::move(reply));
}

void get_key(Door& door, const RequestPtr& request, Reply reply) {
  Arguments arguments(*request, door.api().limits());
  auto ns = arguments.kv_namespace();
  auto key = arguments.key();
  const auto wait = arguments.wait();
  if (arguments.error()) return reply(problem(*arguments.error()));
  when_covered(door, request, wait, reply, [&door, request, reply, ns = std::move(ns), key = std::move(key)] {
    reply(read_answer(door, *request, ns, key));
  });
}

void scan_keys(Door& door, const RequestPtr& request, Reply reply) {
  Arguments arguments(*request, door.api().limits());
  auto ns = arguments.kv_namespace();
  const auto prefix = arguments.text("prefix").value_or("");
  const auto after = arguments.text("after").value_or("");
  const auto limit = arguments.limit();
  const bool values = arguments.flag("values");
  const auto wait = arguments.wait();
  if (arguments.error()) return reply(problem(*arguments.error()));
  when_covered(door, request, wait, reply, [=, &door] {
    const auto page = door.api().scan(ns, prefix, after, limit, values);
    if (!page) return reply(problem(page.error()));
    store::join(request->session, page->session);
    Response response = json_response(200, scan_json(*page, values));
    response.with("Cache-Control", "no-cache");
    reply(std::move(response));
  });
}

void post_commit(Door& door, const RequestPtr& request, Reply reply) {
  const auto& limits = door.api().limits();
  auto parsed = parse_json(request->body);
  if (!parsed) return reply(problem(parsed.error()));
  std::optional<Error> error;
  ObjectReader body(*parsed, "", error);
  node::CommitCall call;
  call.writes = read_operations(body, limits);
  body.finish();
  if (call.writes.empty()) body.fail(invalid("invalid", "operations is missing or empty."));
  Arguments arguments(*request, limits);
  if (error) arguments.fail(*error);
  call.ack = arguments.ack();
  if (request->head.field("idempotency-key")) {
    call.idempotency_key = idempotency_key(arguments, sha256_framed({"COMMIT", request->body}));
  }
  if (arguments.error()) return reply(problem(*arguments.error()));
  make_commit(door, request, std::move(call), false, std::move(reply));
}

}  // namespace refrain::server
