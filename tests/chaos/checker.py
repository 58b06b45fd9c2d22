# SPDX-License-Identifier: Apache-2.0
"""Holds what the nodes show against what clients were told. Pure: a round and what each node shows of it go in,
sentences about what was violated come out. Promised is:

- every acknowledged write is there at every node, its version or a later one; all nodes show the same rows;
- no row that nobody asked for, none whose write was refused, none under another version than was acknowledged;
- a commit is there whole or not at all; no version and no commit id is given twice; no increment with If-Match is lost;
- every acknowledged complete is replayed byte for byte at every node, or a duplicate that names it is listed at all;
- the effects that a run wrote with its outcome are those of the run whose answer is replayed."""
from collections import Counter, defaultdict
from typing import Dict, List

from history import ACKED, REFUSED, UNKNOWN, Round, Seen


def order(version: str):
    """Larger is later."""
    hlc, _, node = version.partition("-")
    return hlc, node


def short(value) -> str:
    text = repr(value)
    return text if len(text) <= 90 else text[:80] + f"...({len(text)})"


def check(round_: Round, seen: Dict[str, Seen]) -> List[str]:
    found = list(_identities(round_))
    for promise in (_rows, _whole, _counters, _requests):
        found += promise(round_, seen)
    return found


def _identities(round_: Round):
    for what in ("version", "commit"):
        given = Counter(getattr(w, what) for w in round_.writes if w.outcome == ACKED and getattr(w, what))
        yield from (f"{what} {name} was given to {times} writes" for name, times in given.items() if times > 1)


def _rows(round_: Round, seen: Dict[str, Seen]):
    by_key = defaultdict(list)
    for write in round_.writes:
        for place in write.puts:
            by_key[place].append(write)
    places = set(by_key).union(*(set(s.rows) for s in seen.values()))
    for place in sorted(places):
        shown = {name: s.rows.get(place) for name, s in seen.items()}
        if len(set(shown.values())) > 1:
            yield f"{place} differs: " + ", ".join(f"{name} has {short(row)}" for name, row in sorted(shown.items()))
        for row in sorted(set(shown.values()), key=str):
            where = ", ".join(sorted(name for name, other in shown.items() if other == row))
            yield from (f"{place} at {where}: {wrong}" for wrong in _row(place, row, by_key[place]))


def _row(place, row, writes):
    acked = [w for w in writes if w.outcome == ACKED]
    maybe = [w for w in writes if w.outcome == UNKNOWN]
    newest = max((w for w in acked if w.version), key=lambda w: order(w.version), default=None)
    if row is None:
        deleted = any(w.puts[place] is None for w in maybe) or (newest and newest.puts[place] is None)
        if acked and not deleted:
            yield f"the acknowledged write {(newest or acked[0]).commit} is missing"
        return
    value, version = row
    if newest and order(version) < order(newest.version):
        yield f"shows {version}, older than the acknowledged {newest.version}"
    writer = next((w for w in writes if w.puts[place] == value), None)
    if writer is None:
        yield f"nobody wrote {short(value)}"
    elif writer.outcome == REFUSED:
        yield f"shows {short(value)}, whose write was refused"
    elif writer.outcome == ACKED and writer.version and writer.version != version:
        yield f"shows {short(value)} as {version}, but it was acknowledged as {writer.version}"
    elif order(version)[1] != writer.node:
        yield f"shows {short(value)} as {version}, but {writer.node} was asked to write it"


def _whole(round_: Round, seen: Dict[str, Seen]):
    for write in round_.writes:
        if not write.alone or len(write.puts) < 2:
            continue
        for name, s in seen.items():
            versions = {s.rows.get(place, (None, None))[1] for place in write.puts}
            if len(versions) > 1:
                yield f"{name} shows only a part of the commit of {sorted(write.puts)}: {versions}"


def _counters(round_: Round, seen: Dict[str, Seen]):
    least, maybe = Counter(), Counter()
    for write in round_.writes:
        if write.counts:
            (place,) = write.puts
            least[place] += write.outcome == ACKED
            maybe[place] += write.outcome == UNKNOWN
    for place in sorted(set(least) | set(maybe)):
        for name, s in seen.items():
            total = int(s.rows[place][0].partition(":")[0]) if place in s.rows else 0
            if not least[place] <= total <= least[place] + maybe[place]:
                yield (f"{name} counts {total} at {place}: {least[place]} increments were acknowledged, "
                       f"{maybe[place]} more are uncertain")


def _requests(round_: Round, seen: Dict[str, Seen]):
    runs = defaultdict(list)
    for run in round_.runs:
        runs[run.request].append(run)
    told = defaultdict(list)
    for request, node, body in round_.replays:
        told[request].append((node, body))
    listed = {name: set(s.duplicates.values()) for name, s in seen.items()}
    if len({frozenset(s.duplicates.items()) for s in seen.values()}) > 1:
        ids = {name: set(s.duplicates) for name, s in seen.items()}
        common = set.intersection(*ids.values())
        yield "the duplicates listed differ: " + str({name: sorted(i - common)[:5] for name, i in sorted(ids.items())})
    requests = set(runs) | set(told)
    for request in sorted(requests.union(*(set(s.replays) for s in seen.values()))):
        for wrong in _request(request, runs[request], told[request], seen, listed):
            yield f"request {request}: {wrong}"


def _request(request, runs, told, seen: Dict[str, Seen], listed):
    acked = [r for r in runs if r.outcome == ACKED]
    shown = {name: s.replays.get(request) for name, s in seen.items()}
    if len(set(shown.values())) > 1:
        each = (f"{name}: {short(replay and tuple(replay))}" for name, replay in sorted(shown.items()))
        yield "the replay differs: " + ", ".join(each)
    for name, replay in sorted(shown.items()):
        if replay is None or replay.status != 200:
            if acked or told:
                yield f"{name} does not replay what was acknowledged: {short(tuple(replay) if replay else None)}"
            continue
        winner = next((r for r in runs if r.response == replay.body), None)
        if winner is None:
            yield f"{name} replays {short(replay.body)}, which nobody stored"
        elif winner.outcome == REFUSED:
            yield f"{name} replays {short(replay.body)}, whose complete was refused"
        for run in acked:
            if run.response != replay.body and (request, run.node, run.fencing) not in listed[name]:
                yield (f"{name} replays {short(replay.body)}; the acknowledged outcome {short(run.response)} of "
                       f"{run.node} is not listed as a duplicate")
        lost = {(request, r.node, r.fencing) for r in runs}
        for node, body in told:
            if body != replay.body and not lost & listed[name]:
                yield (f"{node} replayed {short(body)} to a client, {name} replays {short(replay.body)}, and no "
                       "duplicate is listed")
        if winner and all(r.effect or r.outcome == REFUSED for r in runs):
            effect = seen[name].rows.get(winner.effect, (None, None))[0]
            if effect != replay.body:
                yield f"{name} replays {short(replay.body)}, but {winner.effect} holds {short(effect)}"
