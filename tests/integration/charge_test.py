# SPDX-License-Identifier: Apache-2.0
"""examples/charge.py does what docs/requests.md says."""
import subprocess
import sys
import unittest

from cluster import ROOT, Cluster


class Charge(unittest.TestCase):
    def charge(self, node, order, amount):
        command = [sys.executable, str(ROOT / "examples/charge.py"), node.url, order, amount]
        return subprocess.run(command, capture_output=True, text=True, timeout=60)

    def test_an_order_is_charged_once_and_answered_alike_ever_after(self):
        with Cluster(names=("eu",)).start() as cluster:
            node = cluster["eu"]
            first = self.charge(node, "order-1", "100")
            self.assertEqual(first.returncode, 0, first.stderr)
            again = self.charge(node, "order-1", "100")
            self.assertEqual((again.returncode, again.stdout), (0, first.stdout))
            self.assertEqual(node.get("ledger", "order-1").body.decode(), first.stdout.strip())
            other = self.charge(node, "order-1", "999")
            self.assertEqual(other.returncode, 1)
            self.assertIn("fingerprint_mismatch", other.stderr)

    def test_a_worker_that_died_leaves_the_order_unknown_and_nobody_charges_again(self):
        with Cluster(names=("eu",)).start() as cluster:
            node = cluster["eu"]
            payload = '{"order": "order-2", "amount": "5"}'
            go = node.begin("payments", "order-2", payload, "?lease=1ms&on_expiry=hold")
            self.assertEqual(go.status, 201, go.body)
            second = self.charge(node, "order-2", "5")
            self.assertEqual(second.returncode, 1)
            self.assertIn("outcome_unknown", second.stderr)


if __name__ == "__main__":
    unittest.main()
