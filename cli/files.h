// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <istream>
#include <string>
#include <tl/expected.hpp>

namespace refrain::cli {

/// The whole file, or why not ("No such file or directory").
tl::expected<std::string, std::string> read_file(const std::string& path);
/// All that is left of `in`; at most 1 GiB, or the reason.
tl::expected<std::string, std::string> read_bounded(std::istream& in);

}  // namespace refrain::cli
