// SPDX-License-Identifier: Apache-2.0
// Nodes that consist of nothing but their membership, on one in-process log: what they persist is a few
// vectors, their journals hold only ticks and arrive whole, a snapshot is a copy.
#pragma once
#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "members_history.h"
#include "replication/membership.h"
#include "replication/memory_log.h"

namespace refrain::replication {

inline const std::string kMembersTopic = "refrain.shop.members";

class CountingRandom final : public Random {
 public:
  explicit CountingRandom(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() override {  // splitmix64
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
    return z ^ (z >> 31);
  }

 private:
  std::uint64_t state_;
};

template <class T>
class Answered final : public Pending<T> {
 public:
  explicit Answered(Result<T> answer) : answer_(std::move(answer)) {}
  std::optional<Result<T>> take() override { return std::exchange(answer_, std::nullopt); }

 private:
  std::optional<Result<T>> answer_;
};

class MembersWorld;

struct TestNode {
  // ---- what survives a crash
  MembershipIdentity identity;
  std::vector<std::string> entries;
  std::optional<std::string> own;
  store::AppliedTable applied;
  PeerTicks ticks;
  Seq newest;
  Seq newest_write;

  // ---- what does not
  std::unique_ptr<Membership> membership;
  std::map<Journal, SteadyNs> heard;
  std::map<NodeName, JournalPass> passes;
  std::map<Journal, Seq> gaps;
  std::map<Journal, Seq> lowest_kept;
  std::map<Journal, Seq> readable;
  bool nothing_void_left = true;
  std::optional<OwnJournal> own_journal;
  SteadyNs ticked_at;
  MembershipStep newest_step;

  // ---- how the test treats it
  MembershipConfig config;
  std::unique_ptr<MemoryLog> log;
  bool up = true;
  bool disk_full = false;  // nothing is persisted
  bool answers = true;     // to peers
  bool silent = false;     // journals no ticks
  bool deaf = false;       // applies nothing
  int started_over = 0;
  int snapshots = 0;
  std::string start_over_reason;

  Mode mode() const { return membership->standing().mode; }
  const std::string& detail() const { return membership->standing().detail; }
  const MembersTable& table() const { return membership->table(); }
};

class MembersWorld final : public Peers {
 public:
  explicit MembersWorld(std::uint64_t seed = 1) : broker(std::make_shared<MemoryBroker>()), random_(seed) {}

  TestNode& add(const NodeName& name, bool found = false) {
    auto& node = nodes[name];
    node = std::make_unique<TestNode>();
    node->config.cluster = "shop";
    node->config.found = found;
    node->config.traits.address = "http://" + name;
    node->config.topic = {kMembersTopic, Milliseconds{-1}, 1, 1};
    node->identity.self = {name, {next_incarnation_++}};
    node->log = std::make_unique<MemoryLog>(broker, [] {});
    start(*node);
    return *node;
  }

  TestNode& operator[](const NodeName& name) { return *nodes.at(name); }

  /// Only what is persisted is left.
  void start(TestNode& node) {
    node.heard.clear();
    node.passes.clear();
    node.readable.clear();
    node.ticked_at = {};
    auto made =
        Membership::create(node.config, node.identity, node.entries, node.own, *node.log, *this, random_);
    REFRAIN_ASSERT(made.has_value(), "the stored rows replay");
    node.membership = std::move(*made);
  }

