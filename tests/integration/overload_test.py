# SPDX-License-Identifier: Apache-2.0
"""A node that is offered at least twice what it may take: what it refuses, what it keeps, what it holds.

REFRAIN_OVERLOAD_SECONDS=60 makes the flood last a minute instead of twelve seconds."""
import asyncio
import concurrent.futures
import os
import shutil
import tempfile
import threading
import unittest

from cluster import Node, wait_until
from flood import FLAGS, config, flood
from healthy import Healthy
from resources import descriptors, held

SECONDS = float(os.environ.get("REFRAIN_OVERLOAD_SECONDS", "12"))
MOST_MIB, LEFT_MIB = 48, 24  # above what it held after a short flood: meanwhile, and afterwards


class Overload(unittest.TestCase):
    def setUp(self):
        directory = tempfile.mkdtemp(prefix="refrain-overload-")
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        self.node = Node(directory, "eu", config=config(queued_commits=24))
        self.addCleanup(self.node.kill)
        self.node.start(extra=FLAGS)
        self.node.put("healthy", "k", "well")
        self.node.begin("held", "one")

    def held(self):
        return held(self.node.process.pid)

    def sockets(self):
        return sum(name.startswith("socket:") for name in descriptors(self.node.process.pid))

    def flood(self, seconds):
        """(tally, the most that the node held meanwhile)"""
        most, over = [self.held().rss_kib], threading.Event()

        def watch():
            while not over.wait(0.1):
                most.append(self.held().rss_kib)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            return asyncio.run(flood(self.node.port, seconds)), max(most)
        finally:
            over.set()
            watcher.join()

    def flood_while_eight_wait(self, name, seconds):
        """For a run that is completed when the flood is over: what was taken before it is finished."""
        go = self.node.begin("held", name)
        self.assertEqual(go.status, 201, go.body)
        token = go.json()["token"]
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            waiting = [pool.submit(self.node.begin, "held", name, query="?wait=60s") for _ in range(8)]
            wait_until(lambda: self.node.status()["waiters"] >= 8, 20, "eight wait for a run")
            try:
                flooded = self.flood(seconds)
            finally:
                wait_until(lambda: self.node.try_call("GET", "/health/live").status == 200, 20, "others are let in")
                self.node.complete("held", name, token, "done")
            self.assertEqual([(one.result().status, one.result().body) for one in waiting], [(200, b"done")] * 8)
        return flooded

    def assert_kept(self, tallies):
        for tally in tallies:
            self.assertGreater(len(tally.acknowledged), 0)
            self.assertEqual(tally.lost(lambda key: self.node.call("GET", f"/v1/kv/{key}").body), [])

    def test_it_refuses_half_with_429_or_503_keeps_what_it_acknowledged_and_finishes_what_it_took(self):
        quiet = self.sockets()
        self.flood(1.5)
        wait_until(lambda: self.sockets() <= quiet, 30, "the short flood is over")
        before = self.held()
        with Healthy(self.node, also=(503,)) as healthy:
            floods = [self.flood_while_eight_wait(f"two-{i}", some) for i, some in enumerate(pieces(SECONDS))]
        for tally, most in floods:
            self.assertEqual(tally.faults, [])
            self.assertGreaterEqual(2 * tally.refused, tally.answered, tally.statuses)
            self.assertGreater(tally.statuses[200], 0)
            self.assertGreater(tally.codes["rate_limited"], 0)
            self.assertGreater(tally.codes["overloaded"], 0)
            self.assertLess(most - before.rss_kib, MOST_MIB * 1024, "KiB more meanwhile")
            print(f"overload: {tally.answered} answered, {tally.refused} refused, {dict(tally.codes)}, "
                  f"memory at most {(most - before.rss_kib) / 1024:+.1f} MiB")  # fmt: skip
        self.assertGreater(healthy.served, 0)
        wait_until(lambda: self.held().rss_kib - before.rss_kib < LEFT_MIB * 1024, 30, f"{LEFT_MIB} MiB more at most")
        wait_until(lambda: self.sockets() <= quiet, 30, "all connections are closed")
        tallies = [tally for tally, _ in floods]
        self.assert_kept(tallies)
        self.node.kill()
        self.node.start()
        self.assert_kept(tallies)


def pieces(seconds):
    """A call waits for a minute at most, so a longer flood comes in parts."""
    while seconds > 0:
        yield min(seconds, 50)
        seconds -= 50


if __name__ == "__main__":
    unittest.main()
