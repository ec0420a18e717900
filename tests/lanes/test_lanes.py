"""Lanes on a real broker: whatever dies, every request is answered once and every trade is there once."""

import asyncio
import signal
from collections import Counter
from itertools import islice

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition

from app.chaos.proxy import Link
from app.local.ports import HOST, any_free
from app.settings import Settings
from app.topics import prepare
from app.writer import TopicWriter
from schemas.codec import Codec
from schemas.numbers import ONE
from schemas.partitioning import lane_of
from schemas.records import Said
from tests.bench.workload import ENTERED, MID_E8, SYMBOLS, requests
from tests.lanes.workers import answers, read_all, set_up, until_answered, workers, write

COUNT = 3000


def order(name: str, account: str = "BENCH-001", **changes: object) -> Said:
    """A limit order that rests."""
    message = {
        "account": account,
        "client_order_id": name,
        "symbol": SYMBOLS[0],
        "side": "buy",
        "order_type": "limit",
        "quantity": ONE,
        "limit_price": MID_E8 - ONE,
        "time_in_force": "gtc",
        **ENTERED,
        **changes,
    }
    return "NewOrder", message


async def steadily(settings: Settings, said: list[Said], seconds: float) -> None:
    """Writes requests in twenty portions over some seconds."""
    async with TopicWriter(settings) as writer:
        step = max(1, len(said) // 20)
        for begin in range(0, len(said), step):
            await writer.send_many(said[begin : begin + step])
            await asyncio.sleep(seconds / 20)


async def assert_exact(settings: Settings, count: int) -> None:
    """Each request answered once; trades gapless by symbol, each with both its sides, each once."""
    found = await until_answered(settings, count)
    assert [request for request, times in found.items() if times != 1] == []
    trades = [record.message for record in await read_all(settings, "trades")]
    by_symbol = Counter(trade["symbol"] for trade in trades)
    assert len({trade["trade_id"] for trade in trades}) == len(trades) > 0
    assert {(trade["symbol"], trade["sequence"]) for trade in trades} == {
        (symbol, number) for symbol, total in by_symbol.items() for number in range(1, total + 1)
    }
    fills = Counter(
        record.message["trade_id"]
        for record in await read_all(settings, "events")
        if record.kind == "OrderEvent" and record.message["event"] == "trade"
    )
    assert fills == {trade["trade_id"]: 2 for trade in trades}


async def test_every_request_is_answered_once_though_the_worker_is_killed(settings: Settings) -> None:
    async with workers(settings) as running:
        await set_up(settings)
        worker = await running.start()
        sending = asyncio.create_task(steadily(settings, list(requests(COUNT)), 8))
        for _ in range(3):
            await asyncio.sleep(1.5)
            await worker.kill()
            worker = await running.start()
        await sending
        await assert_exact(settings, COUNT)


async def test_a_worker_that_was_stopped_and_continued_adds_nothing(settings: Settings) -> None:
    async with workers(settings) as running:
        await set_up(settings)
        zombie = await running.start()
        sending = asyncio.create_task(steadily(settings, list(requests(COUNT)), 9))
        await asyncio.sleep(1.5)
        zombie.send(signal.SIGSTOP)
        await running.start()
        await asyncio.sleep(4)
        zombie.send(signal.SIGCONT)
        # In a cycle, it is fenced and ends; between two, it joins again and reads its lanes anew.
        await sending
        await assert_exact(settings, COUNT)
        assert zombie.process.poll() in (None, 71), zombie.text()


async def test_lanes_move_when_workers_come_and_go(settings: Settings) -> None:
    async with workers(settings) as running:
        await set_up(settings)
        first = await running.start()
        sending = asyncio.create_task(steadily(settings, list(requests(COUNT)), 9))
        second = await running.start()
        await asyncio.sleep(1)
        third = running.begin()
        await third.ready()
        second.send(signal.SIGTERM)
        assert await second.ended() == 0, second.text()
        await third.kill()
        await sending
        await assert_exact(settings, COUNT)
        first.send(signal.SIGTERM)
        assert await first.ended() == 0, first.text()


async def test_a_request_in_a_wrong_partition_is_forwarded_once_and_answered(settings: Settings) -> None:
    codec = Codec(await prepare(settings))
    async with workers(settings) as running:
        await set_up(settings)
        kind, message = order("astray")
        right = lane_of(message["account"], settings.partitions)
        producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
        await producer.start()
        wrong = (right + 1) % settings.partitions
        await producer.send_and_wait(settings.topic("orders"), codec.encode(kind, message), b"any", wrong)
        await producer.stop()
        await running.start()
        found = await until_answered(settings, 1)
        assert sum(found.values()) == 1
        copies = [r for r in await read_all(settings, "orders") if r.partition == right]
        assert [r.message["client_order_id"] for r in copies] == ["astray"]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (b"no avro at all", "DECODE_NOT_FRAMED"),
        (None, "DECODE_NOT_FRAMED"),
        (b"\0\x7f\xff\xff\xf0body", "DECODE_UNKNOWN_SCHEMA"),
        ("truncated", "DECODE_FAILED"),
        ("trailing", "DECODE_FAILED"),
        ("trade", "DECODE_WRONG_RECORD"),
        ("huge", "DECODE_TOO_LARGE"),
    ],
)
async def test_what_cannot_be_taken_becomes_a_dead_letter_and_neighbours_are_answered(
    settings: Settings, bad: bytes | str | None, reason: str
) -> None:
    codec = Codec(await prepare(settings))
    before, after = codec.encode(*order("before")), codec.encode(*order("after"))
    values = {
        "truncated": before[:-4],
        "trailing": before + b"\0",
        "huge": before + b"\0" * 100_000,
        "trade": codec.encode("ReferencePrice", {"symbol": SYMBOLS[0], "price": ONE, "at_us": 1}),
    }
    value = values[bad] if isinstance(bad, str) else bad
    lane = lane_of("BENCH-001", settings.partitions)
    async with workers(settings) as running:
        await set_up(settings)
        producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
        await producer.start()
        for each in (before, value, after):
            await producer.send_and_wait(settings.topic("orders"), each, b"k", lane)
        await producer.stop()
        await running.start()
        found = await until_answered(settings, 2)
        assert found == {("BENCH-001", 0): 1, ("BENCH-001", 2): 1}
        (letter,) = await read_all(settings, "dead-letters")
        assert letter.message["reason"] == reason
        assert letter.message["value"] == value
        assert (letter.message["partition"], letter.message["offset"]) == (lane, 1)


