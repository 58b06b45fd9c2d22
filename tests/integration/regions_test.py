# SPDX-License-Identifier: Apache-2.0
"""Three real processes on a real Kafka: what is promised on good days."""
import concurrent.futures
import unittest

from cluster import QUICK, Cluster, wait_until
from shared_broker import shared_broker, shared_relays
from writers import Writer, versions


class Regions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(shared_broker())
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start()

    def test_a_write_is_read_in_another_region_with_its_session(self):
        put = self.cluster["eu"].put("shop", "a/b", "1")
        self.assertEqual(put.status, 200, put.body)
        session = {"Refrain-Session": put.headers["refrain-session"]}
        for name in ("us", "ap"):
            read = self.cluster[name].get("shop", "a/b", "?wait=10s", session)
            self.assertEqual((read.status, read.body), (200, b"1"))
            self.assertEqual(read.headers["etag"], put.headers["etag"])

    def test_ack_all_answers_when_every_member_has_it(self):
        put = self.cluster["us"].put("shop", "everywhere", "1", "?ack=all&timeout=20s")
        self.assertEqual(put.status, 200, put.body)
        self.assertEqual(sorted(put.json()["applied_by"]), ["ap", "eu", "us"])
        for node in self.cluster:
            self.assertEqual(node.get("shop", "everywhere").body, b"1")

    def test_ack_of_one_node_and_of_the_log(self):
        self.assertEqual(self.cluster["eu"].put("shop", "k", "1", "?ack=ap&timeout=20s").status, 200)
        self.assertEqual(self.cluster["ap"].get("shop", "k").body, b"1")
        self.assertEqual(self.cluster["eu"].put("shop", "k", "2", "?ack=log&timeout=20s").status, 200)
        unknown = self.cluster["eu"].put("shop", "k", "3", "?ack=nobody")
        self.assertEqual((unknown.status, unknown.code), (400, "ack_unavailable"))

    def test_what_is_deleted_is_forgotten_by_all_once_all_have_it(self):
        before = {node.name: node.status()["collected_tombstones"] for node in self.cluster}
        self.assertEqual(self.cluster["eu"].put("shop", "gone", "1", "?ack=all&timeout=20s").status, 200)
        self.assertEqual(self.cluster["us"].call("DELETE", "/v1/kv/shop/gone?ack=all&timeout=20s").status, 200)
        for node in self.cluster:
            wait_until(lambda: node.status()["collected_tombstones"] > before[node.name], 30, f"{node.name} forgets it")
            self.assertEqual(node.get("shop", "gone").status, 404)
        again = self.cluster["ap"].put("shop", "gone", "anew", "?ack=all&timeout=20s")
        self.assertEqual(again.status, 200, again.body)
        for node in self.cluster:
            self.assertEqual(node.get("shop", "gone").body, b"anew")
            self.assertEqual(node.status()["conflicts_open"], 0)

    def test_an_event_goes_to_synced_and_names_its_holders(self):
        commit = self.cluster["ap"].put("shop", "event", "1").json()["commit"]

        def synced():
            event = self.cluster["ap"].call("GET", f"/v1/events/{commit}").json()
            return event if event["state"] in ("synced", "stable") else None

        event = wait_until(synced, 30, "the event is synced")
        self.assertEqual(sorted(event["applied_by"]), ["ap", "eu", "us"])
        self.assertEqual(event["waiting_for"], [])

    def test_a_request_is_done_once_across_regions(self):
        eu, us = self.cluster["eu"], self.cluster["us"]
        go = eu.begin("pay", "r1", query="?wait=20s")  # right after its start a node first catches up
        self.assertEqual(go.status, 201, go.body)
        self.assertEqual(go.headers["refrain-decision"], "go")
        token = go.json()["token"]
        done = eu.complete("pay", "r1", token, "charged", operations=[{"put": {"ns": "ledger", "key": "r1", "value": "100"}}])
        self.assertEqual(done.status, 200, done.body)
        session = {"Refrain-Session": done.headers["refrain-session"]}
        replay = us.call("POST", "/v1/requests/pay/r1/begin?wait=10s", "payload", session)
        self.assertEqual((replay.status, replay.body), (200, b"charged"))
        self.assertEqual(replay.headers["refrain-decision"], "replay")
        self.assertEqual(us.get("ledger", "r1").body, b"100")
        other = us.begin("pay", "r1", "another payload")
        self.assertEqual((other.status, other.code), (422, "fingerprint_mismatch"))

    def test_all_say_that_they_are_in_sync(self):
        self.cluster.wait_in_sync()


