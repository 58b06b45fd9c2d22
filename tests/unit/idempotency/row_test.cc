// SPDX-License-Identifier: Apache-2.0
#include "idempotency/row.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <random>
#include <set>

namespace refrain::idempotency {
namespace {

using store::Claim;
using store::ClaimOp;
using store::GoId;
using store::OutcomeOp;
using store::RequestRow;

constexpr std::int64_t kBase = 1'000'000;

ClaimOp claim_op(const NodeName& node, std::int64_t at_ms, std::int64_t lease_ms = 100) {
  Claim claim;
  claim.go = Hlc::of({kBase + at_ms});
  claim.lease_until = {kBase + at_ms + lease_ms};
  claim.seen_ttl = Milliseconds{10'000};
  return {"ns", "id", node, claim};
}
OutcomeOp outcome_op(const GoId& go, std::int64_t at_ms, std::int64_t seen_ms = 10'000) {
  store::Outcome outcome;
  outcome.go = go;
  outcome.content_hash = sha256(go.node + std::to_string(go.go.value));
  outcome.completed_at = {kBase + at_ms};
  outcome.response_until = {kBase + at_ms + seen_ms / 2};
  outcome.seen_until = {kBase + at_ms + seen_ms};
  return {"ns", "id", outcome};
}
GoId go_of(const ClaimOp& op) {
  return {op.node, op.claim.go};
}

struct Known {
  RequestRow row;
  Found found;
  void claim(const ClaimOp& op) { join_claim(row, op, found); }
  void outcome(const OutcomeOp& op, const NodeName& node, std::int64_t at_ms) {
    join_outcome(row, op, {Hlc::of({kBase + at_ms}), node}, {node, {1}, {7}}, found);
  }
};

// ---- claims

TEST(ClaimJoin, ANewerGoOfTheNodeTakesItsPlace) {
  Known known;
  known.claim(claim_op("a", 20));
  known.claim(claim_op("a", 10));
  EXPECT_EQ(known.row.claims.at("a").go, Hlc::of({kBase + 20}));
}

TEST(ClaimJoin, AReleaseBeatsALaterRenewalOfTheSameGo) {
  Known known;
  ClaimOp renewed = claim_op("a", 10, 9'000);
  ClaimOp released = claim_op("a", 10);
  released.claim.released = true;
  known.claim(released);
  known.claim(renewed);
  EXPECT_TRUE(known.row.claims.at("a").released);
}

TEST(ClaimJoin, ARenewalOutlastsTheFirstLease) {
  Known known;
  known.claim(claim_op("a", 10, 9'000));
  known.claim(claim_op("a", 10, 100));
  EXPECT_EQ(known.row.claims.at("a").lease_until, WallMs{kBase + 9'010});
}

TEST(ClaimJoin, AClaimSeenByALaterOneIsSuperseded) {
  Known known;
  ClaimOp a = claim_op("a", 10);
  ClaimOp b = claim_op("b", 20);
  b.claim.seen = {{"a", a.claim.go}};
  known.claim(a);
  EXPECT_FALSE(superseded(known.row, go_of(a)));
  EXPECT_TRUE(is_open(known.row, "a", a.claim));
  known.claim(b);
  EXPECT_TRUE(superseded(known.row, go_of(a)));
  EXPECT_FALSE(superseded(known.row, {"a", Hlc::of({kBase + 11})})) << "a later go was not seen";
  EXPECT_FALSE(is_open(known.row, "a", a.claim));
  EXPECT_TRUE(is_open(known.row, "b", b.claim));
}

TEST(ClaimJoin, TwoThatHadNotSeenEachOtherAreAPossibleDuplicate) {
  Known known;
  known.claim(claim_op("a", 10));
  known.claim(claim_op("b", 20));
  ASSERT_EQ(known.found.size(), 1u);
  EXPECT_TRUE(known.found[0].possible);
  EXPECT_EQ(known.found[0].loser, (GoId{"a", Hlc::of({kBase + 10})}));
  EXPECT_EQ(known.found[0].winner, (GoId{"b", Hlc::of({kBase + 20})}));
}

TEST(ClaimJoin, APossibleDuplicateIsTheSameFromBothSides) {
  Known one;
  one.claim(claim_op("a", 10));
  one.claim(claim_op("b", 20));
  Known other;
  other.claim(claim_op("b", 20));
  other.claim(claim_op("a", 10));
  EXPECT_EQ(one.found, other.found);
}

TEST(ClaimJoin, ATakeoverIsNoDuplicate) {
  for (bool backwards : {false, true}) {
    Known known;
    ClaimOp a = claim_op("a", 10);
    ClaimOp b = claim_op("b", 20);
    b.claim.seen = {{"a", a.claim.go}};
    known.claim(backwards ? b : a);
    known.claim(backwards ? a : b);
    EXPECT_TRUE(known.found.empty());
  }
}

TEST(ClaimJoin, AReleasedClaimIsNoDuplicate) {
  for (bool first : {false, true}) {
    Known known;
    ClaimOp a = claim_op("a", 10);
    ClaimOp b = claim_op("b", 20);
    (first ? a : b).claim.released = true;
    known.claim(a);
    known.claim(b);
    EXPECT_TRUE(known.found.empty());
  }
}

TEST(ClaimJoin, ARenewalIsReportedOnce) {
  Known known;
  known.claim(claim_op("a", 10));
  known.claim(claim_op("b", 20));
  known.claim(claim_op("b", 20, 5'000));
  EXPECT_EQ(known.found.size(), 1u);
}

TEST(ClaimJoin, ClaimsOfDifferentLivesAreNoDuplicate) {
  for (bool backwards : {false, true}) {
    Known known;
    ClaimOp a = claim_op("a", 10, 100);  // over at 10 + 100 + 10,000
    ClaimOp b = claim_op("b", 10 + 100 + 10'000);
    known.claim(backwards ? b : a);
    known.claim(backwards ? a : b);
    EXPECT_TRUE(known.found.empty());
  }
}

TEST(ClaimJoin, AClaimUnderHoldHasNoEnd) {
  Known known;
  ClaimOp a = claim_op("a", 10, 100);
  a.claim.hold = true;
  known.claim(a);
  known.claim(claim_op("b", 1'000'000'000));
  EXPECT_EQ(known.found.size(), 1u);
  EXPECT_EQ(claim_end(a.claim), std::nullopt);
  a.claim.released = true;
  EXPECT_EQ(claim_end(a.claim), WallMs{kBase + 10'110});
}

TEST(ClaimJoin, AnOutcomeClosesOlderClaimsOnly) {
  Known known;
  ClaimOp a = claim_op("a", 10);
  ClaimOp b = claim_op("b", 40);
  known.claim(a);
  known.claim(b);
  known.outcome(outcome_op(go_of(a), 30), "a", 30);
  EXPECT_FALSE(is_open(known.row, "a", a.claim));
  EXPECT_TRUE(is_open(known.row, "b", b.claim));
}

TEST(ClaimJoin, HugeTimesOfAPeerDoNotOverflow) {
  Claim claim;
  claim.lease_until = {INT64_MAX - 1};
  claim.seen_ttl = Milliseconds{INT64_MAX};
  EXPECT_EQ(claim_end(claim), WallMs{INT64_MAX});
}

// ---- outcomes

TEST(OutcomeJoin, TheLargerVersionStaysAndTheLoserIsCertain) {
  for (bool backwards : {false, true}) {
    Known known;
    OutcomeOp a = outcome_op({"a", Hlc::of({kBase})}, 30);
    OutcomeOp b = outcome_op({"b", Hlc::of({kBase + 1})}, 40);
    if (backwards) known.outcome(b, "b", 40);
    known.outcome(a, "a", 30);
    if (!backwards) known.outcome(b, "b", 40);
    EXPECT_EQ(known.row.outcome->outcome.go.node, "b");
    ASSERT_EQ(known.found.size(), 1u);
    EXPECT_FALSE(known.found[0].possible);
    EXPECT_EQ(known.found[0].loser, a.outcome.go);
    EXPECT_EQ(known.found[0].winner, b.outcome.go);
    EXPECT_EQ(known.found[0].loser_hash, a.outcome.content_hash);
    EXPECT_EQ(known.found[0].winner_hash, b.outcome.content_hash);
  }
}

TEST(OutcomeJoin, TheNodesNameDecidesAmongEqualTimes) {
  for (bool backwards : {false, true}) {
    Known known;
    OutcomeOp a = outcome_op({"a", Hlc::of({kBase})}, 30);
    OutcomeOp b = outcome_op({"b", Hlc::of({kBase})}, 30);
    if (backwards) known.outcome(b, "b", 30);
    known.outcome(a, "a", 30);
    if (!backwards) known.outcome(b, "b", 30);
    EXPECT_EQ(known.row.outcome->outcome.go.node, "b");
  }
}

TEST(OutcomeJoin, OneRunCompletedAtTwoNodesIsNoDuplicate) {
  Known known;
  GoId go{"a", Hlc::of({kBase})};
  known.outcome(outcome_op(go, 30), "a", 30);
  known.outcome(outcome_op(go, 40), "b", 40);
  EXPECT_TRUE(known.found.empty());
}

TEST(OutcomeJoin, SeenUntilIsTheLargestMet) {
  Known known;
  known.outcome(outcome_op({"a", Hlc::of({kBase})}, 30, 50'000), "a", 30);
  known.outcome(outcome_op({"b", Hlc::of({kBase})}, 40, 1'000), "b", 40);
  EXPECT_EQ(known.row.outcome->outcome.go.node, "b");
  EXPECT_EQ(known.row.seen_until, WallMs{kBase + 50'030});
}

TEST(OutcomeJoin, ARunAfterTheOlderLifeEndedIsNoDuplicate) {
  for (std::int64_t began : {1'029, 1'030}) {
    Known known;
    known.outcome(outcome_op({"a", Hlc::of({kBase})}, 30, 1'000), "a", 30);  // seen until 1,030
    known.outcome(outcome_op({"b", Hlc::of({kBase + began})}, 2'000), "b", 2'000);
    EXPECT_EQ(known.found.empty(), began == 1'030) << began;
  }
}

TEST(OutcomeJoin, TheRowKeepsNoBody) {
  Known known;
  OutcomeOp op = outcome_op({"a", Hlc::of({kBase})}, 30);
  op.outcome.body = "bytes";
  op.outcome.body_size = 5;
  known.outcome(op, "a", 30);
  EXPECT_EQ(known.row.outcome->outcome.body, "");
  EXPECT_EQ(known.row.outcome->outcome.body_size, 5u);
}

// ---- any order, any repetition

struct Op {
  std::variant<ClaimOp, OutcomeOp> what;
  Version version;
};

/// What three nodes may say of one request in one life: renewals and releases of the goes they gave, outcomes
/// of any of them, in any number.
std::vector<Op> any_history() {
  std::vector<Op> ops;
  std::vector<GoId> gos;
  std::int64_t at = 0;
  for (int i = *rc::gen::inRange(1, 12); i > 0; --i) {
    at += *rc::gen::inRange(1, 50);
    NodeName node = *rc::gen::element<NodeName>("a", "b", "c");
    Version version{Hlc::of({kBase + at}), node};
    if (gos.empty() || *rc::gen::inRange(0, 3) > 0) {
      ClaimOp op = claim_op(node, at, *rc::gen::inRange(10, 500));
      auto own = std::find_if(gos.begin(), gos.end(), [&](const GoId& go) { return go.node == node; });
      if (own != gos.end() && *rc::gen::inRange(0, 2) == 0) op.claim.go = own->go;
      op.claim.released = *rc::gen::inRange(0, 3) == 0;
      for (const GoId& go : gos) {
        if (go.node != node && *rc::gen::inRange(0, 2) == 0) op.claim.seen[go.node] = go.go;
      }
      gos.push_back(go_of(op));
      ops.push_back({op, version});
    } else {
      GoId go = gos[*rc::gen::inRange<std::size_t>(0, gos.size())];
      ops.push_back({outcome_op(go, at, *rc::gen::inRange(20'000, 30'000)), version});
    }
  }
  return ops;
}

struct End {
  RequestRow row;
  std::set<GoId> losers;
  bool operator==(const End&) const = default;
};
End replay_in(const std::vector<Op>& ops, const std::vector<std::size_t>& order) {
  Known known;
  for (std::size_t i : order) {
    if (const auto* claim = std::get_if<ClaimOp>(&ops[i].what)) {
      known.claim(*claim);
    } else {
      const Version& version = ops[i].version;
      join_outcome(known.row, std::get<OutcomeOp>(ops[i].what), version, {version.node, {1}, {7}},
                   known.found);
    }
  }
  End end{known.row, {}};
  for (const auto& duplicate : known.found) {
    if (!duplicate.possible) end.losers.insert(duplicate.loser);
  }
  // A renewal and a release of one go, of equal rank, differ in what their writer had seen: no node does so.
  for (auto& [node, claim] : end.row.claims) claim.seen.clear();
  // A token that completed twice may meet its own rival: it is the winner in the end, or it lost.
  if (end.row.outcome) end.losers.erase(end.row.outcome->outcome.go);
  return end;
}

RC_GTEST_PROP(RowJoin, AnyOrderAndAnyRepetitionEndInTheSameRowAndTheSameDuplicates, ()) {
  std::vector<Op> ops = any_history();
  std::vector<std::size_t> order(ops.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  End expected = replay_in(ops, order);
  std::mt19937 random(*rc::gen::arbitrary<std::uint32_t>());
  for (std::size_t more = order.size() / 2; more > 0; --more) order.push_back(random() % ops.size());
  std::shuffle(order.begin(), order.end(), random);
  RC_ASSERT(replay_in(ops, order) == expected);
}

RC_GTEST_PROP(RowJoin, EveryRunWhoseOutcomeDidNotStayIsFoundInAnyOrder, ()) {
  std::vector<Op> ops = any_history();
  std::vector<std::size_t> order(ops.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::mt19937 random(*rc::gen::arbitrary<std::uint32_t>());
  std::shuffle(order.begin(), order.end(), random);
  std::set<GoId> completed;
  for (const Op& op : ops) {
    if (const auto* outcome = std::get_if<OutcomeOp>(&op.what)) completed.insert(outcome->outcome.go);
  }
  End end = replay_in(ops, order);
  if (end.row.outcome) completed.erase(end.row.outcome->outcome.go);
  RC_ASSERT(end.losers == completed);
}

}  // namespace
}  // namespace refrain::idempotency