async def test_many_new_schemas_without_a_registry_stop_nobody(settings: Settings) -> None:
    """Each waited for by itself, they would take longer than a cycle may, again after every restart."""
    codec = Codec(await prepare(settings))
    lane = lane_of("BENCH-001", settings.partitions)
    link = Link(any_free(), int(settings.registry.rpartition(":")[2]))
    await link.start()
    async with workers(settings) as running:
        await set_up(settings)
        worker = await running.start(OMS_REGISTRY=f"http://{HOST}:{link.port}", OMS_CYCLE_TIMEOUT_S="8")
        link.set("cut")
        new = [b"\0\x7f\xff\xff" + bytes((number,)) + b"body" for number in range(8)]
        producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
        await producer.start()
        batch = producer.create_batch()
        for value in (codec.encode(*order("before")), *new, codec.encode(*order("after"))):
            batch.append(key=b"k", value=value, timestamp=None)
        await (await producer.send_batch(batch, settings.topic("orders"), partition=lane))
        await producer.stop()
        assert set(await until_answered(settings, 2)) == {("BENCH-001", 0), ("BENCH-001", 9)}
        letters = [record.message for record in await read_all(settings, "dead-letters")]
        assert [letter["value"] for letter in letters] == new
        assert {letter["reason"] for letter in letters} == {"DECODE_REGISTRY_UNAVAILABLE"}
        assert worker.process.poll() is None, worker.text()
    await link.stop()


async def test_a_stopped_worker_has_answered_all_that_it_took(settings: Settings) -> None:
    async with workers(settings) as running:
        await set_up(settings)
        worker = await running.start()
        await write(settings, islice(requests(10_000), 1000))
        worker.send(signal.SIGTERM)
        assert await worker.ended() == 0, worker.text()
        answered = await answers(settings)
        assert set(answered.values()) <= {1}
        await running.start()
        found = await until_answered(settings, 1000)
        assert set(found.values()) == {1}


async def test_what_a_dead_worker_left_open_is_stepped_over(settings: Settings) -> None:
    """An abort leaves records that nobody may see, or a marker alone: a position that moves by itself."""
    codec = Codec(await prepare(settings))
    lanes = range(settings.partitions)
    dead = AIOKafkaProducer(bootstrap_servers=settings.kafka, transactional_id=f"{settings.app_id}-dead")
    await dead.start()
    for sends in (True, False):
        await dead.begin_transaction()
        for short in ("orders", "cleared", "executions", "control"):
            for lane in lanes:
                if sends:
                    value = codec.encode(*order("aborted"))
                    await dead.send_and_wait(settings.topic(short), value, b"k", lane)
                else:
                    partition = TopicPartition(settings.topic(short), lane)
                    dead._txn_manager.maybe_add_partition_to_txn(partition)
        await asyncio.sleep(0.2)
        await dead.abort_transaction()
    await dead.stop()
    async with workers(settings) as running:
        worker = await running.start()
        await set_up(settings)
        await write(settings, list(requests(200)))
        found = await until_answered(settings, 200)
        assert set(found.values()) == {1}
        assert worker.process.poll() is None, worker.text()
