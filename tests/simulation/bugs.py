"""Bugs, planted into the real lanes while a history runs: the simulation must find each of them.

A bug is a context manager that replaces a few methods. None of this can be switched on outside the tests.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from app.lanes import changelog
from app.lanes.lane import Lane
from app.lanes.manager import LaneManager
from app.lanes.outbox import Outbox
from tests.simulation.clients import SimReader
from tests.simulation.stand_ins import STAND_INS

Bug = Callable[[], AbstractContextManager[None]]


@contextmanager
def _replaced(owner: Any, **methods: Any) -> Iterator[None]:
    former = {name: getattr(owner, name) for name in methods}
    for name, method in methods.items():
        setattr(owner, name, method)
    try:
        yield
    finally:
        for name, method in former.items():
            setattr(owner, name, method)


def fenced_last() -> AbstractContextManager[None]:
    """The former owner is fenced after changelogs and offsets were read."""
    fence, committed = LaneManager._fence, LaneManager._committed
    unfenced: dict[int, list[Lane]] = {}

    async def later(self: LaneManager, lane: Lane) -> None:
        unfenced.setdefault(id(self), []).append(lane)

    async def read_first(self: LaneManager, consumer: Any, numbers: Iterable[int]) -> Any:
        positions = await committed(self, consumer, numbers)
        for lane in unfenced.pop(id(self), []):
            await fence(self, lane)
        return positions

    return _replaced(LaneManager, _fence=later, _committed=read_first)


def late_seek() -> AbstractContextManager[None]:
    """The seeks come some time after the lanes have opened."""
    opened = LaneManager.open

    async def hesitating(self: LaneManager, consumer: Any, *assignment: Any) -> bool:
        seek = type(consumer).seek

        def later(place: Any, offset: int) -> None:
            asyncio.get_running_loop().call_later(0.01, _if_assigned, seek, consumer, place, offset)

        consumer.seek = later
        return await opened(self, consumer, *assignment)

    return _replaced(LaneManager, open=hesitating)


def _if_assigned(seek: Any, consumer: Any, place: Any, offset: int) -> None:
    if consumer.state_value(place) is not None:
        seek(consumer, place, offset)


def offsets_apart() -> AbstractContextManager[None]:
    """The input offsets are committed in a transaction of their own, after the outputs."""

    committed = Lane._commit

    async def commit(self: Lane, positions: dict[str, int]) -> None:
        await committed(self, {})
        await committed(self, positions)

    return _replaced(Lane, _commit=commit)


def row_dropped() -> AbstractContextManager[None]:
    """Of more than three changed rows of a table, the last is not written."""
    add_rows = Outbox.add_rows

    def dropping(self: Outbox, table: str, rows: Iterable[Any]) -> None:
        kept = list(rows)
        add_rows(self, table, kept[:-1] if len(kept) > 3 else kept)

    return _replaced(Outbox, add_rows=dropping)


def kept_whatever_happened() -> AbstractContextManager[None]:
    """Lanes are kept over a rebalance although generations were missed."""
    opened = LaneManager.open

    async def keeping(self: LaneManager, consumer: Any, assignment: Any, generation: int) -> bool:
        for lane in self.lanes.values():
            lane.generation = generation - 1
        return await opened(self, consumer, assignment, generation)

    return _replaced(LaneManager, open=keeping)


def kept_at_the_groups_offsets() -> AbstractContextManager[None]:
    """A kept lane goes on at the group's offsets, which may be older than its own."""
    opened = LaneManager.open

    async def forgetting(self: LaneManager, *assignment: Any) -> bool:
        for lane in self.lanes.values():
            lane.positions = {}
        return await opened(self, *assignment)

    return _replaced(LaneManager, open=forgetting)


def revoked_in_the_middle() -> AbstractContextManager[None]:
    """A revoked lane does not finish the cycle under way: it is left to itself."""

    async def stop(self: Lane) -> None:
        self._stopping = True
        self._arrived.set()
        self._task = None
        for waiting in self._waiting.values():
            waiting.clear()
        self.waiting_bytes = 0

    return _replaced(Lane, stop=stop)


def refused_batch_committed() -> AbstractContextManager[None]:
    """Nobody looks whether every batch was written before the commit."""
    send = Outbox.send

    async def trusting(self: Outbox) -> list[Any]:
        for future in await send(self):
            # What nobody looks at is not to be reported as forgotten.
            future.add_done_callback(lambda done: done.exception())
        return []

    return _replaced(Outbox, send=trusting)


def overtaken_goes_on() -> AbstractContextManager[None]:
    """An opening that another rebalance overtook goes on."""
    return _replaced(LaneManager, _check=lambda self, epoch: None)


def recovery_ends_early() -> AbstractContextManager[None]:
    """A changelog counts as read after its first chunk."""
    read = changelog._read

    class Hasty:
        def __init__(self, reader: Any) -> None:
            self._reader = reader
            self._seen: set[Any] = set()

        def __getattr__(self, name: str) -> Any:
            return getattr(self._reader, name)

        async def getmany(self, *places: Any, **limits: Any) -> Any:
            found = await self._reader.getmany(*places, **limits)
            self._seen |= found.keys()
            return found

        async def position(self, place: Any) -> int:
            at: int = await self._reader.position(place)
            return 1 << 60 if place in self._seen else at

    return _replaced(changelog, _read=lambda reader, live: read(Hasty(reader), live))


def uncommitted_rows_read() -> AbstractContextManager[None]:
    """Recovery takes rows of transactions that were aborted."""
    made = SimReader.__init__

    def dirty(self: SimReader, **settings: Any) -> None:
        made(self, **{**settings, "isolation_level": "read_uncommitted"})

    return _replaced(SimReader, __init__=dirty)


def never_resumed() -> AbstractContextManager[None]:
    """A full lane that was paused stays paused."""
    return _replaced(LaneManager, _resume=lambda self: None)


def dead_letter_by_the_workers_clock() -> AbstractContextManager[None]:
    """A dead letter bears the clock of its worker, which may be behind."""
    dead_letter = Outbox.dead_letter

    def hasty(self: Outbox, *told: Any) -> None:
        cycle_us, self.at_us = self.at_us, clock.now_us()
        dead_letter(self, *told)
        self.at_us = cycle_us

    clock = STAND_INS["clock"]
    return _replaced(Outbox, dead_letter=hasty)


def work_done_twice() -> AbstractContextManager[None]:
    """Positions of a cycle are one record short where more than one was taken."""
    commit = Lane._commit

    async def short(self: Lane, positions: dict[str, int]) -> None:
        less = {topic: at - 1 if topic == "orders" and at > 1 else at for topic, at in positions.items()}
        await commit(self, less)

    return _replaced(Lane, _commit=short)


BUGS: dict[str, Bug] = {
    bug.__name__.replace("_", "-"): bug
    for bug in (
        fenced_last,
        late_seek,
        offsets_apart,
        row_dropped,
        kept_whatever_happened,
        kept_at_the_groups_offsets,
        revoked_in_the_middle,
        refused_batch_committed,
        overtaken_goes_on,
        recovery_ends_early,
        uncommitted_rows_read,
        never_resumed,
        dead_letter_by_the_workers_clock,
        work_done_twice,
    )
}
