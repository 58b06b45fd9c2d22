// SPDX-License-Identifier: Apache-2.0
// Each client command against a node that answers from a table: the call it makes, what it prints where, its
// exit code.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>

#include "fake_world.h"

namespace refrain::cli {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

const char* kProblem =
    R"({"type":"x","title":"No such key","status":404,"code":"not_found","detail":"There is no such key here."})";
const char* kCommit =
    R"({"commit":"eu.1f.5","version":"00000000000000ab-eu","state":"pending","applied_by":["eu"],"waiting_for":[]})";

TEST(AnyCommand, WithoutANodeExitsWithThreeAndSaysWhy) {
  FakeWorld world;
  for (std::vector<std::string> words : {std::vector<std::string>{"status"},
                                         {"sync"},
                                         {"kv", "get", "a", "b"},
                                         {"events", "ls"},
                                         {"request", "begin", "a", "b"},
                                         {"member", "ls"},
                                         {"conflicts", "ls"},
                                         {"duplicates", "ls"}}) {
    Ran result = world.run(words);
    EXPECT_EQ(result.exit, 3) << testing::PrintToString(words);
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, HasSubstr("Connection refused"));
  }
}

TEST(AnyCommand, WhoseOutputCannotBeWrittenSaysSoAndFails) {
  FakeWorld world;
  world.answers("GET /v1/kv/orders/a", 200, "x")
      .answers("POST /v1/requests/p/i/begin", 200, "done", {{"refrain-decision", "replay"}})
      .answers("GET /v1/members", 200, "{}");
  world.disk_full = true;
  world.looks_of_watch = 1'000'000'000;
  for (std::vector<std::string> words : {std::vector<std::string>{"kv", "get", "orders", "a"},
                                         {"request", "begin", "p", "i"},
                                         {"member", "ls", "--watch"},
                                         {"version"},
                                         {"--version"},
                                         {"--help"},
                                         {"completion", "bash"}}) {
    Ran result = world.run(words);
    EXPECT_EQ(result.exit, 1) << testing::PrintToString(words);
    EXPECT_THAT(result.err, HasSubstr("refrain: standard output cannot be written: "));
  }
  EXPECT_EQ(world.run({"kv", "nonsense"}).exit, 2) << "nothing was lost";
}

TEST(AnyCommand, WhoseFileCannotBeReadFails) {
  FakeWorld world;
  const std::string missing = "/no/such/file";
  for (std::vector<std::string> words :
       {std::vector<std::string>{"kv", "put", "orders", "a", "--file", missing},
        {"request", "begin", "p", "i", "--file", missing},
        {"request", "complete", "p", "i", "--token", "T", "--file", missing},
        {"request", "complete", "p", "i", "--token", "T", "--operations", missing},
        {"request", "resolve", "p", "i", "--complete", "--file", missing},
        {"conflicts", "resolve", "5f", "--file", missing}}) {
    Ran result = world.run(words);
    EXPECT_EQ(result.exit, 1) << testing::PrintToString(words);
    EXPECT_THAT(result.err, HasSubstr("/no/such/file cannot be read: No such file"));
    EXPECT_THAT(world.calls, IsEmpty());
  }
  EXPECT_EQ(world.run({"request", "begin", "p", "i", "--file", missing, "--data", "x"}).exit, 2);
}

TEST(AnyCommand, PrintsTheDetailAndTheCodeOfAProblem) {
  FakeWorld world;
  world.answers("GET /v1/kv/orders/a", 404, kProblem);
  Ran result = world.run({"kv", "get", "orders", "a"});
  EXPECT_EQ(result.exit, 4);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(result.err, "refrain: There is no such key here. (not_found)\n");
}

TEST(AnyCommand, GivesTheProblemAsItCameWithFormatJson) {
  FakeWorld world;
  world.answers("GET /v1/kv/orders/a", 404, kProblem);
  EXPECT_EQ(world.run({"kv", "get", "orders", "a", "--format", "json"}).out, std::string(kProblem) + "\n");
}

TEST(AnyCommand, SaysThatItIsNoRefrainNodeWhenTheAnswerIsNoJson) {
  FakeWorld world;
  world.answers("GET /v1/status", 200, "<html>");
  Ran result = world.run({"status"});
  EXPECT_EQ(result.exit, 1);
  EXPECT_THAT(result.err, HasSubstr("is this the address of a Refrain node?"));
  world.answers("GET /v1/members", 502, "<html>");
  EXPECT_THAT(world.run({"member", "ls"}).err, HasSubstr("answered 502"));
}

