// SPDX-License-Identifier: Apache-2.0
// Removes many rows of a family, a bounded batch at a time, for a store that nobody else writes to.
#pragma once
#include <functional>
#include <string_view>

#include "base/result.h"
#include "store/engine.h"

namespace refrain::store {

/// Every row whose key `which` picks. Errors as of Engine::write(). Buffered: durable with the next synced
/// write. Crash: some are left; call it again.
Result<void> remove_rows(Engine& engine, Family family,
                         const std::function<bool(std::string_view key)>& which);

}  // namespace refrain::store
