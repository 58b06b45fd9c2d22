// SPDX-License-Identifier: Apache-2.0
#include "cli/running_node.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>

#include "base/clock.h"
#include "cli/config_values.h"
#include "cli/stop_budget.h"
#include "cli/version.h"
#include "node/assembly.h"
#include "node/runner.h"
#include "replication/kafka_log.h"
#include "replication/memory_log.h"
#include "server/http_peers.h"
#include "server/logging.h"
#include "server/server.h"
#include "store/data_dir.h"
#include "store/rocks_engine.h"

namespace refrain::cli {
namespace {

class RealNode final : public RunningNode {
 public:
  RealNode(node::Config config, RunningNodeOptions options)
      : config_(std::move(config)), options_(std::move(options)) {}

  ~RealNode() override {
    runner_.reset();
    server_.reset();  // before the node: calls and snapshots of it are gone then
  }

  Result<void> start() {
    auto directory = store::DataDir::open(config_.node.data_dir, config_.node.name, config_.cluster);
    if (!directory) return directory.error();
    directory_ = std::move(*directory);
    server::Options options;
    options.http = config_.http;
    options.max_lease = config_.limits.max_lease;
    options.snapshot_bytes_per_second = config_.store.snapshot_bytes_per_second;
    options.scope_of = [this](const std::string& ns) { return format_scope(config_.requests.of(ns).scope); };
    auto server = server::Server::open(std::move(options));
    if (!server) return server.error();
    server_ = std::move(*server);
    if (config_.http.advertise.empty())
      config_.http.advertise = "http://" + format_listen(config_.http.host, server_->port());
    server_->start();  // live answers while the store opens
    if (auto opened = open_log(); !opened) return opened.error();
    peers_ = std::make_unique<server::HttpPeers>(config_.node.name);
    auto opened = node::Node::open(config_, world(), {options_.found, program_version()});
    if (!opened) return opened.error();
    node_ = std::move(*opened);
    if (auto noted = directory_->note_birth(); !noted && noted.error().slug != "disk_full")
      return noted.error();
    server_->serve(*node_);
    runner_ = std::make_unique<node::Runner>(wakeup_, [this] { return step(); });
    return {};
  }

  std::uint16_t port() const override { return server_->port(); }

  bool stop() override {
    const auto start = std::chrono::steady_clock::now();
    const StopBudget budget = stop_budget(config_.http.shutdown_timeout);
    node_->drain();
    server_->stop(budget.server);
    bool flushed = await_flush(start + budget.flush);
    *abandoned_ = false;
    runner_.reset();
    return flushed;
  }

  std::optional<Error> ended() const override { return node_->must_end(); }

  void leave(node::Done<node::MemberChange> done) override {
    node::MemberOrder order;
    order.kind = node::MemberOrder::Kind::kLeave;
    order.node = config_.node.name;
    node_->change_member(std::move(order), std::move(done));
  }

  void set_connected(bool connected) override {
    if (memory_log_ != nullptr) memory_log_->set_connected(connected);
  }

 private:
  Nanoseconds step() {
    Nanoseconds idle = node_->step();
    if (stopping_.load()) {
      std::lock_guard lock(stepped_mutex_);
      stepped_.notify_all();
    }
    return idle;
  }

  /// Looks after every step, of which there are ten a second at least. A log that is away gets nothing now.
  bool await_flush(std::chrono::steady_clock::time_point deadline) {
    stopping_.store(true);
    std::unique_lock lock(stepped_mutex_);
    stepped_.wait_until(lock, deadline,
                        [this] { return node_->flushed() || (log_ && !log_->health().reachable); });
    return node_->flushed();
  }

  Result<void> open_log() {
    auto wake = [this] { wakeup_.notify(); };
    if (options_.broker) {
      auto log = std::make_unique<replication::MemoryLog>(options_.broker, wake);
      memory_log_ = log.get();
      log_ = std::move(log);
      return {};
    }
    if (config_.alone()) return {};
    replication::KafkaOptions kafka;
    kafka.brokers = config_.kafka.brokers;
    kafka.client_id = "refrain-" + config_.node.name;
    kafka.properties = config_.kafka.properties;
    auto log = replication::KafkaLog::open(kafka, wake, [](int, std::string_view line) {
      server::log(node::LogLevel::kDebug, "librdkafka", {{"line", std::string(line)}});
    });
    if (!log) return log.error();
    log_ = std::move(*log);
    return {};
  }

  node::World world() {
    node::World world;
    world.clock = &clock_;
    world.random = &random_;
    world.open_engine = [this]() -> Result<std::unique_ptr<store::Engine>> {
      store::RocksOptions options;
      options.cache_bytes = config_.store.cache_bytes;
      options.write_buffer_bytes = config_.store.write_buffer_bytes;
      options.max_total_wal_bytes = config_.store.max_total_wal_bytes;
      options.open_timeout = config_.store.open_timeout;
      options.abandoned = abandoned_;
      auto engine = store::RocksEngine::open(directory_->engine_path(), options);
      if (!engine) return engine.error();
      return std::unique_ptr<store::Engine>(std::move(*engine));
    };
    world.store_format = directory_->format();
    world.disk_free_bytes = [this] {
      auto space = directory_->space();
      return space ? space->free_bytes : 0;
    };
    world.log = log_.get();
    world.peers = peers_.get();
    world.wake = [this] { wakeup_.notify(); };
    world.say = [](node::LogLevel level, const std::string& line) { server::log(level, line); };
    return world;
  }

  node::Config config_;
  RunningNodeOptions options_;
  std::shared_ptr<std::atomic<bool>> abandoned_ = std::make_shared<std::atomic<bool>>(true);  // until stop()
  SystemClock clock_;
  SystemRandom random_;
  node::Wakeup wakeup_;
  std::atomic<bool> stopping_{false};
  std::mutex stepped_mutex_;
  std::condition_variable stepped_;
  std::unique_ptr<store::DataDir> directory_;
  std::unique_ptr<replication::Log> log_;
  replication::MemoryLog* memory_log_ = nullptr;
  std::unique_ptr<replication::Peers> peers_;
  std::unique_ptr<server::Server> server_;
  std::unique_ptr<node::Node> node_;
  std::unique_ptr<node::Runner> runner_;
};

}  // namespace

Result<std::unique_ptr<RunningNode>> RunningNode::start(node::Config config, RunningNodeOptions options) {
  auto node = std::make_unique<RealNode>(std::move(config), std::move(options));
  if (auto started = node->start(); !started) return started.error();
  return std::unique_ptr<RunningNode>(std::move(node));
}

}  // namespace refrain::cli
