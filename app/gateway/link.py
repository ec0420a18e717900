"""The gateway's link to Kafka: what it sends, the events it follows, and whether Kafka is there at all.

Rule: nothing is sent while Kafka is known to be away (NOT_READY, certainly not done); what was handed
over and not confirmed in time is OUTCOME_UNKNOWN, never a failure. When Kafka goes away, what still waits
unconfirmed is dropped rather than entered much later.
"""

import asyncio
import logging
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from aiokafka.client import AIOKafkaClient
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import KafkaError
from aiokafka.structs import RecordMetadata, TopicPartition

from app.gateway.answers import Answers
from app.gateway.instruments import Instruments
from app.gateway.problems import Problem
from app.reader import TopicReader
from app.settings import Settings
from app.writer import TopicWriter
from schemas.registry import RegistryError

log = logging.getLogger(__name__)

_PROBE_S = 2.0
_RETRY_S = 1.0
_FLUSH_S = 3.0
_DROP_S = 3.0


class Sender(TopicWriter):
    """A writer that learns lanes as instruments change, and that can let go of what it could not send.

    What is sent to a lane is written in the order of the calls, also while its batches are full.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._turns: defaultdict[int, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def send(self, kind: str, message: Mapping[str, Any]) -> RecordMetadata:
        """Writes one message and returns its place once Kafka has it; raises KafkaError."""
        async with self._turns[self.lane(kind, message)]:
            confirmed = await self.hand_over(kind, message)
        return await confirmed

    def learn_lane(self, instrument: Mapping[str, Any]) -> None:
        """Takes note of an instrument's lane, if it has one of its own."""
        self._learn_lane(instrument)

    async def drop(self) -> None:
        """Disconnects without sending what waits."""
        producer, self._producer = self._producer, None
        if producer is not None:
            producer._sender.sender_task.cancel()
            async with asyncio.timeout(_DROP_S):
                await producer.stop()


class Link:
    """Starts and keeps up the writer, the readers and the probe; `send` is the one way out."""

    def __init__(self, settings: Settings, answers: Answers, instruments: Instruments) -> None:
        self._settings = settings
        self._answers = answers
        self._instruments = instruments
        self._writer: Sender | None = None
        self._following = False
        self._led = asyncio.Event()
        self._down = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begins to connect; `missing` says how far it is."""
        loops = (self._probe, self._write, self._follow_events, self._follow_instruments)
        self._tasks = [asyncio.create_task(self._keep(loop)) for loop in loops]

    async def stop(self) -> None:
        """Ends all connections; what was handed over is sent first if Kafka is there."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def missing(self) -> str:
        """What is waited for before requests can be taken, or ""."""
        if not self._led.is_set():
            return f"Kafka at {self._settings.endpoint('kafka')}"
        if self._writer is None:
            return "a Kafka producer and the schema registry"
        if not self._instruments.loaded:
            return "instruments from Kafka"
        return "" if self._following else "the order events in Kafka"

    async def send(self, kind: str, message: Mapping[str, Any], **members: Any) -> RecordMetadata:
        """Place of a message in the log once Kafka has it.

        Raises Problem NOT_READY or OUTCOME_UNKNOWN, with `members` to look it up by.
        """
        missing = self.missing()
        if missing or self._writer is None:
            raise Problem("NOT_READY", f"waiting for {missing}", headers={"Retry-After": "2"})
        within_s = self._settings.gateway_confirm_s
        began = time.monotonic()
        try:
            async with asyncio.timeout(within_s):
                return await self._writer.send(kind, message)
        except (TimeoutError, KafkaError) as error:
            if isinstance(error, KafkaError):
                # A producer that failed a batch for good may never send again.
                self._down.set()
            after_s = time.monotonic() - began
            log.warning("%s not confirmed after %.1f s: %r", kind, after_s, error)
            detail = f"{kind} was handed to Kafka but not confirmed within {after_s:.1f} s"
            raise Problem("OUTCOME_UNKNOWN", detail, **members) from None

    async def _keep(self, loop: Callable[[], Awaitable[None]]) -> None:
        """Runs a loop for ever: begins again a moment after it failed."""
        while True:
            try:
                await loop()
            except (KafkaError, RegistryError, OSError) as error:
                log.warning("%s: %r; trying again", loop.__name__, error)
            except Exception:
                log.exception("%s failed; trying again", loop.__name__)
            await asyncio.sleep(_RETRY_S)

    async def _probe(self) -> None:
        """Asks every two seconds whether the partitions that requests go to have leaders."""
        client = AIOKafkaClient(
            bootstrap_servers=self._settings.endpoint("kafka"), request_timeout_ms=int(_PROBE_S * 1000)
        )
        try:
            await client.bootstrap()
            while True:
                async with asyncio.timeout(2 * _PROBE_S):
                    cluster = await client.fetch_all_metadata()
                self._heard_of(cluster)
                await asyncio.sleep(_PROBE_S)
        finally:
            self._led.clear()
            self._down.set()
            await client.close()

    def _heard_of(self, cluster: ClusterMetadata) -> None:
        if all(cluster.leader_for_partition(partition) not in (None, -1) for partition in self._targets()):
            self._led.set()
        else:
            self._led.clear()
            self._down.set()

    def _targets(self) -> list[TopicPartition]:
        return [
            TopicPartition(self._settings.topic(short), lane)
            for short in ("orders", "control")
            for lane in range(self._settings.partitions)
        ]

    async def _write(self) -> None:
        """Has a writer while Kafka is there, and none otherwise."""
        await self._led.wait()
        writer = Sender(self._settings)
        self._down.clear()
        await writer.start()
        self._instruments.on_change = writer.learn_lane
        self._writer = writer
        try:
            await self._down.wait()
            log.warning("Kafka does not confirm: what waits to be sent is dropped")
        except asyncio.CancelledError:
            with suppress(TimeoutError):
                async with asyncio.timeout(_FLUSH_S):
                    await writer.stop()
            raise
        finally:
            self._writer = None
            await writer.drop()

    async def _follow_events(self) -> None:
        try:
            async with TopicReader(self._settings, ["events"], "end", wants=self._answers.wants) as reader:
                self._following = True
                async for batch in reader.batches():
                    for read in batch:
                        if read.error is None:
                            self._answers.hear(read.kind, read.message)
        finally:
            self._following = False

    async def _follow_instruments(self) -> None:
        async with TopicReader(self._settings, ["instruments"]) as reader:
            self._instruments.loaded = await reader.caught_up()
            async for batch in reader.batches():
                for read in batch:
                    await self._instruments.put(read)
                self._instruments.loaded = self._instruments.loaded or await reader.caught_up()
