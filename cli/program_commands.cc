// SPDX-License-Identifier: Apache-2.0
// What is about the program itself: completion, version; and the table of all commands.
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/completion.h"
#include "cli/context.h"
#include "cli/exit_code.h"
#include "cli/version.h"

namespace refrain::cli {
namespace {

int completion(Context& context, const Arguments& arguments) {
  bool zsh = arguments.text("SHELL") == "zsh";
  context.screen.bytes(zsh ? zsh_completion(all_commands()) : bash_completion(all_commands()));
  return kOk;
}

int version(Context& context, const Arguments&) {
  context.screen.bytes(version_line() + "\n");
  return kOk;
}

}  // namespace

std::vector<Command> program_commands() {
  Option shell{"SHELL", "", "which shell", Option::Kind::kPositional, true, nullptr, {"bash", "zsh"}};
  return {
      {{"completion"},
       "a script that completes commands and flags",
       {shell},
       {"source <(refrain completion bash)", "refrain completion zsh > ~/.zfunc/_refrain"},
       false,
       false,
       completion},
      {{"version"}, "the program's version", {}, {"refrain version"}, false, false, version},
  };
}

const std::vector<Command>& all_commands() {
  static const std::vector<Command> kAll = [] {
    std::vector<Command> all;
    for (auto part : {serve_commands, status_commands, sync_commands, event_commands, conflict_commands,
                      member_commands, verify_commands, kv_commands, request_commands, duplicate_commands,
                      backup_commands, upgrade_commands, config_commands, program_commands})
      for (Command& command : part()) all.push_back(std::move(command));
    return all;
  }();
  return kAll;
}

}  // namespace refrain::cli
