// SPDX-License-Identifier: Apache-2.0
#include <string_view>

#include "base/hash.h"
#include "base/result.h"
#include "replication/codec_wire.h"

namespace refrain::replication {
namespace {

class Encoder {
 public:
  Encoder(const store::Commit& commit, wire::Record& out) : commit_(commit), out_(out) {}

  void operation(const store::Operation& op) {
    wire::Operation& to = *out_.add_operations();
    std::visit([&](const auto& o) { write(o, to); }, op);
  }
  void tick(const store::Tick& tick, wire::Tick& to);

 private:
  void write(const store::Put& put, wire::Operation& to) {
    key(put.ns, put.key, to);
    context(put.ctx, *to.mutable_ctx());
    if (put.expires_at) to.set_expires_after_ms(after(*put.expires_at));
    to.set_put(put.value);
  }
  void write(const store::Delete& del, wire::Operation& to) {
    key(del.ns, del.key, to);
    context(del.ctx, *to.mutable_ctx());
    to.mutable_delete_();
  }
  void write(const store::ClaimOp& op, wire::Operation& to);
  void write(const store::OutcomeOp& op, wire::Operation& to);
  void write(const store::DuplicateOp& op, wire::Operation& to);
  void write(const store::VoidNotice& notice, wire::Operation& op) {
    wire::VoidNotice& to = *op.mutable_void_notice();
    journal(notice.journal, to);
    to.set_first(notice.first.value);
    to.set_last(notice.last.value);
  }

  void key(std::string_view ns, const std::string& key, wire::Operation& to) {
    to.set_ns(name(ns));
    to.set_key(key);
  }
  // A record has few names, so a walk beats a map.
  std::uint32_t name(std::string_view text) {
    for (int i = 0; i < out_.names_size(); ++i) {
      if (out_.names(i) == text) return static_cast<std::uint32_t>(i);
    }
    out_.add_names(text.data(), text.size());
    return static_cast<std::uint32_t>(out_.names_size() - 1);
  }
  std::uint64_t back(Hlc time) const { return commit_.hlc.value - time.value; }
  std::int64_t after(WallMs time) const {
    // Of times that were read from hostile bytes the difference may overflow, which only unsigned numbers
    // may.
    return static_cast<std::int64_t>(static_cast<std::uint64_t>(time.value) -
                                     static_cast<std::uint64_t>(commit_.hlc.wall().value));
  }

  void context(const store::Context& ctx, google::protobuf::RepeatedField<std::uint64_t>& to) {
    for (const auto& [node, hlc] : ctx) {
      REFRAIN_ASSERT(node != commit_.node, "a context does not name its own writer");
      to.Add(name(node));
      to.Add(back(hlc));
    }
  }
  template <class Message>
  void node(const NodeName& node, Message& to) {
    if (node != commit_.node) to.set_node(name(node));
  }
  template <class Message>
  void journal(const Journal& journal, Message& to) {
    node(journal.node, to);
    to.set_incarnation(journal.incarnation.value);
  }
  void go(const store::GoId& go, wire::Go& to) {
    node(go.node, to);
    to.set_back(back(go.go));
  }

