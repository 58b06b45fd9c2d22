// SPDX-License-Identifier: Apache-2.0
// refrain-sim: runs worlds, by seed, and says what went wrong in which.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <string>
#include <thread>

#include "planted.h"
#include "runner.h"
#include "shrink.h"

namespace refrain::simulation {
namespace {

struct Options {
  std::uint64_t seed = 0;
  Many many;
  std::string cut;
  bool expect_found = false;
  bool every_branch = false;
  bool trace = false;
  bool list_bugs = false;
  bool mutants = false;
  std::string share = "1/1";
};

void print_branches(const Branches& branches) {
  for (const auto& [name, times] : branches.counts()) fmt::print("{:>10} {}\n", times, name);
}

int run_one(const Options& options) {
  auto cut = parse_cut(options.cut);
  if (!cut) {
    fmt::print(stderr, "{}\n", cut.error().detail);
    return 2;
  }
  Plan whole = draw_plan(options.seed, options.many.members || planted_among_members());
  for (std::size_t place : cut->actions.value_or(std::vector<std::size_t>{})) {
    if (place < whole.actions.size()) continue;
    fmt::print(stderr, "there is no action {}: this world has {}\n", place, whole.actions.size());
    return 2;
  }
  Plan plan = cut_plan(whole, *cut);
  std::fprintf(stderr, "seed %lu: %d nodes, %ld ms disturbed, window %zu, %d clients at %d keys\n", plan.seed,
               plan.nodes, plan.disturbed.count(), plan.window, plan.clients, plan.keys);
  for (const LogFault& fault : log_fault_kinds()) {
    if (plan.log_faults.*fault.rate > 0)
      std::fprintf(stderr, "  all along: %s %.3f\n", std::string(fault.name).c_str(),
                   plan.log_faults.*fault.rate);
  }
  for (const Action& action : plan.actions)
    std::fprintf(stderr, "  at %6ld ms: %s\n", action.at.count(), describe(action).c_str());
  Verdict verdict = run_plan(plan, options.trace, options.many.always_twice);
  verdict.branches.add(product_branches());
  print_branches(verdict.branches);
  for (const std::string& wrong : verdict.wrongs) fmt::print("WRONG {}\n", wrong);
  fmt::print("seed {}: trace {:016x} of {} lines\n", options.seed, verdict.trace_hash, verdict.trace_lines);
  return verdict.wrongs.empty() ? 0 : 1;
}

bool every_branch_was_reached(const Branches& branches) {
  auto missing = never_reached(branches);
  for (const std::string& name : missing) fmt::print("never reached: {}\n", name);
  return missing.empty();
}

int run_seeds(const Options& options) {
  Many many = options.many;
  many.stop_at_first = options.expect_found;
  many.progress = true;
  Sum sum = run_many(many);
  if (!sum.whole) fmt::print("a worker ended badly: some seeds were not run\n");
  if (options.expect_found) {
    bool found = sum.failed > 0 || !sum.whole;
    fmt::print("planted bug {}: {} after {} worlds\n", many.bug, found ? "found" : "NOT FOUND",
               sum.passed + sum.failed);
    return found ? 0 : 1;
  }
  print_branches(sum.branches);
  std::uint64_t failed = sum.failed + (sum.whole ? 0 : 1);
  if (options.every_branch && !every_branch_was_reached(sum.branches)) ++failed;
  std::uint64_t worlds = sum.passed + sum.failed;
  auto calls = sum.branches.counts().find("client calls");
  fmt::print("{} worlds from seed {}, {:.0f} a second in {} processes, {:.0f} client calls a world\n", worlds,
             many.from, static_cast<double>(worlds) / sum.seconds, many.jobs,
             calls == sum.branches.counts().end() || worlds == 0
                 ? 0.0
                 : static_cast<double>(calls->second) / static_cast<double>(worlds));
  fmt::print("{} passed, {} failed\n", sum.passed, failed);
  return failed == 0 ? 0 : 1;
}

/// Every planted bug, or a share of them: each must be found.
int run_mutants(const Options& options) {
  unsigned which = 1;
  unsigned of = 1;
  if (std::sscanf(options.share.c_str(), "%u/%u", &which, &of) != 2 || which < 1 || which > of) {
    std::fputs("--share is like 2/3: the second of three shares\n", stderr);
    return 2;
  }
  Many many = options.many;
  many.stop_at_first = true;
  unsigned found = 0;
  unsigned missed = 0;
  for (std::size_t i = which - 1; i < planted_bugs().size(); i += of) {
    const PlantedBug& bug = planted_bugs()[i];
    plant(bug.name);
    Sum sum = run_many(many);
    // A worker that an invariant of the product ended has found it, too.
    bool seen = sum.failed > 0 || !sum.whole;
    ++(seen ? found : missed);
    fmt::print("{:<28} {} {:>5} worlds: {}\n", bug.name, seen ? "found within" : "NOT FOUND in",
               sum.passed + sum.failed + (sum.whole ? 0 : 1), bug.what);
    std::fflush(stdout);
  }
  fmt::print("{} passed, {} failed\n", found, missed);
  return missed == 0 ? 0 : 1;
}

int run(const Options& options) {
  if (auto differ = planted_bugs_that_differ(); !differ.empty()) {
    for (std::string_view name : differ)
      fmt::print(stderr, "planted bug '{}' stands in the product or in planted.cc, not in both\n", name);
    return 2;
  }
  if (options.list_bugs) {
    for (const PlantedBug& bug : planted_bugs()) fmt::print("{:<28} {}\n", bug.name, bug.what);
    return 0;
  }
  if (!plant(options.many.bug)) {
    fmt::print(stderr, "there is no planted bug '{}'; see --list-bugs\n", options.many.bug);
    return 2;
  }
  watch_for_crashes();
  if (options.mutants) return run_mutants(options);
  return options.many.seeds > 0 ? run_seeds(options) : run_one(options);
}

}  // namespace
}  // namespace refrain::simulation

