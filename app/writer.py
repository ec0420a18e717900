"""Writes what comes from outside lanes: requests, quotes, controls and reference data, each to its place.

Rules: the record name fixes the topic, its account or symbol the key, `lane_of` (or the instrument's own
lane) the partition; the producer is idempotent with acks=all, so that retries double nothing. What is
written by one writer to one partition keeps its order. An error after a send means that the outcome is
unknown: the same request may be sent again, its ids make it the same.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaProducer
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.structs import RecordMetadata

from app.lookup import read_instruments
from app.settings import Settings
from schemas.codec import Codec
from schemas.partitioning import lane_of
from schemas.records import Said
from schemas.registry import Registry
from schemas.topics import TOPIC_OF_RECORD

# Below the broker's 1 MiB per batch; large enough that a batch's own costs vanish.
BATCH_BYTES_MAX = 256 * 1024


class Place(NamedTuple):
    """Where a record was written."""

    topic: str
    partition: int
    offset: int


class Route(NamedTuple):
    """Topic of a record name, and the message field that is its key."""

    topic: str
    key: str


class TopicWriter:
    """Encodes, partitions and sends; an async context manager, or `start()` and `stop()`.

    `start` registers the schemas and reads the instruments' lanes; an instrument that is added later by
    another writer is found by the hash of its symbol, and workers forward what came to a wrong lane.
    """

    def __init__(self, settings: Settings, *, linger_ms: int = 0) -> None:
        self._settings = settings
        self._linger_ms = linger_ms
        self._codec = Codec({})
        self._producer: AIOKafkaProducer | None = None
        self._lanes: dict[str, int] = {}
        self._routes = {
            kind: _route(settings, kind) for kind, topic in TOPIC_OF_RECORD.items() if topic.key != "lane"
        }

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Connects; raises KafkaError or RegistryError where that fails."""
        settings = self._settings
        async with Registry(settings.endpoint("registry")) as registry:
            self._codec = Codec(await registry.register_all(settings.topic_prefix, settings.app_id))
        for instrument in (await read_instruments(settings)).values():
            self._learn_lane(instrument)
        producer = AIOKafkaProducer(
            bootstrap_servers=settings.endpoint("kafka"),
            enable_idempotence=True,
            linger_ms=self._linger_ms,
            max_batch_size=BATCH_BYTES_MAX,
            request_timeout_ms=20_000,
        )
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        self._producer = producer

    async def stop(self) -> None:
        """Sends what waits, then disconnects."""
        if self._producer is not None:
            await self._producer.stop()
            self._producer = None

    def lane(self, kind: str, message: Mapping[str, Any]) -> int:
        """Partition of a message: its instrument's lane, else the hash of its account or symbol."""
        field = self._routes[kind].key
        partitions = self._settings.partitions
        if field == "symbol":
            lane = message["lane"] if kind == "Instrument" else self._lanes.get(message["symbol"])
            if lane is not None and lane < partitions:
                return int(lane)
        return lane_of(message[field], partitions)

    async def send(self, kind: str, message: Mapping[str, Any]) -> RecordMetadata:
        """Writes one message and returns its place once Kafka has it; raises KafkaError."""
        return await (await self.hand_over(kind, message))

    async def hand_over(self, kind: str, message: Mapping[str, Any]) -> "asyncio.Future[RecordMetadata]":
        """Hands one message to the producer, waiting while its batch is full; gives its place to come."""
        value = self._codec.encode(kind, message)
        lane = self.lane(kind, message)
        topic, field = self._routes[kind]
        if kind == "Instrument":
            self._learn_lane(message)
        future: asyncio.Future[RecordMetadata]
        future = await self._started().send(topic, value, message[field].encode(), lane)
        return future

    async def send_many(self, said: Iterable[Said]) -> list[Place]:
        """Writes messages in batches; their places in the order given, once Kafka has all.

        Raises KafkaError.
        """
        return await (await self.post_many(said))()

    async def post_many(self, said: Iterable[Said]) -> Callable[[], Awaitable[list[Place]]]:
        """Hands messages to the producer in batches and returns at once when there is room.

        What it returns gives the places when called and awaited, as `send_many` does. Post from one task
        only, so that records keep their order; awaiting the places may be left to another.
        """
        batches = _Batches(self._started())
        for kind, message in said:
            topic, field = self._routes[kind]
            if kind == "Instrument":
                self._learn_lane(message)
            value = self._codec.encode(kind, message)
            await batches.add(topic, self.lane(kind, message), message[field].encode(), value)
        await batches.post()
        return batches.places

    def _learn_lane(self, instrument: Mapping[str, Any]) -> None:
        if instrument["lane"] is not None:
            self._lanes[instrument["symbol"]] = instrument["lane"]

    def _started(self) -> AIOKafkaProducer:
        assert self._producer is not None, "start() the writer first"
        return self._producer


