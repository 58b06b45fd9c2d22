# SPDX-License-Identifier: Apache-2.0
"""One real node without brokers, asked everything over HTTP: each route with good and bad input, each limit at one below, at
and one above. Every answer is held against docs/openapi.json."""
import base64
import concurrent.futures
import hashlib
import json
import os
import shutil
import socket
import tempfile
import unittest
from urllib.parse import quote

import openapi_check
from cluster import Node, wait_until

CONFIG = """\
limits:
  rate:
    limited: {per_second: 1, burst: 2}
    claimed: {per_second: 1, burst: 2}
    kept: {per_second: 1, burst: 2}
requests:
  namespaces:
    elsewhere: {scope: "home:us"}
    everywhere: {scope: global}
    held: {on_expiry: hold}
"""


class OneNode(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        directory = tempfile.mkdtemp(prefix="refrain-http-")
        cls.addClassCleanup(shutil.rmtree, directory, ignore_errors=True)
        cls.node = Node(directory, "eu", config=CONFIG)
        cls.addClassCleanup(cls.node.kill)
        cls.node.start()

    def setUp(self):
        self.ns = "n" + os.urandom(6).hex()

    def ask(self, method, path, body=None, headers=None, status=None, code=None):
        answer = self.node.call(method, path, body, headers)
        self.assertEqual(openapi_check.check(method, path, answer), [])
        if status is not None:
            self.assertEqual(answer.status, status, answer.body)
        if code is not None:
            self.assertEqual(answer.code, code, answer.body)
        return answer

    def begin(self, request_id="r", body="payload", query="", **expected):
        return self.ask("POST", f"/v1/requests/{self.ns}/{request_id}/begin{query}", body, **expected)

    def post(self, verb, body, request_id="r", query="", **expected):
        return self.ask("POST", f"/v1/requests/{self.ns}/{request_id}/{verb}{query}", body, **expected)

    def wire(self, *parts):
        """The status of the answer to these bytes, sent as they are; None when none came."""
        with socket.create_connection(("127.0.0.1", self.node.port), timeout=20) as wire:
            wire.sendall(b"".join(part if isinstance(part, bytes) else part.encode() for part in parts))
            line = wire.makefile("rb").readline().split()
        return int(line[1]) if line else None

    def until_limited(self, ask):
        """The answers of ask(0), ask(1), ... until one is 429."""
        answers = []
        while not answers or answers[-1].status != 429:
            self.assertLess(len(answers), 50, "never limited")
            answers.append(ask(len(answers)))
        return answers

    def token(self, request_id="r", query=""):
        return self.begin(request_id, query=query, status=201).json()["token"]


class Keys(OneNode):
    def test_put_get_delete(self):
        path = f"/v1/kv/{self.ns}/a/b"
        put = self.ask("PUT", path, b"\x00\xff", status=200)
        read = self.ask("GET", path, status=200)
        self.assertEqual(read.body, b"\x00\xff")
        self.assertEqual(read.headers["etag"], f'"{put.json()["version"]}"')
        self.assertEqual(self.ask("GET", path, headers={"If-None-Match": read.headers["etag"]}).status, 304)
        head = self.ask("HEAD", path, status=200)
        self.assertEqual((head.headers["content-length"], head.body), ("2", b""))
        self.assertTrue(self.ask("DELETE", path, status=200).json()["existed"])
        self.assertFalse(self.ask("DELETE", path, status=200).json()["existed"])
        self.ask("GET", path, status=404, code="not_found")

    def test_an_empty_value_is_a_value(self):
        self.ask("PUT", f"/v1/kv/{self.ns}/k", b"", status=200)
        self.assertEqual(self.ask("GET", f"/v1/kv/{self.ns}/k", status=200).body, b"")

    def test_conditions(self):
        path = f"/v1/kv/{self.ns}/k"
        first = self.ask("PUT", path, "1", {"If-None-Match": "*"}, status=200)
        self.ask("PUT", path, "2", {"If-None-Match": "*"}, status=412, code="version_mismatch")
        second = self.ask("PUT", path, "2", {"If-Match": first.headers["etag"]}, status=200)
        self.ask("PUT", path, "3", {"If-Match": first.headers["etag"]}, status=412, code="version_mismatch")
        self.ask("DELETE", path, headers={"If-Match": first.headers["etag"]}, status=412)
        self.ask("DELETE", path, headers={"If-Match": second.json()["version"]}, status=200)
        self.ask("PUT", path, "4", {"If-Match": second.headers["etag"]}, status=412)
        self.ask("PUT", path, "4", {"If-None-Match": "*"}, status=200)
        for header in ({"If-Match": "*"}, {"If-Match": '"x"'}, {"If-None-Match": '"x"'}):
            self.ask("PUT", path, "5", header, status=400, code="invalid")

    def test_a_key_with_a_ttl_goes(self):
        path = f"/v1/kv/{self.ns}/k"
        self.ask("PUT", path + "?ttl=1ms", "1", status=200)
        wait_until(lambda: self.node.call("GET", path).status == 404, 10, "the key is gone")
        self.ask("PUT", path + "?ttl=1h", "1", {"If-None-Match": "*"}, status=200)
        self.ask("GET", path, status=200)
        self.ask("PUT", path, "2", status=200)  # without a ttl it stays
        for ttl in ("0s", "-1s", "1", "1y", "1.5s", "", "s", "99999999999999d"):
            self.ask("PUT", f"{path}?ttl={ttl}", "1", status=400, code="invalid")

    def test_limits(self):
        kib = 1024
        for size, status in ((1023, 200), (1024, 200), (1025, 413)):
            self.ask("PUT", f"/v1/kv/{self.ns}/{'k' * size}", "v", status=status)
        for size, status in ((512 * kib - 1, 200), (512 * kib, 200), (512 * kib + 1, 413)):
            answer = self.ask("PUT", f"/v1/kv/{self.ns}/v", b"v" * size, status=status)
        self.assertIn(b"524288", answer.body)
        # Two operations take at most 2 x 64 bytes beside their namespaces, keys and values.
        half, names = "v" * (450 * kib), len(self.ns) * 2 + 2
        for extra, status in ((-names - 128, 200), (1 - names, 413)):
            body = {"operations": [self.put("a", half), self.put("b", "w" * (450 * kib + extra))]}
            answer = self.ask("POST", "/v1/commit", body, status=status)
        self.assertEqual(answer.code, "commit_too_large")
        self.assertIn(b"921600", answer.body)

    def put(self, key, value, **more):
        return {"put": {"ns": self.ns, "key": key, "value": value, **more}}

    def test_forbidden_keys_and_namespaces(self):
        for key in ("", "/a", "a/", "a//b", ".", "..", "a/./b", "a/../b", "%00", "a%0Ab", "a%1Fb", "a%7Fb", "%FF", "%C3", "%", "%zz"):
            self.ask("PUT", f"/v1/kv/{self.ns}/{key}", "v", status=400, code="invalid") if key else None
        for ns in ("A", "-a", "a.b", "a%2Fb", "a" * 65, "%C3%A9"):
            self.ask("PUT", f"/v1/kv/{ns}/k", "v", status=400, code="invalid")
        self.ask("PUT", "/v1/kv/_http-x/k", "v", status=400, code="reserved_name")
        for key in ("a b", "ä/ö", "a%2Fb".replace("%", "%25"), "a?b#c", "a+b", '"\\', "~"):
            self.ask("PUT", f"/v1/kv/{self.ns}/{quote(key)}", key.encode(), status=200)
            self.assertEqual(self.ask("GET", f"/v1/kv/{self.ns}/{quote(key)}").body, key.encode())

    def test_a_key_takes_every_byte_that_utf_8_allows_but_no_control_character(self):
        for c in range(256):
            expected = {"status": 200} if 0x20 <= c <= 0x7E else {"status": 400, "code": "invalid"}
            self.ask("PUT", f"/v1/kv/{self.ns}/x%{c:02X}y", "v", **expected)
        kept = [f"x{chr(c)}y" for c in range(0x20, 0x7F)]
        page = self.ask("GET", f"/v1/kv/{self.ns}?limit=1000", status=200).json()
        self.assertEqual([item["key"] for item in page["items"]], kept)
        for key, status in (("%C2%80", 200), ("%C2%9F", 200), ("%F4%8F%BF%BF", 200), ("%EF%BF%BF", 200), ("a%2Fb", 200),
                            ("%C0%80", 400), ("%ED%A0%80", 400), ("%F4%90%80%80", 400), ("%C3", 400), ("%2F", 400),
                            ("x%2F", 400), ("%2e", 400), ("a%2F..%2Fb", 400), ("a/%2E%2E", 400), ("%", 400),
                            ("%0", 400), ("%G0", 400)):
            self.ask("PUT", f"/v1/kv/{self.ns}/{key}", "v", status=status)
            self.ask("GET", f"/v1/kv/{self.ns}/{key}", status=status)

    def test_raw_bytes_that_no_url_may_hold_are_refused_and_nothing_is_written(self):
        tail = " HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nConnection: close\r\n\r\nv"
        for c in [*range(0x21), ord("#"), ord("%"), *range(0x7F, 256)]:
            self.assertEqual(self.wire(f"PUT /v1/kv/{self.ns}/x", bytes([c]), "y", tail), 400, hex(c))
        self.assertEqual(self.wire(f"PUT /v1/kv/{self.ns}/ä", tail), 400)
        self.assertEqual(self.ask("GET", f"/v1/kv/{self.ns}", status=200).json()["items"], [])

    def test_a_commit_takes_no_key_that_a_url_could_not_name(self):
        for key in ("", "\0", "a\n", "\u001f", "\u007f", "/", "a/", "a//b", ".", "..", "a/../b", "k" * 1025):
            answer = self.ask("POST", "/v1/commit", {"operations": [self.put(key, "v")]})
            self.assertIn(answer.status, (413,) if len(key) > 1024 else (400,), key)
        self.ask("POST", "/v1/commit", {"operations": [self.put("k" * 1024, "v")]}, status=200)
        surrogate = f'{{"operations": [{{"put": {{"ns": "{self.ns}", "key": "\\ud800", "value": "v"}}}}]}}'
        self.ask("POST", "/v1/commit", surrogate, {"Content-Type": "application/json"}, status=400)

    def test_the_body_of_a_commit_at_its_limit(self):
        body = json.dumps({"operations": [self.put("k", "v")]}).encode()
        limit = 6 * 900 * 1024 + 64 * 1024
        json_type = {"Content-Type": "application/json"}
        for size in (limit - 1, limit):
            self.ask("POST", "/v1/commit", body.ljust(size), json_type, status=200)
        # One more is refused by its head alone.
        self.assertEqual(self.wire(f"POST /v1/commit HTTP/1.1\r\nHost: x\r\nContent-Length: {limit + 1}\r\n\r\n"), 413)

    def test_scan(self):
        keys = ["a", "b/1", "b/2", "c", "ä"]
        for key in keys:
            self.ask("PUT", f"/v1/kv/{self.ns}/{quote(key)}", key.encode() + b"\xff", status=200)
        self.ask("DELETE", f"/v1/kv/{self.ns}/c", status=200)
        keys.remove("c")
        page = self.ask("GET", f"/v1/kv/{self.ns}?values=true", status=200).json()
        self.assertEqual([i["key"] for i in page["items"]], keys)
        self.assertEqual(base64.b64decode(page["items"][0]["value_base64"]), b"a\xff")
        found, after = [], ""
        while after is not None:
            page = self.ask("GET", f"/v1/kv/{self.ns}?limit=1&after={quote(after)}", status=200).json()
            found += [i["key"] for i in page["items"]]
            after = page["after"]
        self.assertEqual(found, keys)
        page = self.ask("GET", f"/v1/kv/{self.ns}?prefix=b%2F", status=200).json()
        self.assertEqual([i["key"] for i in page["items"]], ["b/1", "b/2"])
        for limit, status in ((0, 400), (1, 200), (1000, 200), (1001, 400), ("x", 400)):
            self.ask("GET", f"/v1/kv/{self.ns}?limit={limit}", status=status)

    def test_a_scan_ends_a_page_at_1_mib(self):
        for key in "abcd":
            self.ask("PUT", f"/v1/kv/{self.ns}/{key}", b"v" * 500_000, status=200)
        page = self.ask("GET", f"/v1/kv/{self.ns}?values=true", status=200)
        self.assertEqual([i["key"] for i in page.json()["items"]], ["a", "b"])
        self.assertEqual(page.json()["after"], "b")

    def test_commit_is_all_or_nothing(self):
        self.ask("PUT", f"/v1/kv/{self.ns}/b", "1", status=200)
        body = {"operations": [self.put("a", "1"), self.put("b", "2", if_none_match=True)]}
        answer = self.ask("POST", "/v1/commit", body, status=412, code="version_mismatch")
        self.assertEqual(answer.json()["operation"], 1)
        self.ask("GET", f"/v1/kv/{self.ns}/a", status=404)
        version = self.ask("GET", f"/v1/kv/{self.ns}/b").headers["etag"].strip('"')
        body = {"operations": [self.put("a", "1"), {"delete": {"ns": self.ns, "key": "b", "if_match": version}}]}
        self.ask("POST", "/v1/commit", body, status=200)
        self.ask("GET", f"/v1/kv/{self.ns}/a", status=200)
        self.ask("GET", f"/v1/kv/{self.ns}/b", status=404)
        self.ask("POST", "/v1/commit", {"operations": [self.put("a", "1"), self.put("a", "2")]}, status=400, code="duplicate_key")
        self.ask("POST", "/v1/commit", {"operations": []}, status=400)
        answer = self.ask("POST", "/v1/commit", '{"operations": [', {"Content-Type": "application/json"}, status=400)
        self.assertIn("byte 16", answer.json()["detail"])
        self.ask("POST", "/v1/commit", "{}", {"Content-Type": "text/plain"}, status=415, code="unsupported_media_type")

    def test_many_small_operations_in_one_commit(self):
        # An operation takes 16 bytes at least, of its namespace and key, and 64 more at most.
        for count, status in ((1, 200), (5000, 200), (60_000, 413)):
            body = {"operations": [self.put(f"k{i}", "v") for i in range(count)]}
            answer = self.ask("POST", "/v1/commit", body, status=status)
        self.assertEqual(answer.code, "commit_too_large")
        self.ask("GET", f"/v1/kv/{self.ns}/k5000", status=404)  # all or nothing

    def test_ack_without_brokers(self):
        path = f"/v1/kv/{self.ns}/k"
        self.ask("PUT", path + "?ack=local&timeout=60s", "v", status=200)
        for ack in ("log", "all", "us"):
            self.ask("PUT", f"{path}?ack={ack}", "v", status=400, code="ack_unavailable")
        for ack in ("ALL", "claims", "a_b", ""):
            self.ask("PUT", f"{path}?ack={ack}", "v", status=400, code="invalid")
        self.ask("PUT", path + "?timeout=60001ms", "v", status=400, code="invalid")

    def test_sessions(self):
        path = f"/v1/kv/{self.ns}/k"
        session = self.ask("PUT", path, "v").headers["refrain-session"]
        self.ask("GET", path, headers={"Refrain-Session": session}, status=200)
        self.ask("GET", path, headers={"Refrain-Session": "%%%"}, status=400, code="invalid")
        self.ask("GET", path + "?wait=60s", status=200)
        self.ask("GET", path + "?wait=61s", status=400, code="invalid")

    def test_an_idempotency_key_makes_a_repeat_harmless(self):
        path, key = f"/v1/kv/{self.ns}/k", {"Idempotency-Key": '"order-1"'}
        first = self.ask("PUT", path, "v", key, status=200)
        self.ask("PUT", path, "other", status=200)
        again = self.ask("PUT", path, "v", {"Idempotency-Key": "order-1"}, status=200)
        for name in ("commit", "version"):
            self.assertEqual(first.json()[name], again.json()[name])
        self.assertEqual(first.headers["etag"], again.headers["etag"])
        self.assertEqual(again.headers["idempotent-replayed"], "true")
        self.assertEqual(self.ask("GET", path).body, b"other")
        self.ask("PUT", path, "w", key, status=422, code="fingerprint_mismatch")
        seen = self.ask("GET", f"/v1/requests/_http-{self.ns}/order-1", status=200).json()
        self.assertEqual(seen["state"], "completed")
        body = {"operations": [self.put("k2", "v")]}
        first = self.ask("POST", "/v1/commit", body, {"Idempotency-Key": "order-2"}, status=200)
        again = self.ask("POST", "/v1/commit", body, {"Idempotency-Key": "order-2"}, status=200)
        self.assertEqual(first.json()["commit"], again.json()["commit"])

    def test_many_at_once_with_one_idempotency_key_write_once(self):
        path = f"/v1/kv/{self.ns}/k"
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: self.node.call("PUT", path, "v", {"Idempotency-Key": "x"}), range(64)))
        self.assertEqual({a.status for a in answers}, {200})
        self.assertEqual(len({a.json()["commit"] for a in answers}), 1)

    def test_a_rate_is_429_with_the_time_to_wait(self):
        answers = [self.node.call("PUT", "/v1/kv/limited/k", "v") for _ in range(5)]
        limited = [a for a in answers if a.status == 429]
        self.assertTrue(limited)
        self.assertEqual(limited[0].code, "rate_limited")
        self.assertGreaterEqual(int(limited[0].headers["retry-after"]), 1)
        self.assertGreater(limited[0].json()["retry_after_ms"], 0)
        self.assertEqual(self.node.call("GET", "/v1/kv/limited/k").status, 200)


    def test_repeats_and_reads_are_free_of_the_rate(self):
        path, first = "/v1/kv/kept/k", {"Idempotency-Key": self.ns}
        self.until_limited(lambda i: self.ask("PUT", path, "v", first if i == 0 else None))
        for _ in range(20):
            self.ask("GET", path, status=200)
            self.ask("PUT", path, "v", first, status=200)
        limited = self.until_limited(lambda i: self.ask("PUT", path, "v", {"Idempotency-Key": f"{self.ns}-{i}"}))[-1]
        self.assertEqual(limited.code, "rate_limited")


