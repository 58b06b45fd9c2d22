// SPDX-License-Identifier: Apache-2.0
// A node that keeps keys in a map and answers begins from a script: what the server says and does is under
// test, not what a node decides. Calls are answered at once on the caller's thread, unless `hold` keeps them
// for the test to answer. drain() does what Node::drain() does: who waits is answered, a begin with draining,
// a write with how far it came.
#pragma once
#include <deque>
#include <map>
#include <mutex>

#include "base/text.h"
#include "node/node.h"

namespace refrain::server {

class FakeNode : public node::Api {
 public:
  using Key = std::pair<std::string, std::string>;

  // What the test sets and looks at; guarded by `mutex` where the I/O thread writes.
  std::mutex mutex;
  std::map<Key, node::ReadAnswer> keys;
  std::vector<node::CommitCall> commits;
  std::vector<node::BeginCall> begins;
  std::vector<node::CompleteCall> completions;
  std::vector<node::ConflictResolveCall> resolutions;
  std::optional<Error> write_error;
  std::optional<Result<node::BeginAnswer>> begin_answer;
  std::optional<node::StoredResponse> execute_replay;
  std::optional<Error> stale;
  std::vector<Milliseconds> session_waits;
  std::optional<node::RequestReport> known_request;
  std::optional<node::ConflictReport> known_conflict;
  std::vector<node::ConflictReport> known_conflicts;
  std::vector<node::EventReport> known_events;
  std::vector<node::DuplicateReport> known_duplicates;
  std::vector<node::VoidCommit> known_void;
  std::vector<node::Check> known_checks;
  node::StatusReport known_status;
  node::MembersReport known_members;
  node::Limits known_limits;
  node::DigestReport known_digest{"eu", {{"eu", Hlc{7}}}, {}, std::nullopt};
  std::vector<store::ComparedRow> known_rows;
  store::ComparedRows compared;  // what was asked for last
  std::string scope = "local";
  Vector known_applied{{"eu", Hlc{7}}};
  bool hold = false;
  std::vector<std::string> snapshot_blocks;                                             // "wait" is a pause
  std::shared_ptr<std::atomic<int>> snapshots = std::make_shared<std::atomic<int>>(0);  // that are there
  node::MemberOrder order;                                                              // the newest
  node::MemberChange change;                                                            // what came of it
  bool timed_out = false;
  std::vector<std::string> backups;
  std::uint64_t next_hlc = 100;

