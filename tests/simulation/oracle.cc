// SPDX-License-Identifier: Apache-2.0
#include "oracle.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "base/text.h"
#include "digest_truth.h"
#include "outbox_truth.h"
#include "world.h"

namespace refrain::simulation {
namespace {

std::pair<std::string, std::string> split(const std::string& row) {
  std::size_t zero = row.find('\0');
  return {row.substr(0, zero), row.substr(zero + 1)};
}
std::string readable(const std::string& row) {
  auto [ns, key] = split(row);
  return ns + "/" + key;
}

/// Calls `look` for each node.
void on_each(World& world, const std::function<void(Machine&)>& look) {
  for (std::size_t i = 0; i < world.machines(); ++i) look(world.machine(i));
}

void acknowledged_commits_are_everywhere(World& world) {
  for (const ToldCommit& told : world.history().commits) {
    auto known = world.ghost().commits().find(told.commit);
    if (known == world.ghost().commits().end()) {
      world.wrong(fmt::format("{} was acknowledged and is not there", format_commit_id(told.commit)));
      continue;
    }
    std::set<std::string> rows;
    for (const GhostWrite& write : known->second.writes) rows.insert(write.row);
    if (rows != told.rows)
      world.wrong(fmt::format("{} does not say what its writer was told", format_commit_id(told.commit)));
    if (known->second.version != told.version)
      world.wrong(
          fmt::format("{} has another version than its writer was told", format_commit_id(told.commit)));
    on_each(world, [&](Machine& machine) {
      const auto& applied = world.ghost().node(machine.index()).applied;
      auto found = applied.find({told.commit.node, told.commit.incarnation});
      if (found == applied.end() || found->second.seq < told.commit.seq)
        world.wrong(fmt::format("{} was acknowledged and {} lacks it", format_commit_id(told.commit),
                                machine.name()));
    });
  }
}

void acknowledged_decisions_are_everywhere(World& world) {
  for (const CommitId& commit : world.history().decided) {
    on_each(world, [&](Machine& machine) {
      const auto& applied = world.ghost().node(machine.index()).applied;
      auto found = applied.find({commit.node, commit.incarnation});
      if (found == applied.end() || found->second.seq < commit.seq)
        world.wrong(
            fmt::format("{} was acknowledged and {} lacks it", format_commit_id(commit), machine.name()));
    });
  }
}

void replicas_hold_the_same_rows(World& world) {
  world.forgetting().check_all();
}

void digests_and_counts_fit_their_rows(World& world) {
  on_each(world, [&](Machine& machine) {
    if (auto misfit = outbox_misfit(machine.disk()))
      world.wrong(fmt::format("{}: {}", machine.name(), *misfit));
    if (auto misfit = digest_misfit(machine.disk(), true))
      world.wrong(fmt::format("{}: {}", machine.name(), *misfit));
  });
}

void the_largest_version_is_read_everywhere(World& world) {
  for (const auto& [row, versions] : world.ghost().versions()) {
    auto [ns, key] = split(row);
    const auto& [version, write] = *versions.rbegin();
    on_each(world, [&](Machine& machine) {
      auto got = machine.node().get(ns, key);
      if (!got)
        return world.wrong(
            fmt::format("{} cannot read {}: {}", machine.name(), readable(row), got.error().detail));
      WallMs now = machine.clock().wall();
      bool visible = write->value && (!write->expires_at || *write->expires_at > now);
      // A node's time may be ahead of its wall, by clock.max_drift at the most.
      bool about_to_end = visible && write->expires_at && *write->expires_at <= now + Milliseconds{500};
      if (about_to_end && !*got) return;
      bool right =
          visible ? *got && (*got)->version == version && (*got)->value == *write->value : !got->has_value();
      if (!right)
        world.wrong(fmt::format("{} has not {} of {}, but {}", machine.name(), format_version(version),
                                readable(row), *got ? format_version((*got)->version) : "nothing"));
    });
  }
}

/// Two versions of a key, the smaller first.
struct Pair {
  std::string row;
  Version smaller;
  Version larger;
  auto operator<=>(const Pair&) const = default;
};

std::map<Pair, bool> recorded_conflicts(World& world, Machine& machine) {  // -> open
  std::map<Pair, bool> recorded;
  std::string after;
  while (true) {
    auto page = machine.node().conflicts("", "", false, after, 100);
    if (!page) {
      world.wrong(fmt::format("{} cannot list conflicts: {}", machine.name(), page.error().detail));
      return recorded;
    }
    for (const node::ConflictReport& conflict : page->items) {
      recorded[{conflict.ns + '\0' + conflict.key, conflict.loser.version, conflict.winner.version}] =
          conflict.open;
    }
    if (!page->after) return recorded;
    after = *page->after;
  }
}

std::string describe(const Pair& conflict) {
  return fmt::format("{} of {} and {}", readable(conflict.row), format_version(conflict.smaller),
                     format_version(conflict.larger));
}

/// Open are exactly the versions that no later writer had seen, save the largest. So nothing is lost
/// silently.
std::set<Pair> unseen_siblings(const Ghost& ghost) {
  std::set<Pair> siblings;
  for (const auto& [row, versions] : ghost.versions()) {
    VersionSet seen;
    for (const auto& [version, write] : versions) seen.insert(write->past);
    const Version& largest = versions.rbegin()->first;
    for (const auto& [version, write] : versions) {
      if (version != largest && !seen.contains(write->place)) siblings.insert({row, version, largest});
    }
  }
  return siblings;
}

std::string seen_by(const std::map<Version, const GhostWrite*>& versions, const Version& version) {
  std::string text;
  for (const auto& [other, write] : versions) {
    if (write->past.contains(versions.at(version)->place))
      text += (text.empty() ? ", but that was seen by " : ", ") + format_version(other);
  }
  return text;
}

void open_conflicts_are_what_no_writer_had_seen(World& world) {
  std::set<Pair> siblings = unseen_siblings(world.ghost());
  auto versions = world.ghost().versions();
  world.hit("open conflicts", siblings.size());
  on_each(world, [&](Machine& machine) {
    std::set<Pair> open;
    for (const auto& [pair, is_open] : recorded_conflicts(world, machine)) {
      if (is_open) open.insert(pair);
    }
    for (const Pair& pair : siblings) {
      if (!open.contains(pair))
        world.wrong(fmt::format("{} lacks the open conflict in {}", machine.name(), describe(pair)));
    }
    for (const Pair& pair : open) {
      if (!siblings.contains(pair))
        world.wrong(fmt::format("{} says open of {}{}", machine.name(), describe(pair),
                                seen_by(versions[pair.row], pair.smaller)));
    }
  });
}

void every_conflict_is_one(World& world) {
  auto versions = world.ghost().versions();
  on_each(world, [&](Machine& machine) {
    for (const auto& [pair, open] : recorded_conflicts(world, machine)) {
      world.hit(open ? "conflicts recorded: open" : "conflicts recorded: closed");
      auto& known = versions[pair.row];
      bool there = known.contains(pair.smaller) && known.contains(pair.larger);
      bool concurrent = there && !known[pair.smaller]->past.contains(known[pair.larger]->place) &&
                        !known[pair.larger]->past.contains(known[pair.smaller]->place);
      if (!concurrent)
        world.wrong(fmt::format("{} has a false conflict in {}", machine.name(), describe(pair)));
    }
  });
}

struct Oracle {
  const char* name;
  void (*check)(World&);
};
constexpr Oracle kOracles[] = {
    {"acknowledged", acknowledged_commits_are_everywhere},
    {"acknowledged decisions", acknowledged_decisions_are_everywhere},
    {"same rows", replicas_hold_the_same_rows},
    {"digest", digests_and_counts_fit_their_rows},
    {"largest version", the_largest_version_is_read_everywhere},
    {"open conflicts", open_conflicts_are_what_no_writer_had_seen},
    {"conflicts", every_conflict_is_one},
    {"requests", requests_are_as_told},
};

}  // namespace

std::set<std::string> rows_in_open_conflict(World& world) {
  std::set<std::string> rows;
  for (const Pair& pair : unseen_siblings(world.ghost())) rows.insert(pair.row);
  return rows;
}

void check_everything(World& world) {
  for (const Oracle& oracle : kOracles) {
    world.trace(fmt::format("oracle: {}", oracle.name));
    oracle.check(world);
  }
}

}  // namespace refrain::simulation
