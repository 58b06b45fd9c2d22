// SPDX-License-Identifier: Apache-2.0
// Bytes that no client should send, and what they get: at once and byte by byte.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire.h"

namespace refrain::server {
namespace {

struct Malformed {
  std::string what;
  std::string bytes;
  int status;
  std::string code;
};

std::string get(std::string_view headers) {
  return "GET /health/live HTTP/1.1\r\nHost: x\r\n" + std::string(headers) + "\r\n";
}
std::string put(std::string_view headers, std::string_view body = "v") {
  return "PUT /v1/kv/n/k HTTP/1.1\r\nHost: x\r\n" + std::string(headers) + "\r\n" + std::string(body);
}
std::string many_headers(int n) {
  std::string out;
  for (int i = 0; i < n; ++i) out += "X-" + std::to_string(i) + ": 1\r\n";
  return out;
}

const std::vector<Malformed>& malformed() {
  using namespace std::string_literals;
  static const std::vector<Malformed> cases = {
      // the request line
      {"no target", "GET\r\nHost: x\r\n\r\n", 400, "invalid"},
      {"no version", "GET /\r\nHost: x\r\n\r\n", 400, "invalid"},
      {"two spaces before the target", "GET  /health/live HTTP/1.1\r\nHost: x\r\n\r\n", 400, "invalid"},
      {"two spaces after the target", "GET /health/live  HTTP/1.1\r\nHost: x\r\n\r\n", 400, "invalid"},
      {"a space in the target", "GET /health /live HTTP/1.1\r\nHost: x\r\n\r\n", 400, "invalid"},
      {"a space first", " GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n", 400, "invalid"},
      {"a tab between", "GET\t/health/live HTTP/1.1\r\nHost: x\r\n\r\n", 400, "invalid"},
      {"a space at the end", "GET /health/live HTTP/1.1 \r\nHost: x\r\n\r\n", 400, "invalid"},
      {"HTTP/0.9", "GET /health/live HTTP/0.9\r\nHost: x\r\n\r\n", 400, "invalid"},
      {"HTTP/1.2", "GET /health/live HTTP/1.2\r\nHost: x\r\n\r\n", 400, "invalid"},
      {"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, "invalid"},
      {"http in small letters", "GET /health/live http/1.1\r\nHost: x\r\n\r\n", 400, "invalid"},
      {"TLS", "\x16\x03\x01\x02\x00"s, 400, "invalid"},
      {"a NUL in the target", "GET /health\0/live HTTP/1.1\r\nHost: x\r\n\r\n"s, 400, "invalid"},
      {"bytes over 7F in the target", "GET /health/l\xc3\xafve HTTP/1.1\r\nHost: x\r\n\r\n", 400, "invalid"},
      {"an authority as the target", "CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n", 400, "invalid"},
      {"a star with GET", "GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400, "invalid"},
      {"a relative target", "GET health/live HTTP/1.1\r\nHost: x\r\n\r\n", 400, "invalid"},
      {"a fragment", "GET /health/live#x HTTP/1.1\r\nHost: x\r\n\r\n", 400, "invalid"},
      {"a method that is no token", "G(T /health/live HTTP/1.1\r\nHost: x\r\n\r\n", 400, "invalid"},
      {"two empty lines first", "\r\n\r\nGET /health/live HTTP/1.1\r\nHost: x\r\n\r\n", 400, "invalid"},
      // line ends
      {"LF alone after the request line", "GET /health/live HTTP/1.1\nHost: x\r\n\r\n", 400, "invalid"},
      {"LF alone after a header", "GET /health/live HTTP/1.1\r\nHost: x\n\r\n", 400, "invalid"},
      {"LF alone at the end", "GET /health/live HTTP/1.1\r\nHost: x\r\n\n", 400, "invalid"},
      {"CR alone in the request line", "GET /health\r/live HTTP/1.1\r\nHost: x\r\n\r\n", 400, "invalid"},
      {"CR alone in a header", get("X-A: a\rb\r\n"), 400, "invalid"},
      {"CR CR LF", get("X-A: a\r\r\n"), 400, "invalid"},
      // headers
      {"a folded header", get("X-A: a\r\n b\r\n"), 400, "invalid"},
      {"a header folded with a tab", get("X-A: a\r\n\tb\r\n"), 400, "invalid"},
      {"a fold before the first header", "GET /health/live HTTP/1.1\r\n Host: x\r\n\r\n", 400, "invalid"},
      {"a space before the colon", get("X-A : a\r\n"), 400, "invalid"},
      {"a tab before the colon", get("X-A\t: a\r\n"), 400, "invalid"},
      {"a space in a name", get("X A: a\r\n"), 400, "invalid"},
      {"no colon", get("X-A\r\n"), 400, "invalid"},
      {"no name", get(": a\r\n"), 400, "invalid"},
      {"a NUL in a value", get("X-A: a\0b\r\n"s), 400, "invalid"},
      {"a NUL in a name", get("X\0A: a\r\n"s), 400, "invalid"},
      {"a control character in a value",
       get("X-A: a\x01"
           "b\r\n"),
       400, "invalid"},
      {"DEL in a value", get("X-A: a\x7f\r\n"), 400, "invalid"},
      {"a name with a byte over 7F", get("X-\xc3\xa9: a\r\n"), 400, "invalid"},
      {"a name with a slash", get("X/A: a\r\n"), 400, "invalid"},
      {"64 headers and Host", get(many_headers(64)), 400, "invalid"},
      {"a head over 16 KiB in one header", get("X-A: " + std::string(17'000, 'a') + "\r\n"), 400, "invalid"},
      {"a head over 16 KiB in the target",
       "GET /" + std::string(17'000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n", 400, "invalid"},
      {"a head that never ends", std::string(20'000, 'A'), 400, "invalid"},
      // Host
      {"no Host", "GET /health/live HTTP/1.1\r\n\r\n", 400, "invalid"},
      {"two Hosts", get("Host: x\r\n"), 400, "invalid"},
      {"two different Hosts", get("host: y\r\n"), 400, "invalid"},
      {"a Host with a space", "GET /health/live HTTP/1.1\r\nHost: x y\r\n\r\n", 400, "invalid"},
      {"a Host with a path", "GET /health/live HTTP/1.1\r\nHost: x/y\r\n\r\n", 400, "invalid"},
      {"a Host with a user", "GET /health/live HTTP/1.1\r\nHost: a@x\r\n\r\n", 400, "invalid"},
      {"a port that is a word", "GET /health/live HTTP/1.1\r\nHost: x:http\r\n\r\n", 400, "invalid"},
      {"two ports", "GET /health/live HTTP/1.1\r\nHost: x:80:80\r\n\r\n", 400, "invalid"},
      {"half a bracket", "GET /health/live HTTP/1.1\r\nHost: [::1\r\n\r\n", 400, "invalid"},
      {"a broken escape in Host", "GET /health/live HTTP/1.1\r\nHost: x%zz\r\n\r\n", 400, "invalid"},
      {"a URL without a host", "GET http:///health/live HTTP/1.1\r\nHost: x\r\n\r\n", 400, "invalid"},
      {"a URL with a user", "GET http://a@x/health/live HTTP/1.1\r\nHost: x\r\n\r\n", 400, "invalid"},
      {"a URL with a bad port", "GET http://x:y/health/live HTTP/1.1\r\nHost: x\r\n\r\n", 400, "invalid"},
      {"a list of Hosts", "GET /health/live HTTP/1.1\r\nHost: x, y\r\n\r\n", 400, "invalid"},
      // lengths and encodings: where requests are smuggled
      {"chunked", put("Transfer-Encoding: chunked\r\n", "1\r\nv\r\n0\r\n\r\n"), 411, "length_required"},
      {"chunked in small letters", put("transfer-encoding: chunked\r\n", "0\r\n\r\n"), 411,
       "length_required"},
      {"identity", put("Transfer-Encoding: identity\r\n"), 411, "length_required"},
      {"an unknown encoding", put("Transfer-Encoding: xchunked\r\n"), 411, "length_required"},
      {"an empty encoding", put("Transfer-Encoding:\r\n"), 411, "length_required"},
      {"chunked hidden by a tab", put("Transfer-Encoding:\tchunked\r\n"), 411, "length_required"},
      {"gzip, chunked", put("Transfer-Encoding: gzip, chunked\r\n"), 411, "length_required"},
      {"chunked twice", put("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 411,
       "length_required"},
      {"chunked and a length", put("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), 411,
       "length_required"},
      {"a length and chunked", put("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"), 411,
       "length_required"},
      {"chunked on GET", get("Transfer-Encoding: chunked\r\n"), 411, "length_required"},
      {"two lengths", put("Content-Length: 1\r\nContent-Length: 2\r\n"), 400, "invalid"},
      {"two equal lengths", put("Content-Length: 1\r\nContent-Length: 1\r\n"), 400, "invalid"},
      {"two lengths, other case", put("Content-Length: 1\r\ncontent-length: 1\r\n"), 400, "invalid"},
      {"a list of lengths", put("Content-Length: 1, 1\r\n"), 400, "invalid"},
      {"a length with a sign", put("Content-Length: +1\r\n"), 400, "invalid"},
      {"a negative length", put("Content-Length: -1\r\n"), 400, "invalid"},
      {"a hex length", put("Content-Length: 0x1\r\n"), 400, "invalid"},
      {"a length with a fraction", put("Content-Length: 1.0\r\n"), 400, "invalid"},
      {"an empty length", put("Content-Length:\r\n"), 400, "invalid"},
      {"a length with a word", put("Content-Length: 1 v\r\n"), 400, "invalid"},
      {"a length over 64 bits", put("Content-Length: 99999999999999999999999\r\n"), 400, "invalid"},
      {"a length of 2^64", put("Content-Length: 18446744073709551616\r\n"), 400, "invalid"},
      {"a length over the value's limit", put("Content-Length: 524289\r\n"), 413, "value_too_large"},
      {"a huge length", put("Content-Length: 999999999999\r\n"), 413, "value_too_large"},
      // headers that decide
      {"two Idempotency-Keys", put("Idempotency-Key: a\r\nIdempotency-Key: a\r\nContent-Length: 1\r\n"), 400,
       "invalid"},
      {"two Idempotency-Keys on GET", get("Idempotency-Key: a\r\nidempotency-key: b\r\n"), 400, "invalid"},
      {"two sessions", get("Refrain-Session: AQ\r\nRefrain-Session: AQ\r\n"), 400, "invalid"},
      {"two If-Match", put("If-Match: a\r\nIf-Match: b\r\nContent-Length: 1\r\n"), 400, "invalid"},
      {"another expectation", put("Expect: 200-ok\r\nContent-Length: 1\r\n"), 400, "invalid"},
  };
  return cases;
}

void expect_refused(const Malformed& one, Wire& wire) {
  const auto answer = wire.hear();
  EXPECT_EQ(answer.status, one.status);
  EXPECT_THAT(answer.body, testing::HasSubstr("\"code\":\"" + one.code + "\""));
  EXPECT_EQ(answer.header("content-type"), "application/problem+json");
  EXPECT_EQ(answer.header("connection"), "close");
  EXPECT_NE(answer.header("refrain-session"), "");
  wire.shut_writing();
  EXPECT_TRUE(wire.ended()) << "one answer and then the end, whatever followed";
}

TEST(StrictHttp, TheTableIsLongEnoughToBeWorthItsName) {
  EXPECT_GE(malformed().size(), 60U);
}

TEST(StrictHttp, RefusesMalformedRequestsAndCloses) {
  Served served;
  for (const auto& one : malformed()) {
    SCOPED_TRACE(one.what);
    Wire wire(served.server->port());
    wire.say(one.bytes);
    // A request that would be answered, if what came before it were taken for a body.
    wire.say("GET /v1/status HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_refused(one, wire);
  }
  EXPECT_TRUE(served.node.commits.empty());
}

TEST(StrictHttp, RefusesTheSameWhenTheyComeByteByByte) {
  Served served;
  for (const auto& one : malformed()) {
    SCOPED_TRACE(one.what);
    Wire wire(served.server->port());
    wire.say_byte_by_byte(one.bytes);
    expect_refused(one, wire);
  }
  EXPECT_TRUE(served.node.commits.empty());
}

TEST(StrictHttp, NoPrefixOfAGoodRequestIsRefusedOrAnswered) {
  Served served;
  const std::string bytes = http("PUT", "/v1/kv/n/k?ack=local", "value", "X-Note: a b\r\n");
  Wire wire(served.server->port());
  wire.say_byte_by_byte(bytes);
  EXPECT_EQ(wire.hear().status, 200);
  for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
    Wire part(served.server->port());
    part.say(std::string_view(bytes).substr(0, cut));
    part.shut_writing();
    const auto answer = part.hear();
    EXPECT_EQ(answer.status, 400) << "cut at " << cut;
  }
  EXPECT_EQ(served.node.commits.size(), 1U);
}

TEST(StrictHttp, TakesWhatIsUnusualButRight) {
  Served served;
  const auto port = served.server->port();
  EXPECT_EQ(Wire(port).ask("\r\nGET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").status, 200);
  EXPECT_EQ(Wire(port).ask("GET http://other/health/live HTTP/1.1\r\nHost: x\r\n\r\n").status, 200);
  EXPECT_EQ(Wire(port).ask("GET HTTP://other/health/live HTTP/1.1\r\nHost: x\r\n\r\n").status, 200);
  EXPECT_EQ(Wire(port).ask("GET hTTps://other/health/live HTTP/1.1\r\nHost: x\r\n\r\n").status, 200);
  EXPECT_EQ(Wire(port).ask("GET ftp://other/health/live HTTP/1.1\r\nHost: x\r\n\r\n").status, 400);
  EXPECT_EQ(Wire(port).ask("GET /health/live HTTP/1.0\r\n\r\n").status, 200);
  EXPECT_EQ(Wire(port).ask("GET /health/live HTTP/1.1\r\nHost:\r\n\r\n").status, 200);
  EXPECT_EQ(
      Wire(port).ask("GET /health/live HTTP/1.1\r\nHost: [::1]:8080\r\nX-A:\r\nX-B: \tb \t\r\n\r\n").status,
      200);
  EXPECT_EQ(Wire(port).ask("GET /health/live HTTP/1.1\r\nHost: x\r\nX-A: caf\xc3\xa9\r\n\r\n").status, 200);
  EXPECT_EQ(Wire(port).ask("GET /health/live HTTP/1.1\r\nHost: x\r\n" + many_headers(63) + "\r\n").status,
            200);
  EXPECT_EQ(Wire(port).ask("GET /health/live HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").status, 200);
}

TEST(StrictHttp, AHeadOfExactly16KiBIsTakenAndOneMoreByteIsNot) {
  Served served;
  const std::string head = "GET /health/live HTTP/1.1\r\nHost: x\r\nX-A: ";
  const auto fill = [&](std::size_t size) {
    return head + std::string(size - head.size() - 4, 'a') + "\r\n\r\n";
  };
  EXPECT_EQ(Wire(served.server->port()).ask(fill(16 * 1024)).status, 200);
  EXPECT_EQ(Wire(served.server->port()).ask(fill(16 * 1024 + 1)).status, 400);
}

}  // namespace
}  // namespace refrain::server
