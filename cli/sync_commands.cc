// SPDX-License-Identifier: Apache-2.0
// refrain sync: the matrix reader x journal.
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/context.h"
#include "cli/exit_code.h"
#include "cli/json_access.h"
#include "cli/max_lag.h"
#include "cli/sync_verdict.h"

namespace refrain::cli {
namespace {

void show_cells(Context& context, const json::value& sync, Milliseconds max_lag) {
  Table table{{"READER", "JOURNAL", "APPLIED", "LAST KNOWN", "LAG", "WHY"}, {}};
  for (const json::value& cell : list(sync, "cells")) {
    auto commits = number_or_zero(cell, "lag_commits");
    auto ms = number_or_zero(cell, "lag_ms");
    Tone tone = ms > max_lag.count() ? Tone::kBad : Tone::kPlain;
    std::string lag = commits == 0 ? "0" : fmt::format("{} ({})", commits, format_age(ms));
    table.rows.push_back({text(cell, "reader"), text(cell, "journal"), text(cell, "applied"),
                          text(cell, "last_known"), Cell(lag, tone), Cell(text(cell, "why"), tone)});
  }
  context.screen.table(table);
}

void show_parked(Context& context, const json::value& sync) {
  Table table{{"PARKED JOURNAL", "REASON", "FIRST AFFECTED", "OFFSET", "SINCE", "DETAIL", "WHAT HELPS"}, {}};
  for (const json::value& parked : list(sync, "parked"))
    table.rows.push_back({text(parked, "journal"), Cell(text(parked, "reason"), Tone::kBad),
                          text(parked, "first_affected"), text(parked, "offset"), text(parked, "since"),
                          text(parked, "detail"), text(parked, "help")});
  if (!table.rows.empty()) context.screen.table(table);
}

int sync_once(Context& context, Milliseconds max_lag) {
  Call call;
  call.target = "/v1/sync";
  auto matrix = ask_json(context, call);
  if (!matrix) return matrix.error();
  if (!context.json) {
    show_cells(context, *matrix, max_lag);
    show_parked(context, *matrix);
  }
  // Who was heard and what is not yet everywhere stands in the status only.
  call.target = "/v1/status";
  auto answer = ask(context, call);
  if (!answer) return answer.error();
  auto status = parse_json(context, answer->body);
  if (!status) return kFailed;
  SyncVerdict verdict = sync_verdict(*status, max_lag);
  for (const std::string& reason : verdict.reasons) context.screen.message("not in sync: " + reason);
  return verdict.in_sync() ? kOk : kNotInSync;
}

int sync(Context& context, const Arguments& arguments) {
  Milliseconds max_lag = max_lag_of(arguments);
  return repeat(context, [&] { return sync_once(context, max_lag); });
}

int resume(Context& context, const Arguments& arguments) {
  Target target("/v1/sync/" + arguments.text("NODE") + "/resume");
  if (arguments.has("--skip")) target.with("skip", arguments.text("--skip"));
  Call call{.method = "POST", .target = target.text(), .headers = {}, .body = "", .content_type = ""};
  auto answer = ask(context, call);
  if (!answer) return answer.error();
  if (context.json)
    print_json(context, answer->body);
  else
    context.screen.message(
        fmt::format("the journal of {} is read again; see: refrain sync", arguments.text("NODE")));
  return kOk;
}

}  // namespace

std::vector<Command> sync_commands() {
  return {
      {{"sync"},
       "who has applied how much of whose journal, and why not all",
       {max_lag_option()},
       {"refrain sync", "refrain sync --watch --interval 500ms"},
       true,
       true,
       sync},
      {{"sync", "resume"},
       "reads a parked journal again",
       {positional("NODE", "whose journal", check_node),
        value("--skip", "OFFSET",
              "pass over the one record at this Kafka offset; what it held comes again from its node",
              check_number)},
       {"refrain sync resume us", "refrain sync resume us --skip 1041"},
       true,
       false,
       resume},
  };
}

}  // namespace refrain::cli
