// SPDX-License-Identifier: Apache-2.0
#include "plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "dice.h"

namespace refrain::simulation {
namespace {

/// One kind of fault: in how many worlds it is, how often it comes there, and what an action of it may be.
struct ActKind {
  Act act;
  std::string_view name;
  double in_worlds;
  std::int64_t mean_pause_ms;
  std::int64_t longest_ms;
  std::int64_t amount_low;
  std::int64_t amount_high;
};

constexpr ActKind kActKinds[] = {
    {Act::kCrash, "crash", 0.5, 4'000, 4'000, 0, 0},
    {Act::kPowerCut, "power cut", 0.4, 5'000, 4'000, 0, 20},
    {Act::kKafkaAway, "Kafka away", 0.4, 8'000, 6'000, 0, 0},
    {Act::kCutOff, "cut off", 0.5, 4'000, 6'000, 0, 0},
    {Act::kPause, "pause", 0.3, 4'000, 2'000, 0, 0},
    {Act::kSkew, "skew", 0.4, 5'000, 0, -1'500, 1'500},
    {Act::kSkew, "far skew", 0.1, 8'000, 0, -12'000, 12'000},
    {Act::kTopicLost, "topic lost", 0.15, 9'000, 0, 0, 0},
    {Act::kTopicCut, "topic cut", 0.15, 6'000, 0, 1, 30},
    {Act::kSyncFails, "sync fails", 0.2, 6'000, 0, 0, 0},
    {Act::kDiskFull, "disk full", 0.15, 9'000, 3'000, 0, 0},
    {Act::kRetryEvents, "retry events", 0.2, 3'000, 0, 0, 0},
};

void draw_actions(const ActKind& kind, Dice dice, Plan& plan) {
  if (!dice.chance(kind.in_worlds)) return;
  std::int64_t at = 0;
  while ((at += dice.between(1, 2 * kind.mean_pause_ms)) < plan.disturbed.count()) {
    Action action{Milliseconds{at}, kind.act, static_cast<int>(dice.below(kNodes)), Milliseconds{0}, 0};
    if (kind.longest_ms > 0) action.length = Milliseconds{dice.between(10, kind.longest_ms)};
    action.amount = dice.between(kind.amount_low, kind.amount_high);
    plan.actions.push_back(action);
  }
}

double rate(Dice& dice, double in_worlds, double largest) {
  return dice.chance(in_worlds) ? largest * static_cast<double>(dice.between(1, 100)) / 100 : 0;
}

replication::MemoryFaults draw_log_faults(Dice dice) {
  replication::MemoryFaults faults;
  faults.record_lost = rate(dice, 0.4, 0.1);
  faults.written_but_failed = rate(dice, 0.4, 0.1);
  faults.written_twice = rate(dice, 0.4, 0.2);
  faults.send_stalls = rate(dice, 0.4, 0.5);
  faults.reports_stall = rate(dice, 0.4, 0.5);
  faults.reports_reordered = rate(dice, 0.4, 0.5);
  faults.appender_hangs = rate(dice, 0.2, 0.01);
  faults.appender_dies = rate(dice, 0.2, 0.02);
  faults.arrives_late = rate(dice, 0.3, 0.5);
  faults.reader_stalls = rate(dice, 0.4, 0.5);
  faults.reader_rewinds = rate(dice, 0.3, 0.05);
  faults.answer_stalls = rate(dice, 0.3, 0.5);
  faults.done_but_failed = rate(dice, 0.2, 0.1);
  return faults;
}

}  // namespace

std::string_view act_name(Act act) {
  for (const ActKind& kind : kActKinds) {
    if (kind.act == act) return kind.name;
  }
  return "?";
}

std::string describe(const Action& action) {
  return fmt::format("{} node {} for {} ms, {}", act_name(action.act), action.node, action.length.count(),
                     action.amount);
}

Plan draw_plan(std::uint64_t seed) {
  Dice root(seed);
  Dice dice = root.stream("settings");
  Plan plan;
  plan.seed = seed;
  plan.disturbed = Milliseconds{dice.between(2'000, 12'000)};
  plan.window = dice.chance(0.5) ? 10'000 : 1 + dice.below(8);
  plan.clients = static_cast<int>(dice.between(1, 4));
  plan.keys = static_cast<int>(dice.between(1, 6));
  plan.client_pause = Milliseconds{dice.between(5, 200)};
  plan.requests = dice.chance(0.7);
  plan.log_faults = draw_log_faults(root.stream("log faults"));
  for (const ActKind& kind : kActKinds) draw_actions(kind, root.stream(kind.name), plan);
  std::ranges::stable_sort(plan.actions, {}, &Action::at);
  return plan;
}

}  // namespace refrain::simulation
