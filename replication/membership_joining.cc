// SPDX-License-Identifier: Apache-2.0
// What this node wants to write into the members log, and what it waits for before it may.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/planted.h"
#include "replication/membership.h"

namespace refrain::replication {

namespace {

constexpr Milliseconds kSnapshotRetry{2'000};

Seq applied_seq(const store::AppliedTable& applied, const Journal& journal) {
  auto found = applied.find(journal);
  return found == applied.end() ? Seq{0} : found->second.seq;
}

}  // namespace

std::optional<MembersEntry> Membership::wanted(Mode mode, const Facts& facts, MembershipStep& out) {
  if (mode == Mode::kWaitingForFounder) return wants_found(facts);
  if (mode == Mode::kActive) return wanted_by_member(facts, out);
  if (mode == Mode::kRolledBack) return rejoining() ? wants_rejoin(facts) : std::nullopt;
  if (mode != Mode::kJoining) return std::nullopt;
  if (table_.find(identity_.self.incarnation) == nullptr) return wants_join(facts);
  return wants_active(facts, out);
}

MembersEntry Membership::draft(EntryKind kind) const {
  MembersEntry entry;
  entry.kind = kind;
  entry.node = identity_.self.node;
  entry.incarnation = identity_.self.incarnation;
  return entry;
}

// ---- found

std::optional<MembersEntry> Membership::wants_found(const Facts& facts) {
  // Whoever starts over is no founder, whatever it was started with.
  if (identity_.cluster && !identity_.born_alone) {
    REFRAIN_BRANCH(started_over_where_the_log_is_empty);
    detail_ = fmt::format(
        "the members log is empty, and this directory was a member's of cluster {:08x}: it waits until "
        "another node writes that log again; if none has it any more, restore a backup, or give this node an "
        "empty directory",
        identity_.cluster->value);
    return std::nullopt;
  }
  if (!config_.found) {
    detail_ = "no cluster of this name has been founded; one node must be started with --found";
    return std::nullopt;
  }
  if (!nothing_was_ever_written(facts)) {
    detail_ = not_empty_.empty()
                  ? "founding: looks whether topics of this cluster hold records"
                  : "cannot found: topic " + not_empty_ + " holds records, so the cluster is not new";
    return std::nullopt;
  }
  detail_ = "founding";
  MembersEntry entry = draft(EntryKind::kFound);
  entry.traits = config_.traits;
  if (identity_.cluster) {
    entry.cluster = *identity_.cluster;
  } else {
    do entry.cluster.value = static_cast<std::uint32_t>(random_.next());
    while (entry.cluster.value == 0);
  }
  return entry;
}

// ---- join

std::optional<MembersEntry> Membership::wants_join(const Facts& facts) {
  auto current = table_.current(identity_.self.node);
  if (current && table_.is(*current, MemberState::kActive) && !table_.others_active(*current)) {
    detail_ =
        "the only active member is this name's earlier incarnation: nobody else has the data. Start it with "
        "its own directory, or restore a backup";
    return std::nullopt;
  }
  answers_.ask(table_, identity_.self, facts.steady);
  if (current && !silent_long_enough(*current, facts)) return std::nullopt;
  if (!an_active_member_agrees(current, facts)) {
    detail_ = "looks for an active member that has read the same members log";
    return std::nullopt;
  }
  detail_ = "writes its join";
  MembersEntry entry = draft(EntryKind::kJoin);
  entry.replaces = current;
  entry.traits = config_.traits;
  return entry;
}

/// Whether nobody has heard what has our name for long enough. When it is heard again and again, it lives.
bool Membership::silent_long_enough(Incarnation current, const Facts& facts) {
  if (table_.is(current, MemberState::kJoining)) return true;
  if (!met_name_) met_name_ = facts.steady;
  std::optional<Milliseconds> silence;
  for (const auto& [member, answer] : answers_.fresh(facts.steady)) {
    auto silent = answer->silent.find(current);
    if (answer->active && silent != answer->silent.end())
      silence = std::min(silence.value_or(silent->second), silent->second);
  }
  if (!silence) {
    detail_ = "looks for an active member that says when its name's earlier incarnation was last heard";
    return false;
  }
  if (*silence >= config_.silence) return true;
  detail_ = fmt::format(
      "'{}' was heard {:.1f} s ago as another incarnation; it can be replaced after {} s of silence",
      identity_.self.node, static_cast<double>(silence->count()) / 1000, config_.silence.count() / 1000);
  // Ticks come each second, and an answer is at most a few seconds old.
  bool heard_since = facts.steady - *met_name_ >= config_.silence && *silence < config_.silence / 2;
  if (heard_since && table_.is(current, MemberState::kActive) && !was_ours(current)) name_lives_ = true;
  return false;
}

// ---- snapshot

bool Membership::has_snapshot_for_us(const PeerMembers& answer) const {
  std::uint64_t joined = table_.find(identity_.self.incarnation)->joined_n;
  return answer.active && answer.cluster == table_.cluster() && answer.n() >= joined &&
         answer.hashes[joined - 1] == entries_[joined - 1].hash;
}

/// The way is shorter, and paid for less.
void Membership::prefer_own_region(std::vector<Journal>& sources) const {
  auto here = [this](const Journal& member) {
    return table_.find(member.incarnation)->traits.region == config_.traits.region;
  };
  if (std::any_of(sources.begin(), sources.end(), here))
    std::erase_if(sources, [&](const Journal& member) { return !here(member); });
}

void Membership::choose_snapshot(const Facts& facts, MembershipStep& out) {
  if (source_ && !table_.is(source_->member.incarnation, MemberState::kActive)) source_.reset();
  if (!source_) {
    answers_.ask(table_, identity_.self, facts.steady);
    std::vector<Journal> sources;
    for (const auto& [member, answer] : answers_.fresh(facts.steady)) {
      auto failed = source_failed_.find(member);
      bool rests = failed != source_failed_.end() && facts.steady - failed->second < kSnapshotRetry;
      if (!rests && has_snapshot_for_us(*answer)) sources.push_back(member);
    }
    if (!sources.empty()) {
      prefer_own_region(sources);
      const Journal& chosen = sources[random_.next() % sources.size()];
      source_ = SnapshotFrom{chosen, table_.find(chosen.incarnation)->traits.address};
    }
  }
  stepped_at_ = facts.steady;
  out.snapshot = source_;
  if (source_) snapshot_offered_ = true;
  detail_ = source_ ? "takes a snapshot from " + source_->member.node
                    : "joined; looks for an active member that has read so and gives a snapshot";
  if (!snapshot_trouble_.empty()) detail_ += " (the one before failed: " + snapshot_trouble_ + ")";
}

void Membership::snapshot_failed(const std::string& reason) {
  snapshot_trouble_ = reason;
  if (source_) source_failed_[source_->member] = stepped_at_;
  source_.reset();
}

// ---- active

std::optional<MembersEntry> Membership::wants_active(const Facts& facts, MembershipStep& out) {
  if (!identity_.snapshot_taken) {
    choose_snapshot(facts, out);
    return std::nullopt;
  }
  // Once its `active` may be in the log it may be a member, and members do not start over.
  bool may_be_active = own_ && own_->logged.entry.kind == EntryKind::kActive;
  std::string over = why_start_over(facts, out);
  if (!over.empty() && !may_be_active) {
    start_over_ = std::move(over);
    return std::nullopt;
  }
  detail_ = not_ready(facts, out);
  if (!detail_.empty()) return std::nullopt;
  answers_.ask(table_, identity_.self, facts.steady);
  detail_ = "has caught up and writes its active";
  if (!an_active_member_agrees(std::nullopt, facts)) {
    detail_ = "has caught up; looks for an active member that has read the same members log";
    return std::nullopt;
  }
  MembersEntry entry = draft(EntryKind::kActive);
  for (const Journal& ended : table_.ended()) {
    if (REFRAIN_PLANTED(active_without_words)) break;
    entry.words.push_back({ended.incarnation, applied_seq(facts.applied, ended)});
  }
  return entry;
}

/// A joiner was nobody's last copy: whatever it cannot mend by reading, a new snapshot mends.
std::string Membership::why_start_over(const Facts& facts, MembershipStep& out) {
  for (const Journal& ended : table_.ended()) {
    auto end = table_.end(ended.incarnation);
    if (end && applied_seq(facts.applied, ended) > *end)
      return fmt::format("it holds more of {}'s ended journal than its end", ended.node);
  }
  auto lacking = what_is_lacking(facts);
  // Not by its words: while the log is read once more they change, and nothing has.
  bool same = lacking && lacking_ && lacking->journal == lacking_->journal && lacking->has == lacking_->has;
  lacking_ = lacking;
  if (!same) {
    lacking_since_ = facts.steady;
    last_chance_.reset();
    return {};
  }
  if (facts.steady - lacking_since_ < config_.patience) return {};
  // What had been passed over may have become ours to apply: once more from the start.
  if (!last_chance_) last_chance_ = facts.steady;
  if (!read_to_end(lacking->journal.node, *last_chance_, true, facts, out)) return {};
  return lacking->text + ", and the log has nothing more";
}

std::optional<Membership::Lacking> Membership::what_is_lacking(const Facts& facts) const {
  if (!facts.gaps.empty()) {
    const auto& [journal, seq] = *facts.gaps.begin();
    return Lacking{journal, applied_seq(facts.applied, journal),
                   fmt::format("seq {} of {}'s journal is missing", seq.value, journal.node)};
  }
  std::map<Journal, Seq> asked;
  std::uint64_t joined = table_.find(identity_.self.incarnation)->joined_n;
  for (const Journal& member : table_.active()) {
    auto tick = facts.ticks.find(member);
    if (tick == facts.ticks.end() || tick->second.tick.members_n < joined) continue;
    for (const auto& [journal, applied] : tick->second.tick.applied)
      asked[journal] = std::max(asked[journal], applied.seq);
  }
  for (const Journal& ended : table_.ended()) {
    if (auto end = table_.end(ended.incarnation)) asked[ended] = *end;
  }
  for (const auto& [journal, seq] : asked) {
    Seq has = applied_seq(facts.applied, journal);
    if (has < seq)
      return Lacking{journal, has,
                     fmt::format("it has {}'s journal up to seq {}, the others up to {} or more",
                                 journal.node, has.value, seq.value)};
  }
  return std::nullopt;
}

/// What stands between a joiner that reads the journals and its `active`; empty when nothing does.
std::string Membership::not_ready(const Facts& facts, MembershipStep& out) {
  for (const auto& [node, pass] : facts.passes) {
    if (pass.parked) return fmt::format("catching up: {}'s journal is parked", node);
  }
  if (lacking_) return "catching up: " + lacking_->text;
  std::uint64_t joined = table_.find(identity_.self.incarnation)->joined_n;
  for (const Journal& member : table_.active()) {
    if (table_.find(member.incarnation)->active_n > joined || REFRAIN_PLANTED(joiner_does_not_wait)) continue;
    auto tick = facts.ticks.find(member);
    if (tick == facts.ticks.end() || tick->second.tick.members_n < joined)
      return fmt::format("catching up: waits until {} shows that it has read of the join", member.node);
  }
  for (const Journal& ended : table_.ended()) {
    if (ended.node == identity_.self.node && !table_.end(ended.incarnation))
      return "waits until the members have agreed how far its earlier journal goes";
    SteadyNs since = word_since_.emplace(ended.incarnation, facts.steady).first->second;
    if (!read_to_end(ended.node, since, false, facts, out))
      return fmt::format("catching up: reads {}'s ended journal to its end", ended.node);
  }
  return {};
}

bool Membership::read_to_end(const NodeName& journal, SteadyNs since, bool from_start, const Facts& facts,
                             MembershipStep& out) const {
  auto pass = facts.passes.find(journal);
  bool new_enough =
      pass != facts.passes.end() && pass->second.opened >= since && (pass->second.from_start || !from_start);
  if (!new_enough) {
    out.read_again.push_back({journal, from_start, since});
    return false;
  }
  return pass->second.at_end && !pass->second.parked;
}

std::optional<MembersEntry> Membership::wants_update() const {
  const MemberTraits& known = table_.find(identity_.self.incarnation)->traits;
  if (known == config_.traits || REFRAIN_PLANTED(formats_not_announced)) return std::nullopt;
  MembersEntry entry = draft(EntryKind::kUpdate);
  entry.traits = config_.traits;
  return entry;
}

}  // namespace refrain::replication
