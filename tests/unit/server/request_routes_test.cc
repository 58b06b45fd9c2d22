// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "store/session.h"
#include "wire.h"

namespace refrain::server {
namespace {

using testing::HasSubstr;
using testing::Not;

const std::string kBegin = "/v1/requests/payments/order-1/begin";
const std::string kComplete = "/v1/requests/payments/order-1/complete";
const std::string kExecute = "/v1/requests/payments/order-1/execute";

std::string code_of(const WireAnswer& answer) {
  const auto at = answer.body.find("\"code\":\"");
  return at == std::string::npos ? "" : answer.body.substr(at + 8, answer.body.find('"', at + 8) - at - 8);
}

TEST(RequestRoutes, AGoIs201WithItsTokenAndSaysSoInAHeader) {
  Served served;
  const auto answer =
      served.ask("POST", kBegin + "?lease=30s&on_expiry=hold&seen_ttl=2d&max_lag=5s", "payload");
  EXPECT_EQ(answer.status, 201);
  EXPECT_EQ(
      answer.body,
      R"({"token":"token","fencing":"42","attempt":1,"lease_ms":30000,"lease_until":"2023-11-14T22:13:20.000Z",)"
      R"("on_expiry":"retry","scope":"local","lag_ms":3,"behind":[]})");
  EXPECT_EQ(answer.header("refrain-decision"), "go");
  EXPECT_EQ(answer.header("refrain-scope"), "local");
  EXPECT_EQ(answer.header("cache-control"), "no-store");
  const auto& call = served.node.begins.at(0);
  EXPECT_EQ(call.fingerprint, sha256("payload"));
  EXPECT_EQ(call.lease, Milliseconds{30'000});
  EXPECT_EQ(call.on_expiry, node::OnExpiry::kHold);
  EXPECT_EQ(call.seen_ttl, Milliseconds{2 * 86'400'000});
  EXPECT_EQ(call.max_lag, Milliseconds{5'000});
}

TEST(RequestRoutes, TheCallersFingerprintWins) {
  Served served;
  served.ask("POST", kBegin + "?fingerprint=" + hex_encode(as_bytes(sha256("other"))), "payload");
  EXPECT_EQ(served.node.begins.at(0).fingerprint, sha256("other"));
  for (const std::string& bad :
       {std::string(63, 'a'), std::string(65, 'a'), std::string(64, 'g'), std::string()}) {
    EXPECT_EQ(served.ask("POST", kBegin + "?fingerprint=" + bad).status, 400) << bad;
  }
}

TEST(RequestRoutes, AReplayIsTheStoredBytesAndNothingOfItsTypeGetsIntoAnotherHeader) {
  Served served;
  node::BeginAnswer replay;
  replay.replay = node::StoredResponse{402, "application/x-thing", std::string("\0\xff", 2)};
  served.node.begin_answer = replay;
  const auto answer = served.ask("POST", kBegin, "payload");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, std::string("\0\xff", 2));
  EXPECT_EQ(answer.header("content-type"), "application/x-thing");
  EXPECT_EQ(answer.header("refrain-status"), "402");
  EXPECT_EQ(answer.header("idempotent-replayed"), "true");
  EXPECT_EQ(answer.header("cache-control"), "no-store");
  EXPECT_EQ(answer.header("x-content-type-options"), "nosniff");
  EXPECT_EQ(answer.header("refrain-decision"), "replay");
}

TEST(RequestRoutes, EveryAnswerToBeginNamesDecisionAndScope) {
  Options options;
  options.scope_of = [](const std::string&) { return "home:eu"; };
  Served served(options);
  const std::pair<const char*, const char*> decisions[] = {{"request_in_progress", "in_progress"},
                                                           {"outcome_unknown", "unknown"},
                                                           {"fingerprint_mismatch", "mismatch"},
                                                           {"response_expired", "gone"},
                                                           {"response_too_large", "gone"},
                                                           {"wrong_node", "refused"},
                                                           {"catching_up", "refused"},
                                                           {"lag_too_large", "refused"},
                                                           {"rate_limited", "refused"}};
  for (const auto& [slug, decision] : decisions) {
    served.node.begin_answer = Result<node::BeginAnswer>(Error{Code::kConflict, slug, "Because."});
    const auto answer = served.ask("POST", kBegin, "payload");
    EXPECT_EQ(code_of(answer), slug);
    EXPECT_EQ(answer.header("refrain-decision"), decision) << slug;
    EXPECT_EQ(answer.header("refrain-scope"), "home:eu") << slug;
  }
  const std::string refused[] = {
      http("POST", kBegin + "?max_lagg=1s"),
      http("POST", kBegin + "?lease=0s"),
      http("POST", kBegin, "x", "Refrain-Session: ?\r\n"),
      http("POST", kBegin, "x", "Idempotency-Key: a\r\nIdempotency-Key: a\r\n"),
      "POST " + kBegin + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
      "POST " + kBegin + " HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n",
      http("POST", kExecute, "{"),
      http("POST", kExecute, "{}", "Content-Type: text/html\r\n")};
  for (const auto& bytes : refused) {
    Wire wire(served.server->port());
    const auto answer = wire.ask(bytes);
    EXPECT_GE(answer.status, 400) << bytes;
    EXPECT_EQ(answer.header("refrain-decision"), "refused") << bytes;
    EXPECT_EQ(answer.header("refrain-scope"), "home:eu") << bytes;
  }
}

TEST(RequestRoutes, InProgressSaysWhenToComeBack) {
  Served served;
  served.node.begin_answer =
      Result<node::BeginAnswer>(Error{Code::kConflict, "request_in_progress", "Running.", 12'001});
  EXPECT_EQ(served.ask("POST", kBegin).header("retry-after"), "13");
}

TEST(RequestRoutes, TheScopeNamedIsTheRequestsOwnWhereTheNodeDecided) {
  Options options;
  options.scope_of = [](const std::string&) { return "home:us"; };
  Served served(options);
  served.node.scope = "local";
  const auto go = served.ask("POST", kBegin);
  EXPECT_EQ(go.header("refrain-scope"), "local");
  EXPECT_THAT(go.body, HasSubstr(R"("scope":"local")"));
  EXPECT_EQ(served.ask("POST", kExecute, R"({"response":{}})").header("refrain-scope"), "local");
  Error running{Code::kConflict, "request_in_progress", "Running.", 12'001};
  running.scope = "local";
  served.node.begin_answer = Result<node::BeginAnswer>(running);
  EXPECT_EQ(served.ask("POST", kBegin).header("refrain-scope"), "local");
}

TEST(RequestRoutes, DecisionAndScopeAreNamedAlsoBeforeTheStoreIsOpenAndOfABrokenId) {
  Options options;
  options.scope_of = [](const std::string&) { return "home:us"; };
  Served opening(options, false);
  const auto early = opening.ask("POST", kBegin);
  EXPECT_EQ(early.status, 503);
  EXPECT_EQ(early.header("refrain-decision"), "refused");
  EXPECT_EQ(early.header("refrain-scope"), "home:us");
  Served served(options);
  const auto broken = served.ask("POST", "/v1/requests/payments/%/begin");
  EXPECT_EQ(broken.status, 400);
  EXPECT_EQ(broken.header("refrain-decision"), "refused");
  EXPECT_EQ(broken.header("refrain-scope"), "home:us");
}

TEST(RequestRoutes, CompleteStoresBytesTextAndEmptyResponses) {
  Served served;
  EXPECT_EQ(
      served
          .ask(
              "POST", kComplete + "?ack=all&timeout=3s",
              R"({"token":"t","response":{"status":0,"content_type":"text/x","body_base64":"AP8="},)"
              R"("operations":[{"put":{"ns":"n","key":"k","value":"v"}}],"response_ttl":"1h","seen_ttl":"1h"})")
          .body,
      R"({"commit":"eu.00000000000000ab.9","state":"pending","completed_at":"2023-11-14T22:13:20.000Z"})");
  EXPECT_EQ(served.ask("POST", kComplete, R"({"token":"t","response":{}})").status, 200);
  EXPECT_EQ(served.ask("POST", kComplete, R"({"token":"t","response":null,"too_large":true})").status, 200);
  const auto& calls = served.node.completions;
  EXPECT_EQ(calls.at(0).response->status, 0U);
  EXPECT_EQ(calls.at(0).response->body, std::string("\0\xff", 2));
  EXPECT_EQ(calls.at(0).writes.at(0).key, "k");
  EXPECT_EQ(calls.at(0).ack.kind, node::Ack::Kind::kAll);
  EXPECT_EQ(calls.at(1).response->body, "");
  EXPECT_EQ(calls.at(1).response->status, 200U);
  EXPECT_EQ(calls.at(1).response->content_type, "application/octet-stream");
  EXPECT_FALSE(calls.at(2).response);
  EXPECT_TRUE(calls.at(2).too_large);
}

TEST(RequestRoutes, CompleteRefusesWhatIsNoOutcome) {
  Served served;
  const std::pair<const char*, const char*> bad[] = {
      {R"({"token":"t"})", "invalid"},
      {R"({"response":{}})", "invalid"},
      {R"({"token":"t","response":null})", "invalid"},
      {R"({"token":"t","response":"text"})", "invalid"},
      {R"({"token":"t","response":{},"too_large":true})", "invalid"},
      {R"({"token":"t","too_large":true})", "invalid"},
      {R"({"token":"t","response":{"status":1000}})", "invalid"},
      {R"({"token":"t","response":{"status":-1}})", "invalid"},
      {R"({"token":"t","response":{"status":200.5}})", "invalid"},
      {R"({"token":"t","response":{"content_type":"a\r\nb: c"}})", "invalid"},
      {R"({"token":"t","response":{"content_type":""}})", "invalid"},
      {R"({"token":"t","response":{"content_type":"caf\u00e9"}})", "invalid"},
      {R"({"token":"t","response":{},"response_ttl":"2h","seen_ttl":"1h"})", "invalid"},
      {R"({"token":"t","response":{},"response_ttl":"1 h"})", "invalid"},
      {R"({"token":"t","response":{"headers":{}}})", "unknown_parameter"},
      {R"({"token":"t","response":{},"lease":"1s"})", "unknown_parameter"},
  };
  for (const auto& [body, code] : bad) EXPECT_EQ(code_of(served.ask("POST", kComplete, body)), code) << body;
  EXPECT_EQ(code_of(served.ask("POST", kExecute, R"({"token":"t","response":{}})")), "unknown_parameter");
  EXPECT_TRUE(served.node.completions.empty());
}

TEST(RequestRoutes, ResponsesAreLimitedToTheByte) {
  Served served;
  const auto complete = [&](std::size_t bytes) {
    return served.ask("POST", kComplete,
                      R"({"token":"t","response":{"body":")" + std::string(bytes, 'b') + "\"}}");
  };
  EXPECT_EQ(complete(256 * 1024 - 1).status, 200);
  EXPECT_EQ(complete(256 * 1024).status, 200);
  const auto over = complete(256 * 1024 + 1);
  EXPECT_EQ(over.status, 413);
  EXPECT_EQ(code_of(over), "response_over_limit");
  EXPECT_THAT(over.body, HasSubstr("262144"));
  EXPECT_EQ(served.node.completions.size(), 2U);
}

TEST(RequestRoutes, AFirstExecuteGivesTheBytesOfAReplayWith201) {
  Served served;
  const std::string body = R"({"response":{"status":402,"content_type":"text/x","body":"hello"}})";
  const auto first = served.ask("POST", kExecute, body);
  EXPECT_EQ(first.status, 201);
  EXPECT_EQ(first.body, "hello");
  EXPECT_EQ(first.header("refrain-status"), "402");
  EXPECT_EQ(first.header("refrain-decision"), "go");
  EXPECT_EQ(first.header("idempotent-replayed"), "");
  served.node.execute_replay = node::StoredResponse{402, "text/x", "hello"};
  const auto second = served.ask("POST", kExecute, body);
  EXPECT_EQ(second.status, 200);
  EXPECT_EQ(second.body, first.body);
  EXPECT_EQ(second.header("content-type"), first.header("content-type"));
  EXPECT_EQ(second.header("refrain-decision"), "replay");
  EXPECT_EQ(second.header("idempotent-replayed"), "true");
}

TEST(RequestRoutes, IdsAreVisibleAsciiDecodedOnceAndOfOneSegment) {
  Served served;
  const auto begin = [&](const std::string& id) {
    return served.ask("POST", "/v1/requests/payments/" + id + "/begin");
  };
  EXPECT_EQ(begin("a%2Fb").status, 201);
  EXPECT_EQ(served.node.begins.back().id, "a/b");
  EXPECT_EQ(begin("a%252Fb").status, 201);
  EXPECT_EQ(served.node.begins.back().id, "a%2Fb");
  EXPECT_EQ(begin("begin").status, 201);
  EXPECT_EQ(begin(std::string(255, 'a')).status, 201);
  EXPECT_EQ(begin(std::string(256, 'a')).status, 400);
  for (int c = 0; c < 256; ++c) {
    const bool allowed = c >= 0x21 && c <= 0x7E && c != '"' && c != '\\';
    const std::string id = "x%" + hex_encode(std::string(1, static_cast<char>(c)));
    EXPECT_EQ(begin(id).status, allowed ? 201 : 400) << c;
  }
  for (const char* bad : {".", "..", "%2E", ""}) EXPECT_EQ(begin(bad).status, 400) << bad;
  EXPECT_EQ(begin("a/b").status, 404);
}

TEST(RequestRoutes, OurOwnNamespacesAreReadAndNotUsed) {
  Served served;
  served.node.known_request = node::RequestReport{};
  EXPECT_EQ(served.ask("GET", "/v1/requests/_http-stock/a").status, 200);
  EXPECT_EQ(code_of(served.ask("GET", "/v1/requests/_other/a")), "reserved_name");
  for (const char* verb : {"begin", "complete", "execute", "renew", "release", "resolve"}) {
    const auto answer = served.ask("POST", std::string("/v1/requests/_http-stock/a/") + verb, "{}");
    EXPECT_EQ(code_of(answer), "reserved_name") << verb;
  }
}

TEST(RequestRoutes, LeasesAndWaitsAreBounded) {
  Served served;
  EXPECT_EQ(served.ask("POST", kBegin + "?lease=1h").status, 201);
  EXPECT_EQ(served.ask("POST", kBegin + "?lease=3600001ms").status, 400);
  EXPECT_EQ(served.ask("POST", kBegin + "?lease=0s").status, 400);
  EXPECT_EQ(served.ask("POST", kBegin + "?wait=60s").status, 201);
  EXPECT_EQ(served.ask("POST", kBegin + "?wait=61s").status, 400);
  EXPECT_EQ(served.ask("POST", kBegin + "?on_expiry=maybe").status, 400);
  EXPECT_EQ(served.ask("POST", kBegin, std::string(1024 * 1024, 'p')).status, 201);
  EXPECT_EQ(served.ask("POST", kBegin, std::string(1024 * 1024 + 1, 'p')).status, 413);
  const std::string renew = "/v1/requests/payments/order-1/renew";
  EXPECT_EQ(served.ask("POST", renew, R"({"token":"t","lease":"1h"})").status, 200);
  EXPECT_EQ(served.ask("POST", renew, R"({"token":"t","lease":"2h"})").status, 400);
  EXPECT_EQ(
      served.ask("POST", renew, R"({"token":"t"})").body,
      R"({"lease_ms":5000,"lease_until":"1970-01-01T00:00:00.000Z","commit":"eu.0000000000000000.1","state":"pending"})");
  EXPECT_EQ(served.ask("POST", "/v1/requests/payments/order-1/release", R"({"token":"t"})").status, 200);
  EXPECT_EQ(served.ask("POST", "/v1/requests/payments/order-1/release", "{}").status, 400);
}

TEST(RequestRoutes, ARequestShowsNeitherTokenNorFingerprint) {
  Served served;
  node::RequestReport report;
  report.id = "order-1";
  report.state = "completed";
  report.scope = "local";
  report.fingerprint_matches = true;
  report.response = node::RequestReport::Response{200, "text/x", 5, false};
  served.node.known_request = report;
  const auto body =
      served.ask("GET", "/v1/requests/payments/order-1?fingerprint=" + std::string(64, 'a')).body;
  EXPECT_THAT(body, HasSubstr("\"fingerprint_matches\":true"));
  EXPECT_THAT(body,
              HasSubstr(R"("response":{"status":200,"content_type":"text/x","size":5,"too_large":false})"));
  EXPECT_THAT(body, Not(HasSubstr("token")));
  EXPECT_THAT(body, Not(HasSubstr("aaaa")));
  served.node.known_request.reset();
  EXPECT_EQ(served.ask("GET", "/v1/requests/payments/order-1").status, 404);
  EXPECT_EQ(served.ask("GET", "/v1/requests/payments?state=unknown").status, 200);
  EXPECT_EQ(served.ask("GET", "/v1/requests/payments?state=nonsense").status, 400);
}

TEST(RequestRoutes, OperatorsResolveRequestsAndConflicts) {
  Served served;
  const std::string resolve = "/v1/requests/payments/order-1/resolve";
  EXPECT_EQ(served.ask("POST", resolve, R"({"action":"release"})").status, 200);
  EXPECT_EQ(served.ask("POST", resolve, R"({"action":"complete","response":{"body":"x"}})").status, 200);
  EXPECT_EQ(served.ask("POST", resolve, R"({"action":"complete"})").status, 400);
  EXPECT_EQ(served.ask("POST", resolve, R"({"action":"forget"})").status, 400);
  EXPECT_EQ(served.ask("POST", resolve, R"({"action":"release","response":{}})").status, 400);
  const std::string conflict = "/v1/conflicts/c1/resolve";
  EXPECT_EQ(served.ask("POST", conflict, R"({"choice":"loser"})").status, 200);
  EXPECT_EQ(served.ask("POST", conflict, R"({"choice":"value","value_base64":"AP8="})").status, 200);
  EXPECT_EQ(served.ask("POST", conflict, R"({"choice":"value"})").status, 400);
  EXPECT_EQ(served.ask("POST", conflict, R"({"choice":"winner","value":"x"})").status, 400);
  EXPECT_EQ(served.ask("POST", conflict, R"({"choice":"both"})").status, 400);
  ASSERT_EQ(served.node.resolutions.size(), 2U);
  EXPECT_EQ(served.node.resolutions[1].value, std::string("\0\xff", 2));
}

TEST(RequestRoutes, ListsAndInspectionAnswer) {
  Served served;
  served.node.known_duplicates.push_back({"d1", {}});
  served.node.known_duplicates[0].duplicate.winner = {"us", Hlc{9}};
  served.node.known_conflict = node::ConflictReport{};
  EXPECT_THAT(served.ask("GET", "/v1/duplicates?all=true").body,
              HasSubstr(R"("winner":{"node":"us","fencing":"9")"));
  EXPECT_THAT(served.ask("GET", "/v1/conflicts?open=true&ns=n&key=a").body, HasSubstr("\"winner\":{"));
  EXPECT_EQ(served.ask("GET", "/v1/conflicts?key=a").status, 400);
  EXPECT_EQ(served.ask("GET", "/v1/conflicts/c1").status, 200);
  for (const char* path :
       {"/v1/status", "/v1/members", "/v1/sync", "/v1/events", "/v1/events?after=5&state=pending",
        "/v1/events?after=eu.5", "/v1/events/eu.5", "/v1/events/eu.00000000000000ab.5"}) {
    EXPECT_EQ(served.ask("GET", path).status, 200) << path;
  }
  for (const char* path :
       {"/v1/events?after=x", "/v1/events?state=x", "/v1/events/nonsense", "/v1/events?limit=x"}) {
    EXPECT_EQ(served.ask("GET", path).status, 400) << path;
  }
  EXPECT_EQ(served.ask("POST", "/v1/events/retry").status, 200);
  EXPECT_EQ(served.ask("POST", "/v1/sync/us/resume?skip=7").status, 200);
  EXPECT_EQ(served.ask("POST", "/v1/sync/us/resume?skip=-1").status, 400);
  EXPECT_EQ(served.ask("POST", "/v1/sync/all/resume").status, 400);
}

TEST(RequestRoutes, PagesOfConflictsAndEventsEndAtOneMebibyteToo) {
  Served served;
  for (const char* id : {"c1", "c2", "c3"}) {
    node::ConflictReport conflict;
    conflict.id = id;
    conflict.winner.value = std::string(100'000, '\1');
    served.node.known_conflicts.push_back(conflict);
  }
  for (std::uint64_t seq : {1, 2, 3}) {
    node::EventReport event;
    event.commit = {"eu", Incarnation{1}, Seq{seq}};
    event.operations.assign(2'000, {"put", "n", std::string(250, 'k')});
    served.node.known_events.push_back(event);
  }
  EXPECT_TRUE(served.ask("GET", "/v1/conflicts").body.ends_with("}],\"after\":\"behind c1\"}"));
  EXPECT_TRUE(served.ask("GET", "/v1/events").body.ends_with("}],\"after\":\"1\"}"));
}

TEST(RequestRoutes, ListsWaitForWhatTheirCallerHasSeenOrAreStale) {
  Served served;
  const auto sent = "Refrain-Session: " + store::encode_session({{"us", Hlc{5}}}) + "\r\n";
  for (const std::string path : {"/v1/requests/payments", "/v1/duplicates", "/v1/conflicts", "/v1/events"}) {
    served.node.stale = conflict("stale", "This node lacks us.");
    EXPECT_EQ(code_of(served.ask("GET", path, "", sent)), "stale") << path;
    EXPECT_EQ(code_of(served.ask("GET", path + "?wait=7ms", "", sent)), "stale") << path;
    served.node.stale.reset();
    const auto answer = served.ask("GET", path + "?wait=9ms", "", sent);
    EXPECT_EQ(answer.status, 200) << path;
    EXPECT_EQ(store::decode_session(answer.header("refrain-session")),
              (Vector{{"eu", Hlc{7}}, {"us", Hlc{5}}}))
        << path;
    EXPECT_EQ(served.node.session_waits, (std::vector{Milliseconds{0}, Milliseconds{7}, Milliseconds{9}}));
    served.node.session_waits.clear();
    EXPECT_EQ(served.ask("GET", path + "?wait=61s").status, 400) << path;
  }
}

TEST(RequestRoutes, AnEventWhoseBytesAreGoneHasNullForWhatOnlyTheySaid) {
  Served served;
  EXPECT_THAT(served.ask("GET", "/v1/events/eu.5").body,
              HasSubstr(R"("at":null,"bytes":null,"operations":[])"));
  served.node.known_events.emplace_back();
  served.node.known_events[0].at = WallMs{1'700'000'000'000};
  served.node.known_events[0].bytes = 99;
  EXPECT_THAT(served.ask("GET", "/v1/events/eu.5").body,
              HasSubstr(R"("at":"2023-11-14T22:13:20.000Z","bytes":99)"));
}

TEST(RequestRoutes, VoidCommitsAreShownWithAllThatItTakesToMakeThemAgain) {
  Served served;
  node::VoidCommit found;
  found.commit.node = "eu";
  found.commit.incarnation = {0x1f};
  found.commit.hlc = Hlc::of(WallMs{1'700'000'000'000});
  found.commit.floor = {0x30};
  found.seen_own = {0x50};
  found.commit.operations = {
      store::Put{"shop", "k", "\xff", WallMs{1'700'000'000'001}, {{"us", Hlc{0x40}}}},
      store::Delete{"shop", "gone", {}},
      store::ClaimOp{"payments", "order-4", "eu", {}},
  };
  for (std::uint64_t seq : {7, 8}) {
    found.commit.seq = {seq};
    served.node.known_void.push_back(found);
  }
  node::VoidCommit damaged;
  damaged.commit.node = "eu";
  damaged.commit.seq = {9};
  damaged.readable = false;
  served.node.known_void.push_back(damaged);
  const auto page = served.ask("GET", "/v1/events/export?limit=1").body;
  EXPECT_THAT(
      page,
      HasSubstr(
          R"({"items":[{"commit":"eu.000000000000001f.7","at":"2023-11-14T22:13:20.000Z","version":"018bcfe568000000-eu","operations":[)"
          R"({"kind":"put","ns":"shop","key":"k","value_base64":"/w==","expires_at":"2023-11-14T22:13:20.001Z",)"
          R"("seen":{"*":"0000000000000030","eu":"0000000000000050","us":"0000000000000040"}},)"
          R"({"kind":"delete","ns":"shop","key":"gone","seen":{"*":"0000000000000030","eu":"0000000000000050"}},)"
          R"({"kind":"claim","ns":"payments","key":"order-4"}]}])"));
  EXPECT_THAT(served.ask("GET", "/v1/events/export?after=eu.000000000000001f.8").body,
              HasSubstr(R"("at":null,"version":null,"operations":[])"));
  EXPECT_EQ(code_of(served.ask("GET", "/v1/events/export?after=seven")), "invalid");
}

TEST(RequestRoutes, WhatAWriterHadSeenIsAConditionOfCommitsOnly) {
  Served served;
  const std::string operations =
      R"("operations":[{"put":{"ns":"shop","key":"k","value":"v","if_seen":{"us":"0000000000000040","*":"0000000000000001"}}}])";
  EXPECT_EQ(served.ask("POST", "/v1/commit", "{" + operations + "}").status, 200);
  ASSERT_EQ(served.node.commits.size(), 1u);
  EXPECT_EQ(served.node.commits[0].writes[0].condition.if_seen, (Vector{{"us", Hlc{0x40}}, {"*", Hlc{1}}}));
  EXPECT_EQ(
      code_of(served.ask("POST", "/v1/requests/shop/a/execute", R"({"response":{},)" + operations + "}")),
      "invalid");
  for (const char* seen : {R"({"us":7})", R"({"us":"40"})", R"({"US":"0000000000000040"})", "[]"}) {
    const auto answer = served.ask(
        "POST", "/v1/commit",
        std::string(R"({"operations":[{"delete":{"ns":"shop","key":"k","if_seen":)") + seen + "}}]}");
    EXPECT_EQ(code_of(answer), "invalid") << seen;
  }
}

TEST(RequestRoutes, ABackupGoesWhereItsCallerSaysOnTheNodesMachine) {
  Served served;
  const auto made = served.ask("POST", "/v1/backup", R"({"directory":"/backups/monday"})");
  EXPECT_EQ(made.status, 200);
  EXPECT_EQ(
      made.body,
      R"({"directory":"/backups/monday","node":"eu","cluster":"shop","at":"2023-11-14T22:13:20.000Z","bytes":4096})");
  for (const char* bad : {R"({"directory":"monday"})", R"({"directory":""})", "{}", R"({"directory":7})",
                          R"({"directory":"/a\u0000b"})", "nonsense"}) {
    EXPECT_EQ(code_of(served.ask("POST", "/v1/backup", bad)), "invalid") << bad;
  }
  EXPECT_EQ(code_of(served.ask("POST", "/v1/backup", R"({"directory":"/a","into":"b"})")),
            "unknown_parameter");
  EXPECT_EQ(served.node.backups.size(), 1u);
}

TEST(RequestRoutes, AnOrderAboutMembershipIsDoneOrUnderWay) {
  Served served;
  served.node.change = {"us", {0xAB}, true, "over", {12}, Seq{12}, ""};
  auto over = served.ask("POST", "/v1/members/us/evict?timeout=1s", R"({"yes": true})");
  EXPECT_EQ(over.status, 200);
  EXPECT_EQ(
      over.body,
      R"({"node":"us","incarnation":"00000000000000ab","state":"over","newest_known":12,"end":12,"detail":""})");
  EXPECT_EQ(served.node.order.kind, node::MemberOrder::Kind::kEvict);
  EXPECT_EQ(served.node.order.node, "us");
  EXPECT_TRUE(served.node.order.although_heard);
  EXPECT_EQ(served.node.order.timeout, Milliseconds{1'000});
  served.node.change = {"eu", {1}, false, "leaving", {9}, std::nullopt, "leaving; waits until us has all"};
  auto leaving = served.ask("POST", "/v1/members/eu/leave");
  EXPECT_EQ(leaving.status, 202);
  EXPECT_THAT(leaving.body, HasSubstr(R"("end":null,"detail":"leaving; waits until us has all")"));
  EXPECT_EQ(served.node.order.kind, node::MemberOrder::Kind::kLeave);
  EXPECT_FALSE(served.node.order.although_heard);
  EXPECT_EQ(served.ask("POST", "/v1/members/eu/rejoin").status, 202);
  EXPECT_EQ(served.node.order.kind, node::MemberOrder::Kind::kRejoin);
  EXPECT_EQ(code_of(served.ask("POST", "/v1/members/us/evict", R"({"sure": true})")), "unknown_parameter");
  EXPECT_EQ(code_of(served.ask("POST", "/v1/members/us/evict?timeout=61s")), "invalid");
  EXPECT_EQ(code_of(served.ask("POST", "/v1/members/US/evict")), "invalid");
}

}  // namespace
}  // namespace refrain::server
