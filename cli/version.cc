// SPDX-License-Identifier: Apache-2.0
#include "cli/version.h"

namespace refrain::cli {

std::string program_version() {
  return REFRAIN_VERSION;
}
std::string version_line() {
  return "refrain " + program_version();
}

}  // namespace refrain::cli
