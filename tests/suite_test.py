#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The sums at the end of `./dev test` are right, and a runner that breaks off never counts as passed."""
import datetime
import pathlib
import re
import stat
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "fuzz")]
import run as fuzz  # noqa: E402
from suite import Suite, counts  # noqa: E402


class CountsTest(unittest.TestCase):
    def test_reads_the_closing_lines_of_unittest(self):
        self.assertEqual(counts("..\nRan 6 tests in 1.2s\n\nOK\n"), (6, 0))
        self.assertEqual(counts("Ran 1 test in 1.2s\n\nOK\n"), (1, 0))
        self.assertEqual(counts("Ran 9 tests in 1s\n\nFAILED (failures=2, errors=1, skipped=1)\n"), (5, 3))
        self.assertEqual(counts("Ran 2 tests in 1s\n\nFAILED (errors=2)\nlast words of a child\n"), (0, 2))

    def test_reads_a_plain_sum(self):
        self.assertEqual(counts("noise\n12 passed, 3 failed\n"), (12, 3))
        self.assertIsNone(counts("it broke\n"))

    def test_finds_programs_that_left_no_report(self):
        text = (
            "1/4 Test #1: unit_base ........................   Passed    0.01 sec\n"
            "2/4 Test #2: unit_store .......................***Failed    0.01 sec\n"
            "3/4 Test #3: shell ............................   Passed    0.01 sec\n"
            "4/4 Test #4: crash ............................***Exception: SegFault  0.31 sec\n"
        )
        found = Suite._without_report(text, {"unit_base"})
        self.assertEqual(found, {"unit_store": False, "shell": True, "crash": False})


class PythonStageTest(unittest.TestCase):
    def stage(self, text: str, code: int):
        with tempfile.TemporaryDirectory() as folder:
            script = pathlib.Path(folder) / "runner.py"
            script.write_text(f"import sys\nprint({text!r})\nsys.exit({code})\n")
            script.chmod(script.stat().st_mode | stat.S_IXUSR)
            return Suite(pathlib.Path(folder) / "build").python("runner", str(script), 30)

    def test_a_runner_that_ends_badly_counts_as_failed_whatever_it_printed(self):
        self.assertEqual(self.stage("3 passed, 0 failed", 1)[:2], (3, 1))
        self.assertEqual(self.stage("", 1)[:2], (0, 1))
        self.assertEqual(self.stage("3 passed, 2 failed", 1)[:2], (3, 2))
        self.assertEqual(self.stage("3 passed, 0 failed", 0)[:2], (3, 0))


class FuzzShareTest(unittest.TestCase):
    def test_every_fuzzer_that_is_built_has_its_turn_within_a_week(self):
        built = set(re.findall(r"^refrain_fuzzer\((\w+)", (HERE / "fuzz" / "CMakeLists.txt").read_text(), re.MULTILINE))
        self.assertEqual(built, set(fuzz.TARGETS) | set(fuzz.PLANTED))
        week = [fuzz.share_of(datetime.date(2026, 1, day)) for day in range(1, 8)]
        self.assertEqual(set().union(*week), set(fuzz.TARGETS))
        self.assertEqual({len(set(share)) for share in week}, {fuzz.SHARE})


if __name__ == "__main__":
    unittest.main()
