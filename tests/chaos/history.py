# SPDX-License-Identifier: Apache-2.0
"""What clients were told, and what the nodes say afterwards: plain data between the load and the checker.

A client's call ends in one of three ways: `acked` (a 2xx with its commit), `refused` (the answer says that nothing
happened, or no connection came about) and `unknown` (sent, and no such answer came: it may have happened)."""
import threading
from typing import Dict, List, NamedTuple, Optional, Tuple

ACKED, REFUSED, UNKNOWN = "acked", "refused", "unknown"
Place = Tuple[str, str]  # (namespace, key), or (namespace, request id)


class Write(NamedTuple):
    """One commit that a client asked for. A value is written by one Write only, so it tells who wrote it."""

    node: str
    puts: Dict[Place, Optional[str]]  # None: a delete
    outcome: str
    commit: Optional[str] = None
    version: Optional[str] = None  # a complete does not tell it
    alone: bool = False  # nobody else writes these keys
    counts: bool = False  # one more than what was there, with If-Match: the value begins with the sum and a colon


class Run(NamedTuple):
    """One complete (or execute, or an operator's word) of a request."""

    request: Place
    node: str  # that said go
    response: str  # of this run only
    outcome: str
    fencing: Optional[str] = None  # None: no claim
    effect: Optional[Place] = None  # a key that this run set to its response in the same commit


class Round:
    """All that happened between two quiet moments, in namespaces of its own. add() from any thread."""

    def __init__(self, number: int):
        self.number = number
        self.writes: List[Write] = []
        self.runs: List[Run] = []
        self.payloads: Dict[Place, str] = {}  # of every request that was begun or executed
        self.replays: List[Tuple[Place, str, str]] = []  # request, node, the first answer as it was given to a client
        self.acked = 0
        self.replayed = self.duplicates = 0  # as the nodes showed at the last look
        self._lock = threading.Lock()

    def ns(self, kind: str) -> str:
        return f"{kind}-{self.number}"

    def add(self, record):
        with self._lock:
            (self.writes if isinstance(record, Write) else self.runs).append(record)
            self.acked += record.outcome == ACKED

    def begun(self, request: Place, payload: str):
        with self._lock:
            self.payloads.setdefault(request, payload)

    def add_replay(self, request: Place, node: str, body: str):
        with self._lock:
            self.replays.append((request, node, body))


class Replay(NamedTuple):
    """What begin answers to a request that has ended."""

    status: int
    body: str


class Seen(NamedTuple):
    """What one node shows of a round when nothing is under way."""

    rows: Dict[Place, Tuple[str, str]]  # value, version
    replays: Dict[Place, Replay]
    duplicates: Dict[str, Tuple[Place, str, str]]  # id -> request, the losing run's node and fencing number
