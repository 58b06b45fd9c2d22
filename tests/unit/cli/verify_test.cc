// SPDX-License-Identifier: Apache-2.0
#include "cli/verify.h"

#include <gtest/gtest.h>

namespace refrain::cli {
namespace {

constexpr const char* kNow = "2026-11-25T16:00:00.000Z";

ShownRow row(std::uint64_t hlc, const char* node, const char* hash = "aa", bool deleted = false) {
  return {{Hlc{hlc}, node}, hash, deleted, std::nullopt};
}
Said said(Vector vector, std::optional<ShownRow> row) {
  return {std::move(vector), kNow, std::move(row)};
}

TEST(Verify, MembersThatShowTheSameRowAreTheSame) {
  EXPECT_EQ(judge({said({{"eu", Hlc{5}}}, row(5, "eu")), said({}, row(5, "eu"))}), Verdict::kSame);
  EXPECT_EQ(judge({said({}, std::nullopt), said({}, std::nullopt)}), Verdict::kSame);
}

TEST(Verify, AMissingRowCountsOnlyWhereItsVersionIsCovered) {
  Said has = said({{"eu", Hlc{9}}}, row(5, "eu"));
  EXPECT_EQ(judge({has, said({{"eu", Hlc{5}}}, std::nullopt)}), Verdict::kDiffers);
  EXPECT_EQ(judge({has, said({{"eu", Hlc{4}}, {"us", Hlc{99}}}, std::nullopt)}), Verdict::kMoving);
  EXPECT_EQ(judge({has, said({}, std::nullopt)}), Verdict::kMoving);
}

TEST(Verify, ASmallerVersionCountsOnlyWhereTheLargerIsCovered) {
  Said larger = said({{"eu", Hlc{9}}}, row(9, "eu"));
  EXPECT_EQ(judge({said({{"eu", Hlc{9}}}, row(5, "us")), larger}), Verdict::kDiffers);
  EXPECT_EQ(judge({said({{"eu", Hlc{8}}, {"us", Hlc{50}}}, row(5, "us")), larger}), Verdict::kMoving);
}

TEST(Verify, OneVersionWithTwoContentsCountsAlways) {
  EXPECT_EQ(judge({said({}, row(5, "eu", "aa")), said({}, row(5, "eu", "bb"))}), Verdict::kDiffers);
  EXPECT_EQ(judge({said({}, row(5, "eu")), said({}, row(5, "eu", "aa", true))}), Verdict::kDiffers);
}

TEST(Verify, ATombstoneAndNothingAreTheSameButNotATombstoneAndAValue) {
  Vector all{{"eu", Hlc{9}}};
  EXPECT_EQ(judge({said(all, row(9, "eu", "", true)), said(all, std::nullopt)}), Verdict::kSame);
  EXPECT_EQ(judge({said(all, row(9, "eu", "", true)), said(all, row(5, "us"))}), Verdict::kDiffers);
}

TEST(Verify, AnExpiredRowThatOneHasForgottenIsNoDifference) {
  Vector all{{"eu", Hlc{9}}};
  ShownRow expired = row(9, "eu");
  expired.expires_at = "2026-11-25T15:59:59.999Z";
  EXPECT_EQ(judge({said(all, expired), said(all, std::nullopt)}), Verdict::kSame);
  expired.expires_at = "2026-11-25T16:00:00.001Z";
  EXPECT_EQ(judge({said(all, expired), said(all, std::nullopt)}), Verdict::kDiffers);
}

TEST(Verify, OfThreeOneThatDiffersIsEnoughAndOneOnItsWayIsNot) {
  Said has = said({{"eu", Hlc{9}}}, row(5, "eu"));
  Said lags = said({{"eu", Hlc{4}}}, std::nullopt);
  Said lost = said({{"eu", Hlc{6}}}, std::nullopt);
  EXPECT_EQ(judge({lags, has, lost}), Verdict::kDiffers);
  EXPECT_EQ(judge({lags, has, has}), Verdict::kMoving);
}

}  // namespace
}  // namespace refrain::cli
