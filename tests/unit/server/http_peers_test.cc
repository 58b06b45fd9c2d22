// SPDX-License-Identifier: Apache-2.0
#include "server/http_peers.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "wire.h"

namespace refrain::server {
namespace {

using State = replication::SnapshotStream::State;

std::string address_of(const Served& served) {
  return "http://127.0.0.1:" + std::to_string(served.server->port());
}

Result<replication::PeerMembers> wait_for(replication::Pending<replication::PeerMembers>& pending) {
  for (;;) {
    if (auto answer = pending.take()) return *answer;
    std::this_thread::yield();
  }
}

/// All of it, or the error that ended it.
Result<std::string> read_all(replication::SnapshotStream& stream) {
  std::string all, block;
  for (;;) {
    auto state = stream.poll(block);
    if (!state) return state.error();
    if (*state == State::kEnd) return all;
    if (*state == State::kBlock) all += block;
    if (*state == State::kWait) std::this_thread::yield();
  }
}

TEST(HttpPeers, ReadWhatAnotherNodeSaysOfItsMembership) {
  Served served;
  auto& report = served.node.known_members;
  report.node = "us";
  report.incarnation = {0xFEEDFACE12345678};
  report.cluster_id = ClusterId{0xDEADBEEF};
  report.active = true;
  report.waits_for_agreement = true;
  for (std::uint64_t n = 1; n <= 3; ++n) {
    report.log.push_back(
        {n, hex_encode(as_bytes(sha256(std::to_string(n)))), "{\"n\": " + std::to_string(n) + "}"});
  }
  HttpPeers peers("us");
  const auto members = wait_for(*peers.members(address_of(served) + "/"));
  ASSERT_TRUE(members) << members.error().detail;
  EXPECT_EQ(members->node, "us");
  EXPECT_EQ(members->incarnation, Incarnation{0xFEEDFACE12345678});
  EXPECT_EQ(members->cluster, ClusterId{0xDEADBEEF});
  EXPECT_TRUE(members->active);
  EXPECT_TRUE(members->waits_for_agreement);
  EXPECT_EQ(members->n(), 3U);
  EXPECT_EQ(members->hashes[2], sha256("3"));
}

TEST(HttpPeers, AnswersThatNoNodeGivesAreRefused) {
  for (const char* bad :
       {"", "[]", "{}", R"({"node":"us"})", R"({"node":"US","incarnation":"0000000000000001","log":[]})",
        R"({"node":"us","incarnation":"1","log":[]})", R"({"node":"us","incarnation":"0000000000000001"})",
        R"({"node":"us","incarnation":"0000000000000001","cluster_id":"xyz","log":[]})",
        R"({"node":"us","incarnation":"0000000000000001","log":[{"n":2,"hash":"00"}]})",
        R"({"node":"us","incarnation":"0000000000000001","log":[1]})"}) {
    EXPECT_FALSE(parse_members(bad)) << bad;
  }
  EXPECT_TRUE(parse_members(R"({"node":"us","incarnation":"0000000000000001","cluster_id":null,"log":[]})"));
}

TEST(HttpPeers, ANodeThatIsNotThereOrRefusesIsUnavailableWithTheReason) {
  HttpPeers peers("us");
  std::uint16_t port = 0;
  {
    Served gone;
    port = gone.server->port();
  }
  const auto nobody = wait_for(*peers.members("127.0.0.1:" + std::to_string(port)));
  ASSERT_FALSE(nobody);
  EXPECT_EQ(nobody.error().code, Code::kUnavailable);
  EXPECT_THAT(nobody.error().detail, testing::HasSubstr("refused"));
  Served not_ready({}, false);
  const auto refused = read_all(*peers.snapshot(address_of(not_ready)));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().detail, testing::HasSubstr("opening its data directory"));
}

TEST(HttpPeers, ASnapshotComesWholeThroughAReaderThatIsSlow) {
  Served served;
  std::string expected;
  for (int i = 0; i < 100; ++i) {
    served.node.snapshot_blocks.push_back(std::string(200'000, static_cast<char>('a' + i % 26)));
    expected += served.node.snapshot_blocks.back();
  }
  HttpPeers peers("us");
  auto stream = peers.snapshot(address_of(served));
  std::string all, block;
  std::size_t largest = 0;
  for (;;) {
    const auto state = stream->poll(block);
    ASSERT_TRUE(state) << state.error().detail;
    if (*state == State::kEnd) break;
    if (*state != State::kBlock) continue;
    all += block;
    largest = std::max(largest, block.size());
    // Another call's whole way there and back, so that the sender is far ahead of us.
    EXPECT_FALSE(wait_for(*peers.members(address_of(served))));
  }
  EXPECT_EQ(all, expected);
  EXPECT_EQ(stream->expected_rows(), 77u) << "as the source says";
  ASSERT_EQ(served.node.known_status.snapshots.size(), 1u);
  EXPECT_EQ(served.node.known_status.snapshots[0].to, "us") << "who it is for";
  EXPECT_LE(largest, 4U * 1024 * 1024);
}

TEST(HttpPeers, ASnapshotThatIsCutOffIsAnErrorAndNeverAnEnd) {
  Served served;
  served.node.snapshot_blocks = {"first", "second", "fail"};
  HttpPeers peers("us");
  const auto cut = read_all(*peers.snapshot(address_of(served)));
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().code, Code::kUnavailable);
}

TEST(HttpPeers, WhatWasGivenOutMayOutliveThePeersAndMayBeDroppedHalfway) {
  Served served;
  for (int i = 0; i < 300; ++i) served.node.snapshot_blocks.push_back(std::string(100'000, 'x'));
  std::unique_ptr<replication::SnapshotStream> kept;
  {
    HttpPeers peers("us");
    kept = peers.snapshot(address_of(served));
    peers.snapshot(address_of(served)).reset();
  }
  const auto all = read_all(*kept);
  ASSERT_TRUE(all) << all.error().detail;
  EXPECT_EQ(all->size(), 30'000'000U);
}

}  // namespace
}  // namespace refrain::server