int main(int argc, char** argv) {
  refrain::simulation::Options options;
  refrain::simulation::Many& many = options.many;
  many.jobs = std::max(1U, std::thread::hardware_concurrency());
  CLI::App app{
      "Two to five nodes in one thread on a simulated clock, disk and log, with faults drawn from a seed. "
      "The same "
      "seed gives the same trace."};
  auto* seed = app.add_option("--seed", options.seed, "one world, with its plan, branches and trace hash");
  auto* seeds =
      app.add_option("--seeds", many.seeds, "this many worlds")->check(CLI::PositiveNumber)->excludes(seed);
  app.add_option("--from", many.from, "the first seed of --seeds")->needs(seeds);
  app.add_option("--jobs", many.jobs, "processes for --seeds")->check(CLI::PositiveNumber);
  app.add_option("--cut", options.cut, "only this part of the world, as a failure's story says")->needs(seed);
  app.add_option("--bug", many.bug, "with this planted bug");
  app.add_flag("--expect-found", options.expect_found, "succeed when a world shows the planted bug")
      ->needs(seeds);
  app.add_flag("--every-branch", options.every_branch, "fail when a rare branch or a fault was never reached")
      ->needs(seeds);
  app.add_flag("--twice", many.always_twice, "run each world twice and compare the traces");
  app.add_flag("--members", many.members, "members come and go in every world");
  app.add_flag("--trace", options.trace, "print every event of the world to stderr");
  app.add_flag("--list-bugs", options.list_bugs, "the planted bugs");
  auto* mutants =
      app.add_flag("--mutants", options.mutants, "each planted bug must be found within --seeds worlds");
  app.add_option("--share", options.share, "only a share of the planted bugs: 2/3 is the second third")
      ->needs(mutants);
  CLI11_PARSE(app, argc, argv);
  if (seed->count() == 0 && seeds->count() == 0 && !options.list_bugs) {
    std::fputs("say --seed N or --seeds N; see --help\n", stderr);
    return 2;
  }
  return refrain::simulation::run(options);
}
