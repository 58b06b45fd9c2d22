#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`./dev demo --kafka`: a real Kafka broker with a listener for each region, and the demo's story over it.

    demo_kafka.py PROGRAM [FLAG...]      flags go to `refrain demo`

Each region's listener is advertised at the port of a relay that the demo opens and shuts."""
import pathlib
import socket
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from kafka_broker import KafkaBroker, free_ports  # noqa: E402

REGIONS = ["EU", "US", "AP"]


def row_of_ports():
    """Three free ports in a row."""
    while True:
        first = free_ports(1)[0]
        wanted = [first, first + 1, first + 2]
        if all(_free(port) for port in wanted):
            return wanted


def _free(port):
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def main():
    program, flags = sys.argv[1], sys.argv[2:]
    relays = row_of_ports()
    print("Starting a Kafka broker ...", flush=True)
    with KafkaBroker(advertised=dict(zip(REGIONS, relays))) as broker:
        ports = ",".join(str(broker.listen_ports[region]) for region in REGIONS)
        command = [program, "demo", "--kafka-ports", ports, "--relay-port", str(relays[0]), *flags]
        print("Running", " ".join(command), flush=True)
        return subprocess.run(command, cwd=HERE.parent.parent, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
