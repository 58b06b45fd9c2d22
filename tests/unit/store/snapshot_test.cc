// SPDX-License-Identifier: Apache-2.0
#include "store/snapshot.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <map>
#include <random>

#include "base/coding.h"
#include "store/draft.h"
#include "store/kv.h"
#include "store/outbox.h"
#include "store/sim_engine.h"

namespace refrain::store {
namespace {

using Rows = std::map<std::pair<Family, std::string>, std::string>;

Rows rows_of(const View& view) {
  Rows rows;
  for (std::size_t i = 0; i < kFamilies; ++i) {
    auto cursor = view.cursor(static_cast<Family>(i));
    for (cursor->seek(""); cursor->valid(); cursor->next()) {
      rows[{static_cast<Family>(i), std::string(cursor->key())}] = std::string(cursor->value());
    }
  }
  return rows;
}

struct Store {
  SimDisk disk;
  std::unique_ptr<SimEngine> engine = std::move(*SimEngine::open(disk));
  void write(Draft& draft) { ASSERT_TRUE(engine->write(draft.take(), Durability::kSynced)); }
};

Identity identity_of(const NodeName& node, std::uint64_t incarnation) {
  Identity identity;
  identity.cluster = {7};
  identity.node = node;
  identity.incarnation = {incarnation};
  return identity;
}
const Identity kJoiner = identity_of("us", 99);

std::string kv_row(const std::string& value) {
  KvRecord record;
  record.version = {{40}, "eu"};
  record.value = value;
  return encode(record);
}

/// A source with a row of every kind.
void fill(Store& source, int keys) {
  Draft draft(*source.engine);
  Meta::set_identity(draft, identity_of("eu", 1));
  Meta::set_hlc(draft, {50});
  Meta::set_floor(draft, {3});
  Meta::set_published(draft, {4});
  Meta::set_synced(draft, {2});
  Meta::set_applied(draft, {"eu", {1}}, {{5}, {50}});
  Meta::set_applied(draft, {"ap", {2}}, {{8}, {40}});
  Meta::set_cursor(draft, "ap", {{17}, "kafka"});
  Meta::set_cursor(draft, "eu", {{5}, "kafka"});
  Meta::set_tick(draft, {"ap", {2}}, {{8}, {40}, {}});
  Meta::set_member(draft, 1, "found");
  Meta::set_word(draft, {"ap", {1}}, {{3}, 2});
  Outbox outbox;
  outbox.append(draft, {5}, "commit");
  Outbox::keep_aside(draft, {1}, {6}, "void");
  for (int i = 0; i < keys; ++i)
    draft.put(Family::kKv, kv_key("ns", "key" + std::to_string(i)), kv_row(std::string(300, 'v')));
  for (Family family :
       {Family::kRequests, Family::kOpen, Family::kResponses, Family::kConflicts, Family::kDuplicates}) {
    draft.put(family, "row", std::string(family_name(family)));
  }
  source.write(draft);
}

std::vector<std::string> blocks_of(const Store& source) {
  auto writer = std::move(*SnapshotWriter::start(source.engine->snapshot()));
  std::vector<std::string> blocks;
  while (true) {
    auto block = writer->next();
    EXPECT_TRUE(block);
    if (!*block) break;
    blocks.push_back(**block);
  }
  blocks.push_back(writer->finish());
  return blocks;
}

std::string joined(const std::vector<std::string>& blocks) {
  std::string all;
  for (const std::string& block : blocks) all += block;
  return all;
}

Rows expected_at_joiner(const Store& source) {
  Rows rows;
  for (const auto& [name, value] : rows_of(*source.engine)) {
    if (in_snapshot(name.first, name.second, "eu")) rows[name] = value;
  }
  Store only_identity;
  Draft draft(*only_identity.engine);
  Meta::set_identity(draft, kJoiner);
  only_identity.write(draft);
  DigestBuckets counted;
  for (const auto& [name, value] : rows) {
    if (name.first == Family::kKv) {
      EXPECT_TRUE(counted.add_row(name.second, value));
    }
  }
  put_digest(draft, counted);
  only_identity.write(draft);
  rows.merge(rows_of(*only_identity.engine));
  return rows;
}

TEST(Snapshot, CarriesTheDataAndWhatIsKnownOfOthersAndNothingOfItsSource) {
  Store source;
  fill(source, 3000);  // several blocks
  std::vector<std::string> blocks = blocks_of(source);
  EXPECT_GT(blocks.size(), 4u);
  for (const std::string& block : blocks) EXPECT_LT(block.size(), kSnapshotBlockBytes + 2000);

  Store joiner;
  auto loader = std::move(*SnapshotLoader::start(*joiner.engine, kJoiner));
  std::string stream = joined(blocks);
  for (std::size_t at = 0; at < stream.size(); at += 1000) ASSERT_TRUE(loader->feed(stream.substr(at, 1000)));
  EXPECT_TRUE(loader->complete());
  ASSERT_TRUE(loader->finish());

  const SnapshotHeader& header = *loader->header();
  EXPECT_EQ(header.cluster, ClusterId{7});
  EXPECT_EQ(header.source, (Journal{"eu", {1}}));
  EXPECT_EQ(header.applied.at({"ap", {2}}).seq, Seq{8});
  EXPECT_EQ(header.members, std::vector<std::string>{"found"});
  EXPECT_EQ(header.floor, Hlc{3});
  Rows rows = rows_of(*joiner.engine);
  EXPECT_EQ(rows, expected_at_joiner(source));
  EXPECT_FALSE(rows.contains({Family::kDefault, "cursor/eu"}));
  EXPECT_TRUE(rows.contains({Family::kDefault, "cursor/ap"}));
  EXPECT_FALSE(rows.contains({Family::kDefault, "published"}));
  EXPECT_FALSE(rows.contains({Family::kDefault, "synced"}));
  EXPECT_EQ(Meta::words(*joiner.engine)->size(), 0u);
  EXPECT_EQ(rows_of(*joiner.engine).size(), 3000u + 5 + 1 + 8);
}

TEST(Snapshot, BringsItsDigestSoThatTheNextOpenCountsNothing) {
  Store source;
  fill(source, 3000);
  Store joiner;
  auto loader = std::move(*SnapshotLoader::start(*joiner.engine, kJoiner));
  ASSERT_TRUE(loader->feed(joined(blocks_of(source))));
  ASSERT_TRUE(loader->finish());
  DigestCount count(*joiner.engine);
  ASSERT_TRUE(*count.step(SIZE_MAX));
  EXPECT_NE(count.buckets(), DigestBuckets());
  EXPECT_EQ(*read_digest(*joiner.engine), count.buckets());
  Rows before = rows_of(*joiner.engine);
  Digest digest;
  ASSERT_TRUE(digest.load(*joiner.engine));
  EXPECT_EQ(digest.buckets(), count.buckets());
  EXPECT_EQ(rows_of(*joiner.engine), before) << "a count would have written its rows";
}

TEST(Snapshot, IsOneCutThoughWritesGoOn) {
  Store source;
  fill(source, 10);
  Rows before = expected_at_joiner(source);
  auto writer = std::move(*SnapshotWriter::start(source.engine->snapshot()));
  Batch batch;
  batch.put(Family::kKv, "later", "x");
  batch.remove(Family::kRequests, "row");
  ASSERT_TRUE(source.engine->write(batch, Durability::kSynced));
  EXPECT_EQ(writer->newest_own(), Seq{5});
  Store joiner;
  auto loader = std::move(*SnapshotLoader::start(*joiner.engine, kJoiner));
  for (auto block = writer->next(); *block; block = writer->next()) ASSERT_TRUE(loader->feed(**block));
  EXPECT_FALSE(loader->complete());
  EXPECT_EQ(loader->finish().error().code, Code::kInvalid);
  ASSERT_TRUE(loader->feed(writer->finish()));
  ASSERT_TRUE(loader->finish());
  EXPECT_EQ(loader->totals(), writer->totals());
  EXPECT_EQ(rows_of(*joiner.engine), before);
}

TEST(Snapshot, AnEmptyClusterGivesAWholeOneToo) {
  Store source;
  Draft draft(*source.engine);
  Meta::set_identity(draft, identity_of("eu", 1));
  source.write(draft);
  Store joiner;
  auto loader = std::move(*SnapshotLoader::start(*joiner.engine, kJoiner));
  ASSERT_TRUE(loader->feed(joined(blocks_of(source))));
  EXPECT_TRUE(loader->finish());
}

TEST(Snapshot, OnlyAnEmptyStoreTakesOne) {
  Store joiner;
  Draft draft(*joiner.engine);
  Meta::set_identity(draft, kJoiner);
  joiner.write(draft);
  ASSERT_TRUE(SnapshotLoader::start(*joiner.engine, kJoiner));
  draft.put(Family::kKv, "k", "v");
  joiner.write(draft);
  auto refused = SnapshotLoader::start(*joiner.engine, kJoiner);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kConflict);
}

TEST(Snapshot, EveryFlippedBitAndEveryCutIsFound) {
  Store source;
  fill(source, 2);
  std::string stream = joined(blocks_of(source));
  auto ends_well = [](const std::string& bytes) {
    Store joiner;
    auto loader = std::move(*SnapshotLoader::start(*joiner.engine, kJoiner));
    return loader->feed(bytes).has_value() && loader->finish().has_value();
  };
  ASSERT_TRUE(ends_well(stream));
  for (std::size_t at = 0; at < stream.size(); ++at) {
    ASSERT_FALSE(ends_well(stream.substr(0, at))) << at;
    std::string flipped = stream;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << at % 8));
    ASSERT_FALSE(ends_well(flipped)) << at;
  }
  EXPECT_FALSE(ends_well(stream + "x"));
}

