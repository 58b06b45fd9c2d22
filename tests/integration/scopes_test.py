# SPDX-License-Identifier: Apache-2.0
"""Scope home: one node says go; members that do not agree on it say no go at all."""
import threading
import unittest

from cluster import QUICK, Cluster, wait_until
from shared_broker import shared_broker
from writers import Background

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


class Beginner(Background):
    """Begins each id at all nodes at once, one id after the other, and keeps who said go."""

    def __init__(self, cluster):
        super().__init__()
        self.cluster, self.goes, self.begun = cluster, {}, 0

    def ask(self, node, request, answers):
        answers.append((node.name, node.try_call("POST", f"/v1/requests/payments/{request}/begin?lease=1h", "payload").status))

    def run(self):
        while not self.stopping.is_set():
            self.begun += 1
            request, answers = f"r{self.begun}", []
            asking = [threading.Thread(target=self.ask, args=(node, request, answers)) for node in self.cluster]
            for thread in asking:
                thread.start()
            for thread in asking:
                thread.join()
            self.goes[request] = [name for name, status in answers if status == 201]

    def count(self, name):
        return sum(name in who for who in list(self.goes.values()))


class HomeMoves(unittest.TestCase):
    def move(self, node, home):
        """Started again with another configuration, as an operator does it."""
        node.config.write_text(node.config.read_text().replace("home:eu", home))
        self.assertEqual(node.stop(), 0)
        node.start()

    def wait_named(self, node, member):
        """A begin there is config_mismatch and names that member; so do status and the list of members."""

        def refused():
            answer = node.begin("payments", "mismatch")
            return answer if answer.code == "config_mismatch" and f" {member} " in answer.json()["detail"] else None

        answer = wait_until(refused, 30, f"{node.name} names {member}")
        self.assertEqual((answer.status, answer.headers["refrain-decision"]), (503, "refused"))
        checks = {check["name"]: check for check in node.status()["checks"]}
        self.assertFalse(checks[f"config {member}"]["ok"])

        def noted():  # once it was heard after the start
            rows = node.call("GET", "/v1/members").json()["members"]
            return any(row["node"] == member and "config_mismatch" in row["note"] for row in rows)

        wait_until(noted, 30, f"the row of {member} says so")

    def test_a_home_moves_by_new_configurations_while_begins_go_on_and_never_two_nodes_say_go(self):
        config = QUICK + HOME.format("eu")
        with Cluster(shared_broker(), names=("eu", "us", "ap"), config=config).start() as cluster:
            eu, us, ap = cluster
            running = eu.begin("payments", "running", query="?wait=20s&lease=1h")
            done = eu.begin("payments", "done", query="?wait=20s")
            self.assertEqual((running.status, done.status), (201, 201), running.body)
            self.assertEqual(eu.complete("payments", "done", done.json()["token"], "first").status, 200)
            with Beginner(cluster) as beginner:
                wait_until(lambda: beginner.count("eu") >= 20, 60, "eu says go")
                self.move(us, "home:us")
                self.wait_named(us, "ap")
                self.wait_named(eu, "us")
                self.move(ap, "home:us")
                self.wait_named(us, "eu")
                self.assertEqual(beginner.count("us"), 0)
                last_of_eu = beginner.count("eu")
                self.move(eu, "home:us")
                wait_until(lambda: beginner.count("us") >= 20, 60, "us says go")
            twice = {request: who for request, who in beginner.goes.items() if len(who) > 1}
            self.assertEqual(twice, {})
            self.assertEqual(beginner.count("eu"), last_of_eu)
            self.assertEqual(beginner.count("ap"), 0)
            for node in (eu, ap):
                away = node.begin("payments", "new")
                self.assertEqual((away.status, away.code, away.headers["refrain-scope"]), (421, "wrong_node", "home:us"))
                self.assertIn(us.url, away.body.decode())
            self.assertEqual(us.begin("payments", "new").status, 201)
            # What eu had given a go stays eu's run until its lease is over or it is done; an answer stays what it was.
            self.assertEqual(us.begin("payments", "running").code, "request_in_progress")
            self.assertEqual(eu.complete("payments", "running", running.json()["token"], "late").status, 200)
            wait_until(lambda: us.begin("payments", "running").body == b"late", 30, "us replays what eu's run answered")
            for node in cluster:
                self.assertEqual(node.begin("payments", "done").body, b"first")
                self.assertEqual(node.items("/v1/duplicates?all=true"), [])
                self.assertEqual([c["name"] for c in node.status()["checks"] if not c["ok"] and "config" in c["name"]], [])

    def test_after_its_home_is_lost_and_evicted_another_node_says_go_and_knows_what_was_decided(self):
        config = QUICK + HOME.format("eu")
        with Cluster(shared_broker(), names=("us", "eu", "ap"), config=config).start() as cluster:
            us, eu, ap = cluster
            go = eu.begin("payments", "running", query="?wait=20s&lease=1h")
            self.assertEqual(go.status, 201, go.body)
            self.assertEqual(eu.put("shop", "last", "1", "?ack=log&timeout=20s").status, 200)
            eu.kill()
            for node in (us, ap):
                self.move(node, "home:us")
            wait_until(lambda: " eu has the scope home:eu" in us.begin("payments", "new").json()["detail"], 30, "us names eu")
            evicted = us.cli("member", "evict", "eu", "--yes", "--wait", "50s")
            self.assertEqual(evicted.returncode, 0, evicted.stderr)
            go = wait_until(lambda: (a := us.begin("payments", "new")).status == 201 and a, 60, "us says go")
            self.assertEqual(go.json()["scope"], "home:us")
            self.assertEqual(us.begin("payments", "running").code, "request_in_progress")
            self.assertEqual(ap.begin("payments", "other").code, "wrong_node")


if __name__ == "__main__":
    unittest.main()