TEST(KvGet, PrintsTheBytesAsTheyAre) {
  FakeWorld world;
  world.answers("GET /v1/kv/orders/a/b%20c", 200, std::string("x\0\xFFy", 4));
  Ran result = world.run({"kv", "get", "orders", "a/b c"});
  EXPECT_EQ(result.exit, 0);
  EXPECT_EQ(result.out, std::string("x\0\xFFy", 4));
  world.terminal = true;
  EXPECT_EQ(world.run({"kv", "get", "orders", "a/b c"}).out, std::string("x\0\xFFy\n", 5));
}

TEST(KvGet, SaysWhenTheKeyHasOpenConflicts) {
  FakeWorld world;
  world.answers("GET /v1/kv/orders/a", 200, "x", {{"refrain-conflicts", "2"}});
  Ran result = world.run({"kv", "get", "orders", "a"});
  EXPECT_EQ(result.out, "x");
  EXPECT_THAT(result.err, HasSubstr("2 open conflict(s)"));
}

TEST(KvPut, SendsWhatItWasTold) {
  FakeWorld world;
  world.answers("PUT /v1/kv/orders/a?ttl=1h&ack=all&timeout=10s", 200, kCommit);
  Ran result = world.run({"kv", "put", "orders", "a", "paid", "--ttl", "1h", "--ack", "all", "--timeout",
                          "10s", "--if-match", "00000000000000ab-eu", "--idempotency-key", "k1"});
  EXPECT_EQ(result.exit, 0) << result.err;
  ASSERT_EQ(world.calls.size(), 1u);
  EXPECT_EQ(world.calls[0].body, "paid");
  EXPECT_EQ(world.calls[0].wait, Milliseconds{10'000});
  EXPECT_THAT(world.calls[0].headers,
              ElementsAre("If-Match: \"00000000000000ab-eu\"", "Idempotency-Key: k1"));
  EXPECT_EQ(result.out,
            "COMMIT\tVERSION\tSTATE\tAPPLIED_BY\tWAITING_FOR\neu.1f.5\t00000000000000ab-eu\tpending\teu\t\n");
}

TEST(KvPut, TakesTheValueFromStandardInputOrAFile) {
  FakeWorld world;
  world.answers("PUT /v1/kv/orders/a", 200, kCommit);
  EXPECT_EQ(world.run({"kv", "put", "orders", "a", "--file", "-"}, "from stdin\n").exit, 0);
  EXPECT_EQ(world.calls[0].body, "from stdin\n");
  EXPECT_EQ(world.run({"kv", "put", "orders", "a"}).exit, 2);
  EXPECT_EQ(world.run({"kv", "put", "orders", "a", "x", "--file", "-"}).exit, 2);
  Ran missing = world.run({"kv", "put", "orders", "a", "--file", "/no/such/file"});
  EXPECT_EQ(missing.exit, 1);
  EXPECT_THAT(missing.err, HasSubstr("No such file"));
}

TEST(KvPut, PastItsTimeOutIsASuccessThatSaysWhoIsWaitedFor) {
  FakeWorld world;
  world.answers(
      "PUT /v1/kv/orders/a?ack=all", 202,
      R"({"commit":"eu.1f.5","version":"v","state":"published","applied_by":["eu"],"waiting_for":["us","ap"]})");
  Ran result = world.run({"kv", "put", "orders", "a", "x", "--ack", "all"});
  EXPECT_EQ(result.exit, 0);
  EXPECT_THAT(result.err, HasSubstr("not yet at: us, ap"));
  EXPECT_THAT(result.err, HasSubstr("refrain events show eu.1f.5"));
}

TEST(KvDel, SaysWhetherTheKeyWasThere) {
  FakeWorld world;
  world.answers(
      "DELETE /v1/kv/orders/a", 200,
      R"({"commit":"c","version":"v","state":"pending","applied_by":[],"waiting_for":[],"existed":false})");
  EXPECT_THAT(world.run({"kv", "del", "orders", "a"}).out, HasSubstr("\tEXISTED\n"));
}

TEST(KvScan, ListsKeysAndSaysWhenThereAreMore) {
  FakeWorld world;
  world.answers(
      "GET /v1/kv/orders?prefix=a%2F&limit=2&values=true", 200,
      R"({"items":[{"key":"a/1","version":"v1","value":"x"},{"key":"a/2","version":"v2","value_base64":"/w=="}],"after":"a/2"})");
  Ran result = world.run({"kv", "scan", "orders", "--prefix", "a/", "--limit", "2", "--values"});
  EXPECT_EQ(result.out, "KEY\tVERSION\tVALUE\na/1\tv1\tx\na/2\tv2\t\xFF\n");
  EXPECT_THAT(result.err, HasSubstr("--after 'a/2'"));
}

TEST(SessionFile, IsSentAndKept) {
  std::string file = testing::TempDir() + "refrain-session-" + std::to_string(getpid());
  FakeWorld world;
  world.answers("PUT /v1/kv/orders/a", 200, kCommit, {{"refrain-session", "first"}});
  world.answers("GET /v1/kv/orders/a?wait=2s", 200, "x", {{"refrain-session", "second"}});
  EXPECT_EQ(world.run({"kv", "put", "orders", "a", "x", "--session-file", file}).exit, 0);
  EXPECT_THAT(world.calls[0].headers, IsEmpty());
  EXPECT_EQ(world.run({"kv", "get", "orders", "a", "--wait", "2s", "--session-file", file}).exit, 0);
  EXPECT_THAT(world.calls[0].headers, ElementsAre("Refrain-Session: first"));
  std::string kept;
  std::ifstream(file) >> kept;
  EXPECT_EQ(kept, "second");
  std::remove(file.c_str());
}

TEST(SessionFile, ThatCannotBeWrittenIsAFailure) {
  FakeWorld world;
  world.answers("PUT /v1/kv/orders/a", 200, kCommit, {{"refrain-session", "first"}});
  EXPECT_EQ(world.run({"kv", "put", "orders", "a", "x", "--session-file", "/no/such/dir/file"}).exit, 1);
}

constexpr const char* kBegin = "POST /v1/requests/payments/o-1/begin";

TEST(RequestBegin, GoPrintsTheTokenAndExitsWithZero) {
  FakeWorld world;
  world.answers(
      std::string(kBegin) + "?lease=10s&on_expiry=hold", 201,
      R"({"token":"T","fencing":"7","attempt":1,"lease_ms":10000,"lease_until":"t","on_expiry":"hold","scope":"local","lag_ms":0,"behind":["ap"]})",
      {{"refrain-decision", "go"}});
  Ran result = world.run(
      {"request", "begin", "payments", "o-1", "--lease", "10s", "--on-expiry", "hold", "--data", "42"});
  EXPECT_EQ(result.exit, 0) << result.err;
  EXPECT_EQ(world.calls[0].body, "42");
  EXPECT_THAT(result.out, StartsWith("TOKEN\tFENCING\t"));
  EXPECT_THAT(result.out, HasSubstr("\nT\t7\t1\t10000\tt\thold\tlocal\t0\tap\n"));
  EXPECT_THAT(result.err, HasSubstr("what ap did last is not known here"));
}

TEST(RequestBegin, AReplayPrintsTheStoredBytesAndExitsWithSix) {
  FakeWorld world;
  world.answers(kBegin, 200, "charged",
                {{"refrain-decision", "replay"}, {"refrain-status", "201"}, {"content-type", "text/plain"}});
  Ran result = world.run({"request", "begin", "payments", "o-1"});
  EXPECT_EQ(result.exit, 6);
  EXPECT_EQ(result.out, "charged");
  EXPECT_THAT(result.err, HasSubstr("already done"));
}

TEST(RequestBegin, EveryOtherAnswerHasItsExitCode) {
  FakeWorld world;
  auto problem = [](const char* code) { return std::string(R"({"detail":"why","code":")") + code + "\"}"; };
  world.answers(kBegin, 409, problem("request_in_progress"), {{"refrain-decision", "in_progress"}})
      .answers(kBegin, 409, problem("outcome_unknown"), {{"refrain-decision", "unknown"}})
      .answers(kBegin, 422, problem("fingerprint_mismatch"), {{"refrain-decision", "mismatch"}})
      .answers(kBegin, 410, problem("response_expired"), {{"refrain-decision", "gone"}})
      .answers(kBegin, 503, problem("joining"), {{"refrain-decision", "refused"}})
      .refuses(kBegin);
  for (int expected : {7, 4, 4, 4, 4, 3}) {
    Ran result = world.run({"request", "begin", "payments", "o-1"});
    EXPECT_EQ(result.exit, expected) << result.err;
    EXPECT_EQ(result.out, "");
  }
}

TEST(EventsExport, PrintsOneLineACommitPageByPage) {
  FakeWorld world;
  world.answers("GET /v1/events/export", 200,
                R"({"items":[{"commit":"a"},{"commit":"b"}],"after":"eu.1f.7"})");
  world.answers("GET /v1/events/export?after=eu.1f.7", 200, R"({"items":[{"commit":"c"}],"after":null})");
  EXPECT_EQ(world.run({"events", "export"}).out,
            "{\"commit\":\"a\"}\n{\"commit\":\"b\"}\n{\"commit\":\"c\"}\n");
}

std::string void_line(int seq, const std::string& operations) {
  return R"({"commit":"eu.000000000000001f.)" + std::to_string(seq) +
         R"(","at":null,"version":null,"operations":[)" + operations + "]}\n";
}
std::string void_put(const std::string& key, const std::string& value) {
  return R"({"kind":"put","ns":"shop","key":")" + key + R"(","value":")" + value +
         R"(","expires_at":null,"seen":{"us":"0000000000000040"}})";
}

