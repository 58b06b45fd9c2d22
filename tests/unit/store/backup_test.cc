// SPDX-License-Identifier: Apache-2.0
#include "store/backup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "store/data_dir.h"
#include "store/draft.h"
#include "store/outbox.h"
#include "store/rocks_engine.h"
#include "temporary_directory.h"

namespace refrain::store {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;

class Backup : public testing::Test {
 protected:
  /// A node's directory with rows of every kind that a new cluster must not keep, and some that it must.
  Backup() {
    directory_ = std::move(*DataDir::open(data_, "eu", "shop"));
    engine_ = std::move(*RocksEngine::open(directory_->engine_path(), {}));
    Identity identity;
    identity.cluster = {7};
    identity.node = "eu";
    identity.incarnation = {1};
    identity.former = {Incarnation{3}};
    identity.next = {4};
    Draft draft(*engine_);
    Meta::set_identity(draft, identity);
    Meta::set_hlc(draft, {500});
    Meta::set_published(draft, {4});
    Meta::set_synced(draft, {2});
    Meta::set_applied(draft, {"eu", {1}}, {{5}, {500}});
    Meta::set_applied(draft, {"us", {2}}, {{8}, {40}});
    Meta::set_cursor(draft, "us", {{17}, "kafka"});
    Meta::set_tick(draft, {"us", {2}}, {{8}, {40}, {}});
    Meta::set_member(draft, 1, "found");
    Meta::set_own_entry(draft, "entry");
    Meta::set_word(draft, {"us", {1}}, {{3}, 2});
    Outbox outbox;
    outbox.append(draft, {5}, "commit");
    Outbox::keep_aside(draft, {3}, {6}, "void");
    draft.put(Family::kKv, "row", "value");
    draft.put(Family::kRequests, "row", "request");
    EXPECT_TRUE(engine_->write(draft.take(), Durability::kSynced));
    EXPECT_TRUE(directory_->note_birth());
  }

  Result<BackupInfo> backup(const std::string& to) {
    return make_backup(*engine_, data_, to, {"eu", "shop", WallMs{1'700'000'000'000}, 0});
  }
  Result<Restored> restore(const std::string& to) {
    return restore_backup({made_, to, "other", ClusterId{9}, Incarnation{11}});
  }
  std::vector<std::string> left() const {
    std::vector<std::string> names;
    for (const auto& file : fs::directory_iterator(directory_of_all_.path()))
      names.push_back(file.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }

  TemporaryDirectory directory_of_all_;
  std::string data_ = directory_of_all_ / "data";
  std::string made_ = directory_of_all_ / "made";
  std::string fresh_ = directory_of_all_ / "fresh";
  std::unique_ptr<DataDir> directory_;
  std::unique_ptr<RocksEngine> engine_;
};

TEST_F(Backup, HasWhatTheStoreHadAndBecomesAFoundersDirectoryWithItsRowsAndNothingOfTheOldCluster) {
  auto made = backup(made_);
  ASSERT_TRUE(made) << made.error().detail;
  EXPECT_GT(made->bytes, 0u);
  Batch later;
  later.put(Family::kKv, "later", "value");
  ASSERT_TRUE(engine_->write(later, Durability::kSynced));
  auto restored = restore(fresh_);
  ASSERT_TRUE(restored) << restored.error().detail;
  EXPECT_EQ(restored->backup.at, WallMs{1'700'000'000'000});
  EXPECT_EQ(restored->old_cluster, ClusterId{7});
  EXPECT_EQ(restored->applied.size(), 2u);
  EXPECT_EQ(restored->void_commits, 1u);
  EXPECT_FALSE(DataDir::open(fresh_, "eu", "shop")) << "its cluster has another name";
  auto directory = DataDir::open(fresh_, "eu", "other");
  ASSERT_TRUE(directory) << directory.error().detail;
  auto engine = RocksEngine::open((*directory)->engine_path(), {});
  ASSERT_TRUE(engine) << engine.error().detail;
  const View& view = **engine;
  Identity identity = **Meta::identity(view);
  EXPECT_EQ(identity.cluster, ClusterId{9});
  EXPECT_EQ(identity.incarnation, Incarnation{11});
  EXPECT_TRUE(identity.standalone && identity.former.empty());
  EXPECT_EQ(identity.next, Incarnation{});
  EXPECT_EQ(*view.get(Family::kKv, "row"), "value");
  EXPECT_EQ(*view.get(Family::kKv, "later"), std::nullopt);
  EXPECT_EQ(*view.get(Family::kRequests, "row"), "request");
  EXPECT_EQ(*Meta::hlc(view), Hlc{500}) << "no version below one that was given";
  EXPECT_TRUE(Meta::applied(view)->empty() && Meta::ticks(view)->empty() && Meta::cursors(view)->empty());
  EXPECT_TRUE(Meta::members(view)->empty() && Meta::words(view)->empty());
  EXPECT_EQ(*Meta::own_entry(view), std::nullopt);
  EXPECT_EQ(*Meta::published(view), Seq{});
  EXPECT_EQ(*Meta::synced(view), Seq{});
  EXPECT_TRUE(Outbox::read(view, {}, 10, 1000)->empty());
  EXPECT_EQ(*Outbox::count_aside(view), 1u);
}

TEST_F(Backup, ThatWasCutShortIsRefusedAndNotOpenedWithLess) {
  ASSERT_TRUE(backup(made_));
  std::string log;
  for (const auto& file : fs::directory_iterator(made_ + "/db"))
    if (file.path().extension() == ".log") log = file.path();
  ASSERT_NE(log, "");
  fs::resize_file(log, fs::file_size(log) - 1);
  auto restored = restore(fresh_);
  ASSERT_FALSE(restored);
  EXPECT_EQ(restored.error().code, Code::kCorrupt);
  EXPECT_NE(restored.error().detail.find("Copy it again"), std::string::npos);
  EXPECT_FALSE(fs::exists(fresh_));
}

TEST_F(Backup, IsNotMadeInTheDataDirectoryWithWhichItWouldBeLost) {
  auto made = backup(data_ + "/made");
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().detail.find("is in the data directory"), std::string::npos);
}

TEST_F(Backup, IsMadeOnlyWhereNothingIs) {
  ASSERT_TRUE(backup(made_));
  for (const std::string& bad : {made_, data_, std::string("relative"), std::string("/"), std::string(),
                                 directory_of_all_ / "no/such", std::string("/proc/refrain")}) {
    auto refused = backup(bad);
    ASSERT_FALSE(refused) << bad;
    EXPECT_EQ(refused.error().code, Code::kInvalid) << bad << refused.error().detail;
  }
  EXPECT_EQ(left(), (std::vector<std::string>{"data", "made"}));
}

TEST_F(Backup, ThatWasNotFinishedIsNoneAndIsNamedByTheNext) {
  fs::create_directory(made_ + ".partial");
  auto refused = backup(made_);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().detail, HasSubstr(made_ + ".partial"));
  EXPECT_EQ(restore(fresh_).error().code, Code::kNotFound);
  fs::remove(made_ + ".partial");
  EXPECT_TRUE(backup(made_));
}

