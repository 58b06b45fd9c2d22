// SPDX-License-Identifier: Apache-2.0
#include "world.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "base/text.h"
#include "clients.h"
#include "oracle.h"

namespace refrain::simulation {
namespace {

constexpr const char* kNames[kNodes] = {"eu", "us", "ap"};
constexpr Milliseconds kGatherTime{60'000};  // to become members, undisturbed
constexpr Milliseconds kAgreeTime{120'000};  // to agree, once mended
constexpr Milliseconds kAnswerTime{5'000};   // of a call, once mended
constexpr Milliseconds kLook{100};

std::string topic_of(const NodeName& node) {
  return "refrain.sim.journal." + node;
}

}  // namespace

World::World(Plan plan, bool print_trace)
    : plan_(std::move(plan)),
      root_(plan_.seed),
      trace_(print_trace),
      log_dice_(root_.stream("log")),
      broker_(std::make_shared<replication::MemoryBroker>()),
      cut_off_until_(kNodes),
      full_until_(kNodes),
      ghost_(kNodes) {
  for (std::size_t i = 0; i < kNodes; ++i) {
    auto reach = [this, i](const std::string& address) -> Machine* {
      auto found = std::ranges::find(kNames, address);
      if (found == std::end(kNames) || now_ < cut_off_until_[i]) return nullptr;
      Machine& other = *machines_[static_cast<std::size_t>(found - kNames)];
      return other.up() && now_ >= cut_off_until_[other.index()] ? &other : nullptr;
    };
    peers_.push_back(
        std::make_unique<SimPeers>(now_, root_.stream(fmt::format("peers {}", kNames[i])), reach));
    Machine::Ties ties{now_, broker_, peers_.back().get(),
                       [this, i](const store::View& view) {
                         ghost_.look(i, view);
                         requests_.look(i);
                       },
                       [this](const std::string& text) { trace(text); }};
    topics_.emplace_back(kNames[i]);
    machines_.push_back(
        std::make_unique<Machine>(i, config_of(i), i == 0, root_.stream(kNames[i]), std::move(ties)));
  }
}

World::~World() {
  for (auto& machine : machines_) machine->crash();
}

node::Config World::config_of(std::size_t index) const {
  node::Config config;
  config.cluster = "sim";
  config.node = {kNames[index], kNames[index], "simulated"};
  config.http.advertise = kNames[index];
  config.kafka.brokers = {"simulated"};
  config.publish.window = static_cast<std::uint32_t>(plan_.window);
  config.publish.attempt_timeout = Milliseconds{1'500};
  config.publish.retry = {Milliseconds{100}, Milliseconds{800}};
  config.publish.breaker = {5, Milliseconds{2'000}};
  configure_requests(config);
  return config;
}

Verdict World::run() {
  gather();
  if (!ended_badly()) disturb();
  mend();
  if (!ended_badly()) agree();
  if (!ended_badly()) ask_for_responses();
  if (!ended_badly()) check_everything(*this);
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
    if (auto error = next->node().must_end())
      wrong(fmt::format("{} must end: {}", next->name(), error->detail));
  } else {
    auto timer = timers_.extract(timers_.begin());
    timer.mapped()();
  }
  run_deferred();
  for (const std::string& text : ghost_.wrongs()) wrong(text);
  return true;
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
    if (started.error().code != Code::kUnavailable)
      wrong(fmt::format("{} cannot start: {}", machine.name(), started.error().detail));
    after(Milliseconds{200}, [this, &machine] { start(machine); });
  }
}

void World::gather() {
  for (auto& machine : machines_) start(*machine);
  auto all_active = [this] {
    return reports_.size() == kNodes && std::ranges::all_of(reports_, [](const auto& entry) {
             return std::ranges::count(entry.second.members, "active", &node::MemberReport::state) == kNodes;
           });
  };
  ask_for_reports();
  if (!run_until(now_ + kGatherTime, all_active))
    wrong("the nodes did not become members: " + disagreement());
}

void World::disturb() {
  trace("disturbed from here on");
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
  if (clients_) clients_->stop();
  broker_->set_faults({}, &log_dice_);
  for (auto& machine : machines_) {
    cut_off_until_[machine->index()] = now_;
    machine->clock().set_offset(Milliseconds{0});
    machine->set_disk_full(false);
    machine->pause_until(now_);
    start(*machine);
    if (machine->up()) machine->log().set_connected(true);
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
  }
  return true;
}

void World::ask_for_responses() {
  clients_->ask_for_responses();
  if (!run_until(now_ + kAnswerTime, [this] { return clients_->answered(); }) && !ended_badly())
    wrong("a begin got no answer");
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
  topics_[index].look(*broker_, topic_of(machine.name()));
  if (topics_whole_ && report.published > topics_[index].whole(report.incarnation))
    wrong(fmt::format("{} says published up to {}, but its topic is whole up to {}", machine.name(),
                      report.published.value, topics_[index].whole(report.incarnation).value));
  if (report.breaker.state == "open") hit("reported: breaker open");
  for (const node::ParkedReport& parked : report.sync.parked) hit("reported: parked " + parked.reason);
  auto before = reports_.find(index);
  if (before == reports_.end() || before->second.mode != report.mode) hit("mode: " + report.mode);
  reports_[index] = std::move(report);
}

// ---- faults by plan

void World::act(const Action& action) {
  if (mended_) return;
  Machine& machine = *machines_[static_cast<std::size_t>(action.node)];
  std::size_t index = machine.index();
  trace(describe(action));
  hit(std::string(act_name(action.act)));
  switch (action.act) {
    case Act::kCrash:
    case Act::kPowerCut:
      return go_down(machine, action);
    case Act::kKafkaAway:
    case Act::kCutOff:
      for (auto& other : machines_) {
        if (action.act == Act::kCutOff && other.get() != &machine) continue;
        SteadyNs& until = cut_off_until_[other->index()];
        until = std::max(until, now_ + action.length);
        other->log().set_connected(false);
        at(until, [this, &other = *other, until] {
          if (cut_off_until_[other.index()] <= until) other.log().set_connected(true);
        });
      }
      return;
    case Act::kPause:
      return machine.pause_until(now_ + action.length);
    case Act::kSkew:
      return machine.clock().set_offset(Milliseconds{action.amount});
    case Act::kTopicLost:
      topics_whole_ = false;
      return broker_->delete_topic(topic_of(machine.name()));
    case Act::kTopicCut: {
      topics_whole_ = false;
      std::string topic = topic_of(machine.name());
      auto records = broker_->records(topic);
      if (records.empty()) return;
      auto lost = std::min<std::size_t>(records.size(), static_cast<std::size_t>(action.amount));
      return broker_->truncate_back(topic, records[records.size() - lost].offset);
    }
    case Act::kSyncFails:
      return machine.disk().fail_next(store::SimFault::kSyncFails);
    case Act::kDiskFull:
      full_until_[index] = now_ + action.length;
      machine.set_disk_full(true);
      return after(action.length, [this, &machine] {
        if (now_ >= full_until_[machine.index()]) machine.set_disk_full(false);
      });
    case Act::kRetryEvents:
      if (machine.up()) machine.node().retry_events(answer<void>(machine, [](const Result<void>&) {}));
      return;
  }
}

void World::go_down(Machine& machine, const Action& action) {
  if (!machine.up()) return;
  if (action.act == Act::kPowerCut) {
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
