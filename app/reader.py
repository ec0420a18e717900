"""Reads topics outside lanes: sinks, gateway and command line get decoded batches from here.

Rules: no consumer group (every partition is assigned, the caller keeps its own positions);
read_committed, so that nothing of an unfinished cycle is seen; a batch keeps the order of each
partition. While Kafka or the registry is away, it waits: only bytes that are no record of ours
become a DecodeError, and such a record is given out like any other, with `error` set. What waits in
memory is at most one fetch of 1 MiB per partition and one batch.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Literal, NamedTuple, Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from app.settings import Settings
from schemas.codec import Codec, DecodeError
from schemas.registry import Registry, RegistryUnavailable, UnknownSchema
from schemas.topics import TOPICS

log = logging.getLogger(__name__)

Place = tuple[str, int]
Start = Literal["beginning", "end"] | Mapping[Place, int]
SchemaOf = Callable[[int], Awaitable[str]]
Wants = Callable[[ConsumerRecord], bool]

# An idle reader wakes up so often to give out an empty batch, and asks the broker as often.
IDLE_MS = 500
_PAUSE_S_MAX = 2.0
_RECORDS_OF = {short: {record.__name__ for record in topic.records} for short, topic in TOPICS.items()}


class Read(NamedTuple):
    """One record as it was read; `kind` is "" and `message` empty where `error` says why it has none.

    `short` is the topic without prefix and version (`"events"`).
    """

    short: str
    partition: int
    offset: int
    timestamp_us: int
    key: bytes | None
    value: bytes | None
    kind: str
    message: dict[str, Any]
    error: DecodeError | None


class PositionLost(Exception):
    """A position is no longer in the log; the text says which and what to do."""


class TopicReader:
    """Reads all partitions of the topics `shorts` from `start`; an async context manager.

    `start` is "beginning", "end" (records of transactions that are still open come) or the next offset by
    (short, partition), where what is missing begins at the beginning. With `exact`, a position outside the
    log raises PositionLost; else the reader goes on from what the log still has. `schema_of` gives the
    schema of an id, instead of the registry of the settings. `wants` says, before a record is decoded,
    whether it is worth it; the others are left out of the batches.
    """

    def __init__(
        self,
        settings: Settings,
        shorts: Iterable[str],
        start: Start = "beginning",
        *,
        batch_max: int = 2000,
        exact: bool = False,
        schema_of: SchemaOf | None = None,
        wants: Wants | None = None,
    ) -> None:
        self._settings = settings
        self._start = start
        self._batch_max = batch_max
        self._exact = exact
        self._schema_of = schema_of
        self._closing = AsyncExitStack()
        self._codec = Codec({})
        self._partitions = {
            TopicPartition(settings.topic(short), lane): (short, lane)
            for short in shorts
            for lane in range(settings.partitions)
        }
        self._behind: dict[TopicPartition, int] = {}

    async def __aenter__(self) -> Self:
        if self._schema_of is None:
            registry = await self._closing.enter_async_context(Registry(self._settings.endpoint("registry")))
            self._schema_of = registry.schema
        try:
            self._consumer = await self._connected()
            self._closing.push_async_callback(self._consumer.stop)
            spans = await self._spans()
            # Nothing may be awaited in between: unpositioned partitions are not to be fetched.
            self._consumer.assign(list(self._partitions))
            self._seek(spans, self._start)
        except BaseException:
            await self._closing.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._closing.aclose()

    async def batches(self) -> AsyncIterator[list[Read]]:
        """Batches of decoded records, for ever; an empty one after each half second without any."""
        while True:
            fetched = await self._consumer.getmany(timeout_ms=IDLE_MS, max_records=self._batch_max)
            end_if_canceled()
            yield [
                await self._read(*self._partitions[partition], record)
                for partition, records in fetched.items()
                for record in records
            ]

    async def rewind(self, start: Start = "beginning") -> None:
        """Goes on from `start`, as if just opened; to be called between two batches."""
        self._seek(await self._spans(), start)

    async def ends(self) -> dict[Place, int]:
        """Next offset of every partition's log now; waits for Kafka."""
        return {self._partitions[partition]: end for partition, (_, end) in (await self._spans()).items()}

    async def caught_up(self) -> bool:
        """Whether everything was given out that the topics had when reading started or was rewound."""
        for partition, end in list(self._behind.items()):
            if await self._consumer.position(partition) >= end:
                del self._behind[partition]
        return not self._behind

    async def lag(self) -> dict[str, int]:
        """Offsets by short topic that the log has and this reader has not passed yet."""
        lags = dict.fromkeys((short for short, _ in self._partitions.values()), 0)
        for partition, (short, _) in self._partitions.items():
            end = self._consumer.highwater(partition) or self._behind.get(partition, 0)
            lags[short] += max(0, end - await self._consumer.position(partition))
        return lags

    async def _connected(self) -> AIOKafkaConsumer:
        """A started consumer; waits for Kafka and for the topics."""
        servers = self._settings.endpoint("kafka")
        async for _ in _patiently():
            consumer = AIOKafkaConsumer(
                bootstrap_servers=servers,
                isolation_level="read_committed",
                enable_auto_commit=False,
                auto_offset_reset="none" if self._exact else "earliest",
                fetch_max_wait_ms=IDLE_MS,
                request_timeout_ms=20_000,
            )
            try:
                await consumer.start()
                missing = set(self._partitions) - await _existing(consumer)
                if not missing:
                    return consumer
                log.warning("waiting for topics, `oms topics create` makes them: %s", _named(missing))
            except KafkaError as error:
                log.warning("waiting for Kafka at %s: %s", servers, error)
            await consumer.stop()
        raise AssertionError("waits for ever")

    async def _spans(self) -> dict[TopicPartition, tuple[int, int]]:
        """First offset and end of every partition now; waits for Kafka."""
        async for _ in _patiently():
            try:
                # At once: each may have to wait on the connection for a fetch that finds nothing.
                first, ends = await asyncio.gather(
                    self._consumer.beginning_offsets(list(self._partitions)),
                    self._consumer.end_offsets(list(self._partitions)),
                )
                return {partition: (first[partition], ends[partition]) for partition in self._partitions}
            except KafkaError as error:
                log.warning("waiting for Kafka at %s: %s", self._settings.endpoint("kafka"), error)
        raise AssertionError("waits for ever")

    def _seek(self, spans: dict[TopicPartition, tuple[int, int]], start: Start) -> None:
        for partition, (first, end) in spans.items():
            self._consumer.seek(partition, self._offset(partition, first, end, start))
        self._behind = {} if start == "end" else {p: end for p, (first, end) in spans.items() if end > first}

    def _offset(self, partition: TopicPartition, first: int, end: int, start: Start) -> int:
        """Where to start in a partition that has the offsets from `first` to before `end`."""
        if isinstance(start, str):
            return end if start == "end" else first
        offset = start.get(self._partitions[partition], first)
        if first <= offset <= end:
            return offset
        if self._exact:
            raise PositionLost(
                f"{partition.topic} partition {partition.partition} has offsets {first} to {end}, but "
                f"{offset} is to be read next. If this is another Kafka than before, point OMS_KAFKA at the "
                "former one or OMS_POSTGRES at an empty database"
            )
        return first

    async def _read(self, short: str, lane: int, record: ConsumerRecord) -> Read:
        kind, error = "", None
        message: dict[str, Any] = {}
        try:
            kind, message = await self._decoded(record.value)
            if kind not in _RECORDS_OF[short]:
                raise DecodeError("DECODE_WRONG_RECORD", f"{kind} is not a record of {record.topic}")
        except DecodeError as refusal:
            kind, message, error = "", {}, refusal
        at_us = record.timestamp * 1000
        return Read(short, lane, record.offset, at_us, record.key, record.value, kind, message, error)

    async def _decoded(self, value: bytes | None) -> tuple[str, dict[str, Any]]:
        try:
            return self._codec.decode(value)
        except KeyError:
            await self._learn(Codec.schema_id(value))
            return self._codec.decode(value)

    async def _learn(self, schema_id: int) -> None:
        """Fetches the schema of an id; waits for the registry, raises DecodeError when it has none."""
        assert self._schema_of is not None
        async for _ in _patiently():
            try:
                self._codec.learn(schema_id, await self._schema_of(schema_id))
                return
            except UnknownSchema as error:
                raise DecodeError("DECODE_UNKNOWN_SCHEMA", str(error)) from None
            except RegistryUnavailable as error:
                log.warning("waiting for the registry: %s", error)


async def _patiently() -> AsyncIterator[None]:
    """Attempts without end, with longer and longer pauses in between."""
    pause_s = 0.1
    while True:
        yield
        await asyncio.sleep(pause_s)
        pause_s = min(_PAUSE_S_MAX, pause_s * 2)


def end_if_canceled() -> None:
    """Raises a cancellation of this task that got lost.

    Up to Python 3.11, asyncio.wait_for (as in redis-py) swallows one that arrives when its work is just done:
    who writes each batch with it would read on for ever.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


async def _existing(consumer: AIOKafkaConsumer) -> set[TopicPartition]:
    """Every partition that the broker has now."""
    cluster = await consumer._client.fetch_all_metadata()
    return {
        TopicPartition(topic, partition)
        for topic in cluster.topics()
        for partition in cluster.partitions_for_topic(topic) or ()
    }


def _named(partitions: set[TopicPartition]) -> str:
    return ", ".join(sorted({partition.topic for partition in partitions}))
