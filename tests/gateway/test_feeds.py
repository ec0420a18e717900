"""A feed between its subscription and its snapshot, without Redis."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

from app.gateway.auth import Caller
from app.gateway.feeds import Feed
from app.gateway.hub import Update

ALL = Caller("ops", "admin", None)


class SlowSources:
    """What a feed needs of the gateway's parts; snapshots wait until they are let go."""

    def __init__(self, snapshot: Any) -> None:
        self.go = asyncio.Event()
        self.settings = SimpleNamespace(gateway_stream_backlog=100)
        self.hub = SimpleNamespace(add=self._subscribed, heard=lambda _: 0)
        self.latest = SimpleNamespace(one=self._given, live_orders=self._given)
        self._snapshot = snapshot

    async def _subscribed(self, *_: object) -> bool:
        return True

    async def _given(self, _: str) -> Any:
        await self.go.wait()
        return self._snapshot


async def said(channel: str, snapshot: Any, *updates: dict[str, Any]) -> list[tuple[str, Any]]:
    """Type and data of all messages, when updates arrive while the snapshot is taken."""
    pushed: list[bytes] = []
    parts: Any = SlowSources(snapshot)
    feed = Feed(parts, ALL, channel, "K", pushed.append)
    await feed.open()
    await asyncio.sleep(0)
    for number, data in enumerate(updates, 1):
        feed.hear(Update(number, data))
    assert not pushed
    parts.go.set()
    await asyncio.sleep(0.01)
    return [(message["type"], message["data"]) for message in map(json.loads, pushed)]


async def test_updates_of_a_book_that_its_snapshot_contains_are_dropped() -> None:
    book = {"sequence": 5}
    heard = await said("book", book, {"sequence": 4}, {"sequence": 5}, {"sequence": 6})
    assert heard == [("snapshot", book), ("update", {"sequence": 6})]


async def test_a_quote_never_goes_back_in_time() -> None:
    heard = await said("quotes", {"at": "2"}, {"at": "1"}, {"at": "2"}, {"at": "3"})
    assert heard == [("snapshot", {"at": "2"}), ("update", {"at": "3"})]


async def test_events_that_the_snapshot_of_an_order_contains_are_dropped() -> None:
    orders = [{"order_id": "O1", "version": 2}]
    old, later = ({"order_id": "O1", "version": version} for version in (2, 3))
    other = {"order_id": "O2", "version": 1}
    assert await said("orders", orders, old, later, other) == [
        ("snapshot", orders),
        ("update", later),
        ("update", other),
    ]
