// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

namespace refrain::cli {

std::string program_version();  // "0.1.0"
std::string version_line();     // "refrain 0.1.0"

}  // namespace refrain::cli
