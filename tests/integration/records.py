# SPDX-License-Identifier: Apache-2.0
"""A node's records on Kafka, read and changed by a stranger. The format is proto/record.proto."""
import struct

from kafka_client import crc32c

FORMAT, HEAD = 1, 5  # bytes: format and checksum
SEQ, HLC = 4, 5  # fields
_SIZES = {1: 8, 5: 4}  # of fields by their wire type


def is_good(value):
    return len(value) > HEAD and value[0] == FORMAT and struct.unpack(">I", value[1:HEAD])[0] == crc32c(value[HEAD:])


def _varint(data, at):
    number = shift = 0
    while True:
        number |= (data[at] & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if data[at - 1] < 0x80:
            return number, at


def _encoded(number):
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes(out + bytes([number]))


def _fields(data):
    """(field, where it begins, where its value begins, where it ends)"""
    at = 0
    while at < len(data):
        begin = at
        tag, at = _varint(data, at)
        value = at
        if tag & 7 == 0:
            _, at = _varint(data, at)
        elif tag & 7 == 2:
            size, value = _varint(data, at)
            at = value + size
        else:
            at += _SIZES[tag & 7]
        yield tag >> 3, begin, value, at


def seq_of(value):
    data = value[HEAD:]
    return next(_varint(data, at)[0] for field, _, at, _ in _fields(data) if field == SEQ)


def forged(value, seq=None, later=0):
    """The record as another commit: with that seq, and an hlc that is `later` by so many steps."""
    data, out = value[HEAD:], bytearray()
    for field, begin, at, end in _fields(data):
        if field == SEQ and seq is not None:
            out += data[begin:at] + _encoded(seq)
        elif field == HLC:
            out += data[begin:at] + struct.pack("<Q", struct.unpack("<Q", data[at:end])[0] + later)
        else:
            out += data[begin:end]
    return bytes([FORMAT]) + struct.pack(">I", crc32c(bytes(out))) + bytes(out)
