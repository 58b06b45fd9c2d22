# SPDX-License-Identifier: Apache-2.0
"""Which disturbances a run has, and in which order: the seed's alone. When each one meets the load is the machine's."""
import random
from typing import List, NamedTuple, Tuple

NODES = ("eu", "us", "ap")
SMALL_DISK = "ap"  # the node whose disk can be filled

# kind -> one for so many kills, at least one
EVERY = {
    "pause node": 20,
    "kill broker": 30,
    "truncate journal": 30,
    "delete journal": 40,
    "pause broker": 60,
    "fill disk": 60,
    "replace broker": 100,
    "delete members log": 100,
}
KINDS = ("kill", *EVERY)
TWO_AT_ONCE, ALL_AT_ONCE = 0.10, 0.02  # of the times that nodes are killed


class Step(NamedTuple):
    kind: str
    nodes: Tuple[str, ...] = ()
    seconds: float = 0  # for how long; of a kill: until it is started again
    writes: int = 0  # acknowledged ones to wait for before the next step
    share: float = 0  # of a journal, to cut off


def make_plan(seed: int, kills: int) -> List[Step]:
    dice = random.Random(seed)
    steps, left = [], kills
    while left:
        drawn = dice.random()
        count = 3 if drawn < ALL_AT_ONCE else 2 if drawn < ALL_AT_ONCE + TWO_AT_ONCE else 1
        nodes = tuple(dice.sample(NODES, min(count, left)))
        steps.append(Step("kill", nodes, dice.choice([0, 0, 0.1, 0.3, 0.8]), dice.choice([0, 2, 10, 30, 80])))
        left -= len(nodes)
    for kind, every in EVERY.items():
        for _ in range(max(1, kills // every)):
            node = SMALL_DISK if kind == "fill disk" else dice.choice(NODES)
            nodes = (node,) if kind.endswith(("node", "journal", "disk")) else ()
            steps.append(Step(kind, nodes, dice.uniform(0.5, 4), dice.choice([0, 10, 30]), dice.random()))
    dice.shuffle(steps)
    return steps
