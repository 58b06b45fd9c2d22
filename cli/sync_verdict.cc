// SPDX-License-Identifier: Apache-2.0
#include "cli/sync_verdict.h"

#include <fmt/format.h>

#include "cli/screen.h"

namespace refrain::cli {
namespace {

void judge_member(const json::value& m, Milliseconds max_lag, std::vector<std::string>& reasons) {
  if (text(m, "state") != "active" || truth(m, "self")) return;
  std::string name = text(m, "node");
  auto heard = number(m, "heard_ms");
  if (!heard)
    reasons.push_back(fmt::format("{} has not been heard yet", name));
  else if (*heard > max_lag.count())
    reasons.push_back(fmt::format("{} was last heard {} ago", name, format_age(*heard)));
  if (auto behind = number_or_zero(m, "behind_ms"); behind > max_lag.count())
    reasons.push_back(fmt::format("{} lacks {} of our commits, the oldest for {}", name,
                                  number_or_zero(m, "behind_commits"), format_age(behind)));
  if (auto lack = number_or_zero(m, "we_lack_ms"); lack > max_lag.count())
    reasons.push_back(fmt::format("we lack {} commits of {}, the oldest for {}",
                                  number_or_zero(m, "we_lack_commits"), name, format_age(lack)));
}

void judge_sync(const json::value& sync, Milliseconds max_lag, std::vector<std::string>& reasons) {
  for (const json::value& cell : list(sync, "cells"))
    if (auto lag = number_or_zero(cell, "lag_ms"); lag > max_lag.count())
      reasons.push_back(fmt::format("{} is {} behind in the journal of {}", text(cell, "reader"),
                                    format_age(lag), text(cell, "journal")));
  for (const json::value& parked : list(sync, "parked"))
    reasons.push_back(
        fmt::format("the journal of {} is parked: {}", text(parked, "journal"), text(parked, "reason")));
}

}  // namespace

SyncVerdict sync_verdict(const json::value& status, Milliseconds max_lag) {
  SyncVerdict verdict;
  std::string mode = text(status, "mode");
  if (mode == "alone") return verdict;
  if (mode != "active")
    verdict.reasons.push_back(fmt::format("this node is {}", mode.empty() ? "in an unknown state" : mode));
  for (const json::value& m : list(status, "members")) judge_member(m, max_lag, verdict.reasons);
  if (const json::value* sync = member(status, "sync")) judge_sync(*sync, max_lag, verdict.reasons);
  if (auto oldest = number_or_zero(status, "oldest_unsynced_ms"); oldest > max_lag.count())
    verdict.reasons.push_back(
        fmt::format("a commit of this node is not everywhere since {}", format_age(oldest)));
  return verdict;
}

}  // namespace refrain::cli