class Requests(OneNode):
    def test_new_claims_have_a_rate_and_all_else_is_free(self):
        self.ns = "claimed"
        ids = [os.urandom(4).hex() for _ in range(50)]
        *gone, limited = self.until_limited(lambda i: self.begin(ids[i]))
        went = [answer.json()["token"] for answer in gone]
        self.assertGreaterEqual(len(went), 2)
        self.assertEqual((limited.code, limited.headers["refrain-decision"]), ("rate_limited", "refused"))
        self.assertGreaterEqual(int(limited.headers["retry-after"]), 1)
        self.ask("GET", f"/v1/requests/claimed/{ids[len(went)]}", status=404)  # nothing was claimed
        for _ in range(20):
            self.begin(ids[0], status=409, code="request_in_progress")
            self.post("renew", {"token": went[0], "lease": "59s"}, ids[0], status=200)
            self.post("complete", {"token": went[1], "response": {}}, ids[1], status=200)
            self.begin(ids[1], status=200)
            self.begin(ids[1], "another", status=422)
            self.ask("GET", f"/v1/requests/claimed/{ids[0]}", status=200)
            self.ask("GET", "/v1/requests/claimed", status=200)
        self.post("release", {"token": went[0]}, ids[0], status=200)
        runs = [self.post("execute", {"response": {}}, f"{ids[-1]}-{i}").status for i in range(10)]
        self.assertIn(429, runs)

    def test_small_bodies_at_their_limit(self):
        token, kib = self.token(), 1024
        json_type = {"Content-Type": "application/json"}
        for verb in ("renew", "release"):
            for size, status in ((64 * kib - 1, 200), (64 * kib, 200), (64 * kib + 1, 413)):
                body = json.dumps({"token": token}).encode().ljust(size)
                answer = self.ask("POST", f"/v1/requests/{self.ns}/r/{verb}", body, json_type, status=status)
            self.assertEqual(answer.code, "value_too_large")

    def test_the_status_of_a_response_is_0_to_999(self):
        self.ns, held = "held", self.ns
        for status, taken in ((0, True), (999, True), (1000, False), (-1, False), (200.5, False), ("200", False)):
            request = f"{held}-{status}"
            response = {"status": status, "body": "x"}
            token = self.begin(quote(request), query="?on_expiry=retry", status=201).json()["token"]
            self.post("complete", {"token": token, "response": response}, request, status=200 if taken else 400)
            self.post("execute", {"response": response}, "e" + request, status=201 if taken else 400)
            self.begin("u" + request, query="?lease=1ms", status=201)
            wait_until(lambda r="u" + request: self.node.begin("held", r).code == "outcome_unknown", 10, "unknown")
            resolve = {"action": "complete", "response": response}
            self.post("resolve", resolve, "u" + request, status=200 if taken else 400)
            if taken:
                for prefix in ("", "u"):
                    self.assertEqual(self.begin(prefix + request, status=200).headers["refrain-status"], str(status))

    def test_begin_complete_replay(self):
        go = self.begin(status=201)
        self.assertEqual((go.headers["refrain-decision"], go.headers["refrain-scope"]), ("go", "local"))
        running = self.begin(status=409, code="request_in_progress")
        self.assertEqual(running.headers["refrain-decision"], "in_progress")
        self.assertGreaterEqual(int(running.headers["retry-after"]), 1)
        body = {"token": go.json()["token"], "response": {"status": 402, "content_type": "text/x", "body_base64": "AP8="},
                "operations": [{"put": {"ns": self.ns, "key": "effect", "value": "1"}}]}
        self.post("complete", body, status=200)
        replay = self.begin(status=200)
        self.assertEqual((replay.body, replay.headers["content-type"], replay.headers["refrain-status"]), (b"\x00\xff", "text/x", "402"))
        for name, value in (("refrain-decision", "replay"), ("idempotent-replayed", "true"), ("cache-control", "no-store"),
                            ("x-content-type-options", "nosniff")):
            self.assertEqual(replay.headers[name], value)
        self.assertEqual(self.ask("GET", f"/v1/kv/{self.ns}/effect").body, b"1")
        mismatch = self.begin(body="another", status=422, code="fingerprint_mismatch")
        self.assertEqual(mismatch.headers["refrain-decision"], "mismatch")
        self.assertNotIn(b"text/x", mismatch.body)
        self.assertEqual(self.post("complete", body, status=200).headers["idempotent-replayed"], "true")
        body["response"]["status"] = 200
        self.post("complete", body, status=409, code="completed_differently")

    def test_the_fingerprint_is_the_sha256_of_the_body(self):
        self.begin("a", "payload", status=201)
        digest = hashlib.sha256(b"payload").hexdigest()
        self.begin("a", None, f"?fingerprint={digest}", status=409)
        self.begin("a", None, f"?fingerprint={digest.upper()}", status=409)
        self.begin("a", None, f"?fingerprint={'0' * 64}", status=422)
        for bad in ("", "0" * 63, "0" * 65, "g" * 64):
            self.begin("a", None, f"?fingerprint={bad}", status=400)

    def test_a_request_shows_no_secrets(self):
        token = self.token()
        digest = hashlib.sha256(b"payload").hexdigest()
        path = f"/v1/requests/{self.ns}/r"
        seen = self.ask("GET", path, status=200)
        self.assertEqual(seen.json()["state"], "running")
        self.assertNotIn("fingerprint_matches", seen.json())
        self.assertTrue(self.ask("GET", f"{path}?fingerprint={digest}").json()["fingerprint_matches"])
        self.assertFalse(self.ask("GET", f"{path}?fingerprint={'0' * 64}").json()["fingerprint_matches"])
        self.post("complete", {"token": token, "response": {"body": "secret-body"}}, status=200)
        for answer in (seen, self.ask("GET", path), self.ask("GET", f"/v1/requests/{self.ns}"), self.ask("GET", "/v1/events?limit=1000")):
            for secret in (token.encode(), digest.encode(), b"secret-body", b"payload"):
                self.assertNotIn(secret, answer.body)
        self.ask("GET", f"/v1/requests/{self.ns}/absent", status=404, code="not_found")

    def test_ids(self):
        for size, status in ((1, 201), (255, 201), (256, 400)):
            self.begin("i" * size, status=status)
        for c in range(256):
            if c == ord("/"):
                continue
            allowed = 0x21 <= c <= 0x7E and chr(c) not in '"\\'
            self.begin(f"x%{c:02X}", status=201 if allowed else 400)
        self.begin("a%2Fb", status=201)
        self.assertEqual(self.ask("GET", f"/v1/requests/{self.ns}/a%2Fb").json()["id"], "a/b")
        for bad in ("%2E", "%2E%2E", "%"):
            self.begin(bad, status=400)

    def test_parameters_of_begin(self):
        for query, status in (("lease=1h", 201), ("lease=3600001ms", 400), ("lease=0s", 400), ("lease=1ms", 201),
                              ("on_expiry=hold", 201), ("on_expiry=x", 400), ("seen_ttl=1d", 201), ("seen_ttl=0d", 400),
                              ("max_lag=1h", 201), ("max_lag=x", 400), ("wait=60s", 201), ("wait=60001ms", 400),
                              ("max_lagg=1s", 400)):
            self.begin("q-" + query.replace("=", "-"), query="?" + query, status=status)
        self.assertEqual(self.begin("l", query="?lease=7s", status=201).json()["lease_ms"], 7000)
        self.begin("p", b"p" * (1 << 20), status=201)
        self.begin("p2", b"p" * ((1 << 20) + 1), status=413)

    def test_tokens_of_others_are_refused(self):
        token, other = self.token("a"), self.token("b")
        complete = {"response": {"body": "x"}}
        self.post("complete", {"token": other, **complete}, "a", status=400, code="bad_token")
        for bad in ("", "x", token[:-2], token + "AA", token[:-1] + ("A" if token[-1] != "A" else "B"), "é"):
            self.post("complete", {"token": bad, **complete}, "a", status=400, code="bad_token")
            self.post("renew", {"token": bad}, "a", status=400, code="bad_token")
            self.post("release", {"token": bad}, "a", status=400, code="bad_token")
        self.post("complete", {"token": token, **complete}, "a", status=200)

    def test_renew_and_release(self):
        token = self.token()
        renewed = self.post("renew", {"token": token, "lease": "59s"}, status=200).json()
        self.assertEqual(renewed["lease_ms"], 59_000)
        self.post("renew", {"token": token, "lease": "2h"}, status=400)
        self.post("renew", {"token": token, "leese": "1s"}, status=400, code="unknown_parameter")
        self.post("release", {"token": token}, status=200)
        self.post("release", {"token": token}, status=200)
        self.post("complete", {"token": token, "response": {}}, status=409, code="released")
        second = self.begin(status=201).json()
        self.assertEqual(second["attempt"], 2)
        self.post("renew", {"token": token}, status=409)
        self.post("complete", {"token": second["token"], "response": {}}, status=200)
        self.post("release", {"token": second["token"]}, status=409, code="already_completed")

    def test_responses(self):
        kib = 1024
        for size, status in ((256 * kib - 1, 200), (256 * kib, 200), (256 * kib + 1, 413)):
            token = self.token(f"s{size}")
            answer = self.post("complete", {"token": token, "response": {"body": "b" * size}}, f"s{size}", status=status)
        self.assertEqual(answer.code, "response_over_limit")
        self.post("complete", {"token": token, "response": None, "too_large": True}, f"s{size}", status=200)
        gone = self.begin(f"s{size}", status=410, code="response_too_large")
        self.assertEqual(gone.headers["refrain-decision"], "gone")
        token = self.token("e")
        for bad in ({}, {"response": None}, {"response": {"status": 1000}}, {"response": {"content_type": "a\r\nb: c"}},
                    {"response": {}, "too_large": True}, {"response": {}, "response_ttl": "2h", "seen_ttl": "1h"}):
            self.post("complete", {"token": token, **bad}, "e", status=400)
        self.post("complete", {"token": token, "response": {}}, "e", status=200)
        self.assertEqual(self.begin("e", status=200).body, b"")

    def test_a_response_expires_and_the_request_stays_seen(self):
        token = self.token()
        self.post("complete", {"token": token, "response": {"body": "x"}, "response_ttl": "1ms", "seen_ttl": "1h"}, status=200)
        wait_until(lambda: self.node.begin(self.ns, "r").status == 410, 10, "the response expired")
        self.begin(status=410, code="response_expired")
        self.assertEqual(self.ask("GET", f"/v1/requests/{self.ns}/r").json()["state"], "seen")

    def test_failed_conditions_leave_the_claim(self):
        token = self.token()
        body = {"token": token, "response": {}, "operations": [
            {"put": {"ns": self.ns, "key": "k", "value": "1", "if_match": "0000000000000001-eu"}}]}
        self.assertEqual(self.post("complete", body, status=412, code="version_mismatch").json()["operation"], 0)
        self.begin(status=409, code="request_in_progress")
        del body["operations"][0]["put"]["if_match"]
        self.post("complete", body, status=200)

    def test_execute(self):
        body = {"response": {"status": 402, "content_type": "text/x", "body": "hello"},
                "operations": [{"put": {"ns": self.ns, "key": "k", "value": "1"}}]}
        first = self.post("execute", body, status=201)
        second = self.post("execute", body, status=200)
        self.assertEqual(first.body, second.body)
        for name in ("content-type", "refrain-status", "cache-control", "x-content-type-options", "refrain-scope"):
            self.assertEqual(first.headers[name], second.headers[name])
        self.assertEqual([a.headers["refrain-decision"] for a in (first, second)], ["go", "replay"])
        body["operations"][0]["put"]["value"] = "2"
        self.post("execute", body, status=422, code="fingerprint_mismatch")
        self.post("execute", body, query=f"?fingerprint={'0' * 64}", status=422)
        self.post("execute", {"token": "x", "response": {}}, "other", status=400, code="unknown_parameter")

    def test_hold_ends_unknown_and_an_operator_resolves(self):
        self.ns = "held"
        first, second = os.urandom(4).hex(), os.urandom(4).hex()
        for request in (first, second):
            self.token(request, "?lease=1ms")
            wait_until(lambda r=request: self.node.begin("held", r).code == "outcome_unknown", 10, "unknown")
            unknown = self.begin(request, status=409)
            self.assertEqual(unknown.headers["refrain-decision"], "unknown")
        listed = [i["id"] for i in self.ask("GET", "/v1/requests/held?state=unknown&limit=1000").json()["items"]]
        self.assertTrue({first, second} <= set(listed))
        wait_until(lambda: self.node.status()["unknown_requests"] >= 2, 30, "both are counted")
        self.post("resolve", {"action": "complete", "response": {"body": "by hand"}}, first, status=200)
        self.assertEqual(self.begin(first, status=200).body, b"by hand")
        self.post("resolve", {"action": "release"}, second, status=200)
        self.begin(second, status=201)
        self.post("resolve", {"action": "release"}, "absent" + first, status=404, code="not_found")
        self.post("resolve", {"action": "x"}, second, status=400)

    def test_retry_lets_the_next_begin_take_over(self):
        late = self.token(query="?lease=1ms")
        wait_until(lambda: self.node.begin(self.ns, "r").status == 201, 10, "the lease lapsed")
        self.post("complete", {"token": late, "response": {}}, status=409, code="superseded")

    def test_one_waiter_goes_after_a_release(self):
        token = self.token()
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            waiting = [pool.submit(self.node.begin, self.ns, "r", query="?wait=1s") for _ in range(4)]
            wait_until(lambda: self.node.status()["waiters"] >= 4, 10, "all four wait")
            self.post("release", {"token": token}, status=200)
            answers = [w.result() for w in waiting]
        self.assertEqual(sorted(a.status for a in answers), [201, 409, 409, 409])

    def test_a_waiter_gets_the_response(self):
        token = self.token()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(self.node.begin, self.ns, "r", query="?wait=30s")
            wait_until(lambda: self.node.status()["waiters"] >= 1, 10, "it waits")
            self.post("complete", {"token": token, "response": {"body": "x"}}, status=200)
            self.assertEqual((waiting.result().status, waiting.result().body), (200, b"x"))

    def test_a_waiter_whose_connection_closed_never_goes(self):
        token = self.token()
        with socket.create_connection(("127.0.0.1", self.node.port)) as gone:
            gone.sendall(f"POST /v1/requests/{self.ns}/r/begin?wait=60s HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\npayload".encode())
            wait_until(lambda: self.node.status()["waiters"] >= 1, 10, "it waits")
        wait_until(lambda: self.node.status()["waiters"] == 0, 10, "it is known to be gone")
        self.post("release", {"token": token}, status=200)
        self.assertEqual(self.begin(status=201).json()["attempt"], 2)

    def test_many_begins_at_once_make_one_go(self):
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            answers = list(pool.map(lambda _: self.node.begin(self.ns, "r").status, range(64)))
        self.assertEqual(answers.count(201), 1)
        self.assertEqual(answers.count(409), 63)

    def test_scopes(self):
        self.ns = "elsewhere"
        other = self.begin(status=421, code="wrong_node")
        self.assertEqual((other.headers["refrain-scope"], other.headers["refrain-decision"]), ("home:us", "refused"))
        self.ns = "everywhere"
        answer = self.begin(status=501, code="not_in_this_version")
        self.assertEqual(answer.headers["refrain-scope"], "global")

    def test_our_own_namespaces_are_only_read(self):
        self.ns = "_http-x"
        self.begin(status=400, code="reserved_name")
        self.ask("GET", "/v1/requests/_http-x", status=200)
        self.ask("GET", "/v1/requests/_mine", status=400, code="reserved_name")

    def test_lists_go_on(self):
        for i in range(5):
            self.token(f"r{i}")
        found, after = [], ""
        while after is not None:
            page = self.ask("GET", f"/v1/requests/{self.ns}?limit=2&after={after}", status=200).json()
            found += [i["id"] for i in page["items"]]
            after = page["after"]
        self.assertEqual(found, [f"r{i}" for i in range(5)])
        self.assertEqual(self.ask("GET", f"/v1/requests/{self.ns}?state=completed").json()["items"], [])
        self.ask("GET", f"/v1/requests/{self.ns}?state=x", status=400)


