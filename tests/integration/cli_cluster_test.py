# SPDX-License-Identifier: Apache-2.0
"""`refrain` against two nodes that met after a cut: status, sync, events, members, conflicts, duplicates, --watch, and
JSON as the node gave it."""
import json
import subprocess
import unittest

import openapi_check
from cluster import PROGRAM, QUICK, Cluster, wait_until
from program import Program, Recorder, Watched, tables
from shared_broker import shared_broker, shared_relays

WATCHABLE = (["status"], ["sync"], ["events", "ls"], ["events", "show"], ["conflicts", "ls"], ["member", "ls"])


class TwoNodes(Program):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(shared_broker(), names=("eu", "us"), config=QUICK, relays=shared_relays())
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start()
        cls.eu, cls.us = cls.cluster
        cls.server = cls.eu.url
        for node in cls.cluster:
            assert node.begin("pay", "warm-" + node.name, query="?wait=20s").status == 201  # catching up is over
        cls.keys = ("winner", "loser", "value", "file", "delete", "json")

        with cls.cluster.apart("us"):
            for node in cls.cluster:
                for key in cls.keys:
                    assert node.put("shop", key, node.name).status == 200
                token = node.begin("pay", "twice").json()["token"]
                assert node.complete("pay", "twice", token, node.name).status == 200
        for node in cls.cluster:
            wait_until(lambda n=node: len(n.items("/v1/conflicts")) >= len(cls.keys) and n.items("/v1/duplicates"), 60,
                       f"{node.name} lists what met")
        cls.cluster.wait_in_sync()

    def conflict(self, key, node=None):
        items = (node or self.eu).items(f"/v1/conflicts?ns=shop&key={key}&open=true")
        return items[0]["id"] if items else None

    def closed(self, key):
        """The key's value, once it is the same everywhere and no conflict is open."""
        for node in self.cluster:
            wait_until(lambda n=node: not self.conflict(key, n), 20, f"no conflict of {key} is open in {node.name}")

        def same():
            etags = {node.get("shop", key).headers.get("etag") for node in self.cluster}
            return etags if len(etags) == 1 else None

        etags = wait_until(same, 20, f"the same {key} everywhere")
        answer = self.us.get("shop", key)
        self.assertNotIn("refrain-conflicts", answer.headers)
        return answer.body if etags != {None} else None

    def resolve(self, key, *choice, **more):
        found = self.conflict(key)
        row = self.row("conflicts", "resolve", found, *choice, **more)
        self.assertRegex(row["VERSION"], r"^[0-9a-f]{16}-eu$")
        value = self.closed(key)
        _, err = self.run_it("conflicts", "resolve", found, *choice, code=4)  # the key has changed meanwhile
        self.assertIn("version_mismatch", err)
        return value

    def test_conflicts_are_listed_and_shown(self):
        out, err = self.run_it("conflicts", "ls", "--ns", "shop")
        self.assertLessEqual(set(self.keys), {row["KEY"] for row in tables(out)[0]})
        self.assertEqual(err, "")
        _, err = self.run_it("conflicts", "ls", "--limit", "1")
        self.assertIn("there are more", err)
        found = self.conflict("json")
        shown = self.row("conflicts", "show", found)
        self.assertEqual((shown["KEY"], shown["OPEN"]), ("json", "yes"))
        self.assertEqual({shown["WINNER_VALUE"], shown["LOSER_VALUE"]}, {"eu", "us"})
        self.assertEqual(self.row("conflicts", "ls", "--ns", "shop", "--key", "json", "--open")["ID"], found)
        _, err = self.run_it("kv", "get", "shop", "json")
        self.assertIn("1 open conflict(s)", err)

    def test_a_conflict_is_resolved_with_its_winner(self):
        winner = self.eu.get("shop", "winner").body
        self.assertEqual(self.resolve("winner", "--keep", "winner"), winner)

    def test_a_conflict_is_resolved_with_its_loser(self):
        loser = {b"eu", b"us"} - {self.eu.get("shop", "loser").body}
        self.assertEqual({self.resolve("loser", "--keep", "loser")}, loser)

    def test_a_conflict_is_resolved_with_another_value(self):
        self.assertEqual(self.resolve("value", "--value", "both"), b"both")
        self.assertEqual(self.resolve("file", "--file", self.file("from a file")), b"from a file")

    def test_a_conflict_is_resolved_by_deleting_the_key(self):
        self.assertIsNone(self.resolve("delete", "--delete"))

    def test_duplicates_are_listed_alike_everywhere(self):
        rows = []
        for node in self.cluster:
            rows.append(self.row("duplicates", "ls", "--ns", "pay", "--server", node.url))
            all_of_them, _ = self.run_it("duplicates", "ls", "--all", "--server", node.url)
            self.assertIn(rows[-1], tables(all_of_them)[0])
        self.assertEqual(rows[0], rows[1])
        self.assertEqual((rows[0]["REQUEST"], rows[0]["SAME RESPONSE"], rows[0]["CERTAIN"]), ("twice", "no", "yes"))
        self.assertEqual({rows[0][run].split()[0] for run in ("KEPT RUN", "LOST RUN")}, {"eu", "us"})

    def test_members_and_their_log(self):
        out, err = self.run_it("member", "ls")
        self.assertEqual([(r["MEMBER"], r["REGION"], r["STATE"], r["ADDRESS"]) for r in tables(out)[0]],
                         [(n.name, "region-" + n.name, "active", n.url) for n in self.cluster])
        out, err = self.run_it("member", "log")
        self.assertEqual([(r["N"], r["KIND"], r["NODE"]) for r in tables(out)[0]][:3],
                         [("1", "found", "eu"), ("2", "join", "us"), ("3", "active", "us")])
        self.assertEqual(err, "")

    def test_status_and_sync_of_two_that_are_in_sync(self):
        self.cluster.wait_in_sync()
        node, members = tables(self.run_it("status")[0])[:2]
        self.assertEqual((node[0]["IN_SYNC"], node[0]["NODE"], node[0]["MODE"]), ("yes", "eu", "active"))
        self.assertEqual([(m["MEMBER"], m["NOTE"]) for m in members], [("eu", "this node"), ("us", "")])
        self.assertRegex(members[1]["HEARD"], r"^\d\.\ds$")
        out, err = self.run_it("sync")
        cells = [(row["READER"], row["JOURNAL"]) for row in tables(out)[0]]
        self.assertEqual(cells, [("eu", "eu"), ("eu", "us"), ("us", "eu"), ("us", "us")])
        self.assertEqual(err, "")

    def test_a_node_that_cannot_reach_kafka_is_10_and_says_why(self):
        self.cluster.wait_in_sync()
        with self.cluster.apart("us"):
            put = self.us.put("shop", "alone", "1").json()["commit"]

            def out_of_sync():
                done = self.us.cli("status", "--max-lag", "500ms")
                return done.returncode == 10 and "Kafka unreachable since" in done.stdout.decode() and done

            done = wait_until(out_of_sync, 30, "status is 10 and says since when Kafka is away")
            self.assertEqual(done.stderr, b"")
            node, _, rest, checks = tables(done.stdout.decode())[:4]
            self.assertTrue(node[0]["IN_SYNC"].startswith("no: "), node)
            self.assertIn("refused", node[0]["CAUSE"])
            self.assertRegex(rest[0]["KAFKA"], r"^unreachable since 20\S+Z: ")
            self.assertIn("kafka", [row["CHECK"] for row in checks])
            us = ["--server", self.us.url]
            out, err = self.run_it("sync", "--max-lag", "500ms", *us, code=10)
            self.assertIn("not in sync", err)
            out, err = self.run_it("events", "ls", "--state", "pending", *us)
            self.assertIn((put, "put shop/alone"), [(r["COMMIT"], r["OPERATIONS"]) for r in tables(out)[0]])
            shown = self.row("events", "show", put, *us)
            self.assertEqual((shown["STATE"], shown["HAS_IT"], shown["HAS_IT_NOT"]), ("pending", "us", "eu"))
            self.assertIn("Kafka", shown["WHY"])
            out, err = self.run_it("kv", "put", "shop", "alone", "2", "--ack", "all", "--timeout", "100ms", *us)  # 202
            self.assertEqual(tables(out)[0][0]["WAITING_FOR"], "eu")
            self.assertIn("refrain events show us.", err)
        out, err = self.run_it("events", "retry", *us)
        self.assertEqual(out, "")
        self.assertNotEqual(err, "")

        def everywhere():
            return self.row("events", "show", put, *us)["STATE"] in ("synced", "stable")

        wait_until(everywhere, 30, "the event is synced")
        self.cluster.wait_in_sync()

    def test_an_event_that_nobody_knows_is_4(self):
        self.run_it("events", "show", "eu.999999999", code=4)

    def test_a_parked_journal_is_10_named_and_resumed(self):
        self.cluster.wait_in_sync()
        self.assertIn("not parked", self.run_it("sync", "resume", "us", code=4)[1])
        with self.cluster.broker.client() as client:
            offset = client.produce(self.cluster.journal("us"), b"garbage")
        wait_until(lambda: self.eu.cli("sync").returncode == 10, 30, "the journal is parked")
        out, err = self.run_it("sync", code=10)
        ((parked,),) = tables(out)[1:]
        self.assertEqual((parked["PARKED JOURNAL"], parked["REASON"], parked["OFFSET"]), ("us", "corrupt", str(offset)))
        self.assertIn("the journal of us is parked: corrupt", err)
        self.run_it("status", code=10)
        self.run_it("sync", "resume", "us", "--skip", str(offset + 1), code=2)
        out, err = self.run_it("sync", "resume", "us", "--skip", str(offset))
        self.assertEqual(out, "")
        self.assertIn("read again", err)
        self.cluster.wait_in_sync()

    def test_json_is_the_answer_of_the_node_unchanged(self):
        commit = self.eu.put("shop", "k", "v", "?ack=all&timeout=20s").json()["commit"]
        token = self.eu.begin("pay", "json", query="?wait=20s").json()["token"]
        self.assertEqual(self.eu.begin("pay", "json-held", "", "?lease=1ms&on_expiry=hold").status, 201)
        wait_until(lambda: self.eu.begin("pay", "json-held", "").code == "outcome_unknown", 30, "unknown")
        found = self.conflict("json")
        of_json = ["pay", "json", "--token", token]
        for words in (
            ["status"], ["sync"], ["events", "ls"], ["events", "show", commit], ["events", "retry"], ["member", "ls"],
            ["member", "log"], ["conflicts", "ls"], ["conflicts", "show", found],
            ["conflicts", "resolve", found, "--keep", "winner"],
            ["kv", "put", "shop", "k", "w"], ["kv", "scan", "shop", "--values"], ["kv", "del", "shop", "k"],
            ["request", "begin", "pay", "json-go"], ["request", "renew", *of_json], ["request", "show", "pay", "json"],
            ["request", "complete", *of_json, "--data", "x"], ["request", "ls", "pay"],
            ["request", "resolve", "pay", "json-held", "--release"], ["duplicates", "ls", "--all"],
        ):
            with Recorder(self.eu) as recorder:
                command = [str(PROGRAM), *words, "--format", "json", "--server", recorder.url]
                done = subprocess.run(command, capture_output=True, timeout=60)
            for method, path, answer in recorder.calls:
                self.assertEqual(openapi_check.check(method, path, answer), [], words)
            self.assertEqual((done.returncode, done.stdout), (0, recorder.calls[0][2].body + b"\n"), words)
            self.assertEqual(done.stdout.count(b"\n"), 1, words)
            json.loads(done.stdout)

    def test_watch_with_json_gives_one_object_a_line(self):
        commit = self.eu.put("shop", "watched", "1").json()["commit"]
        for words in WATCHABLE:
            words = words + [commit] if words == ["events", "show"] else words
            how = ("--watch", "--interval", "100ms", "--format", "json", "--server", self.eu.url)
            with Watched(*words, *how) as watched:
                wait_until(lambda w=watched: len(w.out) >= 3, 20, f"three lines of {words}")
                for line in watched.out[:3]:
                    self.assertIsInstance(json.loads(line), dict, words)

    def test_watch_outlives_a_node_that_goes_away_and_comes_back(self):
        words = ("status", "--watch", "--interval", "100ms", "--format", "json", "--server", self.eu.url)
        with Watched(*words) as watched:
            wait_until(lambda: watched.out, 20, "a line")
            self.eu.kill()
            wait_until(lambda: any("cannot reach" in line for line in watched.err), 20, "that it is away")
            before = len(watched.out)
            self.eu.start()
            wait_until(lambda: len(watched.out) >= before + 2, 20, "lines again")
            self.assertIsNone(watched.process.poll())
            for line in watched.out:
                json.loads(line)
        self.cluster.wait_in_sync()


if __name__ == "__main__":
    unittest.main()
