// SPDX-License-Identifier: Apache-2.0
// What must be true of a world once it was mended and its nodes agreed. Each oracle has a name; a new one is
// a new row of the table in oracle.cc.
#pragma once
#include <set>
#include <string>

namespace refrain::simulation {

class World;

/// Says world.wrong() for all that is not as it must be.
void check_everything(World& world);

/// Rows in which some version is in an open conflict, by what the writers had seen.
std::set<std::string> rows_in_open_conflict(World& world);

/// Of these, what concerns requests (oracle_requests.cc).
void requests_are_as_told(World& world);

}  // namespace refrain::simulation
