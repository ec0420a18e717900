"""What changelogs weigh while many orders pass, day after day, through a book that stays as it is.

Accounts remember a finished order until its window (OMS_ORDER_ID_WINDOW_S) and its UTC day are over, because
its order_id names that day. So days must pass for anything to be forgotten: the log's time of the requests,
by which a worker forgets, is a day ahead with each day of the run. Everything else keeps to the clock.
"""

import asyncio
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from app.settings import Settings
from app.topics import wanted
from app.writer import BATCH_BYTES_MAX
from schemas.codec import Codec
from schemas.partitioning import lane_of
from schemas.records import Said
from schemas.registry import Registry
from schemas.topics import ROWS_OF_TABLE, changelog_name
from tests.bench.steady import steady
from tests.bench.system import Bench, Measured
from tests.lanes.workers import set_up, workers

WINDOW_S = 60
# So much more may be there in the second half of the days than in the first.
# What grows with the orders doubles.
FACTOR = 1.5
_DAY_MS = 86_400_000
_CHUNK = 2000
_SAY_S = 10.0
# So far the requests may be ahead of the worker: the changelogs are to be seen as they grow.
_AHEAD = 20_000
# The cleaner looks every 15 s for something to do.
_SETTLE_S = 20.0
_WORKER = ["-m", "app.cli", "worker"]


class Held(NamedTuple):
    """What a changelog has: bytes on disk, records that a recovery reads, keys of the live rows."""

    size: int
    records: int
    keys: set[bytes]


class Day(NamedTuple):
    """How a day ended: bytes and live rows of all changelogs."""

    size: int
    rows: int


class Feed:
    """Writes requests with a time of the log that is chosen; an async context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.topic("orders")

    async def __aenter__(self) -> Self:
        settings = self._settings
        async with Registry(settings.registry) as registry:
            self._codec = Codec(await registry.register_all(settings.topic_prefix, settings.app_id))
        self._producer = AIOKafkaProducer(
            bootstrap_servers=settings.kafka, enable_idempotence=True, max_batch_size=BATCH_BYTES_MAX
        )
        await self._producer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._producer.stop()

    async def post(self, chunk: Sequence[Said], at_ms: int) -> None:
        """Writes a chunk that fits one batch per lane; returns once Kafka has it."""
        batches = [self._producer.create_batch() for _ in range(self._settings.partitions)]
        for kind, message in chunk:
            batch = batches[lane_of(message["account"], len(batches))]
            value = self._codec.encode(kind, message)
            assert batch.append(timestamp=at_ms, key=message["account"].encode(), value=value), "too many"
        sent = [
            await self._producer.send_batch(batch, self._topic, partition=lane)
            for lane, batch in enumerate(batches)
            if batch.record_count()
        ]
        await asyncio.gather(*sent)


def sizes(home: Path, settings: Settings) -> dict[str, int]:
    """Bytes on the broker's disk by table: log segments of every lane."""
    found = {}
    for table in ROWS_OF_TABLE:
        name = changelog_name(settings.app_id, table)
        segments = home.glob(f"**/{name}-*/*.log")
        found[table] = sum(size for segment in segments if (size := _size(segment)))
    return found


