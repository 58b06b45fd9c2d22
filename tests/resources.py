# SPDX-License-Identifier: Apache-2.0
"""What a process holds of this machine, and whether that stays flat."""
import contextlib
import os
import re
import statistics
from typing import List, NamedTuple, Sequence

MIB = 1024.0


class Held(NamedTuple):
    """Of one process at one moment."""

    rss_kib: int
    descriptors: int  # all but those of a store's tables
    threads: int
    tables: int  # RocksDB's files, which come and go with compactions; one that is deleted and still open counts above


def held(pid: int) -> Held:
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
        text = status.read()
    rss, threads = (int(re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE).group(1)) for name in ("VmRSS", "Threads"))
    names = descriptors(pid)
    tables = sum(name.endswith(".sst") for name in names)
    return Held(rss, len(names) - tables, threads, tables)


def descriptors(pid: int) -> List[str]:
    """What they lead to."""
    names = []
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(OSError):  # closed meanwhile
            names.append(os.readlink(f"/proc/{pid}/fd/{number}"))
    return names


def slope(times: Sequence[float], values: Sequence[float]) -> float:
    """The median of the slopes between all pairs (Theil and Sen): a few outliers do not move it."""
    step = max(1, len(times) // 400)
    points = list(zip(times[::step], values[::step]))
    slopes = [(b - a) / (t - s) for i, (s, a) in enumerate(points) for t, b in points[i + 1 :] if t > s]
    return statistics.median(slopes) if slopes else 0.0


class Verdict(NamedTuple):
    """Growth along the fitted line, from the end of the warm-up to the last sample."""

    rss_mib: float
    descriptors: float
    threads: float
    hours: float
    faults: List[str]


def judge(times: Sequence[float], samples: Sequence[Held], most_mib: float, most_descriptors: float) -> Verdict:
    """`times` in seconds. No fault = flat."""
    if len(times) < 10:
        return Verdict(0, 0, 0, 0, [f"{len(times)} samples after the warm-up say nothing; at least 10 are needed"])
    window = times[-1] - times[0]
    grew = {name: slope(times, [getattr(sample, name) for sample in samples]) * window for name in Held._fields}
    memory = grew["rss_kib"] / MIB
    faults = []
    if memory > most_mib:
        faults.append(f"memory grew by {memory:.1f} MiB, more than {most_mib:g}")
    for name in ("descriptors", "threads"):
        if grew[name] > most_descriptors:
            faults.append(f"{name} grew by {grew[name]:.1f}, more than {most_descriptors:g}")
    return Verdict(memory, grew["descriptors"], grew["threads"], window / 3600, faults)
