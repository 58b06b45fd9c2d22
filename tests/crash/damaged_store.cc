// SPDX-License-Identifier: Apache-2.0
#include "damaged_store.h"

#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>

#include "base/coding.h"
#include "dice.h"
#include "node/assembly.h"
#include "replication/memory_log.h"
#include "sim_clock.h"
#include "store/data_dir.h"
#include "store/meta.h"
#include "store/rocks_engine.h"

namespace refrain::crash {
namespace {

namespace fs = std::filesystem;
using simulation::Dice;

store::RocksOptions rocks_options() {
  store::RocksOptions options;
  options.cache_bytes = 1 << 20;
  options.write_buffer_bytes = 64 << 10;
  options.max_total_wal_bytes = 512 << 10;
  options.reserve_bytes = 0;
  options.open_timeout = Milliseconds{kOpenTimeoutMs};
  return options;
}

class NoPeers final : public replication::Peers {
 public:
  std::unique_ptr<replication::Pending<replication::PeerMembers>> members(const std::string&) override {
    return nullptr;
  }
  std::unique_ptr<replication::SnapshotStream> snapshot(const std::string&) override { return nullptr; }
};

/// The only member of a cluster, with its log in this process.
class LoneNode {
 public:
  using Look = std::function<Result<void>(const store::View&)>;
  LoneNode(std::string directory, SteadyNs now, Look look = {})
      : path_(std::move(directory)), look_(std::move(look)), now_(now) {
    config_.cluster = kStoreCluster;
    config_.node = {kStoreNode, "", "simulated"};
    config_.http.advertise = kStoreNode;
    config_.kafka.brokers = {"simulated"};
  }

