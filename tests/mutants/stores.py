"""Mutants of what is kept behind the topics: a real PostgreSQL and a real Redis, filled by their own writers.

The day goes through the writers of `oms storage` and `oms cache`, patched by the mutant, and what they left
is compared with what the verifier read.
"""

import time
from collections.abc import Callable
from typing import Any

from psycopg import AsyncConnection
from redis.asyncio import Redis

from app.cache import TOPICS as CACHED
from app.cache import changes, orders
from app.cache.books import BookImage
from app.cache.changes import Changes
from app.cache.writer import Writer as CacheWriter
from app.reader import Place, Read
from app.settings import Settings
from app.storage import TOPICS as STORED
from app.storage.rows import COLUMNS, Rows
from app.storage.writer import Writer as StorageWriter
from app.verify import storage
from app.verify.agree import agree
from app.verify.cached import Cached
from app.verify.findings import Findings
from app.verify.records import CHANGELOGS, Seen
from app.verify.verifier import Verifier
from schemas.codec import DecodeError
from tests.mutants import day
from tests.mutants.break_ import Mutant, Mutants, Patches, nth, patched
from tests.mutants.proof import Caught, told
from tests.verify.engine import LANES

in_postgres = Mutants("storage")
in_redis = Mutants("cache")
_TABLES = ", ".join(COLUMNS)
_BATCH = 100


def _verifier(records: list[Seen]) -> Verifier:
    verifier = Verifier(LANES, with_latest=True)
    for seen in records:
        if seen.short in CHANGELOGS:
            verifier.mark()
        verifier.take(seen)
    return verifier


def _ends(records: list[Seen]) -> dict[Place, int]:
    """Where each partition ends."""
    ends: dict[Place, int] = {}
    for seen in records:
        ends[seen.short, seen.partition] = max(ends.get((seen.short, seen.partition), 0), seen.offset + 1)
    return ends


def _reads(records: list[Seen], shorts: tuple[str, ...]) -> list[list[Read]]:
    """What a sink reads, in batches."""
    reads = [
        Read(
            seen.short,
            seen.partition,
            seen.offset,
            seen.timestamp_us,
            seen.key,
            seen.value,
            seen.kind,
            dict(seen.message),
            DecodeError("DECODE_NOT_FRAMED", "") if seen.error else None,
        )
        for seen in records
        if seen.short in shorts
    ]
    return [reads[begin : begin + _BATCH] for begin in range(0, len(reads), _BATCH)]


class _AtTheEnd:
    """A reader that has given out everything."""

    def __init__(self, ends: dict[Place, int]) -> None:
        self._ends = ends

    async def ends(self) -> dict[Place, int]:
        return self._ends

    async def rewind(self, start: Any) -> None:
        """Begins there; what is written is given by the test."""


async def run_in_postgres(mutant: Mutant, url: str) -> Caught:
    """Stores the day as the mutant would in an empty database that has the tables, and compares."""
    records = day.made()
    settings = Settings(topic_prefix="oms", postgres=url, partitions=LANES)
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute(f"TRUNCATE {_TABLES}, kafka_positions".encode())
        with patched(mutant.spoil):
            writer = StorageWriter(connection, settings, STORED)
            await writer.open()
            for batch in _reads(records, STORED):
                await writer.write(batch)
    verifier = _verifier(records)
    findings = verifier.finish()
    ends = {(short, lane): 0 for short in STORED for lane in range(LANES)} | _ends(records)
    await storage.compare(settings, verifier, ends, grace_s=0)
    return told(mutant, findings)


async def run_in_redis(mutant: Mutant, url: str) -> Caught:
    """Caches the day as the mutant would in an empty Redis, and compares."""
    records = day.made()
    async with Redis.from_url(url) as redis:
        await redis.flushdb()
        with patched(mutant.spoil):
            writer = CacheWriter(redis)
            assert await writer.take_over(_AtTheEnd(_ends(records)))  # type: ignore[arg-type]
            for batch in _reads(records, CACHED):
                await writer.write(batch, caught_up=True)
    verifier = _verifier(records)
    await compared_with_redis(verifier, url)
    return told(mutant, verifier.finish())


