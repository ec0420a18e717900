"""A lane's producer on a real broker: transactions begun ahead."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import ProducerFenced

from app.lanes import producer as module
from app.lanes.producer import Item, LaneProducer
from app.settings import Settings
from app.topics import prepare
from tests.sink_process import until

GROUP = "group-of-a-lane"


@asynccontextmanager
async def lane_producer(settings: Settings) -> AsyncIterator[LaneProducer]:
    """A producer whose topics exist."""
    await prepare(settings)
    producer = LaneProducer(settings.endpoint("kafka"), f"{settings.app_id}-0")
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def cycle(producer: LaneProducer, place: TopicPartition, offset: int) -> None:
    """A transaction with one record and one input offset."""
    await producer.begin_transaction()
    batch, _ = producer.filled([(b"key", b"value", [])], 0, 1)
    written = await producer.send_batch(batch, place.topic, partition=place.partition)
    await producer.send_offsets_to_transaction({place: offset}, GROUP)
    await written
    await producer.commit_transaction()


async def end(settings: Settings, place: TopicPartition) -> int:
    """The end of a partition, markers counted."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.endpoint("kafka"))
    await consumer.start()
    try:
        return int((await consumer.end_offsets([place]))[place])
    finally:
        await consumer.stop()


async def _ends_at(settings: Settings, place: TopicPartition, offset: int) -> bool:
    return await end(settings, place) == offset


async def test_a_transaction_begun_ahead_is_used_by_the_next_cycle(settings: Settings) -> None:
    place = TopicPartition(settings.topic("events"), 0)
    async with lane_producer(settings) as producer:
        for offset in range(1, 6):
            await cycle(producer, place, offset)
            await producer.begin_ahead(GROUP)

        async def added() -> bool:
            manager = producer._txn_manager
            return bool(manager.txn_partitions == {place} and manager._txn_consumer_group == GROUP)

        await until(added)
        await producer.end_ahead()
    # A record and a marker each, and the marker of the last one, which was not used.
    assert await end(settings, place) == 5 * 2 + 1


async def test_one_that_stays_unused_is_ended_and_the_next_is_its_own(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "IDLE_S", 0.2)
    place = TopicPartition(settings.topic("events"), 0)
    async with lane_producer(settings) as producer:
        await cycle(producer, place, 1)
        await producer.begin_ahead(GROUP)
        await until(lambda: _ends_at(settings, place, 3))
        await producer.begin_ahead(GROUP)
        assert not producer._txn_manager.is_in_transaction(), "nothing was sent since: nothing is begun"
        await cycle(producer, place, 2)
    assert await end(settings, place) == 3 + 2


async def test_a_fenced_producer_has_nothing_left_to_end_and_can_add_nothing(settings: Settings) -> None:
    place = TopicPartition(settings.topic("events"), 0)
    async with lane_producer(settings) as former:
        await cycle(former, place, 1)
        await former.begin_ahead(GROUP)
        async with lane_producer(settings) as owner:
            await cycle(owner, place, 2)
            with pytest.raises(ProducerFenced):
                await cycle(former, place, 3)


async def test_batches_are_filled_to_their_limit_and_no_further(settings: Settings) -> None:
    async with lane_producer(settings) as producer:
        items: list[Item] = [(b"k", bytes(100_000), [])] * 20
        begins = [0]
        while begins[-1] < len(items):
            batch, begin = producer.filled(items, begins[-1], 1)
            assert batch.record_count() == begin - begins[-1]
            begins.append(begin)
        assert {later - former for former, later in pairwise(begins)} == {8, 4}
        batch, begin = producer.filled([(b"k", bytes(1_000_000), [])], 0, 1)
        assert (batch.record_count(), begin) == (1, 1), "too large for a batch: the broker may decide"