TEST_F(Backup, HasTheFormatOfItsDirectoryWhicheverProgramMakesIt) {
  write_whole(data_ + "/FORMAT", "format 2\noldest_reader 1\ncluster shop\nnode eu\nborn 1\n");
  ASSERT_TRUE(backup(made_));
  EXPECT_THAT(read_whole(made_ + "/FORMAT"), testing::StartsWith("format 2\noldest_reader 1\n"));
  ASSERT_TRUE(restore(fresh_));
  EXPECT_THAT(read_whole(fresh_ + "/FORMAT"), testing::StartsWith("format 2\noldest_reader 1\n"));
}

TEST_F(Backup, IsNoDirectoryForANode) {
  ASSERT_TRUE(backup(made_));
  auto refused = DataDir::open(made_, "eu", "shop");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().detail, HasSubstr("refrain restore"));
  EXPECT_THAT(DataDir::upgrade(made_).error().detail, HasSubstr("refrain restore"));
}

TEST_F(Backup, ANewDirectoryMustBeEmpty) {
  ASSERT_TRUE(backup(made_));
  fs::create_directory(fresh_);
  write_whole(fresh_ + "/file", "mine");
  auto refused = restore(fresh_);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kInvalid);
  EXPECT_EQ(read_whole(fresh_ + "/file"), "mine");
  fs::remove(fresh_ + "/file");
  EXPECT_TRUE(restore(fresh_)) << "an empty one is taken";
  EXPECT_EQ(restore(fresh_).error().code, Code::kInvalid);
}

TEST_F(Backup, WhatIsNoneOrIsDamagedGivesAReasonAndNoDirectory) {
  EXPECT_EQ(restore(fresh_).error().code, Code::kNotFound);
  ASSERT_TRUE(backup(made_));
  auto after = [&](const std::string& what, const std::function<void()>& damage) {
    std::string copy = made_ + ".copy";
    fs::copy(made_, copy, fs::copy_options::recursive);
    damage();
    auto refused = restore(fresh_);
    ASSERT_FALSE(refused) << what;
    EXPECT_THAT(refused.error().detail, HasSubstr(what));
    fs::remove_all(made_);
    fs::rename(copy, made_);
    EXPECT_EQ(left(), (std::vector<std::string>{"data", "made"})) << what;
  };
  after("newer",
        [&] { write_whole(made_ + "/FORMAT", "format 9\noldest_reader 8\ncluster shop\nnode eu\n"); });
  after("cannot be read", [&] { write_whole(made_ + "/BACKUP", "garbage"); });
  after("Copy it again", [&] { fs::remove(made_ + "/db/CURRENT"); });
  after("is of no use", [&] {
    std::string current = made_ + "/db/CURRENT";
    write_whole(current, std::string(fs::file_size(current), 'x'));
  });
  after("db", [&] { fs::remove_all(made_ + "/db"); });
  EXPECT_TRUE(restore(fresh_));
}

TEST_F(Backup, OfANodeThatWasJoiningIsRefused) {
  Identity identity = **Meta::identity(*engine_);
  identity.installing = true;
  Draft draft(*engine_);
  Meta::set_identity(draft, identity);
  ASSERT_TRUE(engine_->write(draft.take(), Durability::kSynced));
  ASSERT_TRUE(backup(made_));
  auto refused = restore(fresh_);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().detail, HasSubstr("joining"));
}

}  // namespace
}  // namespace refrain::store
