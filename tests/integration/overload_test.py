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
        self.tokens = {name: self.node.begin("held", name).json()["token"] for name in ("one", "two")}

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

    def assert_kept(self, tally):
        self.assertGreater(len(tally.acknowledged), 0)
        self.assertEqual(tally.lost(lambda key: self.node.call("GET", f"/v1/kv/{key}").body), [])

    def test_it_refuses_half_with_429_or_503_keeps_what_it_acknowledged_and_finishes_what_it_took(self):
        quiet = self.sockets()
        self.flood(1.5)
        wait_until(lambda: self.sockets() <= quiet, 30, "the short flood is over")
        before = self.held()
        with concurrent.futures.ThreadPoolExecutor(8) as pool, Healthy(self.node, also=(503,)) as healthy:
            waiting = [pool.submit(self.node.begin, "held", "two", query="?wait=60s") for _ in range(8)]
            wait_until(lambda: self.node.status()["waiters"] >= 8, 20, "eight wait for a run")
            try:
                tally, most = self.flood(min(SECONDS, 55))
                repeats = [self.flood(min(55, left)) for left in pieces(SECONDS - 55)]
            finally:
                wait_until(lambda: self.node.try_call("GET", "/health/live").status == 200, 20, "others are let in")
                self.node.complete("held", "two", self.tokens["two"], "done")
            if not repeats:  # a wait is at most a minute
                self.assertEqual([(w.result().status, w.result().body) for w in waiting], [(200, b"done")] * 8)
        for one, at_most in [(tally, most), *repeats]:
            self.assertEqual(one.faults, [])
            self.assertGreaterEqual(2 * one.refused, one.answered, one.statuses)
            self.assertGreater(one.statuses[200], 0)
            self.assertGreater(one.codes["rate_limited"], 0)
            self.assertGreater(one.codes["overloaded"], 0)
            self.assertLess(at_most - before.rss_kib, MOST_MIB * 1024, "KiB more meanwhile")
        self.assertGreater(healthy.served, 0)
        wait_until(lambda: self.held().rss_kib - before.rss_kib < LEFT_MIB * 1024, 30, f"{LEFT_MIB} MiB more at most")
        wait_until(lambda: self.sockets() <= quiet, 30, "all connections are closed")
        last = repeats[-1][0] if repeats else tally
        self.assert_kept(last)
        self.node.kill()
        self.node.start()
        self.assert_kept(last)
        print(f"overload: {tally.answered} answered, {tally.refused} refused, {dict(tally.codes)}, healthy {healthy.served} "
              f"of {len(healthy.took)}, memory {(most - before.rss_kib) / 1024:+.1f} MiB")  # fmt: skip


def pieces(seconds):
    while seconds > 0:
        yield min(seconds, 55)
        seconds -= 55


if __name__ == "__main__":
    unittest.main()
