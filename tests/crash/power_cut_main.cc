// SPDX-License-Identifier: Apache-2.0
// refrain-power-cut: cuts the power of a node on real RocksDB, again and again, and says what was wrong after
// which cut. A world a seed, each in a process of its own.
#include <fmt/format.h>
#include <sys/personality.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <string>
#include <thread>

#include "base/planted.h"
#include "power_world.h"

namespace refrain {
namespace {
std::string planted_bug;
}
bool planted(std::string_view bug) {
  return !planted_bug.empty() && bug == planted_bug;
}

std::uint64_t& branch_counter(std::string_view) {  // nobody counts here
  static std::uint64_t all = 0;
  return all;
}
}  // namespace refrain

namespace refrain::crash {
namespace {

constexpr unsigned kSecondsAWorld = 120;  // one takes about one

struct Options {
  std::uint64_t cuts = 100;
  std::uint64_t seed = 1;
  bool one = false;
  unsigned jobs = std::max(1U, std::thread::hardware_concurrency());
  std::string bug;
  bool expect_found = false;
  bool twice = false;
  bool trace = false;
};

struct Sum {
  std::uint64_t cuts = 0;
  std::uint64_t worlds = 0;
  std::uint64_t failed = 0;
  std::map<std::string, std::uint64_t> branches;
};

struct Bug {
  const char* name;
  const char* what;
};
constexpr Bug kBugs[] = {
    {"ack_before_sync", "a write is acknowledged before it is synced"},
    {"hole_between_logs", "a log is not synced when its successor begins"},
    {"split_batch", "what was applied, and the cursors, are written in a batch before the data"},
    {"lying_disk", "the disk says synced and has nothing synced"},
};

bool plant(const std::string& name) {
  if (name.empty()) return true;
  planted_bug = name;
  return std::any_of(std::begin(kBugs), std::end(kBugs), [&](const Bug& bug) { return name == bug.name; });
}

WorldOptions world_options(const Options& options, std::uint64_t seed, const std::string& root) {
  return {seed, {options.bug == "split_batch", options.bug == "lying_disk"}, options.trace, root};
}

/// In its own process: the verdict goes to `out`, line by line.
[[noreturn]] void run_child(const Options& options, std::uint64_t seed, int out) {
  ::alarm(kSecondsAWorld);
  std::string pattern = (std::filesystem::temp_directory_path() / "refrain-power-XXXXXX").string();
  std::string root = ::mkdtemp(pattern.data());
  WorldVerdict verdict = run_world(world_options(options, seed, root));
  std::FILE* pipe = ::fdopen(out, "w");
  fmt::print(pipe, "cuts {}\n", verdict.cuts);
  for (const auto& [name, times] : verdict.branches) fmt::print(pipe, "{} {}\n", times, name);
  fmt::print(pipe, "story\n{}", verdict.story);
  fmt::print(pipe, "wrongs {}\n", verdict.wrongs.size());
  for (std::size_t i = 0; i < std::min<std::size_t>(verdict.wrongs.size(), 10); ++i)
    fmt::print(pipe, "{}\n", verdict.wrongs[i]);
  bool keep = !verdict.wrongs.empty() && !options.expect_found;
  if (keep) fmt::print(pipe, "the disks are kept in {}\n", root);
  std::fflush(pipe);
  if (!keep) std::filesystem::remove_all(root);
  ::_exit(0);
}

struct Child {
  std::uint64_t seed = 0;
  std::FILE* in = nullptr;
};

/// Ends the program at the first sign that it cannot work at all.
pid_t spawn(const Options& options, std::uint64_t seed, Child& child) {
  int ends[2];
  if (::pipe(ends) != 0) std::exit(2);
  std::fflush(stdout);
  pid_t pid = ::fork();
  if (pid < 0) std::exit(2);
  if (pid == 0) {
    ::close(ends[0]);
    run_child(options, seed, ends[1]);
  }
  ::close(ends[1]);
  child = {seed, ::fdopen(ends[0], "r")};
  return pid;
}

std::string rest_of(std::FILE* in) {
  std::string text;
  char part[4096];
  while (std::size_t got = std::fread(part, 1, sizeof part, in)) text.append(part, got);
  std::fclose(in);
  return text;
}

struct Told {
  std::uint64_t cuts = 0;
  std::map<std::string, std::uint64_t> branches;
  std::string story;
  std::string wrongs;
  bool good = false;
};

Told understand(const std::string& text, int status) {
  Told told;
  std::size_t story = text.find("story\n");
  std::size_t wrongs = text.rfind("wrongs ");
  if (status != 0 || story == std::string::npos || wrongs == std::string::npos) {
    bool hung = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
    told.wrongs =
        hung ? "it did not come to its end\n" : fmt::format("the process ended with status {:#x}\n", status);
    return told;
  }
  std::size_t at = 0;
  while (at < story) {
    std::size_t end = text.find('\n', at);
    std::string line = text.substr(at, end - at);
    at = end + 1;
    if (line.starts_with("cuts ")) {
      told.cuts = std::stoull(line.substr(5));
    } else {
      std::size_t space = line.find(' ');
      told.branches[line.substr(space + 1)] += std::stoull(line.substr(0, space));
    }
  }
  told.story = text.substr(story + 6, wrongs - story - 6);
  told.wrongs = text.substr(text.find('\n', wrongs) + 1);
  told.good = text.compare(wrongs, 9, "wrongs 0\n") == 0;
  return told;
}

Told run_seed_now(const Options& options, std::uint64_t seed) {
  Child child;
  pid_t pid = spawn(options, seed, child);
  std::string text = rest_of(child.in);
  int status = 0;
  ::waitpid(pid, &status, 0);
  return understand(text, status);
}

void take(const Options& options, std::uint64_t seed, const Told& told, Sum& sum) {
  ++sum.worlds;
  sum.cuts += told.cuts;
  for (const auto& [name, times] : told.branches) sum.branches[name] += times;
  bool good = told.good;
  if (options.twice && good && told.branches.contains("worlds with RocksDB's threads held")) {
    Told again = run_seed_now(options, seed);
    ++sum.branches["worlds run twice"];
    if (again.story != told.story) ++sum.branches["of them, with cuts at other places"];
    good = again.good;
  }
  if (good) return;
  ++sum.failed;
  if (options.expect_found) return;
  fmt::print("seed {} FAILED; again with: ./dev power-cut --only {}{}\n{}{}", seed, seed,
             options.bug.empty() ? "" : " --bug " + options.bug, told.story, told.wrongs);
  std::fflush(stdout);
}

int run(const Options& options) {
  std::map<pid_t, Child> children;
  Sum sum;
  std::uint64_t seed = options.seed;
  auto more = [&] {
    if (options.one) return seed == options.seed;
    return sum.cuts < options.cuts && !(options.expect_found && sum.failed > 0);
  };
  while (more() || !children.empty()) {
    while (more() && children.size() < options.jobs) {
      Child child;
      pid_t pid = spawn(options, seed++, child);
      children[pid] = child;
    }
    // One whose pipe is read to its end has ended, or is about to.
    auto first = children.begin();
    std::string text = rest_of(first->second.in);
    int status = 0;
    ::waitpid(first->first, &status, 0);
    std::uint64_t of = first->second.seed;
    children.erase(first);
    Told told = understand(text, status);
    take(options, of, told, sum);
    if (options.one) fmt::print("{}", told.story);
  }
  for (const auto& [name, times] : sum.branches) fmt::print("{:>10} {}\n", times, name);
  if (options.expect_found) {
    fmt::print("planted bug {}: {} after {} cuts\n", options.bug, sum.failed > 0 ? "found" : "NOT FOUND",
               sum.cuts);
    return sum.failed > 0 ? 0 : 1;
  }
  fmt::print("{} power cuts in {} worlds\n{} passed, {} failed\n", sum.cuts, sum.worlds,
             sum.worlds - sum.failed, sum.failed);
  return sum.failed == 0 ? 0 : 1;
}

/// The same addresses in every run: RocksDB draws some of its chances from those of its threads.
void fix_addresses(char** arguments) {
  int now = ::personality(0xffffffff);
  if (now == -1 || (now & ADDR_NO_RANDOMIZE) != 0) return;
  if (::personality(static_cast<unsigned long>(now) | ADDR_NO_RANDOMIZE) == -1) return;
  ::execv("/proc/self/exe", arguments);
}

}  // namespace
}  // namespace refrain::crash

