// SPDX-License-Identifier: Apache-2.0
#include "cli/program.h"

#include <ostream>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "cli/exit_code.h"

namespace refrain::cli {

namespace {

/// A script must not take for done what it cannot read.
int unless_lost(const Screen& screen, std::ostream& err, int code) {
  if (!screen.lost()) return code;
  err << "refrain: standard output cannot be written: " << *screen.lost() << '\n' << std::flush;
  return kFailed;
}

}  // namespace

int run_program(const std::vector<std::string>& words, World world) {
  CommandLine line = parse_command_line(all_commands(), words, world.environment);
  Screen screen(world.out, world.err, world.screen);
  world.err << line.err << std::flush;
  if (!line.command) {
    screen.bytes(line.out);
    screen.flush();
    return unless_lost(screen, world.err, line.exit);
  }

  std::unique_ptr<Transport> transport;
  Context context{
      .screen = screen, .in = world.in, .transport = {}, .environment = std::move(world.environment)};
  context.transport = [&]() -> Transport& {
    if (!transport) transport = world.transport(line.server);
    return *transport;
  };
  context.json = line.json;
  context.watch = line.watch;
  context.pause = world.pause;
  context.connect = world.transport;
  int code = line.command->run(context, line.arguments);
  screen.flush();
  return unless_lost(screen, world.err, code);
}

}  // namespace refrain::cli
