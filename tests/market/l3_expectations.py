"""What the recorded order flow must leave in the books, and how to read the books from the topics.

The figures are those that the README of the data states. The files are real recordings and not part of
the repository: a test that needs them is skipped where they are absent.
"""

from typing import NamedTuple

import pytest

from app.cache.books import BookImage
from app.lookup import read_to_end
from app.settings import ROOT, Settings
from schemas.numbers import format_e8
from schemas.records import Said

DATA = ROOT.parent / "shared" / "data"
SNAPSHOT = DATA / "l3_independent_reserve_2022-04-03" / "snapshot.csv.gz"
EVENTS = DATA / "l3_independent_reserve_2022-04-03" / "events.csv.gz"

needs_data = pytest.mark.skipif(
    not SNAPSHOT.exists(), reason=f"real market data is not in {DATA}; it is not part of the repository"
)


class Top(NamedTuple):
    """Best bid, best ask, and the number of resting orders of a symbol."""

    bid: str
    ask: str
    resting: int


L3_EXPECTED = {
    "ETH/AUD": Top("4726.35", "4729.7", 1067),
    "BCH/SGD": Top("511.41", "516.42", 225),
    "DOT/NZD": Top("33.5874", "34.1722", 246),
    "MATIC/USD": Top("1.68552", "1.71021", 182),
    "PMGT/NZD": Top("2755.07", "2822.72", 64),
}
L3_REQUESTS = 3262
L3_UNKNOWN_CANCELS = 2


async def tops_of_topics(settings: Settings) -> dict[str, Top]:
    """The tops of all books as `oms.books.v1` tells them; every update must fit its sequence and checksum."""
    images: dict[str, BookImage] = {}
    async for read in read_to_end(settings, "books"):
        image = images.setdefault(read.message["symbol"], BookImage(read.message["symbol"]))
        assert image.take(read.message), f"update {read.message['sequence']} of {image.symbol} does not fit"
    return {symbol: _top(image) for symbol, image in images.items()}


def _top(image: BookImage) -> Top:
    book = image.as_json()
    resting = sum(level[2] for side in ("bids", "asks") for level in book[side])
    return Top(str(book["bids"][0][0]), str(book["asks"][0][0]), resting)


class PlainBook:
    """Resting orders of one symbol, by client_order_id; knows whether a new one would have traded."""

    def __init__(self) -> None:
        self.orders: dict[str, tuple[str, int]] = {}
        self.crossed = 0
        self.unknown_cancels = 0

    def take(self, said: Said) -> None:
        """Takes a NewOrder or CancelOrder."""
        kind, message = said
        if kind == "CancelOrder":
            if self.orders.pop(message["order"], None) is None:
                self.unknown_cancels += 1
            return
        side, price_e8 = message["side"], message["limit_price"]
        self.orders[message["client_order_id"]] = (side, price_e8)
        self.crossed += self.best("buy") >= self.best("sell")

    def best(self, side: str) -> int:
        """Best price of a side, scaled by 10^8."""
        prices = [price_e8 for known, price_e8 in self.orders.values() if known == side]
        if side == "buy":
            return max(prices, default=0)
        return min(prices, default=2**63)

    def top(self) -> Top:
        """What is left."""
        return Top(format_e8(self.best("buy")), format_e8(self.best("sell")), len(self.orders))
