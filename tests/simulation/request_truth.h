// SPDX-License-Identifier: Apache-2.0
// The truth about requests, kept beside the nodes: every decision that a node wrote, and what that node had
// taken in when it made it (from the ghost). What a row means to somebody is worked out here a second time,
// from those events alone: of the product it uses what is on the wire, nothing of idempotency/. Each decision
// is judged by the rules as soon as it is on a disk.
#pragma once
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "history.h"
#include "store/operations.h"
#include "topic_watch.h"

namespace refrain::simulation {

class World;

/// Whose rows come to an end within a world: there only what holds at any time is checked.
bool is_short_lived(const std::string& row);

/// What is kept of a payload's hash.
store::Fingerprint kept_part(const Sha256& payload);

struct RequestEvent {
  enum class Kind : std::uint8_t {
    kGo,
    kRenew,
    kRelease,
    kOperatorRelease,
    kOutcome,
    kExecute,
    kResolve,
    kDuplicate
  };
  Kind kind = Kind::kGo;
  CommitId commit;
  Hlc hlc;
  store::GoId go;
  store::Claim claim;          // of the first four
  store::Outcome outcome;      // of the next three
  store::Duplicate duplicate;  // of the last
  store::AppliedTable had;     // what its node had of the others' journals
  std::size_t writes = 0;      // effects in the same commit
  Version version() const { return {hlc, commit.node}; }
  bool is_claim() const { return kind <= Kind::kOperatorRelease; }
  bool gives_claim() const { return kind == Kind::kGo || kind == Kind::kOperatorRelease; }
  bool is_outcome() const { return kind >= Kind::kOutcome && kind <= Kind::kResolve; }
};
using RequestEvents = std::vector<RequestEvent>;  // in the order in which they came to be

/// Which commits somebody has: of the others' journals as far as applied, of its own up to a seq.
struct Had {
  const store::AppliedTable& applied;
  Journal own;
  Seq own_up_to;
  const store::AppliedTable& before;  // of journals that nobody reads any more: they tell nobody's time
  bool has(const CommitId& id) const;
  WallMs heard(const NodeName& node) const;  // how far that node's time is known
};

/// A node's newest claim, as somebody sees it.
struct SeenClaim {
  const RequestEvent* given = nullptr;
  bool released = false;
  WallMs lease_until;
};

/// A row as somebody sees it.
struct SeenRow {
  std::map<NodeName, SeenClaim> claims;
  std::map<NodeName, Hlc> seen_by_others;  // of each node's claims, the newest that another's claim had seen
  const RequestEvent* outcome = nullptr;   // the largest version
  WallMs seen_until;
  std::uint32_t attempts = 0;

  bool done(WallMs now) const { return outcome != nullptr && now < seen_until; }
  bool superseded(const store::GoId& go) const;  // by another node's claim
  bool open(const SeenClaim& claim, WallMs now) const;
  std::vector<const SeenClaim*> open_claims(WallMs now) const;
};
SeenRow see(const RequestEvents& events, const Had& had);

enum class Lapsed : std::uint8_t { kNo, kMaybe, kYes };
Lapsed lapsed(const SeenClaim& claim, const NodeName& here, const Had& had, WallMs now);

class RequestTruth {
 public:
  explicit RequestTruth(World& world);

  /// The node's engine was opened, or has written; the ghost has looked already.
  void look(std::size_t node);

  const std::map<std::string, RequestEvents>& rows() const { return rows_; }
  const RequestEvents& row(const std::string& row) const;
  const RequestEvent* find(const Version& version) const;
  /// As the node has it now, or had it before its newest batch.
  SeenRow now_at(std::size_t node, const std::string& row) const;
  SeenRow before_at(std::size_t node, const std::string& row) const;
  Had had_now(std::size_t node) const;
  /// The node has such an event of the row: also one that was followed by another within its newest batch.
  bool has_event(std::size_t node, const std::string& row,
                 const std::function<bool(const RequestEvent&)>& wanted) const;
  bool in_newest_batch(std::size_t node, const RequestEvent& event) const;
  /// No later than what the node takes for now.
  WallMs least_time(std::size_t node) const;
  /// A journal whose end at a node's start that node has not passed.
  struct Behind {
    Journal journal;
    Seq had;
    Seq end;
  };
  std::vector<Behind> not_caught_up(std::size_t node);
  /// The incarnation that gave a go; nullopt: nobody did.
  std::optional<Incarnation> giver(const store::GoId& go) const;

  /// A new cluster's topics are read from their starts.
  void begin_again();

  /// Decisions of the journal beyond `end` count nowhere: as if they had never been.
  void forget_beyond(const Journal& journal, Seq end);
  /// Runs that were found to be second ones by a decision that became void.
  bool was_listed_in_vain(const std::string& row, const store::GoId& go) const {
    return listed_in_vain_.contains({row, go});
  }

 private:
  void take(std::size_t node, const CommitId& id, const store::AppliedTable& applied);
  void add(RequestEvent event, const std::string& ns, const std::string& id);
  void started(std::size_t node);
  Journal journal_of(std::size_t node) const;

  World& world_;
  std::map<std::string, RequestEvents> rows_;
  std::map<Version, std::pair<std::string, std::size_t>> by_version_;
  struct Node {
    std::uint64_t life = 0;
    Incarnation incarnation;
    CommitId newest_taken;
    std::optional<Seq> before_batch;  // own seq
    std::map<Journal, Seq> ends_at_start;
  };
  std::vector<Node> nodes_;
  std::vector<TopicWatch> topics_;
  std::set<std::pair<std::string, store::GoId>> listed_in_vain_;
};

/// What is wrong with a decision, by the rules and by what its node had; empty = nothing.
std::string judge(const RequestEvent& event, const std::string& row, const RequestEvents& before,
                  const History& history, const store::AppliedTable& restored);

}  // namespace refrain::simulation
