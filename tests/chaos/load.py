# SPDX-License-Identifier: Apache-2.0
"""Clients over HTTP at every node. Each writes down what it was told, call by call, in the round that is open; they
pause between calls, so that the machine is not theirs alone, save while `rush` is set."""
import contextlib
import hashlib
import http.client
import json
import random
import socket
import threading
from collections import Counter
from urllib.parse import quote

from cluster import Answer
from history import ACKED, REFUSED, UNKNOWN, Round, Run, Write

NOT_SENT, LOST = -1, 0  # in place of a status
WRITERS = 3  # for each node, and one that runs requests
PAUSE, PAUSE_OF_REQUESTS, PAUSE_REFUSED = 0.03, 0.06, 0.05
TIMEOUT = 5  # a paused node answers nobody
SHARED = 12  # ids of a round that all nodes may run


def outcome(answer: Answer) -> str:
    if answer.status in (200, 201, 202):
        return ACKED
    return UNKNOWN if answer.status in (LOST, 500) else REFUSED


class Client:
    """One connection to one node, kept open and made again when it broke."""

    def __init__(self, port: int):
        self.port, self.connection = port, None

    def call(self, method, path, body=None, headers=None, wait=0) -> Answer:
        if isinstance(body, dict):
            body, headers = json.dumps(body), {"Content-Type": "application/json", **(headers or {})}
        if self.connection is None:
            self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=TIMEOUT)
            try:
                self.connection.connect()
            except OSError:
                self.close()
                return Answer(NOT_SENT, {}, b"")
            self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection.sock.settimeout(TIMEOUT + wait)
        try:
            self.connection.request(method, path, body.encode() if body is not None else None, headers or {})
            got = self.connection.getresponse()
            answer = Answer(got.status, {k.lower(): v for k, v in got.getheaders()}, got.read())
            if got.will_close:
                self.close()
            return answer
        except (OSError, http.client.HTTPException):
            self.close()
            return Answer(LOST, {}, b"")

    def close(self):
        if self.connection:
            self.connection.close()
            self.connection = None


class Load:
    """Starts with start(); quiet() returns when no call is under way, open() lets them go on in another round."""

    def __init__(self, cluster, seed: int):
        self.rush = threading.Event()
        self.acked, self.answers = 0, Counter()  # of all, ever
        self._changed = threading.Condition()
        self._round, self._active, self.ended = None, 0, threading.Event()
        ports = {node.name: node.port for node in cluster}
        self.workers = [Writer(self, ports, name, seed, n) for name in ports for n in range(WRITERS)]
        self.workers += [Runner(self, ports, name, seed, 0) for name in ports]

    def start(self):
        for worker in self.workers:
            worker.start()

    def open(self, round_: Round):
        with self._changed:
            self._round = round_
            self._changed.notify_all()

    def quiet(self, seconds=120):
        with self._changed:
            self._round = None
            if not self._changed.wait_for(lambda: self._active == 0, seconds):
                raise TimeoutError("clients still wait for answers")

    def finish(self):
        self.ended.set()
        with self._changed:
            self._changed.notify_all()
        for worker in self.workers:
            worker.join(60)
            for client in worker.clients.values():
                client.close()

    @contextlib.contextmanager
    def turn(self):
        """The round that is open, or None at the end; it stays open meanwhile."""
        with self._changed:
            self._changed.wait_for(lambda: self._round or self.ended.is_set())
            round_ = None if self.ended.is_set() else self._round
            self._active += 1
        try:
            yield round_
        finally:
            with self._changed:
                self._active -= 1
                self._changed.notify_all()

    def count(self, answer: Answer):
        what = {LOST: "sent, no answer", NOT_SENT: "no connection"}.get(answer.status) or str(answer.status)
        if answer.status >= 400 and (code := answer.code):
            what += " " + code
        with self._changed:
            self.answers[what] += 1

    def told(self, round_: Round, record):
        round_.add(record)
        if record.outcome == ACKED:
            with self._changed:
                self.acked += 1


