// SPDX-License-Identifier: Apache-2.0
#include "replication/members_entry.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <regex>

#include "base/text.h"

namespace refrain::replication {
namespace {

using Reason = UnreadableEntry::Reason;

MembersEntry an_entry(EntryKind kind) {
  MembersEntry entry;
  entry.n = 7;
  entry.prev = sha256("before");
  entry.cluster = {0xC0FFEE};
  entry.kind = kind;
  entry.node = "eu";
  entry.incarnation = {0xAB};
  entry.by = {"us", {0xCD}};
  entry.at = {1'763'980'000'123};
  if (kind == EntryKind::kJoin) entry.replaces = Incarnation{0xEF};
  if (kind == EntryKind::kActive) entry.words = {{{1}, {2}}, {{3}, {~0ULL}}};
  if (kind == EntryKind::kLast) entry.words = {{{1}, {2}}};
  if (kind == EntryKind::kFound || kind == EntryKind::kJoin || kind == EntryKind::kUpdate)
    entry.traits = {"eu-west-1", "http://eu.shop:8080", {1, 2}, sha256("rules"), {}};
  return entry;
}

const std::vector<EntryKind> kAll = {EntryKind::kFound, EntryKind::kJoin,  EntryKind::kActive,
                                     EntryKind::kEvict, EntryKind::kLeave, EntryKind::kLast,
                                     EntryKind::kUpdate};

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  auto at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from << " in " << text;
  return text.replace(at, from.size(), to);
}

Reason reason_of(const std::string& bytes) {
  auto entry = decode_entry(bytes);
  EXPECT_FALSE(entry.has_value()) << bytes;
  return entry ? Reason{0xFF} : entry.error().reason;
}

TEST(MembersEntry, EveryKindComesBackAsItWas) {
  for (EntryKind kind : kAll) {
    LoggedEntry logged = encode_entry(an_entry(kind));
    auto decoded = decode_entry(logged.bytes);
    ASSERT_TRUE(decoded.has_value()) << entry_kind_name(kind) << ": " << decoded.error().detail;
    EXPECT_EQ(decoded->entry, an_entry(kind)) << logged.bytes;
    EXPECT_EQ(decoded->bytes, logged.bytes);
    EXPECT_EQ(decoded->hash, sha256(logged.bytes));
    EXPECT_EQ(logged.hash, sha256(logged.bytes));
  }
}

TEST(MembersEntry, IsTheJsonThatTheFormatSays) {
  // Never edit: other versions count the same bytes.
  EXPECT_EQ(
      encode_entry(an_entry(EntryKind::kJoin)).bytes,
      R"({"min_reader":1,"cluster_id":"00c0ffee","n":7,"prev":")" + hex_encode(as_bytes(sha256("before"))) +
          R"(","kind":"join","node":"eu","incarnation":"00000000000000ab","replaces":"00000000000000ef",)"
          R"("region":"eu-west-1","address":"http://eu.shop:8080","formats":{"min":1,"max":2},)"
          R"("namespaces_hash":")" +
          hex_encode(as_bytes(sha256("rules"))) +
          R"(","by":{"node":"us","incarnation":"00000000000000cd"},"at":"2025-11-24T10:26:40.123Z"})");
  EXPECT_NE(encode_entry(an_entry(EntryKind::kActive))
                .bytes.find(R"("words":[{"of":"0000000000000001","seq":2},{"of":"0000000000000003","seq":)"
                            R"(18446744073709551615}])"),
            std::string::npos);
  EXPECT_NE(encode_entry(an_entry(EntryKind::kLast)).bytes.find(R"("of":"0000000000000001","seq":2)"),
            std::string::npos);
}

TEST(MembersEntry, MembersOfJsonThatAnotherVersionAddsAreLeftAlone) {
  std::string bytes = replaced(encode_entry(an_entry(EntryKind::kEvict)).bytes, "{", R"({"later":[1,{}],)");
  auto decoded = decode_entry(bytes);
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(decoded->entry, an_entry(EntryKind::kEvict));
  EXPECT_EQ(decoded->hash, sha256(bytes));
}

TEST(MembersEntry, ANewerReaderOrAnUnknownKindIsNewerFormatAndNamesTheCluster) {
  std::string bytes = encode_entry(an_entry(EntryKind::kEvict)).bytes;
  for (const std::string& newer : {replaced(bytes, R"("min_reader":1)", R"("min_reader":2)"),
                                   replaced(bytes, R"("kind":"evict")", R"("kind":"split")")}) {
    auto entry = decode_entry(newer);
    ASSERT_FALSE(entry.has_value());
    EXPECT_EQ(entry.error().reason, Reason::kNewerFormat);
    EXPECT_EQ(entry.error().cluster, ClusterId{0xC0FFEE});
  }
}

