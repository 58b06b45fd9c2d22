// SPDX-License-Identifier: Apache-2.0
// A node, put together: the ledger that changes the store, the replicator that talks to the other regions,
// the desk that decides requests. Everything happens in step(), on one thread that the caller owns; it never
// sleeps and blocks in nothing but the engine's sync. Production wraps it in a Runner, the simulator calls
// it.
//
// Crash: a Node may be destroyed, or its process killed, between any two instructions; open() goes on from
// the store.
#pragma once
#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "node/acknowledger.h"
#include "node/acks.h"
#include "node/answers.h"
#include "node/config.h"
#include "node/ledger.h"
#include "node/mailbox.h"
#include "node/node.h"
#include "node/order_waiters.h"
#include "node/rate_limits.h"
#include "node/replicator.h"
#include "node/request_desk.h"
#include "node/session_waiters.h"
#include "node/world.h"

namespace refrain::node {

class Node final : public Api {
 public:
  /// Opens the store and makes its identity when it is new. Serves nothing before the first step(). Errors:
  /// what opening the engine gives; kInvalid when the directory is another node's; kCorrupt when a row cannot
  /// be read.
  static Result<std::unique_ptr<Node>> open(Config config, World world, Start start);
  ~Node() override;
  Node(const Node&) = delete;
  Node& operator=(const Node&) = delete;

  /// Does what is there to do and gives how long it may wait for more; zero = call again at once.
  Nanoseconds step();

  /// From now on new calls are refused with 503 draining, and ready is false. Whoever waits is answered with
  /// the next step: a begin with 503 draining (it never goes), a write for an `ack` with how far its commit
  /// came. Any thread.
  void drain() {
    draining_.store(true);
    if (world_.wake) world_.wake();
  }
  /// Everything acknowledged is in Kafka, or the node runs alone. Any thread; as of the newest step.
  bool flushed() const { return flushed_.load(); }
  /// Why this node must end: a state that only another start can mend. Any thread; as of the newest step.
  std::optional<Error> must_end() const;

  // ---- Api
  void commit(CommitCall call, Done<CommitAnswer> done) override;
  void begin(BeginCall call, Done<BeginAnswer> done) override;
  void complete(CompleteCall call, Done<CompleteAnswer> done) override;
  void execute(CompleteCall call, Done<CompleteAnswer> done) override;
  void renew(RenewCall call, Done<RenewAnswer> done) override;
  void release(ReleaseCall call, Done<ReleaseAnswer> done) override;
  void resolve(ResolveCall call, Done<CompleteAnswer> done) override;
  void resolve_conflict(ConflictResolveCall call, Done<CommitAnswer> done) override;
  void await_session(Vector session, Milliseconds wait, Done<void> done) override;

  Result<std::optional<ReadAnswer>> get(const std::string& ns, const std::string& key) override;
  Result<ScanAnswer> scan(const std::string& ns, const std::string& prefix, const std::string& after,
                          std::size_t limit, bool values) override;
  Result<std::optional<RequestReport>> request(const std::string& ns, const std::string& id,
                                               std::optional<Sha256> fingerprint) override;
  Result<Page<RequestReport>> requests(const std::string& ns, const std::string& state,
                                       const std::string& after, std::size_t limit) override;
  Result<Page<DuplicateReport>> duplicates(const std::string& ns, const std::string& after, bool all,
                                           std::size_t limit) override;
  Result<Page<ConflictReport>> conflicts(const std::string& ns, const std::string& key, bool only_open,
                                         const std::string& after, std::size_t limit) override;
  Result<std::optional<ConflictReport>> conflict(const std::string& id) override;
  Result<Page<VoidCommit>> void_commits(Incarnation incarnation, Seq after, std::size_t limit) override;
  Vector applied() override;
  Vector seen() override;

  void status(Done<StatusReport> done) override;
  void members(Done<MembersReport> done) override;
  void events(std::string state, Seq after, std::size_t limit, Done<Page<EventReport>> done) override;
  void event(CommitId id, Done<EventReport> done) override;
  void retry_events(Done<void> done) override;
  void resume_journal(NodeName node, std::optional<Offset> skip, Done<void> done) override;
  void change_member(MemberOrder order, Done<MemberChange> done) override;

