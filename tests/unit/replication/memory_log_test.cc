// SPDX-License-Identifier: Apache-2.0
// The fault model of the in-process log: each fault happens, is counted, and the same draws give the same
// run.
#include "replication/memory_log.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <thread>

namespace refrain::replication {
namespace {

class SeededRandom final : public Random {
 public:
  explicit SeededRandom(std::uint64_t seed) : engine_(seed) {}
  std::uint64_t next() override { return engine_(); }

 private:
  std::mt19937_64 engine_;
};

constexpr const char* kTopic = "journal";

class MemoryFaultsTest : public testing::Test {
 protected:
  void SetUp() override { broker_->make_topic(kTopic); }

  std::vector<DeliveryReport> append(Appender& appender, int count, int polls = 1) {
    std::vector<DeliveryReport> reports;
    for (int i = 0; i < count; ++i) EXPECT_TRUE(appender.append(i, std::to_string(i)));
    for (int i = 0; i < polls; ++i) appender.poll(reports);
    return reports;
  }
  std::vector<std::string> stored() const {
    std::vector<std::string> bytes;
    for (const Record& record : broker_->records(kTopic)) bytes.push_back(record.bytes);
    return bytes;
  }
  static std::size_t failed(const std::vector<DeliveryReport>& reports) {
    return std::count_if(reports.begin(), reports.end(),
                         [](const auto& report) { return report.error.has_value(); });
  }
  std::vector<ReadEvent> poll(Reader& reader, std::size_t max = 1000) {
    std::vector<ReadEvent> events;
    reader.poll(max, events);
    return events;
  }
  void set(MemoryFaults faults) { broker_->set_faults(faults, &random_); }

