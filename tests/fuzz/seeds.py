#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes what a fuzzer starts from into FOLDER/TARGET: the golden bytes of records and rows, the examples of the
API's description, the configurations of deploy/. `./dev fuzz --learn` adds what it finds to tests/fuzz/corpus."""
import hashlib
import json
import pathlib
import struct
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def lines(name: str):
    for line in (ROOT / "tests" / "golden" / name).read_text().splitlines():
        if line and not line.startswith("#"):
            yield line.split(" ")


def part(data: bytes) -> bytes:
    return struct.pack(">H", len(data)) + data


def records():
    for fields in lines("record_1.txt"):
        bytes_ = bytes.fromhex(fields[2])
        yield b"\0" + bytes_
        yield b"\2" + bytes_[5:]
    frame = {"min_reader": 1, "cluster_id": "c0ffee11", "n": 2, "prev": "00" * 32}
    frame |= {"node": "eu", "incarnation": "11" * 8}
    tail = {"by": {"node": "eu", "incarnation": "11" * 8}, "at": "2026-05-28T20:26:40.000Z"}
    traits = {"region": "eu", "address": "http://eu:1", "formats": {"min": 1, "max": 1}, "namespaces_hash": "00" * 32}
    needs = {"found": traits, "join": {"replaces": "22" * 8, **traits, "scopes": {"pay": "home:eu"}}, "leave": {},
             "active": {"words": [{"of": "33" * 8, "seq": 4}]}, "evict": {}, "last": {"of": "33" * 8, "seq": 4},
             "update": traits, "later": {}}
    for kind, need in needs.items():
        yield b"\1" + json.dumps({**frame, "kind": kind, **need, **tail}, separators=(",", ":")).encode()


META = ["identity", "hlc", "published", "own_entry", "cursor/ap", "members/0000000000000001", "floor", "applied/ap/",
        "tick/ap/0000000000000099", "synced", "tick/ap/", "word/ap/0000000000000099"]
FAMILIES = ["default", "kv", "requests", "open", "responses", "outbox", "conflicts", "duplicates", "aside"]


def rows():
    """The first byte is the case of rows.cc."""
    for family, key, value in lines("store_1.txt"):
        key, value = bytes.fromhex(key), bytes.fromhex(value)
        yield b"\4" + bytes([FAMILIES.index(family), len(key)]) + key + part(value)
        if family == "kv":
            yield b"\0" + part(value) + value
        elif family == "requests":
            yield b"\1" + part(value) + value
        elif family == "duplicates" and value:
            yield b"\2" + part(value) + value
        elif family == "responses":
            yield b"\6" + value
        elif family == "conflicts" and key[:1] == b"i":
            yield b"\7" + value
        elif family == "default" and key.decode() in META:
            yield b"\3" + bytes([META.index(key.decode())]) + part(value)
        elif family == "default" and key.startswith(b"applied/ap/"):
            yield b"\3" + bytes([7]) + key[11:] + part(value)
    stream, blocks = bytes.fromhex("".join(next(iter(lines("snapshot_1.txt"))))), b"\5"
    while stream:
        size = struct.unpack(">I", stream[:4])[0]
        blocks, stream = blocks + b"\0" + part(stream[8:8 + size]), stream[8 + size:]
    yield blocks
    yield b"\x08" + bytes.fromhex("01026575" + "00" * 7 + "ab" + "00" * 7 + "09" + "00" * 8 + "026575" + "020001")


def tokens():
    yield b"\0AQ"
    yield b"\1" + bytes.fromhex("026575" + "11" * 8 + "019e704487ce0007" + "22" * 16 + "33" * 8)
    yield b"\2AQJldQGecESIAAAC"
    for text in ("019e704488000003-eu", "eu.1122334455667788.4711", "eu.5", "0123456789abcdef"):
        yield b"\3" + text.encode()
    for text in ("1500ms", "30s", "5m", "1h", "30d", "512KiB", "64MiB", "1GiB", "36500d"):
        yield b"\4" + text.encode()
    for text in ("cGFpZA==", "cGFpZA", "70616964", "-_-_"):
        yield b"\5" + text.encode()
    for text in ("orders/4711", "_http-orders", "eu-1", "gr\u00fc\u00dfe", "a/../b", "claims"):
        yield b"\6" + text.encode()


