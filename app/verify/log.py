"""Reads the topics in bulk, read_committed, merged by the log's time.

Rules: one consumer without a group on every partition; a partition that is ahead of the others waits with
at most one fetch, undecoded, so that what verifying must hold is what is close in time; every record is
decoded once, by the schema its producer registered.
"""

import time
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from app.settings import Settings
from app.verify.records import ACCOUNTS_CHANGELOG, CHANGELOG, RISK_CHANGELOG, Place, Seen, Source
from schemas.codec import Codec, DecodeError
from schemas.registry import Registry, RegistryError, UnknownSchema
from schemas.topics import ROWS_OF_TABLE, TOPICS, changelog_name

# Records this close in time are taken in one go, whatever partition they are of.
_SLACK_MS = 200
# A poll does not end when all that came were markers of transactions, so it is short as long as things move.
_POLL_MS_MIN, _POLL_MS = 5, 250
_FETCH_WAIT_MS = 25
_STALLED_S = 30.0
# Header of a record that a lane forwarded from a wrong partition.
FORWARDED = "oms-forwarded"
Records = list[ConsumerRecord]
_RECORDS_OF = {short: {record.__name__ for record in topic.records} for short, topic in TOPICS.items()}
_TABLES = {CHANGELOG: "matching", ACCOUNTS_CHANGELOG: "accounts", RISK_CHANGELOG: "risk"}
_RECORDS_OF |= {short: {row.__name__ for row in ROWS_OF_TABLE[table]} for short, table in _TABLES.items()}


class CannotVerify(Exception):
    """The topics could not be read whole; the text says why and what to do."""


