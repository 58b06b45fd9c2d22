// SPDX-License-Identifier: Apache-2.0
// A whole node in this process, with the log in memory: how it ends, and what it calls itself.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <thread>

#include "cli/running_node.h"
#include "cli/stop_budget.h"
#include "cli/transport.h"
#include "tests/unit/store/temporary_directory.h"

namespace refrain::cli {
namespace {

using testing::HasSubstr;
using Steady = std::chrono::steady_clock;

constexpr Milliseconds kLongStop{120'000};

/// Until it holds; the deadline only bounds a failing test.
template <class F>
bool eventually(F holds) {
  const auto deadline = Steady::now() + std::chrono::seconds(30);
  while (!holds()) {
    if (Steady::now() > deadline) return false;
    std::this_thread::sleep_for(Milliseconds{5});
  }
  return true;
}

class OneNode {
 public:
  explicit OneNode(const std::string& host = "127.0.0.1") {
    node::Config config;
    config.cluster = "test";
    config.node = {"eu", "eu-west-1", directory_.path()};
    config.http.host = host;
    config.http.port = 0;
    config.http.shutdown_timeout = kLongStop;
    config.kafka.brokers = {"in-process"};
    config.store.snapshot_bytes_per_second = 1;
    auto started = RunningNode::start(config, {true, std::make_shared<replication::MemoryBroker>()});
    if (!started) return;
    node_ = std::move(*started);
    const std::string at = host == "::1" ? "[::1]" : host;
    transport_ = http_transport("http://" + at + ":" + std::to_string(node_->port()));
  }

  bool ready() {
    return node_ && eventually([this] { return call("GET", "/health/ready").status == 200; });
  }
  Answer call(const std::string& method, const std::string& target, const std::string& body = "") {
    Call call{.method = method, .target = target, .headers = {}, .body = body, .content_type = ""};
    return transport_->call(call).value_or(Answer{});
  }
  std::unique_ptr<RunningNode>& operator*() { return node_; }
  RunningNode* operator->() { return node_.get(); }

 private:
  store::TemporaryDirectory directory_;
  std::unique_ptr<RunningNode> node_;
  std::unique_ptr<Transport> transport_;
};

Milliseconds since(Steady::time_point start) {
  return std::chrono::duration_cast<Milliseconds>(Steady::now() - start);
}

TEST(RunningNode, AStopFlushesWhatWasAcknowledged) {
  OneNode node;
  ASSERT_TRUE(node.ready());
  for (int i = 0; i < 100; ++i)
    ASSERT_EQ(node.call("PUT", "/v1/kv/n/k" + std::to_string(i), "v").status, 200);
  EXPECT_TRUE(node->stop());
}

TEST(RunningNode, AStopDoesNotWaitForALogThatIsAway) {
  OneNode node;
  ASSERT_TRUE(node.ready());
  node->set_connected(false);
  ASSERT_EQ(node.call("PUT", "/v1/kv/n/k", "v").status, 200);
  const auto start = Steady::now();
  EXPECT_FALSE(node->stop());
  EXPECT_LT(since(start), kLongStop / 4);
}

TEST(RunningNode, AStopAnswersAWriteThatWaitsForALogThatIsAwayWith202AndABeginWithDraining) {
  OneNode node;
  ASSERT_TRUE(node.ready());
  ASSERT_EQ(node.call("POST", "/v1/requests/n/a/begin").status, 201);
  node->set_connected(false);
  const std::string at = "http://127.0.0.1:" + std::to_string(node->port());
  Answer put, begin;
  std::thread writing([&] {
    Call call{.method = "PUT",
              .target = "/v1/kv/n/k?ack=log&timeout=60s",
              .headers = {},
              .body = "v",
              .content_type = ""};
    put = http_transport(at)->call(call).value_or(Answer{});
  });
  std::thread asking([&] {
    Call call{.method = "POST",
              .target = "/v1/requests/n/a/begin?wait=60s",
              .headers = {},
              .body = "",
              .content_type = ""};
    begin = http_transport(at)->call(call).value_or(Answer{});
  });
  // A call that waits is counted before its write is done, and one that is not done is refused by a stop.
  EXPECT_TRUE(eventually([&] { return node.call("GET", "/v1/kv/n/k").status == 200; }));
  EXPECT_TRUE(eventually(
      [&] { return node.call("GET", "/metrics").body.find("refrain_http_waiters 2") != std::string::npos; }));
  const auto start = Steady::now();
  EXPECT_FALSE(node->stop());
  writing.join();
  asking.join();
  EXPECT_LT(since(start), kLongStop / 4);
  EXPECT_EQ(put.status, 202) << put.body;
  EXPECT_EQ(begin.status, 503) << begin.body;
  EXPECT_THAT(begin.body, HasSubstr("\"draining\""));
}

TEST(RunningNode, CanBeDestroyedWhileASnapshotOfItIsStreamed) {
  OneNode node;
  ASSERT_TRUE(node.ready());
  const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(node->port());
  to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  ASSERT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  const std::string call = "GET /v1/snapshot HTTP/1.1\r\nHost: x\r\n\r\n";
  ASSERT_EQ(::send(fd, call.data(), call.size(), 0), static_cast<ssize_t>(call.size()));
  char bytes[4096];
  ASSERT_GT(::recv(fd, bytes, sizeof bytes, 0), 0);
  const auto start = Steady::now();
  (*node).reset();
  EXPECT_LT(since(start), kLongStop / 4);
  ::close(fd);
}

TEST(RunningNode, CallsItselfByAnUrlAlsoOnIpv6) {
  OneNode node("::1");
  if (!*node) GTEST_SKIP() << "no IPv6 here";
  ASSERT_TRUE(node.ready());
  const auto members = node.call("GET", "/v1/members");
  EXPECT_THAT(members.body, HasSubstr("\"address\":\"http://[::1]:" + std::to_string(node->port()) + "\""));
}

TEST(StopBudget, LeavesTimeToFlushAndToClose) {
  EXPECT_EQ(stop_budget(Milliseconds{10'000}).server, Milliseconds{7'000});
  EXPECT_EQ(stop_budget(Milliseconds{10'000}).flush, Milliseconds{8'000});
  for (std::int64_t total : {100, 1'000, 3'000, 6'000, 8'000, 60'000}) {
    const StopBudget budget = stop_budget(Milliseconds{total});
    EXPECT_GE(budget.server.count(), total / 2);
    EXPECT_GE(budget.flush, budget.server);
    EXPECT_LT(budget.flush.count(), total);
  }
}

}  // namespace
}  // namespace refrain::cli
