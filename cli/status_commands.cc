// SPDX-License-Identifier: Apache-2.0
// refrain status: this node, the cause first.
#include <fmt/format.h>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "cli/exit_code.h"
#include "cli/json_access.h"
#include "cli/max_lag.h"
#include "cli/sync_verdict.h"

namespace refrain::cli {
namespace {

Cell cause_cell(const json::value& status) {
  std::string cause = text(status, "cause");
  if (cause.empty()) return "";
  std::string since = text(status, "cause_since");
  if (!since.empty() && cause.find("since") == std::string::npos) cause += " (since " + since + ")";
  return Cell(cause, Tone::kBad);
}

void show_node(Context& context, const json::value& status, const SyncVerdict& verdict) {
  Facts facts;
  facts.add("CAUSE", cause_cell(status));
  std::string reasons;
  for (const std::string& reason : verdict.reasons) reasons += (reasons.empty() ? "" : "; ") + reason;
  facts.add("IN SYNC", verdict.in_sync() ? Cell("yes", Tone::kGood) : Cell("no: " + reasons, Tone::kBad));
  facts.add("NODE", text(status, "node"));
  facts.add("REGION", text(status, "region"));
  facts.add("MODE", text(status, "mode"));
  std::string id = text(status, "cluster_id");
  facts.add("CLUSTER", text(status, "cluster") + (id.empty() ? "" : " (" + id + ")"));
  facts.add("INCARNATION", text(status, "incarnation"));
  facts.add("VERSION", text(status, "version"));
  std::string differ = formats_that_differ(status);
  facts.add("FORMAT", text(status, "format") + (differ.empty() ? "" : "; " + differ));
  context.screen.facts(facts);
}

/// "12 (3.4s)"; "0" when nothing lacks.
Cell lag_cell(const json::value& m, const char* commits, const char* milliseconds) {
  auto lacking = number_or_zero(m, commits);
  if (lacking == 0) return "0";
  return fmt::format("{} ({})", lacking, format_age(number_or_zero(m, milliseconds)));
}

Cell heard_cell(const json::value& m, Milliseconds max_lag) {
  if (truth(m, "self")) return "-";
  auto heard = number(m, "heard_ms");
  if (!heard) return Cell("never", Tone::kBad);
  return Cell(format_age(*heard), *heard > max_lag.count() ? Tone::kBad : Tone::kPlain);
}

void show_members(Context& context, const json::value& status, Milliseconds max_lag) {
  Table table{{"MEMBER", "REGION", "STATE", "HEARD", "BEHIND", "WE LACK", "NOTE"}, {}};
  for (const json::value& m : list(status, "members")) {
    bool self = truth(m, "self");
    std::string note = text(m, "note");
    if (self) note = note.empty() ? "this node" : "this node; " + note;
    table.rows.push_back({text(m, "node"), text(m, "region"), text(m, "state"), heard_cell(m, max_lag),
                          self ? Cell("-") : lag_cell(m, "behind_commits", "behind_ms"),
                          self ? Cell("-") : lag_cell(m, "we_lack_commits", "we_lack_ms"), note});
  }
  if (!table.rows.empty()) context.screen.table(table);
}

std::string kafka_text(const json::value& status) {
  if (!truth(status, "kafka_configured")) return "none: this node runs alone";
  if (truth(status, "kafka_reachable")) return "reachable";
  std::string since = text(status, "kafka_since");
  return fmt::format("unreachable{}: {}", since.empty() ? "" : " since " + since,
                     text(status, "kafka_reason"));
}

std::string breaker_text(const json::value& status) {
  const json::value* breaker = member(status, "breaker");
  if (!breaker) return "";
  std::string state = text(*breaker, "state");
  const auto failures = number_or_zero(*breaker, "failures");
  if (state == "closed" && failures > 0)
    return fmt::format("failing ({} in a row): {}", failures, text(*breaker, "last_error"));
  if (state == "closed") return "publishing";
  std::string next;
  if (auto ms = number(*breaker, "next_attempt_ms"))
    next = fmt::format(", next attempt in {}", format_age(*ms));
  return fmt::format("paused ({} after {} failures{}): {}", state, text(*breaker, "failures"), next,
                     text(*breaker, "last_error"));
}

std::string outbox_text(const json::value& status) {
  std::string out =
      fmt::format("{} commits, {}", number_or_zero(status, "outbox_commits"),
                  format_amount(static_cast<std::uint64_t>(number_or_zero(status, "outbox_bytes"))));
  if (auto oldest = number_or_zero(status, "oldest_unsynced_ms"); oldest > 0)
    out += fmt::format(", oldest not synced for {}", format_age(oldest));
  if (std::string holder = text(status, "outbox_held_by"); !holder.empty()) out += "; held by " + holder;
  return out;
}

Cell counted(const json::value& status, const char* name, Tone when_some) {
  auto count = number_or_zero(status, name);
  return Cell(fmt::to_string(count), count > 0 ? when_some : Tone::kPlain);
}

std::string disk_text(const json::value& status) {
  auto free = static_cast<std::uint64_t>(number_or_zero(status, "disk_free_bytes"));
  auto total = static_cast<std::uint64_t>(number_or_zero(status, "disk_total_bytes"));
  return total == 0 ? "" : fmt::format("{} free of {}", format_amount(free), format_amount(total));
}

std::string snapshots_text(const json::value& status) {
  std::string out;
  for (const json::value& one : list(status, "snapshots")) {
    out += fmt::format("{}to {}: {} of about {} rows, {}", out.empty() ? "" : "; ", text(one, "to"),
                       number_or_zero(one, "rows"), number_or_zero(one, "expected_rows"),
                       format_amount(static_cast<std::uint64_t>(number_or_zero(one, "bytes"))));
  }
  return out;
}

void show_rest(Context& context, const json::value& status) {
  Facts facts;
  facts.add("KAFKA", kafka_text(status));
  facts.add("BREAKER", truth(status, "kafka_configured") ? breaker_text(status) : "");
  facts.add("OUTBOX", outbox_text(status));
  facts.add("JOURNAL", fmt::format("newest {}, published {}, synced {}, stable {}",
                                   number_or_zero(status, "newest"), number_or_zero(status, "published"),
                                   number_or_zero(status, "synced"), number_or_zero(status, "stable")));
  facts.add("STABLE", text(status, "stable_time"));
  facts.add("CONFLICTS", counted(status, "conflicts_open", Tone::kBad));
  facts.add("DUPLICATES", counted(status, "duplicates", Tone::kBad));
  facts.add("POSSIBLE DUPLICATES", counted(status, "duplicates_possible", Tone::kPlain));
  facts.add("UNKNOWN REQUESTS", counted(status, "unknown_requests", Tone::kBad));
  facts.add("RUNNING REQUESTS", counted(status, "running_requests", Tone::kPlain));
  facts.add("VOID COMMITS", counted(status, "void_commits", Tone::kBad));
  facts.add("GIVES SNAPSHOT", snapshots_text(status));
  facts.add("DISK", disk_text(status));
  context.screen.facts(facts);
}

void show_checks(Context& context, const json::value& status) {
  Table table{{"CHECK", "STATE", "CODE", "DETAIL"}, {}};
  for (const json::value& check : list(status, "checks")) {
    if (truth(check, "ok")) continue;
    table.rows.push_back({text(check, "name"),
                          Cell(truth(check, "blocking") ? "refusing" : "degraded", Tone::kBad),
                          text(check, "code"), text(check, "detail")});
  }
  if (!table.rows.empty()) context.screen.table(table);
}

void show_healed(Context& context, const json::value& status) {
  Table table{{"HEALED AT", "WHAT", "FOUND", "DONE"}, {}};
  for (const json::value& healed : list(status, "healed"))
    table.rows.push_back(
        {text(healed, "at"), text(healed, "what"), text(healed, "found"), text(healed, "done")});
  if (!table.rows.empty()) context.screen.table(table);
}

int status_once(Context& context, Milliseconds max_lag) {
  Call call;
  call.target = "/v1/status";
  auto status = ask_json(context, call);
  if (!status) return status.error();
  SyncVerdict verdict = sync_verdict(*status, max_lag);
  if (!context.json) {
    show_node(context, *status, verdict);
    show_members(context, *status, max_lag);
    show_rest(context, *status);
    show_checks(context, *status);
    show_healed(context, *status);
  }
  return verdict.in_sync() ? kOk : kNotInSync;
}

int status(Context& context, const Arguments& arguments) {
  Milliseconds max_lag = max_lag_of(arguments);
  return repeat(context, [&] { return status_once(context, max_lag); });
}

}  // namespace

std::vector<Command> status_commands() {
  return {{{"status"},
           "is everything everywhere? If not: what is missing where, why, since when",
           {max_lag_option()},
           {"refrain status", "refrain status --watch",
            "refrain status --format json --server http://us.shop:8080"},
           true,
           true,
           status}};
}

}  // namespace refrain::cli
