// SPDX-License-Identifier: Apache-2.0
#include "cli/config_options.h"

#include <fmt/format.h>

#include "cli/config_keys.h"

namespace refrain::cli {
namespace {

std::vector<std::string> split(const std::string& path) {
  std::vector<std::string> parts;
  std::size_t start = 0;
  for (std::size_t dot = path.find('.'); dot != std::string::npos; dot = path.find('.', start)) {
    parts.push_back(path.substr(start, dot - start));
    start = dot + 1;
  }
  parts.push_back(path.substr(start));
  return parts;
}

ConfigSources sources_of(const Context& context, const Arguments& arguments) {
  ConfigSources sources;
  sources.environment = context.environment;
  auto variable = context.environment.find("REFRAIN_CONFIG");
  if (arguments.has("FILE"))
    sources.file = arguments.text("FILE");
  else if (arguments.has("--config"))
    sources.file = arguments.text("--config");
  else if (variable != context.environment.end() && !variable->second.empty())
    sources.file = variable->second;
  for (const Key& key : keys()) {
    std::string flag = "--" + key.path;
    if (arguments.has(flag))
      sources.flags.push_back({split(key.path), arguments.text(flag), Setting::Kind::kScalar, flag});
  }
  return sources;
}

}  // namespace

std::vector<Option> config_options() {
  node::Config defaults;
  std::vector<Option> options = {value("--config", "FILE", "YAML file (REFRAIN_CONFIG)")};
  for (const Key& key : keys()) {
    std::string standard = key.get(defaults);
    std::string help = standard.empty() ? key.help : fmt::format("{} (default {})", key.help, standard);
    options.push_back(value("--" + key.path, "VALUE", help));
    options.back().group = "Settings, as in the file; flag > environment (" +
                           environment_name("http.listen") + ") > file > default";
  }
  return options;
}

std::optional<LoadedConfig> load_config_or_say(Context& context, const Arguments& arguments) {
  auto loaded = load_config(sources_of(context, arguments));
  if (!loaded) {
    for (const std::string& error : loaded.error()) context.screen.message(error);
    return std::nullopt;
  }
  return std::move(*loaded);
}

std::optional<LoadedConfig> load_config_and_say(Context& context, const Arguments& arguments) {
  auto loaded = load_config_or_say(context, arguments);
  if (loaded) {
    for (const std::string& warning : loaded->warnings) context.screen.message("warning: " + warning);
  }
  return loaded;
}

}  // namespace refrain::cli
