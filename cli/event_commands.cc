// SPDX-License-Identifier: Apache-2.0
// refrain events: what became of each commit.
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/commit_answer.h"
#include "cli/context.h"
#include "cli/exit_code.h"
#include "cli/json_access.h"
#include "cli/void_commands.h"

namespace refrain::cli {
namespace {

Tone tone_of(const std::string& state) {
  if (state == "failed" || state == "void") return Tone::kBad;
  return state == "synced" || state == "stable" ? Tone::kGood : Tone::kPlain;
}

/// "put orders/1001, delete orders/7".
std::string operations_text(const json::value& event) {
  std::string out;
  for (const json::value& operation : list(event, "operations"))
    out += fmt::format("{}{} {}/{}", out.empty() ? "" : ", ", text(operation, "kind"), text(operation, "ns"),
                       bytes(operation, "key"));
  return out;
}

int ls_once(Context& context, const std::string& target) {
  Call call;
  call.target = target;
  auto body = ask_json(context, call);
  if (!body) return body.error();
  if (context.json) return kOk;
  Table table{{"COMMIT", "STATE", "AT", "BYTES", "APPLIED BY", "WAITING FOR", "OPERATIONS"}, {}};
  for (const json::value& event : list(*body, "items"))
    table.rows.push_back({text(event, "commit"), Cell(text(event, "state"), tone_of(text(event, "state"))),
                          text(event, "at"), text(event, "bytes"), joined(event, "applied_by"),
                          joined(event, "waiting_for"), operations_text(event)});
  context.screen.table(table);
  say_if_more(context, *body);
  return kOk;
}

int ls(Context& context, const Arguments& arguments) {
  Target target("/v1/events");
  for (const char* name : {"state", "after", "limit"})
    if (arguments.has(std::string("--") + name)) target.with(name, arguments.text(std::string("--") + name));
  return repeat(context, [&] { return ls_once(context, target.text()); });
}

int show_once(Context& context, const std::string& target) {
  Call call;
  call.target = target;
  auto event = ask_json(context, call);
  if (!event) return event.error();
  if (context.json) return kOk;
  std::string state = text(*event, "state");
  Facts facts;
  facts.add("COMMIT", text(*event, "commit"));
  facts.add("STATE", Cell(state, tone_of(state)));
  facts.add("HAS IT", Cell(joined(*event, "applied_by"), Tone::kGood));
  facts.add("HAS IT NOT", Cell(joined(*event, "waiting_for"), Tone::kBad));
  facts.add("WHY", text(*event, "why"));
  facts.add("LAST ERROR", text(*event, "last_error"));
  facts.add("AT", text(*event, "at"));
  facts.add("BYTES", text(*event, "bytes"));
  facts.add("OPERATIONS", operations_text(*event));
  context.screen.facts(facts);
  return kOk;
}

int show(Context& context, const Arguments& arguments) {
  return repeat(
      context, [&] { return show_once(context, "/v1/events/" + percent_encoded(arguments.text("COMMIT"))); });
}

int retry(Context& context, const Arguments&) {
  Call call{.method = "POST", .target = "/v1/events/retry", .headers = {}, .body = "", .content_type = ""};
  auto answer = ask(context, call);
  if (!answer) return answer.error();
  if (context.json)
    print_json(context, answer->body);
  else
    context.screen.message("publishing is tried again now; see: refrain status");
  return kOk;
}

}  // namespace

std::vector<Command> event_commands() {
  return {
      {{"events", "ls"},
       "this node's commits that are not yet stable, in order",
       {word("--state", "only these",
             {"pending", "published", "applied", "synced", "stable", "failed", "void"}),
        value("--after", "SEQ", "go on behind this one"),
        value("--limit", "N", "at most so many", check_limit)},
       {"refrain events ls", "refrain events ls --state failed --watch"},
       true,
       true,
       ls},
      {{"events", "show"},
       "who has a commit, who has it not, why, and what to do",
       {positional("COMMIT", "its id: eu.5 (the newest incarnation) or eu.0123456789abcdef.5",
                   check_commit_id)},
       {"refrain events show eu.5", "refrain events show eu.5 --watch"},
       true,
       true,
       show},
      {{"events", "retry"},
       "publishes again now, without waiting for the breaker",
       {},
       {"refrain events retry"},
       true,
       false,
       retry},
      {{"events", "export"},
       "the void commits that this node keeps aside, one line of JSON each",
       {},
       {"refrain events export > void.jsonl"},
       true,
       false,
       export_void},
      {{"events", "import"},
       "writes void commits again as new ones, where no key has a version that their writer had not seen",
       {positional("FILE", "what `events export` printed; - is standard input"),
        flag("--overwrite", "also over newer versions"),
        flag("--effects", "also what was written by the completion of a request, without its outcome")},
       {"refrain events import void.jsonl", "refrain events import void.jsonl --overwrite"},
       true,
       false,
       import_void},
  };
}

}  // namespace refrain::cli
