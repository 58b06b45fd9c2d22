// SPDX-License-Identifier: Apache-2.0
// Apply, duplicate, gap: each decision on a record; each reason to park and the way out of it, cursors that
// are lost, and the node's own topic.
#include "replication/journal_reader.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "replication/codec.h"
#include "replication/memory_broker.h"
#include "replication/memory_log.h"

namespace refrain::replication {
namespace {

constexpr ClusterId kCluster{7};
constexpr Incarnation kInc{0xE1};
constexpr WallMs kWall{1'000'000};
const Journal kEu{"eu", kInc};

store::Commit commit_of(std::uint64_t seq, const std::string& value = "v", Incarnation incarnation = kInc) {
  store::Commit commit{"eu", incarnation, {seq}, Hlc::of(kWall, static_cast<std::uint16_t>(seq)),
                       {},   false,       {},    {}};
  commit.operations.push_back(store::Put{"orders", "k", value, {}, {}});
  return commit;
}

store::Commit tick_of(std::uint64_t seq) {
  store::Commit commit = commit_of(seq);
  commit.operations.clear();
  commit.tick.emplace();
  commit.tick->gaps[{"us", {0xA1}}] = {5};
  commit.tick->lowest_kept = {2};
  commit.tick->applied[kEu] = {{seq}, commit.hlc};
  return commit;
}

std::string bytes_of(const store::Commit& commit, ClusterId cluster = kCluster) {
  return encode(commit, cluster);
}

class JournalReaderTest : public ::testing::Test {
 protected:
  JournalReaderTest() {
    broker_->make_topic("t");
    members_[kEu] = {IncarnationState::kActive, 1, {}, {}, {}};
    open();
  }

  void open(std::optional<StoredCursor> cursor = std::nullopt) { reader_.emplace(log_, "t", "eu", cursor); }

  void write(const store::Commit& commit) { broker_->inject("t", bytes_of(commit)); }
  void write_all(std::initializer_list<std::uint64_t> seqs) {
    for (std::uint64_t seq : seqs) write(commit_of(seq));
  }

  PollFacts facts() {
    PollFacts facts;
    facts.now = now_;
    facts.here = {kCluster, wall_, Milliseconds{500}, floor_};
    facts.incarnation = [this](const Journal& journal) { return of(journal); };
    facts.own = own_;
    return facts;
  }
  IncarnationFacts of(const Journal& journal) {
    IncarnationFacts found = members_[journal];
    for (const auto& [other, known] : members_) {
      if (known.joined_n <= found.joined_n) found.newest_hlc = std::max(found.newest_hlc, known.applied.hlc);
    }
    return found;
  }

  /// What the node does with a poll: applies, stores the cursor.
  std::vector<JournalEvent> poll(std::size_t max_records = 1000, std::size_t max_bytes = 1 << 20) {
    auto events = reader_->poll(max_records, max_bytes, facts());
    for (const JournalEvent& event : events) {
      if (const auto* apply = std::get_if<ApplyEvent>(&event)) {
        members_[apply->commit.journal()].applied = {apply->commit.seq, apply->commit.hlc};
        applied_.push_back(apply->commit.seq.value);
      }
      if (const auto* position = std::get_if<PositionEvent>(&event)) cursor_ = position->cursor;
    }
    return events;
  }
  template <class T>
  static std::size_t count(const std::vector<JournalEvent>& events) {
    return static_cast<std::size_t>(std::ranges::count_if(
        events, [](const JournalEvent& event) { return std::holds_alternative<T>(event); }));
  }
  template <class T>
  static T the(const std::vector<JournalEvent>& events) {
    for (const JournalEvent& event : events) {
      if (const T* found = std::get_if<T>(&event)) return *found;
    }
    ADD_FAILURE() << "no such event";
    return T{};
  }
  using Seqs = std::vector<std::uint64_t>;

