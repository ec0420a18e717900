"""The hub's subscription ends when it is told to, whatever the client library makes of it."""

import asyncio
import time
from typing import Any

import pytest
from redis.asyncio.client import PubSub

from app.gateway.hub import Hub, Update


class Heard:
    """Keeps what it hears."""

    def __init__(self) -> None:
        self.updates: list[Update] = []

    def hear(self, update: Update) -> None:
        self.updates.append(update)

    def lost(self) -> None:
        return

    def restored(self) -> None:
        return


async def test_it_ends_although_the_library_loses_its_cancellation(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_message = PubSub.get_message
    lost = 0

    async def losing(self: PubSub, *args: Any, **options: Any) -> Any:
        nonlocal lost
        try:
            return await get_message(self, *args, **options)
        except asyncio.CancelledError:
            lost += 1
            if lost > 1:
                raise
            return None

    monkeypatch.setattr(PubSub, "get_message", losing)
    hub = Hub(redis_url)
    hub.start()
    end_s = time.monotonic() + 30
    while not await hub.add("test.hub", Heard()):
        assert time.monotonic() < end_s
        await asyncio.sleep(0.05)
    async with asyncio.timeout(10):
        await hub.stop()
    assert lost == 1