  void change_member(node::MemberOrder taken, node::Done<node::MemberChange> done) override {
    std::lock_guard lock(mutex);
    order = std::move(taken);
    later([done, c = change] { done(c); });
  }
  void commit(node::CommitCall call, node::Done<node::CommitAnswer> done) override {
    std::lock_guard lock(mutex);
    commits.push_back(call);
    if (write_error) return later([done, e = *write_error] { done(e); });
    node::CommitAnswer answer;
    answer.version = {Hlc{next_hlc}, "eu"};
    answer.commit = {"eu", Incarnation{0xab}, Seq{next_hlc++}};
    answer.state = "pending";
    answer.timed_out = timed_out;
    answer.session = {{"eu", answer.version.hlc}};
    for (auto& write : call.writes) {
      answer.existed.push_back(keys.erase({write.ns, write.key}) > 0);
      if (write.value) keys[{write.ns, write.key}] = {*write.value, answer.version, 0, std::nullopt};
    }
    auto drained = answer;
    drained.timed_out = true;
    later([done, answer] { done(answer); }, [done, drained] { done(drained); });
  }
  void begin(node::BeginCall call, node::Done<node::BeginAnswer> done) override {
    std::lock_guard lock(mutex);
    begins.push_back(call);
    auto drained = [done] { done(unavailable("draining", "The node is shutting down.")); };
    if (begin_answer) return later([done, answer = *begin_answer] { done(answer); }, drained);
    node::BeginAnswer answer;
    answer.go = node::BeginAnswer::Go{
        "token", "42", 1, Milliseconds{30000}, WallMs{1'700'000'000'000}, node::OnExpiry::kRetry, 3, {}};
    answer.scope = scope;
    later([done, answer] { done(answer); }, drained);
  }
  void complete(node::CompleteCall call, node::Done<node::CompleteAnswer> done) override {
    std::lock_guard lock(mutex);
    completions.push_back(call);
    if (write_error) return later([done, e = *write_error] { done(e); });
    later([done, answer = completed(call)] { done(answer); });
  }
  void execute(node::CompleteCall call, node::Done<node::CompleteAnswer> done) override {
    std::lock_guard lock(mutex);
    completions.push_back(call);
    auto answer = completed(call);
    answer.scope = scope;
    if (execute_replay) {
      answer.replayed = true;
      answer.response = *execute_replay;
    }
    later([done, answer] { done(answer); });
  }
  void renew(node::RenewCall, node::Done<node::RenewAnswer> done) override {
    later([done] {
      done(node::RenewAnswer{Milliseconds{5000}, WallMs{0}, {"eu", {}, Seq{1}}, "pending", {}});
    });
  }
  void release(node::ReleaseCall, node::Done<node::ReleaseAnswer> done) override {
    later([done] { done(node::ReleaseAnswer{{"eu", {}, Seq{1}}, "pending", {}}); });
  }
  void resolve(node::ResolveCall, node::Done<node::CompleteAnswer> done) override {
    later([done] { done(node::CompleteAnswer{}); });
  }
  void resolve_conflict(node::ConflictResolveCall call, node::Done<node::CommitAnswer> done) override {
    std::lock_guard lock(mutex);
    resolutions.push_back(call);
    later([done] { done(node::CommitAnswer{}); });
  }
  void await_session(Vector, Milliseconds wait, node::Done<void> done) override {
    session_waits.push_back(wait);
    later([done, stale = stale] { stale ? done(*stale) : done(Result<void>()); });
  }
  Result<std::optional<node::ReadAnswer>> get(const std::string& ns, const std::string& key) override {
    std::lock_guard lock(mutex);
    const auto found = keys.find({ns, key});
    if (found == keys.end()) return std::optional<node::ReadAnswer>();
    return std::optional(found->second);
  }
  Result<node::ScanAnswer> scan(const std::string& ns, const std::string& prefix, const std::string& after,
                                std::size_t limit, bool values) override {
    std::lock_guard lock(mutex);
    node::ScanAnswer page;
    for (const auto& [key, read] : keys) {
      if (key.first != ns || !key.second.starts_with(prefix) || key.second <= after) continue;
      if (page.items.size() == limit) {
        page.after = page.items.back().key;
        break;
      }
      page.items.push_back({key.second, values ? read.value : "", read.version});
    }
    page.session = known_applied;
    return page;
  }
  Result<std::optional<node::RequestReport>> request(const std::string&, const std::string&,
                                                     std::optional<Sha256>) override {
    return known_request;
  }
  Result<node::Page<node::RequestReport>> requests(const std::string&, const std::string&, const std::string&,
                                                   std::size_t) override {
    node::Page<node::RequestReport> page;
    if (known_request) page.items.push_back(*known_request);
    return page;
  }
  Result<node::Page<node::DuplicateReport>> duplicates(const std::string&, const std::string&, bool,
                                                       std::size_t) override {
    return node::Page<node::DuplicateReport>{known_duplicates, std::nullopt};
  }
  Result<node::Page<node::ConflictReport>> conflicts(const std::string&, const std::string&, bool,
                                                     const std::string&, std::size_t limit) override {
    node::Page<node::ConflictReport> page;
    if (known_conflict) page.items.push_back(*known_conflict);
    for (const auto& conflict : known_conflicts) {
      if (page.items.size() == limit) {
        page.after = "behind " + page.items.back().id;
        break;
      }
      page.items.push_back(conflict);
    }
    return page;
  }
  Result<std::optional<node::ConflictReport>> conflict(const std::string&) override { return known_conflict; }
  Result<node::Page<node::VoidCommit>> void_commits(Incarnation, Seq after, std::size_t limit) override {
    node::Page<node::VoidCommit> page;
    for (const auto& found : known_void) {
      if (found.commit.seq > after && page.items.size() < limit) page.items.push_back(found);
    }
    return page;
  }
  Vector applied() override { return known_applied; }
  Vector seen() override { return known_applied; }
  void status(node::Done<node::StatusReport> done) override {
    later([done, this] { done(known_status); });
  }
  void members(node::Done<node::MembersReport> done) override {
    later([done, this] { done(known_members); });
  }
  void events(std::string, Seq, std::size_t, node::Done<node::Page<node::EventReport>> done) override {
    later([done, this] { done(node::Page<node::EventReport>{known_events, std::nullopt}); });
  }
  void event(CommitId id, node::Done<node::EventReport> done) override {
    node::EventReport report;
    if (!known_events.empty()) report = known_events.front();
    report.commit = id;
    report.state = "pending";
    later([done, report] { done(report); });
  }
  void retry_events(node::Done<void> done) override {
    later([done] { done(Result<void>()); });
  }
  void resume_journal(NodeName, std::optional<Offset>, node::Done<void> done) override {
    later([done] { done(Result<void>()); });
  }
  std::vector<node::Check> checks() override {
    std::lock_guard lock(mutex);
    return known_checks;
  }
  Result<std::unique_ptr<node::SnapshotSource>> snapshot(const std::string& whom) override {
    known_status.snapshots.push_back({whom, 0, 0, 0});
    return Result<std::unique_ptr<node::SnapshotSource>>(
        std::make_unique<Blocks>(snapshot_blocks, snapshots));
  }
  Result<node::DigestReport> digest() override { return known_digest; }
  Result<node::DigestPage> digest_rows(const store::ComparedRows& wanted) override {
    compared = wanted;
    node::DigestPage page{"eu", known_applied, WallMs{0}, known_rows, std::nullopt};
    if (page.items.size() <= wanted.limit) return page;
    page.items.resize(wanted.limit);
    page.after = "behind";
    return page;
  }
  Result<std::unique_ptr<node::DigestCounting>> count_digest() override {
    return Result<std::unique_ptr<node::DigestCounting>>(std::make_unique<Steps>(known_digest));
  }
  void correct_digest(std::shared_ptr<const node::DigestCounting>, node::Done<std::uint64_t> done) override {
    later([done] { done(std::uint64_t{3}); });
  }
  Result<node::BackupReport> backup(const std::string& directory) override {
    std::lock_guard lock(mutex);
    backups.push_back(directory);
    if (write_error) return *write_error;
    return node::BackupReport{directory, "eu", "shop", WallMs{1'700'000'000'000}, 4096};
  }
  const node::Limits& limits() const override { return known_limits; }

