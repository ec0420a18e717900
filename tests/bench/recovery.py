"""Recovery of changelogs in rows a second, and what a resting order weighs in a worker."""

import asyncio
import gc
import os
import statistics
import time
from pathlib import Path

import psutil
from aiokafka import AIOKafkaProducer, TopicPartition

from app.lanes.changelog import load
from app.settings import Settings
from app.topics import prepare
from schemas.codec import Codec
from schemas.numbers import ONE
from schemas.topics import changelog_name
from tables.accounts import Accounts
from tables.matching import Matching
from tables.reference import Instruments, ReferencePrices
from tests.bench import native
from tests.bench.system import Bench
from tests.bench.workload import MID_E8, SYMBOLS, TICK_E8, setup


def book_order_row(number: int) -> dict[str, object]:
    """Row of a resting order, half of them on each side."""
    side = "buy" if number % 2 else "sell"
    away = (1 + number % 500) * TICK_E8
    return {
        "symbol": SYMBOLS[number % len(SYMBOLS)],
        "account": f"BENCH-{number % 200:03d}",
        "client_order_id": f"recovery-{number}",
        "entry_id": "",
        "order_id": f"ORDER{number:011d}",
        "side": side,
        "order_type": "limit",
        "time_in_force": "gtc",
        "quantity": 10 * ONE,
        "limit_price": MID_E8 + (away if side == "sell" else -away),
        "cum_quantity": 0,
        "cum_notional": 0,
        "arrival": number,
        "version": 1,
        "entered_by": "",
        "door": "kafka",
    }


async def report(bench: Bench, runs: int, rows: int) -> dict[str, float]:
    """Writes `rows` rows of resting orders once; processes of each kind of code load them `runs` times."""
    settings = bench.settings("recovery")
    codec = Codec(await prepare(settings))
    topic = changelog_name(settings.app_id, "matching")
    await _write(settings.kafka, topic, settings.partitions, codec, rows)
    homes, where = native.kinds(), (str(bench.home), bench.kafka, bench.registry, rows)
    loads: dict[str, list[dict[str, float]]] = {kind: [] for kind in homes}
    for _ in range(runs):
        for kind, home in homes.items():
            loads[kind].append(
                await asyncio.to_thread(native.answer, home, "tests.bench.recovery", "loaded", *where)
            )
    found: dict[str, float] = {}
    for kind, of_kind in loads.items():
        rate, weight = (statistics.median(load[name] for load in of_kind) for name in ("rate", "bytes"))
        account_bytes = await asyncio.to_thread(
            native.answer, homes[kind], "tests.bench.recovery", "account_order_bytes", min(rows, 100_000)
        )
        print(
            f"recovery, {kind:<14}{rate:>12,.0f} rows/s   resting order: {weight:.0f} bytes in matching, "
            f"{account_bytes:.0f} in accounts   [want >= 150,000 rows/s, <= 1,024 bytes]"
        )
        found |= {f"{kind}_rows_per_s": rate, f"{kind}_bytes_per_order": weight + account_bytes}
    return found


def loaded(home: str, kafka: str, registry: str, rows: int) -> dict[str, float]:
    """Rows a second of one load of what `report` wrote, and what each weighs afterwards."""
    return asyncio.run(_loaded(Bench(Path(home), kafka, registry).settings("recovery"), rows))


async def _loaded(settings: Settings, rows: int) -> dict[str, float]:
    codec = Codec(await prepare(settings))
    instruments = Instruments()
    for kind, message in setup(settings.partitions):
        if kind == "Instrument":
            instruments.put(message)
    topic = changelog_name(settings.app_id, "matching")
    tables = {TopicPartition(topic, lane): Matching(lane, instruments) for lane in range(settings.partitions)}
    gc.collect()
    before = psutil.Process(os.getpid()).memory_info().rss
    began_s = time.perf_counter()
    await load(settings.kafka, tables, codec)
    rate = rows / (time.perf_counter() - began_s)
    gc.collect()
    return {"rate": rate, "bytes": (psutil.Process(os.getpid()).memory_info().rss - before) / rows}


async def _write(kafka: str, topic: str, partitions: int, codec: Codec, rows: int) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=kafka, max_batch_size=900_000)
    await producer.start()
    sent, batches = [], {lane: producer.create_batch() for lane in range(partitions)}
    for number in range(-len(SYMBOLS), rows):
        lane = number % partitions
        key, value = _record(codec, number, rows)
        if batches[lane].append(timestamp=None, key=key, value=value) is None:
            sent.append(await producer.send_batch(batches[lane], topic, partition=lane))
            batches[lane] = producer.create_batch()
            batches[lane].append(timestamp=None, key=key, value=value)
    for lane, batch in batches.items():
        sent.append(await producer.send_batch(batch, topic, partition=lane))
    for future in sent:
        await future
    await producer.stop()


def _record(codec: Codec, number: int, rows: int) -> tuple[bytes, bytes]:
    """The counters of each book first, under negative numbers; then the orders."""
    if number < 0:
        symbol = SYMBOLS[number]
        counters = {"symbol": symbol, "trades": 0, "updates": 0, "arrivals": rows}
        return symbol.encode(), codec.encode("BookRow", counters)
    row = book_order_row(number)
    return f"{row['symbol']}|{row['order_id']}".encode(), codec.encode("BookOrderRow", row)


def account_order_bytes(count: int) -> float:
    """Resident bytes per live order in the accounts table, restored from bytes as a worker does it."""
    codec = Codec({"AccountOrderRow": 1})
    table = Accounts(0, Instruments(), ReferencePrices(), 86_400_000_000, 500)
    gc.collect()
    before = psutil.Process(os.getpid()).memory_info().rss
    for number in range(count):
        table.restore(*codec.decode(codec.encode("AccountOrderRow", account_order_row(number))))
    gc.collect()
    return (psutil.Process(os.getpid()).memory_info().rss - before) / count


def account_order_row(number: int) -> dict[str, object]:
    """Row of the same order in accounts."""
    row = book_order_row(number)
    shared = ("account", "client_order_id", "order_id", "symbol", "side", "order_type", "time_in_force")
    return {
        **{name: row[name] for name in (*shared, "quantity", "limit_price", "entered_by", "door")},
        "body": number * 7919,
        "cum_quantity": 0,
        "cum_notional": 0,
        "reserved": 0,
        "status": "new",
        "reason": "NONE",
        "version": 1,
        "text": "",
        "latest_id": "",
        "replacing": None,
        "finished_us": 0,
        "entered_us": 1,
    }