  void step(TestNode& node) {
    if (!node.up) return;
    MembershipFacts facts{wall(),
                          now,
                          node.applied,
                          node.ticks,
                          node.heard,
                          node.passes,
                          node.gaps,
                          node.lowest_kept,
                          node.readable,
                          node.newest,
                          node.newest_write,
                          node.newest,
                          node.nothing_void_left,
                          node.own_journal};
    MembershipStep step = node.membership->step(facts);
    node.newest_step = step;
    if (step.start_over) return start_over(node, *step.start_over);
    if (!node.disk_full) persist(node, step);
    for (const ReadAgain& again : step.read_again)
      node.passes[again.journal] = {now, again.from_start, false, false};
    if (step.snapshot) take_snapshot(node, step.snapshot->member.node);
    read_journals(node);
    if (now - node.ticked_at >= Milliseconds{1'000}) tick(node);
  }

  void run(
      Milliseconds time, const std::function<bool()>& until = [] { return false; }) {
    for (SteadyNs end = now + time; now < end && !until();) {
      now = now + Milliseconds{50};
      for (auto& [name, node] : nodes) step(*node);
    }
  }
  /// True when it came so within a minute.
  bool comes(const std::function<bool()>& until) {
    run(Milliseconds{60'000}, until);
    return until();
  }
  bool all_active() {
    return std::all_of(nodes.begin(), nodes.end(), [](const auto& node) {
      return !node.second->up || node.second->mode() == Mode::kActive;
    });
  }

  /// The entries that a reader of the whole topic counts.
  std::vector<LoggedEntry> counted() const {
    MembersReplay replay;
    for (const Record& record : broker->records(kMembersTopic)) replay.add(record.bytes);
    return replay.counted();
  }
  std::vector<std::string> kinds() const {
    std::vector<std::string> kinds;
    for (const LoggedEntry& entry : counted())
      kinds.push_back(std::string(entry_kind_name(entry.entry.kind)) + " " + entry.entry.node);
    return kinds;
  }
  void inject(const std::string& bytes) {
    broker->make_topic(kMembersTopic);
    broker->inject(kMembersTopic, bytes);
  }
  /// As an operator's other node would write it.
  void evict(const NodeName& name) {
    TestNode& victim = *nodes.at(name);
    MembersReplay replay;
    for (const Record& record : broker->records(kMembersTopic)) replay.add(record.bytes);
    MembersEntry entry =
        next_entry(replay.table(), EntryKind::kEvict, name, victim.identity.self.incarnation.value);
    entry.cluster = replay.table().cluster();
    inject(encode_entry(entry).bytes);
  }

  WallMs wall() const { return {1'763'980'000'000 + now.value / 1'000'000}; }

  // ---- Peers
  std::unique_ptr<Pending<PeerMembers>> members(const std::string& address) override {
    TestNode* node = at(address);
    if (node == nullptr)
      return std::make_unique<Answered<PeerMembers>>(unavailable("unavailable", "nobody answers"));
    PeerMembers answer;
    answer.cluster = node->table().cluster();
    answer.node = node->identity.self.node;
    answer.incarnation = node->identity.self.incarnation;
    answer.active = node->mode() == Mode::kActive;
    answer.waits_for_agreement = node->membership->waits_for_agreement();
    answer.waits_for = node->membership->waits_for();
    for (const auto& [incarnation, member] : node->table().members()) {
      auto heard = node->heard.find({member.node, incarnation});
      answer.silent[incarnation] = std::chrono::duration_cast<Milliseconds>(
          now - (heard == node->heard.end() ? SteadyNs{1'000'000'000'000} : heard->second));
    }
    for (const LoggedEntry& entry : node->membership->entries()) answer.hashes.push_back(entry.hash);
    return std::make_unique<Answered<PeerMembers>>(answer);
  }
  std::unique_ptr<SnapshotStream> snapshot(const std::string&) override { return nullptr; }

  std::shared_ptr<MemoryBroker> broker;
  std::map<NodeName, std::unique_ptr<TestNode>> nodes;
  std::map<Journal, std::vector<PeerTick>> journals;
  SteadyNs now{1'000'000'000'000};
  bool snapshots_fail = false;

 private:
  TestNode* at(const std::string& address) {
    for (auto& [name, node] : nodes) {
      if (node->config.traits.address == address && node->up && node->answers) return node.get();
    }
    return nullptr;
  }

  void persist(TestNode& node, const MembershipStep& step) {
    for (const MembersRow& row : step.persist) {
      if (row.kind == MembersRow::Kind::kOwnEntry) {
        node.own = row.bytes;
      } else {
        node.entries.resize(std::max<std::size_t>(node.entries.size(), row.n));
        node.entries[row.n - 1] = row.bytes;
      }
    }
    if (step.agreed) {
      node.identity.agreed = *step.agreed;
      node.membership->agreed_is_kept(*step.agreed);
    }
    if (step.cluster) node.identity.cluster = step.cluster;
    if (step.next.value != 0) node.identity.next = step.next;
    node.membership->persisted();
  }

  void start_over(TestNode& node, const StartOver& order) {
    ++node.started_over;
    node.start_over_reason = order.reason;
    node.identity.self.incarnation = order.next.value != 0 ? order.next : Incarnation{next_incarnation_++};
    node.identity.next = {};
    node.identity.rolled_back = false;
    node.identity.former = order.former;
    node.identity.snapshot_taken = false;
    node.entries.clear();
    node.own.reset();
    node.applied.clear();
    node.ticks.clear();
    node.gaps.clear();
    node.newest = node.newest_write = {};
    start(node);
  }

  void take_snapshot(TestNode& node, const NodeName& from) {
    TestNode& source = *nodes.at(from);
    if (snapshots_fail) return node.membership->snapshot_failed("nobody gives one");
    ++node.snapshots;
    node.applied = source.applied;
    if (source.entries.size() > node.entries.size()) node.entries = source.entries;
    node.identity.snapshot_taken = true;
    start(node);
  }

  bool reads_journals(const TestNode& node) const {
    return !node.deaf &&
           (node.mode() == Mode::kActive || (node.mode() == Mode::kJoining && node.identity.snapshot_taken));
  }

  void read_journals(TestNode& node) {
    if (!reads_journals(node)) return;
    for (const auto& [journal, ticks] : journals) {
      bool own = journal.node == node.identity.self.node;
      if (own && (node.mode() == Mode::kActive || journal == node.identity.self)) continue;
      if (!node.passes.contains(journal.node)) node.passes[journal.node] = {now, false, false, false};
      read_journal(node, journal, ticks);
    }
    for (auto& [name, pass] : node.passes) pass.at_end = true;
  }

  void read_journal(TestNode& node, const Journal& journal, const std::vector<PeerTick>& ticks) {
    const Member* member = node.table().find(journal.incarnation);
    if (member == nullptr || member->state == MemberState::kJoining || node.gaps.contains(journal)) return;
    auto limit = node.membership->limit(journal.incarnation);
    node.readable.erase(journal);
    for (const PeerTick& tick : ticks) {
      if (limit && tick.seq > *limit) node.readable[journal] = tick.seq;
      if (tick.seq <= node.applied[journal].seq || (limit && tick.seq > *limit)) continue;
      node.applied[journal] = {tick.seq, tick.hlc};
      node.ticks[journal] = tick;
      node.heard[journal] = now;
    }
  }

  void tick(TestNode& node) {
    if (node.silent || node.mode() != Mode::kActive || !node.membership->standing().may_publish) return;
    node.ticked_at = now;
    node.newest = node.newest.next();
    Hlc hlc = Hlc::of(wall());
    const Journal& self = node.identity.self;
    node.applied[self] = {node.newest, hlc};
    store::Tick tick;
    tick.applied = node.applied;
    tick.members_n = node.table().n();
    tick.members_hash = node.table().hash();
    journals[self].push_back({node.newest, hlc, tick});
  }

  CountingRandom random_;
  std::uint64_t next_incarnation_ = 1;
};

}  // namespace refrain::replication
