// SPDX-License-Identifier: Apache-2.0
// The node's side towards the other regions: reads their journals into the ledger, publishes its own, takes
// part in membership, and knows who has what. Without a log it says "alone" to everything.
//
// One thread, within Node::step(): read() before calls are decided, journal_tick() after them, then the batch
// is written, then written() or not_written().
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "node/acks.h"
#include "node/catch_up.h"
#include "node/config.h"
#include "node/ledger.h"
#include "node/reports.h"
#include "node/world.h"

namespace refrain::node {

/// What deciding a begin must know of the other regions.
struct RegionFacts {
  std::vector<NodeName> not_caught_up;  // journals whose ends at the start have not been passed
  bool catch_up_patience_over = false;
  SteadyNs catch_up_patience_ends;
  std::map<NodeName, std::int64_t> lag_ms;  // of each active member but this one
  std::map<NodeName, Hlc> applied;          // per node, how far its journal was applied here
  std::set<NodeName> silent_or_parked;      // nothing newer will come from these for now
  std::set<NodeName> awaited_in_vain;       // nor from journals of these that are over, or of joiners
  std::set<NodeName> over;                  // nor from these: no active member has the name
};

class Replicator {
 public:
  virtual ~Replicator() = default;

  /// `ledger` outlives it. kCorrupt when stored rows cannot be read.
  static Result<std::unique_ptr<Replicator>> open(const Config& config, const World& world,
                                                  const Start& start, Ledger& ledger, const Moment& now);

  // ---- the step
  virtual void read(const Moment& now) = 0;
  virtual void journal_tick(const Moment& now) = 0;
  virtual void written(const Moment& now, std::vector<NewCommit> commits) = 0;
  virtual void not_written() = 0;
  virtual bool has_more() const = 0;  // there was more to read than one step takes
  virtual std::optional<SteadyNs> wakes_at() const = 0;

  // ---- what others ask
  /// Why kv work is refused; none = serving.
  virtual std::optional<Error> refusal(const Moment& now) const = 0;
  /// Why even reads are refused: the store is no member's (any more, or yet).
  virtual std::optional<Error> reads_refusal() const { return std::nullopt; }
  virtual std::optional<Error> must_end() const = 0;
  virtual bool active() const = 0;  // an active member (or alone)
  /// ack_unavailable when nobody could ever give that ack.
  virtual Result<void> check_ack(const Ack& ack) const = 0;
  virtual Progress progress() const = 0;
  /// The applied vector covers `session`; nodes that were evicted count as covered.
  virtual bool covers(const Vector& session) const = 0;
  virtual std::string describe_missing(const Vector& session) const = 0;
  virtual Vector applied() const = 0;
  virtual RegionFacts region_facts(const Moment& now) const = 0;
  virtual std::optional<std::string> address_of(const NodeName& node) const = 0;
  /// Not all members show our scope of this namespace, or what one of them decided under another may not be
  /// here yet: this node may say go to no new id in it. A sentence that names the member.
  virtual std::optional<std::string> scope_differs(const std::string& ns) const = 0;

  /// State, holders and what is in the way of one commit; operations are filled in by who has the bytes.
  virtual Result<EventReport> event(const CommitId& id, const Moment& now) const = 0;
  virtual void retry_now() = 0;
  virtual Result<void> resume(const NodeName& node, std::optional<Offset> skip) = 0;

  /// Takes an operator's order, with the incarnation that it is about, or says why not.
  virtual Result<MemberOrder> order(MemberOrder order, const Moment& now) = 0;
  virtual MemberChange look(const MemberOrder& order) const = 0;

  /// Fills in what concerns the other regions.
  virtual void describe(StatusReport& report, const Moment& now) const = 0;
  /// Who keeps own commits from leaving the outbox, since when, in words; empty when nobody does.
  virtual std::string outbox_held_by() const = 0;
  virtual MembersReport members(const Moment& now) const = 0;
  virtual void add_checks(std::vector<Check>& checks, const Moment& now) const = 0;
  virtual bool flushed() const = 0;
};

}  // namespace refrain::node