TEST(MembersEntry, OneOfTheNextFormatIsForProgramsThatReadIt) {
  MembersEntry entry = an_entry(EntryKind::kJoin);
  entry.min_reader = 2;
  std::string bytes = encode_entry(entry).bytes;
  EXPECT_EQ(reason_of(bytes), Reason::kNewerFormat);
  auto decoded = decode_entry(bytes, 2);
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(decoded->entry, entry);
  EXPECT_TRUE(decode_entry(encode_entry(an_entry(EntryKind::kJoin)).bytes, 2).has_value());
}

TEST(MembersEntry, ANewerFormatMayLackWhatThisOneNeeds) {
  EXPECT_EQ(reason_of(R"({"min_reader":9,"cluster_id":"00c0ffee","n":1,"kind":"found"})"),
            Reason::kNewerFormat);
}

TEST(MembersEntry, WhateverLacksAPartIsGarbage) {
  std::string bytes = encode_entry(an_entry(EntryKind::kJoin)).bytes;
  for (const char* key : {"min_reader", "cluster_id", "n", "prev", "kind", "node", "incarnation", "replaces",
                          "region", "address", "formats", "min", "max", "namespaces_hash", "by", "at"})
    EXPECT_EQ(reason_of(replaced(bytes, "\"" + std::string(key) + "\":", "\"x\":")), Reason::kGarbage) << key;
  std::string last = encode_entry(an_entry(EntryKind::kLast)).bytes;
  for (const char* key : {"of", "seq"})
    EXPECT_EQ(reason_of(replaced(last, "\"" + std::string(key) + "\":", "\"x\":")), Reason::kGarbage) << key;
}

TEST(MembersEntry, MalformedPartsAreGarbage) {
  std::string bytes = encode_entry(an_entry(EntryKind::kEvict)).bytes;
  for (const auto& [from, to] : std::vector<std::pair<std::string, std::string>>{
           {R"("n":7)", R"("n":0)"},
           {R"("n":7)", R"("n":-1)"},
           {R"("n":7)", R"("n":7.5)"},
           {R"("n":7)", R"("n":"7")"},
           {R"("node":"eu")", R"("node":"EU")"},
           {R"("node":"eu")", R"("node":"log")"},
           {R"("cluster_id":"00c0ffee")", R"("cluster_id":"00000000")"},
           {R"("cluster_id":"00c0ffee")", R"("cluster_id":"c0ffee")"},
           {"00000000000000ab", "ab"},
           {"2025-11-24T10:26:40.123Z", "2025-11-24T10:26:40Z"},
           {"2025-11-24T10:26:40.123Z", "2025-13-24T10:26:40.123Z"},
           {"2025-11-24T10:26:40.123Z", "2025-11-24T10:26:40.123Z "},
           {R"("by":{)", R"("by":[{)"},
       })
    EXPECT_EQ(reason_of(replaced(bytes, from, to)), Reason::kGarbage) << from << " -> " << to;
  for (const char* garbage : {"", "null", "[]", "{}", "{", "42", "\xff\xfe", "not json"})
    EXPECT_EQ(reason_of(garbage), Reason::kGarbage) << garbage;
}

TEST(MembersEntry, LongerThanAnyEntryIsGarbage) {
  std::string bytes = encode_entry(an_entry(EntryKind::kEvict)).bytes;
  bytes += std::string(kMaxEntryBytes - bytes.size(), ' ');
  EXPECT_TRUE(decode_entry(bytes).has_value());
  EXPECT_EQ(reason_of(bytes + " "), Reason::kGarbage);
}

RC_GTEST_PROP(MembersEntry, AnyBytesAndAnyDamageAreReadWithoutHarm, ()) {
  std::string bytes = encode_entry(an_entry(*rc::gen::elementOf(kAll))).bytes;
  auto at = *rc::gen::inRange<std::size_t>(0, bytes.size());
  bytes[at] = static_cast<char>(*rc::gen::inRange(0, 256));
  if (*rc::gen::arbitrary<bool>()) bytes.resize(*rc::gen::inRange<std::size_t>(0, bytes.size()));
  auto decoded = decode_entry(bytes);
  if (decoded) RC_ASSERT(decode_entry(encode_entry(decoded->entry).bytes)->entry == decoded->entry);
}

}  // namespace
}  // namespace refrain::replication