class Operators(OneNode):
    def test_reports(self):
        status = self.ask("GET", "/v1/status", status=200).json()
        self.assertEqual((status["node"], status["region"], status["cluster"]), ("eu", "region-eu", "shop"))
        self.assertFalse(status["kafka_configured"])
        members = self.ask("GET", "/v1/members", status=200).json()
        self.assertEqual((members["node"], members["incarnation"]), ("eu", status["incarnation"]))
        self.ask("GET", "/v1/sync", status=200)

    def test_events(self):
        commit = self.ask("PUT", f"/v1/kv/{self.ns}/k", "v").json()["commit"]
        event = self.ask("GET", f"/v1/events/{commit}", status=200).json()
        self.assertEqual((event["commit"], event["state"]), (commit, "pending"))
        self.assertEqual(event["operations"], [{"kind": "put", "ns": self.ns, "key": "k"}])
        node, _, seq = commit.split(".")
        self.assertEqual(self.ask("GET", f"/v1/events/{node}.{seq}", status=200).json()["commit"], commit)
        page = self.ask("GET", f"/v1/events?after={int(seq) - 1}&limit=1", status=200).json()
        self.assertEqual(page["items"][0]["commit"], commit)
        self.ask("GET", f"/v1/events?after={commit}", status=200)
        self.ask("GET", "/v1/events?state=pending&limit=1", status=200)
        self.ask("GET", f"/v1/events/{node}.999999999", status=404, code="not_found")
        self.ask("GET", "/v1/events/us.1", status=404, code="not_found")
        for bad in ("/v1/events/x", "/v1/events?after=x", "/v1/events?state=x", "/v1/events?limit=1001"):
            self.ask("GET", bad, status=400, code="invalid")
        self.ask("POST", "/v1/events/retry", status=200)

    def test_parked_journals(self):
        self.ask("POST", "/v1/sync/us/resume", status=404, code="not_found")
        self.ask("POST", "/v1/sync/all/resume", status=400, code="invalid")
        self.ask("POST", "/v1/sync/us/resume?skip=x", status=400, code="invalid")

    def test_conflicts_and_duplicates(self):
        for path in ("/v1/conflicts", f"/v1/conflicts?ns={self.ns}&key=k&open=true", "/v1/duplicates?all=true"):
            self.assertEqual(self.ask("GET", path, status=200).json()["items"], [])
        for bad in ("/v1/conflicts?key=k", "/v1/conflicts?open=maybe", "/v1/duplicates?ns=A"):
            self.ask("GET", bad, status=400, code="invalid")
        for missing in ("nonsense", "0" * 32):
            self.ask("GET", f"/v1/conflicts/{missing}", status=404, code="not_found")
        self.ask("POST", f"/v1/conflicts/{'0' * 32}/resolve", {"choice": "winner"}, status=404, code="not_found")
        self.ask("POST", f"/v1/conflicts/{'0' * 32}/resolve", {"choice": "x"}, status=400, code="invalid")

    def test_a_node_without_brokers_has_no_members_to_order_about(self):
        for order in ("evict", "leave", "rejoin"):
            self.ask("POST", f"/v1/members/us/{order}", status=400, code="invalid")

    def test_nobody_can_join_a_node_without_brokers(self):
        self.ask("GET", "/v1/snapshot", status=503, code="no_founder")

    def test_health_metrics_openapi(self):
        self.assertEqual(self.ask("GET", "/health/live", status=200).json(), {"status": "ok"})
        self.assertIn(self.ask("GET", "/health/ready", status=200).json()["status"], ("ok", "degraded"))
        self.ask("PUT", f"/v1/kv/{self.ns}/k", "v", status=200)
        self.begin(status=201)
        metrics = self.ask("GET", "/metrics", status=200).body.decode()
        for name in ("refrain_http_requests_total", "refrain_decisions_total", "refrain_commit_seconds_bucket",
                     "refrain_outbox_commits", "refrain_batch_commits_count", "refrain_outbox_bytes", "refrain_outbox_oldest_seconds",
                     "refrain_parked_journals", "refrain_breaker_state", "refrain_conflicts_open", "refrain_duplicates",
                     "refrain_unknown_requests", "refrain_store_", "refrain_disk_free_bytes", "refrain_node_info"):
            self.assertIn(name, metrics)
        for line in metrics.splitlines():
            self.assertTrue(line.startswith("#") or line.startswith("refrain_"), line)
        served = self.ask("GET", "/openapi.json", status=200)
        self.assertEqual(served.json(), openapi_check.DOCUMENT)

    def test_unknown_routes_and_methods(self):
        self.assertEqual(self.node.call("GET", "/").code, "no_such_route")
        self.assertEqual(self.node.call("GET", "/v1/nothing").status, 404)
        answer = self.node.call("PATCH", f"/v1/kv/{self.ns}/k")
        self.assertEqual((answer.status, answer.headers["allow"]), (405, "DELETE, GET, HEAD, PUT"))
        self.assertEqual(self.node.call("OPTIONS", "/v1/commit").status, 405)

    def test_smuggling_is_refused_by_the_running_program_too(self):
        for head, status in (("Transfer-Encoding: chunked", 411), ("Content-Length: 1\r\nContent-Length: 1", 400), ("Host: y", 400),
                             ("X: a\r\n b", 400), ("Idempotency-Key: a\r\nIdempotency-Key: b", 400)):
            with socket.create_connection(("127.0.0.1", self.node.port), timeout=20) as wire:
                wire.sendall(f"PUT /v1/kv/{self.ns}/k HTTP/1.1\r\nHost: x\r\n{head}\r\n\r\nv".encode())
                answer = wire.makefile("rb").read()
            self.assertTrue(answer.startswith(f"HTTP/1.1 {status} ".encode()), answer)
            self.assertEqual(answer.count(b"HTTP/1.1"), 1)
        self.ask("GET", f"/v1/kv/{self.ns}/k", status=404)

    def test_the_log_says_nothing_secret(self):
        token = self.token("secret-id")
        self.post("complete", {"token": token, "response": {"body": "secret-body"}}, "secret-id", status=200)
        self.ask("PUT", f"/v1/kv/{self.ns}/secret-key", "secret-value")
        text = self.node.log_text()
        self.assertIn("listening", text)
        for secret in ("secret", token):
            self.assertNotIn(secret, text)


class JsonLog(unittest.TestCase):
    def test_every_line_is_json(self):
        with tempfile.TemporaryDirectory(prefix="refrain-http-") as directory:
            node = Node(directory, "eu", config="log: {format: json, level: debug}\n").start()
            node.put("n", "k", "v")
            self.assertEqual(node.stop(), 0)
            lines = [json.loads(line) for line in node.log_text().splitlines()]
            self.assertTrue(any(line["event"] == "answered" for line in lines))


if __name__ == "__main__":
    unittest.main()
