// SPDX-License-Identifier: Apache-2.0
// The committer: what this node has committed and applied, and the one draft through which both change the
// store. Several commits, own and others', are decided into one draft, written as one batch and synced once;
// only then are their callers answered. So "read, compare, write" needs no lock, and commit order = seq order
// = hlc order.
//
// One thread. Crash: everything that matters is in the batch; load() reads it back.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/hlc_clock.h"
#include "base/result.h"
#include "base/types.h"
#include "node/config.h"
#include "store/collector.h"
#include "store/conflicts.h"
#include "store/digest.h"
#include "store/draft.h"
#include "store/engine.h"
#include "store/meta.h"
#include "store/operations.h"
#include "store/outbox.h"

namespace refrain::node {

/// An own commit as the publisher wants it: durable, in the exact bytes that go out.
struct NewCommit {
  Seq seq;
  std::string bytes;
};

/// What is in memory of the store's small rows. Changes with the draft; goes back when a batch is not
/// written.
struct Books {
  Seq newest;                                  // own journal
  store::AppliedTable applied;                 // own journal too
  std::map<Journal, store::StoredTick> ticks;  // the newest applied of each journal, own too
  Seq published;
  Seq synced;
  Hlc floor;
  /// Own commits behind this one were written before the end of the own journal was read: of a directory that
  /// is older than its journal they count nowhere. None: there are none of these.
  std::optional<store::Applied> unproven;
  bool proven = false;  // since the load that end was read, and the directory is not older
  bool operator==(const Books&) const = default;
};

class Ledger {
 public:
  /// Does what a claim, an outcome or a duplicate of `commit` means to the request rows in the draft.
  using RequestApply =
      std::function<Result<void>(store::Draft&, const store::Operation&, const store::Commit&, WallMs now)>;

  /// Reads what the store knows; its identity must be there already. kCorrupt when a row cannot be read.
  static Result<std::unique_ptr<Ledger>> load(store::Engine& engine, const Config& config,
                                              RequestApply apply_request);

  const store::Identity& identity() const { return identity_; }
  /// No own commit with operations is newer. (Of those from before the load only that much is known.)
  Seq newest_write() const { return newest_write_; }
  Journal journal() const { return {identity_.node, identity_.incarnation}; }
  store::Applied newest_own() const;
  const Books& books() const { return books_; }
  /// Of books().applied what a synced write has made safe against power cuts since this ledger was loaded.
  const store::AppliedTable& synced_applied() const { return synced_applied_; }
  /// A synced write has succeeded since then: what the load found may have come from a write whose sync
  /// failed.
  bool synced_since_load() const { return synced_since_load_; }
  store::Draft& draft() { return draft_; }
  store::Engine& engine() { return engine_; }
  const store::ConflictLog& conflicts() const { return conflicts_; }
  const store::Outbox& outbox() const { return outbox_; }
  const store::Collector& collector() const { return collector_; }
  const store::DigestBuckets& digest() const { return digest_.buckets(); }
  const HlcClock& clock() const { return clock_; }
  /// Time as this node sees it: never behind what it minted or met.
  WallMs now() const { return clock_.now(wall_); }

  // ---- one batch: start, any changes, write

  void start(WallMs wall);

  /// The hlc of the next own commit, for append(). Lost harmlessly when none follows.
  Result<Hlc> mint() { return clock_.mint(wall_); }

  /// Adds an own commit: its rows, its record in the outbox, seq and vector. 413 commit_too_large, and
  /// nothing changes, when its record would be over the limit.
  Result<CommitId> append(Hlc hlc, std::vector<store::Operation> operations, bool wants_tick);
  Result<CommitId> append_tick(Hlc hlc, store::Tick tick);

  /// Adds the next commit of another journal. The caller has checked that it is next and that its hlc is
  /// believable.
  Result<void> apply(const store::Commit& commit);

  /// Every later hlc is larger than this one.
  void observe(Hlc hlc) { clock_.observe(hlc); }

