"""Fetched records as aiokafka's parser made them.

aiokafka makes a ConsumerRecord of eleven fields of every record, which costs more than parsing it. Here the
parsed records themselves are handed over: `offset`, `timestamp` (ms), `key`, `value` and `headers`.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import FetchResult


def _as_parsed(_: object, record: Any) -> Any:
    return record


def hand_over_as_parsed(consumer: AIOKafkaConsumer) -> None:
    """Has what a consumer has fetched handed over as it was parsed; to be called right before draining."""
    for result in consumer._fetcher._records.values():
        if type(result) is FetchResult and result._partition_records is not None:
            result._partition_records._consumer_record = _as_parsed


async def read_as_parsed(
    consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition], records_max: int, wait_s: float
) -> dict[TopicPartition, list[Any]]:
    """What has been fetched of the partitions; nothing after waiting so long for a fetch."""
    hand_over_as_parsed(consumer)
    records: dict[TopicPartition, list[Any]] = await consumer.getmany(
        *partitions, timeout_ms=0, max_records=records_max
    )
    if not records:
        await asyncio.wait([consumer._fetcher._create_fetch_waiter()], timeout=wait_s)
    return records
