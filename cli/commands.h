// SPDX-License-Identifier: Apache-2.0
// Every command of the program, by group. The order is that of the help.
#pragma once
#include <vector>

#include "cli/spec.h"

namespace refrain::cli {

std::vector<Command> serve_commands();
std::vector<Command> status_commands();
std::vector<Command> sync_commands();
std::vector<Command> event_commands();
std::vector<Command> conflict_commands();
std::vector<Command> member_commands();
std::vector<Command> verify_commands();
std::vector<Command> kv_commands();
std::vector<Command> request_commands();
std::vector<Command> duplicate_commands();
std::vector<Command> backup_commands();
std::vector<Command> upgrade_commands();
std::vector<Command> config_commands();
std::vector<Command> program_commands();  // completion, version

const std::vector<Command>& all_commands();

}  // namespace refrain::cli
