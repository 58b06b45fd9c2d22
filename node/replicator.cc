// SPDX-License-Identifier: Apache-2.0
#include "node/replicator.h"

#include "node/alone.h"
#include "node/regions.h"
#include "replication/members_replay.h"
#include "store/meta.h"

namespace refrain::node {
namespace {

/// Without brokers only a directory that was made so, or that of an active member, may take writes: another
/// one may hold half a snapshot, and is emptied when its node joins.
Result<void> may_run_alone(Ledger& ledger) {
  const store::Identity& identity = ledger.identity();
  if (identity.standalone && !identity.installing) return {};
  auto entries = store::Meta::members(ledger.engine());
  if (!entries) return entries.error();
  replication::MembersReplay replay(identity.cluster);
  for (const std::string& entry : *entries) replay.add(entry);
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
    if (auto may = may_run_alone(ledger); !may) return may.error();
    auto entries = store::Meta::members(ledger.engine());
    if (!entries) return entries.error();
    return std::unique_ptr<Replicator>(std::make_unique<Alone>(config, ledger, entries->empty()));
  }
  return Regions::open(config, world, start, ledger, now);
}

}  // namespace refrain::node
