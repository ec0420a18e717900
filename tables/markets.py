"""One symbol's market: its book, its counters, and what onlookers are told of the book."""

from collections.abc import Mapping
from typing import Any
from zlib import crc32

from schemas.records import Said
from tables.book import Book, BookSide, LevelView
from tables.book_orders import Order

SNAPSHOT_EVERY = 500
CHECKSUM_LEVELS = 10


class Market:
    """One symbol: its book and its counters, and what onlookers were last told of the book."""

    __slots__ = ("arrivals", "book", "snapshot_due", "symbol", "tops", "trades", "updates")

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.book: Book[Order] = Book()
        self.trades = 0
        self.updates = 0
        self.arrivals = 0
        # Whoever follows the book cannot know what came before: the first update has all of it.
        self.snapshot_due = True
        self.tops = {"buy": "", "sell": ""}

    def rest(self, order: Order) -> None:
        """Puts an order at the back of its level."""
        self.arrivals += 1
        order.arrival = self.arrivals
        self.book.add(order)

    def amend(self, order: Order, quantity_e8: int, limit_price_e8: int, request_id: str) -> bool:
        """Replaces quantity, price and name of a resting order, each unless 0 or empty.

        Returns whether it kept its place; if not, it is off the book, to trade and to rest anew if
        anything is left. Down to no more than what was filled, it is filled at that quantity.
        """
        quantity_e8 = max(quantity_e8 or order.quantity_e8, order.cum_quantity_e8)
        price_e8 = limit_price_e8 or order.limit_price_e8
        leaves_e8 = quantity_e8 - order.cum_quantity_e8
        kept = price_e8 == order.limit_price_e8 and 0 < leaves_e8 <= order.leaves_e8
        if kept:
            self.book.reduce(order, leaves_e8)
        else:
            self.book.remove(order)
        order.amend(quantity_e8, price_e8, request_id)
        return kept

    def restore(self, row: Mapping[str, Any]) -> None:
        """Takes its counters from its BookRow."""
        self.trades = row["trades"]
        self.updates = row["updates"]
        self.arrivals = row["arrivals"]

    def restore_order(self, order: Order) -> None:
        """Takes a resting order, the oldest first, once the counters are known."""
        assert order.leaves_e8 > 0, f"{order.order_id} rests with nothing open"
        assert order.arrival <= self.arrivals, f"{order.order_id} came after {self.arrivals}"
        self.book.add(order)

    def restored(self) -> None:
        """After the last restored order: nothing that was restored is news."""
        self.book.check_top()
        self.book.settle()

    def check(self) -> None:
        """Asserts what must be true of the book and its orders between two records; for tests."""
        self.book.check()
        for order in self.book.entries.values():
            assert order.may_rest(), f"{order.order_id} may not rest"
            assert order.quantity_e8 == order.cum_quantity_e8 + order.leaves_e8, f"{order.order_id} leaks"
            assert order.arrival <= self.arrivals, f"{order.order_id} came after {self.arrivals}"

    def row(self) -> dict[str, Any]:
        """Its BookRow."""
        return {
            "symbol": self.symbol,
            "trades": self.trades,
            "updates": self.updates,
            "arrivals": self.arrivals,
        }

    def update(self, at_us: int) -> Said | None:
        """The BookUpdate since the last one; None when no level differs."""
        book = self.book
        bids, asks = book.bids.changes(), book.asks.changes()
        if not bids and not asks:
            return None
        self.updates += 1
        if bids or self.snapshot_due:
            self.tops["buy"] = top_text(book.bids)
        if asks or self.snapshot_due:
            self.tops["sell"] = top_text(book.asks)
        snapshot = self.snapshot_due or self.updates % SNAPSHOT_EVERY == 0
        if snapshot:
            bids, asks = book.bids.depth(), book.asks.depth()
            self.snapshot_due = False
        return "BookUpdate", {
            "symbol": self.symbol,
            "sequence": self.updates,
            "snapshot": snapshot,
            "bids": _book_levels(bids),
            "asks": _book_levels(asks),
            "checksum": crc32(f"{self.tops['buy']}|{self.tops['sell']}".encode()),
            "at_us": at_us,
        }


def top_text(side: BookSide) -> str:
    """The text of one side that a book's checksum is made of.

    `price:quantity` of the ten best levels (of all, when there are fewer), best first, joined by
    commas; both numbers as integers scaled by 10^8 in decimal digits. The checksum of a BookUpdate is
    the CRC-32 (as in zlib) of the bids' text, a `|`, and the asks' text, in ASCII: with the bids 187.12
    x 5 and 187.1 x 1 and no ask, that of `18712000000:500000000,18710000000:100000000|`.
    """
    return ",".join([f"{level.price_e8}:{level.quantity_e8}" for level in side.depth(CHECKSUM_LEVELS)])


def _book_levels(levels: list[LevelView]) -> list[dict[str, int]]:
    return [{"price": price, "quantity": quantity, "orders": orders} for price, quantity, orders in levels]
