#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A real Apache Kafka broker for tests and development: one process, KRaft, loopback only.

    with KafkaBroker() as broker:                 # formats, starts, waits until it takes producers
        broker.bootstrap                          # "127.0.0.1:PORT" for clients
        broker.kill(); broker.start()             # kill -9, then again on the same ports and data
        broker.pause(); broker.resume()           # SIGSTOP, SIGCONT
        with broker.client() as kafka:            # topics and raw records, see kafka_client.py
            kafka.delete_topic("refrain.shop.journal.eu")

One listener a region, each advertised at the port of a relay that a test opens and shuts:

    KafkaBroker(advertised={"EU": 19001, "US": 19002})      broker.listen_ports["EU"] is where the relay leads

The broker ends with the process that made it. As a command it outlives it:

    kafka_broker.py start|stop|status --dir DIR [--port PORT] [--advertise EU=19001]...
    kafka_broker.py libs                          downloads Kafka when it is missing, prints where it is
"""
import argparse
import atexit
import base64
import contextlib
import ctypes
import fcntl
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from typing import Dict, Optional

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from kafka_client import KafkaClient, KafkaError  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent
POM = ROOT / "deploy" / "kafka" / "pom.xml"


def cache_dir() -> pathlib.Path:
    """Downloads are kept in $XDG_CACHE_HOME/refrain, else in the checkout's .cache."""
    xdg = os.environ.get("XDG_CACHE_HOME")
    return pathlib.Path(xdg) / "refrain" if xdg else ROOT / ".cache"


def kafka_version() -> str:
    return re.search(r"<kafka.version>(.+?)</kafka.version>", POM.read_text()).group(1)