TEST(EventsImport, KeepsToWhatTheWriterHadSeenAndToWhatItWroteItself) {
  FakeWorld world;
  world.answers("POST /v1/commit", 200,
                R"({"commit":"us.2.9","version":"0000000000000099-us","state":"pending"})");
  Ran result = world.run(
      {"events", "import", "-"},
      void_line(7, void_put("k", "1")) + "\n" +
          void_line(8, void_put("k", "2") + R"(,{"kind":"delete","ns":"shop","key":"j","seen":{}})"));
  EXPECT_EQ(result.exit, 0) << result.err;
  ASSERT_EQ(world.calls.size(), 2u);
  EXPECT_EQ(world.calls[0].headers[0], "Idempotency-Key: void:eu.000000000000001f.7");
  EXPECT_EQ(
      world.calls[0].body,
      R"({"operations":[{"put":{"ns":"shop","key":"k","if_seen":{"us":"0000000000000040"},"value":"1"}}]})");
  EXPECT_EQ(
      world.calls[1].body,
      R"({"operations":[{"put":{"ns":"shop","key":"k","if_seen":{"us":"0000000000000099"},"value":"2"}},{"delete":{"ns":"shop","key":"j","if_seen":{}}}]})");
  EXPECT_EQ(result.out,
            "VOID COMMIT\tRESULT\tNEW COMMIT\tNOTE\neu.000000000000001f.7\timported\tus.2.9\t\n"
            "eu.000000000000001f.8\timported\tus.2.9\t\n");
  (void)world.run({"events", "import", "-", "--overwrite"}, void_line(7, void_put("k", "1")));
  EXPECT_EQ(world.calls[0].body, R"({"operations":[{"put":{"ns":"shop","key":"k","value":"1"}}]})");
}

