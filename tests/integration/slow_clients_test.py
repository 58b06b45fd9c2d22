# SPDX-License-Identifier: Apache-2.0
"""Clients that are slow, silent, deaf or many: each ends within the time-outs of docs/configuration.md, in bounded
memory, while another client is served."""
import contextlib
import json
import re
import resource
import select
import shutil
import socket
import tempfile
import time
import unittest

from cluster import Cluster, Node, wait_until
from healthy import Healthy
from hostile_wire import parse
from resources import held

MANY = 3000
STORE = "store: {cache: 8MiB, write_buffer: 4MiB, max_total_wal_size: 8MiB}\n"
VALUE = b"v" * 512 * 1024
BIG = "GET /v1/kv/big/k HTTP/1.1\r\nHost: x\r\n\r\n".encode()
HALF = b"PUT /v1/kv/half/k HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nhalf"


def connections(node):
    """Those that the node has open, the one that asks included; all of them while it holds too many answers to say."""
    answer = node.call("GET", "/metrics")
    if answer.status == 503:
        return MANY
    return int(float(re.search(r"^refrain_http_connections (\S+)", answer.body.decode(), re.MULTILINE).group(1)))


def hear_all(wire):
    """Until the end."""
    data = b""
    try:
        for piece in iter(lambda: wire.recv(65536), b""):
            data += piece
    except ConnectionResetError:
        pass
    return data


def connect(node, receive=0):
    wire = socket.socket()
    if receive:
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    wire.settimeout(30)
    wire.connect(("127.0.0.1", node.port))
    return wire


class Limits(unittest.TestCase):
    """Descriptors for many connections, here and for the nodes that are started."""

    @classmethod
    def setUpClass(cls):
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 4 * MANY
        cls.addClassCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        most = hard if hard != resource.RLIM_INFINITY else wanted
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(wanted, most)), hard))


