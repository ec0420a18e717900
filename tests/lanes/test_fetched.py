"""What lanes fetch is what aiokafka's consumer hands over, record by record, on a real broker."""

import asyncio
import gc
import random
import weakref
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED
from aiokafka.errors import CorruptRecordException
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.memory_records import MemoryRecords

from app.lanes.fetched import _AsParsed, hand_over_as_parsed, read_as_parsed
from app.settings import Settings
from app.topics import prepare


async def fill(settings: Settings, place: TopicPartition, seed: int) -> None:
    """Batches of clients, committed ones and aborted ones of two producers, in each other's midst."""
    chance = random.Random(seed)
    plain = AIOKafkaProducer(bootstrap_servers=settings.endpoint("kafka"))
    lanes = [
        AIOKafkaProducer(bootstrap_servers=settings.endpoint("kafka"), transactional_id=f"{place.topic}-{i}")
        for i in range(2)
    ]
    for producer in (plain, *lanes):
        await producer.start()
    for number in range(40):
        if chance.random() < 0.3:
            await batch(plain, place, f"plain-{number}", chance.randrange(1, 5))
            continue
        open_now = chance.sample(lanes, chance.randrange(1, 3))
        for producer in open_now:
            await producer.begin_transaction()
        for _ in range(3):
            for each, producer in enumerate(open_now):
                await batch(producer, place, f"lane-{number}-{each}", chance.randrange(1, 5))
        for producer in open_now:
            ended = producer.commit_transaction if chance.random() < 0.5 else producer.abort_transaction
            await ended()
    for producer in (plain, *lanes):
        await producer.stop()


async def batch(producer: AIOKafkaProducer, place: TopicPartition, name: str, count: int) -> None:
    """One batch of so many records."""
    built = producer.create_batch()
    for number in range(count):
        built.append(key=name.encode(), value=str(number).encode(), timestamp=None)
    await (await producer.send_batch(built, place.topic, partition=place.partition))


async def read(
    settings: Settings, place: TopicPartition, isolation: str, start: int, end: int, ours: bool
) -> list[tuple[int, int, bytes, bytes]]:
    """What a reader gets from an offset until its position passes another."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.endpoint("kafka"), isolation_level=isolation, max_partition_fetch_bytes=700
    )
    await consumer.start()
    found: list[Any] = []
    try:
        consumer.assign([place])
        consumer.seek(place, start)
        while await consumer.position(place) < end:
            if ours:
                got = await read_as_parsed(consumer, [place], wait_s=0.2)
                assert all(not hasattr(record, "topic") for record in got.get(place, []))
            else:
                got = await consumer.getmany(place, timeout_ms=200)
            found += got.get(place, [])
    finally:
        await consumer.stop()
    return [(record.offset, record.timestamp, record.key, record.value) for record in found]


@pytest.mark.parametrize("isolation", ["read_committed", "read_uncommitted"])
async def test_the_same_records_from_any_offset(settings: Settings, isolation: str) -> None:
    await prepare(settings)
    place = TopicPartition(settings.topic("events"), 0)
    seed = random.randrange(1_000_000)
    print(f"seed {seed}")
    await fill(settings, place, seed)
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.endpoint("kafka"))
    await consumer.start()
    end = (await consumer.end_offsets([place]))[place]
    await consumer.stop()
    everything = await read(settings, place, isolation, 0, end, ours=False)
    names = {key.decode().split("-")[0] for _, _, key, _ in everything}
    assert names == {"plain", "lane"}
    for start in (0, *random.Random(seed).sample(range(1, end), 6)):
        expected = [record for record in everything if record[0] >= start]
        assert await read(settings, place, isolation, start, end, ours=True) == expected, f"from {start}"


async def test_what_was_handed_over_goes_without_the_collector_of_garbage(settings: Settings) -> None:
    await prepare(settings)
    place = TopicPartition(settings.topic("events"), 0)
    producer = AIOKafkaProducer(bootstrap_servers=settings.endpoint("kafka"))
    await producer.start()
    await batch(producer, place, "one", 3)
    await producer.stop()
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.endpoint("kafka"))
    await consumer.start()
    gc.disable()
    try:
        consumer.assign([place])
        consumer.seek(place, 0)
        await asyncio.wait([consumer._fetcher._create_fetch_waiter()], timeout=10)
        hand_over_as_parsed(consumer)
        fetched = weakref.ref(consumer._fetcher._records[place]._partition_records)
        assert isinstance(fetched(), _AsParsed)
        records = (await consumer.getmany(place, timeout_ms=0))[place]
        assert (len(records), fetched()) == (3, None)
    finally:
        gc.enable()
        await consumer.stop()


def test_what_is_damaged_is_told() -> None:
    place = TopicPartition("events", 0)
    built = BatchBuilder(10_000, 0, is_transactional=False)
    built.append(timestamp=1, key=b"key", value=b"value")
    whole = bytes(built._build())
    for damaged in (False, True):
        body = whole[:-2] + bytes((whole[-2] ^ damaged, whole[-1]))
        fetched = _AsParsed(place, MemoryRecords(body), [], 0, None, None, True, READ_COMMITTED)
        if damaged:
            with pytest.raises(CorruptRecordException, match="Invalid CRC"):
                list(fetched)
        else:
            assert [(record.key, record.value) for record in fetched] == [(b"key", b"value")]
