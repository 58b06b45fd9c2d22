// SPDX-License-Identifier: Apache-2.0
#include "replication/membership.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "base/planted.h"

namespace refrain::replication {

namespace {

constexpr Milliseconds kSoon{200};  // between passes that were asked for from outside
constexpr Milliseconds kBusy{20};
constexpr Milliseconds kIdle{1'000};
constexpr std::size_t kFormerKept = 100;

/// Those that are in the log are among the newest: a start that could not join leaves no trace.
void remember(std::vector<Incarnation>& former, Incarnation one) {
  if (std::find(former.begin(), former.end(), one) == former.end()) former.push_back(one);
  if (former.size() > kFormerKept) former.erase(former.begin() + 1);
}

}  // namespace

std::string_view mode_name(Mode mode) {
  switch (mode) {
    case Mode::kReadingMembers:
      return "reading the members log";
    case Mode::kWaitingForFounder:
      return "waiting for founder";
    case Mode::kJoining:
      return "joining";
    case Mode::kActive:
      return "active";
    case Mode::kFenced:
      return "fenced";
    case Mode::kRolledBack:
      return "rolled back";
    case Mode::kForked:
      return "members forked";
    case Mode::kNameInUse:
      return "name in use";
    case Mode::kStandaloneData:
      return "standalone data";
    case Mode::kWrongCluster:
      return "wrong cluster";
    case Mode::kNewerFormat:
      return "newer format";
    case Mode::kOlderFormat:
      return "older format";
  }
  return "unknown";
}

// ---- from the store

Membership::Membership(MembershipConfig config, MembershipIdentity identity, Log& log, Peers& peers,
                       Random& random)
    : config_(std::move(config)),
      identity_(std::move(identity)),
      random_(random),
      log_(log),
      topic_(log, config_.topic, config_.reread, config_.traits.formats.max),
      answers_(peers),
      agreed_(identity_.agreed),
      rolled_back_(identity_.rolled_back) {}

Result<std::unique_ptr<Membership>> Membership::create(MembershipConfig config, MembershipIdentity identity,
                                                       std::vector<std::string> entries,
                                                       std::optional<std::string> own, Log& log, Peers& peers,
                                                       Random& random) {
  std::unique_ptr<Membership> made(
      new Membership(std::move(config), std::move(identity), log, peers, random));
  if (auto replayed = made->replay_stored(entries, own); !replayed) return replayed.error();
  // An active member serves from its directory before its first step, which a full disk may hold back.
  if (made->mode() == Mode::kActive) {
    made->standing_.mode = Mode::kActive;
    made->standing_.takes_writes = !made->rejoining();
  }
  return made;
}

Result<void> Membership::replay_stored(const std::vector<std::string>& entries,
                                       const std::optional<std::string>& own) {
  MembersReplay replay(identity_.cluster, config_.traits.formats.max);
  for (const std::string& bytes : entries) replay.add(bytes);
  if (replay.halt() && replay.halt()->reason == MembersReplay::Halt::Reason::kNewerFormat)
    halt_ = Halt{Mode::kNewerFormat, replay.halt()->detail};
  else if (replay.counted().size() != entries.size())
    return corrupt(fmt::format("The stored members log does not replay: entry {} of {}.",
                               replay.counted().size() + 1, entries.size()));
  table_ = replay.table();
  entries_ = replay.counted();
  if (!table_.empty()) identity_.cluster = table_.cluster();
  topic_.set_cluster(identity_.cluster);
  // Of a table that an entry of a newer program cut short nothing may be concluded.
  if (halt_ || misfit()) return {};
  if (identity_.snapshot_taken && !identity_.born_alone && table_.find(identity_.self.incarnation) == nullptr)
    start_over_ = "its snapshot is of a member that had not read of its join";
  if (!own) return {};
  auto entry = decode_entry(*own, config_.traits.formats.max);
  if (!entry)
    return corrupt("The stored own entry of the members log cannot be read: " + entry.error().detail);
  bool ours = entry->entry.by == identity_.self;  // else it came with a directory that was started over
  if (ours && entry->entry.n > known_n()) own_ = OwnEntry{std::move(*entry), true, true};
  return {};
}

bool Membership::was_ours(Incarnation incarnation) const {
  return std::find(identity_.former.begin(), identity_.former.end(), incarnation) != identity_.former.end();
}

void Membership::persisted() {
  std::uint32_t format_before = table_.format();
  for (std::size_t i = 0; i < fresh_given_; ++i) {
    auto next = count(table_, fresh_[i]);
    REFRAIN_ASSERT(next.has_value(), "what a pass counted counts here");
    table_ = std::move(*next);
    entries_.push_back(std::move(fresh_[i]));
  }
  fresh_.erase(fresh_.begin(), fresh_.begin() + static_cast<std::ptrdiff_t>(fresh_given_));
  fresh_given_ = 0;
  if (own_ && own_->given) own_->durable = true;
  if (table_.empty()) return;
  if (format_before > 0 && table_.format() > format_before) REFRAIN_BRANCH(cluster_format_rose);
  identity_.cluster = table_.cluster();
  topic_.set_cluster(identity_.cluster);
}

// ---- the step

MembershipStep Membership::step(const Facts& facts) {
  MembershipStep out;
  std::uint64_t n_before = stepped_n_;
  detail_.clear();
  if (soon_ && topic_.whole() && facts.steady - topic_.opened() >= kSoon) {
    soon_ = false;
    topic_.read_again();
  }
  if (topic_.step(facts.steady)) take_pass();
  check_ticks(facts);
  check_directory(facts);
  rebuild(facts);
  if (lost_ && log_shows_all() && agreed(std::nullopt, facts)) {
    REFRAIN_BRANCH(members_log_agreed_again);
    lost_ = false;
    if (table_.is(identity_.self.incarnation, MemberState::kActive)) out.mended = std::move(found_lost_);
    found_lost_.clear();
  }

  waits_for_ = lost_ ? disagreeing(facts) : std::vector<Incarnation>{};

  Mode now = mode();
  auto entry = wanted(now, facts, out);
  if (now == Mode::kFenced) start_over_as_next(facts);
  if (start_over_ && !halt_) {
    out = {};
    out.start_over = StartOver{*start_over_, identity_.former, identity_.next};
    remember(out.start_over->former, identity_.self.incarnation);
  } else {
    write(entry, facts);
    give_rows(out);
    note_agreed(out);
  }
  set_standing(now, facts, out);
  stepped_n_ = table_.n();
  out.changed = out.changed || stepped_n_ != n_before;
  out.idle = idle(facts);
  return out;
}

Nanoseconds Membership::idle(const Facts& facts) const {
  bool busy = topic_.busy() || own_ || !fresh_.empty() || survey_ || answers_.waiting() || soon_;
  if (busy) return kBusy;
  Nanoseconds until_pass = topic_.next_pass() - facts.steady;
  return std::clamp<Nanoseconds>(until_pass, kBusy, kIdle);
}

void Membership::read_soon() {
  soon_ = true;
}

// ---- reading

void Membership::take_pass() {
  const MembersReplay& pass = topic_.pass();
  if (const auto& halt = pass.halt()) {
    bool foreign = halt->reason == MembersReplay::Halt::Reason::kWrongCluster;
    if (foreign) wrong_cluster_ = halt->detail;
    if (!foreign && !halt_) halt_ = Halt{Mode::kNewerFormat, halt->detail};
    return;
  }
  wrong_cluster_.clear();
  read_once_ = true;
  take_counted(pass.counted());
}

const LoggedEntry* Membership::known(std::uint64_t n) const {
  if (n == 0 || n > known_n()) return nullptr;
  return n <= entries_.size() ? &entries_[n - 1] : &fresh_[n - 1 - entries_.size()];
}

void Membership::take_counted(const std::vector<LoggedEntry>& counted) {
  for (std::uint64_t n = 1; n <= counted.size() && n <= known_n(); ++n) {
    if (counted[n - 1].hash != known(n)->hash)
      return fork(fmt::format("entry {} of the members log is another one than this node has counted", n));
  }
  log_n_ = counted.size();
  auto written_again = [&](const store::AgreedEntry& seen) {
    return seen.taken != 0 && seen.n <= log_n_ && counted[seen.n - 1].taken != seen.taken;
  };
  // Whoever was away, or looked too seldom, sees only so that the log was lost and written again.
  if (written_again(lost_ ? newest_in_log_ : agreed_)) {
    REFRAIN_BRANCH(members_log_written_again);
    if (!lost_) found_lost_ = "its entries had been written again";
    lost_ = true;
    barrier_.reset();
  }
  newest_in_log_ = log_n_ == 0 ? store::AgreedEntry{} : store::AgreedEntry{log_n_, counted.back().taken};
  if (log_n_ < known_n()) {
    REFRAIN_BRANCH(members_log_lost);
    if (!lost_) found_lost_ = fmt::format("{} of its {} entries were left", log_n_, known_n());
    lost_ = true;
    barrier_.reset();
  }
  for (std::uint64_t n = known_n(); n < counted.size(); ++n) fresh_.push_back(counted[n]);
}

/// A peer that has counted another entry at some n lives in another history.
void Membership::check_ticks(const Facts& facts) {
  for (const Journal& member : table_.active()) {
    auto tick = facts.ticks.find(member);
    if (tick == facts.ticks.end() || member == identity_.self) continue;
    std::uint64_t n = tick->second.tick.members_n;
    if (n > known_n()) read_soon();
    if (const LoggedEntry* ours = known(n); ours != nullptr && ours->hash != tick->second.tick.members_hash)
      fork(fmt::format("{} has counted another entry {} of the members log", member.node, n));
  }
}

/// Whoever never was a member has nothing that a member lacks: it starts over in the history of the others.
void Membership::fork(std::string detail) {
  const Member* me = table_.find(identity_.self.incarnation);
  if (me != nullptr && me->active_n != 0) {
    if (!halt_) halt_ = Halt{Mode::kForked, std::move(detail)};
  } else {
    start_over_ = std::move(detail);
  }
}

void Membership::check_directory(const Facts& facts) {
  if (!table_.is(identity_.self.incarnation, MemberState::kActive)) return;
  if (facts.own_journal && (facts.own_journal->differs || facts.own_journal->newest > facts.others_may_have))
    rolled_back_ = true;
  for (const auto& [member, tick] : facts.ticks) {
    if (member == identity_.self) continue;
    auto ours = tick.tick.applied.find(identity_.self);
    if (ours != tick.tick.applied.end() && ours->second.seq > facts.others_may_have) rolled_back_ = true;
  }
}

std::optional<Seq> Membership::limit(Incarnation of) const {
  const Member* ended = table_.find(of);
  if (ended == nullptr || ended->state != MemberState::kOver) return std::nullopt;
  if (ended->active_n == 0) return Seq{0};
  bool active = table_.is(identity_.self.incarnation, MemberState::kActive);
  if (active && REFRAIN_PLANTED(word_exceeded)) return std::nullopt;
  if (active && table_.end(of) && REFRAIN_PLANTED(void_applied)) return std::nullopt;
  std::optional<Seq> limit = active ? table_.word(of, identity_.self.incarnation) : table_.end(of);
  // A word under way may count at any moment: it binds from the moment it is durable.
  if (own_) {
    for (const Word& word : own_->logged.entry.words) {
      if (word.of == of) limit = std::min(limit.value_or(word.seq), word.seq);
    }
  }
  return limit;
}

// ---- standing

Mode Membership::mode() const {
  if (halt_) return halt_->mode;
  if (auto stop = misfit()) return *stop;
  const Member* me = table_.find(identity_.self.incarnation);
  if (me == nullptr) return mode_of_stranger();
  if (me->state == MemberState::kOver) return Mode::kFenced;
  if (me->state == MemberState::kJoining) return Mode::kJoining;
  return rolled_back_ ? Mode::kRolledBack : Mode::kActive;
}

/// Also what runs on a member's directory may be another program than the one that the table knows.
std::optional<Mode> Membership::misfit() const {
  if (table_.empty() || config_.traits.formats.fit(table_.format()) || REFRAIN_PLANTED(newer_cluster_entered))
    return std::nullopt;
  return config_.traits.formats.max < table_.format() ? Mode::kNewerFormat : Mode::kOlderFormat;
}

std::uint32_t Membership::writes_format() const {
  if (REFRAIN_PLANTED(own_format_written)) return config_.traits.formats.max;
  return std::max(table_.format(), config_.traits.formats.min);
}

Mode Membership::mode_of_stranger() const {
  if (!wrong_cluster_.empty()) return Mode::kWrongCluster;
  if (identity_.born_alone && (!config_.found || !table_.empty())) return Mode::kStandaloneData;
  if (!read_once_) return Mode::kReadingMembers;
  if (table_.empty()) return Mode::kWaitingForFounder;
  auto current = table_.current(identity_.self.node);
  if (!current || was_ours(*current)) return Mode::kJoining;
  bool had_the_name = std::any_of(identity_.former.begin(), identity_.former.end(),
                                  [&](Incarnation former) { return table_.find(former) != nullptr; });
  if (had_the_name) return Mode::kFenced;
  return name_lives_ ? Mode::kNameInUse : Mode::kJoining;
}

namespace {

std::string fenced_because(const MembersTable& table, const Journal& self) {
  const Member* me = table.find(self.incarnation);
  if (me == nullptr || me->ending == Ending::kReplaced)
    return "another incarnation has taken the name of this node";
  return me->ending == Ending::kEvicted
             ? "this node was evicted; its data is kept. `refrain member rejoin` makes it a member anew"
             : "this node has left the cluster; its data is kept. `refrain member rejoin` makes it a member "
               "anew";
}

std::string why(Mode mode, const MembersTable& table, const Journal& self, const Formats& formats) {
  switch (mode) {
    case Mode::kFenced:
      return fenced_because(table, self);
    case Mode::kRolledBack:
      return "its own journal, as others have it, is ahead of this directory; it must rejoin";
    case Mode::kNameInUse: {
      const Member* other = table.find(*table.current(self.node));
      return fmt::format("'{}' is {} as {}; another name, or that one's directory, is needed", self.node,
                         member_state_name(other->state), other->traits.address);
    }
    case Mode::kStandaloneData:
      return "this directory was made without brokers; start it with --found to found a cluster with it";
    case Mode::kNewerFormat:
      return fmt::format("the cluster writes format {}, this program reads {}", table.format(), formats.max);
    case Mode::kOlderFormat:
      return fmt::format("the cluster writes format {}, this program takes part from {} on", table.format(),
                         formats.min);
    default:
      return {};
  }
}

}  // namespace

void Membership::set_standing(Mode mode, const Facts& facts, MembershipStep& out) {
  Standing next{mode, detail_, standing_.since, false, false};
  if (halt_) next.detail = halt_->detail;
  if (mode == Mode::kWrongCluster) next.detail = wrong_cluster_;
  if (next.detail.empty()) next.detail = why(mode, table_, identity_.self, config_.traits.formats);
  // Once its own end may stand in the log, what it took could be void.
  bool ending = own_ && own_->logged.entry.kind != EntryKind::kFound &&
                ended_by(own_->logged.entry) == identity_.self.incarnation;
  next.takes_writes = mode == Mode::kActive && !leaving_ && !rejoining() && hole_.empty() && !ending;
  // Until the members log was read, this Kafka may be another cluster's.
  next.may_publish = mode == Mode::kActive && read_once_ && wrong_cluster_.empty();
  bool new_mode = mode != standing_.mode;
  if (new_mode) next.since = facts.steady;
  out.changed = new_mode || next.detail != standing_.detail || next.may_publish != standing_.may_publish;
  standing_ = std::move(next);
  trouble_ = find_trouble();
}

std::string Membership::find_trouble() const {
  if (!wrong_cluster_.empty())
    return fmt::format(
        "{}, so it is of another cluster than this node's ({:08x}): nothing is published and nobody joins. "
        "Is kafka.brokers right here?",
        wrong_cluster_, identity_.cluster ? identity_.cluster->value : 0);
  if (lost_)
    return log_shows_all() ? "the members log was lost or cut; waits until all active members show the same"
                           : "the members log was lost or cut; its entries are being written again";
  if (!topic_.trouble().empty()) return "the members log: " + topic_.trouble();
  return {};
}

}  // namespace refrain::replication
