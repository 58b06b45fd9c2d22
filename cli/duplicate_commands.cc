// SPDX-License-Identifier: Apache-2.0
// refrain duplicates: requests that ran more than once.
#include "cli/commands.h"
#include "cli/commit_answer.h"
#include "cli/context.h"
#include "cli/exit_code.h"
#include "cli/json_access.h"

namespace refrain::cli {
namespace {

/// "us 117912039424000000": a run, by its node and fencing number.
std::string run_text(const json::value& duplicate, const char* name) {
  const json::value* run = member(duplicate, name);
  return run ? text(*run, "node") + " " + text(*run, "fencing") : "";
}

int ls(Context& context, const Arguments& arguments) {
  Target target("/v1/duplicates");
  for (const char* name : {"ns", "after", "limit"})
    if (arguments.has(std::string("--") + name)) target.with(name, arguments.text(std::string("--") + name));
  if (arguments.has("--all")) target.with("all", "true");
  Call call;
  call.target = target.text();
  auto body = ask_json(context, call);
  if (!body) return body.error();
  if (context.json) return kOk;
  Table table{{"NAMESPACE", "REQUEST", "KEPT RUN", "LOST RUN", "SAME RESPONSE", "CERTAIN", "DETECTED AT"},
              {}};
  for (const json::value& item : list(*body, "items")) {
    const json::value* winner = member(item, "winner");
    const json::value* loser = member(item, "loser");
    std::string kept = winner ? text(*winner, "response_hash") : "";
    std::string lost = loser ? text(*loser, "response_hash") : "";
    bool both = !kept.empty() && !lost.empty();
    table.rows.push_back({text(item, "ns"), text(item, "request"), run_text(item, "winner"),
                          run_text(item, "loser"),
                          !both          ? "?"
                          : kept == lost ? "yes"
                                         : "no",
                          truth(item, "possible") ? "no" : "yes", text(item, "detected_at")});
  }
  context.screen.table(table);
  say_if_more(context, *body);
  return kOk;
}

}  // namespace

std::vector<Command> duplicate_commands() {
  return {{{"duplicates", "ls"},
           "runs that lost against another of the same request: what each did has to be looked at",
           {value("--ns", "NAMESPACE", "only of this one", check_read_namespace),
            value("--after", "ID", "go on behind this one"),
            value("--limit", "N", "at most so many", check_limit), flag("--all", "possible ones as well")},
           {"refrain duplicates ls --ns payments"},
           true,
           false,
           ls}};
}

}  // namespace refrain::cli
