// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string_view>

#include "replication/codec_wire.h"

namespace refrain::replication {
namespace {

using Reason = Undecodable::Reason;

/// Reads one record. After the first thing that cannot be, fault() is set and what was read is of no use.
class Decoder {
 public:
  Decoder(wire::Record& in, const NodeName& node) : in_(in) {
    commit_.node = node;
    commit_.incarnation = {in.incarnation()};
    commit_.seq = {in.seq()};
    commit_.hlc = {in.hlc()};
    if (in.has_floor_back()) commit_.floor = hlc(in.floor_back());
    commit_.wants_tick = in.wants_tick();
  }
  void run() {
    if (commit_.seq.value == 0) fail(Reason::kCorrupt, "seq 0");
    if (in_.has_tick() == (in_.operations_size() > 0)) {
      // Neither: what it carries is a field that this program does not know.
      return in_.has_tick() ? fail(Reason::kCorrupt, "operations and a tick in one record")
                            : fail(Reason::kNewerFormat, "a record of an unknown kind");
    }
    if (in_.has_tick()) return tick(*in_.mutable_tick());
    commit_.operations.reserve(static_cast<std::size_t>(in_.operations_size()));
    for (wire::Operation& op : *in_.mutable_operations()) operation(op);
  }
  const std::optional<Undecodable>& fault() const { return fault_; }
  store::Commit take() { return std::move(commit_); }

 private:
  void operation(wire::Operation& op) {
    switch (op.kind_case()) {
      case wire::Operation::kPut:
        return put(op);
      case wire::Operation::kDelete:
        return del(op);
      case wire::Operation::kClaim:
        return claim(op);
      case wire::Operation::kOutcome:
        return outcome(op);
      case wire::Operation::kDuplicate:
        return duplicate(op);
      case wire::Operation::kVoidNotice:
        return void_notice(op.void_notice());
      case wire::Operation::KIND_NOT_SET:
        return fail(Reason::kNewerFormat, "an operation of an unknown kind");
    }
    fail(Reason::kNewerFormat, "an operation of an unknown kind");
  }
  void put(wire::Operation& op);
  void del(wire::Operation& op);
  void claim(wire::Operation& op);
  void outcome(wire::Operation& op);
  void duplicate(wire::Operation& op);
  void void_notice(const wire::VoidNotice& from);
  void tick(const wire::Tick& from);

  template <class Op>
  Op& add() {
    return std::get<Op>(commit_.operations.emplace_back(std::in_place_type<Op>));
  }
  void fail(Reason reason, std::string detail) {
    if (!fault_) fault_ = Undecodable{reason, std::move(detail)};
  }
  std::string name(std::uint64_t index) {
    if (index < static_cast<std::uint64_t>(in_.names_size())) return in_.names(static_cast<int>(index));
    fail(Reason::kCorrupt, "a name that is not in the record");
    return {};
  }
  /// Of what its writer had met: not after the record.
  Hlc hlc(std::uint64_t back) {
    if (back > commit_.hlc.value) fail(Reason::kCorrupt, "an hlc after the record's own");
    return {commit_.hlc.value - back};
  }
  /// The parts of a row's key, which a NUL keeps apart.
  template <class Op>
  void place(wire::Operation& op, Op& to, std::string Op::*key) {
    to.ns = name(op.ns());
    to.*key = std::move(*op.mutable_key());
    bool apart = !to.ns.empty() && to.ns.find('\0') == std::string::npos && !(to.*key).empty() &&
                 (to.*key).find('\0') == std::string::npos;
    if (!apart) fail(Reason::kCorrupt, "a namespace or key that nobody can have");
  }
  WallMs wall(std::int64_t after) const {
    // Of hostile bytes the sum may overflow, which only unsigned numbers may.
    return {static_cast<std::int64_t>(static_cast<std::uint64_t>(commit_.hlc.wall().value) +
                                      static_cast<std::uint64_t>(after))};
  }
  template <class Message>
  NodeName node(const Message& from) {
    return from.has_node() ? name(from.node()) : commit_.node;
  }
  template <class Message>
  Journal journal(const Message& from) {
    return {node(from), {from.incarnation()}};
  }
  /// A go may come in by its token before its claim was met, and be ahead by what clocks may differ.
  store::GoId go(const wire::Go& from) { return {node(from), {commit_.hlc.value - from.back()}}; }
  store::Context context(const google::protobuf::RepeatedField<std::uint64_t>& pairs) {
    store::Context ctx;
    if (pairs.size() % 2 != 0) fail(Reason::kCorrupt, "half an entry in a context");
    for (int i = 0; i + 1 < pairs.size(); i += 2) {
      auto [entry, fresh] = ctx.emplace(name(pairs[i]), hlc(pairs[i + 1]));
      if (!fresh || entry->first == commit_.node)
        fail(Reason::kCorrupt, "a context names a node twice or its writer");
    }
    return ctx;
  }
  template <std::size_t Size>
  void fixed(std::string_view from, std::array<std::uint8_t, Size>& to) {
    if (from.size() != Size) return fail(Reason::kCorrupt, "a hash of the wrong size");
    std::copy(from.begin(), from.end(), to.begin());
  }

