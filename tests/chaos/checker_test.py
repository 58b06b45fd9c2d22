#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The checker of the chaos test finds what is wrong: a good history passes, and each forged one is named. The plan
is the seed's alone."""
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from checker import check  # noqa: E402
from history import ACKED, REFUSED, UNKNOWN, Replay, Round, Run, Seen, Write  # noqa: E402
from plan import KINDS, make_plan  # noqa: E402

NODES = "eu", "us", "ap"


def at(place, value):
    """The puts of a write of one key."""
    return {("kv-1", place): value}


class History(unittest.TestCase):
    """Every node shows `rows`, `replays` and `duplicates`, save what a test changes in `self.seen`."""

    def setUp(self):
        r = self.round = Round(1)
        r.add(Write("eu", at("a", "a1"), ACKED, "eu.1.1", "01-eu", alone=True))
        r.add(Write("eu", at("b", "b1"), ACKED, "eu.1.2", "02-eu"))
        r.add(Write("us", at("b", "b2"), ACKED, "us.1.1", "03-us"))
        r.add(Write("ap", at("c", "c1"), UNKNOWN))
        r.add(Write("eu", at("d", "d1"), REFUSED))
        r.add(Write("eu", at("e", "e1"), ACKED, "eu.1.3", "04-eu"))
        r.add(Write("eu", at("e", None), ACKED, "eu.1.4", "05-eu"))
        r.add(Write("us", {("kv-1", "w1"): "w", ("kv-1", "w2"): "w"}, UNKNOWN, alone=True))
        for number in (1, 2):
            puts = at("n", f"{number}:x{number}")
            r.add(Write("us", puts, ACKED, f"us.1.{number + 1}", f"0{number + 5}-us", counts=True))
        r.add(Run(("retry-1", "r1"), "eu", "first", ACKED, "10", ("fx-1", "r1")))
        r.add(Write("eu", {("fx-1", "r1"): "first"}, ACKED, "eu.1.5"))
        r.add(Run(("retry-1", "r2"), "eu", "one", ACKED, "11"))
        r.add(Run(("retry-1", "r2"), "us", "two", ACKED, "12"))
        r.add(Run(("retry-1", "r3"), "us", "three", REFUSED, "13"))
        r.add_replay(("retry-1", "r1"), "ap", "first")
        rows = {("kv-1", "a"): ("a1", "01-eu"), ("kv-1", "b"): ("b2", "03-us"), ("kv-1", "n"): ("2:x2", "07-us"),
                ("fx-1", "r1"): ("first", "09-eu")}
        replays = {("retry-1", "r1"): Replay(200, "first"), ("retry-1", "r2"): Replay(200, "two")}
        duplicates = {"id1": (("retry-1", "r2"), "eu", "11")}
        self.seen = {name: Seen(dict(rows), dict(replays), dict(duplicates)) for name in NODES}

    def everywhere(self, change):
        for seen in self.seen.values():
            change(seen)

    def assert_found(self, *words):
        found = check(self.round, self.seen)
        self.assertTrue(any(all(word in line for word in words) for line in found), found)

    def test_a_history_that_holds_is_not_blamed(self):
        self.assertEqual(check(self.round, self.seen), [])

    def test_an_uncertain_write_may_show_or_not(self):
        self.everywhere(lambda s: s.rows.update({("kv-1", "c"): ("c1", "09-ap")}))
        self.everywhere(lambda s: s.rows.update({("kv-1", w): ("w", "08-us") for w in ("w1", "w2")}))
        self.assertEqual(check(self.round, self.seen), [])


