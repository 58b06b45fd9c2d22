#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the integration tests: every *_test.py of this folder, in any order, on one real Kafka broker.

    run.py [-k PATTERN] [-v]

Ends with unittest's closing lines; the exit code is 0 when none failed."""
import argparse
import pathlib
import random
import sys
import unittest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent)]


def flat(suite):
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            yield from flat(test)
        else:
            yield test


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", action="append", dest="patterns", metavar="PATTERN", help="only tests whose names match")
    parser.add_argument("-v", action="store_true", help="name each test")
    options = parser.parse_args()
    loader = unittest.TestLoader()
    if options.patterns:
        loader.testNamePatterns = [p if "*" in p else f"*{p}*" for p in options.patterns]
    modules = list(loader.discover(str(HERE), pattern="*_test.py", top_level_dir=str(HERE)))
    random.shuffle(modules)  # tests do not lean on each other
    result = unittest.TextTestRunner(verbosity=2 if options.v else 1).run(unittest.TestSuite(modules))
    return 0 if result.wasSuccessful() else 1


if __name__ == "__main__":
    sys.exit(main())
