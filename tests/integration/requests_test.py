# SPDX-License-Identifier: Apache-2.0
"""Requests over two real nodes: who may say go, whose token counts where, what both find out when they meet again."""
import concurrent.futures
import os
import unittest

from cluster import QUICK, Cluster, wait_until
from shared_broker import shared_broker, shared_relays

CONFIG = QUICK + 'requests: {namespaces: {homed: {scope: "home:eu"}, held: {on_expiry: hold}}}\n'
AT_ONCE = 2  # seconds; the calls meant here would otherwise wait for 20


class TwoRegions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(shared_broker(), names=("eu", "us"), config=CONFIG, relays=shared_relays())
        cls.addClassCleanup(cls.cluster.close)
        cls.cluster.start()
        cls.eu, cls.us = cls.cluster
        for node in cls.cluster:
            assert node.begin("pay", "warm-" + node.name, query="?wait=20s").status == 201  # catching up is over
        cls.cluster.wait_in_sync()

    def setUp(self):
        self.id = "r" + os.urandom(6).hex()

    def tearDown(self):
        self.assertEqual(self.cluster.mend(), [], "nodes ended")

    def go(self, node, ns="pay", query="?wait=20s"):
        """The token."""
        answer = node.begin(ns, self.id, query=query)
        self.assertEqual(answer.status, 201, answer.body)
        return answer.json()["token"]

    def begin_after(self, node, seen, ns="pay"):
        """Begins where `seen`, an answer, was followed: once that node has it too."""
        session = {"Refrain-Session": seen.headers["refrain-session"]}
        return node.call("POST", f"/v1/requests/{ns}/{self.id}/begin?wait=20s", "payload", session)

    def post(self, node, verb, body, ns="pay"):
        return node.call("POST", f"/v1/requests/{ns}/{self.id}/{verb}", body)

    def state(self, node, ns="pay"):
        answer = node.call("GET", f"/v1/requests/{ns}/{self.id}")
        return answer.json()["state"] if answer.status == 200 else None

    def wait_state(self, node, state, ns="pay"):
        wait_until(lambda: self.state(node, ns) == state, 30, f"{self.id} is {state} in {node.name}")

    def duplicates(self, node, query=""):
        return [item for item in node.items(f"/v1/duplicates{query}") if item["request"] == self.id]

    @staticmethod
    def counted(node):
        status = node.status()
        return status["duplicates"], status["duplicates_possible"]

    @staticmethod
    def listed(node):
        possible = [item["possible"] for item in node.items("/v1/duplicates?all=true")]
        return possible.count(False), possible.count(True)

    def assert_refused(self, answer, status, code):
        self.assertEqual((answer.status, answer.code), (status, code), answer.body)

    def test_only_the_home_says_go_and_everyone_replays(self):
        for verb, body in (("begin", "payload"), ("execute", {"response": {"body": "x"}})):
            away = self.post(self.us, verb, body, "homed")
            self.assert_refused(away, 421, "wrong_node")
            self.assertEqual(away.json()["address"], self.eu.url)
            self.assertEqual((away.headers["refrain-decision"], away.headers["refrain-scope"]), ("refused", "home:eu"))
        done = self.eu.complete("homed", self.id, self.go(self.eu, "homed"), "charged")
        replay = self.begin_after(self.us, done, "homed")
        self.assertEqual((replay.status, replay.body, replay.headers["refrain-scope"]), (200, b"charged", "home:eu"))

    def test_a_token_is_renewed_released_and_completed_with_operations_only_at_its_node(self):
        token = self.go(self.eu)
        self.wait_state(self.us, "running")
        operations = [{"put": {"ns": "ledger", "key": self.id, "value": "1"}}]
        for verb, body in (("renew", {}), ("release", {}), ("complete", {"response": {}, "operations": operations})):
            away = self.post(self.us, verb, {"token": token, **body})
            self.assert_refused(away, 421, "wrong_node")
            self.assertEqual(away.json()["address"], self.eu.url, verb)
        for node in self.cluster:
            self.assertEqual(self.state(node), "running")
        self.assertEqual(self.eu.complete("pay", self.id, token, operations=operations).status, 200)
        self.cluster.wait_same("ledger", self.id)

    def test_complete_without_operations_is_taken_by_the_other_node(self):
        token = self.go(self.eu)
        self.wait_state(self.us, "running")
        done = self.us.complete("pay", self.id, token, "done in us")
        self.assertEqual(done.status, 200, done.body)
        self.wait_state(self.eu, "completed")
        for node in self.cluster:
            self.assertEqual(node.begin("pay", self.id).body, b"done in us")
            again = node.complete("pay", self.id, token, "done in us")
            self.assertEqual((again.status, again.headers["idempotent-replayed"]), (200, "true"))
            self.assert_refused(node.complete("pay", self.id, token, "else"), 409, "completed_differently")
            self.assertEqual(self.duplicates(node, "?all=true"), [])

    def test_complete_without_operations_is_taken_before_the_claim_has_arrived(self):
        with self.cluster.apart("us"):
            token = self.go(self.eu)
            self.assertIsNone(self.state(self.us))
            operations = [{"put": {"ns": "ledger", "key": self.id, "value": "1"}}]
            self.assert_refused(self.us.complete("pay", self.id, token, operations=operations), 421, "wrong_node")
            self.assertEqual(self.us.complete("pay", self.id, token, "early").status, 200)
            self.assertEqual(self.us.begin("pay", self.id).body, b"early")
        self.wait_state(self.eu, "completed")
        self.assertEqual(self.eu.begin("pay", self.id).body, b"early")
        for node in self.cluster:
            self.assertEqual(self.duplicates(node), [])

    def test_two_that_went_apart_and_completed_are_listed_on_both(self):
        with self.cluster.apart("us"):
            tokens = [self.go(node) for node in self.cluster]
            for node, token in zip(self.cluster, tokens):
                self.assertEqual(node.complete("pay", self.id, token, f"charged in {node.name}").status, 200)
                self.assertEqual(node.begin("pay", self.id).body.decode(), f"charged in {node.name}")
        for node in self.cluster:
            wait_until(lambda n=node: self.duplicates(n), 60, f"listed in {node.name}")
        one, other = self.duplicates(self.eu), self.duplicates(self.us)
        self.assertEqual(one, other)
        self.assertEqual((len(one), one[0]["possible"]), (1, False))
        winner, loser = one[0]["winner"], one[0]["loser"]
        self.assertEqual({winner["node"], loser["node"]}, {"eu", "us"})
        self.assertNotEqual(winner["response_hash"], loser["response_hash"])
        for node in self.cluster:  # the same answer everywhere from now on: the winner's
            self.assertEqual(node.begin("pay", self.id).body.decode(), f"charged in {winner['node']}")
            found = self.duplicates(node, "?all=true")
            self.assertEqual(sorted(item["possible"] for item in found), [False, True], found)
            wait_until(lambda n=node: self.counted(n) == self.listed(n), 10, f"{node.name} counts what it lists")

    def test_a_late_complete_after_a_takeover_is_refused_and_listed_on_both(self):
        first = self.eu.begin("pay", self.id, query="?lease=1ms")
        late = first.json()["token"]
        taken_over = self.begin_after(self.us, first)
        self.assertEqual((taken_over.status, taken_over.json()["attempt"]), (201, 2), taken_over.body)
        path = f"/v1/requests/pay/{self.id}"
        wait_until(lambda: self.eu.call("GET", path).json().get("attempt") == 2, 30, "eu knows of it")
        self.assert_refused(self.eu.complete("pay", self.id, late, "late"), 409, "superseded")
        self.assertEqual(self.us.complete("pay", self.id, taken_over.json()["token"], "second").status, 200)
        self.wait_state(self.eu, "completed")
        self.assertEqual(self.eu.begin("pay", self.id).body, b"second")
        for node in self.cluster:
            (found,) = wait_until(lambda n=node: self.duplicates(n), 30, f"listed in {node.name}")
            self.assertEqual((found["loser"]["node"], found["winner"]["node"]), ("eu", "us"))

    def test_the_other_node_resolves_an_unknown_request_as_done(self):
        late = self.go(self.eu, "held", "?lease=1ms")
        self.wait_state(self.us, "unknown", "held")
        self.assert_refused(self.us.begin("held", self.id), 409, "outcome_unknown")
        done = self.post(self.us, "resolve", {"action": "complete", "response": {"body": "by hand"}}, "held")
        self.assertEqual(done.status, 200, done.body)
        self.wait_state(self.eu, "completed", "held")
        for node in self.cluster:
            self.assertEqual(node.begin("held", self.id).body, b"by hand")
        self.assert_refused(self.eu.complete("held", self.id, late, "late"), 409, "already_completed")

    def test_the_other_node_resolves_an_unknown_request_as_not_done(self):
        late = self.go(self.eu, "held", "?lease=1ms")
        self.wait_state(self.us, "unknown", "held")
        self.assertEqual(self.post(self.us, "resolve", {"action": "release"}, "held").status, 200)
        self.wait_state(self.eu, None, "held")
        again = self.eu.begin("held", self.id)
        self.assertEqual((again.status, again.json()["attempt"]), (201, 2), again.body)
        self.assert_refused(self.eu.complete("held", self.id, late, "late"), 409, "superseded")
        self.assertEqual(self.eu.complete("held", self.id, again.json()["token"], "second").status, 200)

    def test_an_idempotency_key_gives_the_same_answer_at_another_node(self):
        header = {"Idempotency-Key": self.id}
        first = self.eu.put("shop", self.id, "v", headers=header)
        self.assertEqual(first.status, 200)
        self.wait_state(self.us, "completed", "_http-shop")

        def both():
            answers = [node.put("shop", self.id, "v", headers=header) for node in self.cluster]
            return answers if answers[0].body == answers[1].body else None

        for answer in wait_until(both, 30, "the same JSON at both"):
            self.assertEqual((answer.status, answer.headers["etag"]), (200, first.headers["etag"]))
            for name in ("commit", "version"):
                self.assertEqual(answer.json()[name], first.json()[name])
            self.assertEqual(answer.headers["idempotent-replayed"], "true")
        self.assert_refused(self.us.put("shop", self.id, "w", headers=header), 422, "fingerprint_mismatch")
        for node in self.cluster:
            self.assertEqual(node.get("shop", self.id).headers["etag"], first.headers["etag"])

    def test_a_renew_never_shortens_a_lease(self):
        token = self.go(self.eu, query="?lease=50s")
        shorter = self.post(self.eu, "renew", {"token": token, "lease": "1s"})
        self.assertEqual(shorter.status, 200, shorter.body)
        self.assertGreater(shorter.json()["lease_ms"], 40_000)
        longer = self.post(self.eu, "renew", {"token": token, "lease": "59s"})
        self.assertEqual((longer.status, longer.json()["lease_ms"]), (200, 59_000))

    def test_a_lapsed_claim_is_taken_over_by_exactly_one_waiter(self):
        self.go(self.eu, query="?lease=700ms")
        with concurrent.futures.ThreadPoolExecutor(6) as pool:
            waiting = [pool.submit(self.eu.begin, "pay", self.id, query="?wait=2s") for _ in range(6)]
            answers = [w.result() for w in waiting]
        self.assertEqual(sorted(a.status for a in answers), [201] + [409] * 5)
        (went,) = [a for a in answers if a.status == 201]
        self.assertEqual(went.json()["attempt"], 2)

    def test_another_payload_is_refused_at_once_while_others_wait(self):
        token = self.go(self.eu)
        self.wait_state(self.us, "running")
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(self.eu.begin, "pay", self.id, query="?wait=20s")
            wait_until(lambda: self.eu.status()["waiters"] >= 1, 10, "one waits")
            for node in self.cluster:
                for query in ("", "?wait=20s"):
                    path = f"/v1/requests/pay/{self.id}/begin{query}"
                    other = node.try_call("POST", path, "another payload", timeout=AT_ONCE)
                    self.assertNotEqual(other.status, 0, f"no answer at once to {path} in {node.name}")
                    self.assert_refused(other, 422, "fingerprint_mismatch")
            self.assertEqual(self.eu.complete("pay", self.id, token).status, 200)
            self.assertEqual((waiting.result().status, waiting.result().body), (200, b"done"))

    def test_a_go_outlives_its_node(self):
        token = self.go(self.us)
        self.us.kill()
        self.us.start()
        self.assert_refused(self.us.begin("pay", self.id), 409, "request_in_progress")
        self.assertEqual(self.us.complete("pay", self.id, token, "after the crash").status, 200)
        self.wait_state(self.eu, "completed")
        self.assertEqual(self.eu.begin("pay", self.id).body, b"after the crash")


if __name__ == "__main__":
    unittest.main()
