"""A lane's producer on a real broker: Kafka's second transaction protocol."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import (
    ConcurrentTransactions,
    CoordinatorLoadInProgressError,
    IncompatibleBrokerVersion,
    InvalidProducerEpoch,
    ProducerFenced,
)
from aiokafka.producer.message_accumulator import BatchBuilder

from app.lanes import producer as module
from app.lanes import protocol
from app.lanes.producer import LaneProducer
from app.settings import Settings
from app.topics import prepare

GROUP = "group-of-a-lane"


@asynccontextmanager
async def lane_producer(settings: Settings) -> AsyncIterator[LaneProducer]:
    """A producer whose topics exist."""
    await prepare(settings)
    producer = LaneProducer(settings.endpoint("kafka"), f"{settings.app_id}-0")
    try:
        await producer.start()
        yield producer
    finally:
        await producer.stop()


def filled(producer: LaneProducer, *values: bytes) -> list[BatchBuilder]:
    """Batches of records of these values."""
    filling = producer.filling()
    for value in values:
        filling.add(1, b"key", value)
    return filling.take()


async def cycle(producer: LaneProducer, place: TopicPartition, offset: int) -> None:
    """A transaction with one record and one input offset."""
    await producer.begin_transaction()
    [batch] = filled(producer, b"value")
    written = await producer.send_batch(batch, place.topic, partition=place.partition)
    await producer.send_offsets_to_transaction({place: offset}, GROUP)
    await written
    await producer.commit_transaction()


async def told(producer: LaneProducer, request: Any) -> Any:
    """What the broker answers to a request of one's own."""
    return await producer.client.send(producer.client.get_random_node(), request)


def write(producer: LaneProducer, place: TopicPartition, producer_id: int, epoch: int) -> protocol.Produce:
    """A request to write a record in a transaction of that epoch."""
    [batch] = filled(producer, b"late")
    # The next one of the partition: not one that was written already.
    batch._set_producer_state(producer_id, epoch, 1)
    written = (place.partition, bytes(batch._build()))
    return protocol.Produce(producer._txn_manager.transactional_id, 1_000, {place.topic: [written]})


async def end(settings: Settings, place: TopicPartition) -> int:
    """The end of a partition, whether what is there is committed or not."""
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.endpoint("kafka"))
    await consumer.start()
    try:
        return int((await consumer.end_offsets([place]))[place])
    finally:
        await consumer.stop()


