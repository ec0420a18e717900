"""Aborted transactions, read from a broker's own files: no client is told of them.

A control batch ends a transaction in each partition that it wrote to; its one record's key is a version and a
type, 0: abort, 1: commit (Kafka's message format v2).
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

# Base offset, length after it, leader epoch, magic, checksum, attributes.
_HEAD = struct.Struct(">qiibIh")
# Last offset delta, first and last timestamp, producer id and epoch, base sequence, record count.
_REST = struct.Struct(">iqqqhii")
_BATCH = _HEAD.size + _REST.size
_CONTROL = 0x20
_ABORT = 0


class Abort(NamedTuple):
    """One aborted transaction: its producer's id and epoch."""

    producer_id: int
    epoch: int


def aborts(data: Path, prefix: str) -> set[Abort]:
    """Aborted transactions that wrote to topics whose names begin with `prefix`, in a broker's folder."""
    return {abort for log in data.glob(f"{prefix}*/*.log") for abort in _aborts_in(log.read_bytes())}


def _aborts_in(content: bytes) -> Iterator[Abort]:
    at = 0
    while at + _BATCH <= len(content):
        _, length, _, magic, _, attributes = _HEAD.unpack_from(content, at)
        if magic != 2 or length <= 0:
            # Preallocated or torn: nothing comes after it.
            return
        if attributes & _CONTROL and at + _BATCH + 16 <= len(content):
            _, _, _, producer_id, epoch, _, _ = _REST.unpack_from(content, at + _HEAD.size)
            if _control_type(content, at + _BATCH) == _ABORT:
                yield Abort(producer_id, epoch)
        at += 12 + length


def _control_type(content: bytes, at: int) -> int:
    """Of the record at a place: length, attributes, timestamp and offset deltas, key length, then the key."""
    at = _skip_varint(content, at) + 1
    for _ in range(3):
        at = _skip_varint(content, at)
    kind: int = struct.unpack_from(">hh", content, at)[1]
    return kind


def _skip_varint(content: bytes, at: int) -> int:
    while content[at] & 0x80:
        at += 1
    return at + 1
