"""The registry's log: one partition of a compacted topic. What is not in it does not exist.

Rule (Karapace's): write to the log, answer after the own reader has applied that offset. A write is one
Kafka transaction, so a crash leaves all of it or nothing. There is one writer at a time: taking over
fences the former one (same transactional id), settles what it left open, and reads to the end before
the first write. The former one goes on answering reads and refuses writes. Known limitation: reads of a
registry that was taken over follow the log, a moment behind.
"""

import asyncio
import json
import logging
import time
from collections.abc import Sequence

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    ProducerFenced,
    TopicAlreadyExistsError,
    for_code,
)

from app.registry import refusals
from app.registry.state import Change, State

log = logging.getLogger(__name__)

_CATCH_UP_MS = 20
_IDLE_MS = 1000
_WAIT_S = 10.0


class LogError(Exception):
    """The topic cannot serve as the registry's log; the text says why and what to do."""


class SchemaLog:
    """Reads the topic into a State and writes changes to it: `start`, then `follow` while it lives."""

    def __init__(self, bootstrap: str, topic: str, replication: int, state: State) -> None:
        self.superseded = False
        self._bootstrap = bootstrap
        self._topic = topic
        self._replication = replication
        self._state = state
        self._place = TopicPartition(topic, 0)
        self._reader = AIOKafkaConsumer(
            bootstrap_servers=bootstrap,
            isolation_level="read_committed",
            auto_offset_reset="earliest",
            enable_auto_commit=False,
            # An idle registry asks the broker once in so long; what is written is answered at once. Other
            # questions to the broker wait behind a fetch.
            fetch_max_wait_ms=_IDLE_MS,
        )
        self._producer: AIOKafkaProducer | None = None
        # Offset after the last record applied, and after the last one written.
        self._next = 0
        self._written = 0
        self._moved = asyncio.Condition()

    async def start(self) -> None:
        """Makes the topic if need be, becomes its writer and reads it to the end.

        Raises LogError, KafkaError.
        """
        await _make_topic(self._bootstrap, self._topic, self._replication)
        await self._reader.start()
        self._producer = await self._new_producer()
        end = await self._end()
        # Not before: an empty topic would hold the connection in a long fetch.
        self._reader.assign([self._place])
        self._reader.seek(self._place, 0)
        while self._next < end:
            await self._read(_CATCH_UP_MS)

    async def follow(self) -> None:
        """Applies what comes, until cancelled. Raises what makes going on impossible."""
        while True:
            await self._read(_IDLE_MS)

    async def stop(self) -> None:
        """Closes both connections."""
        await self._reader.stop()
        if self._producer is not None:
            await self._producer.stop()

    async def ready(self) -> None:
        """Returns when the state has everything that was written, so that a change may be made from it.

        Raises Refusal: superseded by another writer, or Kafka failed.
        """
        if self.superseded:
            raise refusals.not_leader()
        try:
            if self._producer is None:
                self._producer = await self._new_producer()
                self._written = await self._end()
        except KafkaError as error:
            raise refusals.store_failed(f"{error!r}. Nothing was written: ask again") from error
        await self._wait_for(self._written)

    async def write(self, changes: Sequence[Change]) -> None:
        """Writes changes made after `ready` as one; returns when the state has them. Calls may not overlap.

        Raises Refusal: superseded by another writer, too large, or (outcome unknown) Kafka failed.
        """
        assert self._producer is not None
        try:
            self._written = 1 + await self._commit(self._producer, changes)
        except ProducerFenced:
            self.superseded = True
            log.error("another registry has taken over writing %s: only reads are answered here", self._topic)
            raise refusals.not_leader() from None
        except MessageSizeTooLargeError as error:
            raise refusals.too_large(f"{error}; raise max.message.bytes of {self._topic}") from None
        except KafkaError as error:
            await self._drop_producer()
            raise refusals.store_failed(f"{error!r}. Whether it was written is unknown: ask again") from error
        await self._wait_for(self._written)

    async def _commit(self, producer: AIOKafkaProducer, changes: Sequence[Change]) -> int:
        """Offset of the last change, in one committed transaction."""
        async with producer.transaction():
            sent = [
                await producer.send(self._topic, _json(value), _json(key), partition=0)
                for key, value in changes
            ]
            # A batch that failed for good does not fail aiokafka's commit: ask each.
            places = [await record for record in sent]
        return max(int(place.offset) for place in places)

    async def _new_producer(self) -> AIOKafkaProducer:
        producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            transactional_id=f"registry-{self._topic}",
            transaction_timeout_ms=10_000,
            request_timeout_ms=10_000,
            acks="all",
        )
        await producer.start()
        return producer

    async def _drop_producer(self) -> None:
        """After an error of Kafka a new producer takes over again, from what the log says then."""
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                await producer.stop()
            except KafkaError as error:
                log.warning("the failed producer did not close cleanly: %r", error)

    async def _end(self) -> int:
        ends = await self._reader.end_offsets([self._place])
        return int(ends[self._place])

    async def _read(self, wait_ms: int) -> None:
        batches = await self._reader.getmany(self._place, timeout_ms=wait_ms)
        for record in batches.get(self._place, ()):
            self._apply(record.key, record.value, record.offset)
        # The position also passes the markers of transactions, which are no records.
        self._next = await self._reader.position(self._place)
        async with self._moved:
            self._moved.notify_all()

    def _apply(self, key: bytes | None, value: bytes | None, offset: int) -> None:
        try:
            known = self._state.apply(json.loads(key or b"{}"), json.loads(value) if value else None)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise LogError(
                f"record {offset} of {self._topic} is not a registry's: {error!r}. "
                "Name a topic of its own with OMS_REGISTRY_TOPIC"
            ) from error
        if not known:
            log.warning("record %d of %s is of a kind not known here: %.200r", offset, self._topic, key)

    async def _wait_for(self, offset: int) -> None:
        """Returns when everything before the offset is applied."""
        end = time.monotonic() + _WAIT_S
        async with self._moved:
            while self._next < offset:
                try:
                    await asyncio.wait_for(self._moved.wait(), end - time.monotonic())
                except TimeoutError:
                    raise refusals.store_slow(
                        f"written, but not read back in {_WAIT_S:g} s; ask again"
                    ) from None


