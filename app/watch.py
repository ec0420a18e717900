"""What `oms watch` shows: the newest records of a topic, the latest of each name, or one symbol's book."""

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Literal, NamedTuple

from aiokafka import ConsumerRecord

from app.cache.books import BookImage
from app.reader import Read, TopicReader
from app.resources import shown
from app.settings import Settings

Json = dict[str, Any]


class Subject(NamedTuple):
    """One thing to watch: its topic, the columns shown, and what a row stands for.

    Rows with the same `name` fields replace each other; without any, each record is a row of its own.
    `whole`: only the topic from its beginning says what is so now.
    """

    short: str
    columns: tuple[str, ...]
    name: tuple[str, ...] = ()
    whole: bool = False


SUBJECTS: dict[str, Subject] = {
    "events": Subject(
        "events",
        (
            "at",
            "event",
            "account",
            "symbol",
            "side",
            "status",
            "quantity",
            "limit_price",
            "cum_quantity",
            "leaves_quantity",
            "last_price",
            "reason",
            "client_order_id",
        ),
    ),
    "trades": Subject(
        "trades",
        ("at", "trade_id", "price", "quantity", "aggressor_side", "maker_account", "taker_account"),
    ),
    "quotes": Subject(
        "quotes",
        ("symbol", "bid_size", "bid", "ask", "ask_size", "last", "last_size", "venue", "at"),
        ("symbol",),
    ),
    "positions": Subject(
        "positions",
        ("account", "asset", "kind", "total", "reserved", "version", "at"),
        ("account", "asset"),
        whole=True,
    ),
    "book": Subject("books", ("bid_orders", "bid_size", "bid", "ask", "ask_size", "ask_orders"), whole=True),
}


class Only(NamedTuple):
    """Which records to show; empty: all."""

    account: str = ""
    symbol: str = ""

    def matches(self, message: Mapping[str, Any]) -> bool:
        """Whether a message is about the account and symbol."""
        accounts = (message.get(name) for name in ("account", "maker_account", "taker_account"))
        symbols = (message.get("symbol"), message.get("asset"))
        return (not self.account or self.account in accounts) and (not self.symbol or self.symbol in symbols)


async def records(
    settings: Settings, subject: Subject, only: Only, from_beginning: bool
) -> AsyncIterator[Read | None]:
    """Matching records for ever; None after each batch, when a screen may be drawn anew."""
    start: Literal["beginning", "end"] = "beginning" if from_beginning or subject.whole else "end"
    wants = _wants(subject, only)
    async with TopicReader(settings, [subject.short], start, wants=wants) as reader:
        async for batch in reader.batches():
            for read in batch:
                if read.error is None and only.matches(read.message):
                    yield read
            # Until then a screen would only flicker through the past.
            if start == "end" or await reader.caught_up():
                yield None


def _wants(subject: Subject, only: Only) -> Callable[[ConsumerRecord], bool]:
    """Spares decoding where the key tells that a record is of another symbol."""
    if subject.short not in ("books", "quotes", "trades") or not only.symbol:
        return lambda record: True
    key = only.symbol.encode()
    return lambda record: bool(record.key == key)


def as_json(read: Read) -> Json:
    """A record as JSON, with its kind."""
    return {"type": read.kind, **shown(read.kind, read.message)}


def as_line(subject: Subject, read: Read) -> str:
    """A record on one line: the columns that it has and that say anything."""
    values = as_json(read)
    told = [name for name in subject.columns if values.get(name) not in (None, "", "0", "NONE")]
    return " ".join([read.kind, *(f"{name}={values[name]}" for name in told or values)])


class Rows:
    """The rows of a table: the newest `most` records, or the latest of each name."""

    def __init__(self, subject: Subject, most: int) -> None:
        self._subject = subject
        self._most = most
        self._rows: OrderedDict[Any, Json] = OrderedDict()
        self._count = 0

    def take(self, read: Read) -> None:
        """Takes a record."""
        values = as_json(read)
        self._count += 1
        name = tuple(values[field] for field in self._subject.name) or self._count
        self._rows[name] = values
        if not self._subject.name and len(self._rows) > self._most:
            self._rows.popitem(last=False)

    def rows(self) -> list[list[str]]:
        """The rows, newest first, or in order of their names."""
        named = bool(self._subject.name)
        chosen = sorted(self._rows.items()) if named else reversed(self._rows.items())
        lines = [[_cell(values.get(column)) for column in self._subject.columns] for _, values in chosen]
        return lines[: self._most]

    def title(self) -> str:
        """What the table is of."""
        return f"{self._subject.short}: {self._count:,} records"


class BookRows:
    """A book as a ladder of two sides."""

    def __init__(self, symbol: str, most: int) -> None:
        self._most = most
        self._image = BookImage(symbol)

    def take(self, read: Read) -> None:
        """Takes an update; sessions and indications are no part of the ladder."""
        if read.kind == "BookUpdate":
            self._image.take(read.message)

    def rows(self) -> list[list[str]]:
        """Best levels first, bids left, asks right."""
        book = self._image.as_json()
        bids, asks = book["bids"][: self._most], book["asks"][: self._most]
        empty = ["", "", ""]
        rows = []
        for i in range(max(len(bids), len(asks))):
            bid = bids[i] if i < len(bids) else empty
            ask = asks[i] if i < len(asks) else empty
            rows.append([str(bid[2]), str(bid[1]), str(bid[0]), str(ask[0]), str(ask[1]), str(ask[2])])
        return rows

    def title(self) -> str:
        """Symbol, sequence, and whether the book can be trusted."""
        stale = ", waiting for a snapshot" if self._image.stale else ""
        return f"book of {self._image.symbol}: update {self._image.sequence:,}{stale}"


def _cell(value: Any) -> str:
    return "" if value in (None, "NONE") else str(value)
