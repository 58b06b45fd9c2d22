// SPDX-License-Identifier: Apache-2.0
// A world: two to five nodes, a log and some clients, in one thread and a time of its own, from a plan.
//
// Course: all nodes become members undisturbed; then faults and clients for as long as the plan says; then
// everything is mended and the nodes have to agree; then the oracles look. Everything that happens is an
// event at a time: a node's step, a client's call, a fault. The same plan gives the same events, and so the
// same trace.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "branches.h"
#include "dice.h"
#include "forgetting.h"
#include "ghost.h"
#include "history.h"
#include "machine.h"
#include "plan.h"
#include "request_truth.h"
#include "sim_peers.h"
#include "topic_watch.h"
#include "trace.h"

namespace refrain::simulation {

class Clients;

/// How a world ended. No wrongs = as it should be.
struct Verdict {
  std::vector<std::string> wrongs;
  std::uint64_t trace_hash = 0;
  std::uint64_t trace_lines = 0;
  Branches branches;
};

/// The mode that a node says it is in, whatever it says beside it.
bool is_in(const node::StatusReport& report, std::string_view mode);

class World {
 public:
  World(Plan plan, bool print_trace);
  ~World();

  Verdict run();

  // ---- for clients, oracles and actions
  SteadyNs now() const { return now_; }
  const Plan& plan() const { return plan_; }
  Dice stream(std::string_view name) const { return root_.stream(name); }
  Machine& machine(std::size_t index) { return *machines_[index]; }
  Machine* machine_of(const NodeName& name);  // nullptr when there is none
  std::size_t machines() const { return machines_.size(); }
  replication::MemoryBroker& broker() { return *broker_; }
  Ghost& ghost() { return ghost_; }
  History& history() { return history_; }
  RequestTruth& requests() { return requests_; }
  Forgetting& forgetting() { return forgetting_; }
  /// The incarnation in its store is a member, or was: its journal has a commit.
  bool has_written(std::size_t index) const;
  bool in_open_conflict(const std::string& row) const { return in_open_conflict_.contains(row); }
  bool topics_whole() const { return topics_whole_; }
  const std::map<std::size_t, node::StatusReport>& reports() const { return reports_; }
  /// Says what is wrong when not all of `nodes` have the commit on their disks, where no power cut takes it.
  void check_durable(const CommitId& commit, const std::vector<NodeName>& nodes, const std::string& who_says);
  /// The same of certain incarnations; of those whose disk is gone nothing can be said.
  void check_durable(const CommitId& commit, const std::vector<Journal>& nodes, const std::string& who_says);
  std::vector<NodeName> names() const;
  /// The incarnations that these names mean; without those where that is doubtful.
  std::vector<Journal> journals_of(const std::vector<NodeName>& names) const;

  std::string topic_of(const NodeName& node) const { return "refrain." + cluster_ + ".journal." + node; }
  std::string members_topic() const { return "refrain." + cluster_ + ".members"; }
  /// What a restored cluster had at its birth, of journals that nobody reads any more.
  const store::AppliedTable& before() const { return ghost_.before(); }

  void at(SteadyNs when, std::function<void()> what) { timers_.emplace(when, std::move(what)); }
  void after(Nanoseconds pause, std::function<void()> what) { at(now_ + pause, std::move(what)); }
  /// Wraps a callback that a node gets: it is run after the node's step, and not at all once that process has
  /// ended.
  template <class T>
  node::Done<T> answer(Machine& machine, std::function<void(Result<T>)> done) {
    return [this, &machine, life = machine.life(), done = std::move(done)](Result<T> result) {
      deferred_.push_back([&machine, life, done, result = std::move(result)]() mutable {
        if (machine.life() == life) done(std::move(result));
      });
    };
  }
  void trace(const std::string& text) { trace_.line(now_, text); }
  void hit(const std::string& branch, std::uint64_t times = 1) { branches_.hit(branch, times); }
  void wrong(const std::string& text);
  bool ended_badly() const { return !wrongs_.empty(); }
  bool may_be_void(const Version& version) const;
  /// It has said so, and is the same still.
  bool is_fenced(const Machine& machine) const;
  /// It was told to end, or lost its disk: what it wrote may count no further than the members have it.
  bool may_end(Incarnation incarnation) const { return endings_.contains(incarnation); }
  /// Somebody has acted as if the commit had never been: in the end it must be void.
  void must_be_void(const CommitId& commit, const std::string& who);
  /// Another incarnation than at first, or about to end.
  bool changed(const Machine& machine) const;
  bool clock_was_always_right(const Machine& machine) const { return !clock_was_wrong_[machine.index()]; }

 private:
  std::size_t nodes() const { return static_cast<std::size_t>(plan_.nodes); }
  node::Config config_of(std::size_t index) const;
  void start(Machine& machine);
  bool run_until(SteadyNs end, const std::function<bool()>& enough);
  bool next_event(SteadyNs end);
  void run_deferred();
  void must_end(Machine& machine, const Error& why);

