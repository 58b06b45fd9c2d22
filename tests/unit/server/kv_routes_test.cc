// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/response.h"
#include "store/session.h"
#include "wire.h"

namespace refrain::server {
namespace {

using testing::HasSubstr;

std::string code_of(const WireAnswer& answer) {
  const auto at = answer.body.find("\"code\":\"");
  return at == std::string::npos ? "" : answer.body.substr(at + 8, answer.body.find('"', at + 8) - at - 8);
}

TEST(KvRoutes, APutIsAnsweredWithCommitVersionStateAndETag) {
  Served served;
  const auto answer = served.ask("PUT", "/v1/kv/stock/chair/7?ttl=30d&ack=eu&timeout=2s", "41");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body,
            R"({"commit":"eu.00000000000000ab.100","version":"0000000000000064-eu","state":"pending",)"
            R"("applied_by":[],"waiting_for":[]})");
  EXPECT_EQ(answer.header("etag"), "\"0000000000000064-eu\"");
  EXPECT_EQ(answer.header("content-type"), "application/json");
  EXPECT_EQ(store::decode_session(answer.header("refrain-session")), (Vector{{"eu", Hlc{100}}}));
  const auto& call = served.node.commits.at(0);
  EXPECT_EQ(call.writes.at(0).key, "chair/7");
  EXPECT_EQ(call.writes.at(0).ttl, Milliseconds{30LL * 86'400'000});
  EXPECT_EQ(call.ack.node, "eu");
  EXPECT_EQ(call.ack.timeout, Milliseconds{2000});
}

TEST(KvRoutes, APutWhoseAckDidNotComeInTimeIs202WithTheSameBody) {
  Served served;
  served.node.timed_out = true;
  const auto answer = served.ask("PUT", "/v1/kv/n/k?ack=all&timeout=1ms", "v");
  EXPECT_EQ(answer.status, 202);
  EXPECT_THAT(answer.body, HasSubstr("\"waiting_for\":[]"));
}

TEST(KvRoutes, AReadGivesTheBytesAsTheyWere) {
  Served served;
  std::string bytes;
  for (int c = 0; c < 256; ++c) bytes += static_cast<char>(c);
  served.ask("PUT", "/v1/kv/n/k", bytes);
  const auto answer = served.ask("GET", "/v1/kv/n/k");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, bytes);
  EXPECT_EQ(answer.header("cache-control"), "no-cache");
  EXPECT_EQ(answer.header("refrain-conflicts"), "");
  served.node.keys.at({"n", "k"}).open_conflicts = 2;
  EXPECT_EQ(served.ask("GET", "/v1/kv/n/k").header("refrain-conflicts"), "2");
}

TEST(KvRoutes, HeadIsGetWithoutItsBody) {
  Served served;
  served.ask("PUT", "/v1/kv/n/k", "value");
  const auto answer = served.ask("HEAD", "/v1/kv/n/k");
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.header("content-length"), "5");
  EXPECT_EQ(answer.body, "");
}

TEST(KvRoutes, ANoneMatchThatDoesNotHoldIs304) {
  Served served;
  const auto tag = served.ask("PUT", "/v1/kv/n/k", "value").header("etag");
  EXPECT_EQ(served.ask("GET", "/v1/kv/n/k", "", "If-None-Match: \"x\", W/" + tag + "\r\n").status, 304);
  EXPECT_EQ(served.ask("GET", "/v1/kv/n/k", "", "If-None-Match: *\r\n").status, 304);
  EXPECT_EQ(served.ask("GET", "/v1/kv/n/k", "", "If-None-Match: \"x\"\r\n").status, 200);
}

