"""What stands in for aiokafka below lanes: the producer, the bulk reader, and the group's consumer.

Only what lanes use, private names of aiokafka included; each request to the broker is an edge, `World.ask`.
"""

import asyncio
from collections.abc import Iterable, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.structs import OffsetAndMetadata

from app.lanes.producer import LaneProducer
from tests.simulation.broker import Item, Lost, Place, Stored
from tests.simulation.loop import Process, current_process

if TYPE_CHECKING:
    from tests.simulation.world import World

# Readers that find nothing wait for news; their own limits would only make work.
PATIENCE_S = 30.0


def world() -> "World":
    """The world of the history that runs."""
    return asyncio.get_running_loop().world  # type: ignore[attr-defined]


class Batch:
    """Records of one partition; full after a number that chance gave. Stands also for its builder."""

    __slots__ = ("_builder", "_relative_offset", "items", "limit", "timestamp_ms")

    def __init__(self, limit: int) -> None:
        self._builder = self
        self._relative_offset = 0
        self.items: list[Item] = []
        self.limit = limit
        self.timestamp_ms = 0

    def append(
        self,
        offset: int,
        timestamp_ms: int,
        *,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, bytes]],
    ) -> object:
        """Adds a record; None: there is no room."""
        if len(self.items) >= self.limit:
            return None
        self.timestamp_ms = timestamp_ms
        self.items.append((key, value, headers))
        return self

    def record_count(self) -> int:
        """Records in it."""
        return self._relative_offset


_Unsent = list[tuple[Place, Batch, "asyncio.Future[None]"]]


class SimKafkaProducer(AIOKafkaProducer):  # type: ignore[misc]
    """AIOKafkaProducer's part, its transaction manager's included.

    A sender of its own writes, one request after the other; what fails for good is told to everybody from
    then on.
    """

    def __init__(self, *, transactional_id: str, **_: Any) -> None:
        self._world = world()
        self._process = current_process()
        self.name = transactional_id
        self.epoch = -1
        self.client = None
        self._message_accumulator = SimpleNamespace()
        self._max_batch_size = 0
        self._has_records = False
        self._unsent: _Unsent = []
        self._sending: asyncio.Task[None] | None = None
        self._has_offsets = False
        self._error: Exception | None = None

    def __del__(self) -> None:
        """There is nothing that could have been left open."""

    @property
    def _who(self) -> tuple[str, int, Process]:
        return self.name, self.epoch, self._process

    async def start(self) -> None:
        """Fences the former owner."""
        broker = self._world.broker
        self.epoch = await self._world.ask("fence", broker.start_producer, self.name, self._process)

    async def stop(self) -> None:
        """Nothing is kept."""
        current_process()

    async def begin_transaction(self) -> None:
        """The broker hears of it with the first write."""
        self._check()
        self._has_records = self._has_offsets = False

    def _check(self) -> None:
        current_process()
        if self._error is not None:
            raise self._error

    def create_batch(self) -> Batch:
        """An empty batch."""
        return Batch(self._world.batch_records)

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> "asyncio.Future[None]":
        """Hands a batch over; the future tells when it is written, or why it was not."""
        self._check()
        done: asyncio.Future[None] = self._world.loop.create_future()
        self._unsent.append(((topic, partition), batch, done))
        self._has_records = True
        self._send_soon()
        return done

    def _send_soon(self) -> None:
        if self._sending is None:
            self._sending = self._world.loop.create_task(self._send())

    async def _send(self) -> None:
        while self._unsent:
            unsent, self._unsent = self._unsent, []
            try:
                await self._write(unsent)
            except Exception as error:
                self._error = error
                for _, _, done in (*unsent, *self._unsent):
                    if not done.done():
                        done.set_exception(error)
                break
        self._sending = None

    async def _write(self, unsent: _Unsent) -> None:
        # Two brokers lead the partitions: what one of them refuses, the other may have taken.
        for leader in (0, 1):
            part = [entry for entry in unsent if (entry[0][1] + len(entry[0][0])) % 2 == leader]
            if part:
                await self._write_to_leader(part)

    async def _write_to_leader(self, part: _Unsent) -> None:
        batches = [(place, batch.timestamp_ms, batch.items) for place, batch, _ in part]
        try:
            await self._world.ask("produce", self._world.broker.produce, *self._who, batches)
        except MessageSizeTooLargeError as error:
            for _, _, done in part:
                done.set_exception(error)
            return
        for _, _, done in part:
            done.set_result(None)

    async def send_offsets_to_transaction(self, offsets: Mapping[Place, int], group_id: str) -> None:
        """Adds the input offsets."""
        self._check()
        self._has_offsets = True
        await self._world.ask("offsets", self._world.broker.add_offsets, *self._who, offsets)

    async def commit_transaction(self) -> None:
        """Ends the transaction once nothing is unsent; as aiokafka, also when a batch was refused."""
        while self._sending is not None:
            await asyncio.wait([self._sending])
        self._check()
        if self._has_records or self._has_offsets:
            self.epoch = await self._world.ask("commit", self._world.broker.commit, *self._who)


