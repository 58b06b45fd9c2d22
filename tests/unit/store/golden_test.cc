// SPDX-License-Identifier: Apache-2.0
// Keys and bytes on disk that every later version must read and, as long as it writes this format, write.
// tests/golden/store_1.txt is never edited; a new format gets a file of its own.
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "base/text.h"
#include "store/conflicts.h"
#include "store/kv.h"
#include "store/meta.h"
#include "store/outbox.h"
#include "store/requests_rows.h"
#include "store/sim_engine.h"
#include "store/snapshot.h"

namespace refrain::store {
namespace {

constexpr WallMs kWall{1'780'000'000'000};
const Journal kEu{"eu", {0x1122334455667788}};
const Journal kAp{"ap", {0x99}};

template <std::size_t Size>
std::array<std::uint8_t, Size> counting(std::uint8_t from) {
  std::array<std::uint8_t, Size> bytes{};
  for (auto& byte : bytes) byte = from++;
  return bytes;
}
Hlc hlc_at(std::int64_t ms, std::uint16_t counter = 0) {
  return Hlc::of(kWall + Milliseconds{ms}, counter);
}

Identity an_identity() {
  Identity identity;
  identity.cluster = {0xC0FFEE11};
  identity.node = "eu";
  identity.incarnation = kEu.incarnation;
  identity.standalone = true;
  identity.former = {{0x55}, {0x66}};
  return identity;
}

StoredTick a_tick() {
  StoredTick stored{{9}, hlc_at(-5, 1), {}};
  stored.tick.applied = {{kAp, {{9}, hlc_at(-6)}}, {kEu, {{4710}, hlc_at(-2000)}}};
  stored.tick.gaps = {{kEu, {4712}}};
  stored.tick.lowest_kept = {7};
  stored.tick.members_n = 3;
  stored.tick.members_hash = counting<32>(0);
  stored.tick.floor = hlc_at(-9000);
  return stored;
}

RequestRow a_request() {
  RequestRow row;
  Claim& held = row.claims["eu"];
  held.go = hlc_at(-50, 7);
  held.lease_until = kWall + Milliseconds{30'000};
  held.seen_ttl = Milliseconds{2'592'000'000};
  held.response_ttl = Milliseconds{86'400'000};
  held.hold = true;
  held.attempt = 3;
  held.seen = {{"us", hlc_at(-60'000)}};
  held.token_bits = 0x0123456789ABCDEF;
  held.fingerprint = counting<16>(1);
  held.incarnation = kEu.incarnation;
  Claim& released = row.claims["us"] = held;
  released.go = hlc_at(-60'000);
  released.hold = false;
  released.released = true;
  released.by_operator = true;
  released.seen.clear();
  Outcome outcome;
  outcome.go = {"eu", held.go};
  outcome.fingerprint = counting<16>(1);
  outcome.attempt = 3;
  outcome.content_hash = counting<32>(100);
  outcome.status = 201;
  outcome.content_type = "application/json";
  outcome.body_size = 17;
  outcome.started_at = kWall - Milliseconds{50};
  outcome.completed_at = kWall;
  outcome.response_until = kWall + Milliseconds{86'400'000};
  outcome.seen_until = kWall + Milliseconds{2'592'000'000};
  row.outcome = VersionedOutcome{{hlc_at(0, 2), "eu"}, outcome, kEu.incarnation, {4711}};
  row.seen_until = outcome.seen_until;
  return row;
}

ResponseRow a_response() {
  return {201, "application/json", kWall + Milliseconds{86'400'000}, R"({"charged": true})"};
}

Duplicate a_duplicate() {
  Duplicate duplicate;
  duplicate.ns = "pay";
  duplicate.id = "order-1";
  duplicate.loser = {"ap", hlc_at(-40)};
  duplicate.winner = {"eu", hlc_at(-50, 7)};
  duplicate.loser_hash = counting<32>(1);
  duplicate.detected_at = kWall;
  return duplicate;
}

KvRecord a_record() {
  return {{hlc_at(0, 3), "eu"},
          hlc_at(-2000, 1),
          {{"ap", hlc_at(-10)}, {"us", hlc_at(-20)}},
          false,
          kWall + Milliseconds{1000},
          "paid"};
}
KvRecord a_tombstone() {
  return {{hlc_at(-7), "us"}, {0}, {}, true, std::nullopt, ""};
}

void fill(Engine& engine) {
  Draft draft(engine);
  Meta::set_identity(draft, an_identity());
  Meta::set_hlc(draft, hlc_at(0, 3));
  Meta::set_published(draft, {4709});
  Meta::set_synced(draft, {4700});
  Meta::set_floor(draft, hlc_at(-9000));
  Meta::set_applied(draft, kAp, {{9}, hlc_at(-5, 1)});
  Meta::set_tick(draft, kAp, a_tick());
  Meta::set_cursor(draft, "ap", {{123'456}, "kafka-cluster"});
  Meta::set_member(draft, 1, R"({"n":1})");
  Meta::set_own_entry(draft, R"({"n":2})");
  Meta::set_word(draft, kAp, {{9}, 3});
  draft.put(Family::kKv, kv_key("orders", "4711"), encode(a_record()));
  draft.put(Family::kKv, kv_key("orders", "gone"), encode(a_tombstone()));
  put_request(draft, "pay", "order-1", a_request());
  mark_open(draft, "pay", "order-1", true);
  put_response(draft, "pay", "order-1", a_request().outcome->version, a_response());
  ASSERT_TRUE(put_duplicate(draft, a_duplicate()));
  Outbox outbox;
  outbox.append(draft, {4711}, "commit");
  Outbox::keep_aside(draft, {0x55}, {12}, "void");
  ConflictLog conflicts({});
  KvRecord loser{{hlc_at(-1), "ap"}, {0}, {}, false, std::nullopt, "unpaid"};
  ASSERT_TRUE(conflicts.merged(draft, "orders", "4711", loser,
                               {{hlc_at(0, 3), "eu"}, {0}, {}, false, {}, "paid"}, kWall));
  ASSERT_TRUE(engine.write(draft.take(), Durability::kSynced));
}

struct Row {
  Family family;
  std::string key;
  std::string value;
  auto operator<=>(const Row&) const = default;
};

std::set<Row> rows_of(const View& view) {
  std::set<Row> rows;
  for (std::size_t i = 0; i < kFamilies; ++i) {
    Family family = static_cast<Family>(i);
    auto cursor = view.cursor(family);
    for (cursor->seek(""); cursor->valid(); cursor->next()) {
      rows.insert({family, std::string(cursor->key()), std::string(cursor->value())});
    }
  }
  return rows;
}

std::string text_of(const Row& row) {
  return std::string(family_name(row.family)) + " " + hex_encode(row.key) + " " + hex_encode(row.value);
}

std::set<Row> golden() {
  std::ifstream file(std::string(REFRAIN_SOURCE_DIR) + "/tests/golden/store_1.txt");
  EXPECT_TRUE(file) << "tests/golden/store_1.txt is missing";
  std::set<Row> rows;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.starts_with("#")) continue;
    std::istringstream in(line);
    std::string family, key, value;
    in >> family >> key >> value;
    rows.insert({*family_of(family), *hex_decode(key), *hex_decode(value)});
  }
  return rows;
}

class GoldenStore : public testing::Test {
 protected:
  SimDisk disk_;
  std::unique_ptr<SimEngine> engine_ = std::move(*SimEngine::open(disk_));
};

TEST_F(GoldenStore, WhatIsWrittenTodayIsWhatFormat1Wrote) {
  fill(*engine_);
  std::set<Row> expected = golden();
  std::set<Row> written = rows_of(*engine_);
  for (const Row& row : written) EXPECT_TRUE(expected.contains(row)) << "not golden:\n" << text_of(row);
  for (const Row& row : expected)
    EXPECT_TRUE(written.contains(row)) << "no longer written:\n" << text_of(row);
}

TEST_F(GoldenStore, WhatFormat1WroteIsReadToday) {
  Batch batch;
  for (const Row& row : golden()) batch.put(row.family, row.key, row.value);
  ASSERT_TRUE(engine_->write(batch, Durability::kSynced));
  const View& view = *engine_;
  EXPECT_EQ(**Meta::identity(view), an_identity());
  EXPECT_EQ(*Meta::hlc(view), hlc_at(0, 3));
  EXPECT_EQ(*Meta::published(view), Seq{4709});
  EXPECT_EQ(*Meta::synced(view), Seq{4700});
  EXPECT_EQ(*Meta::floor(view), hlc_at(-9000));
  EXPECT_EQ(*Meta::applied(view), (AppliedTable{{kAp, {{9}, hlc_at(-5, 1)}}}));
  EXPECT_EQ(*Meta::ticks(view), (std::map<Journal, StoredTick>{{kAp, a_tick()}}));
  EXPECT_EQ(*Meta::cursors(view), (std::map<NodeName, ReadCursor>{{"ap", {{123'456}, "kafka-cluster"}}}));
  EXPECT_EQ(*Meta::members(view), std::vector<std::string>{R"({"n":1})"});
  EXPECT_EQ(*Meta::own_entry(view), R"({"n":2})");
  EXPECT_EQ(*Meta::words(view), (std::map<Journal, Meta::Word>{{kAp, {{9}, 3}}}));
  EXPECT_EQ(**read_record(view, "orders", "4711"), a_record());
  EXPECT_EQ(**read_record(view, "orders", "gone"), a_tombstone());
  EXPECT_EQ(**get_request(view, "pay", "order-1"), a_request());
  EXPECT_EQ(*list_open(view, std::nullopt, 10), (std::vector<RequestId>{{"pay", "order-1"}}));
  EXPECT_EQ(**get_response(view, "pay", "order-1", a_request().outcome->version), a_response());
  EXPECT_EQ(**get_duplicate(view, duplicate_id(a_duplicate())), a_duplicate());
  EXPECT_EQ(**Outbox::get(view, {4711}), "commit");
  EXPECT_EQ(*Outbox::count_aside(view), 1u);
  auto conflicts = ConflictLog::list(view, "orders", "4711", "", false, 10)->items;
  ASSERT_EQ(conflicts.size(), 1u);
  EXPECT_EQ(conflicts[0].conflict.loser.value, "unpaid");
  EXPECT_EQ(conflicts[0].conflict.winner.value, "paid");
  EXPECT_TRUE(conflicts[0].open);
}

TEST_F(GoldenStore, TheSnapshotStreamStays) {
  Draft draft(*engine_);
  Meta::set_identity(draft, an_identity());
  Meta::set_applied(draft, kEu, {{4711}, hlc_at(0, 3)});
  Meta::set_member(draft, 1, R"({"n":1})");
  draft.put(Family::kKv, kv_key("orders", "gone"), encode(a_tombstone()));
  ASSERT_TRUE(engine_->write(draft.take(), Durability::kSynced));
  auto writer = std::move(*SnapshotWriter::start(engine_->snapshot()));
  std::string stream;
  for (auto block = writer->next(); *block; block = writer->next()) stream += **block;
  stream += writer->finish();
  std::ifstream file(std::string(REFRAIN_SOURCE_DIR) + "/tests/golden/snapshot_1.txt");
  std::string line;
  while (std::getline(file, line) && line.starts_with("#")) {
  }
  EXPECT_EQ(hex_encode(stream), line);
}

TEST_F(GoldenStore, ASnapshotOfFormat1IsTakenByADirectoryOfTheNext) {
  std::ifstream file(std::string(REFRAIN_SOURCE_DIR) + "/tests/golden/snapshot_1.txt");
  std::string line;
  while (std::getline(file, line) && line.starts_with("#")) {
  }
  Identity joiner = an_identity();
  joiner.node = "us";
  auto loader = std::move(*SnapshotLoader::start(*engine_, joiner, {}, StoreFormat{2, 2}));
  ASSERT_TRUE(loader->feed(hex_decode(line).value_or("")));
  ASSERT_TRUE(loader->finish());
  EXPECT_EQ(**read_record(*engine_, "orders", "gone"), a_tombstone());
  EXPECT_EQ(*Meta::members(*engine_), std::vector<std::string>{R"({"n":1})"});
}

}  // namespace
}  // namespace refrain::store
