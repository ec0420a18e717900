"""Counts the answers to requests that were sent: each has exactly one on `oms.events.v1`.

An answer names its request by account and offset, a control's report by partition and offset. It may be
read before Kafka's confirmation of the request is, so events of the accounts and symbols in question are
kept until their request is known.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, Self

from app.latest import FINISHED, changes_order
from app.reader import Read, TopicReader
from app.settings import Settings
from app.writer import Place
from schemas.partitioning import lane_of
from schemas.records import Said
from schemas.topics import TOPIC_OF_RECORD

_ORDER_ANSWERS = {
    "NewOrder": frozenset({"accepted", "rejected", "order_status"}),
    "CancelOrder": frozenset({"canceled", "cancel_rejected"}),
    "ReplaceOrder": frozenset({"replaced", "replace_rejected"}),
}
# What else is on the topic answers no one.
_TELLING = frozenset({"OrderEvent", "MassCancelReport", "ControlReport"})
_REQUESTS = frozenset({*_ORDER_ANSWERS, "MassCancel", "CancelAllAfter"})


class Name(NamedTuple):
    """A request: its topic ("orders" or "control"), partition and offset."""

    topic: str
    partition: int
    offset: int


class Answers:
    """Listens from now on; an async context manager.

    `heard` is told each answer as it is matched and, with `terminal`, the end of every order in question.
    """

    def __init__(
        self, settings: Settings, *, terminal: bool = False, heard: Callable[[Read], None] | None = None
    ) -> None:
        """`terminal`: wait for the end of accepted orders, not only for answers."""
        self._settings = settings
        self._terminal = terminal
        self._heard = heard
        self._reader = TopicReader(settings, ["events"], "end")
        self._pending: dict[Name, str] = {}
        self._early: dict[Name, list[Read]] = {}
        self._confirmed: dict[tuple[str, int], int] = {}
        self._owners: set[str] = set()
        self._live: set[str] = set()
        self._finished: set[str] = set()
        self._failure: BaseException | None = None
        self.outcomes: Counter[str] = Counter()
        self.reasons: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        await self._reader.__aenter__()
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *error: Any) -> None:
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        await self._reader.__aexit__(None, None, None)

    def expect(self, said: Sequence[Said]) -> None:
        """Requests that are about to be sent; to be called before they are."""
        self._owners.update(_owner(message) for _, message in said)

    def sent(self, said: Sequence[Said], places: Sequence[Place]) -> None:
        """Requests that Kafka has confirmed, with their places."""
        for (kind, _), place in zip(said, places, strict=True):
            topic = TOPIC_OF_RECORD[kind].short
            if topic == "quotes":
                continue
            name = Name(topic, place.partition, place.offset)
            self._pending[name] = kind
            self._confirmed[topic, place.partition] = place.offset
            for read in self._early.pop(name, ()):
                self._match(name, read)

    async def settled(self, timeout_s: float) -> bool:
        """Waits until all is answered (and over, with `terminal`); False when time runs out first."""
        end = time.monotonic() + timeout_s
        while self.unanswered or self.unfinished:
            if self._task.done():
                self._task.result()
            if time.monotonic() > end:
                return False
            await asyncio.sleep(0.01)
        return True

    @property
    def unanswered(self) -> int:
        """Requests without an answer so far."""
        return len(self._pending)

    @property
    def unfinished(self) -> int:
        """Accepted orders that are not over; 0 unless `terminal`."""
        return len(self._live)

    async def _listen(self) -> None:
        async for batch in self._reader.batches():
            for read in batch:
                self.hear(read)

    def hear(self, read: Read) -> None:
        """Takes a record of the events topic."""
        message = read.message
        if read.kind not in _TELLING or not message or _owner(message) not in self._owners:
            return
        if self._terminal and read.kind == "OrderEvent" and _is_over(message):
            self._finished.add(message["order_id"])
            self._live.discard(message["order_id"])
            self._tell(read)
        name = self._request_of(read)
        if name in self._pending:
            self._match(name, read)
        elif name.offset > self._confirmed.get((name.topic, name.partition), -1):
            self._early.setdefault(name, []).append(read)

    def _request_of(self, read: Read) -> Name:
        message = read.message
        if read.kind == "ControlReport":
            return Name("control", read.partition, message["control_offset"])
        lane = lane_of(message["account"], self._settings.partitions)
        return Name("orders", lane, message["request_offset"])

    def _match(self, name: Name, read: Read) -> None:
        """Takes an event as the answer to its request, if it is the kind that answers it."""
        kind = self._pending.get(name)
        if kind is None or not _answers(kind, read):
            return
        del self._pending[name]
        message = read.message
        outcome = message.get("event") or message["outcome"]
        self.outcomes[outcome] += 1
        if message["reason"] != "NONE" and outcome.endswith("rejected"):
            self.reasons[message["reason"]] += 1
        if self._terminal and kind == "NewOrder" and message["status"] not in FINISHED:
            self._live.update({message["order_id"]} - self._finished)
        self._tell(read)

    def _tell(self, read: Read) -> None:
        if self._heard is not None:
            self._heard(read)


def _owner(message: Mapping[str, Any]) -> str:
    """Account of a request, event or report; its symbol where it has none."""
    return str(message.get("account") or message["symbol"])


def _is_over(event: Mapping[str, Any]) -> bool:
    """Whether the order of an event is at its end with it."""
    return changes_order(event) and event["status"] in FINISHED


def _answers(kind: str, read: Read) -> bool:
    if kind in _ORDER_ANSWERS:
        return read.kind == "OrderEvent" and read.message["event"] in _ORDER_ANSWERS[kind]
    return read.kind == ("MassCancelReport" if kind in _REQUESTS else "ControlReport")
