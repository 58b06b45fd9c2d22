// SPDX-License-Identifier: Apache-2.0
// What can be said of RocksDB's directory without RocksDB: whether it lost files that RocksDB itself would
// not miss, and where a clean stop left it. So a store that lost something is not opened with less.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"

namespace refrain::store {

/// kCorrupt when files that belong together are not all there. RocksDB makes a new, empty store where only
/// CURRENT is missing, and opens one whose log files are all gone.
Result<void> check_files(const std::string& directory);

/// The newest sequence number at the last clean stop, kept in a file of its own until the next start.
Result<void> write_clean_stop(const std::string& directory, std::uint64_t newest);
Result<std::optional<std::uint64_t>> read_clean_stop(const std::string& directory);
Result<void> remove_clean_stop(const std::string& directory);

/// What to do about a damaged store: the end of every such message.
std::string rebuild_advice(const std::string& directory);

}  // namespace refrain::store
