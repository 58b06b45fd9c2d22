# SPDX-License-Identifier: Apache-2.0
"""Scope home: one node says go; members that do not agree on it say no go at all."""
import unittest

from cluster import Cluster, wait_until
from shared_broker import shared_broker

HOME = 'requests: {{namespaces: {{payments: {{scope: "home:{}"}}}}}}\n'


class Scopes(unittest.TestCase):
    def test_only_the_home_says_go_and_the_others_name_its_address(self):
        with Cluster(shared_broker(), names=("eu", "us"), config=HOME.format("eu")).start() as cluster:
            away = wait_until(lambda: (a := cluster["us"].begin("payments", "r1")).status == 421 and a, 30, "421")
            self.assertEqual(away.code, "wrong_node")
            self.assertIn(cluster["eu"].url, away.body.decode())
            self.assertEqual(away.headers["refrain-scope"], "home:eu")
            self.assertEqual(cluster["eu"].begin("payments", "r1", query="?wait=20s").status, 201)

    def test_members_that_differ_in_a_scope_refuse_it_and_only_it(self):
        with Cluster(shared_broker(), names=("eu", "us"), config=HOME.format("eu")) as cluster:
            us = cluster["us"]
            us.config.write_text(us.config.read_text().replace("home:eu", "home:us"))
            cluster.start()
            for node in cluster:
                refused = wait_until(lambda n=node: (a := n.begin("payments", "r1")).status == 503 and a, 30, "503")
                wait_until(lambda n=node: n.begin("payments", "r1").code == "config_mismatch", 30, "config_mismatch")
                self.assertEqual(refused.headers["refrain-decision"], "refused")
                self.assertEqual(node.begin("other", node.name, query="?wait=20s").status, 201)


if __name__ == "__main__":
    unittest.main()
