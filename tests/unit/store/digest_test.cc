// SPDX-License-Identifier: Apache-2.0
#include "store/digest.h"

#include <gtest/gtest.h>

#include <random>

#include "base/text.h"
#include "tests/unit/store/replica.h"

namespace refrain::store {
namespace {

/// A replica that keeps its digest as the ledger does.
class Counted : public Replica {
 public:
  explicit Counted(NodeName name, std::uint32_t most_deltas = 3)
      : Replica(std::move(name)), digest(most_deltas) {
    EXPECT_TRUE(digest.load(*engine));
  }

  Result<void> write_batch() {
    if (auto counted = digest.count(*draft); !counted) return counted;
    auto written = engine->write(draft->take(), Durability::kSynced);
    written ? digest.written() : digest.not_written();
    return written;
  }
  void put(const std::string& key, const std::string& value) {
    write(key, value);
    ASSERT_TRUE(write_batch());
  }
  DigestBuckets from_rows() const {
    DigestCount count(*engine);
    EXPECT_EQ(count.step(SIZE_MAX).value_or(false), true);
    return count.buckets();
  }
  /// Writes a row as no commit does.
  void damage(const std::string& key, std::optional<std::string> bytes) {
    Batch batch;
    bytes ? batch.put(Family::kKv, kv_key("ns", key), *bytes) : batch.remove(Family::kKv, kv_key("ns", key));
    ASSERT_TRUE(engine->write(batch, Durability::kSynced));
  }

