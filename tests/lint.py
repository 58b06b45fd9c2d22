#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs clang-format and clang-tidy over the project's C++. `./dev lint` calls it.

    lint.py --build build/lint [FILE...]

The compile commands are those of g++; what clang does not know of them is left out in a copy. The exit code is
0 when nothing is found."""
import argparse
import concurrent.futures
import json
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from tree import ROOT, project_files  # noqa: E402

ONLY_GCC = ("-fcoroutines", "-Wno-maybe-uninitialized", "-Wno-restrict", "-Wno-stringop-overflow", "-Wno-dangling-pointer")


def clang_commands(build: pathlib.Path) -> pathlib.Path:
    """A folder with a compile_commands.json that clang can read."""
    entries = json.loads((build / "compile_commands.json").read_text())
    for entry in entries:
        words = entry["command"].split()
        entry["command"] = " ".join(word for word in words if word not in ONLY_GCC) + " -Wno-unknown-warning-option"
    folder = build / "clang"
    folder.mkdir(exist_ok=True)
    (folder / "compile_commands.json").write_text(json.dumps(entries))
    return folder


def tidy(commands: pathlib.Path, path: pathlib.Path):
    done = subprocess.run(
        ["clang-tidy", "-p", str(commands), "--quiet", str(ROOT / path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    return path, done.returncode, done.stdout or (done.stderr if done.returncode else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "lint")
    parser.add_argument("files", nargs="*", type=pathlib.Path)
    options = parser.parse_args()
    files = options.files or [path for path in project_files() if path.suffix in (".cc", ".h")]
    bad = subprocess.run(["clang-format", "--dry-run", "-Werror", *map(str, files)], cwd=ROOT, check=False).returncode != 0
    commands = clang_commands(options.build.resolve())
    known = {entry["file"] for entry in json.loads((commands / "compile_commands.json").read_text())}
    # Headers are read through the files that include them.
    sources = [path for path in files if str(ROOT / path) in known]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for number, (path, code, text) in enumerate(pool.map(lambda path: tidy(commands, path), sources), 1):
            print(f"[{number}/{len(sources)}] {path}", flush=True)
            if code:
                bad = True
                print(text)
    print("lint: something to mend" if bad else f"lint: clean, {len(sources)} files")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
