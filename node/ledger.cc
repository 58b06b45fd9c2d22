// SPDX-License-Identifier: Apache-2.0
#include "node/ledger.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/planted.h"
#include "base/text.h"
#include "replication/codec.h"
#include "store/kv.h"

namespace refrain::node {
namespace {

constexpr std::size_t kForgetPerStep = 2'000;
constexpr std::size_t kConflictsPerStep = 100;

Result<void> kept(const Result<store::MergeResult>& merged, const store::Commit& commit) {
  if (!merged) return merged.error();
  if (!merged->cloned) return {};
  return Error{Code::kCorrupt, "cloned_node",
               fmt::format("version {} stands here with other content: two processes write as one node",
                           format_version(commit.version()))};
}

}  // namespace

Ledger::Ledger(store::Engine& engine, const Config& config, RequestApply apply_request)
    : engine_(engine),
      config_(config),
      apply_request_(std::move(apply_request)),
      clock_(Hlc{}, config.clock.max_drift),
      draft_(engine),
      conflicts_({config.conflicts.max_age, config.conflicts.max_bytes, config.conflicts.value_cap_bytes}),
      collector_(config.collector),
      digest_(config.digest_deltas),
      format_(config.formats.min) {}

Result<std::unique_ptr<Ledger>> Ledger::load(store::Engine& engine, const Config& config,
                                             RequestApply apply_request) {
  std::unique_ptr<Ledger> ledger(new Ledger(engine, config, std::move(apply_request)));
  if (auto loaded = ledger->reload(); !loaded) return loaded.error();
  return ledger;
}

Result<void> Ledger::reload() {
  draft_.clear();
  auto identity = store::Meta::identity(engine_);
  if (!identity) return identity.error();
  REFRAIN_ASSERT(identity->has_value(), "a ledger is loaded from a store with an identity");
  identity_ = **identity;
  auto hlc = store::Meta::hlc(engine_);
  if (!hlc) return hlc.error();
  auto applied = store::Meta::applied(engine_);
  if (!applied) return applied.error();
  auto ticks = store::Meta::ticks(engine_);
  if (!ticks) return ticks.error();
  auto published = store::Meta::published(engine_);
  if (!published) return published.error();
  auto synced = store::Meta::synced(engine_);
  if (!synced) return synced.error();
  auto floor = store::Meta::floor(engine_);
  if (!floor) return floor.error();
  auto unproven = store::Meta::unproven(engine_);
  if (!unproven) return unproven.error();
  if (auto loaded = conflicts_.load(engine_); !loaded) return loaded;
  if (auto loaded = outbox_.load(engine_); !loaded) return loaded;
  if (auto loaded = digest_.load(engine_); !loaded) return loaded;
  Seq newest = applied->contains(journal()) ? applied->at(journal()).seq : Seq{};
  ++revision_;
  newest_write_ = newest;
  synced_applied_.clear();
  synced_since_load_ = false;
  books_ = {newest, std::move(*applied), std::move(*ticks), *published, *synced, *floor, *unproven, false};
  // Left behind by a program that knew nothing of it: nothing is published before it is gone.
  if (books_.unproven && books_.published > books_.unproven->seq) books_.unproven.reset();
  bool from_a_snapshot = newest.value == 0 && REFRAIN_PLANTED(joiner_clock_below_floors);
  if (!REFRAIN_PLANTED(clock_from_wall) && !from_a_snapshot) clock_.observe(*hlc);
  stored_hlc_ = *hlc;
  written_books_ = books_;
  written_identity_ = identity_;
  written_conflicts_ = conflicts_.stats();
  written_outbox_ = outbox_.stats();
  collector_.start_over();
  ++loads_;
  return {};
}

store::Applied Ledger::newest_own() const {
  auto own = books_.applied.find(journal());
  return {books_.newest, own == books_.applied.end() ? Hlc{} : own->second.hlc};
}

void Ledger::start(WallMs wall) {
  REFRAIN_ASSERT(draft_.empty() && new_commits_.empty(),
                 "the batch before was written and its commits taken");
  draft_.clear();  // what it had read
  wall_ = wall;
}

Result<CommitId> Ledger::append(Hlc hlc, std::vector<store::Operation> operations, bool wants_tick) {
  auto id = append_commit({.node = identity_.node,
                           .incarnation = identity_.incarnation,
                           .seq = books_.newest.next(),
                           .hlc = hlc,
                           .floor = books_.floor,
                           .wants_tick = wants_tick,
                           .operations = std::move(operations),
                           .tick = std::nullopt});
  if (id) newest_write_ = id->seq;
  return id;
}

Result<CommitId> Ledger::append_tick(Hlc hlc, store::Tick tick) {
  return append_commit({.node = identity_.node,
                        .incarnation = identity_.incarnation,
                        .seq = books_.newest.next(),
                        .hlc = hlc,
                        .floor = books_.floor,
                        .wants_tick = false,
                        .operations = {},
                        .tick = std::move(tick)});
}

Result<CommitId> Ledger::append_commit(store::Commit commit) {
  REFRAIN_ASSERT(commit.hlc > books_.floor, "a new commit is above the floor");
  for (store::Operation& operation : commit.operations) {  // its floor says that these were seen
    if (auto* put = std::get_if<store::Put>(&operation)) store::forget_up_to(commit.floor, put->ctx);
    if (auto* del = std::get_if<store::Delete>(&operation)) store::forget_up_to(commit.floor, del->ctx);
  }
  std::string bytes = replication::encode(commit, identity_.cluster, format_);
  if (format_ > 1) REFRAIN_BRANCH(commit_of_a_newer_format);
  if (bytes.size() > config_.limits.commit_bytes) {
    return Error{Code::kInvalid, "commit_too_large",
                 fmt::format("The commit has {} bytes, the limit is {} (limits.commit). Split it.",
                             bytes.size(), config_.limits.commit_bytes)};
  }
  store::Applied before = newest_own();
  if (auto done = perform(commit); !done) {
    break_batch(done.error());
    return done.error();
  }
  if (!books_.proven && !books_.unproven) store::Meta::set_unproven(draft_, *(books_.unproven = before));
  books_.newest = commit.seq;
  ++revision_;
  outbox_.append(draft_, commit.seq, bytes);
  new_commits_.push_back({commit.seq, std::move(bytes)});
  if (!(commit.tick && REFRAIN_PLANTED(tick_published_unsynced))) sync_ = true;
  return commit.id();
}

Result<void> Ledger::apply(const store::Commit& commit) {
  clock_.observe(commit.hlc);
  auto done = perform(commit);
  if (!done) break_batch(done.error());
  return done;
}

Result<void> Ledger::perform(const store::Commit& commit) {
  ++commits_in_batch_;
  ++revision_;
  WallMs now = this->now();
  for (const store::Operation& operation : commit.operations) {
    Result<void> done;
    if (const auto* put = std::get_if<store::Put>(&operation)) {
      done = kept(store::merge(draft_, *put, commit, conflicts_, now, books_.floor), commit);
      if (auto from = store::collectable_from(commit.hlc, false, put->expires_at)) collector_.expect(*from);
    } else if (const auto* del = std::get_if<store::Delete>(&operation)) {
      done = kept(store::merge(draft_, *del, commit, conflicts_, now, books_.floor), commit);
      collector_.expect(commit.hlc);
    } else if (!std::holds_alternative<store::VoidNotice>(operation)) {
      done = apply_request_(draft_, operation, commit, now);
    }
    if (!done) return done;
    if (commit.node != identity_.node && REFRAIN_PLANTED(half_commit)) break;
  }
  if (commit.tick) {
    store::StoredTick& stored = books_.ticks[commit.journal()];
    stored = {commit.seq, commit.hlc, *commit.tick};
    store::Meta::set_tick(draft_, commit.journal(), stored);
  }
  books_.applied[commit.journal()] = {commit.seq, commit.hlc};
  moved_.insert(commit.journal());
  return {};
}

void Ledger::engine_failed(Error error) {
  must_reload_ = true;
  break_batch(std::move(error));
}

void Ledger::break_batch(Error error) {
  if (!broken_) broken_ = std::move(error);
}

Result<void> Ledger::write() {
  if (must_reload_ && !broken_)
    broken_ = unavailable("store_failed", "The store failed and is being opened again. Retry.");
  if (!broken_) {
    if (auto counted = digest_.count(draft_); !counted) broken_ = counted.error();
  }
  if (broken_) {
    Error error = std::move(*broken_);
    forget_batch();
    return error;
  }
  // Once a batch, however many commits it has of a journal.
  for (const Journal& journal : moved_) store::Meta::set_applied(draft_, journal, books_.applied.at(journal));
  moved_.clear();
  if (draft_.empty()) {
    sync_ = false;
    return {};
  }
  if (clock_.last() != stored_hlc_) store::Meta::set_hlc(draft_, clock_.last());
  if (outbox_.stats() != written_outbox_) outbox_.put_counts(draft_);
  bool skipped =
      REFRAIN_PLANTED(ack_before_sync) || (commits_in_batch_ > 1 && REFRAIN_PLANTED(group_ack_before_sync));
  if (commits_in_batch_ > 1) REFRAIN_BRANCH(several_commits_in_a_batch);
  auto durability = sync_ && !skipped ? store::Durability::kSynced : store::Durability::kBuffered;
  auto written = engine_.write(draft_.take(), durability);
  if (!written) {
    must_reload_ = written.error().code == Code::kUnknown;
    if (must_reload_) REFRAIN_BRANCH(write_of_unknown_fate);
    if (!must_reload_) REFRAIN_BRANCH(write_refused);
    forget_batch();
    return written;
  }
  if (sync_) {
    synced_applied_ = books_.applied;
    synced_since_load_ = true;
    ++revision_;
  }
  digest_.written();
  stored_hlc_ = clock_.last();
  ++batch_counts_.batches;
  batch_counts_.commits += std::exchange(commits_in_batch_, 0);
  sync_ = false;
  written_books_ = books_;
  written_identity_ = identity_;
  written_conflicts_ = conflicts_.stats();
  written_outbox_ = outbox_.stats();
  collector_.written();
  return {};
}

void Ledger::forget_batch() {
  collector_.not_written();
  commits_in_batch_ = 0;
  digest_.not_written();
  draft_.clear();
  moved_.clear();
  new_commits_.clear();
  broken_.reset();
  sync_ = false;
  Seq synced = books_.synced;  // it was so, and may have been told, whether or not it is written
  if (!REFRAIN_PLANTED(books_not_restored)) books_ = written_books_;
  books_.synced = std::max(books_.synced, synced);
  ++revision_;
  identity_ = written_identity_;
  conflicts_.restore(written_conflicts_);
  outbox_.restore(written_outbox_);
}

void Ledger::raise_floor(Hlc stable) {
  if (stable <= books_.floor) return;
  books_.floor = stable;
  ++revision_;
  if (!REFRAIN_PLANTED(floor_not_stored)) store::Meta::set_floor(draft_, stable);
}

Result<void> Ledger::collect(SteadyNs now) {
  Hlc floor = books_.floor;
  if (REFRAIN_PLANTED(tombstone_dropped_by_time))
    floor = std::max(floor, Hlc::of(this->now() - Milliseconds{1'500}));
  if (REFRAIN_PLANTED(collected_above_floor)) floor = clock_.last();
  return collector_.step(draft_, conflicts_, floor, now);
}

void Ledger::set_published(Seq seq) {
  if (seq == books_.published) return;
  books_.published = seq;
  store::Meta::set_published(draft_, seq);
}

void Ledger::prove() {
  books_.proven = true;
  if (!books_.unproven) return;
  store::Meta::remove_unproven(draft_);
  books_.unproven.reset();
  sync_ = true;
}

void Ledger::set_synced(Seq seq) {
  books_.synced = std::max(books_.synced, seq);
  if (books_.synced > written_books_.synced) store::Meta::set_synced(draft_, books_.synced);
}

Result<void> Ledger::forget_outbox_up_to(Seq seq) {
  auto done = outbox_.drop_up_to(draft_, seq, kForgetPerStep);
  if (!done) break_batch(done.error());
  return done;
}

Result<bool> Ledger::move_aside(Seq from) {
  auto worth = [this](std::string_view bytes) {
    auto commit = replication::decode(bytes, identity_.node, config_.formats.max);
    return !commit || !commit->commit.tick;  // also what cannot be read
  };
  auto more = outbox_.move_aside(draft_, identity_.incarnation, from, kForgetPerStep, worth);
  if (!more) break_batch(more.error());
  return more;
}

Result<void> Ledger::expire_conflicts() {
  // More than this batch has brought: so the list stays within its bounds whatever comes.
  std::uint64_t brought =
      conflicts_.stats().kept - std::min(conflicts_.stats().kept, written_conflicts_.kept);
  auto done = conflicts_.expire(draft_, now(), kConflictsPerStep + brought);
  if (!done) break_batch(done.error());
  return done;
}

void Ledger::set_identity(const store::Identity& identity) {
  identity_ = identity;
  store::Meta::set_identity(draft_, identity);
  sync_ = true;
}

}  // namespace refrain::node
