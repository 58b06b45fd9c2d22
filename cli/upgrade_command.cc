// SPDX-License-Identifier: Apache-2.0
// refrain upgrade: takes a stopped node's data directory to the store format of this program, for good.
#include <fmt/format.h>

#include "cli/commands.h"
#include "cli/config_options.h"
#include "cli/context.h"
#include "cli/exit_code.h"
#include "store/data_dir.h"

namespace refrain::cli {
namespace {

std::string opens(const store::StoreProgram& program) {
  std::string newest = std::to_string(program.newest.number);
  return program.opens_from == program.newest.number ? newest
                                                     : std::to_string(program.opens_from) + "-" + newest;
}

int upgrade(Context& context, const Arguments& arguments) {
  std::string directory = arguments.text("--data-dir");
  if (directory.empty()) {
    auto loaded = load_config_and_say(context, arguments);
    if (!loaded) return kUsage;
    directory = loaded->config.node.data_dir;
  }
  auto before = store::DataDir::upgrade(directory);
  if (!before) {
    context.screen.message(before.error().detail);
    return before.error().code == Code::kNotFound ? kRefused : kFailed;
  }
  auto after = store::DataDir::inspect(directory);
  if (!after) {
    context.screen.message(after.error().detail);
    return kFailed;
  }
  Facts facts;
  facts.add("DATA DIRECTORY", directory);
  facts.add("NODE", after->node);
  facts.add("CLUSTER", after->cluster);
  facts.add("FOUND FORMAT", std::to_string(before->format));
  facts.add("THIS PROGRAM OPENS", opens(store::kStoreProgram));
  facts.add("FORMAT NOW", std::to_string(after->format));
  context.screen.facts(facts);
  context.screen.message(
      before->format == after->format
          ? "nothing to do"
          : fmt::format("done; programs that read less than format {} refuse it from now on",
                        after->oldest_reader));
  return kOk;
}

}  // namespace

std::vector<Command> upgrade_commands() {
  return {{{"upgrade"},
           "takes a stopped node's data directory to this program's store format; there is no way back",
           {value("--data-dir", "DIR", "the directory (node.data_dir of the configuration)"),
            value("--config", "FILE", "YAML file (REFRAIN_CONFIG)")},
           {"refrain upgrade --config /etc/refrain.yaml", "refrain upgrade --data-dir /var/lib/refrain"},
           false,
           false,
           upgrade}};
}

}  // namespace refrain::cli
