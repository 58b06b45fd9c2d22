// SPDX-License-Identifier: Apache-2.0
#include "resilience/token_bucket.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace refrain::resilience {
namespace {

constexpr Nanoseconds kTaken{0};

SteadyNs at_ms(std::int64_t ms) {
  return {ms * 1'000'000};
}

TEST(TokenBucket, GivesABurstAtOnceAndThenNothing) {
  TokenBucket bucket(10, 3);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(bucket.take(at_ms(0)), kTaken);
  EXPECT_EQ(bucket.take(at_ms(0)), Milliseconds{100});
}

TEST(TokenBucket, WhatItSaysToWaitIsExact) {
  TokenBucket bucket(3, 1);
  EXPECT_EQ(bucket.take({0}), kTaken);
  Nanoseconds wait = bucket.take({0});
  EXPECT_EQ(wait.count(), 333'333'334);
  EXPECT_NE(bucket.take({wait.count() - 1}), kTaken);
  EXPECT_EQ(bucket.take({wait.count()}), kTaken);
}

TEST(TokenBucket, FillsNoHigherThanItsBurst) {
  TokenBucket bucket(1'000'000'000, 2);
  (void)bucket.take({0}, 2);
  EXPECT_EQ(bucket.take({INT64_MAX}, 2), kTaken);
  EXPECT_NE(bucket.take({INT64_MAX}), kTaken);
}

TEST(TokenBucket, ARefusedCallTakesNothing) {
  TokenBucket bucket(1, 5);
  (void)bucket.take({0}, 3);
  EXPECT_NE(bucket.take({0}, 3), kTaken);
  EXPECT_EQ(bucket.take({0}, 2), kTaken);
}

TEST(TokenBucket, MoreThanTheBurstNeedsAFullBucket) {
  TokenBucket bucket(10, 5);
  EXPECT_EQ(bucket.take({0}, 100), kTaken);
  EXPECT_EQ(bucket.take({0}, 100), Milliseconds{500});
  EXPECT_EQ(bucket.take(at_ms(500), 100), kTaken);
}

TEST(TokenBucket, TimeThatStandsStillOrGoesBackAddsNothing) {
  TokenBucket bucket(10, 1);
  EXPECT_EQ(bucket.take(at_ms(1000)), kTaken);
  EXPECT_NE(bucket.take(at_ms(1000)), kTaken);
  EXPECT_NE(bucket.take(at_ms(500)), kTaken);
}

RC_GTEST_PROP(TokenBucket, OverAnyStretchGivesAtMostTheBurstAndTheRate,
              (const std::vector<std::uint16_t>& pauses)) {
  auto per_second = *rc::gen::inRange<std::uint64_t>(1, 5'000);
  auto burst = *rc::gen::inRange<std::uint64_t>(1, 50);
  TokenBucket bucket(per_second, burst);
  SteadyNs now{0};
  std::uint64_t given = 0;
  for (std::uint16_t pause : pauses) {
    now = now + Nanoseconds{pause * 1'000LL};
    if (bucket.take(now) == kTaken) ++given;
    RC_ASSERT(given * 1'000'000'000 <=
              burst * 1'000'000'000 + per_second * static_cast<std::uint64_t>(now.value));
  }
}

RC_GTEST_PROP(TokenBucket, WhoeverWaitsAsToldIsServed, (std::uint16_t start, std::uint8_t tokens)) {
  TokenBucket bucket(*rc::gen::inRange<std::uint64_t>(1, 1'000'000'001),
                     *rc::gen::inRange<std::uint64_t>(1, 1'000));
  (void)bucket.take({start}, 1'000);
  Nanoseconds wait = bucket.take({start}, tokens);
  RC_ASSERT(wait == kTaken || bucket.take({start + wait.count() - 1}, tokens) != kTaken);
  RC_ASSERT(wait == kTaken || bucket.take({start + wait.count()}, tokens) == kTaken);
}

}  // namespace
}  // namespace refrain::resilience
