#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Measures Refrain beside the bare loop it is compared with and prints one table.

Each line is measured `--runs` times, ours and the peer in turn; the table shows the median, and lowest–highest.
Build first (./dev bench does). Everything runs on 127.0.0.1 and in a temporary directory, which is removed."""
import argparse
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime
from typing import NamedTuple

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
sys.path.insert(0, str(ROOT / "tests/integration"))


class Line(NamedTuple):
    """What is measured, one number a run; `peer` is empty where a line stands alone."""

    what: str
    unit: str
    ours: list
    peer_name: str
    peer: list
    goal: str
    met: bool
    note: str = ""


class Bench:
    def __init__(self, arguments, directory):
        self.arguments, self.directory, self.count = arguments, pathlib.Path(directory), 0
        self.programs = pathlib.Path(arguments.build).resolve() / "bench"
        self._broker = None

    def fresh(self, name):
        self.count += 1
        path = self.directory / f"{name}{self.count}"
        path.mkdir()
        return path

    def run(self, program, *words):
        done = subprocess.run([self.programs / program, *map(str, words)], capture_output=True, text=True, timeout=600)
        if done.returncode:
            raise RuntimeError(f"{program} {words}: {done.stderr[-2000:]}")
        return json.loads(done.stdout)

    def load(self, what, port, **flags):
        flags = {"seconds": self.arguments.seconds, "connections": 64, **flags}
        return self.run("bench_load", what, port, *(w for k, v in flags.items() for w in (f"--{k}", v)))

    def repeats(self):
        return range(self.arguments.runs)

    def broker(self):
        if not self._broker:
            from kafka_broker import KafkaBroker

            self._broker = KafkaBroker(self.fresh("kafka")).start()
        return self._broker

    def close(self):
        if self._broker:
            self._broker.cleanup()


class Program:
    """A peer: a process on a port, ended with the block."""

    def __init__(self, port, *command, cwd=None):
        self.port = port
        self.process = subprocess.Popen(command, cwd=cwd, stdout=subprocess.DEVNULL)

    def __enter__(self):
        from kafka_broker import wait_until

        def listens():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        try:
            wait_until(listens, 10, f"{self.process.args[0]} listens")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def alone(bench):
    from cluster import Cluster

    return Cluster(names=("eu",))


def hello(bench):
    from kafka_broker import free_ports

    port = free_ports(1)[0]
    return Program(port, str(bench.programs / "bench_hello"), str(port))


def redis(bench):
    from kafka_broker import free_ports

    port, directory = free_ports(1)[0], bench.fresh("redis")
    settings = f"--port {port} --bind 127.0.0.1 --appendonly yes --appendfsync always --save".split()
    return Program(port, "redis-server", *settings, "", "--dir", str(directory))


def median(runs, name):
    return statistics.median(run[name] for run in runs)


def column(runs, name):
    return [run[name] for run in runs]


def line_put(bench):
    ours, peer = [], []
    for _ in bench.repeats():
        with alone(bench).start() as nodes:
            ours.append(bench.load("put", nodes["eu"].port))
        with hello(bench) as server:
            peer.append(bench.load("put", server.port))
    p99 = median(ours, "p99_ms")
    return [
        Line("durable PUT over HTTP, 64 connections, alone", "/s", column(ours, "per_second"),
             "Beast hello, stores nothing", column(peer, "per_second"), ">= 30,000/s", median(ours, "per_second") >= 30000),
        Line("the same, p99", "ms", column(ours, "p99_ms"), "Beast hello, stores nothing", column(peer, "p99_ms"),
             "< 10 ms", p99 < 10),
    ]  # fmt: skip


def line_put_kafka(bench):
    from cluster import Cluster

    runs = []
    for _ in bench.repeats():
        with Cluster(bench.broker(), names=("eu",)).start() as nodes:
            runs.append(bench.load("put", nodes["eu"].port))
    return [
        Line("durable PUT, Kafka on the same machine", "/s", column(runs, "per_second"), "", [], "quoted", True),
        Line("the same, p99", "ms", column(runs, "p99_ms"), "", [], "quoted", True),
    ]


def line_pairs(bench):
    ours, peer = [], []
    for _ in bench.repeats():
        with alone(bench).start() as nodes:
            ours.append(bench.load("pairs", nodes["eu"].port))
        with redis(bench) as server:
            peer.append(bench.load("redis", server.port))
    ratio = median(ours, "per_second") / median(peer, "per_second")
    return [
        Line("begin + complete, durable, 64 connections", "pairs/s", column(ours, "per_second"),
             "redis appendfsync always", column(peer, "per_second"), ">= 0.5 x", ratio >= 0.5),
        Line("the same, p99 of a pair", "ms", column(ours, "p99_ms"), "redis appendfsync always",
             column(peer, "p99_ms"), "quoted", True),
    ]  # fmt: skip


def line_ledger(bench):
    runs = []
    for _ in bench.repeats():
        directory = bench.fresh("ledger")
        runs.append(bench.run("bench_ledger_loop", directory, bench.arguments.commits))
        shutil.rmtree(directory)
    ratio = median(runs, "ours_per_second") / median(runs, "bare_per_second")
    return [
        Line("durable commits without HTTP, 64 in a batch", "/s", column(runs, "ours_per_second"),
             "bare RocksDB, same batches", column(runs, "bare_per_second"), ">= 0.8 x", ratio >= 0.8),
    ]  # fmt: skip


def line_collect(bench):
    """Every second commit is a delete, in a store with half a million other keys that the collector walks too."""
    runs = []
    for _ in bench.repeats():
        directory = bench.fresh("collect")
        runs.append(bench.run("bench_collect_loop", directory, 10 * bench.arguments.commits))
        shutil.rmtree(directory)
    ratio = median(runs, "with_per_second") / median(runs, "without_per_second")
    removed = int(median(runs, "removed"))
    return [
        Line(f"durable puts and deletes while deleted keys are forgotten ({removed:,} of them)", "/s",
             column(runs, "with_per_second"), "nothing is forgotten", column(runs, "without_per_second"),
             ">= 0.9 x", ratio >= 0.9),
        Line("the same, longest batch", "ms", column(runs, "with_longest_ms"), "nothing is forgotten",
             column(runs, "without_longest_ms"), "quoted", True),
    ]  # fmt: skip


def line_visible(bench):
    """One PUT at a time on eu, then a GET on us that waits for what the PUT's session names: from the PUT's answer
    to the GET's. A 404 breaks the promise of the session: it is counted, said, and asked again until the key is there."""
    from cluster import Cluster

    p50, p99, early = [], [], 0
    with Cluster(bench.broker(), names=("eu", "us")).start() as nodes:
        nodes.wait_in_sync()
        eu, us = (http.client.HTTPConnection("127.0.0.1", nodes[n].port, timeout=70) for n in ("eu", "us"))
        for run in bench.repeats():
            took = []
            for i in range(bench.arguments.reads):
                eu.request("PUT", f"/v1/kv/bench/v{run}-{i}", body=b"v" * 100)
                answer = eu.getresponse()
                answer.read()
                assert answer.status == 200, answer.status
                since = time.perf_counter()
                status = 0
                while status != 200:
                    us.request("GET", f"/v1/kv/bench/v{run}-{i}?wait=10s", headers={"Refrain-Session": answer.headers["Refrain-Session"]})
                    seen = us.getresponse()
                    seen.read()
                    status = seen.status
                    early += status == 404
                    assert status in (200, 404), status
                took.append((time.perf_counter() - since) * 1000)
            took.sort()
            p50.append(statistics.median(took))
            p99.append(took[int(len(took) * 0.99)])
    if early:  # a session that was waited for must be covered
        print(f"bench: {early} reads answered 404 although they waited for the session", file=sys.stderr)
    return [
        Line(f"commit -> readable at a peer, real Kafka, p50 ({early} reads too early)", "ms", p50, "", [], "< 10 ms", statistics.median(p50) < 10),
        Line("the same, p99", "ms", p99, "", [], "< 50 ms", statistics.median(p99) < 50),
    ]