TEST(EventsImport, SkipsWhatHasMovedOnAndSaysWhere) {
  FakeWorld world;
  world.answers("POST /v1/commit", 412, R"({"code":"version_mismatch","detail":"shop/k has moved on"})");
  world.answers("POST /v1/commit", 200, R"({"commit":"us.2.9","version":"0000000000000099-us"})",
                {{"idempotent-replayed", "true"}});
  world.answers("POST /v1/commit", 422, R"({"code":"fingerprint_mismatch","detail":"another"})");
  Ran result = world.run(
      {"events", "import", "-"},
      void_line(7, void_put("k", "1")) + void_line(8, void_put("l", "2")) + void_line(9, void_put("m", "3")));
  EXPECT_EQ(result.exit, 4);
  EXPECT_THAT(result.out, HasSubstr("001f.7\tskipped\t\tshop/k has moved on\n"));
  EXPECT_THAT(result.out, HasSubstr("001f.8\timported before\tus.2.9\t\n"));
  EXPECT_THAT(result.out, HasSubstr("001f.9\timported before\t"));
  EXPECT_THAT(result.err, HasSubstr("0 imported, 2 imported before, 1 skipped, 0 bad lines"));
}

TEST(EventsImport, NamesTheLineThatIsGarbageAndWritesNothingOfIt) {
  FakeWorld world;
  world.answers("POST /v1/commit", 200, R"({"commit":"us.2.9","version":"0000000000000099-us"})");
  const std::string good = void_put("k", "1");
  for (const std::string& bad :
       {std::string("garbage\n"), std::string("{}\n"),
        std::string("{\"commit\":\"eu.5\",\"operations\":[]}\n"), std::string("[1]\n"),
        void_line(3, good + R"(,{"kind":"increment","ns":"shop","key":"k"})"),
        void_line(3, R"({"kind":"put","ns":"shop","key":"k","seen":{}})"), void_line(3, "7"),
        void_line(3, R"({"kind":"put","ns":"shop","key":"k","value":"v","expires_at":"soon","seen":{}})")}) {
    Ran result = world.run({"events", "import", "-"}, void_line(7, good) + bad + void_line(8, good));
    EXPECT_EQ(result.exit, 1) << bad;
    EXPECT_EQ(world.calls.size(), 2u) << bad;
    EXPECT_THAT(result.err, HasSubstr("-:2: ")) << bad;
    EXPECT_THAT(result.err, HasSubstr("nothing of this line was written")) << bad;
  }
  world.answers("POST /v1/commit", 400, R"({"code":"invalid","detail":"no key"})");
  EXPECT_EQ(world.run({"events", "import", "-"}, void_line(1, good)).exit, 0);
  EXPECT_THAT(world.run({"events", "import", "-"}, void_line(1, good)).err, HasSubstr("-:1: no key"));
}

