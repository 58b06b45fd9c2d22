# SPDX-License-Identifier: Apache-2.0
"""What a stranger, or a bad day, puts on the topics: that journal is parked and named, the others go on, and nothing
counts that was not written by its node."""
import json
import os
import unittest

from cluster import QUICK, Cluster, wait_until
from records import forged, is_good, seq_of
from shared_broker import shared_broker, shared_relays

MIB = 1 << 20


class BadRecords(unittest.TestCase):
    """One cluster for all: each test leaves it in sync. us is the node whose journal is hurt."""

    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(shared_broker(), config=QUICK)
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start()
        cls.eu, cls.us, cls.ap = cls.cluster

    def setUp(self):
        self.key = os.urandom(6).hex()
        self.cluster.wait_in_sync()

    def tearDown(self):
        self.assertEqual(self.cluster.mend(), [], "nodes ended")

    def produce(self, *values):
        with self.cluster.broker.client() as client:
            return client.produce(self.cluster.journal("us"), *values)

    def newest(self):
        """us's newest record, whole."""
        with self.cluster.broker.client() as client:
            return [r.value for r in client.records(self.cluster.journal("us")) if is_good(r.value)][-1]

    def hurt(self, value, reason):
        self.us.put("shop", "before" + self.key, "1")
        self.cluster.wait_same("shop", "before" + self.key)
        offset = self.produce(value)
        row = self.eu.wait_parked("us", reason)
        self.assertEqual(row["offset"], offset)
        self.assertIn("refrain sync resume us", row["help"])
        cause = self.eu.status()["cause"]
        self.assertIn("journal of us is parked", cause)
        self.assertIn(f"({reason})", cause)
        self.assertEqual(self.eu.call("GET", "/health/ready").status, 200)
        metrics = self.eu.call("GET", "/metrics").body.decode()
        self.assertRegex(metrics, rf'(?m)^refrain_parked_journals\{{.*reason="{reason}".*\}} 1$')
        self.us.resume()
        self.ap.put("shop", "others" + self.key, "1")  # the other journals go on
        wait_until(lambda: self.eu.get("shop", "others" + self.key).status == 200, 20, "ap's write in eu")
        self.us.put("shop", "after" + self.key, "1", "?ack=log&timeout=20s")
        self.assertEqual(self.eu.get("shop", "after" + self.key).status, 404)
        for node in (self.eu, self.ap):
            node.wait_parked("us", reason)
            resumed = node.cli("sync", "resume", "us", "--skip", str(offset))
            self.assertEqual(resumed.returncode, 0, resumed.stderr)
        self.assertEqual(self.cluster.wait_same("shop", "after" + self.key), b"1")
        self.cluster.wait_in_sync()

    def test_garbage_parks_the_journal_until_it_is_skipped(self):
        self.hurt(b"garbage", "corrupt")

    def test_an_empty_record_parks_the_journal(self):
        self.hurt(b"", "corrupt")

    def test_a_flipped_bit_parks_the_journal(self):
        value = self.newest()
        self.hurt(value[:-1] + bytes([value[-1] ^ 1]), "corrupt")

    def test_an_oversize_record_parks_the_journal(self):
        with self.cluster.broker.client() as client:
            client.set_topic_config(self.cluster.journal("us"), {"max.message.bytes": 16 * MIB})
        self.hurt(b"\x01" + os.urandom(8 * MIB), "corrupt")

    def test_a_newer_format_parks_the_journal(self):
        self.hurt(b"\x02" + b"\x00" * 20, "newer_format")

    def test_another_clusters_record_parks_the_journal(self):
        with Cluster(shared_broker(), names=("us",)).start() as other:
            other["us"].put("shop", "foreign", "1", "?ack=log&timeout=20s")
            with other.broker.client() as client:
                value = list(client.records(other.journal("us")))[-1].value
        self.hurt(value, "wrong_cluster")

    def test_other_bytes_under_a_known_place_park_the_journal(self):
        self.hurt(forged(self.newest(), later=1), "cloned_node")

    def test_a_next_commit_that_is_not_newer_parks_the_journal(self):
        self.us.pause()  # it writes a tick each second, and the forged one is to stand in its place
        value = self.newest()
        wait_until(lambda: self.applied(self.eu) == seq_of(value), 20, "eu has all that us wrote")
        offset = self.produce(forged(value, seq=seq_of(value) + 1))
        for node in (self.eu, self.ap):
            self.assertEqual(node.wait_parked("us", "clock_regressed")["offset"], offset)
            self.assertEqual(node.cli("sync", "resume", "us", "--skip", str(offset)).returncode, 0)
        self.us.resume()
        self.us.put("shop", self.key, "1")
        self.cluster.wait_same("shop", self.key)

    def applied(self, node):
        cells = node.call("GET", "/v1/sync").json()["cells"]
        return next(c["applied"] for c in cells if (c["reader"], c["journal"]) == (node.name, "us"))

    def test_a_record_from_the_future_is_not_applied_and_hinders_nothing(self):
        put = self.us.put("shop", self.key, "1")
        self.cluster.wait_same("shop", self.key)
        with self.cluster.broker.client() as client:
            values = [r.value for r in client.records(self.cluster.journal("us")) if self.key.encode() in r.value]
        future = seq_of(values[-1]) + 100
        self.produce(forged(values[-1], seq=future, later=1000))
        self.us.put("shop", "after" + self.key, "1")
        self.cluster.wait_same("shop", "after" + self.key)
        for node in (self.eu, self.ap):
            self.assertLess(self.applied(node), future)
            self.assertEqual(node.get("shop", self.key).headers["etag"], put.headers["etag"])
            self.assertEqual(node.call("GET", "/v1/sync").json()["parked"], [])
        for number in range(100):  # past that place: it is us who says what stands there
            self.us.put("shop", self.key, str(number))
        self.assertEqual(self.cluster.wait_same("shop", self.key), b"99")
        self.cluster.wait_in_sync()

    def test_records_twice_and_out_of_order_change_nothing(self):
        for number in range(20):
            self.us.put("shop", self.key, str(number))
        self.assertEqual(self.cluster.wait_same("shop", self.key), b"19")
        with self.cluster.broker.client() as client:
            values = [r.value for r in client.records(self.cluster.journal("us")) if self.key.encode() in r.value]
        self.produce(*reversed(values))
        self.us.put("shop", "after" + self.key, "1")
        self.cluster.wait_same("shop", "after" + self.key)
        self.assertEqual(self.cluster.wait_same("shop", self.key), b"19")
        self.assertEqual(self.eu.call("GET", f"/v1/conflicts?ns=shop&key={self.key}").json()["items"], [])
        self.cluster.wait_in_sync()


