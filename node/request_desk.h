// SPDX-License-Identifier: Apache-2.0
// Requests at this node: brings row, time and regions to the pure decisions of idempotency/, commits what
// they say, and keeps the calls that wait.
//
// One thread, within a step; report() from any.
#pragma once
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "idempotency/requests.h"
#include "idempotency/waiters.h"
#include "node/acknowledger.h"
#include "node/config.h"
#include "node/ledger.h"
#include "node/node.h"
#include "node/rate_limits.h"
#include "node/replicator.h"

namespace refrain::node {

/// What applying found in the running batch. Outlives the ledger that fills it.
struct RequestNews {
  std::vector<store::RequestId> changed;
  std::uint64_t duplicates = 0;
  std::uint64_t duplicates_possible = 0;
};

/// For the ledger: what the request operations of any commit mean.
Ledger::RequestApply request_apply(std::shared_ptr<RequestNews> news);

struct DeskParts {
  const Config& config;
  Random& random;
  Ledger& ledger;
  Replicator& replicator;
  Acknowledger& acknowledger;
  Answers& answers;
  RateLimits& rates;
  std::shared_ptr<RequestNews> news;
};

class RequestDesk {
 public:
  static Result<std::unique_ptr<RequestDesk>> open(DeskParts parts, const Moment& now);

  // ---- the step
  void start(const Moment& now);  // before calls
  void wake_waiters(
      const Moment& now);  // after them: exactly one waiting call goes for a request that became free
  void written();
  void not_written();
  /// Answers every waiting call with `error`: the store is closed.
  void abandon(const Error& error);
  std::optional<SteadyNs> wakes_at() const { return wakes_at_; }

  // ---- calls
  void begin(BeginCall call, Done<BeginAnswer> done);
  void complete(CompleteCall call, Done<CompleteAnswer> done);
  void execute(CompleteCall call, Done<CompleteAnswer> done);
  void renew(RenewCall call, Done<RenewAnswer> done);
  void release(ReleaseCall call, Done<ReleaseAnswer> done);
  void resolve(ResolveCall call, Done<CompleteAnswer> done);
  /// A commit under an Idempotency-Key: an execute in a namespace of ours.
  void commit_once(CommitCall call, Done<CommitAnswer> done);

  // ---- inspection
  /// Any thread. None when the request is absent.
  std::optional<RequestReport> report(const std::string& ns, const std::string& id,
                                      const store::RequestRow& row, const std::optional<Sha256>& fingerprint,
                                      WallMs now) const;
  void describe(StatusReport& report) const;
  std::size_t waiting() const { return waiters_.size() + unfresh_.size(); }

 private:
  struct WaitingBegin {
    BeginCall call;
    std::shared_ptr<Done<BeginAnswer>> done;
    bool gone() const { return call.gone && call.gone->load(); }
  };
  struct Unfresh {
    WaitingBegin begin;
    SteadyNs deadline;
  };

  explicit RequestDesk(DeskParts parts)
      : parts_(std::move(parts)), waiters_(parts_.config.http.max_waiters) {}

  idempotency::Terms terms_of(const std::string& ns) const;
  Result<idempotency::Here> here() const;
  Result<idempotency::Row> row_of(const std::string& ns, const std::string& id) const;
  idempotency::Freshness freshness_of(const std::string& ns) const;
  enum class How : std::uint8_t {
    kMayWait,
    kMayNotGo,  // who waited before goes first; refusals and replays are given
    kLastTime   // it is answered whatever comes out
  };
  idempotency::Asked ask(WaitingBegin& waiting, How how);
  void give_go(idempotency::Go go, std::vector<store::Operation> operations, Hlc at, WaitingBegin& waiting);
  void give_replay(std::string scope, const idempotency::Replay& replay, const WaitingBegin& waiting);
  void sweep(const Moment& now);
  void expire_duplicates();
  Result<void> count_duplicates();
  void look_at_regions(const Moment& now);
  void finish_completion(Result<CommitId> id, const Ack& ack, CompleteAnswer answer,
                         Done<CompleteAnswer> done);
  std::string scope_of(const std::string& ns, const idempotency::Row& row, WallMs now) const;
  template <class Answer>
  void refuse(Error error, std::vector<store::Operation> operations, Hlc at, Done<Answer> done);
  template <class Answer>
  void answer_later(Result<Answer> answer, Done<Answer> done);

  DeskParts parts_;
  Moment now_;
  RegionFacts regions_;
  idempotency::Peers peers_;
  idempotency::Waiters<WaitingBegin> waiters_;
  std::list<Unfresh> unfresh_;  // begins whose session this node does not cover yet
  std::optional<SteadyNs> wakes_at_;

  store::DuplicateCounts duplicates_;
  store::DuplicateCounts dropping_;  // in the running batch
  std::uint64_t counted_load_ = 0;   // of the ledger, when duplicates_ were counted
  struct OpenCounts {
    std::uint64_t running = 0;
    std::uint64_t unknown = 0;
  };
  OpenCounts open_;
  std::optional<store::RequestId> swept_up_to_;
  OpenCounts sweeping_;  // of the walk that is under way
  std::optional<SteadyNs> swept_at_;

  /// For report(), on any thread.
  struct Others {
    idempotency::Peers peers;
    Incarnation incarnation;  // ours
  };
  mutable std::mutex others_mutex_;
  std::shared_ptr<const Others> others_ = std::make_shared<Others>();
};

}  // namespace refrain::node
