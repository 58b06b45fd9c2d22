# SPDX-License-Identifier: Apache-2.0
"""./dev soak tells what is flat from what leaks, and its load gets fine answers only."""
import contextlib
import io
import math
import random
import subprocess
import sys
import unittest

import soak
from resources import Held, held, judge
from shared_broker import shared_broker

MINUTES = 20
LEAK = """
import sys
kept = []
for line in sys.stdin:
    kept.append((bytearray(1 << 20), open("/dev/null")))
    print(flush=True)
"""


def samples(rss, descriptors=lambda t: 50, threads=lambda t: 20):
    """Every 10 s; `rss` in MiB, of the minute."""
    times = [10.0 * i for i in range(6 * MINUTES)]
    minutes = [t / 60 for t in times]
    return times, [Held(int(rss(m) * 1024), int(descriptors(m)), int(threads(m)), int(m) % 9) for m in minutes]


class Judgement(unittest.TestCase):
    def faults(self, *of):
        return judge(*samples(*of), most_mib=6, most_descriptors=6).faults

    def test_noise_a_saw_and_spikes_are_flat(self):
        chance = random.Random(7)
        self.assertEqual(self.faults(lambda m: 50 + chance.uniform(-2, 2), lambda m: chance.randrange(48, 60)), [])
        self.assertEqual(self.faults(lambda m: 50 + 8 * (m * 1.7 % 1)), [])
        self.assertEqual(self.faults(lambda m: 300 if chance.random() < 0.1 else 50), [])
        self.assertEqual(self.faults(lambda m: 50 - m), [])
        self.assertEqual(self.faults(lambda m: 50 + 3 * (1 - math.exp(-m))), [])

    def test_a_leak_of_memory_descriptors_or_threads_under_noise_is_named(self):
        chance = random.Random(7)
        for faults, word in (
            (self.faults(lambda m: 50 + 0.5 * m + chance.uniform(-4, 4)), "memory"),
            (self.faults(lambda m: 50, lambda m: 50 + 0.6 * m + chance.uniform(-4, 4)), "descriptors"),
            (self.faults(lambda m: 50, lambda m: 50, lambda m: 20 + m), "threads"),
        ):
            self.assertEqual(len(faults), 1)
            self.assertIn(word, faults[0])

    def test_too_few_samples_are_no_verdict(self):
        self.assertNotEqual(judge([1.0, 2.0], [Held(1, 1, 1, 1)] * 2, 6, 6).faults, [])

    def test_a_process_that_takes_memory_and_descriptors_is_seen_to(self):
        command, pipe = [sys.executable, "-c", LEAK], subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as leak:
            seen = []
            for _ in range(20):
                leak.stdin.write("more\n")
                leak.stdin.flush()
                leak.stdout.readline()
                seen.append(held(leak.pid))
            leak.stdin.close()
        verdict = judge(range(20), seen, most_mib=6, most_descriptors=6)
        self.assertEqual(len(verdict.faults), 2, verdict)
        self.assertAlmostEqual(verdict.rss_mib, 19, delta=3)
        self.assertAlmostEqual(verdict.descriptors, 19)


class Load(unittest.TestCase):
    def test_every_call_of_the_load_is_answered_as_it_should_be(self):
        short = "--minutes 0.1 --samples 12 --warm-up 0 --most-mib 500 --most-descriptors 500"
        options = soak.parse(short.split())
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            self.assertEqual(soak.soak(options, shared_broker()), [], out.getvalue())
        for word in ("flat", "begin again", "killed", "conflicting put", "eu RSS MiB"):
            self.assertIn(word, out.getvalue())


if __name__ == "__main__":
    unittest.main()
