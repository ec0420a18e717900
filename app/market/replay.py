"""Replays recorded quotes and trades from files to `oms.quotes.v1`, at their own pace or faster.

Each record that goes out is a whole top of book: a trade carries the symbol's quote before it, a quote
the trade before it. Several files are merged by the time that the recorder received each line (else the
exchange's time). A bad line is reported and left out. Times of quotes stay those of their venue.
"""

import heapq
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, cast

from app.files import BadLine, FileError, Row, RowFile, parse_time_us
from app.market.pace import paced
from app.settings import Settings
from app.writer import Stream, TopicWriter
from schemas.messages import Quote
from schemas.numbers import MAX_E8, format_e8, parse_e8

Report = Callable[[BadLine], None]

# Fields of a quote, and the columns (in order of preference) that they are read from.
NUMBERS = {
    "bid": ("bid", "bid_px", "bid_price"),
    "bid_size": ("bid_size", "bid_sz", "bid_qty"),
    "ask": ("ask", "ask_px", "ask_price"),
    "ask_size": ("ask_size", "ask_sz", "ask_qty"),
    "last": ("last", "last_px", "price"),
    "last_size": ("last_size", "last_sz", "size"),
}
TIMES_NS = {
    "ts_ns": 1,
    "ts_us": 1_000,
    "ts_ms": 1_000_000,
    "ts_s": 1_000_000_000,
    "recv_ts_ns": 1,
}
FIELDS = ("symbol", *TIMES_NS, *NUMBERS)


class Tick(NamedTuple):
    """One line of a file: when it is due, when it happened, its symbol, and the fields it gives."""

    due_us: int
    at_us: int
    symbol: str
    fields: dict[str, int]


@dataclass(frozen=True)
class Columns:
    """Which column of a file each field is read from."""

    symbol: str
    at: tuple[str, int]
    due: tuple[str, int]
    numbers: dict[str, str]


def columns_of(file: RowFile, renamed: dict[str, str]) -> Columns:
    """Finds the fields among a file's columns; `renamed` is the user's {column: field}. Raises FileError."""
    by_name = {renamed.get(column, column): column for column in file.columns}
    times = [
        (by_name[name], unit) for name, unit in TIMES_NS.items() if name in by_name and name != "recv_ts_ns"
    ]
    received = [(by_name["recv_ts_ns"], 1)] if "recv_ts_ns" in by_name else []
    numbers = {
        name: next(by_name[alias] for alias in aliases if alias in by_name)
        for name, aliases in NUMBERS.items()
        if any(alias in by_name for alias in aliases)
    }
    if "symbol" not in by_name or not (times or received) or not numbers.keys() & {"bid", "ask", "last"}:
        raise FileError(
            f"{file.path} has columns {', '.join(file.columns) or 'without a header'}; "
            "wanted are symbol, ts_ns, and bid_px and ask_px or price. "
            f"Name them with --map COLUMN=FIELD ({', '.join(FIELDS)})"
        )
    at = (times or received)[0]
    return Columns(by_name["symbol"], at, (received or times)[0], numbers)


def ticks(file: RowFile, renamed: dict[str, str], prefix: str, report: Report) -> Iterator[Tick]:
    """The good lines of a file; bad ones go to `report`."""
    columns = columns_of(file, renamed)
    for row in file:
        if isinstance(row, BadLine):
            report(row)
            continue
        try:
            yield _tick(str(file.path), row, columns, prefix)
        except BadLine as bad:
            report(bad)


def _tick(path: str, row: Row, columns: Columns, prefix: str) -> Tick:
    values = row.values
    symbol = values[columns.symbol]
    if not symbol:
        raise BadLine(path, row.line, columns.symbol, "is empty")
    due_us = _time(path, row, columns.due)
    at_us = due_us if columns.at == columns.due else _time(path, row, columns.at)
    fields = {
        name: _number(path, row, column) for name, column in columns.numbers.items() if values[column] != ""
    }
    if not fields:
        raise BadLine(path, row.line, "", "has neither quote nor trade")
    if 0 < fields.get("ask", 0) < fields.get("bid", 0):
        text = f"crossed: bid {format_e8(fields['bid'])} above ask {format_e8(fields['ask'])}"
        raise BadLine(path, row.line, columns.numbers["bid"], text)
    return Tick(due_us, at_us, prefix + symbol, fields)


def _time(path: str, row: Row, column: tuple[str, int]) -> int:
    try:
        return parse_time_us(row.values[column[0]], column[1])
    except ValueError as error:
        raise BadLine(path, row.line, column[0], str(error)) from None


def _number(path: str, row: Row, column: str) -> int:
    try:
        number_e8 = parse_e8(row.values[column])
    except ValueError as error:
        raise BadLine(path, row.line, column, str(error)) from None
    if not 0 <= number_e8 < MAX_E8:
        raise BadLine(path, row.line, column, f"{row.values[column]} is below 0 or above 90 billion")
    return number_e8


class Tape:
    """Turns ticks into whole quotes: remembers each symbol's last quote and trade."""

    def __init__(self, venue: str) -> None:
        self._venue = venue
        self._latest: dict[str, Quote] = {}

    def quote(self, tick: Tick) -> Quote:
        """The top of the symbol's book after the tick."""
        latest = self._latest.get(tick.symbol) or self._empty(tick.symbol)
        quote = cast(Quote, {**latest, **tick.fields, "at_us": tick.at_us})
        self._latest[tick.symbol] = quote
        return quote

    def _empty(self, symbol: str) -> Quote:
        return Quote(
            symbol=symbol,
            bid=0,
            bid_size=0,
            ask=0,
            ask_size=0,
            last=0,
            last_size=0,
            venue=self._venue,
            at_us=0,
        )


@dataclass
class Replayed:
    """What a replay did."""

    quotes: int = 0
    bad_lines: int = 0
    symbols: set[str] = field(default_factory=set)
    seconds: float = 0.0


async def replay(
    settings: Settings,
    paths: list[Path],
    *,
    speed: float,
    renamed: dict[str, str],
    prefix: str,
    report: Report,
    progress: Callable[[float, int], None],
) -> Replayed:
    """Sends every quote of the files; `speed` 1 is the original pace, 0 as fast as possible.

    `progress` hears the share of the files that was read and the number of quotes sent. Raises FileError,
    KafkaError, RegistryError, and what `report` raises.
    """
    done = Replayed()
    files = [RowFile(path) for path in paths]
    tape = Tape("replay")
    merged = heapq.merge(
        *(ticks(file, renamed, prefix, report) for file in files), key=lambda tick: tick.due_us
    )
    started = time.monotonic()
    async with TopicWriter(settings) as writer:
        stream = Stream(writer)
        async for chunk in paced(((tick.due_us, tick) for tick in merged), speed):
            quotes = [tape.quote(tick) for tick in chunk]
            await stream.post([("Quote", quote) for quote in quotes])
            done.quotes += len(quotes)
            done.symbols.update(quote["symbol"] for quote in quotes)
            progress(sum(file.share_read() for file in files) / len(files), done.quotes)
        await stream.finish()
    done.seconds = time.monotonic() - started
    for file in files:
        file.close()
    return done
