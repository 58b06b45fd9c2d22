// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "base/text.h"
#include "cli/spec.h"

namespace refrain::cli {

inline Option max_lag_option() {
  return value("--max-lag", "DURATION", "more than this is not in sync (default 5s): exit code 10",
               check_duration);
}

inline Milliseconds max_lag_of(const Arguments& arguments) {
  return parse_duration(arguments.text("--max-lag", "5s")).value_or(Milliseconds{5'000});
}

}  // namespace refrain::cli
