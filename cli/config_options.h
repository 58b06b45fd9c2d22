// SPDX-License-Identifier: Apache-2.0
// Each key of the configuration as a flag of its own: --http.listen, --kafka.brokers, ...
#pragma once
#include <vector>

#include "cli/config_load.h"
#include "cli/context.h"
#include "cli/spec.h"

namespace refrain::cli {

std::vector<Option> config_options();  // --config and a flag a key

/// From what the arguments, the environment and the file say. None after all errors were printed; the
/// warnings are the caller's.
std::optional<LoadedConfig> load_config_or_say(Context& context, const Arguments& arguments);
/// The same, and the warnings were printed too.
std::optional<LoadedConfig> load_config_and_say(Context& context, const Arguments& arguments);

}  // namespace refrain::cli