class Worker(threading.Thread):
    pause = PAUSE

    def __init__(self, load: Load, ports, node: str, seed: int, number: int):
        super().__init__(daemon=True)
        self.load, self.node = load, node
        self.name = f"{type(self).__name__[0].lower()}{number}{node}"
        self.dice = random.Random(f"{seed} {self.name}")
        self.clients = {name: Client(port) for name, port in ports.items()}
        self.round, self.count, self.refused = None, 0, False

    def run(self):
        while True:
            with self.load.turn() as round_:
                if round_ is None:
                    return
                self.round, self.refused = round_, False
                self.step()
            if self.refused:
                self.load.ended.wait(PAUSE_REFUSED)
            elif not self.load.rush.is_set():
                self.load.ended.wait(self.dice.uniform(0, 2 * self.pause))

    def call(self, method, path, body=None, headers=None, node=None, wait=0):
        answer = self.clients[node or self.node].call(method, path, body, headers, wait)
        self.load.count(answer)
        self.refused = self.refused or outcome(answer) != ACKED
        return answer

    def value(self) -> str:
        """One that nobody has written."""
        self.count += 1
        drawn = self.dice.random()
        size = 16_000 if drawn < 0.004 else 1500 if drawn < 0.05 else self.dice.randrange(0, 100)
        return f"{self.name}.{self.round.number}.{self.count};" + "x" * size


class Writer(Worker):
    def step(self):
        kinds = (self.put, self.hot, self.delete, self.commit, self.increment, self.conditional, self.keyed)
        self.dice.choices(kinds, (40, 15, 8, 15, 12, 5, 5))[0]()

    def place(self):
        """A key of this writer alone."""
        return self.round.ns("kv"), f"{self.node}/{self.name}/{self.count}"

    def hot_place(self):
        return self.round.ns("hot"), f"h{self.dice.randrange(20)}"

    def ack(self) -> str:
        return self.dice.choices(("", "?ack=log&timeout=1s", "?ack=all&timeout=1s"), (96, 2, 2))[0]

    def note(self, puts, answer, **more):
        result = outcome(answer)
        told = answer.json() if result == ACKED else {}
        write = Write(self.node, puts, result, told.get("commit"), told.get("version"), **more)
        self.load.told(self.round, write)

    def write(self, place, value, headers=None, **more):
        path = f"/v1/kv/{place[0]}/{quote(place[1])}" + self.ack()
        self.note({place: value}, self.call("DELETE" if value is None else "PUT", path, value, headers), **more)

    def put(self):
        value = self.value()
        self.write(self.place(), value)

    def hot(self):
        self.write(self.hot_place(), self.value())

    def delete(self):
        """Of what this writer may have put, or of a key that all write."""
        self.count += 1
        before = self.round.ns("kv"), f"{self.node}/{self.name}/{self.count - self.dice.randrange(1, 5)}"
        self.write(before if self.dice.random() < 0.5 else self.hot_place(), None)

    def commit(self):
        value = self.value()
        ns, key = self.place()
        puts = {(ns, f"{key}/{part}"): value for part in range(self.dice.randrange(2, 6))}
        operations = [{"put": {"ns": ns, "key": key, "value": text}} for (ns, key), text in puts.items()]
        self.note(puts, self.call("POST", "/v1/commit" + self.ack(), {"operations": operations}), alone=True)

    def read(self, place):
        """(value, the header that makes a write depend on it); None without an answer."""
        answer = self.call("GET", f"/v1/kv/{place[0]}/{quote(place[1])}")
        if answer.status == 404:
            return None, {"If-None-Match": "*"}
        return (answer.body.decode(), {"If-Match": answer.headers["etag"]}) if answer.status == 200 else None

    def increment(self):
        """Of a sum that only this node's clients change."""
        place = self.round.ns("sum"), f"{self.node}/{self.dice.randrange(2)}"
        if found := self.read(place):
            before = int(found[0].partition(":")[0]) if found[0] else 0
            self.write(place, f"{before + 1}:{self.value()}", found[1], counts=True)

    def conditional(self):
        place = self.hot_place()
        if found := self.read(place):
            self.write(place, self.value(), found[1])

    def keyed(self):
        """With an Idempotency-Key, and again until it is known what came of it."""
        value = self.value()
        place = self.place()
        path, header = f"/v1/kv/{place[0]}/{quote(place[1])}", {"Idempotency-Key": f"{self.name}.{self.count}"}
        self.note({place: value}, self.again(lambda: self.call("PUT", path, value, header)))

    def again(self, call, times=8):
        """The answer that counts: the first good one; else that it is unknown, if it ever was."""
        unknown = None
        for _ in range(times):
            answer = call()
            if outcome(answer) == ACKED:
                return answer
            if outcome(answer) == UNKNOWN:
                unknown = answer
            elif unknown is None:
                return answer
            self.load.ended.wait(0.2)
        return unknown


