// SPDX-License-Identifier: Apache-2.0
// Oracles of requests. They know what clients were told and ask the nodes; they share no code with
// idempotency/.
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "oracle.h"
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

void replicas_hold_the_same_request_rows(World& world) {
  for (store::Family family : {store::Family::kRequests, store::Family::kResponses, store::Family::kOpen}) {
    std::uint64_t first = world.machine(0).disk().rows_hash(family);
    on_each(world, [&](Machine& machine) {
      if (machine.disk().rows_hash(family) == first) return;
      world.wrong(fmt::format("{} and {} hold other rows in {}", world.machine(0).name(), machine.name(),
                              store::family_name(family)));
    });
  }
}

std::set<std::string> duplicate_ids(World& world, Machine& machine, const std::string& ns, bool all) {
  std::set<std::string> ids;
  std::string after;
  while (true) {
    auto page = machine.node().duplicates(ns, after, all, 100);
    if (!page) {
      world.wrong(fmt::format("{} cannot list duplicates: {}", machine.name(), page.error().detail));
      return ids;
    }
    for (const node::DuplicateReport& duplicate : page->items)
      ids.insert(duplicate.duplicate_id + " " + duplicate.duplicate.id);
    if (!page->after) return ids;
    after = *page->after;
  }
}

void duplicates_are_the_same_everywhere(World& world) {
  for (const char* ns : {"payments", "held"}) {
    auto first = duplicate_ids(world, world.machine(0), ns, false);
    world.hit("duplicates", first.size());
    on_each(world, [&](Machine& machine) {
      if (duplicate_ids(world, machine, ns, false) != first)
        world.wrong(fmt::format("{} and {} list other duplicates in {}", world.machine(0).name(),
                                machine.name(), ns));
    });
  }
}

void what_was_completed_is_completed_everywhere(World& world) {
  for (const auto& [row, completes] : world.history().completes) {
    auto [ns, id] = split(row);
    on_each(world, [&](Machine& machine) {
      auto report = machine.node().request(ns, id, std::nullopt);
      if (!report || !*report)
        return world.wrong(
            fmt::format("{} does not know {}, which was completed", machine.name(), readable(row)));
      if ((*report)->state != "completed")
        world.wrong(fmt::format("{} says {} of {}, which was completed", machine.name(), (*report)->state,
                                readable(row)));
    });
  }
}

void two_runs_are_listed_as_duplicates(World& world) {
  for (const auto& [row, completes] : world.history().completes) {
    if (completes.size() < 2) continue;
    auto [ns, id] = split(row);
    on_each(world, [&](Machine& machine) {
      auto listed = duplicate_ids(world, machine, ns, false);
      bool found =
          std::ranges::any_of(listed, [&](const std::string& entry) { return entry.ends_with(" " + id); });
      if (!found)
        world.wrong(fmt::format("{} does not list {}, which was run {} times", machine.name(), readable(row),
                                completes.size()));
    });
  }
}

}  // namespace

void requests_are_as_told(World& world) {
  replicas_hold_the_same_request_rows(world);
  duplicates_are_the_same_everywhere(world);
  what_was_completed_is_completed_everywhere(world);
  two_runs_are_listed_as_duplicates(world);
}

}  // namespace refrain::simulation
