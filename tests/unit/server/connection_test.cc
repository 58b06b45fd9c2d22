// SPDX-License-Identifier: Apache-2.0
// What a connection goes through: pipelining, expectations, time-outs, floods, calls that wait, streams, the
// end.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <thread>

#include "server/logging.h"
#include "server/memory_share.h"
#include "store/session.h"
#include "wire.h"

namespace refrain::server {
namespace {

using testing::HasSubstr;

/// Until it holds; the deadline only bounds a failing test.
template <class F>
bool eventually(F holds) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

Options quick(Milliseconds request_timeout, Milliseconds idle_timeout = node::kHour) {
  Options options;
  options.http.request_timeout = request_timeout;
  options.http.idle_timeout = idle_timeout;
  return options;
}

TEST(Connection, AnswersPipelinedRequestsInOrder) {
  Served served;
  Wire wire(served.server->port());
  std::string all;
  for (int i = 0; i < 200; ++i)
    all += http("PUT", "/v1/kv/n/k" + std::to_string(i), std::string(static_cast<std::size_t>(i), 'v'));
  all += http("GET", "/nowhere") + http("GET", "/v1/kv/n/k199");
  wire.say(all);
  for (int i = 0; i < 200; ++i) ASSERT_EQ(wire.hear().status, 200) << i;
  EXPECT_EQ(wire.hear().status, 404);
  EXPECT_EQ(wire.hear().body, std::string(199, 'v'));
  for (int i = 0; i < 200; ++i)
    EXPECT_EQ(served.node.commits.at(static_cast<std::size_t>(i)).writes[0].key, "k" + std::to_string(i));
}

TEST(Connection, ARefusedRequestWithASmallBodyLeavesTheConnectionUsable) {
  Served served;
  Wire wire(served.server->port());
  EXPECT_EQ(wire.ask(http("PUT", "/v1/kv/n/k?tll=1s", "GET / HTTP/1.1\r\n\r\n")).status, 400);
  EXPECT_EQ(wire.ask(http("GET", "/health/live")).status, 200);
}

TEST(Connection, ContinueIsSaidBeforeABodyThatIsWantedAndNotBeforeOneThatIsNot) {
  Served served;
  Wire wire(served.server->port());
  const std::string expects = "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n";
  EXPECT_EQ(wire.ask("PUT /v1/kv/n/k HTTP/1.1\r\nHost: x\r\n" + expects).status, 100);
  EXPECT_EQ(wire.ask("value").status, 200);
  Wire refused(served.server->port());
  EXPECT_EQ(refused.ask("PUT /v1/kv/n/k?x=1 HTTP/1.1\r\nHost: x\r\n" + expects).status, 400);
  Wire large(served.server->port());
  EXPECT_EQ(
      large
          .ask("PUT /v1/kv/n/k HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 600000\r\n\r\n")
          .status,
      413);
}

TEST(Connection, Http10ClosesUnlessAskedToStay) {
  Served served;
  Wire wire(served.server->port());
  EXPECT_EQ(wire.ask("GET /health/live HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").header("connection"),
            "keep-alive");
  EXPECT_EQ(wire.ask("GET /health/live HTTP/1.0\r\n\r\n").header("connection"), "close");
  wire.shut_writing();
  EXPECT_TRUE(wire.ended());
}

TEST(Connection, CloseIsObeyed) {
  Served served;
  Wire wire(served.server->port());
  EXPECT_EQ(
      wire.ask(http("GET", "/health/live", "", "Connection: Keep-Alive, Close\r\n")).header("connection"),
      "close");
  wire.shut_writing();
  EXPECT_TRUE(wire.ended());
}

TEST(Connection, SlowHeadsAndBodiesAre408) {
  Served served(quick(Milliseconds{150}));
  Wire head(served.server->port());
  head.say("GET /health/live HTTP/1.1\r\nHos");
  EXPECT_EQ(head.hear().status, 408);
  Wire body(served.server->port());
  body.say("PUT /v1/kv/n/k HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nval");
  const auto answer = body.hear();
  EXPECT_EQ(answer.status, 408);
  EXPECT_THAT(answer.body, HasSubstr("\"timed_out\""));
  EXPECT_TRUE(served.node.commits.empty());
}

TEST(Connection, IdleOnesAreClosedWithoutAWord) {
  Served served(quick(node::kHour, Milliseconds{150}));
  Wire wire(served.server->port());
  EXPECT_TRUE(wire.ended());
  Wire used(served.server->port());
  EXPECT_EQ(used.ask(http("GET", "/health/live")).status, 200);
  EXPECT_TRUE(used.ended());
}

TEST(Connection, ANodeThatDoesNotAnswerLeavesAWriteUncertainAndAReadRefused) {
  Served served(quick(Milliseconds{150}));
  served.node.hold = true;
  EXPECT_THAT(served.ask("PUT", "/v1/kv/n/k", "v").body, HasSubstr("write_uncertain"));
  EXPECT_THAT(served.ask("GET", "/v1/status").body, HasSubstr("overloaded"));
  EXPECT_TRUE(served.node.answer_held());  // too late: it goes nowhere
  EXPECT_TRUE(served.node.answer_held());
  served.node.hold = false;
  EXPECT_EQ(served.ask("PUT", "/v1/kv/n/k", "v").status, 200);
}

TEST(Connection, AskingToWaitAddsToTheTimeThatAnAnswerMayTake) {
  Served served(quick(Milliseconds{100}));
  served.node.hold = true;
  Wire wire(served.server->port());
  wire.say(http("PUT", "/v1/kv/n/k?ack=all&timeout=60s", "v"));
  ASSERT_TRUE(eventually([&] {
    std::lock_guard lock(served.node.mutex);
    return served.node.commits.size() == 1;
  }));
  // Another one without waiting is given up meanwhile, so time has passed for both.
  EXPECT_EQ(served.ask("PUT", "/v1/kv/n/k2", "v").status, 500);
  served.node.answer_held();
  EXPECT_EQ(wire.hear().status, 200);
}

TEST(Connection, MoreThanMaxConnectionsAreToldSoAndClosed) {
  Options options;
  options.http.max_connections = 2;
  Served served(options);
  Wire one(served.server->port()), two(served.server->port());
  EXPECT_EQ(one.ask(http("GET", "/health/live")).status, 200);
  EXPECT_EQ(two.ask(http("GET", "/health/live")).status, 200);
  Wire three(served.server->port());
  const auto answer = three.hear();
  EXPECT_EQ(answer.status, 503);
  EXPECT_EQ(answer.header("retry-after"), "1");
  EXPECT_EQ(answer.header("connection"), "close");
  two.close();
  EXPECT_TRUE(eventually([&] { return served.ask("GET", "/health/live").status == 200; }));
}

TEST(Connection, MoreThanMaxWaitersAreRefusedAndOthersAreNot) {
  Options options;
  options.http.max_waiters = 1;
  Served served(options);
  served.node.hold = true;
  Wire waiting(served.server->port());
  waiting.say(http("POST", "/v1/requests/n/a/begin?wait=60s"));
  ASSERT_TRUE(eventually([&] {
    std::lock_guard lock(served.node.mutex);
    return served.node.begins.size() == 1;
  }));
  served.node.hold = false;
  EXPECT_THAT(served.ask("POST", "/v1/requests/n/b/begin?wait=1s").body, HasSubstr("max_waiters"));
  EXPECT_EQ(served.ask("POST", "/v1/requests/n/b/begin").status, 201);
  served.node.answer_held();
  EXPECT_EQ(waiting.hear().status, 201);
  EXPECT_TRUE(eventually([&] { return served.ask("POST", "/v1/requests/n/b/begin?wait=1s").status == 201; }));
}

TEST(Connection, ABeginThatWaitsIsToldWhenItsConnectionCloses) {
  Served served;
  served.node.hold = true;
  for (const bool pipelined : {false, true}) {
    const auto before = served.node.begins.size();
    Wire wire(served.server->port());
    wire.say(http("POST", "/v1/requests/n/a/begin?wait=60s") +
             (pipelined ? http("GET", "/health/live") : ""));
    std::shared_ptr<std::atomic<bool>> gone;
    ASSERT_TRUE(eventually([&] {
      std::lock_guard lock(served.node.mutex);
      if (served.node.begins.size() == before) return false;
      gone = served.node.begins.back().gone;
      return true;
    }));
    EXPECT_FALSE(gone->load());
    wire.close();
    EXPECT_TRUE(eventually([&] { return gone->load(); })) << pipelined;
  }
}

TEST(Connection, AHalfClosedClientHearsHowItsWriteEnded) {
  Served served;
  served.node.hold = true;
  const std::string calls[] = {
      http("PUT", "/v1/kv/n/k?ack=all&timeout=60s", "v"),
      http("POST", "/v1/requests/n/a/execute?ack=all&timeout=60s", R"({"response":{"body":"done"}})")};
  for (const auto& call : calls) {
    Wire wire(served.server->port());
    wire.say(call);
    wire.shut_writing();
    ASSERT_TRUE(eventually([&] { return served.node.waiting() == 1; }));
    for (int sweep = 0; sweep < 3;
         ++sweep) {  // each ends a begin that waits with its client gone, and spares it
      Wire other(served.server->port());
      other.say(http("POST", "/v1/requests/n/b/begin?wait=60s"));
      other.shut_writing();
      EXPECT_THAT(other.hear().body, HasSubstr("write_uncertain"));
    }
    while (served.node.answer_held()) {
    }
    const auto answer = wire.hear();
    EXPECT_EQ(answer.status / 100, 2) << call << answer.body;
  }
}

TEST(Connection, AHalfClosedBeginThatWaitsNeverGoesAndIsNotCalledRefused) {
  Served served;
  served.node.hold = true;
  Wire wire(served.server->port());
  wire.say(http("POST", "/v1/requests/n/a/begin?wait=60s"));
  wire.shut_writing();
  const auto answer = wire.hear();
  EXPECT_THAT(answer.body, HasSubstr("\"write_uncertain\""));
  EXPECT_THAT(answer.body, HasSubstr("The connection was closed while the call waited"));
  EXPECT_EQ(answer.header("refrain-decision"), "unknown");
  EXPECT_TRUE(served.node.begins[0].gone->load());
  served.node.answer_held();
}

TEST(Connection, AReadThatWaitsEndsWithItsConnection) {
  Served served;
  served.node.hold = true;
  Wire wire(served.server->port());
  const auto seen = "Refrain-Session: " + store::encode_session({{"us", Hlc{5}}}) + "\r\n";
  wire.say(http("GET", "/v1/kv/n/k?wait=60s", "", seen));
  wire.shut_writing();
  EXPECT_THAT(wire.hear().body, HasSubstr("\"timed_out\""));
  served.node.answer_held();
}

TEST(Connection, BodiesShareABoundedMemory) {
  Options options;
  options.body_memory = 64 * 1024;
  Served served(options);
  Wire first(served.server->port());
  first.say("PUT /v1/kv/n/k HTTP/1.1\r\nHost: x\r\nContent-Length: 60001\r\n\r\n" + std::string(60000, 'v'));
  EXPECT_TRUE(
      eventually([&] { return served.ask("PUT", "/v1/kv/n/k", std::string(10'000, 'v')).status == 503; }));
  EXPECT_EQ(first.ask("v").status, 200);
  EXPECT_TRUE(
      eventually([&] { return served.ask("PUT", "/v1/kv/n/k", std::string(10'000, 'v')).status == 200; }));
}

TEST(Connection, ACallThatWaitsHoldsNoBodyMemory) {
  Options options;
  options.body_memory = 64 * 1024;
  Served served(options);
  served.node.hold = true;
  const std::string large(60'000, 'v');
  Wire begin(served.server->port()), put(served.server->port());
  begin.say(http("POST", "/v1/requests/n/a/begin?wait=60s", large));
  ASSERT_TRUE(eventually([&] { return served.node.waiting() == 1; }));
  put.say(http("PUT", "/v1/kv/n/k?ack=all&timeout=60s", large));
  ASSERT_TRUE(eventually([&] { return served.node.waiting() == 2; }));
  served.node.hold = false;
  EXPECT_EQ(served.ask("PUT", "/v1/kv/n/k2", large).status, 200);
  served.node.drain();
  EXPECT_EQ(begin.hear().status, 503);
  EXPECT_EQ(put.hear().status, 202);
}

TEST(MemoryShare, BytesThatAreFreedAreNotKeptForLater) {
  std::string bytes(100'000, 'b');
  free_bytes(bytes);
  EXPECT_LT(bytes.capacity(), 100U);
}

TEST(Connection, AnswersThatNobodyTakesShareABoundedMemoryAndOneAlwaysHasRoom) {
  Options options;
  options.answer_memory = 1024 * 1024;
  Served served(options);
  const std::string value(500 * 1024, '\1');  // six times that in JSON
  ASSERT_EQ(served.ask("PUT", "/v1/kv/n/k", value).status, 200);
  const auto scan = http("GET", "/v1/kv/n?values=true");
  Wire deaf(served.server->port(), 4096);
  deaf.say(scan);
  EXPECT_TRUE(eventually([&] { return Wire(served.server->port()).ask(scan).status == 503; }));
  EXPECT_THAT(Wire(served.server->port()).ask(scan).body, HasSubstr("\"overloaded\""));
  EXPECT_EQ(served.ask("PUT", "/v1/kv/n/small", "v").status, 200);
  // Of a run that may have been the first, nobody says that nothing happened.
  const std::string run = R"({"response":{"body":")" + std::string(200'000, 'r') + "\"}}";
  served.node.execute_replay = node::StoredResponse{200, "text/x", std::string(1'000'000, 'r')};
  const auto lost = served.ask("POST", "/v1/requests/n/a/execute", run);
  EXPECT_THAT(lost.body, HasSubstr("\"write_uncertain\""));
  EXPECT_EQ(lost.header("refrain-decision"), "unknown");
  deaf.close();
  EXPECT_TRUE(eventually([&] { return Wire(served.server->port()).ask(scan).status == 200; }));
}

TEST(Connection, ASnapshotIsStreamedAndACutOneCannotBeTakenForWhole) {
  Served served;
  const std::string large(300'000, 's');
  served.node.snapshot_blocks = {"first", large, "wait", "", "last"};
  const auto whole = served.ask("GET", "/v1/snapshot");
  EXPECT_EQ(whole.status, 200);
  EXPECT_EQ(whole.header("transfer-encoding"), "chunked");
  EXPECT_EQ(whole.header("content-type"), "application/octet-stream");
  EXPECT_EQ(whole.body, "first" + large + "last");
  served.node.snapshot_blocks = {"first", "fail"};
  EXPECT_EQ(served.ask("GET", "/v1/snapshot").status, 0);
  EXPECT_EQ(served.ask("HEAD", "/v1/snapshot").status, 200);
}

TEST(Connection, BeforeThereIsANodeLiveAnswersAndTheRestSaysThatItIsNotReady) {
  Served served({}, false);
  EXPECT_EQ(served.ask("GET", "/health/live").status, 200);
  EXPECT_EQ(served.ask("GET", "/health/ready").status, 503);
  EXPECT_EQ(served.ask("GET", "/metrics").status, 200);
  EXPECT_EQ(served.ask("PUT", "/v1/kv/n/k", "v").status, 503);
  EXPECT_EQ(served.ask("POST", "/v1/requests/n/a/begin").status, 503);
  served.server->serve(served.node);
  EXPECT_EQ(served.ask("GET", "/health/ready").status, 200);
  EXPECT_EQ(served.ask("PUT", "/v1/kv/n/k", "v").status, 200);
}

TEST(Connection, ReadyIs503OnlyWhileABlockingCheckFails) {
  Served served;
  served.node.known_checks = {{"kafka", false, false, "", "Unreachable."}, {"store", true, true, "", ""}};
  auto answer = served.ask("GET", "/health/ready");
  EXPECT_EQ(answer.status, 200);
  EXPECT_THAT(answer.body, HasSubstr("\"status\":\"degraded\""));
  {
    std::lock_guard lock(served.node.mutex);
    served.node.known_checks.push_back({"disk", false, true, "disk_full", "No room."});
  }
  answer = served.ask("GET", "/health/ready");
  EXPECT_EQ(answer.status, 503);
  EXPECT_THAT(
      answer.body,
      HasSubstr(R"({"name":"disk","ok":false,"blocking":true,"code":"disk_full","detail":"No room."})"));
}

TEST(Connection, StoppingAnswersWhatIsInFlightThenCloses) {
  Served served;
  served.node.hold = true;
  Wire writing(served.server->port()), idle(served.server->port());
  EXPECT_EQ(idle.ask(http("GET", "/health/live")).status, 200);
  writing.say(http("PUT", "/v1/kv/n/k", "v"));
  ASSERT_TRUE(eventually([&] {
    std::lock_guard lock(served.node.mutex);
    return served.node.commits.size() == 1;
  }));
  std::thread stopping([&] { served.server->stop(Milliseconds{10'000}); });
  EXPECT_TRUE(idle.ended());
  served.node.answer_held();
  const auto answer = writing.hear();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("connection"), "close");
  writing.shut_writing();
  EXPECT_TRUE(writing.ended());
  stopping.join();
  EXPECT_FALSE(Wire(served.server->port()).connected());
}

TEST(Connection, AtAStopEveryWaitingCallGetsWhatTheNodeSaysOfIt) {
  Served served;
  served.node.hold = true;
  Wire begin(served.server->port()), put(served.server->port()), execute(served.server->port());
  begin.say(http("POST", "/v1/requests/n/a/begin?wait=60s"));
  put.say(http("PUT", "/v1/kv/n/k?ack=all&timeout=60s", "v"));
  execute.say(
      http("POST", "/v1/requests/n/b/execute?ack=all&timeout=60s", R"({"response":{"body":"done"}})"));
  ASSERT_TRUE(eventually([&] { return served.node.waiting() == 3; }));
  served.node.drain();
  served.server->stop(Milliseconds{10'000});
  const auto refused = begin.hear();
  EXPECT_THAT(refused.body, HasSubstr("\"draining\""));
  EXPECT_EQ(refused.header("refrain-decision"), "refused");
  EXPECT_EQ(put.hear().status, 202);
  const auto first = execute.hear();
  EXPECT_EQ(first.status, 201);
  EXPECT_EQ(first.body, "done");
}

TEST(Connection, AStopIsOverInTimeWhateverTheNodeDoesAndOnlyReadsAreToldToAskAnotherOne) {
  Served served;
  served.node.hold = true;
  const std::string response = R"({"response":{"body":"done"}})";
  const std::string calls[] = {http("POST", "/v1/requests/n/a/begin?wait=60s"),
                               http("POST", "/v1/requests/n/a/execute?ack=all&timeout=60s", response),
                               http("PUT", "/v1/kv/n/k?ack=all&timeout=60s", "v"), http("GET", "/v1/status")};
  std::deque<Wire> wires;
  for (const auto& call : calls) wires.emplace_back(served.server->port()).say(call);
  ASSERT_TRUE(eventually([&] { return served.node.waiting() == 4; }));
  served.server->stop(Milliseconds{1500});
  for (std::size_t i = 0; i < 3; ++i) {
    const auto answer = wires[i].hear();
    EXPECT_THAT(answer.body, HasSubstr("\"write_uncertain\"")) << calls[i];
    EXPECT_EQ(answer.header("refrain-decision"), i < 2 ? "unknown" : "") << calls[i];
  }
  EXPECT_THAT(wires[3].hear().body, HasSubstr("\"draining\""));
  EXPECT_TRUE(served.node.begins[0].gone->load());
  while (served.node.answer_held()) {
  }
}

constexpr Milliseconds kLongStop{60'000};

/// Stops with all the time in the world; how long it took.
Milliseconds time_to_stop(Served& served) {
  const auto start = std::chrono::steady_clock::now();
  served.server->stop(kLongStop);
  return std::chrono::duration_cast<Milliseconds>(std::chrono::steady_clock::now() - start);
}

TEST(Connection, AStopDoesNotWaitForHalfARequestAndSaysThatNothingWasDone) {
  Served served;
  Wire head(served.server->port()), body(served.server->port()), begin(served.server->port());
  head.say("GET /health/live HTTP/1.1\r\nHos");
  body.say("PUT /v1/kv/n/k HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nval");
  begin.say("POST /v1/requests/n/a/begin HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nval");
  EXPECT_EQ(served.ask("GET", "/health/live").status, 200);  // by now the server has read the others
  EXPECT_LT(time_to_stop(served), kLongStop / 4);
  for (auto* wire : {&head, &body, &begin}) {
    const auto answer = wire->hear();
    EXPECT_EQ(answer.status, 503);
    EXPECT_THAT(answer.body, HasSubstr("\"draining\""));
    EXPECT_EQ(answer.header("connection"), "close");
    EXPECT_EQ(answer.header("refrain-decision"), wire == &begin ? "refused" : "");
  }
  EXPECT_TRUE(served.node.commits.empty());
}

TEST(Connection, AStopLetsARequestComeWholeThatIsNearlyThere) {
  Served served;
  Wire wire(served.server->port());
  wire.say("PUT /v1/kv/n/k HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nval");
  EXPECT_EQ(served.ask("GET", "/health/live").status, 200);
  std::thread stopping([&] { served.server->stop(kLongStop); });
  wire.say("ue");
  EXPECT_EQ(wire.hear().status, 200);
  wire.close();
  stopping.join();
}

TEST(Connection, AStopCutsASnapshotThatSitsInItsRate) {
  Options options;
  options.snapshot_bytes_per_second = 1;
  Served served(options);
  served.node.snapshot_blocks = {std::string(100'000, 's'), "last"};
  Wire wire(served.server->port());
  wire.say(http("GET", "/v1/snapshot"));
  ASSERT_TRUE(eventually([&] { return served.node.snapshots->load() == 1; }));
  EXPECT_LT(time_to_stop(served), kLongStop / 4);
  EXPECT_EQ(served.node.snapshots->load(), 0);
  EXPECT_EQ(wire.hear().status, 0);
}

TEST(Connection, AServerThatIsDestroyedLeavesNoSnapshotOfTheNodeBehind) {
  Options options;
  options.snapshot_bytes_per_second = 1;
  Served served(options);
  served.node.snapshot_blocks = {std::string(100'000, 's'), "last"};
  Wire wire(served.server->port());
  wire.say(http("GET", "/v1/snapshot"));
  ASSERT_TRUE(eventually([&] { return served.node.snapshots->load() == 1; }));
  served.server.reset();
  EXPECT_EQ(served.node.snapshots->load(), 0);
}

TEST(Connection, APortInUseIsNamed) {
  Served served;
  Options options;
  options.http.port = served.server->port();
  const auto second = Server::open(options);
  ASSERT_FALSE(second);
  EXPECT_THAT(second.error().detail, HasSubstr("address already in use"));
  EXPECT_THAT(second.error().detail, HasSubstr(std::to_string(options.http.port)));
}

TEST(Metrics, CountWhatWasAnsweredAndTellWhatTheNodeReports) {
  Served served;
  served.node.known_status.node = "eu";
  served.node.known_status.outbox_commits = 7;
  served.node.known_status.batches = 2;
  served.node.known_status.batch_commits = 9;
  served.node.known_status.sync.parked.push_back({"us", "corrupt", {}, {}, {}, "", ""});
  served.node.known_status.sync.cells.push_back({"eu", "us", {}, {}, {}, {}, 3, 1500, ""});
  served.node.known_status.breaker.state = "open";
  served.node.known_status.store_gauges = {{"memtable_bytes", 12}};
  served.ask("PUT", "/v1/kv/n/k", "v");
  served.ask("GET", "/nowhere");
  served.ask("POST", "/v1/requests/payments/a/begin");
  const auto text = served.ask("GET", "/metrics").body;
  EXPECT_THAT(
      text,
      HasSubstr("refrain_http_requests_total{code=\"200\",method=\"PUT\",route=\"/v1/kv/{ns}/{key}\"} 1"));
  EXPECT_THAT(text, HasSubstr("refrain_http_requests_total{code=\"404\",method=\"none\",route=\"none\"} 1"));
  EXPECT_THAT(text, HasSubstr("refrain_decisions_total{decision=\"go\",namespace=\"payments\"} 1"));
  EXPECT_THAT(text, HasSubstr("refrain_commit_seconds_count 1"));
  EXPECT_THAT(text, HasSubstr("refrain_outbox_commits 7"));
  EXPECT_THAT(text, HasSubstr("refrain_batch_commits_count 2"));
  EXPECT_THAT(text, HasSubstr("refrain_batch_commits_sum 9"));
  EXPECT_THAT(text, HasSubstr("refrain_parked_journals{reason=\"corrupt\"} 1"));
  EXPECT_THAT(text, HasSubstr("refrain_lag_seconds{reader=\"eu\",journal=\"us\"} 1.5"));
  EXPECT_THAT(text, HasSubstr("refrain_breaker_state{state=\"open\"} 1"));
  EXPECT_THAT(text, HasSubstr("refrain_store_memtable_bytes 12"));
}

TEST(Logging, JsonLinesAreJsonAndTextLinesAreOneLine) {
  std::vector<std::string> lines;
  const auto keep = [&](std::string_view line) { lines.emplace_back(line); };
  configure_logging(node::LogLevel::kInfo, node::LogFormat::kJson, keep);
  log(node::LogLevel::kWarn, "something",
      {{"why", std::string("a \"b\"\n\xff")}, {"n", std::int64_t{3}}, {"ok", false}});
  log(node::LogLevel::kDebug, "not this");
  configure_logging(node::LogLevel::kInfo, node::LogFormat::kText, keep);
  log(node::LogLevel::kError, "something else", {{"why", std::string("a\nb")}});
  configure_logging(node::LogLevel::kInfo, node::LogFormat::kText);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_THAT(lines[0], HasSubstr(R"("level":"warn","event":"something","why":"hex:)"));
  EXPECT_THAT(lines[0], HasSubstr(R"("n":3,"ok":false})"));
  EXPECT_THAT(lines[1], HasSubstr("error something else why=\"a\\nb\""));
}

TEST(Logging, NoKeyBodyTokenOrFingerprintIsLoggedEvenAtDebug) {
  std::string all;
  std::mutex mutex;
  configure_logging(node::LogLevel::kDebug, node::LogFormat::kText, [&](std::string_view line) {
    std::lock_guard lock(mutex);
    all += std::string(line) + "\n";
  });
  {
    Served served;
    served.ask("PUT", "/v1/kv/n/secret-key", "secret-body", "Idempotency-Key: secret-id\r\n");
    served.ask("POST", "/v1/requests/n/secret-id/begin?fingerprint=" + std::string(64, 'a'));
    served.ask("POST", "/v1/requests/n/secret-id/renew", R"({"token":"secret-token"})");
  }
  configure_logging(node::LogLevel::kInfo, node::LogFormat::kText);
  EXPECT_THAT(all, HasSubstr("route=/v1/kv/{ns}/{key} status=200"));
  EXPECT_THAT(all, testing::Not(HasSubstr("secret")));
  EXPECT_THAT(all, testing::Not(HasSubstr("aaaa")));
}

}  // namespace
}  // namespace refrain::server
