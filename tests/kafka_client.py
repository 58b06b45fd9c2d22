#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A small Kafka client for tests: standard library only, bytes in, bytes out.

It speaks to the one broker it is given and never follows metadata, so it also works past a listener that is
advertised elsewhere. One request at a time; an object belongs to one thread. Errors of the broker are
KafkaError; a broker that is away is OSError. Nothing is retried here: tests wait for what they need.

    kafka_client.py BROKER topics
    kafka_client.py BROKER create|delete TOPIC
    kafka_client.py BROKER truncate TOPIC [BEFORE_OFFSET]
    kafka_client.py BROKER produce TOPIC < BYTES        one record from stdin
    kafka_client.py BROKER dump TOPIC                   offset, length and hex of every record
"""
import argparse
import gzip
import io
import itertools
import socket
import struct
import sys
import time
from typing import NamedTuple, Optional

ERRORS = {
    -1: "UNKNOWN_SERVER_ERROR",
    1: "OFFSET_OUT_OF_RANGE",
    3: "UNKNOWN_TOPIC_OR_PARTITION",
    6: "NOT_LEADER_OR_FOLLOWER",
    7: "REQUEST_TIMED_OUT",
    10: "MESSAGE_TOO_LARGE",
    14: "COORDINATOR_LOAD_IN_PROGRESS",
    17: "INVALID_TOPIC_EXCEPTION",
    36: "TOPIC_ALREADY_EXISTS",
    41: "NOT_CONTROLLER",
}
UNKNOWN_TOPIC, NOT_LEADER, TOPIC_EXISTS = 3, 6, 36
PRODUCE, FETCH, LIST_OFFSETS, METADATA = 0, 1, 2, 3
CREATE_TOPICS, DELETE_TOPICS, DELETE_RECORDS, INIT_PRODUCER_ID = 19, 20, 21, 22
DESCRIBE_CONFIGS, ALTER_CONFIGS = 32, 44
TOPIC_RESOURCE = 2


class KafkaError(Exception):
    """The broker's answer was an error; `code` is Kafka's number."""

    def __init__(self, code: int, what: str):
        super().__init__(f"{what}: {ERRORS.get(code, 'error')} ({code})")
        self.code = code


class Record(NamedTuple):
    offset: int
    timestamp_ms: int
    key: Optional[bytes]
    value: Optional[bytes]


# --- bytes ---------------------------------------------------------------------------------------------------


def _crc32c_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_CRC32C = _crc32c_table()


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC32C[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def _string(text: Optional[str]) -> bytes:
    if text is None:
        return struct.pack(">h", -1)
    raw = text.encode()
    return struct.pack(">h", len(raw)) + raw


def _array(items) -> bytes:
    items = list(items)
    return struct.pack(">i", len(items)) + b"".join(items)


def _varint(number: int) -> bytes:
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 0x7F:
        out.append((number & 0x7F) | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


class _Reader:
    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def take(self, form: str):
        value = struct.unpack_from(">" + form, self.data, self.at)
        self.at += struct.calcsize(">" + form)
        return value[0] if len(value) == 1 else value

    def raw(self, length: int) -> Optional[bytes]:
        if length < 0:
            return None
        self.at += length
        return self.data[self.at - length : self.at]

    def string(self) -> Optional[str]:
        raw = self.raw(self.take("h"))
        return None if raw is None else raw.decode()

    def array(self, item):
        return [item() for _ in range(max(0, self.take("i")))]

    def varint(self) -> int:
        shift = number = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return (number >> 1) ^ -(number & 1)


def _encode_batch(values, key: Optional[bytes]) -> bytes:
    now = int(time.time() * 1000)
    records = bytearray()
    for delta, value in enumerate(values):
        body = b"\0" + _varint(0) + _varint(delta)
        for field in (key, value):
            body += _varint(-1) if field is None else _varint(len(field)) + field
        body += _varint(0)
        records += _varint(len(body)) + body
    count = len(values)
    rest = struct.pack(">hiqqqhii", 0, count - 1, now, now, -1, -1, -1, count) + bytes(records)
    tail = struct.pack(">ibI", -1, 2, crc32c(rest)) + rest
    return struct.pack(">qi", 0, len(tail)) + tail


def _decode_batches(data: bytes):
    at = 0
    while at + 12 <= len(data):
        base, length = struct.unpack_from(">qi", data, at)
        if at + 12 + length > len(data):
            return  # the broker may cut the last batch short
        reader = _Reader(data[at + 12 : at + 12 + length])
        at += 12 + length
        _, magic, _ = reader.take("ibI")
        attributes, _, first_ms, max_ms, _, _, _, count = reader.take("hiqqqhii")
        if magic != 2 or attributes & 0x20:  # control batches hold no records of ours
            continue
        codec, append_time = attributes & 7, attributes & 8
        if codec not in (0, 1):
            raise ValueError(f"compression {codec} is not read here; publish uncompressed or with gzip")
        body = reader.data[reader.at :]
        records = _Reader(gzip.decompress(body) if codec else body)
        for _ in range(count):
            records.varint()
            records.take("b")
            stamp, delta = records.varint(), records.varint()
            key, value = records.raw(records.varint()), records.raw(records.varint())
            for _ in range(records.varint()):
                records.raw(records.varint())
                records.raw(records.varint())
            yield Record(base + delta, max_ms if append_time else first_ms + stamp, key, value)


# --- the client ----------------------------------------------------------------------------------------------


class KafkaClient:
    def __init__(self, broker: str, timeout: float = 10.0):
        host, _, port = broker.rpartition(":")
        self._socket = socket.create_connection((host, int(port)), timeout=timeout)
        self._correlation = itertools.count(1)
        self._timeout_ms = int(timeout * 1000)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._socket.close()

    def _call(self, api: int, version: int, body: bytes) -> _Reader:
        correlation = next(self._correlation)
        header = struct.pack(">hhi", api, version, correlation) + _string("refrain-tests")
        self._socket.sendall(struct.pack(">i", len(header) + len(body)) + header + body)
        answer = _Reader(self._read(struct.unpack(">i", self._read(4))[0]))
        if answer.take("i") != correlation:
            raise ConnectionError("the answer belongs to another request")
        return answer

    def _read(self, length: int) -> bytes:
        out = io.BytesIO()
        while out.tell() < length:
            chunk = self._socket.recv(length - out.tell())
            if not chunk:
                raise ConnectionError("the broker closed the connection")
            out.write(chunk)
        return out.getvalue()

    @staticmethod
    def _check(code: int, what: str):
        if code:
            raise KafkaError(code, what)

    # -- topics

    def topics(self, internal: bool = False):
        """Names of all topics, sorted."""
        return sorted(name for name, is_internal in self._metadata()[1] if internal or not is_internal)

    def advertised(self):
        """(host, port) of each broker, as told to the clients of the listener that we use."""
        return [(host, port) for _, host, port, _ in self._metadata()[0]]

    def _metadata(self):
        answer = self._call(METADATA, 4, struct.pack(">ib", -1, 0))
        answer.take("i")
        brokers = answer.array(lambda: (answer.take("i"), answer.string(), answer.take("i"), answer.string()))
        answer.string()
        answer.take("i")

        def partition():
            answer.take("hii")
            answer.array(lambda: answer.take("i"))
            answer.array(lambda: answer.take("i"))

        def topic():
            answer.take("h")
            name, is_internal = answer.string(), answer.take("b")
            answer.array(partition)
            return name, is_internal

        return brokers, answer.array(topic)

    def create_topic(self, topic: str, partitions: int = 1, config: Optional[dict] = None):
        """Makes it; returns when it can be written and read."""
        settings = _array(_string(k) + _string(str(v)) for k, v in (config or {}).items())
        one = _string(topic) + struct.pack(">ih", partitions, 1) + _array([]) + settings
        answer = self._call(CREATE_TOPICS, 2, _array([one]) + struct.pack(">ib", self._timeout_ms, 0))
        answer.take("i")
        for code, message in answer.array(lambda: (answer.string(), answer.take("h"), answer.string())[1:]):
            self._check(code, f"create {topic}: {message}")
        self._until(lambda: topic in self.topics() and self._served(topic), f"{topic} is not served yet")

    def _served(self, topic: str) -> bool:
        try:
            return bool(self.bounds(topic))
        except KafkaError as error:
            if error.code in (UNKNOWN_TOPIC, NOT_LEADER):
                return False
            raise

    def _until(self, condition, otherwise: str):
        deadline = time.monotonic() + self._timeout_ms / 1000
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(otherwise)
            time.sleep(0.01)

    def delete_topic(self, topic: str):
        """Deletes it; returns when the name is gone from the broker's list."""
        body = _array([_string(topic)]) + struct.pack(">i", self._timeout_ms)
        answer = self._call(DELETE_TOPICS, 1, body)
        answer.take("i")
        for _, code in answer.array(lambda: (answer.string(), answer.take("h"))):
            self._check(code, f"delete {topic}")
        self._until(lambda: topic not in self.topics(internal=True), f"{topic} is still listed")

    def topic_config(self, topic: str) -> dict:
        one = struct.pack(">b", TOPIC_RESOURCE) + _string(topic) + struct.pack(">i", -1)
        answer = self._call(DESCRIBE_CONFIGS, 1, _array([one]) + b"\0")
        answer.take("i")

        def entry():
            name, value = answer.string(), answer.string()
            answer.take("bbb")
            answer.array(lambda: (answer.string(), answer.string(), answer.take("b")))
            return name, value

        def resource():
            code, message = answer.take("h"), answer.string()
            self._check(code, f"config of {topic}: {message}")
            answer.take("b")
            answer.string()
            return dict(answer.array(entry))

        return answer.array(resource)[0]

    def set_topic_config(self, topic: str, config: dict):
        entries = _array(_string(k) + b"\0" + _string(str(v)) for k, v in config.items())
        one = struct.pack(">b", TOPIC_RESOURCE) + _string(topic) + entries
        answer = self._call(ALTER_CONFIGS, 0, _array([one]) + b"\0")
        answer.take("i")

        def resource():
            code, message = answer.take("h"), answer.string()
            answer.take("b")
            answer.string()
            self._check(code, f"set config of {topic}: {message}")

        answer.array(resource)

    # -- records

    def produce(self, topic: str, *values: Optional[bytes], key: Optional[bytes] = None, partition: int = 0) -> int:
        """Appends the values as one batch, acks=all; the offset of the first."""
        batch = _encode_batch(values, key)
        one = _string(topic) + _array([struct.pack(">ii", partition, len(batch)) + batch])
        body = _string(None) + struct.pack(">hi", -1, self._timeout_ms) + _array([one])
        answer = self._call(PRODUCE, 3, body)
        parts = answer.array(lambda: (answer.string(), answer.array(lambda: answer.take("ihqq")))[1])
        _, code, offset, _ = parts[0][0]
        self._check(code, f"produce to {topic}")
        return offset

    def bounds(self, topic: str, partition: int = 0):
        """(first offset kept, next offset to be written)."""
        return self._offset(topic, partition, -2), self._offset(topic, partition, -1)

    def _offset(self, topic: str, partition: int, when: int) -> int:
        one = _string(topic) + _array([struct.pack(">iq", partition, when)])
        answer = self._call(LIST_OFFSETS, 1, struct.pack(">i", -1) + _array([one]))
        parts = answer.array(lambda: (answer.string(), answer.array(lambda: answer.take("ihqq")))[1])
        _, code, _, offset = parts[0][0]
        self._check(code, f"offsets of {topic}")
        return offset

    def records(self, topic: str, partition: int = 0, start: Optional[int] = None):
        """Every record from `start` (default: the first kept) to the end as it is now."""
        first, end = self.bounds(topic, partition)
        at, out = max(first, start or 0), []
        while at < end:
            fetched = [r for r in self._fetch(topic, partition, at) if at <= r.offset < end]
            if not fetched:
                break  # only control batches are left
            out += fetched
            at = fetched[-1].offset + 1
        return out

    def _fetch(self, topic: str, partition: int, offset: int):
        limit = 16 << 20
        one = _string(topic) + _array([struct.pack(">iqi", partition, offset, limit)])
        answer = self._call(FETCH, 4, struct.pack(">iiiib", -1, 500, 1, limit, 0) + _array([one]))
        answer.take("i")

        def part():
            _, code, _, _ = answer.take("ihqq")
            self._check(code, f"fetch from {topic}")
            answer.array(lambda: answer.take("qq"))
            return answer.raw(answer.take("i")) or b""

        parts = answer.array(lambda: (answer.string(), answer.array(part))[1])
        return list(_decode_batches(parts[0][0]))

    def truncate(self, topic: str, before: int = -1, partition: int = 0):
        """Removes the records before that offset, as retention would; -1 removes all."""
        one = _string(topic) + _array([struct.pack(">iq", partition, before)])
        answer = self._call(DELETE_RECORDS, 0, _array([one]) + struct.pack(">i", self._timeout_ms))
        answer.take("i")
        parts = answer.array(lambda: (answer.string(), answer.array(lambda: answer.take("iqh")))[1])
        self._check(parts[0][0][2], f"truncate {topic}")

    def accepts_producers(self):
        """Raises until the broker hands out ids to idempotent producers: the last thing to work after a start."""
        answer = self._call(INIT_PRODUCER_ID, 0, _string(None) + struct.pack(">i", self._timeout_ms))
        answer.take("i")
        self._check(answer.take("h"), "producer id")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("broker", help="host:port")
    parser.add_argument("action", choices=["topics", "create", "delete", "truncate", "produce", "dump"])
    parser.add_argument("topic", nargs="?")
    parser.add_argument("before", nargs="?", type=int, default=-1)
    options = parser.parse_args()
    if options.action != "topics" and not options.topic:
        parser.error("a topic is needed")
    with KafkaClient(options.broker) as kafka:
        if options.action == "topics":
            print("\n".join(kafka.topics()))
        elif options.action == "create":
            kafka.create_topic(options.topic)
        elif options.action == "delete":
            kafka.delete_topic(options.topic)
        elif options.action == "truncate":
            kafka.truncate(options.topic, options.before)
        elif options.action == "produce":
            print(kafka.produce(options.topic, sys.stdin.buffer.read()))
        else:
            for record in kafka.records(options.topic):
                value = record.value or b""
                print(f"{record.offset}\t{len(value)}\t{value.hex()}")


if __name__ == "__main__":
    try:
        main()
    except (KafkaError, OSError) as error:
        sys.exit(f"kafka_client: {error}")
