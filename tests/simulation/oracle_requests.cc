// SPDX-License-Identifier: Apache-2.0
// Oracles of requests, once the nodes agree. Each answer and each decision was judged when it came
// (request_answers.h, request_truth.h); here stands what must be true in the end: every node says the same of
// every request, and every run that was not the only one is listed, and no other.
#include <fmt/format.h>

#include <algorithm>
#include <functional>

#include "base/text.h"
#include "oracle.h"
#include "request_answers.h"
#include "world.h"

namespace refrain::simulation {
namespace {

std::string readable(const std::string& row) {
  std::string text = row;
  std::ranges::replace(text, '\0', '/');
  return text;
}

/// Calls `look` for each node.
void on_each(World& world, const std::function<void(Machine&)>& look) {
  for (std::size_t i = 0; i < world.machines(); ++i) look(world.machine(i));
}

void every_node_says_what_is_so(World& world) {
  RequestAnswers answers(world);
  for (const auto& [row, events] : world.requests().rows())
    on_each(world, [&](Machine& machine) { answers.look(machine, row); });
}

/// Of one row the losing runs; true = certain.
using Losers = std::map<store::GoId, bool>;
std::map<std::string, Losers> listed(World& world, Machine& machine) {
  std::map<std::string, Losers> listed;
  std::string after;
  while (true) {
    auto page = machine.node().duplicates("", after, true, 100);
    if (!page) {
      world.wrong(fmt::format("{} cannot list duplicates: {}", machine.name(), page.error().detail));
      return listed;
    }
    for (const node::DuplicateReport& report : page->items) {
      const store::Duplicate& duplicate = report.duplicate;
      bool& certain = listed[duplicate.ns + '\0' + duplicate.id][duplicate.loser];
      certain = certain || !duplicate.possible;
    }
    if (!page->after) return listed;
    after = *page->after;
  }
}

/// Runs of which it is sure that they were not the only one.
struct Runs {
  std::set<store::GoId> lost;      // must be listed
  std::set<store::GoId> may_have;  // may be listed
  bool by_operator = false;        // then it may be no more than possible
  std::optional<store::GoId> winner;
};

Runs runs_of(const RequestEvents& events) {
  Runs runs;
  const RequestEvent* winner = nullptr;
  for (const RequestEvent& event : events) {
    runs.by_operator = runs.by_operator || event.kind == RequestEvent::Kind::kOperatorRelease ||
                       event.kind == RequestEvent::Kind::kResolve;
    if (event.is_outcome() && (winner == nullptr || winner->version() < event.version())) winner = &event;
  }
  for (const RequestEvent& event : events) {
    if (event.is_outcome()) runs.may_have.insert(event.go);
    if (event.is_outcome() && event.go != winner->go) runs.lost.insert(event.go);
    if (event.kind == RequestEvent::Kind::kDuplicate) runs.may_have.insert(event.go);
  }
  if (winner != nullptr) runs.winner = winner->go;
  return runs;
}

std::string name_of(const store::GoId& go) {
  return format_version({go.go, go.node});
}

/// Certain ones that one list has and the other has not. A token that completed at two nodes, with another
/// run's outcome between the two, may be listed at some nodes beside that run, although it won.
std::string difference(World& world, std::map<std::string, Losers> a, std::map<std::string, Losers> b) {
  std::string text;
  for (const auto& [row, events] : world.requests().rows()) {
    // Forgotten where the other run's journal came later than it is remembered: there they never met.
    if (is_short_lived(row)) continue;
    // Where an operator's word is the largest outcome, runs that met it first are only possible.
    bool word = std::ranges::any_of(
        events, [](const RequestEvent& e) { return e.kind == RequestEvent::Kind::kResolve; });
    if (word) continue;
    std::optional<store::GoId> winner = runs_of(events).winner;
    for (const RequestEvent& event : events) {
      const store::GoId& go = event.go;
      if (go != winner && a[row][go] != b[row][go])
        text += (text.empty() ? "" : ", ") + readable(row) + " " + name_of(go);
    }
  }
  return text;
}

void runs_are_listed(World& world, Machine& machine) {
  auto listed = simulation::listed(world, machine);
  auto is_listed = [&](const std::string& row, const store::GoId& go, bool certain) {
    auto found = listed[row].find(go);
    return found != listed[row].end() && (found->second || !certain);
  };
  for (const auto& [row, events] : world.requests().rows()) {
    if (is_short_lived(row)) continue;
    Runs runs = runs_of(events);
    for (const store::GoId& go : runs.lost) {
      if (!is_listed(row, go, !runs.by_operator))
        world.wrong(fmt::format("{} does not list {} of {}, which was not the only run", machine.name(),
                                name_of(go), readable(row)));
    }
    for (const auto& [go, certain] : listed[row]) {
      if (certain && !runs.may_have.contains(go))
        world.wrong(
            fmt::format("{} lists {} of {} as a duplicate", machine.name(), name_of(go), readable(row)));
      world.hit("duplicates");
      if (certain) world.hit("duplicates: certain");
      if (!certain) world.hit("duplicates: possible");
    }
  }
  for (const RefusedRun& refused : world.history().refused) {
    Runs runs = runs_of(world.requests().row(refused.row));
    if (runs.winner == refused.go) continue;  // it had completed at another node, and won in the end
    // "the refusing node journals it": of an incarnation that is over that may lie beyond its end.
    if (world.requests().was_listed_in_vain(refused.row, refused.go)) continue;
    if (!is_listed(refused.row, refused.go, !runs.by_operator))
      world.wrong(fmt::format("{} does not list {} of {}, which was refused because another ran",
                              machine.name(), name_of(refused.go), readable(refused.row)));
  }
}

void every_second_run_is_listed_everywhere(World& world) {
  const std::map<std::string, Losers> first = listed(world, world.machine(0));
  on_each(world, [&](Machine& machine) {
    runs_are_listed(world, machine);
    if (auto other = difference(world, listed(world, machine), first); !other.empty())
      world.wrong(
          fmt::format("{} and {} list other duplicates: {}", world.machine(0).name(), machine.name(), other));
  });
}

/// Where every run that completed had operations, what is kept of them is of the run that is replayed.
void kept_effects_are_of_the_replayed_run(World& world) {
  for (const auto& [row, events] : world.requests().rows()) {
    const RequestEvent* winner = nullptr;
    bool all = true;
    for (const RequestEvent& event : events) {
      if (!event.is_outcome()) continue;
      all = all && event.writes > 0 && !event.outcome.too_large;
      if (winner == nullptr || winner->version() < event.version()) winner = &event;
    }
    if (winner == nullptr || !all) continue;
    std::string key = row;
    std::ranges::replace(key, '\0', '.');
    on_each(world, [&](Machine& machine) {
      auto kept = machine.node().get("effects", key);
      if (!kept || !*kept || (*kept)->value != winner->outcome.body)
        world.wrong(fmt::format("{} has effects of {} that are not of the run it replays", machine.name(),
                                readable(row)));
    });
  }
}

void replicas_hold_the_same_request_rows(World& world) {
  bool any_short_lived = std::ranges::any_of(world.requests().rows(),
                                             [](const auto& entry) { return is_short_lived(entry.first); });
  if (any_short_lived) return;  // at one node a dead part may still be there
  for (store::Family family : {store::Family::kRequests, store::Family::kResponses, store::Family::kOpen}) {
    std::uint64_t first = world.machine(0).disk().rows_hash(family);
    on_each(world, [&](Machine& machine) {
      if (machine.disk().rows_hash(family) == first) return;
      world.wrong(fmt::format("{} and {} hold other rows in {}", world.machine(0).name(), machine.name(),
                              store::family_name(family)));
    });
  }
}

}  // namespace

void requests_are_as_told(World& world) {
  replicas_hold_the_same_request_rows(world);
  every_node_says_what_is_so(world);
  every_second_run_is_listed_everywhere(world);
  kept_effects_are_of_the_replayed_run(world);
}

}  // namespace refrain::simulation
