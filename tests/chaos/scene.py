# SPDX-License-Identifier: Apache-2.0
"""Three nodes on a broker, and what can be done to them. Whatever is taken away comes back after a while, in tick()
or in mend(); everything done is a line of the story."""
import contextlib
import heapq
import itertools
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
from collections import Counter

from cluster import QUICK, Cluster, wait_until
from kafka_broker import KafkaBroker
from kafka_client import KafkaError
from plan import NODES, SMALL_DISK, Step

# Small buffers, so that logs are switched and files written while nodes are killed.
CONFIG = QUICK + "store: {cache: 16MiB, write_buffer: 4MiB, max_total_wal_size: 16MiB}\n"
MIB = 1 << 20
DISK, LEFT_WHEN_FULL = 4096 * MIB, 1 * MIB  # RocksDB itself may abort with less than 100 KiB
PATIENCE = 300  # seconds for what should take a few: others use the machine as well


class Violation(Exception):
    """What must never be."""


class SmallDisk:
    """A file system of its own under a directory: ext4 in a sparse file, or in memory where that is not allowed.
    `kind` is None where neither is."""

    def __init__(self, at: pathlib.Path, image: pathlib.Path):
        self.at, self.image, self.kind, self.ballast = at, image, None, at / "ballast"
        at.mkdir()
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            with open(image, "wb") as out:
                out.truncate(DISK)
            self._run("mkfs.ext4", "-q", "-m", "0", str(image))
            self._run("mount", "-o", "loop", str(image), str(at))
            (at / "lost+found").rmdir()
            self.kind = "ext4"
            return
        with contextlib.suppress(OSError, subprocess.CalledProcessError):
            self._run("mount", "-t", "tmpfs", "-o", f"size={DISK // 4}", "tmpfs", str(at))
            self.kind = "tmpfs"

    @staticmethod
    def _run(*command):
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def fill(self):
        with open(self.ballast, "wb") as out:
            free = os.statvfs(self.at)
            size = free.f_bavail * free.f_frsize - LEFT_WHEN_FULL
            while size > MIB:
                with contextlib.suppress(OSError):  # the node took some meanwhile
                    os.posix_fallocate(out.fileno(), 0, size)
                    return
                size -= MIB

    def empty(self):
        self.ballast.unlink(missing_ok=True)

    def end(self):
        if self.kind:
            subprocess.run(["umount", "-l", str(self.at)], check=False)