  Result<void> open() {
    auto directory = store::DataDir::open(path_, kStoreNode, kStoreCluster);
    if (!directory) return directory.error();
    directory_ = std::move(*directory);
    node::World world;
    world.clock = &clock_;
    world.random = &dice_;
    world.open_engine = [this]() -> Result<std::unique_ptr<store::Engine>> {
      auto engine = store::RocksEngine::open(directory_->engine_path(), rocks_options());
      if (!engine) return engine.error();
      if (look_) {
        if (auto looked = look_(**engine); !looked) return looked.error();
      }
      engine_ = engine->get();
      return std::unique_ptr<store::Engine>(std::move(*engine));
    };
    world.log = &log_;
    world.peers = &peers_;
    auto node = node::Node::open(config_, world, {true, "damage"});
    if (!node) return node.error();
    node_ = std::move(*node);
    return directory_->note_birth();
  }
  void run(Milliseconds time) {
    SteadyNs end = now_ + time;
    while (now_ < end) now_ = now_ + std::max(Nanoseconds{100'000}, node_->step());
  }
  std::string blocked_by() {
    for (const node::Check& check : node_->checks()) {
      if (check.blocking && !check.ok) return check.code;
    }
    return "";
  }
  node::Node& node() { return *node_; }
  const store::Engine& engine() const { return *engine_; }
  replication::MemoryBroker& broker() { return *broker_; }
  void stop() { node_.reset(); }
  void let_go() { [[maybe_unused]] auto* left = node_.release(); }

 private:
  const std::string path_;
  Look look_;
  node::Config config_;
  SteadyNs now_;
  simulation::SimClock clock_{now_};
  Dice dice_{1};
  std::shared_ptr<replication::MemoryBroker> broker_ = std::make_shared<replication::MemoryBroker>();
  replication::MemoryLog log_{broker_, [] {}};
  NoPeers peers_;
  std::unique_ptr<store::DataDir> directory_;
  const store::Engine* engine_ = nullptr;
  std::unique_ptr<node::Node> node_;
};

std::string noise(Dice& dice, std::size_t bytes) {
  std::string text(bytes, '\0');
  for (char& c : text) c = static_cast<char>('a' + dice.below(26));
  return text;
}

void must(bool good, const std::string& what) {
  if (good) return;
  fmt::print(stderr, "the store for the damage cannot be made: {}\n", what);
  ::_exit(3);
}

void fill(LoneNode& node, Dice& dice, int from, int to) {
  for (int i = from; i < to; ++i) {
    node::CommitCall call;
    call.writes.push_back({"shop", fmt::format("k{}", i), noise(dice, 700), std::nullopt, {}});
    call.writes.push_back({"shop", fmt::format("hot{}", dice.below(20)), noise(dice, 100), std::nullopt, {}});
    int acknowledged = 0;
    node.node().commit(call, [&](const auto& answer) { acknowledged += answer.has_value(); });
    node::CompleteCall request;
    request.ns = "payments";
    request.id = fmt::format("r{}", i);
    request.response = node::StoredResponse{200, "text/plain", noise(dice, 300)};
    request.writes.push_back({"shop", fmt::format("paid{}", i), "1", std::nullopt, {}});
    node.node().execute(request, [&](const auto& answer) { acknowledged += answer.has_value(); });
    node::BeginCall open;
    open.ns = "payments";
    open.id = fmt::format("open{}", i);
    node.node().begin(open, [&](const auto& answer) { acknowledged += answer.has_value(); });
    node.run(Milliseconds{10});
    must(acknowledged == 3, "a call was refused");
  }
}

Result<std::map<std::string, std::map<std::string, std::string>>> rows_of(const store::View& view) {
  std::map<std::string, std::map<std::string, std::string>> families;
  for (std::size_t i = 0; i < store::kFamilies; ++i) {
    auto family = static_cast<store::Family>(i);
    auto& rows = families[std::string(store::family_name(family))];
    auto cursor = view.cursor(family);
    for (cursor->seek(""); cursor->valid(); cursor->next())
      rows[std::string(cursor->key())] = cursor->value();
    if (auto whole = cursor->status(); !whole) return whole.error();
  }
  return families;
}

Result<std::uint64_t> newest_of(const store::View& view) {
  auto applied = store::Meta::applied(view);
  if (!applied) return applied.error();
  std::uint64_t newest = 0;
  for (const auto& [journal, up_to] : *applied) newest = std::max(newest, up_to.seq.value);
  return newest;
}

/// Both in the words of the difference; empty when nothing that a caller was told of differs.
std::string missing(const Known& known,
                    const std::map<std::string, std::map<std::string, std::string>>& families,
                    std::uint64_t newest) {
  if (newest != known.newest) return fmt::format("own seq {} instead of {}", newest, known.newest);
  for (const auto& [family, rows] : known.families) {
    if (family == "default" || families.at(family) == rows) continue;
    return fmt::format("{} has other rows ({}, not {})", family, families.at(family).size(), rows.size());
  }
  return "";
}

}  // namespace

const char* name_of(Taken::How how) {
  static constexpr const char* kNames[] = {"opened whole", "refused", "error where it is read",
                                           "OPENED WITH LESS", "rolled_back"};
  return kNames[static_cast<std::size_t>(how)];
}

void save(const Known& known, const std::string& path) {
  Writer out;
  out.u64(known.newest).u64(known.families.size());
  for (const auto& [family, rows] : known.families) {
    out.string(family).u64(rows.size());
    for (const auto& [key, value] : rows) out.string(key).string(value);
  }
  out.u64(known.topics.size());
  for (const auto& [topic, records] : known.topics) {
    out.string(topic).u64(records.size());
    for (const std::string& record : records) out.string(record);
  }
  std::ofstream(path, std::ios::binary) << out.take();
}

Known load(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(file), {}};
  Reader in(bytes);
  Known known;
  known.newest = in.u64();
  for (std::uint64_t families = in.u64(); families > 0; --families) {
    auto& rows = known.families[std::string(in.string())];
    for (std::uint64_t left = in.u64(); left > 0; --left) {
      std::string key(in.string());
      rows[key] = in.string();
    }
  }
  for (std::uint64_t topics = in.u64(); topics > 0; --topics) {
    auto& records = known.topics[std::string(in.string())];
    for (std::uint64_t left = in.u64(); left > 0; --left) records.emplace_back(in.string());
  }
  must(in.done(), "what is known of it is damaged");
  return known;
}

void make_store(const std::string& root, std::uint64_t seed, bool stopped) {
  LoneNode node(root + "/data", SteadyNs{0});
  auto opened = node.open();
  must(opened.has_value(), opened ? "" : opened.error().detail);
  node.run(Milliseconds{5'000});
  must(node.blocked_by().empty(), "it is not ready: " + node.blocked_by());
  Dice dice(seed);
  fill(node, dice, 0, 150);
  std::error_code none;  // a table may go meanwhile
  fs::create_directories(root + "/older/db");
  fs::copy_file(root + "/data/FORMAT", root + "/older/FORMAT", none);
  for (const auto& entry : fs::directory_iterator(root + "/data/db"))
    fs::copy_file(entry.path(), root + "/older/db/" + entry.path().filename().string(), none);
  fill(node, dice, 150, 230);
  Known known;
  auto rows = rows_of(node.engine());
  auto newest = newest_of(node.engine());
  must(rows && newest, "it cannot be read");
  known.families = std::move(*rows);
  known.newest = *newest;
  for (const std::string& topic : node.broker().topics()) {
    auto& records = known.topics[topic];
    for (const replication::Record& record : node.broker().records(topic)) records.push_back(record.bytes);
  }
  save(known, root + "/known");
  if (!stopped) ::_exit(0);
  node.stop();
}

Taken take_store(const std::string& directory, const Known& known, bool with_log) {
  Taken taken;
  auto look = [&](const store::View& view) -> Result<void> {
    auto rows = rows_of(view);
    if (!rows) {
      taken = {Taken::How::kReadFailed, rows.error().detail};
      return rows.error();
    }
    auto newest = newest_of(view);
    if (!newest) return newest.error();
    std::string lack = missing(known, *rows, *newest);
    if (!lack.empty()) taken = {Taken::How::kLess, lack};
    return {};
  };
  LoneNode node(directory, SteadyNs{} + Milliseconds{3'600'000}, look);
  if (with_log) {
    for (const auto& [topic, records] : known.topics) {
      node.broker().make_topic(topic);
      for (const std::string& record : records) node.broker().inject(topic, record);
    }
  }
  auto opened = node.open();
  if (taken.how == Taken::How::kReadFailed) return taken;
  if (!opened) return {Taken::How::kRefused, opened.error().detail};
  node.run(Milliseconds{10'000});
  std::string blocked = node.blocked_by();
  if (taken.how == Taken::How::kLess && blocked == "rolled_back") taken.how = Taken::How::kRolledBack;
  if (taken.how == Taken::How::kWhole && !blocked.empty())
    taken = {Taken::How::kLess, "whole, and yet it takes no writes: " + blocked};
  node.let_go();
  return taken;
}

}  // namespace refrain::crash
