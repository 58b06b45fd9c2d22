// SPDX-License-Identifier: Apache-2.0
// What a node does for its callers: the one surface between the server (or a simulated client) and everything
// below.
//
// Threads: calls with a Done may come from any thread; the Done is called once, on the node's thread, and
// must not block. Calls that return a Result read the engine at once, from any thread. Acknowledged = the
// Done of a write was called with a value: its commit is synced here (and, past that, as `ack` asks).
// Time-outs belong to the node: a Done is called at the latest when `timeout` or `wait` is over.
#pragma once
#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "node/config.h"
#include "node/reports.h"
#include "store/digest.h"
#include "store/digest_rows.h"
#include "store/operations.h"

namespace refrain::node {

template <class T>
using Done = std::function<void(Result<T>)>;

// ---- kv

/// In a condition's `if_seen`: what holds for every node.
inline constexpr std::string_view kAnyNode = "*";

struct Condition {
  std::optional<Version> if_match;  // the key's current, visible version here must be this
  bool if_none_match = false;       // the key must not be visible here
  /// The key has no version here, not even a deleted one, that is newer than this: node -> hlc, with kAnyNode
  /// for all. What a writer had seen who wrote elsewhere.
  std::optional<Vector> if_seen = std::nullopt;
};

struct Write {
  std::string ns;
  std::string key;
  std::optional<std::string> value;  // none = delete
  std::optional<Milliseconds> ttl;
  Condition condition;
};

/// How much a writer waits for.
struct Ack {
  enum class Kind : std::uint8_t { kLocal, kLog, kAll, kNode };
  Kind kind = Kind::kLocal;
  NodeName node;  // of kNode
  Milliseconds timeout{5000};
  bool wants_tick() const { return kind == Kind::kAll || kind == Kind::kNode; }
};

struct IdempotencyKey {
  std::string key;     // a valid request id
  Sha256 fingerprint;  // over everything that makes this call what it is
};

struct CommitCall {
  std::vector<Write> writes;  // no key twice
  Ack ack;
  Vector session;
  std::optional<IdempotencyKey> idempotency_key;
};

/// What a commit came to, as far as it got within its time-out.
struct CommitAnswer {
  CommitId commit;
  Version version;
  std::string state;  // of EventReport
  std::vector<NodeName> applied_by;
  std::vector<NodeName> waiting_for;  // what its `ack` still lacked: "log" or node names
  bool timed_out = false;             // 202
  std::vector<bool> existed;          // per write: a visible value was there
  bool replayed = false;              // by its Idempotency-Key
  Vector session;
};

struct ReadAnswer {
  std::string value;
  Version version;
  std::uint64_t open_conflicts = 0;
  std::optional<WallMs> expires_at;
};

struct ScanItem {
  std::string key;
  std::string value;  // empty unless asked for
  Version version;
};
struct ScanAnswer {
  std::vector<ScanItem> items;
  std::optional<std::string> after;  // where to go on; none = the end
  Vector session;                    // no smaller than what was read
};

// ---- requests

struct BeginCall {
  std::string ns;
  std::string id;
  Sha256 fingerprint;
  std::optional<Milliseconds> lease;
  std::optional<OnExpiry> on_expiry;
  std::optional<Milliseconds> seen_ttl;
  std::optional<Milliseconds> max_lag;
  Milliseconds wait{0};
  Vector session;
  std::shared_ptr<std::atomic<bool>>
      gone;  // set by the caller when its connection closed: it never goes then
};

struct StoredResponse {
  std::uint32_t status = 200;
  std::string content_type = "application/octet-stream";
  std::string body;
};

struct BeginAnswer {
  struct Go {
    std::string token;
    std::string fencing;  // decimal
    std::uint32_t attempt = 1;
    Milliseconds lease{0};
    WallMs lease_until;
    OnExpiry on_expiry = OnExpiry::kRetry;
    std::int64_t lag_ms = 0;
    std::vector<NodeName> behind;
  };
  std::optional<Go> go;                  // 201
  std::optional<StoredResponse> replay;  // 200; exactly one of the two is set
  std::string scope;                     // of the request: fixed once its row exists
  Vector session;
};

struct CompleteCall {
  std::string ns;
  std::string id;
  std::string token;                       // empty for execute
  std::optional<StoredResponse> response;  // none only with too_large
  bool too_large = false;
  std::vector<Write> writes;
  std::optional<Milliseconds> response_ttl;
  std::optional<Milliseconds> seen_ttl;
  std::optional<Sha256> fingerprint;  // of execute; none = over the operations
  Ack ack;
  Vector session;
};

struct CompleteAnswer {
  CommitId commit;
  std::string state;
  WallMs completed_at;
  bool replayed = false;
  StoredResponse response;  // of execute: what a replay gives
  std::string scope;        // of execute
  Vector session;
};

struct RenewCall {
  std::string ns;
  std::string id;
  std::string token;
  std::optional<Milliseconds> lease;
  Ack ack;
};
struct RenewAnswer {
  Milliseconds lease{0};
  WallMs lease_until;
  CommitId commit;  // seq 0 when the lease was that long already
  std::string state;
  Vector session;
};

struct ReleaseCall {
  std::string ns;
  std::string id;
  std::string token;
  Ack ack;
};
struct ReleaseAnswer {
  CommitId commit;  // seq 0 when it had been released before
  std::string state;
  Vector session;
};

struct ResolveCall {
  std::string ns;
  std::string id;
  bool complete = false;                   // else release
  std::optional<StoredResponse> response;  // of complete
  bool too_large = false;
};

/// What anyone may see of a request: never its token, never its fingerprint.
struct RequestReport {
  std::string id;
  std::string state;  // running, unknown, completed, seen
  std::uint32_t attempt = 0;
  NodeName node;
  std::string scope;
  OnExpiry on_expiry = OnExpiry::kRetry;
  std::optional<WallMs> started_at;
  std::optional<WallMs> lease_until;
  std::optional<WallMs> completed_at;
  std::optional<WallMs> response_until;
  std::optional<WallMs> seen_until;
  std::optional<bool> fingerprint_matches;
  struct Response {
    std::uint32_t status = 200;
    std::string content_type;
    std::uint64_t size = 0;
    bool too_large = false;
  };
  std::optional<Response> response;
};

/// A commit that counts nowhere and is kept aside by the node that wrote it.
struct VoidCommit {
  store::Commit commit;
  bool readable = true;  // else only its id is known: its bytes are of another format, or damaged
  Hlc seen_own;          // the newest version of its own node that it had seen
};

struct DuplicateReport {
  std::string duplicate_id;
  store::Duplicate duplicate;
};

template <class T>
struct Page {
  std::vector<T> items;
  std::optional<std::string> after;  // give it back to go on; none = the end
};

// ---- conflicts

struct ConflictSide {
  Version version;
  bool deleted = false;
  std::string value;  // capped
  bool truncated = false;
};
struct ConflictReport {
  std::string id;
  std::string ns;
  std::string key;
  ConflictSide winner;  // the larger version
  ConflictSide loser;
  WallMs detected_at;
  bool open = false;
};
struct ConflictResolveCall {
  std::string id;
  enum class Choice : std::uint8_t { kWinner, kLoser, kValue, kDelete } choice = Choice::kWinner;
  std::string value;  // of kValue
};

// ---- members

/// What an operator wants of a node's membership.
struct MemberOrder {
  enum class Kind : std::uint8_t { kEvict, kLeave, kRejoin };
  Kind kind = Kind::kEvict;
  NodeName node;                // leave, rejoin: the node that is asked
  bool although_heard = false;  // evict one that is alive; rejoin as an active member
  Milliseconds timeout{5000};
  Incarnation incarnation;  // the node's, when the order was taken: filled in there
};

/// How far the order is.
struct MemberChange {
  NodeName node;
  Incarnation incarnation;
  bool done = false;
  std::string state;       // "over" | "evicting", "leaving"; of rejoin "joining" | "rejoining"
  Seq newest_known;        // newest commit of the incarnation that any member is known to have
  std::optional<Seq> end;  // how far its journal goes, once agreed: what lies beyond is void
  std::string detail;      // what it waits for
};

// ---- backup

struct BackupReport {
  std::string directory;
  NodeName node;
  std::string cluster;
  WallMs at;
  std::uint64_t bytes = 0;  // of the store's files
};

// ---- snapshot

/// A stream of blocks (store/snapshot.h) from one cut; writes go on. One thread.
class SnapshotSource {
 public:
  enum class State : std::uint8_t { kBlock, kWait, kEnd };
  virtual ~SnapshotSource() = default;
  /// kBlock: `block` was filled. kWait: ask again in a while (the last block waits until Kafka has every own
  /// commit of the cut). kEnd: all was given.
  virtual Result<State> next(std::string& block) = 0;
  /// About how many rows will come; 0 = not known.
  virtual std::uint64_t expected_rows() const { return 0; }
};

// ---- digest

/// Of one cut.
struct DigestReport {
  NodeName node;
  Vector vector;  // everything up to it is in the cut
  store::DigestBuckets kept;
  std::optional<store::DigestBuckets> counted;  // from the rows, when that was asked for
};
struct DigestPage {
  NodeName node;
  Vector vector;
  WallMs now;
  std::vector<store::ComparedRow> items;
  std::optional<std::string> after;
};

/// Counts the rows of one cut while writes go on. One thread.
class DigestCounting {
 public:
  DigestCounting(DigestReport report, std::uint64_t state) : report_(std::move(report)), state_(state) {}
  virtual ~DigestCounting() = default;
  /// Bounded work. True when all rows are counted.
  virtual Result<bool> step() = 0;
  const DigestReport& report() const { return report_; }
  std::uint64_t state() const { return state_; }

