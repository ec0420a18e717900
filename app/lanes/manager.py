"""Which lanes this worker has: opens them in the one right order, closes them before they move.

Opening: (1) start the producers of new lanes, which fences their former owners and settles open
transactions; (2) load the changelogs; (3) read the group's committed offsets; (4) open the lanes;
(5) seek. Only in that order: what is fetched after the seek finds an open lane that knows where it
stands, and nothing of a former owner can be added once a lane was read. Each await may see another
rebalance; `epoch` tells, and an opening that was overtaken gives up.
"""

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.structs import OffsetAndMetadata

from app.lanes import changelog, crash_points, metrics
from app.lanes.decode import Decoder
from app.lanes.fatal import die
from app.lanes.fetched import hand_over_as_parsed
from app.lanes.lane import Delivery, Inbox, Lane, Turns
from app.lanes.producer import LaneProducer
from app.lanes.reference import ReferenceReader
from app.pipeline import INPUTS, STEPS
from app.settings import Settings
from schemas.topics import changelog_name

log = logging.getLogger("oms.lanes")

# Python objects around a small record weigh more than its bytes.
RECORD_BYTES = 200
# Only these topics forget: a worker that was away for longer goes on from what is left of them.
FORGETFUL = ("quotes",)


class Overtaken(Exception):
    """Another rebalance came while lanes were opened."""


