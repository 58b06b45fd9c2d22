// SPDX-License-Identifier: Apache-2.0
// Draft, the rows of family default, and the outbox.
#include <gtest/gtest.h>

#include "base/text.h"
#include "store/draft.h"
#include "store/meta.h"
#include "store/outbox.h"
#include "store/sim_engine.h"

namespace refrain::store {
namespace {

class SmallRows : public testing::Test {
 protected:
  void flush() {
    ASSERT_TRUE(engine_->write(draft_.take(), Durability::kSynced));
    draft_.clear();
  }
  SimDisk disk_;
  std::unique_ptr<SimEngine> engine_ = std::move(*SimEngine::open(disk_));
  Draft draft_{*engine_};
};

TEST_F(SmallRows, ADraftShowsItsChangesOnTopOfTheStore) {
  draft_.put(Family::kKv, "a", "1");
  draft_.put(Family::kKv, "b", "1");
  flush();
  EXPECT_TRUE(draft_.empty());
  draft_.put(Family::kKv, "a", "2");
  draft_.remove(Family::kKv, "b");
  draft_.put(Family::kKv, "c", "3");
  EXPECT_EQ(**draft_.get(Family::kKv, "a"), "2");
  EXPECT_FALSE(draft_.get(Family::kKv, "b")->has_value());
  EXPECT_EQ(**draft_.get(Family::kKv, "c"), "3");
  EXPECT_FALSE(draft_.get(Family::kOpen, "a")->has_value());
  EXPECT_EQ(**engine_->get(Family::kKv, "a"), "1");
}

TEST_F(SmallRows, ADraftReadsARowOnceAndSeesItsOwnChangesFirst) {
  draft_.put(Family::kKv, "a", "1");
  flush();
  EXPECT_EQ(**draft_.get(Family::kKv, "a"), "1");
  EXPECT_EQ(*draft_.get(Family::kKv, "b"), std::nullopt);
  Batch around;  // which nobody may do while the draft is open
  around.put(Family::kKv, "a", "2");
  around.put(Family::kKv, "b", "2");
  ASSERT_TRUE(engine_->write(around, Durability::kSynced));
  EXPECT_EQ(**draft_.get(Family::kKv, "a"), "1");
  EXPECT_EQ(*draft_.get(Family::kKv, "b"), std::nullopt);
  draft_.remove(Family::kKv, "a");
  EXPECT_EQ(*draft_.get(Family::kKv, "a"), std::nullopt);
  draft_.clear();
  EXPECT_EQ(**draft_.get(Family::kKv, "a"), "2");
  EXPECT_EQ(**draft_.get(Family::kKv, "b"), "2");
}

TEST_F(SmallRows, ADraftsBatchHoldsTheLastChangeOfEachKey) {
  draft_.put(Family::kKv, "a", "1");
  draft_.remove(Family::kKv, "a");
  draft_.put(Family::kKv, "a", "2");
  Batch batch = draft_.take();
  EXPECT_EQ(batch.changes().size(), 1u);
  EXPECT_EQ(batch.changes()[0].value, "2");
  EXPECT_TRUE(draft_.empty());
  EXPECT_TRUE(draft_.take().empty());
  EXPECT_EQ(draft_.bytes(), 0u);
}

TEST_F(SmallRows, AReadErrorComesThroughTheDraft) {
  disk_.fail_reads(true);
  EXPECT_FALSE(draft_.get(Family::kKv, "a"));
  draft_.put(Family::kKv, "a", "1");
  EXPECT_TRUE(draft_.get(Family::kKv, "a"));
}

TEST_F(SmallRows, RowsThatAreNotThereHaveTheirZeroes) {
  EXPECT_FALSE(Meta::identity(*engine_)->has_value());
  EXPECT_EQ(*Meta::hlc(*engine_), Hlc{});
  EXPECT_EQ(*Meta::published(*engine_), Seq{});
  EXPECT_TRUE(Meta::applied(*engine_)->empty());
  EXPECT_TRUE(Meta::members(*engine_)->empty());
}

TEST_F(SmallRows, ADamagedRowIsAnErrorWithItsName) {
  for (std::string bytes : {"", "\x02", "\x01", "\x01way too long for a number"}) {
    draft_.put(Family::kDefault, "hlc", bytes);
    flush();
    auto read = Meta::hlc(*engine_);
    ASSERT_FALSE(read) << bytes;
    EXPECT_EQ(read.error().code, Code::kCorrupt);
    EXPECT_NE(read.error().detail.find("hlc"), std::string::npos);
  }
  draft_.put(Family::kDefault, "applied/eu", "\x01" + std::string(16, 0));
  flush();
  EXPECT_FALSE(Meta::applied(*engine_)) << "a journal without an incarnation";
}

TEST_F(SmallRows, AHoleInTheMembersLogIsAnError) {
  Meta::set_member(draft_, 1, "one");
  Meta::set_member(draft_, 2, "two");
  flush();
  EXPECT_EQ(*Meta::members(*engine_), (std::vector<std::string>{"one", "two"}));
  Meta::remove_member(draft_, 1);
  flush();
  EXPECT_FALSE(Meta::members(*engine_));
}

TEST_F(SmallRows, MoreThanSixteenMembersEntriesComeInTheirOrder) {
  for (std::uint64_t n = 1; n <= 300; ++n) Meta::set_member(draft_, n, std::to_string(n));
  flush();
  auto members = *Meta::members(*engine_);
  ASSERT_EQ(members.size(), 300u);
  EXPECT_EQ(members[255], "256");
}

class OutboxRows : public SmallRows {
 protected:
  void append(std::uint64_t from, std::uint64_t to) {
    for (std::uint64_t seq = from; seq <= to; ++seq)
      outbox_.append(draft_, {seq}, "commit" + std::to_string(seq));
    flush();
  }
  void expect_counts_as_one_pass() {
    Outbox counted;
    ASSERT_TRUE(counted.load(*engine_)) << "no counts are kept: it counts";
    EXPECT_EQ(counted.stats().commits, outbox_.stats().commits);
    EXPECT_EQ(counted.stats().bytes, outbox_.stats().bytes);
    EXPECT_EQ(counted.stats().lowest, outbox_.stats().lowest);
    outbox_.put_counts(draft_);
    flush();
    Outbox kept;
    ASSERT_TRUE(kept.load(*engine_));
    EXPECT_EQ(kept.stats(), outbox_.stats());
    draft_.remove(Family::kDefault, "outbox");
    flush();
  }
  Outbox outbox_;
};

TEST_F(OutboxRows, GiveTheExactBytesInOrderOfSeq) {
  append(250, 260);  // over a byte's border
  auto rows = *Outbox::read(*engine_, {255}, 3, 1 << 20);
  ASSERT_EQ(rows.size(), 3u);
  EXPECT_EQ(rows[0].seq, Seq{255});
  EXPECT_EQ(rows[1].bytes, "commit256");
  EXPECT_EQ(Outbox::read(*engine_, {255}, 100, 10)->size(), 2u) << "passed by at most one row";
  EXPECT_EQ(**Outbox::get(*engine_, {251}), "commit251");
  EXPECT_FALSE(Outbox::get(*engine_, {999})->has_value());
}

TEST_F(OutboxRows, AreDroppedFromTheFrontAFewAtATimeAndCountedRight) {
  append(1, 10);
  ASSERT_TRUE(outbox_.drop_up_to(draft_, {6}, 4));
  ASSERT_TRUE(outbox_.drop_up_to(draft_, {6}, 1));  // again before the write
  flush();
  EXPECT_EQ(outbox_.stats().lowest, Seq{6});
  expect_counts_as_one_pass();
  ASSERT_TRUE(outbox_.drop_up_to(draft_, {6}, 100));
  flush();
  EXPECT_EQ(outbox_.stats().commits, 4u);
  expect_counts_as_one_pass();
  ASSERT_TRUE(outbox_.drop_up_to(draft_, {3}, 100));  // nothing left there
  ASSERT_TRUE(outbox_.drop_up_to(draft_, {10}, 100));
  flush();
  EXPECT_FALSE(outbox_.stats().lowest);
  expect_counts_as_one_pass();
  append(11, 12);
  EXPECT_EQ(outbox_.stats().lowest, Seq{11});
  expect_counts_as_one_pass();
}

std::string outbox_key(char seq) {
  return std::string(7, '\0') + seq;
}

TEST_F(OutboxRows, KeptCountsAreBelievedWithoutACountAndDamagedOnesAreNot) {
  append(1, 3);
  outbox_.put_counts(draft_);
  draft_.remove(Family::kOutbox, outbox_key(2));  // behind its back
  flush();
  Outbox kept;
  ASSERT_TRUE(kept.load(*engine_));
  EXPECT_EQ(kept.stats().commits, 3u);
  EXPECT_EQ(hex_encode(**engine_->get(Family::kDefault, "outbox")),
            "01"
            "0000000000000003"
            "0000000000000015"
            "0000000000000001"
            "0000000000000004");
  draft_.put(Family::kDefault, "outbox", "garbage");
  flush();
  EXPECT_EQ(kept.load(*engine_).error().code, Code::kCorrupt);
}

TEST_F(OutboxRows, CountsThatAProgramWithoutThemLeftBehindAreNotBelieved) {
  append(1, 3);
  outbox_.put_counts(draft_);
  draft_.put(Family::kOutbox, outbox_key(4), "later");
  flush();
  Outbox appended;
  ASSERT_TRUE(appended.load(*engine_));
  EXPECT_EQ(appended.stats().commits, 4u);
  draft_.remove(Family::kOutbox, outbox_key(4));
  draft_.remove(Family::kOutbox, outbox_key(1));
  flush();
  Outbox dropped;
  ASSERT_TRUE(dropped.load(*engine_));
  EXPECT_EQ(dropped.stats().commits, 2u);
  EXPECT_EQ(dropped.stats().lowest, Seq{2});
}

TEST_F(OutboxRows, VoidCommitsAreKeptAside) {
  Outbox::keep_aside(draft_, {1}, {5}, "void");
  Outbox::keep_aside(draft_, {1}, {6}, "void");
  flush();
  EXPECT_EQ(*Outbox::count_aside(*engine_), 2u);
}

TEST_F(OutboxRows, VoidCommitsAreReadInPagesAndWhereTheyBeginIsNoneOfThem) {
  Outbox::set_void_start(draft_, {2}, {{5}, {70}});
  for (std::uint64_t seq : {5, 6, 7}) Outbox::keep_aside(draft_, {2}, {seq}, "void");
  Outbox::keep_aside(draft_, {9}, {1}, "void");
  flush();
  EXPECT_EQ(*Outbox::count_aside(*engine_), 4u);
  auto first = Outbox::read_aside(*engine_, {}, {}, 2, 1000);
  ASSERT_TRUE(first);
  ASSERT_EQ(first->size(), 2u);
  EXPECT_EQ(first->at(0).seq, Seq{5});
  auto second = Outbox::read_aside(*engine_, first->back().incarnation, first->back().seq, 100, 1000);
  ASSERT_EQ(second->size(), 2u);
  EXPECT_EQ(second->at(0).seq, Seq{7});
  EXPECT_EQ(second->at(1).incarnation, Incarnation{9});
  EXPECT_EQ(Outbox::read_aside(*engine_, {}, {}, 100, 1)->size(), 1u) << "bounded by bytes";
  EXPECT_EQ(*Outbox::void_start(*engine_, {2}), (VoidStart{{5}, {70}}));
  EXPECT_EQ(*Outbox::void_start(*engine_, {9}), std::nullopt);
  draft_.put(Family::kAside, std::string(7, '\0') + '\x02' + std::string(8, '\0'), "garbage");
  flush();
  EXPECT_EQ(Outbox::void_start(*engine_, {2}).error().code, Code::kCorrupt);
}

TEST_F(OutboxRows, WhatIsVoidAndWorthKeepingGoesAsideAFewAtATimeAndIsNoLongerCounted) {
  auto not_seven = [](std::string_view bytes) { return bytes != "commit7"; };
  append(1, 10);
  EXPECT_TRUE(*outbox_.move_aside(draft_, {1}, {6}, 3, not_seven));
  flush();
  EXPECT_FALSE(*outbox_.move_aside(draft_, {1}, {6}, 100, not_seven));
  flush();
  EXPECT_EQ(*Outbox::count_aside(*engine_), 4u);
  EXPECT_FALSE(*Outbox::is_aside(*engine_, {"eu", {1}, {7}}));
  EXPECT_EQ(outbox_.stats().commits, 5u);
  EXPECT_EQ(outbox_.stats().lowest, Seq{1});
  expect_counts_as_one_pass();
  EXPECT_FALSE(*outbox_.move_aside(draft_, {1}, {1}, 100, not_seven));
  flush();
  EXPECT_EQ(outbox_.stats().lowest, std::nullopt);
  expect_counts_as_one_pass();
}

}  // namespace
}  // namespace refrain::store
