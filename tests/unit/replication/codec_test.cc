// SPDX-License-Identifier: Apache-2.0
#include "replication/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "base/coding.h"
#include "base/hash.h"
#include "commit_gen.h"
#include "proto/record.pb.h"

namespace refrain::replication {
namespace {

using Reason = Undecodable::Reason;

constexpr ClusterId kCluster{0xC0FFEE11};

store::Commit a_put(std::string ns, std::string key, std::string value) {
  store::Commit commit{
      "eu", {0x1122334455667788}, {1'000'000}, Hlc::of({1'780'000'000'000}, 3), {}, false, {}, {}};
  commit.operations.push_back(store::Put{std::move(ns), std::move(key), std::move(value), {}, {}});
  return commit;
}

std::string framed(const std::string& body) {
  return Writer().u8(kRecordFormat).u32(crc32c(body)).raw(body).take();
}

std::string framed(const wire::Record& record) {
  return framed(record.SerializeAsString());
}

wire::Record record_of(const store::Commit& commit) {
  wire::Record record;
  EXPECT_TRUE(record.ParseFromString(encode(commit, kCluster).substr(5)));
  return record;
}

Reason reason_of(std::string_view bytes) {
  auto decoded = decode(bytes, "eu");
  EXPECT_FALSE(decoded.has_value()) << "was decoded";
  if (decoded.has_value()) return Reason{99};
  EXPECT_FALSE(decoded.error().detail.empty());
  return decoded.error().reason;
}

RC_GTEST_PROP(Codec, GivesBackEveryCommit, ()) {
  store::Commit commit = any_commit();
  ClusterId cluster{*rc::gen::arbitrary<std::uint32_t>()};
  auto decoded = decode(encode(commit, cluster), commit.node);
  RC_ASSERT(decoded.has_value());
  RC_ASSERT(decoded->commit == commit);
  RC_ASSERT(decoded->cluster == cluster);
}

RC_GTEST_PROP(Codec, NoticesEveryFlippedBit, ()) {
  std::string bytes = encode(any_commit(), kCluster);
  std::size_t bit = *rc::gen::inRange<std::size_t>(0, 8 * bytes.size());
  bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
  RC_ASSERT(!decode(bytes, "eu").has_value());
}

RC_GTEST_PROP(Codec, NoticesEveryTruncation, ()) {
  std::string bytes = encode(any_commit(), kCluster);
  RC_ASSERT(!decode(bytes.substr(0, *rc::gen::inRange<std::size_t>(0, bytes.size())), "eu").has_value());
}

RC_GTEST_PROP(Codec, TakesNoGarbageEvenWithAChecksumThatFits, (const std::string& body)) {
  auto decoded = decode(framed(body), "eu");
  // Chance may spell a record; then it is one like any other and can be written again.
  if (decoded.has_value()) {
    RC_ASSERT(decode(encode(decoded->commit, decoded->cluster), "eu")->commit == decoded->commit);
  }
}

RC_GTEST_PROP(Codec, SurvivesDamageBehindAChecksumThatFits, ()) {
  std::string body = encode(any_commit(), kCluster).substr(5);
  for (int i = *rc::gen::inRange(1, 5); i > 0; --i) {
    body[*rc::gen::inRange<std::size_t>(0, body.size())] = *rc::gen::arbitrary<char>();
  }
  auto decoded = decode(framed(body), "eu");
  if (decoded.has_value()) RC_ASSERT(decode(encode(decoded->commit, decoded->cluster), "eu").has_value());
}

TEST(CodecReader, TimesThatNoClockShowsAreWrittenAgainAsTheyCame) {
  wire::Record record = record_of(a_put("orders", "k", "v"));
  for (std::int64_t after : {INT64_MAX, INT64_MIN}) {
    record.mutable_operations(0)->set_expires_after_ms(after);
    auto decoded = decode(framed(record), "eu");
    ASSERT_TRUE(decoded.has_value());
    auto again = decode(encode(decoded->commit, decoded->cluster), "eu");
    ASSERT_TRUE(again.has_value());
    EXPECT_EQ(again->commit, decoded->commit);
  }
}

TEST(CodecFrame, EmptyAndForeignBytesAreCorrupt) {
  EXPECT_EQ(reason_of(""), Reason::kCorrupt);
  EXPECT_EQ(reason_of(std::string(40, '\0')), Reason::kCorrupt);
  EXPECT_EQ(reason_of(std::string("\x01\x00\x00\x00", 4)), Reason::kCorrupt);
  EXPECT_EQ(reason_of(std::string(1, '\x01') + "hello, this is not for you"), Reason::kCorrupt);
}

TEST(CodecFrame, AFormatThatMayComeIsNewer) {
  std::string bytes = encode(a_put("orders", "k", "v"), kCluster);
  for (int format : {2, 31}) {
    bytes[0] = static_cast<char>(format);
    EXPECT_EQ(reason_of(bytes), Reason::kNewerFormat) << format;
  }
}

TEST(CodecFrame, TextAndNoiseAreCorruptNotNewer) {
  EXPECT_EQ(reason_of("garbage"), Reason::kCorrupt);
  EXPECT_EQ(reason_of(R"({"json": true})"), Reason::kCorrupt);
  EXPECT_EQ(reason_of("\xff\xff\xff\xff\xff\xff"), Reason::kCorrupt);
}

TEST(CodecReader, ARecordForANewerReaderIsNewerWhateverElseIsInIt) {
  wire::Record record = record_of(a_put("orders", "k", "v"));
  record.set_min_reader(kFormats.max + 1);
  record.mutable_operations(0)->set_ns(17);
  EXPECT_EQ(reason_of(framed(record)), Reason::kNewerFormat);
}

TEST(CodecReader, ARecordOfTheNextFormatIsForProgramsThatReadIt) {
  const std::uint32_t next = kFormats.max + 1;
  store::Commit commit = a_put("orders", "k", "v");
  std::string bytes = encode(commit, kCluster, next);
  EXPECT_EQ(reason_of(bytes), Reason::kNewerFormat);
  EXPECT_THAT(decode(bytes, "eu").error().detail,
              testing::HasSubstr("needs reader 2, this program is reader 1"));
  auto decoded = decode(bytes, "eu", next);
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(decoded->commit, commit);
  EXPECT_TRUE(decode(encode(commit, kCluster), "eu", next).has_value()) << "and what was written before";
}

TEST(CodecReader, ARecordForThisReaderMayHaveFieldsThatItCanMiss) {
  std::string body = record_of(a_put("orders", "k", "v")).SerializeAsString();
  body += std::string("\xF8\x07\x01", 3);  // field 127, varint 1
  EXPECT_TRUE(decode(framed(body), "eu").has_value());
}

TEST(CodecReader, AnUnknownOperationKindIsNeverSkipped) {
  wire::Record record = record_of(a_put("orders", "k", "v"));
  std::string body = record.SerializeAsString();
  body += std::string("\x4A\x02\x5A\x00", 4);  // operations += one of a kind that has number 11
  EXPECT_EQ(reason_of(framed(body)), Reason::kNewerFormat);
}

TEST(CodecReader, ARecordOfAnUnknownKindIsNewer) {
  wire::Record record = record_of(a_put("orders", "k", "v"));
  record.clear_operations();
  EXPECT_EQ(reason_of(framed(record)), Reason::kNewerFormat);
}

TEST(CodecReader, RefusesWhatNoWriterWrites) {
  wire::Record good = record_of(a_put("orders", "k", "v"));
  wire::Record both = good;
  both.mutable_tick();
  EXPECT_EQ(reason_of(framed(both)), Reason::kCorrupt);
  wire::Record no_seq = good;
  no_seq.clear_seq();
  EXPECT_EQ(reason_of(framed(no_seq)), Reason::kCorrupt);
  wire::Record no_name = good;
  no_name.mutable_operations(0)->set_ns(1);
  EXPECT_EQ(reason_of(framed(no_name)), Reason::kCorrupt);
  wire::Record own_entry = good;
  own_entry.add_names("eu");
  own_entry.mutable_operations(0)->add_ctx(1);
  EXPECT_EQ(reason_of(framed(own_entry)), Reason::kCorrupt) << "half an entry";
  own_entry.mutable_operations(0)->add_ctx(5);
  EXPECT_EQ(reason_of(framed(own_entry)), Reason::kCorrupt) << "the writer's own entry";
  wire::Record short_hash = good;
  short_hash.mutable_operations(0)->mutable_claim()->set_fingerprint("short");
  EXPECT_EQ(reason_of(framed(short_hash)), Reason::kCorrupt);
  wire::Record two_keys_in_one = good;
  two_keys_in_one.mutable_operations(0)->set_key(std::string("a\0b", 3));
  EXPECT_EQ(reason_of(framed(two_keys_in_one)), Reason::kCorrupt) << "a NUL keeps namespace and key apart";
  wire::Record no_key = good;
  no_key.mutable_operations(0)->clear_key();
  EXPECT_EQ(reason_of(framed(no_key)), Reason::kCorrupt);
  wire::Record from_the_future = good;
  from_the_future.set_floor_back(from_the_future.hlc() + 1);
  EXPECT_EQ(reason_of(framed(from_the_future)), Reason::kCorrupt) << "a floor after its own record";
}

TEST(CodecDeath, AnEmptyCommitIsABrokenInvariant) {
  store::Commit commit = a_put("orders", "k", "v");
  commit.operations.clear();
  EXPECT_DEATH(static_cast<void>(encode(commit, kCluster)), "operations or a tick");
}

// ---- bytes on the wire: the budget of a put beyond key and value, with Kafka's own part

/// A record in a batch of 100 (Kafka's record format v2): lengths, attributes, timestamp and offset
/// distances, empty key, no headers; the batch's 61 bytes shared by 100.
double kafka_bytes(std::size_t value_bytes) {
  auto varint_bytes = [](std::size_t v) { return Writer().varint(2 * v).bytes().size(); };
  std::size_t record = 1 + 1 + 2 + 1 + varint_bytes(value_bytes) + 1;
  return static_cast<double>(record + varint_bytes(record + value_bytes)) + 61.0 / 100;
}

double overhead(const store::Commit& commit) {
  const auto& put = std::get<store::Put>(commit.operations.at(0));
  std::size_t bytes = encode(commit, kCluster).size();
  return static_cast<double>(bytes - put.ns.size() - put.key.size() - put.value.size()) + kafka_bytes(bytes);
}

Hlc before(Hlc hlc, Milliseconds distance) {
  return {hlc.value - (static_cast<std::uint64_t>(distance.count()) << 16)};
}

TEST(CodecSize, APutCostsAtMost64BytesBeyondKeyAndValue) {
  store::Commit commit = a_put("orders", "order/4711/state", std::string(100, 'x'));
  commit.floor = before(commit.hlc, std::chrono::seconds(2));
  EXPECT_LE(overhead(commit), 64) << "the usual";
  RecordProperty("usual_bytes", std::to_string(overhead(commit)));

  store::Commit heavy = a_put("orders", std::string(64, 'k'), std::string(4096, 'x'));
  heavy.seq = {1ULL << 34};
  heavy.floor = before(heavy.hlc, std::chrono::hours(24 * 30));
  EXPECT_LE(overhead(heavy), 64) << "a larger one, after 17 billion commits, a month after something died";

  store::Commit with_ttl = a_put("orders", "order/4711/state", std::string(100, 'x'));
  with_ttl.floor = before(commit.hlc, std::chrono::hours(1));
  std::get<store::Put>(with_ttl.operations[0]).expires_at = with_ttl.hlc.wall() + std::chrono::hours(24 * 7);
  EXPECT_LE(overhead(with_ttl), 64) << "with a ttl";
}

TEST(CodecSize, AForeignContextEntryCostsAtMost16Bytes) {
  store::Commit commit = a_put("orders", "order/4711/state", std::string(100, 'x'));
  double without = overhead(commit);
  auto& ctx = std::get<store::Put>(commit.operations[0]).ctx;
  ctx["us"] = before(commit.hlc, std::chrono::hours(24 * 30));
  EXPECT_LE(overhead(commit), without + 16);
  ctx["ap"] = before(commit.hlc, std::chrono::hours(24 * 365));
  EXPECT_LE(overhead(commit), without + 32);
}

}  // namespace
}  // namespace refrain::replication
