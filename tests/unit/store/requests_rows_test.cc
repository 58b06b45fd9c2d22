// SPDX-License-Identifier: Apache-2.0
#include "store/requests_rows.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <random>

#include "store/sim_engine.h"

namespace refrain::store {
namespace {

Claim claim_at(std::uint64_t go, std::int64_t lease_until, bool hold = false) {
  Claim claim;
  claim.go = {go};
  claim.lease_until = {lease_until};
  claim.seen_ttl = Milliseconds{100};
  claim.hold = hold;
  return claim;
}

VersionedOutcome outcome_at(std::uint64_t hlc, const NodeName& node) {
  VersionedOutcome outcome;
  outcome.version = {{hlc}, node};
  return outcome;
}

TEST(RequestRow, EndsWhenItsLastPartEnds) {
  RequestRow row;
  EXPECT_EQ(ends_at(row), WallMs{0});
  row.claims["eu"] = claim_at(1, 1000);
  EXPECT_EQ(ends_at(row), WallMs{1100});
  row.claims["us"] = claim_at(2, 1500);
  EXPECT_EQ(ends_at(row), WallMs{1600});
  row.outcome = outcome_at(3, "eu");
  row.seen_until = {9000};
  EXPECT_EQ(ends_at(row), WallMs{9000});
}

TEST(RequestRow, AClaimUnderHoldNeverEndsUntilSomethingEndedIt) {
  RequestRow row;
  row.claims["eu"] = claim_at(5, 1000, true);
  EXPECT_EQ(ends_at(row), std::nullopt);

  RequestRow released = row;
  released.claims["eu"].released = true;
  EXPECT_EQ(ends_at(released), WallMs{1100});

  RequestRow superseded = row;
  superseded.claims["us"] = claim_at(6, 1000);
  EXPECT_EQ(ends_at(superseded), std::nullopt) << "a claim that had not seen it ends nothing";
  superseded.claims["us"].seen["eu"] = {5};
  EXPECT_EQ(ends_at(superseded), WallMs{1100});

  RequestRow completed = row;
  completed.outcome = outcome_at(6, "us");
  completed.seen_until = {2000};
  EXPECT_EQ(ends_at(completed), WallMs{2000});
  completed.outcome = outcome_at(4, "us");
  EXPECT_EQ(ends_at(completed), std::nullopt) << "a go given after the outcome is another run";
}

TEST(RequestRow, TimesOfPeersCannotOverflow) {
  RequestRow row;
  row.claims["eu"] = claim_at(1, std::numeric_limits<std::int64_t>::max());
  EXPECT_EQ(ends_at(row), WallMs{std::numeric_limits<std::int64_t>::max()});
  row.claims["eu"].lease_until = {std::numeric_limits<std::int64_t>::min()};
  EXPECT_TRUE(decode_request_row(encode_request_row(row)));
}

TEST(RequestRow, OnlyRowsPastTheirEndMayBeDropped) {
  RequestRow row;
  row.claims["eu"] = claim_at(1, 1000);
  std::string bytes = encode_request_row(row);
  EXPECT_FALSE(past_its_end(Family::kRequests, bytes, WallMs{1099}));
  EXPECT_TRUE(past_its_end(Family::kRequests, bytes, WallMs{1100}));
  EXPECT_FALSE(past_its_end(Family::kKv, bytes, WallMs{1100}));
  EXPECT_FALSE(past_its_end(Family::kRequests, bytes.substr(0, 5), WallMs{1100}));
  EXPECT_FALSE(past_its_end(Family::kRequests, "\x02" + bytes.substr(1), WallMs{1100}));
  EXPECT_FALSE(past_its_end(Family::kRequests, encode_request_row({}), WallMs{0})) << "no time is known yet";
  std::string response = encode_response({200, "text/plain", WallMs{500}, "x"});
  EXPECT_FALSE(past_its_end(Family::kResponses, response, WallMs{499}));
  EXPECT_TRUE(past_its_end(Family::kResponses, response, WallMs{500}));
}

RequestRow draw_row(std::mt19937_64& random) {
  RequestRow row;
  for (std::size_t i = random() % 3; i > 0; --i) {
    Claim claim = claim_at(random(), static_cast<std::int64_t>(random()), random() % 2);
    claim.released = random() % 2;
    claim.by_operator = random() % 2;
    claim.response_ttl = Milliseconds{static_cast<std::int64_t>(random())};
    claim.attempt = static_cast<std::uint32_t>(random());
    claim.token_bits = random();
    claim.incarnation = {random()};
    for (auto& byte : claim.fingerprint) byte = static_cast<std::uint8_t>(random());
    for (std::size_t j = random() % 3; j > 0; --j)
      claim.seen["n" + std::to_string(random() % 9)] = {random()};
    row.claims["n" + std::to_string(random() % 9)] = claim;
  }
  if (random() % 2) {
    row.outcome = outcome_at(random(), "eu");
    Outcome& outcome = row.outcome->outcome;
    outcome.go = {"us", {random()}};
    outcome.attempt = static_cast<std::uint32_t>(random());
    outcome.status = static_cast<std::uint32_t>(random() % 1000);
    outcome.content_type = "text/" + std::to_string(random());
    outcome.body_size = random();
    outcome.too_large = random() % 2;
    outcome.by_operator = random() % 2;
    if (random() % 2) outcome.started_at = WallMs{static_cast<std::int64_t>(random())};
    outcome.completed_at = {static_cast<std::int64_t>(random())};
    outcome.response_until = {static_cast<std::int64_t>(random())};
    outcome.seen_until = {static_cast<std::int64_t>(random())};
    outcome.content_hash[5] = static_cast<std::uint8_t>(random());
    row.seen_until = {static_cast<std::int64_t>(random())};
  }
  return row;
}

RC_GTEST_PROP(RequestRow, ComesBackAsItWasWritten, (std::uint32_t seed)) {
  std::mt19937_64 random(seed);
  RequestRow row = draw_row(random);
  auto back = decode_request_row(encode_request_row(row));
  RC_ASSERT(back.has_value());
  RC_ASSERT(*back == row);
}

RC_GTEST_PROP(RequestRow, DamagedBytesAreRefusedOrAnotherRow, (std::uint32_t seed)) {
  std::mt19937_64 random(seed);
  std::string bytes = encode_request_row(draw_row(random));
  auto cut = decode_request_row(bytes.substr(0, random() % bytes.size()));
  RC_ASSERT(!cut.has_value());
  RC_ASSERT(cut.error().code == Code::kCorrupt);
  bytes[random() % bytes.size()] = static_cast<char>(random());
  if (auto back = decode_request_row(bytes)) encode_request_row(*back);
}

class RequestTables : public testing::Test {
 protected:
  void flush() {
    ASSERT_TRUE(engine_->write(draft_.take(), Durability::kSynced));
    draft_.clear();
  }
  SimDisk disk_;
  std::unique_ptr<SimEngine> engine_ = std::move(*SimEngine::open(disk_));
  Draft draft_{*engine_};
};

TEST_F(RequestTables, ARequestIsReadThroughTheDraftAndFromTheStore) {
  RequestRow row;
  row.claims["eu"] = claim_at(1, 1000);
  EXPECT_FALSE(get_request(draft_, "pay", "1")->has_value());
  put_request(draft_, "pay", "1", row);
  EXPECT_EQ(**get_request(draft_, "pay", "1"), row);
  EXPECT_FALSE(get_request(*engine_, "pay", "1")->has_value());
  flush();
  EXPECT_EQ(**get_request(*engine_, "pay", "1"), row);
}

TEST_F(RequestTables, AListIsOneNamespaceInOrderOfIdAfterTheGivenOne) {
  for (std::string id : {"a", "ab", "b", "c"}) put_request(draft_, "pay", id, {});
  put_request(draft_, "paz", "a", {});
  put_request(draft_, "pa", "y", {});
  flush();
  auto ids = [&](std::string_view after, std::size_t limit) {
    std::string found;
    auto listed = list_requests(*engine_, "pay", after, limit);
    for (const ListedRequest& item : *listed) found += item.id + " ";
    return found;
  };
  EXPECT_EQ(ids("", 10), "a ab b c ");
  EXPECT_EQ(ids("a", 2), "ab b ");
  EXPECT_EQ(ids("bb", 10), "c ");
  EXPECT_EQ(ids("c", 10), "");
}

TEST_F(RequestTables, OpenOnesAreListedOverAllNamespaces) {
  mark_open(draft_, "pay", "1", true);
  mark_open(draft_, "ship", "1", true);
  mark_open(draft_, "ship", "2", true);
  mark_open(draft_, "pay", "2", true);
  mark_open(draft_, "pay", "2", false);
  flush();
  EXPECT_EQ(*list_open(*engine_, std::nullopt, 10),
            (std::vector<RequestId>{{"pay", "1"}, {"ship", "1"}, {"ship", "2"}}));
  EXPECT_EQ(*list_open(*engine_, RequestId{"pay", "1"}, 1), (std::vector<RequestId>{{"ship", "1"}}));
}

TEST_F(RequestTables, AResponseBelongsToOneVersion) {
  ResponseRow row{404, "text/plain", WallMs{77}, std::string("a\0b", 3)};
  put_response(draft_, "pay", "1", {{5}, "eu"}, row);
  EXPECT_EQ(**get_response(draft_, "pay", "1", {{5}, "eu"}), row);
  EXPECT_FALSE(get_response(draft_, "pay", "1", {{5}, "us"})->has_value());
  flush();
  EXPECT_EQ(**get_response(*engine_, "pay", "1", {{5}, "eu"}), row);
  remove_response(draft_, "pay", "1", {{5}, "eu"});
  flush();
  EXPECT_FALSE(get_response(*engine_, "pay", "1", {{5}, "eu"})->has_value());
}

TEST_F(RequestTables, ARowThatCannotBeReadIsAnErrorNotAbsent) {
  draft_.put(Family::kRequests, request_key("pay", "1"), "\x01garbage");
  EXPECT_EQ(get_request(draft_, "pay", "1").error().code, Code::kCorrupt);
  flush();
  EXPECT_EQ(list_requests(*engine_, "pay", "", 10).error().code, Code::kCorrupt);
}

Duplicate duplicate_of(const std::string& id, std::uint64_t loser, std::uint64_t winner,
                       bool possible = false) {
  Duplicate duplicate;
  duplicate.ns = "pay";
  duplicate.id = id;
  duplicate.loser = {"eu", {loser}};
  duplicate.winner = {"us", {winner}};
  duplicate.possible = possible;
  duplicate.detected_at = {1000};
  return duplicate;
}

TEST(DuplicateId, IsOverTheLoserAndOverTheWinnerTooWhenOnlyPossible) {
  EXPECT_EQ(duplicate_id(duplicate_of("1", 5, 6)), duplicate_id(duplicate_of("1", 5, 7)));
  EXPECT_NE(duplicate_id(duplicate_of("1", 5, 6)), duplicate_id(duplicate_of("1", 4, 6)));
  EXPECT_NE(duplicate_id(duplicate_of("1", 5, 6, true)), duplicate_id(duplicate_of("1", 5, 7, true)));
  EXPECT_NE(duplicate_id(duplicate_of("1", 5, 6, true)), duplicate_id(duplicate_of("1", 5, 6)));
  EXPECT_EQ(format_duplicate_id(duplicate_id(duplicate_of("1", 5, 6))).size(), 32u);
}

TEST_F(RequestTables, AnyOrderOfReportsOfOneDuplicateGivesTheSameRows) {
  Sha256 hash{};
  hash[0] = 9;
  std::vector<Duplicate> reports = {duplicate_of("1", 5, 6), duplicate_of("1", 5, 6), duplicate_of("1", 5, 8),
                                    duplicate_of("1", 5, 7)};
  reports[0].loser_hash = hash;
  reports[1].detected_at = {900};
  reports[2].winner_hash = hash;
  reports[3].detected_at = {1100};
  std::vector<std::size_t> order = {0, 1, 2, 3};
  std::optional<std::uint64_t> rows;
  do {
    SimDisk disk;
    auto engine = std::move(*SimEngine::open(disk));
    Draft draft(*engine);
    int added = 0;
    for (std::size_t i : order) {
      auto put = put_duplicate(draft, reports[i]);
      ASSERT_TRUE(put);
      added += *put;
      ASSERT_TRUE(engine->write(draft.take(), Durability::kSynced));
      draft.clear();
    }
    EXPECT_EQ(added, 1);
    if (!rows) rows = disk.rows_hash();
    EXPECT_EQ(disk.rows_hash(), *rows);
    auto kept = get_duplicate(*engine, duplicate_id(reports[0]));
    EXPECT_EQ((*kept)->winner.go, Hlc{8});
    EXPECT_EQ((*kept)->loser_hash, hash);
    EXPECT_EQ((*kept)->detected_at, WallMs{900});
  } while (std::next_permutation(order.begin(), order.end()));
}

TEST_F(RequestTables, DuplicatesAreListedInPagesWithoutPossibleOnesUnlessAsked) {
  for (std::string id : {"a", "b", "c"}) ASSERT_TRUE(put_duplicate(draft_, duplicate_of(id, 5, 6)));
  ASSERT_TRUE(put_duplicate(draft_, duplicate_of("b", 7, 8, true)));
  Duplicate other = duplicate_of("a", 5, 6);
  other.ns = "ship";
  ASSERT_TRUE(put_duplicate(draft_, other));
  flush();
  auto walk = [&](const std::string& ns, bool possible) {
    std::string found;
    std::string after;
    for (int pages = 0; pages < 10; ++pages) {
      auto page = list_duplicates(*engine_, ns, after, possible, 2);
      EXPECT_TRUE(page);
      for (const ListedDuplicate& item : page->items) {
        found += item.duplicate.ns + "/" + item.duplicate.id + (item.duplicate.possible ? "? " : " ");
      }
      if (!page->after) return found;
      after = *page->after;
    }
    return std::string("no end");
  };
  EXPECT_EQ(walk("pay", false), "pay/a pay/b pay/c ");
  EXPECT_EQ(walk("", false), "pay/a pay/b pay/c ship/a ");
  std::string all = walk("pay", true);
  EXPECT_NE(all.find("pay/b? "), std::string::npos) << all;
  EXPECT_EQ(list_duplicates(*engine_, "pay", "!!", false, 2).error().code, Code::kInvalid);
  EXPECT_EQ(list_duplicates(*engine_, "pay", "AAAA", false, 2).error().code, Code::kInvalid);
  EXPECT_EQ(count_duplicates(*engine_)->certain, 4u);
  EXPECT_EQ(count_duplicates(*engine_)->possible, 1u);
}

TEST_F(RequestTables, OldDuplicatesAreForgottenWithAllTheirRowsAFewAtATime) {
  for (int i = 0; i < 5; ++i) {
    Duplicate duplicate = duplicate_of(std::to_string(i), 5, 6, i % 2 == 1);
    duplicate.detected_at = {1000 + i};
    ASSERT_TRUE(put_duplicate(draft_, duplicate));
  }
  flush();
  auto dropped = drop_duplicates(draft_, WallMs{1003}, 2);
  EXPECT_EQ(dropped->certain + dropped->possible, 2u);
  flush();
  dropped = drop_duplicates(draft_, WallMs{1003}, 10);
  EXPECT_EQ(dropped->certain, 1u);
  EXPECT_EQ(dropped->possible, 0u);
  flush();
  EXPECT_EQ(count_duplicates(*engine_)->certain, 1u);
  ASSERT_TRUE(drop_duplicates(draft_, WallMs{9999}, 10));
  flush();
  SimDisk empty;
  EXPECT_EQ(disk_.rows_hash(), empty.rows_hash());
}

}  // namespace
}  // namespace refrain::store
