// SPDX-License-Identifier: Apache-2.0
#include "replication/publisher.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <random>

#include "replication/memory_broker.h"
#include "replication/memory_log.h"

namespace refrain::replication {
namespace {

using State = resilience::CircuitBreaker::State;

class Seeded final : public Random {
 public:
  explicit Seeded(std::uint64_t seed) : engine_(seed) {}
  std::uint64_t next() override { return engine_(); }

 private:
  std::mt19937_64 engine_;
};

std::string bytes_of(std::uint64_t seq) {
  return "commit " + std::to_string(seq);
}

/// A log whose reports the test gives by hand. What is appended is what was "sent".
class HandLog final : public Log {
 public:
  struct Sent {
    std::size_t appender;
    std::uint64_t tag;
    std::string bytes;
  };

  std::unique_ptr<Appender> open_appender(const std::string&) override {
    ++opened;
    return std::make_unique<HandAppender>(*this);
  }
  std::unique_ptr<Reader> open_reader(const std::string&, std::optional<Offset>) override { return nullptr; }
  std::unique_ptr<Pending<void>> ensure_topic(const TopicSpec&) override { return nullptr; }
  std::unique_ptr<Pending<std::vector<TopicInfo>>> survey(const std::string&) override { return nullptr; }
  LogHealth health() const override { return {}; }

  std::vector<Sent> sent;
  std::vector<DeliveryReport> reports;  // given to whoever polls next
  std::optional<std::string> fatal;
  std::size_t opened = 0;
  std::size_t alive = 0;
  std::size_t capacity = 1'000'000;

 private:
  class HandAppender final : public Appender {
   public:
    explicit HandAppender(HandLog& log) : log_(log), number_(log.opened) { ++log_.alive; }
    ~HandAppender() override { --log_.alive; }
    bool append(std::uint64_t tag, std::string_view bytes) override {
      if (appended_ >= log_.capacity) return false;
      ++appended_;
      log_.sent.push_back({number_, tag, std::string(bytes)});
      return true;
    }
    void poll(std::vector<DeliveryReport>& out) override {
      out.insert(out.end(), log_.reports.begin(), log_.reports.end());
      log_.reports.clear();
    }
    std::optional<std::string> fatal() const override { return log_.fatal; }

   private:
    HandLog& log_;
    std::size_t number_;
    std::size_t appended_ = 0;
  };
};

class PublisherTest : public ::testing::Test {
 protected:
  PublisherTest() {
    settings_.topic = "t";
    settings_.window = 4;
  }

  void start(std::uint64_t published, std::uint64_t newest) {
    for (std::uint64_t seq = 1; seq <= newest; ++seq) outbox_[{seq}] = bytes_of(seq);
    publisher_.emplace(log_, settings_, random_,
                       [this](Seq from, std::size_t count, std::size_t) { return read(from, count); });
    publisher_->start({published}, {newest});
    publisher_->set_allowed(true);
  }
  Result<std::vector<OutboxRow>> read(Seq from, std::size_t count) {
    ++reads_;
    if (broken_) return corrupt("a block is damaged");
    std::vector<OutboxRow> rows;
    for (auto row = outbox_.lower_bound(from); row != outbox_.end() && rows.size() < count; ++row)
      rows.push_back({row->first, row->second});
    return rows;
  }
  void offer(std::uint64_t seq) {
    outbox_[{seq}] = bytes_of(seq);
    publisher_->offer({seq}, bytes_of(seq));
  }