TEST(EventsImport, LeavesClaimsAndOutcomesAndSaysSo) {
  FakeWorld world;
  world.answers("POST /v1/commit", 200, R"({"commit":"us.2.9","version":"0000000000000099-us"})");
  const std::string outcome = R"({"kind":"outcome","ns":"payments","key":"order-4"},)";
  const std::string own_key = R"({"kind":"outcome","ns":"_http-shop","key":"x"},)";
  Ran result =
      world.run({"events", "import", "-"},
                void_line(1, R"({"kind":"claim","ns":"payments","key":"order-4"})") +
                    void_line(2, outcome + void_put("k", "1")) + void_line(3, own_key + void_put("k", "1")));
  EXPECT_EQ(result.exit, 4);
  EXPECT_EQ(world.calls.size(), 1u);
  EXPECT_THAT(result.out, HasSubstr("001f.1\tskipped\t\tnot importable: claim payments/order-4\n"));
  EXPECT_THAT(result.out, HasSubstr("001f.2\tskipped\t\tit holds the effects of outcome payments/order-4"));
  EXPECT_THAT(result.out, HasSubstr("001f.3\timported\tus.2.9\t\n"));
  EXPECT_EQ(
      world.run({"events", "import", "-", "--effects"}, void_line(2, outcome + void_put("k", "1"))).exit, 0);
}

