// SPDX-License-Identifier: Apache-2.0
#include "node/regions.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/planted.h"
#include "base/text.h"
#include "replication/codec.h"
#include "replication/scope_agreement.h"
#include "store/meta.h"
#include "store/snapshot.h"

namespace refrain::node {
namespace {

using replication::MemberState;
using replication::Mode;

constexpr std::string_view kLocalScope = "local";
constexpr Milliseconds kTickEvery{1'000};
constexpr Milliseconds kWantedTickEvery{10};
constexpr Milliseconds kSilentAfter{5'000};
constexpr Milliseconds kLookEvery{100};
constexpr Milliseconds kSnapshotComes{1};  // between two looks at a snapshot that comes in
constexpr std::size_t kHealedKept = 16;

/// What a member says of its scopes: those of namespaces that differ from its default, and the default unless
/// it is local.
std::map<std::string, std::string> announced_scopes(const RequestSettings& requests) {
  std::map<std::string, std::string> scopes;
  std::string otherwise = format_scope(requests.defaults.scope);
  if (otherwise != kLocalScope) scopes[""] = otherwise;
  for (const auto& [ns, rules] : requests.namespaces) {
    std::string scope = format_scope(rules.scope);
    if (scope != otherwise) scopes[ns] = scope;
  }
  return scopes;
}

replication::MembershipConfig membership_config(const Config& config, const Start& start) {
  replication::MembershipConfig membership;
  membership.cluster = config.cluster;
  membership.found = start.found;
  membership.silence = start.silence;
  membership.patience = start.patience;
  membership.traits.region = config.node.region;
  membership.traits.address = config.http.advertise;
  membership.traits.namespaces_hash = rules_hash(config.requests);
  membership.traits.scopes = announced_scopes(config.requests);
  membership.traits.formats = config.formats;
  membership.topic = {fmt::format("refrain.{}.members", config.cluster), Milliseconds{-1},
                      config.kafka.replication_factor, config.kafka.min_insync_replicas};
  return membership;
}

}  // namespace

Regions::Regions(const Config& config, const World& world, const Start& start, Ledger& ledger,
                 std::map<NodeName, store::ReadCursor> cursors, const Moment& now)
    : config_(config),
      rules_hash_(rules_hash(config.requests)),
      world_(world),
      start_(start),
      ledger_(ledger),
      self_(ledger.journal()),
      joining_(world, ledger),
      journals_(config, world, ledger, std::move(cursors)),
      opened_at_(now.steady),
      catch_up_(now.steady),
      stable_hlc_(ledger.books().floor) {}

Result<std::unique_ptr<Replicator>> Regions::open(const Config& config, const World& world,
                                                  const Start& start, Ledger& ledger, const Moment& now) {
  if (ledger.identity().installing) {  // a snapshot was half in when the process ended
    if (auto emptied = store::begin_anew(ledger.engine(), ledger.identity()); !emptied)
      return emptied.error();
    if (auto loaded = ledger.reload(); !loaded) return loaded.error();
  }
  auto cursors = store::Meta::cursors(ledger.engine());
  if (!cursors) return cursors.error();
  std::unique_ptr<Regions> regions(new Regions(config, world, start, ledger, std::move(*cursors), now));
  if (auto made = regions->make_membership(); !made) return made.error();
  regions->note_progress();
  return std::unique_ptr<Replicator>(std::move(regions));
}

// ---- the step

void Regions::read(const Moment& now) {
  take_membership_step(now);
  note_members();
  journals_.read(now, rules());
  if (journals_.take_read_members_first()) membership_->read_soon();
  if (journals_.take_tick_wanted()) tick_wanted_ = true;
  for (HealedReport& healed : journals_.take_healed()) note_healed(std::move(healed));
  note_progress();
  note_kafka(now);
  if (active()) {
    ledger_.set_synced(
        replication::synced_seq(knowledge(), ledger_.books().published, ledger_.books().synced));
    Seq droppable = REFRAIN_PLANTED(drop_when_published) ? ledger_.books().published : stable_;
    (void)ledger_.forget_outbox_up_to(droppable);  // what fails breaks the batch
    ledger_.raise_floor(REFRAIN_PLANTED(floor_ahead_of_stable) ? ledger_.clock().last() : stable_hlc_);
  }
}

/// What is met again and again is one row, with the newest time.
void Regions::note_healed(HealedReport healed) {
  world_.say(LogLevel::kWarn, fmt::format("Healed: {}: {}; {}", healed.what, healed.found, healed.done));
  if (!healed_.empty() && healed_.back().what == healed.what && healed_.back().found == healed.found)
    healed_.pop_back();
  healed_.push_back(std::move(healed));
  if (healed_.size() > kHealedKept) healed_.pop_front();
}

void Regions::journal_tick(const Moment& now) {
  tick_due_.reset();
  if (!active() || journals_.rolled_back()) return;
  // One tick under way is enough: the next one says it better. Its acknowledgement brings the next step.
  if (last_tick_ && ledger_.books().published < *last_tick_) return;
  Nanoseconds every = tick_wanted_ ? kWantedTickEvery : kTickEvery;
  if (ticked_at_ && now.steady - *ticked_at_ < every) {
    tick_due_ = *ticked_at_ + every;
    return;
  }
  auto hlc = ledger_.mint();
  if (!hlc) return;
  auto id = ledger_.append_tick(*hlc, make_tick(ledger_.books().newest.next(), *hlc));
  if (!id) return;
  last_tick_ = id->seq;
  ticked_at_ = now.steady;
  tick_wanted_ = false;
}

store::Tick Regions::make_tick(Seq seq, Hlc hlc) const {
  store::Tick tick;
  tick.applied = ledger_.books().applied;
  tick.applied[self_] = {seq, hlc};
  if (!REFRAIN_PLANTED(gap_not_flagged)) tick.gaps = journals_.gaps();
  tick.lowest_kept = ledger_.outbox().stats().lowest.value_or(seq);
  tick.members_n = membership_->table().n();
  tick.members_hash = membership_->table().hash();
  tick.floor = ledger_.books().floor;
  return tick;
}

void Regions::written(const Moment& now, std::vector<NewCommit> commits) {
  if (persisting_) {
    membership_->persisted();
    persisting_ = false;
    membership_due_ = now.steady;
  }
  if (agreed_given_) membership_->agreed_is_kept(*std::exchange(agreed_given_, std::nullopt));
  journals_.written(now, std::move(commits));
  note_caught_up();
  note_progress();
}

void Regions::not_written() {
  persisting_ = false;
  agreed_given_.reset();
  void_noted_.reset();  // what was to go aside is in the outbox still
  if (auto again = resume_void(); !again) ledger_.engine_failed(again.error());
  journals_.not_written();
  last_tick_.reset();
  ticked_at_.reset();
}

std::optional<SteadyNs> Regions::wakes_at() const {
  SteadyNs due = membership_due_;
  if (auto publisher = journals_.wakes_at()) due = std::min(due, *publisher);
  if (tick_due_) due = std::min(due, *tick_due_);
  if (joining_due_) due = std::min(due, *joining_due_);
  return due;
}

// ---- membership

Result<void> Regions::make_membership() {
  auto entries = store::Meta::members(ledger_.engine());
  if (!entries) return entries.error();
  auto own = store::Meta::own_entry(ledger_.engine());
  if (!own) return own.error();
  auto agreed = store::Meta::members_agreed(ledger_.engine());
  if (!agreed) return agreed.error();
  const store::Identity& identity = ledger_.identity();
  replication::MembershipIdentity who;
  who.self = ledger_.journal();
  if (identity.cluster.value != 0) who.cluster = identity.cluster;
  who.born_alone = identity.standalone;
  who.snapshot_taken = !ledger_.books().applied.empty();
  who.rolled_back = identity.rolled_back;
  who.agreed = *agreed;
  who.next = identity.next;
  who.former = identity.former;
  auto membership =
      replication::Membership::create(membership_config(config_, start_), std::move(who), std::move(*entries),
                                      std::move(*own), *world_.log, *world_.peers, *world_.random);
  if (!membership) return membership.error();
  membership_ = std::move(*membership);
  agreed_given_.reset();
  self_ = ledger_.journal();
  return resume_void();
}

/// A node that ended before all its void commits were aside goes on with that.
Result<void> Regions::resume_void() {
  void_from_.reset();
  if (!ledger_.identity().rolled_back) return {};
  auto start = store::Outbox::void_start(ledger_.engine(), self_.incarnation);
  if (!start) return start.error();
  if (*start) void_from_ = (*start)->from;
  return {};
}

void Regions::take_membership_step(const Moment& now) {
  auto passes = journals_.passes();
  auto gaps = journals_.gaps();
  auto readable = journals_.readable();
  replication::MembershipStep step = membership_->step(
      {now.wall, now.steady, ledger_.books().applied, ledger_.books().ticks, journals_.heard(), passes, gaps,
       journals_.lowest_kept(), readable, ledger_.books().newest, ledger_.newest_write(),
       journals_.others_may_have(), nothing_void_left(), journals_.own_journal()});
  membership_due_ = now.steady + step.idle;
  if (!step.mended.empty()) {
    note_healed({now.wall, "members log", step.mended,
                 "the entries were written again, and all active members show the same"});
  }
  if (step.start_over) {
    note_healed({now.wall, "this node", step.start_over->reason,
                 "its store is emptied, and it joins with a snapshot of another member"});
    return start_over(*step.start_over);
  }
  for (const replication::MembersRow& row : step.persist) {
    if (row.kind == replication::MembersRow::Kind::kEntry) {
      store::Meta::set_member(ledger_.draft(), row.n, row.bytes);
    } else {
      store::Meta::set_own_entry(ledger_.draft(), row.bytes);
    }
    ledger_.require_sync();
    persisting_ = true;
  }
  agreed_given_ = step.agreed;
  if (step.agreed) store::Meta::set_members_agreed(ledger_.draft(), *step.agreed);
  store::Identity identity = ledger_.identity();
  if (step.cluster) identity.cluster = *step.cluster;
  if (step.next.value != 0) identity.next = step.next;
  if (membership_->standing().mode == Mode::kRolledBack) {
    if (!identity.rolled_back) {
      void_from_ = journals_.at_start().seq.next();
      store::Outbox::set_void_start(ledger_.draft(), identity.incarnation,
                                    {*void_from_, journals_.at_start().hlc});
    }
    identity.rolled_back = true;
  }
  note_void();
  if (identity != ledger_.identity()) ledger_.set_identity(identity);
  for (const replication::ReadAgain& again : step.read_again)
    journals_.read_again(again.journal, again.from_start, now);
  if (!step.snapshot) joining_.abandon();
  if (step.snapshot && joining_.step(*step.snapshot, own_join())) {
    auto cursors = store::Meta::cursors(ledger_.engine());
    auto made = make_membership();
    if (!cursors || !made) return ledger_.break_batch(cursors ? made.error() : cursors.error());
    journals_.start_over(std::move(*cursors));
    persisting_ = false;
  } else if (step.snapshot && !joining_.running() && !joining_.trouble().empty()) {
    membership_->snapshot_failed(joining_.trouble());
  }
  joining_due_ = joining_.flowing() ? std::optional(now.steady + kSnapshotComes) : std::nullopt;
  note_standing();
}

/// Own commits that count nowhere: of a directory that was rolled back what it wrote since it started, of an
/// incarnation that is over what lies beyond its end. They leave the outbox and are kept aside.
void Regions::note_void() {
  if (membership_->standing().mode == Mode::kFenced) {
    auto end = membership_->table().end(self_.incarnation);
    if (end && end != void_noted_) {
      void_from_ = std::min(void_from_.value_or(end->next()), end->next());
      void_noted_ = end;
      if (!ledger_.identity().rolled_back) {  // it had seen all that counts of its own
        auto own = ledger_.books().applied.find(self_);
        Hlc newest = own == ledger_.books().applied.end() ? Hlc{} : own->second.hlc;
        store::Outbox::set_void_start(ledger_.draft(), self_.incarnation, {end->next(), newest});
      }
    }
  }
  if (!void_from_ || joining_.running()) return;
  auto more = ledger_.move_aside(*void_from_);
  if (more && !*more) void_from_.reset();
}

bool Regions::nothing_void_left() const {
  return !void_from_ && void_noted_ && void_noted_ == membership_->table().end(self_.incarnation);
}

/// Crash: from the first write on the store is the next incarnation's, and emptied whole by the next start.
void Regions::start_over(const replication::StartOver& order) {
  world_.say(LogLevel::kWarn, fmt::format("Starting over from an empty store: {}", order.reason));
  store::Identity identity = ledger_.identity();
  identity.incarnation = order.next.value != 0 ? order.next : Incarnation{world_.random->next() | 1};
  identity.next = {};
  identity.former = order.former;
  identity.standalone = false;  // what is to come is of this cluster
  identity.rolled_back = false;
  auto done = store::begin_anew(ledger_.engine(), identity);
  if (done) done = ledger_.reload();
  if (done) done = make_membership();
  if (!done) return ledger_.engine_failed(done.error());
  journals_.start_over({});
  persisting_ = false;
  was_active_ = false;
  void_from_.reset();
  void_noted_.reset();
  last_tick_.reset();
  members_noted_.reset();
  progress_sources_.reset();
  oldest_unsynced_.reset();
  looked_past_ = {};
  stable_ = {};
}

void Regions::note_standing() {
  const replication::Standing& standing = membership_->standing();
  if (!said_standing_ || said_standing_->first != standing.mode ||
      said_standing_->second != standing.detail) {
    world_.say(LogLevel::kInfo, fmt::format("Membership: {}{}{}", replication::mode_name(standing.mode),
                                            standing.detail.empty() ? "" : ": ", standing.detail));
    said_standing_ = {standing.mode, standing.detail};
  }
  if (active() && !was_active_) {
    // No version of ours may be below what anybody has forgotten or shown.
    Hlc met = replication::newest_hlc_met(knowledge());
    if (ledger_.books().newest.value == 0 && !REFRAIN_PLANTED(joiner_clock_below_floors))
      ledger_.observe(met);
    was_active_ = true;
    ticked_at_.reset();
    tick_wanted_ = true;
  }
}

/// The entry of the members log by which we are joining.
std::string Regions::own_join() const {
  const replication::Member* self = membership_->table().find(self_.incarnation);
  if (self == nullptr || self->joined_n == 0 || self->joined_n > membership_->entries().size()) return "";
  return membership_->entries()[self->joined_n - 1].bytes;
}

bool Regions::may_apply() const {
  Mode mode = membership_->standing().mode;
  return mode == Mode::kActive ||
         (mode == Mode::kJoining && !ledger_.books().applied.empty() && !joining_.running());
}

// ---- journals and watermarks

JournalRules Regions::rules() const {
  JournalRules rules{journals_read_, orphans_, {}};
  rules.incarnation = [this](const Journal& journal) { return incarnation_facts(journal); };
  rules.may_apply = may_apply();
  rules.read_own = active();
  rules.may_publish = membership_->standing().may_publish && !journals_.rolled_back();
  return rules;
}

/// What follows from the members table, once for each table and mode.
void Regions::note_members() {
  MembersNoted now{membership_->table().hash(), membership_->standing().mode,
                   membership_->read_since_start()};
  if (now == members_noted_) return;
  members_noted_ = now;
  ledger_.set_format(membership_->writes_format());
  journals_read_.clear();
  orphans_.clear();
  // A joiner reads what earlier incarnations of its own name left; a member writes that topic and only checks
  // it.
  bool joining = now.mode == Mode::kJoining;
  const replication::MembersTable& table = membership_->table();
  for (const auto& [incarnation, member] : table.members()) {
    bool own = member.node == self_.node;
    if (!own || (joining && member.active_n != 0)) journals_read_.insert(member.node);
  }
  for (const NodeName& node : journals_read_) {
    auto current = table.current(node);
    if (!current || !table.is(*current, MemberState::kActive)) orphans_.insert(node);
  }
  expect_journals();
}

replication::IncarnationFacts Regions::incarnation_facts(const Journal& journal) const {
  replication::IncarnationFacts facts;
  const replication::MembersTable& table = membership_->table();
  const store::AppliedTable& applied = ledger_.books().applied;
  if (auto found = applied.find(journal); found != applied.end()) facts.applied = found->second;
  const replication::Member* member = table.find(journal.incarnation);
  if (member == nullptr || member->node != journal.node) return facts;
  facts.joined_n = member->joined_n;
  facts.state = member->state == MemberState::kActive    ? replication::IncarnationState::kActive
                : member->state == MemberState::kJoining ? replication::IncarnationState::kJoining
                                                         : replication::IncarnationState::kOver;
  facts.limit = membership_->limit(journal.incarnation);
  for (const auto& [other, reached] : applied) {
    const replication::Member* earlier = table.find(other.incarnation);
    if (other.node == journal.node && earlier != nullptr && earlier->joined_n <= member->joined_n)
      facts.newest_hlc = std::max(facts.newest_hlc, reached.hlc);
  }
  return facts;
}

/// After a start what the journals held must be here before a go for an absent id: the others', and what our
/// own directory may have lost.
void Regions::expect_journals() {
  if (!active()) return;
  std::set<NodeName> names;
  for (const Journal& journal : membership_->table().active()) names.insert(journal.node);
  for (const Journal& other : awaited_ends()) names.insert(other.node);
  for (const Journal& other : awaited_joiners()) names.insert(other.node);
  catch_up_.expect(names);
}

/// Ended journals that are not whole here. Whoever was evicted may have decided what only its journal says,
/// and how much of that counts is known with its end.
std::vector<Journal> Regions::awaited_ends() const {
  std::vector<Journal> awaited;
  const store::AppliedTable& applied = ledger_.books().applied;
  for (const Journal& ended : membership_->table().ended()) {
    auto end = membership_->table().end(ended.incarnation);
    auto found = applied.find(ended);
    bool whole = end && (found == applied.end() ? Seq{} : found->second.seq) >= *end;
    if (!whole && ended.node != self_.node) awaited.push_back(ended);
  }
  return awaited;
}

/// Whoever was joining when this node stopped may be a member by now.
std::vector<Journal> Regions::awaited_joiners() const {
  if (membership_->read_since_start()) return {};
  return membership_->table().joining();
}

/// Once what was read is written.
void Regions::note_caught_up() {
  if (!active()) return;
  if (journals_.own_end_seen()) catch_up_.passed(self_.node);
  auto missing = catch_up_.missing();
  if (missing.empty()) return;
  auto awaited = awaited_ends();
  for (const NodeName& node : missing) {
    bool its_end_is = std::ranges::find(awaited, node, &Journal::node) != awaited.end();
    if (node == self_.node || its_end_is) continue;
    const replication::JournalReader* reader = journals_.reader(node);
    // At the log's end with a gap: what stands behind it was not applied.
    bool whole = reader != nullptr && !reader->parked() && reader->whole();
    if (whole && reader->has_been_at_end()) catch_up_.passed(node);
  }
}

void Regions::note_progress() {
  Seq published = journals_.publisher().published();
  ProgressSources sources{ledger_.revision(), published, membership_->table().hash(), active()};
  if (sources == progress_sources_) return;
  progress_sources_ = sources;
  Seq all = ledger_.books().newest;
  progress_.nodes.clear();
  for (const Journal& journal : membership_->table().active()) {
    Seq shown = replication::shown(knowledge(), journal, self_).seq;
    progress_.nodes[journal.node] = shown;
    if (journal != self_) all = std::min(all, shown);
  }
  progress_.published = published;
  progress_.all = all;
  if (!active()) return;
  stable_ = replication::stable_seq(knowledge(), published, stable_);
  // Never below the floor, which may have come with a snapshot.
  stable_hlc_ = replication::stable_hlc(knowledge(), std::max(stable_hlc_, ledger_.books().floor));
}

void Regions::note_kafka(const Moment& now) {
  if (kafka_looked_at_ && now.steady - *kafka_looked_at_ < kLookEvery) return;
  kafka_looked_at_ = now.steady;
  if (world_.log->health().reachable) {
    kafka_since_.reset();
  } else if (!kafka_since_) {
    kafka_since_ = now.wall;
  }
  note_oldest_unsynced();
}

/// The oldest own commit with operations that is not synced; ticks do not count, there is always a young one.
void Regions::note_oldest_unsynced() {
  constexpr std::size_t kLookedAt = 64;
  Seq synced = ledger_.books().synced;
  if (oldest_unsynced_ && oldest_unsynced_->seq > synced) return;
  oldest_unsynced_.reset();
  for (Seq from = std::max(synced, looked_past_).next(); from <= ledger_.books().newest;) {
    auto rows = store::Outbox::read(ledger_.engine(), from, kLookedAt, std::size_t{1} << 20);
    if (!rows || rows->empty()) return;
    for (const store::OutboxRow& row : *rows) {
      auto decoded = replication::decode(row.bytes, self_.node, config_.formats.max);
      if (decoded && !decoded->commit.tick) {
        oldest_unsynced_ = Unsynced{row.seq, decoded->commit.hlc.wall()};
        return;
      }
      looked_past_ = row.seq;
      from = row.seq.next();
    }
  }
}

bool Regions::covers(const Vector& session) const {
  if (REFRAIN_PLANTED(session_not_awaited)) return true;
  std::set<NodeName> gone;
  const replication::MembersTable& table = membership_->table();
  Vector have = applied();
  for (const auto& [node, hlc] : session) {
    auto current = table.current(node);
    // Only a member gets what there still is of it.
    if (active() && current && table.is(*current, MemberState::kOver)) continue;
    auto found = have.find(node);
    if (found == have.end() || found->second < hlc) return false;
  }
  return true;
}

std::string Regions::describe_missing(const Vector& session) const {
  Vector have = applied();
  std::string words;
  for (const auto& [node, hlc] : session) {
    auto found = have.find(node);
    if (found != have.end() && found->second >= hlc) continue;
    if (!words.empty()) words += ", ";
    words += fmt::format("{} up to {} (has it up to {})", node, format_time(hlc.wall()),
                         found == have.end() ? "nothing" : format_time(found->second.wall()));
  }
  return words.empty() ? "nothing" : words;
}

Vector Regions::applied() const {
  Vector vector;
  for (const auto& [journal, reached] : ledger_.books().applied) {
    Hlc& entry = vector[journal.node];
    entry = std::max(entry, reached.hlc);
  }
  return vector;
}

RegionFacts Regions::region_facts(const Moment& now) const {
  RegionFacts facts;
  facts.not_caught_up = catch_up_.missing();
  facts.catch_up_patience_over = catch_up_.patience_is_over(now.steady);
  facts.catch_up_patience_ends = catch_up_.patience_ends();
  facts.applied = applied();
  for (const auto& [node, hlc] : facts.applied) {
    if (node != self_.node) facts.over.insert(node);
  }
  auto look = [&](const Journal& journal, std::set<NodeName>& gives_nothing) {
    const replication::JournalReader* reader = journals_.reader(journal.node);
    // Right after a start nobody was heard yet: that is no silence.
    bool silent = now.steady - heard_at(journal).value_or(opened_at_) > kSilentAfter;
    bool parked = reader != nullptr && reader->parked();
    if (silent || parked) gives_nothing.insert(journal.node);
  };
  for (const Journal& ended : awaited_ends()) look(ended, facts.awaited_in_vain);
  for (const Journal& joiner : awaited_joiners()) look(joiner, facts.awaited_in_vain);
  for (const Journal& journal : membership_->table().active()) {
    if (journal == self_) continue;
    auto applied = facts.applied.find(journal.node);
    WallMs known = applied == facts.applied.end() ? WallMs{0} : applied->second.wall();
    facts.lag_ms[journal.node] = std::max<std::int64_t>(0, (now.wall - known).count());
    facts.over.erase(journal.node);
    look(journal, facts.silent_or_parked);
  }
  if (!journals_.own_can_be_read()) facts.silent_or_parked.insert(self_.node);
  return facts;
}

std::optional<std::string> Regions::address_of(const NodeName& node) const {
  auto current = membership_->table().current(node);
  const replication::Member* member = current ? membership_->table().find(*current) : nullptr;
  return member == nullptr || member->traits.address.empty() ? std::nullopt
                                                             : std::optional(member->traits.address);
}

std::optional<std::string> Regions::scope_differs(const std::string& ns) const {
  return replication::scope_trouble(knowledge(), ns, format_scope(config_.requests.of(ns).scope));
}

Result<void> Regions::check_ack(const Ack& ack) const {
  if (ack.kind != Ack::Kind::kNode || ack.node == self_.node) return {};
  auto current = membership_->table().current(ack.node);
  if (current && membership_->table().is(*current, MemberState::kActive)) return {};
  return invalid(
      "ack_unavailable",
      fmt::format("'{}' is no active member, so it can never acknowledge. See `refrain member ls`.",
                  ack.node));
}

std::optional<SteadyNs> Regions::heard_at(const Journal& journal) const {
  return journals_.heard_at(journal);
}

}  // namespace refrain::node
