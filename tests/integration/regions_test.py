# SPDX-License-Identifier: Apache-2.0
"""Three real processes on a real Kafka: what is promised on good days."""
import unittest

from cluster import Cluster, wait_until
from shared_broker import shared_broker


class Regions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(shared_broker()).start()

    @classmethod
    def tearDownClass(cls):
        cls.cluster.close()

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


if __name__ == "__main__":
    unittest.main()
