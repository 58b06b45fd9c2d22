#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""docs/guarantees.md says which test or command shows each promise: all of them must be there."""
import pathlib
import re
import unittest

ROOT = pathlib.Path(__file__).resolve().parent.parent


def evidence(text: str):
    """(promise, [what shows it]) of each row of the tables."""
    rows = []
    for line in text.splitlines():
        cells = re.split(r"\s*\|\s*", line.strip())[1:-1]
        if len(cells) != 4 or cells[0] == "promise" or set(cells[0]) == {"-"}:
            continue
        rows.append((cells[0], re.findall(r"`([^`]+)`", cells[2])))
    return rows


def missing(reference: str):
    """Why this evidence is none; None when it is there."""
    if reference.startswith("./dev "):
        command = reference.split()[1]
        dispatch = re.search(r"^    (build \|.*)\)$", (ROOT / "dev").read_text(), re.MULTILINE).group(1)
        return None if command in dispatch.split(" | ") else f"./dev has no command {command}"
    if reference.startswith("bug: "):
        name = reference.removeprefix("bug: ")
        bugs = (ROOT / "tests/simulation/planted.cc").read_text()
        return None if f'{{"{name}",' in bugs else f"there is no planted bug {name}"
    if ": " in reference:
        path, name = reference.split(": ", 1)
        if not (ROOT / path).is_file():
            return f"there is no file {path}"
        pattern = rf"def {name}\(" if path.endswith(".py") else rf"TEST(_F|_P)?\(\w+, {name}\)|RC_GTEST\w*\(\w+, {name},"
        return None if re.search(pattern, (ROOT / path).read_text()) else f"{path} has no test {name}"
    return "it is neither a command, nor a planted bug, nor a test"


class Guarantees(unittest.TestCase):
    def setUp(self):
        self.rows = evidence((ROOT / "docs/guarantees.md").read_text())

    def test_every_promise_names_what_shows_it(self):
        self.assertGreater(len(self.rows), 30)
        for promise, references in self.rows:
            self.assertTrue(references, f"nothing shows: {promise}")

    def test_everything_named_is_there(self):
        for promise, references in self.rows:
            for reference in references:
                self.assertIsNone(missing(reference), f"{promise!r} names `{reference}`")

    def test_what_is_not_there_is_noticed(self):
        for reference in ("./dev nothing", "bug: none", "tests/no_test.py: test_x", "hope",
                          "tests/guarantees_test.py: test_that_nobody_wrote"):
            self.assertIsNotNone(missing(reference), reference)


if __name__ == "__main__":
    unittest.main()
