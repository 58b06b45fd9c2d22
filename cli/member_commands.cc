// SPDX-License-Identifier: Apache-2.0
// refrain member: who belongs to the cluster, and how that came about.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "cli/exit_code.h"
#include "cli/json_access.h"

namespace refrain::cli {
namespace {

tl::expected<json::value, int> members(Context& context) {
  Call call;
  call.target = "/v1/members";
  return ask_json(context, call);
}

int ls_once(Context& context) {
  auto body = members(context);
  if (!body) return body.error();
  if (context.json) return kOk;
  Table table{{"MEMBER", "REGION", "STATE", "INCARNATION", "ADDRESS", "HEARD", "FORMATS", "NOTE"}, {}};
  for (const json::value& m : list(*body, "members")) {
    auto heard = number(m, "heard_ms");
    table.rows.push_back({text(m, "node"), text(m, "region"), text(m, "state"), text(m, "incarnation"),
                          text(m, "address"),
                          truth(m, "self") || !heard ? Cell("-") : Cell(format_age(*heard)), formats_text(m),
                          text(m, "note")});
  }
  context.screen.table(table);
  if (!formats_that_differ(*body).empty())
    context.screen.message(fmt::format("the cluster writes format {} until all members read a newer one",
                                       text(*body, "format")));
  if (truth(*body, "waits_for_agreement"))
    context.screen.message(
        "the members log was lost or cut: this node adds nothing to it until all active members show the "
        "same entries");
  return kOk;
}

int ls(Context& context, const Arguments&) {
  return repeat(context, [&] { return ls_once(context); });
}

int log(Context& context, const Arguments&) {
  auto body = members(context);
  if (!body) return body.error();
  if (context.json) return kOk;
  Table table{{"N", "AT", "KIND", "NODE", "INCARNATION", "BY", "HASH"}, {}};
  for (const json::value& entry : list(*body, "log")) {
    // The record as written: a string of JSON, or the object itself.
    const json::value* record = member(entry, "json");
    boost::system::error_code error;
    json::value parsed = record && record->is_string() ? json::parse(record->get_string(), error)
                         : record                      ? *record
                                                       : entry;
    if (error) parsed = nullptr;
    const json::value* by = member(parsed, "by");
    table.rows.push_back({text(entry, "n"), text(parsed, "at"), text(parsed, "kind"), text(parsed, "node"),
                          text(parsed, "incarnation"),
                          by && by->is_object() ? text(*by, "node") : text(parsed, "by"),
                          text(entry, "hash").substr(0, 12)});
  }
  context.screen.table(table);
  return kOk;
}

constexpr std::string_view kAskFor = "30s";  // one call waits so long; the next one goes on

/// Gives the order until it is carried out or `wait` is over. 3 then: it goes on without us.
int give_order(Context& context, const Arguments& arguments, const std::string& node, std::string_view order,
               const std::string& done) {
  std::string body = arguments.has("--yes") ? R"({"yes": true})" : "";
  std::string said;
  std::uint64_t rounds = 0;
  const auto wait = parse_duration(arguments.text("--wait", "1m")).value_or(Milliseconds{60'000});
  const auto each = std::min(wait, *parse_duration(kAskFor));
  while (true) {
    Target target("/v1/members/" + node + "/" + std::string(order));
    target.with("timeout", format_duration(each));
    Call call{.method = "POST",
              .target = target.text(),
              .headers = {},
              .body = body,
              .content_type = body.empty() ? "" : "application/json"};
    auto answer = ask(context, call);
    if (!answer) return answer.error();
    bool last = answer->status == 200 || ++rounds * each >= wait;
    auto change = parse_json(context, answer->body);
    if (!change) return kFailed;
    if (last && context.json) print_json(context, answer->body);
    if (answer->status == 200) {
      std::string end = text(*change, "end");
      if (!context.json)
        context.screen.message(fmt::format("{} ({}, incarnation {}{})", done, text(*change, "node"),
                                           text(*change, "incarnation"),
                                           end.empty() ? "" : fmt::format("; its journal ends at {}", end)));
      return kOk;
    }
    std::string detail = fmt::format("{}: {}", text(*change, "state"), text(*change, "detail"));
    if (detail != said && !context.json) context.screen.message(detail);
    said = detail;
    if (last) return kNoAnswer;
  }
}

/// The node that is asked. Empty, after a message: exit code `exit`.
std::string this_node(Context& context, int& exit) {
  Call call;
  call.target = "/v1/members";
  auto answer = ask(context, call);
  if (!answer) {
    exit = answer.error();
    return "";
  }
  auto body = parse_json(context, answer->body);
  exit = kFailed;
  return body ? text(*body, "node") : "";
}

int evict(Context& context, const Arguments& arguments) {
  return give_order(context, arguments, arguments.text("NODE"), "evict",
                    "evicted; what it wrote beyond the end of its journal is void, and it keeps that aside");
}

int leave(Context& context, const Arguments& arguments) {
  int exit = kOk;
  std::string node = this_node(context, exit);
  return node.empty() ? exit
                      : give_order(context, arguments, node, "leave",
                                   "left the cluster; the process can be stopped, its data is kept");
}

int rejoin(Context& context, const Arguments& arguments) {
  int exit = kOk;
  std::string node = this_node(context, exit);
  return node.empty() ? exit
                      : give_order(context, arguments, node, "rejoin", "joins anew; see: refrain status");
}

Option wait_option() {
  return value("--wait", "DURATION", "how long to wait for it (1m); past that it goes on without you, exit 3",
               check_duration);
}

}  // namespace

std::vector<Command> member_commands() {
  return {
      {{"member", "ls"},
       "the members, and when each was last heard",
       {},
       {"refrain member ls"},
       true,
       true,
       ls},
      {{"member", "log"},
       "the members log: every change of membership, in order",
       {},
       {"refrain member log"},
       true,
       false,
       log},
      {{"member", "evict"},
       "ends a member's incarnation: its disk is lost, or it is away for too long",
       {positional("NODE", "whom", check_node),
        flag("--yes", "although it was heard less than 10 s ago: what it takes from now on is void"),
        wait_option()},
       {"refrain member evict us", "refrain member evict us --yes"},
       true,
       false,
       evict},
      {{"member", "leave"},
       "the node takes no more writes, waits until all members have what it wrote, and leaves",
       {wait_option()},
       {"refrain member leave", "refrain member leave --wait 10m"},
       true,
       false,
       leave},
      {{"member", "rejoin"},
       "the node empties its store and joins anew: after an eviction, a leave, or when it is rolled back",
       {flag("--yes", "although it is an active member"), wait_option()},
       {"refrain member rejoin", "refrain member rejoin --yes"},
       true,
       false,
       rejoin},
  };
}

}  // namespace refrain::cli
