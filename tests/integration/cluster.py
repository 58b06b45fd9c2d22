# SPDX-License-Identifier: Apache-2.0
"""Real nodes for tests: `refrain serve` processes on free ports of 127.0.0.1, with their own directories and logs.

Everything goes with the object that made it. Waiting is always for a condition, with a deadline."""
import base64
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
from typing import NamedTuple
from urllib.parse import quote

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from kafka_broker import free_ports, wait_until  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
PROGRAM = pathlib.Path(os.environ.get("REFRAIN_PROGRAM", ROOT / "build/release/refrain"))
# Publishes again soon after Kafka was away, so that a test need not wait for long.
QUICK = "publish: {retry: {initial: 100ms, max: 500ms}, breaker: {open_for: 1s}}\n"


class Answer(NamedTuple):
    status: int
    headers: dict  # names in lower case
    body: bytes

    def json(self):
        return json.loads(self.body)

    @property
    def code(self):
        return self.json().get("code") if "json" in self.headers.get("content-type", "") else None


class Node:
    """One `refrain serve`. start() after kill() or stop() goes on with the same ports and data."""

    def __init__(self, directory, name, brokers=(), cluster="shop", config="", found=False, environment=None):
        self.name, self.found = name, found
        self.port = free_ports(1)[0]
        self.data = pathlib.Path(directory) / name
        self.config = pathlib.Path(directory) / f"{name}.yaml"
        self.log = pathlib.Path(directory) / f"{name}.log"
        self.process = None
        # REFRAIN_* of the test runner are not the program's: it would warn of them.
        ours = {name: value for name, value in os.environ.items() if not name.startswith("REFRAIN_")}
        self.environment = {**ours, **(environment or {})}
        kafka = ""
        if brokers:
            listed = ", ".join(f'"{b}"' for b in brokers)
            kafka = f"kafka: {{brokers: [{listed}], replication_factor: 1, min_insync_replicas: 1}}\n"
        self.config.write_text(
            f"cluster: {cluster}\n"
            f"node: {{name: {name}, region: region-{name}, data_dir: {self.data}}}\n"
            f'http: {{listen: "127.0.0.1:{self.port}", advertise: "http://127.0.0.1:{self.port}"}}\n'
            f"{kafka}{config}"
        )

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self, ready=True, seconds=60, extra=()):
        command = [str(PROGRAM), "serve", "--config", str(self.config), *extra]
        if self.found:
            command.append("--found")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env=self.environment)
        if ready:
            self.wait_ready(seconds)
        return self

    def wait_ready(self, seconds=60):
        def look():
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.log_text()[-3000:]}")
            return self.try_call("GET", "/health/ready").status == 200

        try:
            wait_until(look, seconds, f"{self.name} is ready")
        except TimeoutError as error:
            raise AssertionError(f"{error}; {self.try_call('GET', '/health/ready').body!r}\n{self.log_text()[-2000:]}") from None

    def wait_ended(self, seconds=30):
        return self.process.wait(seconds)

    def log_text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        if self.process:
            self.process.wait()

    def stop(self, seconds=30):
        """SIGTERM; the exit code. A node that does not end in time is killed."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    # ---- HTTP

    def call(self, method, path, body=None, headers=None, timeout=70):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            if isinstance(body, (dict, list)):
                body = json.dumps(body).encode()
                headers = {"Content-Type": "application/json", **(headers or {})}
            if isinstance(body, str):
                body = body.encode()
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        finally:
            connection.close()

    def try_call(self, method, path, body=None, headers=None, timeout=70):
        """Status 0 when no answer came."""
        try:
            return self.call(method, path, body, headers, timeout)
        except (OSError, http.client.HTTPException):
            return Answer(0, {}, b"")

    def put(self, ns, key, value, query="", headers=None):
        return self.call("PUT", f"/v1/kv/{ns}/{quote(key)}{query}", value, headers)

    def get(self, ns, key, query="", headers=None):
        return self.call("GET", f"/v1/kv/{ns}/{quote(key)}{query}", headers=headers)

    def begin(self, ns, request, body="payload", query=""):
        return self.call("POST", f"/v1/requests/{ns}/{request}/begin{query}", body)

    def complete(self, ns, request, token, body="done", **more):
        return self.call("POST", f"/v1/requests/{ns}/{request}/complete", {"token": token, "response": {"body": body}, **more})

    def status(self):
        return self.call("GET", "/v1/status").json()

    def items(self, path):
        """All of a list, page by page."""
        found, after = [], ""
        while after is not None:
            more = f"limit=1000&after={quote(after)}"
            page = self.call("GET", f"{path}{'&' if '?' in path else '?'}{more}").json()
            found, after = found + page["items"], page["after"]
        return found

    def wait_parked(self, journal, reason, seconds=30):
        """The row of /v1/sync that says so."""

        def look():
            rows = self.call("GET", "/v1/sync").json()["parked"]
            return next((row for row in rows if row["journal"] == journal and row["reason"] == reason), None)

        return wait_until(look, seconds, f"{self.name} parks {journal} as {reason}")

    def pause(self):
        """SIGSTOP: connections stay open and nothing answers."""
        self.process.send_signal(signal.SIGSTOP)

    def resume(self):
        self.process.send_signal(signal.SIGCONT)

    def cli(self, *words, stdin=None):
        command = [str(PROGRAM), "--server", self.url, *words]
        return subprocess.run(command, input=stdin, capture_output=True, timeout=60)


class Cluster:
    """Nodes on one broker, in one temporary directory. The first name founds. With `relays` (name -> Relay) a node
    reaches the broker through its own, which close() mends."""

    def __init__(self, broker=None, names=("eu", "us", "ap"), config="", cluster=None, relays=None):
        self.directory = tempfile.mkdtemp(prefix="refrain-test-")
        self.broker, self.relays, self.common = broker, relays or {}, config
        self.cluster = cluster or "c" + base64.b32encode(os.urandom(5)).decode().lower()
        self.nodes = {}
        for name in names:
            self.add(name, found=broker is not None and not self.nodes)

    def add(self, name, found=False):
        """One more node; it is not started."""
        way = self.relays.get(name, self.broker)
        brokers = [f"127.0.0.1:{way.port}"] if way else []
        self.nodes[name] = Node(self.directory, name, brokers, self.cluster, self.common, found=found)
        return self.nodes[name]

    def __getitem__(self, name):
        return self.nodes[name]

    def __iter__(self):
        return iter(self.nodes.values())

    def start(self):
        """Starts all and waits until they are ready; when one is not, nothing is left behind."""
        try:
            for node in self:
                node.start(ready=False)
            for node in self:
                node.wait_ready()
        except BaseException:
            self.close()
            raise
        return self

    @contextlib.contextmanager
    def apart(self, name):
        """Meanwhile that node cannot reach Kafka."""
        self.relays[name].cut()
        try:
            yield
        finally:
            self.relays[name].mend()

    def journal(self, name):
        return f"refrain.{self.cluster}.journal.{name}"

    @property
    def members_topic(self):
        return f"refrain.{self.cluster}.members"

    def wait_same(self, ns, key, seconds=30):
        """Every node shows the same version of the key; its value."""

        def same():
            answers = [node.get(ns, key) for node in self]
            tags = {a.headers.get("etag") for a in answers}
            return answers[0] if len(tags) == 1 and None not in tags else None

        return wait_until(same, seconds, f"the same {ns}/{key} everywhere").body

    def mend(self):
        """After a test, whatever it did: all nodes run, none is paused, nothing is parked. The names of those that had
        ended."""
        ended = [node.name for node in self if node.process.poll() is not None]
        for relay in self.relays.values():
            relay.mend()
        for node in self:
            node.resume() if node.name not in ended else node.start()
        for node in self:
            for row in node.call("GET", "/v1/sync").json()["parked"]:
                node.cli("sync", "resume", row["journal"], "--skip", str(row["offset"]))
        return ended

    def wait_in_sync(self, seconds=60):
        for node in self:
            wait_until(lambda n=node: n.cli("status").returncode == 0, seconds, f"{node.name} is in sync")

    def close(self):
        for node in self:
            node.kill()
        for relay in self.relays.values():
            relay.mend()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
