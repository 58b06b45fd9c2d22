// SPDX-License-Identifier: Apache-2.0
#include "store/kv.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/unit/store/replica.h"

namespace refrain::store {
namespace {

Commit commit_with(const NodeName& node, std::uint64_t hlc, const std::string& value, Context ctx = {},
                   Hlc floor = {}) {
  Commit commit = commit_of(node, hlc);
  commit.floor = floor;
  commit.operations.push_back(put_of("k", value, std::move(ctx)));
  return commit;
}

KvRecord record(Replica& replica) {
  return **read_record(*replica.draft, "ns", "k");
}

TEST(KvMerge, TheLargerVersionWinsByHlcThenByNode) {
  Replica replica("eu");
  EXPECT_TRUE(replica.apply(commit_with("us", 5, "five")).won);
  EXPECT_FALSE(replica.apply(commit_with("ap", 4, "four")).won);
  EXPECT_EQ(record(replica).value, "five");
  EXPECT_FALSE(replica.apply(commit_with("ap", 5, "five of ap")).won);
  EXPECT_TRUE(replica.apply(commit_with("zz", 5, "five of zz")).won);
  EXPECT_EQ(record(replica).value, "five of zz");
}

TEST(KvMerge, TwoWritersWhoHadNotSeenEachOtherAreAConflict) {
  Replica replica("eu");
  replica.apply(commit_with("ap", 4, "a"));
  EXPECT_TRUE(replica.apply(commit_with("us", 5, "u")).conflict);
  ASSERT_EQ(replica.open().size(), 1u);
  EXPECT_EQ(replica.open()[0].winner.value, "u");
  EXPECT_EQ(replica.open()[0].loser.value, "a");
}

TEST(KvMerge, AWriterWhoHadSeenTheOtherIsNoConflictInEitherOrder) {
  for (bool newest_first : {false, true}) {
    Replica replica("eu");
    Commit first = commit_with("ap", 4, "a");
    Commit second = commit_with("us", 5, "u", {{"ap", {4}}});
    replica.apply(newest_first ? second : first);
    EXPECT_FALSE(replica.apply(newest_first ? first : second).conflict);
    EXPECT_EQ(record(replica).value, "u");
  }
}

TEST(KvMerge, OneNodesVersionsAreAlwaysOrdered) {
  Replica replica("eu");
  replica.apply(commit_with("us", 9, "late"));
  EXPECT_FALSE(replica.apply(commit_with("us", 5, "early")).conflict);
}

TEST(KvMerge, WhatLiesBelowAWritersFloorHadBeenSeen) {
  for (bool newest_first : {false, true}) {
    Replica replica("eu");
    Commit old = commit_with("ap", 4, "a");
    Commit later = commit_with("us", 9, "u", {}, {4});
    replica.apply(newest_first ? later : old);
    EXPECT_FALSE(replica.apply(newest_first ? old : later).conflict);
  }
  Replica replica("eu");
  replica.apply(commit_with("ap", 5, "a"));
  EXPECT_TRUE(replica.apply(commit_with("us", 9, "u", {}, {4})).conflict) << "one above the floor";
}

TEST(KvMerge, ARowThatIsWrittenAgainKeepsNoContextAtOrBelowThisNodesFloor) {
  Replica replica("eu");
  replica.apply(commit_with("ap", 4, "a", {{"sa", {2}}, {"us", {3}}}));
  Commit later = commit_with("us", 9, "u", {{"ap", {4}}, {"sa", {6}}});
  ASSERT_TRUE(
      merge(*replica.draft, std::get<Put>(later.operations[0]), later, replica.conflicts, replica.now, {4}));
  EXPECT_EQ(record(replica).ctx, (Context{{"sa", {6}}}));
}

TEST(KvMerge, TheSameCommitAgainChangesNothing) {
  Replica replica("eu");
  Commit first = commit_with("ap", 4, "a");
  Commit second = commit_with("us", 5, "u");
  replica.apply(first);
  replica.apply(second);
  std::string row = replica.row("k");
  for (const Commit& commit : {first, second, second, first}) EXPECT_FALSE(replica.apply(commit).conflict);
  EXPECT_EQ(replica.row("k"), row);
  EXPECT_EQ(replica.open().size(), 1u);
}

TEST(KvMerge, OneVersionWithTwoContentsIsAClonedNodeAndNeitherIsPicked) {
  Replica replica("eu");
  replica.apply(commit_with("us", 5, "u"));
  std::string row = replica.row("k");
  EXPECT_TRUE(replica.apply(commit_with("us", 5, "other")).cloned);
  Commit deletion = commit_of("us", 5);
  deletion.operations.push_back(Delete{"ns", "k", {}});
  EXPECT_TRUE(replica.apply(deletion).cloned);
  EXPECT_EQ(replica.row("k"), row);
}

TEST(KvMerge, ATombstoneBeatsASmallerPutThatComesLater) {
  Replica replica("eu");
  Commit deletion = commit_of("us", 5);
  deletion.operations.push_back(Delete{"ns", "k", {}});
  replica.apply(deletion);
  replica.apply(commit_with("ap", 4, "a"));
  EXPECT_TRUE(record(replica).deleted);
  EXPECT_FALSE(record(replica).visible(WallMs{0}));
}

TEST(KvMerge, ExpiryDecidesVisibilityAndNeverOrder) {
  Replica replica("eu");
  Commit commit = commit_of("us", 5);
  Put put = put_of("k", "short");
  put.expires_at = WallMs{100};
  commit.operations.push_back(put);
  replica.apply(commit);
  EXPECT_TRUE(record(replica).visible(WallMs{99}));
  EXPECT_FALSE(record(replica).visible(WallMs{100}));
  EXPECT_FALSE(replica.apply(commit_with("ap", 4, "a")).won) << "expired or not";
}

TEST(KvMerge, AWriteSeesWhatItsNodesRowHasMergedAndNeverNamesItself) {
  Replica replica("eu");
  replica.apply(commit_with("ap", 4, "a"));
  replica.apply(commit_with("us", 5, "u"));
  Commit own = replica.write("k", "mine");
  EXPECT_EQ(std::get<Put>(own.operations[0]).ctx, (Context{{"ap", {4}}, {"us", {5}}}));
  EXPECT_EQ(replica.open().size(), 0u) << "a write that has seen both closes it";
  Commit again = replica.write("k", "mine again");
  EXPECT_FALSE(std::get<Put>(again.operations[0]).ctx.contains("eu"));
}

TEST(KvMerge, SeveralCommitsInOneDraftSeeEachOther) {
  Replica replica("eu");
  replica.flush();
  Commit first = replica.write("k", "1");
  Commit second = replica.write("k", "2");
  EXPECT_FALSE(replica.apply(first).conflict);
  EXPECT_EQ(record(replica).value, "2");
  EXPECT_FALSE((*replica.engine->get(Family::kKv, kv_key("ns", "k"))).has_value());
}

TEST(Conflicts, ALoserThatTheNextWinnerHadNotSeenStaysOpenAgainstIt) {
  Commit lost = commit_with("ap", 5, "lost");
  Commit middle = commit_with("eu", 10, "middle");
  Commit last = commit_with("us", 20, "last", {{"eu", {10}}});
  std::vector<Commit> order = {lost, middle, last};
  std::optional<std::string> open;
  std::sort(order.begin(), order.end(), [](auto& a, auto& b) { return a.hlc < b.hlc; });
  do {
    Replica replica("reader");
    for (const Commit& commit : order) replica.apply(commit);
    ASSERT_EQ(replica.open().size(), 1u);
    EXPECT_EQ(replica.open()[0].winner.value, "last");
    EXPECT_EQ(replica.open()[0].loser.value, "lost");
    EXPECT_EQ(replica.open()[0].id, open.value_or(replica.open()[0].id));
    open = replica.open()[0].id;
  } while (std::next_permutation(order.begin(), order.end(), [](auto& a, auto& b) { return a.hlc < b.hlc; }));
}

TEST(Conflicts, ALoserWhoseWriterWroteAgainIsReplacedByItsNewerVersion) {
  Replica replica("reader");
  replica.apply(commit_with("us", 20, "winner"));
  replica.apply(commit_with("ap", 5, "first"));
  replica.apply(commit_with("ap", 6, "second"));
  ASSERT_EQ(replica.open().size(), 1u);
  EXPECT_EQ(replica.open()[0].loser.value, "second");
  EXPECT_EQ(replica.listed().size(), 2u);
  EXPECT_EQ(*ConflictLog::open_for(*replica.engine, "ns", "k", {{20}, "us"}), 1u);
  EXPECT_EQ(*ConflictLog::open_for(*replica.engine, "ns", "k", {{19}, "us"}), 0u)
      << "not of the current version";
}

TEST(Conflicts, LongValuesAreCutAndMarked) {
  Replica replica("reader", {Milliseconds{1000}, 1 << 20, 4});
  replica.apply(commit_with("us", 20, "12345"));
  replica.apply(commit_with("ap", 5, "1234"));
  Conflict conflict = replica.open()[0];
  EXPECT_EQ(conflict.winner.value, "1234");
  EXPECT_TRUE(conflict.winner.truncated);
  EXPECT_FALSE(conflict.loser.truncated);
}

TEST(Conflicts, IdsAreTheSameWhoeverComesFirst) {
  EXPECT_EQ(conflict_id("ns", "k", {{1}, "a"}, {{2}, "b"}), conflict_id("ns", "k", {{2}, "b"}, {{1}, "a"}));
  EXPECT_NE(conflict_id("ns", "k", {{1}, "a"}, {{2}, "b"}), conflict_id("nsk", "", {{1}, "a"}, {{2}, "b"}));
}

TEST(Conflicts, TheListIsPagedByIdOverAllAndByKeyWithinOneNamespace) {
  Replica replica("reader");
  for (std::string key : {"a", "b", "c", "d", "e"}) {
    for (NodeName node : {"ap", "us"}) {
      Commit commit = commit_of(node, node == "ap" ? 5 : 6);
      commit.operations.push_back(put_of(key, node));
      replica.apply(commit);
    }
  }
  replica.flush();
  for (std::string ns : {"", "ns"}) {
    std::vector<std::string> ids, keys;
    std::string after;
    do {
      auto page = *ConflictLog::list(*replica.engine, ns, "", after, false, 2);
      EXPECT_LE(page.items.size(), 2u);
      for (const ListedConflict& listed : page.items) {
        ids.push_back(listed.conflict.id);
        keys.push_back(listed.conflict.key);
      }
      after = page.after.value_or("");
    } while (!after.empty());
    EXPECT_EQ(ids.size(), 5u) << ns;
    EXPECT_TRUE(std::is_sorted(ns.empty() ? ids.begin() : keys.begin(), ns.empty() ? ids.end() : keys.end()));
  }
  EXPECT_EQ(ConflictLog::list(*replica.engine, "ns", "", "!!", false, 2).error().code, Code::kInvalid);
  EXPECT_EQ(replica.listed("b").size(), 1u);
  EXPECT_EQ(ConflictLog::list(*replica.engine, "n", "", "", false, 10)->items.size(), 0u);
}

TEST(Conflicts, OldOnesAndThoseBeyondTheBoundAreDroppedAndCounted) {
  Replica replica("reader", {Milliseconds{100}, 1 << 20, 64});
  for (std::string key : {"a", "b", "c"}) {
    for (NodeName node : {"ap", "us"}) {
      Commit commit = commit_of(node, node == "ap" ? 5 : 6);
      commit.operations.push_back(put_of(key, node));
      replica.apply(commit);
    }
    replica.now = replica.now + Milliseconds{10};
  }
  replica.flush();
  ASSERT_TRUE(replica.conflicts.expire(*replica.draft, WallMs{1099}, 10));
  EXPECT_EQ(replica.conflicts.stats().dropped, 0u);
  ASSERT_TRUE(replica.conflicts.expire(*replica.draft, WallMs{1115}, 1));
  EXPECT_EQ(replica.conflicts.stats().dropped, 1u) << "no more than asked at once";
  EXPECT_EQ(replica.open().size(), 2u);
  ASSERT_TRUE(replica.conflicts.expire(*replica.draft, WallMs{9999}, 10));
  replica.flush();
  EXPECT_EQ(replica.conflicts.stats(), (ConflictLog::Stats{0, 0, 0, 3}));
  ConflictLog again({});
  ASSERT_TRUE(again.load(*replica.engine));
  EXPECT_EQ(again.stats().dropped, 3u) << "kept over a restart";
}

class KvScan : public testing::Test {
 protected:
  void put(const std::string& ns, const std::string& key, std::optional<WallMs> expires = {},
           bool deleted = false) {
    KvRecord record{{{1}, "eu"}, {}, {}, deleted, expires, deleted ? "" : "v" + key};
    replica_.draft->put(Family::kKv, kv_key(ns, key), encode(record));
  }
  std::string keys(const std::string& prefix, const std::string& after, std::size_t limit = 100,
                   std::size_t bytes = 1 << 20) {
    replica_.flush();
    auto page = scan(*replica_.engine, "ns", prefix, after, limit, bytes, WallMs{1000});
    std::string found;
    for (const KvItem& item : page->items) found += item.key + " ";
    return found + (page->after ? "..." : "");
  }
  Replica replica_{"eu"};
};

TEST_F(KvScan, WalksOneNamespaceByPrefixAfterAKeyInOrder) {
  for (std::string key : {"a", "a/1", "a/2", "b", "c"}) put("ns", key);
  put("ns2", "a/0");
  put("n", "s");
  EXPECT_EQ(keys("", ""), "a a/1 a/2 b c ");
  EXPECT_EQ(keys("a/", ""), "a/1 a/2 ");
  EXPECT_EQ(keys("a/", "a/1"), "a/2 ");
  EXPECT_EQ(keys("a/", "a"), "a/1 a/2 ");
  EXPECT_EQ(keys("a/", "b"), "");
  EXPECT_EQ(keys("", "b"), "c ");
}

TEST_F(KvScan, LeavesOutTombstonesAndExpiredKeysAlsoWhenItSaysThatMoreFollows) {
  put("ns", "a");
  put("ns", "b", WallMs{1000});
  put("ns", "c", WallMs{1001});
  put("ns", "d", {}, true);
  EXPECT_EQ(keys("", ""), "a c ");
  EXPECT_EQ(keys("", "", 2), "a c ") << "what is left is not there";
}

TEST_F(KvScan, StopsAtItsLimits) {
  for (std::string key : {"a", "b", "c"}) put("ns", key);
  EXPECT_EQ(keys("", "", 2), "a b ...");
  EXPECT_EQ(keys("", "", 100, 1), "a ...");
  EXPECT_EQ(keys("", "b", 1), "c ");
}

RC_GTEST_PROP(KvRow, AnyBytesAreReadOrRefused, (const std::string& bytes)) {
  auto record = decode_kv("\x01" + bytes);
  if (record) RC_ASSERT(decode_kv(encode(*record)) == record);
}

TEST(KvRow, AnUnknownFormatOrFlagIsRefused) {
  std::string bytes = encode(KvRecord{{{1}, "eu"}, {}, {}, false, {}, "v"});
  ASSERT_TRUE(decode_kv(bytes));
  EXPECT_FALSE(decode_kv("\x02" + bytes.substr(1)));
  bytes[1] = 4;
  EXPECT_FALSE(decode_kv(bytes));
}

}  // namespace
}  // namespace refrain::store
