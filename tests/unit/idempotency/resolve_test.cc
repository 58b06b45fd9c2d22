// SPDX-License-Identifier: Apache-2.0
// What an operator does with an unknown request, and what anyone may see of one.
#include <gtest/gtest.h>

#include "tests/unit/idempotency/site.h"

namespace refrain::idempotency {
namespace {

using namespace std::chrono_literals;

class Resolve : public ::testing::Test {
 protected:
  void pass(Milliseconds time) { clock_ = clock_ + time; }
  void meet() {
    for (Site* site : {&eu_, &us_}) site->tick();
    eu_.hear(us_);
    us_.hear(eu_);
  }
  /// Unknown at both nodes.
  Go unknown(Site& site, const std::string& id = "o") {
    Go go = site.go(id, {.on_expiry = OnExpiry::kHold});
    pass(31s);
    meet();
    return go;
  }

  WallMs clock_{kStart};
  Site eu_{"eu", clock_};
  Site us_{"us", clock_};
};

TEST_F(Resolve, OnlyAnUnknownOneIsResolved) {
  EXPECT_EQ(slug(eu_.resolve_release("absent")), "not_found");
  eu_.go("running");
  EXPECT_EQ(slug(eu_.resolve_release("running")), "request_in_progress");
  EXPECT_EQ(slug(eu_.resolve_complete("running", responding("r"))), "request_in_progress");
  eu_.complete("done", eu_.go("done").token, responding("r")).value();
  EXPECT_EQ(slug(eu_.resolve_complete("done", responding("s"))), "already_completed");
  pass(31s);
  EXPECT_EQ(slug(eu_.resolve_release("running")), "not_found") << "lapsed under retry: absent";
  pass(kDay);
  EXPECT_EQ(slug(eu_.resolve_release("done")), "already_completed") << "seen";
}

TEST_F(Resolve, AReleaseFromEitherNodeMakesItAbsentEverywhere) {
  for (Site* site : {&eu_, &us_}) {
    std::string id = "at " + site->name();
    unknown(eu_, id);
    ASSERT_EQ(us_.state(id), "unknown");
    auto answer = site->resolve_release(id);
    ASSERT_TRUE(answer.has_value());
    EXPECT_EQ(answer->resolved_at, site->now());
    meet();
    for (Site* at : {&eu_, &us_}) {
      EXPECT_EQ(at->state(id), "absent");
      EXPECT_FALSE(at->marked_open(id));
    }
    EXPECT_EQ(slug(site->resolve_release(id)), "not_found");
    EXPECT_EQ(us_.go(id).attempt, 2u) << "a release is no attempt";
  }
}

TEST_F(Resolve, AReleaseIsRecordedWithItsTime) {
  unknown(eu_);
  us_.resolve_release("o").value();
  store::Claim claim = us_.row("o")->claims.at("us");
  EXPECT_TRUE(claim.by_operator);
  EXPECT_TRUE(claim.released);
  EXPECT_EQ(claim.go.wall(), us_.now());
  EXPECT_EQ(claim.seen, (store::Context{{"eu", us_.row("o")->claims.at("eu").go}}));
}

TEST_F(Resolve, AReleasedRunThatCompletesAfterAllIsRefused) {
  for (Site* site : {&eu_, &us_}) {
    std::string id = "at " + site->name();
    Go go = unknown(eu_, id);
    site->resolve_release(id).value();
    meet();
    EXPECT_EQ(slug(eu_.complete(id, go.token, responding("r"))), "superseded");
    EXPECT_EQ(slug(eu_.renew(id, go.token)), "superseded");
    EXPECT_TRUE(eu_.duplicates().empty()) << "nobody else was told to go";
  }
}

TEST_F(Resolve, ListedWhenAnotherWasGivenAGoAfterTheRelease) {
  Go first = unknown(eu_);
  us_.resolve_release("o").value();
  us_.go("o");
  meet();
  EXPECT_EQ(slug(eu_.complete("o", first.token, responding("r"))), "superseded");
  EXPECT_EQ(eu_.duplicates().size(), 1u);
}

TEST_F(Resolve, ListedWhenAnotherRunStoodInThePlaceOfTheOperatorsRelease) {
  Go first = eu_.go("o", {.lease = 1s});
  pass(2s);
  Go second = unknown(eu_);
  eu_.resolve_release("o").value();
  EXPECT_EQ(slug(eu_.complete("o", second.token, responding("r"))), "superseded");
  EXPECT_TRUE(eu_.duplicates().empty()) << "its own claim was released";
  EXPECT_EQ(slug(eu_.complete("o", first.token, responding("r"))), "superseded");
  EXPECT_EQ(eu_.duplicates().size(), 1u) << "the second run took over from it";
}

TEST_F(Resolve, ListedWhenTheReleaseKnowsOfALaterAttempt) {
  Go first = eu_.go("o", {.lease = 1s});
  pass(2s);
  meet();
  us_.go("o", {.lease = 1s, .on_expiry = OnExpiry::kHold});  // attempt 2
  pass(2s);
  us_.resolve_release("o").value();  // in the place of us' own claim
  meet();
  EXPECT_EQ(slug(eu_.complete("o", first.token, responding("r"))), "superseded");
  EXPECT_EQ(eu_.duplicates().size(), 1u);
}

TEST_F(Resolve, ReleasesAllUnknownClaimsAtOnce) {
  eu_.go("o", {.on_expiry = OnExpiry::kHold});
  us_.go("o", {.on_expiry = OnExpiry::kHold});
  pass(31s);
  meet();
  eu_.resolve_release("o").value();
  meet();
  EXPECT_EQ(eu_.state("o"), "absent");
  EXPECT_EQ(us_.state("o"), "absent");
}

TEST_F(Resolve, ACompletionIsReplayedEverywhere) {
  Go go = unknown(eu_);
  us_.resolve_complete("o", responding("by hand")).value();
  meet();
  EXPECT_EQ(eu_.replayed("o"), "by hand");
  EXPECT_EQ(us_.replayed("o"), "by hand");
  EXPECT_TRUE(eu_.row("o")->outcome->outcome.by_operator);
  EXPECT_EQ(eu_.row("o")->outcome->outcome.completed_at, us_.now());
  EXPECT_EQ(us_.word("o", {.payload = "other"}), "fingerprint_mismatch");
  EXPECT_FALSE(eu_.marked_open("o"));
  EXPECT_EQ(slug(eu_.complete("o", go.token, responding("r"))), "already_completed");
}

TEST_F(Resolve, ACompletionIsCheckedAsAnyOther) {
  unknown(eu_);
  EXPECT_EQ(slug(eu_.resolve_complete("o", Completion{})), "invalid");
  EXPECT_EQ(slug(eu_.resolve_complete("o", with_effect("r"))), "invalid");
  EXPECT_EQ(slug(eu_.resolve_complete("o", responding(std::string(256 * 1024 + 1, 'x')))),
            "response_over_limit");
  EXPECT_EQ(eu_.state("o"), "unknown");
}

TEST_F(Resolve, ItsOwnTokenResolvesAnUnknownOneToo) {
  Go go = unknown(eu_);
  EXPECT_EQ(slug(eu_.complete("o", go.token, responding("r"))), "ok");
  EXPECT_EQ(eu_.replayed("o"), "r");
}

TEST_F(Resolve, AReleaseUnderHoldStaysSoWhenTheIdIsUsedAgainMuchLater) {
  // At one node the old row is compacted before the id is used again, at the other it is not.
  unknown(eu_);
  eu_.resolve_release("o").value();
  meet();
  pass(31 * kDay);
  us_.compact();
  ASSERT_EQ(us_.row("o"), std::nullopt);
  ASSERT_NE(eu_.row("o"), std::nullopt);
  Go go = us_.go("o");
  EXPECT_EQ(go.attempt, 1u);
  meet();
  us_.release("o", go.token).value();
  meet();
  EXPECT_EQ(us_.state("o"), "absent");
  EXPECT_EQ(eu_.state("o"), "absent");
  EXPECT_EQ(eu_.row("o"), us_.row("o"));
}

// ---- reports

class Reports : public Resolve {};

TEST_F(Reports, AnAbsentOneHasNone) {
  EXPECT_FALSE(eu_.get("o").has_value());
  eu_.release("released", eu_.go("released").token).value();
  EXPECT_FALSE(eu_.get("released").has_value());
  eu_.go("lapsed");
  pass(31s);
  EXPECT_FALSE(eu_.get("lapsed").has_value());
}

TEST_F(Reports, ARunningOneShowsItsLease) {
  eu_.go("o", {.lease = 10s, .on_expiry = OnExpiry::kHold});
  Report report = *eu_.get("o");
  EXPECT_EQ(report.state, State::kRunning);
  EXPECT_EQ(report.attempt, 1u);
  EXPECT_EQ(report.node, "eu");
  EXPECT_EQ(report.on_expiry, OnExpiry::kHold);
  EXPECT_EQ(report.started_at, WallMs{kStart});
  EXPECT_EQ(report.lease_until, WallMs{kStart} + 10s);
  EXPECT_FALSE(report.completed_at || report.response_until || report.seen_until || report.response);
  EXPECT_FALSE(report.fingerprint_matches.has_value());
  pass(10s);
  EXPECT_EQ(eu_.get("o")->state, State::kUnknown);
  EXPECT_EQ(eu_.get("o")->lease_until, WallMs{kStart} + 10s);
}

TEST_F(Reports, ACompletedOneShowsItsResponsesShape) {
  Go go = eu_.go("o", {.on_expiry = OnExpiry::kHold});
  pass(5s);
  Completion completion = responding("12345");
  completion.response->status = 418;
  completion.response_ttl = 1h;
  completion.seen_ttl = 2h;
  eu_.complete("o", go.token, completion).value();
  meet();
  Report report = *us_.get("o");
  EXPECT_EQ(report.state, State::kCompleted);
  EXPECT_EQ(report.node, "eu");
  EXPECT_EQ(report.on_expiry, OnExpiry::kHold);
  EXPECT_EQ(report.started_at, WallMs{kStart});
  EXPECT_EQ(report.completed_at, WallMs{kStart} + 5s);
  EXPECT_EQ(report.response_until, WallMs{kStart} + 5s + 1h);
  EXPECT_EQ(report.seen_until, WallMs{kStart} + 5s + 2h);
  ASSERT_TRUE(report.response.has_value());
  EXPECT_EQ(report.response->status, 418u);
  EXPECT_EQ(report.response->content_type, "text/plain");
  EXPECT_EQ(report.response->size, 5u);
  EXPECT_FALSE(report.lease_until.has_value());
  pass(90min);
  EXPECT_EQ(us_.get("o")->state, State::kSeen);
  pass(1h);
  EXPECT_FALSE(us_.get("o").has_value());
}

TEST_F(Reports, SayWhetherAPayloadMatchesOnlyWhenAsked) {
  eu_.go("o");
  EXPECT_EQ(eu_.get("o", "payload")->fingerprint_matches, true);
  EXPECT_EQ(eu_.get("o", "other")->fingerprint_matches, false);
  eu_.complete("o", eu_.go("p").token, responding("r")).error();
  eu_.execute("q", responding("r")).value();
  EXPECT_EQ(eu_.get("q", "payload")->fingerprint_matches, true);
  EXPECT_EQ(eu_.get("q", "other")->fingerprint_matches, false);
}

TEST_F(Reports, NameTheScope) {
  eu_.terms.rules.scope = {Scope::Kind::kHome, "eu"};
  eu_.go("o");
  eu_.terms.rules.scope = {};
  EXPECT_EQ(format_scope(eu_.get("o")->scope), "home:eu");
}

TEST(StateNames, ComeBackAsTheyWere) {
  for (State state : {State::kAbsent, State::kRunning, State::kUnknown, State::kCompleted, State::kSeen}) {
    EXPECT_EQ(parse_state(state_name(state)), state);
  }
  EXPECT_EQ(parse_state("Running"), std::nullopt);
}

}  // namespace
}  // namespace refrain::idempotency
