// SPDX-License-Identifier: Apache-2.0
// Any commit that encode() takes, for properties.
#pragma once
#include <rapidcheck.h>

#include <algorithm>
#include <string>

#include "store/operations.h"

namespace refrain::replication {

inline const std::vector<NodeName> kNodes{"ap", "eu", "us", "a-node-with-a-rather-long-name-1"};

inline rc::Gen<NodeName> any_node() {
  return rc::gen::elementOf(kNodes);
}
inline rc::Gen<std::string> any_bytes() {
  return rc::gen::arbitrary<std::string>();
}
inline rc::Gen<std::string> any_key() {
  return rc::gen::nonEmpty(rc::gen::container<std::string>(rc::gen::inRange<char>(1, 127)));
}
inline Hlc any_hlc() {
  return {*rc::gen::arbitrary<std::uint64_t>()};
}
/// Any time a clock can show, and more: beyond 2^62 a difference of two would not fit.
inline WallMs any_wall() {
  return {*rc::gen::inRange<std::int64_t>(-(1LL << 61), 1LL << 61)};
}
inline Milliseconds any_ms() {
  return Milliseconds{*rc::gen::arbitrary<std::int64_t>()};
}
inline std::string any_ns() {
  return *rc::gen::elementOf(std::vector<std::string>{"orders", "carts", "_http-orders"});
}

template <std::size_t Size>
std::array<std::uint8_t, Size> any_hash() {
  std::array<std::uint8_t, Size> hash{};
  for (auto& byte : hash) byte = *rc::gen::arbitrary<std::uint8_t>();
  return hash;
}

inline store::Context any_context(const NodeName& writer) {
  store::Context ctx;
  for (const NodeName& node : kNodes) {
    if (node != writer && *rc::gen::arbitrary<bool>()) ctx[node] = any_hlc();
  }
  return ctx;
}

inline Journal any_journal() {
  return {*any_node(), {*rc::gen::arbitrary<std::uint64_t>()}};
}
inline store::GoId any_go() {
  return {*any_node(), any_hlc()};
}

inline store::ClaimOp any_claim(const NodeName& writer) {
  store::ClaimOp op{any_ns(), *any_key(), *any_node(), {}};
  op.claim.go = any_hlc();
  op.claim.released = *rc::gen::arbitrary<bool>();
  op.claim.lease_until = any_wall();
  op.claim.seen_ttl = any_ms();
  op.claim.response_ttl = any_ms();
  op.claim.hold = *rc::gen::arbitrary<bool>();
  op.claim.attempt = *rc::gen::arbitrary<std::uint32_t>();
  op.claim.seen = any_context(writer);
  op.claim.token_bits = *rc::gen::arbitrary<std::uint64_t>();
  op.claim.fingerprint = any_hash<16>();
  op.claim.incarnation = {*rc::gen::arbitrary<std::uint64_t>()};
  op.claim.by_operator = *rc::gen::arbitrary<bool>();
  if (*rc::gen::arbitrary<bool>()) op.claim.home = *any_node();
  return op;
}

inline store::OutcomeOp any_outcome() {
  store::OutcomeOp op{any_ns(), *any_key(), {}};
  store::Outcome& outcome = op.outcome;
  outcome.go = any_go();
  outcome.fingerprint = any_hash<16>();
  outcome.attempt = *rc::gen::arbitrary<std::uint32_t>();
  outcome.content_hash = any_hash<32>();
  outcome.status = *rc::gen::inRange<std::uint32_t>(0, 1000);
  outcome.content_type = *any_bytes();
  outcome.body = *any_bytes();
  outcome.body_size =
      *rc::gen::arbitrary<bool>() ? outcome.body.size() : *rc::gen::arbitrary<std::uint64_t>();
  outcome.too_large = *rc::gen::arbitrary<bool>();
  outcome.by_operator = *rc::gen::arbitrary<bool>();
  if (*rc::gen::arbitrary<bool>()) outcome.started_at = any_wall();
  outcome.completed_at = any_wall();
  outcome.response_until = any_wall();
  outcome.seen_until = any_wall();
  return op;
}

inline store::DuplicateOp any_duplicate() {
  store::Duplicate duplicate{any_ns(), *any_key(), any_go(),  any_go(), *rc::gen::arbitrary<bool>(),
                             {},       {},         any_wall()};
  if (*rc::gen::arbitrary<bool>()) duplicate.loser_hash = any_hash<32>();
  if (*rc::gen::arbitrary<bool>()) duplicate.winner_hash = any_hash<32>();
  return {duplicate};
}

inline store::Operation any_operation(const NodeName& writer) {
  switch (*rc::gen::inRange(0, 6)) {
    case 0: {
      store::Put put{any_ns(), *any_key(), *any_bytes(), {}, any_context(writer)};
      if (*rc::gen::arbitrary<bool>()) put.expires_at = any_wall();
      return put;
    }
    case 1:
      return store::Delete{any_ns(), *any_key(), any_context(writer)};
    case 2:
      return any_claim(writer);
    case 3:
      return any_outcome();
    case 4:
      return any_duplicate();
    default:
      return store::VoidNotice{
          any_journal(), {*rc::gen::arbitrary<std::uint64_t>()}, {*rc::gen::arbitrary<std::uint64_t>()}};
  }
}

inline store::Tick any_tick() {
  store::Tick tick;
  for (int i = *rc::gen::inRange(0, 6); i > 0; --i) {
    tick.applied[any_journal()] = {{*rc::gen::arbitrary<std::uint64_t>()}, any_hlc()};
  }
  for (int i = *rc::gen::inRange(0, 3); i > 0; --i)
    tick.gaps[any_journal()] = {*rc::gen::arbitrary<std::uint64_t>()};
  tick.lowest_kept = {*rc::gen::arbitrary<std::uint64_t>()};
  tick.members_n = *rc::gen::arbitrary<std::uint64_t>();
  tick.members_hash = any_hash<32>();
  tick.floor = any_hlc();
  return tick;
}

/// A writer has met nothing that is after its record, save gos that came by their tokens.
inline void clamp(store::Commit& commit) {
  auto met = [&](Hlc& hlc) { hlc = std::min(hlc, commit.hlc); };
  auto all = [&](store::Context& ctx) {
    for (auto& [node, hlc] : ctx) met(hlc);
  };
  met(commit.floor);
  if (commit.tick) {
    met(commit.tick->floor);
    for (auto& [journal, applied] : commit.tick->applied) met(applied.hlc);
  }
  for (store::Operation& operation : commit.operations) {
    if (auto* put = std::get_if<store::Put>(&operation)) all(put->ctx);
    if (auto* del = std::get_if<store::Delete>(&operation)) all(del->ctx);
    if (auto* claim = std::get_if<store::ClaimOp>(&operation)) {
      met(claim->claim.go);
      all(claim->claim.seen);
    }
  }
}

inline store::Commit any_commit() {
  store::Commit commit;
  commit.node = *any_node();
  commit.incarnation = {*rc::gen::arbitrary<std::uint64_t>()};
  commit.seq = {*rc::gen::inRange<std::uint64_t>(1, UINT64_MAX)};
  commit.hlc = any_hlc();
  commit.floor = any_hlc();
  commit.wants_tick = *rc::gen::arbitrary<bool>();
  if (*rc::gen::inRange(0, 4) == 0) {
    commit.tick = any_tick();
  } else {
    for (int i = *rc::gen::inRange(1, 6); i > 0; --i) commit.operations.push_back(any_operation(commit.node));
  }
  clamp(commit);
  return commit;
}

}  // namespace refrain::replication
