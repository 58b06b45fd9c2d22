// SPDX-License-Identifier: Apache-2.0
#include "branches.h"

#include <set>
#include <string_view>

#include "base/planted.h"
#include "plan.h"

namespace refrain {
namespace {

std::map<std::string, std::uint64_t, std::less<>>& product_counts() {
  static std::map<std::string, std::uint64_t, std::less<>> counts;
  return counts;
}

}  // namespace

std::uint64_t& branch_counter(std::string_view branch) {
  return product_counts()[std::string(branch)];
}

namespace simulation {
namespace {

// The macros' own calls, as they stand in the product, give the names.
#undef REFRAIN_PLANTED
#undef REFRAIN_BRANCH
#define REFRAIN_PLANTED(bug)
#define REFRAIN_BRANCH(branch) "product: " #branch,
constexpr std::string_view kOfTheProduct[] = {
#include "names.inc"
};

constexpr std::string_view kOfTheWorlds[] = {
    "power cut with unsynced batches",
    "operator: resume",
    "reported: breaker open",
    "reported: parked clock_skew",
    "reported: parked corrupt",
    "reported: parked wrong_cluster",
    "commit: pending",
    "commit: published",
    "commit: applied",
    "commit: failed",
    "commit: stable",
    "commit: clock_drift",
    "commit: disk_full",
    "commit: store_failed",
    "commit: write_uncertain",
    "commit: version_mismatch",
    "event: pending",
    "event: published",
    "event: applied",
    "event: stable",
    "event: failed",
    "keyed write: replayed",
    "keyed write: done",
    "conflict resolved",
    "conflicts recorded: open",
    "conflicts recorded: closed",
    "duplicates",
    "floor: moved",
    "floor: went on after it stood long",
    "rows: written anew where collected",
    "read: stale",
    "upgrade",
    "go back",
    "told to upgrade",
    "scans",
};

}  // namespace

Branches product_branches() {
  Branches branches;
  for (const auto& [name, times] : product_counts()) branches.hit("product: " + name, times);
  return branches;
}

std::vector<std::string> never_reached(const Branches& branches) {
  std::set<std::string> names;
  for (std::string_view name : kOfTheProduct) names.emplace(name);
  for (std::string_view name : kOfTheWorlds) names.emplace(name);
  for (Act act = Act::kCrash; act <= Act::kRetryEvents; act = static_cast<Act>(static_cast<int>(act) + 1))
    names.emplace(act_name(act));
  for (const LogFault& fault : log_fault_kinds()) names.insert("log: " + std::string(fault.name));
  std::vector<std::string> missing;
  for (const std::string& name : names) {
    if (!branches.counts().contains(name)) missing.push_back(name);
  }
  return missing;
}

}  // namespace simulation
}  // namespace refrain
