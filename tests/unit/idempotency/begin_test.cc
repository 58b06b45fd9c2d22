// SPDX-License-Identifier: Apache-2.0
// Every line of the table of begin, and what stands before a go.
#include <gtest/gtest.h>

#include "tests/unit/idempotency/site.h"

namespace refrain::idempotency {
namespace {

using namespace std::chrono_literals;

class Begin : public ::testing::Test {
 protected:
  void pass(Milliseconds time) { clock_ = clock_ + time; }
  static Site::Options with_payload(const std::string& text) { return {.payload = text}; }
  static Site::Options hold() { return {.on_expiry = OnExpiry::kHold}; }

  WallMs clock_{kStart};
  Site eu_{"eu", clock_};
  Site us_{"us", clock_};
};

// ---- absent

TEST_F(Begin, OfAnAbsentIdGoes) {
  Go go = eu_.go("o");
  EXPECT_EQ(go.attempt, 1u);
  EXPECT_EQ(go.lease, 30s);
  EXPECT_EQ(go.lease_until, WallMs{kStart} + 30s);
  EXPECT_EQ(go.on_expiry, OnExpiry::kRetry);
  EXPECT_EQ(go.scope, Scope{});
  EXPECT_EQ(go.fencing, std::to_string(eu_.row("o")->claims.at("eu").go.value));
  auto token = decode_token(go.token, "orders", "o", eu_.now(), 500ms);
  ASSERT_TRUE(token.has_value());
  EXPECT_EQ(token->go, (store::GoId{"eu", eu_.row("o")->claims.at("eu").go}));
  EXPECT_EQ(eu_.state("o"), "running");
}

TEST_F(Begin, TakesWhatTheCallAndTheNamespaceSay) {
  eu_.terms.rules.lease = 10s;
  eu_.terms.rules.on_expiry = OnExpiry::kHold;
  eu_.terms.rules.seen_ttl = 2h;
  eu_.terms.rules.response_ttl = 1h;
  Go go = eu_.go("o");
  EXPECT_EQ(go.lease, 10s);
  EXPECT_EQ(go.on_expiry, OnExpiry::kHold);
  Go other = eu_.go("p", {.lease = 5s, .on_expiry = OnExpiry::kRetry, .seen_ttl = 30min});
  EXPECT_EQ(other.lease, 5s);
  EXPECT_EQ(other.on_expiry, OnExpiry::kRetry);
  store::Claim claim = eu_.row("p")->claims.at("eu");
  EXPECT_EQ(claim.seen_ttl, 30min);
  EXPECT_EQ(claim.response_ttl, 30min) << "a response is never kept longer than the request";
}

TEST_F(Begin, SaysHowFreshItIs) {
  eu_.freshness.lag = 1234ms;
  eu_.freshness.behind = {"ap"};
  Go go = eu_.go("o");
  EXPECT_EQ(go.lag, 1234ms);
  EXPECT_EQ(go.behind, std::vector<NodeName>{"ap"});
}

TEST_F(Begin, AsksNoLongerLeaseThanAllowed) {
  EXPECT_EQ(eu_.word("a", {.lease = 1h}), "go");
  EXPECT_EQ(eu_.word("b", {.lease = 1h + 1ms}), "invalid");
  EXPECT_EQ(eu_.word("b", {.lease = 0ms}), "invalid");
  EXPECT_EQ(eu_.word("b", {.lease = 1ms}), "go");
  EXPECT_EQ(eu_.word("c", {.seen_ttl = 0ms}), "invalid");
  EXPECT_EQ(eu_.word("c", {.seen_ttl = Milliseconds{INT64_MAX}}), "invalid");
  EXPECT_EQ(eu_.row("c"), std::nullopt);
}

TEST_F(Begin, TheNamespacesLeaseIsCutToTheLimit) {
  eu_.terms.rules.lease = 2h;
  EXPECT_EQ(eu_.go("o").lease, 1h);
}

TEST_F(Begin, AfterALapseUnderRetryGoesWithTheNextAttempt) {
  Go first = eu_.go("o");
  pass(30s - 1ms);
  EXPECT_EQ(eu_.word("o"), "request_in_progress");
  pass(1ms);
  Go second = eu_.go("o");
  EXPECT_EQ(second.attempt, 2u);
  EXPECT_LT(std::stoull(first.fencing), std::stoull(second.fencing));
}

TEST_F(Begin, AttemptIsOneMoreThanTheLargestInTheRow) {
  us_.go("o");
  pass(30s);
  us_.go("o");  // attempt 2 there
  Go here = eu_.go("o");
  EXPECT_EQ(here.attempt, 1u);
  pass(1min);
  us_.tick();
  eu_.hear(us_);
  EXPECT_EQ(eu_.go("o").attempt, 3u);
}

TEST_F(Begin, NamesTheClaimsOfOthersThatItHadSeen) {
  us_.go("o");
  Hlc seen = us_.row("o")->claims.at("us").go;
  pass(1min);
  us_.tick();
  eu_.hear(us_);
  eu_.go("o");
  EXPECT_EQ(eu_.row("o")->claims.at("eu").seen, (store::Context{{"us", seen}}));
  pass(1min);
  eu_.go("o");
  EXPECT_EQ(eu_.row("o")->claims.at("eu").seen, (store::Context{{"us", seen}})) << "never its own";
}

// ---- other fingerprint

TEST_F(Begin, AnotherPayloadIsAMismatchWhateverTheState) {
  eu_.go("running");
  eu_.go("unknown", {.lease = 1s, .on_expiry = OnExpiry::kHold});
  eu_.go("lapsed", {.lease = 1s});
  eu_.complete("done", eu_.go("done").token, responding("r")).value();
  pass(2s);
  for (const char* id : {"running", "unknown", "lapsed", "done"}) {
    EXPECT_EQ(eu_.word(id, with_payload("other")), "fingerprint_mismatch") << id;
  }
  pass(kDay);
  EXPECT_EQ(eu_.word("done", with_payload("other")), "fingerprint_mismatch") << "seen";
}

TEST_F(Begin, MismatchComesBeforeEverythingElse) {
  eu_.go("o");
  eu_.hear(us_);
  us_.hear(eu_);
  us_.freshness.catching_up = {"eu"};
  us_.freshness.lag = 1h;
  us_.freshness.scope_differs = "eu differs";
  us_.terms.rules.scope = {Scope::Kind::kHome, "eu"};
  EXPECT_EQ(us_.word("o", {.payload = "other", .max_lag = 1ms}), "fingerprint_mismatch");
  us_.terms.rules.scope = {Scope::Kind::kGlobal, ""};
  EXPECT_EQ(us_.word("o", with_payload("other")), "fingerprint_mismatch");
}

TEST_F(Begin, AMismatchRevealsNothingStored) {
  auto token = eu_.go("o").token;
  eu_.complete("o", token, responding("secret")).value();
  auto answer = eu_.begin("o", with_payload("other"));
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().detail.find("secret"), std::string::npos);
  EXPECT_EQ(answer.error().retry_after_ms, std::nullopt);
  EXPECT_EQ(answer.error().address, std::nullopt);
}

TEST_F(Begin, AReleasedClaimBindsNoPayload) {
  eu_.release("o", eu_.go("o").token).value();
  EXPECT_EQ(eu_.word("o", with_payload("other")), "go");
}

TEST_F(Begin, WithOpenClaimsOfSeveralPayloadsAnyOfThemPasses) {
  eu_.go("o", with_payload("one"));
  us_.go("o", with_payload("two"));
  eu_.hear(us_);
  EXPECT_EQ(eu_.word("o", with_payload("one")), "request_in_progress");
  EXPECT_EQ(eu_.word("o", with_payload("two")), "request_in_progress");
  EXPECT_EQ(eu_.word("o", with_payload("three")), "fingerprint_mismatch");
}

TEST_F(Begin, ALapsedClaimBindsUntilItIsForgotten) {
  eu_.go("o", {.lease = 1s, .seen_ttl = 1h});
  pass(1h + 1s - 1ms);
  EXPECT_EQ(eu_.word("o", with_payload("other")), "fingerprint_mismatch");
  pass(1ms);
  EXPECT_EQ(eu_.word("o", with_payload("other")), "go");
}

// ---- running

TEST_F(Begin, OfARunningOneSaysWhenToAskAgain) {
  eu_.go("o");
  pass(12s);
  auto answer = eu_.begin("o");
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().slug, "request_in_progress");
  EXPECT_EQ(answer.error().retry_after_ms, 18'000);
  EXPECT_TRUE(worth_waiting(answer.error()));
}

TEST_F(Begin, AnotherNodesLeaseIsOverOnceItsJournalIsAppliedPastIt) {
  us_.go("o");
  eu_.hear(us_);
  pass(30s);
  EXPECT_EQ(eu_.word("o"), "request_in_progress") << "its journal was applied up to the go only";
  us_.tick();
  eu_.hear(us_);
  EXPECT_EQ(eu_.word("o"), "go");
}

TEST_F(Begin, AnotherNodesLeaseThatItsJournalDoesNotPassIsNotOverHoweverLate) {
  us_.go("o");
  eu_.hear(us_);
  pass(30s + 1h);
  EXPECT_EQ(eu_.word("o"), "request_in_progress");
  EXPECT_EQ(eu_.begin("o").error().retry_after_ms, 1000);
}

TEST_F(Begin, ASilentNodesLeaseIsOverTenSecondsLater) {
  us_.go("o");
  eu_.hear(us_);
  eu_.peers["us"].silent = true;
  pass(40s - 1ms);
  EXPECT_EQ(eu_.word("o"), "request_in_progress");
  EXPECT_EQ(eu_.begin("o").error().retry_after_ms, 1);
  pass(1ms);
  EXPECT_EQ(eu_.word("o"), "go");
}

TEST_F(Begin, ANodeThatIsNoMemberIsSilent) {
  us_.go("o");
  eu_.hear(us_);
  eu_.peers.clear();
  pass(40s - 1ms);
  EXPECT_EQ(eu_.word("o"), "request_in_progress");
  pass(1ms);
  EXPECT_EQ(eu_.word("o"), "go");
}

TEST_F(Begin, ARenewalThatArrivedKeepsItRunning) {
  auto token = us_.go("o").token;
  pass(20s);
  us_.renew("o", token).value();
  eu_.hear(us_);
  eu_.peers["us"].silent = true;
  pass(39s);
  EXPECT_EQ(eu_.word("o"), "request_in_progress");
  pass(1s);
  EXPECT_EQ(eu_.word("o"), "go");
}

// ---- completed, seen, too large

TEST_F(Begin, OfACompletedOneReplaysTheFirstAnswerAtEveryNode) {
  eu_.complete("o", eu_.go("o").token, responding("first")).value();
  us_.hear(eu_);
  for (Site* site : {&eu_, &us_}) {
    EXPECT_EQ(site->word("o"), "replay");
    EXPECT_EQ(site->replayed("o"), "first");
  }
}

TEST_F(Begin, AReplayKeepsStatusAndContentType) {
  Completion completion;
  completion.response = Response{402, "application/json", "{}"};
  eu_.complete("o", eu_.go("o").token, completion).value();
  auto replay = std::get<Replay>(*eu_.begin("o"));
  EXPECT_EQ(replay.outcome.status, 402u);
  auto stored = eu_.read("o", replay.version);
  EXPECT_EQ(*stored, (store::ResponseRow{402, "application/json", replay.outcome.response_until, "{}"}));
}

TEST_F(Begin, OfASeenOneIsGone) {
  eu_.complete("o", eu_.go("o").token, responding("r")).value();
  pass(kDay - 1ms);
  EXPECT_EQ(eu_.word("o"), "replay");
  pass(1ms);
  EXPECT_EQ(eu_.word("o"), "response_expired");
  EXPECT_EQ(eu_.state("o"), "seen");
}

TEST_F(Begin, AfterSeenTtlTheIdIsAbsent) {
  eu_.complete("o", eu_.go("o").token, responding("r")).value();
  pass(30 * kDay - 1ms);
  EXPECT_EQ(eu_.word("o"), "response_expired");
  pass(1ms);
  EXPECT_EQ(eu_.state("o"), "absent");
}

TEST_F(Begin, AResponseThatLeftEarlyIsExpiredNeverASecondRun) {
  eu_.complete("o", eu_.go("o").token, responding("r")).value();
  pass(kDay);
  eu_.compact();
  pass(-1ms);
  EXPECT_EQ(eu_.replayed("o"), "(response_expired)");
}

TEST_F(Begin, OfOneStoredAsTooLargeIsGoneForAsLongAsItIsSeen) {
  Completion completion;
  completion.too_large = true;
  eu_.complete("o", eu_.go("o").token, completion).value();
  EXPECT_EQ(eu_.word("o"), "response_too_large");
  pass(2 * kDay);
  EXPECT_EQ(eu_.word("o"), "response_too_large");
}

TEST_F(Begin, AnEmptyResponseIsAResponse) {
  eu_.complete("o", eu_.go("o").token, responding("")).value();
  EXPECT_EQ(eu_.word("o"), "replay");
  EXPECT_EQ(eu_.replayed("o"), "");
}

// ---- unknown

TEST_F(Begin, UnderHoldALapsedLeaseIsUnknownAndNeverEndsByTime) {
  eu_.go("o", hold());
  pass(30s);
  for (Milliseconds more : std::vector<Milliseconds>{0ms, 40s, kDay, 30 * kDay, 10'000 * kDay}) {
    pass(more);
    EXPECT_EQ(eu_.word("o"), "outcome_unknown");
    eu_.compact();
  }
  EXPECT_EQ(eu_.state("o"), "unknown");
}

TEST_F(Begin, UnderHoldAnUnknownOneOfASilentNodeNeverEndsByTime) {
  us_.go("o", hold());
  eu_.hear(us_);
  eu_.peers["us"].silent = true;
  pass(10'000 * kDay);
  EXPECT_EQ(eu_.word("o"), "outcome_unknown");
}

TEST_F(Begin, ALeaseThatStillRunsHidesAnUnknownOne) {
  us_.go("o", hold());
  pass(25s);
  eu_.go("o");
  us_.tick();
  eu_.hear(us_);
  pass(10s);
  us_.tick();
  eu_.hear(us_);
  EXPECT_EQ(eu_.state("o"), "running");
  pass(30s);
  EXPECT_EQ(eu_.state("o"), "unknown");
}

// ---- released

TEST_F(Begin, AfterAReleaseGoes) {
  eu_.release("o", eu_.go("o").token).value();
  EXPECT_EQ(eu_.state("o"), "absent");
  EXPECT_EQ(eu_.go("o").attempt, 2u);
}

// ---- freshness

TEST_F(Begin, NobodyGoesBeforeTheNodeHasCaughtUp) {
  eu_.freshness.catching_up = {"us"};
  EXPECT_EQ(eu_.word("o"), "catching_up");
  EXPECT_TRUE(worth_waiting(eu_.begin("o").error()));
  EXPECT_EQ(eu_.row("o"), std::nullopt);
  EXPECT_EQ(slug(eu_.execute("o", responding("r"))), "catching_up");
}

TEST_F(Begin, CatchingUpStopsOnlyAGo) {
  eu_.complete("done", eu_.go("done").token, responding("r")).value();
  eu_.go("running");
  eu_.freshness.catching_up = {"us"};
  EXPECT_EQ(eu_.word("done"), "replay");
  EXPECT_EQ(eu_.word("running"), "request_in_progress");
}

TEST_F(Begin, ALargerLagThanAskedClaimsNothing) {
  eu_.freshness.lag = 1s;
  EXPECT_EQ(eu_.word("o", {.max_lag = 999ms}), "lag_too_large");
  EXPECT_EQ(eu_.row("o"), std::nullopt);
  EXPECT_EQ(eu_.word("o", {.max_lag = 1s}), "go");
}

TEST_F(Begin, WhileTheMembersShowDifferentRulesNobodyGoes) {
  eu_.freshness.scope_differs = "us differs";
  EXPECT_EQ(eu_.word("o"), "config_mismatch");
  auto executed = eu_.execute("o", responding("r"));
  EXPECT_EQ(slug(executed), "config_mismatch");
  EXPECT_NE(executed.error().detail.find("us differs"), std::string::npos);
  EXPECT_EQ(eu_.row("o"), std::nullopt);
}

// ---- scope

class BeginAtHome : public Begin {
 protected:
  void SetUp() override {
    for (Site* site : {&eu_, &us_}) site->terms.rules.scope = {Scope::Kind::kHome, "eu"};
    us_.hear(eu_);
    eu_.hear(us_);
  }
};

TEST_F(BeginAtHome, OnlyTheHomeGoesAndOthersNameIt) {
  auto answer = us_.begin("o");
  ASSERT_FALSE(answer.has_value());
  EXPECT_EQ(answer.error().slug, "wrong_node");
  EXPECT_EQ(answer.error().address, "http://eu");
  EXPECT_EQ(slug(us_.execute("o", responding("r"))), "wrong_node");
  EXPECT_EQ(us_.row("o"), std::nullopt);
  Go go = eu_.go("o");
  EXPECT_EQ(format_scope(go.scope), "home:eu");
}

TEST_F(BeginAtHome, OthersSendARunningAndAnUnknownOneThereToo) {
  eu_.go("running");
  eu_.go("unknown", {.lease = 1s, .on_expiry = OnExpiry::kHold});
  pass(2s);
  eu_.tick();
  us_.hear(eu_);
  EXPECT_EQ(us_.word("running"), "wrong_node");
  EXPECT_EQ(us_.word("unknown"), "wrong_node");
}

TEST_F(BeginAtHome, EveryNodeReplays) {
  eu_.complete("o", eu_.go("o").token, responding("first")).value();
  us_.hear(eu_);
  EXPECT_EQ(us_.replayed("o"), "first");
}

TEST_F(BeginAtHome, TheAddressIsLeftOutWhereItIsNotKnown) {
  us_.peers.clear();
  EXPECT_EQ(us_.begin("o").error().slug, "wrong_node");
  EXPECT_EQ(us_.begin("o").error().address, std::nullopt);
}

TEST_F(BeginAtHome, ARowKeepsItsScopeWhenTheNamespaceChanges) {
  eu_.go("o");
  us_.hear(eu_);
  pass(1min);
  eu_.tick();
  us_.hear(eu_);
  us_.terms.rules.scope = {};
  EXPECT_EQ(us_.word("o"), "wrong_node");
  EXPECT_EQ(us_.word("new"), "go");
  eu_.terms.rules.scope = {};
  EXPECT_EQ(format_scope(eu_.go("o").scope), "home:eu");
}

TEST_F(BeginAtHome, ALocalRowStaysLocal) {
  eu_.terms.rules.scope = {};
  eu_.go("o");
  us_.hear(eu_);
  pass(1min);
  eu_.tick();
  us_.hear(eu_);
  Go go = us_.go("o");
  EXPECT_EQ(format_scope(go.scope), "local");
}

TEST_F(BeginAtHome, TheHomeMayMove) {
  eu_.go("o");
  pass(1min);
  eu_.tick();
  us_.hear(eu_);
  for (Site* site : {&eu_, &us_}) site->terms.rules.scope = {Scope::Kind::kHome, "us"};
  EXPECT_EQ(eu_.word("o"), "wrong_node");
  EXPECT_EQ(format_scope(us_.go("o").scope), "home:us");
}

TEST_F(BeginAtHome, AForgottenRowHasNoScopeOfItsOwn) {
  eu_.go("o", {.lease = 1s, .seen_ttl = 1min});
  us_.hear(eu_);
  us_.terms.rules.scope = {};
  pass(2min);
  EXPECT_EQ(us_.word("o"), "go");
}

TEST_F(Begin, ScopeGlobalIsNotInThisVersion) {
  eu_.terms.rules.scope = {Scope::Kind::kGlobal, ""};
  EXPECT_EQ(eu_.word("o"), "not_in_this_version");
  EXPECT_EQ(slug(eu_.execute("o", responding("r"))), "not_in_this_version");
  EXPECT_EQ(eu_.row("o"), std::nullopt);
}

// ---- execute

TEST_F(Begin, ExecuteRunsOnceAndReplays) {
  auto first = eu_.execute("o", with_effect("r1"));
  ASSERT_TRUE(first.has_value());
  EXPECT_EQ(std::get<Ran>(*first).attempt, 1u);
  auto again = eu_.execute("o", with_effect("r2"));
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(std::get<Replay>(*again).version, std::get<Ran>(*first).version);
  EXPECT_EQ(eu_.replayed("o"), "r1");
  EXPECT_EQ(eu_.value("balance"), "r1");
  EXPECT_EQ(eu_.journal().size(), 1u) << "one commit, no lease";
}

TEST_F(Begin, ExecuteMeetsTheSameAnswersAsBegin) {
  eu_.go("running");
  eu_.go("unknown", {.lease = 1s, .on_expiry = OnExpiry::kHold});
  pass(2s);
  EXPECT_EQ(slug(eu_.execute("running", responding("r"), "other")), "fingerprint_mismatch");
  EXPECT_EQ(slug(eu_.execute("running", responding("r"))), "request_in_progress");
  EXPECT_EQ(slug(eu_.execute("unknown", responding("r"))), "outcome_unknown");
  pass(1min);
  EXPECT_EQ(std::get<Ran>(*eu_.execute("running", responding("r"))).attempt, 2u);
}

TEST_F(Begin, ExecuteChecksWhatItIsGiven) {
  eu_.terms.response_bytes = 3;
  EXPECT_EQ(slug(eu_.execute("o", responding("1234"))), "response_over_limit");
  EXPECT_EQ(slug(eu_.execute("o", responding("123"))), "ok");
  EXPECT_EQ(slug(eu_.execute("p", Completion{})), "invalid");
}

TEST_F(Begin, ALateCompleteAfterAnExecuteIsRefusedAndListed) {
  Go go = eu_.go("o");
  pass(1min);
  eu_.execute("o", responding("second")).value();
  EXPECT_EQ(slug(eu_.complete("o", go.token, responding("first"))), "already_completed");
  EXPECT_EQ(eu_.duplicates().size(), 1u);
}

}  // namespace
}  // namespace refrain::idempotency
