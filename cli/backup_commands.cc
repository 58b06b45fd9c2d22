// SPDX-License-Identifier: Apache-2.0
// refrain backup: a copy of a running node's store. refrain restore: a new cluster's first node, of one.
#include <fmt/format.h>

#include <boost/json.hpp>
#include <filesystem>

#include "base/clock.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/context.h"
#include "cli/exit_code.h"
#include "cli/json_access.h"
#include "store/backup.h"

namespace refrain::cli {
namespace {

constexpr Milliseconds kPatience{60'000};

int backup(Context& context, const Arguments& arguments) {
  Call call{.method = "POST",
            .target = "/v1/backup",
            .headers = {},
            .body = json::serialize(json::object{{"directory", arguments.text("DIR")}}),
            .content_type = "application/json",
            .wait = kPatience};
  auto made = ask_json(context, call);
  if (!made) return made.error();
  if (context.json) return kOk;
  Facts facts;
  facts.add("DIRECTORY", text(*made, "directory"));
  facts.add("NODE", text(*made, "node"));
  facts.add("CLUSTER", text(*made, "cluster"));
  facts.add("AT", text(*made, "at"));
  facts.add("SIZE", format_amount(static_cast<std::uint64_t>(number_or_zero(*made, "bytes"))));
  context.screen.facts(facts);
  return kOk;
}

int restore(Context& context, const Arguments& arguments) {
  if (!arguments.has("--found")) {
    context.screen.message(
        "A member of a living cluster takes nothing from a backup: start it with an empty directory, and it "
        "gets "
        "a snapshot from a member. When all nodes are lost, --found makes of the backup the first node of a "
        "new "
        "cluster.");
    return kUsage;
  }
  SystemRandom random;
  store::RestoreOptions options;
  options.from = std::filesystem::absolute(arguments.text("--from")).lexically_normal().string();
  options.data_dir = arguments.text("--data-dir");
  options.cluster_name = arguments.text("--cluster");
  options.cluster = {static_cast<std::uint32_t>(random.next() | 1)};
  options.incarnation = {random.next() | 1};
  auto restored = store::restore_backup(options);
  if (!restored) {
    context.screen.message(restored.error().detail);
    return restored.error().code == Code::kNotFound ? kRefused : kFailed;
  }
  Facts facts;
  facts.add("DATA DIRECTORY", options.data_dir);
  facts.add("NODE", restored->backup.node);
  facts.add("CLUSTER", fmt::format("{} ({:08x})", restored->cluster_name, options.cluster.value));
  facts.add("INCARNATION", format_hex64(options.incarnation.value));
  facts.add("BACKUP OF", fmt::format("{} ({:08x}), at {}", restored->backup.cluster,
                                     restored->old_cluster.value, format_time(restored->backup.at)));
  facts.add("VOID COMMITS", std::to_string(restored->void_commits));
  context.screen.facts(facts);
  Table table{{"JOURNAL", "INCARNATION", "HAS UP TO", "SEQ"}, {}};
  for (const auto& [journal, applied] : restored->applied)
    table.rows.push_back({journal.node, format_hex64(journal.incarnation.value),
                          format_time(applied.hlc.wall()), std::to_string(applied.seq.value)});
  context.screen.table(table);
  context.screen.message(
      "Lost: every commit after these, whoever acknowledged it; what was begun or done since may be done "
      "again. "
      "Tokens of requests that ran go on at the nodes of these names.");
  context.screen.message("Now: refrain serve --found, with this node.data_dir, node.name and cluster");
  return kOk;
}

}  // namespace

std::vector<Command> backup_commands() {
  return {
      {{"backup"},
       "copies the store of a running node into a new directory on its machine",
       {positional("DIR", "an absolute path on the file system of the node's data directory")},
       {"refrain backup /var/lib/refrain-backups/monday"},
       true,
       false,
       backup},
      {{"restore"},
       "makes of a backup the data directory of a new cluster's first node; all others then join it",
       {required_value("--from", "DIR", "the backup"),
        required_value("--data-dir", "DIR", "to be made; an empty one is taken"),
        flag("--found", "all nodes are lost: found a new cluster with it"),
        value("--cluster", "NAME", "of the new cluster (as it was; then its topics must be deleted first)",
              check_node)},
       {"refrain restore --from /backups/monday --data-dir /var/lib/refrain --found --cluster shop2"},
       false,
       false,
       restore},
  };
}

}  // namespace refrain::cli