class LaneManager:
    """Opens, feeds and closes the lanes of a worker."""

    def __init__(
        self,
        settings: Settings,
        decoder: Decoder,
        reference: ReferenceReader,
        inboxes: Mapping[str, Inbox],
    ) -> None:
        self.lanes: dict[int, Lane] = {}
        self.ready = False
        self._loading = False
        self._revoked_s: float | None = None
        self._settings = settings
        self._decoder = decoder
        self._reference = reference
        self._inboxes = inboxes
        self._turns = Turns(settings.cycle_floor_ms / 1000)
        self._epoch = 0
        self._paused: set[int] = set()
        self._consumer: AIOKafkaConsumer | None = None
        self._inputs = [settings.topic(short) for short in INPUTS]
        self._wake = asyncio.Event()

    # -- opening -------------------------------------------------------------------------------

    async def open(self, consumer: AIOKafkaConsumer, assignment: Iterable[Any], generation: int) -> bool:
        """Opens the lanes of an assignment; False when another rebalance overtook it."""
        if consumer._subscription.reassignment_in_progress:
            # Revoked before it began: `revoke` came and went, and would not stop what is opened now.
            return False
        self._consumer = consumer
        epoch = self._epoch
        numbers = sorted({tp.partition for tp in assignment})
        kept = {n for n in numbers if n in self.lanes and self.lanes[n].generation == generation - 1}
        for number in [n for n in self.lanes if n not in kept]:
            await self._drop(self.lanes.pop(number))
        started_s = time.monotonic()
        fresh = {n: self._lane(n) for n in numbers if n not in kept}
        try:
            await asyncio.gather(*(self._fence(lane) for lane in fresh.values()))
            self._check(epoch)
            await self._load(fresh, epoch)
            crash_points.reached("recovery")
            self._check(epoch)
            positions = await self._committed(consumer, numbers)
            self._check(epoch)
        except Overtaken:
            for lane in fresh.values():
                await self._drop(lane)
            return False
        self.lanes.update(fresh)
        for number in numbers:
            lane = self.lanes[number]
            # A kept lane knows better: the broker answers a commit before the group shows its offsets.
            lane.positions = {**positions[number], **lane.positions} if number in kept else positions[number]
            lane.start(generation)
        # No await between the opening above and the seeks: nothing can be fetched in between.
        for number in numbers:
            for short, offset in self.lanes[number].positions.items():
                consumer.seek(TopicPartition(self._settings.topic(short), number), offset)
        self._paused.clear()
        self.ready = True
        metrics.LANES_OPEN.set(len(self.lanes))
        if self._revoked_s is not None:
            metrics.PAUSE_SECONDS.observe(time.monotonic() - self._revoked_s)
            self._revoked_s = None
        log.info(
            "lanes %s open in %.2f s (generation %d, kept %s)",
            numbers,
            time.monotonic() - started_s,
            generation,
            sorted(kept),
        )
        return True

    def waiting(self) -> str:
        """What is waited for before the lanes are open; "": they are."""
        if self.ready:
            return ""
        recovery = changelog.Progress.latest
        words = f": recovering, {recovery.words()}" if recovery is not None and self._loading else ""
        return f"lanes are not open yet{words}"

    def _lane(self, number: int) -> Lane:
        settings, reference = self._settings, self._reference
        tables = {
            step.name: step.table(number, settings, reference.instruments, reference.references)
            for step in STEPS
        }
        producer = LaneProducer(settings.endpoint("kafka"), f"{settings.app_id}-{number}")
        lane = Lane(
            *(number, settings, tables, self._inboxes, self._decoder, producer),
            *(reference.instruments, self._turns),
        )
        lane.on_room = self._resume
        return lane

    async def _fence(self, lane: Lane) -> None:
        async with asyncio.timeout(self._settings.cycle_timeout_s):
            await lane.producer.start()

    async def _load(self, fresh: Mapping[int, Lane], epoch: int) -> None:
        if not fresh:
            return
        settings = self._settings
        tables = {
            TopicPartition(changelog_name(settings.app_id, step.name), number): lane.tables[step.name]
            for number, lane in fresh.items()
            for step in STEPS
        }
        self._loading = True
        try:
            progress = await changelog.load(settings.endpoint("kafka"), tables, self._decoder.codec)
        except Exception:
            # Another owner may be writing what was just read: such rows need not fit each other.
            self._check(epoch)
            raise
        finally:
            self._loading = False
        for tp, newest_ms in progress.newest_ms.items():
            # The log keeps milliseconds: the end of that one.
            fresh[tp.partition].go_on_from(newest_ms * 1000 + 999)
        metrics.RECOVERY_LEFT.set(0)
        metrics.RECOVERED_ROWS.inc(progress.rows)
        metrics.RECOVERY_SECONDS.set(progress.seconds)
        if progress.rows:
            log.info("recovered %d rows in %.2f s", progress.rows, progress.seconds)

    async def _committed(
        self, consumer: AIOKafkaConsumer, numbers: Iterable[int]
    ) -> dict[int, dict[str, int]]:
        """Where each lane goes on, by topic: the group's committed offset, else the beginning."""
        partitions = {
            TopicPartition(self._settings.topic(short), number): (number, short)
            for number in numbers
            for short in INPUTS
        }
        if not partitions:
            return {}
        committed: dict[
            TopicPartition, OffsetAndMetadata
        ] = await consumer._coordinator.fetch_committed_offsets(list(partitions))
        begins = await consumer.beginning_offsets(list(partitions))
        positions: dict[int, dict[str, int]] = {number: {} for number in numbers}
        for tp, (number, short) in partitions.items():
            found = committed.get(tp)
            offset = found.offset if found is not None and found.offset >= 0 else None
            if offset is not None and offset < begins[tp] and short not in FORGETFUL:
                die(f"{tp} begins at {begins[tp]}, the lane stopped at {offset}: records are lost")
            positions[number][short] = max(offset or 0, begins[tp])
        return positions

    def _check(self, epoch: int) -> None:
        if epoch != self._epoch:
            raise Overtaken

    # -- closing -------------------------------------------------------------------------------

    async def revoke(self) -> None:
        """Finishes every cycle under way; lanes keep their state until it is known who has them."""
        self._epoch += 1
        self.ready = False
        metrics.REBALANCES.inc()
        metrics.LANES_OPEN.set(0)
        if self.lanes and self._revoked_s is None:
            self._revoked_s = time.monotonic()
        await asyncio.gather(*(lane.stop() for lane in self.lanes.values()))
        crash_points.reached("rebalance")

    async def close(self) -> None:
        """Ends all lanes: the worker stops."""
        await self.revoke()
        for lane in self.lanes.values():
            await self._drop(lane)
        self.lanes.clear()

    async def _drop(self, lane: Lane) -> None:
        await lane.stop()
        await lane.producer.stop()

    # -- feeding -------------------------------------------------------------------------------

    async def pump(self, timeout_s: float) -> None:
        """Delivers what has been fetched, or waits for a fetch up to `timeout_s` seconds."""
        if not await self._deliver():
            consumer = self._consumer
            if consumer is None or consumer._fetcher is None:
                await asyncio.sleep(0.05)
                return
            waiter = consumer._fetcher._create_fetch_waiter()
            waiter.add_done_callback(lambda _: self._wake.set())
            try:
                await asyncio.wait_for(self._wake.wait(), timeout_s)
            except TimeoutError:
                waiter.cancel()
            if waiter.done() and not waiter.cancelled():
                waiter.result()
        self._wake.clear()
        self._pause()

    async def _deliver(self) -> bool:
        """Moves fetched records to their lanes, within one step of the loop.

        Reading the positions, draining and delivering must not be parted by an await that waits:
        a seek in between would be taken for a delivery. `fetched_records` waits only with a timeout
        or while partitions are being assigned.
        """
        consumer = self._consumer
        if consumer is None or consumer._subscription.reassignment_in_progress:
            return False
        partitions = [
            TopicPartition(topic, number)
            for number, lane in self.lanes.items()
            if lane.open and number not in self._paused
            for topic in self._inputs
        ]
        if not partitions:
            return False
        assignment = consumer._subscription.subscription.assignment
        states = {tp: assignment.state_value(tp) for tp in partitions}
        # A seek that was not carried out yet, or a partition that is being taken away, has no position.
        before = {tp: s.position for tp, s in states.items() if s is not None and s.has_valid_position}
        if not before:
            return False
        hand_over_as_parsed(consumer)
        fetched = await consumer._fetcher.fetched_records(list(before), timeout=0)
        for tp, start in before.items():
            # A position moves without records over markers and over what was aborted.
            if (end := states[tp].position) != start:
                records = fetched.get(tp, [])
                size = sum(RECORD_BYTES + len(record.value or b"") for record in records)
                self.lanes[tp.partition].deliver(Delivery(tp.topic, start, records, end, size))
        return bool(fetched)

    def _pause(self) -> None:
        for number, lane in self.lanes.items():
            if lane.open and lane.full and number not in self._paused and self._consumer is not None:
                self._paused.add(number)
                metrics.PAUSED.inc()
                self._consumer.pause(*self._partitions_of(number))

    def _resume(self) -> None:
        """A lane has room again: a cycle of it was committed."""
        for number in list(self._paused):
            lane = self.lanes.get(number)
            if lane is None or not lane.open or not lane.roomy or self._consumer is None:
                continue
            self._paused.discard(number)
            self._consumer.resume(*self._partitions_of(number))
            self._wake.set()

    def _partitions_of(self, number: int) -> list[TopicPartition]:
        return [TopicPartition(topic, number) for topic in self._inputs]
