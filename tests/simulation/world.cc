// SPDX-License-Identifier: Apache-2.0
#include "world.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/text.h"
#include "clients.h"
#include "digest_truth.h"
#include "oracle.h"
#include "outbox_truth.h"
#include "programs.h"
#include "replication/codec.h"
#include "store/meta.h"

namespace refrain::simulation {
namespace {

constexpr Milliseconds kGatherTime{60'000};  // to become members, undisturbed
constexpr Milliseconds kAgreeTime{120'000};  // to agree, once mended
constexpr Milliseconds kForgetTime{20'000};
constexpr Milliseconds kLook{500};
constexpr Milliseconds kOrdersShow{1'500};  // in every node's report
constexpr Milliseconds kMaxDrift{500};      // clock.max_drift
constexpr Milliseconds kHelpEvery{1'500};   // an operator helps a parked journal again after this
constexpr Milliseconds kAnswerTime{5'000};  // of a call, once mended

}  // namespace

World::World(Plan plan, bool print_trace)
    : plan_(std::move(plan)),
      root_(plan_.seed),
      trace_(print_trace),
      log_dice_(root_.stream("log")),
      broker_(std::make_shared<replication::MemoryBroker>()),
      cut_off_until_(nodes()),
      kafka_cut_until_(nodes()),
      full_until_(nodes()),
      deaf_until_(nodes()),
      clock_wrong_until_(nodes()),
      clock_was_wrong_(nodes()),
      ghost_(nodes()),
      helped_(nodes()),
      newest_minted_(nodes()),
      arrived_(nodes(), true),
      rejoined_(nodes()) {
  for (std::size_t i = 0; i < nodes(); ++i) {
    auto reach = [this, i](const std::string& address) -> Machine* {
      Machine* other = machine_of(address);
      if (other == nullptr || now_ < cut_off_until_[i] || now_ < deaf_until_[i]) return nullptr;
      return other->up() && now_ >= cut_off_until_[other->index()] ? other : nullptr;
    };
    peers_.push_back(
        std::make_unique<SimPeers>(now_, root_.stream(fmt::format("peers {}", kNames[i])), reach));
    Machine::Ties ties{now_,
                       broker_,
                       peers_.back().get(),
                       [this, i](const store::View& view) {
                         look(i, view);
                         check_clock(i);
                       },
                       [this](const std::string& text) { trace(text); },
                       [this, i](const store::View& view) { look_at_opened(i, view); }};
    topics_.emplace_back(NodeName(kNames[i]));
    machines_.push_back(
        std::make_unique<Machine>(i, config_of(i), i == 0, root_.stream(kNames[i]), std::move(ties)));
    if (i < plan_.begins_next.size() && plan_.begins_next[i]) machines_[i]->set_formats(kNextProgram);
  }
}

World::~World() {
  for (auto& machine : machines_) machine->crash();
}

node::Config World::config_of(std::size_t index) const {
  node::Config config;
  config.cluster = cluster_;
  std::string name(kNames[index]);
  config.node = {name, name, "simulated"};
  config.http.advertise = name;
  config.kafka.brokers = {"simulated"};
  config.publish.window = static_cast<std::uint32_t>(plan_.window);
  config.publish.attempt_timeout = Milliseconds{1'500};
  config.publish.retry = {Milliseconds{100}, Milliseconds{800}};
  config.publish.breaker = {5, Milliseconds{2'000}};
  config.collector.rows = 5;                       // so that a walk takes several steps here, too
  config.digest_deltas = index == 0 ? 40 : 1'000;  // one writes the whole of it often
  configure_requests(config);
  return config;
}

Machine* World::machine_of(const NodeName& name) {
  auto found = std::ranges::find(machines_, name, [](const auto& machine) { return machine->name(); });
  return found == machines_.end() ? nullptr : found->get();
}

Verdict World::run() {
  gather();
  if (!ended_badly()) disturb();
  mend();
  if (!ended_badly()) agree();
  if (!ended_badly()) ask_for_responses();
  if (!ended_badly()) settle_void();
  if (!ended_badly()) check_everything(*this);
  if (!ended_badly() && plan_.forgets) forget();
  for (const auto& [fault, times] : broker_->fault_counts()) hit("log: " + fault, times);
  return {wrongs_, trace_.hash(), trace_.lines(), branches_};
}

void World::wrong(const std::string& text) {
  trace("WRONG " + text);
  wrongs_.push_back(text);
}

// ---- events

bool World::run_until(SteadyNs end, const std::function<bool()>& enough) {
  while (!ended_badly() && !enough()) {
    if (!next_event(end)) return enough();
  }
  return !ended_badly();
}

/// The earliest of all; of several at one instant first timers, then nodes in their order. False when none is
/// left before `end`.
bool World::next_event(SteadyNs end) {
  SteadyNs earliest =
      timers_.empty() ? SteadyNs{std::numeric_limits<std::int64_t>::max()} : timers_.begin()->first;
  Machine* next = nullptr;
  for (auto& machine : machines_) {
    auto steps_at = machine->steps_at();
    if (!steps_at || *steps_at >= earliest) continue;
    earliest = *steps_at;
    next = machine.get();
  }
  if (earliest > end) {
    now_ = end;
    return false;
  }
  now_ = std::max(now_, earliest);
  if (next != nullptr) {
    next->step();
    hit("world: steps");
    if (auto error = next->node().must_end()) must_end(*next, *error);
  } else {
    auto timer = timers_.extract(timers_.begin());
    timer.mapped()();
  }
  run_deferred();
  for (const std::string& text : ghost_.wrongs()) wrong(text);
  return true;
}

/// A new disk may meet its name's old ticks, read late, and take them for life: its supervisor starts it
/// again.
void World::must_end(Machine& machine, const Error& why) {
  if (why.slug == "newer_format") return told_to_upgrade(machine, why);
  if (!plan_.changes || why.slug != "name_in_use")
    return wrong(fmt::format("{} must end: {}", machine.name(), why.detail));
  hit("name in use");
  machine.crash();
  reports_.erase(machine.index());
  after(Milliseconds{500}, [this, &machine] { start(machine); });
}

void World::run_deferred() {
  while (!deferred_.empty()) {
    std::vector<std::function<void()>> due;
    due.swap(deferred_);
    for (auto& what : due) what();
  }
}

// ---- the course of a world

void World::start(Machine& machine) {
  if (machine.up()) return;
  trace(fmt::format("{} starts", machine.name()));
  if (auto started = machine.start(); !started) {
    hit("start failed: " + started.error().slug);
    trace(fmt::format("{} could not start: {}", machine.name(), started.error().detail));
    bool again = started.error().code == Code::kUnavailable || started.error().code == Code::kUnknown;
    if (!again) wrong(fmt::format("{} cannot start: {}", machine.name(), started.error().detail));
    after(Milliseconds{200}, [this, &machine] { start(machine); });
  }
}

void World::gather() {
  // Who joins late may have a slow clock: it must start above what the others have said of all.
  for (auto& machine : machines_) {
    Dice dice = root_.stream(fmt::format("first clock of {}", machine->name()));
    if (dice.chance(0.2)) machine->clock().set_offset(Milliseconds{dice.between(-400, 0)});
  }
  int first = plan_.nodes - plan_.late;
  for (auto& machine : machines_) {
    arrived_[machine->index()] = static_cast<int>(machine->index()) < first;
    if (arrived_[machine->index()]) start(*machine);
  }
  auto all_active = [this, first] {
    return std::cmp_equal(reports_.size(), first) &&
           std::ranges::all_of(reports_, [first](const auto& entry) {
             return std::ranges::count(entry.second.members, "active", &node::MemberReport::state) == first;
           });
  };
  ask_for_reports();
  if (!run_until(now_ + kGatherTime, all_active))
    wrong("the nodes did not become members: " + disagreement());
  for (std::size_t i = 0; i < nodes(); ++i) first_.push_back(incarnation_of(i));
}

void World::disturb() {
  trace("disturbed from here on");
  for (auto& machine : machines_) machine->clock().mend();
  fault_dice_ = std::make_unique<Dice>(root_.stream("faults"));
  broker_->set_faults(plan_.log_faults, fault_dice_.get());
  for (const Action& action : plan_.actions) after(action.at, [this, action] { act(action); });
  clients_ = std::make_unique<Clients>(*this);
  clients_->start();
  run_until(now_ + plan_.disturbed, [] { return false; });
}

void World::mend() {
  trace("mended from here on");
  mended_ = true;
  mended_at_ = now_;
  helped_.assign(nodes(), now_);
  if (clients_) clients_->stop();
  broker_->set_faults({}, &log_dice_);
  end_with_next_program();
  for (auto& machine : machines_) {
    cut_off_until_[machine->index()] = now_;
    kafka_cut_until_[machine->index()] = now_;
    deaf_until_[machine->index()] = now_;
    machine->clock().mend();
    machine->set_disk_full(false);
    machine->slow_until(now_, Milliseconds{0});
    machine->pause_until(now_);
    arrived_[machine->index()] = true;
    start(*machine);
    if (!machine->up()) continue;
    machine->log().set_connected(true);
    machine->log().set_deaf(false);
  }
}

void World::agree() {
  if (!run_until(now_ + kAgreeTime, [this] { return agreed(); }) && !ended_badly())
    wrong("the nodes did not agree: " + disagreement());
}

/// Every node has taken in every commit that says something, and knows that all have its own.
bool World::agreed() {
  std::map<Journal, Seq> newest;
  for (const auto& [id, commit] : ghost_.commits()) {
    if (!commit.says_nothing) newest[{id.node, id.incarnation}] = id.seq;
  }
  std::erase_if(newest, [this](const auto& entry) { return end_of(entry.first).has_value(); });
  for (auto& machine : machines_) {
    // A fault that was armed before the end of the faults may hit later: the store is opened again then.
    if (!machine->up() || !machine->node().get("orders", "any")) return false;
    const store::AppliedTable& applied = ghost_.node(machine->index()).applied;
    for (const auto& [journal, seq] : newest) {
      auto found = applied.find(journal);
      if (found == applied.end() || found->second.seq < seq) return false;
      auto report = reports_.find(machine->index());
      if (journal.node == machine->name() && (report == reports_.end() || report->second.synced < seq))
        return false;
    }
    if (!ended_alike(*machine)) return false;
  }
  return formats_settled();
}

/// It is an active member again, and has of each ended journal what the others have.
bool World::ended_alike(Machine& machine) {
  if (!plan_.changes) return true;
  auto report = reports_.find(machine.index());
  // As of a while after the last order was given: what came of it is in it.
  if (report == reports_.end() || report->second.mode != "active" || now_ < mended_at_ + kOrdersShow ||
      report->second.incarnation != incarnation_of(machine.index()))
    return false;
  auto ended = [this](std::size_t index) {
    store::AppliedTable table;
    for (const auto& [journal, applied] : ghost_.node(index).applied) {
      if (end_of(journal)) table.emplace(journal, applied);
    }
    return table;
  };
  return ended(machine.index()) == ended(0);
}

/// Once everybody has everything, all that may be forgotten goes, and then still nothing comes back.
void World::forget() {
  trace("all is forgotten that may be");
  in_open_conflict_ = rows_in_open_conflict(*this);
  const WallMs ended = machines_[0]->clock().wall();
  bool gone = false;
  std::function<void()> look = [&] {
    gone = forgetting_.all_gone(ended);
    if (!gone) after(kLook, look);
  };
  look();
  if (!run_until(now_ + kForgetTime, [&] { return gone; }) && !ended_badly())
    wrong("rows that may be forgotten stay");
  if (!ended_badly()) check_everything(*this);
}

void World::ask_for_responses() {
  clients_->ask_for_responses();
  if (!run_until(now_ + kAnswerTime, [this] { return clients_->answered(); }) && !ended_badly())
    wrong("a begin got no answer");
  if (!ended_badly()) agree();  // on what calls that still stood in line have written
}

std::string World::disagreement() {
  std::string text;
  for (const auto& [index, report] : reports_) {
    text +=
        fmt::format("\n    {}: {} {}; newest {}, published {}, synced {}; applied", report.node, report.mode,
                    report.cause, report.newest.value, report.published.value, report.synced.value);
    for (const auto& [journal, applied] : ghost_.node(index).applied)
      text += fmt::format(" {}={}", journal.node, applied.seq.value);
    for (const node::ParkedReport& parked : report.sync.parked)
      text += fmt::format("; parked {}: {} {}", parked.journal, parked.reason, parked.detail);
    for (const node::Check& check : report.checks) {
      if (!check.ok) text += fmt::format("; {}: {}", check.name, check.detail);
    }
  }
  return text;
}

void World::ask_for_reports() {
  for (auto& machine : machines_) {
    if (!machine->up()) continue;
    machine->node().status(
        answer<node::StatusReport>(*machine, [this, &machine = *machine](Result<node::StatusReport> report) {
          if (report) take_report(machine, std::move(*report));
        }));
  }
  after(kLook, [this] { ask_for_reports(); });
}

void World::take_report(Machine& machine, node::StatusReport report) {
  std::size_t index = machine.index();
  look_at_topic(index);
  check_claims(machine, report);
  check_formats(machine, report);
  help_parked(machine, report);
  help_member(machine, report);
  if (report.breaker.state == "open") hit("reported: breaker open");
  for (const node::ParkedReport& parked : report.sync.parked) {
    hit("reported: parked " + parked.reason);
    // Nothing that is still to come lies at or below a floor.
    if (parked.reason == "clock_regressed")
      wrong(fmt::format("{} parked {}'s journal: {}", machine.name(), parked.journal, parked.detail));
  }
  auto before = reports_.find(index);
  if (before == reports_.end() || before->second.mode != report.mode)
    hit("mode: " + report.mode.substr(0, report.mode.find(':')));
  reports_[index] = std::move(report);
}

/// What stands in a node's topic must be on its disk: else a power cut could make the same version twice.
void World::look_at_topic(std::size_t index) {
  Machine& machine = *machines_[index];
  TopicWatch& topic = topics_[index];
  topic.look(*broker_, topic_of(machine.name()));
  for (const auto& [journal, durable] : ghost_.node(index).durable) {
    if (journal == Journal{machine.name(), incarnation_of(index)} &&
        topic.newest(journal.incarnation) > durable.seq)
      wrong(fmt::format("{} published commit {} before it was synced", machine.name(),
                        topic.newest(journal.incarnation).value));
  }
}

void World::look(std::size_t index, const store::View& view) {
  ghost_.look(index, view, machines_[index]->disk().unsynced() == 0);
  requests_.look(index);
  forgetting_.look(index, view);
  constexpr std::uint64_t kWholeEvery = 1024;
  if (++looks_ % kWholeEvery != 0) return;
  if (auto misfit = outbox_misfit(machines_[index]->disk()))
    wrong(fmt::format("{}: {}", machines_[index]->name(), *misfit));
  if (auto misfit = digest_misfit(machines_[index]->disk(), false))
    wrong(fmt::format("{}: {}", machines_[index]->name(), *misfit));
}

bool World::has_written(std::size_t index) const {
  return ghost_.node(index).applied.contains({machines_[index]->name(), incarnation_of(index)});
}

/// What it holds may have been minted before its clock was stepped back.
void World::look_at_opened(std::size_t index, const store::View& view) {
  ghost_.look(index, view, machines_[index]->disk().unsynced() == 0);
  requests_.look(index);
  forgetting_.look_at_opened(index, view);
  newest_minted_[index] = ghost_.newest_of(machines_[index]->name()).value_or(Hlc{});
  check_cursors(index, view);
}

/// What a journal's cursor has passed must be in the data beside it: or a crash has lost it.
void World::check_cursors(std::size_t index, const store::View& view) {
  auto cursors = store::Meta::cursors(view);
  if (!topics_whole_ || !cursors) return;
  for (const auto& writer : machines_) {
    auto cursor = cursors->find(writer->name());
    if (writer->index() == index || cursor == cursors->end()) continue;
    TopicWatch passed(writer->name());
    passed.look(*broker_, topic_of(writer->name()), cursor->second.next);
    for (const auto& [incarnation, seq] : passed.whole()) {
      if (!ghost_.commits().contains({writer->name(), incarnation, seq})) continue;  // a stranger's
      if (endings_.contains(incarnation)) continue;                                  // beyond its end
      const store::AppliedTable& applied = ghost_.node(index).applied;
      auto found = applied.find({writer->name(), incarnation});
      if (found == applied.end() || found->second.seq < seq)
        wrong(fmt::format("{} opened with a cursor past {}'s commit {}, which it has not applied",
                          machines_[index]->name(), writer->name(), seq.value));
    }
  }
}

/// No node mints versions further ahead of its clock than it may.
void World::check_clock(std::size_t index) {
  Machine& machine = *machines_[index];
  const std::optional<Hlc> newest = ghost_.newest_of(machine.name());
  if (!newest || *newest == newest_minted_[index]) return;
  newest_minted_[index] = *newest;
  Milliseconds ahead = newest->wall() - machine.clock().wall();
  if (ahead > kMaxDrift)
    wrong(fmt::format("{} minted a version {} ms ahead of its clock", machine.name(), ahead.count()));
}

/// A node may say too little of what others have, never too much.
void World::check_claims(Machine& machine, const node::StatusReport& report) {
  const NodeName& name = machine.name();
  if (topics_whole_ && report.published > topics_[machine.index()].whole(report.incarnation))
    wrong(fmt::format("{} says published up to {}, but its topic is whole up to {}", name,
                      report.published.value, topics_[machine.index()].whole(report.incarnation).value));
  if (report.mode != "active") return;
  std::vector<Journal> members;
  for (const node::MemberReport& member : report.members) {
    if (member.state == "active") members.push_back({member.node, member.incarnation});
  }
  std::vector<Journal> had_to;
  std::ranges::copy_if(members, std::back_inserter(had_to), [&](const Journal& member) {
    return !plan_.changes || synced_since(machine, member, report.synced);
  });
  if (report.synced.value > 0)
    check_durable({name, report.incarnation, report.synced}, had_to, name + " says synced");
  if (report.stable.value > 0)
    check_durable({name, report.incarnation, report.stable}, members, name + " says stable");
  auto before = reports_.find(machine.index());
  bool same_life = before != reports_.end() && before->second.incarnation == report.incarnation &&
                   report.batches >= before->second.batches;  // else the store was opened again
  if (same_life && (report.synced < before->second.synced || report.stable < before->second.stable ||
                    report.stable_time < before->second.stable_time))
    wrong(fmt::format("{} says less is synced or stable than it said before", name));
  if (!report.stable_time) return;
  Hlc stable = Hlc::of(*report.stable_time);  // S itself is not shown, only its milliseconds
  ghost_.promise_stable({stable.value == 0 ? 0 : stable.value - 1});
  if (report.floor_time > report.stable_time) wrong(fmt::format("{}'s floor is ahead of S", name));
  for (auto& writer : machines_) {
    for (const auto& [journal, applied] : ghost_.node(writer->index()).applied) {
      Seq newest = journal.node == writer->name() ? ghost_.newest_below(journal, stable) : Seq{};
      if (endings_.contains(journal.incarnation)) newest = std::min(newest, others_have(journal, members));
      if (newest.value > 0)
        check_durable({journal.node, journal.incarnation, newest}, members, name + " says S has passed it");
    }
  }
}

/// What any of the members, but its own node, has on its disk of a journal.
Seq World::others_have(const Journal& journal, const std::vector<Journal>& members) const {
  Seq most;
  for (const auto& machine : machines_) {
    Journal self{machine->name(), incarnation_of(machine->index())};
    if (std::ranges::find(members, self) == members.end()) continue;
    const store::AppliedTable& durable = ghost_.node(machine->index()).durable;
    auto found = durable.find(journal);
    bool own = machine->name() == journal.node && incarnation_of(machine->index()) == journal.incarnation;
    if (!own && found != durable.end()) most = std::max(most, found->second.seq);
  }
  return most;
}

void World::check_durable(const CommitId& commit, const std::vector<NodeName>& nodes,
                          const std::string& who_says) {
  check_durable(commit, journals_of(nodes), who_says);
}

std::vector<Journal> World::journals_of(const std::vector<NodeName>& names) const {
  std::vector<Journal> disks;
  for (const auto& machine : machines_) {
    bool named = std::ranges::find(names, machine->name()) != names.end();
    // A name may mean an incarnation that is gone, or one that is not yet a member.
    bool doubtful = plan_.changes && (machine->life() == 0 || changed(*machine));
    if (named && !doubtful) disks.push_back({machine->name(), incarnation_of(machine->index())});
  }
  return disks;
}

/// It is not what it was at first.
bool World::changed(const Machine& machine) const {
  return static_cast<int>(machine.index()) >= plan_.nodes - plan_.late ||
         incarnation_of(machine.index()) != first_[machine.index()] ||
         endings_.contains(incarnation_of(machine.index()));
}

void World::check_durable(const CommitId& commit, const std::vector<Journal>& nodes,
                          const std::string& who_says) {
  for (const auto& machine : machines_) {
    Journal self{machine->name(), incarnation_of(machine->index())};
    if (std::ranges::find(nodes, self) == nodes.end()) continue;
    const store::AppliedTable& durable = ghost_.node(machine->index()).durable;
    auto found = durable.find({commit.node, commit.incarnation});
    if (found == durable.end() || found->second.seq < commit.seq)
      wrong(fmt::format("{}: {}, but {} has it only up to {} on its disk", who_says, format_commit_id(commit),
                        machine->name(), found == durable.end() ? 0 : found->second.seq.value));
  }
}

std::vector<NodeName> World::names() const {
  std::vector<NodeName> names;
  for (const auto& machine : machines_) names.push_back(machine->name());
  return names;
}

/// An operator who does what the node says helps: lets it read on, past the record that cannot be read.
void World::help_parked(Machine& machine, const node::StatusReport& report) {
  std::size_t index = machine.index();
  if (report.sync.parked.empty() || now_ - helped_[index] < kHelpEvery) return;
  helped_[index] = now_;
  for (const node::ParkedReport& parked : report.sync.parked) {
    if (parked.reason == "clock_skew") continue;  // goes by itself
    if (needs_next_program(parked)) continue;     // goes with the program
    std::optional<Offset> skip;
    if (parked.offset) skip = Offset{*parked.offset};
    trace(fmt::format("an operator resumes {} at {}{}", parked.journal, machine.name(),
                      skip ? fmt::format(", without offset {}", skip->value) : ""));
    hit("operator: resume");
    machine.node().resume_journal(parked.journal, skip,
                                  answer<void>(machine, [this](const Result<void>& done) {
                                    if (!done) hit("resume: " + done.error().slug);
                                  }));
  }
}

// ---- faults by plan

void World::act(const Action& action) {
  if (mended_) return;
  Machine& machine = *machines_[static_cast<std::size_t>(action.node)];
  trace(describe(action));
  hit(std::string(act_name(action.act)));
  switch (action.act) {
    case Act::kCrash:
    case Act::kPowerCut:
      return go_down(machine, action);
    case Act::kKafkaAway:
      for (auto& other : machines_) cut_off(*other, action.length, true);
      return;
    case Act::kCutOff:
      return cut_off(machine, action.length, action.amount == 0);
    case Act::kKafkaReplaced:
    case Act::kKafkaMirrored:
    case Act::kDeaf:
      return act_on_kafka(machine, action);
    case Act::kTopicLost:
    case Act::kTopicCut:
    case Act::kTopicFront:
    case Act::kForeign:
    case Act::kGarbage:
    case Act::kFlip:
      return act_on_topic(machine, action);
    case Act::kArrive:
    case Act::kLoseDisk:
    case Act::kEvict:
    case Act::kLeave:
    case Act::kRejoin:
    case Act::kMembersLost:
    case Act::kMembersCut:
    case Act::kBackUp:
    case Act::kAllLost:
      return act_on_members(machine, action);
    case Act::kUpgrade:
    case Act::kGoBack:
      return act_on_program(machine, action);
    default:
      return act_on_machine(machine, action);
  }
}

void World::cut_off(Machine& machine, Nanoseconds length, bool of_peers_too) {
  SteadyNs& until = kafka_cut_until_[machine.index()];
  until = std::max(until, now_ + length);
  SteadyNs& of_peers = cut_off_until_[machine.index()];
  if (of_peers_too) of_peers = std::max(of_peers, now_ + length);
  machine.log().set_connected(false);
  at(until, [this, &machine, until] {
    if (kafka_cut_until_[machine.index()] <= until) machine.log().set_connected(true);
  });
}

void World::act_on_kafka(Machine& machine, const Action& action) {
  std::size_t index = machine.index();
  if (action.act == Act::kDeaf) {
    deaf_until_[index] = now_ + action.length;
    machine.log().set_deaf(true);
    return after(action.length, [this, &machine] {
      if (now_ >= deaf_until_[machine.index()]) machine.log().set_deaf(false);
    });
  }
  if (action.act == Act::kKafkaMirrored) return broker_->move_to_mirror();
  for (std::size_t i = 0; i < nodes(); ++i) look_at_topic(i);
  topics_whole_ = false;
  broker_->replace_cluster();
  for (TopicWatch& topic : topics_) topic.again();
}

void World::act_on_topic(Machine& machine, const Action& action) {
  look_at_topic(machine.index());
  std::string topic = topic_of(machine.name());
  auto records = broker_->records(topic);
  auto amount = std::min<std::size_t>(records.size(), static_cast<std::size_t>(action.amount));
  if (action.act == Act::kForeign) {
    // As by a node of another cluster that was pointed at this one's Kafka.
    store::Commit commit;
    commit.node = machine.name();
    commit.incarnation = {0xF0F0};
    commit.seq = {1};
    commit.hlc = Hlc::of(kEpoch);
    commit.operations.emplace_back(store::Put{"orders", "k0", "another cluster's", std::nullopt, {}});
    return broker_->inject(topic, replication::encode(commit, ClusterId{0xF0F0F0F0}));
  }
  if (action.act == Act::kGarbage) return broker_->inject(topic, std::string("no record\0\xFF", 11));
  if (records.empty()) return;
  topics_whole_ = false;
  if (action.act == Act::kTopicLost) {
    broker_->delete_topic(topic);
    topics_[machine.index()].again();
  } else if (action.act == Act::kTopicCut) {
    broker_->truncate_back(topic, records[records.size() - amount].offset);
    topics_[machine.index()].again();
  } else if (action.act == Act::kTopicFront) {
    broker_->truncate_front(topic, {records.back().offset.value + 1 - static_cast<std::int64_t>(amount)});
  } else {
    std::size_t which = fault_dice_->below(amount);
    const replication::Record& record = records[records.size() - 1 - which];
    broker_->flip_bit(topic, record.offset, fault_dice_->below(record.bytes.size() * 8));
  }
}

void World::act_on_machine(Machine& machine, const Action& action) {
  std::size_t index = machine.index();
  if (action.act == Act::kSkew || action.act == Act::kDrift || action.act == Act::kFreeze)
    clock_was_wrong_[index] = true;
  switch (action.act) {
    case Act::kPause:
      return machine.pause_until(now_ + action.length);
    case Act::kSkew:
      return machine.clock().set_offset(Milliseconds{action.amount});
    case Act::kDrift:
    case Act::kFreeze:
      clock_wrong_until_[index] = now_ + action.length;
      machine.clock().set_drift(action.act == Act::kFreeze ? -1'000 : action.amount);
      return after(action.length, [this, &machine] {
        if (now_ >= clock_wrong_until_[machine.index()]) machine.clock().set_drift(0);
      });
    case Act::kSyncFails:
      return machine.disk().fail_next(store::SimFault::kSyncFails);
    case Act::kWriteFails:
      return machine.disk().fail_next(store::SimFault::kWriteFails);
    case Act::kDiskFull:
      full_until_[index] = now_ + action.length;
      machine.set_disk_full(true);
      return after(action.length, [this, &machine] {
        if (now_ >= full_until_[machine.index()]) machine.set_disk_full(false);
      });
    case Act::kSlowDisk:
      return machine.slow_until(now_ + action.length, Milliseconds{action.amount});
    default:
      if (machine.up()) machine.node().retry_events(answer<void>(machine, [](const Result<void>&) {}));
  }
}

void World::go_down(Machine& machine, const Action& action) {
  if (!machine.up()) return;
  if (action.act == Act::kPowerCut) {
    look_at_topic(machine.index());
    std::size_t unsynced = machine.disk().unsynced();
    hit("power cut with unsynced batches", unsynced > 0 ? 1 : 0);
    machine.power_cut(std::min(unsynced, static_cast<std::size_t>(action.amount)));
  } else {
    machine.crash();
  }
  reports_.erase(machine.index());
  after(action.length, [this, &machine] { start(machine); });
}

}  // namespace refrain::simulation
