// SPDX-License-Identifier: Apache-2.0
// A joiner takes a member's snapshot into its empty store, block by block, a few in each step.
#pragma once
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "node/ledger.h"
#include "node/world.h"
#include "replication/membership.h"
#include "replication/peers.h"
#include "store/snapshot.h"

namespace refrain::node {

/// One thread. Crash: the store's identity says `installing` until all is in; the next start empties it.
class Joining {
 public:
  Joining(const World& world, Ledger& ledger) : world_(world), ledger_(ledger) {}

  /// Takes in what has come of the snapshot `from`, which may be another one than before; it must be that
  /// member's, of our cluster, and know our `join` entry. True once, when the store holds all of it and the
  /// ledger has read it. A failure is said and tried again from an empty store.
  bool step(const replication::SnapshotFrom& from, const std::string& join);
  /// No snapshot is wanted any more.
  void abandon();
  /// The store holds a part of one: nobody may read it.
  bool half() const { return half_; }
  /// There was more to take than one step does.
  bool busy() const { return busy_; }
  bool running() const { return stream_ != nullptr; }
  std::uint64_t rows() const { return loader_ ? loader_->totals().rows : 0; }
  std::uint64_t bytes() const { return loader_ ? loader_->totals().bytes : 0; }
  /// Bytes came a moment ago: more will soon.
  bool flowing() const {
    constexpr Milliseconds kAMoment{50};
    return running() && world_.clock->steady() - flowed_at_ < kAMoment;
  }
  /// How far it is, for status; empty while nothing runs.
  std::string progress() const;
  const std::string& trouble() const { return trouble_; }

 private:
  Result<bool> take_blocks();
  void give_up(const Error& error);

  const World& world_;
  Ledger& ledger_;
  std::string address_;
  std::unique_ptr<replication::SnapshotStream> stream_;
  std::unique_ptr<store::SnapshotLoader> loader_;
  std::string trouble_;
  bool busy_ = false;
  bool half_ = false;
  SteadyNs flowed_at_;
  SteadyNs started_;
};

}  // namespace refrain::node