def line_wire(bench):
    """Bytes in the journal's files at the broker, less those of keys, namespace and values, for each put."""
    from cluster import Cluster
    from kafka_broker import wait_until

    runs, puts, value = [], 50000, 100
    for _ in bench.repeats():
        with Cluster(bench.broker(), names=("eu",)) as nodes:
            nodes.start()
            bench.load("put", nodes["eu"].port, count=puts, value=value)
            wait_until(lambda: nodes["eu"].status()["published"] >= puts, 120, "eu has published all of it")
            files = list((bench.broker().directory / "data").glob(f"{nodes.journal('eu')}-*/*.log"))
            assert files, "no files of the journal"
            size = sum(f.stat().st_size for f in files)
            keys = sum(len(f"k{i}") for i in range(puts))
            runs.append((size - keys) / puts - value - len("bench"))
    return [Line("bytes on the wire per put beyond key and value", "B", runs, "", [], "<= 64", statistics.median(runs) <= 64,
                 "ticks of the node and Kafka's framing included")]  # fmt: skip


def line_apply(bench):
    """eu writes while us is away; us comes back. Counted from the first rise that is seen to the last commit."""
    from cluster import Cluster
    from kafka_broker import wait_until

    ours, peer, count, value = [], [], bench.arguments.applies, 100

    def applied(node):
        for cell in node.call("GET", "/v1/sync").json()["cells"]:
            if (cell["reader"], cell["journal"]) == ("us", "eu"):
                return cell["applied"]
        return 0

    with Cluster(bench.broker(), names=("eu", "us")).start() as nodes:
        nodes.wait_in_sync()
        eu, us = nodes["eu"], nodes["us"]
        for run in bench.repeats():
            us.stop()
            bench.load("put", eu.port, count=count, value=value, prefix=f"a{run}-")
            wait_until(lambda: eu.status()["published"] >= eu.status()["newest"] - 5, 120, "eu has published all of it")
            end = eu.status()["published"]
            us.start(ready=False)
            seen = []  # (time, applied)
            deadline = time.monotonic() + 120
            while not seen or seen[-1][1] < end:
                answer = us.try_call("GET", "/v1/status")
                if answer.status == 200:
                    seen.append((time.perf_counter(), applied(us)))
                if time.monotonic() > deadline:
                    raise TimeoutError(f"us applied {seen[-1:]} of {end}")
                time.sleep(0.01)
            first = max((i for i, (_, n) in enumerate(seen) if n <= end - count * 0.95), default=0)
            ours.append((seen[-1][1] - seen[first][1]) / (seen[-1][0] - seen[first][0]))
            us.wait_ready()
            directory = bench.fresh("apply")
            peer.append(bench.run("bench_apply_loop", bench.broker().bootstrap, nodes.journal("eu"), end, directory)["per_second"])
            shutil.rmtree(directory)
    ratio = statistics.median(ours) / statistics.median(peer)
    return [Line("applying a peer's journal, 100-byte values", "/s", ours, "bare librdkafka -> RocksDB", peer, ">= 0.5 x",
                 ratio >= 0.5)]  # fmt: skip


