// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "fake_world.h"
#include "store/digest.h"

namespace refrain::cli {
namespace {

using testing::HasSubstr;

constexpr const char* kMembers =
    R"({"members":[{"node":"eu","state":"active","self":true,"address":"http://eu:1"},)"
    R"({"node":"us","state":"active","self":false,"address":"http://us:1"},)"
    R"({"node":"ap","state":"joining","self":false,"address":"http://ap:1"}]})";

std::string digest(char first, bool counted = false, char counted_first = 0) {
  auto all = [](char byte) {
    std::string bytes(store::kDigestBuckets * 16, '\0');
    bytes[0] = byte;
    return base64_encode(bytes);
  };
  return R"({"format":1,"buckets":4096,"node":"x","vector":{"eu":"0000000000000009"},"kept":")" + all(first) +
         R"(","counted":)" + (counted ? '"' + all(counted_first) + '"' : "null") + "}";
}
std::string rows(const std::string& items, const std::string& vector = R"("eu":"0000000000000009")") {
  return R"({"node":"x","vector":{)" + vector + R"(},"now":"2026-11-25T16:00:00.000Z","items":[)" + items +
         R"(],"after":null})";
}
constexpr const char* kRow =
    R"({"ns":"n","key":"k","version":"0000000000000005-eu","hash":"aabbccddaabbccdd","deleted":false,"expires_at":null})";
constexpr const char* kBucket = "GET /v1/digest?bucket=0&limit=1000";
constexpr const char* kKey = "GET /v1/digest?rows=kv&ns=n&key=k";

TEST(VerifyCommand, ComparesEachActiveMemberAtItsOwnAddress) {
  FakeWorld world;
  world.answers("GET /v1/members", 200, kMembers).answers("GET /v1/digest", 200, digest(1));
  auto ran = world.run({"verify", "--server", "http://here:1"});
  EXPECT_EQ(ran.exit, 0) << ran.out << ran.err;
  EXPECT_EQ(world.servers, (std::vector<std::string>{"http://here:1", "http://us:1"}));
  EXPECT_THAT(ran.out, HasSubstr("\neu\thttp://eu:1\teu 1970-01-01T00:00:00.000Z\t\n"));
}

TEST(VerifyCommand, AKeyThatOneLacksAlthoughItHasItsVersionExitsWithTen) {
  FakeWorld world;
  world.answers("GET /v1/members", 200, kMembers);
  world.answers("GET /v1/digest", 200, digest(1)).answers("GET /v1/digest", 200, digest(0));
  world.answers(kBucket, 200, rows(kRow)).answers(kBucket, 200, rows(""));
  world.answers(kKey, 200, rows(kRow)).answers(kKey, 200, rows(""));
  auto ran = world.run({"verify"});
  EXPECT_EQ(ran.exit, 10);
  EXPECT_THAT(ran.out,
              HasSubstr("DIFFERS\tNAMESPACE\tKEY\teu\tus\nkey\tn\tk\t0000000000000005-eu aabbccdd\t-\n"));
}

TEST(VerifyCommand, AKeyOnItsWayIsLookedAtAFewTimesAndCalledMoving) {
  FakeWorld world;
  world.looks_of_watch = 100;
  world.answers("GET /v1/members", 200, kMembers);
  world.answers("GET /v1/digest", 200, digest(1)).answers("GET /v1/digest", 200, digest(0));
  world.answers("GET /v1/digest?count=true", 200, digest(1, true, 1));
  world.answers(kBucket, 200, rows(kRow)).answers(kBucket, 200, rows("", R"("eu":"0000000000000004")"));
  for (int look = 0; look < 6; ++look)
    world.answers(kKey, 200, rows(kRow)).answers(kKey, 200, rows("", R"("eu":"0000000000000004")"));
  auto ran = world.run({"verify"});
  EXPECT_EQ(ran.exit, 10);
  EXPECT_THAT(ran.out, HasSubstr("STILL MOVING\t"));
  EXPECT_THAT(ran.err, HasSubstr("still moving"));
}

TEST(VerifyCommand, DigestsThatDifferWhereNoRowDoesAreCounted) {
  FakeWorld world;
  world.answers("GET /v1/members", 200, kMembers);
  world.answers("GET /v1/digest", 200, digest(1)).answers("GET /v1/digest", 200, digest(0));
  world.answers("GET /v1/digest?count=true", 200, digest(1, true, 1));
  world.answers("GET /v1/digest?count=true", 200, digest(0, true, 1));
  world.answers(kBucket, 200, rows(kRow));
  auto ran = world.run({"verify"});
  EXPECT_EQ(ran.exit, 10);
  EXPECT_THAT(ran.out, HasSubstr("\tits digest does not fit its rows, in 1 buckets\n"));
}

TEST(VerifyCommand, AMemberThatDoesNotAnswerIsNamed) {
  FakeWorld world;
  world.answers("GET /v1/members", 200, kMembers);
  world.answers("GET /v1/digest", 200, digest(1)).refuses("GET /v1/digest");
  auto ran = world.run({"verify", "--format", "json"});
  EXPECT_EQ(ran.exit, 10);
  EXPECT_THAT(ran.out, HasSubstr(R"("note":"not compared: cannot reach it: Connection refused")"));
  EXPECT_THAT(ran.out, HasSubstr(R"("same":false)"));
}

TEST(VerifyCommand, ARepairWritesTheLargerVersionWhereItStandsAndAsksForIt) {
  FakeWorld world;
  world.answers("GET /v1/members", 200, kMembers);
  world.answers("GET /v1/digest", 200, digest(1)).answers("GET /v1/digest", 200, digest(0));
  world.answers("GET /v1/digest?count=true", 200, digest(1, true, 1));
  world.answers("GET /v1/digest?count=true", 200, digest(0, true, 0));
  world.answers(kBucket, 200, rows(kRow)).answers(kBucket, 200, rows(""));
  world.answers(kKey, 200, rows(kRow)).answers(kKey, 200, rows(""));
  world.answers("GET /v1/kv/n/k", 200, "value", {{"etag", "\"0000000000000005-eu\""}});
  world.answers("PUT /v1/kv/n/k?ack=all&timeout=10s", 200, R"({"version":"000000000000000a-eu"})");
  auto ran = world.run({"verify", "--repair"});
  EXPECT_EQ(ran.exit, 0) << ran.out << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("\nn\tk\teu\t000000000000000a-eu\t\n"));
  EXPECT_EQ(world.calls.back().body, "value");
  EXPECT_THAT(world.calls.back().headers, testing::ElementsAre("If-Match: \"0000000000000005-eu\""));
}

TEST(VerifyCommand, ARepairThatMeetsANewerWriteWritesNothing) {
  FakeWorld world;
  world.answers("GET /v1/members", 200, kMembers);
  world.answers("GET /v1/digest", 200, digest(1)).answers("GET /v1/digest", 200, digest(0));
  world.answers("GET /v1/digest?count=true", 200, digest(1, true, 1));
  world.answers(kBucket, 200, rows(kRow)).answers(kBucket, 200, rows(""));
  world.answers(kKey, 200, rows(kRow)).answers(kKey, 200, rows(""));
  world.answers("GET /v1/kv/n/k", 200, "newer", {{"etag", "\"0000000000000006-eu\""}});
  auto ran = world.run({"verify", "--repair"});
  EXPECT_EQ(ran.exit, 10);
  EXPECT_THAT(ran.out, HasSubstr("it was written meanwhile: verify again"));
}

}  // namespace
}  // namespace refrain::cli