 protected:
  DigestReport report_;

 private:
  std::uint64_t state_;
};

/// Limits that the door checks before a call is made.
struct Limits {
  std::uint64_t key_bytes = 1024;
  std::uint64_t value_bytes = 512 * 1024;
  std::uint64_t commit_bytes = 900 * 1024;
  std::uint64_t response_bytes = 256 * 1024;
};

class Api {
 public:
  virtual ~Api() = default;

  // Writes and decisions: on the node's thread.
  virtual void commit(CommitCall call, Done<CommitAnswer> done) = 0;
  virtual void begin(BeginCall call, Done<BeginAnswer> done) = 0;
  virtual void complete(CompleteCall call, Done<CompleteAnswer> done) = 0;
  virtual void execute(CompleteCall call, Done<CompleteAnswer> done) = 0;
  virtual void renew(RenewCall call, Done<RenewAnswer> done) = 0;
  virtual void release(ReleaseCall call, Done<ReleaseAnswer> done) = 0;
  virtual void resolve(ResolveCall call, Done<CompleteAnswer> done) = 0;
  virtual void resolve_conflict(ConflictResolveCall call, Done<CommitAnswer> done) = 0;

  /// Ok once this node has applied all of `session`, else `conflict stale` with what is missing when `wait`
  /// is over.
  virtual void await_session(Vector session, Milliseconds wait, Done<void> done) = 0;

