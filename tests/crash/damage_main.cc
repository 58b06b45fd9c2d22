// SPDX-License-Identifier: Apache-2.0
// refrain-damage: damages one file of a store and opens it, once a case, each in a process of its own.
//
// What is right:
//  - the store is refused, with an error that names the file, the reason and what to do; or
//  - it opens, and everything acknowledged is there; or
//  - it opens, and reading what stands in the damaged place gives such an error; or
//  - of a store that was not stopped cleanly, the newest log lost its end (cut, emptied, an older copy, or
//    damaged so that its end cannot be told from one that the power tore): then the store alone cannot know,
//    and the node, which finds more in its own journal than in its directory, says `rolled_back` and takes no
//    writes.
// Never: opened with less and silent, ended by a signal, or still waiting when the watchdog's time is over.
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "damaged_store.h"
#include "dice.h"

namespace refrain::crash {
namespace {

namespace fs = std::filesystem;
using simulation::Dice;

constexpr unsigned kSecondsACase = 30;  // the watchdog's 2 come first

struct Options {
  std::uint64_t cases = 200;
  std::uint64_t seed = 1;
  std::uint64_t first = 0;
  unsigned jobs = std::max(1U, std::thread::hardware_concurrency());
  bool forget_log = false;
  bool expect_found = false;
  bool show = false;
};

enum class Kind : std::uint8_t { kLog, kTable, kManifest, kCurrent, kOptions, kFormat, kCleanStop };
constexpr std::array<const char*, 7> kKinds = {"log",     "table",  "MANIFEST",  "CURRENT",
                                               "OPTIONS", "FORMAT", "CLEAN_STOP"};
enum class Harm : std::uint8_t {
  kFlip,
  kGarbage,
  kZeros,
  kCut,
  kCutEnd,
  kMore,
  kRemove,
  kEmpty,
  kOlder,
  kHang
};
constexpr std::array<const char*, 10> kHarms = {"a flipped bit",
                                                "a sector of garbage",
                                                "a page of zeros",
                                                "cut",
                                                "the last bytes cut",
                                                "bytes added",
                                                "removed",
                                                "emptied",
                                                "older",
                                                "never read"};

std::string read_whole(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
void write_whole(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

std::vector<fs::path> files_of(const fs::path& data, Kind kind) {
  if (kind == Kind::kFormat) return {data / "FORMAT"};
  std::vector<fs::path> found;
  for (const auto& entry : fs::directory_iterator(data / "db")) {
    std::string name = entry.path().filename().string();
    bool fits = (kind == Kind::kLog && name.ends_with(".log")) ||
                (kind == Kind::kTable && name.ends_with(".sst")) ||
                (kind == Kind::kManifest && name.starts_with("MANIFEST-")) ||
                (kind == Kind::kCurrent && name == "CURRENT") ||
                (kind == Kind::kOptions && name.starts_with("OPTIONS-")) ||
                (kind == Kind::kCleanStop && name == "CLEAN_STOP");
    if (fits) found.push_back(entry.path());
  }
  std::sort(found.begin(), found.end());
  return found;
}

struct Case {
  bool stopped = false;
  Kind kind = Kind::kLog;
  Harm harm = Harm::kFlip;
  fs::path file;  // below the data directory
  bool newest_log = false;
  std::string what;
};

struct Base {
  std::string root;
  Known known;
};

/// Damages the copy at `data`. Nothing when that harm does nothing to that file.
bool do_harm(Case& one, const Base& base, const fs::path& data, Dice& dice) {
  fs::path path = data / one.file;
  std::string before = read_whole(path);
  std::string bytes = before;
  std::uint64_t at = dice.below(bytes.size());
  auto spoil = [&](std::size_t length, auto byte) {
    for (std::size_t i = at; i < std::min(bytes.size(), at + length); ++i) bytes[i] = byte();
  };
  std::string where = fmt::format(" at {} of {}", at, bytes.size());
  switch (one.harm) {
    case Harm::kFlip:
      if (!bytes.empty()) bytes[at] = static_cast<char>(bytes[at] ^ (1 << dice.below(8)));
      break;
    case Harm::kGarbage:
      spoil(512, [&] { return static_cast<char>(dice.next()); });
      break;
    case Harm::kZeros:
      at = at / 4096 * 4096;
      spoil(4096, [] { return '\0'; });
      where = fmt::format(" at {} of {}", at, bytes.size());
      break;
    case Harm::kCut:
      bytes.resize(at);
      break;
    case Harm::kCutEnd:
      at = bytes.size() - std::min<std::size_t>(bytes.size(), 1 + dice.below(40));
      where = fmt::format(" at {} of {}", at, bytes.size());
      bytes.resize(at);
      break;
    case Harm::kMore:
      at = bytes.size();
      bytes.resize(at + 1 + dice.below(600));
      spoil(bytes.size(), [&] { return static_cast<char>(dice.next()); });
      where = fmt::format(" at {}", at);
      break;
    case Harm::kEmpty:
      bytes.clear();
      where = "";
      break;
    case Harm::kOlder: {
      fs::path older = fs::path(base.root) / "older" / one.file;
      if (!fs::exists(older)) return false;
      bytes = read_whole(older);
      where = fmt::format(" of {} bytes instead of {}", bytes.size(), before.size());
      break;
    }
    case Harm::kRemove:
    case Harm::kHang:
      fs::remove(path);
      if (one.harm == Harm::kHang && ::mkfifo(path.c_str(), 0600) != 0) return false;
      where = "";
  }
  one.what = fmt::format("{} store, {}: {}{}", one.stopped ? "stopped" : "killed", one.file.string(),
                         kHarms[static_cast<std::size_t>(one.harm)], where);
  if (one.harm == Harm::kRemove || one.harm == Harm::kHang) return true;
  if (bytes == before) return false;
  write_whole(path, bytes);
  return true;
}

/// Draws until something is harmed.
Case draw_case(const std::array<Base, 2>& bases, const fs::path& data, Dice dice) {
  while (true) {
    Case one;
    one.stopped = dice.chance(0.4);
    const Base& base = bases[one.stopped ? 1 : 0];
    fs::remove_all(data);
    fs::copy(base.root + "/data", data, fs::copy_options::recursive);
    // Logs, tables and MANIFESTs more often than the small files.
    constexpr std::array<Kind, 12> kDrawn = {Kind::kLog,      Kind::kLog,     Kind::kLog,     Kind::kLog,
                                             Kind::kTable,    Kind::kTable,   Kind::kTable,   Kind::kManifest,
                                             Kind::kManifest, Kind::kCurrent, Kind::kOptions, Kind::kFormat};
    one.kind = kDrawn[dice.below(kDrawn.size())];
    if (one.stopped && dice.chance(0.1)) one.kind = Kind::kCleanStop;
    auto files = files_of(data, one.kind);
    one.harm = static_cast<Harm>(dice.below(kHarms.size() - 1));
    bool through_rocksdb = one.kind != Kind::kFormat && one.kind != Kind::kCleanStop;
    if (through_rocksdb && one.kind != Kind::kOptions && dice.chance(0.02)) one.harm = Harm::kHang;
    if (files.empty()) continue;
    fs::path file =
        one.kind == Kind::kLog && dice.chance(0.5) ? files.back() : files[dice.below(files.size())];
    one.newest_log = one.kind == Kind::kLog && file == files.back();
    one.file = fs::relative(file, data);
    if (do_harm(one, base, data, dice)) return one;
  }
}

// ---- a verdict

struct Outcome {
  std::string kind;  // what the table counts
  std::string how;
  std::string wrong;  // empty: as it should be
  std::string what;
  std::string detail;
};

bool says_what_to_do(const std::string& text) {
  static constexpr std::array<const char*, 6> kAdvice = {"start a node with an empty directory",
                                                         "Move the directory aside and rebuild",
                                                         "Correct `node.name`",
                                                         "Correct `cluster`",
                                                         "Start the newer program",
                                                         "Name an empty one"};
  return std::any_of(kAdvice.begin(), kAdvice.end(),
                     [&](const char* advice) { return text.find(advice) != std::string::npos; });
}

/// The file itself, or one that belongs to it: damage shows where things are missing.
bool names_a_file(const std::string& text, const Case& one) {
  static constexpr std::array<const char*, 8> kFiles = {
      ".log", ".sst", "MANIFEST", "CURRENT", "CLEAN_STOP", "FORMAT", "OPTIONS", "WAL with log number"};
  if (one.kind == Kind::kFormat) return true;  // it is about the data directory, which it names
  return std::any_of(kFiles.begin(), kFiles.end(),
                     [&](const char* file) { return text.find(file) != std::string::npos; });
}

std::string wrong_with(const Case& one, Taken::How how, const std::string& detail, const fs::path& data) {
  if (how == Taken::How::kWhole) return "";
  if (how == Taken::How::kLess) return "it opened with less";
  if (how == Taken::How::kRolledBack)
    return !one.stopped && one.newest_log ? "" : "it opened with less: only a torn newest log may";
  if (detail.find(data.string()) == std::string::npos) return "the error does not name the directory";
  if (!names_a_file(detail, one)) return "the error does not name a file";
  if (!says_what_to_do(detail)) return "the error does not say what to do";
  return "";
}

/// What the process that opened it said with its exit and its two outputs.
Outcome judge(const Case& one, const fs::path& data, int status, const std::string& text) {
  Outcome outcome;
  outcome.kind =
      fmt::format("{}{}", one.newest_log ? "newest " : "", kKinds[static_cast<std::size_t>(one.kind)]);
  outcome.what = one.what;
  std::size_t mark = text.rfind("taken ");
  bool timed_out = WIFEXITED(status) && WEXITSTATUS(status) == 1 &&
                   text.find(fmt::format("did not open within {} ms", kOpenTimeoutMs)) != std::string::npos;
  if (timed_out) {
    outcome.how = "ended by the watchdog";
    outcome.detail = text;
    if (one.harm != Harm::kHang) outcome.wrong = "the open did not come back";
    if (!says_what_to_do(text)) outcome.wrong = "the watchdog does not say what to do";
    return outcome;
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0 || mark == std::string::npos) {
    bool hung = WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM;
    outcome.how = hung ? "HUNG" : "ENDED BADLY";
    outcome.wrong = hung ? "it did not come to an end" : fmt::format("the process ended with {:#x}", status);
    outcome.detail = text;
    return outcome;
  }
  auto how = static_cast<Taken::How>(text[mark + 6] - '0');
  outcome.how = name_of(how);
  outcome.detail = text.substr(mark + 8);
  outcome.wrong = wrong_with(one, how, outcome.detail, data);
  return outcome;
}

// ---- processes

std::string rest_of(int fd) {
  std::string text;
  char part[4096];
  ssize_t got = 0;
  while ((got = ::read(fd, part, sizeof part)) > 0) text.append(part, static_cast<std::size_t>(got));
  ::close(fd);
  return text;
}

struct Running {
  pid_t pid = 0;
  int out = -1;
  Case one;
  fs::path data;
  std::uint64_t number = 0;
};

/// Runs `what` in a process of its own whose outputs come back together.
template <class What>
Running spawn(What what) {
  int ends[2];
  if (::pipe(ends) != 0) std::exit(2);
  std::fflush(stdout);
  Running running;
  running.pid = ::fork();
  if (running.pid < 0) std::exit(2);
  if (running.pid == 0) {
    ::dup2(ends[1], 1);
    ::dup2(ends[1], 2);
    ::close(ends[0]);
    ::close(ends[1]);
    ::alarm(kSecondsACase);
    what();
    std::fflush(stdout);
    ::_exit(0);
  }
  ::close(ends[1]);
  running.out = ends[0];
  return running;
}

Base make_base(const std::string& root, std::uint64_t seed, bool stopped) {
  fs::create_directories(root);
  Running making = spawn([&] { make_store(root, seed, stopped); });
  std::string said = rest_of(making.out);
  int status = 0;
  ::waitpid(making.pid, &status, 0);
  if (status != 0) {
    fmt::print(stderr, "{}\n", said);
    std::exit(2);
  }
  return {root, load(root + "/known")};
}

struct Table {
  std::map<std::string, std::map<std::string, std::uint64_t>> counts;  // kind -> how -> cases
  std::uint64_t passed = 0;
  std::uint64_t failed = 0;
};

void take(const Options& options, Running& running, Table& table) {
  std::string text = rest_of(running.out);
  int status = 0;
  ::waitpid(running.pid, &status, 0);
  Outcome outcome = judge(running.one, running.data, status, text);
  ++table.counts[outcome.kind][outcome.how];
  bool good = outcome.wrong.empty();
  ++(good ? table.passed : table.failed);
  fs::remove_all(running.data.parent_path());
  if (options.show)
    fmt::print("case {}: {}: {}\n  {}\n", running.number, outcome.what, outcome.how, outcome.detail);
  if (good || options.expect_found) return;
  fmt::print("case {} FAILED: {}; again with: ./dev damage --seed {} --only {}\n  {}: {}\n  {}\n",
             running.number, outcome.wrong, options.seed, running.number, outcome.what, outcome.how,
             outcome.detail);
  std::fflush(stdout);
}

int run(const Options& options, const std::string& root) {
  std::array<Base, 2> bases = {make_base(root + "/killed", options.seed, false),
                               make_base(root + "/stopped", options.seed, true)};
  std::vector<Running> running;
  Table table;
  std::uint64_t number = options.first;
  auto more = [&] {
    return number < options.first + options.cases && !(options.expect_found && table.failed > 0);
  };
  while (more() || !running.empty()) {
    while (more() && running.size() < options.jobs) {
      fs::path data = fs::path(root) / fmt::format("case-{}", number) / "data";
      fs::create_directories(data.parent_path());
      Case one = draw_case(bases, data, Dice(options.seed).stream(fmt::format("case {}", number)));
      const Known& known = bases[one.stopped ? 1 : 0].known;
      Running next = spawn([&] {
        Taken taken = take_store(data.string(), known, !options.forget_log);
        fmt::print("taken {} {}", static_cast<int>(taken.how), taken.detail);
      });
      next.one = one;
      next.data = data;
      next.number = number++;
      running.push_back(std::move(next));
    }
    take(options, running.front(), table);
    running.erase(running.begin());
  }
  for (const auto& [kind, hows] : table.counts) {
    std::string line;
    for (const auto& [how, times] : hows)
      line += fmt::format("{}{} {}", line.empty() ? "" : ", ", times, how);
    fmt::print("{:<12} {}\n", kind, line);
  }
  if (options.expect_found) {
    fmt::print("planted: {} after {} cases\n", table.failed > 0 ? "found" : "NOT FOUND",
               table.passed + table.failed);
    return table.failed > 0 ? 0 : 1;
  }
  fmt::print("{} passed, {} failed\n", table.passed, table.failed);
  return table.failed == 0 ? 0 : 1;
}

}  // namespace
}  // namespace refrain::crash

int main(int argc, char** argv) {
  namespace fs = std::filesystem;
  refrain::crash::Options options;
  CLI::App app{
      "Damages one file of a store with known content and opens it: refused with file, reason and what to "
      "do, or "
      "opened whole; never with less, never without end."};
  app.add_option("--cases", options.cases, "how many")->check(CLI::PositiveNumber);
  app.add_option("--seed", options.seed, "of the store and of all cases");
  auto* only = app.add_option("--only", options.first, "this case alone, with what was said");
  app.add_option("--jobs", options.jobs, "processes")->check(CLI::PositiveNumber);
  app.add_flag("--show", options.show, "print every case");
  app.add_flag("--forget-log", options.forget_log,
               "the log has lost its records too: nobody can know what is missing, so cases must fail");
  app.add_flag("--expect-found", options.expect_found, "succeed when a case fails");
  CLI11_PARSE(app, argc, argv);
  if (only->count() > 0) {
    options.cases = 1;
    options.show = true;
  }
  std::string root = (fs::temp_directory_path() / "refrain-damage-XXXXXX").string();
  if (::mkdtemp(root.data()) == nullptr) return 2;
  int code = refrain::crash::run(options, root);
  fs::remove_all(root);
  return code;
}
