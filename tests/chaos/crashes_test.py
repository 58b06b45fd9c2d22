#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A short run of chaos.py: every kind of disturbance once, and thirty kills. And a run in which a real node loses
what it acknowledged, which must be found."""
import contextlib
import io
import os
import pathlib
import shutil
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import chaos  # noqa: E402
from plan import Step  # noqa: E402

CUT = 4000  # bytes: about ten commits, more than can be under way


class Crashes(unittest.TestCase):
    def test_thirty_kills_break_no_promise(self):
        self.assertEqual(chaos.main(["--kills", "30", "--minutes", "2", "--round", "15"]), 0)


class Planted(unittest.TestCase):
    def test_a_real_node_that_lost_what_it_acknowledged_is_found_out(self):
        run = chaos.Chaos(seed=1, kills=1, minutes=2, per_round=1)
        # Without Kafka nobody else has the end of eu's log, which is cut before eu starts again.
        run.plan = [Step("kill broker", (), 60, 100), Step("kill", ("eu",), 0, 100)]
        start = run.scene._start

        def start_on_a_cut_log(node):
            if node.name in run.scene.down:
                newest = max((node.data / "db").glob("*.log"), key=lambda path: path.stat().st_mtime)
                os.truncate(newest, newest.stat().st_size - CUT)
            start(node)

        run.scene._start = start_on_a_cut_log
        with contextlib.redirect_stdout(io.StringIO()) as said:
            code = run.run()
        shutil.rmtree(run.scene.base)
        shutil.rmtree(run.scene.cluster.directory)
        self.assertEqual(code, 1, said.getvalue())
        self.assertTrue(run.violations, said.getvalue())


if __name__ == "__main__":
    unittest.main()
