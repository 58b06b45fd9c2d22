// SPDX-License-Identifier: Apache-2.0
// From words to one command with its arguments.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/types.h"
#include "cli/spec.h"

namespace refrain::cli {

struct CommandLine {
  const Command* command = nullptr;  // none: print `out` and `err`, end with `exit`
  Arguments arguments;
  std::string server;
  bool json = false;
  std::optional<Milliseconds> watch;

  int exit = 0;
  std::string out;  // help, version
  std::string err;  // what is wrong, and which help to read
};

/// `words` without the program's name. REFRAIN_SERVER is taken from `environment`.
CommandLine parse_command_line(const std::vector<Command>& commands, const std::vector<std::string>& words,
                               const std::map<std::string, std::string>& environment);

/// What the groups are for: "kv" -> "keys and values".
const std::map<std::string, std::string>& group_help();

/// Those of every client command: --server, --format; and --watch, --interval where it watches.
std::vector<Option> common_options(const Command& command);

}  // namespace refrain::cli
