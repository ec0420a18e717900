"""A steady trickle of orders into every lane, and how long each waited for its answer.

One process sends and reads, so both times come from one clock. A wait begins when the order is handed to the
producer and ends when its answer is read as committed.
"""

import asyncio
import itertools
import time
from types import TracebackType
from typing import Any, NamedTuple, Self

from app.reader import TopicReader
from app.settings import Settings
from app.writer import TopicWriter
from schemas.partitioning import lane_of
from tests.bench.workload import ACCOUNTS, ENTERED, MID_E8, ONE, SYMBOLS
from tests.lanes.workers import is_answer

_NAMES = itertools.count(1)


class Span(NamedTuple):
    """What the orders of a span of time met: how many, the longest wait, the longest silence (seconds)."""

    orders: int
    wait_s: float
    silence_s: float


class Probe:
    """Sends `per_s` orders a second, each lane in turn, from entering to leaving the context."""

    def __init__(self, settings: Settings, per_s: int = 80) -> None:
        self._settings = settings
        self._per_s = per_s
        self._name = f"probe{next(_NAMES)}"
        self._sent: dict[str, float] = {}
        self._waits: list[tuple[float, float]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._sending: set[asyncio.Task[Any]] = set()
        self._accounts = [
            next(account for account in ACCOUNTS if lane_of(account, settings.partitions) == lane)
            for lane in range(settings.partitions)
        ]

    async def __aenter__(self) -> Self:
        self._reader = TopicReader(self._settings, ["events"], "end")
        self._writer = TopicWriter(self._settings)
        await self._reader.__aenter__()
        await self._writer.start()
        self._tasks = [asyncio.create_task(self._send()), asyncio.create_task(self._read())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._writer.stop()
        await self._reader.__aexit__(kind, error, trace)

    async def until_answered(self, since_s: float, limit_s: float = 60) -> Span:
        """Waits until every order sent from `since_s` until now is answered; what those orders met."""
        until_s = time.monotonic()
        end_s = until_s + limit_s
        while any(sent_s <= until_s for sent_s in self._sent.values()):
            self._look()
            late = [name for name, sent_s in self._sent.items() if sent_s <= until_s]
            assert time.monotonic() < end_s, f"{len(late)} orders without an answer: {late[:5]}"
            await asyncio.sleep(0.02)
        waits = [(sent_s, wait_s) for sent_s, wait_s in self._waits if since_s <= sent_s <= until_s]
        times = sorted(sent_s + wait_s for sent_s, wait_s in waits)
        silence_s = max((later - earlier for earlier, later in itertools.pairwise(times)), default=0.0)
        return Span(len(waits), max((wait_s for _, wait_s in waits), default=0.0), silence_s)

    def _look(self) -> None:
        """Raises what ended the sending or the reading."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def _send(self) -> None:
        began_s = time.monotonic()
        for number in itertools.count():
            rest_s = began_s + number / self._per_s - time.monotonic()
            if rest_s > 0:
                await asyncio.sleep(rest_s)
            lane = number % self._settings.partitions
            name = f"{self._name}-{number}"
            self._sent[name] = time.monotonic()
            order = {
                "account": self._accounts[lane],
                "client_order_id": name,
                "symbol": SYMBOLS[lane],
                "side": "buy",
                "order_type": "limit",
                "quantity": ONE,
                "limit_price": MID_E8 - ONE,
                "time_in_force": "gtc",
                **ENTERED,
            }
            task = asyncio.create_task(self._writer.send("NewOrder", order))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _read(self) -> None:
        answered: set[str] = set()
        async for batch in self._reader.batches():
            now_s = time.monotonic()
            for read in batch:
                if read.kind != "OrderEvent" or not is_answer(read.message):
                    continue
                name = read.message["client_order_id"]
                assert name not in answered, f"{name} was answered twice"
                answered.add(name)
                sent_s = self._sent.pop(name, None)
                if sent_s is not None:
                    self._waits.append((sent_s, now_s - sent_s))
