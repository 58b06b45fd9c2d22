// SPDX-License-Identifier: Apache-2.0
#include "plan.h"

#include <fmt/format.h>

#include <algorithm>

#include "dice.h"

namespace refrain::simulation {
namespace {

constexpr std::int64_t kCallsLow = 200;  // of all clients of a world, while it is disturbed
constexpr std::int64_t kCallsHigh = 230;

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
    {Act::kPause, "pause", 0.3, 4'000, 2'000, 0, 0},
    {Act::kKafkaAway, "Kafka away", 0.4, 8'000, 6'000, 0, 0},
    {Act::kCutOff, "cut off", 0.4, 4'000, 6'000, 0, 1},
    {Act::kDeaf, "deaf", 0.3, 5'000, 4'000, 0, 0},
    {Act::kSkew, "skew", 0.3, 5'000, 0, -1'500, 1'500},
    {Act::kSkew, "far skew", 0.1, 8'000, 0, -12'000, 12'000},
    {Act::kDrift, "drift", 0.2, 6'000, 5'000, -400, 400},
    {Act::kFreeze, "freeze", 0.15, 7'000, 3'000, 0, 0},
    {Act::kTopicLost, "topic lost", 0.15, 9'000, 0, 0, 0},
    {Act::kTopicCut, "topic cut", 0.15, 6'000, 0, 1, 30},
    {Act::kTopicFront, "topic front", 0.15, 6'000, 0, 0, 30},
    {Act::kKafkaReplaced, "Kafka replaced", 0.08, 9'000, 0, 0, 0},
    {Act::kKafkaMirrored, "Kafka mirrored", 0.05, 9'000, 0, 0, 0},
    {Act::kForeign, "foreign record", 0.08, 8'000, 0, 0, 0},
    {Act::kGarbage, "garbage", 0.08, 8'000, 0, 0, 0},
    {Act::kFlip, "flip", 0.1, 5'000, 0, 1, 10},
    {Act::kSyncFails, "sync fails", 0.2, 6'000, 0, 0, 0},
    {Act::kWriteFails, "write fails", 0.2, 5'000, 0, 0, 0},
    {Act::kDiskFull, "disk full", 0.15, 9'000, 3'000, 0, 0},
    {Act::kSlowDisk, "slow disk", 0.15, 7'000, 4'000, 5, 200},
    {Act::kRetryEvents, "retry events", 0.2, 3'000, 0, 0, 0},
};

constexpr ActKind kMemberKinds[] = {
    {Act::kArrive, "arrive", 1, 0, 0, 0, 0},
    {Act::kLoseDisk, "lose disk", 0.5, 5'000, 3'000, 0, 0},
    {Act::kEvict, "evict", 0.5, 4'000, 0, 0, 3},
    {Act::kLeave, "leave", 0.4, 5'000, 0, 0, 0},
    {Act::kRejoin, "rejoin", 0.4, 5'000, 0, 0, 0},
    {Act::kMembersLost, "members log lost", 0.15, 6'000, 0, 0, 0},
    {Act::kMembersCut, "members log cut", 0.2, 5'000, 0, 1, 3},
    {Act::kBackUp, "back up", 0, 0, 0, 0, 0},
    {Act::kAllLost, "all lost", 0, 0, 0, 0, 0},
};
constexpr double kChanges = 0.08;   // of the worlds
constexpr double kRestored = 0.15;  // of those
constexpr ActKind kFormatKinds[] = {
    {Act::kUpgrade, "upgrade", 1, 0, 2'000, 0, 0},
    {Act::kGoBack, "go back", 0.6, 3'000, 2'000, 0, 0},
};
constexpr double kFormats = 0.06;           // of the worlds
constexpr double kFormatsAndChanges = 0.3;  // of those

using Faults = replication::MemoryFaults;

void draw_actions(const ActKind& kind, Dice dice, Plan& plan) {
  std::int64_t at = 0;
  while ((at += dice.between(1, 2 * kind.mean_pause_ms)) < plan.disturbed.count()) {
    Action action{Milliseconds{at}, kind.act,
                  static_cast<int>(dice.below(static_cast<std::uint64_t>(plan.nodes))), Milliseconds{0}, 0};
    if (kind.longest_ms > 0) action.length = Milliseconds{dice.between(10, kind.longest_ms)};
    action.amount = dice.between(kind.amount_low, kind.amount_high);
    plan.actions.push_back(action);
  }
}

void draw_some_faults(const Dice& root, Plan& plan) {
  Dice log = root.stream("log faults");
  for (const LogFault& fault : log_fault_kinds()) {
    bool there = log.chance(fault.in_worlds);
    double share = static_cast<double>(log.between(1, 100)) / 100;
    if (there) plan.log_faults.*fault.rate = fault.largest * share;
  }
  for (const ActKind& kind : kActKinds) {
    Dice dice = root.stream(kind.name);
    if (dice.chance(kind.in_worlds)) draw_actions(kind, dice, plan);
  }
}

void draw_one_fault(const Dice& root, Plan& plan) {
  Dice dice = root.stream("which fault");
  std::size_t which = dice.below(std::size(kActKinds) + log_fault_kinds().size());
  if (which < std::size(kActKinds))
    return draw_actions(kActKinds[which], root.stream(kActKinds[which].name), plan);
  const LogFault& fault = log_fault_kinds()[which - std::size(kActKinds)];
  plan.log_faults.*fault.rate = fault.largest;
}

/// Whose disk will be lost, or who will be evicted, is often away from Kafka by then: what it wrote since is
/// lost with it. And a third one may just be down, and learn of it when it starts.
void around_an_end(Dice dice, Plan& plan) {
  std::vector<Action> cuts;
  for (const Action& action : plan.actions) {
    if (action.act != Act::kLoseDisk && action.act != Act::kEvict) continue;
    Milliseconds before{dice.between(50, 1'500)};
    bool cut = dice.chance(0.5) && action.at > before;
    int victim = action.act == Act::kLoseDisk ? action.node : evicted_by(action, plan.nodes);
    if (cut)
      cuts.push_back(
          {action.at - before, Act::kCutOff, victim, before + Milliseconds{500}, dice.between(0, 1)});
    int third = (action.node + 1 + static_cast<int>(dice.below(2))) % plan.nodes;
    bool down = dice.chance(0.6) && action.act == Act::kEvict && third != victim && third != action.node;
    Milliseconds earlier{dice.between(1, 400)};
    if (down && action.at > earlier)
      cuts.push_back(
          {action.at - earlier, Act::kCrash, third, earlier + Milliseconds{dice.between(1, 800)}, 0});
  }
  plan.actions.insert(plan.actions.end(), cuts.begin(), cuts.end());
}

/// Members come and go, whatever else happens.
void draw_changes(const Dice& root, bool always, Plan& plan) {
  Dice dice = root.stream("members");
  plan.changes = dice.chance(kChanges) || always;
  if (!plan.changes) return;
  plan.disturbed = plan.disturbed + Milliseconds{3'000};
  if (plan.nodes > 2) plan.late = static_cast<int>(dice.below(static_cast<std::uint64_t>(plan.nodes - 1)));
  for (int late = plan.nodes - plan.late; late < plan.nodes; ++late)
    plan.actions.push_back(
        {Milliseconds{dice.between(1, plan.disturbed.count())}, Act::kArrive, late, Milliseconds{0}, 0});
  for (const ActKind& kind : kMemberKinds) {
    if (kind.act != Act::kArrive && dice.chance(kind.in_worlds))
      draw_actions(kind, root.stream(kind.name), plan);
  }
  around_an_end(root.stream("around an end"), plan);
  Dice lost = root.stream("all lost");
  // Not where programs change: a founder of the newer program leaves those of this one out, as it must.
  if (plan.formats || !lost.chance(kRestored)) return;
  std::int64_t at = lost.between(1'000, plan.disturbed.count() - 500);
  auto node = static_cast<int>(lost.below(static_cast<std::uint64_t>(plan.nodes)));
  plan.actions.push_back({Milliseconds{lost.between(at / 2, at)}, Act::kBackUp, node, Milliseconds{0}, 0});
  plan.actions.push_back({Milliseconds{at + 1}, Act::kAllLost, node, Milliseconds{0}, lost.between(0, 1)});
}

/// Nodes are upgraded in any order, once or more; some go back.
void draw_formats(Dice dice, const Dice& root, Plan& plan) {
  plan.ends_next = dice.chance(0.8);
  for (int node = 0; node < plan.nodes; ++node) {
    plan.begins_next.push_back(node > 0 && dice.chance(0.1));
    bool late = node >= plan.nodes - plan.late;  // an old program may come into a cluster of new ones
    if (!dice.chance(late ? 0.4 : 0.9)) continue;
    plan.actions.push_back({Milliseconds{dice.between(1, plan.disturbed.count() / 2)}, Act::kUpgrade, node,
                            Milliseconds{dice.between(10, 2'000)}, 0});
  }
  const ActKind& go_back = kFormatKinds[1];
  if (dice.chance(go_back.in_worlds)) draw_actions(go_back, root.stream(go_back.name), plan);
}

int draw_nodes(Dice& dice) {
  std::uint64_t hundredth = dice.below(100);
  return hundredth < 8 ? 2 : hundredth < 78 ? 3 : hundredth < 93 ? 4 : 5;
}

}  // namespace

const std::vector<LogFault>& log_fault_kinds() {
  static const std::vector<LogFault> kinds{
      {"record_lost", &Faults::record_lost, 0.4, 0.1},
      {"written_but_failed", &Faults::written_but_failed, 0.4, 0.1},
      {"written_twice", &Faults::written_twice, 0.4, 0.2},
      {"send_stalls", &Faults::send_stalls, 0.4, 0.5},
      {"reports_stall", &Faults::reports_stall, 0.4, 0.5},
      {"reports_reordered", &Faults::reports_reordered, 0.4, 0.5},
      {"appender_hangs", &Faults::appender_hangs, 0.2, 0.01},
      {"appender_dies", &Faults::appender_dies, 0.2, 0.02},
      {"arrives_late", &Faults::arrives_late, 0.3, 0.5},
      {"reader_stalls", &Faults::reader_stalls, 0.4, 0.5},
      {"reader_rewinds", &Faults::reader_rewinds, 0.3, 0.05},
      {"answer_stalls", &Faults::answer_stalls, 0.3, 0.5},
      {"done_but_failed", &Faults::done_but_failed, 0.2, 0.1},
  };
  return kinds;
}

std::string_view act_name(Act act) {
  for (const ActKind& kind : kActKinds) {
    if (kind.act == act) return kind.name;
  }
  for (const ActKind& kind : kMemberKinds) {
    if (kind.act == act) return kind.name;
  }
  for (const ActKind& kind : kFormatKinds) {
    if (kind.act == act) return kind.name;
  }
  return "?";
}

std::string describe(const Action& action) {
  std::string text = fmt::format("{} of {}", act_name(action.act), kNames[action.node]);
  if (action.length.count() != 0) text += fmt::format(", for {} ms", action.length.count());
  if (action.amount != 0) text += fmt::format(", {}", action.amount);
  return text;
}

int evicted_by(const Action& action, int nodes) {
  return (action.node + 1 + static_cast<int>(action.amount)) % nodes;
}

Plan draw_plan(std::uint64_t seed, bool always_changes) {
  Dice root(seed);
  Dice dice = root.stream("settings");
  Plan plan;
  plan.seed = seed;
  plan.nodes = draw_nodes(dice);
  plan.disturbed = Milliseconds{dice.between(2'000, 7'000)};
  plan.window = dice.chance(0.5) ? 10'000 : 1 + dice.below(8);
  plan.clients = static_cast<int>(dice.between(1, 4));
  plan.keys = static_cast<int>(dice.between(1, 6));
  Dice quiet =
      root.stream("quiet keys");  // where each is written so rarely that deletes are forgotten meanwhile
  if (quiet.chance(0.3)) plan.keys = static_cast<int>(quiet.between(8, 24));
  plan.forgets = quiet.chance(0.15);
  plan.requests = dice.chance(0.7);
  std::uint64_t tenth = dice.below(10);
  if (tenth == 1 || tenth == 2) draw_one_fault(root, plan);  // none in a calm world, which is a tenth of them
  if (tenth > 2) draw_some_faults(root, plan);
  Dice formats = root.stream("formats");
  plan.formats = formats.chance(kFormats);
  draw_changes(root, always_changes || (plan.formats && formats.chance(kFormatsAndChanges)), plan);
  if (plan.formats) draw_formats(formats, root, plan);
  plan.client_pause = Milliseconds{
      std::max<std::int64_t>(1, plan.disturbed.count() * plan.clients / dice.between(kCallsLow, kCallsHigh))};
  std::ranges::stable_sort(plan.actions, {}, &Action::at);
  return plan;
}

}  // namespace refrain::simulation