def api():
    return json.loads((ROOT / "docs" / "openapi.json").read_text())


def heads():
    for path, calls in api()["paths"].items():
        path = path.replace("{ns}", "orders").replace("{key}", "a%2Fb/c").replace("{id}", "order-1")
        path = path.replace("{commit}", "eu.5").replace("{node}", "eu")
        for method, call in calls.items():
            if method not in ("get", "put", "post", "delete"):
                continue
            names = [one["name"] for one in call.get("parameters", []) if one.get("in") == "query"]
            query = "&".join(f"{name}=1s" for name in names)
            target = path + ("?" + query if query else "")
            yield (b"\2\7" + f"{method.upper()} {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{{}}"
                   f"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n".encode())
            yield b"\1" + part(method.upper().encode()) + b"\2" + part(b'"order-1"') + target[1:].encode()
    yield (b"\2\0\r\nPOST http://h/v1/commit HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n"
           b"Transfer-Encoding: chunked\r\n\r\n")
    yield (b"\1" + part(b"PUT") + b"\0" + part(b'"019e704488000003-eu"')
           + b"v1/kv/orders/4711?ttl=30s&ack=log&timeout=5s")
    yield b"\0a=%C3%BC&b=+%2B&c"


def bodies():
    operations = [{"put": {"ns": "shop", "key": "a/b", "value": "x", "ttl": "30s", "if_none_match": True}},
                  {"delete": {"ns": "shop", "key": "c", "if_match": "019e704488000003-eu"}},
                  {"put": {"ns": "s", "key": "d", "value_base64": "eA=="}}]
    response = {"status": 201, "content_type": "text/plain", "body": "ok"}
    texts = [{"operations": operations},
             {"token": "AQ", "response": response, "operations": operations, "response_ttl": "1h", "seen_ttl": "2h"},
             {"response": response, "operations": operations[:1]}, {"response": None, "too_large": True},
             {"token": "AQ", "lease": "30s"}, {"token": "AQ"},
             {"action": "complete", "response": {"body_base64": "eA=="}}, {"action": "release"},
             {"choose": "winner"}, {"choose": "loser"}, {"value": "x"}, {"delete": True}]
    for route in range(8):
        for more, text in enumerate(texts):
            yield bytes([route, more % 4]) + json.dumps(text, separators=(",", ":")).encode()


def configurations():
    for path in sorted((ROOT / "deploy").glob("*.yaml")):
        text = "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith("#"))
        yield b"\1" + text.encode()
    yield (b'\1requests:\n  defaults: {lease: 30s, on_expiry: hold}\n  namespaces:\n    pay: {scope: "home:eu"}\n'
           b"    mail:\nlimits: {rate: {pay: {per_second: 5, burst: 7}}, value: 64KiB}\n"
           b"kafka: {properties: {sasl.password: x, linger.ms: 5}}\n")
    yield b"\0KAFKA_BROKERS=k:1\nHTTP_LISTEN=127.0.0.1:1\nCLUSTER=shop\nNODE_NAME=eu\nKAFKA_PROPERTIES_LINGER_MS=5"


SEED_FUNCTIONS = {"record": records, "rows": rows, "token": tokens, "http_head": heads, "json": bodies,
                  "config": configurations}


def main() -> int:
    folder = pathlib.Path(sys.argv[1])
    for target in sys.argv[2:] or SEED_FUNCTIONS:
        if target not in SEED_FUNCTIONS:
            continue
        (folder / target).mkdir(parents=True, exist_ok=True)
        for seed in SEED_FUNCTIONS[target]():
            (folder / target / hashlib.sha1(seed).hexdigest()).write_bytes(seed)
    return 0


if __name__ == "__main__":
    sys.exit(main())
