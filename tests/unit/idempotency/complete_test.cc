// SPDX-License-Identifier: Apache-2.0
// complete, renew and release: what is accepted, every refusal, and what a refusal leaves behind.
#include <gtest/gtest.h>

#include "tests/unit/idempotency/site.h"

namespace refrain::idempotency {
namespace {

using namespace std::chrono_literals;

class Complete : public ::testing::Test {
 protected:
  void pass(Milliseconds time) { clock_ = clock_ + time; }
  void meet() {
    eu_.tick();
    us_.tick();
    eu_.hear(us_);
    us_.hear(eu_);
  }
  store::GoId go_id(const Go& go, const NodeName& node) { return {node, {std::stoull(go.fencing)}}; }
  /// The token with something else in it.
  std::string forged(const Go& go, auto change) {
    Token token = *decode_token(go.token, "orders", "o", eu_.now(), 500ms);
    change(token);
    return encode_token("orders", "o", token);
  }

  WallMs clock_{kStart};
  Site eu_{"eu", clock_};
  Site us_{"us", clock_};
  Site ap_{"ap", clock_};
};

// ---- accepted

TEST_F(Complete, StoresResponseAndEffectsInOneCommit) {
  Go go = eu_.go("o");
  auto done = eu_.complete("o", go.token, with_effect("r"));
  ASSERT_TRUE(done.has_value());
  EXPECT_FALSE(done->replayed);
  EXPECT_EQ(done->completed_at, eu_.now());
  EXPECT_EQ(eu_.journal().back().version(), done->version);
  EXPECT_EQ(eu_.journal().back().operations.size(), 2u);
  EXPECT_EQ(eu_.replayed("o"), "r");
  EXPECT_EQ(eu_.value("balance"), "r");
}

TEST_F(Complete, KeepsForAsLongAsCallClaimOrNamespaceSay) {
  eu_.complete("a", eu_.go("a").token, responding("r")).value();
  EXPECT_EQ(eu_.row("a")->outcome->outcome.response_until, eu_.now() + kDay);
  EXPECT_EQ(eu_.row("a")->seen_until, eu_.now() + 30 * kDay);
  eu_.complete("b", eu_.go("b", {.seen_ttl = 2h}).token, responding("r")).value();
  EXPECT_EQ(eu_.row("b")->outcome->outcome.response_until, eu_.now() + 2h);
  EXPECT_EQ(eu_.row("b")->seen_until, eu_.now() + 2h);
  Completion own = responding("r");
  own.response_ttl = 1h;
  own.seen_ttl = 3h;
  eu_.complete("c", eu_.go("c").token, own).value();
  EXPECT_EQ(eu_.row("c")->outcome->outcome.response_until, eu_.now() + 1h);
  EXPECT_EQ(eu_.row("c")->seen_until, eu_.now() + 3h);
  Completion shorter = responding("r");
  shorter.seen_ttl = 1h;
  eu_.complete("d", eu_.go("d").token, shorter).value();
  EXPECT_EQ(eu_.row("d")->outcome->outcome.response_until, eu_.now() + 1h);
}

TEST_F(Complete, LateIsAcceptedWithoutASuccessor) {
  Go go = eu_.go("o");
  pass(10 * kDay);
  EXPECT_EQ(slug(eu_.complete("o", go.token, responding("r"))), "ok");
}

TEST_F(Complete, OfAnUnknownOneIsAcceptedHoweverLate) {
  Go go = eu_.go("o", {.on_expiry = OnExpiry::kHold});
  pass(1000 * kDay);
  EXPECT_EQ(slug(eu_.complete("o", go.token, responding("r"))), "ok");
  EXPECT_EQ(eu_.state("o"), "completed");
}

TEST_F(Complete, WithoutOperationsIsTakenByEveryNodeEvenBeforeTheClaimHasArrived) {
  Go go = eu_.go("o");
  EXPECT_EQ(slug(us_.complete("o", go.token, responding("r"))), "ok");
  EXPECT_EQ(us_.replayed("o"), "r");
  EXPECT_EQ(us_.word("o", {.payload = "other"}), "fingerprint_mismatch") << "the token carries it";
  meet();
  EXPECT_EQ(eu_.replayed("o"), "r");
  EXPECT_EQ(eu_.row("o"), us_.row("o"));
  EXPECT_TRUE(eu_.duplicates().empty());
}

TEST_F(Complete, TheSameAgainIsReplayedAtEveryNode) {
  Go go = eu_.go("o");
  auto first = eu_.complete("o", go.token, responding("r")).value();
  pass(1min);
  meet();
  for (Site* site : {&eu_, &us_}) {
    std::size_t commits = site->journal().size();
    auto again = site->complete("o", go.token, responding("r"));
    ASSERT_TRUE(again.has_value());
    EXPECT_TRUE(again->replayed);
    EXPECT_EQ(again->version, first.version);
    EXPECT_EQ(again->completed_at, first.completed_at);
    EXPECT_EQ(site->journal().size(), commits);
  }
}

TEST_F(Complete, TheSameAgainDoesNotApplyItsEffectsTwice) {
  Go go = eu_.go("o");
  eu_.complete("o", go.token, with_effect("r")).value();
  std::size_t commits = eu_.journal().size();
  EXPECT_TRUE(eu_.complete("o", go.token, with_effect("r"))->replayed);
  EXPECT_EQ(eu_.journal().size(), commits);
}

// ---- refused

TEST_F(Complete, WithAnotherResponseOrOtherOperationsIsCompletedDifferently) {
  Go go = eu_.go("o");
  eu_.complete("o", go.token, responding("r")).value();
  EXPECT_EQ(slug(eu_.complete("o", go.token, responding("s"))), "completed_differently");
  EXPECT_EQ(slug(eu_.complete("o", go.token, with_effect("r"))), "completed_differently");
  EXPECT_EQ(eu_.replayed("o"), "r");
  EXPECT_EQ(eu_.value("balance"), "");
  EXPECT_TRUE(eu_.duplicates().empty()) << "one run, two stories";
}

TEST_F(Complete, WithOperationsElsewhereIsTheWrongNode) {
  Go go = eu_.go("o");
  meet();
  auto answer = us_.complete("o", go.token, with_effect("r"));
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().slug, "wrong_node");
  EXPECT_EQ(answer.error().address, "http://eu");
  EXPECT_EQ(us_.value("balance"), "");
}

TEST_F(Complete, AfterAnotherOutcomeIsAlreadyCompletedAndListed) {
  Go first = eu_.go("o");
  pass(1min);
  Go second = eu_.go("o");
  eu_.complete("o", second.token, responding("second")).value();
  EXPECT_EQ(slug(eu_.complete("o", first.token, with_effect("first"))), "already_completed");
  EXPECT_EQ(eu_.value("balance"), "") << "nothing changes";
  EXPECT_EQ(eu_.replayed("o"), "second");
  ASSERT_EQ(eu_.duplicates().size(), 1u);
  store::Duplicate listed = eu_.duplicates()[0];
  EXPECT_EQ(listed.loser, go_id(first, "eu"));
  EXPECT_EQ(listed.winner, go_id(second, "eu"));
  EXPECT_EQ(listed.loser_hash, content_hash(with_effect("first").response, with_effect("first").effects));
  EXPECT_EQ(listed.winner_hash, eu_.row("o")->outcome->outcome.content_hash);
  us_.hear(eu_);
  EXPECT_EQ(us_.duplicates(), eu_.duplicates());
}

TEST_F(Complete, ARefusalSaidAgainIsJournalledOnce) {
  Go first = eu_.go("o");
  pass(1min);
  eu_.complete("o", eu_.go("o").token, responding("second")).value();
  EXPECT_EQ(slug(eu_.complete("o", first.token, responding("first"))), "already_completed");
  std::size_t commits = eu_.journal().size();
  EXPECT_EQ(slug(eu_.complete("o", first.token, responding("first"))), "already_completed");
  EXPECT_EQ(eu_.journal().size(), commits);
}

TEST_F(Complete, AfterANewerGoOfItsNodeIsSupersededAndListed) {
  Go first = eu_.go("o");
  pass(1min);
  Go second = eu_.go("o");
  EXPECT_EQ(slug(eu_.complete("o", first.token, responding("r"))), "superseded");
  ASSERT_EQ(eu_.duplicates().size(), 1u);
  EXPECT_EQ(eu_.duplicates()[0].loser, go_id(first, "eu"));
  EXPECT_EQ(eu_.duplicates()[0].winner, go_id(second, "eu"));
  EXPECT_EQ(slug(eu_.complete("o", second.token, responding("r"))), "ok");
}

TEST_F(Complete, AfterAnotherNodesTakeoverIsSupersededAndListed) {
  Go first = eu_.go("o");
  pass(1min);
  meet();
  Go second = us_.go("o");
  eu_.hear(us_);
  EXPECT_EQ(slug(eu_.complete("o", first.token, responding("r"))), "superseded");
  EXPECT_EQ(slug(us_.complete("o", first.token, responding("r"))), "superseded");
  ASSERT_EQ(eu_.duplicates().size(), 1u);
  EXPECT_EQ(eu_.duplicates()[0].winner, go_id(second, "us"));
}

TEST_F(Complete, WhereOnlyTheTakeoverHasArrivedIsSuperseded) {
  Go first = eu_.go("o");
  pass(1min);
  meet();
  us_.go("o");
  ap_.hear(us_);
  EXPECT_EQ(slug(ap_.complete("o", first.token, responding("r"))), "superseded");
  EXPECT_EQ(ap_.duplicates().size(), 1u);
}

TEST_F(Complete, OfAReleasedTokenIsReleasedAndNotListed) {
  Go go = eu_.go("o");
  eu_.release("o", go.token).value();
  EXPECT_EQ(slug(eu_.complete("o", go.token, responding("r"))), "released");
  meet();
  EXPECT_EQ(slug(us_.complete("o", go.token, responding("r"))), "released");
  EXPECT_TRUE(eu_.duplicates().empty());
}

TEST_F(Complete, OlderThanSeenTtlIsSupersededAndNotListed) {
  Go go = eu_.go("o", {.lease = 1s, .seen_ttl = 1h});
  pass(1h + 1s - 1ms);
  EXPECT_EQ(slug(us_.complete("o", go.token, responding("r"))), "ok") << "not yet";
  pass(1ms);
  EXPECT_EQ(slug(eu_.complete("o", go.token, responding("r"))), "superseded");
  EXPECT_TRUE(eu_.duplicates().empty());
  EXPECT_EQ(eu_.state("o"), "absent");
}

TEST_F(Complete, OlderThanSeenTtlWhereTheClaimNeverArrivedIsSuperseded) {
  Go go = eu_.go("o");
  pass(30 * kDay - 1ms);
  EXPECT_EQ(slug(us_.complete("o", go.token, responding("r"))), "ok");
  pass(1ms);
  EXPECT_EQ(slug(ap_.complete("o", go.token, responding("r"))), "superseded");
}

TEST_F(Complete, OlderThanSeenTtlIsRefusedWhileTheRowIsKeptByAnotherClaimToo) {
  Go go = eu_.go("o", {.lease = 1s, .seen_ttl = 1h});
  us_.go("o");
  eu_.hear(us_);
  pass(1h + 1s);
  EXPECT_EQ(slug(eu_.complete("o", go.token, responding("r"))), "superseded");
  EXPECT_TRUE(eu_.duplicates().empty());
}

TEST_F(Complete, AtItsOwnNodeWithoutItsClaimIsSuperseded) {
  Go go = eu_.go("o", {.lease = 1s, .seen_ttl = 1s});
  pass(2s);
  eu_.compact();
  ASSERT_EQ(eu_.row("o"), std::nullopt);
  EXPECT_EQ(slug(eu_.complete("o", go.token, responding("r"))), "superseded");
  EXPECT_EQ(slug(eu_.complete("o", go.token, with_effect("r"))), "superseded");
}

TEST_F(Complete, WithOperationsWhoseClaimWentWithTheOldDiskIsSuperseded) {
  Go go = eu_.go("o");
  Site reborn("eu", clock_);
  reborn.reborn();
  EXPECT_EQ(slug(reborn.complete("o", go.token, with_effect("r"))), "superseded");
  EXPECT_EQ(slug(reborn.complete("o", go.token, responding("r"))), "ok") << "the claim may come yet";
}

TEST_F(Complete, AfterItsOwnOutcomeIsForgottenIsSupersededAndNotListed) {
  Go go = eu_.go("o");
  Completion brief = responding("r");
  brief.seen_ttl = 1h;
  eu_.complete("o", go.token, brief).value();
  pass(1h);
  EXPECT_EQ(eu_.state("o"), "absent");
  EXPECT_EQ(slug(eu_.complete("o", go.token, brief)), "superseded");
  EXPECT_TRUE(eu_.duplicates().empty());
}

TEST_F(Complete, AfterAnotherOutcomeWasForgottenIsSupersededAndListed) {
  Go go = eu_.go("o");
  Go other = us_.go("o");
  Completion brief = responding("other");
  brief.seen_ttl = 1h;
  us_.complete("o", other.token, brief).value();
  eu_.hear(us_);
  pass(1h);
  EXPECT_EQ(slug(eu_.complete("o", go.token, responding("r"))), "superseded");
  EXPECT_EQ(eu_.duplicates().size(), 1u);
}

TEST_F(Complete, WithAWrongTokenIsBad) {
  Go go = eu_.go("o");
  EXPECT_EQ(slug(eu_.complete("o", "garbage", responding("r"))), "bad_token");
  EXPECT_EQ(slug(eu_.complete("p", go.token, responding("r"))), "bad_token");
  EXPECT_EQ(slug(eu_.complete("o", forged(go, [](Token& t) { t.bits += 1; }), responding("r"))), "bad_token");
  EXPECT_EQ(slug(eu_.complete("o", forged(go, [](Token& t) { t.fingerprint[0] ^= 1; }), responding("r"))),
            "bad_token");
  EXPECT_EQ(slug(eu_.complete("o", forged(go, [](Token& t) { t.incarnation.value += 1; }), responding("r"))),
            "bad_token");
  EXPECT_EQ(eu_.state("o"), "running");
}

TEST_F(Complete, ATokenForgedWithAnotherPayloadIsBadWhereOnlyTheOutcomeIsKnown) {
  Go go = eu_.go("o");
  us_.complete("o", go.token, responding("r")).value();
  EXPECT_EQ(slug(us_.complete("o", forged(go, [](Token& t) { t.fingerprint[0] ^= 1; }), responding("r"))),
            "bad_token");
}

TEST_F(Complete, AnOperatorsReleaseGaveNobodyAToken) {
  eu_.go("o", {.on_expiry = OnExpiry::kHold});
  pass(1min);
  meet();
  us_.resolve_release("o").value();
  store::Claim claim = us_.row("o")->claims.at("us");
  std::string made_up =
      encode_token("orders", "o", {{"us", claim.go}, claim.incarnation, claim.fingerprint, claim.token_bits});
  EXPECT_EQ(slug(us_.complete("o", made_up, responding("r"))), "bad_token");
}

TEST_F(Complete, OverALimitChangesNothing) {
  Go go = eu_.go("o");
  std::string most(256 * 1024, 'x');
  EXPECT_EQ(slug(eu_.complete("o", go.token, responding(most + "x"))), "response_over_limit");
  EXPECT_EQ(eu_.state("o"), "running");
  EXPECT_EQ(slug(eu_.complete("o", go.token, responding(most))), "ok");
}

TEST_F(Complete, ACallThatIsWrongInItselfIsInvalid) {
  Go go = eu_.go("o");
  auto with = [](auto change) {
    Completion completion = responding("r");
    change(completion);
    return completion;
  };
  EXPECT_EQ(slug(eu_.complete("o", go.token, Completion{})), "invalid");
  EXPECT_EQ(slug(eu_.complete("o", go.token, with([](auto& c) { c.too_large = true; }))), "invalid");
  EXPECT_EQ(slug(eu_.complete("o", go.token, with([](auto& c) { c.response->status = 1000; }))), "invalid");
  EXPECT_EQ(slug(eu_.complete("o", go.token, with([](auto& c) { c.response->content_type = "a\r\nb"; }))),
            "invalid");
  EXPECT_EQ(slug(eu_.complete("o", go.token, with([](auto& c) { c.seen_ttl = 0ms; }))), "invalid");
  EXPECT_EQ(slug(eu_.complete("o", go.token, with([](auto& c) { c.response_ttl = -1ms; }))), "invalid");
  EXPECT_EQ(slug(eu_.complete("o", go.token, with([](auto& c) { c.response_ttl = 30 * kDay + 1ms; }))),
            "invalid");
  EXPECT_EQ(eu_.state("o"), "running");
  EXPECT_EQ(slug(eu_.complete("o", go.token, with([](auto& c) {
                                c.response->status = 999;
                                c.response_ttl = 30 * kDay;
                              }))),
            "ok");
}

// ---- two regions

TEST_F(Complete, TwoOutcomesThatMeetLeaveOneAndListTheOther) {
  Go here = eu_.go("o");
  Go there = us_.go("o");
  eu_.complete("o", here.token, with_effect("eu")).value();
  pass(1ms);
  us_.complete("o", there.token, with_effect("us")).value();
  meet();
  for (Site* site : {&eu_, &us_}) {
    EXPECT_EQ(site->replayed("o"), "us");
    EXPECT_EQ(site->value("balance"), "us") << "answer and effects are of the same run";
    ASSERT_EQ(site->duplicates().size(), 1u);
    EXPECT_EQ(site->duplicates()[0].loser, go_id(here, "eu"));
    EXPECT_EQ(site->duplicates(true).size(), 1u) << "the two claims met as well";
  }
  EXPECT_EQ(eu_.duplicates(), us_.duplicates());
  EXPECT_EQ(eu_.row("o"), us_.row("o"));
  EXPECT_EQ(eu_.rows_hash(store::Family::kResponses), us_.rows_hash(store::Family::kResponses));
  EXPECT_EQ(slug(eu_.complete("o", here.token, with_effect("eu"))), "already_completed");
}

// ---- renew

TEST_F(Complete, RenewMakesTheLeaseLongerNeverShorter) {
  Go go = eu_.go("o", {.lease = 10min});
  auto answer = eu_.renew("o", go.token);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(answer->lease_until, go.lease_until);
  answer = eu_.renew("o", go.token, 20min);
  EXPECT_EQ(answer->lease_until, eu_.now() + 20min);
  EXPECT_EQ(answer->lease, 20min);
  pass(20min - 1ms);
  EXPECT_EQ(eu_.state("o"), "running");
}

TEST_F(Complete, RenewOfALapsedLeaseRunsAgainWithoutASuccessor) {
  for (OnExpiry on_expiry : {OnExpiry::kRetry, OnExpiry::kHold}) {
    std::string id = on_expiry == OnExpiry::kHold ? "held" : "retried";
    Go go = eu_.go(id, {.on_expiry = on_expiry});
    pass(1h);
    EXPECT_EQ(slug(eu_.renew(id, go.token)), "ok");
    EXPECT_EQ(eu_.state(id), "running");
  }
}

TEST_F(Complete, RenewTakesNoLongerLeaseThanAllowed) {
  Go go = eu_.go("o");
  EXPECT_EQ(slug(eu_.renew("o", go.token, 1h + 1ms)), "invalid");
  EXPECT_EQ(slug(eu_.renew("o", go.token, 0ms)), "invalid");
  EXPECT_EQ(slug(eu_.renew("o", go.token, 1h)), "ok");
}

TEST_F(Complete, RenewAndReleaseAreForTheNodeThatGaveTheToken) {
  Go go = eu_.go("o");
  meet();
  EXPECT_EQ(slug(us_.renew("o", go.token)), "wrong_node");
  auto answer = us_.release("o", go.token);
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().slug, "wrong_node");
  EXPECT_EQ(answer.error().address, "http://eu");
}