class Holes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(shared_broker(), names=("eu", "us"), config=QUICK, relays=shared_relays())
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start()
        cls.eu, cls.us = cls.cluster

    def setUp(self):
        self.cluster.wait_in_sync()

    def tearDown(self):
        self.assertEqual(self.cluster.mend(), [], "nodes ended")

    def test_records_that_kafka_lost_are_sent_again_and_the_healing_is_named(self):
        with self.cluster.apart("eu"):
            for number in range(10):
                self.assertEqual(self.us.put("shop", f"hole{number}", "1", "?ack=log&timeout=20s").status, 200)
            with self.cluster.broker.client() as client:
                _, end = client.bounds(self.cluster.journal("us"))
                client.truncate(self.cluster.journal("us"), end - 3)
        for number in range(10):
            self.assertEqual(self.cluster.wait_same("shop", f"hole{number}", 60), b"1")
        self.cluster.wait_in_sync()
        healed = [item["what"] for item in self.eu.status()["healed"]]
        self.assertTrue(any("us" in what for what in healed), healed)

    def delete_journal(self, cluster):
        with cluster.broker.client() as client:
            client.delete_topic(cluster.journal("us"))

    def test_a_journal_topic_that_was_deleted_is_published_again_and_its_node_still_ends_when_told(self):
        for number in range(3):
            self.us.put("shop", f"before{number}", "1")
            self.cluster.wait_same("shop", f"before{number}")
            self.delete_journal(self.cluster)
            for _ in range(5):
                self.us.put("shop", f"after{number}", "1")
            self.assertEqual(self.cluster.wait_same("shop", f"after{number}", 90), b"1")
            self.cluster.wait_in_sync(90)
            self.assertEqual(self.us.stop(10), 0)
            self.us.start()

    def test_a_journal_topic_that_was_deleted_while_its_node_was_down_is_published_again(self):
        self.us.put("shop", "before-down", "1")
        self.assertEqual(self.us.stop(), 0)
        self.delete_journal(self.cluster)
        self.us.start()
        self.us.put("shop", "after-down", "1")
        for key in ("before-down", "after-down"):
            self.assertEqual(self.cluster.wait_same("shop", key, 60), b"1")

    def test_a_journal_topic_that_was_deleted_right_after_the_start_is_published_again(self):
        with Cluster(shared_broker(), names=("eu", "us"), config=QUICK).start() as cluster:
            self.delete_journal(cluster)
            cluster["us"].put("shop", "after", "1")
            self.assertEqual(cluster.wait_same("shop", "after"), b"1")

    def test_garbage_in_its_own_journal_holds_a_restarted_node_until_it_is_skipped(self):
        with self.cluster.broker.client() as client:
            offset = client.produce(self.cluster.journal("us"), b"garbage")
        self.eu.wait_parked("us", "corrupt")
        self.assertEqual(self.eu.cli("sync", "resume", "us", "--skip", str(offset)).returncode, 0)
        self.us.stop()
        self.us.start()
        put = self.us.put("shop", "held", "1")
        self.assertEqual(put.status, 200)
        self.us.wait_parked("us", "corrupt")  # until it has read its own journal it publishes nothing
        wait_until(lambda: "journal of us is parked" in (self.us.status()["cause"] or ""), 20, "status names it")
        why = self.us.call("GET", f"/v1/events/{put.json()['commit']}").json()["why"]
        self.assertIn("parked", why)
        self.assertEqual(self.eu.get("shop", "held").status, 404)
        self.assertEqual(self.us.cli("sync", "resume", "us", "--skip", str(offset)).returncode, 0)
        self.cluster.wait_same("shop", "held")
        self.us.stop()
        self.us.start()  # what was skipped once stays skipped
        self.us.put("shop", "held", "2")
        self.assertEqual(self.cluster.wait_same("shop", "held"), b"2")


