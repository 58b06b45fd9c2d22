// SPDX-License-Identifier: Apache-2.0
#include "node/journals.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/planted.h"
#include "store/meta.h"
#include "store/outbox.h"

namespace refrain::node {
namespace {

constexpr std::size_t kRecordsPerStep = 2'000;
constexpr std::size_t kBytesPerStep = 4 << 20;
constexpr Milliseconds kTopicRetry{1'000};
constexpr Milliseconds kMoveOwnCursor{1'000};
constexpr const char* kReadAgain = "read again from the log's start; what is applied is passed over";

replication::PublisherSettings publisher_settings(const Config& config, std::string topic) {
  replication::PublisherSettings settings;
  settings.topic = std::move(topic);
  settings.window = config.publish.window;
  settings.attempt_timeout = config.publish.attempt_timeout;
  settings.retry = {config.publish.retry.initial, config.publish.retry.max};
  settings.breaker = {config.publish.breaker.failures, config.publish.breaker.open_for};
  return settings;
}

replication::ReadOutbox outbox_of(const store::Engine& engine) {
  return [&engine](Seq from, std::size_t most,
                   std::size_t most_bytes) -> Result<std::vector<replication::OutboxRow>> {
    auto rows = store::Outbox::read(engine, from, most, most_bytes);
    if (!rows) return rows.error();
    std::vector<replication::OutboxRow> out;
    out.reserve(rows->size());
    for (store::OutboxRow& row : *rows) out.push_back({row.seq, std::move(row.bytes)});
    return out;
  };
}

}  // namespace

Journals::Journals(const Config& config, const World& world, Ledger& ledger,
                   std::map<NodeName, store::ReadCursor> cursors)
    : config_(config),
      world_(world),
      ledger_(ledger),
      publisher_(*world.log, publisher_settings(config, topic_of(ledger.identity().node)), *world.random,
                 outbox_of(ledger.engine())),
      cursors_(std::move(cursors)),
      at_start_(ledger.books().unproven.value_or(ledger.newest_own())),
      others_may_have_(at_start_.seq) {
  publisher_.start(ledger.books().published, ledger.books().newest);
}

std::string Journals::topic_of(const NodeName& node) const {
  return fmt::format("refrain.{}.journal.{}", config_.cluster, node);
}

// ---- reading

void Journals::read(const Moment& now, const JournalRules& rules) {
  has_more_ = false;
  moved_.clear();
  may_publish_ = rules.may_publish;
  if (rules.may_apply) read_others(now, rules);
  read_own(now, rules);
  if (own_end_seen_ && !rolled_back_) ledger_.prove();
  ledger_.set_published(publisher_.published());
  move_own_cursor(now);
}

/// To the record of the newest published commit, so that the next start need not read all since this one.
void Journals::move_own_cursor(const Moment& now) {
  if (!own_end_seen_ || (own_cursor_moved_at_ && now.steady - *own_cursor_moved_at_ < kMoveOwnCursor)) return;
  auto at = publisher_.published_at();
  if (!at || own_checked_in_.empty()) return;
  own_cursor_moved_at_ = now.steady;
  const NodeName& own = ledger_.identity().node;
  store::ReadCursor cursor{*at, own_checked_in_};
  if (auto known = stored_cursor(own); known && *known == cursor) return;
  store::Meta::set_cursor(ledger_.draft(), own, cursor);
  moved_[own] = cursor;
}

replication::PollFacts Journals::facts(const Moment& now, const JournalRules& rules) const {
  replication::PollFacts facts;
  facts.now = now.steady;
  facts.here = {ledger_.identity().cluster, now.wall, config_.clock.max_drift, ledger_.books().floor};
  facts.incarnation = rules.incarnation;
  facts.reads_format = config_.formats.max;
  return facts;
}

void Journals::read_others(const Moment& now, const JournalRules& rules) {
  std::erase_if(readers_, [&](const auto& entry) { return !rules.journals.contains(entry.first); });
  for (const NodeName& node : rules.journals) {
    auto& reader = readers_[node];
    if (!reader) {
      reader = std::make_unique<replication::JournalReader>(*world_.log, topic_of(node), node,
                                                            stored_cursor(node));
      opened_[node] = {now.steady, !stored_cursor(node)};
    }
    auto events = reader->poll(kRecordsPerStep, kBytesPerStep, facts(now, rules));
    if (reader->stopped_at_limit()) has_more_ = true;
    if (reader->topic_missing() && rules.orphans.contains(node)) make_orphans_topic(node, now);
    for (replication::JournalEvent& event : events) {
      if (!take(now, node, event)) return;
    }
  }
}

/// False when the batch is broken: nothing more is worth doing in it.
bool Journals::take(const Moment& now, const NodeName& node, replication::JournalEvent& event) {
  if (auto* next = std::get_if<replication::ApplyEvent>(&event)) {
    auto applied = apply(now, next->commit);
    // Rows that cannot be read, or a version with two contents: this journal stands still, the others go on.
    if (!applied && applied.error().code == Code::kCorrupt)
      readers_.at(node)->refuse(next->offset, applied.error());
    return applied.has_value();
  }
  if (auto* tick = std::get_if<replication::GapTickEvent>(&event)) {
    lowest_kept_[tick->journal] = tick->lowest_kept;
    heed_gaps(now, node, tick->gaps);
  } else if (std::holds_alternative<replication::ReadMembersEvent>(event)) {
    read_members_first_ = true;
  } else if (auto* rewound = std::get_if<replication::RewoundEvent>(&event)) {
    REFRAIN_BRANCH(cursor_lost);
    healed_.push_back({now.wall, "journal " + node, rewound->reason, kReadAgain});
  } else if (auto* position = std::get_if<replication::PositionEvent>(&event)) {
    if (REFRAIN_PLANTED(cursor_before_data)) {
      store::Draft apart(ledger_.engine());
      store::Meta::set_cursor(apart, node, position->cursor);
      (void)ledger_.engine().write(apart.take(), store::Durability::kSynced);
    }
    store::Meta::set_cursor(ledger_.draft(), node, position->cursor);
    moved_[node] = position->cursor;
  }
  return true;
}

Result<void> Journals::apply(const Moment& now, store::Commit& commit) {
  if (auto applied = ledger_.apply(commit); !applied) return applied;
  if (commit.wants_tick) tick_wanted_ = true;
  if (!commit.tick) return {};
  heard_[commit.journal()] = now.steady;
  clock_offset_ms_[commit.journal()] = (commit.hlc.wall() - now.wall).count();
  lowest_kept_.erase(commit.journal());
  heed_gaps(now, commit.node, commit.tick->gaps);
  auto ours = commit.tick->applied.find(ledger_.journal());
  if (ours != commit.tick->applied.end() && is_not_ours(commit.journal(), ours->second))
    found_rolled_back(ours->second.seq);
  return {};
}

/// An own commit that a peer has. Of those that have left the outbox all have the same.
bool Journals::is_not_ours(const Journal& by, const store::Applied& shown) {
  if (shown.seq > others_may_have_) return true;
  if (shown.seq <= std::exchange(compared_[by], std::max(compared_[by], shown.seq))) return false;
  auto bytes = store::Outbox::get(ledger_.engine(), shown.seq);
  if (!bytes || !*bytes) return false;
  auto commit = replication::decode(**bytes, ledger_.identity().node, config_.formats.max);
  return commit && commit->commit.hlc != shown.hlc;
}

void Journals::found_rolled_back(Seq newest) {
  rolled_back_ = true;
  own_found_.differs = true;
  own_found_.newest = std::max(own_found_.newest, newest);
  own_journal_ = own_found_;
}

void Journals::heed_gaps(const Moment& now, const NodeName& by, const std::map<Journal, Seq>& gaps) {
  auto ours = gaps.find(ledger_.journal());
  // Below what is kept nothing of ours can fill it.
  auto lowest = ledger_.outbox().stats().lowest;
  if (ours == gaps.end() || !lowest || ours->second < *lowest) return;
  REFRAIN_BRANCH(gap_flagged_by_a_peer);
  if (!publisher_.republish_from(ours->second)) return;
  healed_.push_back(
      {now.wall, "own journal",
       fmt::format("{} lacks commits from {} on, and Kafka does not have them", by, ours->second.value),
       fmt::format("published again, up to {}", ledger_.books().newest.value)});
}

/// Once what was read is written.
void Journals::note_filled_gaps(const Moment& now) {
  for (const auto& [journal, first] : gaps()) open_gaps_.try_emplace(journal, first);
  std::erase_if(open_gaps_, [&](const auto& gap) {
    const auto& [journal, first] = gap;
    auto reader = readers_.find(journal.node);
    if (reader == readers_.end()) return true;
    auto applied = ledger_.books().applied.find(journal);
    bool filled = applied != ledger_.books().applied.end() && applied->second.seq >= first;
    if (!filled || !reader->second->whole()) return false;
    healed_.push_back(
        {now.wall, "journal " + journal.node,
         fmt::format("commits from {} on were missing in the log", first.value),
         fmt::format("{} published them again; applied up to {}", journal.node, applied->second.seq.value)});
    return true;
  });
}

/// Our own topic: made when it is missing, and read to its end before anything is published. Then it is left
/// alone, until sending fails (it may be gone: made again) or Kafka is another one (read again: it may hold
/// another cluster's records).
void Journals::read_own(const Moment& now, const JournalRules& rules) {
  if (!rules.read_own) return;
  std::string kafka = world_.log->health().kafka_cluster_id;
  if (own_end_seen_ && !kafka.empty() && kafka != own_checked_in_) {
    REFRAIN_BRANCH(kafka_became_another);
    healed_.push_back(
        {now.wall, "own journal",
         fmt::format("Kafka is another cluster ({}) than before ({})", kafka, own_checked_in_),
         "its topic is made if it is not there, and read to its end before anything is published; what a "
         "member lacks is published again"});
    own_end_seen_ = false;
    own_topic_ready_ = false;
    // What this process has made since its start may be there, too; a directory cannot fall back under it.
    at_start_ = ledger_.newest_own();
    others_may_have_ = at_start_.seq;
  }
  make_own_topic(now);
  if (!own_topic_ready_ || own_end_seen_) return;
  const NodeName& own = ledger_.identity().node;
  if (!own_reader_)
    own_reader_ =
        std::make_unique<replication::JournalReader>(*world_.log, topic_of(own), own, stored_cursor(own));
  auto events = own_reader_->poll(kRecordsPerStep, kBytesPerStep, own_facts(now, rules));
  if (own_reader_->stopped_at_limit()) has_more_ = true;
  for (replication::JournalEvent& event : events) take_own(now, event);
  if (own_reader_->topic_missing()) {
    REFRAIN_BRANCH(own_topic_missing);
    own_topic_ready_ = false;  // to be made again
  }
  if (own_reader_->has_been_at_end() && !own_reader_->parked()) {
    own_end_seen_ = true;
    own_checked_in_ = kafka;
    own_journal_ = own_found_;
    own_reader_.reset();
  }
}

void Journals::make_own_topic(const Moment& now) {
  bool wanted = !own_topic_ready_ || publisher_.report(now.steady).trouble.has_value();
  if (own_topic_) {
    auto made = own_topic_->take();
    if (!made) return;
    own_topic_ready_ = own_topic_ready_ || made->has_value();
    own_topic_trouble_ = made->has_value() ? "" : made->error().detail;
    own_topic_.reset();
    own_topic_retry_at_ = now.steady + kTopicRetry;
  } else if (!wanted) {
    own_topic_trouble_.clear();  // it was to be made only because sending failed, and that goes again
  } else if (!own_topic_retry_at_ || now.steady >= *own_topic_retry_at_) {
    own_topic_ = world_.log->ensure_topic(spec_of(ledger_.identity().node));
  }
}

replication::TopicSpec Journals::spec_of(const NodeName& node) const {
  return {topic_of(node), config_.kafka.retention, config_.kafka.replication_factor,
          config_.kafka.min_insync_replicas};
}

/// That a topic is not there one may see too early, or of another broker; that it is new and empty, not.
void Journals::make_orphans_topic(const NodeName& node, const Moment& now) {
  Making& making = making_[node];
  if (making.answer) {
    if (!making.answer->take()) return;
    making.answer.reset();
    making.not_before = now.steady + kTopicRetry;
  } else if (now.steady >= making.not_before) {
    REFRAIN_BRANCH(topic_of_an_orphan_made);
    making.answer = world_.log->ensure_topic(spec_of(node));
  }
}

replication::PollFacts Journals::own_facts(const Moment& now, const JournalRules& rules) const {
  replication::PollFacts poll_facts = facts(now, rules);
  auto crc = [this](Seq seq) -> std::optional<std::uint32_t> {
    auto bytes = store::Outbox::get(ledger_.engine(), seq);
    if (!bytes || !*bytes) return std::nullopt;
    return replication::crc_of(**bytes);
  };
  poll_facts.own = replication::OwnFacts{ledger_.identity().incarnation, at_start_.seq,
                                         ledger_.books().newest, publisher_.published(), crc};
  return poll_facts;
}

void Journals::take_own(const Moment& now, const replication::JournalEvent& event) {
  const NodeName& own = ledger_.identity().node;
  if (const auto* found = std::get_if<replication::FoundOwnEvent>(&event)) {
    publisher_.found_in_topic(found->up_to);
    own_found_.newest = std::max(own_found_.newest, found->up_to);
  } else if (const auto* ahead = std::get_if<replication::RolledBackEvent>(&event)) {
    found_rolled_back(ahead->seq);
  } else if (std::holds_alternative<replication::ReadMembersEvent>(event)) {
    read_members_first_ = true;
  } else if (const auto* rewound = std::get_if<replication::RewoundEvent>(&event)) {
    healed_.push_back({now.wall, "own journal", rewound->reason, kReadAgain});
    own_topic_ready_ = false;  // it may be gone
  } else if (const auto* position = std::get_if<replication::PositionEvent>(&event)) {
    store::Meta::set_cursor(ledger_.draft(), own, position->cursor);
    moved_[own] = position->cursor;
  }
}

std::optional<store::ReadCursor> Journals::stored_cursor(const NodeName& node) const {
  auto stored = cursors_.find(node);
  return stored == cursors_.end() ? std::nullopt : std::optional(stored->second);
}

// ---- after the batch

void Journals::written(const Moment& now, std::vector<NewCommit> commits) {
  for (auto& [node, cursor] : moved_) cursors_[node] = cursor;
  moved_.clear();
  note_filled_gaps(now);
  for (NewCommit& commit : commits) publisher_.offer(commit.seq, std::move(commit.bytes));
  // What the store held when it was opened may be from a write whose sync failed: the first tick syncs it.
  bool allowed =
      may_publish_ && own_end_seen_ && !rolled_back_ && ledger_.books().proven && ledger_.synced_since_load();
  if (allowed) others_may_have_ = ledger_.books().newest;
  publisher_.set_allowed(allowed);
  publisher_.step(now.steady);
  wakes_at_ = publisher_.wakes_at(now.steady);
}

void Journals::not_written() {
  moved_.clear();
  for (auto& [node, reader] : readers_) reader->rewind(stored_cursor(node));
  if (own_reader_) own_reader_->rewind(stored_cursor(ledger_.identity().node));
}

void Journals::start_over(std::map<NodeName, store::ReadCursor> cursors) {
  cursors_ = std::move(cursors);
  readers_.clear();
  moved_.clear();
  heard_.clear();
  clock_offset_ms_.clear();
  lowest_kept_.clear();
  open_gaps_.clear();
  opened_.clear();
  own_reader_.reset();
  own_end_seen_ = false;
  rolled_back_ = false;
  compared_.clear();
  own_journal_.reset();
  own_found_ = {};
  at_start_ = ledger_.newest_own();
  others_may_have_ = at_start_.seq;
  publisher_.start_over(ledger_.books().published, ledger_.books().newest);
}

void Journals::read_again(const NodeName& node, bool from_start, const Moment& now) {
  auto found = readers_.find(node);
  if (found == readers_.end()) return;
  found->second->rewind(from_start ? std::nullopt : stored_cursor(node));
  opened_[node] = {now.steady, from_start || !stored_cursor(node)};
}

std::map<NodeName, replication::JournalPass> Journals::passes() const {
  std::map<NodeName, replication::JournalPass> passes;
  for (const auto& [node, reader] : readers_) {
    const Opened& opened = opened_.at(node);
    passes[node] = {opened.at, opened.from_start, reader->has_been_at_end(), reader->parked().has_value()};
  }
  return passes;
}

// ---- state

Result<void> Journals::resume(const NodeName& node, std::optional<Offset> skip) {
  if (own_reader_ && node == ledger_.identity().node) return own_reader_->resume(skip);
  auto found = readers_.find(node);
  if (found == readers_.end())
    return not_found(fmt::format("This node reads no journal of '{}'. See `refrain sync`.", node));
  return found->second->resume(skip);
}

const replication::JournalReader* Journals::reader(const NodeName& node) const {
  if (node == ledger_.identity().node) return own_reader_.get();
  auto found = readers_.find(node);
  return found == readers_.end() ? nullptr : found->second.get();
}

std::map<Journal, Seq> Journals::gaps() const {
  std::map<Journal, Seq> gaps;
  for (const auto& [node, reader] : readers_) gaps.insert(reader->gaps().begin(), reader->gaps().end());
  return gaps;
}

std::map<Journal, Seq> Journals::readable() const {
  std::map<Journal, Seq> readable;
  for (const auto& [node, reader] : readers_)
    readable.insert(reader->readable().begin(), reader->readable().end());
  return readable;
}

std::optional<SteadyNs> Journals::heard_at(const Journal& journal) const {
  auto found = heard_.find(journal);
  return found == heard_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<std::int64_t> Journals::clock_offset_ms(const Journal& journal) const {
  auto found = clock_offset_ms_.find(journal);
  return found == clock_offset_ms_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<Seq> Journals::lowest_kept(const Journal& journal) const {
  auto found = lowest_kept_.find(journal);
  return found == lowest_kept_.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace refrain::node