  /// Answers the oldest call that is held; false when there is none.
  bool answer_held() {
    auto call = take_held();
    if (call) call->answer();
    return call.has_value();
  }
  void drain() {
    while (auto call = take_held()) call->drained();
  }
  std::size_t waiting() {
    std::lock_guard lock(held_mutex_);
    return held_.size();
  }

 private:
  struct Steps final : node::DigestCounting {
    explicit Steps(node::DigestReport report) : DigestCounting(std::move(report), 0) {}
    Result<bool> step() override {
      if (++steps < 4) return false;
      report_.counted = store::DigestBuckets();
      return true;
    }
    int steps = 0;
  };
  class Blocks final : public node::SnapshotSource {
   public:
    Blocks(std::vector<std::string> blocks, std::shared_ptr<std::atomic<int>> there)
        : blocks_(std::move(blocks)), there_(std::move(there)) {
      ++*there_;
    }
    ~Blocks() override { --*there_; }
    std::uint64_t expected_rows() const override { return 77; }
    Result<State> next(std::string& block) override {
      if (at_ == blocks_.size()) return State::kEnd;
      const auto& one = blocks_[at_++];
      if (one == "wait") return State::kWait;
      if (one == "fail") return unavailable("store_failed", "The disk went away.");
      block = one;
      return State::kBlock;
    }

   private:
    std::vector<std::string> blocks_;
    std::shared_ptr<std::atomic<int>> there_;
    std::size_t at_ = 0;
  };

  static node::CompleteAnswer completed(const node::CompleteCall& call) {
    node::CompleteAnswer answer;
    answer.commit = {"eu", Incarnation{0xab}, Seq{9}};
    answer.state = "pending";
    answer.completed_at = WallMs{1'700'000'000'000};
    if (call.response) answer.response = *call.response;
    return answer;
  }
  struct Held {
    std::function<void()> answer;
    std::function<void()> drained;
  };
  void later(std::function<void()> answer) { later(answer, answer); }
  void later(std::function<void()> answer, std::function<void()> drained) {
    if (!hold) return answer();
    std::lock_guard lock(held_mutex_);
    held_.push_back({std::move(answer), std::move(drained)});
  }
  std::optional<Held> take_held() {
    std::lock_guard lock(held_mutex_);
    if (held_.empty()) return std::nullopt;
    auto call = std::move(held_.front());
    held_.pop_front();
    return call;
  }
  std::mutex held_mutex_;
  std::deque<Held> held_;
};

}  // namespace refrain::server