  const store::Commit& commit_;
  wire::Record& out_;
};

void Encoder::write(const store::ClaimOp& op, wire::Operation& operation) {
  wire::Claim& to = *operation.mutable_claim();
  const store::Claim& claim = op.claim;
  key(op.ns, op.id, operation);
  node(op.node, to);
  to.set_go_back(back(claim.go));
  to.set_released(claim.released);
  to.set_lease_until_after_ms(after(claim.lease_until));
  to.set_seen_ttl_ms(claim.seen_ttl.count());
  to.set_response_ttl_ms(claim.response_ttl.count());
  to.set_hold(claim.hold);
  to.set_attempt(claim.attempt);
  context(claim.seen, *to.mutable_seen());
  to.set_token_bits(claim.token_bits);
  to.set_fingerprint(claim.fingerprint.data(), claim.fingerprint.size());
  if (claim.incarnation != commit_.incarnation) to.set_incarnation(claim.incarnation.value);
  to.set_by_operator(claim.by_operator);
  if (!claim.home.empty()) to.set_home(name(claim.home));
}

void Encoder::write(const store::OutcomeOp& op, wire::Operation& operation) {
  wire::Outcome& to = *operation.mutable_outcome();
  const store::Outcome& outcome = op.outcome;
  key(op.ns, op.id, operation);
  go(outcome.go, *to.mutable_go());
  to.set_fingerprint(outcome.fingerprint.data(), outcome.fingerprint.size());
  to.set_attempt(outcome.attempt);
  to.set_content_hash(outcome.content_hash.data(), outcome.content_hash.size());
  to.set_status(outcome.status);
  to.set_content_type(outcome.content_type);
  to.set_body(outcome.body);
  if (outcome.body_size != outcome.body.size()) to.set_body_size(outcome.body_size);
  to.set_too_large(outcome.too_large);
  to.set_by_operator(outcome.by_operator);
  if (outcome.started_at) to.set_started_after_ms(after(*outcome.started_at));
  to.set_completed_after_ms(after(outcome.completed_at));
  to.set_response_until_after_ms(after(outcome.response_until));
  to.set_seen_until_after_ms(after(outcome.seen_until));
}

void Encoder::write(const store::DuplicateOp& op, wire::Operation& operation) {
  wire::Duplicate& to = *operation.mutable_duplicate();
  const store::Duplicate& duplicate = op.duplicate;
  key(duplicate.ns, duplicate.id, operation);
  go(duplicate.loser, *to.mutable_loser());
  go(duplicate.winner, *to.mutable_winner());
  to.set_possible(duplicate.possible);
  if (duplicate.loser_hash) to.set_loser_hash(duplicate.loser_hash->data(), duplicate.loser_hash->size());
  if (duplicate.winner_hash) to.set_winner_hash(duplicate.winner_hash->data(), duplicate.winner_hash->size());
  to.set_detected_after_ms(after(duplicate.detected_at));
}

void Encoder::tick(const store::Tick& tick, wire::Tick& to) {
  for (const auto& [applied_journal, applied] : tick.applied) {
    wire::Mark& mark = *to.add_applied();
    journal(applied_journal, mark);
    mark.set_seq(applied.seq.value);
    if (applied.hlc != Hlc{}) mark.set_hlc_back(back(applied.hlc));
  }
  for (const auto& [gap_journal, seq] : tick.gaps) {
    wire::Gap& gap = *to.add_gaps();
    journal(gap_journal, gap);
    gap.set_seq(seq.value);
  }
  to.set_lowest_kept(tick.lowest_kept.value);
  to.set_members_n(tick.members_n);
  if (tick.members_hash != Sha256{}) to.set_members_hash(tick.members_hash.data(), tick.members_hash.size());
  if (tick.floor != Hlc{}) to.set_floor_back(back(tick.floor));
}

}  // namespace

void to_wire(const store::Commit& commit, ClusterId cluster, wire::Record& out) {
  REFRAIN_ASSERT(commit.operations.empty() == commit.tick.has_value(), "a commit has operations or a tick");
  out.set_cluster_id(cluster.value);
  out.set_incarnation(commit.incarnation.value);
  out.set_seq(commit.seq.value);
  out.set_hlc(commit.hlc.value);
  if (commit.floor != Hlc{}) out.set_floor_back(commit.hlc.value - commit.floor.value);
  out.set_wants_tick(commit.wants_tick);
  Encoder encoder(commit, out);
  for (const store::Operation& op : commit.operations) encoder.operation(op);
  if (commit.tick) encoder.tick(*commit.tick, *out.mutable_tick());
}

}  // namespace refrain::replication
