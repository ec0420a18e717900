"""A line of commands as the engines take it: JSON or CSV in, numbers exact, every field known.

Rule: what is not understood is refused with the name of its field, never passed over. What is understood
but wrong (off tick, a display quantity with a market order) is left to the engine, which rejects it with a
reason. Decimals are texts or JSON numbers; a line with a JSON number that is not a small integer is read
once more with its digits as they stand, so no float is ever made of one.
"""

import csv
import json
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

import orjson

from schemas.numbers import MAX_E8, ONE, parse_e8

Command = dict[str, Any]
Read = Callable[[Any], Any]

SESSIONS = (
    "pre_open",
    "opening_auction",
    "continuous",
    "volatility_auction",
    "closing_auction",
    "halt",
    "closed",
)
_TIMES_IN_FORCE = ("day", "gtc", "ioc", "fok", "gtd", "at_open", "at_close", "auction", "crossing")
_ORDER_TYPES = (
    "limit",
    "market",
    "market_to_limit",
    "stop",
    "stop_limit",
    "trailing_stop",
    "market_if_touched",
    "pegged",
)
_LINKS = ("oco", "oto", "bracket")
_INT64_MAX = 2**63 - 1
LINE_MAX = 1 << 20


class LineError(ValueError):
    """A line that cannot be used: which field ("" for the whole line) and why."""

    def __init__(self, field: str, text: str) -> None:
        self.field, self.text = field, text
        super().__init__(f"{field}: {text}" if field else text)


class Digits(str):
    """A JSON number as it was written."""


class _Inexact(Exception):
    """A JSON number came as a float: the line must be read by its digits."""


# One reader per kind of value. They raise ValueError with what is wrong.


@lru_cache(maxsize=1 << 16)
def _e8(text: str) -> int:
    value_e8 = parse_e8(text)
    if not -MAX_E8 <= value_e8 <= MAX_E8:
        raise ValueError(f"{text} is beyond {MAX_E8 // ONE}")
    return value_e8


def _decimal(value: Any) -> int:
    kind = value.__class__
    if kind is str or kind is Digits:
        return _e8(value)
    if kind is int and -MAX_E8 <= value * ONE <= MAX_E8:
        return int(value) * ONE
    if kind is int:
        raise ValueError(f"{value} is beyond {MAX_E8 // ONE}")
    if kind is float:
        raise _Inexact
    raise ValueError(f"must be a decimal number, not {value!r}")


def _text(value: Any) -> str:
    if value.__class__ is str and value and value.isprintable():
        text: str = value
        return text
    if value.__class__ is int or (value.__class__ is Digits and value.isdigit()):
        return str(value)
    raise ValueError(f"must be a text of printable characters, not {value!r}")


def _whole(value: Any) -> int:
    if value.__class__ is float:
        raise _Inexact
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 20:
        value = int(value)
    if value.__class__ is int and 0 <= value <= _INT64_MAX:
        return int(value)
    raise ValueError(f"must be a whole number, not {value!r}")


def _flag(value: Any) -> bool:
    if value is True or value == "true":
        return True
    if value is False or value == "false":
        return False
    raise ValueError(f"must be true or false, not {value!r}")


def _one_of(words: Iterable[str]) -> Read:
    known = {word: word for word in words}

    def read(value: Any) -> str:
        try:
            return known[value]
        except (KeyError, TypeError):
            raise ValueError(f"must be one of {', '.join(known)}, not {value!r}") from None

    return read


def _post_only(value: Any) -> Any:
    return value if value in ("reject", "reprice") else _flag(value)


_link_type = _one_of(_LINKS)


def _link(value: Any) -> dict[str, str]:
    """`{"type": "oco", "id": "7"}`, of a child also its list's first order as `parent`; in CSV `oco:7`."""
    if isinstance(value, str):
        kind, _, number = value.partition(":")
        value = {"type": kind, "id": number}
    if not isinstance(value, dict) or not value.keys() <= {"type", "id", "parent"}:
        raise ValueError(f"must be an object with type and id, not {value!r}")
    names = {name: value[name] for name in ("id", "parent") if value.get(name) not in (None, "")}
    return {"type": _link_type(value.get("type")), "id": "", **{name: _text(names[name]) for name in names}}


_side = _one_of(("buy", "sell"))
_time_in_force = _one_of(_TIMES_IN_FORCE)
_OF_ALL: dict[str, Read] = {"type": str, "at_us": _whole}
_OF_ONE: dict[str, Read] = {**_OF_ALL, "symbol": _text, "account": _text, "order": _text}