def _size(path: Path) -> int:
    """0 for a segment that the cleaner has just replaced."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


async def held(settings: Settings, table: str, size: int) -> Held:
    """Reads a changelog as a recovery of every lane does."""
    partitions = [
        TopicPartition(changelog_name(settings.app_id, table), lane) for lane in range(settings.partitions)
    ]
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka, isolation_level="read_committed", enable_auto_commit=False
    )
    await consumer.start()
    try:
        begins, ends = await consumer.beginning_offsets(partitions), await consumer.end_offsets(partitions)
        consumer.assign(partitions)
        for tp, begin in begins.items():
            consumer.seek(tp, begin)
        records = 0
        keys: set[bytes] = set()
        unread = {tp for tp in partitions if begins[tp] < ends[tp]}
        while unread:
            for fetched in (await consumer.getmany(*unread, timeout_ms=200, max_records=20_000)).values():
                records += len(fetched)
                for record in fetched:
                    # No key is in two lanes.
                    (keys.discard if record.value is None else keys.add)(record.key)
            unread = {tp for tp in unread if await consumer.position(tp) < ends[tp]}
        return Held(size, records, keys)
    finally:
        await consumer.stop()


async def _configure(settings: Settings, segment_mib: int) -> None:
    """Has the broker date requests as they say, keep little of what no recovery reads, and perhaps write
    changelogs in shorter segments and keep deletions for shorter: a short run then meets the cleaner.
    """
    topics = wanted(settings)
    changelogs = {changelog_name(settings.app_id, table) for table in ROWS_OF_TABLE}
    for name, config in topics.items():
        if name in changelogs and segment_mib:
            config |= {"segment.bytes": str(segment_mib * 2**20), "delete.retention.ms": "30000"}
        if config["cleanup.policy"] == "delete":
            config |= {"segment.bytes": str(16 * 2**20), "retention.bytes": str(64 * 2**20)}
    topics[settings.topic("orders")] |= {
        "message.timestamp.type": "CreateTime",
        "message.timestamp.after.max.ms": str(2**63 - 1),
    }
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        await admin.alter_configs(
            [
                ConfigResource(ConfigResourceType.TOPIC, name, configs=config)
                for name, config in topics.items()
            ]
        )
    finally:
        await admin.close()


async def report(system: Bench, orders: int, days: int, live: int, segment_mib: int) -> dict[str, float]:
    """Sends the orders in days of as many, prints what each leaves behind, and whether that is bounded."""
    settings = system.settings("changelogs")
    async with workers(settings):
        await set_up(settings)
    await _configure(settings, segment_mib)
    print(
        f"changelogs      {orders:,} orders in {days} days that pass at once; "
        f"OMS_ORDER_ID_WINDOW_S={WINDOW_S}",
        flush=True,
    )
    worker = Measured(settings, _WORKER, OMS_ORDER_ID_WINDOW_S=str(WINDOW_S))
    try:
        await worker.ready(60)
        found = await _Run(system.home, settings, worker, orders, live).days(days)
    finally:
        await worker.stop()
    seconds, read = await _recovered(settings)
    first, second = most(found)
    bounded = is_bounded(first, second)
    print(
        f"changelogs      restarted: one worker read {read:,.0f} records of all lanes in {seconds:.1f} s\n"
        f"changelogs      {'bounded' if bounded else 'NOT BOUNDED'}: at most {second.size / 1e6:.1f} MB and "
        f"{second.rows:,} live rows in the second half of the days, {first.size / 1e6:.1f} MB and "
        f"{first.rows:,} in the first   [want <= {FACTOR:g} x; what grows with the orders doubles]"
    )
    return {
        "orders": orders,
        "bytes_first_half": first.size,
        "bytes": second.size,
        "rows_first_half": first.rows,
        "rows": second.rows,
        "recovery_records": read,
        "recovery_s": seconds,
        "bounded": bounded,
    }


def most(days: Sequence[Day]) -> tuple[Day, Day]:
    """The most bytes and the most rows that a day left, in the first half of the days and in the second."""
    first, second = (
        Day(max(day.size for day in half), max(day.rows for day in half))
        for half in (days[: len(days) // 2], days[len(days) // 2 :])
    )
    return first, second


def is_bounded(first: Day, second: Day) -> bool:
    """Whether the second half has not much more than the first."""
    return second.size <= FACTOR * first.size and second.rows <= FACTOR * first.rows


class _Run:
    """The orders on their way, and what is printed of them."""

    def __init__(self, home: Path, settings: Settings, worker: Measured, orders: int, live: int) -> None:
        self._home, self._settings, self._worker = home, settings, worker
        self._orders, self._live = orders, live
        self._requests = 0
        self._sent = 0
        # Without the pauses between days.
        self._driving_s = 0.0

    async def days(self, count: int) -> list[Day]:
        """Sends all orders; how each day ended."""
        found = []
        async with Feed(self._settings) as feed:
            for day in range(count):
                begun_s = time.monotonic()
                await self._day(feed, day, self._orders * (day + 1) // count - self._sent)
                self._driving_s += time.monotonic() - begun_s
                await asyncio.sleep(_SETTLE_S)
                found.append(await self._end_of(day))
        return found

    async def _day(self, feed: Feed, day: int, orders: int) -> None:
        """Sends a day's orders, no further ahead of the worker than so."""
        said = steady(orders, self._live, self._sent)
        began_s = said_s = time.monotonic()
        while chunk := list(islice(said, _CHUNK)):
            await feed.post(chunk, time.time_ns() // 1_000_000 + day * _DAY_MS)
            self._requests += len(chunk)
            self._sent += sum(kind == "NewOrder" for kind, _ in chunk)
            await self._worker.until_taken(self._requests - _AHEAD)
            if time.monotonic() - said_s >= _SAY_S:
                said_s = time.monotonic()
                self._say(self._driving_s + said_s - began_s)
        await self._worker.until_taken(self._requests)

    def _say(self, seconds: float) -> None:
        rate, size = self._sent / seconds, sum(sizes(self._home, self._settings).values())
        minutes = (self._orders - self._sent) / rate / 60
        print(
            f"        {self._sent:>12,} orders, {rate:,.0f}/s, {minutes:.1f} min left: {size / 1e6:.1f} MB",
            flush=True,
        )

    async def _end_of(self, day: int) -> Day:
        """Prints what the changelogs hold."""
        on_disk = sizes(self._home, self._settings)
        tables = {table: await held(self._settings, table, size) for table, size in on_disk.items()}
        # Rows of orders: by their order_id in matching, as order|ACCOUNT|ID in accounts.
        resting = sum(b"|" not in key for key in tables["matching"].keys)
        known = sum(key.startswith(b"order|") for key in tables["accounts"].keys)
        print(
            f"day {day + 1:<4}{self._sent:>12,} orders, {self._sent / self._driving_s:,.0f}/s; "
            f"{resting:,} resting, {known - resting:,} finished and remembered"
        )
        for table, found in tables.items():
            print(
                f"        {table:<9} {found.size / 1e6:>9.1f} MB on disk, {found.records:>11,} records, "
                f"{len(found.keys):>11,} live rows",
                flush=True,
            )
        return Day(sum(on_disk.values()), sum(len(found.keys) for found in tables.values()))


async def _recovered(settings: Settings) -> tuple[float, float]:
    """Seconds that one worker takes to read everything back, and how many records that is."""
    worker = Measured(settings, _WORKER, OMS_ORDER_ID_WINDOW_S=str(WINDOW_S))
    try:
        await worker.ready(600)
        metrics = ("oms_recovery_seconds", "oms_recovery_read_rows")
        seconds, read = [await asyncio.to_thread(worker.metric, name) for name in metrics]
        return seconds, read
    finally:
        await worker.stop()
