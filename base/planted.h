// SPDX-License-Identifier: Apache-2.0
// Planted bugs: a checker that never failed is no evidence, so the simulator can switch on a bug in the
// product, by name, at run time. Only the simulator's own build of the files that name one has them; in the
// program the macro is false.
#pragma once

#ifdef REFRAIN_PLANTED_BUGS
#include <string_view>
namespace refrain {
bool planted(std::string_view bug);  // tests/simulation/planted.cc
}
#define REFRAIN_PLANTED(bug) ::refrain::planted(#bug)
#else
#define REFRAIN_PLANTED(bug) false
#endif