TEST(Snapshot, BlocksMissingTwiceOrOutOfOrderAreRefused) {
  Store source;
  fill(source, 3000);
  std::vector<std::string> blocks = blocks_of(source);
  auto ends_well = [](const std::vector<std::string>& some) {
    Store joiner;
    auto loader = std::move(*SnapshotLoader::start(*joiner.engine, kJoiner));
    for (const std::string& block : some) {
      if (auto fed = loader->feed(block); !fed) {
        EXPECT_EQ(fed.error().code, Code::kCorrupt);
        EXPECT_FALSE(loader->feed("")) << "of no more use";
        return false;
      }
    }
    return loader->finish().has_value();
  };
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    std::vector<std::string> missing = blocks;
    missing.erase(missing.begin() + static_cast<std::ptrdiff_t>(i));
    EXPECT_FALSE(ends_well(missing)) << i;
    std::vector<std::string> twice = blocks;
    twice.insert(twice.begin() + static_cast<std::ptrdiff_t>(i), blocks[i]);
    EXPECT_FALSE(ends_well(twice)) << i;
  }
}

std::string framed(const std::string& body) {
  return Writer().u32(static_cast<std::uint32_t>(body.size())).u32(crc32c(body)).raw(body).take();
}

TEST(Snapshot, RowsThatNoSnapshotHoldsAreRefused) {
  Store source;
  fill(source, 1);
  std::string header = blocks_of(source).front();
  auto refused = [&](std::string_view family, std::string_view key) {
    Store joiner;
    auto loader = std::move(*SnapshotLoader::start(*joiner.engine, kJoiner));
    EXPECT_TRUE(loader->feed(header));
    std::string value = family == "kv" && key == "k" ? kv_row("v") : "v";
    return !loader->feed(framed(Writer().u8(2).u8(1).string(family).u8(0).string(key).string(value).take()));
  };
  EXPECT_FALSE(refused("kv", "k"));
  EXPECT_TRUE(refused("kv", "no row of a key")) << "its value has no format";
  EXPECT_TRUE(refused("default", "identity"));
  EXPECT_TRUE(refused("default", "published"));
  EXPECT_TRUE(refused("outbox", "k"));
  EXPECT_TRUE(refused("aside", "k"));
  EXPECT_TRUE(refused("secrets", "k"));
}