def _json(value: object) -> bytes | None:
    return None if value is None else json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


async def _make_topic(bootstrap: str, topic: str, replication: int) -> None:
    """Makes the topic compacted with one partition. Raises LogError when it is there and is not so."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        await admin.start()
        config = {"cleanup.policy": "compact"}
        answer = await admin.create_topics([NewTopic(topic, 1, replication, topic_configs=config)])
        [(_, code, text)] = answer.topic_errors
        if code == TopicAlreadyExistsError.errno:
            await _check_topic(admin, topic)
        elif code:
            raise LogError(f"Kafka refused topic {topic}: {for_code(code).__name__} {text}")
    finally:
        await admin.close()


async def _check_topic(admin: AIOKafkaAdminClient, topic: str) -> None:
    [found] = await admin.describe_topics([topic])
    if len(found["partitions"]) != 1:
        raise LogError(
            f"topic {topic} has {len(found['partitions'])} partitions, a registry needs one: "
            "name another with OMS_REGISTRY_TOPIC"
        )
    asked = ConfigResource(ConfigResourceType.TOPIC, topic, configs={"cleanup.policy": ""})
    [answer] = await admin.describe_configs([asked])
    policies = [entry[1] for resource in answer.resources for entry in resource[4]]
    if policies != ["compact"]:
        raise LogError(
            f"topic {topic} has cleanup.policy={','.join(policies)}, schemas would be lost: "
            "set it to compact, or name another with OMS_REGISTRY_TOPIC"
        )
