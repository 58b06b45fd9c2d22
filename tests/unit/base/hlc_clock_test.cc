// SPDX-License-Identifier: Apache-2.0
#include "base/hlc_clock.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace refrain {
namespace {

constexpr Milliseconds kDrift{500};

TEST(HlcClock, TakesTheWallWhenItIsAhead) {
  HlcClock clock({}, kDrift);
  EXPECT_EQ(clock.mint({1000}).value(), Hlc::of({1000}));
}

TEST(HlcClock, CountsWithinOneMillisecond) {
  HlcClock clock({}, kDrift);
  (void)clock.mint({1000});
  EXPECT_EQ(clock.mint({1000}).value(), Hlc::of({1000}, 1));
  EXPECT_EQ(clock.mint({999}).value(), Hlc::of({1000}, 2));
}

TEST(HlcClock, CarriesIntoTheMillisecondsAfter65536) {
  HlcClock clock(Hlc::of({1000}, 65'535), kDrift);
  EXPECT_EQ(clock.mint({1000}).value(), Hlc::of({1001}, 0));
}

TEST(HlcClock, RefusesToMintWhenTheWallIsMoreThanTheDriftBehind) {
  HlcClock clock(Hlc::of({1500}), kDrift);
  EXPECT_EQ(clock.mint({1000}).value(), Hlc::of({1500}, 1));
  auto refused = clock.mint({999});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kUnavailable);
  EXPECT_EQ(refused.error().slug, "clock_drift");
  EXPECT_EQ(refused.error().retry_after_ms, 1);
  EXPECT_EQ(clock.last(), Hlc::of({1500}, 1));
}

TEST(HlcClock, MintsAboveWhatItObserved) {
  HlcClock clock({}, kDrift);
  clock.observe(Hlc::of({1200}, 7));
  clock.observe(Hlc::of({1100}));
  EXPECT_EQ(clock.mint({1000}).value(), Hlc::of({1200}, 8));
}

TEST(HlcClock, SaysWhichRemoteIsTooFarAhead) {
  HlcClock clock({}, kDrift);
  EXPECT_FALSE(clock.too_far_ahead(Hlc::of({1500}, 65'535), {1000}));
  EXPECT_TRUE(clock.too_far_ahead(Hlc::of({1501}), {1000}));
}

TEST(HlcClock, ItsTimeNeverGoesBehindWhatItObserved) {
  HlcClock clock(Hlc::of({1200}), kDrift);
  EXPECT_EQ(clock.now({1000}), WallMs{1200});
  EXPECT_EQ(clock.now({1300}), WallMs{1300});
}

RC_GTEST_PROP(HlcClock, EveryMintIsLargerThanAllBeforeHoweverTheWallSteps,
              (const std::vector<std::int16_t>& steps)) {
  HlcClock clock({}, kDrift);
  WallMs wall{1'000'000};
  Hlc newest{};
  for (std::int16_t step : steps) {
    wall = wall + Milliseconds{step % 400};
    auto minted = clock.mint(wall);
    RC_ASSERT(minted.has_value() == (newest.wall() - wall <= kDrift));
    if (!minted) continue;
    RC_ASSERT(*minted > newest);
    newest = *minted;
  }
}

}  // namespace
}  // namespace refrain