TEST(Snapshot, ABlockThatClaimsToBeHugeIsRefusedBeforeItIsRead) {
  Store joiner;
  auto loader = std::move(*SnapshotLoader::start(*joiner.engine, kJoiner));
  EXPECT_FALSE(loader->feed(Writer().u32(0xFFFFFFFF).u32(0).take()));
}

TEST(Snapshot, ANewerStoresIsRefusedWithBothNumbers) {
  Store joiner;
  auto loader = std::move(*SnapshotLoader::start(*joiner.engine, kJoiner));
  auto fed =
      loader->feed(framed(Writer().u8(1).raw("refrain-snapshot").u32(3).u32(2).raw("whatever").take()));
  ASSERT_FALSE(fed);
  EXPECT_EQ(fed.error().slug, "newer_format");
  EXPECT_NE(fed.error().detail.find("format 3"), std::string::npos);
}

TEST(Snapshot, ADirectoryTakesOnlyWhatItsFormatMayHold) {
  constexpr StoreFormat kNext{2, 2};
  Store source;
  fill(source, 1);
  auto header_of = [&](const StoreFormat& format) {
    return **(*SnapshotWriter::start(source.engine->snapshot(), format))->next();
  };
  auto taken = [&](const std::string& header, const StoreFormat& format) {
    Store joiner;
    return (*SnapshotLoader::start(*joiner.engine, kJoiner, {}, format))->feed(header);
  };
  EXPECT_TRUE(taken(header_of(kNext), kNext));
  EXPECT_TRUE(taken(header_of(StoreFormat{1, 1}), kNext)) << "of a member that was not upgraded yet";
  auto refused = taken(header_of(kNext), StoreFormat{1, 1});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().slug, "newer_format");
  EXPECT_NE(refused.error().detail.find("refrain upgrade"), std::string::npos);
}

