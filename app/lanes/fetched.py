"""Fetched records as aiokafka's parser made them.

aiokafka makes a ConsumerRecord of eleven fields of every record, and calls four functions to do so, which
costs more than parsing it. Here the parsed records themselves are handed over, a batch at a time: `offset`,
`timestamp` (ms), `key`, `value` and `headers`.
"""

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.consumer.fetcher import READ_COMMITTED, FetchResult, PartitionRecords
from aiokafka.errors import CorruptRecordException


class _AsParsed(PartitionRecords):  # type: ignore[misc]
    """What was fetched of a partition, to be drained whole: where to fetch next is known batch by batch."""

    next_fetch_offset: int

    def __iter__(self) -> Iterator[Any]:
        batches = self._records
        while batches.has_next():
            batch = batches.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"Invalid CRC - {self._tp}")
            if self._to_be_read(batch):
                if batch.base_offset >= self.next_fetch_offset:
                    yield from batch
                else:
                    # The log gives whole batches, also to whoever asks from within one.
                    first = self.next_fetch_offset
                    yield from (record for record in batch if record.offset >= first)
            # Whatever compaction took away at the end of a batch counts as read.
            self.next_fetch_offset = batch.next_offset

    def _to_be_read(self, batch: Any) -> bool:
        """Whether its records are records of clients, and for readers of committed ones, committed.

        The broker says of which producers something was aborted, and from where on; up to their marker
        all that they wrote in transactions was.
        """
        if self._isolation_level == READ_COMMITTED and batch.producer_id is not None:
            self._consume_aborted_up_to(batch.base_offset)
            if batch.is_control_batch:
                if self._contains_abort_marker(batch):
                    self._aborted_producers.discard(batch.producer_id)
            elif batch.is_transactional and batch.producer_id in self._aborted_producers:
                return False
        return not batch.is_control_batch


def hand_over_as_parsed(consumer: AIOKafkaConsumer) -> None:
    """Has what a consumer has fetched handed over as it was parsed; to be called right before draining."""
    for result in consumer._fetcher._records.values():
        if type(result) is FetchResult and type(result._partition_records) is PartitionRecords:
            parsed = result._partition_records
            parsed.__class__ = _AsParsed
            # aiokafka's own iterator holds what it iterates over: a cycle, and a megabyte each.
            parsed._records_iterator = None


async def read_as_parsed(
    consumer: AIOKafkaConsumer, partitions: Iterable[TopicPartition], wait_s: float
) -> dict[TopicPartition, list[Any]]:
    """What has been fetched of one of the partitions; nothing after waiting so long for a fetch."""
    hand_over_as_parsed(consumer)
    for tp in partitions:
        records: dict[TopicPartition, list[Any]] = await consumer.getmany(tp, timeout_ms=0)
        if records:
            return records
    await asyncio.wait([consumer._fetcher._create_fetch_waiter()], timeout=wait_s)
    return {}
