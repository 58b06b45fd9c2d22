// SPDX-License-Identifier: Apache-2.0
#include "cli/demo.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <memory>

#include "cli/demo_story.h"
#include "cli/relay.h"
#include "cli/running_node.h"
#include "server/logging.h"

namespace refrain::cli {
namespace {

const std::vector<std::string> kNames = {"eu", "us", "ap"};
const std::map<std::string, std::string> kRegions = {
    {"eu", "eu-west-1"}, {"us", "us-east-1"}, {"ap", "ap-south-1"}};

/// A directory of its own that goes with it.
class TemporaryDirectory {
 public:
  TemporaryDirectory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "refrain-demo-XXXXXX").string();
    path_ = mkdtemp(pattern.data()) == nullptr ? "" : pattern;
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string url_of(std::uint16_t port) {
  return fmt::format("http://127.0.0.1:{}", port);
}

/// Three nodes and the log in this process.
class InProcess final : public Stage {
 public:
  explicit InProcess(const DemoOptions& options)
      : options_(options), broker_(std::make_shared<replication::MemoryBroker>()) {}

  Result<void> cut(const std::string& node) override {
    nodes_.at(node)->set_connected(false);
    return {};
  }
  Result<void> heal(const std::string& node) override {
    nodes_.at(node)->set_connected(true);
    return {};
  }
  Result<void> kill(const std::string& node) override {
    nodes_.erase(node);
    return {};
  }
  Result<void> start(const std::string& node) override {
    auto index = static_cast<std::uint16_t>(std::find(kNames.begin(), kNames.end(), node) - kNames.begin());
    node::Config config;
    config.cluster = "demo";
    config.node = {node, kRegions.at(node), directory_.path() + "/" + node};
    config.http.port = static_cast<std::uint16_t>(options_.http_port + index);
    config.kafka = {{"in-process"}, 1, 1, 7 * node::kDay, {}};
    config.store = {32 * node::kMiB, 16 * node::kMiB, 64 * node::kMiB, 60 * node::kSecond, 100 * node::kMiB};
    auto started = RunningNode::start(std::move(config), {index == 0, broker_});
    if (!started) return started.error();
    nodes_[node] = std::move(*started);
    return {};
  }

 private:
  const DemoOptions& options_;
  TemporaryDirectory directory_;
  std::shared_ptr<replication::MemoryBroker> broker_;
  std::map<std::string, std::unique_ptr<RunningNode>> nodes_;
};

/// Three `refrain serve` processes, each behind a relay to its own listener of a real Kafka.
class Processes final : public Stage {
 public:
  explicit Processes(const DemoOptions& options) : options_(options) {}
  ~Processes() override {
    for (auto& [name, process] : processes_) end(process, SIGTERM);
  }

  Result<void> open_relays() {
    for (std::size_t i = 0; i < kNames.size(); ++i) {
      auto relay = Relay::start(relay_port(i), options_.kafka_ports[i]);
      if (!relay) return relay.error();
      relays_[kNames[i]] = std::move(*relay);
    }
    return {};
  }

  Result<void> cut(const std::string& node) override {
    relays_.at(node)->set_open(false);
    return {};
  }
  Result<void> heal(const std::string& node) override {
    relays_.at(node)->set_open(true);
    return {};
  }
  Result<void> kill(const std::string& node) override {
    end(processes_.at(node), SIGKILL);
    processes_.erase(node);
    return {};
  }
  Result<void> start(const std::string& node) override {
    auto index = static_cast<std::size_t>(std::find(kNames.begin(), kNames.end(), node) - kNames.begin());
    std::vector<std::string> words = {program(), "serve", "--config",
                                      fmt::format("{}/{}.yaml", options_.config_dir, node)};
    if (index == 0) words.emplace_back("--found");
    std::map<std::string, std::string> environment = {
        {"REFRAIN_NODE_DATA_DIR", directory_.path() + "/" + node},
        {"REFRAIN_KAFKA_BROKERS", fmt::format("127.0.0.1:{}", relay_port(index))},
        {"REFRAIN_HTTP_LISTEN", fmt::format("127.0.0.1:{}", options_.http_port + index)},
        {"REFRAIN_HTTP_ADVERTISE", url_of(static_cast<std::uint16_t>(options_.http_port + index))},
    };
    return spawn(node, words, environment);
  }

 private:
  std::uint16_t relay_port(std::size_t index) const {
    return static_cast<std::uint16_t>(options_.relay_port + index);
  }
  std::string program() const {
    return options_.program.empty() ? std::filesystem::read_symlink("/proc/self/exe").string()
                                    : options_.program;
  }

  Result<void> spawn(const std::string& node, const std::vector<std::string>& words,
                     const std::map<std::string, std::string>& environment) {
    std::vector<char*> arguments;
    for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
    arguments.push_back(nullptr);
    std::string log = directory_.path() + "/" + node + ".log";
    pid_t child = fork();
    if (child < 0) return unavailable("unavailable", "The demo cannot start a process: fork failed.");
    if (child == 0) {
      for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
      int file = ::open(log.c_str(), O_CREAT | O_APPEND | O_WRONLY, 0644);
      dup2(file, STDOUT_FILENO);
      dup2(file, STDERR_FILENO);
      execv(arguments.front(), arguments.data());
      _exit(127);
    }
    processes_[node] = child;
    return {};
  }

  static void end(pid_t process, int signal) {
    ::kill(process, signal);
    waitpid(process, nullptr, 0);
  }

  const DemoOptions& options_;
  TemporaryDirectory directory_;
  std::map<std::string, std::unique_ptr<Relay>> relays_;
  std::map<std::string, pid_t> processes_;
};

void wait_for_interrupt() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  int signal = 0;
  sigwait(&signals, &signal);
}

void invite(std::uint16_t first_port) {
  fmt::print("\nThe three regions stay up until Ctrl-C. Try:\n");
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    fmt::print("  {}: {}\n", kNames[i], url_of(static_cast<std::uint16_t>(first_port + i)));
  }
  fmt::print("  curl -X PUT --data 'hi' {}/v1/kv/shop/mine\n", url_of(first_port));
  fmt::print("  curl {}/v1/kv/shop/mine\n", url_of(static_cast<std::uint16_t>(first_port + 2)));
  fmt::print("  build/release/refrain --server {} status\n", url_of(first_port));
  fmt::print("  build/release/refrain --server {} conflicts ls\n",
             url_of(static_cast<std::uint16_t>(first_port + 1)));
  std::fflush(stdout);
}

}  // namespace

int run_demo(const DemoOptions& options) {
  server::configure_logging(node::LogLevel::kError, node::LogFormat::kText);
  std::unique_ptr<Stage> stage;
  if (options.kafka_ports.empty()) {
    stage = std::make_unique<InProcess>(options);
  } else {
    auto processes = std::make_unique<Processes>(options);
    if (auto opened = processes->open_relays(); !opened) {
      fmt::print(stderr, "{}\n", opened.error().detail);
      return 1;
    }
    stage = std::move(processes);
  }
  std::vector<DemoNode> nodes;
  for (std::size_t i = 0; i < kNames.size(); ++i) {
    nodes.push_back({kNames[i], url_of(static_cast<std::uint16_t>(options.http_port + i))});
    if (auto started = stage->start(kNames[i]); !started) {
      fmt::print(stderr, "{} does not start: {}\n", kNames[i], started.error().detail);
      return 1;
    }
  }
  if (!tell_story(*stage, nodes)) return 1;
  if (options.stay) {
    invite(options.http_port);
    wait_for_interrupt();
  }
  return 0;
}

}  // namespace refrain::cli