class MembersLog(unittest.TestCase):
    def entries(self, cluster):
        with cluster.broker.client() as client:
            return [record.value for record in client.records(cluster.members_topic)]

    def produce(self, cluster, *values):
        with cluster.broker.client() as client:
            client.produce(cluster.members_topic, *values)

    def test_garbage_is_passed_over(self):
        with Cluster(shared_broker(), names=("eu", "us", "ap")) as cluster:
            cluster["eu"].start()
            oversize = self.entries(cluster)[0].ljust(2 * MIB)  # an entry that would be one, were it shorter
            self.produce(cluster, b"not an entry", b"{}", b"", b"\x00" * 1000, oversize, b"{" * MIB)
            cluster["us"].start()
            cluster["ap"].start()
            cluster["eu"].put("shop", "a", "1")
            cluster.wait_same("shop", "a")
            self.assertEqual(len({node.call("GET", "/v1/members").json()["hash"] for node in cluster}), 1)

    def test_another_clusters_entry_stops_publishing_and_joining_until_it_is_gone(self):
        with Cluster(shared_broker(), names=("eu", "us"), config=QUICK).start() as cluster:
            joins = [entry for entry in self.entries(cluster) if json.loads(entry)["kind"] == "join"]
            self.produce(cluster, json.dumps({**json.loads(joins[0]), "cluster_id": "0000beef"}).encode())
            for node in cluster:
                wait_until(lambda n=node: "0000beef" in n.status()["cause"], 30, f"{node.name} names the stranger")
                self.assertEqual(node.call("GET", "/health/ready").status, 200)
            put = cluster["eu"].put("shop", "held", "1", "?ack=log&timeout=1s")
            self.assertEqual((put.status, put.json()["state"]), (202, "pending"))
            self.assertEqual(cluster["us"].get("shop", "held").status, 404)
            stranger = cluster.add("ap").start(ready=False)
            self.assertEqual(stranger.wait_ended(30), 1)
            self.assertIn("wrong_cluster", stranger.log_text())
            with cluster.broker.client() as client:
                client.delete_topic(cluster.members_topic)  # its members write it again
            stranger.start()
            self.assertEqual(cluster.wait_same("shop", "held", 60), b"1")

    def test_a_newer_entry_stops_every_node_and_is_never_passed_over(self):
        with Cluster(shared_broker(), names=("eu", "us")).start() as cluster:
            newest = json.loads(self.entries(cluster)[-1])
            newer = {**newest, "n": newest["n"] + 1, "min_reader": 99, "kind": "split"}
            self.produce(cluster, json.dumps(newer).encode())
            for node in cluster:
                self.assertEqual(node.wait_ended(30), 1)
                self.assertIn("newer_format", node.log_text())
                node.start(ready=False)
                self.assertEqual(node.wait_ended(30), 1)


if __name__ == "__main__":
    unittest.main()
