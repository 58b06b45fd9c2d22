// SPDX-License-Identifier: Apache-2.0
// Programs that change in a world: nodes begin with this release's and are restarted with the next one, which
// writes a newer format, one after another and in any order; some go back.
//
// A node may be told to stop for it, and may meet a record that it cannot read, only when it runs this
// program and no member is left that has announced nothing newer: then it went back too late, or is no
// member.
#include <fmt/format.h>

#include <algorithm>

#include "programs.h"
#include "replication/members_replay.h"
#include "world.h"

namespace refrain::simulation {
namespace {

constexpr Milliseconds kUpgradeTime{500};  // of an operator who does what the node says
const std::string kMembersTopic = "refrain.sim.members";

}  // namespace

bool World::runs_next(const Machine& machine) const {
  return machine.formats() == kNextProgram;
}

void World::act_on_program(Machine& machine, const Action& action) {
  machine.set_formats(action.act == Act::kUpgrade ? kNextProgram : kThisProgram);
  go_down(machine, action);
}

/// By the longest history that there is, in the log or on a disk: every member that is not over has announced
/// the next format.
bool World::has_announced_next() const {
  std::vector<std::vector<std::string>> histories(1);
  for (const replication::Record& record : broker_->records(kMembersTopic))
    histories[0].push_back(record.bytes);
  for (const auto& machine : machines_) {
    std::vector<std::string>& stored = histories.emplace_back();
    for (const auto& [key, value] : machine->disk().rows(store::Family::kDefault)) {
      if (key.starts_with("members/")) stored.push_back(value.substr(1));  // behind the row's format
    }
  }
  replication::MembersTable longest;
  for (const std::vector<std::string>& history : histories) {
    replication::MembersReplay replay(std::nullopt, kNextProgram.max);
    for (const std::string& entry : history) replay.add(entry);
    if (replay.table().n() > longest.n()) longest = replay.table();
  }
  return std::ranges::all_of(longest.members(), [](const auto& entry) {
    return entry.second.state == replication::MemberState::kOver ||
           entry.second.traits.formats.max >= kNextProgram.max;
  });
}

void World::told_to_upgrade(Machine& machine, const Error& why) {
  if (runs_next(machine) || !has_announced_next())
    return wrong(fmt::format("{} must end: {}", machine.name(), why.detail));
  hit("told to upgrade");
  machine.crash();
  machine.set_formats(kNextProgram);
  reports_.erase(machine.index());
  after(kUpgradeTime, [this, &machine] { start(machine); });
}

void World::check_formats(Machine& machine, const node::StatusReport& report) {
  if (report.mode == "active" && report.format > machine.formats().max)
    wrong(fmt::format("{} is active and writes format {}, which its program does not know", machine.name(),
                      report.format));
  for (const node::ParkedReport& parked : report.sync.parked) {
    if (needs_next_program(parked) && (runs_next(machine) || !has_announced_next()))
      wrong(fmt::format("{} parked {}'s journal: {}", machine.name(), parked.journal, parked.detail));
  }
}

void World::end_with_next_program() {
  if (!plan_.formats || !plan_.ends_next) return;
  for (auto& machine : machines_) {
    if (runs_next(*machine)) continue;
    machine->set_formats(kNextProgram);
    if (!machine->up()) continue;
    machine->crash();
    reports_.erase(machine->index());
  }
}

/// In the end all nodes are members again: they write the next format when all run the next program.
bool World::formats_settled() const {
  if (!plan_.formats) return true;
  bool all = std::ranges::all_of(machines_, [this](const auto& machine) { return runs_next(*machine); });
  std::uint32_t format = all ? kNextProgram.max : kThisProgram.max;
  return std::ranges::all_of(machines_, [&](const auto& machine) {
    auto report = reports_.find(machine->index());
    return report != reports_.end() && report->second.format == format;
  });
}

}  // namespace refrain::simulation
