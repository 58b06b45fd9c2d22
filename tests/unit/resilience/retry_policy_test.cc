// SPDX-License-Identifier: Apache-2.0
#include "resilience/retry_policy.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace refrain::resilience {
namespace {

TEST(RetryPolicy, CeilingDoublesUpToTheMaximum) {
  RetryPolicy policy{Milliseconds{1'000}, Milliseconds{10'000}};
  const std::int64_t expected[] = {1'000, 2'000, 4'000, 8'000, 10'000, 10'000};
  for (std::uint32_t failures = 1; failures <= 6; ++failures)
    EXPECT_EQ(policy.ceiling(failures).count(), expected[failures - 1]);
}

TEST(RetryPolicy, CeilingDoesNotOverflowAfterCountlessFailures) {
  RetryPolicy policy{Milliseconds{3}, Milliseconds{INT64_MAX - 1}};
  EXPECT_EQ(policy.ceiling(UINT32_MAX), policy.max);
}

TEST(RetryPolicy, PauseTakesBothEndsOfItsRange) {
  RetryPolicy policy{Milliseconds{1'000}, Milliseconds{10'000}};
  EXPECT_EQ(policy.pause(1, 0), Milliseconds{0});
  EXPECT_EQ(policy.pause(1, 1'000), Milliseconds{1'000});
  EXPECT_EQ(policy.pause(1, 1'001), Milliseconds{0});
}

TEST(RetryPolicy, ZeroPausesAreAllowed) {
  RetryPolicy policy{Milliseconds{0}, Milliseconds{10}};
  EXPECT_EQ(policy.pause(UINT32_MAX, 12345), Milliseconds{0});
}

RC_GTEST_PROP(RetryPolicy, PauseIsNeverNegativeNorAboveItsCeiling,
              (std::uint64_t random, std::uint16_t failures)) {
  RetryPolicy policy{Milliseconds{*rc::gen::inRange(0, 5'000)},
                     Milliseconds{*rc::gen::inRange(5'000, 1'000'000)}};
  auto pause = policy.pause(failures, random);
  RC_ASSERT(pause.count() >= 0);
  RC_ASSERT(pause <= policy.ceiling(failures));
  RC_ASSERT(policy.ceiling(failures) <= policy.max);
}

}  // namespace
}  // namespace refrain::resilience
