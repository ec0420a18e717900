"""Topics that every worker reads whole: instruments and reference prices, shared by its lanes.

They are read to their end before the first lane opens, then followed. Lanes see an update between
two records, never within one; what a decision used travels on in the message that it made.
"""

import asyncio
import logging

from aiokafka import AIOKafkaConsumer, TopicPartition

from app.lanes.decode import Decoder
from app.settings import Settings
from schemas.codec import DecodeError
from tables.reference import Instruments, ReferencePrices

log = logging.getLogger("oms.reference")


class ReferenceReader:
    """Keeps `instruments` and `references` up to date from their compacted topics."""

    def __init__(self, settings: Settings, decoder: Decoder) -> None:
        self.instruments = Instruments()
        self.references = ReferencePrices()
        self._settings = settings
        self._decoder = decoder
        self._consumer: AIOKafkaConsumer | None = None
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Reads both topics to their present end, then follows them in the background."""
        self._consumer = consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.endpoint("kafka"),
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=500,
        )
        await consumer.start()
        names = [self._settings.topic("instruments"), self._settings.topic("reference-prices")]
        partitions = [TopicPartition(name, i) for name in names for i in range(self._settings.partitions)]
        consumer.assign(partitions)
        begins = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        for tp, begin in begins.items():
            consumer.seek(tp, begin)
        unread = {tp for tp in partitions if ends[tp] > begins[tp]}
        while unread:
            await self._take(consumer, 100)
            unread = {tp for tp in unread if await consumer.position(tp) < ends[tp]}
        self._task = asyncio.create_task(self._follow(consumer), name="reference-reader")

    async def stop(self) -> None:
        """Stops following."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._consumer is not None:
            await self._consumer.stop()

    @property
    def task(self) -> "asyncio.Task[None] | None":
        """The following task, for whoever must know that it ended."""
        return self._task

    async def _follow(self, consumer: AIOKafkaConsumer) -> None:
        while True:
            await self._take(consumer, 1000)

    async def _take(self, consumer: AIOKafkaConsumer, timeout_ms: int) -> None:
        for records in (await consumer.getmany(timeout_ms=timeout_ms)).values():
            for record in records:
                try:
                    kind, message = await self._decoder.decode(record.value)
                    target = self.instruments if kind == "Instrument" else self.references
                    target.put(message)
                except (DecodeError, ValueError) as error:
                    log.error(
                        "%s-%d@%d is left out: %s; write the record again with the value mended",
                        record.topic,
                        record.partition,
                        record.offset,
                        error,
                    )
