# SPDX-License-Identifier: Apache-2.0
"""A running node and the requests of hostile_requests.py: each gets its one answer, hides nothing, and hurts nobody."""
import shutil
import tempfile
import unittest

from cluster import Node, wait_until
from hostile_requests import TABLE
from hostile_wire import Talk, case, cases, parse, run_at_once, run_byte_by_byte
from lenient_server import LenientServer
from resources import held


class HostileRequests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.mkdtemp(prefix="refrain-hostile-")
        cls.addClassCleanup(shutil.rmtree, directory, ignore_errors=True)
        cls.node = Node(directory, "eu")
        cls.addClassCleanup(cls.node.kill)
        cls.node.start()
        cls.node.put("healthy", "k", "well")

    def healthy(self):
        answer = self.node.get("healthy", "k")
        return (answer.status, answer.body) == (200, b"well")

    def assert_nothing_was_smuggled(self):
        self.assertEqual(self.node.items("/v1/kv/canary"), [], "carried out although it was hidden")
        self.assertIsNone(self.node.process.poll(), "the node ended")

    def test_the_table_has_a_row_for_every_trick(self):
        self.assertGreaterEqual(sum(map(len, TABLE.values())), 200)
        for rows in TABLE.values():
            self.assertEqual(len({what for what, _, _ in rows}), len(rows), "a name stands twice")

    def test_each_at_once_gets_its_answer_hides_no_request_and_leaves_the_next_client_alone(self):
        def after(one):
            if not self.healthy():
                yield "the next client was not served"
            if self.node.get("canary", one.name).status != 404:
                yield "the hidden request was carried out"

        self.assertEqual(run_at_once(self.node.port, cases("once"), after), [])
        self.assert_nothing_was_smuggled()

    def test_each_byte_by_byte_gets_the_same_answer_and_hides_no_request(self):
        self.assertEqual(run_byte_by_byte(self.node.port, cases("bytes")), [])
        self.assertTrue(self.healthy())
        self.assert_nothing_was_smuggled()

    def test_nothing_of_them_stays_behind(self):
        run_at_once(self.node.port, cases("first"))
        before = held(self.node.process.pid)
        for _ in range(3):
            run_at_once(self.node.port, cases("again"))
        pid = self.node.process.pid
        wait_until(lambda: held(pid).descriptors <= before.descriptors, 20, "all connections are closed")
        grown = held(self.node.process.pid).rss_kib - before.rss_kib
        self.assertLess(grown, 8 * 1024, "KiB more after 700 more requests")
        self.assertTrue(self.healthy())


class TheRunnerItself(unittest.TestCase):
    """Against servers that do what must not be done."""

    def faults(self, server, groups, outcomes):
        """Those rows of a few groups that expect one of these outcomes: (number of rows, {row: faults})."""
        rows = [(g, row) for g in groups for row in TABLE[g] if row[2] in outcomes]
        chosen = [case(f"self-{i}", f"{g}: {row[0]}", row[1], row[2]) for i, (g, row) in enumerate(rows)]
        found = {}
        for one in chosen:
            talk = Talk(server.port, one, seconds=1)
            talk.say(one.data + one.follow)
            talk.shut()  # else a server that waits for a body would wait for long
            found[one.what] = talk.finish().faults()
            talk.close()
        return chosen, found

    def test_it_reports_every_row_to_a_server_that_takes_chunked_bodies_bare_lf_and_two_lengths(self):
        with LenientServer() as server:
            chosen, found = self.faults(server, TABLE, ("400 invalid close", "411 length_required close"))
            self.assertGreater(len(chosen), 130)
            self.assertEqual([what for what, faults in found.items() if not faults], [])
            smuggled = [one.what for one in chosen if f"/v1/kv/canary/{one.name}" in server.done]
        hidden = "encodings: a length before chunked, which hides a request (CL.TE)"
        for what in ("encodings: chunked", "lines: bare LF everywhere", "lengths: two lengths", "hosts: two Hosts"):
            self.assertIn(what, smuggled)
        self.assertIn(hidden, smuggled)

    def test_it_reports_every_row_to_a_server_that_refuses_and_does_not_close(self):
        with LenientServer(refuses=True) as server:
            chosen, found = self.faults(server, ("hosts", "headers"), ("400 invalid close",))
            self.assertGreater(len(chosen), 30)
            for one in chosen:
                self.assertTrue(any("answered" in fault for fault in found[one.what]), (one.what, found[one.what]))
                self.assertIn(f"/v1/kv/canary/{one.name}", server.done)

    def test_a_cut_answer_and_bytes_that_are_none_are_not_taken_for_answers(self):
        whole = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        self.assertEqual(len(parse(b"HTTP/1.1 100 Continue\r\n\r\n" + whole + whole).answers), 2)
        for broken in (whole[:-1], whole[:20], b"HTTP/1.1 2000 OK\r\n\r\n", b"x" + whole):
            self.assertEqual(parse(broken).answers, [])
            self.assertEqual(parse(whole + broken).rest, broken)


if __name__ == "__main__":
    unittest.main()
