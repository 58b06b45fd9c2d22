// SPDX-License-Identifier: Apache-2.0
// refrain conflicts: two writes of one key of which neither writer had seen the other.
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/commit_answer.h"
#include "cli/context.h"
#include "cli/exit_code.h"
#include "cli/json_access.h"

namespace refrain::cli {
namespace {

std::string side_version(const json::value& conflict, const char* side) {
  const json::value* found = member(conflict, side);
  return found ? text(*found, "version") : "";
}

std::string side_value(const json::value& conflict, const char* side) {
  const json::value* found = member(conflict, side);
  if (!found) return "";
  if (truth(*found, "deleted")) return "(deleted)";
  return bytes(*found, "value") + (truth(*found, "truncated") ? "... (cut)" : "");
}

int ls_once(Context& context, const std::string& target) {
  Call call;
  call.target = target;
  auto body = ask_json(context, call);
  if (!body) return body.error();
  if (context.json) return kOk;
  Table table{{"ID", "NAMESPACE", "KEY", "WINNER", "LOSER", "DETECTED AT", "OPEN"}, {}};
  for (const json::value& item : list(*body, "items"))
    table.rows.push_back({text(item, "id"), text(item, "ns"), text(item, "key"), side_version(item, "winner"),
                          side_version(item, "loser"), text(item, "detected_at"),
                          truth(item, "open") ? Cell("yes", Tone::kBad) : Cell("no")});
  context.screen.table(table);
  say_if_more(context, *body);
  return kOk;
}

int ls(Context& context, const Arguments& arguments) {
  Target target("/v1/conflicts");
  for (const char* name : {"ns", "key", "after", "limit"})
    if (arguments.has(std::string("--") + name)) target.with(name, arguments.text(std::string("--") + name));
  if (arguments.has("--open")) target.with("open", "true");
  return repeat(context, [&] { return ls_once(context, target.text()); });
}

std::string path_of(const Arguments& arguments) {
  return "/v1/conflicts/" + percent_encoded(arguments.text("ID"));
}

int show(Context& context, const Arguments& arguments) {
  Call call;
  call.target = path_of(arguments);
  auto body = ask_json(context, call);
  if (!body) return body.error();
  if (context.json) return kOk;
  Facts facts;
  for (auto [title, name] :
       {std::pair{"ID", "id"}, {"NAMESPACE", "ns"}, {"KEY", "key"}, {"DETECTED AT", "detected_at"}})
    facts.add(title, text(*body, name));
  facts.add("OPEN", truth(*body, "open") ? Cell("yes", Tone::kBad) : Cell("no"));
  facts.add("WINNER", side_version(*body, "winner"));
  facts.add("WINNER VALUE", side_value(*body, "winner"));
  facts.add("LOSER", side_version(*body, "loser"));
  facts.add("LOSER VALUE", side_value(*body, "loser"));
  context.screen.facts(facts);
  return kOk;
}

/// The exit code instead, after a message.
tl::expected<json::object, int> choice_of(Context& context, const Arguments& arguments) {
  int said = arguments.has("--keep") + arguments.has("--value") + arguments.has("--file") +
             arguments.has("--delete");
  json::object body;
  if (said != 1) {
    context.screen.message("say one of --keep winner, --keep loser, --value TEXT, --file FILE, --delete");
    return tl::unexpected<int>(kUsage);
  }
  if (arguments.has("--keep")) body["choice"] = arguments.text("--keep");
  if (arguments.has("--delete")) body["choice"] = "delete";
  if (arguments.has("--value") || arguments.has("--file")) {
    auto given = arguments.has("--value") ? std::optional(arguments.text("--value"))
                                          : read_input(context, arguments.text("--file"));
    if (!given) return tl::unexpected<int>(kFailed);
    body["choice"] = "value";
    put_bytes(body, "value", *given);
  }
  return body;
}

int resolve(Context& context, const Arguments& arguments) {
  auto choice = choice_of(context, arguments);
  if (!choice) return choice.error();
  Call call{.method = "POST",
            .target = "",
            .headers = {},
            .body = json::serialize(*choice),
            .content_type = "application/json"};
  return send_commit(context, arguments, Target(path_of(arguments) + "/resolve"), call);
}

}  // namespace

std::vector<Command> conflict_commands() {
  Option id = positional("ID", "the conflict's id, of conflicts ls");
  return {
      {{"conflicts", "ls"},
       "lists conflicts",
       {value("--ns", "NAMESPACE", "only of this one", check_namespace),
        value("--key", "KEY", "only of this key (with --ns)"),
        flag("--open", "only those that no later write has closed"),
        value("--after", "PLACE", "go on behind there: `after` of the page before"),
        value("--limit", "N", "at most so many", check_limit)},
       {"refrain conflicts ls --open"},
       true,
       true,
       ls},
      {{"conflicts", "show"},
       "both versions and both values",
       {id},
       {"refrain conflicts show 5f0c"},
       true,
       false,
       show},
      {{"conflicts", "resolve"},
       "writes the chosen value, unless the key has changed meanwhile",
       {id, word("--keep", "which of the two", {"winner", "loser"}),
        value("--value", "TEXT", "another value"),
        value("--file", "FILE", "another value, in this file, - for standard input"),
        flag("--delete", "no value: delete the key")},
       {"refrain conflicts resolve 5f0c --keep loser", "refrain conflicts resolve 5f0c --value '7 pieces'"},
       true,
       false,
       resolve},
  };
}

}  // namespace refrain::cli
