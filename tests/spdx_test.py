#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Every source file names its licence in its first line, or in the second behind #! or <?xml."""
import pathlib
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from tree import ROOT, project_files  # noqa: E402

SUFFIXES = {".cc", ".h", ".py", ".sh", ".cmake", ".proto", ".yml", ".yaml", ".xml"}
NAMES = {"Dockerfile", "CMakeLists.txt", "dev", "run"}
LINE = "SPDX-License-Identifier: Apache-2.0"


def without_licence(root: pathlib.Path, files):
    def names_it(path):
        lines = (root / path).read_text(errors="replace").splitlines() or [""]
        first = 1 if lines[0].startswith(("#!", "<?xml")) else 0
        return first < len(lines) and LINE in lines[first]

    return [str(path) for path in files if (path.suffix in SUFFIXES or path.name in NAMES) and not names_it(path)]


class SpdxTest(unittest.TestCase):
    def test_every_source_file_names_its_licence(self):
        self.assertEqual(without_licence(ROOT, project_files()), [])

    def test_a_file_without_it_is_found(self):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            (root / "a.cc").write_text("int main() {}\n")
            (root / "b.py").write_text(f"#!/usr/bin/env python3\n# {LINE}\n")
            (root / "c.h").write_text("")
            files = [pathlib.Path(name) for name in ("a.cc", "b.py", "c.h")]
            self.assertEqual(without_licence(root, files), ["a.cc", "c.h"])


if __name__ == "__main__":
    unittest.main()
