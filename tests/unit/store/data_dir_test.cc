// SPDX-License-Identifier: Apache-2.0
#include "store/data_dir.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/unit/store/temporary_directory.h"

namespace refrain::store {
namespace {

namespace fs = std::filesystem;

Error refusal(const std::string& path, const std::string& node = "eu", const std::string& cluster = "shop") {
  auto directory = DataDir::open(path, node, cluster);
  EXPECT_FALSE(directory);
  return directory ? Error{} : directory.error();
}
void expect_in(const Error& error, std::initializer_list<const char*> words) {
  for (const char* word : words) EXPECT_NE(error.detail.find(word), std::string::npos) << error.detail;
}

TEST(DataDir, IsMadeOnceAndOpenedAfter) {
  TemporaryDirectory root;
  std::string path = root / "a/b";
  {
    auto directory = DataDir::open(path, "eu", "shop");
    ASSERT_TRUE(directory) << directory.error().detail;
    EXPECT_GT((*directory)->space()->total_bytes, 0u);
  }
  auto directory = DataDir::open(path, "eu", "shop");
  ASSERT_TRUE(directory) << directory.error().detail;
}

TEST(DataDir, TheFormatFilesBytesStay) {
  TemporaryDirectory root;
  { ASSERT_TRUE(DataDir::open(root / "d", "eu", "shop")); }
  EXPECT_EQ(read_whole(root / "d/FORMAT"), "format 1\noldest_reader 1\ncluster shop\nnode eu\n");
  auto info = DataDir::inspect(root / "d");
  ASSERT_TRUE(info);
  EXPECT_EQ(info->node, "eu");
}

TEST(DataDir, AnotherNodesOrClustersIsRefusedByName) {
  TemporaryDirectory root;
  { ASSERT_TRUE(DataDir::open(root / "d", "eu", "shop")); }
  expect_in(refusal(root / "d", "us"), {"'eu'", "'us'", "node.data_dir"});
  expect_in(refusal(root / "d", "eu", "staging"), {"'shop'", "'staging'", "node.data_dir"});
}

TEST(DataDir, ANewerFormatIsRefusedWithBothNumbersUnlessItsOldestReaderIsUs) {
  TemporaryDirectory root;
  { ASSERT_TRUE(DataDir::open(root / "d", "eu", "shop")); }
  write_whole(root / "d/FORMAT", "format 3\noldest_reader 2\ncluster shop\nnode eu\nnew_thing x\n");
  Error error = refusal(root / "d");
  EXPECT_EQ(error.slug, "newer_format");
  expect_in(error, {"format 3", "format 2", "format 1"});
  write_whole(root / "d/FORMAT", "format 2\noldest_reader 1\ncluster shop\nnode eu\nnew_thing x\n");
  EXPECT_TRUE(DataDir::open(root / "d", "eu", "shop"));
}

// ---- from one release to the next: a program of formats 1 and 2, and one of 2 and 3

constexpr StoreProgram kNext{{2, 2}, 1};
constexpr StoreProgram kAfterNext{{3, 3}, 2};

std::string made_by_this_program(const TemporaryDirectory& root) {
  EXPECT_TRUE(DataDir::open(root / "d", "eu", "shop"));
  return root / "d";
}

TEST(DataDirUpgrade, TheNextProgramOpensADirectoryAndLeavesItAsItIs) {
  TemporaryDirectory root;
  std::string path = made_by_this_program(root);
  std::string before = read_whole(path + "/FORMAT");
  {
    auto directory = DataDir::open(path, "eu", "shop", kNext);
    ASSERT_TRUE(directory) << directory.error().detail;
    EXPECT_EQ((*directory)->format(), (StoreFormat{1, 1})) << "only that may be written into it";
    fs::create_directory((*directory)->engine_path());
    ASSERT_TRUE((*directory)->note_birth());
  }
  EXPECT_EQ(read_whole(path + "/FORMAT"), before + "born 1\n");
  EXPECT_TRUE(DataDir::open(path, "eu", "shop")) << "the way back is open";
}

TEST(DataDirUpgrade, TheStepIsTakenOnceAndOneWay) {
  TemporaryDirectory root;
  std::string path = made_by_this_program(root);
  auto before = DataDir::upgrade(path, kNext);
  ASSERT_TRUE(before) << before.error().detail;
  EXPECT_EQ(before->format, 1u);
  EXPECT_EQ(read_whole(path + "/FORMAT"), "format 2\noldest_reader 2\ncluster shop\nnode eu\n");
  before = DataDir::upgrade(path, kNext);
  ASSERT_TRUE(before);
  EXPECT_EQ(before->format, 2u) << "nothing to do";
  EXPECT_EQ((*DataDir::open(path, "eu", "shop", kNext))->format(), (StoreFormat{2, 2}));
  Error error = refusal(path);
  EXPECT_EQ(error.slug, "newer_format");
  expect_in(error, {"format 2", "reads format 1"});
  EXPECT_EQ(DataDir::upgrade(path).error().slug, "newer_format");
}

TEST(DataDirUpgrade, NewDirectoriesHaveTheNewestFormat) {
  TemporaryDirectory root;
  EXPECT_EQ((*DataDir::open(root / "d", "eu", "shop", kNext))->format(), (StoreFormat{2, 2}));
}

TEST(DataDirUpgrade, AReleaseIsNotSkipped) {
  TemporaryDirectory root;
  std::string path = made_by_this_program(root);
  auto opened = DataDir::open(path, "eu", "shop", kAfterNext);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().slug, "older_format");
  expect_in(opened.error(), {"format 1", "2 to 3", "refrain upgrade"});
  EXPECT_EQ(DataDir::upgrade(path, kAfterNext).error().slug, "older_format");
  ASSERT_TRUE(DataDir::upgrade(path, kNext));
  ASSERT_TRUE(DataDir::upgrade(path, kAfterNext));
  EXPECT_TRUE(DataDir::open(path, "eu", "shop", kAfterNext));
}

TEST(DataDirUpgrade, IsRefusedForWhatIsInUseDamagedOrNoDirectory) {
  TemporaryDirectory root;
  EXPECT_EQ(DataDir::upgrade(root / "d", kNext).error().code, Code::kNotFound);
  EXPECT_FALSE(fs::exists(root / "d")) << "nothing is made";
  std::string path = made_by_this_program(root);
  {
    auto running = DataDir::open(path, "eu", "shop");
    EXPECT_EQ(DataDir::upgrade(path, kNext).error().slug, "locked");
  }
  std::string whole = read_whole(path + "/FORMAT");
  write_whole(path + "/FORMAT", "format\n");
  EXPECT_EQ(DataDir::upgrade(path, kNext).error().code, Code::kCorrupt);
  write_whole(path + "/FORMAT", whole + "born 1\n");
  expect_in(DataDir::upgrade(path, kNext).error(), {"lost its store"});
  EXPECT_EQ(read_whole(path + "/FORMAT"), whole + "born 1\n");
}

TEST(DataDirUpgrade, ACrashBeforeItsLastStepLeavesTheOldFormat) {
  TemporaryDirectory root;
  std::string path = made_by_this_program(root);
  write_whole(path + "/FORMAT.new", "format 2\noldest_rea");
  EXPECT_TRUE(DataDir::open(path, "eu", "shop"));
  auto before = DataDir::upgrade(path, kNext);
  ASSERT_TRUE(before) << before.error().detail;
  EXPECT_EQ(before->format, 1u);
  EXPECT_EQ(DataDir::inspect(path)->format, 2u);
}

TEST(DataDir, AFormatBeforeTheFirstIsOlderNotDamaged) {
  TemporaryDirectory root;
  std::string path = made_by_this_program(root);
  write_whole(path + "/FORMAT", "format 0\noldest_reader 1\ncluster shop\nnode eu\n");
  EXPECT_EQ(refusal(path).slug, "older_format");
}

TEST(DataDir, ADamagedFormatFileIsRefused) {
  TemporaryDirectory root;
  { ASSERT_TRUE(DataDir::open(root / "d", "eu", "shop")); }
  for (std::string text : {"", "x", "format\n", "format one\noldest_reader 1\n", "format 1", "format 1\n"}) {
    write_whole(root / "d/FORMAT", text);
    EXPECT_EQ(refusal(root / "d").code, Code::kCorrupt) << text;
  }
}

TEST(DataDir, OneThatIsInUseIsRefusedWithTheProcess) {
  TemporaryDirectory root;
  auto first = DataDir::open(root / "d", "eu", "shop");
  ASSERT_TRUE(first);
  Error error = refusal(root / "d");
  EXPECT_EQ(error.slug, "locked");
  expect_in(error, {"in use", std::to_string(::getpid()).c_str()});
  first->reset();
  EXPECT_TRUE(DataDir::open(root / "d", "eu", "shop"));
}

TEST(DataDir, AFolderWithOtherFilesIsLeftAlone) {
  TemporaryDirectory root;
  fs::create_directory(root / "d");
  write_whole(root / "d/holiday.jpg", "x");
  expect_in(refusal(root / "d"), {"no refrain data directory"});
  EXPECT_FALSE(fs::exists(root / "d/FORMAT"));
  write_whole(root / "file", "x");
  EXPECT_EQ(refusal(root / "file").slug, "store_failed");
}

TEST(DataDir, ACrashWhileItWasMadeLeavesOneThatCanBeMade) {
  TemporaryDirectory root;
  fs::create_directory(root / "d");
  write_whole(root / "d/FORMAT.new", "form");
  auto directory = DataDir::open(root / "d", "eu", "shop");
  ASSERT_TRUE(directory) << directory.error().detail;
}

TEST(DataDir, OneWhoseStoreIsGoneIsRefusedInsteadOfBornAgain) {
  TemporaryDirectory root;
  {
    auto directory = DataDir::open(root / "d", "eu", "shop");
    ASSERT_TRUE(directory);
    fs::create_directory((*directory)->engine_path());
    ASSERT_TRUE((*directory)->note_birth());
    ASSERT_TRUE((*directory)->note_birth());
  }
  { ASSERT_TRUE(DataDir::open(root / "d", "eu", "shop")); }
  fs::remove(root / "d/db");
  Error error = refusal(root / "d");
  EXPECT_EQ(error.code, Code::kCorrupt);
  expect_in(error, {"lost its store", "d/db", "another name"});
}

TEST(DataDir, ACrashBeforeTheStoreWasMadeLeavesOneThatCanBeOpened) {
  TemporaryDirectory root;
  { ASSERT_TRUE(DataDir::open(root / "d", "eu", "shop")); }
  EXPECT_TRUE(DataDir::open(root / "d", "eu", "shop"));
}

}  // namespace
}  // namespace refrain::store