TEST(KvRoutes, ConditionsReachTheNode) {
  Served served;
  served.ask("PUT", "/v1/kv/n/k", "v", "If-Match: \"0000000000000064-eu\"\r\n");
  served.ask("PUT", "/v1/kv/n/k", "v", "If-Match: 0000000000000064-eu\r\n");
  served.ask("PUT", "/v1/kv/n/k", "v", "If-None-Match: *\r\n");
  EXPECT_EQ(served.node.commits.at(0).writes.at(0).condition.if_match, (Version{Hlc{100}, "eu"}));
  EXPECT_EQ(served.node.commits.at(1).writes.at(0).condition.if_match, (Version{Hlc{100}, "eu"}));
  EXPECT_TRUE(served.node.commits.at(2).writes.at(0).condition.if_none_match);
  EXPECT_EQ(served.ask("PUT", "/v1/kv/n/k", "v", "If-Match: nonsense\r\n").status, 400);
  EXPECT_EQ(served.ask("PUT", "/v1/kv/n/k", "v", "If-None-Match: \"x\"\r\n").status, 400);
  EXPECT_EQ(served.ask("DELETE", "/v1/kv/n/k", "", "If-None-Match: *\r\n").status, 400);
}

TEST(KvRoutes, ADeleteSaysWhetherAValueWasThere) {
  Served served;
  served.ask("PUT", "/v1/kv/n/k", "v");
  EXPECT_THAT(served.ask("DELETE", "/v1/kv/n/k").body, HasSubstr("\"existed\":true"));
  EXPECT_THAT(served.ask("DELETE", "/v1/kv/n/k").body, HasSubstr("\"existed\":false"));
  EXPECT_EQ(code_of(served.ask("GET", "/v1/kv/n/k")), "not_found");
}

TEST(KvRoutes, AMissAndAScanGiveTheAppliedVectorAndAReadItsVersion) {
  Served served;
  const auto seen = [&](const WireAnswer& answer) {
    return store::decode_session(answer.header("refrain-session")).value();
  };
  const auto sent = "Refrain-Session: " + store::encode_session({{"us", Hlc{5}}, {"eu", Hlc{1}}}) + "\r\n";
  EXPECT_EQ(seen(served.ask("GET", "/v1/kv/n/k", "", sent)), (Vector{{"eu", Hlc{7}}, {"us", Hlc{5}}}));
  EXPECT_EQ(seen(served.ask("GET", "/v1/kv/n")), (Vector{{"eu", Hlc{7}}}));
  served.ask("PUT", "/v1/kv/n/k", "v");
  EXPECT_EQ(seen(served.ask("GET", "/v1/kv/n/k")), (Vector{{"eu", Hlc{100}}}));
  EXPECT_EQ(seen(served.ask("GET", "/nowhere", "", sent)), (Vector{{"eu", Hlc{1}}, {"us", Hlc{5}}}));
}

TEST(KvRoutes, AReadThatTheNodeCannotCoverIsStale) {
  Served served;
  served.node.stale = conflict("stale", "This node lacks us.");
  const auto sent = "Refrain-Session: " + store::encode_session({{"us", Hlc{5}}}) + "\r\n";
  EXPECT_EQ(code_of(served.ask("GET", "/v1/kv/n/k?wait=1ms", "", sent)), "stale");
  EXPECT_EQ(code_of(served.ask("GET", "/v1/kv/n/k", "", "Refrain-Session: %%%\r\n")), "invalid");
}

TEST(KvRoutes, ScansGoOnBehindTheLastKey) {
  Served served;
  for (const char* key : {"a", "b/1", "b/2", "c"}) served.ask("PUT", std::string("/v1/kv/n/") + key, "v");
  EXPECT_THAT(served.ask("GET", "/v1/kv/n?prefix=b%2F&limit=1").body, HasSubstr("\"after\":\"b/1\""));
  EXPECT_THAT(served.ask("GET", "/v1/kv/n?prefix=b%2F&after=b/1").body, HasSubstr("\"after\":null"));
  EXPECT_THAT(served.ask("GET", "/v1/kv/n?values=true").body, HasSubstr("\"value\":\"v\""));
  EXPECT_EQ(served.ask("GET", "/v1/kv/n?limit=1000").status, 200);
  EXPECT_EQ(served.ask("GET", "/v1/kv/n?limit=1001").status, 400);
  EXPECT_EQ(served.ask("GET", "/v1/kv/n?limit=0").status, 400);
}