def line_restart(bench):
    stopped, killed = [], []
    with alone(bench).start() as nodes:
        node = nodes["eu"]
        bench.load("put", node.port, count=bench.arguments.keys)
        for i in bench.repeats():
            for end, runs in ((node.stop, stopped), (node.kill, killed)):
                bench.load("put", node.port, count=20000, prefix=f"r{i}-")  # something to replay
                end()
                since = time.perf_counter()
                node.start()
                runs.append(time.perf_counter() - since)
    note = f"{bench.arguments.keys:,} keys"
    return [
        Line(f"restart to ready after SIGTERM, {note}", "s", stopped, "", [], "< 1 s", statistics.median(stopped) < 1),
        Line(f"restart to ready after kill -9, {note}", "s", killed, "", [], "quoted", True),
    ]


def line_verify(bench):
    """Two members that hold the same: `refrain verify` asks for their digests, `--deep` for every row of both."""
    from cluster import Cluster

    plain, deep = [], []
    with Cluster(bench.broker(), names=("eu", "us")).start() as nodes:
        bench.load("put", nodes["eu"].port, count=bench.arguments.keys)
        nodes.wait_in_sync(600)
        for _ in bench.repeats():
            for words, runs in ((["verify"], plain), (["verify", "--deep"], deep)):
                since = time.perf_counter()
                ran = nodes["eu"].cli(*words)
                runs.append(time.perf_counter() - since)
                if ran.returncode:
                    raise RuntimeError(f"{words}: {ran.stdout} {ran.stderr}")
    note = f"2 members, {bench.arguments.keys:,} keys"
    return [
        Line(f"verify, {note}", "s", plain, "", [], "quoted", True),
        Line(f"verify --deep, {note}", "s", deep, "", [], "quoted", True),
    ]


