# SPDX-License-Identifier: Apache-2.0
"""A decent client, to see whether it is served while others are not decent."""
import http.client
import threading
import time

from cluster import wait_until


class Healthy(threading.Thread):
    """A context: meanwhile a client reads and writes on one connection. At its end it must have been answered every
    time, with 200 or one of `also`, and must be served. `took` has the seconds of each answer."""

    def __init__(self, node, also=()):
        super().__init__(daemon=True)
        self.node, self.fine, self.took = node, (200, *also), []
        self.served, self.faults, self.stopping = 0, [], threading.Event()
        self.connection = http.client.HTTPConnection("127.0.0.1", node.port, timeout=30)

    def run(self):
        while not self.stopping.is_set() and not self.faults:
            for method, body in (("PUT", b"well"), ("GET", None)):
                try:
                    since = time.perf_counter()
                    self.connection.request(method, "/v1/kv/healthy/k", body)
                    answer = self.connection.getresponse()
                    answer.read()
                    self.took.append(time.perf_counter() - since)
                    self.served += answer.status == 200
                    if answer.status not in self.fine or answer.will_close:
                        self.faults.append(f"{method}: {answer.status}")
                except (OSError, http.client.HTTPException) as error:
                    self.faults.append(f"{method}: {error!r}")

    def __enter__(self):
        self.connection.connect()
        self.start()
        return self

    def __exit__(self, kind, *_):
        if kind is None:
            now = self.served
            wait_until(lambda: self.served > now + 1 or self.faults, 30, "the healthy client is served now")
        self.stopping.set()
        self.join()
        self.connection.close()
        if kind is None:
            assert not self.faults, f"{self.faults} after {len(self.took)} calls"