  std::shared_ptr<MemoryBroker> broker_ = std::make_shared<MemoryBroker>();
  SeededRandom random_{7};
  MemoryLog log_{broker_, [] {}};
};

TEST_F(MemoryFaultsTest, ALostRecordIsReportedFailedAndWhatFollowsIsWritten) {
  set({.record_lost = 0.3});
  auto appender = log_.open_appender(kTopic);
  auto reports = append(*appender, 100);
  ASSERT_EQ(reports.size(), 100u);
  EXPECT_GT(failed(reports), 0u);
  EXPECT_EQ(stored().size(), 100 - failed(reports));
  EXPECT_EQ(broker_->fault_counts()["record_lost"], failed(reports));
}

TEST_F(MemoryFaultsTest, AWrittenRecordMayBeReportedFailed) {
  set({.written_but_failed = 0.3});
  auto appender = log_.open_appender(kTopic);
  auto reports = append(*appender, 100);
  EXPECT_GT(failed(reports), 0u);
  EXPECT_EQ(stored().size(), 100u);
}

TEST_F(MemoryFaultsTest, ARecordMayBeWrittenTwice) {
  set({.written_twice = 0.3});
  auto appender = log_.open_appender(kTopic);
  EXPECT_EQ(failed(append(*appender, 100)), 0u);
  EXPECT_EQ(stored().size(), 100 + broker_->fault_counts()["written_twice"]);
  EXPECT_GT(stored().size(), 100u);
}

TEST_F(MemoryFaultsTest, StalledSendsAndReportsComeLaterAndInOrder) {
  set({.send_stalls = 0.7, .reports_stall = 0.7});
  auto appender = log_.open_appender(kTopic);
  auto reports = append(*appender, 100, 200);
  ASSERT_EQ(reports.size(), 100u);
  for (std::size_t i = 0; i < reports.size(); ++i) EXPECT_EQ(reports[i].tag, i);
  EXPECT_GT(broker_->fault_counts()["send_stalls"], 0u);
  EXPECT_GT(broker_->fault_counts()["reports_stall"], 0u);
}

TEST_F(MemoryFaultsTest, ReportsMayComeInAnotherOrderButEachOnce) {
  set({.reports_reordered = 1});
  auto appender = log_.open_appender(kTopic);
  auto reports = append(*appender, 50);
  std::set<std::uint64_t> tags;
  for (const auto& report : reports) tags.insert(report.tag);
  EXPECT_EQ(tags.size(), 50u);
  EXPECT_FALSE(
      std::is_sorted(reports.begin(), reports.end(), [](auto& a, auto& b) { return a.tag < b.tag; }));
}

TEST_F(MemoryFaultsTest, AHangingAppenderNeverReportsAgain) {
  set({.appender_hangs = 1});
  auto appender = log_.open_appender(kTopic);
  EXPECT_TRUE(append(*appender, 10, 100).empty());
  EXPECT_FALSE(appender->fatal().has_value());
}

TEST_F(MemoryFaultsTest, ADeadAppenderSaysSo) {
  set({.appender_dies = 1});
  auto appender = log_.open_appender(kTopic);
  append(*appender, 1);
  EXPECT_TRUE(appender->fatal().has_value());
}

TEST_F(MemoryFaultsTest, WhatADroppedAppenderHadNotSentMayArriveBetweenWhatItsSuccessorWrites) {
  set({.send_stalls = 1, .arrives_late = 1});
  auto old = log_.open_appender(kTopic);
  append(*old, 5);
  old.reset();
  EXPECT_TRUE(stored().empty());
  set({});
  auto successor = log_.open_appender(kTopic);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(successor->append(i, "new"));
  auto bytes = stored();
  EXPECT_GT(bytes.size(), 100u);
  EXPECT_LE(bytes.size(), 105u);
  EXPECT_NE(std::find(bytes.begin(), bytes.end(), "0"), bytes.end());
}

TEST_F(MemoryFaultsTest, AReaderMayGoBackAndMissesNothing) {
  auto appender = log_.open_appender(kTopic);
  append(*appender, 100);
  set({.reader_stalls = 0.3, .reader_rewinds = 0.3});
  auto reader = log_.open_reader(kTopic, std::nullopt);
  std::int64_t furthest = -1;
  std::size_t given = 0;
  for (int i = 0; i < 500; ++i) {
    for (const ReadEvent& event : poll(*reader, 10)) {
      const auto* record = std::get_if<Record>(&event);
      if (record == nullptr) continue;
      EXPECT_LE(record->offset.value, furthest + 1) << "a hole";
      furthest = std::max(furthest, record->offset.value);
      ++given;
    }
  }
  EXPECT_EQ(furthest, 99);
  EXPECT_GT(given, 100u) << "nothing was given again";
}

TEST_F(MemoryFaultsTest, ATopicCallMayBeDoneButFail) {
  set({.done_but_failed = 1});
  auto answer = log_.ensure_topic({"other", Milliseconds{1}, 1, 1})->take();
  ASSERT_TRUE(answer.has_value());
  EXPECT_FALSE(answer->has_value());
  EXPECT_EQ(broker_->topics(), (std::vector<std::string>{kTopic, "other"}));
}

TEST_F(MemoryFaultsTest, TheSameDrawsGiveTheSameRun) {
  auto run = [](std::uint64_t seed) {
    auto broker = std::make_shared<MemoryBroker>();
    broker->make_topic(kTopic);
    SeededRandom random(seed);
    broker->set_faults(
        {.record_lost = 0.1, .written_but_failed = 0.1, .written_twice = 0.1, .send_stalls = 0.1}, &random);
    MemoryLog log(broker, [] {});
    auto appender = log.open_appender(kTopic);
    std::string trace;
    std::vector<DeliveryReport> reports;
    for (int i = 0; i < 200; ++i) {
      appender->append(i, std::to_string(i));
      appender->poll(reports);
    }
    for (const auto& report : reports) trace += std::to_string(report.tag) + (report.error ? "x " : " ");
    for (const auto& record : broker->records(kTopic)) trace += record.bytes + ",";
    return trace;
  };
  EXPECT_EQ(run(1), run(1));
  EXPECT_NE(run(1), run(2));
}

TEST_F(MemoryFaultsTest, ACutOffNodeKeepsItsAppendsAndSendsThemOnceHealed) {
  MemoryLog other(broker_, [] {});
  log_.set_connected(false);
  auto appender = log_.open_appender(kTopic);
  auto reader = log_.open_reader(kTopic, std::nullopt);
  EXPECT_TRUE(append(*appender, 3).empty());
  EXPECT_TRUE(std::holds_alternative<Unreachable>(poll(*reader).at(0)));
  EXPECT_TRUE(poll(*reader).empty()) << "said once";
  EXPECT_FALSE(log_.health().reachable);
  EXPECT_FALSE(log_.survey("").get()->take()->has_value());
  EXPECT_TRUE(other.health().reachable) << "the others are not cut off";
  EXPECT_TRUE(stored().empty());
  log_.set_connected(true);
  std::vector<DeliveryReport> reports;
  appender->poll(reports);
  EXPECT_EQ(reports.size(), 3u);
  EXPECT_EQ(poll(*reader).size(), 4u) << "three records and the end";
}

TEST_F(MemoryFaultsTest, AnotherClusterHasNoTopicsAndAnotherId) {
  auto appender = log_.open_appender(kTopic);
  append(*appender, 3);
  auto reader = log_.open_reader(kTopic, std::nullopt);
  poll(*reader);
  std::string before = log_.health().kafka_cluster_id;
  broker_->replace_cluster();
  EXPECT_NE(log_.health().kafka_cluster_id, before);
  EXPECT_TRUE(std::holds_alternative<CursorLost>(poll(*reader).at(0)));
  EXPECT_EQ(failed(append(*appender, 1)), 1u);
}

TEST_F(MemoryFaultsTest, AReaderAheadOfALogThatLostItsTailLosesItsCursorUnlessTheTailHasGrownAgain) {
  auto appender = log_.open_appender(kTopic);
  append(*appender, 10);
  auto noticing = log_.open_reader(kTopic, std::nullopt);
  auto late = log_.open_reader(kTopic, std::nullopt);
  poll(*noticing);
  poll(*late);
  broker_->truncate_back(kTopic, Offset{6});
  EXPECT_TRUE(std::holds_alternative<CursorLost>(poll(*noticing).at(0)));
  for (int i = 0; i < 5; ++i) appender->append(i, "again");
  auto events = poll(*late);
  ASSERT_EQ(events.size(), 2u) << "it goes on, and has missed what stands at 6 to 9: seq must show it";
  EXPECT_EQ(std::get<Record>(events[0]).offset.value, 10);
}

TEST_F(MemoryFaultsTest, ForeignBytesAndFlippedBitsAreReadAsTheyAre) {
  broker_->inject(kTopic, "abc");
  broker_->flip_bit(kTopic, Offset{0}, 8);
  broker_->flip_bit(kTopic, Offset{5}, 0);
  EXPECT_EQ(stored(), std::vector<std::string>{"acc"});
}

TEST(MemoryBrokerBounds, RetentionTakesTheOldestButNotOfATopicKeptForEver) {
  auto broker = std::make_shared<MemoryBroker>(1000);
  MemoryLog log(broker, [] {});
  ASSERT_TRUE(log.ensure_topic({"journal", Milliseconds{1}, 1, 1})->take()->has_value());
  ASSERT_TRUE(log.ensure_topic({"members", Milliseconds{-1}, 1, 1})->take()->has_value());
  for (const char* topic : {"journal", "members"}) {
    auto appender = log.open_appender(topic);
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(appender->append(i, std::string(100, 'x')));
  }
  EXPECT_EQ(broker->records("journal").size(), 10u);
  EXPECT_EQ(broker->records("journal").front().offset.value, 90);
  EXPECT_EQ(broker->records("members").size(), 100u);
}

TEST(MemoryBrokerThreads, WritersAndReadersOfSeveralThreadsLoseNothing) {
  auto broker = std::make_shared<MemoryBroker>();
  broker->make_topic(kTopic);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&broker] {
      MemoryLog log(broker, [] {});
      auto appender = log.open_appender(kTopic);
      std::vector<DeliveryReport> reports;
      for (int i = 0; i < 1000; ++i) {
        appender->append(i, "x");
        appender->poll(reports);
      }
      EXPECT_EQ(reports.size(), 1000u);
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(broker->records(kTopic).size(), 4000u);
}

}  // namespace
}  // namespace refrain::replication
