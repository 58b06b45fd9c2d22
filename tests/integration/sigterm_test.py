# SPDX-License-Identifier: Apache-2.0
"""SIGTERM under load: whoever got no answer was given nothing, what was acknowledged is there after the restart, and
the node ends with 0 in time, with Kafka and without."""
import concurrent.futures
import http.client
import threading
import unittest

from cluster import QUICK, Answer, Cluster, wait_until
from shared_broker import shared_broker, shared_relays
from writers import versions

CONNECTIONS = 32
STOP = 10  # seconds, as http.shutdown_timeout promises
QUERIES = "", "", "", "?ack=log&timeout=30s", "?ack=all&timeout=30s"  # some wait for Kafka, or for the other node


class Caller(threading.Thread):
    """Puts new keys over one connection until the node takes no more; `answers`: key -> its answer, None for none."""

    def __init__(self, node, run_id, number):
        super().__init__(daemon=True)
        self.node, self.run_id, self.number, self.answers = node, run_id, number, {}

    def run(self):
        connection = http.client.HTTPConnection("127.0.0.1", self.node.port, timeout=70)
        query = QUERIES[self.number % len(QUERIES)]
        while True:
            key = f"{self.run_id}-{self.number}-{len(self.answers)}"
            try:
                if connection.sock is None:
                    connection.connect()
            except OSError:
                return  # nobody listens any more
            try:
                connection.request("PUT", f"/v1/kv/load/{key}{query}", key)
                got = connection.getresponse()
                self.answers[key] = Answer(got.status, {k.lower(): v for k, v in got.getheaders()}, got.read())
            except (OSError, http.client.HTTPException):
                self.answers[key] = None
                connection.close()


class Sigterm(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.cluster = Cluster(shared_broker(), names=("eu", "us"), config=QUICK, relays=shared_relays())
        cls.addClassCleanup(cls.cluster.close)

    def setUp(self):
        if self.cluster["eu"].process:
            self.cluster.mend()
        else:
            self.cluster.start()
        self.eu, self.us = self.cluster
        self.held = self.eu.begin("pay", self.id(), query="?wait=20s&lease=10m")
        self.assertEqual(self.held.status, 201, self.held.body)

    def stop_under_load(self):
        """The callers, when eu has ended."""
        callers = [Caller(self.eu, self.id(), number) for number in range(CONNECTIONS)]
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            waiting = [pool.submit(self.eu.begin, "pay", self.id(), query="?wait=60s") for _ in range(2)]
            wait_until(lambda: self.eu.status()["waiters"] >= 2, 30, "two wait")
            for caller in callers:
                caller.start()
            puts = [caller for caller in callers if not QUERIES[caller.number % len(QUERIES)]]
            wait_until(lambda: all(len(caller.answers) >= 5 for caller in puts), 60, "all have been answered")
            self.assertEqual(self.eu.stop(STOP), 0, self.eu.log_text()[-2000:])
            for call in waiting:  # sent long before the stop
                answer = call.result()
                self.assertEqual((answer.status, answer.code), (503, "draining"), answer.body)
        for caller in callers:
            caller.join(60)
            self.assertFalse(caller.is_alive())
        return callers

    def assert_kept(self, callers):
        """In eu, which was started again: what was acknowledged, and nothing of those who heard of nothing."""
        shown = versions(self.eu, "load")
        uncertain = 0
        for caller in callers:
            for key, answer in caller.answers.items():
                if answer is None:
                    self.assertIsNone(shown.get(key), f"{key} was written, and its caller got no answer")
                elif answer.status in (200, 202):
                    self.assertEqual(shown.get(key), answer.json()["version"], key)
                elif answer.status == 503:
                    self.assertEqual(answer.code, "draining", answer.body)
                    self.assertIsNone(shown.get(key), f"{key} was written, and its caller was refused")
                else:
                    self.assertEqual((answer.status, answer.code), (500, "write_uncertain"), answer.body)
                    uncertain += 1
        self.assertEqual(uncertain, 0, "the node had the time to answer for each write")

    def test_whoever_got_no_answer_was_given_nothing_and_the_rest_is_there(self):
        callers = self.stop_under_load()
        self.eu.start()
        self.assert_kept(callers)
        self.cluster.wait_in_sync(90)
        # What is a few seconds old may still be on its way then.
        wait_until(lambda: versions(self.eu, "load") == versions(self.us, "load"), 60, "the same in both")

    def test_the_same_while_kafka_is_away(self):
        with self.cluster.apart("eu"):
            wait_until(lambda: not self.eu.status()["kafka_reachable"], 60, "status says that Kafka is away")
            callers = self.stop_under_load()
            waited = [c for c in callers if QUERIES[c.number % len(QUERIES)]]
            for caller in waited:  # it is durable here, and they are told so
                told = [answer.status for answer in caller.answers.values() if answer is not None]
                self.assertIn(202, told, f"caller {caller.number}")
            self.eu.start()
            self.assert_kept(callers)
        self.cluster.wait_in_sync(90)
        # What is a few seconds old may still be on its way then.
        wait_until(lambda: versions(self.eu, "load") == versions(self.us, "load"), 60, "the same in both")


if __name__ == "__main__":
    unittest.main()
