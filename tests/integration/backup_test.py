# SPDX-License-Identifier: Apache-2.0
"""Real processes, real Kafka: what is void comes out and in again; a cluster that lost everything begins again from a
backup."""
import json
import os
import pathlib
import shutil
import subprocess
import unittest

from cluster import PROGRAM, QUICK, Cluster, wait_until
from program import tables
from shared_broker import shared_broker, shared_relays
from writers import Writer, versions


class VoidCommits(unittest.TestCase):
    def test_what_an_older_directory_wrote_is_exported_and_imported_elsewhere_but_not_over_newer_versions(self):
        with Cluster(shared_broker(), names=("eu", "us"), config=QUICK, relays=shared_relays()).start() as cluster:
            eu, us = cluster["eu"], cluster["us"]
            self.assertEqual(eu.put("shop", "moved", "old", "?ack=all&timeout=20s").status, 200)
            self.assertEqual(eu.stop(), 0)
            copy = f"{eu.data}.copy"
            shutil.copytree(eu.data, copy)
            eu.start()
            self.assertEqual(eu.put("shop", "moved", "newer", "?ack=all&timeout=20s").status, 200)
            eu.kill()
            shutil.rmtree(eu.data)
            shutil.move(copy, eu.data)
            with cluster.apart("eu"):
                eu.start()
                for key, value in (("moved", "void"), ("fresh", "1"), ("fresh", "2")):
                    self.assertEqual(eu.put("shop", key, value).status, 200)
            wait_until(lambda: eu.status()["mode"].startswith("rolled back"), 60, "eu finds that its directory is older")
            wait_until(lambda: eu.status()["void_commits"] >= 3, 30, "they are aside")

            exported = eu.cli("events", "export")
            self.assertEqual(exported.returncode, 0, exported.stderr)
            lines = exported.stdout.splitlines()
            self.assertEqual([json.loads(line)["operations"][0]["value"] for line in lines], ["void", "1", "2"])
            first = us.cli("events", "import", "-", stdin=exported.stdout)
            self.assertEqual(first.returncode, 4, first.stderr)
            rows = tables(first.stdout.decode())[0]
            self.assertEqual([row["RESULT"] for row in rows], ["skipped", "imported", "imported"])
            self.assertIn("shop/moved has moved on", rows[0]["NOTE"])
            self.assertEqual((us.get("shop", "moved").body, us.get("shop", "fresh").body), (b"newer", b"2"))

            version = us.get("shop", "fresh").headers["etag"]
            again = us.cli("events", "import", "-", stdin=exported.stdout)
            self.assertEqual([row["RESULT"] for row in tables(again.stdout.decode())[0]],
                             ["skipped", "imported before", "imported before"])
            self.assertEqual(us.get("shop", "fresh").headers["etag"], version)
            over = us.cli("events", "import", "-", "--overwrite", stdin=exported.stdout)
            self.assertEqual(over.returncode, 0, over.stderr)
            self.assertEqual((us.get("shop", "moved").body, us.get("shop", "fresh").body), (b"void", b"2"))


