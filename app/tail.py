"""Shows what is in a topic, record by record, whatever is in it.

Rule: nothing is left out. What cannot be decoded is shown as hex with the reason, so that an operator sees
what a worker saw. Only committed records are shown.
"""

from collections.abc import AsyncGenerator
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from app.resources import rfc3339, shown
from app.settings import Settings
from app.topics import TopicsError, wanted
from schemas.codec import Codec, DecodeError
from schemas.registry import Registry, UnknownSchema
from schemas.topics import TOPICS

_IDLE_MS = 500


class Tailed(NamedTuple):
    """One record. `message` is None where it has no value (deleted) or could not be decoded.

    `error` and `hex` say why not, and what is there.
    """

    topic: str
    partition: int
    offset: int
    at: str
    key: str | None
    record: str
    message: dict[str, Any] | None
    error: str
    hex: str


def full_name(settings: Settings, topic: str) -> str:
    """The topic's name on the broker: of a short name such as `orders`, or as it is given."""
    return settings.topic(topic) if topic in TOPICS else topic


async def tail(
    settings: Settings, topic: str, *, from_beginning: bool = False, partition: int | None = None
) -> AsyncGenerator[Tailed, None]:
    """Records of a topic as they come, for ever; `topic` is a short or full name.

    Raises TopicsError, KafkaError, RegistryUnavailable.
    """
    name = full_name(settings, topic)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.endpoint("kafka"),
        isolation_level="read_committed",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=_IDLE_MS,
    )
    await consumer.start()
    try:
        places = await _places(consumer, settings, name, partition)
        starts = await (consumer.beginning_offsets if from_beginning else consumer.end_offsets)(places)
        consumer.assign(places)
        for place, start in starts.items():
            consumer.seek(place, start)
        async with Registry(settings.endpoint("registry")) as registry:
            decoder = _Decoder(registry)
            async for record in consumer:
                yield await decoder.tailed(record)
    finally:
        await consumer.stop()


async def _places(
    consumer: AIOKafkaConsumer, settings: Settings, name: str, partition: int | None
) -> list[TopicPartition]:
    """The partitions to read. Raises TopicsError for a topic or partition that is not there."""
    cluster = await consumer._client.fetch_all_metadata()
    there = cluster.partitions_for_topic(name)
    if not there:
        known = ", ".join([*TOPICS, *(topic for topic in wanted(settings) if topic.endswith("-changelog"))])
        raise TopicsError(f"there is no topic {name}. `oms topics create` makes ours: {known}")
    if partition is not None and partition not in there:
        raise TopicsError(f"topic {name} has partitions 0 to {max(there)}, not {partition}")
    return [TopicPartition(name, p) for p in sorted(there) if partition in (None, p)]


class _Decoder:
    """Decodes records, asking the registry once for each schema."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._codec = Codec({})

    async def tailed(self, record: ConsumerRecord) -> Tailed:
        """The record as it is shown."""
        kind, message, error = "", None, ""
        if record.value is not None:
            try:
                kind, fields = await self._decoded(record.value)
                message = _printable(shown(kind, fields))
            except (DecodeError, UnknownSchema) as refusal:
                error = str(refusal)
            except OverflowError:
                error = "a time in it is beyond the year 9999"
        return Tailed(
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            at=rfc3339(record.timestamp * 1000),
            key=None if record.key is None else record.key.decode("utf-8", "backslashreplace"),
            record=kind,
            message=message,
            error=error,
            hex=record.value.hex() if error else "",
        )

    async def _decoded(self, value: bytes) -> tuple[str, dict[str, Any]]:
        try:
            return self._codec.decode(value)
        except KeyError:
            schema_id = Codec.schema_id(value)
            self._codec.learn(schema_id, await self._registry.schema(schema_id))
            return self._codec.decode(value)


def _printable(message: dict[str, Any]) -> dict[str, Any]:
    """Bytes (only dead letters have any) as hex."""
    return {name: value.hex() if isinstance(value, bytes) else value for name, value in message.items()}