  std::vector<Check> checks() override;
  Result<std::unique_ptr<SnapshotSource>> snapshot(const std::string& whom) override;
  Result<BackupReport> backup(const std::string& directory) override;
  Result<DigestReport> digest() override;
  Result<DigestPage> digest_rows(const store::ComparedRows& wanted) override;
  Result<std::unique_ptr<DigestCounting>> count_digest() override;
  void correct_digest(std::shared_ptr<const DigestCounting> counting, Done<std::uint64_t> done) override;
  const Limits& limits() const override { return limits_; }

 private:
  /// What lives as long as one opened engine. A failed write ends it; the next one reads everything back.
  struct Life {
    std::unique_ptr<store::Engine> engine;
    std::unique_ptr<Ledger> ledger;
    std::unique_ptr<Replicator> replicator;
    std::unique_ptr<Acknowledger> acknowledger;
    std::unique_ptr<RequestDesk> desk;
  };

  struct Cut;
  class CutSource;
  class Counting;

  Node(Config config, World world, Start start);
  Result<void> open_life();
  void end_life(const Error& reason);
  void try_new_life(const Moment& now);

  template <class Call, class Answer>
  void post(Done<Answer> done, Call call);
  std::optional<Error> refusal(const Moment& now) const;
  std::optional<Error> reads_refused() const;
  void show_what_comes();
  void note_write(const Result<void>& written);
  void settle(const Moment& now);
  void publish_views(const Moment& now);
  void look_at_disk(const Moment& now);
  Nanoseconds idle_time(const Moment& now) const;
  void take_cuts_away();
  void describe_cuts(StatusReport& report);

  void do_commit(CommitCall call, Done<CommitAnswer> done);
  StatusReport status_report();
  std::vector<Check> make_checks(const Moment& now) const;
  std::string outbox_words() const;
  void warn_of_disk();
  WallMs reading_time() const;

  const Config config_;
  const World world_;
  const Start start_;
  const Limits limits_;

  Mailbox mailbox_;
  std::vector<Task> tasks_;
  Answers answers_;
  AckTable acks_;
  SessionWaiters sessions_;
  OrderWaiters orders_;
  RateLimits rates_;
  Moment now_;

  std::optional<Life> life_;
  mutable std::shared_mutex
      engine_mutex_;  // held shared by reads of other threads; exclusively to change life_
  std::optional<Error> store_trouble_;
  std::optional<Error> write_trouble_;  // of the newest batch
  SteadyNs retry_open_at_;
  std::uint64_t loads_seen_ = 0;  // of the ledger

  store::EngineStats disk_;
  std::optional<SteadyNs> disk_looked_at_;
  std::optional<SteadyNs> checked_at_;
  bool disk_full_ = false;
  unsigned disk_warned_at_ = 0;  // percent; the last warning

  // For other threads, as of the newest step.
  std::atomic<bool> draining_{false};
  std::atomic<bool> flushed_{true};
  std::atomic<bool> serves_reads_{false};
  std::atomic<std::int64_t> time_ms_{0};
  std::atomic<std::uint64_t> open_conflicts_{0};
  std::atomic<std::uint64_t> published_{0};
  std::atomic<bool> active_member_{false};
  std::atomic<std::uint64_t> digest_state_{0};  // another one when a difference seen before means nothing
  mutable std::mutex views_mutex_;
  Vector applied_view_;
  Vector seen_view_;  // what is about to be written too: a read may meet it before the views follow
  std::optional<Error> reads_refused_view_;
  std::vector<Check> checks_view_;
  std::optional<Error> must_end_view_;
  std::vector<std::weak_ptr<Cut>> cuts_;
};

template <class Call, class Answer>
void Node::post(Done<Answer> done, Call call) {
  auto shared = std::make_shared<Done<Answer>>(std::move(done));
  bool queued = mailbox_.post([shared, call = std::move(call)]() mutable { call(std::move(*shared)); });
  if (queued) return;
  Error error = unavailable("overloaded",
                            "Too many calls wait for this node. Nothing happened; repeat the call later.");
  error.retry_after_ms = 1'000;
  (*shared)(error);
}

}  // namespace refrain::node
