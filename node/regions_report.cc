// SPDX-License-Identifier: Apache-2.0
// Regions in words: why work is refused, who has what, who is behind and why, and what to do about it.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "node/regions.h"
#include "store/outbox.h"

namespace refrain::node {
namespace {

using replication::MemberState;
using replication::Mode;

constexpr Milliseconds kSilentAfter{5'000};

struct Refusal {
  const char* code;
  const char* advice;
  std::int64_t retry_after_ms;
};

/// Of a mode in which no kv work is taken.
Refusal refusal_of(Mode mode) {
  switch (mode) {
    case Mode::kReadingMembers:
      return {"joining", "The node reads the members log first.", 1'000};
    case Mode::kWaitingForFounder:
      return {"no_founder", "No node has founded this cluster. Start one node of it with --found.", 2'000};
    case Mode::kJoining:
      return {"joining", "The node serves when it has caught up. Ask another one.", 1'000};
    case Mode::kFenced:
      return {"fenced", "This incarnation of the node is over. Ask another node.", 10'000};
    case Mode::kRolledBack:
      return {
          "rolled_back",
          "The data directory is older than what this node has published. `refrain member rejoin` makes it a "
          "member anew, from the others' data.",
          10'000};
    case Mode::kForked:
      return {"members_forked",
              "Two histories of the members log were met. Look at `refrain member log` on each node.",
              10'000};
    case Mode::kNameInUse:
      return {"fenced",
              "Another directory is the active member of this name (name_in_use). Give this node another "
              "name, or that directory.",
              10'000};
    case Mode::kStandaloneData:
      return {"joining",
              "The directory was made by a node that ran alone (standalone_data). Start it with --found to "
              "found a cluster with it, or with an empty directory.",
              10'000};
    case Mode::kWrongCluster:
      return {
          "joining",
          "The members log belongs to another cluster (wrong_cluster). Check `cluster` and `kafka.brokers`.",
          10'000};
    case Mode::kNewerFormat:
      return {
          "joining",
          "The cluster, or an entry of its members log, is of a newer program (newer_format). Upgrade this "
          "node.",
          10'000};
    case Mode::kOlderFormat:
      return {
          "joining",
          "The other members run a program too old for this one (older_format). Upgrade step by step: first "
          "all members to the release before this one.",
          10'000};
    case Mode::kActive:
      return {"joining", "The node becomes a member anew, with an empty store. Ask another one.", 10'000};
  }
  return {"joining", "", 1'000};
}

const char* ending_of(Mode mode) {
  switch (mode) {
    case Mode::kNameInUse:
      return "name_in_use";
    case Mode::kStandaloneData:
      return "standalone_data";
    case Mode::kWrongCluster:
      return "wrong_cluster";
    case Mode::kNewerFormat:
      return "newer_format";
    case Mode::kOlderFormat:
      return "older_format";
    default:
      return nullptr;
  }
}

std::string why_holds(replication::OutboxHolder::Why why) {
  using Why = replication::OutboxHolder::Why;
  switch (why) {
    case Why::kJoining:
      return "is joining";
    case Why::kIncomplete:
      return "has ended and its journal is not complete everywhere";
    case Why::kBehind:
      return "has not applied it";
    case Why::kUnpublished:
      return "has not published it";
  }
  return "";
}

std::string age(Milliseconds span) {
  return span >= Milliseconds{120'000} ? fmt::format("{} min", span.count() / 60'000)
                                       : fmt::format("{:.1f} s", static_cast<double>(span.count()) / 1000);
}

}  // namespace

std::optional<Error> Regions::refusal(const Moment&) const {
  const replication::Standing& standing = membership_->standing();
  if (active() && journals_.rolled_back()) {
    Refusal refusal = refusal_of(Mode::kRolledBack);
    Error error = unavailable(refusal.code, refusal.advice);
    error.retry_after_ms = refusal.retry_after_ms;
    return error;
  }
  if (standing.takes_writes) return std::nullopt;
  Refusal refusal = refusal_of(standing.mode);
  if (standing.mode == Mode::kActive && membership_->leaving())
    refusal = {"draining", "The node leaves the cluster. Ask another one.", 10'000};
  Error error = unavailable(refusal.code, standing.detail.empty()
                                              ? refusal.advice
                                              : fmt::format("{} ({})", refusal.advice, standing.detail));
  error.retry_after_ms = refusal.retry_after_ms;
  return error;
}

std::optional<Error> Regions::reads_refusal() const {
  switch (membership_->standing().mode) {
    case Mode::kFenced:
      if (ledger_.books().applied.empty() || joining_.half()) return refusal({});
      return std::nullopt;  // a member's rows, old as they may be
    case Mode::kActive:
    case Mode::kRolledBack:
    case Mode::kForked:
      return std::nullopt;
    default:
      return refusal({});
  }
}

std::optional<Error> Regions::must_end() const {
  const replication::Standing& standing = membership_->standing();
  const char* reason = ending_of(standing.mode);
  if (reason == nullptr) return std::nullopt;
  return unavailable(reason, fmt::format("{}: {}{}", reason, refusal_of(standing.mode).advice,
                                         standing.detail.empty() ? "" : " (" + standing.detail + ")"));
}

// ---- one commit

std::string Regions::why_unsent(bool failed, const std::string& last_error) const {
  const replication::JournalReader* own = journals_.reader(self_.node);
  if (own != nullptr && own->parked()) {
    return fmt::format(
        "This node publishes nothing before it has read its own journal, which is parked ({}): {}",
        replication::park_reason_name(own->parked()->reason), own->parked()->help);
  }
  std::string why = journals_.own_end_seen()
                        ? "Kafka has not acknowledged it"
                        : "This node publishes nothing before it has read its own journal to the end";
  if (!last_error.empty()) why += ": " + last_error;
  return why + (failed ? ". It is sent again by itself; `refrain events retry` tries at once."
                       : ". It goes out by itself.");
}

Result<EventReport> Regions::event(const CommitId& asked, const Moment& now) const {
  CommitId id = asked;
  if (id.incarnation.value == 0) {
    auto current = membership_->table().current(id.node);
    if (!current) return not_found(fmt::format("'{}' is no node of this cluster.", id.node));
    id.incarnation = *current;
  }
  EventReport report;
  report.commit = id;
  Journal journal{id.node, id.incarnation};
  std::optional<replication::EventState> state;
  if (journal == self_) {
    if (id.seq <= ledger_.books().newest && id.seq.value > 0) {
      bool failed = journals_.publisher().report(now.steady).failed();
      replication::OwnProgress own{journals_.publisher().published(), ledger_.books().synced, stable_,
                                   failed};
      state = replication::own_event_state(knowledge(), own, id.seq);
      if (auto trouble = journals_.publisher().report(now.steady).trouble; trouble && id.seq > own.published)
        report.last_error = trouble->error;
    }
  } else {
    state = replication::other_event_state(knowledge(), id);
  }
  auto aside = store::Outbox::is_aside(ledger_.engine(), id);
  if (!aside) return aside.error();
  if (*aside) {
    report.state = std::string(replication::event_state_name(replication::EventState::kVoid));
    report.why =
        "It was written by a directory that was older than its own journal; it counts nowhere and is kept "
        "aside.";
    return report;
  }
  if (!state) return not_found(fmt::format("{} is no commit that this node knows of.", format_commit_id(id)));
  report.state = std::string(replication::event_state_name(*state));
  replication::Holders holders = replication::holders(knowledge(), id);
  report.applied_by = std::move(holders.has);
  report.waiting_for = std::move(holders.lacks);
  std::string& why = report.why;
  if (*state == replication::EventState::kPending || *state == replication::EventState::kFailed) {
    why = why_unsent(*state == replication::EventState::kFailed, report.last_error);
  }
  for (const NodeName& node : report.waiting_for) {
    auto current = membership_->table().current(node);
    if (node == self_.node || !current) continue;
    if (!why.empty()) why += " ";
    why += why_not({node, *current}, now);
  }
  return report;
}

/// Why a member lacks something of ours, and what to do.
std::string Regions::why_not(const Journal& reader, const Moment& now) const {
  auto heard = heard_at(reader);
  if (!heard)
    return fmt::format("{}: nothing heard of it since this node started; is it up, and can it reach Kafka?",
                       reader.node);
  Milliseconds silent = std::chrono::duration_cast<Milliseconds>(now.steady - *heard);
  if (silent > kSilentAfter)
    return fmt::format("{}: silent for {}; is it up, and can it reach Kafka?", reader.node, age(silent));
  auto tick = ledger_.books().ticks.find(reader);
  if (tick != ledger_.books().ticks.end() && tick->second.tick.gaps.contains(self_)) {
    return fmt::format("{}: misses our commits from {} on; they are being sent again.", reader.node,
                       tick->second.tick.gaps.at(self_).value);
  }
  return fmt::format(
      "{}: has not shown it yet; it was heard {} ago. If that lasts, look at `refrain sync` there.",
      reader.node, age(silent));
}

// ---- status

MemberReport Regions::member_report(Incarnation incarnation, const replication::Member& member,
                                    const Moment& now) const {
  MemberReport report;
  Journal journal{member.node, incarnation};
  report.node = member.node;
  report.region = member.traits.region;
  report.address = member.traits.address;
  report.incarnation = incarnation;
  report.state = std::string(replication::member_state_name(member.state));
  report.self = journal == self_;
  report.formats = member.traits.formats;
  if (report.self) {
    report.heard_ms = 0;
    return report;
  }
  auto heard = heard_at(journal);
  report.silent_ms =
      std::chrono::duration_cast<Milliseconds>(now.steady - heard.value_or(opened_at_)).count();
  if (member.state == MemberState::kOver) return report;
  if (member.state == MemberState::kJoining) {
    report.note = fmt::format("joining since {}: nothing becomes stable until it is active or evicted",
                              format_time(member.joined_at));
    return report;
  }
  if (heard) report.heard_ms = report.silent_ms;
  report.clock_offset_ms = journals_.clock_offset_ms(journal);
  replication::Lag behind = replication::lag(knowledge(), journal, self_);
  report.behind_commits = behind.commits;
  report.behind_ms = behind.time.count();
  replication::Lag lacking = replication::lag(knowledge(), self_, journal);
  report.we_lack_commits = lacking.commits;
  report.we_lack_ms = lacking.time.count();
  const replication::JournalReader* reader = journals_.reader(member.node);
  if (reader != nullptr && reader->parked()) {
    report.note = fmt::format("its journal is parked here: {}",
                              replication::park_reason_name(reader->parked()->reason));
  } else if (!heard || now.steady - *heard > kSilentAfter) {
    report.note = heard ? fmt::format("silent for {}",
                                      age(std::chrono::duration_cast<Milliseconds>(now.steady - *heard)))
                        : "not heard since this node started";
  } else if (member.traits.namespaces_hash != rules_hash_) {
    report.note = "config_mismatch: its request namespaces differ from ours";
  } else if (member.traits.formats.max < config_.formats.max) {
    report.note = fmt::format("its program reads up to format {}, this one {}: it can be upgraded",
                              member.traits.formats.max, config_.formats.max);
  }
  return report;
}

void Regions::describe(StatusReport& report, const Moment& now) const {
  const replication::Standing& standing = membership_->standing();
  report.mode = std::string(replication::mode_name(standing.mode));
  if (!standing.detail.empty()) report.mode += ": " + standing.detail;
  if (joining_.running()) report.mode += "; " + joining_.progress();
  report.format = ledger_.format();
  replication::LogHealth health = world_.log->health();
  report.kafka_reachable = health.reachable;
  report.kafka_reason = health.reason;
  report.kafka_since = kafka_since_;
  report.log_gauges = world_.log->gauges();

  replication::PublisherReport publisher = journals_.publisher().report(now.steady);
  using Breaker = resilience::CircuitBreaker::State;
  report.breaker.state = publisher.breaker == Breaker::kOpen       ? "open"
                         : publisher.breaker == Breaker::kHalfOpen ? "half_open"
                                                                   : "closed";
  if (publisher.trouble) {
    report.breaker.failures = publisher.trouble->failures;
    report.breaker.last_error = publisher.trouble->error;
    report.breaker.since =
        now.wall - std::chrono::duration_cast<Milliseconds>(now.steady - publisher.trouble->since);
  }
  if (publisher.next_attempt)
    report.breaker.next_attempt_ms =
        std::chrono::duration_cast<Milliseconds>(*publisher.next_attempt - now.steady).count();

  for (const auto& [incarnation, member] : membership_->table().members()) {
    if (member.state != MemberState::kOver) report.members.push_back(member_report(incarnation, member, now));
  }
  std::sort(report.members.begin(), report.members.end(),
            [](const MemberReport& a, const MemberReport& b) { return a.node < b.node; });
  describe_sync(report.sync, now);
  report.healed.assign(healed_.begin(), healed_.end());
  report.published = journals_.publisher().published();
  report.stable = stable_;
  if (stable_hlc_.value > 0) report.stable_time = stable_hlc_.wall();
  if (oldest_unsynced_)
    report.oldest_unsynced_ms = std::max<std::int64_t>(1, (now.wall - oldest_unsynced_->at).count());
  report.outbox_held_by = outbox_held_by();
  if (auto holder = outbox_holder()) {
    report.outbox_holder = holder->who.node;
    report.outbox_held_ms = std::max<std::int64_t>(0, (now.wall - holder->since).count());
  }
}

std::optional<replication::OutboxHolder> Regions::outbox_holder() const {
  if (!oldest_unsynced_) return std::nullopt;
  auto holders =
      replication::outbox_holders(knowledge(), journals_.publisher().published(), ledger_.books().newest);
  return holders.empty() ? std::nullopt : std::optional(holders.front());
}

std::string Regions::outbox_held_by() const {
  auto holder = outbox_holder();
  if (!holder) return "";
  return fmt::format("{} {} since {}", holder->who.node, why_holds(holder->why), format_time(holder->since));
}

void Regions::describe_sync(SyncReport& sync, const Moment& now) const {
  const replication::MembersTable& table = membership_->table();
  std::vector<Journal> journals = table.active();
  for (const Journal& ended : table.ended()) journals.push_back(ended);
  for (const Journal& reader : table.active()) {
    for (const Journal& journal : journals) {
      store::Applied applied = replication::reached(knowledge(), reader, journal);
      replication::Lag lag = replication::lag(knowledge(), reader, journal);
      SyncCell cell;
      cell.reader = reader.node;
      cell.journal = journal.node;
      cell.incarnation = journal.incarnation;
      cell.applied = applied.seq;
      cell.applied_at = applied.hlc.wall();
      cell.last_known = replication::last_known(knowledge(), journal).seq;
      cell.lag_commits = lag.commits;
      cell.lag_ms = lag.time.count();
      if (reader == self_ && journal != self_) {
        const replication::JournalReader* own = journals_.reader(journal.node);
        if (own != nullptr && own->parked()) {
          cell.why = fmt::format("parked: {}", replication::park_reason_name(own->parked()->reason));
        } else if (own != nullptr && own->unreachable()) {
          cell.why = *own->unreachable();
        } else if (own != nullptr && own->gaps().contains(journal)) {
          cell.why = fmt::format("commit {} is missing; its writer is asked to send it again",
                                 own->gaps().at(journal).value);
        }
      } else if (reader != self_ && lag.time > kSilentAfter) {
        cell.why = why_not(reader, now);
      }
      sync.cells.push_back(std::move(cell));
    }
  }
  sync.parked = parked();
}

std::vector<ParkedReport> Regions::parked() const {
  std::vector<ParkedReport> found;
  auto add = [&](const NodeName& node, const replication::JournalReader* reader) {
    if (reader == nullptr || !reader->parked()) return;
    const replication::Parked& parked = *reader->parked();
    found.push_back({node, std::string(replication::park_reason_name(parked.reason)), parked.first_affected,
                     parked.offset.value, parked.since, parked.detail, parked.help});
  };
  for (const auto& [node, reader] : journals_.readers()) add(node, reader.get());
  add(self_.node, journals_.reader(self_.node));
  return found;
}

MembersReport Regions::members(const Moment& now) const {
  MembersReport report;
  report.node = self_.node;
  report.incarnation = self_.incarnation;
  const replication::MembersTable& table = membership_->table();
  if (table.cluster().value != 0) report.cluster_id = table.cluster();
  report.n = table.n();
  report.hash = hex_encode(as_bytes(table.hash()));
  report.format = ledger_.format();
  report.active = active() && !journals_.rolled_back();
  report.waits_for_agreement = membership_->waits_for_agreement();
  report.waits_for = membership_->waits_for();
  for (const auto& [incarnation, member] : table.members())
    report.members.push_back(member_report(incarnation, member, now));
  std::sort(report.members.begin(), report.members.end(),
            [](const MemberReport& a, const MemberReport& b) { return a.node < b.node; });
  for (const replication::LoggedEntry& entry : membership_->entries()) {
    report.log.push_back({entry.entry.n, hex_encode(as_bytes(entry.hash)), entry.bytes});
  }
  return report;
}

void Regions::add_checks(std::vector<Check>& checks, const Moment& now) const {
  auto refused = refusal(now);
  checks.push_back(
      {"membership", !refused, true, refused ? refused->slug : "", refused ? refused->detail : ""});
  replication::LogHealth health = world_.log->health();
  std::string since = kafka_since_ ? fmt::format(" since {}", format_time(*kafka_since_)) : "";
  checks.push_back(
      {"kafka", health.reachable, false, "",
       health.reachable
           ? ""
           : fmt::format("Kafka unreachable{}: {}. Writes and reads go on; commits stay pending.", since,
                         health.reason)});
  // Without Kafka the members log is out of reach, too: one cause is enough.
  if (health.reachable && !membership_->trouble().empty())
    checks.push_back({"members log", false, false, "", membership_->trouble()});
  if (std::string why = journals_.own_topic_trouble(); health.reachable && !why.empty()) {
    while (why.ends_with('.')) why.pop_back();
    checks.push_back(
        {"own journal", false, false, "",
         fmt::format("The topic of this node's journal cannot be made: {}. Commits stay pending.", why)});
  }
  auto trouble = journals_.publisher().report(now.steady).trouble;
  if (health.reachable && trouble) {
    checks.push_back(
        {"publishing", false, false, "",
         fmt::format("Publishing fails: {}. Commits stay pending and are sent again.", trouble->error)});
  }
  for (const ParkedReport& parked : this->parked()) {
    checks.push_back({"journal " + parked.journal, false, false, "",
                      fmt::format("The journal of {} is parked ({}) since {}: {}. {}", parked.journal,
                                  parked.reason, format_time(parked.since), parked.detail, parked.help)});
  }
  for (const Journal& journal : membership_->table().active()) {
    if (journal == self_) continue;
    auto heard = heard_at(journal);
    if (heard && now.steady - *heard > kSilentAfter) {
      checks.push_back({"member " + journal.node, false, false, "", why_not(journal, now)});
    }
    const replication::Member* member = membership_->table().find(journal.incarnation);
    if (member != nullptr && member->traits.namespaces_hash != rules_hash_) {
      checks.push_back({"config " + journal.node, false, false, "",
                        fmt::format("config_mismatch: the request namespaces of {} differ from ours. Give "
                                    "all members the same `requests`.",
                                    journal.node)});
    }
  }
}

}  // namespace refrain::node
