// SPDX-License-Identifier: Apache-2.0
// The shortest story of a failure: the same seed with fewer faults, fewer clients and less time, found by
// leaving things out for as long as it still fails in the same way (ddmin: Zeller and Hildebrandt, 2002).
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "plan.h"

namespace refrain::simulation {

/// What is left of a seed's plan. Everything where nothing is said. As text, for the command line:
/// "actions=0,4 log=written_twice clients=1 ms=2400 requests=0".
struct Cut {
  std::optional<std::vector<std::size_t>> actions;  // places in the plan's list
  std::optional<std::vector<std::string>> log;      // kinds of log faults
  std::optional<int> clients;
  std::optional<std::int64_t> ms;  // disturbed
  std::optional<bool> requests;
};
std::string format_cut(const Cut& cut);
/// kInvalid with what is wrong.
Result<Cut> parse_cut(const std::string& text);

Plan cut_plan(const Plan& plan, const Cut& cut);

/// The smallest cut that was found to fail. `fails` runs a plan; it is called at most `tries` times.
Cut shrink(const Plan& plan, const std::function<bool(const Plan&)>& fails, int tries);

}  // namespace refrain::simulation