class Scene:
    def __init__(self):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="refrain-chaos-"))
        self.broker = KafkaBroker(self.base / "kafka")
        self.cluster = Cluster(self.broker, names=NODES, config=CONFIG)
        self.disk = SmallDisk(self.cluster[SMALL_DISK].data, self.base / "disk.img")
        self.began, self.done, self.skipped, self.story = time.monotonic(), Counter(), Counter(), []
        self.down, self.paused, self.full, self.broker_away = set(), set(), False, False
        self._later, self._order = [], itertools.count()
        self.incarnations = {}

    def start(self):
        self.broker.start()
        self.cluster.start()
        self.incarnations = {node.name: node.status()["incarnation"] for node in self.cluster}

    def close(self, keep: bool):
        for node in self.cluster:
            node.kill()
        self.broker.kill()
        if keep and self.disk.kind:
            shutil.copytree(self.disk.at, self.base / SMALL_DISK, ignore=shutil.ignore_patterns("ballast"))
        self.disk.end()
        self.broker.cleanup()
        if not keep:
            self.cluster.close()
            shutil.rmtree(self.base, ignore_errors=True)

    # ---- the story

    def tell(self, what: str):
        self.story.append(f"{time.monotonic() - self.began:9.3f} s  {what}")

    def after(self, seconds: float, undo, *arguments):
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._order), undo, arguments))

    def tick(self):
        """What is due; and a node that ended although nobody killed it is a violation."""
        while self._later and self._later[0][0] <= time.monotonic():
            _, _, undo, arguments = heapq.heappop(self._later)
            undo(*arguments)
        for node in self.cluster:
            if node.name not in self.down and node.process.poll() is not None:
                if not (self.full and node.name == SMALL_DISK):
                    last_words = node.log_text()[-3000:]
                    raise Violation(f"{node.name} ended by itself with {node.process.returncode}:\n{last_words}")
                self.tell(f"{node.name} ended with {node.process.returncode}: its disk is full")
                self.down.add(node.name)
                self.after(1, self._start, node)

    def mend(self):
        """All that was taken away is there again."""
        while self._later:
            _, _, undo, arguments = heapq.heappop(self._later)
            undo(*arguments)
        self._broker_back()
        self._room()
        for node in self.cluster:
            self._resume(node)
            self._start(node)

    # ---- disturbances

    def do(self, step: Step):
        getattr(self, "_do_" + step.kind.replace(" ", "_"))(step)

    def _do_kill(self, step):
        nodes = [self.cluster[name] for name in step.nodes]
        for node in nodes:
            self._start(node)  # when it is down still: what cannot be killed does not count
        for node in nodes:
            node.process.kill()
        for node in nodes:
            node.kill()
            self.down.add(node.name)
            self.paused.discard(node.name)
            self.after(step.seconds, self._start, node)
        self.done["nodes killed"] += len(nodes)
        if len(nodes) > 1:
            self.done[f"  of these {len(nodes)} at once"] += len(nodes)
        self.tell(f"kill -9 {' '.join(step.nodes)}" + (f", for {step.seconds:.1f} s" if step.seconds else ""))

    def _start(self, node):
        if node.name in self.down:
            self.down.discard(node.name)
            node.start(ready=False)
            self.tell(f"start {node.name}")

    def _do_pause_node(self, step):
        node = self.cluster[step.nodes[0]]
        self._start(node)
        node.pause()
        self.paused.add(node.name)
        self._count("nodes paused", f"SIGSTOP {node.name}, for {step.seconds:.1f} s")
        self.after(step.seconds, self._resume, node)

    def _resume(self, node):
        if node.name in self.paused:
            self.paused.discard(node.name)
            node.resume()
            self.tell(f"SIGCONT {node.name}")

    def _do_kill_broker(self, step):
        self._broker_back()
        self.broker.kill()
        self.broker_away = True
        self._count("broker killed", f"kill -9 the broker, for {step.seconds:.1f} s")
        self.after(step.seconds, self._broker_back)

    def _do_pause_broker(self, step):
        self._broker_back()
        self.broker.pause()
        self.broker_away = True
        self._count("broker paused", f"SIGSTOP the broker, for {step.seconds:.1f} s")
        self.after(step.seconds, self._broker_back)

    def _do_replace_broker(self, _):
        self._broker_back()
        self.broker.kill()
        shutil.rmtree(self.broker.directory / "data")
        self.broker.start(PATIENCE)
        self._count("broker replaced by an empty cluster", "the broker is another, empty Kafka cluster")

    def _broker_back(self):
        if not self.broker_away:
            return
        self.broker_away = False
        if self.broker.running():
            self.broker.resume()
        else:
            self.broker.start(PATIENCE)
        self.tell("the broker is back")

    def _do_delete_journal(self, step):
        topic = self.cluster.journal(step.nodes[0])
        self._at_topic(topic, lambda kafka: kafka.delete_topic(topic))
        self._count("journals deleted", f"the journal of {step.nodes[0]} is deleted")

    def _do_delete_members_log(self, _):
        topic = self.cluster.members_topic
        self._at_topic(topic, lambda kafka: kafka.delete_topic(topic))
        self._count("members log deleted", "the members log is deleted")

    def _do_truncate_journal(self, step):
        topic = self.cluster.journal(step.nodes[0])

        def truncate(kafka):
            first, end = kafka.bounds(topic)
            before = end if step.share > 0.5 else first + int(2 * step.share * (end - first))
            kafka.truncate(topic, before)
            line = f"the journal of {step.nodes[0]} loses its records {first}..{before - 1} of {end}"
            self._count("journals truncated", line)

        self._at_topic(topic, truncate)

    def _at_topic(self, topic, act):
        """When the broker is there, and the topic, which some node may be making again."""
        self._broker_back()

        def done():
            self.tick()
            try:
                with self.broker.client() as kafka:
                    if topic in kafka.topics():
                        act(kafka)
                        return True
            except (KafkaError, OSError):
                pass
            return False

        wait_until(done, PATIENCE, f"{topic} is there again")

    def _do_fill_disk(self, step):
        if not self.disk.kind:
            self._skip("disk filled", "no file system can be mounted here")
            return
        self._room()
        self.disk.fill()
        self.full = True
        self._count("disk filled", f"the disk of {SMALL_DISK} is full, for {step.seconds:.1f} s")
        self.after(step.seconds, self._room)

    def _room(self):
        if self.full:
            self.disk.empty()
            self.full = False
            self.tell(f"{SMALL_DISK} has room again")

    def _count(self, kind, line):
        self.done[kind] += 1
        self.tell(line)

    def _skip(self, kind, why):
        self.skipped[f"{kind}: {why}"] += 1
        self.tell(f"skipped: {kind}: {why}")

    # ---- quiet again

    def settle(self):
        """Everything runs, no client writes: waits until every node has all that any node wrote, and says in sync."""
        for node in self.cluster:
            self._ready(node)
        for node in self.cluster:
            self.everywhere(node)
        for node in self.cluster:
            self._wait(lambda n=node: n.cli("status").returncode == 0, f"{node.name} is in sync", node)
        for node in self.cluster:
            status = node.status()
            for name, value, wanted in (
                ("incarnation", status["incarnation"], self.incarnations[node.name]),
                ("mode", status["mode"], "active"),
                ("void commits", status["void_commits"], 0),
                ("parked journals", status["sync"]["parked"], []),
            ):
                if value != wanted:
                    raise Violation(f"{node.name}: {name} is {value}, not {wanted}")

    def _ready(self, node):
        self._wait(lambda: node.try_call("GET", "/health/ready").status == 200, f"{node.name} is ready", node)

    def everywhere(self, node):
        """A commit of the node is applied everywhere, and so is all that it wrote before."""
        path = "/v1/kv/barrier/" + node.name + "?ack=all&timeout=20s"
        self._wait(lambda: node.try_call("PUT", path, "x").status == 200, f"all have what {node.name} wrote", node)

    def _wait(self, condition, what, node):
        def look():
            self.tick()
            return condition()

        try:
            wait_until(look, PATIENCE, what)
        except TimeoutError as error:
            said = node.try_call("GET", "/v1/status").body.decode(errors="replace")
            raise Violation(f"did not heal by itself: {error}; {node.name} says {said}") from None