TEST_F(Complete, RenewAndReleaseAreRefusedWhenTheClaimHasEnded) {
  auto both = [&](const std::string& id, const std::string& token, const std::string& expected) {
    EXPECT_EQ(slug(eu_.renew(id, token)), expected) << id;
    EXPECT_EQ(slug(eu_.release(id, token)), expected) << id;
  };
  Go done = eu_.go("done");
  eu_.complete("done", done.token, responding("r")).value();
  both("done", done.token, "already_completed");

  Go taken = eu_.go("taken");
  Go taken_there = eu_.go("taken there");
  Go old = eu_.go("old", {.lease = 1s, .seen_ttl = 1min});
  Go brief = eu_.go("brief");
  Completion completion = responding("r");
  completion.seen_ttl = 1min;
  eu_.complete("brief", brief.token, completion).value();
  pass(1min + 1s);
  both("old", old.token, "superseded");
  both("brief", brief.token, "superseded");
  eu_.go("taken");
  both("taken", taken.token, "superseded");
  meet();
  us_.go("taken there");
  eu_.hear(us_);
  both("taken there", taken_there.token, "superseded");
  eu_.compact();
  both("old", old.token, "superseded");
}

TEST_F(Complete, AClaimPastItsEndIsNotRenewedThoughTheRowIsKept) {
  Go old = eu_.go("o", {.lease = 1s, .seen_ttl = 1min});
  us_.go("o");
  eu_.hear(us_);
  pass(1min + 1s);
  EXPECT_EQ(slug(eu_.renew("o", old.token)), "superseded");
  EXPECT_EQ(slug(eu_.release("o", old.token)), "superseded");
}

