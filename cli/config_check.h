// SPDX-License-Identifier: Apache-2.0
// What must hold between keys. Each key by itself has been checked when it was set.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "node/config.h"

namespace refrain::cli {

/// `origins`: where a key was set; those with their default are not in it. Appends "place: sentence" to
/// `errors`.
void check_config(const node::Config& config, const std::map<std::string, std::string>& origins,
                  std::vector<std::string>& errors);

}  // namespace refrain::cli
