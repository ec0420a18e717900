"""Creates every topic with its settings and registers every schema: what must be there before a start.

Rule: what exists is never changed. All topics have the same number of partitions, because lane i is
partition i of each; a topic with another number stops the start.
"""

import asyncio
import logging
import time
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from app.settings import Settings
from schemas.registry import Registry
from schemas.topics import CHANGELOG_CONFIG, ROWS_OF_TABLE, TOPICS, changelog_name

log = logging.getLogger(__name__)

_POLL_S = 0.1
_NAMED_MAX = 3


class TopicsError(Exception):
    """Topics could not be made as they must be; the text says which and what to do."""


def wanted(settings: Settings) -> dict[str, dict[str, str]]:
    """Name and configuration of every topic of the settings' prefix and app."""
    topics = {topic.name(settings.topic_prefix): topic.config for topic in TOPICS.values()}
    changelogs = {changelog_name(settings.app_id, table): CHANGELOG_CONFIG for table in ROWS_OF_TABLE}
    # With three replicas, a write that two have survives the loss of either.
    durable = {"min.insync.replicas": "2"} if settings.replication > 2 else {}
    return {name: {**config, **durable} for name, config in {**topics, **changelogs}.items()}


async def prepare(settings: Settings, wait_s: float = 30.0) -> dict[str, int]:
    """Makes all topics and registers all schemas, if they are not there; gives the ids of the record names.

    Idempotent, and safe to run from several processes at once. Raises TopicsError, RegistryError.
    """
    await create(settings, wait_s)
    async with Registry(settings.endpoint("registry")) as registry:
        return await registry.register_all(settings.topic_prefix, settings.app_id, wait_s)


async def create(settings: Settings, wait_s: float = 30.0) -> list[str]:
    """Names of the topics that were made; returns when every topic has its partitions and leaders.

    Raises TopicsError.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.endpoint("kafka"))
    try:
        await admin.start()
        made = await _create_missing(admin, settings)
        await _wait_until_led(admin, settings, wait_s)
    except KafkaError as error:
        raise TopicsError(
            f"topics cannot be made on Kafka {settings.endpoint('kafka')}: {error}. "
            "Check OMS_KAFKA and that the broker is up"
        ) from error
    finally:
        await admin.close()
    return made


async def _create_missing(admin: AIOKafkaAdminClient, settings: Settings) -> list[str]:
    topics = wanted(settings)
    answer = await admin.create_topics(
        [
            NewTopic(name, settings.partitions, settings.replication, topic_configs=config)
            for name, config in topics.items()
        ]
    )
    made = []
    for name, code, *text in answer.topic_errors:
        if code == 0:
            made.append(name)
        elif code != TopicAlreadyExistsError.errno:
            raise TopicsError(f"Kafka refused topic {name}: {for_code(code).__name__} {text[0]}")
    if made:
        log.info("created %d topics with %d partitions: %s", len(made), settings.partitions, ", ".join(made))
    return made


async def _wait_until_led(admin: AIOKafkaAdminClient, settings: Settings, wait_s: float) -> None:
    """Returns when metadata shows a leader for every partition of every topic."""
    end = time.monotonic() + wait_s
    while True:
        waiting = _not_ready(await admin.describe_topics(list(wanted(settings))), settings.partitions)
        if not waiting:
            return
        if time.monotonic() >= end:
            raise TopicsError(
                f"after {wait_s:g} s still without leaders: {', '.join(waiting)}. Look at the broker's log"
            )
        await asyncio.sleep(_POLL_S)


def _not_ready(described: list[dict[str, Any]], partitions: int) -> list[str]:
    """Topics not yet whole in metadata; raises TopicsError where one has another partition count."""
    others = []
    waiting = []
    for topic in described:
        found = len(topic["partitions"])
        if topic["error_code"] or any(p["error_code"] for p in topic["partitions"]):
            waiting.append(topic["topic"])
        elif found != partitions:
            others.append(f"{topic['topic']} has {found}")
    if others:
        rest = f" and {len(others) - _NAMED_MAX} more do not" if len(others) > _NAMED_MAX else ""
        named = ", ".join(sorted(others)[:_NAMED_MAX])
        raise TopicsError(
            f"every topic must have {partitions} partitions (OMS_PARTITIONS), but {named}{rest}. "
            "Set OMS_PARTITIONS to what they have, or use another OMS_TOPIC_PREFIX and OMS_APP_ID"
        )
    return waiting


class TopicFacts(NamedTuple):
    """What a topic is and has: `ends` are the offsets after the last record, by partition.

    `records` counts offsets; commit markers and records that compaction removed have some too. Retention is
    in milliseconds, None: for ever, or until a newer record has the same key.
    """

    name: str
    partitions: int
    records: int
    ends: list[int]
    cleanup: str
    retention_ms: int | None


async def facts(settings: Settings) -> list[TopicFacts]:
    """Facts of our topics that exist, in the order of the design. Raises KafkaError."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.endpoint("kafka"))
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.endpoint("kafka"), enable_auto_commit=False)
    try:
        await admin.start()
        await consumer.start()
        described = {topic["topic"]: topic for topic in await admin.describe_topics()}
        names = [name for name in wanted(settings) if name in described]
        configs = await _configs(admin, names)
        return [
            await _facts(consumer, name, len(described[name]["partitions"]), configs[name]) for name in names
        ]
    finally:
        await consumer.stop()
        await admin.close()


async def _facts(
    consumer: AIOKafkaConsumer, name: str, partitions: int, config: dict[str, str]
) -> TopicFacts:
    places = [TopicPartition(name, number) for number in range(partitions)]
    first = await consumer.beginning_offsets(places)
    ends = await consumer.end_offsets(places)
    retention = int(config["retention.ms"])
    kept = config["cleanup.policy"] == "delete" and retention >= 0
    return TopicFacts(
        name=name,
        partitions=partitions,
        records=sum(ends[place] - first[place] for place in places),
        ends=[ends[place] for place in places],
        cleanup=config["cleanup.policy"],
        retention_ms=retention if kept else None,
    )


async def _configs(admin: AIOKafkaAdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    """What the listing shows of each topic's configuration."""
    keys = {"cleanup.policy": "", "retention.ms": ""}
    asked = [ConfigResource(ConfigResourceType.TOPIC, name, configs=keys) for name in names]
    answers = await admin.describe_configs(asked)
    return {
        resource[3]: {entry[0]: entry[1] for entry in resource[4]}
        for answer in answers
        for resource in answer.resources
    }
