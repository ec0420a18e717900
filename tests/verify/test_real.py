"""A real system on the real broker: green as it works, red when it is stopped or falsified."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psycopg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from app.market.generator import generate
from app.market.seed import seed
from app.settings import Settings
from app.submit.generate import OrderFile
from app.submit.lines import FieldError, parse
from app.submit.submit import Summary, Wait, chunked, submit
from app.topics import prepare
from app.verify.check import Asked, Check, Outcome
from app.verify.log import CannotVerify
from tests.market.conftest import environment
from tests.sink_process import SinkProcess


@asynccontextmanager
async def system(settings: Settings, home: Path) -> AsyncIterator[SinkProcess]:
    """A worker and a storage with seeded accounts and quotes; gives the worker."""
    await prepare(settings)
    worker, storage = SinkProcess("worker", settings, home), SinkProcess("storage", settings, home)
    try:
        await worker.ready(60)
        await storage.ready()
        await seed(settings, 30)
        await generate(settings, rate=0, seed=7, count=200, progress=lambda done: None)
        yield worker
    finally:
        worker.kill()
        storage.kill()


async def ordered(settings: Settings, count: int, number: int, wait: Wait = "accepted") -> Summary:
    """Submits generated lines, those that make a message."""
    said = []
    for line in OrderFile(number).lines(count):
        try:
            said.append(parse(line))
        except FieldError:
            continue
    return await submit(settings, chunked(said), wait=wait, timeout_s=60)


async def verified(settings: Settings, grace_s: float = 30.0, *, storage: bool = False) -> Outcome:
    return await Check(settings, grace_s, lambda stage, done, total: None).run(Asked(storage=storage))


async def doubled(settings: Settings, short: str, where: str) -> str:
    """Writes a record of a topic a second time, the first one of its table that is so; its order or trade."""
    table, name = {"events": ("order_events", "order_id"), "trades": ("trades", "trade_id")}[short]
    with psycopg.connect(settings.postgres) as connection:
        query = f"SELECT partition, log_offset, {name} FROM {table} WHERE {where} LIMIT 1"
        found = connection.execute(query.encode()).fetchone()
    assert found is not None
    partition, offset, named = found
    record = await record_at(settings, short, partition, offset)
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka) as producer:
        await producer.send_and_wait(record.topic, record.value, record.key, partition)
    return str(named)


async def record_at(settings: Settings, short: str, partition: int, offset: int) -> ConsumerRecord:
    """The record at a place, or the first one after it."""
    place = TopicPartition(settings.topic(short), partition)
    async with AIOKafkaConsumer(bootstrap_servers=settings.kafka) as consumer:
        consumer.assign([place])
        consumer.seek(place, offset)
        return await consumer.getone()


async def poison(settings: Settings) -> None:
    """Into each lane: bytes that are no record, and the first request of lane 0 once more."""
    record = await record_at(settings, "orders", 0, 0)
    async with AIOKafkaProducer(bootstrap_servers=settings.kafka) as producer:
        for lane in range(settings.partitions):
            for value in (b"nonsense", None, b"\0\0\x0f\x42\x40abc", record.value):
                await producer.send_and_wait(record.topic, value, b"k", lane)


async def test_a_real_history_is_green_until_it_is_falsified(settings: Settings, tmp_path: Path) -> None:
    async with system(settings, tmp_path) as worker:
        summary = await ordered(settings, 1000, 5)
        assert summary.unanswered == 0
        await poison(settings)
        green = await verified(settings, storage=True)
        assert [violation.text for violation in green.findings.shown] == []
        assert green.findings.notes == []
        assert green.totals["trades"] > 100
        assert green.totals["records"]["dead-letters"] == 12
        assert set(green.findings.checked) == {*(f"I{n}" for n in range(1, 11)), "I12", "storage"}
        _the_command_says_so_too(settings)
        _falsify_storage(settings)
        wrong = await verified(settings, 0.5, storage=True)
        assert wrong.findings.red() == {"storage"}
        assert {found.text.split(",")[0] for found in wrong.findings.shown} == {
            "table orders",
            "table trades",
        }

        worker.kill()
        await ordered(settings, 20, 6, wait="none")
        stopped = await verified(settings, 0.1)
        assert stopped.findings.red() == {"I1", "I12"}

        finished = "event = 'accepted' AND order_id IN (SELECT order_id FROM orders WHERE status = 'filled')"
        order_id = await doubled(settings, "events", finished)
        trade_id = await doubled(settings, "trades", "sequence = 1")
        falsified = await verified(settings, 0.1)
        assert falsified.findings.red() >= {"I1", "I2", "I5", "I12"}
        assert order_id in {found.order_id for found in falsified.findings.shown if found.invariant == "I2"}
        assert len(falsified.histories[order_id]) > 2
        (shown,) = (found for found in falsified.findings.shown if found.invariant == "I5")
        assert falsified.records[shown.places[-1]].message["trade_id"] == trade_id


def _the_command_says_so_too(settings: Settings) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "app.cli", "verify", "--json"],
        env=environment(settings),
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["verdict"] == "green"


def _falsify_storage(settings: Settings) -> None:
    """One order is in another state, one trade is gone."""
    with psycopg.connect(settings.postgres) as connection:
        for table, change in (
            ("orders", "UPDATE orders SET version = version + 1"),
            ("trades", "DELETE FROM trades"),
        ):
            connection.execute(f"{change} WHERE ctid = (SELECT min(ctid) FROM {table})".encode())


async def test_topics_that_are_not_there_cannot_be_verified(settings: Settings) -> None:
    with pytest.raises(CannotVerify, match="oms topics create"):
        await verified(settings)


async def test_without_kafka_nothing_can_be_verified() -> None:
    settings = Settings(kafka="127.0.0.1:1", registry="http://127.0.0.1:1")
    with pytest.raises(CannotVerify, match="does not answer"):
        await verified(settings)
