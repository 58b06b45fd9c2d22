// SPDX-License-Identifier: Apache-2.0
#include "power_world.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/text.h"
#include "sim_peers.h"
#include "truth.h"

namespace refrain::crash {
namespace {

using simulation::Dice;
using simulation::Machine;
using simulation::SimPeers;

constexpr const char* kCluster = "power";
constexpr Milliseconds kAgreeTime{120'000};

node::Config config_of(const std::string& name) {
  node::Config config;
  config.cluster = kCluster;
  config.node = {name, name, "simulated"};
  config.http.advertise = name;
  config.kafka.brokers = {"simulated"};
  config.publish.attempt_timeout = Milliseconds{1'500};
  config.publish.retry = {Milliseconds{100}, Milliseconds{800}};
  return config;
}

/// "append to *.log": where a cut fell, without the numbers.
std::string kind_of(const std::string& place) {
  std::string kind;
  for (char c : place) {
    if (c >= '0' && c <= '9') {
      if (kind.empty() || kind.back() != '*') kind += '*';
    } else {
      kind += c;
    }
  }
  return kind;
}

class PowerWorld {
 public:
  explicit PowerWorld(const WorldOptions& options)
      : options_(options),
        dice_(Dice(options.seed).stream("plan")),
        client_dice_(Dice(options.seed).stream("clients")),
        us_(1, config_of("us"), false, Dice(options.seed).stream("us"), ties()),
        eu_(config_of("eu"), Dice(options.seed).stream("eu"), ties(),
            {[this](const store::View& view) { truth_.check(view); },
             [this](const store::Batch& batch) { truth_.before_write(batch); }},
            options.sabotage, options.root) {
    free_threads_ = dice_.chance(0.15);
    eu_.set_free_threads(free_threads_);
    own_share_ = 1 + dice_.below(8);
  }

  WorldVerdict run() {
    hit(free_threads_ ? "worlds with RocksDB's threads free" : "worlds with RocksDB's threads held");
    if (auto started = us_.start(); !started) truth_.wrong("us does not start");
    auto lives = static_cast<int>(dice_.between(3, 7));
    for (int life = 0; life < lives && good() && !over_; ++life) live();
    if (good() && !over_) agree();
    if (good() && !over_) check_told();
    truth_.check_own_topic();
    if (good() && !over_) last_stop();
    hit("commits acknowledged", truth_.acknowledged_commits());
    hit("commits lost that nobody was told of", truth_.lost_unacknowledged());
    verdict_.wrongs = truth_.wrongs();
    return verdict_;
  }

 private:
  Machine::Ties ties() {
    return {now_, broker_, &peers_, [](const store::View&) {},
            [this](const std::string& text) { trace(text); }};
  }
  void trace(const std::string& text) const {
    if (options_.trace) fmt::print(stderr, "{:>12} {}\n", now_.value / 1000, text);
  }
  void hit(const std::string& branch, std::uint64_t times = 1) { verdict_.branches[branch] += times; }
  bool good() const { return truth_.wrongs().empty(); }

  // ---- a life of eu

  void live() {
    bool at_new_log = dice_.chance(0.2);
    eu_.cut_at(at_new_log ? 0 : draw_cut());
    eu_.cut_at_new_log(at_new_log ? 1 + dice_.below(6) : 0);
    if (!start()) return;
    auto calls = dice_.between(0, 150);
    for (std::int64_t i = 0; i < calls && good(); ++i) {
      if (!run(Milliseconds{client_dice_.between(0, 30)})) return was_cut();
      call();
    }
    if (!run(Milliseconds{client_dice_.between(0, 1'500)})) return was_cut();
    if (!good()) return;
    if (free_threads_ || dice_.chance(0.6)) {
      eu_.cut_now();
      return was_cut();
    }
    eu_.cut_at(dice_.chance(0.7) ? static_cast<std::uint64_t>(dice_.between(1, 60)) : 0);
    if (eu_.stop() == DiskMachine::Course::kCut) return was_cut();
    eu_.cut_at(0);
    hit("clean stops");
    left_.reset();
  }

  /// A start has 60 to 150 operations, a whole life some hundreds.
  std::uint64_t draw_cut() {
    if (dice_.chance(0.3)) return 1 + dice_.below(150);
    return dice_.chance(0.9) ? 1 + dice_.below(450) : 0;
  }

  bool start() {
    trace("eu starts");
    Result<void> started;
    if (eu_.start(started) == DiskMachine::Course::kCut) {
      hit("cuts during a start");
      was_cut();
      return false;
    }
    if (!started) refused(started.error());
    return good() && !over_;
  }

  /// A tail of garbage cannot be told from a record that was there and is damaged: it is refused, as long as
  /// the error says where. No journalling file system leaves one; they leave zeros.
  void refused(const Error& error) {
    bool garbage = left_ && left_->bytes == Loss::Bytes::kGarbage;
    if (!garbage || error.detail.find(" has a wrong record behind byte ") == std::string::npos)
      return truth_.wrong("eu does not start: " + error.detail);
    hit("refused: a tail of garbage");
    over_ = true;
  }

  Loss::Bytes draw_bytes() {
    if (dice_.chance(0.03)) return Loss::Bytes::kGarbage;  // rarely, as it may end the world
    return static_cast<Loss::Bytes>(dice_.below(4));
  }

  void was_cut() {
    Loss loss{draw_bytes(), static_cast<Loss::Names>(dice_.below(3))};
    std::string place = eu_.disk().place();
    std::string what = fmt::format("cut at operation {}, {}: {}, {}", eu_.disk().operations(), place,
                                   name_of(loss.bytes), name_of(loss.names));
    trace(what);
    verdict_.story += what + "\n";
    ++verdict_.cuts;
    hit("cut: " + kind_of(place));
    hit(std::string("left: ") + name_of(loss.bytes));
    hit(std::string("left: ") + name_of(loss.names));
    Dice dice = dice_.stream(fmt::format("loss {}", verdict_.cuts));
    eu_.survive(loss, dice);
    left_ = loss;
  }

  // ---- time

  /// Steps whoever is due for so long. False when eu's power was cut meanwhile.
  bool run(
      Milliseconds time, const std::function<bool()>& enough = [] { return false; }) {
    SteadyNs end = now_ + time;
    while (good() && !enough()) {
      bool eu_is_next = eu_.up() && (!us_.steps_at() || *eu_.steps_at() <= *us_.steps_at());
      auto next = eu_is_next ? eu_.steps_at() : us_.steps_at();
      if (!next || *next > end) {
        now_ = end;
        break;
      }
      now_ = std::max(now_, *next);
      if (!eu_is_next) {
        us_.step();
      } else if (eu_.step() == DiskMachine::Course::kCut) {
        return false;
      }
    }
    return true;
  }

  // ---- clients

  std::string value() {
    auto size = static_cast<std::size_t>(client_dice_.chance(0.1) ? client_dice_.between(3'000, 20'000)
                                                                  : client_dice_.between(0, 1'500));
    std::string text(size, '\0');
    for (char& c : text) c = static_cast<char>(client_dice_.next());
    return text + fmt::format("#{}", ++values_);
  }
  node::CommitCall commit_call() {
    node::CommitCall call;
    std::uint64_t first = client_dice_.below(40);
    auto count = static_cast<std::uint64_t>(client_dice_.between(1, 4));
    for (std::uint64_t i = 0; i < count; ++i) {
      node::Write write{"shop", fmt::format("k{}", (first + i) % 40), value(), std::nullopt, {}};
      if (client_dice_.chance(0.1)) write.value.reset();
      call.writes.push_back(std::move(write));
    }
    return call;
  }

  void call() {
    std::uint64_t what = client_dice_.below(10);
    if (what < own_share_) return what % 4 == 0 ? execute_at_eu() : write_at_eu();
    auto burst = client_dice_.between(1, 5);
    for (std::int64_t i = 0; i < burst; ++i) us_.node().commit(commit_call(), [](const auto&) {});
  }
  void write_at_eu() {
    if (!eu_.up()) return;
    eu_.node().commit(commit_call(), [this](const Result<node::CommitAnswer>& answer) {
      if (answer) truth_.acknowledged(answer->commit, answer->version);
    });
  }
  void execute_at_eu() {
    if (!eu_.up()) return;
    node::CompleteCall call;
    call.ns = "payments";
    call.id = fmt::format("r{}", ++requests_);
    call.response = node::StoredResponse{200, "text/plain", value()};
    call.writes = commit_call().writes;
    std::string id = call.id;
    std::string body = call.response->body;
    eu_.node().execute(std::move(call), [this, id, body](const Result<node::CompleteAnswer>& answer) {
      if (!answer || answer->replayed) return;
      truth_.acknowledged(answer->commit, {});
      told_[id] = body;
    });
  }

  // ---- the end

  std::string disagreement() {
    if (!eu_.up() || !us_.up()) return "a node is down";
    Vector eu = eu_.node().applied();
    Vector us = us_.node().applied();
    if (eu.size() < 2) return "eu has not heard of us";
    for (Machine* machine : {static_cast<Machine*>(&eu_), &us_}) {
      for (const auto& check : machine->node().checks()) {
        // eu is on this machine's disk.
        if (!check.ok && check.name != "disk space")
          return fmt::format("{}: {}: {}", machine->name(), check.name, check.detail);
      }
    }
    for (const auto& [node, hlc] : wanted_) {
      if (eu[node] < hlc) return "eu lacks commits of " + node;
      if (us[node] < hlc) return "us lacks commits of " + node;
    }
    return "";
  }

  void agree() {
    eu_.cut_at(0);
    eu_.cut_at_new_log(0);
    if (!start()) return;
    run(Milliseconds{20'000});  // to be members, and to publish what is left
    for (const auto& [node, hlc] : eu_.node().applied()) wanted_[node] = std::max(wanted_[node], hlc);
    for (const auto& [node, hlc] : us_.node().applied()) wanted_[node] = std::max(wanted_[node], hlc);
    run(kAgreeTime, [this] { return disagreement().empty(); });
    if (auto why = disagreement(); !why.empty() && good()) truth_.wrong("the nodes do not agree: " + why);
    if (good()) compare_rows();
  }

  void compare_rows() {
    for (int i = 0; i < 40; ++i) {
      std::string key = fmt::format("k{}", i);
      auto eu = eu_.node().get("shop", key);
      auto us = us_.node().get("shop", key);
      if (!eu || !us) return truth_.wrong("a node cannot read " + key);
      bool same = eu->has_value() == us->has_value() &&
                  (!*eu || ((*eu)->version == (*us)->version && (*eu)->value == (*us)->value));
      if (!same) truth_.wrong("the nodes hold other values of " + key);
    }
  }

  void check_told() {
    for (const auto& [id, body] : told_) {
      auto report = eu_.node().request("payments", id, std::nullopt);
      if (!report || !*report || (*report)->state != "completed" || !(*report)->response ||
          (*report)->response->size != body.size())
        truth_.wrong(fmt::format("the request {} was completed and eu does not know its answer", id));
    }
  }

  void last_stop() {
    if (eu_.stop() == DiskMachine::Course::kCut) return;
    start();  // checks once more
    if (good()) eu_.stop();
  }

  const WorldOptions options_;
  SteadyNs now_{0};
  Dice dice_;
  Dice client_dice_;
  std::shared_ptr<replication::MemoryBroker> broker_ = std::make_shared<replication::MemoryBroker>();
  SimPeers peers_{now_, Dice(options_.seed).stream("peers"), [this](const std::string& address) -> Machine* {
                    Machine* machine = address == "eu" ? static_cast<Machine*>(&eu_) : &us_;
                    return machine->up() ? machine : nullptr;
                  }};
  Truth truth_{"eu", "us", kCluster, *broker_};
  Machine us_;
  DiskMachine eu_;
  bool free_threads_ = false;
  std::uint64_t own_share_ = 0;  // of ten calls; what eu applies is not synced by itself
  std::optional<Loss> left_;
  bool over_ = false;  // the store was refused, and rightly
  std::uint64_t values_ = 0;
  std::uint64_t requests_ = 0;
  std::map<std::string, std::string> told_;
  Vector wanted_;
  WorldVerdict verdict_;
};

}  // namespace

WorldVerdict run_world(const WorldOptions& options) {
  // Never destroyed: threads of a machine whose power was cut stand in it.
  auto* world = new PowerWorld(options);
  return world->run();
}

}  // namespace refrain::crash
