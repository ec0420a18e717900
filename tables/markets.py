"""One symbol's market in the pipeline: the engine's market, and what onlookers are told of its book."""

from collections.abc import Mapping
from typing import Any
from zlib import crc32

from schemas.records import Said
from tables.engine import market as engine
from tables.engine import rows
from tables.engine.book import BookSide, LevelView
from tables.engine.orders import Order
from tables.instrument_rules import InstrumentRules

SNAPSHOT_EVERY = 500
CHECKSUM_LEVELS = 10


class Market:
    """One symbol: its market, and what onlookers were last told of the book.

    `live` are the live orders of all markets by order_id.
    """

    __slots__ = ("core", "instrument", "snapshot_due", "symbol", "tops", "updates")

    def __init__(
        self, symbol: str, rules: InstrumentRules | None = None, live: dict[str, Order] | None = None
    ) -> None:
        self.symbol = symbol
        orders: dict[str, Order] = {} if live is None else live
        self.core = engine.Market(symbol, rules or InstrumentRules(symbol), orders, watched=True)
        # What the rules were made from.
        self.instrument: object = None
        self.updates = 0
        # Whoever follows the book cannot know what came before: the first update has all of it.
        self.snapshot_due = True
        self.tops = {"buy": "", "sell": ""}

    def restore(self, row: Mapping[str, Any]) -> None:
        """Takes what it knows from its BookRow."""
        self.updates = row["updates"]
        rows.restore_market(self.core, row)

    def row(self) -> dict[str, Any]:
        """Its BookRow."""
        return rows.book_row(self.core, self.updates)

    def update(self, at_us: int) -> Said | None:
        """The BookUpdate since the last one; None when no level differs."""
        bid_side, ask_side = self.core.bids, self.core.asks
        bids, asks = bid_side.changes(), ask_side.changes()
        if not bids and not asks:
            return None
        self.updates += 1
        if bids or self.snapshot_due:
            self.tops["buy"] = top_text(bid_side)
        if asks or self.snapshot_due:
            self.tops["sell"] = top_text(ask_side)
        snapshot = self.snapshot_due or self.updates % SNAPSHOT_EVERY == 0
        if snapshot:
            bids, asks = bid_side.depth(), ask_side.depth()
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

    `price:quantity` of the ten best displayed levels (of all, when there are fewer), best first, joined by
    commas; both numbers as integers scaled by 10^8 in decimal digits. The checksum of a BookUpdate is
    the CRC-32 (as in zlib) of the bids' text, a `|`, and the asks' text, in ASCII: with the bids 187.12
    x 5 and 187.1 x 1 and no ask, that of `18712000000:500000000,18710000000:100000000|`.
    """
    return ",".join([f"{level.price_e8}:{level.quantity_e8}" for level in side.depth(CHECKSUM_LEVELS)])


def _book_levels(levels: list[LevelView]) -> list[dict[str, int]]:
    return [{"price": price, "quantity": quantity, "orders": orders} for price, quantity, orders in levels]