TEST(Snapshot, APowerCutAtAnyPointLeavesAStoreThatSaysInstallingOrAWholeOne) {
  Store source;
  fill(source, 3000);
  std::vector<std::string> blocks = blocks_of(source);
  Rows whole = expected_at_joiner(source);
  for (std::size_t fed = 0; fed <= blocks.size() + 1; ++fed) {
    for (std::size_t keep : {std::size_t{0}, fed / 2, fed}) {
      Store joiner;
      {
        auto loader = std::move(*SnapshotLoader::start(*joiner.engine, kJoiner));
        for (std::size_t i = 0; i < fed && i < blocks.size(); ++i) ASSERT_TRUE(loader->feed(blocks[i]));
        if (fed > blocks.size()) {
          ASSERT_TRUE(loader->finish());
        }
      }
      joiner.disk.power_cut(keep);
      joiner.engine.reset();
      joiner.engine = std::move(*SimEngine::open(joiner.disk));
      auto identity = Meta::identity(*joiner.engine);
      ASSERT_TRUE(identity && *identity);
      if (fed > blocks.size()) {
        EXPECT_FALSE((*identity)->installing);
        EXPECT_EQ(rows_of(*joiner.engine), whole);
        continue;
      }
      ASSERT_TRUE((*identity)->installing);
      ASSERT_TRUE(empty_store(*joiner.engine));
      EXPECT_EQ(rows_of(*joiner.engine).size(), 1u);
      EXPECT_TRUE(SnapshotLoader::start(*joiner.engine, kJoiner));
    }
  }
}

TEST(Snapshot, WhatIsVoidSurvivesAnEmptyingAndIsNotInTheWay) {
  Store store;
  fill(store, 10);
  ASSERT_TRUE(empty_store(*store.engine));
  EXPECT_EQ(*Outbox::count_aside(*store.engine), 1u);
  EXPECT_EQ(rows_of(*store.engine).size(), 2u) << "the identity and the void commit";
  EXPECT_TRUE(SnapshotLoader::start(*store.engine, kJoiner));
}

TEST(Snapshot, OneThatIsNotWhatWasAskedForIsRefusedBeforeAnyRowIsIn) {
  Store source;
  fill(source, 10);
  Store joiner;
  auto loader = std::move(*SnapshotLoader::start(*joiner.engine, kJoiner, [](const SnapshotHeader& header) {
    EXPECT_FALSE(header.applied.empty());
    return Result<void>(unavailable("unavailable", "another node answers there"));
  }));
  auto fed = loader->feed(joined(blocks_of(source)));
  ASSERT_FALSE(fed);
  EXPECT_EQ(fed.error().detail, "another node answers there");
  EXPECT_EQ(rows_of(*joiner.engine).size(), 1u) << "the identity";
}

TEST(Snapshot, AFullDiskStopsTheLoaderWithItsReason) {
  Store source;
  fill(source, 10);
  Store joiner;
  auto loader = std::move(*SnapshotLoader::start(*joiner.engine, kJoiner));
  joiner.disk.set_disk_full(true);
  auto fed = loader->feed(joined(blocks_of(source)));
  ASSERT_FALSE(fed);
  EXPECT_EQ(fed.error().slug, "disk_full");
}

TEST(Snapshot, ASourceThatCannotBeReadGivesNoEnd) {
  Store source;
  fill(source, 10);
  auto writer = std::move(*SnapshotWriter::start(source.engine->snapshot()));
  ASSERT_TRUE(writer->next());
  source.disk.fail_reads(true);
  EXPECT_FALSE(writer->next());
}

RC_GTEST_PROP(Snapshot, AnyBytesAreRefusedWithoutHarm, (const std::string& body, bool whole_frame)) {
  Store joiner;
  auto loader = std::move(*SnapshotLoader::start(*joiner.engine, kJoiner));
  std::string bytes = whole_frame ? framed(body) : body;
  auto fed = loader->feed(bytes);
  RC_ASSERT(!loader->complete());
  RC_ASSERT(!loader->finish().has_value());
}

}  // namespace
}  // namespace refrain::store