class SlowClients(Limits):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        directory = tempfile.mkdtemp(prefix="refrain-slow-")
        cls.addClassCleanup(shutil.rmtree, directory, ignore_errors=True)
        cls.node = Node(directory, "eu", config=STORE)
        cls.addClassCleanup(cls.node.kill)
        cls.node.start(extra=("--http.request_timeout", "3s", "--http.idle_timeout", "2s"))
        cls.node.put("healthy", "k", "well")
        cls.node.put("big", "k", VALUE)
        cls.pid = cls.node.process.pid

    def setUp(self):
        wait_until(lambda: connections(self.node) <= 1, 30, "nobody else is connected")
        self.before = held(self.pid)

    def tearDown(self):
        self.assertIsNone(self.node.process.poll(), "the node ended")
        wait_until(lambda: held(self.pid).descriptors <= self.before.descriptors + 2, 30, "the descriptors are back")

    def connect(self, receive=0):
        wire = connect(self.node, receive)
        self.addCleanup(wire.close)
        return wire

    def assert_timed_out(self, data):
        (answer,) = parse(data).answers
        self.assertEqual((answer[0], json.loads(answer[2])["code"]), (408, "timed_out"), data)
        self.assertEqual(answer[1]["connection"], "close")

    def trickle(self, wire, data):
        """A byte, then the next one when nothing was heard for a while; ends when the peer speaks."""
        for i in range(len(data)):
            wire.sendall(data[i : i + 1])
            if select.select([wire], [], [], 0.1)[0]:
                return
        self.fail("all of it was taken")

    def test_a_head_that_comes_byte_by_byte_too_slowly_is_408(self):
        with Healthy(self.node):
            wire = self.connect()
            self.trickle(wire, b"GET /health/live HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 1000)
            self.assert_timed_out(hear_all(wire))

    def test_a_body_that_stops_or_trickles_is_408_and_writes_nothing(self):
        with Healthy(self.node):
            stopped, slow = self.connect(), self.connect()
            head = "PUT /v1/kv/half/{} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
            stopped.sendall(head.format("stopped").encode() + b"half")
            slow.sendall(head.format("slow").encode())
            self.trickle(slow, b"a" * 999)
            for wire in (stopped, slow):
                self.assert_timed_out(hear_all(wire))
            self.assertEqual(self.node.items("/v1/kv/half"), [])

    def test_a_client_that_waits_for_100_continue_and_then_sends_nothing_is_408(self):
        wire = self.connect()
        wire.sendall(b"PUT /v1/kv/half/k HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n")
        data = hear_all(wire)
        self.assertTrue(data.startswith(b"HTTP/1.1 100 Continue\r\n\r\n"), data)
        self.assert_timed_out(data)

    def test_a_silent_connection_is_closed_without_a_word_before_and_after_a_request(self):
        fresh, used = self.connect(), self.connect()
        used.sendall(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual(hear_all(fresh), b"")
        self.assertEqual([answer[0] for answer in parse(hear_all(used)).answers], [200])

    def test_a_half_closed_client_gets_its_answers_and_then_the_end(self):
        cases = (b"", []), (BIG, [200]), (BIG * 3, [200] * 3), (b"GET /hea", [400]), (BIG + HALF, [200, 400])
        for sent, statuses in cases:
            wire = self.connect()
            wire.sendall(sent)
            wire.shutdown(socket.SHUT_WR)
            self.assertEqual([answer[0] for answer in parse(hear_all(wire)).answers], statuses, sent)
        self.assertEqual(self.node.items("/v1/kv/half"), [])

    def test_clients_that_never_read_their_answers_are_cut_and_hold_bounded_memory(self):
        deaf, most = 400, 0  # at 512 KiB each, they would hold 200 MiB
        with Healthy(self.node):
            for _ in range(deaf):
                self.connect(receive=4096).sendall(BIG * 20)

            def all_cut():
                nonlocal most
                most = max(most, held(self.pid).rss_kib)
                return connections(self.node) <= 2

            wait_until(all_cut, 60, "all that do not read are cut")
        self.assertLess(most - self.before.rss_kib, (64 + 48) * 1024, "KiB; answers may hold 64 MiB")

    def test_a_client_that_reads_a_byte_at_a_time_is_cut(self):
        wire = self.connect(receive=4096)
        wire.sendall(BIG * 50)
        deadline = time.monotonic() + 60
        taken = 0
        with Healthy(self.node):
            while connections(self.node) > 2:
                self.assertLess(time.monotonic(), deadline)
                taken += len(wire.recv(1))
        self.assertLess(taken, len(VALUE))


class Crowd(Limits):
    def test_3000_connections_at_once_are_taken_or_refused_in_bounded_memory_and_one_client_is_served_throughout(self):
        # The default time-outs: nobody is closed for being slow meanwhile.
        kinds = (b"", b"GET /health", BIG[:-2], HALF, BIG)
        limit = MANY * 2 // 3
        with Cluster(names=("eu",), config=STORE) as cluster:
            node = cluster["eu"].start(extra=("--http.max_connections", str(limit)))
            node.put("big", "k", VALUE)
            before, most = held(node.process.pid), 0
            with contextlib.ExitStack() as wires, Healthy(node):
                crowd = []
                for i in range(MANY):
                    crowd.append((wires.enter_context(connect(node, receive=4096)), kinds[i % len(kinds)]))
                    with contextlib.suppress(OSError):  # refused already
                        crowd[-1][0].sendall(crowd[-1][1])
                    if i % 100 == 0:
                        most = max(most, held(node.process.pid).rss_kib)
                # The last one asks, so when those that ask have heard, all have been taken or refused.
                asking = [self.first_line(wire) for wire, sent in crowd if sent == BIG]
                silent = [self.first_line(wire, wait=False) for wire, sent in crowd if sent != BIG]
                most = max(most, held(node.process.pid).rss_kib)
            taken = asking.count(200) + silent.count("open")
            wait_until(lambda: held(node.process.pid).descriptors <= before.descriptors + 2, 30, "descriptors are back")
            self.assertEqual(node.items("/v1/kv/half"), [])
        self.assertLessEqual(set(asking), {200, 503, "end"})
        self.assertLessEqual(set(silent), {"open", 503, "end"})
        self.assertGreater(asking.count(200), 0)
        self.assertGreater(silent.count(503), 0)
        self.assertGreater(taken, limit / 2)
        self.assertLess(taken, limit)  # one is the healthy client's
        self.assertLess(most - before.rss_kib, (64 + 96) * 1024, "KiB")

    def first_line(self, wire, wait=True):
        """The status, "end" or, without waiting, "open" where nothing has come. The rest is not read."""
        wire.settimeout(30 if wait else 0)
        try:
            line = wire.recv(12)
        except BlockingIOError:
            return "open"
        except ConnectionResetError:
            return "end"
        return int(line[9:12]) if line else "end"


if __name__ == "__main__":
    unittest.main()
