// SPDX-License-Identifier: Apache-2.0
// refrain status and sync: what is in sync, the cause first, and watching.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <boost/json.hpp>

#include "cli/sync_verdict.h"
#include "fake_world.h"

namespace refrain::cli {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

constexpr Milliseconds kMaxLag{5'000};

/// A node of three that is in sync.
json::value good_status() {
  return json::parse(R"({
    "version": "0.1.0", "cluster": "shop", "cluster_id": "1a2b3c4d", "node": "eu", "region": "eu-west-1", "incarnation": "000000000000001f",
    "mode": "active", "cause": "", "cause_since": null, "kafka_configured": true, "kafka_reachable": true, "kafka_reason": "",
    "breaker": {"state": "closed", "failures": 0, "last_error": "", "since": null, "next_attempt_ms": null},
    "members": [
      {"node": "eu", "region": "eu-west-1", "state": "active", "self": true, "heard_ms": 0, "note": ""},
      {"node": "us", "region": "us-east-1", "state": "active", "self": false, "heard_ms": 5000, "behind_commits": 1, "behind_ms": 5000,
       "we_lack_commits": 1, "we_lack_ms": 5000, "note": ""}],
    "sync": {"cells": [{"reader": "us", "journal": "eu", "applied": 7, "last_known": 8, "lag_commits": 1, "lag_ms": 5000, "why": ""}], "parked": []},
    "healed": [], "outbox_commits": 12, "outbox_bytes": 3482, "newest": 8, "published": 8, "synced": 7, "stable": 7,
    "stable_time": "2026-01-01T11:02:03.004Z", "oldest_unsynced_ms": 5000, "outbox_held_by": "", "conflicts_open": 0, "duplicates": 0,
    "unknown_requests": 0, "checks": []})");
}

json::value& us(json::value& status) {
  return status.at("members").at(1);
}

TEST(SyncVerdictOf, ExactlyTheLimitIsInSync) {
  EXPECT_THAT(sync_verdict(good_status(), kMaxLag).reasons, IsEmpty());
}

TEST(SyncVerdictOf, OneMillisecondMoreOfAnythingIsNot) {
  for (const char* field : {"heard_ms", "behind_ms", "we_lack_ms"}) {
    json::value status = good_status();
    us(status).as_object()[field] = 5001;
    EXPECT_EQ(sync_verdict(status, kMaxLag).reasons.size(), 1u) << field;
  }
  json::value lagging = good_status();
  lagging.at("sync").at("cells").at(0).as_object()["lag_ms"] = 5001;
  EXPECT_THAT(sync_verdict(lagging, kMaxLag).reasons, ElementsAre("us is 5.0s behind in the journal of eu"));
  json::value unsynced = good_status();
  unsynced.as_object()["oldest_unsynced_ms"] = 5001;
  EXPECT_EQ(sync_verdict(unsynced, kMaxLag).reasons.size(), 1u);
}

TEST(SyncVerdictOf, TheLimitMoves) {
  EXPECT_FALSE(sync_verdict(good_status(), Milliseconds{4'999}).in_sync());
  json::value status = good_status();
  us(status).as_object()["heard_ms"] = 60'000;
  EXPECT_TRUE(sync_verdict(status, Milliseconds{60'000}).in_sync());
}

TEST(SyncVerdictOf, AMemberThatWasNeverHeardIsNotInSync) {
  json::value status = good_status();
  us(status).as_object()["heard_ms"] = nullptr;
  EXPECT_THAT(sync_verdict(status, kMaxLag).reasons, ElementsAre("us has not been heard yet"));
}

TEST(SyncVerdictOf, OnlyActiveMembersCount) {
  for (const char* state : {"joining", "over"}) {
    json::value status = good_status();
    us(status).as_object()["state"] = state;
    us(status).as_object()["heard_ms"] = 99'999;
    EXPECT_TRUE(sync_verdict(status, kMaxLag).in_sync()) << state;
  }
}

TEST(SyncVerdictOf, AParkedJournalIsNotInSync) {
  json::value status = good_status();
  status.at("sync").at("parked").as_array().push_back({{"journal", "us"}, {"reason", "corrupt"}});
  EXPECT_THAT(sync_verdict(status, kMaxLag).reasons, ElementsAre("the journal of us is parked: corrupt"));
}

TEST(SyncVerdictOf, ANodeThatRunsAloneIsInSyncAndOneThatIsNotActiveIsNot) {
  EXPECT_TRUE(sync_verdict(json::parse(R"({"mode":"alone","oldest_unsynced_ms":99999})"), kMaxLag).in_sync());
  EXPECT_THAT(sync_verdict(json::parse(R"({"mode":"waiting for founder"})"), kMaxLag).reasons,
              ElementsAre("this node is waiting for founder"));
  EXPECT_FALSE(sync_verdict(json::parse("{}"), kMaxLag).in_sync());
}

TEST(Status, OfAClusterInSyncExitsWithZero) {
  FakeWorld world;
  world.terminal = true;
  world.answers("GET /v1/status", 200, json::serialize(good_status()));
  Ran result = world.run({"status"});
  EXPECT_EQ(result.exit, 0);
  EXPECT_THAT(result.out, AllOf(HasSubstr("IN SYNC       yes"), HasSubstr("MEMBER   REGION"),
                                HasSubstr("12 commits, 3.4 KiB")));
  EXPECT_THAT(result.out, testing::Not(HasSubstr("CAUSE")));
}

TEST(Status, PutsTheCauseFirst) {
  json::value status = good_status();
  status.as_object()["cause"] = "Kafka unreachable since 11:02: connection refused";
  status.as_object()["oldest_unsynced_ms"] = 60'000;
  FakeWorld world;
  world.answers("GET /v1/status", 200, json::serialize(status));
  Ran piped = world.run({"status"});
  EXPECT_EQ(piped.exit, 10);
  EXPECT_THAT(piped.out, StartsWith("CAUSE\tIN_SYNC\tNODE\t"));
  EXPECT_THAT(piped.out,
              HasSubstr("\nKafka unreachable since 11:02: connection refused\tno: a commit of this node"));
  world.terminal = true;
  EXPECT_THAT(world.run({"status"}).out,
              StartsWith("CAUSE         Kafka unreachable since 11:02: connection refused\n"));
}

TEST(Status, ShowsTheClustersFormatAndWhoReadsWhatWhenThatDiffers) {
  json::value status = good_status();
  status.as_object()["format"] = 1;
  for (std::uint64_t i : {0u, 1u})
    status.at("members").at(i).as_object()["formats"] = {{"min", 1}, {"max", 1}};
  FakeWorld same;
  same.terminal = true;
  same.answers("GET /v1/status", 200, json::serialize(status));
  EXPECT_THAT(same.run({"status"}).out, HasSubstr("FORMAT        1\n"));
  us(status).at("formats").as_object()["max"] = 2;
  FakeWorld mixed;
  mixed.terminal = true;
  mixed.answers("GET /v1/status", 200, json::serialize(status));
  EXPECT_THAT(mixed.run({"status"}).out, HasSubstr("FORMAT        1; eu reads 1, us reads 1-2\n"));
}

TEST(Status, AClosedBreakerThatMeetsFailuresIsNotJustPublishing) {
  json::value status = good_status();
  FakeWorld world;
  world.answers("GET /v1/status", 200, json::serialize(status));
  EXPECT_THAT(world.run({"status"}).out, HasSubstr("\tpublishing\t"));
  json::object& breaker = status.at("breaker").as_object();
  breaker["failures"] = 2;
  breaker["last_error"] = "the broker said no";
  FakeWorld failing;
  failing.answers("GET /v1/status", 200, json::serialize(status));
  EXPECT_THAT(failing.run({"status"}).out, HasSubstr("\tfailing (2 in a row): the broker said no\t"));
}

TEST(Status, ShowsWhatRefusesAndWhatIsDegraded) {
  json::value status = good_status();
  status.at("checks") = json::parse(
      R"([{"name":"disk","ok":false,"blocking":true,"code":"disk_full","detail":"no space"},{"name":"store","ok":true}])");
  FakeWorld world;
  world.answers("GET /v1/status", 200, json::serialize(status));
  EXPECT_THAT(world.run({"status"}).out,
              HasSubstr("CHECK\tSTATE\tCODE\tDETAIL\ndisk\trefusing\tdisk_full\tno space\n"));
}

TEST(Status, WithFormatJsonIsTheAnswerUnchangedAndStillHasItsExitCode) {
  json::value status = good_status();
  status.as_object()["mode"] = "joining";
  std::string body = json::serialize(status);
  FakeWorld world;
  world.answers("GET /v1/status", 200, body);
  Ran result = world.run({"status", "--format", "json"});
  EXPECT_EQ(result.out, body + "\n");
  EXPECT_EQ(result.exit, 10);
}

TEST(StatusWatch, SurvivesARefusedConnection) {
  FakeWorld world;
  world.looks_of_watch = 3;
  std::string body = json::serialize(good_status());
  world.answers("GET /v1/status", 200, body).refuses("GET /v1/status").answers("GET /v1/status", 200, body);
  Ran result = world.run({"status", "--watch", "--format", "json"});
  EXPECT_EQ(result.exit, 0);
  EXPECT_EQ(result.out, body + "\n" + body + "\n");
  EXPECT_THAT(result.err, HasSubstr("Connection refused"));
}

TEST(StatusWatch, RedrawsATerminalAndSaysThereWhatIsWrong) {
  FakeWorld world;
  world.terminal = true;
  world.looks_of_watch = 2;
  world.answers("GET /v1/status", 200, json::serialize(good_status())).refuses("GET /v1/status");
  Ran result = world.run({"status", "--watch"});
  EXPECT_EQ(result.err, "");
  EXPECT_THAT(result.out, HasSubstr("\x1b[H\x1b[2Jrefrain: cannot reach it: Connection refused\n"));
}

TEST(Sync, ShowsTheMatrixAndWhyItIsNotInSync) {
  json::value status = good_status();
  status.at("sync").at("parked").as_array().push_back(
      {{"journal", "us"}, {"reason", "corrupt"}, {"help", "refrain sync resume us"}});
  FakeWorld world;
  world.answers("GET /v1/sync", 200, json::serialize(status.at("sync")))
      .answers("GET /v1/status", 200, json::serialize(status));
  Ran result = world.run({"sync"});
  EXPECT_EQ(result.exit, 10);
  EXPECT_THAT(result.out,
              StartsWith("READER\tJOURNAL\tAPPLIED\tLAST KNOWN\tLAG\tWHY\nus\teu\t7\t8\t1 (5.0s)\t\n"));
  EXPECT_THAT(result.out, HasSubstr("refrain sync resume us"));
  EXPECT_THAT(result.err, HasSubstr("not in sync: the journal of us is parked: corrupt"));
}

}  // namespace
}  // namespace refrain::cli
