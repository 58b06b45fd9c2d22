# SPDX-License-Identifier: Apache-2.0
"""A mixed, moderate load on a set of nodes whose data does not grow: fixed keys, requests that are soon forgotten,
clients that behave and clients that vanish. It counts what each kind of call was answered."""
import collections
import http.client
import json
import os
import random
import socket
import struct
import threading
import time

# What keeps the data bounded belongs to the load: without it the nodes grow as they should.
CONFIG = """\
requests: {namespaces: {soak: {lease: 2s, response_ttl: 3s, seen_ttl: 6s}}}
conflicts: {max_age: 30s, max_bytes: 256KiB}
store: {cache: 1MiB, write_buffer: 2MiB, max_total_wal_size: 8MiB}
"""
FLAGS = ("--http.idle_timeout", "5s")
KEYS = 300
JSON = {"Content-Type": "application/json"}
LOOKS = (
    "/v1/kv/soak?limit=100&values=true", "/v1/requests/soak?limit=50", "/v1/conflicts?limit=20",
    "/v1/duplicates?all=true", "/v1/events?limit=50", "/v1/status", "/v1/sync", "/v1/members", "/metrics",
    "/health/ready", "/openapi.json",
)  # fmt: skip
RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends a reset


class Worker(threading.Thread):
    """One client at `per_second` calls. `answers[(call, status)]` counts; a call that nobody cut and that was not
    answered counts as status 0."""

    def __init__(self, ports, seed, per_second):
        super().__init__(daemon=True)
        self.ports, self.per_second = ports, per_second
        self.random, self.stopping = random.Random(seed), threading.Event()
        self.answers, self.unexpected = collections.Counter(), []
        self.kept = {}  # port -> connection

    def run(self):
        calls, weights = zip(*CALLS)
        due = time.monotonic()
        while not self.stopping.wait(max(0.0, due - time.monotonic())):
            due = max(due + 1 / self.per_second, time.monotonic() - 1)
            call = self.random.choices(calls, weights)[0]
            call(self, self.random.choice(self.ports))
        for connection in self.kept.values():
            connection.close()

    def finish(self):
        self.stopping.set()
        self.join(90)

    # -- how a call is made

    def ask(self, name, port, method, path, body=None, headers=None, fine=(200,)):
        """Mostly on a kept connection. 503 is always fine: the node may say that it has enough."""
        if self.random.random() < 0.2 and port in self.kept:
            self.kept.pop(port).close()
        status, answer = 0, b""
        for _ in range(2):  # a kept connection may just have been closed for being idle
            kept = port in self.kept
            connection = self.kept.pop(port, None) or http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            try:
                connection.request(method, path, body=body, headers=headers or {})
                response = connection.getresponse()
                status, answer = response.status, response.read()
                if not response.will_close:
                    self.kept[port] = connection
                break
            except (OSError, http.client.HTTPException):
                connection.close()
                if not kept:
                    break
        self.answers[name, status] += 1
        if status not in (*fine, 503) and len(self.unexpected) < 20:
            self.unexpected.append(f"{name}: {status} {answer[:200]!r}")
        return status, answer

    def key(self):
        return f"k{self.random.randrange(KEYS)}"

    def value(self):
        return b"v" * self.random.choice((0, 10, 100, 1000))

    def fresh(self):
        return os.urandom(8).hex()

    def other(self, port):
        return self.random.choice([p for p in self.ports if p != port] or [port])

    # -- the calls

    def put(self, port):
        query = self.random.choice(("", "", "?ttl=2s", "?ack=all&timeout=2s"))
        self.ask("put", port, "PUT", f"/v1/kv/soak/{self.key()}{query}", self.value(), fine=(200, 202))

    def put_once(self, port):
        """With a key of a fixed set: it is kept for a day."""
        number = self.random.randrange(50)
        headers = {"Idempotency-Key": f"once-{number}"}
        self.ask("put once", port, "PUT", f"/v1/kv/once/k{number}", f"{number}", headers, fine=(200, 409))

    def get(self, port):
        self.ask("get", port, "GET", f"/v1/kv/soak/{self.key()}", fine=(200, 404))

    def delete(self, port):
        self.ask("delete", port, "DELETE", f"/v1/kv/soak/{self.key()}")

    def commit(self, port):
        keys = self.random.sample(range(KEYS), 3)
        puts = [{"put": {"ns": "soak", "key": f"k{key}", "value": "c" * 50}} for key in keys[:2]]
        body = {"operations": [*puts, {"delete": {"ns": "soak", "key": f"k{keys[2]}"}}]}
        self.ask("commit", port, "POST", "/v1/commit", json.dumps(body), JSON)

    def conflict(self, port):
        """The same key at two nodes at once: mostly neither has seen the other."""
        path = f"/v1/kv/soak/x{self.random.randrange(20)}"
        for node in {port, self.other(port)}:
            self.ask("conflicting put", node, "PUT", path, self.fresh())

    def run_request(self, port):
        request = self.fresh()
        at = f"/v1/requests/soak/{request}"
        status, answer = self.ask("begin", port, "POST", f"{at}/begin", "payload", fine=(201,))
        if status != 201:
            return
        token = json.loads(answer)["token"]
        end = self.random.random()
        if end < 0.1:  # the worker dies: its lease lapses
            return
        if end < 0.2:
            self.ask("release", port, "POST", f"{at}/release", json.dumps({"token": token}), JSON)
            return
        if end < 0.3:
            body = json.dumps({"token": token, "lease": "2s"})
            self.ask("renew", port, "POST", f"{at}/renew", body, JSON, (200, 409))
        put = {"put": {"ns": "soak", "key": self.key(), "value": request}}
        body = {"token": token, "response": {"body": "r" * 200}, "operations": [put]}
        self.ask("complete", port, "POST", f"{at}/complete", json.dumps(body), JSON, (200, 409))
        self.ask("begin again", port, "POST", f"{at}/begin", "payload", fine=(200, 201, 410))
        self.ask("mismatch", port, "POST", f"{at}/begin", "other", fine=(422, 201))

    def run_twice(self, port):
        """The same request at two nodes at once: a duplicate."""
        request = self.fresh()
        body = json.dumps({"response": {"body": "r"}})
        for node in {port, self.other(port)}:
            self.ask("execute", node, "POST", f"/v1/requests/soak/{request}/execute", body, JSON, (200, 201, 409))

    def look(self, port):
        path = self.random.choice(LOOKS)
        self.ask(path.partition("?")[0], port, "GET", path)

    def malformed(self, port):
        self.raw("malformed", port, b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", hear=True)

    def silent(self, port):
        self.raw("silent", port, b"")

    def killed(self, port):
        """Gone in the middle of a call, with a reset."""
        head = f"PUT /v1/kv/soak/{self.key()} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n".encode()
        listing = b"GET /v1/kv/soak?limit=1000&values=true HTTP/1.1\r\nHost: x\r\n\r\n"
        begin = f"/v1/requests/soak/{self.fresh()}/begin?wait=5s"
        waiting = f"POST {begin} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode()
        data = self.random.choice((head[:20], head + b"half", listing * 5, waiting))
        self.raw("killed", port, data, reset=True)

    def raw(self, name, port, data, reset=False, hear=False):
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=60) as wire:
                wire.sendall(data)
                if hear:
                    wire.recv(4096)
                if reset:
                    wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            self.answers[name, "-"] += 1
        except OSError:
            self.answers[name, 0] += 1
            self.unexpected.append(f"{name}: no connection")


CALLS = (
    (Worker.put, 30), (Worker.get, 20), (Worker.delete, 5), (Worker.commit, 8), (Worker.put_once, 2),
    (Worker.conflict, 4), (Worker.run_request, 10), (Worker.run_twice, 2), (Worker.look, 8), (Worker.malformed, 3),
    (Worker.silent, 3), (Worker.killed, 5),
)  # fmt: skip


class Load:
    """`per_second` turns in all, from `workers` threads."""

    def __init__(self, nodes, per_second, workers=6, seed=1):
        ports = [node.port for node in nodes]
        self.workers = [Worker(ports, f"{seed}-{i}", per_second / workers) for i in range(workers)]

    def __enter__(self):
        for worker in self.workers:
            worker.start()
        return self

    def __exit__(self, *_):
        for worker in self.workers:
            worker.stopping.set()
        for worker in self.workers:
            worker.finish()

    def answers(self):
        return sum((worker.answers for worker in self.workers), collections.Counter())

    def unexpected(self):
        return [line for worker in self.workers for line in worker.unexpected]
