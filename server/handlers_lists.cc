// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"
#include "server/answers.h"
#include "server/arguments.h"
#include "server/door.h"
#include "server/handlers.h"
#include "server/json_reader.h"
#include "server/problem.h"
#include "store/session.h"

namespace refrain::server {
namespace {

/// `read` gives the page of at most so many. One that is too long in JSON is read again, shorter, so that the
/// node says where it goes on.
template <class Read, class F>
Response page_answer(std::size_t limit, Read read, F write_item) {
  for (;;) {
    const auto page = read(limit);
    if (!page) return problem(page.error());
    JsonWriter json;
    json.begin_object().key("items").begin_array();
    const std::size_t written = write_items(json, page->items, write_item);
    json.end_array().member("after", page->after).end_object();
    if (written == page->items.size()) return json_response(200, json.take());
    limit = written;
  }
}

/// `read` runs once the node covers what the caller has seen.
template <class Read, class F>
void reply_page(Door& door, const RequestPtr& request, Milliseconds wait, std::size_t limit, Reply reply,
                Read read, F write_item) {
  when_covered(door, request, wait, reply, [=, &door] {
    Response page = page_answer(limit, read, write_item);
    store::join(request->session, door.api().seen());
    reply(std::move(page));
  });
}

/// A filter that is a name when it is given.
std::string namespace_filter(Arguments& arguments) {
  auto ns = arguments.text("ns").value_or("");
  const bool valid =
      ns.empty() || valid_namespace(ns.starts_with("_http-") ? std::string_view(ns).substr(6) : ns);
  if (!valid) arguments.fail(invalid("invalid", "ns is not a namespace."));
  return ns;
}

node::ConflictResolveCall read_choice(const Request& request, const node::Limits& limits,
                                      Arguments& arguments) {
  node::ConflictResolveCall call;
  using Choice = node::ConflictResolveCall::Choice;
  auto parsed = parse_json(request.body);
  if (!parsed) {
    arguments.fail(parsed.error());
    return call;
  }
  std::optional<Error> error;
  ObjectReader body(*parsed, "", error);
  const auto choice = body.required_text("choice");
  const auto value = body.bytes("value");
  body.finish();
  if (choice == "winner") {
    call.choice = Choice::kWinner;
  } else if (choice == "loser") {
    call.choice = Choice::kLoser;
  } else if (choice == "value") {
    call.choice = Choice::kValue;
  } else if (choice == "delete") {
    call.choice = Choice::kDelete;
  } else {
    body.fail(invalid("invalid", "choice is winner, loser, value or delete."));
  }
  if ((call.choice == Choice::kValue) != value.has_value()) {
    body.fail(
        invalid("invalid", "value (or value_base64) goes with \"choice\": \"value\", and only with it."));
  }
  call.value = value.value_or("");
  if (auto over = check_value(call.value.size(), limits)) body.fail(std::move(*over));
  if (error) arguments.fail(std::move(*error));
  return call;
}

}  // namespace

void show_request(Door& door, const RequestPtr& request, Reply reply) {
  Arguments arguments(*request, door.api().limits());
  auto ns = arguments.request_namespace(true);
  auto id = arguments.request_id();
  auto fingerprint = arguments.fingerprint();
  const auto wait = arguments.wait();
  if (arguments.error()) return reply(problem(*arguments.error()));
  when_covered(door, request, wait, reply, [=, &door] {
    const auto found = door.api().request(ns, id, fingerprint);
    if (!found) return reply(problem(found.error()));
    store::join(request->session, door.api().seen());
    if (!found->has_value())
      return reply(problem(not_found("There is no such request here: nobody began it, or it is over.")));
    JsonWriter json;
    write_request(json, **found);
    reply(json_response(200, json.take()));
  });
}

void list_requests(Door& door, const RequestPtr& request, Reply reply) {
  Arguments arguments(*request, door.api().limits());
  const auto ns = arguments.request_namespace(true);
  const auto state = arguments.one_of("state", {"running", "unknown", "completed", "seen"});
  const auto after = arguments.text("after").value_or("");
  const auto limit = arguments.limit();
  const auto wait = arguments.wait();
  if (arguments.error()) return reply(problem(*arguments.error()));
  const auto read = [=, &door](std::size_t most) { return door.api().requests(ns, state, after, most); };
  reply_page(door, request, wait, limit, std::move(reply), read, write_request);
}

void list_duplicates(Door& door, const RequestPtr& request, Reply reply) {
  Arguments arguments(*request, door.api().limits());
  const auto ns = namespace_filter(arguments);
  const auto after = arguments.text("after").value_or("");
  const bool all = arguments.flag("all");
  const auto limit = arguments.limit();
  const auto wait = arguments.wait();
  if (arguments.error()) return reply(problem(*arguments.error()));
  const auto read = [=, &door](std::size_t most) { return door.api().duplicates(ns, after, all, most); };
  reply_page(door, request, wait, limit, std::move(reply), read, write_duplicate);
}

void list_conflicts(Door& door, const RequestPtr& request, Reply reply) {
  Arguments arguments(*request, door.api().limits());
  const auto ns = namespace_filter(arguments);
  const auto key = arguments.text("key").value_or("");
  const bool open = arguments.flag("open");
  const auto after = arguments.text("after").value_or("");
  const auto limit = arguments.limit();
  if (!key.empty() && ns.empty()) arguments.fail(invalid("invalid", "key goes with ns."));
  const auto wait = arguments.wait();
  if (arguments.error()) return reply(problem(*arguments.error()));
  const auto read = [=, &door](std::size_t most) { return door.api().conflicts(ns, key, open, after, most); };
  reply_page(door, request, wait, limit, std::move(reply), read, write_conflict);
}

void show_conflict(Door& door, const RequestPtr& request, Reply reply) {
  const auto found = door.api().conflict(request->captures[0]);
  if (!found) return reply(problem(found.error()));
  if (!found->has_value())
    return reply(problem(not_found("There is no such conflict here, or it was dropped by age or size.")));
  JsonWriter json;
  write_conflict(json, **found);
  reply(json_response(200, json.take()));
}

void resolve_conflict(Door& door, const RequestPtr& request, Reply reply) {
  Arguments arguments(*request, door.api().limits());
  auto call = read_choice(*request, door.api().limits(), arguments);
  call.id = request->captures[0];
  if (arguments.error()) return reply(problem(*arguments.error()));
  auto on_answer = [request, reply](const Result<node::CommitAnswer>& answer) {
    if (!answer) return reply(problem(answer.error()));
    store::join(request->session, answer->session);
    reply(commit_answer(*answer, false));
  };
  door.api().resolve_conflict(std::move(call),
                              door.answers->deliver<node::CommitAnswer>(std::move(on_answer)));
}

}  // namespace refrain::server
