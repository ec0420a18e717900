"""A book as its updates tell it: levels, sequence, and whether it can be trusted.

Rules: updates are taken in sequence; what came before is ignored. After a gap, or when the checksum of an
update differs from that of the levels (tables.markets.top_text has the rule), the book is stale until the
next snapshot: it keeps its last levels and says so.
"""

from collections.abc import Mapping
from typing import Any
from zlib import crc32

from app.resources import rfc3339
from schemas.numbers import format_e8, parse_e8

_CHECKSUM_LEVELS = 10
Json = dict[str, Any]


class Side:
    """Levels of one side by price_e8: quantity_e8, and the level as JSON `[price, quantity, orders]`."""

    def __init__(self, bids: bool) -> None:
        self._descending = bids
        self._levels: dict[int, tuple[int, list[str | int]]] = {}

    def take(self, levels: list[dict[str, int]], whole: bool) -> None:
        """Takes changed levels, of which one without quantity is gone; or the whole side."""
        if whole:
            self._levels.clear()
        for level in levels:
            self.put(level["price"], level["quantity"], level["orders"])

    def put(self, price_e8: int, quantity_e8: int, orders: int) -> None:
        """Sets one level; a quantity of 0 removes it."""
        if quantity_e8:
            shown: list[str | int] = [format_e8(price_e8), format_e8(quantity_e8), orders]
            self._levels[price_e8] = (quantity_e8, shown)
        else:
            self._levels.pop(price_e8, None)

    def best_first(self) -> list[list[str | int]]:
        """All levels as JSON."""
        return [self._levels[price_e8][1] for price_e8 in self._prices()]

    def top(self) -> str:
        """Its part of the checksum's text."""
        return ",".join(
            f"{price_e8}:{self._levels[price_e8][0]}" for price_e8 in self._prices()[:_CHECKSUM_LEVELS]
        )

    def _prices(self) -> list[int]:
        return sorted(self._levels, reverse=self._descending)


class BookImage:
    """The book of one symbol; stale and empty until its first snapshot."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.sequence = 0
        self.stale = True
        self._checksum = 0
        self._at: str | None = None
        self._bids = Side(bids=True)
        self._asks = Side(bids=False)

    @classmethod
    def of_json(cls, shown: Mapping[str, Any]) -> "BookImage":
        """The book that `as_json` showed."""
        image = cls(shown["symbol"])
        image.sequence, image.stale = shown["sequence"], shown["stale"]
        image._checksum, image._at = shown["checksum"], shown["at"]
        for side, levels in ((image._bids, shown["bids"]), (image._asks, shown["asks"])):
            for price, quantity, orders in levels:
                side.put(parse_e8(price), parse_e8(quantity), orders)
        return image

    def as_json(self) -> Json:
        """The whole book."""
        return {
            "symbol": self.symbol,
            "sequence": self.sequence,
            "bids": self._bids.best_first(),
            "asks": self._asks.best_first(),
            "checksum": self._checksum,
            "at": self._at,
            "stale": self.stale,
        }

    def take(self, update: Mapping[str, Any]) -> bool:
        """Takes a BookUpdate; whether the book is as the update says afterwards."""
        sequence, snapshot = update["sequence"], update["snapshot"]
        if sequence <= self.sequence and not (snapshot and self.stale):
            return False
        if not snapshot and (self.stale or sequence != self.sequence + 1):
            self.stale = True
            return False
        self._bids.take(update["bids"], snapshot)
        self._asks.take(update["asks"], snapshot)
        self.sequence, self._checksum, self._at = sequence, update["checksum"], rfc3339(update["at_us"])
        self.stale = crc32(f"{self._bids.top()}|{self._asks.top()}".encode()) != self._checksum
        return not self.stale


def update_json(update: Mapping[str, Any]) -> Json:
    """A BookUpdate for subscribers; a level without quantity is gone."""
    return {
        "symbol": update["symbol"],
        "sequence": update["sequence"],
        "snapshot": update["snapshot"],
        "bids": _levels(update["bids"]),
        "asks": _levels(update["asks"]),
        "checksum": update["checksum"],
        "at": rfc3339(update["at_us"]),
    }


def _levels(levels: list[dict[str, int]]) -> list[list[str | int]]:
    return [[format_e8(level["price"]), format_e8(level["quantity"]), level["orders"]] for level in levels]