class SimProducer(LaneProducer, SimKafkaProducer):
    """The real LaneProducer, on the simulated one."""


class SimReader:
    """AIOKafkaConsumer without a group: of changelogs, instruments and reference prices. Its fetcher, too."""

    def __init__(self, *, isolation_level: str = "read_uncommitted", **_: Any) -> None:
        self._world = world()
        self._dirty = isolation_level != "read_committed"
        self._context = current_process().context
        self._fetcher = self
        # What aiokafka would hand over in a form that lanes have changed; here it needs no change.
        self._records: dict[Place, Any] = {}
        self._positions: dict[Place, int] = {}
        self._paused: set[Place] = set()
        self._fetched: dict[Place, tuple[int, list[Stored], int]] = {}
        self._waiters: list[asyncio.Future[None]] = []
        self._fetching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """There is nothing to connect to."""
        current_process()

    async def stop(self) -> None:
        """Ends what is under way."""
        current_process()
        if self._fetching is not None:
            self._fetching.cancel()

    def assign(self, places: Iterable[Place]) -> None:
        """Reads these."""
        self._positions = dict.fromkeys(places, 0)

    def seek(self, place: Place, offset: int) -> None:
        """Goes on there."""
        self._positions[place] = offset

    def pause(self, *places: Place) -> None:
        """Leaves these out."""
        self._paused.update(places)

    async def position(self, place: Place) -> int:
        """The next offset."""
        return self._positions[place]

    async def beginning_offsets(self, places: Iterable[Place]) -> dict[Place, int]:
        """Nothing was deleted."""
        return dict.fromkeys(places, 0)

    async def end_offsets(self, places: Iterable[Place]) -> dict[Place, int]:
        """Last stable offsets."""
        found: dict[Place, int] = await self._world.ask("ends", self._world.broker.stable_ends, list(places))
        return found

    async def getmany(
        self, *places: Place, timeout_ms: int = 0, max_records: int | None = None
    ) -> dict[Place, list[Stored]]:
        """What was fetched; with a timeout, waits for something."""
        if timeout_ms and not self._fetched:
            await asyncio.wait([self._create_fetch_waiter()], timeout=PATIENCE_S)
        fetched, self._fetched = self._fetched, {}
        for place, (_, _, end) in fetched.items():
            self._positions[place] = end
        self._fetch_soon()
        return {place: records for place, (_, records, _) in fetched.items() if records}

    def _create_fetch_waiter(self) -> "asyncio.Future[None]":
        waiter: asyncio.Future[None] = self._world.loop.create_future()
        self._waiters.append(waiter)
        self._fetch_soon()
        return waiter

    def _fetch_soon(self) -> None:
        if self._fetching is None and not self._fetched:
            self._fetching = self._world.loop.create_task(self._fetch())

    async def _fetch(self) -> None:
        """Asks until there is something; an answer that is lost is asked for again, as aiokafka does."""
        while not self._fetched:
            positions = {place: at for place, at in self._positions.items() if place not in self._paused}
            news = self._news(positions)
            if not self._has_more(positions):
                await news
                continue
            try:
                limit, read = self._world.read_records, self._world.broker.read
                self._fetched = await self._world.ask("read", read, positions, limit, self._dirty)
            except Lost:
                continue
        self._fetching = None
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            _settle(waiter)

    def _has_more(self, positions: Mapping[Place, int]) -> bool:
        """Whether a fetch would find something now; else the broker tells when it would."""
        logs = [(self._world.broker.log(place), at) for place, at in positions.items()]
        return any((len(log.entries) if self._dirty else log.stable) > at for log, at in logs)

    def _news(self, places: Iterable[Place]) -> "asyncio.Future[None]":
        """A future that tells when the broker has more of these, in a step of this process."""
        world, logs = self._world, [self._world.broker.log(place) for place in places]
        news: asyncio.Future[None] = world.loop.create_future()

        def wake() -> None:
            for log in logs:
                log.watchers.pop(wake, None)
            world.loop.call_soon(_settle, news, context=self._context)

        for log in logs:
            log.watchers[wake] = None
        return news


def _settle(future: "asyncio.Future[Any]", result: Any = None) -> None:
    if not future.done():
        future.set_result(result)


class _State:
    """TopicPartitionState."""

    __slots__ = ("paused", "place", "position")

    def __init__(self, place: Place) -> None:
        self.place = place
        self.position: int | None = None
        self.paused = False

    @property
    def has_valid_position(self) -> bool:
        return self.position is not None


