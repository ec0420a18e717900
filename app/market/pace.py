"""Gives out recorded things at their recorded pace, or faster."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

T = TypeVar("T")

_CHUNK = 2000
# What is due within so short a time goes out together.
_TICK_S = 0.005


async def paced(items: Iterable[tuple[int, T]], speed: float) -> AsyncIterator[list[T]]:
    """Chunks of the items of (due_us, item), in their order, each when it is due.

    The first time runs from the first `due_us` above 0; what is due at 0 or earlier than now comes at
    once. `speed` 2 halves every wait; 0 waits for nothing.
    """
    chunk: list[T] = []
    first_us, started = 0, 0.0
    for due_us, item in items:
        if due_us and not first_us:
            first_us, started = due_us, time.monotonic()
        due_s = started + (due_us - first_us) / 1e6 / speed if speed and due_us else 0.0
        if chunk and (due_s - time.monotonic() > _TICK_S or len(chunk) >= _CHUNK):
            yield chunk
            chunk = []
        wait_s = due_s - time.monotonic()
        if wait_s > _TICK_S:
            await asyncio.sleep(wait_s)
        chunk.append(item)
    if chunk:
        yield chunk
