# SPDX-License-Identifier: Apache-2.0
"""What a process holds of this machine, and whether that stays flat."""
import os
import re
import statistics
from typing import List, NamedTuple, Sequence

MIB = 1024.0


class Held(NamedTuple):
    """Of one process at one moment."""

    rss_kib: int
    descriptors: int
    threads: int


def held(pid: int) -> Held:
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as status:
        text = status.read()
    rss, threads = (int(re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE).group(1)) for name in ("VmRSS", "Threads"))
    return Held(rss, len(os.listdir(f"/proc/{pid}/fd")), threads)


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
    rss, descriptors, threads = (
        slope(times, [getattr(sample, name) for sample in samples]) * window for name in Held._fields
    )
    faults = []
    if rss / MIB > most_mib:
        faults.append(f"memory grew by {rss / MIB:.1f} MiB, more than {most_mib:g}")
    for name, grew in (("descriptors", descriptors), ("threads", threads)):
        if grew > most_descriptors:
            faults.append(f"{name} grew by {grew:.1f}, more than {most_descriptors:g}")
    return Verdict(rss / MIB, descriptors, threads, window / 3600, faults)
