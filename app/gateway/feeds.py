"""One channel of one stream client: a snapshot first, then what changed since.

Rule: updates that arrive while the snapshot is taken are held and those that it contains are dropped.
In `book` and `trades` the sequence is the symbol's own and has no gaps: where one is missed, the client is
told and gets a new snapshot. In `quotes` and `orders` the sequence only rises; an event of an order may
come twice after a fault of the cache, with the same version.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import orjson

from app.gateway.auth import Caller
from app.gateway.hub import Update
from app.gateway.parts import Parts
from app.gateway.problems import Problem
from app.gateway.reads import as_seen_by
from app.gateway.store import Filter

log = logging.getLogger(__name__)

TRADES_IN_SNAPSHOT = 50
_RETRY_S = 1.0
Json = dict[str, Any]
Push = Callable[[bytes], None]


class Snapshot(NamedTuple):
    """What a client gets first; `sequence` None: the channel has none of its own."""

    sequence: int | None
    data: Any
    contains: Callable[[Json], bool]


async def _orders(parts: Parts, account: str) -> Snapshot:
    try:
        orders = await parts.latest.live_orders(account)
    except Problem:
        orders = await parts.store.live_orders([account])
    versions = {order["order_id"]: order["version"] for order in orders}
    return Snapshot(None, orders, lambda event: event["version"] <= versions.get(event["order_id"], -1))


async def _trades(parts: Parts, symbol: str) -> Snapshot:
    page = await parts.store.trades([Filter("symbol = %s", [symbol])], None, TRADES_IN_SNAPSHOT)
    last = page.rows[0]["sequence"] if page.rows else 0
    return Snapshot(last, page.rows[::-1], lambda trade: trade["sequence"] <= last)


async def _quotes(parts: Parts, symbol: str) -> Snapshot:
    quote = await parts.latest.one(f"quote:{symbol}")
    return Snapshot(None, quote, lambda other: quote is not None and other["at"] <= quote["at"])


async def _book(parts: Parts, symbol: str) -> Snapshot:
    book = await parts.latest.one(f"book:{symbol}")
    book = book or {"symbol": symbol, "sequence": 0, "bids": [], "asks": [], "at": None}
    last = book["sequence"]
    return Snapshot(last, book, lambda update: update["sequence"] <= last)


class Channel(NamedTuple):
    """A kind of stream: the Redis channels it is made from, what its key names, how its snapshot is taken."""

    prefix: str
    key: str
    snapshot: Callable[[Parts, str], Awaitable[Snapshot]]


CHANNELS: dict[str, Channel] = {
    "orders": Channel("orders.", "account", _orders),
    "trades": Channel("trades.", "symbol", _trades),
    "quotes": Channel("quotes.", "symbol", _quotes),
    "book": Channel("books.", "symbol", _book),
}


class Feed:
    """A client's subscription to a channel of one account or symbol."""

    def __init__(self, parts: Parts, caller: Caller, channel: str, key: str, push: Push) -> None:
        self._parts = parts
        self._caller = caller
        self._channel = channel
        self._kind = CHANNELS[channel]
        self._key = key
        self._push = push
        self._held: list[Update] | None = []
        self._last: int | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def redis_channel(self) -> str:
        """Where its updates come from."""
        return self._kind.prefix + self._key

    async def open(self) -> None:
        """Subscribes and begins with a snapshot; while Redis is away, a gap is told first."""
        if await self._parts.hub.add(self.redis_channel, self):
            self.restored()
        else:
            self.lost()

    async def close(self) -> None:
        """Ends the subscription."""
        if self._task is not None:
            self._task.cancel()
        await self._parts.hub.remove(self.redis_channel, self)

    def hear(self, update: Update) -> None:
        """Passes an update on, or holds it while a snapshot is taken."""
        if self._held is None:
            self._pass_on(update)
        elif len(self._held) < self._parts.settings.gateway_stream_backlog:
            self._held.append(update)

    def lost(self) -> None:
        """Tells the client that updates are missed."""
        if self._task is not None:
            self._task.cancel()
        self._held = []
        self._say("gap", None, None)

    def restored(self) -> None:
        """Takes a new snapshot."""
        if self._task is not None:
            self._task.cancel()
        self._held = []
        self._task = asyncio.create_task(self._snapshot())

    async def _snapshot(self) -> None:
        heard = self._parts.hub.heard(self.redis_channel)
        snapshot = await self._taken()
        held = [update for update in self._held or () if not snapshot.contains(update.data)]
        self._last = snapshot.sequence
        sequence = heard if snapshot.sequence is None else snapshot.sequence
        self._say("snapshot", sequence, self._seen(snapshot.data))
        self._held = None
        for update in held:
            self.hear(update)

    async def _taken(self) -> Snapshot:
        """The snapshot; tries again while its source is away."""
        while True:
            try:
                return await self._kind.snapshot(self._parts, self._key)
            except Problem as problem:
                log.warning("stream: no snapshot of %s: %s", self.redis_channel, problem)
            await asyncio.sleep(_RETRY_S)

    def _pass_on(self, update: Update) -> None:
        if self._last is None:
            self._say("update", update.sequence, self._seen(update.data))
            return
        sequence = update.data["sequence"]
        if sequence <= self._last:
            return
        if sequence > self._last + 1 and not update.data.get("snapshot"):
            self.lost()
            self._task = asyncio.create_task(self._snapshot_later())
            return
        self._last = sequence
        self._say("update", sequence, self._seen(update.data))

    async def _snapshot_later(self) -> None:
        """PostgreSQL may be a moment behind the trades that were just heard."""
        await asyncio.sleep(_RETRY_S / 4)
        await self._snapshot()

    def _seen(self, data: Any) -> Any:
        if self._channel != "trades":
            return data
        if isinstance(data, list):
            return [as_seen_by(self._caller, trade) for trade in data]
        return as_seen_by(self._caller, data)

    def _say(self, kind: str, sequence: int | None, data: Any) -> None:
        message: Json = {"type": kind, "channel": self._channel, self._kind.key: self._key}
        if kind != "gap":
            message |= {"sequence": sequence, "data": data}
        self._push(orjson.dumps(message))
