"""Follows a running system as any reader does: which requests wait, for how long, and what fills come when.

All times are of the run's own clock when the record was read, seconds since the epoch: workers' clocks step.
"""

import asyncio
import time
from collections import Counter
from typing import NamedTuple

from aiokafka.errors import KafkaError

from app.reader import Place, Read, TopicReader
from app.settings import Settings
from schemas.partitioning import lane_of
from schemas.registry import RegistryError

# The event that answers each request.
_ANSWERS = {
    "NewOrder": frozenset({"accepted", "rejected", "order_status"}),
    "CancelOrder": frozenset({"canceled", "cancel_rejected"}),
    "ReplaceOrder": frozenset({"replaced", "replace_rejected"}),
    "MassCancel": frozenset({"MassCancelReport"}),
}
_TOPICS = ("orders", "events", "dead-letters")
# Shorter waits are of no interest.
_SLOW_S = 0.05


class Wait(NamedTuple):
    """From when until when a request waited for its answer."""

    begin: float
    end: float


class Fills(NamedTuple):
    """Two fills of one order that came one after the other, in a lane."""

    lane: int
    first: float
    second: float


class Watcher:
    """Reads orders, events and dead letters of a system from their beginning, until canceled."""

    def __init__(self, settings: Settings) -> None:
        self.waits: list[Wait] = []
        self.longest = Wait(0.0, 0.0)
        self.fills: list[Fills] = []
        self.dead_letters: Counter[str] = Counter()
        # NewOrders by account and client_order_id, however often each was sent.
        self.entered: Counter[str] = Counter()
        # Requests in a wrong lane, to be forwarded.
        self.astray = 0
        self._settings = settings
        self._waiting: dict[tuple[int, int], tuple[str, float]] = {}
        # What answers a request that was not read yet: another broker may have its partition.
        self._early: dict[tuple[int, int], set[str]] = {}
        self._partly: dict[str, float] = {}
        self._positions: dict[Place, int] = {}

    @property
    def waiting(self) -> int:
        """Requests that were read and not answered yet."""
        return len(self._waiting)

    async def settled(self, limit_s: float) -> bool:
        """Whether every request that was read is answered within the limit."""
        end_s = time.monotonic() + limit_s
        while True:
            if not self._waiting or time.monotonic() > end_s:
                return not self._waiting
            await asyncio.sleep(0.2)

    def oldest_s(self) -> float:
        """For how long the oldest of them has waited, seconds."""
        begun = min((at for _, at in self._waiting.values()), default=0.0)
        return time.time() - begun if begun else 0.0

    async def run(self) -> None:
        """Reads; begins again where it was when Kafka is away for too long."""
        while True:
            try:
                async with TopicReader(self._settings, _TOPICS, self._positions) as reader:
                    async for batch in reader.batches():
                        self.take(batch)
            except (KafkaError, RegistryError, OSError):
                await asyncio.sleep(0.5)

    def take(self, batch: list[Read]) -> None:
        """Takes records as they were read."""
        now = time.time()
        # Requests first: one batch may have both a request and its answer.
        for read in sorted(batch, key=lambda read: read.short != "orders"):
            self._positions[read.short, read.partition] = read.offset + 1
            if read.short == "dead-letters":
                self.dead_letters[read.message["reason"] if read.error is None else "unreadable"] += 1
            elif read.error is None:
                self._request(read, now) if read.short == "orders" else self._event(read, now)

    def _request(self, read: Read, now: float) -> None:
        message = read.message
        if read.kind == "NewOrder":
            self.entered[f"{message['account']} {message['client_order_id']}"] += 1
        # One in a wrong lane is answered under the place that it is forwarded to.
        if lane_of(message["account"], self._settings.partitions) != read.partition:
            self.astray += 1
        elif not self._early.pop((read.partition, read.offset), set()) & _ANSWERS[read.kind]:
            self._waiting[read.partition, read.offset] = (read.kind, now)

    def _event(self, read: Read, now: float) -> None:
        message = read.message
        if read.kind not in ("OrderEvent", "MassCancelReport"):
            return
        if read.kind == "OrderEvent" and message["event"] == "trade":
            self._fill(read, now)
        place = (lane_of(message["account"], self._settings.partitions), message["request_offset"])
        told = message["event"] if read.kind == "OrderEvent" else read.kind
        kind, begin = self._waiting.get(place, ("", 0.0))
        if told in _ANSWERS.get(kind, ()):
            del self._waiting[place]
            self._answered(Wait(begin, now))
        elif place[1] >= self._positions.get(("orders", place[0]), 0):
            self._early.setdefault(place, set()).add(told)

    def _answered(self, wait: Wait) -> None:
        if wait.end - wait.begin > _SLOW_S:
            self.waits.append(wait)
        if wait.end - wait.begin > self.longest.end - self.longest.begin:
            self.longest = wait

    def _fill(self, read: Read, now: float) -> None:
        order_id = read.message["order_id"]
        before = self._partly.pop(order_id, None)
        if before is not None:
            self.fills.append(Fills(read.partition, before, now))
        if read.message["leaves_quantity"]:
            self._partly[order_id] = now
