// SPDX-License-Identifier: Apache-2.0
// Members that come and go in a world: what the plan does to them, and what may be lost by it.
//
// A commit may become void only when its writer's disk was lost or its writer was evicted, and only when
// Kafka did not have it by then. Who leaves, or rejoins, loses nothing.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "world.h"

namespace refrain::simulation {
namespace {

constexpr Milliseconds kHelpEvery{1'500};
constexpr Milliseconds kOrderTime{3'000};
constexpr Milliseconds kOrderShows{4'000};  // whatever came of it

}  // namespace

bool is_in(const node::StatusReport& report, std::string_view mode) {
  return report.mode == mode || report.mode.starts_with(std::string(mode) + ":");
}

Incarnation World::incarnation_of(std::size_t index) const {
  return ghost_.node(index).incarnation;
}

/// From now on what the incarnation writes may count nowhere. Lost may be what its topic does not have now.
void World::may_lose(Machine& machine) {
  look_at_topic(machine.index());
  Incarnation incarnation = incarnation_of(machine.index());
  Seq safe = topics_[machine.index()].whole(incarnation);
  Ending& ending = endings_[incarnation];
  if (!ending.may_lose) ending = {true, safe};
  ghost_.doubt(incarnation);
}

void World::act_on_members(Machine& machine, const Action& action) {
  using Kind = node::MemberOrder::Kind;
  switch (action.act) {
    case Act::kArrive:
      arrived_[machine.index()] = true;
      return start(machine);
    case Act::kLoseDisk:
      return lose_disk(machine, action);
    case Act::kEvict: {
      auto other = static_cast<std::size_t>(evicted_by(action, plan_.nodes));
      Machine& victim = *machines_[other];
      if (other == machine.index() || !machine.up() || !arrived_[other]) return;
      may_lose(victim);
      return order(machine, Kind::kEvict, victim.name());
    }
    case Act::kMembersLost:
    case Act::kMembersCut:
      return lose_members_log(action);
    case Act::kBackUp:
      return back_up(machine);
    case Act::kAllLost:
      return lose_all(action);
    case Act::kLeave:
      endings_.try_emplace(incarnation_of(machine.index()), Ending{false, {}});
      return order(machine, Kind::kLeave, machine.name());
    default:
      endings_.try_emplace(incarnation_of(machine.index()), Ending{false, {}});
      return order(machine, Kind::kRejoin, machine.name());
  }
}

void World::order(Machine& machine, node::MemberOrder::Kind kind, const NodeName& name) {
  if (!machine.up()) return;
  ordered_at_ = now_;
  node::MemberOrder order;
  order.kind = kind;
  order.node = name;
  order.although_heard = true;
  order.timeout = kOrderTime;
  machine.node().change_member(
      order, answer<node::MemberChange>(machine, [this](const Result<node::MemberChange>& change) {
        hit("order: " + (change ? change->state : change.error().slug));
      }));
}

/// Only what every node has that has any: an entry that one alone has read, and Kafka loses, may become two
/// histories, "an operator decides".
void World::lose_members_log(const Action& action) {
  std::set<std::size_t> known;
  for (const auto& machine : machines_) {
    auto rows = machine->disk().rows(store::Family::kDefault);
    auto entries =
        std::ranges::count_if(rows, [](const auto& row) { return row.first.starts_with("members/"); });
    if (entries > 0) known.insert(static_cast<std::size_t>(entries));
  }
  if (known.size() != 1) return;
  hit(std::string(act_name(action.act)) + ", which all had read");
  if (action.act == Act::kMembersLost) return broker_->delete_topic(members_topic());
  auto entries = broker_->records(members_topic());
  auto lost = std::min(entries.size(), static_cast<std::size_t>(action.amount));
  if (lost > 0) broker_->truncate_back(members_topic(), entries[entries.size() - lost].offset);
}

/// Only while all others are whole members: or the cluster could lose its last copy, which no rule can mend.
void World::lose_disk(Machine& machine, const Action& action) {
  bool whole = std::ranges::all_of(machines_, [&](const auto& other) {
    auto report = reports_.find(other->index());
    return !arrived_[other->index()] ||
           (other->up() && report != reports_.end() && is_in(report->second, "active") &&
            report->second.incarnation == incarnation_of(other->index()));
  });
  // An order that was just given may end one of them yet.
  if (!whole || !machine.up() || (ordered_at_ && now_ - *ordered_at_ < kOrderShows)) return;
  hit("disk lost");
  may_lose(machine);
  machine.lose_disk();
  ghost_.lose(machine.index());
  reports_.erase(machine.index());
  after(action.length, [this, &machine] { start(machine); });
}

/// An operator who does what the node says: a member that is over, or older than its journal, joins anew.
void World::help_member(Machine& machine, const node::StatusReport& report) {
  if (!is_in(report, "fenced") && !is_in(report, "rolled back")) return;
  SteadyNs& helped = rejoined_[machine.index()];
  if (now_ - helped < kHelpEvery) return;
  helped = now_;
  hit("operator: rejoin");
  endings_.try_emplace(report.incarnation, Ending{false, {}});
  order(machine, node::MemberOrder::Kind::kRejoin, machine.name());
}

/// How far the journal of an incarnation goes that is over: as far as the nodes have it, once they agree.
std::optional<Seq> World::end_of(const Journal& journal) const {
  if (!plan_.changes) return std::nullopt;
  for (std::size_t i = 0; i < machines_.size(); ++i) {
    if (machines_[i]->name() != journal.node) continue;
    if (incarnation_of(i) == journal.incarnation) return std::nullopt;
    const store::AppliedTable& applied = ghost_.node(i == 0 ? 1 : 0).applied;
    auto found = applied.find(journal);
    return found == applied.end() ? Seq{} : found->second.seq;
  }
  return std::nullopt;
}

/// The version is of an incarnation that may be over by a loss or an eviction: reads do not wait for its
/// journal.
bool World::may_be_void(const Version& version) const {
  auto id = ghost_.minted(version);
  auto ending = id ? endings_.find(id->incarnation) : endings_.end();
  return ending != endings_.end() && ending->second.may_lose;
}

/// What was synced before a member came stays synced, whether or not it has it yet.
bool World::synced_since(const Machine& machine, const Journal& member, Seq synced) {
  auto [first, fresh] = synced_at_first_.try_emplace({machine.index(), member}, synced);
  return !fresh && synced > first->second;
}

bool World::is_fenced(const Machine& machine) const {
  auto report = reports_.find(machine.index());
  return report != reports_.end() && is_in(report->second, "fenced") &&
         report->second.incarnation == incarnation_of(machine.index());
}

void World::must_be_void(const CommitId& commit, const std::string& who) {
  hit("carried out again after a loss");
  history_.must_be_void.emplace(commit, who);
}

/// What became void must have been allowed to; from here on the ghost knows nothing of it.
void World::settle_void() {
  std::map<Journal, Seq> ends;
  for (const auto& [id, commit] : ghost_.commits()) {
    Journal journal{id.node, id.incarnation};
    if (auto end = end_of(journal)) ends[journal] = *end;
  }
  for (const auto& [journal, end] : ends) {
    auto ending = endings_.find(journal.incarnation);
    bool may_lose = ending != endings_.end() && ending->second.may_lose;
    if (may_lose && topics_whole_ && end < ending->second.safe)
      wrong(fmt::format("the journal of {} ends at {}, although Kafka had it up to {}", journal.node,
                        end.value, ending->second.safe.value));
    auto is_lost = [&](const CommitId& id) {
      return id.node == journal.node && id.incarnation == journal.incarnation && id.seq > end;
    };
    std::vector<CommitId> told;
    for (const ToldCommit& commit : history_.commits) told.push_back(commit.commit);
    told.insert(told.end(), history_.decided.begin(), history_.decided.end());
    for (const CommitId& commit : told) {
      if (!is_lost(commit)) continue;
      hit("acknowledged commit that became void");
      if (!may_lose)
        wrong(fmt::format(
            "{} was acknowledged and is void, although its writer was neither evicted nor lost its disk",
            format_commit_id(commit)));
    }
    for (const auto& [commit, holders] : history_.holders) {
      if (is_lost(commit)) check_holders_are_gone(commit, holders);
    }
    std::erase_if(history_.commits, [&](const ToldCommit& commit) { return is_lost(commit.commit); });
    std::erase_if(history_.decided, is_lost);
    requests_.forget_beyond(journal, end);
    ghost_.forget_beyond(journal, end);
  }
  settle_what_was_taken_for_void(ends);
}

/// "The end = the largest word among the present active members": whoever has a commit and is still a member
/// keeps it.
void World::check_holders_are_gone(const CommitId& commit, const std::vector<Journal>& holders) {
  for (const auto& machine : machines_) {
    Journal self{machine->name(), incarnation_of(machine->index())};
    if (std::ranges::find(holders, self) != holders.end())
      wrong(fmt::format("{} is void, although {} was said to have it and is still there",
                        format_commit_id(commit), machine->name()));
  }
}

void World::settle_what_was_taken_for_void(const std::map<Journal, Seq>& ends) {
  auto lost = [&](const Journal& journal, Seq from) {  // all of it from there
    auto end = ends.find(journal);
    return end != ends.end() && end->second < from;
  };
  for (const auto& [commit, who] : history_.must_be_void) {
    if (!lost({commit.node, commit.incarnation}, commit.seq))
      wrong(fmt::format("{} {}, which is not lost", who, format_commit_id(commit)));
  }
  for (const auto& [commit, what] : history_.not_read) {
    if (!lost({commit.node, commit.incarnation}, commit.seq)) wrong(what);
  }
  for (const EarlyGo& go : history_.early_gos) {
    if (!lost(go.journal, go.had.next())) wrong(go.what);
  }
}

}  // namespace refrain::simulation
