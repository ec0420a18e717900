"""The two sides of a book: levels by price, orders by time within a level.

Each side is written once. A price has a *key*, `price x sign` (sign +1 for bids, -1 for asks), so that
on either side the larger key is the better price: the sorted list of keys has the best at its end, where
taking it off costs nothing. A level is two doubly linked lists, displayed and hidden orders, oldest
first: an order leaves from the middle in constant time, and those behind it keep their places.

Known limitation: a new price level moves the keys behind it in a list, which is faster than any tree
in Python up to some ten thousand levels.
"""

from bisect import bisect_left, insort
from collections.abc import Iterator
from typing import NamedTuple

from mypy_extensions import mypyc_attr

from tables.engine.orders import BOOK, NO_LIMIT, NOWHERE, Order


class LevelView(NamedTuple):
    """One price level as others see it; `quantity_e8` and `orders` are 0 where nothing is displayed."""

    price_e8: int
    quantity_e8: int
    orders: int


@mypyc_attr(acyclic=True)
class Level:
    """All orders of one price, oldest first; displayed quantity and number of displayed orders.

    `special` counts icebergs and hidden orders: without any, leaves are what is shown. `touched` says
    whether its side has kept what it was before.
    """

    __slots__ = (
        "hidden_newest",
        "hidden_oldest",
        "key",
        "newest",
        "oldest",
        "orders",
        "price_e8",
        "quantity_e8",
        "special",
        "touched",
    )

    def __init__(self, key: int, price_e8: int, touched: bool) -> None:
        self.key: int = key
        self.price_e8: int = price_e8
        self.quantity_e8: int = 0
        self.orders: int = 0
        self.special: int = 0
        self.oldest: Order | None = None
        self.newest: Order | None = None
        self.hidden_oldest: Order | None = None
        self.hidden_newest: Order | None = None
        self.touched: bool = touched

    def displayed(self) -> list[Order]:
        """Its displayed orders, oldest first."""
        return _chain(self.oldest)

    def hidden(self) -> list[Order]:
        """Its hidden orders, oldest first."""
        return _chain(self.hidden_oldest)

    def by_priority(self) -> list[Order]:
        """Its orders: displayed, then hidden, each oldest first."""
        return self.displayed() + self.hidden()


def _chain(order: Order | None) -> list[Order]:
    orders: list[Order] = []
    while order is not None:
        orders.append(order)
        order = order.newer
    return orders


