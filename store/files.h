// SPDX-License-Identifier: Apache-2.0
// Small files that must be whole or absent after a crash.
#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace refrain::store {

/// Replaces the file: after a crash it is the old one or the new one, and once this came back the new one.
Result<void> write_file_durably(const std::string& path, std::string_view bytes);
/// Makes the entry of a new file or directory durable in the directory that it is in.
Result<void> sync_directory_of(const std::string& path);
Result<void> sync_file(const std::string& path);
/// nullopt when there is none.
Result<std::optional<std::string>> read_small_file(const std::string& path);
Result<void> remove_file_durably(const std::string& path);  // ok when there is none

}  // namespace refrain::store
