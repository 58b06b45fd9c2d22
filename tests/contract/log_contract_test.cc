// SPDX-License-Identifier: Apache-2.0
// What every Log promises, on the in-process log and on a real Kafka. The Kafka half runs when
// REFRAIN_TEST_KAFKA names a broker (./dev test starts one), and says so loudly when it does not.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <random>

#include "log_worlds.h"

namespace refrain::replication {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr seconds kPatience{40};

const char* kafka_address() {
  return std::getenv("REFRAIN_TEST_KAFKA");
}

class SaysWhatIsLeftOut final : public testing::Environment {
 public:
  void TearDown() override {
    if (kafka_address() != nullptr) return;
    std::cout << "\n*** NOT RUN: the log contract on Kafka. Set REFRAIN_TEST_KAFKA=host:port, or use ./dev "
                 "test. ***\n\n";
  }
};
const auto* const kSaysWhatIsLeftOut = testing::AddGlobalTestEnvironment(new SaysWhatIsLeftOut);

std::string unique_name() {
  static const unsigned run = std::random_device{}();
  static int count = 0;
  return "refrain.test." + std::to_string(run) + "." + std::to_string(++count) + ".";
}

class LogContract : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    if (GetParam() == "kafka") {
      if (kafka_address() == nullptr) GTEST_SKIP() << "REFRAIN_TEST_KAFKA is not set";
      world_ = kafka_world(kafka_address());
    } else {
      world_ = memory_world();
    }
    log_ = world_->open([this] { bell_.ring(); });
    prefix_ = unique_name();
  }

  /// Calls `step` until it is true, again after each wake.
  template <class Step>
  testing::AssertionResult soon(Step step) {
    auto deadline = steady_clock::now() + kPatience;
    for (;;) {
      std::uint64_t seen = bell_.rings();
      if (step()) return testing::AssertionSuccess();
      if (!bell_.wait(seen, deadline)) return testing::AssertionFailure() << "no wake brought it in time";
    }
  }

  template <class T>
  Result<T> answer(Pending<T>& pending) {
    std::optional<Result<T>> taken;
    EXPECT_TRUE(soon([&] { return (taken = pending.take()).has_value(); }));
    if (!taken) return unavailable("timed_out", "no answer");
    return *taken;
  }

  std::string make_topic(const std::string& name) {
    std::string topic = prefix_ + name;
    auto made = answer(*log_->ensure_topic({topic, Milliseconds{3'600'000}, 1, 1}));
    EXPECT_TRUE(made.has_value()) << made.error().detail;
    return topic;
  }

  /// Appends and waits until all are acknowledged.
  void write(const std::string& topic, const std::vector<std::string>& records) {
    auto appender = log_->open_appender(topic);
    std::vector<DeliveryReport> reports;
    for (std::size_t i = 0; i < records.size(); ++i) ASSERT_TRUE(appender->append(i, records[i]));
    ASSERT_TRUE(soon([&] {
      appender->poll(reports);
      return reports.size() == records.size();
    }));
    for (std::size_t i = 0; i < reports.size(); ++i) {
      EXPECT_EQ(reports[i].tag, i);
      EXPECT_FALSE(reports[i].error.has_value()) << *reports[i].error;
    }
  }

  /// Reads until an event of type Last.
  template <class Last>
  std::vector<ReadEvent> read_until(Reader& reader, std::size_t max = 100) {
    std::vector<ReadEvent> events;
    EXPECT_TRUE(soon([&] {
      for (;;) {
        std::size_t before = events.size();
        reader.poll(max, events);
        if (!events.empty() && std::holds_alternative<Last>(events.back())) return true;
        if (events.size() - before < max) return false;
      }
    }));
    return events;
  }

  static std::vector<std::string> bytes_of(const std::vector<ReadEvent>& events) {
    std::vector<std::string> bytes;
    for (const ReadEvent& event : events) {
      if (const auto* record = std::get_if<Record>(&event)) bytes.push_back(record->bytes);
    }
    return bytes;
  }
  std::vector<std::string> whole(const std::string& topic) {
    auto reader = log_->open_reader(topic, std::nullopt);
    return bytes_of(read_until<AtEnd>(*reader));
  }

  static std::vector<std::string> numbered(const std::string& name, int count) {
    std::vector<std::string> records;
    for (int i = 0; i < count; ++i) records.push_back(name + " " + std::to_string(i));
    return records;
  }

  Bell bell_;
  std::unique_ptr<LogWorld> world_;
  std::unique_ptr<Log> log_;
  std::string prefix_;
};

