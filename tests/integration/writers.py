# SPDX-License-Identifier: Apache-2.0
"""Load that knows what it was promised."""
import threading

from cluster import wait_until


class Background(threading.Thread):
    """Runs while the block does: run() goes on until `stopping` is set."""

    def __init__(self):
        super().__init__(daemon=True)
        self.stopping = threading.Event()

    def finish(self):
        self.stopping.set()
        self.join()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.finish()


class Writer(Background):
    """Puts numbered keys, and remembers which were acknowledged."""

    def __init__(self, node, ns="load"):
        super().__init__()
        self.node, self.ns, self.acknowledged = node, ns, []

    def run(self):
        number = 0
        while not self.stopping.is_set():
            number += 1
            if self.node.try_call("PUT", f"/v1/kv/{self.ns}/k{number}", str(number)).status == 200:
                self.acknowledged.append(number)

    def wait(self, more, seconds=60):
        """For so many more acknowledged writes."""
        wanted = len(self.acknowledged) + more
        wait_until(lambda: len(self.acknowledged) >= wanted, seconds, f"{more} writes more in {self.node.name}")

    def keys(self):
        """Of the acknowledged writes."""
        return {f"k{number}" for number in self.acknowledged}


class Runner(Background):
    """Begins requests at the first node, completes every other one at the second, and remembers which were done."""

    def __init__(self, first, second):
        super().__init__()
        self.nodes, self.done = (first, second), []

    def run(self):
        number = 0
        while not self.stopping.is_set():
            number += 1
            request = f"r{number}"
            go = self.nodes[0].begin("runs", request, query="?wait=20s")
            at = self.nodes[number % 2]
            if go.status == 201 and at.complete("runs", request, go.json()["token"], request).status == 200:
                self.done.append(request)


def versions(node, ns):
    return {item["key"]: item["version"] for item in node.items(f"/v1/kv/{ns}")}


def assert_has(test, node, writer, every=1):
    """Every one of its acknowledged writes, or each nth and the last, is there with its value."""
    for number in writer.acknowledged[::every] + writer.acknowledged[-1:]:
        answer = node.get(writer.ns, f"k{number}")
        test.assertEqual((answer.status, answer.body), (200, str(number).encode()), f"{node.name} k{number}")
