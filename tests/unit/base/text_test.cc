// SPDX-License-Identifier: Apache-2.0
#include "base/text.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

namespace refrain {
namespace {

using std::string_literals::operator""s;

TEST(Names, NodeNameIsLowerCaseDigitsAndHyphensUpTo32) {
  EXPECT_TRUE(valid_node_name("eu"));
  EXPECT_TRUE(valid_node_name("0"));
  EXPECT_TRUE(valid_node_name("eu-west-1"));
  EXPECT_TRUE(valid_node_name(std::string(32, 'a')));
  for (const char* bad : {"", "-eu", "EU", "e_u", "e.u", "e u", "\xC3\xA9"})
    EXPECT_FALSE(valid_node_name(bad)) << bad;
  EXPECT_FALSE(valid_node_name(std::string(33, 'a')));
  EXPECT_FALSE(valid_node_name("e\0u"s));
}

TEST(Names, WordsOfTheAckParameterAreNoNodeNamesButMayNameACluster) {
  for (const char* word : {"local", "log", "all", "claims"}) {
    EXPECT_FALSE(valid_node_name(word)) << word;
    EXPECT_TRUE(valid_cluster_name(word)) << word;
  }
}

TEST(Names, NamespaceMayHoldUnderscoresButNotStartWithOne) {
  EXPECT_TRUE(valid_namespace("orders_2-x"));
  EXPECT_TRUE(valid_namespace(std::string(64, 'n')));
  for (const char* bad : {"", "_http-orders", "-a", "Orders", "a.b", "a/b", "a%20"})
    EXPECT_FALSE(valid_namespace(bad)) << bad;
  EXPECT_FALSE(valid_namespace(std::string(65, 'n')));
}

TEST(Names, RequestIdIsVisibleAsciiWithoutQuoteAndBackslash) {
  for (int byte = 0; byte < 256; ++byte) {
    bool good = byte >= 0x21 && byte <= 0x7E && byte != '"' && byte != '\\';
    EXPECT_EQ(valid_request_id("x"s + static_cast<char>(byte)), good) << byte;
  }
  EXPECT_TRUE(valid_request_id(std::string(255, 'i')));
  EXPECT_TRUE(valid_request_id("..."));
  EXPECT_FALSE(valid_request_id(std::string(256, 'i')));
  for (const char* bad : {"", ".", ".."}) EXPECT_FALSE(valid_request_id(bad)) << bad;
}

TEST(Names, KeyIsUtf8WithoutControlBytes) {
  for (int byte = 0; byte < 0x80; ++byte) {
    bool good = byte >= 0x20 && byte != 0x7F && byte != '/';  // "x/" ends with an empty segment
    EXPECT_EQ(valid_key("x"s + static_cast<char>(byte), 1024), good) << byte;
  }
  EXPECT_TRUE(valid_key("käse/😀", 1024));
  EXPECT_FALSE(valid_key("\xFF", 1024));
}

TEST(Names, KeyLimitCountsBytes) {
  EXPECT_TRUE(valid_key(std::string(1024, 'k'), 1024));
  EXPECT_FALSE(valid_key(std::string(1025, 'k'), 1024));
  EXPECT_FALSE(valid_key("\xC3\xA4", 1));
  EXPECT_FALSE(valid_key("", 1024));
}

TEST(Names, KeySegmentsAreNeitherEmptyNorDots) {
  for (const char* good : {"a/b", "a/.b", "...", "a/..."}) EXPECT_TRUE(valid_key(good, 1024)) << good;
  for (const char* bad : {"/", "/a", "a/", "a//b", ".", "..", "./a", "a/..", "a/./b"})
    EXPECT_FALSE(valid_key(bad, 1024)) << bad;
}

TEST(Utf8, RefusesOverlongSurrogateTooLargeAndCutForms) {
  for (const char* good : {"", "\x7F", "\xC2\x80", "\xE0\xA0\x80", "\xED\x9F\xBF", "\xEE\x80\x80",
                           "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"})
    EXPECT_TRUE(valid_utf8(good)) << good;
  for (const char* bad : {"\x80", "\xC0\x80", "\xC1\xBF", "\xC3", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xE2\x82",
                          "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xF0\x90\x80", "\xFF"})
    EXPECT_FALSE(valid_utf8(bad)) << hex_encode(bad);
}

TEST(Hex64, HasSixteenLowerCaseDigits) {
  EXPECT_EQ(format_hex64(0xAB), "00000000000000ab");
  EXPECT_EQ(parse_hex64("00000000000000ab"), 0xABu);
  EXPECT_EQ(parse_hex64("ffffffffffffffff"), UINT64_MAX);
  for (const char* bad :
       {"", "ab", "00000000000000AB", "00000000000000ag", "000000000000000ab", " 0000000000000ab"})
    EXPECT_FALSE(parse_hex64(bad)) << bad;
}

TEST(VersionText, IsHlcThenNode) {
  Version version{Hlc{0x0123456789abcdef}, "eu-west"};
  EXPECT_EQ(format_version(version), "0123456789abcdef-eu-west");
  EXPECT_EQ(parse_version("0123456789abcdef-eu-west"), version);
  for (const char* bad :
       {"", "0123456789abcdef", "0123456789abcdef-", "0123456789abcdef-EU", "0123456789abcdef-all",
        "0123456789abcde-eu", "\"0123456789abcdef-eu\"", "0123456789abcdef-eu "})
    EXPECT_FALSE(parse_version(bad)) << bad;
}

TEST(CommitIdText, LongFormNamesTheIncarnation) {
  CommitId id{"eu", Incarnation{0x1f}, Seq{42}};
  EXPECT_EQ(format_commit_id(id), "eu.000000000000001f.42");
  EXPECT_EQ(parse_commit_id("eu.000000000000001f.42"), id);
}

TEST(CommitIdText, ShortFormLeavesTheIncarnationToTheCaller) {
  EXPECT_EQ(parse_commit_id("eu.5"), (CommitId{"eu", Incarnation{0}, Seq{5}}));
}

TEST(CommitIdText, RefusesEverythingElse) {
  for (const char* bad : {"", "eu", "eu.", ".5", "eu.0", "eu.05", "eu.+5", "eu.5x", "eu.18446744073709551616",
                          "all.5", "eu.1f.5", "eu.0000000000000000.5", "eu.000000000000001F.5",
                          "eu.000000000000001f.0", "eu.000000000000001f.", "eu.000000000000001f.4.2"})
    EXPECT_FALSE(parse_commit_id(bad)) << bad;
  EXPECT_TRUE(parse_commit_id("eu.18446744073709551615"));
}

TEST(TimeText, IsRfc3339InUtcWithMilliseconds) {
  EXPECT_EQ(format_time({0}), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(format_time({1709210096007}), "2024-02-29T12:34:56.007Z");
  EXPECT_EQ(format_time({-1}), "1969-12-31T23:59:59.999Z");
  EXPECT_EQ(format_time({INT64_MAX}), "9999-12-31T23:59:59.999Z");
}

TEST(DurationText, UsesTheLargestExactUnit) {
  EXPECT_EQ(format_duration(Milliseconds{0}), "0ms");
  EXPECT_EQ(format_duration(Milliseconds{1500}), "1500ms");
  EXPECT_EQ(format_duration(Milliseconds{30'000}), "30s");
  EXPECT_EQ(format_duration(Milliseconds{90'000}), "90s");
  EXPECT_EQ(format_duration(Milliseconds{3'600'000}), "1h");
  EXPECT_EQ(format_duration(Milliseconds{30LL * 86'400'000}), "30d");
}

TEST(DurationText, IsAnIntegerWithAUnit) {
  EXPECT_EQ(parse_duration("0s"), Milliseconds{0});
  EXPECT_EQ(parse_duration("1500ms"), Milliseconds{1500});
  EXPECT_EQ(parse_duration("5m"), Milliseconds{300'000});
  EXPECT_EQ(parse_duration("36500d"), Milliseconds{36'500LL * 86'400'000});
  for (const char* bad : {"", "5", "s", "1.5s", "-1s", "+1s", " 1s", "1 s", "1S", "1sec", "01s", "36501d",
                          "99999999999999999999s", "18446744073709551615d"})
    EXPECT_FALSE(parse_duration(bad)) << bad;
}

RC_GTEST_PROP(DurationText, ReadsBackWhatItWrote, ()) {
  Milliseconds duration{*rc::gen::inRange<std::int64_t>(0, 36'500LL * 86'400'000)};
  RC_ASSERT(parse_duration(format_duration(duration)) == duration);
}

TEST(BytesText, IsAnIntegerWithOrWithoutABinaryUnit) {
  EXPECT_EQ(parse_bytes("0"), 0u);
  EXPECT_EQ(parse_bytes("512"), 512u);
  EXPECT_EQ(parse_bytes("900KiB"), 900u * 1024);
  EXPECT_EQ(parse_bytes("64MiB"), 64u << 20);
  EXPECT_EQ(parse_bytes("1GiB"), 1u << 30);
  EXPECT_EQ(parse_bytes("18446744073709551615"), UINT64_MAX);
  for (const char* bad :
       {"", "KiB", "1KB", "1kib", "1 KiB", "1.5MiB", "-1", "18446744073709551616", "17179869184GiB"})
    EXPECT_FALSE(parse_bytes(bad)) << bad;
}

TEST(Base64, MatchesTheVectorsOfRfc4648) {
  const std::pair<const char*, const char*> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (auto [plain, text] : vectors) {
    EXPECT_EQ(base64_encode(plain), text);
    EXPECT_EQ(base64_decode(text), plain);
  }
  EXPECT_EQ(base64_encode("\xFB\xFF"), "+/8=");
  EXPECT_EQ(base64url_encode("\xFB\xFF"), "-_8");
}

TEST(Base64, EachValueHasOneText) {
  for (const char* bad :
       {"Zg", "Zg=", "Zh==", "Zm9=", "Zg==Zg==", "=", "====", "Z===", "Zm9v\n", "Zm9-", "Zm9 "})
    EXPECT_FALSE(base64_decode(bad)) << bad;
  for (const char* bad : {"Z", "Zg==", "Zh", "Zm9", "Zm9+", "Zm9v "})
    EXPECT_FALSE(base64url_decode(bad)) << bad;
}

RC_GTEST_PROP(Base64, ReadsBackWhatItWrote, (const std::string& bytes)) {
  RC_ASSERT(base64_decode(base64_encode(bytes)) == bytes);
  RC_ASSERT(base64url_decode(base64url_encode(bytes)) == bytes);
  RC_ASSERT(hex_decode(hex_encode(bytes)) == bytes);
}

TEST(Hex, IsWrittenInLowerCaseAndReadInBoth) {
  EXPECT_EQ(hex_encode("\x00\xAB\xFF"s), "00abff");
  EXPECT_EQ(hex_decode("00abFF"), "\x00\xAB\xFF"s);
  for (const char* bad : {"0", "0g", " 00", "0x00"}) EXPECT_FALSE(hex_decode(bad)) << bad;
}

}  // namespace
}  // namespace refrain
