"""Bulk recovery: the changelogs of some lanes into their tables, read committed, whole.

Values are kept by key until the end of the log is passed, so that only live rows are decoded. The
end is passed when the *position* is, not when a record with the last offset was seen: commit
markers have offsets but are no records.
"""

import asyncio
import gc
import logging
import time
from collections import deque
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

from aiokafka import AIOKafkaConsumer, TopicPartition

from app import garbage
from app.lanes import metrics
from app.lanes.fetched import read_as_parsed
from schemas.codec import Codec

log = logging.getLogger("oms.recovery")

PROGRESS_S = 2.0
CHUNK_ROWS = 2_000
# Reading that comes no further for so long is given up: the worker ends, and its next start tries again.
STANDSTILL_S = 20.0


class Recoverable(Protocol):
    """A table that can be rebuilt from its rows."""

    def restore(self, kind: str, row: dict[str, Any]) -> None:
        """Takes one live row, in any order."""

    def restored(self) -> None:
        """Called after the last row."""


class Progress:
    """Rows read so far, of so many; logged every two seconds, in the metrics at any time."""

    latest: "ClassVar[Progress | None]" = None

    def __init__(self, rows_total: int) -> None:
        self.rows = 0
        self.rows_total = rows_total
        # The time of the newest row by partition, milliseconds: when its lane committed last.
        self.newest_ms: dict[TopicPartition, int] = {}
        self.started_s = time.monotonic()
        self._said_s = self.started_s
        Progress.latest = self
        metrics.RECOVERY_LENGTH.set(rows_total)
        metrics.RECOVERY_READ.set(0)

    def add(self, rows: int) -> None:
        """Counts rows; says where things stand now and then."""
        self.rows += rows
        now_s = time.monotonic()
        metrics.RECOVERY_READ.set(self.rows)
        metrics.RECOVERY_RATE.set(self.rate)
        metrics.RECOVERY_LEFT.set(self.left_s)
        if now_s - self._said_s >= PROGRESS_S:
            self._said_s = now_s
            log.info("recovered %s", self.words())

    def words(self) -> str:
        """Rows, rate and time left for a person."""
        return f"{self.rows} of {self.rows_total} rows, {self.rate:.0f} rows/s, {self.left_s:.0f} s left"

    @property
    def rate(self) -> float:
        """Rows a second so far."""
        return self.rows / max(self.seconds, 1e-6)

    @property
    def left_s(self) -> float:
        """Seconds that reading the rest takes at this rate; 0 before anything was read."""
        return max(0, self.rows_total - self.rows) / self.rate if self.rows else 0.0

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.started_s


async def load(bootstrap: str, tables: Mapping[TopicPartition, Recoverable], codec: Codec) -> Progress:
    """Rebuilds each table from its changelog partition; yields to the loop between chunks.

    Raises TimeoutError when reading stands still.
    """
    live: dict[TopicPartition, dict[bytes, bytes]] = {tp: {} for tp in tables}
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        max_partition_fetch_bytes=4 * 1024 * 1024,
        fetch_max_wait_ms=50,
        check_crcs=False,
    )
    await consumer.start()
    # Rows by the million and none of them garbage: each collection would walk all that is there.
    gc.disable()
    try:
        progress = await _read(consumer, live)
        for tp, table in tables.items():
            await _restore(table, live.pop(tp), codec)
    finally:
        gc.enable()
        await consumer.stop()
        garbage.give_back()
    return progress


async def _read(consumer: AIOKafkaConsumer, live: dict[TopicPartition, dict[bytes, bytes]]) -> Progress:
    consumer.assign(list(live))
    begins = await consumer.beginning_offsets(list(live))
    ends = await consumer.end_offsets(list(live))
    for tp, begin in begins.items():
        consumer.seek(tp, begin)
    progress = Progress(sum(ends[tp] - begins[tp] for tp in live))
    unread = {tp for tp in live if ends[tp] > begins[tp]}
    moved_s = time.monotonic()
    while unread:
        before = len(unread), progress.rows
        chunk = await read_as_parsed(consumer, unread, wait_s=0.2)
        for tp, records in chunk.items():
            rows = live[tp]
            for record in records:
                if record.value is None:
                    rows.pop(record.key, None)
                else:
                    rows[record.key] = record.value
            # A lane's times never go back, so the last one is the newest.
            progress.newest_ms[tp] = records[-1].timestamp
            progress.add(len(records))
        for tp in list(unread):
            if await consumer.position(tp) >= ends[tp]:
                unread.discard(tp)
                consumer.pause(tp)
        if (len(unread), progress.rows) != before:
            moved_s = time.monotonic()
        elif time.monotonic() - moved_s > STANDSTILL_S:
            raise TimeoutError(f"recovery stands still at {progress.words()}; is Kafka there?")
        await asyncio.sleep(0)
    return progress


async def _restore(table: Recoverable, rows: dict[bytes, bytes], codec: Codec) -> None:
    restore, decode = table.restore, codec.decode
    # The bytes go as their objects come, and make room for the next ones.
    values = deque(rows.values())
    rows.clear()
    while values:
        for _ in range(min(CHUNK_ROWS, len(values))):
            restore(*decode(values.popleft()))
        await asyncio.sleep(0)
    table.restored()