class LogReader:
    """Reads all partitions of the topics `shorts`, from their beginning; an async context manager."""

    def __init__(self, settings: Settings, shorts: Iterable[str]) -> None:
        self._settings = settings
        names = {short: _name(settings, short) for short in shorts}
        self._sources: dict[TopicPartition, Source] = {
            TopicPartition(name, lane): (short, lane)
            for short, name in names.items()
            for lane in range(settings.partitions)
        }
        self._partitions = {source: partition for partition, source in self._sources.items()}
        self._ahead: dict[TopicPartition, deque[ConsumerRecord]] = {p: deque() for p in self._sources}
        self._codec = Codec({})
        self._unknown: dict[int, DecodeError] = {}
        self._closing = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            self._registry = await self._closing.enter_async_context(
                Registry(self._settings.endpoint("registry"))
            )
            self._consumer = await self.consumer()
            await self._check_topics()
            self._consumer.assign(list(self._sources))
            await self._consumer.seek_to_beginning()
        except BaseException:
            await self._closing.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._closing.aclose()

    async def consumer(self) -> AIOKafkaConsumer:
        """One more consumer, which ends with this reader. Raises CannotVerify."""
        servers = self._settings.endpoint("kafka")
        consumer = AIOKafkaConsumer(
            bootstrap_servers=servers,
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            # A request for partitions that have nothing more holds up those that have.
            fetch_max_wait_ms=_FETCH_WAIT_MS,
        )
        try:
            await consumer.start()
        except KafkaError as error:
            await consumer.stop()
            raise CannotVerify(
                f"Kafka at {servers} does not answer: {error}. Check OMS_KAFKA, or `oms status`"
            ) from error
        self._closing.push_async_callback(consumer.stop)
        return consumer

    async def _check_topics(self) -> None:
        """Raises CannotVerify unless every partition is there, and its history from the first record on."""
        cluster = await self._consumer._client.fetch_all_metadata()
        for topic in {partition.topic for partition in self._sources}:
            found = len(cluster.partitions_for_topic(topic) or ())
            if found != self._settings.partitions:
                raise CannotVerify(
                    f"topic {topic} has {found} partitions, OMS_PARTITIONS says {self._settings.partitions}. "
                    "Check OMS_PARTITIONS, OMS_TOPIC_PREFIX and OMS_APP_ID, or run `oms topics create`"
                )
        whole = [p for p, (short, _) in self._sources.items() if _is_kept(short)]
        for partition, first in (await self._consumer.beginning_offsets(whole)).items():
            if first:
                raise CannotVerify(
                    f"{partition.topic}-{partition.partition} begins at offset {first}: what came before was "
                    "deleted, and invariants of whole histories cannot be computed"
                )

    async def ends(self) -> dict[Source, int]:
        """Where every partition ends now."""
        ends = await self._consumer.end_offsets(list(self._sources))
        return {self._sources[partition]: end for partition, end in ends.items()}

    async def read(self, until: Mapping[Source, int]) -> AsyncIterator[list[Seen]]:
        """Records of the sources of `until`, from where the last read ended to before those offsets."""
        behind = {self._partitions[source]: end for source, end in until.items()}
        self._consumer.pause(*(self._sources.keys() - behind.keys()))
        self._consumer.resume(*behind)
        moved_s, poll_ms = time.monotonic(), _POLL_MS_MIN
        while behind:
            for partition, records in self._turns(behind):
                moved_s = time.monotonic()
                try:
                    seen = await self._decoded(self._sources[partition], records)
                except CannotVerify:
                    # Whoever goes on later, as `--follow` does, must find them again.
                    self._ahead[partition].extendleft(reversed(records))
                    raise
                yield seen
            poll_ms = min(2 * poll_ms, _POLL_MS)
            if await self._fetch(behind, poll_ms):
                moved_s, poll_ms = time.monotonic(), _POLL_MS_MIN
            elif time.monotonic() - moved_s > _STALLED_S:
                names = ", ".join(f"{p.topic}-{p.partition}" for p in sorted(behind))
                raise CannotVerify(f"nothing more comes from {names}, before its end; look at the broker")

    def _turns(self, behind: dict[TopicPartition, int]) -> Iterator[tuple[TopicPartition, Records]]:
        """Takes what is oldest, as long as every partition that is behind has a record to compare."""
        while behind and all(self._ahead[partition] for partition in behind):
            heads = sorted((self._ahead[partition][0].timestamp, partition) for partition in behind)
            limit_ms = heads[min(1, len(heads) - 1)][0] + _SLACK_MS
            partition = heads[0][1]
            ahead, end = self._ahead[partition], behind[partition]
            taken = []
            while ahead and ahead[0].offset < end and ahead[0].timestamp <= limit_ms:
                taken.append(ahead.popleft())
            if ahead and ahead[0].offset >= end:
                del behind[partition]
            if taken:
                yield partition, taken

    async def _fetch(self, behind: dict[TopicPartition, int], poll_ms: int) -> bool:
        """Gets records of the partitions that hold up the others; drops those that are at their end."""
        before = len(behind)
        for partition in list(behind):
            if not self._ahead[partition] and await self._consumer.position(partition) >= behind[partition]:
                del behind[partition]
        if len(behind) < before:
            return True
        holding_up = [partition for partition in behind if not self._ahead[partition]]
        fetched = await self._consumer.getmany(*holding_up, timeout_ms=poll_ms)
        for partition, records in fetched.items():
            self._ahead[partition].extend(records)
        return bool(fetched)

    async def _decoded(self, source: Source, records: Records) -> list[Seen]:
        """The records, each decoded once; schemas are fetched as they are met. Raises CannotVerify."""
        seen: list[Seen] = []
        for record in records:
            try:
                seen.append(self._seen(source, record))
            except KeyError:
                await self._learn(self._codec.schema_id(record.value))
                seen.append(self._seen(source, record))
        return seen

    def _seen(self, source: Source, record: ConsumerRecord) -> Seen:
        """One record; raises KeyError for a schema not met yet."""
        short, partition = source
        kind, error = "", ""
        message: dict[str, Any] = {}
        if record.value is not None or short not in _TABLES:
            try:
                kind, message = self._decode(short, record.value)
            except DecodeError as refusal:
                error = refusal.reason
        forwarded = any(name == FORWARDED for name, _ in record.headers)
        at_us = record.timestamp * 1000
        return Seen(
            short, partition, record.offset, at_us, kind, message, error, record.key, record.value, forwarded
        )

    def _decode(self, short: str, value: bytes | None) -> tuple[str, dict[str, Any]]:
        try:
            kind, message = self._codec.decode(value)
        except KeyError:
            unknown = self._unknown.get(self._codec.schema_id(value))
            if unknown is None:
                raise
            raise unknown from None
        if kind not in _RECORDS_OF[short]:
            raise DecodeError("DECODE_WRONG_RECORD", f"{kind} is not a record of {short}")
        return kind, message

    async def _learn(self, schema_id: int) -> None:
        """Fetches a schema; one that the registry does not have is remembered. Raises CannotVerify."""
        try:
            self._codec.learn(schema_id, await self._registry.schema(schema_id))
        except UnknownSchema as error:
            self._unknown[schema_id] = DecodeError("DECODE_UNKNOWN_SCHEMA", str(error))
        except RegistryError as error:
            raise CannotVerify(str(error)) from error

    # What shows a violation.

    async def fetch(self, places: Sequence[Place]) -> dict[Place, Seen]:
        """The records at places, as far as they are still there."""
        found: dict[Place, Seen] = {}
        if not places:
            return found
        consumer = await self.consumer()
        for place in sorted(set(places)):
            short, lane, offset = place
            partition = self._partitions[short, lane]
            consumer.assign([partition])
            consumer.seek(partition, offset)
            records = (await consumer.getmany(partition, timeout_ms=2000, max_records=1)).get(partition, ())
            if records and records[0].offset == offset:
                (found[place],) = await self._decoded((short, lane), records[:1])
        return found

    async def histories(
        self, order_ids: set[str], until: Mapping[Source, int], most: int
    ) -> dict[str, list[Seen]]:
        """The first `most` events of each order; of all others only the key is looked at."""
        histories: dict[str, list[Seen]] = {order_id: [] for order_id in order_ids}
        if not order_ids:
            return histories
        keys = {order_id.encode(): histories[order_id] for order_id in order_ids}
        async for source, record in self._events(until):
            history = keys.get(record.key)
            if history is not None and len(history) < most:
                history += await self._decoded(source, [record])
        return histories

    async def _events(self, until: Mapping[Source, int]) -> AsyncIterator[tuple[Source, ConsumerRecord]]:
        """Every record of events again, undecoded."""
        consumer = await self.consumer()
        for source in (source for source in until if source[0] == "events"):
            partition = self._partitions[source]
            consumer.assign([partition])
            consumer.seek(partition, 0)
            while await consumer.position(partition) < until[source]:
                for record in (await consumer.getmany(partition, timeout_ms=_POLL_MS)).get(partition, ()):
                    yield source, record


def _name(settings: Settings, short: str) -> str:
    table = _TABLES.get(short)
    return settings.topic(short) if table is None else changelog_name(settings.app_id, table)


def _is_kept(short: str) -> bool:
    """Whether the topic keeps every record for ever."""
    topic = TOPICS.get(short)
    config = {} if topic is None else topic.config
    return config.get("cleanup.policy") == "delete" and config.get("retention.ms") == "-1"
