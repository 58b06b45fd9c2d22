#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Kills real nodes on a real Kafka, again and again under load, and checks that nothing that was promised is broken.

    chaos.py [--kills N] [--minutes M] [--seed S] [--round K]

Three nodes, eu, us and ap, take puts, deletes, commits, increments with If-Match and requests from clients that write
down what they were told. Meanwhile nodes and the broker are killed with kill -9 and paused, topics deleted and cut, a
disk filled, Kafka replaced by an empty cluster: which, and in which order, comes from the seed. After each K kills
everything must heal without a command, and all nodes must show all that was acknowledged and nothing else: the list
of promises is at the top of checker.py.

Cut is a journal's head (as retention cuts): the records at the end of a real broker's log cannot be removed.
Requests whose lease ran out under `hold` need a person by design: they are resolved with `refrain request resolve`.

Exit code 0 when nothing was violated. Else it is 1; the seed, the story, what was violated and where directories and
logs are is printed."""
import argparse
import pathlib
import random
import signal
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "integration"), str(HERE.parent)]
from checker import check  # noqa: E402
from history import ACKED, UNKNOWN, Round, Run  # noqa: E402
from load import Load  # noqa: E402
from observe import observe  # noqa: E402
from plan import make_plan  # noqa: E402
from scene import Scene, Violation  # noqa: E402

SHOWN = 30  # violations that are printed
LONGEST_WAIT = 2  # seconds between two disturbances


class Chaos:
    def __init__(self, seed: int, kills: int, minutes: float, per_round: int):
        self.seed, self.kills, self.per_round = seed, kills, per_round
        self.plan = make_plan(seed, kills)
        self.deadline = time.monotonic() + 60 * minutes
        self.scene, self.rounds, self.violations = Scene(), [], []
        self.load = Load(self.scene.cluster, seed)

    def run(self) -> int:
        failed = True
        try:
            self.scene.start()
            self.load.start()
            self.disturb()
            self.load.finish()
            self.last_look()
            failed = bool(self.violations)
        except (Violation, TimeoutError, AssertionError) as error:
            self.violations.append(str(error))
        finally:
            self.scene.close(keep=failed)
        self.summary(failed)
        return int(failed)

    def killed(self) -> int:
        return self.scene.done["nodes killed"]

    def disturb(self):
        self.open_round()
        for step in self.plan:
            if time.monotonic() > self.deadline or self.violations:
                break
            self.wait_writes(step.writes)
            if step.kind == "kill":
                self.load.rush.set()
                self.wait_writes(5)
            self.scene.do(step)
            self.load.rush.clear()
            if self.killed() - self.killed_before >= self.per_round:
                self.close_round()
                self.open_round()
        self.close_round()

    def open_round(self):
        self.killed_before = self.killed()
        self.rounds.append(Round(len(self.rounds) + 1))
        self.scene.tell(f"round {len(self.rounds)}")
        self.load.open(self.rounds[-1])

    def wait_writes(self, count: int):
        """For so many more acknowledged ones, for a while."""
        wanted, until = self.load.acked + count, time.monotonic() + LONGEST_WAIT
        while self.load.acked < wanted and time.monotonic() < until:
            self.scene.tick()
            time.sleep(0.005)
        self.scene.tick()

    def close_round(self):
        round_ = self.rounds[-1]
        self.scene.mend()
        self.load.quiet()
        began = time.monotonic()
        self.scene.settle()
        self.resolve(round_)
        took = time.monotonic() - began
        self.look(round_)
        since = time.monotonic() - self.scene.began
        print(f"round {round_.number}: {self.killed()} of {self.kills} kills, {round_.acked} acknowledged writes and "
              f"outcomes, healed in {took:.1f} s, {len(self.violations)} violations ({since:.0f} s)", flush=True)

    def resolve(self, round_: Round):
        """Requests that need a person get one: every other one was done, says the operator."""
        dice, ns = random.Random(f"{self.seed} {round_.number}"), round_.ns("hold")
        for item in list(self.scene.cluster)[0].items(f"/v1/requests/{ns}?state=unknown"):
            node = self.scene.cluster[dice.choice(list(self.scene.cluster.nodes))]
            said = f"{item['id']} resolved by the operator"
            how = ("--complete", "--data", said) if dice.random() < 0.5 else ("--release",)
            done = node.cli("request", "resolve", ns, item["id"], *how)
            if done.returncode:
                raise Violation(f"{node.name} does not resolve {ns}/{item['id']} {how}: {done.stderr.decode()}")
            if len(how) > 1:
                round_.add(Run((ns, item["id"]), node.name, said, ACKED))
            self.scene.done["requests resolved by an operator"] += 1
        for node in self.scene.cluster:
            self.scene.everywhere(node)

    def look(self, round_: Round):
        seen = observe(self.scene.cluster, round_)
        self.scene.tick()
        self.violations += [f"round {round_.number}: {line}" for line in check(round_, seen)]
        round_.duplicates = len(next(iter(seen.values())).duplicates)
        round_.replayed = len(next(iter(seen.values())).replays)

    def last_look(self):
        """Everything again, as the last kill left it."""
        for round_ in self.rounds[:-1]:
            if self.violations:
                return
            self.look(round_)

    def summary(self, failed: bool):
        scene = self.scene
        print("\ndisturbances")
        for kind, count in scene.done.items():
            print(f"  {count:6}  {kind}")
        for kind, count in scene.skipped.items():
            print(f"  {count:6}  SKIPPED {kind}")
        print("answers to clients")
        for what, count in sorted(self.load.answers.items()):
            print(f"  {count:6}  {what}")
        writes = [w for r in self.rounds for w in r.writes]
        runs = [run for r in self.rounds for run in r.runs]
        print("checked at each of 3 nodes")
        for count, what in (
            (sum(w.outcome == ACKED for w in writes), "acknowledged commits"),
            (sum(w.outcome == UNKNOWN for w in writes), "commits without an answer"),
            (sum(run.outcome == ACKED for run in runs), "acknowledged outcomes of requests"),
            (sum(r.replayed for r in self.rounds), "requests replayed"),
            (sum(r.duplicates for r in self.rounds), "duplicate executions, all listed"),
        ):
            print(f"  {count:6}  {what}")
        if self.violations:
            print(f"\nthe story (seed {self.seed})", *scene.story, "", "violated", *self.violations[:SHOWN], sep="\n  ")
            print(f"  ... {len(self.violations)} in all")
        if failed:
            print(f"\ndirectories and logs: {scene.base} {scene.cluster.directory}")
        short = f" ({self.kills - self.killed()} fewer than asked)" if self.killed() < self.kills else ""
        print(f"seed {self.seed}")
        print(f"chaos: {self.killed()} kills, {len(self.violations)} violations{short}", flush=True)


def main(words=None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100, help="of nodes (100)")
    parser.add_argument("--minutes", type=float, default=60, help="stops then, even with fewer kills (60)")
    parser.add_argument("--seed", type=int, help="of the schedule; drawn when not given")
    parser.add_argument("--round", type=int, default=25, help="kills between two looks at everything (25)")
    options = parser.parse_args(words)
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was mounted is not left behind
    print(f"chaos: {options.kills} kills, seed {seed}", flush=True)
    return Chaos(seed, options.kills, options.minutes, options.round).run()


if __name__ == "__main__":
    sys.exit(main())