int main(int argc, char** argv) {
  refrain::crash::fix_addresses(argv);
  refrain::crash::Options options;
  CLI::App app{
      "Cuts the power of a node on real RocksDB: at any operation of its disk, with any loss of what was not "
      "synced. Each world is drawn from a seed and has a few cuts in a row."};
  app.add_option("--cuts", options.cuts, "worlds until there were this many cuts")
      ->check(CLI::PositiveNumber);
  auto* seed = app.add_option("--seed", options.seed, "the first world");
  auto* only = app.add_option("--only", options.seed, "one world, and where its cuts fell")->excludes(seed);
  app.add_option("--jobs", options.jobs, "processes")->check(CLI::PositiveNumber);
  app.add_option("--bug", options.bug,
                 "with this planted bug: ack_before_sync, hole_between_logs, split_batch, lying_disk");
  app.add_flag("--expect-found", options.expect_found, "succeed when a world shows the planted bug");
  app.add_flag("--twice", options.twice, "run the worlds twice and count those whose cuts fell elsewhere");
  app.add_flag("--trace", options.trace, "print what happens to stderr");
  CLI11_PARSE(app, argc, argv);
  options.one = only->count() > 0;
  if (!refrain::crash::plant(options.bug)) {
    std::fputs("there is no such planted bug; see --help\n", stderr);
    return 2;
  }
  return refrain::crash::run(options);
}
