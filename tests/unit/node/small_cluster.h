// SPDX-License-Identifier: Apache-2.0
// Whole nodes on simulated machines, stepped by hand: what a node does with its parts, one story a test.
#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "machine.h"
#include "replication/memory_broker.h"
#include "sim_peers.h"

namespace refrain::node {

class SmallCluster {
 public:
  using Machine = simulation::Machine;
  using Change = std::function<void(Config&)>;

  /// Nodes of these names, with brokers; the first one founds. Without names: one node `eu` that runs alone.
  explicit SmallCluster(const std::vector<std::string>& names, const Change& change = {}) {
    bool alone = names.empty();
    for (const std::string& name : alone ? std::vector<std::string>{"eu"} : names) {
      Config config;
      config.cluster = "small";
      config.node = {name, name, "simulated"};
      config.http.advertise = name;
      if (!alone) config.kafka.brokers = {"simulated"};
      if (change) change(config);
      auto index = machines_.size();
      simulation::Machine::Ties ties{now_, broker_, &peers_, [](const store::View&) {},
                                     [this](std::string line) { said_.push_back(std::move(line)); }};
      machines_[name] =
          std::make_unique<Machine>(index, config, index == 0, simulation::Dice(index + 7), ties);
    }
  }

  SmallCluster& start() {
    for (auto& [name, machine] : machines_) EXPECT_TRUE(machine->up() || machine->start()) << name;
    EXPECT_TRUE(until([&] { return all_ready(); })) << "every node is ready";
    return *this;
  }

  Machine& operator[](const std::string& name) { return *machines_.at(name); }
  replication::MemoryBroker& broker() { return *broker_; }
  std::uint64_t steps() const { return steps_; }
  /// How often a node has said something that has this in it.
  std::int64_t said(const std::string& name, const std::string& words) const {
    return std::ranges::count_if(said_, [&](const std::string& line) {
      return line.starts_with(name + " says: ") && line.find(words) != std::string::npos;
    });
  }

  /// Steps whoever is due until `enough`, for at most that long of simulated time.
  bool until(const std::function<bool()>& enough, Milliseconds most = Milliseconds{60'000}) {
    SteadyNs end = now_ + most;
    while (!enough()) {
      Machine* next = nullptr;
      for (auto& [name, machine] : machines_) {
        if (machine->steps_at() && (!next || *machine->steps_at() < *next->steps_at())) next = machine.get();
      }
      if (!next || *next->steps_at() > end) {
        now_ = end;
        return enough();
      }
      now_ = std::max(now_, *next->steps_at());
      next->step();
      ++steps_;
    }
    return true;
  }
  void run(Milliseconds time) {
    until([] { return false; }, time);
  }
  bool ready(const std::string& name) {
    for (const Check& check : machines_.at(name)->node().checks()) {
      if (check.blocking && !check.ok) return false;
    }
    return !machines_.at(name)->node().checks().empty();
  }
  bool all_ready() {
    for (auto& [name, machine] : machines_) {
      if (machine->up() && !ready(name)) return false;
    }
    return true;
  }

  /// Makes a call and gives its answer to come.
  template <class T>
  std::shared_ptr<std::optional<Result<T>>> call(const std::function<void(Done<T>)>& what) {
    auto answer = std::make_shared<std::optional<Result<T>>>();
    what([answer](Result<T> result) { *answer = std::move(result); });
    return answer;
  }
  /// The same, and waits for it.
  template <class T>
  Result<T> ask(const std::function<void(Done<T>)>& what) {
    auto answer = call<T>(what);
    EXPECT_TRUE(until([&] { return answer->has_value(); })) << "an answer comes";
    if (!*answer) return unavailable("no_answer", "No answer came.");
    return **answer;
  }

  Result<CommitAnswer> put(const std::string& name, const std::string& key, const std::string& value,
                           Ack ack = {}) {
    return ask<CommitAnswer>([&](Done<CommitAnswer> done) {
      CommitCall call;
      call.writes.push_back({"shop", key, value, std::nullopt, {}});
      call.ack = ack;
      machines_.at(name)->node().commit(std::move(call), std::move(done));
    });
  }
  std::string get(const std::string& name, const std::string& key) {
    auto read = machines_.at(name)->node().get("shop", key);
    if (!read) return "error " + read.error().slug;
    return *read ? (*read)->value : "none";
  }

  static BeginCall begin_call(const std::string& id, const std::string& payload = "payload") {
    BeginCall call;
    call.ns = "payments";
    call.id = id;
    call.fingerprint = sha256(payload);
    return call;
  }
  std::shared_ptr<std::optional<Result<BeginAnswer>>> begin(const std::string& name, BeginCall call) {
    return this->call<BeginAnswer>(
        [&](Done<BeginAnswer> done) { machines_.at(name)->node().begin(std::move(call), std::move(done)); });
  }
  /// "go", "replay" or the slug of the refusal.
  std::string begun(const std::string& name, BeginCall call) {
    auto answer = begin(name, std::move(call));
    until([&] { return answer->has_value(); });
    return said(*answer);
  }
  static std::string said(const std::optional<Result<BeginAnswer>>& answer) {
    if (!answer) return "nothing yet";
    if (!*answer) return answer->error().slug;
    return (*answer)->go ? "go" : "replay";
  }

 private:
  SteadyNs now_{0};
  std::uint64_t steps_ = 0;
  std::vector<std::string> said_;
  std::shared_ptr<replication::MemoryBroker> broker_ = std::make_shared<replication::MemoryBroker>();
  simulation::SimPeers peers_{now_, simulation::Dice(3), [this](const std::string& address) -> Machine* {
                                auto found = machines_.find(address);
                                bool up = found != machines_.end() && found->second->up();
                                return up ? found->second.get() : nullptr;
                              }};
  std::map<std::string, std::unique_ptr<Machine>> machines_;
};

}  // namespace refrain::node