TEST_F(Complete, RenewWithAWrongTokenIsBad) {
  Go go = eu_.go("o");
  EXPECT_EQ(slug(eu_.renew("o", forged(go, [](Token& t) { t.bits += 1; }))), "bad_token");
  EXPECT_EQ(slug(eu_.release("o", forged(go, [](Token& t) { t.bits += 1; }))), "bad_token");
  EXPECT_EQ(slug(eu_.renew("p", go.token)), "bad_token");
}

// ---- release

TEST_F(Complete, ReleaseTwiceIsFine) {
  Go go = eu_.go("o");
  EXPECT_FALSE(eu_.release("o", go.token)->again);
  std::size_t commits = eu_.journal().size();
  EXPECT_TRUE(eu_.release("o", go.token)->again);
  EXPECT_EQ(eu_.journal().size(), commits);
}

TEST_F(Complete, ReleaseTwiceIsFineWhateverCameBetween) {
  Go go = eu_.go("o");
  eu_.release("o", go.token).value();
  meet();
  us_.complete("o", us_.go("o").token, responding("r")).value();
  eu_.hear(us_);
  EXPECT_TRUE(eu_.release("o", go.token)->again);
}

TEST_F(Complete, AReleasedTokenIsNotRenewed) {
  Go go = eu_.go("o");
  eu_.release("o", go.token).value();
  EXPECT_EQ(slug(eu_.renew("o", go.token)), "released");
}

TEST_F(Complete, AReleaseReachesTheOthers) {
  Go go = eu_.go("o");
  meet();
  EXPECT_EQ(us_.word("o"), "request_in_progress");
  eu_.release("o", go.token).value();
  meet();
  EXPECT_EQ(us_.go("o").attempt, 2u);
}

}  // namespace
}  // namespace refrain::idempotency