TEST(EventsImport, AValueWhoseTimeIsOverBecomesADelete) {
  FakeWorld world;
  world.answers("POST /v1/commit", 200, R"({"commit":"us.2.9","version":"0000000000000099-us"})");
  auto line = [](const std::string& until) {
    return void_line(
        1, R"({"kind":"put","ns":"shop","key":"k","value":"v","expires_at":")" + until + R"(","seen":{}})");
  };
  (void)world.run({"events", "import", "-"}, line("2020-01-01T00:00:00.000Z"));
  EXPECT_EQ(world.calls[0].body, R"({"operations":[{"delete":{"ns":"shop","key":"k","if_seen":{}}}]})");
  (void)world.run({"events", "import", "-"}, line("2999-01-01T00:00:00.000Z"));
  EXPECT_THAT(world.calls[0].body, HasSubstr(R"("value":"v")"));
  EXPECT_THAT(world.calls[0].body, HasSubstr(R"("ttl":")"));
}

TEST(EventsImport, StopsWhenTheNodeCannotBeReachedOrRefuses) {
  FakeWorld world;
  EXPECT_EQ(world.run({"events", "import", "-"}, void_line(1, void_put("k", "1"))).exit, 3);
  world.answers("POST /v1/commit", 503, R"({"code":"rolled_back","detail":"older"})");
  Ran result = world.run({"events", "import", "-"},
                         void_line(1, void_put("k", "1")) + void_line(2, void_put("k", "1")));
  EXPECT_EQ(result.exit, 1);
  EXPECT_EQ(world.calls.size(), 1u);
}

TEST(Backup, SaysWhatWasMade) {
  FakeWorld world;
  world.answers(
      "POST /v1/backup", 200,
      R"({"directory":"/b","node":"eu","cluster":"shop","at":"2023-11-14T22:13:20.000Z","bytes":2048})");
  Ran result = world.run({"backup", "/b"});
  EXPECT_EQ(world.calls[0].body, R"({"directory":"/b"})");
  EXPECT_THAT(result.out, HasSubstr("/b\teu\tshop\t2023-11-14T22:13:20.000Z\t2.0 KiB\n"));
}

TEST(Restore, WithoutFoundSaysThatAMemberStartsEmpty) {
  FakeWorld world;
  Ran result = world.run({"restore", "--from", "/nowhere", "--data-dir", "/nowhere/data"});
  EXPECT_EQ(result.exit, 2);
  EXPECT_THAT(result.err, HasSubstr("empty directory"));
  result = world.run({"restore", "--from", "/nowhere", "--data-dir", "/nowhere/data", "--found"});
  EXPECT_EQ(result.exit, 4);
  EXPECT_THAT(result.err, HasSubstr("is no backup"));
  EXPECT_EQ(world.run({"restore", "--from", "/b", "--data-dir", "/d", "--cluster", "A"}).exit, 2);
}

TEST(MemberLs, ShowsEachProgramsFormatsAndWhatHoldsTheClusters) {
  FakeWorld world;
  world.answers(
      "GET /v1/members", 200,
      R"({"format":1,"members":[{"node":"eu","state":"active","self":true,"formats":{"min":1,"max":2},"note":""},)"
      R"({"node":"us","state":"active","formats":{"min":1,"max":1},"note":"n"}]})");
  Ran result = world.run({"member", "ls"});
  EXPECT_THAT(result.out,
              HasSubstr("\tHEARD\tFORMATS\tNOTE\neu\t\tactive\t\t\t-\t1-2\t\nus\t\tactive\t\t\t-\t1\tn\n"));
  EXPECT_THAT(result.err, HasSubstr("the cluster writes format 1 until all members read a newer one"));
}

TEST(Upgrade, OfNoDirectoryExitsWithFourAndMakesNone) {
  FakeWorld world;
  Ran result = world.run({"upgrade", "--data-dir", "/nowhere/data"});
  EXPECT_EQ(result.exit, 4);
  EXPECT_THAT(result.err, HasSubstr("no refrain data directory in /nowhere/data"));
}

TEST(RequestComplete, SendsTheResponseAndTheOperations) {
  FakeWorld world;
  world.answers("POST /v1/requests/payments/o-1/complete?ack=log", 200,
                R"({"commit":"eu.1f.6","state":"published","completed_at":"t"})");
  Ran result =
      world.run({"request", "complete", "payments", "o-1", "--token", "T", "--data", "ok", "--status", "201",
                 "--content-type", "text/plain", "--operations", "-", "--seen-ttl", "7d", "--ack", "log"},
                R"([{"put":{"ns":"a","key":"b","value":"c"}}])");
  EXPECT_EQ(result.exit, 0) << result.err;
  EXPECT_EQ(
      world.calls[0].body,
      R"({"token":"T","response":{"status":201,"content_type":"text/plain","body":"ok"},"operations":[{"put":{"ns":"a","key":"b","value":"c"}}],"seen_ttl":"7d"})");
  EXPECT_EQ(result.out, "COMMIT\tSTATE\tCOMPLETED_AT\neu.1f.6\tpublished\tt\n");
}

TEST(RequestComplete, SendsBytesThatAreNoTextInBase64) {
  FakeWorld world;
  world.answers("POST /v1/requests/payments/o-1/complete", 200, "{}");
  (void)world.run({"request", "complete", "payments", "o-1", "--token", "T", "--file", "-"}, "\xFF");
  EXPECT_THAT(world.calls[0].body, HasSubstr(R"("body_base64":"/w==")"));
}

TEST(RequestComplete, CanSayThatTheResponseIsTooLarge) {
  FakeWorld world;
  world.answers("POST /v1/requests/payments/o-1/complete", 200, "{}");
  (void)world.run({"request", "complete", "payments", "o-1", "--token", "T", "--too-large"});
  EXPECT_EQ(world.calls[0].body, R"({"token":"T","response":null,"too_large":true})");
}

TEST(RequestComplete, OperationsThatAreNoJsonArrayNeverReachTheNode) {
  FakeWorld world;
  for (const char* input : {"", "{}", "[", "[1]]"}) {
    Ran result =
        world.run({"request", "complete", "payments", "o-1", "--token", "T", "--operations", "-"}, input);
    EXPECT_EQ(result.exit, 2) << input;
    EXPECT_THAT(world.calls, IsEmpty());
  }
}

TEST(RequestCommands, MakeTheirCalls) {
  FakeWorld world;
  world.answers("POST /v1/requests/p/i/renew", 200, R"({"lease_ms":5000,"lease_until":"t"})")
      .answers("POST /v1/requests/p/i/release", 200, R"({"commit":null,"state":"synced"})")
      .answers("POST /v1/requests/p/i/resolve", 200, R"({"commit":"c","state":"pending"})")
      .answers("GET /v1/requests/p/i", 200, R"({"state":"unknown","attempt":1,"response":null})")
      .answers("GET /v1/requests/p?state=unknown", 200,
               R"({"items":[{"id":"i","state":"unknown","attempt":1,"node":"eu"}],"after":null})");
  EXPECT_EQ(world.run({"request", "renew", "p", "i", "--token", "T", "--lease", "5s"}).out,
            "LEASE_MS\tLEASE_UNTIL\n5000\tt\n");
  EXPECT_EQ(world.calls[0].body, R"({"token":"T","lease":"5s"})");
  EXPECT_EQ(world.run({"request", "release", "p", "i", "--token", "T"}).exit, 0);
  EXPECT_EQ(world.run({"request", "resolve", "p", "i", "--release"}).exit, 0);
  EXPECT_EQ(world.calls[0].body, R"({"action":"release"})");
  EXPECT_EQ(world.run({"request", "resolve", "p", "i", "--complete", "--data", "x"}).exit, 0);
  EXPECT_EQ(world.calls[0].body, R"({"action":"complete","response":{"body":"x"}})");
  EXPECT_EQ(world.run({"request", "resolve", "p", "i"}).exit, 2);
  EXPECT_THAT(world.run({"request", "show", "p", "i"}).err, HasSubstr("refrain request resolve p i"));
  EXPECT_THAT(world.run({"request", "ls", "p", "--state", "unknown"}).out,
              HasSubstr("\ni\tunknown\t1\teu\t"));
}

TEST(EventsShow, SaysWhoHasItWhoNotAndWhy) {
  FakeWorld world;
  world.answers(
      "GET /v1/events/eu.5", 200,
      R"({"commit":"eu.1f.5","state":"published","at":"t","bytes":99,"operations":[{"kind":"put","ns":"orders","key":"1"}],)"
      R"("applied_by":["eu","us"],"waiting_for":["ap"],"why":"ap is silent since 11:02; start it, or evict it","last_error":""})");
  world.terminal = true;
  Ran result = world.run({"events", "show", "eu.5"});
  EXPECT_EQ(result.exit, 0);
  EXPECT_THAT(result.out, HasSubstr("HAS IT       eu, us\nHAS IT NOT   ap\nWHY          ap is silent since "
                                    "11:02; start it, or evict it\n"));
  EXPECT_THAT(result.out, HasSubstr("put orders/1"));
}

TEST(EventsLs, ListsTheOutbox) {
  FakeWorld world;
  world.answers(
      "GET /v1/events?state=failed", 200,
      R"({"items":[{"commit":"eu.1f.5","state":"failed","at":"t","bytes":9,"operations":[]}],"after":"eu.1f.5"})");
  Ran result = world.run({"events", "ls", "--state", "failed"});
  EXPECT_THAT(result.out, HasSubstr("\neu.1f.5\tfailed\tt\t9\t"));
  EXPECT_THAT(result.err, HasSubstr("there are more"));
}

TEST(Events, OfWhichTheBytesAreGoneHaveEmptyCellsForTimeAndSize) {
  const char* event =
      R"({"commit":"eu.1f.5","state":"stable","at":null,"bytes":null,"operations":[],"applied_by":["eu"],"waiting_for":[]})";
  FakeWorld world;
  world.answers("GET /v1/events", 200, std::string(R"({"items":[)") + event + "],\"after\":null}")
      .answers("GET /v1/events/eu.5", 200, event);
  EXPECT_THAT(world.run({"events", "ls"}).out, HasSubstr("\neu.1f.5\tstable\t\t\teu\t\t\n"));
  world.terminal = true;
  EXPECT_THAT(world.run({"events", "show", "eu.5"}).out, Not(HasSubstr("BYTES")));
}

TEST(OperatorCommands, MakeTheirCallsAndSaySo) {
  FakeWorld world;
  world.answers("POST /v1/events/retry", 200, R"({"done":"x"})")
      .answers("POST /v1/sync/us/resume?skip=7", 200, R"({"done":"x"})");
  EXPECT_EQ(world.run({"events", "retry"}).exit, 0);
  Ran resumed = world.run({"sync", "resume", "us", "--skip", "7"});
  EXPECT_EQ(resumed.exit, 0);
  EXPECT_EQ(resumed.out, "");
  EXPECT_THAT(resumed.err, HasSubstr("journal of us"));
}

TEST(Conflicts, AreListedShownAndResolved) {
  const char* conflict =
      R"({"id":"5f","ns":"orders","key":"1","open":true,"detected_at":"t",)"
      R"("winner":{"version":"v2-us","deleted":false,"value":"b","truncated":false},"loser":{"version":"v1-eu","deleted":true,"truncated":false}})";
  FakeWorld world;
  world
      .answers("GET /v1/conflicts?open=true", 200,
               std::string(R"({"items":[)") + conflict + "],\"after\":null}")
      .answers("GET /v1/conflicts/5f", 200, conflict)
      .answers("POST /v1/conflicts/5f/resolve", 200, kCommit);
  EXPECT_THAT(world.run({"conflicts", "ls", "--open"}).out,
              HasSubstr("\n5f\torders\t1\tv2-us\tv1-eu\tt\tyes\n"));
  EXPECT_THAT(world.run({"conflicts", "show", "5f"}).out, HasSubstr("\tv2-us\tb\tv1-eu\t(deleted)\n"));
  EXPECT_EQ(world.run({"conflicts", "resolve", "5f", "--keep", "loser"}).exit, 0);
  EXPECT_EQ(world.calls[0].body, R"({"choice":"loser"})");
  EXPECT_EQ(world.run({"conflicts", "resolve", "5f", "--value", "c"}).exit, 0);
  EXPECT_EQ(world.calls[0].body, R"({"choice":"value","value":"c"})");
  EXPECT_EQ(world.run({"conflicts", "resolve", "5f", "--delete"}).exit, 0);
  EXPECT_EQ(world.calls[0].body, R"({"choice":"delete"})");
  EXPECT_EQ(world.run({"conflicts", "resolve", "5f"}).exit, 2);
  EXPECT_EQ(world.run({"conflicts", "resolve", "5f", "--delete", "--keep", "winner"}).exit, 2);
}

TEST(Duplicates, SayWhichRunWasKept) {
  FakeWorld world;
  world.answers(
      "GET /v1/duplicates?all=true", 200,
      R"({"items":[{"id":"d","ns":"p","request":"i","possible":false,"detected_at":"t","winner":{"node":"eu","fencing":"2","response_hash":"aa"},)"
      R"("loser":{"node":"us","fencing":"1","response_hash":"bb"}}],"after":null})");
  EXPECT_THAT(world.run({"duplicates", "ls", "--all"}).out, HasSubstr("\np\ti\teu 2\tus 1\tno\tyes\tt\n"));
}

TEST(Members, AreListedWithTheirLog) {
  FakeWorld world;
  world.answers(
      "GET /v1/members", 200,
      R"({"members":[{"node":"eu","region":"r","state":"active","incarnation":"1f","address":"http://eu","self":true,"heard_ms":0,"note":""}],)"
      R"("log":[{"n":1,"hash":"0123456789abcdef","json":"{\"n\":1,\"kind\":\"found\",\"node\":\"eu\",\"by\":\"eu\",\"at\":\"t\"}"}]})");
  EXPECT_THAT(world.run({"member", "ls"}).out, HasSubstr("\neu\tr\tactive\t1f\thttp://eu\t-\t-\t\n"));
  EXPECT_THAT(world.run({"member", "log"}).out, HasSubstr("\n1\tt\tfound\teu\t\teu\t0123456789ab\n"));
}

TEST(Members, InTheirLogAnEntryIsByTheNodeThatWroteIt) {
  FakeWorld world;
  world.answers(
      "GET /v1/members", 200,
      R"({"members":[],"log":[{"n":2,"hash":"0123456789abcdef","json":"{\"n\":2,\"kind\":\"join\",\"node\":\"us\",\"by\":{\"node\":\"eu\",\"incarnation\":\"1f\"},\"at\":\"t\"}"}]})");
  EXPECT_THAT(world.run({"member", "log"}).out, HasSubstr("\n2\tt\tjoin\tus\t\teu\t0123456789ab\n"));
}

}  // namespace
}  // namespace refrain::cli
