# SPDX-License-Identifier: Apache-2.0
"""Sends the rows of hostile_requests.py as they are, at once or byte by byte, and says what was not as it should be."""
import errno
import json
import re
import select
import socket
import time
from typing import NamedTuple

from hostile_requests import CANARY, TABLE

PROBE = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n"
SECONDS = 20  # for the answer to one row; nothing here takes a second


class Case(NamedTuple):
    name: str  # of its canary's key
    what: str
    data: bytes
    follow: bytes
    answers: list  # (status, code or None)
    goes_on: str  # close, open or end


def case(name, what, raw, outcome):
    *answers, last = outcome.rpartition(" ")[0].split(" + ")
    pairs = [(int(a.split()[0]), a.split()[1] if " " in a else None) for a in (*answers, last)]
    goes_on = outcome.rpartition(" ")[2]
    canary = CANARY.replace("{name}", name)
    # Code points up to FF stand for bytes; é of a name is two of them, as in UTF-8.
    text = raw.replace("{length}", str(len(canary))).replace("{canary}", canary)
    data = text.encode("latin-1" if raw.startswith(("\x16", "\x80", "\xf4")) else "utf-8")
    follow = {"close": canary.encode(), "open": PROBE, "end": b""}[goes_on]
    return Case(name, what, data, follow, pairs + ([(200, None)] if goes_on == "open" else []), goes_on)


def cases(mode):
    return [
        case(f"{mode}-{group}-{i}", f"{group}: {what}", raw, outcome)
        for group, rows in TABLE.items()
        for i, (what, raw, outcome) in enumerate(rows)
    ]


class Heard(NamedTuple):
    answers: list  # (status, headers, body)
    rest: bytes  # no answer, or only a part of one


def parse(data):
    answers = []
    while True:
        head, end, rest = data.partition(b"\r\n\r\n")
        line = re.match(rb"HTTP/1\.1 (\d{3}) [^\r\n]*", head)
        if not end or not line:
            return Heard(answers, data)
        fields = [field.partition(":") for field in head.decode("latin-1").split("\r\n")[1:]]
        headers = {name.lower(): value.strip() for name, _, value in fields}
        status, length = int(line.group(1)), int(headers.get("content-length", 0))
        if len(rest) < length:
            return Heard(answers, data)
        if status >= 200:  # 100 Continue is no answer
            answers.append((status, headers, rest[:length]))
        data = rest[length:]


class Talk:
    """One case on a connection of its own."""

    def __init__(self, port, one, seconds=SECONDS):
        self.seconds = seconds
        self.case, self.heard, self.ended, self.deaf = one, b"", False, False
        self.wire = socket.create_connection(("127.0.0.1", port), timeout=SECONDS)
        self.wire.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.wire.setblocking(False)

    def say(self, data):
        """What the peer does not want any more is not sent."""
        deadline = time.monotonic() + self.seconds
        while data and not self.deaf and time.monotonic() < deadline:
            try:
                data = data[self.wire.send(data) :]
            except BlockingIOError:
                self.hear(time.monotonic() + 0.01)
            except OSError as error:
                if error.errno not in (errno.EPIPE, errno.ECONNRESET):
                    raise
                self.deaf = True

    def hear(self, deadline):
        """Waits for bytes, or the end, until then; whether anything came."""
        if self.ended or not select.select([self.wire], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return False
        try:
            data = self.wire.recv(65536)
        except ConnectionResetError:
            data = b""
        self.heard += data
        self.ended = not data
        return True

    def shut(self):
        try:
            self.wire.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def finish(self):
        """Until all answers are there, and the end where it must come."""
        deadline = time.monotonic() + self.seconds
        if self.case.goes_on == "end":
            self.shut()
        wanted = len(self.case.answers)
        while not self.ended and (self.case.goes_on != "open" or len(parse(self.heard).answers) < wanted):
            if not self.hear(deadline) and time.monotonic() >= deadline:
                break
        self.hear(time.monotonic())  # an answer too many
        return self

    def faults(self):
        one, heard = self.case, parse(self.heard)
        got = [(status, code_of(headers, body)) for status, headers, body in heard.answers]
        out = []
        if got != [(status, code) for status, code in one.answers]:
            out.append(f"answered {got}, not {one.answers}")
        if heard.rest:
            out.append(f"what follows is no answer: {heard.rest[:60]!r}")
        if any("x-evil" in headers for _, headers, _ in heard.answers):
            out.append("a header of ours came back as a header")
        said = [headers.get("connection", "").lower() for _, headers, _ in heard.answers]
        if one.goes_on == "open" and (self.ended or "close" in said):
            out.append("the connection was closed")
        if one.goes_on != "open" and not self.ended:
            out.append("the connection was not closed")
        if one.goes_on != "open" and said and said[-1] != "close":
            out.append("the last answer does not say that the connection closes")
        return [f"{one.what}: {fault}" for fault in out]

    def close(self):
        self.wire.close()


def code_of(headers, body):
    if headers.get("content-type") != "application/problem+json":
        return None
    try:
        return json.loads(body).get("code")
    except ValueError:
        return "not JSON"


def run_at_once(port, all_cases, after=lambda one: []):
    """The faults; `after` may look for more when a case is done."""
    faults = []
    for one in all_cases:
        talk = Talk(port, one)
        talk.say(one.data + one.follow)
        faults += talk.finish().faults()
        talk.close()
        faults += [f"{one.what}: {fault}" for fault in after(one)]
    return faults


def run_byte_by_byte(port, all_cases):
    """All at the same time, each a byte in its turn, so that the server sees them one by one."""
    talks = [Talk(port, one) for one in all_cases]
    faults = []
    try:
        for i in range(max(len(one.data) for one in all_cases)):
            for talk in talks:
                if i < len(talk.case.data):
                    talk.say(talk.case.data[i : i + 1])
                    if i % 64 == 0:
                        talk.hear(0)
        for talk in talks:
            talk.say(talk.case.follow)
        for talk in talks:
            faults += talk.finish().faults()
    finally:
        for talk in talks:
            talk.close()
    return faults
