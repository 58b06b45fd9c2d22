// SPDX-License-Identifier: Apache-2.0
// Runs worlds: one by its seed, or many in several processes. What fails is cut down to the shortest story
// that still fails, and said with the line that replays it.
#pragma once
#include <cstdint>
#include <string>

#include "branches.h"
#include "plan.h"
#include "world.h"

namespace refrain::simulation {

struct Many {
  std::uint64_t from = 1;
  std::uint64_t seeds = 0;
  unsigned jobs = 1;
  std::string bug;             // for the lines that are printed
  bool members = false;        // come and go in every world
  bool stop_at_first = false;  // one that fails is enough, and is not printed
  bool always_twice = false;   // run each again and compare the traces; else 1 in 50, and all that fail
  bool progress = false;
};

struct Sum {
  std::uint64_t passed = 0;
  std::uint64_t failed = 0;
  bool whole = true;  // no process ended before its time
  double seconds = 0;
  Branches branches;
};

/// Runs a plan; twice when asked to, which must give the same trace.
Verdict run_plan(const Plan& plan, bool print_trace, bool twice);

/// Prints the failures, each with its story, as they come.
Sum run_many(const Many& many);

/// Says first in which world it was when an invariant of the product ends the process.
void watch_for_crashes();

}  // namespace refrain::simulation
