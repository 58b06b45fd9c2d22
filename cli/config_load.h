// SPDX-License-Identifier: Apache-2.0
// From file, environment and flags to one checked Config: flag > environment > file > default. All errors are
// found at once, each with its place; with any error there is no Config.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <vector>

#include "cli/config_file.h"
#include "node/config.h"

namespace refrain::cli {

struct ConfigSources {
  std::optional<std::string> file;
  std::map<std::string, std::string> environment;  // all of the process; only REFRAIN_* is looked at
  std::vector<Setting> flags;                      // where = "--http.listen"
};

struct EffectiveValue {
  std::string name;
  std::string value;   // secrets masked
  std::string origin;  // "default", "eu.yaml:3", "REFRAIN_KAFKA_BROKERS", "--http.listen"
};

struct LoadedConfig {
  node::Config config;
  std::vector<EffectiveValue> values;  // every key, in the order of the documentation
  std::vector<std::string> warnings;
};

using ConfigErrors =
    std::vector<std::string>;  // "eu.yaml:12: http.listn: unknown key; did you mean http.listen?"

tl::expected<LoadedConfig, ConfigErrors> load_config(const ConfigSources& sources);

std::map<std::string, std::string> process_environment();

}  // namespace refrain::cli