  bool step(Milliseconds later = Milliseconds{0}) {
    now_ = now_ + later;
    return publisher_->step(now_);
  }
  void acknowledge(std::size_t sent) {
    log_.reports.push_back(
        {log_.sent.at(sent).tag, std::nullopt, Offset{static_cast<std::int64_t>(100 + sent)}});
  }
  void refuse(std::size_t sent) {
    log_.reports.push_back({log_.sent.at(sent).tag, "the broker said no", std::nullopt});
  }
  /// Fails what is in flight, or what comes into flight, until the breaker opens.
  void fail_until_open() {
    while (publisher_->report(now_).breaker != State::kOpen) {
      step(Milliseconds{10'000});
      refuse(log_.sent.size() - 1);
      step();
    }
  }
  std::vector<std::string> sent_from(std::size_t first) const {
    std::vector<std::string> bytes;
    for (std::size_t i = first; i < log_.sent.size(); ++i) bytes.push_back(log_.sent[i].bytes);
    return bytes;
  }
  static std::vector<std::string> commits(std::initializer_list<std::uint64_t> seqs) {
    std::vector<std::string> bytes;
    for (std::uint64_t seq : seqs) bytes.push_back(bytes_of(seq));
    return bytes;
  }
  Seq published() const { return publisher_->published(); }

  HandLog log_;
  PublisherSettings settings_;
  Seeded random_{1};
  std::map<Seq, std::string> outbox_;
  bool broken_ = false;
  int reads_ = 0;
  std::optional<Publisher> publisher_;
  SteadyNs now_{0};
};

TEST_F(PublisherTest, SendsNothingUntilTheNodeAllowsIt) {
  start(0, 3);
  publisher_->set_allowed(false);
  step();
  EXPECT_EQ(log_.opened, 0u);
  publisher_->set_allowed(true);
  step();
  EXPECT_EQ(sent_from(0), commits({1, 2, 3}));
}

TEST_F(PublisherTest, NoLongerAllowedDropsWhatIsInFlight) {
  start(0, 3);
  step();
  publisher_->set_allowed(false);
  EXPECT_EQ(log_.alive, 0u);
  acknowledge(0);
  step();
  EXPECT_EQ(published(), Seq{0});
}

TEST_F(PublisherTest, NewCommitsAreSentFromMemory) {
  start(0, 0);
  offer(1);
  offer(2);
  step();
  EXPECT_EQ(sent_from(0), commits({1, 2}));
  EXPECT_EQ(reads_, 0);
}

TEST_F(PublisherTest, WhatMemoryDoesNotHoldIsReadFromTheOutbox) {
  settings_.held_bytes = bytes_of(1).size();
  start(0, 0);
  for (std::uint64_t seq = 1; seq <= 4; ++seq) offer(seq);
  step();
  EXPECT_EQ(sent_from(0), commits({1, 2, 3, 4}));
  EXPECT_GT(reads_, 0);
}

TEST_F(PublisherTest, NeverSendsWhatWasNotOfferedThoughTheOutboxShowsIt) {
  start(0, 2);
  outbox_[{3}] = bytes_of(3);  // written, not synced yet
  step();
  EXPECT_EQ(sent_from(0), commits({1, 2}));
}

TEST_F(PublisherTest, KeepsTheWindow) {
  start(0, 6);
  step();
  EXPECT_EQ(log_.sent.size(), 4u);
  acknowledge(0);
  step();
  EXPECT_EQ(sent_from(4), commits({5}));
}

TEST_F(PublisherTest, PublishedIsWhatIsAcknowledgedWithoutAHole) {
  start(0, 3);
  step();
  acknowledge(2);
  acknowledge(1);
  EXPECT_FALSE(step());
  EXPECT_EQ(published(), Seq{0});
  acknowledge(0);
  EXPECT_TRUE(step());
  EXPECT_EQ(published(), Seq{3});
}

TEST_F(PublisherTest, ReportsThatComeTwiceOrOfNobodyDoNotCount) {
  start(0, 3);
  step();
  acknowledge(0);
  acknowledge(0);
  log_.reports.push_back({999, std::nullopt, std::nullopt});
  log_.reports.push_back({0, std::nullopt, std::nullopt});
  step();
  EXPECT_EQ(published(), Seq{1});
}

TEST_F(PublisherTest, AReportThatComesTwiceIsNoProgress) {
  start(0, 2);
  step();
  acknowledge(1);
  step();
  step(Milliseconds{6'000});
  acknowledge(1);
  step();
  step(Milliseconds{6'000});
  EXPECT_TRUE(publisher_->report(now_).trouble);
}

TEST_F(PublisherTest, AFailedOneIsSentAgainWithAllThatFollowThroughANewAppender) {
  start(0, 4);
  step();
  acknowledge(0);
  acknowledge(2);  // its suffix goes again all the same
  refuse(1);
  step();
  EXPECT_EQ(log_.alive, 0u);
  EXPECT_EQ(published(), Seq{1});
  step(Milliseconds{10'000});
  EXPECT_EQ(log_.opened, 2u);
  EXPECT_EQ(sent_from(4), commits({2, 3, 4}));
}

TEST_F(PublisherTest, ReportsOfAnOldAppenderDoNotCount) {
  start(0, 2);
  step();
  refuse(0);
  step();
  step(Milliseconds{10'000});
  ASSERT_EQ(log_.sent.size(), 4u);
  acknowledge(0);  // late: the record of the first appender
  acknowledge(1);
  step();
  EXPECT_EQ(published(), Seq{0});
  acknowledge(2);
  acknowledge(3);
  step();
  EXPECT_EQ(published(), Seq{2});
}

TEST_F(PublisherTest, FatalAppenderIsReplaced) {
  start(0, 1);
  step();
  log_.fatal = "fenced";
  step();
  log_.fatal.reset();
  EXPECT_EQ(log_.alive, 0u);
  step(Milliseconds{10'000});
  EXPECT_EQ(sent_from(1), commits({1}));
}

TEST_F(PublisherTest, SilenceForTheAttemptTimeoutIsAFailure) {
  start(0, 2);
  step();
  step(Milliseconds{10'000});
  EXPECT_EQ(log_.alive, 1u);
  acknowledge(0);
  step();  // progress: the time begins anew
  step(Milliseconds{10'000});
  EXPECT_EQ(log_.alive, 1u);
  step(Milliseconds{1});
  EXPECT_EQ(log_.alive, 0u);
  EXPECT_TRUE(publisher_->report(now_).trouble);
}

TEST_F(PublisherTest, ALogThatTakesNothingIsAFailure) {
  log_.capacity = 0;
  start(0, 1);
  step();
  EXPECT_TRUE(publisher_->report(now_).trouble);
  EXPECT_EQ(log_.alive, 0u);
}

TEST_F(PublisherTest, FullLogIsAskedAgainAfterReports) {
  log_.capacity = 2;
  start(0, 3);
  step();
  EXPECT_EQ(log_.sent.size(), 2u);
  log_.capacity = 3;
  acknowledge(0);
  step();
  EXPECT_EQ(sent_from(2), commits({3}));
}

TEST_F(PublisherTest, PausesAreRandomAndBounded) {
  start(0, 1);
  step();
  refuse(0);
  step();
  auto report = publisher_->report(now_);
  ASSERT_TRUE(report.next_attempt);
  EXPECT_LE(*report.next_attempt - now_, Milliseconds{1'000});
  EXPECT_EQ(publisher_->wakes_at(now_), report.next_attempt);
}

TEST_F(PublisherTest, BreakerOpensAfterFiveFailuresThenProbesWithOneRecord) {
  start(0, 3);
  fail_until_open();
  EXPECT_EQ(log_.opened, 5u);
  EXPECT_TRUE(publisher_->report(now_).failed());
  EXPECT_EQ(publisher_->report(now_).trouble->error, "the broker said no");
  std::size_t before = log_.sent.size();
  step(Milliseconds{29'999});
  EXPECT_EQ(log_.sent.size(), before);
  step(Milliseconds{1});
  EXPECT_EQ(sent_from(before), commits({1}));
  EXPECT_FALSE(publisher_->report(now_).failed());
  acknowledge(before);
  step();
  EXPECT_EQ(publisher_->report(now_).breaker, State::kClosed);
  EXPECT_EQ(sent_from(before), commits({1, 2, 3}));
}

TEST_F(PublisherTest, ProbeThatFailsOpensTheBreakerAgain) {
  start(0, 3);
  fail_until_open();
  step(Milliseconds{30'000});
  refuse(log_.sent.size() - 1);
  step();
  EXPECT_EQ(publisher_->report(now_).breaker, State::kOpen);
}

TEST_F(PublisherTest, OperatorsRetryProbesAtOnce) {
  start(0, 3);
  fail_until_open();
  std::size_t before = log_.sent.size();
  publisher_->retry_now();
  EXPECT_FALSE(publisher_->report(now_).failed());
  step();
  EXPECT_EQ(sent_from(before), commits({1}));
}

TEST_F(PublisherTest, WritesGoOnWhileTheBreakerIsOpenAndAreSentInOrderLater) {
  start(0, 1);
  fail_until_open();
  offer(2);
  offer(3);
  std::size_t before = log_.sent.size();
  step(Milliseconds{30'000});
  acknowledge(before);
  step();
  EXPECT_EQ(sent_from(before), commits({1, 2, 3}));
}

TEST_F(PublisherTest, RepublishSendsTheSuffixAgainAndForgetsThatItWasPublished) {
  start(0, 4);
  step();
  for (std::size_t i = 0; i < 4; ++i) acknowledge(i);
  step();
  publisher_->republish_from({2});
  EXPECT_EQ(published(), Seq{1});
  step();
  EXPECT_EQ(sent_from(4), commits({2, 3, 4}));
  EXPECT_EQ(log_.opened, 1u);
}

TEST_F(PublisherTest, AcknowledgementsOfWhatIsSentAgainDoNotCount) {
  settings_.window = 10;
  start(0, 4);
  step();
  publisher_->republish_from({1});
  step();
  EXPECT_EQ(sent_from(4), commits({1, 2, 3, 4}));
  for (std::size_t i = 0; i < 4; ++i) acknowledge(i);
  step();
  EXPECT_EQ(published(), Seq{0});
  for (std::size_t i = 4; i < 8; ++i) acknowledge(i);
  step();
  EXPECT_EQ(published(), Seq{4});
}

TEST_F(PublisherTest, SendingAgainFromTheMiddleOfTheFlightSendsTheWholeFlightAgain) {
  settings_.window = 10;
  start(0, 3);
  step();
  publisher_->republish_from({2});
  step();
  EXPECT_EQ(sent_from(3), commits({1, 2, 3}));
}

TEST_F(PublisherTest, FlagsOfManyPeersMakeOneSendingAgain) {
  settings_.window = 20;
  start(0, 4);
  step();
  for (std::size_t i = 0; i < 4; ++i) acknowledge(i);
  step();
  publisher_->republish_from({3});
  step();
  publisher_->republish_from({3});
  publisher_->republish_from({4});
  step();
  EXPECT_EQ(sent_from(4), commits({3, 4}));
  publisher_->republish_from({1});  // not covered
  step();
  EXPECT_EQ(sent_from(6), commits({1, 2, 3, 4}));
  for (std::size_t i = 4; i < 10; ++i) acknowledge(i);
  step();
  EXPECT_EQ(published(), Seq{4});
  publisher_->republish_from({3});  // and it is lost again
  step();
  EXPECT_EQ(sent_from(10), commits({3, 4}));
}

TEST_F(PublisherTest, WhatLeftTheOutboxWasStableAndIsPassedOver) {
  start(1, 5);
  outbox_.erase({2});
  outbox_.erase({3});
  step();
  EXPECT_EQ(sent_from(0), commits({4, 5}));
  EXPECT_EQ(published(), Seq{3});
}

TEST_F(PublisherTest, WhatBecameStableBehindTheFlightIsPassedOverWhenTheFlightIsAcknowledged) {
  settings_.window = 2;
  start(0, 6);
  step();
  outbox_.erase({3});
  outbox_.erase({4});
  acknowledge(0);
  step();
  EXPECT_EQ(published(), Seq{1});
  acknowledge(1);
  step();
  EXPECT_EQ(published(), Seq{4});
  EXPECT_EQ(sent_from(2), commits({5, 6}));
}

TEST_F(PublisherTest, HoleInTheOutboxIsSaidAndNothingBehindItIsSent) {
  start(0, 3);
  outbox_.erase({2});
  step();
  EXPECT_TRUE(log_.sent.empty());
  EXPECT_NE(publisher_->report(now_).trouble->error.find("commit 2 is missing"), std::string::npos);
}

TEST_F(PublisherTest, OutboxThatCannotBeReadIsAFailureLikeAnother) {
  start(0, 1);
  broken_ = true;
  step();
  EXPECT_NE(publisher_->report(now_).trouble->error.find("a block is damaged"), std::string::npos);
  broken_ = false;
  step(Milliseconds{10'000});
  EXPECT_EQ(sent_from(0), commits({1}));
}

TEST_F(PublisherTest, WhatWasFoundInTheTopicIsNotSentAgain) {
  start(0, 4);
  publisher_->set_allowed(false);
  publisher_->found_in_topic({3});
  publisher_->set_allowed(true);
  step();
  EXPECT_EQ(sent_from(0), commits({4}));
  publisher_->found_in_topic({1});
  EXPECT_EQ(published(), Seq{3});
}

TEST_F(PublisherTest, IdleWakesForNothing) {
  start(0, 1);
  step();
  EXPECT_EQ(publisher_->wakes_at(now_), now_ + Milliseconds{10'000} + Nanoseconds{1});
  acknowledge(0);
  step();
  EXPECT_EQ(publisher_->wakes_at(now_), std::nullopt);
}

// ---- any failure pattern

/// One run over the in-process log with drawn faults.
class Run {
 public:
  explicit Run(std::uint64_t seed) : random_(seed), log_(broker_, [] {}) {
    broker_->make_topic("t");
    auto often = [&] { return draw(3) == 0 ? 0.2 * static_cast<double>(draw(5)) / 4 : 0.0; };
    MemoryFaults faults;
    faults.record_lost = often();
    faults.written_but_failed = often();
    faults.written_twice = often();
    faults.send_stalls = often();
    faults.reports_stall = often();
    faults.reports_reordered = often();
    faults.appender_hangs = often() / 4;
    faults.appender_dies = often() / 4;
    faults.arrives_late = often();
    broker_->set_faults(faults, &random_);
    settings_.topic = "t";
    settings_.window = 1 + draw(8);
    settings_.held_bytes = draw(200);
    restart();
  }

  void disturb(int steps) {
    for (int i = 0; i < steps; ++i) {
      act();
      publisher_->step(now_);
      check_published();
    }
  }

  void heal() {
    broker_->set_faults({}, &random_);
    log_.set_connected(true);
    publisher_->set_allowed(true);
    for (int i = 0; i < 5000 && publisher_->published() < newest_; ++i) {
      now_ = now_ + Milliseconds{5'000};
      publisher_->step(now_);
    }
    RC_ASSERT(publisher_->published() == newest_);
    check_published();
  }

 private:
  std::uint64_t draw(std::uint64_t below) { return random_.next() % below; }

  void act() {
    switch (draw(12)) {
      case 0:
        publisher_->republish_from({1 + draw(newest_.value + 1)});
        return;
      case 1:
        return log_.set_connected(draw(2) == 0);
      case 2:
        return publisher_->set_allowed(draw(4) != 0);
      case 3:
        return publisher_->retry_now();
      case 4:
        if (draw(5) == 0) restart();
        return;
      case 5:
        return become_stable();
      case 6:
      case 7:
        now_ = now_ + Milliseconds{static_cast<std::int64_t>(draw(12'000))};
        return;
      default:
        for (std::uint64_t count = draw(6); count > 0; --count) commit();
    }
  }

  void commit() {
    newest_ = newest_.next();
    outbox_[newest_] = bytes_of(newest_.value);
    publisher_->offer(newest_, outbox_[newest_]);
  }
  void become_stable() {
    Seq upto{draw(read_topic().value + 1)};
    while (!outbox_.empty() && outbox_.begin()->first <= std::min(upto, publisher_->published()))
      outbox_.erase(outbox_.begin());
  }
  void restart() {
    Seq stored{publisher_ ? draw(publisher_->published().value + 1) : 0};
    publisher_.reset();
    publisher_.emplace(log_, settings_, random_, [this](Seq from, std::size_t count, std::size_t) {
      std::vector<OutboxRow> rows;
      for (auto row = outbox_.lower_bound(from); row != outbox_.end() && rows.size() < count; ++row)
        rows.push_back({row->first, row->second});
      return Result<std::vector<OutboxRow>>(rows);
    });
    publisher_->start(stored, newest_);
    publisher_->set_allowed(true);
  }

  /// What a reader has that applies what is next and drops what it has.
  Seq read_topic() {
    Seq applied;
    for (const Record& record : broker_->records("t")) {
      if (record.bytes == bytes_of(applied.next().value)) applied = applied.next();
    }
    return applied;
  }
  void check_published() { RC_ASSERT(publisher_->published() <= read_topic()); }

  Seeded random_;
  std::shared_ptr<MemoryBroker> broker_ = std::make_shared<MemoryBroker>();
  MemoryLog log_;
  PublisherSettings settings_;
  std::map<Seq, std::string> outbox_;
  Seq newest_;
  std::optional<Publisher> publisher_;
  SteadyNs now_{0};
};

RC_GTEST_PROP(PublisherProperty, TopicWithoutRepeatsIsTheOutboxInOrderWhateverFails, (std::uint64_t seed)) {
  Run run(seed);
  run.disturb(300);
  run.heal();
}

TEST_F(PublisherTest, KnowsWhereTheNewestPublishedRecordStands) {
  start(0, 2);
  step();
  EXPECT_EQ(publisher_->published_at(), std::nullopt);
  acknowledge(0);
  acknowledge(1);
  step();
  EXPECT_EQ(publisher_->published_at(), Offset{101});
  publisher_->republish_from({2});
  EXPECT_EQ(publisher_->published_at(), std::nullopt) << "that one may be lost";
}

TEST_F(PublisherTest, AfterTheJournalBeganAgainItTakesCommitOneOfTheNew) {
  start(0, 2);
  step();
  outbox_.clear();
  publisher_->start_over({}, {});
  offer(1);
  step();
  acknowledge(2);
  step();
  EXPECT_EQ(publisher_->published(), Seq{1});
}

}  // namespace
}  // namespace refrain::replication