  Digest digest;
};

TEST(Digest, FollowsEveryChangeOfTheRowsAndIsKept) {
  Counted node("eu");
  node.put("a", "1");
  node.put("a", "2");
  node.put("b", "3");
  node.write("a", "", true);
  ASSERT_TRUE(node.write_batch());
  EXPECT_EQ(node.digest.buckets(), node.from_rows());
  EXPECT_EQ(*read_digest(*node.engine), node.from_rows());
  EXPECT_NE(node.from_rows(), DigestBuckets());
}

TEST(Digest, ADeletedKeyAndOneThatNeverWasAreTheSame) {
  Counted node("eu");
  node.put("a", "1");
  node.write("a", "", true);
  ASSERT_TRUE(node.write_batch());
  EXPECT_EQ(node.digest.buckets(), DigestBuckets());
}

TEST(Digest, AKeyThatExpiresIsNotInIt) {
  Counted node("eu");
  Commit commit = commit_of("eu", 5);
  commit.operations.push_back(Put{"ns", "a", "1", WallMs{99}, {}});
  node.apply(commit);
  ASSERT_TRUE(node.write_batch());
  EXPECT_EQ(node.digest.buckets(), DigestBuckets());
  node.put("a", "2");
  EXPECT_NE(node.digest.buckets(), DigestBuckets());
}

TEST(Digest, DiffersWhenAValueOrAVersionDiffers) {
  Counted eu("eu"), us("us"), later("eu");
  eu.put("a", "1");
  us.put("a", "1");
  later.put("b", "1");
  later.put("a", "1");
  Counted other("eu");
  other.put("a", "2");
  EXPECT_NE(eu.digest.buckets(), us.digest.buckets()) << "written by another node";
  EXPECT_NE(eu.digest.buckets(), other.digest.buckets());
  std::uint32_t bucket = digest_bucket("ns", "a");
  EXPECT_NE(eu.digest.buckets()[bucket], later.digest.buckets()[bucket]) << "written at another time";
}

TEST(Digest, ABatchThatIsNotWrittenIsNotCounted) {
  Counted node("eu");
  node.put("a", "1");
  node.disk.fail_next(SimFault::kDiskFull);
  node.write("a", "2");
  node.write("b", "3");
  ASSERT_FALSE(node.write_batch());
  EXPECT_EQ(node.digest.buckets(), node.from_rows());
  node.put("c", "4");
  EXPECT_EQ(*read_digest(*node.engine), node.from_rows());
}

TEST(Digest, AStoreThatKeepsNoneIsCountedWhenItIsOpened) {
  Counted node("eu");
  for (int i = 0; i < 100; ++i) node.write("k" + std::to_string(i), "v");
  node.flush();  // as a program does that keeps no digest
  Digest digest;
  ASSERT_TRUE(digest.load(*node.engine));
  EXPECT_EQ(digest.buckets(), node.from_rows());
  node.disk.power_cut(0);
  node.engine.reset();
  node.engine = std::move(*SimEngine::open(node.disk));
  EXPECT_EQ(*read_digest(*node.engine), node.from_rows());
}

TEST(Digest, ADigestOfAnotherFormatIsCountedAnew) {
  Counted node("eu");
  node.put("a", "1");
  Batch batch;
  batch.put(Family::kDefault, "digest", std::string("\1\0\0\0\2\0\0\0\0\0\0\0\1?", 14));
  batch.put(Family::kDefault, "digest/9999", "x");
  ASSERT_TRUE(node.engine->write(batch, Durability::kSynced));
  Digest digest;
  ASSERT_TRUE(digest.load(*node.engine));
  EXPECT_EQ(digest.buckets(), node.from_rows());
  EXPECT_EQ(*read_digest(*node.engine), node.from_rows());
}

TEST(Digest, ARowOfItThatCannotBeReadIsSaidSo) {
  const std::vector<std::pair<std::string, std::string>> rows = {
      {"digest/0000", "\1short"},
      {"digest/0000", std::string(9, '\2')},
      {"digest/0000", std::string("\1\0\0\0\0\0\0\0\1", 9) + std::string(20, 'x')},
      {"digest", "\1"},
      {"digest", std::string("\1\0\0\0\1", 5) + std::string(100, 'x')}};
  for (const auto& [name, bytes] : rows) {
    Counted node("eu");
    node.put("a", "1");
    Batch batch;
    batch.put(Family::kDefault, name, bytes);
    ASSERT_TRUE(node.engine->write(batch, Durability::kSynced));
    auto read = read_digest(*node.engine);
    ASSERT_FALSE(read) << name;
    EXPECT_EQ(read.error().code, Code::kCorrupt);
    Digest digest;
    EXPECT_FALSE(digest.load(*node.engine));
  }
}

TEST(Digest, IsTheSameThroughRoundsAndOpens) {
  Counted node("eu", 3);
  for (int i = 0; i < 20; ++i) {
    node.put("k" + std::to_string(i % 7), std::to_string(i));
    ASSERT_EQ(*read_digest(*node.engine), node.from_rows()) << i;
    if (i % 5 != 4) continue;
    ASSERT_TRUE(node.digest.load(*node.engine));
    ASSERT_EQ(node.digest.buckets(), node.from_rows()) << i;
  }
  std::size_t rows = 0;
  auto cursor = node.engine->cursor(Family::kDefault);
  for (cursor->seek("digest"); cursor->valid() && cursor->key().starts_with("digest"); cursor->next()) ++rows;
  EXPECT_EQ(rows, 4u) << "all buckets, and no more deltas than a round has";
}

TEST(Digest, ABatchThatChangesVeryMuchIsStillKept) {
  Counted node("eu", 1000);
  node.put("a", "1");
  for (int batch = 0; batch < 4; ++batch) {
    for (int i = 0; i < 20'000; ++i) node.write("k" + std::to_string(i), std::to_string(batch));
    ASSERT_TRUE(node.write_batch());
    ASSERT_EQ(*read_digest(*node.engine), node.from_rows());
  }
}

TEST(Digest, ADamagedRowIsFoundByCountingWhateverIsWrittenSince) {
  Counted node("eu");
  node.put("a", "1");
  node.put("b", "2");
  KvRecord record = *decode_kv(node.row("a"));
  record.value = "7";
  node.draft->clear();
  node.damage("a", encode(record));
  EXPECT_NE(node.digest.buckets(), node.from_rows());
  DigestBuckets kept = node.digest.buckets();
  DigestBuckets counted = node.from_rows();
  node.put("a", "3");
  node.put("c", "4");
  EXPECT_NE(node.digest.buckets(), node.from_rows()) << "the wrong row was taken out, the right one stays in";
  node.digest.correct(*node.draft, kept, counted);
  node.write("d", "5");
  ASSERT_TRUE(node.write_batch());
  EXPECT_EQ(node.digest.buckets(), node.from_rows()) << "the difference of one cut holds for later ones";
  EXPECT_EQ(*read_digest(*node.engine), node.from_rows());
}

TEST(Digest, CountsInBoundedStepsAndNamesARowThatItCannotRead) {
  Counted node("eu");
  node.put("a", "1");
  node.put("b", "2");
  DigestCount count(*node.engine);
  EXPECT_EQ(*count.step(1), false);
  EXPECT_EQ(*count.step(1), true);
  EXPECT_EQ(count.buckets(), node.digest.buckets());
  node.damage("b", "?");
  DigestCount again(*node.engine);
  auto done = again.step(10);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kCorrupt);
  EXPECT_NE(done.error().detail.find("ns/b"), std::string::npos);
}

/// Some commits of three nodes to four keys; puts, deletes, and puts that expire.
std::vector<Commit> draw(std::mt19937& random) {
  std::vector<Commit> commits;
  const std::vector<NodeName> names = {"ap", "eu", "us"};
  for (std::uint64_t hlc = 1; hlc <= 30; ++hlc) {
    Commit commit = commit_of(names[random() % 3], hlc);
    std::string key(1, static_cast<char>('a' + random() % 4));
    if (random() % 4 == 0) {
      commit.operations.push_back(Delete{"ns", key, {}});
    } else {
      std::optional<WallMs> end;
      if (random() % 4 == 0) end = WallMs{5000};
      commit.operations.push_back(Put{"ns", key, std::to_string(random()), end, {}});
    }
    commits.push_back(commit);
  }
  return commits;
}

TEST(Digest, AnyOrderOfTheSameCommitsInAnyBatchesGivesTheSame) {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    std::mt19937 random(seed);
    std::vector<Commit> commits = draw(random);
    std::optional<DigestBuckets> first;
    for (int order = 0; order < 4; ++order) {
      Counted node("eu");
      for (const Commit& commit : commits) {
        node.apply(commit);
        if (random() % 3 != 0) continue;
        if (random() % 4 == 0) node.disk.fail_next(SimFault::kWriteFails);
        // A batch that failed is decided again by nobody: what follows stands on the rows before it.
        if (!node.write_batch()) {
          node.draft->clear();
          for (const Commit& again : commits) node.apply(again);
        }
      }
      for (const Commit& commit : commits) node.apply(commit);
      ASSERT_TRUE(node.write_batch());
      ASSERT_EQ(node.digest.buckets(), node.from_rows()) << "seed " << seed;
      if (!first) first = node.digest.buckets();
      ASSERT_EQ(node.digest.buckets(), *first) << "seed " << seed;
      std::shuffle(commits.begin(), commits.end(), random);
    }
  }
}

TEST(Digest, ItsRowsStayWhatTheyAre) {
  Counted node("eu");
  node.put("a", "1");
  std::string all = (*node.engine->get(Family::kDefault, "digest")).value_or("");
  EXPECT_EQ(hex_encode(all.substr(0, 13)),
            "01"
            "00000001"
            "0000000000000001")
      << "format, kind, round";
  EXPECT_EQ(all.substr(13), node.digest.buckets().bytes());
  node.put("b", "2");
  std::string delta = (*node.engine->get(Family::kDefault, "digest/0000")).value_or("");
  std::uint32_t bucket = digest_bucket("ns", "b");
  EXPECT_EQ(hex_encode(delta),
            "01"
            "0000000000000001"
            "0000" +
                hex_encode(std::string{static_cast<char>(bucket >> 8), static_cast<char>(bucket)}) +
                hex_encode(as_bytes(node.digest.buckets()[bucket])));
}

// Members of different versions compare them: never edited.
TEST(Digest, BucketsAndHashesStayWhatTheyAre) {
  EXPECT_EQ(digest_bucket("orders", "4711"), 2671u);
  Hash128 hash = digest_hash("orders", "4711", {0x019e704488000003}, "eu", value_hash("paid"));
  EXPECT_EQ(hex_encode(as_bytes(hash)), "bba113c4fc1c65fd8c6f43c392df1762");
}

}  // namespace
}  // namespace refrain::store
