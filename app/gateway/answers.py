"""Waits for what the pipeline says to a request: `?wait=accepted|terminal`, and controls.

Rule: an answer belongs to the request whose place in the log it names (account or symbol, offset), not
to an order_id: a repeat of yesterday's order is answered with yesterday's. A wait begins before its
request is sent, because the answer may be read before the receipt that names the request's offset.
"""

import asyncio
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aiokafka import ConsumerRecord

from app.gateway.flow import Flow, Flows
from schemas.topics import TOPIC_OF_RECORD
from tables.orders import TERMINAL

# Which kinds of events answer a request; a fill or a mass-canceled order only names it as its cause.
ANSWERS: dict[str, frozenset[str]] = {
    "NewOrder": frozenset({"accepted", "rejected", "order_status"}),
    "CancelOrder": frozenset({"canceled", "cancel_rejected"}),
    "ReplaceOrder": frozenset({"replaced", "replace_rejected"}),
    "MassCancel": frozenset({"MassCancelReport"}),
    "CancelAllAfter": frozenset({"MassCancelReport"}),
}
_CONTROL_ANSWERS = frozenset({"ControlReport"})
# What else is on the topic answers no one.
_TELLING = frozenset({"OrderEvent", "MassCancelReport", "ControlReport"})
# With more waits than this, looking for each key in the bytes costs more than decoding.
_KEYS_SOUGHT_MAX = 4

# How long an answer that nobody waits for is still taken notice of.
_NOTICED_S = 10.0

Message = Mapping[str, Any]