  std::shared_ptr<MemoryBroker> broker_ = std::make_shared<MemoryBroker>();
  MemoryLog log_{broker_, [] {}};
  std::map<Journal, IncarnationFacts> members_;
  std::optional<JournalReader> reader_;
  SteadyNs now_{0};
  WallMs wall_ = kWall;
  Hlc floor_;
  std::optional<OwnFacts> own_;
  Seqs applied_;
  StoredCursor cursor_;
};

TEST_F(JournalReaderTest, AppliesInSeqOrderAndStoresTheCursorBehindTheLastRecord) {
  write_all({1, 2, 3});
  auto events = poll();
  EXPECT_EQ(applied_, (Seqs{1, 2, 3}));
  EXPECT_TRUE(std::holds_alternative<PositionEvent>(events.back()));
  EXPECT_EQ(cursor_.next, Offset{3});
  EXPECT_TRUE(reader_->at_end());
}

TEST_F(JournalReaderTest, GivesNoMoreThanWasAskedForAndGoesOnWhereItStopped) {
  write_all({1, 2, 3, 4, 5});
  EXPECT_EQ(count<ApplyEvent>(poll(2)), 2u);
  EXPECT_EQ(cursor_.next, Offset{2});
  EXPECT_EQ(count<ApplyEvent>(poll(1000, 1)), 1u);  // a commit larger than max_bytes is still given
  EXPECT_EQ(cursor_.next, Offset{3});
  poll();
  EXPECT_EQ(applied_, (Seqs{1, 2, 3, 4, 5}));
}

TEST_F(JournalReaderTest, AfterRestartGoesOnFromTheStoredCursor) {
  write_all({1, 2, 3});
  poll(2);
  open(cursor_);
  poll();
  EXPECT_EQ(applied_, (Seqs{1, 2, 3}));
  EXPECT_EQ(reader_->counts().duplicates, 0u);
}

TEST_F(JournalReaderTest, PassesOverDuplicates) {
  write_all({1, 2, 1, 2, 3});
  poll();
  EXPECT_EQ(applied_, (Seqs{1, 2, 3}));
  EXPECT_EQ(reader_->counts().duplicates, 2u);
  EXPECT_FALSE(reader_->parked());
}

TEST_F(JournalReaderTest, OtherBytesUnderAnAppliedSeqParkAsClonedNode) {
  write_all({1, 2});
  write(commit_of(2, "other"));
  write_all({3});
  auto events = poll();
  EXPECT_EQ(count<ParkedEvent>(events), 1u);
  EXPECT_EQ(applied_, (Seqs{1, 2}));
  ASSERT_TRUE(reader_->parked());
  EXPECT_EQ(reader_->parked()->reason, ParkReason::kClonedNode);
  EXPECT_EQ(reader_->parked()->first_affected, Seq{2});
  EXPECT_EQ(reader_->parked()->offset, Offset{2});
  EXPECT_EQ(cursor_.next, Offset{2});  // a restart reads it again
  EXPECT_TRUE(poll().empty());         // said once
  ASSERT_TRUE(reader_->resume(Offset{2}));
  poll();
  EXPECT_EQ(applied_, (Seqs{1, 2, 3}));
}

TEST_F(JournalReaderTest, BytesAreComparedForTheNewestTenThousandOnly) {
  for (std::uint64_t seq = 1; seq <= 10'001; ++seq) write(commit_of(seq));
  write(commit_of(1, "other"));  // too long ago
  while (!reader_->at_end()) poll();
  EXPECT_FALSE(reader_->parked());
  write(commit_of(2, "other"));
  poll();
  ASSERT_TRUE(reader_->parked());
  EXPECT_EQ(reader_->parked()->first_affected, Seq{2});
}

TEST_F(JournalReaderTest, GapIsFlaggedAndReadingGoesOnUntilTheSuffixComesAgain) {
  write_all({1, 3, 4});
  poll();
  EXPECT_EQ(applied_, (Seqs{1}));
  EXPECT_EQ(reader_->gaps(), (std::map<Journal, Seq>{{kEu, {2}}}));
  EXPECT_TRUE(reader_->at_end());
  write_all({2, 3, 4, 5});
  poll();
  EXPECT_EQ(applied_, (Seqs{1, 2, 3, 4, 5}));
  EXPECT_TRUE(reader_->gaps().empty());
}

TEST_F(JournalReaderTest, APositionBehindAGapWaitsAtItSoThatARestartMeetsTheGapAgain) {
  write_all({1, 3, 4});
  poll();
  EXPECT_EQ(cursor_.next, Offset{1}) << "at the first record that was not applied";
  EXPECT_FALSE(reader_->whole());
  open(cursor_);
  poll();
  EXPECT_EQ(reader_->gaps(), (std::map<Journal, Seq>{{kEu, {2}}}));
  write_all({2, 3});
  poll();
  EXPECT_TRUE(reader_->gaps().empty()) << "nothing is to be asked for";
  EXPECT_FALSE(reader_->whole()) << "4 was read and is not applied";
  EXPECT_EQ(cursor_.next, Offset{1});
  write_all({4, 5});
  poll();
  EXPECT_TRUE(reader_->whole());
  EXPECT_EQ(cursor_.next, Offset{7});
}

TEST_F(JournalReaderTest, WhatCouldNotBeAppliedParksAlsoWhenItIsReadAgainUntilItIsResumed) {
  write_all({1, 2, 3});
  auto events = reader_->poll(1000, 1 << 20, facts());
  ASSERT_EQ(count<ApplyEvent>(events), 3u);
  reader_->refuse(Offset{1}, corrupt("a row that it meets cannot be read"));
  reader_->rewind(std::nullopt);
  poll();
  EXPECT_EQ(applied_, (Seqs{1}));
  ASSERT_TRUE(reader_->parked());
  EXPECT_EQ(reader_->parked()->reason, ParkReason::kCorrupt);
  EXPECT_EQ(reader_->parked()->offset, Offset{1});
  EXPECT_EQ(reader_->parked()->first_affected, Seq{2});
  EXPECT_EQ(reader_->parked()->detail, "a row that it meets cannot be read");
  ASSERT_TRUE(reader_->resume(std::nullopt));
  poll();
  EXPECT_EQ(applied_, (Seqs{1, 2, 3}));
}

TEST_F(JournalReaderTest, SaysWhetherItStoppedAtALimitAlsoAmongDuplicates) {
  write_all({1, 2, 3});
  poll();
  for (int i = 0; i < 3; ++i) write_all({1, 2, 3});
  poll(4);
  EXPECT_TRUE(reader_->stopped_at_limit());
  poll();
  EXPECT_FALSE(reader_->stopped_at_limit());
}

TEST_F(JournalReaderTest, SecondGapBehindAFilledOneIsFlaggedAgain) {
  write_all({1, 3, 5});
  poll();
  write_all({2, 3, 5});
  poll();
  EXPECT_EQ(applied_, (Seqs{1, 2, 3}));
  EXPECT_EQ(reader_->gaps(), (std::map<Journal, Seq>{{kEu, {4}}}));
  write_all({4, 5});
  poll();
  EXPECT_EQ(applied_, (Seqs{1, 2, 3, 4, 5}));
  EXPECT_TRUE(reader_->gaps().empty());
}

TEST_F(JournalReaderTest, OfATickBehindAGapOnlyGapFlagsAndLowestKeptAreGiven) {
  write_all({1});
  write(tick_of(3));
  auto events = poll();
  EXPECT_EQ(count<ApplyEvent>(events), 1u);
  auto tick = the<GapTickEvent>(events);
  EXPECT_EQ(tick.seq, Seq{3});
  EXPECT_EQ(tick.gaps, (std::map<Journal, Seq>{{{"us", {0xA1}}, {5}}}));
  EXPECT_EQ(tick.lowest_kept, Seq{2});
}

TEST_F(JournalReaderTest, TickInOrderIsAppliedWhole) {
  write(tick_of(1));
  auto events = poll();
  EXPECT_EQ(count<GapTickEvent>(events), 0u);
  EXPECT_TRUE(the<ApplyEvent>(events).commit.tick);
}

TEST_F(JournalReaderTest, ClockSkewParksAndGoesOnByItselfWhenOurWallCatchesUp) {
  write_all({1});
  wall_ = kWall - Milliseconds{501};
  EXPECT_EQ(count<ParkedEvent>(poll()), 1u);
  ASSERT_TRUE(reader_->parked());
  EXPECT_EQ(reader_->parked()->reason, ParkReason::kClockSkew);
  EXPECT_TRUE(applied_.empty());
  EXPECT_TRUE(poll().empty());
  wall_ = kWall - Milliseconds{500};
  EXPECT_EQ(count<UnparkedEvent>(poll()), 1u);
  EXPECT_EQ(applied_, (Seqs{1}));
  EXPECT_FALSE(reader_->parked());
}

TEST_F(JournalReaderTest, DamagedRecordParksUntilItIsSkippedAndComesAgain) {
  write_all({1, 2, 3});
  broker_->flip_bit("t", Offset{1}, 100);
  poll();
  ASSERT_TRUE(reader_->parked());
  EXPECT_EQ(reader_->parked()->reason, ParkReason::kCorrupt);
  EXPECT_NE(reader_->parked()->help.find("refrain sync resume eu --skip 1"), std::string::npos);
  EXPECT_EQ(applied_, (Seqs{1}));
  ASSERT_TRUE(reader_->resume(Offset{1}));
  poll();
  EXPECT_FALSE(reader_->parked());
  EXPECT_EQ(reader_->gaps(), (std::map<Journal, Seq>{{kEu, {2}}}));
  EXPECT_EQ(reader_->counts().skipped, 1u);
  write_all({2, 3});
  poll();
  EXPECT_EQ(applied_, (Seqs{1, 2, 3}));
}

TEST_F(JournalReaderTest, ResumeWithoutSkipReadsTheRecordAgain) {
  write_all({1, 2});
  broker_->flip_bit("t", Offset{1}, 100);
  poll();
  ASSERT_TRUE(reader_->resume(std::nullopt));
  auto events = poll();
  EXPECT_EQ(count<UnparkedEvent>(events), 1u);
  EXPECT_EQ(count<ParkedEvent>(events), 1u);  // still damaged
  broker_->flip_bit("t", Offset{1}, 100);
  ASSERT_TRUE(reader_->resume(std::nullopt));
  poll();
  EXPECT_EQ(applied_, (Seqs{1, 2}));
}

TEST_F(JournalReaderTest, SkipNamesExactlyTheParkedRecord) {
  write_all({1, 2});
  EXPECT_EQ(reader_->resume(std::nullopt).error().code, Code::kNotFound);
  broker_->flip_bit("t", Offset{0}, 100);
  poll();
  EXPECT_EQ(reader_->resume(Offset{1}).error().code, Code::kInvalid);
  EXPECT_TRUE(reader_->parked());
  poll();
  EXPECT_TRUE(applied_.empty());
}

TEST_F(JournalReaderTest, RecordOfAnUnknownFormatParksAsNewer) {
  std::string newer = bytes_of(commit_of(1));
  newer[0] = 2;
  broker_->inject("t", newer);
  poll();
  ASSERT_TRUE(reader_->parked());
  EXPECT_EQ(reader_->parked()->reason, ParkReason::kNewerFormat);
}

TEST_F(JournalReaderTest, RecordOfAnotherClusterParks) {
  broker_->inject("t", bytes_of(commit_of(1), ClusterId{8}));
  poll();
  ASSERT_TRUE(reader_->parked());
  EXPECT_EQ(reader_->parked()->reason, ParkReason::kWrongCluster);
  EXPECT_TRUE(applied_.empty());
}

TEST_F(JournalReaderTest, HlcThatDoesNotRiseParks) {
  write_all({1});
  store::Commit second = commit_of(2);
  second.hlc = commit_of(1).hlc;
  write(second);
  poll();
  ASSERT_TRUE(reader_->parked());
  EXPECT_EQ(reader_->parked()->reason, ParkReason::kClockRegressed);
}

TEST_F(JournalReaderTest, HlcRisesAcrossIncarnationsAlsoWithinOnePoll) {
  constexpr Incarnation kNewer{0xE2};
  members_[{"eu", kNewer}] = {IncarnationState::kActive, 2, {}, {}, {}};
  members_[kEu].state = IncarnationState::kOver;
  write_all({1, 2, 3});
  write(commit_of(1, "v", kNewer));  // stamped as the first of the older incarnation
  poll();
  EXPECT_EQ(applied_, (Seqs{1, 2, 3}));
  ASSERT_TRUE(reader_->parked());
  EXPECT_EQ(reader_->parked()->reason, ParkReason::kClockRegressed);
  EXPECT_EQ(reader_->parked()->journal, (Journal{"eu", kNewer}));
}

TEST_F(JournalReaderTest, NewerIncarnationMetEarlierInThePollIsHeldToWhatCameSince) {
  constexpr Incarnation kNewer{0xE2};
  members_[{"eu", kNewer}] = {IncarnationState::kActive, 2, {}, {}, {}};
  members_[kEu].state = IncarnationState::kOver;
  store::Commit second = commit_of(2, "v", kNewer);
  second.hlc = Hlc::of(kWall, 100);
  write(second);  // behind a gap
  write_all({1, 2, 3});
  write(commit_of(1, "v", kNewer));
  poll();
  ASSERT_TRUE(reader_->parked());
  EXPECT_EQ(reader_->parked()->reason, ParkReason::kClockRegressed);
}

TEST_F(JournalReaderTest, OlderIncarnationIsNotHeldToTheClockOfANewerOne) {
  constexpr Incarnation kNewer{0xE2};
  members_[{"eu", kNewer}] = {IncarnationState::kActive, 2, {}, {}, {}};
  members_[kEu].state = IncarnationState::kOver;
  store::Commit newer = commit_of(1, "v", kNewer);
  newer.hlc = Hlc::of(kWall, 100);
  write(newer);
  write_all({1});
  poll();
  EXPECT_FALSE(reader_->parked());
  EXPECT_EQ(members_[kEu].applied.seq, Seq{1});
}

TEST_F(JournalReaderTest, NewCommitAtOrBelowTheFloorParks) {
  floor_ = commit_of(1).hlc;
  write_all({1});
  poll();
  ASSERT_TRUE(reader_->parked());
  EXPECT_EQ(reader_->parked()->reason, ParkReason::kClockRegressed);
}

TEST_F(JournalReaderTest, OldDuplicateIsHeldToNeitherFloorNorClock) {
  write_all({1, 2});
  poll();
  floor_ = commit_of(2).hlc;
  wall_ = {0};
  write_all({1});
  poll();
  EXPECT_FALSE(reader_->parked());
}

TEST_F(JournalReaderTest, UnknownOrJoiningIncarnationStopsUntilTheMembersLogIsRead) {
  for (IncarnationState state : {IncarnationState::kUnknown, IncarnationState::kJoining}) {
    members_[kEu].state = state;
    if (state == IncarnationState::kUnknown) write_all({1});
    EXPECT_EQ(the<ReadMembersEvent>(poll()).journal, kEu);
    EXPECT_EQ(cursor_.next, Offset{0});
    EXPECT_TRUE(applied_.empty());
  }
  members_[kEu].state = IncarnationState::kActive;
  poll();
  EXPECT_EQ(applied_, (Seqs{1}));
}

TEST_F(JournalReaderTest, NothingBeyondTheEndOfAnIncarnationThatIsOverIsAppliedOrFlagged) {
  members_[kEu] = {IncarnationState::kOver, 1, Seq{2}, {}, {}};
  write_all({1, 2, 3, 5});
  poll();
  EXPECT_EQ(applied_, (Seqs{1, 2}));
  EXPECT_TRUE(reader_->gaps().empty());
  EXPECT_EQ(reader_->counts().beyond_end, 2u);
}

TEST_F(JournalReaderTest, GapOfAJournalThatIsOverIsNoLongerFlaggedOnceItsEndIsReached) {
  write_all({1, 3});
  poll();
  EXPECT_EQ(reader_->gaps().size(), 1u);
  members_[kEu].state = IncarnationState::kOver;
  members_[kEu].limit = Seq{1};
  poll();
  EXPECT_TRUE(reader_->gaps().empty());
}

TEST_F(JournalReaderTest, TopicMadeAnewIsReadFromItsStartAndSaid) {
  write_all({1, 2, 3});
  poll();
  broker_->delete_topic("t");
  broker_->make_topic("t");
  write_all({2, 3, 4});
  auto events = poll();
  EXPECT_EQ(count<RewoundEvent>(events), 1u);
  EXPECT_EQ(applied_, (Seqs{1, 2, 3, 4}));
  EXPECT_EQ(cursor_.next, Offset{3});
}

TEST_F(JournalReaderTest, StoredCursorOutsideTheTopicIsReadFromItsStartAndSaid) {
  write_all({1, 2, 3});
  open(StoredCursor{{100}, ""});
  EXPECT_EQ(count<RewoundEvent>(poll()), 1u);
  EXPECT_EQ(applied_, (Seqs{1, 2, 3}));
}

TEST_F(JournalReaderTest, OffsetsOfAnotherKafkaClusterMeanNothing) {
  write_all({1, 2});
  poll();
  broker_->replace_cluster();
  broker_->make_topic("t");
  write_all({1, 2, 3, 4});  // the old offset 2 would fit
  open(cursor_);
  EXPECT_EQ(count<RewoundEvent>(poll()), 1u);
  EXPECT_EQ(applied_, (Seqs{1, 2, 3, 4}));
  EXPECT_EQ(reader_->counts().duplicates, 2u);
}

TEST_F(JournalReaderTest, TopicThatIsNotThereYetIsNoNewsAndIsAskedForWithPauses) {
  broker_->delete_topic("t");
  open();
  EXPECT_TRUE(poll().empty());
  broker_->make_topic("t");
  write_all({1});
  EXPECT_TRUE(poll().empty());
  now_ = now_ + Milliseconds{250};
  EXPECT_EQ(count<RewoundEvent>(poll()), 0u);
  EXPECT_EQ(applied_, (Seqs{1}));
}

TEST_F(JournalReaderTest, WhatWasNotWrittenIsGivenAgainAfterRewind) {
  write_all({1, 2});
  auto lost = reader_->poll(1000, 1 << 20, facts());  // and the write fails
  EXPECT_EQ(count<ApplyEvent>(lost), 2u);
  reader_->rewind(std::nullopt);
  poll();
  EXPECT_EQ(applied_, (Seqs{1, 2}));
  EXPECT_FALSE(reader_->parked());
}

TEST_F(JournalReaderTest, CutOffIsSaidUntilTheLogIsBack) {
  write_all({1});
  log_.set_connected(false);
  poll();
  EXPECT_TRUE(reader_->unreachable());
  log_.set_connected(true);
  poll();
  EXPECT_FALSE(reader_->unreachable());
  EXPECT_EQ(applied_, (Seqs{1}));
}

class OwnTopic : public JournalReaderTest {
 protected:
  OwnTopic() {
    own_ = OwnFacts{
        kInc, {3}, {5}, {0}, [](Seq seq) { return std::optional(crc_of(bytes_of(commit_of(seq.value)))); }};
  }
};

TEST_F(OwnTopic, OwnCommitsAreNotAppliedButRaiseWhatIsPublished) {
  own_->published = {1};
  write_all({1, 2, 3});
  auto events = poll();
  EXPECT_EQ(count<ApplyEvent>(events), 0u);
  EXPECT_EQ(the<FoundOwnEvent>(events).up_to, Seq{3});
  EXPECT_TRUE(reader_->has_been_at_end());
}

TEST_F(OwnTopic, OnlyWhatIsThereWithoutAHoleCountsAsPublished) {
  own_->published = {0};
  write_all({1, 3});
  EXPECT_EQ(the<FoundOwnEvent>(poll()).up_to, Seq{1});
}

TEST_F(OwnTopic, WhatStandsOnlyBeforeTheLastOfWhatIsPublishedWasBehindAGapThere) {
  own_->published = {2};
  write_all({2, 1, 3, 2});  // a reader has 1 and 2, and lacks 3
  EXPECT_EQ(count<FoundOwnEvent>(poll()), 0u);
  reader_->rewind(std::nullopt);
  write_all({3});
  EXPECT_EQ(the<FoundOwnEvent>(poll()).up_to, Seq{3});
}

TEST_F(OwnTopic, WhatIsThereIsCountedThroughSeveralPollsAndSaidAtTheEnd) {
  own_->published = {1};
  write_all({1, 2, 3});
  EXPECT_EQ(count<FoundOwnEvent>(poll(2)), 0u);
  EXPECT_EQ(the<FoundOwnEvent>(poll()).up_to, Seq{3});
}

TEST_F(OwnTopic, AfterTheEndWasReachedOnlyAcknowledgementsCount) {
  poll();
  write_all({1, 2});
  EXPECT_EQ(count<FoundOwnEvent>(poll()), 0u);
}

TEST_F(OwnTopic, AheadOfTheDirectoryAsItWasAtTheStartIsRolledBack) {
  // Commit 4 was minted again since the start, which does not make the topic's commit 4 ours.
  write_all({1, 2, 3, 4});
  auto events = poll();
  EXPECT_EQ(the<RolledBackEvent>(events).seq, Seq{4});
  EXPECT_EQ(the<FoundOwnEvent>(events).up_to, Seq{3});
}

TEST_F(OwnTopic, WhatWePublishedSinceIsNotAheadOfUs) {
  write_all({1, 2, 3});
  poll();
  write_all({4, 5});
  EXPECT_EQ(count<RolledBackEvent>(poll()), 0u);
  write_all({6});
  EXPECT_EQ(count<RolledBackEvent>(poll()), 1u);
}

TEST_F(OwnTopic, OtherBytesUnderOurOwnSeqPark) {
  write(commit_of(1, "other"));
  poll();
  ASSERT_TRUE(reader_->parked());
  EXPECT_EQ(reader_->parked()->reason, ParkReason::kClonedNode);
}

TEST_F(OwnTopic, AnotherClustersRecordParksAndTheEndIsNotReached) {
  broker_->inject("t", bytes_of(commit_of(1), ClusterId{8}));
  poll();
  ASSERT_TRUE(reader_->parked());
  EXPECT_EQ(reader_->parked()->reason, ParkReason::kWrongCluster);
  EXPECT_FALSE(reader_->has_been_at_end());
}

TEST_F(OwnTopic, AnotherIncarnationUnderOurNameAsksForTheMembersLog) {
  write(commit_of(1, "v", Incarnation{0xFF}));
  EXPECT_EQ(the<ReadMembersEvent>(poll()).journal.incarnation, Incarnation{0xFF});
}

TEST_F(OwnTopic, EarlierIncarnationOfOurNameIsAppliedLikeAnyJournal) {
  members_[{"eu", {0xD0}}] = {IncarnationState::kOver, 0, {}, {}, {}};
  write(commit_of(1, "v", Incarnation{0xD0}));
  poll();
  EXPECT_EQ(applied_, (Seqs{1}));
}

}  // namespace
}  // namespace refrain::replication
