// SPDX-License-Identifier: Apache-2.0
// refrain member: who belongs to the cluster, and how that came about.
#include <fmt/format.h>

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
  Table table{{"MEMBER", "REGION", "STATE", "INCARNATION", "ADDRESS", "HEARD", "NOTE"}, {}};
  for (const json::value& m : list(*body, "members")) {
    auto heard = number(m, "heard_ms");
    table.rows.push_back(
        {text(m, "node"), text(m, "region"), text(m, "state"), text(m, "incarnation"), text(m, "address"),
         truth(m, "self") || !heard ? Cell("-") : Cell(format_age(*heard)), text(m, "note")});
  }
  context.screen.table(table);
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
  };
}

}  // namespace refrain::cli
