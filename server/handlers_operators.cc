// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"
#include "server/answers.h"
#include "server/arguments.h"
#include "server/door.h"
#include "server/handlers.h"
#include "server/json_reader.h"
#include "server/problem.h"
#include "server/transfers.h"
#include "store/session.h"

namespace refrain::server {
namespace {

constexpr std::uint32_t kMaxSnapshots = 4;  // each keeps a state of the store from being compacted away

/// Turns what the node reports into JSON by `write`.
template <class T, class F>
node::Done<T> shown(Door& door, Reply reply, F write) {
  return door.answers->deliver<T>([reply = std::move(reply), write](const Result<T>& report) {
    if (!report) return reply(problem(report.error()));
    JsonWriter json;
    write(json, *report);
    Response response = json_response(200, json.take());
    response.with("Cache-Control", "no-store");
    reply(std::move(response));
  });
}

node::Done<void> done(Door& door, Reply reply, std::string_view what) {
  return door.answers->deliver<void>([reply = std::move(reply), what](const Result<void>& result) {
    if (!result) return reply(problem(result.error()));
    JsonWriter json;
    json.begin_object().member("done", what).end_object();
    reply(json_response(200, json.take()));
  });
}

/// Where a page of events goes on: a seq, or the id of the last one shown.
Seq read_after(Arguments& arguments) {
  const auto text = arguments.text("after").value_or("");
  if (text.empty()) return {};
  if (auto id = parse_commit_id(text)) return id->seq;
  return {arguments.number("after").value_or(0)};
}

}  // namespace

void show_status(Door& door, const RequestPtr&, Reply reply) {
  door.api().status(shown<node::StatusReport>(door, std::move(reply), write_status));
}

void show_members(Door& door, const RequestPtr&, Reply reply) {
  door.api().members(shown<node::MembersReport>(door, std::move(reply), write_members));
}

void show_sync(Door& door, const RequestPtr&, Reply reply) {
  auto write = [](JsonWriter& json, const node::StatusReport& status) {
    json.begin_object();
    write_sync(json, status.sync);
    json.end_object();
  };
  door.api().status(shown<node::StatusReport>(door, std::move(reply), write));
}

void list_events(Door& door, const RequestPtr& request, Reply reply) {
  Arguments arguments(*request, door.api().limits());
  auto state =
      arguments.one_of("state", {"pending", "published", "applied", "synced", "stable", "failed", "void"});
  const auto after = read_after(arguments);
  const auto limit = arguments.limit();
  const auto wait = arguments.wait();
  if (arguments.error()) return reply(problem(*arguments.error()));
  auto on_answer = [&door, request, reply](const Result<node::Page<node::EventReport>>& page) {
    constexpr auto place_of = [](const node::EventReport& last) {
      return std::to_string(last.commit.seq.value);
    };
    if (!page) return reply(problem(page.error()));
    store::join(request->session, door.api().seen());
    reply(json_response(200, page_json(*page, write_event, place_of)));
  };
  when_covered(door, request, wait, reply, [=, &door] {
    door.api().events(state, after, limit, door.answers->deliver<node::Page<node::EventReport>>(on_answer));
  });
}

void show_event(Door& door, const RequestPtr& request, Reply reply) {
  const auto id = parse_commit_id(request->captures[0]);
  if (!id)
    return reply(
        problem(invalid("invalid", "Not a commit's id: node.incarnation.seq, or node.seq for the newest.")));
  door.api().event(*id, shown<node::EventReport>(door, std::move(reply), write_event));
}

void export_events(Door& door, const RequestPtr& request, Reply reply) {
  Arguments arguments(*request, door.api().limits());
  const auto text = arguments.text("after").value_or("");
  const auto limit = arguments.limit();
  const auto after = text.empty() ? std::optional(CommitId{}) : parse_commit_id(text);
  if (!after) arguments.fail(invalid("invalid", "after is not a commit's id."));
  if (arguments.error()) return reply(problem(*arguments.error()));
  const auto page = door.api().void_commits(after->incarnation, after->seq, limit);
  if (!page) return reply(problem(page.error()));
  constexpr auto place_of = [](const node::VoidCommit& last) { return format_commit_id(last.commit.id()); };
  Response response = json_response(200, page_json(*page, write_void_commit, place_of));
  response.with("Cache-Control", "no-store");
  reply(std::move(response));
}

void retry_events(Door& door, const RequestPtr&, Reply reply) {
  door.api().retry_events(
      done(door, std::move(reply), "an open breaker half-opens; publishing is tried at once"));
}

void resume_journal(Door& door, const RequestPtr& request, Reply reply) {
  Arguments arguments(*request, door.api().limits());
  auto node = arguments.node_name();
  const auto skip = arguments.number("skip");
  if (arguments.error()) return reply(problem(*arguments.error()));
  const auto offset = skip ? std::optional(Offset{static_cast<std::int64_t>(*skip)}) : std::nullopt;
  door.api().resume_journal(std::move(node), offset,
                            done(door, std::move(reply), "the journal is read again"));
}

void make_backup(Door& door, const RequestPtr& request, Reply reply) {
  constexpr Milliseconds kPatience{60'000};
  auto parsed = parse_json(request->body);
  if (!parsed) return reply(problem(parsed.error()));
  std::optional<Error> error;
  ObjectReader body(*parsed, "", error);
  const auto directory = body.required_text("directory");
  body.finish();
  if (error) return reply(problem(*error));
  if (!directory.starts_with('/') || directory.find('\0') != std::string::npos)
    return reply(
        problem(invalid("invalid", "directory is no absolute path: it is made on the machine of the node.")));
  request->patience = kPatience;
  auto shown_to =
      shown<node::BackupReport>(door, reply, [](JsonWriter& json, const node::BackupReport& made) {
        json.begin_object().member("directory", made.directory).member("node", made.node);
        json.member("cluster", made.cluster).member("at", made.at).member("bytes", made.bytes).end_object();
      });
  auto make = [api = &door.api(), directory, shown_to] { shown_to(api->backup(directory)); };
  if (!door.backups.start(std::move(make)))
    reply(problem(unavailable("overloaded", "A backup is being made already. Try again when it is done.")));
}

void stream_snapshot(Door& door, const RequestPtr& request, Reply reply) {
  if (door.snapshots >= kMaxSnapshots) {
    return reply(problem(
        unavailable("overloaded", "Enough other nodes take a snapshot here already. Ask another member.")));
  }
  const std::string* agent = request->head.field("user-agent");
  std::string whom = agent ? *agent : std::string();
  if (whom.starts_with("refrain/")) whom.erase(0, 8);
  auto source = door.api().snapshot(valid_node_name(whom) ? whom : "another program");
  if (!source) return reply(problem(source.error()));
  Response response;
  response.content_type = "application/octet-stream";
  response.with("Cache-Control", "no-store");
  if (const auto rows = (*source)->expected_rows(); rows > 0)
    response.with(kSnapshotRows, std::to_string(rows));
  response.stream = std::move(*source);
  reply(std::move(response));
}

}  // namespace refrain::server
