"""A real system on the real broker: green as it works, red when it is stopped or falsified."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from app.market.generator import generate
from app.market.seed import seed
from app.settings import Settings
from app.submit.generate import OrderFile
from app.submit.lines import FieldError, parse
from app.submit.submit import Summary, chunked, submit
from app.topics import prepare
from app.verify.check import Check, Outcome
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


async def ordered(settings: Settings, count: int, number: int, wait: str = "accepted") -> Summary:
    """Submits generated lines, those that make a message."""
    said = []
    for line in OrderFile(number).lines(count):
        try:
            said.append(parse(line))
        except FieldError:
            continue
    return await submit(settings, chunked(said), wait=wait, timeout_s=60)


async def verified(settings: Settings, grace_s: float = 30.0, *, storage: bool = False) -> Outcome:
    return await Check(settings, grace_s, lambda stage, done, total: None).run(storage)


async def doubled(settings: Settings, short: str, wanted: bytes) -> None:
    """Writes a record of a topic that contains these bytes a second time."""
    partitions = [TopicPartition(settings.topic(short), lane) for lane in range(settings.partitions)]
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
    await consumer.start()
    await producer.start()
    try:
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        async for record in consumer:
            if wanted in record.value:
                await producer.send_and_wait(record.topic, record.value, record.key, record.partition)
                return
    finally:
        await consumer.stop()
        await producer.stop()


async def poison(settings: Settings) -> None:
    """Bytes that are no record, into each lane."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
    await producer.start()
    try:
        for lane in range(settings.partitions):
            for value in (b"nonsense", None, b"\0\0\x0f\x42\x40abc"):
                await producer.send_and_wait(settings.topic("orders"), value, b"k", lane)
    finally:
        await producer.stop()


async def misrouted(settings: Settings) -> None:
    """The first readable request of lane 0 once more, in every lane."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka)
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka)
    await consumer.start()
    await producer.start()
    try:
        consumer.assign([TopicPartition(settings.topic("orders"), 0)])
        await consumer.seek_to_beginning()
        record = await consumer.getone()
        for lane in range(settings.partitions):
            await producer.send_and_wait(record.topic, record.value, record.key, lane)
    finally:
        await consumer.stop()
        await producer.stop()


async def test_a_real_history_is_green_until_it_is_falsified(settings: Settings, tmp_path: Path) -> None:
    async with system(settings, tmp_path) as worker:
        summary = await ordered(settings, 1000, 5)
        assert summary.unanswered == 0
        await misrouted(settings)
        await poison(settings)
        green = await verified(settings, storage=True)
        assert [violation.text for violation in green.findings.shown] == []
        assert green.findings.notes == []
        assert green.totals["trades"] > 100
        assert green.totals["records"]["dead-letters"] == 12
        assert set(green.findings.checked) == {*(f"I{n}" for n in range(1, 11)), "I12", "storage"}
        _the_command_says_so_too(settings)

        worker.kill()
        await ordered(settings, 20, 6, wait="none")
        stopped = await verified(settings, 0.1)
        assert stopped.findings.red() == {"I1", "I12"}

        await doubled(settings, "events", b"AAPL-1")
        await doubled(settings, "trades", b"AAPL-1")
        falsified = await verified(settings, 0.1)
        assert {"I1", "I2", "I5", "I12"} <= falsified.findings.red()
        shown = next(found for found in falsified.findings.shown if found.invariant == "I5")
        assert [falsified.records[place].message["trade_id"] for place in shown.places][-1] == "AAPL-1"


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


async def test_topics_that_are_not_there_cannot_be_verified(settings: Settings) -> None:
    with pytest.raises(CannotVerify, match="oms topics create"):
        await verified(settings)


async def test_without_kafka_nothing_can_be_verified() -> None:
    settings = Settings(kafka="127.0.0.1:1", registry="http://127.0.0.1:1")
    with pytest.raises(CannotVerify, match="does not answer"):
        await verified(settings)