class Backups(unittest.TestCase):
    def restore(self, *words):
        return subprocess.run([str(PROGRAM), "restore", *map(str, words)], capture_output=True, text=True, timeout=60)

    def test_after_all_nodes_and_topics_are_lost_a_backup_founds_a_cluster_that_others_join(self):
        with Cluster(shared_broker(), names=("eu", "us")).start() as cluster:
            eu, us = cluster["eu"], cluster["us"]
            done = eu.begin("pay", "done", query="?wait=20s")
            self.assertEqual(eu.complete("pay", "done", done.json()["token"], "charged").status, 200)
            running = eu.begin("pay", "running", query="?lease=1h").json()["token"]
            directory = f"{cluster.directory}/monday"
            with Writer(us, "load-us") as others, Writer(eu, "load-eu") as own:
                own.wait(300)
                others.wait(300)
                wait_until(lambda: eu.get("load-us", "k100").status == 200, 30, "eu has some of us's")
                before = len(own.acknowledged)
                made = eu.cli("backup", directory)
                own.wait(300)
            self.assertEqual(made.returncode, 0, made.stderr)
            self.assertIn(directory, made.stdout.decode())
            self.assertEqual(eu.cli("backup", directory).returncode, 2, "it exists")
            for node in cluster:
                node.kill()
                shutil.rmtree(node.data)
            with cluster.broker.client() as client:
                for topic in (cluster.journal("eu"), cluster.journal("us"), cluster.members_topic):
                    client.delete_topic(topic)

            self.assertEqual(self.restore("--from", directory, "--data-dir", eu.data).returncode, 2, "only with --found")
            restored = self.restore("--from", directory, "--data-dir", eu.data, "--found")
            self.assertEqual(restored.returncode, 0, restored.stderr)
            self.assertIn("Lost: every commit after these", restored.stderr)
            again = self.restore("--from", directory, "--data-dir", eu.data, "--found")
            self.assertEqual(again.returncode, 1)
            self.assertIn("is not empty", again.stderr)
            eu.start()
            us.start()
            has = versions(eu, "load-eu")
            self.assertEqual([k for k in own.acknowledged[:before] if f"k{k}" not in has], [])
            self.assertGreaterEqual(len(versions(us, "load-us")), 100)
            self.assertEqual(versions(us, "load-eu"), has)
            self.assertEqual(us.begin("pay", "done", query="?wait=20s").body, b"charged")
            self.assertEqual(us.begin("pay", "running").status, 409)
            renewed = eu.call("POST", "/v1/requests/pay/running/renew", {"token": running})
            self.assertEqual(renewed.status, 200, "the node of this name has the claim")
            self.assertEqual(us.complete("pay", "running", running, "late").status, 200)
            self.assertEqual(eu.put("shop", "after", "1", "?ack=all&timeout=20s").status, 200)
            self.assertEqual(us.get("shop", "after").body, b"1")
            newer = eu.put("load-eu", f"k{own.acknowledged[0]}", "again", "?ack=us&timeout=20s")
            self.assertEqual(newer.status, 200)
            self.assertEqual(us.get("load-eu", f"k{own.acknowledged[0]}").body, b"again")
            self.assertEqual(us.items("/v1/conflicts"), [])
            cluster.wait_in_sync()

    def test_what_is_no_backup_is_refused_and_nothing_is_touched(self):
        with Cluster(names=("eu",)).start() as cluster:
            eu = cluster["eu"]
            eu.put("shop", "k", "1")
            made, fresh = f"{cluster.directory}/backup", f"{cluster.directory}/fresh"
            for directory, words in (("relative", "absolute"), (str(eu.data), "exists"),
                                     (f"{cluster.directory}/no/such", "no directory"), ("/proc/refrain", "file system")):
                refused = eu.cli("backup", directory)
                self.assertEqual(refused.returncode, 2, directory)
                self.assertIn(words, refused.stderr.decode())
            self.assertEqual(eu.cli("backup", made).returncode, 0)
            with open(f"{cluster.directory}/eu.yaml") as file:
                config = file.read()
            with open(f"{cluster.directory}/on-backup.yaml", "w") as file:
                file.write(config.replace(str(eu.data), made))
            serve = subprocess.run([str(PROGRAM), "serve", "--config", f"{cluster.directory}/on-backup.yaml"],
                                   capture_output=True, text=True, timeout=60)
            self.assertEqual(serve.returncode, 1)
            self.assertIn("is a backup", serve.stderr)
            none = self.restore("--from", eu.data, "--data-dir", fresh, "--found")
            self.assertEqual((none.returncode, "is no backup" in none.stderr), (4, True), none.stderr)
            full = self.restore("--from", made, "--data-dir", eu.data, "--found")
            self.assertEqual((full.returncode, "not empty" in full.stderr), (1, True), full.stderr)
            self.assertEqual(os.listdir(cluster.directory).count("fresh"), 0)
            self.assertEqual(self.restore("--from", made, "--data-dir", fresh, "--found", "--cluster", "other").returncode, 0)
            self.assertIn("cluster other", (pathlib.Path(fresh) / "FORMAT").read_text())


if __name__ == "__main__":
    unittest.main()