class Apart(unittest.TestCase):
    """Two regions that can be cut from each other."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(shared_broker(), names=("eu", "us"), config=QUICK, relays=shared_relays())
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start()
        cls.eu, cls.us = cls.cluster
        for node in cls.cluster:
            assert node.begin("pay", "warm-" + node.name, query="?wait=20s").status == 201  # catching up is over

    def test_a_session_from_the_future_of_another_node_is_stale_until_it_has_come(self):
        with self.cluster.apart("us"), concurrent.futures.ThreadPoolExecutor(2) as pool:
            put = self.eu.put("shop", "session", "1")
            seen = {"Refrain-Session": put.headers["refrain-session"]}
            begin = "/v1/requests/pay/stale/begin"
            for method, path, body in (("GET", "/v1/kv/shop/session", None), ("GET", "/v1/kv/shop/other", None),
                                       ("HEAD", "/v1/kv/shop/session", None), ("GET", "/v1/kv/shop", None),
                                       ("GET", "/v1/kv/shop/session?wait=100ms", None), ("POST", begin, "x"),
                                       ("POST", begin + "?wait=100ms", "x"),
                                       ("POST", "/v1/requests/pay/stale/execute", {"response": {}})):
                stale = self.us.call(method, path, body, seen)
                self.assertEqual(stale.status, 412, path)
                if method != "HEAD":
                    self.assertEqual(stale.code, "stale")
                    self.assertIn("eu", stale.json()["detail"])
            self.assertEqual(self.us.call("GET", "/v1/requests/pay/stale").status, 404)  # nothing was claimed
            self.assertEqual(self.us.get("shop", "session").status, 404)  # without the session
            self.assertEqual(self.us.put("shop", "blind", "1", headers=seen).status, 200)  # writes need not wait
            reading = pool.submit(self.us.get, "shop", "session", "?wait=30s", seen)
            beginning = pool.submit(self.us.call, "POST", begin + "?wait=30s", "x", seen)
            wait_until(lambda: self.us.status()["waiters"] >= 2, 10, "both wait")
            self.cluster.relays["us"].mend()
            self.assertEqual((reading.result().status, reading.result().body), (200, b"1"))
            self.assertEqual(beginning.result().status, 201)

    def test_a_session_joins_what_was_seen_at_each_node(self):
        seen = self.eu.put("shop", "joined-eu", "1").headers["refrain-session"]
        joined = self.us.put("shop", "joined-us", "1", headers={"Refrain-Session": seen}).headers["refrain-session"]
        for node in self.cluster:
            for key in ("joined-eu", "joined-us"):
                read = node.get("shop", key, "?wait=20s", {"Refrain-Session": joined})
                self.assertEqual((read.status, read.body), (200, b"1"), (node.name, key))

    def test_a_third_node_that_joins_under_load_has_all_that_was_before_and_comes_after(self):
        for start in range(0, 2000, 500):
            puts = [{"put": {"ns": "old", "key": f"k{start + i}", "value": f"v{start + i}"}} for i in range(500)]
            self.assertEqual(self.eu.call("POST", "/v1/commit", {"operations": puts}).status, 200)
        self.eu.call("DELETE", "/v1/kv/old/k7")
        self.eu.put("old", "lives", "1", "?ttl=1h")
        once = self.eu.put("old", "once", "1", headers={"Idempotency-Key": "once"})
        with self.cluster.apart("us"):
            for node in self.cluster:
                node.put("old", "conflict", node.name)
                node.complete("old", "twice", node.begin("old", "twice").json()["token"], node.name)
        done = self.eu.complete("old", "done", self.eu.begin("old", "done").json()["token"], "done", response_ttl="1h")
        self.assertEqual(done.status, 200)
        self.assertEqual(self.us.begin("old", "running", query="?lease=1h").status, 201)
        self.assertEqual(self.eu.begin("old", "unknown", query="?lease=1ms&on_expiry=hold").status, 201)
        for node in self.cluster:
            for path in ("/v1/conflicts?ns=old", "/v1/duplicates?ns=old"):
                wait_until(lambda n=node, p=path: n.items(p), 30, f"{path} in {node.name}")
        with Writer(self.us, "new") as writer:
            writer.wait(50)
            ap = self.cluster.add("ap").start()
            writer.wait(50)
        self.cluster.wait_same("new", f"k{writer.acknowledged[-1]}")
        for ns in ("old", "new"):
            self.assertEqual(versions(ap, ns), versions(self.eu, ns))
        self.assertEqual(len(versions(ap, "old")), 2000 - 1 + 3)
        self.assertEqual(ap.get("old", "k1999").body, b"v1999")
        self.assertEqual(ap.get("old", "k7").status, 404)
        self.assertLessEqual(writer.keys(), set(versions(ap, "new")))

        def told(node, path, *names):
            return [[item[name] for name in names] for item in node.items(path)]

        for path, *names in (("/v1/conflicts?ns=old", "id", "winner", "loser", "open"),
                             ("/v1/requests/old", "id", "state", "attempt"),
                             ("/v1/duplicates?ns=old&all=true", "id", "winner", "loser", "possible")):
            self.assertEqual(told(ap, path, *names), told(self.eu, path, *names))
            self.assertTrue(told(ap, path, *names), path)
        self.assertEqual(ap.get("old", "conflict").headers["refrain-conflicts"], "1")
        for request in ("done", "twice"):
            self.assertEqual(ap.begin("old", request).body, self.eu.begin("old", request).body)
            self.assertEqual(ap.begin("old", request).headers["refrain-decision"], "replay")
        self.assertEqual(ap.begin("old", "running").code, "request_in_progress")
        self.assertEqual(ap.begin("old", "unknown").code, "outcome_unknown")
        self.assertEqual(ap.begin("old", "done", "another").status, 422)
        again = ap.put("old", "once", "1", headers={"Idempotency-Key": "once"})
        self.assertEqual((again.status, again.headers["etag"]), (200, once.headers["etag"]))
        self.assertEqual(ap.put("new", "from-ap", "1", "?ack=all&timeout=20s").status, 200)
        self.cluster.wait_in_sync()


if __name__ == "__main__":
    unittest.main()
