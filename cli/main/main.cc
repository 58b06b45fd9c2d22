// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <thread>

#include "cli/config_load.h"
#include "cli/program.h"

int main(int count, char** words) {
  using namespace refrain;
  const char* no_color = std::getenv("NO_COLOR");
  bool terminal = isatty(STDOUT_FILENO) != 0;
  cli::World world{.in = std::cin,
                   .out = std::cout,
                   .err = std::cerr,
                   .screen = {.terminal = terminal, .color = terminal && !(no_color && *no_color)},
                   .environment = cli::process_environment(),
                   .transport = [](std::string server) { return cli::http_transport(std::move(server)); },
                   .pause = [](Milliseconds pause) { return std::this_thread::sleep_for(pause), true; }};
  return cli::run_program({words + 1, words + count}, std::move(world));
}
