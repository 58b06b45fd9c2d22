// SPDX-License-Identifier: Apache-2.0
#include "runner.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "planted.h"
#include "shrink.h"

namespace refrain::simulation {
namespace {

constexpr std::uint64_t kOneInTwice = 50;
constexpr int kShrinkTries = 250;
constexpr std::uint64_t kStoriesAProcess = 2;  // of more failures only the first lines are said
constexpr auto kProgressEvery = std::chrono::seconds{5};

volatile std::uint64_t seed_now = 0;  // for the handler of crashes

void say_seed(int signal) {
  char text[64];
  int length = std::snprintf(text, sizeof text, "seed %lu ABORTED\n", static_cast<unsigned long>(seed_now));
  [[maybe_unused]] auto written = write(STDOUT_FILENO, text, static_cast<std::size_t>(length));
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

/// What the processes share while they run.
struct Shared {
  std::atomic<std::uint64_t> done{0};
  std::atomic<std::uint64_t> failed{0};
};

/// Two failures are the same when their words are, numbers and names of nodes and keys aside.
std::string kind_of(const std::string& wrong) {
  std::string kind;
  std::size_t from = 0;
  while (from < wrong.size()) {
    std::size_t to = std::min(wrong.find(' ', from), wrong.size());
    std::string word = wrong.substr(from, to - from);
    bool varies = word.size() <= 3 || word.find_first_of("0123456789/\n") != std::string::npos;
    if (!varies) kind += word + ' ';
    from = to + 1;
  }
  return kind;
}

/// With which the same world is drawn again.
std::string switches(const Many& many) {
  return (many.bug.empty() ? "" : " --bug " + many.bug) + (many.members ? " --members" : "");
}

void tell_story(const Plan& plan, const std::string& switches, const std::string& wrong) {
  std::string kind = kind_of(wrong);
  auto fails = [&kind](const Plan& cut) {
    Verdict verdict = run_plan(cut, false, false);
    return !verdict.wrongs.empty() && kind_of(verdict.wrongs.front()) == kind;
  };
  Cut cut = shrink(plan, fails, kShrinkTries);
  Plan left = cut_plan(plan, cut);
  fmt::print("  the shortest story found: {} nodes, {} clients, {} ms disturbed\n", left.nodes, left.clients,
             left.disturbed.count());
  for (const LogFault& fault : log_fault_kinds()) {
    if (left.log_faults.*fault.rate > 0) fmt::print("    all along: {}\n", fault.name);
  }
  for (const Action& action : left.actions)
    fmt::print("    at {:>6} ms: {}\n", action.at.count(), describe(action));
  fmt::print("  again with: ./dev sim --seed {}{} --cut \"{}\" --trace\n", plan.seed, switches,
             format_cut(cut));
}

void run_one_of_many(std::uint64_t seed, const Many& many, Sum& sum) {
  seed_now = seed;
  Plan plan = draw_plan(seed, many.members || planted_among_members());
  Verdict verdict = run_plan(plan, false, many.always_twice || seed % kOneInTwice == 0);
  if (!verdict.wrongs.empty() && !many.stop_at_first &&
      run_plan(plan, false, false).trace_hash != verdict.trace_hash)
    verdict.wrongs.push_back("the same seed gave another trace");
  sum.branches.add(verdict.branches);
  if (verdict.wrongs.empty()) {
    ++sum.passed;
    return;
  }
  ++sum.failed;
  if (many.stop_at_first) return;
  fmt::print("seed {} FAILED, trace {:016x}; again with: ./dev sim --seed {}{} --trace\n", seed,
             verdict.trace_hash, seed, switches(many));
  std::size_t shown = std::min<std::size_t>(verdict.wrongs.size(), 5);
  for (std::size_t i = 0; i < shown; ++i) fmt::print("  {}\n", verdict.wrongs[i]);
  if (sum.failed <= kStoriesAProcess) tell_story(plan, switches(many), verdict.wrongs.front());
  std::fflush(stdout);
}

// Each process takes every jobs-th seed, and reports through a pipe when it is done.

Sum run_share(const Many& many, unsigned share, Shared& shared) {
  Sum sum;
  for (std::uint64_t seed = many.from + share; seed < many.from + many.seeds; seed += many.jobs) {
    if (many.stop_at_first && shared.failed > 0) break;
    std::uint64_t failed = sum.failed;
    run_one_of_many(seed, many, sum);
    shared.failed += sum.failed - failed;
    ++shared.done;
  }
  sum.branches.add(product_branches());
  return sum;
}

void write_sum(std::FILE* out, const Sum& sum) {
  fmt::print(out, "{} {}\n", sum.passed, sum.failed);
  for (const auto& [name, times] : sum.branches.counts()) fmt::print(out, "{} {}\n", times, name);
  std::fclose(out);
}

void read_sum(std::FILE* in, Sum& sum) {
  unsigned long first = 0;
  unsigned long second = 0;
  sum.whole = std::fscanf(in, "%lu %lu\n", &first, &second) == 2 && sum.whole;
  sum.passed += first;
  sum.failed += second;
  char name[256];
  while (std::fscanf(in, "%lu %255[^\n]\n", &first, name) == 2) sum.branches.hit(name, first);
  std::fclose(in);
}

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point began) {
  return std::chrono::duration<double>(Clock::now() - began).count();
}

/// Until a process has something to say, which it has at its end.
void wait_with_progress(std::FILE* in, const Many& many, const Shared& shared, Clock::time_point began) {
  constexpr int kMs = std::chrono::duration_cast<std::chrono::milliseconds>(kProgressEvery).count();
  pollfd wanted{fileno(in), POLLIN, 0};
  while (poll(&wanted, 1, kMs) == 0) {
    if (!many.progress) continue;
    std::uint64_t done = shared.done;
    fmt::print("{} of {} worlds, {} failed, {:.0f} a second\n", done, many.seeds, shared.failed.load(),
               static_cast<double>(done) / seconds_since(began));
    std::fflush(stdout);
  }
}

}  // namespace

void watch_for_crashes() {
  std::signal(SIGABRT, say_seed);
  std::signal(SIGSEGV, say_seed);
}

Verdict run_plan(const Plan& plan, bool print_trace, bool twice) {
  Verdict verdict = World(plan, print_trace).run();
  if (twice && World(plan, false).run().trace_hash != verdict.trace_hash)
    verdict.wrongs.push_back("the same seed gave another trace");
  return verdict;
}

Sum run_many(const Many& many) {
  void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  REFRAIN_ASSERT(memory != MAP_FAILED, "a page of memory that processes share");
  Shared& shared = *new (memory) Shared;
  auto began = Clock::now();
  std::vector<std::FILE*> pipes;
  std::vector<pid_t> children;
  Sum sum;
  std::fflush(stdout);
  for (unsigned share = 0; share < many.jobs; ++share) {
    int ends[2];
    REFRAIN_ASSERT(pipe(ends) == 0, "a pipe to a worker");
    pid_t child = fork();
    REFRAIN_ASSERT(child >= 0, "a worker process");
    if (child == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);  // no worker outlives the program
      close(ends[0]);
      write_sum(fdopen(ends[1], "w"), run_share(many, share, shared));
      std::exit(0);  // not _exit: a build that looks for leaks looks at the end
    }
    close(ends[1]);
    children.push_back(child);
    pipes.push_back(fdopen(ends[0], "r"));
  }
  for (std::FILE* in : pipes) {
    wait_with_progress(in, many, shared, began);
    read_sum(in, sum);
  }
  for (pid_t child : children) {
    int status = 0;
    waitpid(child, &status, 0);
    sum.whole = sum.whole && status == 0;
  }
  sum.seconds = seconds_since(began);
  munmap(memory, sizeof(Shared));
  return sum;
}

}  // namespace refrain::simulation
