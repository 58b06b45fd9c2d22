// SPDX-License-Identifier: Apache-2.0
#include "planted.h"

#include <algorithm>

#include "base/planted.h"

namespace refrain {
namespace {
std::string_view active;
}

bool planted(std::string_view bug) {
  return !active.empty() && bug == active;
}

namespace simulation {

const std::vector<PlantedBug>& planted_bugs() {
  static const std::vector<PlantedBug> bugs{
      {"apply_behind_gap", "a commit is applied although one before it is missing"},
      {"ack_with_hole", "an acknowledgement counts for all that was sent before it"},
      {"ack_before_sync", "a write is acknowledged before it is synced"},
      {"arrival_wins", "the version that arrives last wins, not the largest"},
      {"forget_context", "a record does not keep what its loser had seen: false conflicts"},
      {"no_conflict", "a conflict is not recorded"},
      {"clock_from_wall", "after a restart the clock starts from the wall alone"},
      {"drop_when_published", "commits leave the outbox when Kafka has them, not when all members have"},
  };
  return bugs;
}

bool plant(std::string_view name) {
  active = {};
  if (name.empty()) return true;
  auto found = std::ranges::find(planted_bugs(), name, &PlantedBug::name);
  if (found == planted_bugs().end()) return false;
  active = found->name;
  return true;
}

}  // namespace simulation
}  // namespace refrain
