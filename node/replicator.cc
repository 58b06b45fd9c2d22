// SPDX-License-Identifier: Apache-2.0
#include "node/replicator.h"

#include <fmt/format.h>

#include <algorithm>

#include "node/alone.h"
#include "node/regions.h"
#include "replication/members_replay.h"
#include "store/meta.h"

namespace refrain::node {
namespace {

/// The outbox of a member's directory may hold what a newer program than this one has written.
Result<void> reads_what_it_wrote(const replication::MembersReplay& replay,
                                 const replication::Formats& formats) {
  using Reason = replication::MembersReplay::Halt::Reason;
  bool newer_entry = replay.halt() && replay.halt()->reason == Reason::kNewerFormat;
  std::uint32_t format = replay.table().format();
  if (!newer_entry && !replay.table().empty() && format < formats.min) {
    return invalid("older_format",
                   fmt::format("The directory is a member's of a cluster that writes format {}, this program "
                               "reads {} to {}. Start the release before this one.",
                               format, formats.min, formats.max));
  }
  if (!newer_entry && format <= formats.max) return {};
  return invalid(
      "newer_format",
      fmt::format("The directory is a member's of a cluster that writes format {} or newer, this "
                  "program reads {}. Start the newer program.",
                  std::max(replay.table().format(), formats.max + (newer_entry ? 1 : 0)), formats.max));
}

/// Without brokers only a directory that was made so, or that of an active member, may take writes: another
/// one may hold half a snapshot, and is emptied when its node joins.
Result<void> may_run_alone(Ledger& ledger, const replication::MembersReplay& replay) {
  const store::Identity& identity = ledger.identity();
  if (identity.standalone && !identity.installing && replay.table().empty()) return {};
  bool member = replay.table().is(identity.incarnation, replication::MemberState::kActive);
  if (member && !identity.installing) return {};
  return invalid("invalid",
                 "The data directory was made by a node with brokers that is no active member of its cluster "
                 "yet: what is written here without them would be lost when it joins. Set kafka.brokers "
                 "again, or give this node an empty directory.");
}

}  // namespace

Result<std::unique_ptr<Replicator>> Replicator::open(const Config& config, const World& world,
                                                     const Start& start, Ledger& ledger, const Moment& now) {
  if (world.log == nullptr) {
    auto entries = store::Meta::members(ledger.engine());
    if (!entries) return entries.error();
    replication::MembersReplay replay(ledger.identity().cluster, config.formats.max);
    for (const std::string& entry : *entries) replay.add(entry);
    if (auto reads = reads_what_it_wrote(replay, config.formats); !reads) return reads.error();
    if (auto may = may_run_alone(ledger, replay); !may) return may.error();
    ledger.set_format(std::max(replay.table().format(), config.formats.min));
    return std::unique_ptr<Replicator>(std::make_unique<Alone>(config, ledger, entries->empty()));
  }
  return Regions::open(config, world, start, ledger, now);
}

}  // namespace refrain::node
