#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who may include whom. Reads every #include and fails on an arrow that the layers do not allow.

base <- {store, resilience, proto} <- {replication, idempotency} <- node <- server <- cli; siblings do not include
each other; tests and benchmarks may include anything and nobody includes them."""
import pathlib
import re
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from tree import ROOT, project_files  # noqa: E402

BELOW = {
    "base": set(),
    "store": {"base"},
    "resilience": {"base"},
    "proto": {"base"},
    "replication": {"base", "store", "resilience", "proto"},
    "idempotency": {"base", "store", "resilience"},
    "node": {"base", "store", "resilience", "replication", "idempotency"},
    "server": {"base", "store", "resilience", "replication", "idempotency", "node"},
    "cli": {"base", "store", "resilience", "replication", "idempotency", "node", "server"},
}
OUTSIDE = {"tests", "bench", "examples"}
# Headers of a library: the folder that may know them, and in how many .cc files of it (None: any number, .h too).
LIBRARIES = {
    "rocksdb/": ("store", 1),
    "librdkafka/": ("replication", 1),
    "boost/beast": ("server", None),
    "google/protobuf/": ("replication", None),
}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def violations(root: pathlib.Path, files):
    """One line for each include that may not be."""
    found, users = [], {library: set() for library in LIBRARIES}
    for path in files:
        layer = path.parts[0]
        if layer not in BELOW or path.suffix not in (".h", ".cc"):
            continue
        for kind, target in INCLUDE.findall((root / path).read_text()):
            found += _of_layer(root, path, layer, kind, target)
            for library, (owner, _) in LIBRARIES.items():
                if target.startswith(library):
                    users[library].add(path)
                    if layer != owner:
                        found.append(f"{path}: {target} is for {owner}/ only")
    for library, (owner, at_most) in LIBRARIES.items():
        if at_most is None:
            continue
        inside = sorted(path for path in users[library] if path.parts[0] == owner)
        found += [f"{path}: {library} belongs into a .cc" for path in inside if path.suffix == ".h"]
        if len(inside) > at_most:
            found.append(f"{library} is included by {len(inside)} files, not {at_most}: {', '.join(map(str, inside))}")
    return found


def _of_layer(root, path, layer, kind, target):
    if ".." in pathlib.PurePath(target).parts:
        return [f"{path}: {target}: write the path from the top folder"]
    if target.endswith(".pb.h"):
        target = "proto/" + target.rpartition("/")[2]
    folder = target.partition("/")[0]
    if folder in BELOW and "/" in target:
        if folder != layer and folder not in BELOW[layer]:
            return [f"{path}: {layer}/ may not include {target}"]
    elif folder in OUTSIDE and (root / target).exists():
        return [f"{path}: {layer}/ may not include {target}"]
    elif kind == '"':
        return [f'{path}: "{target}": write the path from the top folder']
    return []


class LayersTest(unittest.TestCase):
    def test_every_include_points_downwards(self):
        self.assertEqual(violations(ROOT, project_files()), [])

    def test_every_layer_is_looked_at(self):
        folders = {path.parts[0] for path in project_files() if path.suffix in (".h", ".cc")}
        self.assertEqual(folders - set(BELOW) - OUTSIDE, set(), "a folder with C++ that no rule names")


class SelfTest(unittest.TestCase):
    """A checker that never failed is no evidence."""

    def check(self, sources):
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            for name, text in sources.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            return violations(root, [pathlib.Path(name) for name in sources])

    def test_allowed_includes_pass(self):
        allowed = {
            "store/rocksdb_engine.cc": '#include "store/engine.h"\n#include <rocksdb/db.h>\n#include "base/result.h"\n',
            "replication/codec.cc": '#include "proto/record.pb.h"\n#include <vector>\n',
            "cli/main.cc": '#include "server/server.h"\n#include <sys/stat.h>\n',
            "server/session.cc": "#include <boost/beast/http.hpp>\n",
            "tests/unit/store/a_test.cc": '#include "cli/main.h"\n#include <rocksdb/db.h>\n',
        }
        self.assertEqual(self.check(allowed), [])

    def test_each_forbidden_include_is_found(self):
        forbidden = {
            "upwards": {"base/a.h": '#include "store/engine.h"\n'},
            "sibling": {"store/a.h": '#include "resilience/retry.h"\n'},
            "sibling above": {"idempotency/a.cc": '#include "replication/log.h"\n'},
            "angle brackets": {"node/a.cc": "#  include <server/server.h>\n"},
            "proto outside the codec": {"node/a.cc": '#include "record.pb.h"\n'},
            "protobuf outside the codec": {"server/a.cc": "#include <google/protobuf/message.h>\n"},
            "RocksDB elsewhere": {"node/a.cc": "#include <rocksdb/db.h>\n"},
            "RocksDB in a header": {"store/a.h": "#include <rocksdb/db.h>\n"},
            "RocksDB twice": {name: "#include <rocksdb/db.h>\n" for name in ("store/a.cc", "store/b.cc")},
            "librdkafka elsewhere": {"cli/a.cc": "#include <librdkafka/rdkafka.h>\n"},
            "librdkafka twice": {name: "#include <librdkafka/rdkafka.h>\n" for name in ("replication/a.cc", "replication/b.cc")},
            "Beast elsewhere": {"cli/a.cc": "#include <boost/beast/core.hpp>\n"},
            "around the corner": {"base/a.cc": '#include "../store/engine.h"\n'},
            "without its folder": {"base/a.cc": '#include "result.h"\n'},
            "tests": {"node/a.cc": '#include "tests/fake.h"\n', "tests/fake.h": ""},
        }
        for name, sources in forbidden.items():
            with self.subTest(name):
                self.assertEqual(len(self.check(sources)), 1)


if __name__ == "__main__":
    unittest.main()