class Rows(History):
    def test_an_acknowledged_write_that_is_gone_is_found(self):
        self.everywhere(lambda s: s.rows.pop(("kv-1", "a")))
        self.assert_found("'a'", "eu.1.1 is missing")

    def test_an_acknowledged_write_that_one_node_lacks_is_found(self):
        self.seen["ap"].rows.pop(("kv-1", "a"))
        self.assert_found("'a'", "differs")
        self.assert_found("'a'", "at ap", "missing")

    def test_a_row_that_went_back_is_found(self):
        self.everywhere(lambda s: s.rows.update({("kv-1", "b"): ("b1", "02-eu")}))
        self.assert_found("'b'", "older than the acknowledged 03-us")

    def test_a_changed_value_is_found(self):
        self.everywhere(lambda s: s.rows.update({("kv-1", "a"): ("a2", "01-eu")}))
        self.assert_found("'a'", "nobody wrote")

    def test_the_same_value_under_another_version_is_found(self):
        self.everywhere(lambda s: s.rows.update({("kv-1", "a"): ("a1", "08-eu")}))
        self.assert_found("'a'", "acknowledged as 01-eu")

    def test_another_version_at_one_node_is_found(self):
        self.seen["us"].rows[("kv-1", "c")] = ("c1", "09-ap")
        self.assert_found("'c'", "differs")

    def test_a_write_that_was_refused_and_shows_is_found(self):
        self.everywhere(lambda s: s.rows.update({("kv-1", "d"): ("d1", "08-eu")}))
        self.assert_found("'d'", "was refused")

    def test_a_deleted_key_that_came_back_is_found(self):
        self.everywhere(lambda s: s.rows.update({("kv-1", "e"): ("e1", "04-eu")}))
        self.assert_found("'e'", "older than the acknowledged 05-eu")

    def test_a_key_that_nobody_wrote_is_found(self):
        self.everywhere(lambda s: s.rows.update({("kv-1", "z"): ("z", "08-eu")}))
        self.assert_found("'z'", "nobody wrote")

    def test_half_a_commit_is_found(self):
        self.everywhere(lambda s: s.rows.update({("kv-1", "w1"): ("w", "08-us")}))
        self.assert_found("w2", "only a part")

    def test_a_lost_increment_is_found(self):
        self.round.add(Write("us", at("n", "2:x3"), ACKED, "us.1.9", "09-us", counts=True))
        self.everywhere(lambda s: s.rows.update({("kv-1", "n"): ("2:x3", "09-us")}))
        self.assert_found("counts 2", "3 increments were acknowledged")

    def test_a_version_given_twice_is_found(self):
        self.round.add(Write("eu", at("f", "f1"), ACKED, "eu.1.9", "01-eu"))
        self.everywhere(lambda s: s.rows.update({("kv-1", "f"): ("f1", "01-eu")}))
        self.assert_found("version 01-eu was given to 2 writes")

    def test_a_commit_id_given_twice_is_found(self):
        self.round.add(Write("eu", at("f", "f1"), ACKED, "eu.1.1", "09-eu"))
        self.everywhere(lambda s: s.rows.update({("kv-1", "f"): ("f1", "09-eu")}))
        self.assert_found("commit eu.1.1 was given to 2 writes")


class Requests(History):
    r1, r2 = ("retry-1", "r1"), ("retry-1", "r2")

    def test_an_acknowledged_complete_that_is_gone_is_found(self):
        self.everywhere(lambda s: s.replays.pop(self.r1))
        self.assert_found("r1", "does not replay")

    def test_an_acknowledged_complete_that_may_go_again_is_found(self):
        self.seen["ap"].replays[self.r1] = Replay(201, "{token}")
        self.assert_found("r1", "ap does not replay")

    def test_an_altered_replay_is_found(self):
        self.seen["ap"].replays[self.r1] = Replay(200, "First")
        self.assert_found("r1", "which nobody stored")

    def test_a_second_outcome_that_is_not_listed_is_found(self):
        self.everywhere(lambda s: s.duplicates.clear())
        self.assert_found("r2", "'one' of eu is not listed as a duplicate")

    def test_a_duplicate_that_one_node_does_not_list_is_found(self):
        self.seen["us"].duplicates.clear()
        self.assert_found("duplicates listed differ")
        self.assert_found("r2", "us replays", "not listed")

    def test_a_replay_of_a_refused_complete_is_found(self):
        self.everywhere(lambda s: s.replays.update({("retry-1", "r3"): Replay(200, "three")}))
        self.assert_found("r3", "whose complete was refused")

    def test_another_answer_than_a_client_was_given_is_found(self):
        self.round.add(Run(self.r1, "us", "later", UNKNOWN, "14"))
        self.round.add_replay(self.r1, "us", "later")
        self.assert_found("r1", "to a client", "no duplicate is listed")

    def test_effects_of_another_run_than_the_one_replayed_are_found(self):
        self.round.add(Run(self.r1, "us", "later", UNKNOWN, "14", ("fx-1", "r1")))
        self.round.add(Write("us", {("fx-1", "r1"): "later"}, UNKNOWN))
        self.everywhere(lambda s: s.rows.update({("fx-1", "r1"): ("later", "09-us")}))
        self.assert_found("r1", "replays 'first'", "holds 'later'")


class Plan(unittest.TestCase):
    def test_the_same_seed_gives_the_same_plan_and_another_seed_another(self):
        self.assertEqual(make_plan(7, 40), make_plan(7, 40))
        self.assertNotEqual(make_plan(7, 40), make_plan(8, 40))

    def test_a_plan_has_the_kills_that_were_asked_for_and_every_kind_of_disturbance(self):
        for kills in (1, 2, 30, 1000):
            plan = make_plan(3, kills)
            self.assertEqual(sum(len(step.nodes) for step in plan if step.kind == "kill"), kills)
            self.assertEqual({step.kind for step in plan}, set(KINDS))


if __name__ == "__main__":
    unittest.main()
