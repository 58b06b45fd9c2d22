#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs every test of the project on a finished build and adds up what the runners say. `./dev test` calls it.

    suite.py --build build/release [--only STAGE]... [--list]

Each stage is a program of its own that can be run alone; what it prints goes to the terminal and to
BUILD/test-logs. The last line is `N passed, N failed`; the exit code is 0 when none failed."""
import argparse
import contextlib
import datetime
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from typing import NamedTuple

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from kafka_broker import KafkaBroker  # noqa: E402
from tree import ROOT, project_files  # noqa: E402

WORLDS = 20_000  # both cores do them in two minutes
CLANG_FORMAT = 14  # versions format differently; this is the one the sources are kept with


class Outcome(NamedTuple):
    passed: int
    failed: int
    closing: list  # the runner's own last words


def counts(text: str):
    """(passed, failed) from the closing lines of Python's unittest or of a runner that says `N passed, N failed`;
    None when there are none."""
    plain = re.findall(r"^(\d+) passed, (\d+) failed", text, re.MULTILINE)
    if plain:
        return int(plain[-1][0]), int(plain[-1][1])
    ran = re.findall(r"^Ran (\d+) tests? in", text, re.MULTILINE)
    if not ran:
        return None
    verdict = (re.findall(r"^(?:OK|FAILED)(?: \(.*\))?$", text, re.MULTILINE) or [""])[-1]
    bad = sum(int(n) for n in re.findall(r"(?:failures|errors|unexpected successes)=(\d+)", verdict))
    skipped = sum(int(n) for n in re.findall(r"skipped=(\d+)", verdict))
    return int(ran[-1]) - bad - skipped, bad


class Suite:
    def __init__(self, build: pathlib.Path):
        self.build = build
        self.logs = build / "test-logs"
        shutil.rmtree(self.logs, ignore_errors=True)
        self.logs.mkdir(parents=True)
        self.prefix = []  # in front of every command
        self.environment = {**os.environ, "REFRAIN_BUILD": str(build), "REFRAIN_PROGRAM": str(build / "refrain")}

    def run(self, name: str, command, timeout: int):
        """Runs it with its output here and in the log; (exit code, output). Past `timeout` it is ended."""
        log = self.logs / f"{name}.log"
        process = subprocess.Popen(
            ["timeout", "--kill-after=30", str(timeout), *self.prefix, *map(str, command)],
            cwd=ROOT,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        with process, open(log, "w", encoding="utf-8") as out:
            try:
                for line in process.stdout:
                    out.write(line)
                    sys.stdout.write("  " + line)
                    sys.stdout.flush()
            except BaseException:
                process.terminate()  # timeout(1) passes it on to all that the runner started
                raise
        if process.returncode == 124:
            print(f"  {name} took longer than {timeout} s and was ended")
        return process.returncode, log.read_text(errors="replace")

    # -- stages

    def formatting(self) -> Outcome:
        found = subprocess.run(["clang-format", "--version"], stdout=subprocess.PIPE, text=True, check=True).stdout
        major = int(re.search(r"version (\d+)", found).group(1))
        if major != CLANG_FORMAT:
            return Outcome(0, 0, [f"not judged: clang-format is {major} here, the sources are kept with {CLANG_FORMAT}"])
        sources = [path for path in project_files() if path.suffix in (".h", ".cc")]
        code, _ = self.run("format", ["clang-format", "--dry-run", "-Werror", *sources], 300)
        return Outcome(int(code == 0), int(code != 0), [f"clang-format looked at {len(sources)} files"])

    def python(self, name: str, script: str, timeout: int, *flags: str) -> Outcome:
        return self.program(name, [sys.executable, script, *flags], timeout)

    def program(self, name: str, command, timeout: int) -> Outcome:
        """Whatever ends with `N passed, N failed` or as unittest does."""
        code, text = self.run(name, command, timeout)
        passed, failed = counts(text) or (int(code == 0), 0)
        closing = [line for line in text.splitlines() if line.strip()][-2:]
        return Outcome(passed, max(failed, int(code != 0)), closing)

    def programs(self, *select: str) -> Outcome:
        """ctest, of all or what `select` says; each test of each program counts, and a program that ends without its
        report is one failure."""
        results = self.build / "test-results"
        shutil.rmtree(results, ignore_errors=True)
        with KafkaBroker() as broker:
            self.environment["GTEST_OUTPUT"] = f"xml:{results}/"
            self.environment["REFRAIN_TEST_KAFKA"] = broker.bootstrap
            command = ["ctest", "--test-dir", self.build, "--output-on-failure", "--no-tests=error", *select]
            code, text = self.run("ctest", [*command, f"-j{os.cpu_count()}"], 1500)
        self.environment.pop("GTEST_OUTPUT")
        passed = failed = 0
        closing = []
        for report in sorted(results.glob("*.xml")):
            root = ElementTree.parse(report).getroot()
            tests = int(root.get("tests"))
            bad = int(root.get("failures")) + int(root.get("errors", 0))
            off = int(root.get("disabled", 0)) + len(root.findall(".//skipped"))
            passed, failed = passed + tests - bad - off, failed + bad
            skipped = f", {off} skipped" if off else ""
            closing.append(f"{report.stem}: {tests - bad - off} passed, {bad} failed{skipped}")
        silent = self._without_report(text, {report.stem for report in results.glob("*.xml")})
        for name, good in silent.items():
            passed, failed = passed + int(good), failed + int(not good)
            closing.append(f"{name}: {'passed' if good else 'failed'}")
        closing += re.findall(r"^\d+% tests passed.*$", text, re.MULTILINE)
        return Outcome(passed, max(failed, int(code != 0)), closing)

    def simulation(self) -> Outcome:
        """New worlds each day: a failure names its seed, so that it can be kept."""
        base = int(f"{datetime.date.today():%Y%m%d}") * 100_000
        print(f"  {WORLDS} worlds from seed {base} on: {datetime.date.today()}'s")
        flags = ["--seeds", str(WORLDS), "--from", str(base), "--every-branch"]
        return self.program("simulation", [self.build / "refrain-sim", *flags], 1200)

    def mutants(self) -> Outcome:
        """A third of the planted bugs, each day another; `./dev mutants` runs them all."""
        share = f"{datetime.date.today().toordinal() % 3 + 1}/3"
        flags = ["--mutants", "--seeds", "3000", "--share", share]
        return self.program("mutants", [self.build / "refrain-sim", *flags], 1200)

    @staticmethod
    def _without_report(text: str, reported):
        lines = re.findall(r"Test +#\d+: (\S+) \.+ *(?:\*\*\*)?(\w[\w: ]*?) +[\d.]+ sec", text)
        return {name: verdict == "Passed" for name, verdict in lines if name not in reported}

    def stages(self):
        return {
            "format": self.formatting,
            "layers": lambda: self.python("layers", "tests/layers_test.py", 60),
            "licence": lambda: self.python("licence", "tests/spdx_test.py", 60),
            "guarantees": lambda: self.python("guarantees", "tests/guarantees_test.py", 60),
            "suite": lambda: self.python("suite", "tests/suite_test.py", 60),
            "programs": self.programs,
            "simulation": self.simulation,
            "mutants": self.mutants,
            "broker": lambda: self.python("broker", "tests/kafka_broker_test.py", 300),
            "integration": lambda: self.python("integration", "tests/integration/run.py", 1200, "-v"),
            "chaos": lambda: self.python("chaos", "-m", 600, *"unittest discover -v -s tests/chaos -p *_test.py".split()),
            "compose": lambda: self.python("compose", "tests/compose_test.py", 300),
        }


def run_stages(stages) -> int:
    """Runs {name: stage} in its order, says what came of each and closes with the sum; 1 when anything failed."""
    summary, passed, failed = [], 0, 0
    for name, stage in stages.items():
        print(f"== {name}", flush=True)
        began = time.monotonic()
        try:
            outcome = stage()
        except (OSError, RuntimeError, subprocess.CalledProcessError) as problem:
            outcome = Outcome(0, 1, [str(problem)])
        passed, failed = passed + outcome.passed, failed + outcome.failed
        took = time.monotonic() - began
        summary.append(f"{name}: {outcome.passed} passed, {outcome.failed} failed ({took:.0f} s)")
        summary += [f"    {line}" for line in outcome.closing]
    with contextlib.suppress(BrokenPipeError):
        print("\n== closing lines", *summary, "", f"{passed} passed, {failed} failed", sep="\n")
    return 1 if failed else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "release")
    parser.add_argument("--only", action="append", metavar="STAGE", help="only these stages")
    parser.add_argument("--list", action="store_true", help="print the names of the stages")
    options = parser.parse_args()
    suite = Suite(options.build.resolve())
    stages = suite.stages()
    if options.list:
        print("\n".join(stages))
        return 0
    unknown = set(options.only or []) - set(stages)
    if unknown:
        parser.error(f"no such stage: {', '.join(sorted(unknown))}")
    chosen = {name: stage for name, stage in stages.items() if not options.only or name in options.only}
    return run_stages(chosen)


if __name__ == "__main__":
    sys.exit(main())
