// SPDX-License-Identifier: Apache-2.0
#include "cli/program.h"

#include <ostream>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/context.h"

namespace refrain::cli {

int run_program(const std::vector<std::string>& words, World world) {
  CommandLine line = parse_command_line(all_commands(), words, world.environment);
  world.out << line.out << std::flush;
  world.err << line.err << std::flush;
  if (!line.command) return line.exit;

  std::unique_ptr<Transport> transport;
  Screen screen(world.out, world.err, world.screen);
  Context context{
      .screen = screen, .in = world.in, .transport = {}, .environment = std::move(world.environment)};
  context.transport = [&]() -> Transport& {
    if (!transport) transport = world.transport(line.server);
    return *transport;
  };
  context.json = line.json;
  context.watch = line.watch;
  context.pause = world.pause;
  int code = line.command->run(context, line.arguments);
  screen.flush();
  return code;
}

}  // namespace refrain::cli