def copy_over_loopback(length, directory):
    """Seconds for a file of so many bytes to go through a socket into another one that is synced. Both stay: like a
    joiner's tables, the copy takes memory of the page cache that nobody gave back just before."""
    source = directory / "source"
    with open(source, "wb") as file:
        for left in range(length, 0, -(1 << 20)):
            file.write(os.urandom(min(left, 1 << 20)))
    with socket.create_server(("127.0.0.1", 0)) as server, open(directory / "copy", "wb", buffering=0) as file:
        def send():
            with socket.create_connection(server.getsockname()) as out, open(source, "rb", buffering=0) as read:
                while data := read.read(1 << 18):
                    out.sendall(data)

        sender = threading.Thread(target=send, daemon=True)
        since = time.perf_counter()
        sender.start()
        taken, _ = server.accept()
        with taken:
            while data := taken.recv(1 << 18):
                file.write(data)
        os.fsync(file.fileno())
        took = time.perf_counter() - since
        sender.join()
        assert file.tell() == length, f"{file.tell()} of {length} bytes came"
        return took


def line_bootstrap(bench):
    """A new region each run, with no limit on the rate: from the line in its log that it takes a snapshot to the one
    that it has it, synced. The peer copies as many bytes."""
    from cluster import Cluster
    from kafka_broker import wait_until

    ours, peer, size, mib = [], [], 1000, bench.arguments.mib
    at = re.compile(r"^(\S+)Z .*(Taking a snapshot|The snapshot is in: \d+ rows, (\d+) bytes)", re.MULTILINE)
    with Cluster(bench.broker(), names=("eu",), config="store: {snapshot_rate: 10GiB}\n").start() as nodes:
        a_commit = 800 * 1024 // size
        for commit in range(mib * 1024 // 800):
            puts = [{"put": {"ns": "bench", "key": f"k{commit:06}-{i:06}", "value": os.urandom(size // 2).hex()}}
                    for i in range(a_commit)]  # fmt: skip
            answer = nodes["eu"].call("POST", "/v1/commit", {"operations": puts})
            assert answer.status == 200, answer.body
        for run in bench.repeats():
            joiner = nodes.add(f"new{run}").start(ready=False)
            wait_until(lambda: "The snapshot is in" in joiner.log_text(), 600, "the snapshot is in")
            taking, done = at.findall(joiner.log_text())[-2:]
            joiner.wait_ready()
            left = joiner.cli("member", "leave")
            assert left.returncode == 0, left.stderr
            joiner.stop()
            took = datetime.fromisoformat(done[0]) - datetime.fromisoformat(taking[0])
            megabytes = int(done[2]) / (1 << 20)
            ours.append(megabytes / took.total_seconds())
            peer.append(megabytes / copy_over_loopback(int(done[2]), bench.fresh("copy")))
    ratio = statistics.median(ours) / statistics.median(peer)
    return [Line(f"a new region's snapshot, {mib} MiB in values of {size:,} bytes", "MiB/s", ours,
                 "plain copy of a file over loopback, synced", peer, ">= 0.5 x", ratio >= 0.5)]  # fmt: skip


def line_overload(bench):
    """One client, one call at a time, while a flood of which more than half is refused comes over other connections."""
    from cluster import Cluster
    from flood import FLAGS, config
    from healthy import Healthy

    def p99(took):
        return sorted(took)[int(len(took) * 0.99)] * 1000

    ours, alone_again, offered, refused = [], [], 0, 0
    for _ in bench.repeats():
        with Cluster(names=("eu",), config=config()) as nodes:
            node = nodes["eu"].start(extra=FLAGS)
            node.begin("held", "one")
            for with_flood in (False, True):
                seconds = bench.arguments.seconds
                words = [sys.executable, ROOT / "tests/integration/flood.py", str(node.port), str(seconds)]
                with Healthy(node) as healthy:
                    if with_flood:
                        done = subprocess.run(words, capture_output=True, text=True, timeout=seconds + 120, check=True)
                        flood = json.loads(done.stdout)
                        assert not flood["faults"], flood["faults"]
                        offered, refused = offered + flood["answered"], refused + flood["refused"]
                    else:
                        time.sleep(seconds)
                (ours if with_flood else alone_again).append(p99(healthy.took))
    share = refused / offered
    assert share >= 0.5, f"only {share:.0%} of the flood was refused"
    return [
        Line(f"PUT or GET of one client in a flood of which {share:.0%} is refused, p99", "ms", ours, "the same client alone",
             alone_again, "< 200 ms", statistics.median(ours) < 200),
    ]  # fmt: skip


LINES = {
    "put": line_put,
    "pairs": line_pairs,
    "ledger": line_ledger,
    "collect": line_collect,
    "visible": line_visible,
    "wire": line_wire,
    "restart": line_restart,
    "verify": line_verify,
    "bootstrap": line_bootstrap,
    "apply": line_apply,
    "put-kafka": line_put_kafka,
    "overload": line_overload,
}


def number(value):
    return f"{value:,.0f}" if value >= 1000 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def cell(values, unit):
    return f"{number(statistics.median(values))} {unit}" if values else "-"


def spread(values):
    return f"{number(min(values))}–{number(max(values))}" if values else ""


def row(name, line):
    ratio = f"{statistics.median(line.ours) / statistics.median(line.peer):.2f} x" if line.peer else "-"
    goal = line.goal if line.goal == "quoted" else f"{line.goal}: {'met' if line.met else 'MISSED'}"
    between = "ours " + spread(line.ours) + (f"; peer {spread(line.peer)}" if line.peer else "")
    peer = f"{cell(line.peer, line.unit)} ({line.peer_name})" if line.peer else "-"
    return [line.what, cell(line.ours, line.unit), peer, ratio, goal, between, f"./dev bench --only {name}"]


def table(rows):
    head = ["what", "ours", "peer", "ratio", "goal", "lowest–highest", "repeat with"]
    print("| " + " | ".join(head) + " |")
    print("|" + "---|" * len(head))
    for cells in rows:
        print("| " + " | ".join(cells) + " |")


def main():
    parser = argparse.ArgumentParser(prog="./dev bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=list(LINES), help="only this line; more than once for several")
    parser.add_argument("--build", default=str(ROOT / "build/release"), help="directory of the build")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4, help="of each load")
    parser.add_argument("--commits", type=int, default=60000, help="of the line ledger")
    parser.add_argument("--reads", type=int, default=500, help="of the line visible, each run")
    parser.add_argument("--applies", type=int, default=60000, help="commits of the line apply, each run")
    parser.add_argument("--keys", type=int, default=200000, help="of the lines restart and verify")
    parser.add_argument("--mib", type=int, default=512, help="of the line bootstrap")
    arguments = parser.parse_args()
    os.environ["REFRAIN_PROGRAM"] = str(pathlib.Path(arguments.build).resolve() / "refrain")
    if not shutil.which("redis-server") and "pairs" in (arguments.only or LINES):
        sys.exit("bench: redis-server is missing: apt-get install redis-server, or start it through ./dev bench")
    rows, failed = [], 0
    with tempfile.TemporaryDirectory(prefix="refrain-bench-") as directory:
        bench = Bench(arguments, directory)
        try:
            for name in arguments.only or LINES:
                print(f"measuring {name}", file=sys.stderr, flush=True)
                try:
                    rows += [row(name, line) for line in LINES[name](bench)]
                except (RuntimeError, AssertionError, TimeoutError, subprocess.TimeoutExpired) as error:
                    failed += 1
                    print(f"bench: {name} was not measured: {error}", file=sys.stderr)
        finally:
            bench.close()
    table(rows)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
