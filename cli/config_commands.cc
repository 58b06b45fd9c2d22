// SPDX-License-Identifier: Apache-2.0
// refrain config: what is set, and is it right?
#include <fmt/format.h>

#include <boost/json.hpp>

#include "cli/commands.h"
#include "cli/config_options.h"
#include "cli/exit_code.h"

namespace refrain::cli {
namespace {

int check(Context& context, const Arguments& arguments) {
  auto loaded = load_config_and_say(context, arguments);
  if (!loaded) return kUsage;
  const node::Config& config = loaded->config;
  context.screen.message(fmt::format("good: cluster {}, node {}, {}", config.cluster, config.node.name,
                                     config.alone() ? "alone (no kafka.brokers)" : "with Kafka"));
  return kOk;
}

int show(Context& context, const Arguments& arguments) {
  auto loaded = load_config_and_say(context, arguments);
  if (!loaded) return kUsage;
  if (arguments.text("--format") == "json") {
    boost::json::array all;
    for (const EffectiveValue& value : loaded->values)
      all.push_back({{"key", value.name}, {"value", value.value}, {"origin", value.origin}});
    print_json(context, boost::json::serialize(all));
    return kOk;
  }
  Table table{{"KEY", "VALUE", "ORIGIN"}, {}};
  for (const EffectiveValue& value : loaded->values)
    table.rows.push_back({value.name, value.value,
                          Cell(value.origin, value.origin == "default" ? Tone::kFaint : Tone::kPlain)});
  context.screen.table(table);
  return kOk;
}

}  // namespace

std::vector<Command> config_commands() {
  std::vector<Option> options = {optional_positional("FILE", "YAML file, as --config")};
  for (Option& option : config_options()) options.push_back(std::move(option));
  std::vector<Option> show_options = options;
  show_options.push_back(word("--format", "how to print it", {"table", "json"}));
  return {
      {{"config", "check"},
       "reads a configuration and names every error with its place",
       options,
       {"refrain config check /etc/refrain.yaml"},
       false,
       false,
       check},
      {{"config", "show"},
       "every value that would be in effect, and where it comes from; secrets masked",
       show_options,
       {"refrain config show /etc/refrain.yaml",
        "REFRAIN_NODE_NAME=eu refrain config show --http.listen 127.0.0.1:9000"},
       false,
       false,
       show},
  };
}

}  // namespace refrain::cli