class Wait:
    """One request's wait. `answer` is its answer, `latest` the last event of its order since then."""

    def __init__(self, topic: str, key: str, kinds: frozenset[str], terminal: bool) -> None:
        self.topic = topic
        self.key = key
        self.answer: Message | None = None
        self.latest: Message | None = None
        self.offset: int | None = None
        self.forgotten = False
        self.early: list[tuple[str, Message]] = []
        self.then: Callable[[Wait], None] | None = None
        self.flow: Flow | None = None
        self._kinds = kinds
        self._terminal = terminal
        self._over = asyncio.Event()

    @property
    def over(self) -> bool:
        """Whether what was waited for has come."""
        return self._over.is_set()

    @property
    def order_id(self) -> str | None:
        """The order whose end is still waited for."""
        return None if self.answer is None or self.over else self.answer["order_id"]

    def hear(self, kind: str, message: Message) -> None:
        """Takes an event if it is the answer, or a later state of the order."""
        if self.answer is None:
            if _place(kind, message)[2] == self.offset and _event(kind, message) in self._kinds:
                self.answer = self.latest = message
                self._settle(message)
        elif kind == "OrderEvent" and message["order_id"] == self.answer["order_id"]:
            assert self.latest is not None
            if message["version"] > self.latest["version"]:
                self.latest = message
                self._settle(message)

    def _settle(self, message: Message) -> None:
        if not self._terminal or message.get("status") in TERMINAL:
            self._over.set()

    async def until_over(self, timeout_s: float) -> None:
        """Returns when it is over, or after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._over.wait()
        except TimeoutError:
            return


class Answers:
    """All waits of this process; `hear` is told every event that `wants` asked for.

    `flows` are told which requests are sent and which are answered.
    """

    def __init__(self, flows: Flows) -> None:
        self.flows = flows
        self._unplaced: defaultdict[str, set[Wait]] = defaultdict(set)
        self._placed: dict[tuple[str, str, int], Wait] = {}
        self._following: defaultdict[str, set[Wait]] = defaultdict(set)
        self._keys: Counter[bytes] = Counter()
        self._noticed: deque[tuple[float, Wait]] = deque()

    @contextmanager
    def wait(self, request: str, message: Message, terminal: bool = False) -> Iterator[Wait]:
        """A wait for the answer to a request that is about to be sent; forgotten on exit."""
        wait = self.begin(request, message, terminal)
        try:
            yield wait
        finally:
            self.forget(wait)

    def begin(self, request: str, message: Message, terminal: bool = False) -> Wait:
        """A wait for the answer to a request that is about to be sent; to be forgotten in the end."""
        topic = TOPIC_OF_RECORD[request].short
        key = message["account"] if "account" in message else message["symbol"]
        wait = Wait(topic, key, ANSWERS.get(request, _CONTROL_ANSWERS), terminal)
        self._unplaced[key].add(wait)
        self._keys[key.encode()] += 1
        if request in ANSWERS:
            wait.flow = self.flows.of(message)
            wait.flow.sent(wait)
        return wait

    async def reached(self, wait: Wait, offset: int, timeout_s: float) -> None:
        """Waits for the answer to the request at `offset`; events that overtook its receipt count."""
        self._sent(wait, offset)
        await wait.until_over(timeout_s)

    def notice(self, wait: Wait, offset: int, then: Callable[[Wait], None]) -> None:
        """Calls `then` once the answer to the request at `offset` comes, if it does so soon."""
        self._sent(wait, offset)
        self._notice(wait, then)

    def leave(self, wait: Wait) -> None:
        """Ends a wait for who sat through it; an answer that is still to come is taken notice of."""
        if wait.answer is None and wait.offset is not None:
            self._notice(wait, lambda _: None)
        else:
            self.forget(wait)

    def _notice(self, wait: Wait, then: Callable[[Wait], None]) -> None:
        wait.then = then
        self._noticed.append((time.monotonic() + _NOTICED_S, wait))
        self.expire()
        self._over(wait)

    def expire(self) -> None:
        """Forgets what was not answered soon."""
        now = time.monotonic()
        while self._noticed and self._noticed[0][0] < now:
            self.forget(self._noticed.popleft()[1])

    def _sent(self, wait: Wait, offset: int) -> None:
        self._discard(self._unplaced, wait.key, wait)
        wait.offset = offset
        for kind, message in wait.early:
            wait.hear(kind, message)
        wait.early.clear()
        self._place(wait)

    def wants(self, record: ConsumerRecord) -> bool:
        """Whether a record may concern a wait: Avro keeps strings as they are, so its key is in the bytes."""
        if len(self._keys) > _KEYS_SOUGHT_MAX:
            return True
        return record.value is not None and any(key in record.value for key in self._keys)

    def hear(self, kind: str, message: Message) -> None:
        """Tells the waits concerned of a record of `oms.events.v1`."""
        if kind not in _TELLING:
            return
        place = _place(kind, message)
        for wait in self._unplaced.get(place[1], ()):
            wait.early.append((kind, message))
        concerned = set(self._following.get(message.get("order_id", ""), ()))
        if place in self._placed:
            concerned.add(self._placed[place])
        for wait in concerned:
            wait.hear(kind, message)
            self._place(wait)
            self._over(wait)

    def _over(self, wait: Wait) -> None:
        """Ends a wait that nobody sits through."""
        if wait.over and wait.then is not None:
            wait.then(wait)
            self.forget(wait)

    def _place(self, wait: Wait) -> None:
        """Puts a wait where the next event that it wants will look for it."""
        assert wait.offset is not None
        if wait.answer is None:
            self._placed[wait.topic, wait.key, wait.offset] = wait
            return
        if wait.flow is not None:
            wait.flow.answered(wait)
        if wait.order_id is not None:
            self._following[wait.order_id].add(wait)

    def forget(self, wait: Wait) -> None:
        """Ends a wait; once more does no harm."""
        if wait.forgotten:
            return
        wait.forgotten = True
        if wait.flow is not None:
            wait.flow.given_up(wait)
        self._discard(self._unplaced, wait.key, wait)
        if wait.offset is not None:
            self._placed.pop((wait.topic, wait.key, wait.offset), None)
        if wait.answer is not None:
            self._discard(self._following, wait.answer.get("order_id", ""), wait)
        key = wait.key.encode()
        self._keys[key] -= 1
        if not self._keys[key]:
            del self._keys[key]

    @staticmethod
    def _discard(waits: defaultdict[str, set[Wait]], key: str, wait: Wait) -> None:
        if key in waits:
            waits[key].discard(wait)
            if not waits[key]:
                del waits[key]


def _event(kind: str, message: Message) -> str:
    return str(message["event"]) if kind == "OrderEvent" else kind


def _place(kind: str, message: Message) -> tuple[str, str, int]:
    """Topic, key and offset of the request that a record of `oms.events.v1` names."""
    if kind == "ControlReport":
        return "control", message["account"] or message["symbol"], message["control_offset"]
    return "orders", message["account"], message["request_offset"]
