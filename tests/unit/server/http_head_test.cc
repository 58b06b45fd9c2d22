// SPDX-License-Identifier: Apache-2.0
#include "server/http_head.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "server/json_reader.h"
#include "server/target.h"

namespace refrain::server {
namespace {

/// Pieces that heads are made of, whole and broken, so that random rows of them come near to real ones.
rc::Gen<std::string> any_head() {
  const auto piece = rc::gen::elementOf(std::vector<std::string>{"GET",
                                                                 "PUT",
                                                                 " ",
                                                                 "/v1/kv/n/k",
                                                                 "HTTP/1.1",
                                                                 "HTTP/1.0",
                                                                 "\r\n",
                                                                 "\r",
                                                                 "\n",
                                                                 "Host: x",
                                                                 "Content-Length: 5",
                                                                 "Content-Length:",
                                                                 "Transfer-Encoding: chunked",
                                                                 "Connection: close",
                                                                 "Expect: 100-continue",
                                                                 ":",
                                                                 "\t",
                                                                 "a",
                                                                 "\x7f",
                                                                 std::string(1, '\0'),
                                                                 "\xc3\xa9",
                                                                 ",",
                                                                 "0",
                                                                 "\r\n\r\n",
                                                                 "GET /health/live HTTP/1.1\r\nHost: x\r\n"});
  return rc::gen::map(rc::gen::container<std::vector<std::string>>(piece),
                      [](const std::vector<std::string>& pieces) {
                        std::string out;
                        for (const auto& one : pieces) out += one;
                        return out;
                      });
}

std::string outcome(const Result<std::optional<std::size_t>>& found) {
  if (!found) return found.error().detail;
  return *found ? std::to_string(**found) : "more";
}

RC_GTEST_PROP(HttpHead, AHeadEndsOrIsRefusedAtTheSameByteHoweverItIsCut, ()) {
  const auto bytes = *any_head();
  HeadScanner whole;
  const auto at_once = outcome(whole.scan(bytes));
  HeadScanner cut;
  std::string in_pieces = "more";
  for (std::size_t size = 1; size <= bytes.size() && in_pieces == "more"; ++size) {
    in_pieces = outcome(cut.scan(std::string_view(bytes).substr(0, size)));
  }
  RC_ASSERT(in_pieces == at_once);
}

RC_GTEST_PROP(HttpHead, WhateverIsParsedIsUnambiguous, ()) {
  const auto bytes = *any_head();
  HeadScanner scanner;
  const auto found = scanner.scan(bytes);
  if (!found || !*found) return;
  const auto parsed =
      parse_head(std::string_view(bytes).substr(scanner.skipped(), **found - scanner.skipped()));
  if (parsed.error) return;
  const auto& head = parsed.head;
  RC_ASSERT(!head.method.empty());
  RC_ASSERT(head.target.starts_with('/') || head.target == "*");
  RC_ASSERT(head.field("transfer-encoding") == nullptr);
  RC_ASSERT(std::ranges::count(head.fields, "content-length", &HeadField::name) <= 1);
  RC_ASSERT(std::ranges::count(head.fields, "host", &HeadField::name) <= 1);
  for (const auto& field : head.fields) {
    RC_ASSERT(field.value.find_first_of(std::string_view("\r\n\0", 3)) == std::string::npos);
  }
}

RC_GTEST_PROP(Target, WhatWasPercentEncodedIsDecodedOnce, (const std::string& text)) {
  std::string encoded;
  for (unsigned char c : text) {
    encoded += '%';
    encoded += "0123456789abcdef"[c >> 4];
    encoded += "0123456789ABCDEF"[c & 15];
  }
  RC_ASSERT(percent_decode(encoded).value() == text);
  RC_ASSERT(percent_decode(percent_decode(encoded + "%2541").value().substr(text.size())).value() == "A");
}

RC_GTEST_PROP(Json, NoBytesBreakTheReader, (const std::string& text)) {
  const auto parsed = parse_json(text);
  if (!parsed) RC_ASSERT(parsed.error().slug == "invalid");
}

TEST(Json, DepthIsBoundedToTheLevel) {
  const auto nested = [](std::size_t n) { return std::string(n, '[') + std::string(n, ']'); };
  EXPECT_TRUE(parse_json(nested(16)));
  EXPECT_FALSE(parse_json(nested(17)));
  EXPECT_FALSE(parse_json(nested(100'000)));
}

TEST(Json, MembersThatAreEqualOnlyOnceUnescapedAreDuplicates) {
  EXPECT_FALSE(parse_json(R"({"token":"a","\u0074oken":"b"})"));
  EXPECT_TRUE(parse_json(R"({"a":{"x":1},"b":{"x":2}})"));
}

TEST(Target, SegmentsAreSplitBeforeTheyAreDecoded) {
  const auto target = split_target("/v1/a%2Fb//c?x=1&y=a+b%2B?");
  EXPECT_EQ(target.segments, (std::vector<std::string_view>{"v1", "a%2Fb", "", "c"}));
  const auto query = parse_query(target.query).value();
  EXPECT_EQ(query.at(1), (std::pair<std::string, std::string>{"y", "a b+?"}));
  EXPECT_FALSE(parse_query("a=1&a=2"));
  EXPECT_FALSE(parse_query("a=%ff"));
}

}  // namespace
}  // namespace refrain::server
