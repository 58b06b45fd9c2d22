// SPDX-License-Identifier: Apache-2.0
// The list of planted bugs, and the switch. One thread.
#pragma once
#include <string_view>
#include <vector>

namespace refrain::simulation {

struct PlantedBug {
  std::string_view name;
  std::string_view what;       // what it breaks
  bool among_members = false;  // shows only where members come and go: all worlds have that then
};

const std::vector<PlantedBug>& planted_bugs();

/// Names that stand in the product and not in the list, or the other way round.
std::vector<std::string_view> planted_bugs_that_differ();

/// Switches one bug on (the others off); an empty name switches all off. False when there is none of that
/// name.
bool plant(std::string_view name);
/// The one that is on shows only where members come and go.
bool planted_among_members();

}  // namespace refrain::simulation
