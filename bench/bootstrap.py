#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""How fast a new node gets its snapshot, beside a plain copy of the same bytes over loopback into a synced file.

    bootstrap.py [--mib 512] [--value 1000]

Two real nodes on a real Kafka broker. Prints rows, bytes, both times and their ratio."""
import argparse
import http.client
import os
import pathlib
import re
import socket
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests"), str(HERE.parent / "tests" / "integration")]
from cluster import Cluster  # noqa: E402
from kafka_broker import KafkaBroker, wait_until  # noqa: E402


def fill(node, mib, size):
    """Commits of about 800 KiB with values that do not compress to nothing."""
    per_commit = 800 * 1024 // size
    for commit in range(mib * 1024 // 800):
        writes = [{"put": {"ns": "bench", "key": f"k{commit:06}-{i:06}", "value": os.urandom(size // 2).hex()}}
                  for i in range(per_commit)]
        answer = node.call("POST", "/v1/commit", {"operations": writes})
        assert answer.status == 200, answer.body


def plain_copy(length):
    """Seconds for so many bytes through a socket into a file that is synced."""
    block = os.urandom(1 << 18)
    with socket.create_server(("127.0.0.1", 0)) as server, tempfile.TemporaryFile() as file:
        def send():
            with socket.create_connection(server.getsockname()) as out:
                for _ in range(length // len(block)):
                    out.sendall(block)

        sender = threading.Thread(target=send, daemon=True)
        start = time.monotonic()
        sender.start()
        taken, _ = server.accept()
        with taken:
            while data := taken.recv(1 << 18):
                file.write(data)
        file.flush()
        os.fsync(file.fileno())
        return time.monotonic() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=512)
    parser.add_argument("--value", type=int, default=1000)
    options = parser.parse_args()
    with KafkaBroker() as broker, Cluster(broker, names=("eu",), config="store: {snapshot_rate: 10GiB}\n").start() as cluster:
        fill(cluster["eu"], options.mib, options.value)
        joiner = cluster.add("us").start(ready=False)
        wait_until(lambda: "The snapshot is in" in joiner.log_text(), 600, "the snapshot is in")
        times = {}
        for line in joiner.log_text().splitlines():
            for word in ("Taking a snapshot", "The snapshot is in"):
                if word in line:
                    at = re.match(r"\d+-\d+-\d+T(\d+):(\d+):([\d.]+)Z", line)
                    times[word] = int(at[1]) * 3600 + int(at[2]) * 60 + float(at[3])
                    said = line
        rows, length = map(int, re.search(r"(\d+) rows, (\d+) bytes", said).groups())
        seconds = times["The snapshot is in"] - times["Taking a snapshot"]
        start = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", cluster["eu"].port)
        connection.request("GET", "/v1/snapshot")
        answer, taken = connection.getresponse(), 0
        while piece := answer.read(1 << 20):
            taken += len(piece)
        connection.close()
        download = time.monotonic() - start
        copy = min(plain_copy(length) for _ in range(3))
        print(f"{rows} rows, {length >> 20} MiB: snapshot {seconds:.2f} s ({(length >> 20) / seconds:.0f} MiB/s), "
              f"its download alone {download:.2f} s ({(taken >> 20) / download:.0f} MiB/s), plain copy {copy:.2f} s ({(length >> 20) / copy:.0f} MiB/s), ratio {copy / seconds:.2f}")


if __name__ == "__main__":
    main()
