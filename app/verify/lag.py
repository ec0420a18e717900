"""I12: how far the group is behind: records of its input topics that it has not taken."""

import time
from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from app.settings import Settings
from app.verify.records import Source

# What lanes consume.
_POLL_MS = 100
_PATIENCE_S = 10.0
INPUTS = ("control", "executions", "quotes", "orders", "cleared")


async def committed(settings: Settings) -> dict[Source, int]:
    """The next offset of each input partition, by what the group committed; 0 where it never did."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.endpoint("kafka"))
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(settings.app_id)
    finally:
        await admin.close()
    found: dict[Source, int] = {}
    for short in INPUTS:
        for lane in range(settings.partitions):
            known = offsets.get(TopicPartition(settings.topic(short), lane))
            found[short, lane] = max(0, known.offset) if known is not None else 0
    return found


async def behind(
    consumer: AIOKafkaConsumer,
    settings: Settings,
    ends: Mapping[Source, int],
    positions: Mapping[Source, int],
) -> dict[Source, int]:
    """By partition with any: how many offsets before `ends` were not taken, from a first record on.

    A committed position may stop before the markers of transactions, which are offsets without a record.
    """
    found: dict[Source, int] = {}
    for source, position in positions.items():
        end = ends[source]
        if position < end and await _has_record(consumer, settings, source, position, end):
            found[source] = end - position
    return found


async def _has_record(
    consumer: AIOKafkaConsumer, settings: Settings, source: Source, position: int, end: int
) -> bool:
    partition = TopicPartition(settings.topic(source[0]), source[1])
    consumer.assign([partition])
    consumer.seek(partition, position)
    deadline_s = time.monotonic() + _PATIENCE_S
    while await consumer.position(partition) < end and time.monotonic() < deadline_s:
        fetched = await consumer.getmany(partition, timeout_ms=_POLL_MS, max_records=1)
        if fetched:
            return bool(fetched[partition][0].offset < end)
    return bool(await consumer.position(partition) < end)
