"""A price-time order book: levels by price, entries by time within a level, and nothing of the wire.

Each side is written once. A price has a *key*, `price x sign` (sign +1 for bids, -1 for asks), so that
on either side the larger key is the better price: the sorted list of keys has the best at its end, where
taking it off costs nothing. A level is a doubly linked list of entries, oldest first: an entry leaves
from the middle in constant time, and those behind it keep their places. An entry that loses some
quantity stays where it is; one that is added again goes to the back.

Known limitation: a new price level moves the keys behind it in a list, which is faster than any tree
in Python up to some ten thousand levels.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import Generic, NamedTuple, TypeVar


class Entry:
    """What the book must know of an order; whoever keeps more of it makes a subclass.

    `leaves_e8` is the quantity still open. `arrival` is the order's time priority (lower is older);
    it must grow from one `add` to the next. `level`, `older` and `newer` belong to the book and are None
    while the entry does not rest.
    """

    __slots__ = ("arrival", "leaves_e8", "level", "limit_price_e8", "newer", "older", "order_id", "side")

    order_id: str
    side: str
    limit_price_e8: int
    leaves_e8: int
    arrival: int
    level: "Level | None"
    older: "Entry | None"
    newer: "Entry | None"

    def __init__(self, order_id: str, side: str, limit_price_e8: int, leaves_e8: int, arrival: int) -> None:
        self.order_id = order_id
        self.side = side
        self.limit_price_e8 = limit_price_e8
        self.leaves_e8 = leaves_e8
        self.arrival = arrival
        self.level = self.older = self.newer = None


E = TypeVar("E", bound=Entry)


class LevelView(NamedTuple):
    """One price level as others see it; `quantity_e8` and `orders` are 0 where the level is gone."""

    price_e8: int
    quantity_e8: int
    orders: int


class Level:
    """All entries of one price, oldest first, their open quantity and their number.

    `touched` says whether its side has kept what it was `before`.
    """

    __slots__ = ("newest", "oldest", "orders", "price_e8", "quantity_e8", "side", "touched")

    def __init__(self, side: "BookSide", price_e8: int) -> None:
        self.side = side
        self.price_e8 = price_e8
        self.quantity_e8 = 0
        self.orders = 0
        self.oldest: Entry | None = None
        self.newest: Entry | None = None
        self.touched = False

    def __iter__(self) -> Iterator[Entry]:
        entry = self.oldest
        while entry is not None:
            yield entry
            entry = entry.newer


class BookSide:
    """The levels of one side by price, and their keys in order.

    `before` has quantity and number of orders of every level touched since `changes` was asked last,
    as they were then.
    """

    __slots__ = ("before", "keys", "levels", "name", "sign")

    def __init__(self, name: str, sign: int) -> None:
        self.name = name
        self.sign = sign
        self.keys: list[int] = []
        self.levels: dict[int, Level] = {}
        self.before: dict[int, tuple[int, int]] = {}

    def __iter__(self) -> Iterator[Level]:
        """Levels, best price first."""
        sign, levels = self.sign, self.levels
        for key in reversed(self.keys):
            yield levels[key * sign]

    def open_level(self, price_e8: int) -> Level:
        """The new level of a price that has none."""
        level = self.levels[price_e8] = Level(self, price_e8)
        insort(self.keys, price_e8 * self.sign)
        return level

    def close_level(self, level: Level) -> None:
        """Takes an empty level off; the best one at once, another by bisection."""
        price_e8 = level.price_e8
        del self.levels[price_e8]
        keys, key = self.keys, price_e8 * self.sign
        if keys[-1] == key:
            keys.pop()
        else:
            del keys[bisect_left(keys, key)]

    def touch(self, level: Level) -> None:
        """Keeps what a level is before it changes, unless one of its price was kept already."""
        level.touched = True
        self.before.setdefault(level.price_e8, (level.quantity_e8, level.orders))

    def depth(self, most: int | None = None) -> list[LevelView]:
        """The best levels (all of them unless told how many), best first."""
        keys = self.keys if most is None else self.keys[-most:]
        levels, sign = self.levels, self.sign
        return [
            LevelView(level.price_e8, level.quantity_e8, level.orders)
            for level in (levels[key * sign] for key in reversed(keys))
        ]

    def changes(self) -> list[LevelView]:
        """Levels that differ from what they were when this was asked last, best first; starts anew."""
        before, changed = self.before, []
        self.before = {}
        for price_e8 in sorted(before, reverse=self.sign > 0):
            level = self.levels.get(price_e8)
            now = (0, 0)
            if level is not None:
                level.touched = False
                now = (level.quantity_e8, level.orders)
            if now != before[price_e8]:
                changed.append(LevelView(price_e8, *now))
        return changed


class Book(Generic[E]):
    """Bids, asks, and every resting entry by its order id."""

    __slots__ = ("against", "asks", "bids", "entries", "sides")

    def __init__(self) -> None:
        self.bids = BookSide("buy", 1)
        self.asks = BookSide("sell", -1)
        self.sides = {"buy": self.bids, "sell": self.asks}
        self.against = {"buy": self.asks, "sell": self.bids}
        self.entries: dict[str, E] = {}

    def add(self, entry: E) -> None:
        """Rests an entry at the back of its level; it must not cross the other side."""
        entries, order_id = self.entries, entry.order_id
        assert order_id not in entries, f"{order_id} rests already"
        entries[order_id] = entry
        side, price_e8 = self.sides[entry.side], entry.limit_price_e8
        level = side.levels.get(price_e8) or side.open_level(price_e8)
        if not level.touched:
            side.touch(level)
        entry.level = level
        newest = level.newest
        if newest is None:
            level.oldest = entry
        else:
            newest.newer = entry
            entry.older = newest
        level.newest = entry
        level.orders += 1
        level.quantity_e8 += entry.leaves_e8

    def remove(self, entry: E) -> None:
        """Takes a resting entry off, from wherever in its level it stands."""
        del self.entries[entry.order_id]
        level = entry.level
        assert level is not None, f"{entry.order_id} does not rest"
        older, newer, side = entry.older, entry.newer, level.side
        if not level.touched:
            side.touch(level)
        if older is None:
            level.oldest = newer
        else:
            older.newer = newer
        if newer is None:
            level.newest = older
        else:
            newer.older = older
        entry.level = entry.older = entry.newer = None
        level.orders -= 1
        level.quantity_e8 -= entry.leaves_e8
        if level.oldest is None:
            side.close_level(level)

    def reduce(self, entry: E, leaves_e8: int) -> None:
        """Leaves a resting entry less open quantity, more than none; it keeps its place."""
        level = entry.level
        assert level is not None, f"{entry.order_id} does not rest"
        assert 0 < leaves_e8 <= entry.leaves_e8, f"{entry.order_id}: {entry.leaves_e8} to {leaves_e8}"
        side = level.side
        if not level.touched:
            side.touch(level)
        level.quantity_e8 += leaves_e8 - entry.leaves_e8
        entry.leaves_e8 = leaves_e8

    def take(self, side_name: str, limit_price_e8: int, quantity_e8: int) -> list[tuple[E, int]]:
        """What an incoming order of that side gets: entries of the other side with the quantity each gives.

        Best price first, oldest first, none beyond the limit price, together at most the quantity.
        Each entry's price is its own. Entries that gave all are off the book with `leaves_e8` 0.
        """
        side = self.against[side_name]
        keys, sign = side.keys, side.sign
        limit_key = limit_price_e8 * sign
        fills: list[tuple[E, int]] = []
        while quantity_e8 > 0 and keys and keys[-1] >= limit_key:
            quantity_e8 = self._take_level(side.levels[keys[-1] * sign], quantity_e8, fills)
        return fills

    def _take_level(self, level: Level, quantity_e8: int, fills: list[tuple[E, int]]) -> int:
        """Takes from one level, oldest first; returns the quantity still wanted."""
        side = level.side
        if not level.touched:
            side.touch(level)
        wanted_e8, entries = quantity_e8, self.entries
        entry = level.oldest
        while entry is not None and quantity_e8 >= entry.leaves_e8:
            quantity_e8 -= entry.leaves_e8
            fills.append((entries.pop(entry.order_id), entry.leaves_e8))
            newer = entry.newer
            entry.leaves_e8 = 0
            entry.level = entry.older = entry.newer = None
            level.orders -= 1
            entry = newer
        level.oldest = entry
        if entry is None:
            side.close_level(level)
            return quantity_e8
        entry.older = None
        if quantity_e8:
            entry.leaves_e8 -= quantity_e8
            fills.append((entries[entry.order_id], quantity_e8))
        level.quantity_e8 -= wanted_e8
        return 0

    def available(self, side_name: str, limit_price_e8: int, quantity_e8: int) -> int:
        """How much of the quantity an incoming order of that side would get within the limit price."""
        side = self.against[side_name]
        limit_key = limit_price_e8 * side.sign
        found_e8 = 0
        for level in side:
            if found_e8 >= quantity_e8 or level.price_e8 * side.sign < limit_key:
                break
            found_e8 += level.quantity_e8
        return min(found_e8, quantity_e8)

    def settle(self) -> None:
        """Forgets what changed: whoever would ask knows the book as it is."""
        self.bids.changes()
        self.asks.changes()

    def by_priority(self) -> list[E]:
        """Every resting entry: bids, then asks, best price first, oldest first."""
        entries = self.entries
        return [
            entries[entry.order_id] for side in (self.bids, self.asks) for level in side for entry in level
        ]

    def check(self) -> None:
        """Asserts what must be true of a book at rest; for tests, since it reads the whole book."""
        for side in (self.bids, self.asks):
            assert side.keys == sorted(price_e8 * side.sign for price_e8 in side.levels), "keys != levels"
        standing = [entry.order_id for side in (self.bids, self.asks) for level in side for entry in level]
        assert sorted(standing) == sorted(self.entries), "an entry is in no level, or in two"
        for side in (self.bids, self.asks):
            for level in side:
                _check_level(side, level)
        self.check_top()

    def check_top(self) -> None:
        """Asserts that the sides do not cross."""
        if self.bids.keys and self.asks.keys:
            best_bid, best_ask = self.bids.keys[-1], -self.asks.keys[-1]
            assert best_bid < best_ask, f"crossed: bid {best_bid} ask {best_ask}"


def _check_level(side: BookSide, level: Level) -> None:
    entries = list(level)
    assert entries, f"empty level at {level.price_e8}"
    assert level.newest is entries[-1], f"the newest at {level.price_e8} is not the last"
    assert level.orders == len(entries), f"{level.orders} counted, {len(entries)} rest at {level.price_e8}"
    assert level.quantity_e8 == sum(entry.leaves_e8 for entry in entries), f"quantity at {level.price_e8}"
    assert side.levels[level.price_e8] is level, f"a level away from its price {level.price_e8}"
    for older, entry in zip([None, *entries], entries, strict=False):
        assert entry.older is older, f"{entry.order_id} does not follow {older and older.order_id}"
        assert older is None or older.arrival < entry.arrival, f"{entry.order_id} jumped the queue"
        assert entry.leaves_e8 > 0, f"{entry.order_id} rests with nothing open"
        assert entry.level is level, f"{entry.order_id} names another level"
        assert (entry.side, entry.limit_price_e8) == (side.name, level.price_e8), (
            f"{entry.order_id} misplaced"
        )