class Runner(Writer):
    """Runs requests: begin and complete, execute, release, and some that are begun and forgotten."""

    pause = PAUSE_OF_REQUESTS

    def step(self):
        kinds = (self.complete_here, self.complete_elsewhere, self.shared, self.forget, self.execute, self.release)
        self.dice.choices(kinds, (40, 15, 15, 5, 15, 5))[0]()

    def request(self, shared=False):
        self.count += 1
        ns = self.round.ns(self.dice.choice(("retry", "hold")))
        request = (ns, f"s{self.dice.randrange(SHARED)}" if shared else f"{self.name}.{self.count}")
        self.round.begun(request, f"pay {request[1]}")
        return request

    @staticmethod
    def path(request, action):
        return f"/v1/requests/{request[0]}/{request[1]}/{action}"

    def begin(self, request, lease="5s", wait=2):
        """What a go gave; None when it is none."""
        expiry = "hold" if request[0].startswith("hold") else "retry"
        query = f"?lease={lease}&on_expiry={expiry}&wait={wait}s"
        answer = self.call("POST", self.path(request, "begin") + query, self.round.payloads[request], wait=wait)
        if answer.status == 200:
            self.round.add_replay(request, self.node, answer.body.decode())
        return answer.json() if answer.status == 201 else None

    def response(self, request):
        return f"{request[1]} by {self.value()}"

    def complete(self, request, go, at=None, effect=None):
        response = self.response(request)
        body = {"token": go["token"], "response": {"body": response}}
        self.end(request, "complete", body, response, at, go["fencing"], effect)

    def end(self, request, action, body, response, at, fencing, effect):
        if effect:
            body["operations"] = [{"put": {"ns": effect[0], "key": effect[1], "value": response}}]
        path = self.path(request, action)
        if action == "execute":  # as begin's over the same payload
            path += "?fingerprint=" + hashlib.sha256(self.round.payloads[request].encode()).hexdigest()
        answer = self.again(lambda: self.call("POST", path, body, node=at))
        result = outcome(answer)
        if result == ACKED and action == "execute" and answer.body.decode() != response:
            self.round.add_replay(request, self.node, answer.body.decode())
            result = REFUSED
        self.load.told(self.round, Run(request, self.node, response, result, fencing, effect))
        if effect:
            commit = answer.json()["commit"] if result == ACKED and action == "complete" else None
            self.load.told(self.round, Write(at or self.node, {effect: response}, result, commit))

    def effect(self, request):
        return self.round.ns("fx"), "/".join(request)

    def complete_here(self):
        request = self.request()
        if go := self.begin(request):
            self.complete(request, go, effect=self.effect(request) if self.dice.random() < 0.7 else None)

    def complete_elsewhere(self):
        request = self.request()
        if go := self.begin(request):
            self.complete(request, go, at=self.dice.choice([n for n in self.clients if n != self.node]))

    def shared(self):
        """Two nodes that have not heard of each other may both say go."""
        request = self.request(shared=True)
        if go := self.begin(request, wait=0):
            self.complete(request, go, effect=self.effect(request))

    def forget(self):
        self.begin(self.request(), lease="1s")

    def execute(self):
        request = self.request()
        response = self.response(request)
        self.end(request, "execute", {"response": {"body": response}}, response, None, None, self.effect(request))

    def release(self):
        request = self.request()
        if go := self.begin(request):
            self.call("POST", self.path(request, "release"), {"token": go["token"]})
