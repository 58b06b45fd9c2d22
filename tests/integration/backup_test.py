# SPDX-License-Identifier: Apache-2.0
"""Real processes, real Kafka: what is void comes out and in again; a cluster that lost everything begins again from a
backup."""
import json
import os
import shutil
import tempfile
import unittest

from cluster import QUICK, Cluster, wait_until
from program import tables
from shared_broker import shared_broker, shared_relays


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
            wait_until(lambda: eu.status()["mode"] == "rolled back", 60, "eu finds that its directory is older")
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


if __name__ == "__main__":
    unittest.main()
