"""What orders, trades, positions, books and quotes say: made alike of a message and of the JSON of a door."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from app.verify.books import Level
from app.verify.records import Message
from schemas.numbers import format_e8, parse_e8

Json = Mapping[str, Any]
_TEXTS = ("account", "client_order_id", "symbol", "side", "order_type", "time_in_force", "status", "reason")
_NUMBERS = ("quantity", "limit_price", "cum_quantity", "leaves_quantity", "average_price")
_POSITION = ("total", "reserved")
_QUOTE = ("bid", "ask", "last")
_TRADE = ("price", "quantity")
_US = timedelta(microseconds=1)


class Told(NamedTuple):
    """A state as someone tells it: its number, if it has one, and what it says."""

    number: int | None
    content: tuple[Any, ...]


def _e8(value: Any) -> int:
    return 0 if value is None else parse_e8(str(value))


def _us(text: str) -> int:
    """Microseconds since the epoch; -1, which no message has, for what is not a time of RFC 3339."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return -1
    return (moment - datetime.fromtimestamp(0, moment.tzinfo)) // _US


def order_of_event(event: Message) -> Told:
    """The order as an event left it; when a repeat was rejected again is left out."""
    at_us = 0 if event["status"] == "rejected" else event["at_us"]
    content = (*(event[name] for name in _TEXTS), *(event[name] for name in _NUMBERS), at_us)
    return Told(event["version"], content)


def order_of_json(order: Json) -> Told:
    """The order as a door shows it."""
    at_us = 0 if order["status"] == "rejected" else _us(order["updated_at"])
    content = (*(order[name] for name in _TEXTS), *(_e8(order[name]) for name in _NUMBERS), at_us)
    return Told(order["version"], content)


def position_of_message(position: Message) -> Told:
    """A cash or holding as its message says."""
    return Told(position["version"], tuple(position[name] for name in _POSITION))


def position_of_json(position: Json) -> Told:
    """A cash or holding as a door shows it."""
    return Told(position["version"], tuple(_e8(position[name]) for name in _POSITION))


def quote_of_message(quote: Message) -> Told:
    """A quote as its message says; quotes have no numbers."""
    return Told(None, tuple(quote[name] for name in _QUOTE))


def quote_of_json(quote: Json) -> Told:
    """A quote as a door shows it."""
    return Told(None, tuple(_e8(quote[name]) for name in _QUOTE))


def trade_of_message(trade: Message) -> Told:
    """A trade as its message says, parties left out: not everyone may see them."""
    content = (trade["trade_id"], trade["aggressor_side"], *(trade[name] for name in _TRADE), trade["at_us"])
    return Told(trade["sequence"], content)


def trade_of_json(trade: Json) -> Told:
    """A trade as a door shows it."""
    numbers = (_e8(trade[name]) for name in _TRADE)
    return Told(trade["sequence"], (trade["trade_id"], trade["aggressor_side"], *numbers, _us(trade["at"])))


def book_of_levels(sequence: int, bids: list[Level], asks: list[Level]) -> Told:
    """A book of its levels, best first."""
    return Told(sequence, (tuple(bids), tuple(asks)))


def book_of_json(book: Json) -> Told:
    """A book as a door shows it."""
    sides = (
        [(_e8(price), _e8(quantity), int(orders)) for price, quantity, orders in book[name]]
        for name in ("bids", "asks")
    )
    return book_of_levels(book["sequence"], *sides)


_NAMES = {
    "order": (*_TEXTS, *_NUMBERS, "updated_at"),
    "position": _POSITION,
    "quote": _QUOTE,
    "trade": ("trade_id", "aggressor_side", *_TRADE, "at"),
}


def difference(kind: str, told: tuple[Any, ...], right: tuple[Any, ...]) -> str:
    """The first thing in which two contents differ, in words."""
    if kind == "book":
        for side, theirs, ours in zip(("bids", "asks"), told, right, strict=True):
            if theirs != ours:
                return f"{side} {_levels(theirs)}, the topics {_levels(ours)}"
    for name, theirs, ours in zip(_NAMES.get(kind, ()), told, right, strict=False):
        if theirs != ours:
            return f"{name} {_shown(theirs)}, the topics {_shown(ours)}"
    return "something else"


def _shown(value: Any) -> str:
    return format_e8(value) if isinstance(value, int) else str(value)


def _levels(levels: tuple[Level, ...]) -> str:
    shown = [
        f"{format_e8(quantity)} at {format_e8(price)} ({orders})" for price, quantity, orders in levels[:3]
    ]
    return ", ".join(shown) + f" in {len(levels)} levels"