class _Batches:
    """Batches by partition while they fill, and where each record went."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer
        self._filling: dict[tuple[str, int], tuple[int, BatchBuilder]] = {}
        self._records: list[tuple[int, int]] = []
        self._delivered: dict[int, Awaitable[RecordMetadata]] = {}
        self._count = 0

    async def add(self, topic: str, partition: int, key: bytes, value: bytes) -> None:
        """Appends a record to its partition's batch; a full one is posted first."""
        number, batch = self._batch(topic, partition)
        if batch.append(timestamp=None, key=key, value=value) is None:
            await self._post(topic, partition)
            number, batch = self._batch(topic, partition)
            batch.append(timestamp=None, key=key, value=value)
        self._records.append((number, batch.record_count() - 1))

    async def post(self) -> None:
        """Posts every batch that is still filling."""
        for topic, partition in list(self._filling):
            await self._post(topic, partition)

    async def places(self) -> list[Place]:
        """The place of every record in the order of `add`, once all are delivered."""
        done = dict(zip(self._delivered, await asyncio.gather(*self._delivered.values()), strict=True))
        places = []
        for number, index in self._records:
            first = done[number]
            places.append(Place(first.topic, first.partition, first.offset + index))
        return places

    def _batch(self, topic: str, partition: int) -> tuple[int, BatchBuilder]:
        try:
            return self._filling[topic, partition]
        except KeyError:
            entry = (self._count, self._producer.create_batch())
            self._count += 1
            self._filling[topic, partition] = entry
            return entry

    async def _post(self, topic: str, partition: int) -> None:
        number, batch = self._filling.pop((topic, partition))
        batch.close()
        self._delivered[number] = await self._producer.send_batch(batch, topic, partition=partition)


def _route(settings: Settings, kind: str) -> Route:
    topic = TOPIC_OF_RECORD[kind]
    record = next(record for record in topic.records if record.__name__ == kind)
    key = "account" if "account" in record.__annotations__ and topic.key != "symbol" else "symbol"
    return Route(topic.name(settings.topic_prefix), key)


class Stream:
    """Posts chunk after chunk with only so many unconfirmed; what fails is raised by a later call.

    `confirmed` hears each chunk with the places of its messages, in order.
    """

    def __init__(
        self,
        writer: TopicWriter,
        confirmed: Callable[[Sequence[Said], list[Place]], None] | None = None,
        *,
        ahead: int = 16,
    ) -> None:
        self._writer = writer
        self._confirmed = confirmed
        self._ahead = ahead
        self._waiting: deque[tuple[Sequence[Said], Callable[[], Awaitable[list[Place]]]]] = deque()

    async def post(self, said: Sequence[Said]) -> None:
        """Posts a chunk; first waits for the oldest one when too many are unconfirmed."""
        while len(self._waiting) >= self._ahead:
            await self._confirm()
        self._waiting.append((said, await self._writer.post_many(said)))

    async def finish(self) -> None:
        """Waits until everything is confirmed."""
        while self._waiting:
            await self._confirm()

    async def _confirm(self) -> None:
        said, places = self._waiting.popleft()
        confirmed = await places()
        if self._confirmed is not None:
            self._confirmed(said, confirmed)
