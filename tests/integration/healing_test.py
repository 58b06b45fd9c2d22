# SPDX-License-Identifier: Apache-2.0
"""Regions that come while others write, and a Kafka that forgets: healed without a command, named under `status` with
what was found and done. bench/healing.py tells the same stories at full size, with figures."""
import shutil
import unittest

from cluster import QUICK, Cluster, wait_until
from kafka_broker import KafkaBroker
from program import tables
from shared_broker import shared_broker
from writers import Writer, versions


def healed(node, what, found="", done=""):
    """Whether status lists it."""
    rows = node.status()["healed"]
    return any(row["what"] == what and found in row["found"] and done in row["done"] for row in rows)


class Healing(unittest.TestCase):
    def assert_all_everywhere(self, cluster, *writers):
        """Every acknowledged write, once, with one version; and verify finds no difference."""
        cluster.wait_in_sync(90)
        for writer in writers:
            shown = [versions(node, writer.ns) for node in cluster]
            for has in shown:
                self.assertLessEqual(writer.keys(), set(has))
                self.assertEqual(has, shown[0])
            self.assertEqual({version.rpartition("-")[2] for version in shown[0].values()}, {writer.node.name})
        for node in cluster:
            self.assertEqual(node.items("/v1/conflicts"), [])
        verified = cluster["eu"].cli("verify", "--deep")
        self.assertEqual(verified.returncode, 0, verified.stdout + verified.stderr)

    def test_a_region_that_comes_while_others_write_has_all_and_the_writes_go_on(self):
        with Cluster(shared_broker(), names=("eu", "us"), config=QUICK).start() as cluster:
            with Writer(cluster["eu"], "load-eu") as one, Writer(cluster["us"], "load-us") as other:
                for writer in (one, other):
                    writer.wait(300)
                ap = cluster.add("ap").start(seconds=90)
                for writer in (one, other):
                    writer.wait(200)
                self.assertEqual(ap.put("load-ap", "first", "1", "?ack=all&timeout=30s").status, 200)
            self.assert_all_everywhere(cluster, one, other)

    def test_a_node_away_past_retention_gets_all_without_a_command_and_both_sides_say_how(self):
        with Cluster(shared_broker(), names=("eu", "us", "ap"), config=QUICK).start() as cluster:
            eu, us, ap = cluster
            with Writer(eu, "load-eu") as writer:
                writer.wait(100)
                ap.kill()
                writer.wait(200)
                wait_until(lambda: eu.status()["published"] + 5 >= eu.status()["newest"], 30, "Kafka has it")
                with cluster.broker.client() as client:
                    for name in ("eu", "us"):
                        client.truncate(cluster.journal(name))
                ap.start()
                writer.wait(100)
            self.assert_all_everywhere(cluster, writer)
            self.assertTrue(healed(ap, "journal eu", done="read again from the log's start"), ap.status()["healed"])
            self.assertTrue(healed(ap, "journal eu", "were missing in the log", "eu published them again"))
            self.assertTrue(healed(eu, "own journal", "ap lacks commits from", "published again"))
            rows = [row for table in tables(ap.cli("status").stdout.decode()) for row in table if "HEALED AT" in row]
            self.assertTrue(any(row["WHAT"] == "journal eu" and row["FOUND"] and row["DONE"] for row in rows), rows)

    def test_an_empty_kafka_cluster_on_the_same_address_is_found_named_and_filled_under_load(self):
        with KafkaBroker() as broker, Cluster(broker, names=("eu", "us", "ap"), config=QUICK).start() as cluster:
            with Writer(cluster["eu"], "load-eu") as one, Writer(cluster["us"], "load-us") as other:
                for writer in (one, other):
                    writer.wait(200)
                broker.kill()
                shutil.rmtree(broker.directory / "data")
                broker.start()
                for node in cluster:
                    wait_until(lambda n=node: healed(n, "own journal", "Kafka is another cluster", "published again"), 60,
                               f"{node.name} names it")
                for writer in (one, other):
                    writer.wait(200)
            self.assert_all_everywhere(cluster, one, other)
            mended = [healed(node, "members log", "0 of its 5 entries were left", "written again") for node in cluster]
            self.assertIn(True, mended)  # whoever read it before it was whole again
            last = cluster["ap"].put("shop", "last", "1", "?ack=all&timeout=30s")
            self.assertEqual((last.status, last.json()["waiting_for"]), (200, []))

    def test_nodes_that_move_to_another_kafka_one_after_the_other_lose_nothing(self):
        with KafkaBroker() as old, KafkaBroker() as new, Cluster(old, names=("eu", "us"), config=QUICK).start() as cluster:
            with Writer(cluster["eu"], "load-eu") as one, Writer(cluster["us"], "load-us") as other:
                for node in cluster:
                    for writer in (one, other):
                        writer.wait(100)
                    node.config.write_text(node.config.read_text().replace(old.bootstrap, new.bootstrap))
                    self.assertEqual(node.stop(), 0)
                    node.start()
                for writer in (one, other):
                    writer.wait(100)
            self.assert_all_everywhere(cluster, one, other)

    def test_nothing_is_published_into_topics_of_another_cluster_on_that_address(self):
        with KafkaBroker() as broker, Cluster(broker, names=("eu", "us"), config=QUICK).start() as ours:
            eu, us = ours
            self.assertEqual(eu.put("shop", "before", "1", "?ack=all&timeout=20s").status, 200)
            for node in ours:
                node.kill()
            broker.kill()
            shutil.rmtree(broker.directory / "data")
            broker.start()
            topics = [ours.members_topic, ours.journal("eu"), ours.journal("us")]
            with Cluster(broker, names=("eu", "us"), config=QUICK, cluster=ours.cluster).start() as strangers:
                for node in strangers:
                    self.assertEqual(node.put("shop", "theirs", "1", "?ack=all&timeout=20s").status, 200)
            with broker.client() as client:
                theirs = {topic: client.bounds(topic) for topic in topics}
            for node in ours:
                node.start()
                self.assertEqual(node.put("shop", "after-" + node.name, "1").status, 200)
            for node in ours:
                wait_until(lambda n=node: "of another cluster" in n.status()["cause"], 30, f"{node.name} names the stranger")
                self.assertIn("kafka.brokers", node.status()["cause"])
            waits = eu.put("shop", "waits", "1", "?ack=log&timeout=2s")
            self.assertEqual((waits.status, waits.json()["state"]), (202, "pending"))
            with broker.client() as client:
                self.assertEqual({topic: client.bounds(topic) for topic in topics}, theirs)
                client.delete_topic(ours.members_topic)
            # Only their journals are left: the members log is ours again, and still nothing goes into those.
            for node in ours:
                node.wait_parked(node.name, "wrong_cluster")
            with broker.client() as client:
                self.assertEqual({topic: client.bounds(topic) for topic in topics[1:]},
                                 {topic: theirs[topic] for topic in topics[1:]})
                for topic in topics[1:]:
                    client.delete_topic(topic)
            for node in ours:  # what is parked is held until an operator's word
                for name in ("eu", "us"):
                    node.wait_parked(name, "wrong_cluster")
                    self.assertEqual(node.cli("sync", "resume", name).returncode, 0)
            ours.wait_in_sync(90)
            for key in ("before", "after-eu", "after-us", "waits"):
                self.assertEqual(ours.wait_same("shop", key), b"1")
            self.assertEqual(us.get("shop", "theirs").status, 404)


if __name__ == "__main__":
    unittest.main()
