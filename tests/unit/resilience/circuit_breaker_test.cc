// SPDX-License-Identifier: Apache-2.0
#include "resilience/circuit_breaker.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace refrain::resilience {
namespace {

using State = CircuitBreaker::State;
constexpr CircuitBreaker::Policy kPolicy{3, Milliseconds{30'000}};

SteadyNs at(std::int64_t seconds) {
  return {seconds * 1'000'000'000};
}

CircuitBreaker opened_at(std::int64_t seconds) {
  CircuitBreaker breaker(kPolicy);
  for (int i = 0; i < 3; ++i) breaker.failed(at(seconds), "refused");
  return breaker;
}

TEST(CircuitBreaker, StaysClosedBelowTheNumberOfFailures) {
  CircuitBreaker breaker(kPolicy);
  breaker.failed(at(1), "refused");
  breaker.failed(at(2), "refused");
  EXPECT_EQ(breaker.state(at(2)), State::kClosed);
  EXPECT_TRUE(breaker.allows(at(2)));
}

TEST(CircuitBreaker, OpensWithTheLastOfThem) {
  CircuitBreaker breaker = opened_at(1);
  EXPECT_EQ(breaker.state(at(1)), State::kOpen);
  EXPECT_FALSE(breaker.allows(at(30)));
  EXPECT_EQ(breaker.half_opens_at(at(30)), at(31));
}

TEST(CircuitBreaker, OnlyFailuresInARowCount) {
  CircuitBreaker breaker(kPolicy);
  for (int i = 0; i < 10; ++i) {
    breaker.failed(at(i), "refused");
    breaker.failed(at(i), "refused");
    breaker.succeeded();
  }
  EXPECT_EQ(breaker.state(at(10)), State::kClosed);
}

TEST(CircuitBreaker, IsHalfOpenAfterItsTimeAndClosesOnSuccess) {
  CircuitBreaker breaker = opened_at(1);
  EXPECT_EQ(breaker.state(at(31)), State::kHalfOpen);
  EXPECT_TRUE(breaker.allows(at(31)));
  EXPECT_EQ(breaker.half_opens_at(at(31)), std::nullopt);
  breaker.succeeded();
  EXPECT_EQ(breaker.state(at(31)), State::kClosed);
  EXPECT_FALSE(breaker.trouble());
}

TEST(CircuitBreaker, OneFailureWhileHalfOpenOpensItAgainForTheWholeTime) {
  CircuitBreaker breaker = opened_at(1);
  breaker.failed(at(40), "still refused");
  EXPECT_EQ(breaker.state(at(69)), State::kOpen);
  EXPECT_EQ(breaker.state(at(70)), State::kHalfOpen);
}

TEST(CircuitBreaker, ALateReportWhileOpenDoesNotKeepItOpenForLonger) {
  CircuitBreaker breaker = opened_at(1);
  breaker.failed(at(20), "late");
  EXPECT_EQ(breaker.state(at(31)), State::kHalfOpen);
}

TEST(CircuitBreaker, AnOperatorMayCutTheTimeShort) {
  CircuitBreaker breaker = opened_at(1);
  breaker.retry_now();
  EXPECT_EQ(breaker.state(at(2)), State::kHalfOpen);
  breaker.failed(at(2), "refused");
  EXPECT_EQ(breaker.state(at(31)), State::kOpen);
  EXPECT_EQ(breaker.state(at(32)), State::kHalfOpen);
}

TEST(CircuitBreaker, TheOperatorsWordForgetsNoFailureOfAClosedOne) {
  CircuitBreaker breaker(kPolicy);
  breaker.failed(at(1), "refused");
  breaker.failed(at(1), "refused");
  breaker.retry_now();
  EXPECT_EQ(breaker.state(at(1)), State::kClosed);
  breaker.failed(at(1), "refused");
  EXPECT_EQ(breaker.state(at(1)), State::kOpen);
}

TEST(CircuitBreaker, NamesTheNewestErrorAndWhenTheTroubleBegan) {
  CircuitBreaker breaker(kPolicy);
  EXPECT_FALSE(breaker.trouble());
  breaker.failed(at(5), "refused");
  breaker.failed(at(9), "timed out");
  ASSERT_TRUE(breaker.trouble());
  EXPECT_EQ(breaker.trouble()->error, "timed out");
  EXPECT_EQ(breaker.trouble()->since, at(5));
  EXPECT_EQ(breaker.trouble()->failures, 2u);
}

RC_GTEST_PROP(CircuitBreaker, LetsAtMostTheLimitFailBeforeEachPause,
              (const std::vector<std::uint8_t>& steps)) {
  CircuitBreaker breaker(kPolicy);
  SteadyNs now = at(1);
  std::uint32_t failed_in_a_row = 0;
  for (std::uint8_t step : steps) {
    now = now + Milliseconds{step * 100};
    if (!breaker.allows(now)) continue;
    bool half_open = breaker.state(now) == State::kHalfOpen;
    RC_ASSERT(half_open == (failed_in_a_row >= kPolicy.failures));
    if (step % 4 == 0) {
      breaker.succeeded();
      failed_in_a_row = 0;
    } else {
      breaker.failed(now, "refused");
      ++failed_in_a_row;
    }
    RC_ASSERT((breaker.state(now) == State::kOpen) == (failed_in_a_row >= kPolicy.failures));
  }
}

}  // namespace
}  // namespace refrain::resilience