  void gather();
  void disturb();
  void mend();
  void agree();
  bool agreed();
  bool ended_alike(Machine& machine);
  void forget();
  std::string disagreement();
  void ask_for_responses();
  void ask_for_reports();
  void take_report(Machine& machine, node::StatusReport report);
  void check_claims(Machine& machine, const node::StatusReport& report);
  void help_parked(Machine& machine, const node::StatusReport& report);
  void look_at_topic(std::size_t index);
  void look(std::size_t index, const store::View& view);
  void look_at_opened(std::size_t index, const store::View& view);
  void check_cursors(std::size_t index, const store::View& view);
  void check_clock(std::size_t index);
  void act(const Action& action);
  void go_down(Machine& machine, const Action& action);
  void act_on_kafka(Machine& machine, const Action& action);
  void act_on_topic(Machine& machine, const Action& action);
  void act_on_machine(Machine& machine, const Action& action);
  void cut_off(Machine& machine, Nanoseconds length, bool of_peers_too);

  // ---- programs that change (world_formats.cc)
  void act_on_program(Machine& machine, const Action& action);
  bool runs_next(const Machine& machine) const;
  bool has_announced_next() const;
  void check_formats(Machine& machine, const node::StatusReport& report);
  void told_to_upgrade(Machine& machine, const Error& why);
  void end_with_next_program();
  bool formats_settled() const;

  // ---- members that come and go (world_members.cc)
  Incarnation incarnation_of(std::size_t index) const;
  void may_lose(Machine& machine);
  void act_on_members(Machine& machine, const Action& action);
  void order(Machine& machine, node::MemberOrder::Kind kind, const NodeName& name);
  void lose_disk(Machine& machine, const Action& action);
  void lose_members_log(const Action& action);

  // ---- all is lost, and begins anew with a backup (world_restore.cc)
  void back_up(const Machine& preferred);
  void lose_all(const Action& action);
  void forget_what_is_lost(Incarnation founder);
  void found_again(Machine& founder, Incarnation incarnation);
  void help_member(Machine& machine, const node::StatusReport& report);
  std::optional<Seq> end_of(const Journal& journal) const;
  Seq others_have(const Journal& journal, const std::vector<Journal>& members) const;
  bool synced_since(const Machine& machine, const Journal& member, Seq synced);
  void settle_void();
  void check_holders_are_gone(const CommitId& commit, const std::vector<Journal>& holders);
  void settle_what_was_taken_for_void(const std::map<Journal, Seq>& ends);

  const Plan plan_;
  const Dice root_;
  SteadyNs now_{0};
  Trace trace_;
  Branches branches_;
  std::vector<std::string> wrongs_;
  Dice log_dice_;
  std::shared_ptr<replication::MemoryBroker> broker_;
  std::unique_ptr<Dice> fault_dice_;
  std::vector<std::unique_ptr<SimPeers>> peers_;
  std::vector<std::unique_ptr<Machine>> machines_;
  std::vector<SteadyNs> cut_off_until_;    // of its peers,
  std::vector<SteadyNs> kafka_cut_until_;  // and of Kafka
  std::vector<SteadyNs> full_until_;
  std::vector<SteadyNs> deaf_until_;
  std::vector<SteadyNs> clock_wrong_until_;
  std::vector<bool> clock_was_wrong_;
  bool mended_ = false;
  SteadyNs mended_at_;
  Ghost ghost_;
  std::uint64_t looks_ = 0;
  History history_;
  RequestTruth requests_{*this};
  Forgetting forgetting_{*this};
  std::set<std::string> in_open_conflict_;  // once all has agreed
  std::unique_ptr<Clients> clients_;
  std::map<std::size_t, node::StatusReport> reports_;  // newest of each node
  std::vector<TopicWatch> topics_;
  bool topics_whole_ = true;      // no record was lost or spoiled that Kafka had acknowledged
  std::vector<SteadyNs> helped_;  // when an operator last helped a node's parked journals
  std::vector<Hlc> newest_minted_;
  std::vector<bool> arrived_;
  std::vector<Incarnation> first_;  // as of the end of gathering
  std::vector<SteadyNs> rejoined_;  // when an operator last told it to
  struct Ending {                   // of an incarnation that was told to end, or lost its disk
    bool may_lose = false;          // of what it wrote, what Kafka did not have then:
    Seq safe;                       // all beyond this
  };
  std::map<Incarnation, Ending> endings_;
  struct Backup {
    std::size_t node = 0;
    store::SimDisk disk;
    store::AppliedTable applied;
  };
  std::optional<Backup> backup_;
  std::string cluster_ = "sim";  // its name
  std::uint64_t lives_ = 1;      // of the cluster
  std::optional<SteadyNs> ordered_at_;
  // By node and member: what it said was synced when it first said that the member is active.
  std::map<std::pair<std::size_t, Journal>, Seq> synced_at_first_;
  std::multimap<SteadyNs, std::function<void()>> timers_;
  std::vector<std::function<void()>> deferred_;
};

}  // namespace refrain::simulation
