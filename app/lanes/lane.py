"""One lane: takes what arrived on partition i of every topic, and commits it in cycles."""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple, Protocol

from aiokafka import TopicPartition

from agents.batch import Batch
from app import garbage
from app.lanes import clock, crash_points, metrics
from app.lanes.decode import Decoder, Raw
from app.lanes.fatal import die
from app.lanes.outbox import Outbox
from app.lanes.producer import LaneProducer
from app.pipeline import INPUTS, OUTSIDE, STEPS, Step, acquaint
from app.settings import Settings
from schemas.codec import Codec, DecodeError
from schemas.partitioning import lane_of
from schemas.records import Record
from tables.reference import Instruments

log = logging.getLogger("oms.lanes")

# How far a lane's time may be ahead of the clock of its worker, as another's was.
AHEAD_US_MAX = 60_000_000
FORWARDED = ("oms-forwarded", b"1")


class Inbox(Protocol):
    """Where an agent takes its batches; `process` returns when the agent asks for the next one."""

    async def process(self, batch: Batch[Any]) -> None:
        """Hands a batch over and waits until it is done."""


class Turns:
    """Lets the lanes of a worker begin their cycles one after the other, so much time apart.

    Transactions that begin together wait for each other at the broker, and several small ones cost more than
    a larger one later.
    """

    def __init__(self, apart_s: float) -> None:
        self._apart_s = apart_s
        self._next_s = 0.0

    async def next(self) -> None:
        """Waits until it is the caller's turn, in the order of asking."""
        now_s = time.monotonic()
        turn_s = max(now_s, self._next_s)
        self._next_s = turn_s + self._apart_s
        if turn_s > now_s:
            await asyncio.sleep(turn_s - now_s)


class Delivery(NamedTuple):
    """Records fetched from one partition: they begin at `start`; the next fetch begins at `end`.

    `size` is about what they weigh in memory, bytes.
    """

    topic: str
    start: int
    records: list[Raw]
    end: int
    size: int


# Which step hears a record name of a topic.
_STEP_OF = {
    (topic, kind): step.name for step in STEPS for topic, kinds in step.hears.items() for kind in kinds
}
# Topics that more than one step hears.
_SHARED = {topic for topic in INPUTS if sum(topic in step.hears for step in STEPS) > 1}


def _of_step(step: Step, topic: str, records: Iterable[Record]) -> Iterable[Record]:
    """What of a topic's records is for a step."""
    if topic not in _SHARED:
        return records
    return [record for record in records if _STEP_OF[topic, record.kind] == step.name]


