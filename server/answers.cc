// SPDX-License-Identifier: Apache-2.0
#include "server/answers.h"

#include "base/text.h"
#include "server/arguments.h"

namespace refrain::server {
namespace {

std::string hex_of(const std::optional<Sha256>& hash) {
  return hash ? hex_encode(as_bytes(*hash)) : std::string();
}

void write_run(JsonWriter& json, std::string_view name, const store::GoId& go,
               const std::optional<Sha256>& hash) {
  json.key(name).begin_object();
  json.member("node", go.node).member("fencing", std::to_string(go.go.value));
  json.key("response_hash");
  hash ? json.value(hex_of(hash)) : json.null();
  json.end_object();
}

void write_side(JsonWriter& json, std::string_view name, const node::ConflictSide& side) {
  json.key(name).begin_object();
  json.member("version", format_version(side.version)).member("deleted", side.deleted);
  if (!side.deleted) json.bytes("value", side.value);
  json.member("truncated", side.truncated).end_object();
}

}  // namespace

Response commit_answer(const node::CommitAnswer& answer, bool with_existed) {
  JsonWriter json;
  json.begin_object();
  json.member("commit", format_commit_id(answer.commit)).member("version", format_version(answer.version));
  json.member("state", answer.state)
      .member("applied_by", answer.applied_by)
      .member("waiting_for", answer.waiting_for);
  if (with_existed) json.member("existed", !answer.existed.empty() && answer.existed.front());
  json.end_object();
  Response response = json_response(answer.timed_out ? 202 : 200, json.take());
  response.with("ETag", etag(answer.version));
  if (answer.replayed) response.with("Idempotent-Replayed", "true");
  return response;
}

Response stored_answer(int status, const node::StoredResponse& stored) {
  Response response;
  response.status = status;
  response.content_type = stored.content_type;
  response.body = stored.body;
  response.with("Refrain-Status", std::to_string(stored.status));
  response.with("Cache-Control", "no-store").with("X-Content-Type-Options", "nosniff");
  return response;
}

void write_event(JsonWriter& json, const node::EventReport& event) {
  json.begin_object();
  json.member("commit", format_commit_id(event.commit)).member("state", event.state).member("at", event.at);
  json.member("bytes", event.bytes).key("operations").begin_array();
  for (const auto& operation : event.operations) {
    json.begin_object().member("kind", operation.kind).member("ns", operation.ns);
    json.bytes("key", operation.key).end_object();
  }
  json.end_array().member("applied_by", event.applied_by).member("waiting_for", event.waiting_for);
  json.member("why", event.why).member("last_error", event.last_error).end_object();
}

namespace {

void write_seen(JsonWriter& json, const store::Context& ctx, const node::VoidCommit& found) {
  Vector seen(ctx.begin(), ctx.end());
  seen[std::string(node::kAnyNode)] = found.commit.floor;
  seen[found.commit.node] = found.seen_own;
  json.key("seen").begin_object();
  for (const auto& [name, hlc] : seen) {
    if (hlc.value > 0) json.member(name, format_hex64(hlc.value));
  }
  json.end_object();
}

/// What it was called and what it was about; of a put and a delete, all that it takes to make it again.
void write_void_operation(JsonWriter& json, const store::Operation& operation,
                          const node::VoidCommit& found) {
  const auto about = [&](std::string_view kind, std::string_view ns, std::string_view key) {
    json.begin_object().member("kind", kind).member("ns", ns).bytes("key", key);
  };
  if (const auto* put = std::get_if<store::Put>(&operation)) {
    about("put", put->ns, put->key);
    json.bytes("value", put->value).member("expires_at", put->expires_at);
    write_seen(json, put->ctx, found);
  } else if (const auto* del = std::get_if<store::Delete>(&operation)) {
    about("delete", del->ns, del->key);
    write_seen(json, del->ctx, found);
  } else if (const auto* claim = std::get_if<store::ClaimOp>(&operation)) {
    about("claim", claim->ns, claim->id);
  } else if (const auto* outcome = std::get_if<store::OutcomeOp>(&operation)) {
    about("outcome", outcome->ns, outcome->id);
  } else if (const auto* duplicate = std::get_if<store::DuplicateOp>(&operation)) {
    about("duplicate", duplicate->duplicate.ns, duplicate->duplicate.id);
  } else {
    about("void", "", "");
  }
  json.end_object();
}

}  // namespace

void write_void_commit(JsonWriter& json, const node::VoidCommit& found) {
  json.begin_object().member("commit", format_commit_id(found.commit.id()));
  if (found.readable) {
    json.member("at", found.commit.hlc.wall()).member("version", format_version(found.commit.version()));
  } else {
    json.key("at").null().key("version").null();
  }
  json.key("operations").begin_array();
  for (const auto& operation : found.commit.operations) write_void_operation(json, operation, found);
  json.end_array().end_object();
}

void write_request(JsonWriter& json, const node::RequestReport& r) {
  json.begin_object();
  json.member("id", r.id).member("state", r.state).member("attempt", r.attempt).member("node", r.node);
  json.member("scope", r.scope).member("on_expiry", r.on_expiry == node::OnExpiry::kHold ? "hold" : "retry");
  json.member("started_at", r.started_at)
      .member("lease_until", r.lease_until)
      .member("completed_at", r.completed_at);
  json.member("response_until", r.response_until).member("seen_until", r.seen_until);
  if (r.fingerprint_matches) json.member("fingerprint_matches", *r.fingerprint_matches);
  json.key("response");
  if (r.response) {
    json.begin_object().member("status", r.response->status).member("content_type", r.response->content_type);
    json.member("size", r.response->size).member("too_large", r.response->too_large).end_object();
  } else {
    json.null();
  }
  json.end_object();
}

void write_duplicate(JsonWriter& json, const node::DuplicateReport& report) {
  const auto& d = report.duplicate;
  json.begin_object();
  json.member("id", report.duplicate_id).member("ns", d.ns).member("request", d.id);
  json.member("possible", d.possible).member("detected_at", d.detected_at);
  write_run(json, "winner", d.winner, d.winner_hash);
  write_run(json, "loser", d.loser, d.loser_hash);
  json.end_object();
}

void write_conflict(JsonWriter& json, const node::ConflictReport& c) {
  json.begin_object();
  json.member("id", c.id).member("ns", c.ns).member("key", c.key).member("open", c.open);
  json.member("detected_at", c.detected_at);
  write_side(json, "winner", c.winner);
  write_side(json, "loser", c.loser);
  json.end_object();
}

void write_member(JsonWriter& json, const node::MemberReport& m) {
  json.begin_object();
  json.member("node", m.node).member("region", m.region).member("address", m.address);
  json.member("incarnation", format_hex64(m.incarnation.value))
      .member("state", m.state)
      .member("self", m.self);
  json.member("heard_ms", m.heard_ms)
      .member("silent_ms", m.silent_ms)
      .member("behind_commits", m.behind_commits)
      .member("behind_ms", m.behind_ms);
  json.member("we_lack_commits", m.we_lack_commits).member("we_lack_ms", m.we_lack_ms);
  json.member("clock_offset_ms", m.clock_offset_ms);
  json.key("formats").begin_object().member("min", m.formats.min).member("max", m.formats.max).end_object();
  json.member("note", m.note);
  json.end_object();
}

void write_checks(JsonWriter& json, const std::vector<node::Check>& checks) {
  json.begin_array();
  for (const auto& check : checks) {
    json.begin_object().member("name", check.name).member("ok", check.ok).member("blocking", check.blocking);
    json.member("code", check.code).member("detail", check.detail).end_object();
  }
  json.end_array();
}

}  // namespace refrain::server
