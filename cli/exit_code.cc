// SPDX-License-Identifier: Apache-2.0
#include "cli/exit_code.h"

namespace refrain::cli {

int exit_of_status(int status) {
  if (status >= 200 && status < 300) return kOk;
  switch (status) {
    case 304:
      return kOk;
    case 400:
      return kUsage;
    case 408:
      return kNoAnswer;
    case 404:
    case 409:
    case 410:
    case 412:
    case 421:
    case 422:
      return kRefused;
    default:
      return kFailed;
  }
}

int exit_of_begin(int status, std::string_view decision) {
  if (decision == "go" && status == 201) return kOk;
  if (decision == "replay" && status == 200) return kAlreadyDone;
  if (decision == "in_progress" && status == 409) return kInProgress;
  return kRefused;
}

}  // namespace refrain::cli
