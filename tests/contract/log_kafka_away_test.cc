// SPDX-License-Identifier: Apache-2.0
// The Kafka log while there is no Kafka: nothing blocks, nothing is lost in silence, and it says why. Needs
// no broker.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "log_worlds.h"
#include "replication/kafka_log.h"

namespace refrain::replication {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

/// A port that is ours but that nobody listens on, as long as this lives.
class ShutPort {
 public:
  ShutPort() : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    socklen_t size = sizeof address;
    ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
  }
  ~ShutPort() { ::close(socket_); }
  void listen() { EXPECT_EQ(::listen(socket_, 16), 0); }
  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

 private:
  int socket_;
  int port_ = 0;
};

class KafkaAway : public testing::Test {
 protected:
  void open() {
    KafkaOptions options;
    options.brokers = {port_.address()};
    auto log = KafkaLog::open(
        options, [this] { bell_.ring(); }, [this](int, std::string_view) { ++log_lines_; });
    ASSERT_TRUE(log.has_value());
    log_ = std::move(*log);
  }
  template <class Step>
  testing::AssertionResult soon(Step step) {
    auto deadline = steady_clock::now() + seconds(20);
    for (;;) {
      std::uint64_t seen = bell_.rings();
      if (step()) return testing::AssertionSuccess();
      if (!bell_.wait(seen, deadline)) return testing::AssertionFailure() << "no wake brought it in time";
    }
  }
  template <class Step>
  static milliseconds duration_of(Step step) {
    auto start = steady_clock::now();
    step();
    return std::chrono::duration_cast<milliseconds>(steady_clock::now() - start);
  }

  ShutPort port_;
  Bell bell_;
  std::atomic<int> log_lines_{0};
  std::unique_ptr<KafkaLog> log_;
};

TEST_F(KafkaAway, HealthSaysWhyAndReadersSayItOnce) {
  open();
  auto reader = log_->open_reader("journal", std::nullopt);
  std::vector<ReadEvent> events;
  ASSERT_TRUE(soon([&] {
    reader->poll(10, events);
    return !events.empty();
  }));
  EXPECT_FALSE(log_->health().reachable);
  EXPECT_NE(log_->health().reason.find("Connection refused"), std::string::npos) << log_->health().reason;
  ASSERT_TRUE(std::holds_alternative<Unreachable>(events[0]));
  EXPECT_EQ(std::get<Unreachable>(events[0]).reason, log_->health().reason);
  EXPECT_GT(log_lines_, 0) << "librdkafka's own lines go to the callback";
  for (int i = 0; i < 20; ++i) {
    reader->poll(10, events);
    std::this_thread::sleep_for(milliseconds(20));
  }
  EXPECT_LE(events.size(), 2u) << "once per change of the reason";
}

TEST_F(KafkaAway, ABrokerThatTakesConnectionsAndNeverAnswersIsUnreachableToo) {
  port_.listen();
  open();
  EXPECT_TRUE(soon([&] { return !log_->health().reachable; }));
  EXPECT_FALSE(log_->health().reason.empty());
}

TEST_F(KafkaAway, AppendsWaitWithoutAReportUntilTheBufferIsFull) {
  open();
  auto appender = log_->open_appender("journal");
  std::string record(1000, 'x');
  std::uint64_t taken = 0;
  while (taken < 1'000'000 && appender->append(taken, record)) ++taken;
  EXPECT_GE(taken, 10'000u) << "a whole window";
  EXPECT_LE(taken, 200'000u) << "bounded";
  std::vector<DeliveryReport> reports;
  appender->poll(reports);
  EXPECT_TRUE(reports.empty());
  EXPECT_FALSE(appender->fatal().has_value());
}

TEST_F(KafkaAway, TopicCallsAreAnsweredWithUnavailable) {
  open();
  auto made = log_->ensure_topic({"journal", Milliseconds{1000}, 1, 1});
  auto found = log_->survey("refrain.");
  std::optional<Result<void>> ensure_answer;
  std::optional<Result<std::vector<TopicInfo>>> survey_answer;
  ASSERT_TRUE(soon([&] {
    if (!ensure_answer) ensure_answer = made->take();
    if (!survey_answer) survey_answer = found->take();
    return ensure_answer && survey_answer;
  }));
  ASSERT_FALSE(ensure_answer->has_value());
  EXPECT_EQ(ensure_answer->error().code, Code::kUnavailable);
  ASSERT_FALSE(survey_answer->has_value()) << "no topics found is not what no answer means";
  EXPECT_EQ(survey_answer->error().code, Code::kUnavailable);
}

TEST_F(KafkaAway, DroppingReadersAndAppendersReturnsAtOnceAndTheLogSoon) {
  open();
  auto reader = log_->open_reader("journal", std::nullopt);
  auto appender = log_->open_appender("journal");
  for (std::uint64_t i = 0; i < 10'000; ++i) ASSERT_TRUE(appender->append(i, std::string(100, 'x')));
  ASSERT_TRUE(soon([&] { return !log_->health().reachable; }));
  EXPECT_LT(duration_of([&] { reader.reset(); }), milliseconds(300));
  EXPECT_LT(duration_of([&] { appender.reset(); }), milliseconds(300));
  auto took = duration_of([&] { log_.reset(); });
  RecordProperty("log_ms", static_cast<int>(took.count()));
  EXPECT_LT(took, milliseconds(6000));
}

TEST(KafkaOptionsCheck, RefusesWhatItDoesNotKnowAndWhatCarriesAGuarantee) {
  auto open_with = [](const std::string& name, const std::string& value) {
    KafkaOptions options;
    options.brokers = {"127.0.0.1:1"};
    options.properties = {{name, value}};
    return KafkaLog::open(
        options, [] {}, [](int, std::string_view) {});
  };
  for (auto [name, value] :
       {std::pair{"no.such.property", "1"}, std::pair{"socket.timeout.ms", "soon"}, std::pair{"acks", "1"},
        std::pair{"enable.idempotence", "false"}, std::pair{"auto.offset.reset", "latest"},
        std::pair{"message.timeout.ms", "1000"}, std::pair{"allow.auto.create.topics", "true"},
        std::pair{"bootstrap.servers", "other:9092"}}) {
    auto opened = open_with(name, value);
    ASSERT_FALSE(opened.has_value()) << name;
    EXPECT_EQ(opened.error().code, Code::kInvalid);
    EXPECT_NE(opened.error().detail.find(name), std::string::npos) << opened.error().detail;
  }
  EXPECT_TRUE(open_with("socket.timeout.ms", "20000").has_value());
  EXPECT_TRUE(open_with("compression.codec", "lz4").has_value());
}

}  // namespace
}  // namespace refrain::replication