TEST_P(LogContract, GivesWhatWasAppendedInOrderAndThenTheEnd) {
  std::string topic = make_topic("journal");
  auto records = numbered("record", 1000);
  write(topic, records);
  auto reader = log_->open_reader(topic, std::nullopt);
  auto events = read_until<AtEnd>(*reader, 7);
  EXPECT_EQ(bytes_of(events), records);
  for (std::size_t i = 0; i < records.size(); ++i) EXPECT_EQ(std::get<Record>(events.at(i)).offset.value, i);
  EXPECT_EQ(std::get<AtEnd>(events.back()).next.value, 1000);
}

TEST_P(LogContract, AnEmptyTopicIsAtItsEnd) {
  auto reader = log_->open_reader(make_topic("journal"), std::nullopt);
  auto events = read_until<AtEnd>(*reader);
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(std::get<AtEnd>(events[0]).next.value, 0);
}

TEST_P(LogContract, GivesTheEndAgainAfterMoreHasCome) {
  std::string topic = make_topic("journal");
  auto reader = log_->open_reader(topic, std::nullopt);
  read_until<AtEnd>(*reader);
  write(topic, {"a", "b"});
  auto events = read_until<AtEnd>(*reader);
  EXPECT_EQ(bytes_of(events), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(std::get<AtEnd>(events.back()).next.value, 2);
}

TEST_P(LogContract, ReadsOnFromAnOffset) {
  std::string topic = make_topic("journal");
  write(topic, numbered("record", 10));
  auto reader = log_->open_reader(topic, Offset{7});
  EXPECT_EQ(bytes_of(read_until<AtEnd>(*reader)),
            (std::vector<std::string>{"record 7", "record 8", "record 9"}));
  auto at_end = log_->open_reader(topic, Offset{10});
  EXPECT_EQ(std::get<AtEnd>(read_until<AtEnd>(*at_end).back()).next.value, 10);
}

TEST_P(LogContract, AnOffsetBeyondTheEndLosesTheCursor) {
  std::string topic = make_topic("journal");
  write(topic, numbered("record", 3));
  auto reader = log_->open_reader(topic, Offset{4});
  auto events = read_until<CursorLost>(*reader);
  EXPECT_EQ(events.size(), 1u);
  EXPECT_FALSE(std::get<CursorLost>(events[0]).reason.empty());
  write(topic, numbered("later", 3));
  auto other = log_->open_reader(topic, std::nullopt);
  read_until<AtEnd>(*other);
  events.clear();
  reader->poll(10, events);
  EXPECT_TRUE(events.empty()) << "a lost reader gives nothing more";
}

TEST_P(LogContract, AnOffsetThatRetentionTookLosesTheCursorAndTheBeginningIsWhereverItIs) {
  std::string topic = make_topic("journal");
  write(topic, numbered("record", 10));
  world_->truncate_front(topic, Offset{6});
  auto reader = log_->open_reader(topic, Offset{3});
  read_until<CursorLost>(*reader);
  reader = log_->open_reader(topic, std::nullopt);
  EXPECT_EQ(bytes_of(read_until<AtEnd>(*reader)).at(0), "record 6");
}

TEST_P(LogContract, ATopicThatIsNotThereLosesTheCursorAndCanBeReadOnceItIs) {
  std::string topic = prefix_ + "late";
  auto reader = log_->open_reader(topic, std::nullopt);
  read_until<CursorLost>(*reader);
  reader = log_->open_reader(topic, std::nullopt);
  read_until<CursorLost>(*reader);  // again, of a topic already known to be absent
  make_topic("late");
  write(topic, {"a"});
  reader = log_->open_reader(topic, std::nullopt);
  EXPECT_EQ(bytes_of(read_until<AtEnd>(*reader)), std::vector<std::string>{"a"});
}

TEST_P(LogContract, DeletingATopicLosesTheCursorsOfThoseWhoReadIt) {
  std::string topic = make_topic("journal");
  std::string other = make_topic("other");
  write(topic, numbered("record", 5));
  auto reader = log_->open_reader(topic, std::nullopt);
  auto untouched = log_->open_reader(other, std::nullopt);
  read_until<AtEnd>(*reader);
  read_until<AtEnd>(*untouched);
  world_->delete_topic(topic);
  read_until<CursorLost>(*reader);
  write(other, {"still here"});
  EXPECT_EQ(bytes_of(read_until<AtEnd>(*untouched)), std::vector<std::string>{"still here"});
}

TEST_P(LogContract, ATopicMadeAnewLosesOldCursorsAndIsReadFromItsBeginning) {
  std::string topic = make_topic("journal");
  write(topic, numbered("old", 5));
  auto reader = log_->open_reader(topic, std::nullopt);
  read_until<AtEnd>(*reader);
  world_->delete_topic(topic);
  make_topic("journal");
  write(topic, {"new 0"});
  read_until<CursorLost>(*reader);
  auto stored_cursor = log_->open_reader(topic, Offset{5});
  read_until<CursorLost>(*stored_cursor);
  EXPECT_EQ(whole(topic), std::vector<std::string>{"new 0"});
}

TEST_P(LogContract, AppendingToATopicThatIsNotThereIsReportedFailed) {
  auto appender = log_->open_appender(prefix_ + "missing");
  ASSERT_TRUE(appender->append(7, "x"));
  std::vector<DeliveryReport> reports;
  ASSERT_TRUE(soon([&] {
    appender->poll(reports);
    return !reports.empty();
  }));
  EXPECT_EQ(reports[0].tag, 7u);
  EXPECT_TRUE(reports[0].error.has_value());
}

TEST_P(LogContract, ANewAppenderGoesOnBehindWhatTheOldOneHadAcknowledged) {
  std::string topic = make_topic("journal");
  write(topic, numbered("first", 100));
  write(topic, numbered("second", 100));
  auto expected = numbered("first", 100);
  for (auto& record : numbered("second", 100)) expected.push_back(record);
  EXPECT_EQ(whole(topic), expected);
}

TEST_P(LogContract, DroppingAnAppenderWithRecordsInFlightReturnsAtOnceAndLeavesNoHalfRecord) {
  std::string topic = make_topic("journal");
  auto records = numbered(std::string(1000, 'x'), 2000);
  for (int round = 0; round < 3; ++round) {
    auto appender = log_->open_appender(topic);
    for (std::size_t i = 0; i < records.size(); ++i) ASSERT_TRUE(appender->append(i, records[i]));
    auto start = steady_clock::now();
    appender.reset();
    EXPECT_LT(steady_clock::now() - start, seconds(1));
  }
  write(topic, {"last"});
  auto got = whole(topic);
  for (const std::string& record : got) {
    EXPECT_TRUE(record == "last" || std::find(records.begin(), records.end(), record) != records.end());
  }
  EXPECT_NE(std::find(got.begin(), got.end(), "last"), got.end());
}

TEST_P(LogContract, TakesRecordsOfTheLargestCommit) {
  std::string topic = make_topic("journal");
  std::vector<std::string> records = {std::string(900 * 1024 + 64 * 1024, 'a'), "small",
                                      std::string(3 << 20, 'b')};
  write(topic, records);
  EXPECT_EQ(whole(topic), records);
}

TEST_P(LogContract, KeepsBytesAsTheyAre) {
  std::string topic = make_topic("journal");
  std::string all;
  for (int i = 0; i < 256; ++i) all.push_back(static_cast<char>(i));
  write(topic, {all, std::string(3, '\0')});
  EXPECT_EQ(whole(topic), (std::vector<std::string>{all, std::string(3, '\0')}));
}

TEST_P(LogContract, KeepsManyTopicsApart) {
  std::vector<std::string> topics;
  std::vector<std::unique_ptr<Reader>> readers;
  for (int i = 0; i < 20; ++i) {
    topics.push_back(make_topic("journal-" + std::to_string(i)));
    readers.push_back(log_->open_reader(topics.back(), std::nullopt));
  }
  for (const auto& topic : topics) write(topic, numbered(topic, 10));
  for (int i = 0; i < 20; ++i) {
    std::vector<std::string> got;
    while (got.size() < 10) {
      auto more = bytes_of(read_until<AtEnd>(*readers[i]));
      got.insert(got.end(), more.begin(), more.end());
      ASSERT_FALSE(HasFailure());
    }
    EXPECT_EQ(got, numbered(topics[i], 10));
  }
}

TEST_P(LogContract, SeveralReadersOfOneTopicEachGetAllOfIt) {
  std::string topic = make_topic("members");
  auto records = numbered("entry", 50);
  write(topic, records);
  auto first = log_->open_reader(topic, std::nullopt);
  std::vector<ReadEvent> some;
  ASSERT_TRUE(soon([&] {
    first->poll(10 - some.size(), some);
    return some.size() == 10;
  }));
  auto second = log_->open_reader(topic, std::nullopt);
  auto third = log_->open_reader(topic, Offset{40});
  EXPECT_EQ(bytes_of(read_until<AtEnd>(*second)), records);
  EXPECT_EQ(bytes_of(read_until<AtEnd>(*third)),
            std::vector<std::string>(records.begin() + 40, records.end()));
  EXPECT_EQ(bytes_of(read_until<AtEnd>(*first)),
            std::vector<std::string>(records.begin() + 10, records.end()));
}

TEST_P(LogContract, AReaderNeverGivesWhatAnEarlierReaderHadFetched) {
  std::string topic = make_topic("members");
  auto records = numbered("entry", 200);
  write(topic, records);
  for (int round = 0; round < 20; ++round) {
    auto dropped = log_->open_reader(topic, Offset{100});
    std::vector<ReadEvent> some;
    ASSERT_TRUE(soon([&] {
      dropped->poll(3, some);
      return !some.empty();
    }));
    dropped.reset();
    EXPECT_EQ(whole(topic), records);
  }
}

TEST_P(LogContract, AReaderThatNobodyPollsDoesNotStopOthers) {
  std::string busy = make_topic("busy");
  std::string quiet = make_topic("quiet");
  auto never_polled = log_->open_reader(busy, std::nullopt);
  auto reader = log_->open_reader(quiet, std::nullopt);
  write(busy, std::vector<std::string>(100, std::string(500'000, 'x')));  // 50 MB
  write(quiet, {"a"});
  std::vector<std::string> got;
  while (got.empty()) {
    got = bytes_of(read_until<AtEnd>(*reader));
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_EQ(got, std::vector<std::string>{"a"});
  EXPECT_EQ(bytes_of(read_until<AtEnd>(*never_polled)).size(), 100u);
}

TEST_P(LogContract, WakesWhenARecordComesFromAnotherLog) {
  std::string topic = make_topic("journal");
  auto reader = log_->open_reader(topic, std::nullopt);
  read_until<AtEnd>(*reader);
  Bell other_bell;
  auto other = world_->open([&] { other_bell.ring(); });
  for (int round = 0; round < 20; ++round) {
    auto appender = other->open_appender(topic);
    std::uint64_t seen = bell_.rings();
    ASSERT_TRUE(appender->append(1, "x"));
    ASSERT_TRUE(bell_.wait(seen, steady_clock::now() + kPatience));
    ASSERT_EQ(bytes_of(read_until<AtEnd>(*reader)).size(), 1u) << "woken for nothing in round " << round;
  }
}

TEST_P(LogContract, EnsuringATopicTwiceKeepsWhatIsInIt) {
  std::string topic = make_topic("journal");
  write(topic, {"a"});
  make_topic("journal");
  EXPECT_EQ(whole(topic), std::vector<std::string>{"a"});
}

TEST_P(LogContract, SurveyNamesTopicsByPrefixAndWhetherAnythingWasEverWritten) {
  std::string empty = make_topic("a.empty");
  std::string full = make_topic("b.full");
  std::string emptied = make_topic("c.emptied");
  write(full, {"x"});
  write(emptied, {"x"});
  world_->truncate_front(emptied, Offset{1});
  auto found = answer(*log_->survey(prefix_));
  ASSERT_TRUE(found.has_value()) << found.error().detail;
  std::sort(found->begin(), found->end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  ASSERT_EQ(found->size(), 3u);
  EXPECT_EQ((*found)[0].name, empty);
  EXPECT_FALSE((*found)[0].has_records);
  EXPECT_EQ((*found)[1].name, full);
  EXPECT_TRUE((*found)[1].has_records);
  EXPECT_TRUE((*found)[2].has_records);
  auto none = answer(*log_->survey(prefix_ + "zzz"));
  EXPECT_TRUE(none.has_value() && none->empty());
}

TEST_P(LogContract, HealthNamesTheCluster) {
  make_topic("any");
  EXPECT_TRUE(soon([&] { return !log_->health().kafka_cluster_id.empty(); }));
  EXPECT_TRUE(log_->health().reachable);
}

INSTANTIATE_TEST_SUITE_P(Logs, LogContract, testing::Values("memory", "kafka"),
                         [](const auto& param_info) { return param_info.param; });

}  // namespace
}  // namespace refrain::replication
