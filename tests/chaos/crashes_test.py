#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A short run of chaos.py: every kind of disturbance once, and thirty kills."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import chaos  # noqa: E402


class Crashes(unittest.TestCase):
    def test_thirty_kills_break_no_promise(self):
        self.assertEqual(chaos.main(["--kills", "30", "--minutes", "2", "--round", "15"]), 0)


if __name__ == "__main__":
    unittest.main()