TEST(KvRoutes, APageOfKeysEndsAtOneMebibyteOfJsonAndGoesOnBehindItsLastKey) {
  Served served;
  for (const char* key : {"a", "b", "c"})
    served.ask("PUT", std::string("/v1/kv/n/") + key, std::string(100'000, '\1'));  // 600,000 in JSON
  std::string after;
  for (const char* key : {"a", "b"}) {
    const auto page = served.ask("GET", "/v1/kv/n?values=true&after=" + after).body;
    EXPECT_LT(page.size(), 1024U * 1024);
    EXPECT_THAT(page, HasSubstr(std::string("{\"items\":[{\"key\":\"") + key + "\""));
    EXPECT_TRUE(page.ends_with(std::string("\"}],\"after\":\"") + key + "\"}"));
    after = key;
  }
  EXPECT_TRUE(served.ask("GET", "/v1/kv/n?values=true&after=b").body.ends_with("\"}],\"after\":null}"));
  EXPECT_THAT(served.ask("GET", "/v1/kv/n").body, HasSubstr("\"c\""));
}

TEST(KvRoutes, EveryLimitHoldsAtOneBelowAtAndOneAbove) {
  Served served;
  const auto key = [](std::size_t n) { return "/v1/kv/n/" + std::string(n, 'k'); };
  EXPECT_EQ(served.ask("PUT", key(1023), "v").status, 200);
  EXPECT_EQ(served.ask("PUT", key(1024), "v").status, 200);
  EXPECT_EQ(served.ask("PUT", key(1025), "v").status, 413);
  EXPECT_EQ(served.ask("PUT", "/v1/kv/n/k", std::string(512 * 1024 - 1, 'v')).status, 200);
  EXPECT_EQ(served.ask("PUT", "/v1/kv/n/k", std::string(512 * 1024, 'v')).status, 200);
  const auto over = served.ask("PUT", "/v1/kv/n/k", std::string(512 * 1024 + 1, 'v'));
  EXPECT_EQ(over.status, 413);
  EXPECT_THAT(over.body, HasSubstr("524288"));
  EXPECT_EQ(served.ask("PUT", "/v1/kv/n/", "v").status, 400);
  EXPECT_EQ(served.ask("PUT", "/v1/kv/" + std::string(64, 'n') + "/k", "v").status, 200);
  EXPECT_EQ(served.ask("PUT", "/v1/kv/" + std::string(65, 'n') + "/k", "v").status, 400);
  EXPECT_EQ(served.ask("PUT", "/v1/kv/n/k?ack=all&timeout=60s", "v").status, 200);
  EXPECT_EQ(served.ask("PUT", "/v1/kv/n/k?ack=all&timeout=60001ms", "v").status, 400);
  EXPECT_EQ(served.ask("GET", "/v1/kv/n/k?wait=60s").status, 200);
  EXPECT_EQ(served.ask("GET", "/v1/kv/n/k?wait=60001ms").status, 400);
  EXPECT_EQ(served.ask("PUT", "/v1/kv/n/k?ttl=0s", "v").status, 400);
  EXPECT_EQ(served.ask("PUT", "/v1/kv/n/k?ttl=1ms", "v").status, 200);
}

TEST(KvRoutes, CommitLimitsHoldToTheByte) {
  Served served;
  const auto commit = [&](std::size_t bytes) {  // namespaces and keys are 4 bytes
    const std::string half = std::string(bytes / 2, 'v'), rest = std::string(bytes - bytes / 2 - 4, 'v');
    return served.ask("POST", "/v1/commit",
                      R"({"operations":[{"put":{"ns":"n","key":"a","value":")" + half +
                          R"("}},{"put":{"ns":"n","key":"b","value":")" + rest + "\"}}]}");
  };
  EXPECT_EQ(commit(900 * 1024 - 1).status, 200);
  EXPECT_EQ(commit(900 * 1024).status, 200);
  const auto over = commit(900 * 1024 + 1);
  EXPECT_EQ(over.status, 413);
  EXPECT_EQ(code_of(over), "commit_too_large");
  EXPECT_THAT(over.body, HasSubstr("921600"));
}

TEST(KvRoutes, KeysAreTheRestOfThePathDecodedOnce) {
  Served served;
  const auto stored = [&](const std::string& path) {
    served.node.keys.clear();
    const auto answer = served.ask("PUT", "/v1/kv/n/" + path, "v");
    return answer.status == 200 ? served.node.keys.begin()->first.second : std::to_string(answer.status);
  };
  EXPECT_EQ(stored("a/b"), "a/b");
  EXPECT_EQ(stored("a%2Fb"), "a/b");
  EXPECT_EQ(stored("a%252Fb"), "a%2Fb");
  EXPECT_EQ(stored("a+b"), "a+b");
  EXPECT_EQ(stored("%C3%A9"), "\xc3\xa9");
  for (const char* bad : {"a//b", "/a", "a/", ".", "..", "a/./b", "a/../b", "%2E%2E", "a%00b", "a%1Fb",
                          "a%7Fb", "a%0D%0Ab", "%FF", "%C3", "%ED%A0%80", "%", "%2", "%zz", "%2G"}) {
    EXPECT_EQ(stored(bad), "400") << bad;
  }
}

TEST(KvRoutes, UnknownAndDoubledParametersAreRefusedBeforeAnythingHappens) {
  Served served;
  EXPECT_EQ(code_of(served.ask("PUT", "/v1/kv/n/k?tll=1s", "v")), "unknown_parameter");
  EXPECT_EQ(code_of(served.ask("GET", "/v1/kv/n/k?ttl=1s")), "unknown_parameter");
  EXPECT_EQ(code_of(served.ask("PUT", "/v1/kv/n/k?ttl=1s&ttl=1s", "v")), "invalid");
  EXPECT_EQ(code_of(served.ask("PUT", "/v1/kv/n/k?ttl=1", "v")), "invalid");
  EXPECT_EQ(code_of(served.ask("PUT", "/v1/kv/n/k?ack=ALL", "v")), "invalid");
  EXPECT_EQ(code_of(served.ask("PUT", "/v1/kv/_own/k", "v")), "reserved_name");
  EXPECT_EQ(code_of(served.ask("PUT", "/v1/kv/Upper/k", "v")), "invalid");
  EXPECT_TRUE(served.node.commits.empty());
}

TEST(KvRoutes, UnknownRoutesAndMethodsAreNamed) {
  Served served;
  EXPECT_EQ(code_of(served.ask("GET", "/v1/kw/n/k")), "no_such_route");
  EXPECT_EQ(code_of(served.ask("GET", "/v1/status/")), "no_such_route");
  const auto post = served.ask("POST", "/v1/kv/n/k");
  EXPECT_EQ(code_of(post), "method_not_allowed");
  EXPECT_EQ(post.header("allow"), "DELETE, GET, HEAD, PUT");
  EXPECT_EQ(served.ask("OPTIONS", "/v1/kv/n/k").status, 405);
  EXPECT_EQ(served.ask("OPTIONS", "*").status, 405);
  EXPECT_EQ(served.ask("BREW", "/v1/commit").header("allow"), "POST");
  EXPECT_EQ(served.ask("DELETE", "/v1/commit").status, 405);
}

TEST(KvRoutes, AnIdempotencyKeyIsOfTheWholeCallAndNotOfItsWaiting) {
  Served served;
  const std::string key = "Idempotency-Key: order-1\r\n", quoted = "Idempotency-Key: \"order-1\"\r\n";
  served.ask("PUT", "/v1/kv/n/k?ack=local", "v", key);
  served.ask("PUT", "/v1/kv/n/k?ack=eu&timeout=1s", "v", quoted);
  for (const char* other : {"/v1/kv/n/k2", "/v1/kv/n2/k", "/v1/kv/n/k?ttl=1s"})
    served.ask("PUT", other, "v", key);
  served.ask("PUT", "/v1/kv/n/k", "v2", key);
  served.ask("PUT", "/v1/kv/n/k", "v", key + "If-None-Match: *\r\n");
  const auto& calls = served.node.commits;
  ASSERT_EQ(calls.size(), 7U);
  EXPECT_EQ(calls[0].idempotency_key->key, "order-1");
  EXPECT_EQ(calls[1].idempotency_key->key, "order-1");
  EXPECT_EQ(calls[0].idempotency_key->fingerprint, calls[1].idempotency_key->fingerprint);
  for (std::size_t i = 2; i < calls.size(); ++i) {
    EXPECT_NE(calls[0].idempotency_key->fingerprint, calls[i].idempotency_key->fingerprint) << i;
  }
  for (const char* bad : {"Idempotency-Key: a b\r\n", "Idempotency-Key:\r\n", "Idempotency-Key: \"a\r\n",
                          "Idempotency-Key: caf\xc3\xa9\r\n"}) {
    EXPECT_EQ(served.ask("PUT", "/v1/kv/n/k", "v", bad).status, 400) << bad;
  }
  EXPECT_EQ(served.ask("PUT", "/v1/kv/n/k", "v", "Idempotency-Key: " + std::string(255, 'a') + "\r\n").status,
            200);
  EXPECT_EQ(served.ask("PUT", "/v1/kv/n/k", "v", "Idempotency-Key: " + std::string(256, 'a') + "\r\n").status,
            400);
}

struct BadCommit {
  const char* body;
  const char* code;
};

TEST(KvRoutes, CommitBodiesAreTakenStrictly) {
  Served served;
  const BadCommit bad[] = {
      {"", "invalid"},
      {"{", "invalid"},
      {"[]", "invalid"},
      {"{}", "invalid"},
      {R"({"operations":[]})", "invalid"},
      {R"({"operations":{}})", "invalid"},
      {R"({"operations":[{}]})", "invalid"},
      {R"({"operations":[1]})", "invalid"},
      {R"({"operations":[{"put":{"ns":"n","key":"k","value":"v"},"delete":{"ns":"n","key":"k"}}]})",
       "invalid"},
      {R"({"operations":[{"put":{"ns":"n","key":"k"}}]})", "invalid"},
      {R"({"operations":[{"put":{"ns":"n","key":"k","value":1}}]})", "invalid"},
      {R"({"operations":[{"put":{"ns":"n","key":"k","value":"v","value_base64":"dg=="}}]})", "invalid"},
      {R"({"operations":[{"put":{"ns":"n","key":"k","value_base64":"dg"}}]})", "invalid"},
      {R"({"operations":[{"put":{"ns":"n","key":"k","value":"v","ttl":5}}]})", "invalid"},
      {R"({"operations":[{"put":{"ns":"n","key":"k","value":"v","if_match":"x"}}]})", "invalid"},
      {R"({"operations":[{"put":{"ns":"n","key":"../k","value":"v"}}]})", "invalid"},
      {R"({"operations":[{"put":{"ns":"n","key":"k","value":"v"}}]} x)", "invalid"},
      {R"({"operations":[{"put":{"ns":"n","key":"k","value":"v","value":"w"}}]})", "invalid"},
      {R"({"operations":[{"put":{"ns":"n","key":"k","value":"\ud800"}}]})", "invalid"},
      {"{\"operations\":[{\"put\":{\"ns\":\"n\",\"key\":\"k\",\"value\":\"\xff\"}}]}", "invalid"},
      {R"([[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]])", "invalid"},
      {R"({"operations":[{"put":{"ns":"_x","key":"k","value":"v"}}]})", "reserved_name"},
      {R"({"operations":[{"put":{"ns":"n","key":"k","value":"v","tll":"1s"}}]})", "unknown_parameter"},
      {R"({"operations":[{"delete":{"ns":"n","key":"k","value":"v"}}]})", "unknown_parameter"},
      {R"({"operations":[{"put":{"ns":"n","key":"k","value":"v"}}],"more":1})", "unknown_parameter"},
      {R"({"operations":[{"put":{"ns":"n","key":"k","value":"v"}},{"delete":{"ns":"n","key":"k"}}]})",
       "duplicate_key"},
  };
  for (const auto& one : bad)
    EXPECT_EQ(code_of(served.ask("POST", "/v1/commit", one.body)), one.code) << one.body;
  EXPECT_TRUE(served.node.commits.empty());
  EXPECT_THAT(served.ask("POST", "/v1/commit", R"({"operations": nope})").body, HasSubstr("at byte 1"));
  EXPECT_EQ(code_of(served.ask("POST", "/v1/commit", "{}", "Content-Type: text/plain\r\n")),
            "unsupported_media_type");
  EXPECT_EQ(code_of(served.ask("PUT", "/v1/kv/n/k", "v", "Content-Encoding: gzip\r\n")),
            "unsupported_media_type");
}

TEST(KvRoutes, ACommitCarriesItsOperationsInOrder) {
  Served served;
  const auto answer = served.ask("POST", "/v1/commit?ack=log", R"({"operations": [
      {"put": {"ns": "n", "key": "a", "value_base64": "AP8=", "ttl": "5m", "if_none_match": true}},
      {"delete": {"ns": "n", "key": "b", "if_match": "0000000000000064-eu"}}]})",
                                 "Content-Type: application/json; charset=utf-8\r\n");
  EXPECT_EQ(answer.status, 200);
  const auto& call = served.node.commits.at(0);
  EXPECT_EQ(call.writes.at(0).value, std::string("\0\xff", 2));
  EXPECT_TRUE(call.writes.at(0).condition.if_none_match);
  EXPECT_EQ(call.writes.at(1).value, std::nullopt);
  EXPECT_EQ(call.writes.at(1).condition.if_match->hlc, Hlc{100});
  EXPECT_EQ(call.ack.kind, node::Ack::Kind::kLog);
}

