// SPDX-License-Identifier: Apache-2.0
// All nodes of a world are lost, and a new cluster begins with the backup of one.
//
// To the oracles that is an ending of all incarnations at once, each where the backup has it: what the backup
// had is there in the end as if all had applied it, its requests are replayed, every new version is above it;
// what came later counts nowhere.
#include <fmt/format.h>

#include <algorithm>

#include "store/refound.h"
#include "world.h"

namespace refrain::simulation {

/// Of an active member: others refuse, or have less.
void World::back_up(const Machine& preferred) {
  for (std::size_t i = 0; i < machines_.size(); ++i) {
    Machine& machine = *machines_[(preferred.index() + i) % machines_.size()];
    auto report = reports_.find(machine.index());
    if (!machine.up() || report == reports_.end() || !is_in(report->second, "active")) continue;
    if (!has_written(machine.index())) continue;
    auto disk = machine.copy_store();
    if (!disk) continue;
    hit("backed up");
    trace(fmt::format("a backup is made of {}", machine.name()));
    backup_ = Backup{machine.index(), std::move(*disk), ghost_.node(machine.index()).applied};
    return;
  }
}

void World::lose_all(const Action& action) {
  if (!backup_ || lives_ > 1) return;
  hit("restored");
  lives_ += 1;
  if (action.amount == 0) {
    cluster_ = "again";
  } else {
    broker_->replace_cluster();
  }
  Machine& founder = *machines_[backup_->node];
  trace(fmt::format("all are lost; {} begins again with its backup", founder.name()));
  Incarnation incarnation{fault_dice_->below(std::uint64_t{1} << 62) | 1};
  forget_what_is_lost(incarnation);
  for (auto& machine : machines_) {
    if (machine.get() != &founder) machine->begin_again(store::SimDisk(), config_of(machine->index()), false);
    arrived_[machine->index()] = true;
    after(Milliseconds{fault_dice_->between(1, 1'500)}, [this, &machine = *machine] { start(machine); });
  }
  found_again(founder, incarnation);
  backup_.reset();
}

void World::forget_what_is_lost(Incarnation founder) {
  const store::AppliedTable& kept = backup_->applied;
  std::map<Journal, Seq> ends;
  for (const auto& [id, commit] : ghost_.commits()) {
    auto found = kept.find({id.node, id.incarnation});
    ends[{id.node, id.incarnation}] = found == kept.end() ? Seq{} : found->second.seq;
  }
  auto is_lost = [&](const CommitId& id) {
    auto end = ends.find({id.node, id.incarnation});
    return end != ends.end() && id.seq > end->second;
  };
  for (const auto& [journal, end] : ends) {
    endings_[journal.incarnation] = {true, end};
    requests_.forget_beyond(journal, end);
  }
  std::erase_if(history_.commits, [&](const ToldCommit& told) { return is_lost(told.commit); });
  std::erase_if(history_.decided, is_lost);
  std::erase_if(history_.keyed, [&](const auto& keyed) { return is_lost(keyed.second); });
  history_.holders.clear();
  history_.early_gos.clear();
  history_.must_be_void.clear();
  history_.not_read.clear();
  ghost_.begin_again(kept, founder);
  requests_.begin_again();
  reports_.clear();
  topics_whole_ = true;
  for (std::size_t i = 0; i < machines_.size(); ++i) topics_[i] = TopicWatch(machines_[i]->name());
}

void World::found_again(Machine& founder, Incarnation incarnation) {
  store::SimDisk disk = std::move(backup_->disk);
  auto engine = store::SimEngine::open(disk);
  ClusterId cluster{static_cast<std::uint32_t>(fault_dice_->below(1u << 30) | 1)};
  auto done = engine ? store::refound(**engine, cluster, incarnation) : engine.error();
  if (!done) return wrong("the backup is of no use: " + done.error().detail);
  if (done->applied != backup_->applied) wrong("the backup has not what its node had");
  engine->reset();
  founder.begin_again(std::move(disk), config_of(founder.index()), true);
}

}  // namespace refrain::simulation