async def committed(settings: Settings, place: TopicPartition) -> tuple[list[bytes | None], int]:
    """What readers of committed records see once nothing is open, and where the group goes on."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.endpoint("kafka"),
        isolation_level="read_committed",
        group_id=GROUP,
        enable_auto_commit=False,
    )
    await consumer.start()
    try:
        consumer.assign([place])
        consumer.seek(place, 0)
        until, found = await end(settings, place), []
        while await consumer.position(place) < until:
            found += (await consumer.getmany(timeout_ms=200)).get(place, ())
        return [record.value for record in found], int(await consumer.committed(place) or 0)
    finally:
        await consumer.stop()


async def test_each_transaction_has_an_epoch_of_its_own(settings: Settings) -> None:
    place = TopicPartition(settings.topic("events"), 0)
    async with lane_producer(settings) as producer:
        manager = producer._txn_manager
        first = manager.producer_epoch
        for offset in range(1, 6):
            await cycle(producer, place, offset)
        assert manager.producer_epoch == first + 5
        await producer.begin_transaction()
        await producer.commit_transaction()
        assert manager.producer_epoch == first + 5, "nothing was said of an empty one"
    assert await committed(settings, place) == ([b"value"] * 5, 5)


async def test_a_write_that_comes_after_its_transaction_is_refused(settings: Settings) -> None:
    """KIP-890: it would have hung, or become part of the next transaction."""
    place = TopicPartition(settings.topic("events"), 0)
    async with lane_producer(settings) as producer:
        manager = producer._txn_manager
        was = manager.producer_id, manager.producer_epoch
        await cycle(producer, place, 1)
        await cycle(producer, place, 2)
        late = await told(producer, write(producer, place, *was))
        assert late.topics[0][1][0][1] == InvalidProducerEpoch.errno
        # Of another partition, too, which the transaction never had.
        elsewhere = TopicPartition(settings.topic("trades"), 1)
        late = await told(producer, write(producer, elsewhere, *was))
        assert late.topics[0][1][0][1] == InvalidProducerEpoch.errno
    assert await committed(settings, place) == ([b"value"] * 2, 2)
    assert await committed(settings, elsewhere) == ([], 0)


async def test_a_commit_whose_answer_was_lost_is_asked_for_again(settings: Settings) -> None:
    place = TopicPartition(settings.topic("events"), 0)
    async with lane_producer(settings) as producer:
        manager = producer._txn_manager
        was = manager.producer_id, manager.producer_epoch
        await cycle(producer, place, 1)
        again = None
        # Not before markers are written.
        while again is None or again.error_code == ConcurrentTransactions.errno:
            again = await told(producer, protocol.EndTxn(manager.transactional_id, *was, True))
        assert (again.error_code, again.producer_id, again.producer_epoch) == (
            0,
            manager.producer_id,
            manager.producer_epoch,
        )
        await cycle(producer, place, 2)
    assert await committed(settings, place) == ([b"value"] * 2, 2)


async def test_a_fenced_producer_can_add_nothing(settings: Settings) -> None:
    place = TopicPartition(settings.topic("events"), 0)
    async with lane_producer(settings) as former:
        await cycle(former, place, 1)
        async with lane_producer(settings) as owner:
            await cycle(owner, place, 2)
            with pytest.raises(ProducerFenced):
                await cycle(former, place, 3)
            assert await committed(settings, place) == ([b"value"] * 2, 2)


async def test_what_was_open_is_aborted_by_the_next_owner_and_can_not_be_ended(settings: Settings) -> None:
    place = TopicPartition(settings.topic("events"), 0)
    async with lane_producer(settings) as former:
        await former.begin_transaction()
        [batch] = filled(former, b"lost")
        await (await former.send_batch(batch, place.topic, partition=place.partition))
        async with lane_producer(settings) as owner:
            with pytest.raises(ProducerFenced):
                await former.commit_transaction()
            await cycle(owner, place, 1)
    assert await committed(settings, place) == ([b"value"], 1)


NOT_YET = [ConcurrentTransactions.errno, CoordinatorLoadInProgressError.errno]


async def test_a_write_that_must_wait_is_tried_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a broker answers when markers take long, and quick tries are used up."""
    place = TopicPartition(settings.topic("events"), 0)
    waiting = {protocol.Produce: list(NOT_YET), protocol.TxnOffsetCommit: list(NOT_YET)}
    async with lane_producer(settings) as producer:
        monkeypatch.setattr(module, "QUICK_TRIES", 0)
        send = producer.client.send

        async def held_up(node: int, request: Any, **more: Any) -> Any:
            codes = waiting.get(type(request))
            if not codes:
                return await send(node, request, **more)
            code = codes.pop()
            if isinstance(request, protocol.Produce):
                return protocol.ProduceResponse([(place.topic, [(0, code, 0, 0, 0, [], "", {})], {})], 0, {})
            return protocol.TxnOffsetCommitResponse(0, [(place.topic, [(0, code, {})], {})], {})

        monkeypatch.setattr(producer.client, "send", held_up)
        await cycle(producer, place, 1)
    assert waiting == {protocol.Produce: [], protocol.TxnOffsetCommit: []}
    assert await committed(settings, place) == ([b"value"], 1)


async def test_a_cluster_of_the_first_protocol_is_refused_with_what_to_do_and_nobody_is_fenced(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = TopicPartition(settings.topic("events"), 0)
    async with lane_producer(settings) as owner:
        monkeypatch.setattr(protocol, "NEEDED", 99)
        with pytest.raises(IncompatibleBrokerVersion, match=r"transaction\.version 2, .* need 99.*upgrade"):
            async with lane_producer(settings):
                pass
        await cycle(owner, place, 1)


async def test_batches_are_filled_to_their_limit_and_no_further(settings: Settings) -> None:
    async with lane_producer(settings) as producer:
        batches = filled(producer, *[bytes(100_000)] * 20)
        assert [batch.record_count() for batch in batches] == [8, 8, 4]
        [batch] = filled(producer, bytes(1_000_000))
        assert batch.record_count() == 1, "too large for a batch: the broker may decide"
        assert producer.filling().take() == []


async def test_what_is_filled_between_transactions_is_written_in_its_order(settings: Settings) -> None:
    place = TopicPartition(settings.topic("events"), 0)
    async with lane_producer(settings) as producer:
        filling = producer.filling()
        expected: list[bytes] = []
        for size in (1, 3, 12):
            values = [bytes([len(expected) + number]) * 100_000 for number in range(size)]
            for value in values:
                filling.add(1, b"k", value)
            await producer.begin_transaction()
            written = [
                await producer.send_batch(batch, place.topic, partition=place.partition)
                for batch in filling.take()
            ]
            for each in written:
                await each
            await producer.commit_transaction()
            expected += values
    assert (await committed(settings, place))[0] == expected
