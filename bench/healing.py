#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What a region that comes, a lost disk and a Kafka that forgets cost while writes go on at a steady rate.

    healing.py [join] [disk] [retention] [kafka] [--keys 100000] [--rate 2000] [--seconds 8] [--build build/release]

Real nodes on a real Kafka broker of this machine. Each story prints its times and what a write took before, while and
after, from the moment at which it was due. Then every acknowledged write must stand at every node with the version
that its answer gave, and `refrain verify --deep` must find no difference: else exit code 1."""
import argparse
import json
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
from datetime import datetime

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests"), str(HERE.parent / "tests" / "integration")]
from cluster import QUICK, Cluster, wait_until  # noqa: E402
from kafka_broker import KafkaBroker  # noqa: E402


class Load:
    """bench_load at a steady rate; what it was promised is known when it was finished."""

    def __init__(self, options, node, prefix, rate):
        self.samples = pathlib.Path(node.data.parent) / f"{prefix}.samples"
        command = [options.bench_load, "put", node.port, "--prefix", prefix, "--rate", rate, "--connections", 16,
                   "--seconds", 600, "--samples", self.samples]  # fmt: skip
        self.process = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.rows = []

    def finish(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=60)
        if self.process.returncode:
            raise AssertionError(f"a write was not acknowledged: {err.decode()}")
        self.said = json.loads(out)
        for line in self.samples.read_text().splitlines():
            end, micros, key, version = line.split("\t")
            self.rows.append((int(end) / 1000 - int(micros) / 1e6, int(micros) / 1000, key, version))
        return self

    def took(self, since, until):
        """Milliseconds of the writes that were due between two times."""
        return sorted(ms for due, ms, _, _ in self.rows if since <= due < until)


class Story:
    def __init__(self, options, title, names, broker):
        self.options, self.marks = options, []
        print(f"\n{title}; {options.keys:,} keys are there, {options.rate:,} writes a second go on", flush=True)
        self.cluster = Cluster(broker, names=names, config=QUICK).start()
        self.cluster.wait_in_sync()
        subprocess.run([str(options.bench_load), "put", str(self.cluster["eu"].port), "--count", str(options.keys),
                        "--prefix", "kept"], check=True, stdout=subprocess.DEVNULL)  # fmt: skip
        self.cluster.wait_in_sync(300)
        self.loads = []

    def load(self, *names):
        share = self.options.rate // len(names)
        self.loads = [Load(self.options, self.cluster[name], f"{name}-", share) for name in names]
        self.quiet()  # until the broker's code is compiled: a new one is slow

    def quiet(self):
        """A while in which nothing but writes happens."""
        time.sleep(self.options.seconds)

    def mark(self, what):
        self.marks.append((time.time(), what))

    def finish(self):
        """Ends the load, prints what writes took between the marks, and looks whether all is everywhere."""
        self.marks.append((time.time(), ""))
        for load in self.loads:
            load.finish()
        for (since, what), (until, _) in zip(self.marks, self.marks[1:]):
            took = sorted(ms for load in self.loads for ms in load.took(since, until))
            if not took:
                continue
            p50, p99 = (took[int(len(took) * part)] for part in (0.5, 0.99))
            print(f"  writes {what:<7} {len(took):6,} in {until - since:5.1f} s: p50 {p50:6.2f} ms, p99 {p99:6.2f} ms, "
                  f"longest {took[-1]:7.1f} ms")
        self.everywhere()

    def everywhere(self):
        self.cluster.wait_in_sync(300)
        promised = {key: version for load in self.loads for _, _, key, version in load.rows}
        shown = []
        for node in self.cluster:
            has = {item["key"]: item["version"] for item in node.items("/v1/kv/bench")}
            lost = [key for key, version in promised.items() if has.get(key) != version]
            lost += [f"kept{i}" for i in range(self.options.keys) if f"kept{i}" not in has]
            assert not lost, f"{node.name} lacks {len(lost)}: {lost[:5]}"
            assert not node.items("/v1/conflicts"), f"{node.name} has conflicts"
            shown.append(has)
        assert all(has == shown[0] for has in shown), "they differ"
        verify = self.cluster["eu"].cli("verify", "--deep")
        assert verify.returncode == 0, (verify.stdout + verify.stderr).decode()
        print(f"  all {len(promised):,} acknowledged writes and {self.options.keys:,} older keys are at {len(shown)} nodes, each once "
              f"({len(shown[0]):,} keys), no conflicts; verify --deep: the same")

    def healed(self, *names):
        for name in names:
            for row in self.cluster[name].status()["healed"]:
                print(f"  healed at {name}: {row['at']} {row['what']}: {row['found']}; {row['done']}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for load in self.loads:
            if load.process.poll() is None:
                load.process.kill()
                load.process.communicate()
        self.cluster.close()


def log_times(node, *phrases):
    """When the log said each first; None where it did not."""
    found = dict.fromkeys(phrases)
    for line in node.log_text().splitlines():
        for phrase in phrases:
            at = re.search(r"\d{4}-\d\d-\d\dT[\d:.]+Z", line)
            if phrase in line and at and found[phrase] is None:
                found[phrase] = datetime.fromisoformat(at[0].replace("Z", "+00:00")).timestamp()
    return [found[phrase] for phrase in phrases]


def becomes_active(story, node, began):
    """Waits for it, then for no lag; prints the phases."""
    node.wait_ready(300)
    ready = time.time()
    story.mark("after")
    asked, snapshot_in = log_times(node, "Taking a snapshot", "The snapshot is in")
    rows, size = map(int, re.search(r"(\d+) rows, (\d+) bytes", node.log_text()).groups())

    def behind():
        cells = node.call("GET", "/v1/sync").json()["cells"]
        return max((cell["lag_commits"] for cell in cells if cell["reader"] == node.name), default=0)

    at_ready = behind()
    took = snapshot_in - asked
    print(f"  active after {ready - began:.1f} s: {asked - began:.1f} s until it asks for a snapshot; {rows:,} rows, "
          f"{size / 2**20:.1f} MiB in {took:.2f} s ({size / 2**20 / max(took, 0.001):.0f} MiB/s); "
          f"{ready - snapshot_in:.1f} s to catch up")
    story.quiet()
    seen = []
    for _ in range(20):
        seen.append(behind())
        time.sleep(0.1)
    print(f"  lag of {node.name} when it became active: {at_ready} commits; {story.options.seconds} s later: "
          f"{sorted(seen)[10]} in the median, {max(seen)} at most")


def join(options, broker):
    with Story(options, "A region is added", ("eu", "us"), broker) as story:
        story.load("eu")
        story.mark("before")
        story.quiet()
        story.mark("while")
        began = time.time()
        becomes_active(story, story.cluster.add("ap").start(ready=False), began)
        story.finish()


def disk(options, broker):
    with Story(options, "A disk is lost: kill -9, the directory removed, started again at once", ("eu", "us", "ap"), broker) as story:
        story.load("eu")
        story.mark("before")
        story.quiet()
        story.mark("while")
        us = story.cluster["us"]
        us.kill()
        shutil.rmtree(us.data)
        us.log.unlink()
        began = time.time()
        becomes_active(story, us.start(ready=False), began)
        story.finish()


def retention(options, broker):
    with Story(options, "A node is away while Kafka's retention passes", ("eu", "us", "ap"), broker) as story:
        story.load("eu", "us")
        story.mark("before")
        story.quiet()
        ap = story.cluster["ap"]
        ap.kill()
        story.mark("away")
        story.quiet()
        with broker.client() as client:
            for name in ("eu", "us"):
                client.truncate(story.cluster.journal(name))
        story.mark("healing")
        began = time.time()
        ap.start()
        wait_until(lambda: ap.cli("status").returncode == 0, 300, "ap is in sync")
        print(f"  in sync {time.time() - began:.1f} s after its start, with no command")
        story.mark("after")
        story.quiet()
        story.finish()
        story.healed("ap", "eu", "us")


def kafka(options, broker):
    with Story(options, "Kafka is replaced by an empty cluster on the same address", ("eu", "us", "ap"), broker) as story:
        story.load("eu", "us")
        story.mark("before")
        story.quiet()
        story.mark("away")
        broker.kill()
        shutil.rmtree(broker.directory / "data")
        broker.start()
        story.mark("healing")
        began = time.time()
        for node in story.cluster:
            listed = lambda n=node: any("another cluster" in row["found"] for row in n.status()["healed"])  # noqa: E731
            wait_until(listed, 120, f"{node.name} names it")
            wait_until(lambda n=node: n.cli("status").returncode == 0, 300, f"{node.name} is in sync")
        print(f"  all in sync {time.time() - began:.1f} s after the new cluster took its first producer")
        story.mark("after")
        story.quiet()
        story.finish()
        story.healed("eu", "us", "ap")


STORIES = {"join": join, "disk": disk, "retention": retention, "kafka": kafka}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("story", nargs="*", metavar="STORY", help=f"of {', '.join(STORIES)}; all when none is named")
    parser.add_argument("--keys", type=int, default=100_000, help="before the load begins")
    parser.add_argument("--rate", type=int, default=2_000, help="writes a second")
    parser.add_argument("--seconds", type=float, default=8, help="of load before and after")
    parser.add_argument("--build", default=str(HERE.parent / "build" / "release"), help="directory of the build")
    options = parser.parse_args()
    if unknown := set(options.story) - set(STORIES):
        parser.error(f"no such story: {', '.join(unknown)}")
    options.bench_load = pathlib.Path(options.build).resolve() / "bench" / "bench_load"
    failed = 0
    with KafkaBroker() as broker:
        for name in options.story or STORIES:
            try:
                STORIES[name](options, broker)
            except (AssertionError, TimeoutError) as error:
                failed += 1
                print(f"  {name} FAILED: {error}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
