// SPDX-License-Identifier: Apache-2.0
#include "idempotency/apply.h"

#include <gtest/gtest.h>

#include "tests/unit/idempotency/site.h"

namespace refrain::idempotency {
namespace {

using namespace std::chrono_literals;

class Apply : public ::testing::Test {
 protected:
  void pass(Milliseconds time) { clock_ = clock_ + time; }
  bool stored(Site& site, const Version& version) { return site.read("o", version).has_value(); }

  WallMs clock_{kStart};
  Site eu_{"eu", clock_};
  Site us_{"us", clock_};
  Site ap_{"ap", clock_};
};

TEST_F(Apply, TheMarkIsThereWhileAClaimIsOpen) {
  Go go = eu_.go("o");
  EXPECT_TRUE(eu_.marked_open("o"));
  eu_.complete("o", go.token, responding("r")).value();
  EXPECT_FALSE(eu_.marked_open("o"));
  Go other = eu_.go("p");
  eu_.release("p", other.token).value();
  EXPECT_FALSE(eu_.marked_open("p"));
  eu_.execute("q", responding("r")).value();
  EXPECT_FALSE(eu_.marked_open("q"));
}

TEST_F(Apply, TheMarkStaysWhenTheLeaseLapses) {
  eu_.go("o", {.on_expiry = OnExpiry::kHold});
  pass(100 * kDay);
  EXPECT_TRUE(eu_.marked_open("o"));
}

TEST_F(Apply, TheMarkStaysForAClaimThatIsNewerThanTheOutcome) {
  eu_.execute("o", responding("r")).value();
  pass(1ms);
  us_.go("o", {.on_expiry = OnExpiry::kHold});
  eu_.hear(us_);
  us_.hear(eu_);
  EXPECT_EQ(eu_.state("o"), "completed");
  EXPECT_TRUE(eu_.marked_open("o"));
  EXPECT_TRUE(us_.marked_open("o"));
}

TEST_F(Apply, ASweepTakesMarksAwayThatMeanNothing) {
  auto sweep = [&](const std::string& id) {
    store::Draft draft(eu_.engine());
    bool taken = *sweep_mark(draft, {"orders", id}, eu_.now());
    EXPECT_TRUE(eu_.engine().write(draft.take(), store::Durability::kSynced).has_value());
    return taken;
  };
  eu_.go("o", {.lease = 1s, .seen_ttl = 1min});
  eu_.go("held", {.lease = 1s, .on_expiry = OnExpiry::kHold, .seen_ttl = 1min});
  pass(61s - 1ms);
  EXPECT_FALSE(sweep("o"));
  pass(1ms);
  EXPECT_TRUE(sweep("o"));
  EXPECT_FALSE(eu_.marked_open("o"));
  EXPECT_FALSE(sweep("held"));
  EXPECT_TRUE(eu_.marked_open("held"));
  EXPECT_TRUE(sweep("never there"));
}

TEST_F(Apply, ASweptMarkOfARowKeptByAnotherPartIsTakenAwayToo) {
  eu_.go("o", {.lease = 1s, .seen_ttl = 1min});
  us_.release("o", us_.go("o").token).value();
  eu_.hear(us_);
  pass(61s);
  store::Draft draft(eu_.engine());
  EXPECT_TRUE(*sweep_mark(draft, {"orders", "o"}, eu_.now()));
}

TEST_F(Apply, OnlyTheWinnersResponseIsKept) {
  Completion one = responding("eu");
  Completion two = responding("us");
  Version first = eu_.complete("o", eu_.go("o").token, one)->version;
  pass(1ms);
  Version second = us_.complete("o", us_.go("o").token, two)->version;
  for (bool backwards : {false, true}) {
    Site reader(backwards ? "x" : "y", clock_);
    reader.hear(backwards ? us_ : eu_);
    reader.hear(backwards ? eu_ : us_);
    EXPECT_FALSE(stored(reader, first));
    EXPECT_TRUE(stored(reader, second));
  }
}

TEST_F(Apply, AWinnerThatIsTooLargeLeavesNoResponse) {
  Version first = eu_.complete("o", eu_.go("o").token, responding("eu"))->version;
  pass(1ms);
  Completion large;
  large.too_large = true;
  Version second = us_.complete("o", us_.go("o").token, large)->version;
  eu_.hear(us_);
  EXPECT_FALSE(stored(eu_, first));
  EXPECT_FALSE(stored(eu_, second));
  EXPECT_EQ(eu_.word("o"), "response_too_large");
}

TEST_F(Apply, ACommitAppliedTwiceChangesNothing) {
  eu_.complete("o", eu_.go("o").token, responding("r")).value();
  us_.go("o");
  ap_.hear(eu_);
  ap_.hear(us_);
  auto before = ap_.row("o");
  auto duplicates = ap_.duplicates(true);
  for (const auto& commit : eu_.journal()) {
    store::Draft draft(ap_.engine());
    for (const auto& op : commit.operations) {
      if (const auto* claim = std::get_if<store::ClaimOp>(&op)) {
        EXPECT_EQ(apply(draft, *claim, commit)->possible, 0u);
      }
      if (const auto* outcome = std::get_if<store::OutcomeOp>(&op)) {
        EXPECT_EQ(apply(draft, *outcome, commit)->certain, 0u);
      }
    }
    ASSERT_TRUE(ap_.engine().write(draft.take(), store::Durability::kSynced).has_value());
  }
  EXPECT_EQ(ap_.row("o"), before);
  EXPECT_EQ(ap_.duplicates(true), duplicates);
  EXPECT_EQ(ap_.replayed("o"), "r");
}

TEST_F(Apply, CountsWhatIsNew) {
  eu_.complete("o", eu_.go("o").token, responding("eu")).value();
  us_.complete("o", us_.go("o").token, responding("us")).value();
  eu_.hear(us_);
  EXPECT_EQ(eu_.duplicates().size(), 1u);
  EXPECT_EQ(eu_.duplicates(true).size(), 1u);
  store::Draft draft(eu_.engine());
  store::Duplicate other = eu_.duplicates()[0];
  other.loser.node = "ap";
  store::Commit commit;
  EXPECT_EQ(apply(draft, store::DuplicateOp{other}, commit)->certain, 1u);
  EXPECT_EQ(apply(draft, store::DuplicateOp{other}, commit)->certain, 0u);
  EXPECT_TRUE(*is_known(draft, other));
}

TEST_F(Apply, ANodeWritesOnlyItsOwnClaim) {
  eu_.go("o");
  store::Claim before = eu_.row("o")->claims.at("eu");
  store::Commit commit;
  commit.node = "us";
  commit.hlc = {before.go.value + 100};
  store::ClaimOp op{"orders", "o", "eu", before};
  op.claim.go = commit.hlc;
  store::Draft draft(eu_.engine());
  ASSERT_TRUE(apply(draft, op, commit).has_value());
  ASSERT_TRUE(eu_.engine().write(draft.take(), store::Durability::kSynced).has_value());
  EXPECT_EQ(eu_.row("o")->claims.at("eu"), before);
  EXPECT_TRUE(eu_.row("o")->claims.contains("us"));
}

TEST_F(Apply, ARowPastItsEndMeansTheSameWhetherItIsStillThereOrNot) {
  Completion brief = responding("old");
  brief.seen_ttl = 1h;
  auto token = eu_.go("o", {.lease = 1s, .seen_ttl = 1h}).token;
  Version old = eu_.complete("o", token, brief)->version;
  for (Site* site : {&us_, &ap_}) site->hear(eu_);
  pass(1h + 1s);
  us_.compact();
  ASSERT_EQ(us_.row("o"), std::nullopt);
  ASSERT_NE(ap_.row("o"), std::nullopt);
  EXPECT_EQ(us_.state("o"), ap_.state("o"));
  Go next = eu_.go("o", {.payload = "other"});
  EXPECT_EQ(next.attempt, 1u);
  for (Site* site : {&us_, &ap_}) site->hear(eu_);
  EXPECT_EQ(us_.row("o"), ap_.row("o"));
  EXPECT_FALSE(stored(ap_, old));
  EXPECT_TRUE(ap_.duplicates().empty());
}

TEST_F(Apply, FailingReadsAreSaid) {
  eu_.go("o");
  auto op = std::get<store::ClaimOp>(eu_.journal().back().operations[0]);
  store::SimDisk disk;
  auto engine = std::move(*store::SimEngine::open(disk));
  disk.fail_reads(true);
  store::Draft draft(*engine);
  EXPECT_FALSE(apply(draft, op, eu_.journal().back()).has_value());
  EXPECT_FALSE(sweep_mark(draft, {"orders", "o"}, eu_.now()).has_value());
  EXPECT_FALSE(read_response(draft, "orders", "o", {}).has_value());
}

}  // namespace
}  // namespace refrain::idempotency
