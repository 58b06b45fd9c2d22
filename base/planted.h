// SPDX-License-Identifier: Apache-2.0
// What the simulator has in the product, and the program has not. Only the simulator's own build of the files
// that use these macros has it; elsewhere they cost nothing.
//
// Planted bugs: a checker that never failed is no evidence, so the simulator can switch on a bug, by name, at
// run time. Rare branches: what the worlds never reach they do not test, so the simulator counts them and a
// run in which one is never reached fails.
#pragma once

#ifdef REFRAIN_PLANTED_BUGS
#include <cstdint>
#include <string_view>
namespace refrain {
bool planted(std::string_view bug);                      // tests/simulation/planted.cc
std::uint64_t& branch_counter(std::string_view branch);  // tests/simulation/branches.cc
}  // namespace refrain
#define REFRAIN_PLANTED(bug) ::refrain::planted(#bug)
#define REFRAIN_BRANCH(branch)                                                  \
  do {                                                                          \
    static std::uint64_t& refrain_counter = ::refrain::branch_counter(#branch); \
    ++refrain_counter;                                                          \
  } while (false)
#else
#define REFRAIN_PLANTED(bug) false
#define REFRAIN_BRANCH(branch) \
  do {                         \
  } while (false)
#endif