async def compared_with_redis(verifier: Verifier, url: str) -> Findings:
    """What is wrong with a Redis."""
    assert verifier.latest is not None

    async def nothing_new() -> None:
        """The day is over."""

    async with Cached(url, time.time_ns() // 1000) as door:
        await agree(door, verifier.latest, verifier.findings, 0, nothing_new)
    return verifier.findings


# PostgreSQL.


def _without_row(patches: Patches, drops: Callable[[str], bool]) -> None:
    """Rows of tables that keep every record are left out."""

    def make(original: Any) -> Any:
        def append(rows: Any, table: str, row: Any) -> None:
            if not drops(table):
                original(rows, table, row)

        return append

    patches(Rows, "_append", make)


@in_postgres("loses the row of an event", "storage")
def lost_event_row(patches: Patches) -> None:
    tenth = nth(10)
    _without_row(patches, lambda table: table == "order_events" and tenth())


@in_postgres("loses the row of a trade", "storage")
def lost_trade_row(patches: Patches) -> None:
    third = nth(3)
    _without_row(patches, lambda table: table == "trades" and third())


@in_postgres("loses the row of a control's report", "storage")
def lost_report(patches: Patches) -> None:
    second = nth(2)
    _without_row(patches, lambda table: table == "control_reports" and second())


@in_postgres("loses the row of a dead letter", "storage")
def lost_letter(patches: Patches) -> None:
    _without_row(patches, lambda table: table == "dead_letters")


@in_postgres("doubles the row of a trade (written again under another place)", "storage")
def doubled_trade_row(patches: Patches) -> None:
    third = nth(3)

    def make(original: Any) -> Any:
        def append(rows: Any, table: str, row: Any) -> None:
            original(rows, table, row)
            if table == "trades" and third():
                original(rows, table, (row[0], row[1] + 1, *row[2:]))

        return append

    patches(Rows, "_append", make)


@in_postgres("loses a batch: its position is stored without its rows", "storage")
def lost_batch(patches: Patches) -> None:
    second = nth(2)

    def make(original: Any) -> Any:
        def begin(rows: Any, topic_of: Any, batch: Any = ()) -> None:
            original(rows, topic_of, () if second() else batch)

        return begin

    patches(Rows, "__init__", make)


@in_postgres("keeps an order in an older state", "storage")
def older_order(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def order(rows: Any, event: Any, row: Any) -> None:
            if event["event"] != "canceled":
                original(rows, event, row)

        return order

    patches(Rows, "_order", make)


@in_postgres("keeps a position in an older state", "storage")
def older_position(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def position(rows: Any, row: Any) -> None:
            if row[0] != "emil":
                original(rows, row)

        return position

    patches(Rows, "_position", make)


# Redis.


@in_redis("Redis keeps an order in an older state", "I11")
def stale_order(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def take(order: Any, event: Any) -> None:
            if event["event"] not in ("canceled", "replaced"):
                original(order, event)

        return take

    patches(orders._Order, "take", make)


@in_redis("Redis keeps a finished order among the live ones", "I11")
def never_removed(patches: Patches) -> None:
    def make(original: Any) -> Any:
        return lambda order, now_s: (command for command in original(order, now_s) if command[0] != "SREM")

    patches(orders._Order, "commands", make)


@in_redis("Redis lacks a live order", "I11")
def lost_order(patches: Patches) -> None:
    def make(original: Any) -> Any:
        return lambda order, now_s: (
            command for command in original(order, now_s) if command[0] != "SADD" and len(command) > 3
        )

    patches(orders._Order, "commands", make)


def _without_record(patches: Patches, drops: Callable[[Read], bool]) -> None:
    def make(original: Any) -> Any:
        def take(change: Any, read: Read, fresh: bool) -> None:
            if not drops(read):
                original(change, read, fresh)

        return take

    patches(Changes, "_take", make)


@in_redis("Redis keeps a position in an older state", "I11")
def stale_position(patches: Patches) -> None:
    _without_record(patches, lambda read: read.kind == "Position" and read.message["version"] > 4)


@in_redis("Redis keeps an older quote", "I11")
def stale_quote(patches: Patches) -> None:
    second = nth(2)
    _without_record(patches, lambda read: read.kind == "Quote" and second())
    patches(changes, "_KEYS", lambda original: {**original, "Quote": "quotes"})


@in_redis("Redis keeps an older book", "I11")
def stale_book(patches: Patches) -> None:
    _without_record(patches, lambda read: read.kind == "BookUpdate" and read.message["sequence"] > 3)


@in_redis("Redis counts a level's orders wrongly", "I11")
def wrong_book(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def as_json(image: Any) -> Any:
            shown = original(image)
            return {
                **shown,
                "bids": [[price, quantity, orders + 1] for price, quantity, orders in shown["bids"]],
            }

        return as_json

    patches(BookImage, "as_json", make)