TEST(KvRoutes, ADeleteWithAnIdempotencyKeyIsRefusedAndSaysWhoTakesOne) {
  Served served;
  const auto answer = served.ask("DELETE", "/v1/kv/n/k", "", "Idempotency-Key: a\r\n");
  EXPECT_EQ(code_of(answer), "invalid");
  EXPECT_THAT(answer.body, HasSubstr("Only PUT and POST /v1/commit take an Idempotency-Key"));
  EXPECT_TRUE(served.node.commits.empty());
}

TEST(KvRoutes, TheTypeOfAProblemIsAnAddressThatAnyoneCanOpen) {
  Served served;
  EXPECT_THAT(
      served.ask("GET", "/v1/kv/n/k").body,
      HasSubstr(R"("type":"https://github.com/refrain-dev/refrain/blob/main/docs/api.md#not_found")"));
}

TEST(KvRoutes, ErrorsOfTheNodeKeepTheirCodeIndexAddressAndTime) {
  Served served;
  served.node.write_error =
      Error{Code::kConflict, "version_mismatch", "It is newer.", std::nullopt, std::nullopt, 3};
  const auto mismatch = served.ask("PUT", "/v1/kv/n/k", "v");
  EXPECT_EQ(mismatch.status, 412);
  EXPECT_THAT(mismatch.body, HasSubstr("\"operation\":3"));
  served.node.write_error = Error{Code::kUnavailable, "rate_limited", "Slow down.", 1001};
  const auto limited = served.ask("PUT", "/v1/kv/n/k", "v");
  EXPECT_EQ(limited.status, 429);
  EXPECT_EQ(limited.header("retry-after"), "2");
  EXPECT_THAT(limited.body, HasSubstr("\"retry_after_ms\":1001"));
  served.node.write_error = Error{Code::kUnavailable, "disk_full", "No room.", 1};
  EXPECT_EQ(served.ask("PUT", "/v1/kv/n/k", "v").header("retry-after"), "1");
  served.node.write_error = corrupt("A block is damaged.");
  EXPECT_EQ(code_of(served.ask("PUT", "/v1/kv/n/k", "v")), "store_failed");
}

TEST(KvRoutes, NothingFromAKeyOrADetailCanWriteAHeader) {
  Response response = json_response(200, "{}");
  response.content_type = "text/plain\r\nX-Evil: 1";
  response.with("ETag", std::string("a\r\nX-Evil: 1\0b", 14));
  std::string bytes;
  append_response(bytes, response, {});
  EXPECT_EQ(bytes.find("\r\nX-Evil"), std::string::npos);
  EXPECT_EQ(bytes.find('\0'), std::string::npos);
}

}  // namespace
}  // namespace refrain::server
