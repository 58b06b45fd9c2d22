// SPDX-License-Identifier: Apache-2.0
// refrain-sim: runs worlds, by seed, and says what went wrong in which.
#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <string>
#include <thread>
#include <vector>

#include "planted.h"
#include "world.h"

namespace refrain::simulation {
namespace {

struct Options {
  std::uint64_t seed = 0;
  std::uint64_t seeds = 0;
  std::uint64_t from = 1;
  unsigned jobs = std::max(1U, std::thread::hardware_concurrency());
  std::string bug;
  bool expect_found = false;
  bool twice = false;
  bool trace = false;
  bool list_bugs = false;
};

struct Sum {
  std::uint64_t passed = 0;
  std::uint64_t failed = 0;
  Branches branches;
};

void describe(const Plan& plan) {
  std::fprintf(stderr, "seed %lu: %ld ms disturbed, window %zu, %d clients at %d keys\n", plan.seed,
               plan.disturbed.count(), plan.window, plan.clients, plan.keys);
  for (const Action& action : plan.actions)
    std::fprintf(stderr, "  at %6ld ms: %s\n", action.at.count(), describe(action).c_str());
}

volatile std::uint64_t seed_now = 0;  // for the handler of crashes

/// An invariant of the product that broke ends the process: say first in which world it was.
void say_seed(int signal) {
  char text[64];
  int length = std::snprintf(text, sizeof text, "seed %lu ABORTED\n", static_cast<unsigned long>(seed_now));
  [[maybe_unused]] auto written = write(STDOUT_FILENO, text, static_cast<std::size_t>(length));
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

Verdict run_seed(std::uint64_t seed, const Options& options, Sum& sum) {
  seed_now = seed;
  Verdict verdict = World(draw_plan(seed), options.trace).run();
  if (options.twice && World(draw_plan(seed), false).run().trace_hash != verdict.trace_hash)
    verdict.wrongs.push_back("the same seed gave another trace");
  sum.branches.add(verdict.branches);
  bool good = verdict.wrongs.empty();
  ++(good ? sum.passed : sum.failed);
  if (good || options.expect_found) return verdict;
  fmt::print("seed {} FAILED, trace {:016x}; again with: ./dev sim --seed {}{} --trace\n", seed,
             verdict.trace_hash, seed, options.bug.empty() ? "" : " --bug " + options.bug);
  std::size_t shown = std::min<std::size_t>(verdict.wrongs.size(), 10);
  for (std::size_t i = 0; i < shown; ++i) fmt::print("  {}\n", verdict.wrongs[i]);
  std::fflush(stdout);
  return verdict;
}

int run_one(const Options& options) {
  describe(draw_plan(options.seed));
  Sum sum;
  Verdict verdict = run_seed(options.seed, options, sum);
  for (const auto& [name, times] : sum.branches.counts()) fmt::print("{:>10} {}\n", times, name);
  fmt::print("seed {}: trace {:016x} of {} lines\n", options.seed, verdict.trace_hash, verdict.trace_lines);
  return verdict.wrongs.empty() ? 0 : 1;
}

// ---- many seeds, in several processes: each takes every jobs-th seed and reports through a pipe

void write_sum(std::FILE* out, const Sum& sum) {
  fmt::print(out, "{} {}\n", sum.passed, sum.failed);
  for (const auto& [name, times] : sum.branches.counts()) fmt::print(out, "{} {}\n", times, name);
  std::fclose(out);
}

bool read_sum(std::FILE* in, Sum& sum) {
  unsigned long first = 0;
  unsigned long second = 0;
  bool whole = std::fscanf(in, "%lu %lu\n", &first, &second) == 2;
  sum.passed += first;
  sum.failed += second;
  char name[256];
  while (whole && std::fscanf(in, "%lu %255[^\n]\n", &first, name) == 2) sum.branches.hit(name, first);
  std::fclose(in);
  return whole;
}

Sum run_share(const Options& options, unsigned share) {
  Sum sum;
  for (std::uint64_t seed = options.from + share; seed < options.from + options.seeds; seed += options.jobs) {
    bool good = run_seed(seed, options, sum).wrongs.empty();
    if (!good && options.expect_found) break;  // one is enough
  }
  return sum;
}

int run_many(const Options& options) {
  std::vector<std::FILE*> pipes;
  std::vector<pid_t> children;
  std::fflush(stdout);
  for (unsigned share = 0; share < options.jobs; ++share) {
    int ends[2];
    if (pipe(ends) != 0) return 2;
    pid_t child = fork();
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);  // no worker outlives the program
      close(ends[0]);
      write_sum(fdopen(ends[1], "w"), run_share(options, share));
      std::exit(0);  // not _exit: a build that looks for leaks looks at the end
    }
    close(ends[1]);
    children.push_back(child);
    pipes.push_back(fdopen(ends[0], "r"));
  }
  Sum sum;
  bool whole = true;
  for (std::FILE* in : pipes) whole = read_sum(in, sum) && whole;
  for (pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    whole = whole && status == 0;
  }
  if (!whole) fmt::print("a worker ended badly: some seeds were not run\n");
  for (const auto& [name, times] : sum.branches.counts()) fmt::print("{:>10} {}\n", times, name);
  if (options.expect_found) {
    bool found = sum.failed > 0;
    fmt::print("planted bug {}: {} after {} seeds\n", options.bug, found ? "found" : "NOT FOUND",
               sum.passed + sum.failed);
    return found ? 0 : 1;
  }
  fmt::print("{} passed, {} failed\n", sum.passed, sum.failed + (whole ? 0 : 1));
  return sum.failed == 0 && whole ? 0 : 1;
}

int run(const Options& options) {
  if (options.list_bugs) {
    for (const PlantedBug& bug : planted_bugs()) fmt::print("{:<22} {}\n", bug.name, bug.what);
    return 0;
  }
  if (!plant(options.bug)) {
    fmt::print(stderr, "there is no planted bug '{}'; see --list-bugs\n", options.bug);
    return 2;
  }
  std::signal(SIGABRT, say_seed);
  std::signal(SIGSEGV, say_seed);
  return options.seeds > 0 ? run_many(options) : run_one(options);
}

}  // namespace
}  // namespace refrain::simulation

int main(int argc, char** argv) {
  refrain::simulation::Options options;
  CLI::App app{
      "Three nodes in one thread on a simulated clock, disk and log, with faults drawn from a seed. The same "
      "seed gives the same trace."};
  auto* seed = app.add_option("--seed", options.seed, "one world, with its plan, branches and trace hash");
  auto* seeds = app.add_option("--seeds", options.seeds, "this many worlds")
                    ->check(CLI::PositiveNumber)
                    ->excludes(seed);
  app.add_option("--from", options.from, "the first seed of --seeds")->needs(seeds);
  app.add_option("--jobs", options.jobs, "processes for --seeds")->check(CLI::PositiveNumber);
  app.add_option("--bug", options.bug, "with this planted bug");
  app.add_flag("--expect-found", options.expect_found, "succeed when a world shows the planted bug")
      ->needs(seeds);
  app.add_flag("--twice", options.twice, "run each world twice and compare the traces");
  app.add_flag("--trace", options.trace, "print every event of the world to stderr");
  app.add_flag("--list-bugs", options.list_bugs, "the planted bugs");
  CLI11_PARSE(app, argc, argv);
  if (seed->count() == 0 && seeds->count() == 0 && !options.list_bugs) {
    std::fputs("say --seed N or --seeds N; see --help\n", stderr);
    return 2;
  }
  return refrain::simulation::run(options);
}
