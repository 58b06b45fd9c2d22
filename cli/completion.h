// SPDX-License-Identifier: Apache-2.0
// Completion scripts for shells, made from the table of commands. Pure.
#pragma once
#include <string>
#include <vector>

#include "cli/spec.h"

namespace refrain::cli {

std::string bash_completion(const std::vector<Command>& commands);
std::string zsh_completion(const std::vector<Command>& commands);

}  // namespace refrain::cli
