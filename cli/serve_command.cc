// SPDX-License-Identifier: Apache-2.0
// refrain serve: one node, until it is told to stop. refrain demo: three, and their story.
#include <fmt/format.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <memory>
#include <mutex>
#include <sstream>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/config_options.h"
#include "cli/demo.h"
#include "cli/exit_code.h"
#include "cli/running_node.h"
#include "server/logging.h"

namespace refrain::cli {
namespace {

/// Blocks them for every thread that is made from now on, so that they can be waited for.
sigset_t block_ending_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  return signals;
}

/// serve --leave: gives the order again and again, until it is carried out or refused for good.
class Leaving {
 public:
  Leaving(RunningNode& node, bool wanted) : node_(node), wanted_(wanted) {}

  /// True when the process is to end.
  bool step() {
    if (!wanted_) return false;
    std::optional<Result<node::MemberChange>> answer;
    {
      std::lock_guard lock(state_->mutex);
      if (state_->asked && !state_->answer) return false;
      answer = std::exchange(state_->answer, std::nullopt);
      state_->asked = true;
    }
    if (answer && !*answer && answer->error().code != Code::kUnavailable) refused_ = answer->error();
    if (refused_ || (answer && *answer && (*answer)->done)) return true;
    if (answer && *answer) server::log(node::LogLevel::kInfo, "leaving", {{"waits_for", (*answer)->detail}});
    node_.leave([state = state_](Result<node::MemberChange> change) {
      std::lock_guard lock(state->mutex);
      state->answer = std::move(change);
    });
    return false;
  }
  const std::optional<Error>& refused() const { return refused_; }

 private:
  struct State {
    std::mutex mutex;
    bool asked = false;
    std::optional<Result<node::MemberChange>> answer;
  };
  RunningNode& node_;
  const bool wanted_;
  std::shared_ptr<State> state_ = std::make_shared<State>();
  std::optional<Error> refused_;
};

int serve(Context& context, const Arguments& arguments) {
  auto loaded = load_config_or_say(context, arguments);
  if (!loaded) return kUsage;
  const node::Config& config = loaded->config;
  server::configure_logging(config.log.level, config.log.format);
  for (const std::string& warning : loaded->warnings)
    server::log(node::LogLevel::kWarn, "a setting was not used", {{"why", warning}});
  sigset_t signals = block_ending_signals();
  auto started = RunningNode::start(config, {arguments.has("--found"), nullptr});
  if (!started) {
    context.screen.message(fmt::format("refrain cannot serve: {}", started.error().detail));
    return kFailed;
  }
  RunningNode& node = **started;
  Leaving leaving(node, arguments.has("--leave"));
  server::log(node::LogLevel::kInfo, "serving",
              {{"node", config.node.name},
               {"cluster", config.cluster},
               {"port", std::int64_t{node.port()}},
               {"kafka", !config.alone()}});
  constexpr timespec kLookEvery{0, 100'000'000};
  while (true) {
    if (sigtimedwait(&signals, nullptr, &kLookEvery) > 0) break;
    if (leaving.step()) break;
    auto ended = node.ended();
    if (!ended) continue;
    context.screen.message(fmt::format("refrain cannot go on: {}", ended->detail));
    return kFailed;
  }
  server::log(node::LogLevel::kInfo, "stopping");
  bool flushed = node.stop();
  server::log(node::LogLevel::kInfo, "stopped", {{"everything_is_in_kafka", flushed && !config.alone()}});
  if (auto refused = leaving.refused()) {
    context.screen.message(fmt::format("refrain cannot leave: {}", refused->detail));
    return kFailed;
  }
  return kOk;
}

std::vector<std::uint16_t> ports_of(const std::string& text) {
  std::vector<std::uint16_t> ports;
  std::istringstream in(text);
  for (std::string port; std::getline(in, port, ',');)
    ports.push_back(static_cast<std::uint16_t>(std::strtoul(port.c_str(), nullptr, 10)));
  return ports;
}

int demo(Context& context, const Arguments& arguments) {
  DemoOptions options;
  options.kafka_ports = ports_of(arguments.text("--kafka-ports"));
  if (!options.kafka_ports.empty() && (options.kafka_ports.size() != 3 || !arguments.has("--relay-port"))) {
    context.screen.message("--kafka-ports takes three ports, of eu, us and ap, and goes with --relay-port");
    return kUsage;
  }
  if (arguments.has("--relay-port"))
    options.relay_port = static_cast<std::uint16_t>(std::stoul(arguments.text("--relay-port")));
  options.http_port = static_cast<std::uint16_t>(std::stoul(arguments.text("--http-port", "8081")));
  options.config_dir = arguments.text("--config-dir", "deploy");
  options.stay = isatty(STDOUT_FILENO) != 0;
  sigset_t signals = block_ending_signals();
  (void)signals;
  return run_demo(options);
}

}  // namespace

std::vector<Command> serve_commands() {
  std::vector<Option> serve_options = {
      flag("--found", "found the cluster when there is none; later it does nothing"),
      flag("--leave", "leave the cluster: wait until all members have what this node wrote, then end")};
  for (Option& option : config_options()) serve_options.push_back(std::move(option));
  std::vector<Option> demo_options = {
      value("--http-port", "PORT", "port of eu; us and ap have the next two (8081)", check_number),
      value("--kafka-ports", "PORT,PORT,PORT",
            "three processes on a real Kafka: its listeners for eu, us and ap"),
      value("--relay-port", "PORT", "with --kafka-ports: where these listeners are advertised, eu first",
            check_number),
      value("--config-dir", "DIR", "with --kafka-ports: where eu.yaml, us.yaml and ap.yaml are (deploy)"),
  };
  return {
      {{"serve"},
       "runs a node until SIGTERM",
       serve_options,
       {"refrain serve --config /etc/refrain.yaml", "refrain serve --node.data_dir ./data/alone",
        "refrain serve --config deploy/eu.yaml --found", "refrain serve --config deploy/ap.yaml --leave"},
       false,
       false,
       serve},
      {{"demo"},
       "three regions in one process, and what they promise, told by real calls",
       demo_options,
       {"refrain demo"},
       false,
       false,
       demo},
  };
}

}  // namespace refrain::cli
