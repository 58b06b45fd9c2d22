#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the fuzzers of a finished build; `./dev fuzz` calls it. The last line is `N passed, N failed`.

    run.py [TARGET...] [--minutes M | --runs N] [--learn] [--share] [--list]

A target passes when it replays tests/fuzz/corpus/TARGET and tests/fuzz/crashes/TARGET and then finds nothing in the
time it has. --share is what every run of the tests does: five targets, others tomorrow, half a minute each."""
import argparse
import datetime
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
# Longest input in bytes: enough for all that a decoder tells apart, short enough to be quick.
TARGETS = {"record": 512, "rows": 768, "token": 512, "http_head": 768, "json": 768, "config": 512}
PLANTED = {"planted_address": 64, "planted_undefined": 64}  # wrong on purpose
SHARE, SHARE_SECONDS = 5, 30
ENVIRONMENT = {
    # Libraries without frame pointers give ever new stacks, and remembering them takes more time than all else.
    "ASAN_OPTIONS": "malloc_context_size=2:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


def share_of(day: datetime.date):
    """Five of them, the next five tomorrow."""
    names = list(TARGETS)
    first = day.toordinal() * SHARE % len(names)
    return [names[(first + i) % len(names)] for i in range(min(SHARE, len(names)))]


class Fuzzer:
    def __init__(self, build: pathlib.Path, target: str):
        self.target = target
        self.longest = {**TARGETS, **PLANTED}[target]
        self.program = build / "tests" / "fuzz" / f"fuzz_{target}"
        self.learned = build / "learned" / target  # what earlier runs here came to; a start, no part of the tests
        self.found = build / "found"
        self.known = [path for path in (HERE / "corpus" / target, HERE / "crashes" / target) if path.is_dir()]
        for path in (self.learned, self.found):
            path.mkdir(parents=True, exist_ok=True)

    def run(self, flags, folders, patience: float):
        """(exit code, output). Ended when it takes longer than `patience` seconds."""
        command = [self.program, f"-max_len={self.longest}", f"-artifact_prefix={self.found}/{self.target}-"]
        command += ["-print_final_stats=1", "-timeout=20", "-rss_limit_mb=2048", *flags, *folders]
        environment = {**os.environ, **ENVIRONMENT}
        with tempfile.TemporaryFile() as log:  # it writes a line for each find, and says all at its end
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment)
            try:
                code = process.wait(timeout=patience)
            except subprocess.TimeoutExpired:
                code = "no end"
            finally:
                process.kill()
                process.wait()
            log.seek(0)
            return code, log.read().decode(errors="replace")

    def replay(self) -> bool:
        code, text = self.run(["-runs=0"], self.known, 600)
        inputs = sum(1 for folder in self.known for path in folder.iterdir())
        if code != 0:
            return self.failed("replay", code, text)
        print(f"  {self.target}: {inputs} known inputs replayed", flush=True)
        return True

    def fuzz(self, seconds: float, runs) -> bool:
        began = time.monotonic()
        limit = [f"-runs={runs}"] if runs else [f"-max_total_time={max(1, round(seconds))}"]
        code, text = self.run(limit, [self.learned, *self.known], 36 * 3600 if runs else seconds + 300)
        took = time.monotonic() - began
        executions = number(text, r"stat::number_of_executed_units: (\d+)")
        edges = number(text, r"cov: (\d+)", last=True)
        if code != 0:
            return self.failed("fuzzing", code, text)
        print(f"  {self.target}: {executions:,} executions in {took:.0f} s, {executions / took:,.0f} a second, "
              f"{edges} edges", flush=True)
        return True

    def finds_itself(self) -> bool:
        """Of a target that is wrong on purpose: a fuzzer that finds nothing there would find nothing anywhere."""
        code, text = self.run([f"-max_total_time={SHARE_SECONDS}"], [], SHARE_SECONDS + 60)
        good = code not in (0, "no end") and bool(re.search("ERROR: AddressSanitizer|runtime error", text))
        print(f"  {self.target}: {'found, as it must be' if good else 'wrong on purpose, and not found'}", flush=True)
        return good

    def failed(self, doing: str, code, text: str) -> bool:
        report = re.search(r"^.*(?:ERROR: |runtime error|invariant broken)", text, re.MULTILINE)
        shown = text[report.start():] if report else text
        print("".join(f"    {line}\n" for line in shown.splitlines()[:40]), end="")
        artifact = re.findall(r"Test unit written to (\S+)", text)
        running = re.findall(r"^Running: (\S+)", text, re.MULTILINE)
        print(f"  {self.target}: {doing} failed ({code})")
        if path := artifact or running:
            print(f"  input:  {path[-1]}\n  replay: {self.program} {path[-1]}", flush=True)
        return False

    def learn(self) -> bool:
        """The corpus anew, as few and as small inputs as show all that is known."""
        corpus = HERE / "corpus" / self.target
        with tempfile.TemporaryDirectory() as fresh:
            folders = [pathlib.Path(fresh), *self.known, self.learned]
            code, text = self.run(["-merge=1", "-use_counters=0"], folders, 3600)
            if code != 0:
                return self.failed("merge", code, text)
            shutil.rmtree(corpus, ignore_errors=True)
            shutil.copytree(fresh, corpus)
        size = sum(path.stat().st_size for path in corpus.iterdir())
        print(f"  {self.target}: {len(list(corpus.iterdir()))} inputs, {size:,} bytes in {corpus}")
        return True


def number(text: str, pattern: str, last: bool = False) -> int:
    found = re.findall(pattern, text)
    return int(found[-1 if last else 0]) if found else 0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join([*TARGETS, *PLANTED]))
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build" / "fuzz")
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--runs", type=int)
    parser.add_argument("--learn", action="store_true")
    parser.add_argument("--share", action="store_true", help="today's five, half a minute each")
    parser.add_argument("--list", action="store_true", help="print the names of the targets")
    options = parser.parse_args()
    if unknown := set(options.targets) - set(TARGETS) - set(PLANTED):
        parser.error(f"no such target: {', '.join(sorted(unknown))} (there are {', '.join(TARGETS)})")
    targets = options.targets or (share_of(datetime.date.today()) if options.share else list(TARGETS))
    if options.list:
        print("\n".join(options.targets or [*TARGETS, *PLANTED]))
        return 0
    seconds = SHARE_SECONDS if options.share else 60 * options.minutes
    passed = failed = 0
    for target in targets if not options.share else TARGETS:
        fuzzer = Fuzzer(options.build.resolve(), target)
        good = fuzzer.replay()
        if good and target in targets and (seconds > 0 or options.runs):
            good = fuzzer.fuzz(seconds, options.runs)
        if good and options.learn:
            good = fuzzer.learn()
        passed, failed = passed + int(good), failed + int(not good)
    for target in PLANTED if options.share else ():
        found = Fuzzer(options.build.resolve(), target).finds_itself()
        passed, failed = passed + int(found), failed + int(not found)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
