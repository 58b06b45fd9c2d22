// SPDX-License-Identifier: Apache-2.0
#include "node/replicator.h"

#include "node/alone.h"
#include "node/regions.h"

namespace refrain::node {

Result<std::unique_ptr<Replicator>> Replicator::open(const Config& config, const World& world,
                                                     const Start& start, Ledger& ledger, const Moment& now) {
  if (world.log == nullptr) return std::unique_ptr<Replicator>(std::make_unique<Alone>(config, ledger));
  return Regions::open(config, world, start, ledger, now);
}

}  // namespace refrain::node
