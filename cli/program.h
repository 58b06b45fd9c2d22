// SPDX-License-Identifier: Apache-2.0
// The whole program but for main(): words in, text and an exit code out.
#pragma once
#include <functional>
#include <iosfwd>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cli/screen.h"
#include "cli/transport.h"

namespace refrain::cli {

struct World {
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  Screen::Kind screen;
  std::map<std::string, std::string> environment;
  std::function<std::unique_ptr<Transport>(std::string server)> transport;
  std::function<bool(Milliseconds)> pause;  // between two looks of --watch; false ends them
};

/// `words` without the program's name. The exit code of cli/exit_code.h.
int run_program(const std::vector<std::string>& words, World world);

}  // namespace refrain::cli
