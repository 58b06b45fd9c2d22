// SPDX-License-Identifier: Apache-2.0
// Bytes that every later version must read and, as long as it writes this format, write.
// tests/golden/record_1.txt is never edited; a new format gets a file of its own.
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>

#include "base/hash.h"
#include "base/text.h"
#include "replication/codec.h"

namespace refrain::replication {
namespace {

constexpr ClusterId kCluster{0xC0FFEE11};
constexpr Incarnation kIncarnation{0x1122334455667788};
constexpr WallMs kWall{1'780'000'000'000};

template <std::size_t Size>
std::array<std::uint8_t, Size> counting(std::uint8_t from) {
  std::array<std::uint8_t, Size> bytes{};
  for (auto& byte : bytes) byte = from++;
  return bytes;
}

store::Commit with(store::Operation op) {
  return {"eu",  kIncarnation,    {4711}, Hlc::of(kWall, 3), Hlc::of(kWall - Milliseconds{2000}, 1),
          false, {std::move(op)}, {}};
}

store::Claim a_claim() {
  store::Claim claim;
  claim.go = Hlc::of(kWall - Milliseconds{50}, 7);
  claim.released = true;
  claim.lease_until = kWall + Milliseconds{30'000};
  claim.seen_ttl = Milliseconds{2'592'000'000};
  claim.response_ttl = Milliseconds{86'400'000};
  claim.hold = true;
  claim.attempt = 3;
  claim.seen = {{"us", Hlc::of(kWall - Milliseconds{60'000}, 0)}};
  claim.token_bits = 0x0123456789ABCDEF;
  claim.fingerprint = counting<16>(1);
  claim.incarnation = {0x99};
  claim.by_operator = true;
  return claim;
}

store::Outcome an_outcome() {
  store::Outcome outcome;
  outcome.go = {"ap", Hlc::of(kWall - Milliseconds{120}, 2)};
  outcome.fingerprint = counting<16>(1);
  outcome.attempt = 2;
  outcome.content_hash = counting<32>(100);
  outcome.status = 201;
  outcome.content_type = "application/json";
  outcome.body = R"({"charged": true})";
  outcome.body_size = outcome.body.size();
  outcome.started_at = kWall - Milliseconds{120};
  outcome.completed_at = kWall;
  outcome.response_until = kWall + Milliseconds{86'400'000};
  outcome.seen_until = kWall + Milliseconds{2'592'000'000};
  return outcome;
}

store::Commit a_tick() {
  store::Commit commit{"eu", kIncarnation, {4712}, Hlc::of(kWall, 4), {}, false, {}, store::Tick{}};
  store::Tick& tick = *commit.tick;
  tick.applied = {{{"eu", kIncarnation}, {{4711}, Hlc::of(kWall, 3)}},
                  {{"us", {0x55}}, {{17}, Hlc::of(kWall - Milliseconds{900}, 1)}},
                  {{"ap", {0x66}}, {}}};
  tick.gaps = {{{"ap", {0x66}}, {1}}};
  tick.lowest_kept = {4000};
  tick.members_n = 6;
  tick.members_hash = counting<32>(0);
  tick.floor = Hlc::of(kWall - Milliseconds{2000}, 1);
  return commit;
}

store::Commit several() {
  store::Commit commit =
      with(store::Put{"orders", "a", "1", kWall + Milliseconds{60'000}, {{"us", Hlc::of(kWall, 1)}}});
  commit.wants_tick = true;
  commit.floor = {};
  commit.operations.push_back(
      store::Delete{"carts", "b/c", {{"ap", Hlc::of(kWall, 2)}, {"us", Hlc::of(kWall, 0)}}});
  commit.operations.push_back(store::Put{"orders", "d", "", {}, {}});
  return commit;
}

std::map<std::string, store::Commit> golden_commits() {
  store::Duplicate duplicate{
      "charges", "ch-1", {"us", Hlc::of(kWall, 1)}, {"eu", Hlc::of(kWall, 2)}, true, counting<32>(5),
      {},        kWall};
  return {
      {"put", with(store::Put{"orders", "order/4711", "paid", {}, {}})},
      {"delete", with(store::Delete{"orders", "order/4711", {{"us", Hlc::of(kWall - Milliseconds{1}, 0)}}})},
      {"claim", with(store::ClaimOp{"charges", "ch-1", "eu", a_claim()})},
      {"outcome", with(store::OutcomeOp{"charges", "ch-1", an_outcome()})},
      {"duplicate", with(store::DuplicateOp{duplicate})},
      {"void_notice", with(store::VoidNotice{{"us", {0x55}}, {18}, {20}})},
      {"several", several()},
      {"tick", a_tick()}};
}

std::map<std::string, std::string> lines_of(const std::string& path, const std::string& word) {
  std::ifstream in(std::string(REFRAIN_SOURCE_DIR) + path);
  EXPECT_TRUE(in) << path;
  std::map<std::string, std::string> lines;
  for (std::string line; std::getline(in, line);) {
    std::istringstream parts(line);
    std::string kind, name, hex;
    if (parts >> kind >> name >> hex && kind == word) lines[name] = hex;
  }
  return lines;
}

TEST(GoldenRecords, ReadAndWriteAsTheyAlwaysDid) {
  auto golden = lines_of("/tests/golden/record_1.txt", "record");
  EXPECT_EQ(golden.size(), golden_commits().size());
  for (const auto& [name, commit] : golden_commits()) {
    EXPECT_EQ(hex_encode(encode(commit, kCluster)), golden[name]) << "record " << name;
    auto decoded = decode(hex_decode(golden[name]).value_or(""), "eu");
    EXPECT_TRUE(decoded.has_value()) << name;
    if (!decoded.has_value()) continue;
    EXPECT_TRUE(decoded->commit == commit) << name;
    EXPECT_EQ(decoded->cluster, kCluster);
  }
}

TEST(GoldenRecords, TheNextProgramReadsThemAndWritesThemUntilAllMembersReadMore) {
  const Formats next{kFormats.min, kFormats.max + 1};
  auto golden = lines_of("/tests/golden/record_1.txt", "record");
  for (const auto& [name, commit] : golden_commits()) {
    auto decoded = decode(hex_decode(golden[name]).value_or(""), "eu", next.max);
    ASSERT_TRUE(decoded.has_value()) << name;
    EXPECT_TRUE(decoded->commit == commit) << name;
    EXPECT_EQ(hex_encode(encode(commit, kCluster, next.min)), golden[name]) << name;
    EXPECT_FALSE(decode(encode(commit, kCluster, next.max), "eu").has_value()) << name;
  }
}

TEST(PublicVectors, RecordsAreTheGoldenOnes) {
  auto golden = lines_of("/tests/golden/record_1.txt", "record");
  auto vectors = lines_of("/proto/vectors.txt", "record");
  EXPECT_GE(vectors.size(), 3u);
  for (const auto& [name, hex] : vectors) EXPECT_EQ(hex, golden[name]) << name;
}

TEST(PublicVectors, FramedHashesAreOurs) {
  std::ifstream in(std::string(REFRAIN_SOURCE_DIR) + "/proto/vectors.txt");
  int seen = 0;
  for (std::string line; std::getline(in, line);) {
    std::istringstream parts(line);
    std::string kind, hash;
    if (!(parts >> kind >> hash) || (kind != "sha256" && kind != "xxh3_128")) continue;
    std::string bytes;
    for (std::string hex; parts >> hex;) {
      std::string field = hex == "-" ? "" : hex_decode(hex).value();
      for (int shift = 24; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(field.size() >> shift));
      bytes += field;
    }
    EXPECT_EQ(kind == "sha256" ? hex_encode(as_bytes(sha256(bytes))) : hex_encode(as_bytes(hash128(bytes))),
              hash)
        << line;
    ++seen;
  }
  EXPECT_GE(seen, 6);
  EXPECT_EQ(hash128_framed({"ab", ""}), hash128(std::string("\0\0\0\2ab\0\0\0\0", 10)));
}

}  // namespace
}  // namespace refrain::replication