  // Reads: any thread, at once. The caller has awaited its session.
  virtual Result<std::optional<ReadAnswer>> get(const std::string& ns, const std::string& key) = 0;
  virtual Result<ScanAnswer> scan(const std::string& ns, const std::string& prefix, const std::string& after,
                                  std::size_t limit, bool values) = 0;
  virtual Result<std::optional<RequestReport>> request(const std::string& ns, const std::string& id,
                                                       std::optional<Sha256> fingerprint) = 0;
  /// `state`: running, unknown, completed, seen, or empty for all.
  virtual Result<Page<RequestReport>> requests(const std::string& ns, const std::string& state,
                                               const std::string& after, std::size_t limit) = 0;
  virtual Result<Page<DuplicateReport>> duplicates(const std::string& ns, const std::string& after, bool all,
                                                   std::size_t limit) = 0;
  virtual Result<Page<ConflictReport>> conflicts(const std::string& ns, const std::string& key,
                                                 bool only_open, const std::string& after,
                                                 std::size_t limit) = 0;
  virtual Result<std::optional<ConflictReport>> conflict(const std::string& id) = 0;
  /// In order, behind the one of this incarnation and seq; without ticks. Also while the node serves nothing
  /// else.
  virtual Result<Page<VoidCommit>> void_commits(Incarnation incarnation, Seq after, std::size_t limit) = 0;
  virtual Vector applied() = 0;
  /// No smaller than anything that a read may have met until now: a miss, or a list, has seen this much.
  virtual Vector seen() = 0;

  // Inspection and operators: on the node's thread.
  virtual void status(Done<StatusReport> done) = 0;
  virtual void members(Done<MembersReport> done) = 0;
  virtual void events(std::string state, Seq after, std::size_t limit, Done<Page<EventReport>> done) = 0;
  virtual void event(CommitId id, Done<EventReport> done) = 0;  // incarnation 0 = the newest of that node
  virtual void retry_events(Done<void> done) = 0;
  virtual void resume_journal(NodeName node, std::optional<Offset> skip, Done<void> done) = 0;
  /// Answered when it is done, or as far as it is when `timeout` is over; it goes on all the same. A restart
  /// forgets an order that has not got into the members log, rejoin excepted.
  virtual void change_member(MemberOrder order, Done<MemberChange> done) = 0;

  /// The checks as of the newest step: any thread, never waits for the node. Ready = no blocking one fails.
  virtual std::vector<Check> checks() = 0;
  /// `whom`: who takes it, for status. Unavailable unless an active member.
  virtual Result<std::unique_ptr<SnapshotSource>> snapshot(const std::string& whom) = 0;
  /// Makes this directory on the node's machine a backup of its store (store/backup.h). Any thread but the
  /// node's; takes about as long as copying the store's logs.
  virtual Result<BackupReport> backup(const std::string& directory) = 0;
  /// What this node keeps, and what it has. The rows of a page are of one cut.
  virtual Result<DigestReport> digest() = 0;
  virtual Result<DigestPage> digest_rows(const store::ComparedRows& wanted) = 0;
  virtual Result<std::unique_ptr<DigestCounting>> count_digest() = 0;
  /// Makes what is kept what was counted, and gives how many buckets that changed. On the node's thread.
  virtual void correct_digest(std::shared_ptr<const DigestCounting> counting, Done<std::uint64_t> done) = 0;
  virtual const Limits& limits() const = 0;
};

}  // namespace refrain::node
