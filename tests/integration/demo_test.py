# SPDX-License-Identifier: Apache-2.0
"""The demo's story, on the log in process and on a real Kafka broker: it tells all of it, or ends with 1."""
import socket
import subprocess
import sys
import unittest

from cluster import PROGRAM, ROOT
from demo_kafka import row_of_ports

TOLD = "Every step showed what it says."


def run(*command):
    return subprocess.run(
        [str(word) for word in command], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240
    )


class Demo(unittest.TestCase):
    def check(self, demo):
        self.assertEqual(demo.returncode, 0, demo.stdout[-3000:] + demo.stderr[-3000:])
        for told in ("pending, then published", "lists both values", "once: the version", "refused", "unknown", TOLD):
            self.assertIn(told, demo.stdout)

    def test_three_regions_in_one_process(self):
        self.check(run(PROGRAM, "demo", "--http-port", row_of_ports()[0]))

    def test_three_processes_on_a_real_kafka(self):
        story = ROOT / "tests/integration/demo_kafka.py"
        self.check(run(sys.executable, story, PROGRAM, "--http-port", row_of_ports()[0]))

    def test_a_demo_that_cannot_show_its_steps_ends_with_1(self):
        port = row_of_ports()[0]
        with socket.create_server(("127.0.0.1", port)):  # eu's place is taken
            demo = run(PROGRAM, "demo", "--http-port", port)
        self.assertEqual(demo.returncode, 1)
        self.assertIn("already in use", demo.stderr)
        self.assertNotIn(TOLD, demo.stdout)


if __name__ == "__main__":
    unittest.main()
