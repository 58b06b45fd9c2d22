// SPDX-License-Identifier: Apache-2.0
// What scripts go by. Public: never renumbered.
#pragma once
#include <string_view>

namespace refrain::cli {

enum ExitCode : int {
  kOk = 0,
  kFailed = 1,
  kUsage = 2,
  kNoAnswer = 3,     // cannot connect, or timed out
  kRefused = 4,      // not found, or a precondition; of `request begin`: any other answer
  kAlreadyDone = 6,  // of `request begin` only
  kInProgress = 7,   // of `request begin` only
  kNotInSync = 10,
};

/// Of an HTTP answer to any call but begin.
int exit_of_status(int status);

/// Of an answer to begin: its status and what Refrain-Decision says.
int exit_of_begin(int status, std::string_view decision);

}  // namespace refrain::cli
