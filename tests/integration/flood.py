#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""More than a node wants to take, for a while: writes over a namespace's rate, calls that wait, too many connections.

Every client asks again as soon as it has its answer. What was answered is counted, what was acknowledged is remembered.
As a program: flood.py PORT SECONDS [--clients N] prints the counts as JSON."""
import argparse
import asyncio
import collections
import json
import os
import time
from typing import NamedTuple

# What a node is given for it. RocksDB gets small buffers, so that what a flood leaves behind shows.
FLAGS = ("--http.max_connections", "80", "--http.max_waiters", "24")
CONFIG = """\
limits: {{queued_commits: {queued_commits}, rate: {{limited: {{per_second: 100, burst: 20}}}}}}
store: {{cache: 8MiB, write_buffer: 2MiB, max_total_wal_size: 8MiB}}
requests: {{namespaces: {{held: {{lease: 30m, on_expiry: hold}}}}}}
"""
CLIENTS = 64  # and half as many more, see flood()
HEAD = "{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
CALLS = 50  # of one connection
PACE = 0.02  # seconds; the pause of one whose connection was refused


def config(queued_commits=8192):
    return CONFIG.format(queued_commits=queued_commits)


class Answer(NamedTuple):
    status: int
    headers: dict
    body: bytes


class Tally:
    def __init__(self):
        self.name = os.urandom(4).hex()  # of its keys
        self.statuses = collections.Counter()  # of the calls that were answered
        self.codes = collections.Counter()
        self.acknowledged = {}  # key -> the last value that was
        self.unanswered = collections.defaultdict(set)  # key -> values of which nobody said anything
        self.faults = []
        self.shut = 0  # connections closed without a word

    def fault(self, text):
        if len(self.faults) < 20:
            self.faults.append(text)

    def add(self, what, answer, fine):
        self.statuses[answer.status] += 1
        if answer.status not in (429, 503):
            if answer.status not in fine:
                self.fault(f"{what}: {answer.status} {answer.body[:200]!r}")
            return
        problem = json.loads(answer.body)
        self.codes[problem["code"]] += 1
        if int(answer.headers.get("retry-after", 0)) < 1 or problem.get("retry_after_ms", -1) < 0:
            self.fault(f"{what}: {answer.status} does not say when to come again: {answer.headers} {problem}")
        if problem["code"] not in ("rate_limited", "overloaded"):
            self.fault(f"{what}: {answer.body[:200]!r}")

    def lost(self, value_of):
        """Keys whose last acknowledged value is not there, nor a later one that got no answer."""
        good = {key: {value, *self.unanswered.get(key, ())} for key, value in self.acknowledged.items()}
        return [key for key in good if value_of(key) not in good[key]]

    @property
    def answered(self):
        return sum(self.statuses.values())

    @property
    def refused(self):
        return self.statuses[429] + self.statuses[503]


async def hear(reader):
    """None = the end, without a word."""
    line = await reader.readline()
    if not line:
        return None
    headers = {}
    async for field in reader:
        if field == b"\r\n":
            break
        name, _, value = field.decode().partition(":")
        headers[name.strip().lower()] = value.strip()
    return Answer(int(line.split()[1]), headers, await reader.readexactly(int(headers.get("content-length", 0))))


async def client(port, until, tally, next_call):
    """`next_call()` -> (what, method, path, body, fine statuses, on_answer); on_answer(None) where none came. A
    connection is given up after a while, so that others get theirs; one that is refused is tried again."""
    while time.monotonic() < until:
        writer, waiting = None, None
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            for _ in range(CALLS):
                if time.monotonic() >= until:
                    break
                what, method, path, body, fine, waiting = next_call()
                writer.write(HEAD.format(method=method, path=path, length=len(body)).encode() + body)
                answer = await hear(reader)
                if answer is None:
                    tally.shut += 1
                    break
                tally.add(what, answer, fine)
                waiting(answer)
                waiting = None
                if answer.headers.get("connection") == "close":
                    break
        except ConnectionError:
            tally.shut += 1
        except (asyncio.IncompleteReadError, ValueError) as error:
            tally.fault(f"half an answer: {error!r}")
        finally:
            if waiting:
                waiting(None)
            if writer:
                writer.close()
        await asyncio.sleep(PACE)


def writer_of(tally, ns, number):
    """Puts to ten keys of its own, with values that only rise."""
    count = 0

    def call():
        nonlocal count
        count += 1
        key, value = f"{ns}/{tally.name}-{number}-{count % 10}", f"{count} ".ljust(500, "v").encode()

        def on_answer(answer):
            if answer is None:
                tally.unanswered[key].add(value)
            elif answer.status // 100 == 2:
                tally.acknowledged[key] = value
                tally.unanswered.pop(key, None)

        return "put", "PUT", f"/v1/kv/{key}", value, (200,), on_answer

    return call


def waiter():
    """Waits for a run that somebody else has; 409 when it has waited in vain."""
    return "begin", "POST", "/v1/requests/held/one/begin?wait=500ms", b"payload", (200, 409), lambda answer: None


async def flood(port, seconds, clients=CLIENTS):
    """`clients` write to `limited`, a quarter as many to `free`, as many wait for `held/one`, which somebody has
    begun: more connections than FLAGS allow, so some are always refused."""
    tally, until = Tally(), time.monotonic() + seconds
    calls = [writer_of(tally, "limited", i) for i in range(clients)]
    calls += [writer_of(tally, "free", i) for i in range(clients // 4)]
    calls += [waiter] * (clients // 4)
    tasks = [asyncio.create_task(client(port, until, tally, call)) for call in calls]
    done, pending = await asyncio.wait(tasks, timeout=seconds + 60)
    for task in done:
        task.result()
    if pending:
        tally.fault(f"{len(pending)} calls were never answered")
        for task in pending:
            task.cancel()
    return tally


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("port", type=int)
    parser.add_argument("seconds", type=float)
    parser.add_argument("--clients", type=int, default=CLIENTS)
    options = parser.parse_args()
    tally = asyncio.run(flood(options.port, options.seconds, options.clients))
    print(json.dumps({"answered": tally.answered, "refused": tally.refused, "shut": tally.shut, "codes": tally.codes,
                      "statuses": tally.statuses, "faults": tally.faults}))  # fmt: skip


if __name__ == "__main__":
    main()