class GroupConsumer:
    """AIOKafkaConsumer in the group; also its fetcher, coordinator, subscription and assignment."""

    def __init__(self) -> None:
        self._world = world()
        self._process = current_process()
        self._fetcher = self._coordinator = self._subscription = self
        self.subscription = self.assignment = self
        self.reassignment_in_progress = True
        self.generation = -1
        # As in SimReader.
        self._records: dict[Place, Any] = {}
        self._states: dict[Place, _State] = {}
        self._fetched: dict[Place, tuple[int, list[Stored], int]] = {}
        self._waiters: list[asyncio.Future[None]] = []
        self._fetching = False
        self._news = False
        self._rebalance = asyncio.Event()

    # The group's side.

    async def join(self) -> tuple[int, list[int]]:
        """Joins, and gets the generation and its lanes; nothing has a position then."""
        self._rebalance.clear()
        world = self._world
        generation, lanes = await world.ask("join", world.group.join, self._process, self._rebalance.set)
        for place in self._states:
            world.broker.log(place).watchers.pop(self._on_news, None)
        places = [(world.settings.topic(short), lane) for lane in lanes for short in world.inputs]
        self._states = {TopicPartition(*place): _State(place) for place in places}
        self._fetched.clear()
        for place in self._states:
            world.broker.log(place).watchers[self._on_news] = None
        self.generation = generation
        self.reassignment_in_progress = False
        world.loop.create_task(self._find_positions(self._states))
        return generation, lanes

    async def rebalance_needed(self) -> None:
        """Waits for the group."""
        await self._rebalance.wait()

    def assigned(self) -> list[TopicPartition]:
        """Partitions of this generation."""
        return list(self._states)

    async def _find_positions(self, states: dict[Place, _State]) -> None:
        """As aiokafka does by itself: the group's offset is the position, until somebody seeks."""
        committed = await self._world.ask("positions", self._world.broker.committed, list(states))
        for place, offset in committed.items():
            if states is self._states and states[place].position is None and offset >= 0:
                states[place].position = offset
        self._fetch_soon()

    async def fetch_committed_offsets(self, places: list[Place]) -> dict[Place, OffsetAndMetadata]:
        """The group's offsets."""
        found = await self._world.ask("offsets of the group", self._world.broker.committed, places)
        return {place: OffsetAndMetadata(offset, "") for place, offset in found.items()}

    async def beginning_offsets(self, places: Iterable[Place]) -> dict[Place, int]:
        """Nothing was deleted."""
        return await self._world.ask("begins", lambda reply: reply(dict.fromkeys(places, 0)))

    # The fetcher's side.

    def state_value(self, place: Place) -> _State | None:
        """What is known of a partition, None unless it is assigned."""
        return self._states.get(place)

    def seek(self, place: Place, offset: int) -> None:
        """Goes on there; what was fetched elsewhere is dropped."""
        self._states[place].position = offset
        self._fetched.pop(place, None)
        self._fetch_soon()

    def pause(self, *places: Place) -> None:
        """Leaves these out for a while."""
        for place in places:
            self._states[place].paused = True

    def resume(self, *places: Place) -> None:
        """Takes these in again."""
        for place in places:
            self._states[place].paused = False
        self._fetch_soon()

    def _create_fetch_waiter(self) -> "asyncio.Future[None]":
        waiter: asyncio.Future[None] = self._world.loop.create_future()
        self._waiters.append(waiter)
        return waiter

    async def fetched_records(
        self, places: Iterable[Place], **_: float
    ) -> dict[TopicPartition, list[Stored]]:
        """What was fetched of these, taken; positions move."""
        wanted, drained, more = set(places), {}, False
        for place in [place for place in self._fetched if place in wanted]:
            start, records, end = self._fetched.pop(place)
            # A fetch that would find nothing is not worth its steps: the broker tells when there is more.
            more = more or self._world.broker.log(place).stable > end
            state = self._states[place]
            if not state.paused and state.position == start:
                state.position = end
                if records:
                    drained[place] = records
        if more:
            self._fetch_soon()
        return drained

    def _on_news(self) -> None:
        """The broker has more; what it answers comes later."""
        self._news = True
        if not self._fetching:
            self._fetching = True
            self._world.loop.call_later(self._world.delay_s(), self._fetch, context=self._process.context)

    _fetch_soon = _on_news

    def _fetch(self) -> None:
        """Asks for what has a position, is not paused and has nothing fetched yet."""
        self._news = False
        positions = {
            place: state.position
            for place, state in self._states.items()
            if state.position is not None and not state.paused and place not in self._fetched
        }
        if not positions:
            self._fetching = False
            return
        self._world.fetch(self._process, positions, self._on_fetched)

    def _on_fetched(self, found: Mapping[Place, tuple[int, list[Stored], int]]) -> None:
        """Keeps what still fits its position; an assignment that is gone has none."""
        self._fetching = False
        for place, fetched in found.items():
            state = self._states.get(place)
            if state is not None and state.position == fetched[0] and place not in self._fetched:
                self._fetched[place] = fetched
        if self._fetched:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                _settle(waiter)
        if self._news:
            self._on_news()
