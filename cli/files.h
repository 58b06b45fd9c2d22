// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <tl/expected.hpp>

namespace refrain::cli {

/// The whole file, or why not ("No such file or directory").
tl::expected<std::string, std::string> read_file(const std::string& path);

}  // namespace refrain::cli
