"""What changelogs weigh while many orders pass through a book that stays as it is.

Each order rests until `live` later ones have come, then it is canceled. So the book's rows stay the same in
number; the accounts remember each order until its UTC day and the window are over (OMS_ORDER_ID_WINDOW_S), so
their rows grow with the orders of a day, and with nothing else.
"""

import asyncio
import time
from collections.abc import Iterator
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from app.settings import Settings
from app.writer import Stream, TopicWriter
from schemas.records import Said
from schemas.topics import CHANGELOG_CONFIG, ROWS_OF_TABLE, changelog_name
from tests.bench.system import Bench, Measured
from tests.bench.workload import ACCOUNTS, ENTERED, MID_E8, ONE, SYMBOLS, TICK_E8
from tests.lanes.workers import set_up, workers

_CHUNK = 2000
_SAY_S = 5.0
# So far the requests may be ahead of the worker: the changelogs are to be seen as they grow.
_AHEAD = 20_000
# The cleaner looks every 15 s for something to do.
_SETTLE_S = 60.0


def steady(count: int, live: int) -> Iterator[Said]:
    """`count` orders and cancels of all but the last `live`, which is how many rest at a time."""
    for number in range(count):
        yield (
            "NewOrder",
            {
                "account": _account(number),
                "client_order_id": f"steady-{number}",
                "symbol": SYMBOLS[number % len(SYMBOLS)],
                "side": "buy",
                "order_type": "limit",
                "quantity": ONE,
                "limit_price": MID_E8 - (1 + number % 50) * TICK_E8,
                "time_in_force": "gtc",
                **ENTERED,
            },
        )
        if number >= live:
            gone = number - live
            cancel = {
                "account": _account(gone),
                "order": f"steady-{gone}",
                "client_order_id": "",
                "symbol": "",
            }
            yield "CancelOrder", {**cancel, **ENTERED}


def _account(number: int) -> str:
    return ACCOUNTS[number % len(ACCOUNTS)]


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


async def rows(settings: Settings, table: str) -> tuple[int, int]:
    """Records that a recovery of every lane reads, and how many of them are live rows."""
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
        records, live = 0, set()
        unread = {tp for tp in partitions if begins[tp] < ends[tp]}
        while unread:
            for fetched in (await consumer.getmany(*unread, timeout_ms=200, max_records=20_000)).values():
                records += len(fetched)
                for record in fetched:
                    (live.discard if record.value is None else live.add)((record.partition, record.key))
            unread = {tp for tp in unread if await consumer.position(tp) < ends[tp]}
        return records, len(live)
    finally:
        await consumer.stop()


async def _shorten(settings: Settings, segment_mib: int) -> None:
    """Gives the changelogs segments of another length: a short run then meets the cleaner."""
    config = {**CHANGELOG_CONFIG, "segment.bytes": str(segment_mib * 2**20)}
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        names = [changelog_name(settings.app_id, table) for table in ROWS_OF_TABLE]
        await admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, name, configs=config) for name in names]
        )
    finally:
        await admin.close()


async def report(system: Bench, orders: int, live: int, segment_mib: int = 0) -> dict[str, float]:
    """Sends the orders, prints how the changelogs grow, and what is left once the cleaner has been there."""
    settings = system.settings("changelogs")
    async with workers(settings):
        await set_up(settings)
    if segment_mib:
        await _shorten(settings, segment_mib)
    worker = Measured(settings, ["-m", "app.cli", "worker"])
    try:
        await worker.ready(60)
        most = await _drive(system, settings, worker, orders, live)
        await asyncio.sleep(_SETTLE_S)
    finally:
        await worker.stop()
    found: dict[str, float] = {"orders": orders, "live": live, "bytes_most": most}
    for table, size in sizes(system.home, settings).items():
        records, living = await rows(settings, table)
        found |= {f"{table}_bytes": size, f"{table}_records": records, f"{table}_rows": living}
        print(
            f"changelog       {table:<9} {size / 1e6:8.1f} MB on disk, {records:>10,} records, "
            f"{living:>10,} live rows"
        )
    found["recovery_s"] = await _recovered(settings)
    print(
        f"changelog       {orders:,} orders, {live:,} of them resting: at most {most / 1e6:.1f} MB on disk; "
        f"one worker recovers all lanes in {found['recovery_s']:.1f} s"
    )
    return found


async def _drive(system: Bench, settings: Settings, worker: Measured, orders: int, live: int) -> int:
    """Sends all requests, no further ahead than so; the most bytes that were on disk."""
    most, said_s, sent, began_s = 0, time.monotonic(), 0, time.monotonic()
    chunk: list[Said] = []

    async with TopicWriter(settings, linger_ms=5) as writer:
        stream = Stream(writer)
        first = await asyncio.to_thread(_orders_taken, worker)
        for request in steady(orders, live):
            chunk.append(request)
            if len(chunk) < _CHUNK:
                continue
            await stream.post(chunk)
            sent += len(chunk)
            chunk = []
            await _until_taken(worker, first + sent - _AHEAD)
            if time.monotonic() - said_s >= _SAY_S:
                said_s = time.monotonic()
                most = max(most, _say(system, settings, sent // 2, began_s))
        await stream.post(chunk)
        await stream.finish()
        sent += len(chunk)
        await _until_taken(worker, first + sent)
    return max(most, _say(system, settings, orders, began_s))


async def _until_taken(worker: Measured, count: int) -> None:
    """Waits until the worker's lanes have taken so many requests since its start."""
    while True:
        if await asyncio.to_thread(_orders_taken, worker) >= count:
            return
        await asyncio.sleep(0.1)


def _orders_taken(worker: Measured) -> int:
    return int(worker.metric("oms_lane_records_total", 'topic="orders"'))


def _say(system: Bench, settings: Settings, orders: int, began_s: float) -> int:
    found = sizes(system.home, settings)
    each = ", ".join(f"{table} {size / 1e6:.1f}" for table, size in found.items())
    total, rate = sum(found.values()), orders / (time.monotonic() - began_s)
    print(f"changelog       {orders:>10,} orders ({rate:,.0f}/s): {total / 1e6:8.1f} MB ({each})", flush=True)
    return total


async def _recovered(settings: Settings) -> float:
    """Seconds that one worker takes to read everything back."""
    worker = Measured(settings, ["-m", "app.cli", "worker"])
    try:
        await worker.ready(600)
        return await asyncio.to_thread(worker.metric, "oms_recovery_seconds")
    finally:
        await worker.stop()
