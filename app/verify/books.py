"""I7: three books that must be one: of the events, of matching's changelog, and of the book updates.

Compared is what rests when everything was read. An order or symbol of which something was said after the
mark (set just before the changelog is read) may be on its way from one book to the other, and is left out.
Sequences of book updates are gapless per symbol (I5); they are kept a day only, so they are followed
from the first snapshot there is.
"""

from collections.abc import Mapping
from typing import NamedTuple
from zlib import crc32

from app.verify.book import Book
from app.verify.findings import Findings
from app.verify.orders import Order
from app.verify.records import Message, Place, Seen
from schemas.numbers import format_e8

_CHECKSUM_LEVELS = 10
_SAME = ("account", "symbol", "side", "time_in_force", "client_order_id", "version")
_NUMBERS = (
    ("quantity", "quantity_e8"),
    ("limit_price", "limit_price_e8"),
    ("cum_quantity", "cum_e8"),
    ("cum_notional", "sum_e16"),
)

# Price, quantity, number of orders.
Level = tuple[int, int, int]
# Price: (quantity, number of orders).
Levels = dict[int, tuple[int, int]]


class _Followed(NamedTuple):
    """A book as its updates tell it."""

    buy: Levels
    sell: Levels


class Books:
    """Follows book updates, keeps the changelog's rows, and compares at the end."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._followed: dict[str, _Followed] = {}
        self._updates: dict[str, Seen] = {}
        self._rows: dict[bytes, Seen] = {}
        # Of each symbol, the row that counts its trades and updates.
        self._counters: dict[str, Seen] = {}
        self._marked = False
        self._moving: set[str] = set()

    def mark(self) -> None:
        """The changelog is read from now on; what something is said of meanwhile is left out."""
        self._marked = True

    def touch(self, symbol: str) -> None:
        """Notes that something was said of a symbol or one of its orders."""
        if self._marked:
            self._moving.add(symbol)

    def row(self, seen: Seen) -> None:
        """Takes a record of matching's changelog; one without a value says that its row is gone."""
        key = seen.key or b""
        if seen.value is None:
            self._rows.pop(key, None)
        elif seen.kind == "BookOrderRow":
            self._rows[key] = seen
        elif seen.kind == "BookRow":
            self._counters[seen.message["symbol"]] = seen

    def update(self, seen: Seen) -> None:
        """Takes a BookUpdate."""
        update = seen.message
        symbol = update["symbol"]
        before = self._updates.get(symbol)
        self._updates[symbol] = seen
        self.touch(symbol)
        self._findings.check("I5")
        if before is not None and update["sequence"] != before.message["sequence"] + 1:
            text = f"book update {update['sequence']} of {symbol} follows {before.message['sequence']}"
            self._findings.wrong("I5", text, [before.place, seen.place])
            self._followed.pop(symbol, None)
        if update["snapshot"]:
            self._followed[symbol] = _Followed({}, {})
        book = self._followed.get(symbol)
        if book is not None:
            _follow(book.buy, update["bids"])
            _follow(book.sell, update["asks"])

    def levels(self, symbol: str, most: int) -> tuple[list[Level], list[Level]] | None:
        """Bids and asks as the updates tell them, best first; None where no snapshot was met yet."""
        book = self._followed.get(symbol)
        if book is None:
            return None
        bids = sorted(book.buy.items(), reverse=True)[:most]
        asks = sorted(book.sell.items())[:most]
        return [(price, *rest) for price, rest in bids], [(price, *rest) for price, rest in asks]

    # The end.

    def finish(
        self,
        live: dict[str, Order],
        naive: Mapping[str, Book | None],
        trades: Mapping[str, tuple[int, Place]],
    ) -> None:
        """Compares the books; `trades` has the last sequence of each symbol and where it is."""
        # A changelog that has nothing is one that lost everything.
        if self._marked:
            self._compare_rows(live)
            self._compare_counters(trades)
        self._compare_levels(live, naive)
        self._compare_naive(live, naive)
        if self._moving:
            count = len(self._moving)
            self._findings.notes.append(f"I7: {count} symbols moved meanwhile and were not compared")

    def _compare_rows(self, live: dict[str, Order]) -> None:
        rows = {row.message["order_id"]: row for row in self._rows.values()}
        for order_id, order in live.items():
            if order.symbol in self._moving:
                continue
            self._findings.check("I7")
            row = rows.get(order_id)
            if row is None:
                text = f"order {order_id} is {order.status}, and the changelog has no row of it"
                self._findings.wrong("I7", text, [order.place], order_id)
                continue
            wrong = _row_mismatch(order, row.message)
            if wrong:
                text = f"order {order_id}: the changelog says {wrong}"
                self._findings.wrong("I7", text, [order.place, row.place], order_id)
        for order_id, row in rows.items():
            if order_id not in live and row.message["symbol"] not in self._moving:
                text = f"order {order_id} has a row in the changelog, and does not live"
                self._findings.wrong("I7", text, [row.place], order_id)

    def _compare_counters(self, trades: Mapping[str, tuple[int, Place]]) -> None:
        """The numbers with which the next trade and update of a symbol go on."""
        for symbol in {**trades, **self._updates}:
            if symbol in self._moving:
                continue
            self._findings.check("I7")
            sequence, place = trades.get(symbol, (0, None))
            update, row = self._updates.get(symbol), self._counters.get(symbol)
            told = (0, 0) if row is None else (row.message["trades"], row.message["updates"])
            # Updates are kept for a day only; a symbol may have been silent for longer.
            right = (sequence, told[1] if update is None else update.message["sequence"])
            if told != right:
                text = f"{symbol}: the changelog counts {told[0]} trades and {told[1]} updates, "
                places = [place, *(seen.place for seen in (update, row) if seen is not None)]
                self._findings.wrong("I7", f"{text}the topics {right[0]} and {right[1]}", places)

    def _compare_levels(self, live: dict[str, Order], naive: Mapping[str, Book | None]) -> None:
        """Updates against events; where not all is shown, against what the replayed book shows."""
        books = {symbol: _Followed({}, {}) for symbol in self._followed}
        special = {order.symbol for order in live.values() if not order.plain} & books.keys()
        for symbol in special:
            replayed = naive.get(symbol)
            if replayed is None:
                del books[symbol]
            else:
                books[symbol] = _Followed(*replayed.depth())
        for order in live.values():
            if order.symbol in books and order.symbol not in special:
                side = books[order.symbol].buy if order.side == "buy" else books[order.symbol].sell
                quantity_e8, orders = side.get(order.limit_price_e8, (0, 0))
                side[order.limit_price_e8] = quantity_e8 + order.leaves_e8, orders + 1
        for symbol, book in books.items():
            if symbol not in self._moving:
                self._findings.check("I7")
                self._compare_book(symbol, book)

    def _compare_book(self, symbol: str, book: _Followed) -> None:
        told, update = self._followed[symbol], self._updates[symbol]
        if told != book:
            text = f"{symbol}: {_first_difference(told, book)}"
            self._findings.wrong("I7", text, [update.place])
        elif update.message["checksum"] != _checksum(told):
            text = f"{symbol}: checksum {update.message['checksum']}, its levels make {_checksum(told)}"
            self._findings.wrong("I7", text, [update.place])

    def _compare_naive(self, live: dict[str, Order], naive: Mapping[str, Book | None]) -> None:
        """What the replayed book has left is what the events left."""
        resting: dict[str, dict[str, int]] = {}
        for order_id, order in live.items():
            resting.setdefault(order.symbol, {})[order_id] = order.leaves_e8
        for symbol, book in naive.items():
            if book is None or symbol in self._moving:
                continue
            self._findings.check("I7")
            replayed = book.leaves()
            for order_id, _ in sorted(replayed.items() ^ resting.get(symbol, {}).items())[:1]:
                text = f"{symbol}: order {order_id} rests otherwise in the replayed book"
                self._findings.wrong("I7", text, [], order_id)