FIELDS: dict[str, dict[str, Read]] = {
    "new_order": {
        **_OF_ALL,
        "symbol": _text,
        "account": _text,
        "client_order_id": _text,
        "side": _side,
        "order_type": _one_of(_ORDER_TYPES),
        "quantity": _decimal,
        "limit_price": _decimal,
        "stop_price": _decimal,
        "trail_amount": _decimal,
        "trail_percent": _decimal,
        "peg": _one_of(("bid", "ask", "mid")),
        "peg_offset": _decimal,
        "time_in_force": _time_in_force,
        "expire_at_us": _whole,
        "display_quantity": _decimal,
        "hidden": _flag,
        "min_quantity": _decimal,
        "all_or_none": _flag,
        "post_only": _post_only,
        "reduce_only": _flag,
        "stp": _one_of(("cancel_newest", "cancel_oldest", "cancel_both", "decrement", "none")),
        "stp_group": _text,
        "link": _link,
    },
    "cancel_order": _OF_ONE,
    "replace_order": {
        **_OF_ONE,
        "client_order_id": _text,
        "quantity": _decimal,
        "limit_price": _decimal,
        "stop_price": _decimal,
        "display_quantity": _decimal,
        "time_in_force": _time_in_force,
        "expire_at_us": _whole,
    },
    "mass_cancel": {**_OF_ALL, "symbol": _text, "account": _text, "side": _side},
    "quote": {**_OF_ALL, "symbol": _text, "bid": _decimal, "ask": _decimal, "last": _decimal},
    "control": {
        **_OF_ALL,
        "symbol": _text,
        "action": _one_of((*SESSIONS, "uncross", "band", "expire_day")),
        "low": _decimal,
        "high": _decimal,
    },
}
_REQUIRED: dict[str, tuple[str, ...]] = {
    "new_order": ("symbol", "account", "client_order_id", "side", "order_type", "quantity"),
    "cancel_order": ("symbol", "account", "order"),
    "replace_order": ("symbol", "account", "order"),
    "mass_cancel": (),
    "quote": ("symbol",),
    "control": ("symbol", "action"),
}
COLUMNS = tuple(dict.fromkeys(name for fields in FIELDS.values() for name in fields))


def command_of(values: Mapping[str, Any]) -> Command:
    """The command of a line's values; None counts as absent. Raises LineError."""
    kind = values.get("type")
    fields = FIELDS.get(kind) if isinstance(kind, str) else None
    if fields is None:
        known = ", ".join(FIELDS)
        raise LineError("type", f"must be one of {known}, not {kind!r}" if kind else f"is missing: {known}")
    command: Command = {}
    for name, value in values.items():
        if value is not None:
            try:
                command[name] = fields[name](value)
            except KeyError:
                raise LineError(name, f"is no field of {kind}; it has {', '.join(fields)}") from None
            except ValueError as error:
                raise LineError(name, str(error)) from None
    for name in _REQUIRED[command["type"]]:
        if name not in command:
            raise LineError(name, "is missing")
    if "low" in command or "high" in command:
        _check_band(command)
    return command


def _check_band(command: Command) -> None:
    low, high = command.get("low", 0), command.get("high", 0)
    if command["action"] != "band":
        raise LineError("low" if "low" in command else "high", "goes with the action band only")
    if low < 0 or high < 0 or 0 < high < low:
        raise LineError("low", "must be 0 (none) or above, and not above high")


def from_json(line: bytes) -> Command:
    """The command of a JSON object. Raises LineError."""
    if len(line) > LINE_MAX:
        raise LineError("", f"is longer than {LINE_MAX:,} bytes")
    try:
        return command_of(_object(orjson.loads(line)))
    except orjson.JSONDecodeError as error:
        raise LineError("", f"no JSON: {error}") from None
    except _Inexact:
        return command_of(_object(json.loads(line, parse_float=Digits, parse_int=Digits)))


def _object(values: Any) -> dict[str, Any]:
    if not isinstance(values, dict):
        raise LineError("", "must be a JSON object")
    return values


class Csv:
    """Lines of CSV by their header; an empty field is an absent one."""

    def __init__(self, header: bytes) -> None:
        self._columns = [name.strip() for name in _fields(header)]
        for number, name in enumerate(self._columns):
            if name not in COLUMNS:
                raise LineError(name, f"is no column; known are {', '.join(COLUMNS)}")
            if name in self._columns[:number]:
                raise LineError(name, "is a column twice")

    def __call__(self, line: bytes) -> Command:
        """The command of a line. Raises LineError."""
        values = _fields(line)
        if len(values) != len(self._columns):
            raise LineError("", f"has {len(values)} fields, the header {len(self._columns)}")
        return command_of({name: value for name, value in zip(self._columns, values, strict=True) if value})


def _fields(line: bytes) -> list[str]:
    try:
        return next(csv.reader([line.decode()], strict=True), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise LineError("", f"no CSV: {error}") from None


def is_csv(line: bytes) -> bool:
    """Whether a first line is a header of CSV."""
    return b"type" in line and not line.lstrip().startswith((b"{", b"["))
