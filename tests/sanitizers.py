#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tests under sanitizers, on finished builds of the presets asan-ubsan, tsan and fuzz; `./dev test --sanitizers`
calls it. Whatever a sanitizer reports ends the program that did it, so its test fails. The last line is
`N passed, N failed`.

    sanitizers.py [--all] [--only STAGE]... [--list]"""
import argparse
import platform
import subprocess
import sys
import pathlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from suite import Suite, run_stages  # noqa: E402
from tree import ROOT  # noqa: E402

BUILDS = ROOT / "build"
TESTS = ROOT / "tests"
# What has threads: the node's runner, the server, its clients and peers; RocksDB and the logs, Kafka's and in memory.
THREADED = "unit_cli|unit_server|contract"

ASAN = {
    # A leak is an error too. Frames that are gone are watched as well: coroutines invite references to them.
    "ASAN_OPTIONS": "detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:check_initialization_order=1"
    ":strict_init_order=1",
    "LSAN_OPTIONS": f"suppressions={TESTS}/lsan.supp:print_suppressions=0",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}
TSAN = {
    "TSAN_OPTIONS": f"suppressions={TESTS}/tsan.supp:halt_on_error=1:second_deadlock_stack=1:history_size=4"
    ":print_suppressions=0",
}


def fixed_addresses():
    """TSan of g++ 12 gives up where the kernel spreads addresses more than it knows of."""
    command = ["setarch", platform.machine(), "-R"]
    able = subprocess.run([*command, "true"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    return command if able.returncode == 0 else []


def under(preset: str, environment) -> Suite:
    suite = Suite(BUILDS / preset)
    suite.environment.update(environment)
    return suite


def stages(everything: bool):
    asan = under("asan-ubsan", ASAN)
    tsan = under("tsan", TSAN)
    tsan.prefix = fixed_addresses()
    fuzz = under("fuzz", {})
    worlds = 2000 if everything else 200
    out = {
        "asan-ubsan": lambda: asan.programs("-R", "^(unit_.*|contract)$"),
        "asan-ubsan worlds": lambda: asan.program("worlds", [asan.build / "refrain-sim", "--seeds", worlds], 1500),
        "tsan": lambda: tsan.programs("-R", "^(unit_.*|contract)$" if everything else f"^({THREADED})$"),
        "fuzz": lambda: fuzz.python("fuzz", "tests/fuzz/run.py", 1500, "--share"),
    }
    if everything:
        out["tsan worlds"] = lambda: tsan.program("worlds", [tsan.build / "refrain-sim", "--seeds", 200], 1500)
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--all", action="store_true", help="every program under both, and 2000 worlds")
    parser.add_argument("--only", action="append", metavar="STAGE", help="only these stages")
    parser.add_argument("--list", action="store_true", help="print the names of the stages")
    options = parser.parse_args()
    there = stages(options.all)
    if options.list:
        print("\n".join(there))
        return 0
    if unknown := set(options.only or []) - set(there):
        parser.error(f"no such stage: {', '.join(sorted(unknown))}")
    return run_stages({name: stage for name, stage in there.items() if not options.only or name in options.only})


if __name__ == "__main__":
    sys.exit(main())
