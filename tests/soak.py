#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs two nodes on a real Kafka broker under a mixed, moderate load and says whether they stay flat.

Every call of the load is bounded in what it leaves behind: fixed keys, requests that are forgotten after seconds. So
memory, descriptors and threads of the nodes, once warm, may not rise. Growth is that of a line fitted through the
samples after the warm-up (median of all pairs). The store's tables (RocksDB's files) are shown, not judged.

The samples come as they are taken; then what was answered, the growth, and `flat` or what was not. The exit code is 0
when both nodes stayed flat, every call had a fine answer and both ended well."""
import argparse
import os
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "integration")]


def row(*cells):
    print("".join(f"{cell:>11}" for cell in cells), flush=True)


def sample_until(nodes, began, seconds, every):
    """[(seconds since `began`, {name: Held})], one line each as it comes."""
    from resources import MIB, held

    names = [f"{node.name} {what}" for node in nodes for what in ("RSS MiB", "descr.", "threads", "tables")]
    row("seconds", *names)
    taken, due = [], began
    while not taken or taken[-1][0] < seconds:
        time.sleep(max(0.0, due - time.monotonic()))
        due += every
        now = {node.name: held(node.process.pid) for node in nodes}
        taken.append((time.monotonic() - began, now))
        row(f"{taken[-1][0]:.0f}", *(cell for h in now.values() for cell in (f"{h.rss_kib / MIB:.1f}", *h[1:])))
    return taken


def report(taken, load, options):
    """Prints it; the faults."""
    from resources import judge

    print("\nanswers")
    for (call, status), count in sorted(load.answers().items(), key=str):
        print(f"  {count:>9} {status!s:>4}  {call}")
    faults = [f"an answer that is not fine: {line}" for line in load.unexpected()[:20]]
    warm = [(t, now) for t, now in taken if t >= taken[-1][0] * options.warm_up]
    print(f"\ngrowth after a warm-up of {warm[0][0]:.0f} s; flat = at most {options.most_mib:g} MiB, "
          f"{options.most_descriptors:g} descriptors, as many threads")  # fmt: skip
    times = [t for t, _ in warm]
    for name in taken[0][1]:
        verdict = judge(times, [now[name] for _, now in warm], options.most_mib, options.most_descriptors)
        print(f"  {name}: memory {verdict.rss_mib:+.2f} MiB in {verdict.hours * 60:.1f} min, "
              f"descriptors {verdict.descriptors:+.1f}, threads {verdict.threads:+.1f}")  # fmt: skip
        faults += [f"{name}: {fault}" for fault in verdict.faults]
    print("\n" + ("\n".join(faults) if faults else "flat"))
    return faults


def soak(options, broker):
    from cluster import Cluster
    from soak_load import CONFIG, FLAGS, Load

    seconds = options.minutes * 60
    with Cluster(broker, names=("eu", "us"), config=CONFIG) as cluster:
        for node in cluster:
            node.start(ready=False, extra=FLAGS)
        for node in cluster:
            node.wait_ready()
        for node in cluster:  # whoever begins first would only wait for the others
            assert node.begin("soak", "warm-" + node.name, query="?wait=20s").status == 201
        with Load(cluster, options.per_second, seed=options.seed) as load:
            taken = sample_until(list(cluster), time.monotonic(), seconds, max(0.5, seconds / options.samples))
        faults = report(taken, load, options)
        for node in cluster:
            code = node.stop()
            if code != 0:
                faults.append(f"{node.name} ended with {code}")
                print(faults[-1])
        return faults


def parse(words=None):
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="./dev soak", description=__doc__, formatter_class=raw)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--per-second", type=float, default=150, help="turns of the load (150); some are several calls")
    parser.add_argument("--samples", type=int, default=180)
    parser.add_argument("--warm-up", type=float, default=0.34, help="part of the time that is not judged (0.34)")
    parser.add_argument("--most-mib", type=float, default=6, help="growth of a node's memory that counts as flat (6)")
    parser.add_argument("--most-descriptors", type=float, default=6, help="the same of descriptors and of threads (6)")
    parser.add_argument("--seed", type=int, default=1, help="of the load")
    parser.add_argument("--program", default=str(HERE.parent / "build/release/refrain"))
    return parser.parse_args(words)


def main():
    options = parse()
    os.environ["REFRAIN_PROGRAM"] = str(pathlib.Path(options.program).resolve())
    from kafka_broker import KafkaBroker

    with KafkaBroker(heap="256m") as broker:
        return 1 if soak(options, broker) else 0


if __name__ == "__main__":
    sys.exit(main())