  /// A read failed while deciding: the batch must not be written, its callers get this error.
  void break_batch(Error error);

  /// Makes the batch durable. When it fails, nothing of it is true here and every caller in it gets the
  /// error. kUnavailable: nothing happened; go on. kUnknown: the engine must be opened, and a ledger loaded,
  /// again.
  Result<void> write();
  /// A write around the ledger failed (a snapshot coming in, an emptying): as when write() gave kUnknown.
  void engine_failed(Error error);
  bool must_reload() const { return must_reload_; }

  /// Since this ledger was loaded: how many batches were written, and the commits in them, own and others'.
  struct BatchCounts {
    std::uint64_t batches = 0;
    std::uint64_t commits = 0;
  };
  const BatchCounts& batch_counts() const { return batch_counts_; }

  /// The own commits of the batch just written, in order.
  std::vector<NewCommit> take_new_commits() { return std::move(new_commits_); }

  // ---- small rows that ride along with the batch

  void set_published(Seq seq);
  /// The end of the own journal was read. Synced, since a directory that forgets it takes what it publishes
  /// next for another's.
  void prove();
  void set_synced(Seq seq);
  Result<void> forget_outbox_up_to(Seq seq);  // bounded work per call
  Result<void> expire_conflicts();            // bounded work per call
  /// The floor follows S; it never falls. Before the own commits of the batch: they carry it. What it rests
  /// on is on the disks already, and what rests on it is in this batch or a later one, so it needs no sync.
  void raise_floor(Hlc stable);
  /// Removes rows that may be forgotten, a bounded number, from time to time. The last change of a batch. An
  /// error, of reading, leaves the batch as it is.
  Result<void> collect(SteadyNs now);
  /// Own commits from `from` on are void: out of the outbox, kept aside. True when there may be more;
  /// bounded.
  Result<bool> move_aside(Seq from);
  void set_identity(const store::Identity& identity);
  /// One cut of this store keeps a digest that its rows do not have (store/digest.h).
  void correct_digest(const store::DigestBuckets& kept, const store::DigestBuckets& counted) {
    digest_.correct(draft_, kept, counted);
  }
  /// In which format own commits are written from now on: what all members read (Membership::writes_format).
  void set_format(std::uint32_t format) { format_ = format; }
  std::uint32_t format() const { return format_; }
  /// The next write() is synced even when no own commit is in it.
  void require_sync() { sync_ = true; }

  /// After rows were written around the ledger (a snapshot came in): reads everything again. No batch may be
  /// open.
  Result<void> reload();
  std::uint64_t loads() const { return loads_; }  // how often it was read whole
  /// Another one whenever books() may have changed.
  std::uint64_t revision() const { return revision_; }

 private:
  Ledger(store::Engine& engine, const Config& config, RequestApply apply_request);
  Result<CommitId> append_commit(store::Commit commit);
  Result<void> perform(const store::Commit& commit);
  void forget_batch();

  store::Engine& engine_;
  const Config& config_;
  RequestApply apply_request_;
  store::Identity identity_;
  HlcClock clock_;
  store::Draft draft_;
  store::ConflictLog conflicts_;
  store::Outbox outbox_;
  store::Collector collector_;
  store::Digest digest_;
  Books books_;

  Seq newest_write_;
  std::uint32_t format_;
  store::AppliedTable synced_applied_;
  bool synced_since_load_ = false;

  // As of the last written batch.
  Books written_books_;
  store::Identity written_identity_;
  store::ConflictLog::Stats written_conflicts_;
  store::Outbox::Stats written_outbox_;

  BatchCounts batch_counts_;
  std::uint64_t commits_in_batch_ = 0;
  std::set<Journal> moved_;  // whose applied row the running batch changes
  std::vector<NewCommit> new_commits_;
  std::optional<Error> broken_;
  bool sync_ = false;
  bool must_reload_ = false;
  std::uint64_t loads_ = 0;
  std::uint64_t revision_ = 0;
  Hlc stored_hlc_;
  WallMs wall_;
};

}  // namespace refrain::node