class Lane:
    """State, input and transactions of partition `number`.

    `tables` are those of its steps; `positions` are the offsets, by topic, that the group committed
    last. Anything unexpected ends the process (`fatal.die`); `stop` finishes the cycle under way.
    """

    def __init__(
        self,
        number: int,
        settings: Settings,
        tables: Mapping[str, Any],
        inboxes: Mapping[str, Inbox],
        decoder: Decoder,
        producer: LaneProducer,
        instruments: Instruments,
        turns: Turns,
    ) -> None:
        self.number = number
        self.tables = tables
        self.producer = producer
        self.positions: dict[str, int] = {}
        self.generation = -1
        self.waiting_bytes = 0
        self.on_room: Callable[[], None] = lambda: None
        self._settings = settings
        self._inboxes = inboxes
        self._decoder = decoder
        self._instruments = instruments
        self._turns = turns
        self._outbox = Outbox(number, settings, decoder.codec, instruments, producer)
        self._short = {settings.topic(short): short for short in INPUTS}
        self._expected: dict[str, int] = {}
        self._waiting: dict[str, deque[Delivery]] = {short: deque() for short in INPUTS}
        self._arrived = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._now_us = 0
        acquaint(tables)
        self._timed = [tables[step.name] for step in STEPS if step.timed]

    # -- input ---------------------------------------------------------------------------------

    @property
    def open(self) -> bool:
        """Whether the lane takes deliveries."""
        return self._task is not None and not self._stopping

    def deliver(self, delivery: Delivery) -> None:
        """Takes records; they must begin where the last ones ended, else records were lost."""
        short = self._short[delivery.topic]
        expected = self._expected[short]
        if delivery.start != expected:
            die(f"gap: lane {self.number} of {delivery.topic} is at {expected}, got {delivery.start}")
        self._expected[short] = delivery.end
        if not delivery.records:
            return
        self._waiting[short].append(delivery)
        self.waiting_bytes += delivery.size
        metrics.WAITING_BYTES.labels(self.number).set(self.waiting_bytes)
        self._arrived.set()

    @property
    def full(self) -> bool:
        """Whether enough bytes wait; the lane's partitions are paused until half of them are done."""
        return self.waiting_bytes >= self._settings.lane_bytes_max

    @property
    def roomy(self) -> bool:
        """Whether a paused lane may be resumed."""
        return self.waiting_bytes < self._settings.lane_bytes_max // 2

    def go_on_from(self, at_us: int) -> None:
        """Takes note of the time of the last cycle that the lane committed anywhere."""
        self._now_us = max(self._now_us, at_us)

    # -- life ----------------------------------------------------------------------------------

    def start(self, generation: int) -> None:
        """Opens the lane at `positions`, for a generation of the group."""
        assert self._task is None, f"lane {self.number} was started twice"
        self.generation = generation
        self._expected = dict(self.positions)
        self._stopping = False
        # A lane that was stopped and is kept was woken to stop; nothing waits yet.
        self._arrived.clear()
        self._task = asyncio.create_task(self._run(), name=f"lane-{self.number}")

    async def stop(self) -> None:
        """Finishes the cycle under way; what waits is dropped and will be fetched again."""
        if self._task is None:
            return
        self._stopping = True
        self._arrived.set()
        await self._task
        self._task = None
        for waiting in self._waiting.values():
            waiting.clear()
        self.waiting_bytes = 0

    async def _run(self) -> None:
        try:
            while not self._stopping:
                await self._input()
                await self._turns.next()
                self._arrived.clear()
                if self._stopping:
                    break
                async with asyncio.timeout(self._settings.cycle_timeout_s):
                    await self._cycle(self._take())
                garbage.collect()
                if any(self._waiting.values()):
                    self._arrived.set()
        except TimeoutError:
            die(f"lane {self.number}: a cycle took over {self._settings.cycle_timeout_s} s; is Kafka there?")
        except BaseException as error:
            die(f"lane {self.number}: {error!r}", error)

    async def _input(self) -> None:
        """Waits until something has arrived, or a table's deadline has come."""
        if self._arrived.is_set():
            return
        due_us = min(filter(None, (table.due_us() for table in self._timed)), default=0)
        seconds = max(0, due_us - clock.now_us()) / 1_000_000 if due_us else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._arrived.wait()

    # -- a cycle -------------------------------------------------------------------------------

    def _take(self) -> dict[str, Delivery]:
        """What has arrived, per topic and up to `cycle_records_max` records of each."""
        return {short: self._take_topic(short) for short in INPUTS if self._waiting[short]}

    def _take_topic(self, short: str) -> Delivery:
        waiting, limit = self._waiting[short], self._settings.cycle_records_max
        first = waiting.popleft()
        records, end, size = list(first.records), first.end, first.size
        while waiting and len(records) < limit:
            following = waiting.popleft()
            records += following.records
            end, size = following.end, size + following.size
        if len(records) > limit:
            cut, left = records[limit].offset, size * (len(records) - limit) // len(records)
            waiting.appendleft(Delivery(first.topic, cut, records[limit:], end, left))
            records, end, size = records[:limit], cut, size - left
        return Delivery(first.topic, first.start, records, end, size)

    async def _cycle(self, taken: dict[str, Delivery]) -> None:
        started_s = time.perf_counter()
        outbox = self._outbox
        # Known before sorting: what is set aside by it is not older than its record, either.
        at_us = self._now_us = outbox.at_us = self._time_of(taken)
        records = await self._records(taken)
        passed: list[Record] = []
        for step in STEPS:
            heard = [_of_step(step, topic, records[topic]) for topic in step.hears if topic in taken]
            if passed:
                heard.append(passed)
            if heard or (step.timed and 0 < self.tables[step.name].due_us() <= at_us):
                every = chain.from_iterable(heard)
                batch: Batch[Any] = Batch(self.tables[step.name], every, at_us, outbox.adder(step))
                await self._inboxes[step.name].process(batch)
                passed = batch.passed
        for step in STEPS:
            outbox.add_rows(step.name, self.tables[step.name].changed_rows())
        metrics.WORK_SECONDS.observe(time.perf_counter() - started_s)
        await self._commit({short: delivery.end for short, delivery in taken.items()})
        self._done(taken)

    def _time_of(self, taken: dict[str, Delivery]) -> int:
        """Now, but after the last cycle, and not before what is taken, should the worker's clock be behind.

        So each cycle has a time of its own. One that is far ahead came from a clock that was wrong: it is
        followed only so far.
        """
        now_us = clock.now_us()
        newest_ms = max((raw.timestamp for each in taken.values() for raw in each.records), default=0)
        return max(now_us, min(max(self._now_us + 1, newest_ms * 1000), now_us + AHEAD_US_MAX))

    def _done(self, taken: dict[str, Delivery]) -> None:
        count = 0
        for short, delivery in taken.items():
            metrics.RECORDS_IN.labels(short).inc(len(delivery.records))
            count += len(delivery.records)
            self.waiting_bytes -= delivery.size
        metrics.CYCLE_RECORDS.observe(count)
        metrics.WAITING_BYTES.labels(self.number).set(self.waiting_bytes)
        self.on_room()

    async def _commit(self, positions: dict[str, int]) -> None:
        """Outputs, rows and input offsets in one transaction."""
        started_s = time.perf_counter()
        producer, settings = self.producer, self._settings
        await producer.begin_transaction()
        crash_points.reached("before-outputs")
        offsets = {
            TopicPartition(settings.topic(short), self.number): position
            for short, position in positions.items()
        }
        committing: asyncio.Future[None] | None = None
        # A cycle for a deadline took nothing.
        if offsets:
            committing = asyncio.ensure_future(producer.send_offsets_to_transaction(offsets, settings.app_id))
        futures = await self._outbox.send()
        crash_points.reached("between-outputs-and-offsets")
        if committing is not None:
            await committing
        # Each one: aiokafka would commit although a batch failed for good.
        for future in futures:
            await future
        crash_points.reached("before-commit")
        await producer.commit_transaction()
        crash_points.reached("after-commit")
        self.positions.update(positions)
        metrics.COMMIT_SECONDS.observe(time.perf_counter() - started_s)

    # -- from bytes to records -----------------------------------------------------------------

    async def _records(self, taken: Mapping[str, Delivery]) -> dict[str, Iterable[Record]]:
        """What was taken, by topic, decoded when a step comes to it: then it is in the processor's cache.

        What is not for this lane is forwarded or set aside on the way.
        """
        records: dict[str, Iterable[Record]] = {}
        for short, delivery in taken.items():
            refused = await self._decoder.learn_all(raw.value for raw in delivery.records)
            if short in OUTSIDE:
                records[short] = self._outside(short, delivery, refused)
            elif refused:
                # What lanes wrote for lanes decodes, all of it.
                raise next(iter(refused.values()))
            else:
                records[short] = self._own(delivery)
            if short in _SHARED:
                records[short] = list(records[short])
        return records

    def _own(self, delivery: Delivery) -> Iterator[Record]:
        """What lanes wrote for lanes: it is where it belongs."""
        decode = self._decoder.codec.decode
        for raw in delivery.records:
            kind, message = decode(raw.value)
            yield Record(kind, message, raw.offset, raw.timestamp * 1000)

    def _outside(
        self, short: str, delivery: Delivery, refused: Mapping[int, DecodeError]
    ) -> Iterator[Record]:
        """Records of whoever may write requests; what cannot be taken gets a dead letter."""
        for raw in delivery.records:
            try:
                kind, message = self._decoded(raw.value, refused)
                if (short, kind) not in _STEP_OF:
                    raise DecodeError(
                        "DECODE_WRONG_RECORD", f"{self._settings.topic(short)} carries no {kind}"
                    )
                if self._lane(message) != self.number:
                    self._forward(short, raw, message)
                else:
                    yield Record(kind, message, raw.offset, raw.timestamp * 1000)
            except DecodeError as error:
                self._set_aside(delivery.topic, raw, error)

    def _decoded(self, value: bytes | None, refused: Mapping[int, DecodeError]) -> tuple[str, dict[str, Any]]:
        """Record name and message; raises DecodeError when it cannot be taken."""
        if value is not None and len(value) > self._settings.request_bytes_max:
            raise DecodeError(
                "DECODE_TOO_LARGE", f"limit={self._settings.request_bytes_max} got={len(value)} bytes"
            )
        try:
            return self._decoder.codec.decode(value)
        except KeyError:
            raise refused[Codec.schema_id(value)] from None

    def _lane(self, message: Mapping[str, Any]) -> int:
        account = message.get("account")
        if account is not None:
            return lane_of(account, self._settings.partitions)
        return self._instruments.lane_of_symbol(message["symbol"], self._settings.partitions)

    def _forward(self, short: str, raw: Raw, message: Mapping[str, Any]) -> None:
        """To the lane of its key, once: a producer's partitioner is not trusted."""
        if FORWARDED in raw.headers:
            lane = self._lane(message)
            raise DecodeError("LANE_MISROUTED", f"forwarded to {self.number}, belongs to {lane}")
        key = (message.get("account") or message["symbol"]).encode()
        self._outbox.put_raw(short, self._lane(message), key, raw.value or b"", [FORWARDED])
        metrics.FORWARDED.labels(short).inc()

    def _set_aside(self, topic: str, raw: Raw, error: DecodeError) -> None:
        self._outbox.dead_letter(topic, raw, error)
        metrics.DEAD_LETTERS.labels(error.reason).inc()
        log.warning("dead letter: %s-%d@%d: %s", topic, self.number, raw.offset, error)