def _follow(side: Levels, levels: list[Message]) -> None:
    for level in levels:
        if level["quantity"]:
            side[level["price"]] = level["quantity"], level["orders"]
        else:
            side.pop(level["price"], None)


def _row_mismatch(order: Order, row: Message) -> str:
    for field in _SAME:
        if row[field] != getattr(order, field):
            return f"{field} {row[field]}, the events {getattr(order, field)}"
    for field, ours in _NUMBERS:
        # Without a limit of its own, the row has what protects it.
        if field == "limit_price" and order.order_type not in ("limit", "stop_limit"):
            continue
        if row[field] != getattr(order, ours):
            return f"{field} {row[field]}, the events {getattr(order, ours)} (scaled)"
    entry_id = row["entry_id"] or row["client_order_id"]
    return "" if entry_id == order.entry_id else f"entry_id {entry_id}, the events {order.entry_id}"


def _first_difference(told: _Followed, book: _Followed) -> str:
    for name, one, other in (("bid", told.buy, book.buy), ("ask", told.sell, book.sell)):
        for price_e8 in sorted({*one, *other}):
            a, b = one.get(price_e8, (0, 0)), other.get(price_e8, (0, 0))
            if a != b:
                said = f"updates say {format_e8(a[0])} in {a[1]} orders"
                return f"{name} {format_e8(price_e8)}: {said}, events {format_e8(b[0])} in {b[1]}"
    return ""


def _checksum(book: _Followed) -> int:
    """CRC-32 of the ten best levels of each side, price:quantity, best first."""
    sides = []
    for levels, falling in ((book.buy, True), (book.sell, False)):
        best = sorted(levels.items(), reverse=falling)[:_CHECKSUM_LEVELS]
        sides.append(",".join(f"{price}:{quantity}" for price, (quantity, _) in best))
    return crc32("|".join(sides).encode())