class BookSide:
    """The levels of one side by key, and their keys in order; and in a call, orders without a price.

    `best` is the level of the last key, None where there is none.

    `before` has quantity and number of orders of every level touched since `changes` was asked last, as
    they were then; only kept where `watched`, for whoever follows the book.
    """

    __slots__ = ("before", "best", "keys", "levels", "name", "sign", "unpriced", "watched")

    def __init__(self, name: str, sign: int, watched: bool = True) -> None:
        self.name: str = name
        self.sign: int = sign
        self.watched: bool = watched
        self.keys: list[int] = []
        self.levels: dict[int, Level] = {}
        self.best: Level | None = None
        self.unpriced: dict[int, Order] = {}
        self.before: dict[int, tuple[int, int]] = {}

    def __del__(self) -> None:
        """Parts the orders of a side that ends, see `Order`."""
        for level in self.levels.values():
            for order in level.by_priority():
                order.level = order.older = order.newer = None

    def __iter__(self) -> Iterator[Level]:
        """Levels, best price first."""
        for key in reversed(self.keys):
            yield self.levels[key]

    def key_of(self, price_e8: int) -> int:
        """The key of a price, or the price of a key.

        Not by multiplication: compiled, numbers of this size are quick to negate and slow to multiply.
        """
        return price_e8 if self.sign > 0 else -price_e8

    def open_level(self, key: int) -> Level:
        """The new level of a price that has none."""
        level = self.levels[key] = Level(key, self.key_of(key), not self.watched)
        keys = self.keys
        if keys and keys[-1] > key:
            insort(keys, key)
        else:
            keys.append(key)
            self.best = level
        return level

    def close_level(self, level: Level) -> None:
        """Takes an empty level off; the best one at once, another by bisection."""
        key, keys = level.key, self.keys
        del self.levels[key]
        if level is self.best:
            keys.pop()
            self.best = self.levels[keys[-1]] if keys else None
        else:
            del keys[bisect_left(keys, key)]

    def touch(self, level: Level) -> None:
        """Keeps what a level is before it changes, unless one of its price was kept already."""
        level.touched = True
        if level.key not in self.before:
            self.before[level.key] = (level.quantity_e8, level.orders)

    def add(self, order: Order) -> None:
        """Rests an order at the back of its level, with its first part shown where it is an iceberg."""
        key = order.price_e8 if self.sign > 0 else -order.price_e8
        level = self.levels.get(key)
        if level is None:
            level = self.open_level(key)
        if not level.touched:
            self.touch(level)
        order.level = level
        shown_e8 = order.leaves_e8
        extra = order.extra
        if extra is not None:
            extra.place = BOOK
            if extra.hidden:
                level.special += 1
                _join_hidden(level, order)
                return
            if extra.display_e8:
                level.special += 1
                shown_e8 = extra.shown_e8 = min(extra.display_e8, shown_e8)
        newest = level.newest
        if newest is None:
            level.oldest = order
        else:
            newest.newer = order
            order.older = newest
        level.newest = order
        level.orders += 1
        level.quantity_e8 += shown_e8

    def remove(self, order: Order) -> None:
        """Takes an order off, from wherever in its level it stands."""
        level = order.level
        if level is None:
            del self.unpriced[order.arrival]
        else:
            if not level.touched:
                self.touch(level)
            self._leave(level, order)
            if level.oldest is None and level.hidden_oldest is None:
                self.close_level(level)
        if order.extra is not None:
            order.extra.place = NOWHERE

    def _leave(self, level: Level, order: Order) -> None:
        older, newer, extra = order.older, order.newer, order.extra
        hidden = extra is not None and extra.hidden
        if older is not None:
            older.newer = newer
        elif hidden:
            level.hidden_oldest = newer
        else:
            level.oldest = newer
        if newer is not None:
            newer.older = older
        elif hidden:
            level.hidden_newest = older
        else:
            level.newest = older
        order.level = order.older = order.newer = None
        if extra is not None and (hidden or extra.display_e8):
            level.special -= 1
        if not hidden:
            level.orders -= 1
            level.quantity_e8 -= order.leaves_e8 if extra is None else order.shown_e8()

    def show(self, order: Order, shown_e8: int, leaves_e8: int) -> None:
        """Changes what is left and shown of a resting order; it keeps its place."""
        level, extra = order.level, order.extra
        if level is not None:
            if not level.touched:
                self.touch(level)
            level.quantity_e8 -= order.shown_e8()
        order.leaves_e8 = leaves_e8
        if extra is not None:
            extra.shown_e8 = shown_e8
        if level is not None:
            level.quantity_e8 += order.shown_e8()

    def refresh(self, order: Order, arrival: int) -> None:
        """Shows the next part of an iceberg, at the back of the displayed orders of its price."""
        self.remove(order)
        order.arrival = arrival
        self.add(order)

    def best_e8(self) -> int:
        """The best price, hidden orders counted; 0 where there is none."""
        return 0 if self.best is None else self.best.price_e8

    def orders(self) -> list[Order]:
        """Every order of the side by priority; those without a price before all that are not better."""
        unpriced = sorted(self.unpriced.values(), key=self._protection)
        found: list[Order] = []
        at = 0
        for level in self:
            while at < len(unpriced) and self._protection(unpriced[at]) <= -level.key:
                found.append(unpriced[at])
                at += 1
            found += level.by_priority()
        return found + unpriced[at:]

    def _protection(self, order: Order) -> int:
        """The worst price of an order without one, so that the most willing is the smallest."""
        return -order.limit_price_e8 * self.sign if order.limit_price_e8 else -NO_LIMIT

    def depth(self, most: int | None = None) -> list[LevelView]:
        """The best displayed levels (all of them unless told how many), best first."""
        views: list[LevelView] = []
        for level in self:
            if most is not None and len(views) == most:
                break
            if level.orders:
                views.append(LevelView(level.price_e8, level.quantity_e8, level.orders))
        return views

    def changes(self) -> list[LevelView]:
        """Levels that differ from what they were when this was asked last, best first; starts anew."""
        before, changed = self.before, []
        if not before:
            return []
        self.before = {}
        for key in sorted(before, reverse=True):
            level = self.levels.get(key)
            quantity_e8 = orders = 0
            if level is not None:
                level.touched = False
                quantity_e8, orders = level.quantity_e8, level.orders
            if (quantity_e8, orders) != before[key]:
                changed.append(LevelView(self.key_of(key), quantity_e8, orders))
        return changed


def _join_hidden(level: Level, order: Order) -> None:
    newest = level.hidden_newest
    if newest is None:
        level.hidden_oldest = order
    else:
        newest.newer = order
        order.older = newest
    level.hidden_newest = order
