// SPDX-License-Identifier: Apache-2.0
#include "replication/journal_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/coding.h"
#include "base/hash.h"
#include "base/planted.h"
#include "base/text.h"

namespace refrain::replication {

namespace {

constexpr std::size_t kFetched = 64;         // records read ahead of what is decided
constexpr Milliseconds kReopenPause{250};    // while the topic is not there
constexpr std::size_t kChecksumEnd = 1 + 4;  // format, crc32c

}  // namespace

std::uint32_t crc_of(std::string_view record_bytes) {
  if (record_bytes.size() < kChecksumEnd) return crc32c(record_bytes);
  return refrain::Reader(record_bytes.substr(1, 4)).u32();
}

void JournalReader::AppliedCrcs::add(Seq seq, std::uint32_t crc) {
  if (entries_.empty()) entries_.resize(kKept);
  entries_[seq.value % kKept] = {seq, crc};
}

std::optional<std::uint32_t> JournalReader::AppliedCrcs::find(Seq seq) const {
  if (entries_.empty() || entries_[seq.value % kKept].seq != seq) return std::nullopt;
  return entries_[seq.value % kKept].crc;
}

JournalReader::JournalReader(Log& log, std::string topic, NodeName node, std::optional<StoredCursor> cursor)
    : log_(log), topic_(std::move(topic)), node_(std::move(node)) {
  rewind(std::move(cursor));
}

void JournalReader::rewind(std::optional<StoredCursor> cursor) {
  parked_.reset();
  waits_for_.reset();
  skip_.reset();
  gaps_.clear();
  behind_gap_.clear();
  own_found_.reset();
  rolled_back_ = resumed_ = at_end_ = has_been_at_end_ = false;
  reopen_at_.reset();
  position_ = cursor;
  kafka_cluster_id_ = cursor ? cursor->kafka_cluster_id : "";
  open(cursor ? std::optional(cursor->next) : std::nullopt);
}

Result<void> JournalReader::resume(std::optional<Offset> skip) {
  if (!parked_) return not_found(fmt::format("The journal of {} is not parked. Nothing was changed.", node_));
  if (skip && *skip != parked_->offset) {
    return invalid("invalid",
                   fmt::format("The journal of {} is parked at offset {}, not at {}. Nothing was skipped.",
                               node_, parked_->offset.value, skip->value));
  }
  skip_ = skip;
  resumed_ = true;
  refused_.reset();
  waits_for_.reset();
  open(parked_->offset);
  return {};
}

void JournalReader::refuse(Offset offset, const Error& why) {
  auto reason = why.slug == "cloned_node" ? ParkReason::kClonedNode : ParkReason::kCorrupt;
  refused_ = Refused{offset, reason, why.detail};
}

std::vector<JournalEvent> JournalReader::poll(std::size_t max_records, std::size_t max_bytes,
                                              const PollFacts& facts) {
  begin_poll(facts);
  std::size_t looked = 0;
  for (; looked < max_records && given_bytes_ < max_bytes && !must_wait(facts); ++looked) {
    if (fetched_at_ == fetched_.size() && !fetch(max_records - looked, facts)) break;
    // By value: losing the cursor forgets what was fetched.
    ReadEvent event = std::move(fetched_[fetched_at_++]);
    if (take(event, facts) == Next::kGoOn) continue;
    fetched_[--fetched_at_] = std::move(event);
    break;
  }
  stopped_at_limit_ = looked == max_records || given_bytes_ >= max_bytes;
  return end_poll(facts);
}

void JournalReader::begin_poll(const PollFacts& facts) {
  events_.clear();
  incarnations_.clear();
  given_bytes_ = 0;
  was_at_end_ = has_been_at_end_;
  if (facts.own && facts.own->published == Seq{} && !own_found_) own_found_ = Seq{};
  if (resumed_) unpark();
  check_kafka_cluster(facts);
  forget_closed_gaps(facts);
}

std::vector<JournalEvent> JournalReader::end_poll(const PollFacts& facts) {
  bool end_met = has_been_at_end_ && !was_at_end_;
  if (facts.own && end_met && own_found_ && *own_found_ > facts.own->published)
    events_.emplace_back(FoundOwnEvent{*own_found_});
  std::optional<StoredCursor> now;
  if (next_) now = StoredCursor{*next_, kafka_cluster_id_};
  for (const auto& [journal, behind] : behind_gap_) {
    if (now) now->next = std::min(now->next, behind.first);
  }
  if (now && now != position_) {
    position_ = now;
    events_.emplace_back(PositionEvent{*now});
  }
  return std::exchange(events_, {});
}

void JournalReader::check_kafka_cluster(const PollFacts& facts) {
  LogHealth health = log_.health();
  if (health.reachable) unreachable_.reset();
  if (health.kafka_cluster_id.empty() || health.kafka_cluster_id == kafka_cluster_id_) return;
  bool moved = !kafka_cluster_id_.empty() && next_;
  if (moved) lose_cursor("another Kafka cluster: " + health.kafka_cluster_id, facts);
  kafka_cluster_id_ = health.kafka_cluster_id;
}

bool JournalReader::must_wait(const PollFacts& facts) const {
  if (waits_for_) return waits_for_->wall() - facts.here.wall > facts.here.max_drift;
  return parked_.has_value();
}

bool JournalReader::fetch(std::size_t max, const PollFacts& facts) {
  if (!reader_) {
    if (reopen_at_ && facts.now < *reopen_at_) return false;
    open(std::nullopt);
  }
  forget_fetched();
  reader_->poll(std::min(max, kFetched), fetched_);
  return !fetched_.empty();
}

void JournalReader::open(std::optional<Offset> from) {
  reader_.reset();  // first, so that never two fetch
  reader_ = log_.open_reader(topic_, from);
  forget_fetched();
  readable_.clear();
  was_there_ = false;
  next_ = from;
}

void JournalReader::forget_fetched() {
  fetched_.clear();
  fetched_at_ = 0;
}

void JournalReader::lose_cursor(const std::string& reason, const PollFacts& facts) {
  // A topic that never was there is no news.
  if (next_ || was_there_) {
    ++counts_.rewound;
    events_.emplace_back(RewoundEvent{reason});
  } else {
    reopen_at_ = facts.now + kReopenPause;
  }
  topic_missing_ = true;
  if (parked_) REFRAIN_BRANCH(unparked);
  if (parked_) unpark();
  skip_.reset();
  behind_gap_.clear();  // offsets of what is no more
  refused_.reset();
  reader_.reset();
  forget_fetched();
  next_.reset();
  own_found_.reset();
  was_there_ = false;
  at_end_ = false;
}

JournalReader::Next JournalReader::take(const ReadEvent& event, const PollFacts& facts) {
  if (const auto* lost = std::get_if<CursorLost>(&event)) {
    lose_cursor(lost->reason, facts);
    return Next::kGoOn;
  }
  if (const auto* away = std::get_if<Unreachable>(&event)) {
    unreachable_ = away->reason;
    return Next::kGoOn;
  }
  was_there_ = true;
  topic_missing_ = false;
  unreachable_.reset();
  if (const auto* end = std::get_if<AtEnd>(&event)) {
    next_ = end->next;
    at_end_ = has_been_at_end_ = true;
    return Next::kGoOn;
  }
  const Record& record = std::get<Record>(event);
  at_end_ = false;
  next_ = record.offset;
  return take_record(record, facts);
}

JournalReader::Next JournalReader::take_record(const Record& record, const PollFacts& facts) {
  if (skip_ && std::exchange(skip_, std::nullopt) == record.offset) {
    REFRAIN_BRANCH(record_skipped_by_operator);
    ++counts_.skipped;
    return pass(record.offset);
  }
  auto decoded = decode(record.bytes, node_, facts.reads_format);
  if (!decoded) {
    bool newer = decoded.error().reason == Undecodable::Reason::kNewerFormat;
    auto reason = newer ? ParkReason::kNewerFormat : ParkReason::kCorrupt;
    return park({reason, std::nullopt, Seq{}, record.offset, facts.here.wall, decoded.error().detail, ""});
  }
  if (refused_ && refused_->offset == record.offset) {
    return park({refused_->reason, decoded->commit.journal(), decoded->commit.seq, record.offset,
                 facts.here.wall, refused_->detail, ""});
  }
  Decoded ours{std::move(decoded->commit), {}, record.offset, record.bytes.size()};
  ours.facts = {decoded->cluster, ours.commit.seq, ours.commit.hlc, crc_of(record.bytes)};
  bool own = facts.own && ours.commit.incarnation == facts.own->incarnation;
  return own ? take_own(ours, facts) : take_decoded(ours, facts);
}

JournalReader::Next JournalReader::take_own(const Decoded& record, const PollFacts& facts) {
  const OwnFacts& own = *facts.own;
  if (record.facts.cluster != facts.here.cluster)
    return park_record(ParkReason::kWrongCluster, record, facts);
  // Until the end was reached nothing was published since the start: what is newer than the directory was
  // then, a process before us wrote, and the directory has lost it.
  Seq known = has_been_at_end_ ? own.newest : own.newest_at_start;
  if (record.facts.seq > known) {
    if (!std::exchange(rolled_back_, true))
      events_.emplace_back(RolledBackEvent{record.facts.seq, record.facts.hlc});
    return pass(record.offset);
  }
  auto ours = own.crc ? own.crc(record.facts.seq) : std::nullopt;
  if (ours && *ours != record.facts.crc) return park_record(ParkReason::kClonedNode, record, facts);
  count_own(record.facts.seq, own.published);
  return pass(record.offset);
}

/// What stands behind the last record of the newest published commit, one by one, readers have too. Before
/// that record they may have had a gap. Once the end was met, acknowledgements say what is published.
void JournalReader::count_own(Seq seq, Seq published) {
  if (has_been_at_end_) return;
  bool next = own_found_ && seq == own_found_->next();
  if (next || seq == published) own_found_ = seq;
}

JournalReader::Next JournalReader::take_decoded(Decoded& record, const PollFacts& facts) {
  const store::Commit& commit = record.commit;
  IncarnationFacts& incarnation = facts_of(commit.journal(), facts);
  auto crcs = crcs_.find(commit.journal());
  auto applied_crc = crcs == crcs_.end() ? std::nullopt : crcs->second.find(commit.seq);
  Decision decision = decide(record.facts, incarnation, applied_crc, facts.here);
  if (decision.verdict == Verdict::kPark) return park_record(decision.reason, record, facts);
  if (parked_) unpark();
  switch (decision.verdict) {
    case Verdict::kReadMembersFirst:
      events_.emplace_back(ReadMembersEvent{commit.journal()});
      return Next::kStop;
    case Verdict::kApply:
      apply(record, incarnation);
      break;
    case Verdict::kGap:
      flag_gap(commit, incarnation.applied.seq, record.offset);
      break;
    case Verdict::kDuplicate:
      ++counts_.duplicates;
      break;
    case Verdict::kBeyondEnd:
      ++counts_.beyond_end;
      note_readable(commit.journal(), commit.seq, incarnation.applied.seq);
      break;
    case Verdict::kPark:
      break;
  }
  return pass(record.offset);
}

void JournalReader::apply(Decoded& record, IncarnationFacts& incarnation) {
  Journal journal = record.commit.journal();
  Hlc hlc = record.facts.hlc;
  incarnation.applied = {record.facts.seq, hlc};
  // Others of this topic that joined later must stay above it, also before the store shows it.
  for (auto& [other, known] : incarnations_) {
    if (known.joined_n >= incarnation.joined_n) known.newest_hlc = std::max(known.newest_hlc, hlc);
  }
  crcs_[journal].add(record.facts.seq, record.facts.crc);
  gaps_.erase(journal);
  if (auto behind = behind_gap_.find(journal);
      behind != behind_gap_.end() && record.facts.seq >= behind->second.highest)
    behind_gap_.erase(behind);
  ++counts_.applied;
  given_bytes_ += record.bytes;
  events_.emplace_back(ApplyEvent{std::move(record.commit), record.offset, record.bytes});
}

void JournalReader::note_readable(const Journal& journal, Seq seq, Seq applied) {
  Seq& readable = readable_[journal];
  readable = std::max(readable, applied);
  if (seq == readable.next()) readable = seq;
}

void JournalReader::flag_gap(const store::Commit& commit, Seq applied, Offset at) {
  ++counts_.behind_gap;
  gaps_[commit.journal()] = applied.next();
  BehindGap& behind = behind_gap_.try_emplace(commit.journal(), BehindGap{at, commit.seq}).first->second;
  behind.highest = std::max(behind.highest, commit.seq);
  if (!commit.tick) return;
  REFRAIN_BRANCH(tick_behind_a_gap);
  events_.emplace_back(
      GapTickEvent{commit.journal(), commit.seq, commit.tick->gaps, commit.tick->lowest_kept});
}

/// What is missing of a journal that is over ends where we may apply to.
void JournalReader::forget_closed_gaps(const PollFacts& facts) {
  auto closed = [&](const Journal& journal, Seq wanted) {
    const IncarnationFacts& known = facts_of(journal, facts);
    bool complete =
        known.state == IncarnationState::kOver && known.limit && known.applied.seq >= *known.limit;
    return complete || known.applied.seq >= wanted;
  };
  std::erase_if(gaps_, [&](const auto& gap) { return closed(gap.first, gap.second); });
  std::erase_if(behind_gap_, [&](const auto& gap) { return closed(gap.first, gap.second.highest); });
}

IncarnationFacts& JournalReader::facts_of(const Journal& journal, const PollFacts& facts) {
  auto [entry, fresh] = incarnations_.try_emplace(journal);
  if (!fresh) return entry->second;
  entry->second = facts.incarnation(journal);
  for (const auto& [other, known] : incarnations_) {
    if (known.joined_n <= entry->second.joined_n)
      entry->second.newest_hlc = std::max(entry->second.newest_hlc, known.applied.hlc);
  }
  return entry->second;
}

namespace {

std::string detail_of(ParkReason reason, const store::Commit& commit, const ReaderFacts& here) {
  std::string id = format_commit_id(commit.id());
  switch (reason) {
    case ParkReason::kClockSkew:
      return fmt::format("commit {} is stamped {} ms ahead of this node's clock; at most {} ms are accepted",
                         id, (commit.hlc.wall() - here.wall).count(), here.max_drift.count());
    case ParkReason::kWrongCluster:
      return fmt::format("record {} is of another cluster", id);
    case ParkReason::kClonedNode:
      return fmt::format("commit {} came again with other content: two processes write as one node", id);
    case ParkReason::kClockRegressed:
      return fmt::format("commit {} is stamped {}, not above what its node had written before", id,
                         format_time(commit.hlc.wall()));
    case ParkReason::kCorrupt:
    case ParkReason::kNewerFormat:
      break;
  }
  return id;
}

std::string help_of(ParkReason reason, const NodeName& node, Offset offset) {
  std::string resume = "refrain sync resume " + node;
  std::string skip = fmt::format("{} --skip {}", resume, offset.value);
  switch (reason) {
    case ParkReason::kClockSkew:
      return fmt::format("Set the clocks of {} and of this node right; reading goes on by itself then.",
                         node);
    case ParkReason::kCorrupt:
      return fmt::format("{}  (that record alone is passed; {} sends again what it held)", skip, node);
    case ParkReason::kNewerFormat:
      return fmt::format("Upgrade this node, then: {}", resume);
    case ParkReason::kWrongCluster:
      return fmt::format(
          "Is kafka.brokers right here? Once the stranger's topic is gone: {}  (or pass this record: {})",
          resume, skip);
    case ParkReason::kClonedNode:
      return fmt::format("Stop the copy of {}'s data directory that should not run, then: {}", node, skip);
    case ParkReason::kClockRegressed:
      return fmt::format("Find out what {} was restored from, then: {}", node, skip);
  }
  return resume;
}

}  // namespace

JournalReader::Next JournalReader::park_record(ParkReason reason, const Decoded& record,
                                               const PollFacts& facts) {
  if (reason == ParkReason::kClockSkew) waits_for_ = record.facts.hlc;
  return park({reason, record.commit.journal(), record.facts.seq, record.offset, facts.here.wall,
               detail_of(reason, record.commit, facts.here), ""});
}

JournalReader::Next JournalReader::park(Parked parked) {
  bool news = !parked_ || parked_->reason != parked.reason || parked_->offset != parked.offset;
  if (parked.reason != ParkReason::kClockSkew) waits_for_.reset();
  if (!news) return Next::kStop;
  parked.help = help_of(parked.reason, node_, parked.offset);
  parked_ = std::move(parked);
  events_.emplace_back(ParkedEvent{});
  return Next::kStop;
}

void JournalReader::unpark() {
  parked_.reset();
  waits_for_.reset();
  resumed_ = false;
  events_.emplace_back(UnparkedEvent{});
}

JournalReader::Next JournalReader::pass(Offset offset) {
  next_ = Offset{offset.value + 1};
  return Next::kGoOn;
}

}  // namespace refrain::replication