def kafka_libs() -> pathlib.Path:
    """The folder with Kafka's jars; Maven fetches them, checksums checked, when they are not there yet."""
    home = cache_dir()
    home.mkdir(parents=True, exist_ok=True)
    libs = home / f"kafka-{kafka_version()}"
    with open(home / "kafka.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not libs.is_dir():
            print(f"Fetching Apache Kafka {kafka_version()} from Maven Central (43 MB, once) ...", file=sys.stderr)
            partial = pathlib.Path(tempfile.mkdtemp(prefix="kafka-", dir=home))
            command = ["mvn", "-q", "-B", "-C", "-f", str(POM), "dependency:copy-dependencies"]
            command += ["-DincludeScope=runtime", f"-DoutputDirectory={partial}"]
            try:
                subprocess.run(command, check=True, stdout=sys.stderr, stdin=subprocess.DEVNULL)
                partial.rename(libs)  # a broken download never looks like a whole one
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    return libs


def free_ports(count: int):
    """Ports that nobody listens on, below the range from which the kernel takes ports for outgoing connections,
    so that a stopped process finds its own port free again."""
    ports = []
    with contextlib.ExitStack() as held:
        while len(ports) < count:
            port = random.SystemRandom().randrange(18000, 32000)
            probe = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                ports.append(port)
    return ports


def wait_until(condition, seconds: float, what: str):
    """Returns the first true value of condition(); TimeoutError names `what` when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class KafkaBroker:
    """Not thread-safe. After kill() and stop(), start() goes on with the same ports and data."""

    def __init__(
        self,
        directory=None,
        port: Optional[int] = None,
        advertised: Optional[Dict[str, int]] = None,
        properties: Optional[Dict[str, str]] = None,
        heap: str = "512m",
        outlives_us: bool = False,
    ):
        """`advertised`: more client listeners, name → port at which 127.0.0.1 is announced to its clients.
        `properties`: broker settings on top of ours. Without `directory` the data goes with cleanup()."""
        self._own_directory = directory is None
        self.directory = pathlib.Path(directory or tempfile.mkdtemp(prefix="refrain-kafka-")).resolve()
        self.directory.mkdir(parents=True, exist_ok=True)
        self._properties, self._heap, self._outlives_us = properties or {}, heap, outlives_us
        self._process: Optional[subprocess.Popen] = None
        names = list(advertised or {})
        controller, client, *rest = free_ports(2 + len(names))
        self.port, self._controller = port or client, controller
        self.listen_ports = dict(zip(names, rest))
        self._advertised = advertised or {}
        atexit.register(self._at_exit)

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def log_file(self) -> pathlib.Path:
        return self.directory / "broker.log"

    @property
    def pid(self) -> Optional[int]:
        return self._process.pid if self._process else None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.cleanup()

    def start(self, seconds: float = 60):
        """Starts the broker (formats its data directory the first time) and waits until it takes producers."""
        assert not self.running(), "the broker runs already"
        config = self._write_config()
        if not (self.directory / "data" / "meta.properties").exists():
            self._format(config)
        with open(self.log_file, "ab") as log:
            self._process = subprocess.Popen(
                self._java("kafka.Kafka", str(config), f"-Xms{self._heap}", f"-Xmx{self._heap}"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=self._outlives_us,
                preexec_fn=None if self._outlives_us else _die_with_parent,
            )
        try:
            wait_until(self._ready, seconds, "the Kafka broker takes producers")
        except BaseException:
            self.kill()
            raise
        return self

    def _ready(self) -> bool:
        if self._process.poll() is not None:
            tail = "\n".join(self.log_file.read_text(errors="replace").splitlines()[-20:])
            raise RuntimeError(f"the Kafka broker ended with {self._process.returncode}:\n{tail}")
        return answers(self.bootstrap)

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def kill(self):
        """kill -9; returns when the process is gone."""
        self._signal(signal.SIGKILL)
        self._reap(30)

    def pause(self):
        """SIGSTOP: connections stay open and nothing answers; returns when every thread stands still."""
        self._signal(signal.SIGSTOP)
        wait_until(self._all_threads_stopped, 10, "the Kafka broker is stopped")

    def _all_threads_stopped(self) -> bool:
        stats = pathlib.Path(f"/proc/{self.pid}/task").glob("*/stat")
        return all(stat.read_text().rpartition(")")[2].split()[0] == "T" for stat in stats)

    def resume(self):
        self._signal(signal.SIGCONT)

    def stop(self, seconds: float = 30):
        """SIGTERM and wait; killed when it takes longer."""
        self._signal(signal.SIGCONT)
        self._signal(signal.SIGTERM)
        try:
            self._reap(seconds)
        except subprocess.TimeoutExpired:
            self.kill()

    def restart(self):
        self.stop()
        return self.start()

    def cleanup(self):
        """Ends the broker; a temporary data directory goes with it."""
        self.kill()
        if self._own_directory:
            shutil.rmtree(self.directory, ignore_errors=True)
        atexit.unregister(self._at_exit)

    def client(self, timeout: float = 10.0) -> KafkaClient:
        return KafkaClient(self.bootstrap, timeout)

    def _at_exit(self):
        if not self._outlives_us:
            self.cleanup()

    def _signal(self, number):
        if self.running():
            self._process.send_signal(number)

    def _reap(self, seconds):
        if self._process is not None:
            self._process.wait(seconds)

    def _java(self, main: str, *arguments: str):
        flags = [a for a in arguments if a.startswith("-X")]
        rest = [a for a in arguments if not a.startswith("-X")]
        logging = "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"
        return ["java", *flags, "-XX:+UseSerialGC", logging, "-cp", f"{kafka_libs()}/*", main, *rest]

    def _format(self, config: pathlib.Path):
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if cluster.startswith("-"):
            cluster = "A" + cluster[1:]  # else Kafka's argument parser takes it for a flag
        command = self._java("kafka.tools.StorageTool", "format", "--standalone", "-t", cluster, "-c", str(config))
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"formatting Kafka's data directory failed:\n{done.stdout}")

    def _write_config(self) -> pathlib.Path:
        clients = {"CLIENT": self.port, **self.listen_ports}
        announced = {"CLIENT": self.port, **self._advertised}
        settings = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.bootstrap.servers": f"127.0.0.1:{self._controller}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "CLIENT",
            "listeners": ",".join(
                f"{name}://127.0.0.1:{port}" for name, port in {**clients, "CONTROLLER": self._controller}.items()
            ),
            "advertised.listeners": ",".join(f"{name}://127.0.0.1:{port}" for name, port in announced.items()),
            "listener.security.protocol.map": ",".join(f"{name}:PLAINTEXT" for name in [*clients, "CONTROLLER"]),
            "log.dirs": str(self.directory / "data"),
            "num.partitions": "1",
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            "auto.create.topics.enable": "false",
            "group.initial.rebalance.delay.ms": "0",
            **self._properties,
        }
        config = self.directory / "server.properties"
        config.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
        return config


def answers(bootstrap: str) -> bool:
    """Whether a broker there takes idempotent producers now."""
    try:
        with KafkaClient(bootstrap, timeout=5) as kafka:
            kafka.topics()
            kafka.accepts_producers()
            return True
    except (OSError, KafkaError):
        return False


# --- as a command --------------------------------------------------------------------------------------------


def _recorded(directory: pathlib.Path) -> Optional[int]:
    """The pid written there, if that process is still the broker of this directory."""
    try:
        pid = int((directory / "broker.pid").read_text())
        command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, ValueError):
        return None
    return pid if str(directory / "server.properties").encode() in command else None


def _recorded_port(directory: pathlib.Path) -> int:
    return int(re.search(r"CLIENT://127.0.0.1:(\d+)", (directory / "server.properties").read_text()).group(1))


def _start(directory: pathlib.Path, port: int, advertised: Dict[str, int]) -> int:
    if _recorded(directory):
        return _status(directory)
    broker = KafkaBroker(directory, port=port, advertised=advertised, outlives_us=True)
    broker.start()
    (directory / "broker.pid").write_text(str(broker.pid))
    for name, listen in broker.listen_ports.items():
        print(f"{name} listens at 127.0.0.1:{listen}, advertised at 127.0.0.1:{advertised[name]}")
    return _status(directory)


def _stop(directory: pathlib.Path) -> int:
    pid = _recorded(directory)
    if not pid:
        print("Kafka is not running")
        return 0
    os.kill(pid, signal.SIGTERM)
    try:
        wait_until(lambda: not _recorded(directory), 30, "the Kafka broker ends")
    except TimeoutError:
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not _recorded(directory), 30, "the Kafka broker is gone")
    (directory / "broker.pid").unlink()
    print("Kafka stopped")
    return 0


def _status(directory: pathlib.Path) -> int:
    pid = _recorded(directory)
    if not pid:
        print("Kafka is not running")
        return 1
    bootstrap = f"127.0.0.1:{_recorded_port(directory)}"
    ready = answers(bootstrap)
    state = "ready" if ready else "running, but does not answer"
    print(f"Kafka {kafka_version()} at {bootstrap}: {state} (pid {pid}, log {directory / 'broker.log'})")
    return 0 if ready else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=["start", "stop", "status", "libs"])
    parser.add_argument("--dir", type=pathlib.Path, default=ROOT / ".cache" / "kafka", help="data directory")
    parser.add_argument("--port", type=int, default=9092, help="the clients' port (9092)")
    parser.add_argument("--advertise", action="append", default=[], metavar="NAME=PORT", help="one more listener")
    options = parser.parse_args()
    directory = options.dir.resolve()
    if options.action == "start":
        pairs = (item.split("=", 1) for item in options.advertise)
        return _start(directory, options.port, {name: int(port) for name, port in pairs})
    if options.action == "libs":
        print(kafka_libs())
        return 0
    return _stop(directory) if options.action == "stop" else _status(directory)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, RuntimeError, subprocess.CalledProcessError) as problem:
        sys.exit(f"kafka_broker: {problem}")
