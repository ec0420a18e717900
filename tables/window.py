"""What is remembered until a time, then forgotten a little at a time.

Whether something is still remembered is asked of its own time, never of this: so it does not matter
how late it is forgotten, and a restored lane answers as the one before it did.
"""

from heapq import heappop, heappush
from typing import Generic, TypeVar

Item = TypeVar("Item")

MINUTE_US = 60_000_000


class Window(Generic[Item]):
    """Items by the minute in which they may be forgotten."""

    def __init__(self) -> None:
        self._items: dict[int, list[Item]] = {}
        self._minutes: list[int] = []

    def remember(self, item: Item, until_us: int) -> None:
        """Hands the item back once `until_us` has passed."""
        minute = until_us // MINUTE_US + 1
        items = self._items.get(minute)
        if items is None:
            items = self._items[minute] = []
            heappush(self._minutes, minute)
        items.append(item)

    def due(self, now_us: int, limit: int) -> list[Item]:
        """At most `limit` items whose time has passed, the oldest minute first; they leave the window."""
        due: list[Item] = []
        while self._minutes and self._minutes[0] * MINUTE_US <= now_us and len(due) < limit:
            items = self._items[self._minutes[0]]
            cut = max(0, len(items) - limit + len(due))
            due += items[cut:]
            del items[cut:]
            if not items:
                del self._items[heappop(self._minutes)]
        return due
