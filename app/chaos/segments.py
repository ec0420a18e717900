"""What became of transactions, read from brokers' own files: no client is told of it.

A control batch ends a transaction in each partition that it wrote to; its one record's key is a version and a
type, 0: abort, 1: commit (Kafka's message format v2).
"""

import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

# Base offset, length after it, leader epoch, magic, checksum, attributes.
_HEAD = struct.Struct(">qiibIh")
# Last offset delta, first and last timestamp, producer id and epoch, base sequence, record count.
_REST = struct.Struct(">iqqqhii")
_BATCH = _HEAD.size + _REST.size
_TRANSACTIONAL, _CONTROL = 0x10, 0x20
_ABORT = 0


class Abort(NamedTuple):
    """One aborted transaction: its producer's id and epoch."""

    producer_id: int
    epoch: int


def aborts(data: Path, prefix: str) -> set[Abort]:
    """Aborted transactions that wrote to topics whose names begin with `prefix`, in a broker's folder."""
    return {abort for log in data.glob(f"{prefix}*/*.log") for abort in _aborts_in(log.read_bytes())}


def torn(datas: Iterable[Path], prefix: str) -> list[str]:
    """Transactions that are committed in some partitions and aborted in others, in words.

    All that a lane writes in one transaction has one time. Its next one has another, unless the worker's
    clock is behind: then some partition has both, and they are left out.
    """
    committed: dict[_Transaction, set[str]] = defaultdict(set)
    aborted: dict[_Transaction, set[str]] = defaultdict(set)
    for data in datas:
        for log in data.glob(f"{prefix}*/*.log"):
            for transaction, commit in _outcomes(log.read_bytes()):
                (committed if commit else aborted)[transaction].add(log.parent.name)
    return [
        f"Kafka tore a transaction of producer {each.producer_id}, epoch {each.epoch}: "
        f"committed in {', '.join(sorted(committed[each]))}, aborted in {', '.join(sorted(aborted[each]))}"
        for each in committed.keys() & aborted.keys()
        if not committed[each] & aborted[each]
    ]


class _Transaction(NamedTuple):
    producer_id: int
    epoch: int
    timestamp_ms: int


class _Batch(NamedTuple):
    """A batch of a transaction; `commit` is None for records."""

    producer_id: int
    epoch: int
    timestamp_ms: int
    commit: bool | None


def _aborts_in(content: bytes) -> Iterator[Abort]:
    return (Abort(each.producer_id, each.epoch) for each in _batches(content) if each.commit is False)


def _outcomes(content: bytes) -> Iterator[tuple[_Transaction, bool]]:
    """What became of the transactions that wrote to a partition."""
    open_: dict[int, set[_Transaction]] = defaultdict(set)
    for batch in _batches(content):
        if batch.commit is None:
            open_[batch.producer_id].add(_Transaction(batch.producer_id, batch.epoch, batch.timestamp_ms))
        else:
            yield from ((each, batch.commit) for each in open_.pop(batch.producer_id, ()))


def _batches(content: bytes) -> Iterator[_Batch]:
    at = 0
    while at + _BATCH <= len(content):
        _, length, _, magic, _, attributes = _HEAD.unpack_from(content, at)
        if magic != 2 or length <= 0:
            # Preallocated or cut off: nothing comes after it.
            return
        if attributes & _TRANSACTIONAL and at + _BATCH + 16 <= len(content):
            _, first_ms, _, producer_id, epoch, _, _ = _REST.unpack_from(content, at + _HEAD.size)
            control = attributes & _CONTROL
            commit = _control_type(content, at + _BATCH) != _ABORT if control else None
            yield _Batch(producer_id, epoch, first_ms, commit)
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
