# SPDX-License-Identifier: Apache-2.0
"""Real processes, real Kafka: a directory and a cluster of another format than this program's."""
import hashlib
import json
import os
import subprocess
import unittest

from cluster import PROGRAM, Cluster, wait_until
from program import tables
from shared_broker import shared_broker


def upgrade(*words, environment=None):
    return subprocess.run([str(PROGRAM), "upgrade", *map(str, words)], capture_output=True, text=True, timeout=60,
                          env={**os.environ, **(environment or {})})


class Directories(unittest.TestCase):
    def test_a_stopped_nodes_directory_of_this_format_has_nothing_to_upgrade_and_goes_on(self):
        with Cluster(shared_broker(), names=("eu",)).start() as cluster:
            eu = cluster["eu"]
            eu.put("shop", "kept", "1")
            running = upgrade("--config", eu.config)
            self.assertEqual(running.returncode, 1)
            self.assertIn(f"in use by the running process {eu.process.pid}", running.stderr)
            eu.stop()
            before = (eu.data / "FORMAT").read_text()
            for words, environment in ((("--config", eu.config), {}), (("--data-dir", eu.data), {}),
                                       ((), {"REFRAIN_CONFIG": str(eu.config)})):
                done = upgrade(*words, environment=environment)
                self.assertEqual(done.returncode, 0, done.stderr)
                row = tables(done.stdout)[0][0]
                self.assertEqual((row["NODE"], row["FOUND_FORMAT"], row["THIS_PROGRAM_OPENS"], row["FORMAT_NOW"]),
                                 ("eu", "1", "1", "1"))
                self.assertIn("nothing to do", done.stderr)
            self.assertEqual((eu.data / "FORMAT").read_text(), before)
            eu.start()
            self.assertEqual(eu.get("shop", "kept").body, b"1")

    def test_a_newer_an_older_a_damaged_a_lost_and_no_directory_are_refused_and_left_as_they_are(self):
        with Cluster(names=("eu",)) as cluster:
            eu = cluster["eu"].start()
            eu.stop()
            marker = eu.data / "FORMAT"
            text = marker.read_text()
            serve = [str(PROGRAM), "serve", "--config", str(eu.config)]

            def refused(said, changed):
                marker.write_text(changed)
                served = subprocess.run(serve, capture_output=True, text=True, timeout=60)
                for ended in (upgrade("--config", eu.config), served):
                    self.assertEqual(ended.returncode, 1, ended.stderr)
                    for words in said:
                        self.assertIn(words, ended.stderr)
                self.assertEqual(marker.read_text(), changed)

            first = "format 1\noldest_reader 1\n"
            self.assertIn(first, text)
            refused(("store format 3", "reads format 2", "this program reads format 1"),
                    text.replace(first, "format 3\noldest_reader 2\n"))
            refused(("store format 0", "opens formats 1 to 1", "step by step"),
                    text.replace(first, "format 0\noldest_reader 1\n"))
            refused(("cannot be read",), "form")
            (eu.data / "db").rename(eu.data / "elsewhere")
            refused(("lost its store",), text)
            (eu.data / "elsewhere").rename(eu.data / "db")
            nowhere = upgrade("--data-dir", eu.data / "none")
            self.assertEqual(nowhere.returncode, 4)
            self.assertFalse((eu.data / "none").exists())
            eu.start()


class Clusters(unittest.TestCase):
    def announce(self, cluster, node, formats):
        """The entry by which a node of another program says which formats it reads."""
        with cluster.broker.client() as client:
            records = [record.value for record in client.records(cluster.members_topic)]
        entries = [json.loads(record) for record in records]
        own = next(e for e in reversed(entries) if e["node"] == node and e["kind"] in ("found", "join"))
        own.pop("replaces", None)
        entry = {**own, "n": entries[-1]["n"] + 1, "prev": hashlib.sha256(records[-1]).hexdigest(), "kind": "update",
                 "formats": formats}
        with cluster.broker.client() as client:
            client.produce(cluster.members_topic, json.dumps(entry).encode())

    def test_a_program_older_than_what_all_members_write_stops_and_does_not_join(self):
        with Cluster(shared_broker(), names=("eu", "us")).start() as cluster:
            eu, us = cluster["eu"], cluster["us"]
            eu.put("shop", "kept", "1")
            cluster.wait_same("shop", "kept")
            members = eu.call("GET", "/v1/members").json()
            self.assertEqual((members["format"], [m["formats"] for m in members["members"]]),
                             (1, [{"min": 1, "max": 1}] * 2))
            eu.stop()
            self.announce(cluster, "eu", {"min": 1, "max": 2})
            wait_until(lambda: us.status()["members"][0]["formats"]["max"] == 2, 30, "us knows of eu's new program")
            self.assertEqual(us.status()["format"], 1)  # us holds it
            us.stop()
            self.announce(cluster, "us", {"min": 1, "max": 2})
            stranger = cluster.add("ap")
            for node in (eu, us, stranger):
                node.start(ready=False)
                self.assertEqual(node.wait_ended(60), 1, node.name)
                self.assertIn("the cluster writes format 2, this program reads 1", node.log_text())
                self.assertIn("newer_format", node.log_text())
            with cluster.broker.client() as client:
                kinds = [json.loads(r.value)["node"] for r in client.records(cluster.members_topic)]
            self.assertNotIn("ap", kinds)

    def test_an_entry_that_would_lower_the_format_counts_nowhere(self):
        with Cluster(shared_broker(), names=("eu",)).start() as cluster:
            n = cluster["eu"].call("GET", "/v1/members").json()["n"]
            self.announce(cluster, "eu", {"min": 0, "max": 0})
            cluster.add("us").start()
            members = cluster["eu"].call("GET", "/v1/members").json()
            self.assertEqual((members["n"], members["format"]), (n + 2, 1))  # join and active of us


if __name__ == "__main__":
    unittest.main()
