// SPDX-License-Identifier: Apache-2.0
#include "idempotency/waiters.h"

#include <gtest/gtest.h>

#include <set>

namespace refrain::idempotency {
namespace {

struct Call {
  int name = 0;
  bool* is_gone = nullptr;
  bool gone() const { return is_gone && *is_gone; }
};

const store::RequestId kId{"orders", "o"};
const store::RequestId kOther{"orders", "p"};
constexpr SteadyNs kLate{1'000'000};

class WaitersTest : public ::testing::Test {
 protected:
  void add(int name, SteadyNs deadline = kLate, bool* gone = nullptr, const store::RequestId& id = kId) {
    ASSERT_TRUE(waiters_.add(id, {name, gone}, deadline, WallMs{100}).has_value());
  }
  /// Asks, and answers each that may go as `kinds` says, in order; of the others those in `refused_`.
  std::vector<int> settle(std::vector<Asked::Kind> kinds, WallMs look_again = {200}) {
    std::vector<int> asked;
    waiters_.settle(kId, [&](Call& call, bool may_go) {
      if (!may_go) return Asked{refused_.contains(call.name) ? kAnswered : kStillWaits, {999}};
      asked.push_back(call.name);
      return Asked{kinds.at(asked.size() - 1), look_again};
    });
    return asked;
  }
  static std::vector<int> names(const std::vector<std::pair<store::RequestId, Call>>& calls) {
    std::vector<int> out;
    for (const auto& [id, call] : calls) out.push_back(call.name);
    return out;
  }

  using enum Asked::Kind;
  Waiters<Call> waiters_{3};
  std::set<int> refused_;
};

TEST_F(WaitersTest, AfterAReleaseExactlyOneGoesTheFirst) {
  add(1);
  add(2);
  add(3);
  EXPECT_EQ(settle({kWent}), std::vector<int>{1});
  EXPECT_EQ(waiters_.size(), 2u);
  EXPECT_EQ(settle({kStillWaits}), std::vector<int>{2}) << "the new run holds the claim now";
  EXPECT_EQ(settle({kWent}), std::vector<int>{2});
  EXPECT_EQ(settle({kWent}), std::vector<int>{3});
  EXPECT_EQ(settle({}), std::vector<int>{});
}

TEST_F(WaitersTest, ACompletionAnswersAll) {
  add(1);
  add(2);
  add(3);
  EXPECT_EQ(settle({kAnswered, kAnswered, kAnswered}), (std::vector<int>{1, 2, 3}));
  EXPECT_EQ(waiters_.size(), 0u);
  EXPECT_FALSE(waiters_.waits_for(kId));
}

TEST_F(WaitersTest, WhoIsRefusedIsToldAlsoBehindOneThatWentOrStillWaits) {
  add(1);
  add(2);
  add(3);
  refused_ = {2};
  EXPECT_EQ(settle({kStillWaits}), std::vector<int>{1});
  EXPECT_EQ(waiters_.size(), 2u);
  refused_ = {3};
  EXPECT_EQ(settle({kWent}), std::vector<int>{1});
  EXPECT_EQ(waiters_.size(), 0u);
  EXPECT_FALSE(waiters_.waits_for(kId));
}

TEST_F(WaitersTest, AfterABatchThatWasNotWrittenEveryRequestIsDueAgain) {
  add(1);
  settle({kStillWaits}, {500});
  EXPECT_TRUE(waiters_.due(WallMs{499}).empty());
  waiters_.look_at_all_again();
  EXPECT_EQ(waiters_.due(WallMs{0}).size(), 1u);
}

TEST_F(WaitersTest, AClosedCallNeverGoes) {
  bool gone = false;
  add(1, kLate, &gone);
  add(2);
  gone = true;
  EXPECT_EQ(settle({kWent}), std::vector<int>{2});
  EXPECT_EQ(waiters_.size(), 0u);
}

TEST_F(WaitersTest, OnesThatStillWaitKeepTheirPlace) {
  add(1);
  add(2);
  settle({kStillWaits});
  EXPECT_EQ(settle({kAnswered, kAnswered}), (std::vector<int>{1, 2}));
}

TEST_F(WaitersTest, OfOtherRequestsAreNotAsked) {
  add(1, kLate, nullptr, kOther);
  EXPECT_EQ(settle({}), std::vector<int>{});
  EXPECT_TRUE(waiters_.waits_for(kOther));
}

TEST_F(WaitersTest, MoreThanTheLimitAreOverloaded) {
  add(1);
  add(2);
  add(3, kLate, nullptr, kOther);
  auto added = waiters_.add(kId, {4, nullptr}, kLate, WallMs{100});
  ASSERT_FALSE(added.has_value());
  EXPECT_EQ(added.error().slug, "overloaded");
  EXPECT_EQ(added.error().code, Code::kUnavailable);
  EXPECT_EQ(waiters_.size(), 3u);
}

TEST_F(WaitersTest, ClosedCallsMakeRoom) {
  bool gone = false;
  add(1, kLate, &gone);
  add(2);
  add(3);
  gone = true;
  add(4);
  EXPECT_EQ(waiters_.size(), 3u);
  EXPECT_EQ(settle({kAnswered, kAnswered, kAnswered}), (std::vector<int>{2, 3, 4}));
}

TEST_F(WaitersTest, EachHasItsOwnDeadline) {
  bool gone = true;
  add(1, {30});
  add(2, {20});
  add(3, {10}, &gone);
  EXPECT_EQ(names(waiters_.take_expired({19})), std::vector<int>{})
      << "the closed one is dropped without an answer";
  EXPECT_EQ(waiters_.size(), 2u);
  EXPECT_EQ(names(waiters_.take_expired({20})), std::vector<int>{2});
  EXPECT_EQ(names(waiters_.take_expired({29})), std::vector<int>{});
  EXPECT_EQ(names(waiters_.take_expired({30})), std::vector<int>{1});
  EXPECT_FALSE(waiters_.waits_for(kId));
}

TEST_F(WaitersTest, AreDueWhenTheLeaseMayBeOver) {
  add(1);
  EXPECT_TRUE(waiters_.due({99}).empty());
  EXPECT_EQ(waiters_.due({100}), std::vector<store::RequestId>{kId});
  settle({kStillWaits}, {300});
  EXPECT_TRUE(waiters_.due({299}).empty());
  EXPECT_EQ(waiters_.due({300}).size(), 1u);
}

TEST_F(WaitersTest, TheEarliestTimeCountsWhenSeveralCome) {
  ASSERT_TRUE(waiters_.add(kId, {1, nullptr}, kLate, WallMs{500}).has_value());
  ASSERT_TRUE(waiters_.add(kId, {2, nullptr}, kLate, WallMs{400}).has_value());
  ASSERT_TRUE(waiters_.add(kId, {3, nullptr}, kLate, WallMs{600}).has_value());
  EXPECT_EQ(waiters_.due({400}).size(), 1u);
}

TEST_F(WaitersTest, AllAreTakenOutAtTheEnd) {
  add(1);
  add(2, kLate, nullptr, kOther);
  EXPECT_EQ(waiters_.take_all().size(), 2u);
  EXPECT_EQ(waiters_.size(), 0u);
}

}  // namespace
}  // namespace refrain::idempotency
