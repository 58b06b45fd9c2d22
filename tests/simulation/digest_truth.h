// SPDX-License-Identifier: Apache-2.0
// What the kept digest of a store must be, worked out from its rows. It reads the bytes on the disk by their
// documented layout and shares no code with the product.
#pragma once
#include <optional>
#include <string>

#include "store/sim_engine.h"

namespace refrain::simulation {

/// How the digest that a disk keeps differs from its rows; none = it fits. A disk without any digest fits
/// unless it is `opened`: it gets one then.
std::optional<std::string> digest_misfit(const store::SimDisk& disk, bool opened);

}  // namespace refrain::simulation
