// SPDX-License-Identifier: Apache-2.0
#include "replication/scope_agreement.h"

#include <gtest/gtest.h>

#include "members_history.h"

namespace refrain::replication {
namespace {

const Journal kEu{"eu", {1}};
const Journal kUs{"us", {2}};
const Journal kAp{"ap", {3}};

/// Seen from us, whose configuration says home:us. All began with home:eu.
class HomeMoves : public testing::Test {
 protected:
  HomeMoves() {
    announce(kEu, "home:eu");
    announce(kUs, "home:eu");
    announce(kAp, "home:eu");
    for (const Journal& member : {kEu, kAp}) shows(member);
  }
  void announce(const Journal& member, const std::string& scope) {
    MembersEntry entry =
        next_entry(history_.table(), EntryKind::kUpdate, member.node, member.incarnation.value);
    if (scope != "local") entry.traits.scopes = {{"payments", scope}};
    ASSERT_TRUE(history_.take(encode_entry(entry)));
  }
  /// Its newest applied tick has read all that stands in the members log now.
  void shows(const Journal& member) { ticks_[member].tick.members_n = history_.table().n(); }
  std::string trouble(const std::string& ours = "home:us") const {
    Knowledge known{history_.table(), kUs, applied_, applied_, ticks_};
    return scope_trouble(known, "payments", ours).value_or("");
  }
  bool names(const std::string& member, const std::string& ours = "home:us") const {
    std::string said = " " + trouble(ours);
    return said.find(" " + member + " has ") != std::string::npos ||
           said.find(" " + member + " had ") != std::string::npos;
  }

  History history_ = three_members();
  store::AppliedTable applied_;
  PeerTicks ticks_;
};

TEST_F(HomeMoves, WhileAnyMemberShowsAnotherScopeItIsNamed) {
  EXPECT_EQ(trouble("home:eu"), "");
  announce(kUs, "home:us");
  EXPECT_TRUE(names("ap")) << trouble();
  announce(kAp, "home:us");
  shows(kAp);
  EXPECT_TRUE(names("eu")) << trouble();
}

TEST_F(HomeMoves, WhatTheFormerHomeDecidedMustBeHereFirst) {
  announce(kUs, "home:us");
  announce(kAp, "home:us");
  shows(kAp);
  announce(kEu, "home:us");
  EXPECT_TRUE(names("eu")) << "its goes may be on their way: " << trouble();
  shows(kEu);
  EXPECT_EQ(trouble(), "");
}

TEST_F(HomeMoves, ANodeThatHasNotAnnouncedItsOwnScopeSaysNoGo) {
  announce(kAp, "home:us");
  announce(kEu, "home:us");
  for (const Journal& member : {kEu, kAp}) shows(member);
  EXPECT_TRUE(names("us")) << trouble();
  announce(kUs, "home:us");
  EXPECT_EQ(trouble(), "");
}

TEST_F(HomeMoves, OfAFormerHomeThatIsOverAllUpToItsEndMustBeHere) {
  announce(kUs, "home:us");
  announce(kAp, "home:us");
  shows(kAp);
  ASSERT_TRUE(history_.add(EntryKind::kEvict, "eu", 1));
  EXPECT_TRUE(names("eu")) << "nobody has said how far it goes";
  ASSERT_TRUE(history_.last("us", 2, 1, 9));
  ASSERT_TRUE(history_.last("ap", 3, 1, 7));
  applied_[kEu] = {{8}, Hlc::of({8})};
  EXPECT_TRUE(names("eu")) << "commit 9 is not here";
  applied_[kEu] = {{9}, Hlc::of({9})};
  EXPECT_EQ(trouble(), "");
}

TEST_F(HomeMoves, OfOneThatChangedAndThenLostItsDiskTheSame) {
  announce(kEu, "home:us");
  announce(kUs, "home:us");
  announce(kAp, "home:us");
  shows(kAp);
  ASSERT_TRUE(history_.add(EntryKind::kEvict, "eu", 1));
  EXPECT_TRUE(names("eu")) << trouble();
}

TEST_F(HomeMoves, AnotherNamespacesMoveHoldsNothing) {
  MembersEntry entry = next_entry(history_.table(), EntryKind::kUpdate, "eu", 1);
  entry.traits.scopes = {{"payments", "home:eu"}, {"other", "home:ap"}};
  ASSERT_TRUE(history_.take(encode_entry(entry)));
  EXPECT_EQ(trouble("home:eu"), "");
}

TEST_F(HomeMoves, TheDefaultOfAllNamespacesMovesEach) {
  for (const Journal& member : {kUs, kAp, kEu}) {
    MembersEntry entry =
        next_entry(history_.table(), EntryKind::kUpdate, member.node, member.incarnation.value);
    entry.traits.scopes = {{"", "home:us"}};
    ASSERT_TRUE(history_.take(encode_entry(entry)));
  }
  EXPECT_TRUE(names("ap") || names("eu")) << trouble();
  for (const Journal& member : {kEu, kAp}) shows(member);
  EXPECT_EQ(trouble(), "");
}

}  // namespace
}  // namespace refrain::replication