  wire::Record& in_;
  store::Commit commit_;
  std::optional<Undecodable> fault_;
};

void Decoder::put(wire::Operation& op) {
  auto& to = add<store::Put>();
  place(op, to, &store::Put::key);
  to.value = std::move(*op.mutable_put());
  to.ctx = context(op.ctx());
  if (op.has_expires_after_ms()) to.expires_at = wall(op.expires_after_ms());
}

void Decoder::del(wire::Operation& op) {
  auto& to = add<store::Delete>();
  place(op, to, &store::Delete::key);
  to.ctx = context(op.ctx());
}

void Decoder::claim(wire::Operation& op) {
  const wire::Claim& from = op.claim();
  auto& claim_op = add<store::ClaimOp>();
  place(op, claim_op, &store::ClaimOp::id);
  claim_op.node = node(from);
  store::Claim& to = claim_op.claim;
  to.go = hlc(from.go_back());
  to.released = from.released();
  to.lease_until = wall(from.lease_until_after_ms());
  to.seen_ttl = Milliseconds(from.seen_ttl_ms());
  to.response_ttl = Milliseconds(from.response_ttl_ms());
  to.hold = from.hold();
  to.attempt = from.attempt();
  to.seen = context(from.seen());
  to.token_bits = from.token_bits();
  fixed(from.fingerprint(), to.fingerprint);
  to.incarnation = from.has_incarnation() ? Incarnation{from.incarnation()} : commit_.incarnation;
  to.by_operator = from.by_operator();
  if (from.has_home()) to.home = name(from.home());
}

void Decoder::outcome(wire::Operation& op) {
  wire::Outcome& from = *op.mutable_outcome();
  auto& outcome_op = add<store::OutcomeOp>();
  place(op, outcome_op, &store::OutcomeOp::id);
  store::Outcome& to = outcome_op.outcome;
  to.go = go(from.go());
  fixed(from.fingerprint(), to.fingerprint);
  to.attempt = from.attempt();
  fixed(from.content_hash(), to.content_hash);
  to.status = from.status();
  to.content_type = std::move(*from.mutable_content_type());
  to.body = std::move(*from.mutable_body());
  to.body_size = from.has_body_size() ? from.body_size() : to.body.size();
  to.too_large = from.too_large();
  to.by_operator = from.by_operator();
  if (from.has_started_after_ms()) to.started_at = wall(from.started_after_ms());
  to.completed_at = wall(from.completed_after_ms());
  to.response_until = wall(from.response_until_after_ms());
  to.seen_until = wall(from.seen_until_after_ms());
}

void Decoder::duplicate(wire::Operation& op) {
  const wire::Duplicate& from = op.duplicate();
  auto& to = add<store::DuplicateOp>().duplicate;
  place(op, to, &store::Duplicate::id);
  to.loser = go(from.loser());
  to.winner = go(from.winner());
  to.possible = from.possible();
  if (from.has_loser_hash()) fixed(from.loser_hash(), to.loser_hash.emplace());
  if (from.has_winner_hash()) fixed(from.winner_hash(), to.winner_hash.emplace());
  to.detected_at = wall(from.detected_after_ms());
}

void Decoder::void_notice(const wire::VoidNotice& from) {
  auto& to = add<store::VoidNotice>();
  to.journal = journal(from);
  to.first = {from.first()};
  to.last = {from.last()};
}

void Decoder::tick(const wire::Tick& from) {
  store::Tick& to = commit_.tick.emplace();
  for (const wire::Mark& mark : from.applied()) {
    store::Applied applied{{mark.seq()}, mark.has_hlc_back() ? hlc(mark.hlc_back()) : Hlc{}};
    if (!to.applied.emplace(journal(mark), applied).second)
      fail(Reason::kCorrupt, "a tick names a journal twice");
  }
  for (const wire::Gap& gap : from.gaps()) {
    if (!to.gaps.emplace(journal(gap), Seq{gap.seq()}).second)
      fail(Reason::kCorrupt, "a tick names a gap twice");
  }
  to.lowest_kept = {from.lowest_kept()};
  to.members_n = from.members_n();
  if (!from.members_hash().empty()) fixed(from.members_hash(), to.members_hash);
  if (from.has_floor_back()) to.floor = hlc(from.floor_back());
}

}  // namespace

tl::expected<DecodedRecord, Undecodable> from_wire(wire::Record& in, const NodeName& node,
                                                   std::uint32_t reader) {
  if (in.min_reader() > reader) {
    return tl::make_unexpected(
        Undecodable{Reason::kNewerFormat, "the record needs reader " + std::to_string(in.min_reader()) +
                                              ", this program is reader " + std::to_string(reader) +
                                              ": upgrade this node"});
  }
  Decoder decoder(in, node);
  decoder.run();
  if (decoder.fault()) return tl::make_unexpected(*decoder.fault());
  return DecodedRecord{decoder.take(), {in.cluster_id()}};
}

}  // namespace refrain::replication
