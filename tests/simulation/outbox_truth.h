// SPDX-License-Identifier: Apache-2.0
// What the kept counts of the outbox must be, worked out from its rows on the disk by their documented
// layout.
#pragma once
#include <optional>
#include <string>

#include "store/sim_engine.h"

namespace refrain::simulation {

/// How the counts that a disk keeps differ from its outbox; none = they fit, or it keeps none yet.
std::optional<std::string> outbox_misfit(const store::SimDisk& disk);

}  // namespace refrain::simulation
