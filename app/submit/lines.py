"""A line of an order file as a message: the names are those of `oms match`, camelCase works too.

    {"type": "new_order", "account": "DEMO-1", "client_order_id": "a1", "symbol": "AAPL", "side": "buy",
     "order_type": "limit", "quantity": "100", "limit_price": "229.95", "time_in_force": "day"}

Rule: what is not understood is refused, never passed over: a misspelt limit_price must not become a
market order. What is understood but wrong (no such account, a price off tick) is left to the pipeline,
which answers it with a reason.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, cast, get_args

from app.files import BadLine
from schemas.codec import defaults
from schemas.messages import (
    CancelAllAfter,
    CancelOrder,
    LinkType,
    MassCancel,
    NewOrder,
    OrderChanges,
    OrderInstructions,
    OrderType,
    Peg,
    PostOnly,
    Quote,
    ReplaceOrder,
    SelfTradePrevention,
    Session,
    SetSession,
    SetSymbolState,
    SetTradingBand,
    Side,
    SymbolState,
    TimeInForce,
)
from schemas.numbers import MAX_E8, parse_e8
from schemas.records import Said

_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")
# Short names that people and other systems use, and the field that is meant.
_SHORT = {"price": "limit_price", "tif": "time_in_force", "cl_ord_id": "client_order_id"}
_NUMBERS = (
    *("stop_price", "trail_amount", "trail_percent", "peg_offset", "display_quantity", "min_quantity"),
)
_FLAGS = ("hidden", "all_or_none", "reduce_only")
_WORDS = {"peg": get_args(Peg)[2:], "stp": get_args(SelfTradePrevention)[2:]}
# Whether orders pass risk; the names of sessions are those of the market itself.
_STATES: dict[str, SymbolState] = {"open": "open", "halted": "halted", "close": "closed"}
_INT64_MAX = 2**63 - 1


class FieldError(ValueError):
    """A field of a line that cannot be used."""

    def __init__(self, field: str, text: str) -> None:
        self.field, self.text = field, text
        super().__init__(f"{field}: {text}" if field else text)


class Fields:
    """The fields of a line; each is taken once, what is left over at the end was not understood."""

    def __init__(self, values: Mapping[str, Any], defaults: Mapping[str, str]) -> None:
        """`defaults` stand in for fields that are absent, empty or false."""
        self._values: dict[str, Any] = {}
        for name, value in values.items():
            if value is None or value is False or value == "":
                continue
            plain = _CAMEL.sub("_", name).lower()
            plain = _SHORT.get(plain, plain)
            if plain in self._values:
                raise FieldError(name, "is given twice")
            self._values[plain] = value
        self._values = {**defaults, **self._values}

    def text(self, name: str, default: str | None = None) -> str:
        """A text; a number is taken by its digits. Raises FieldError when it is wanted and absent."""
        value = self._values.pop(name, default)
        if value is None:
            raise FieldError(name, "is missing")
        if not isinstance(value, str):
            raise FieldError(name, f"must be text, not {value!r}")
        return value

    def number(self, name: str) -> int:
        """A wanted decimal number, scaled by 10^8."""
        number_e8 = self.optional_number(name)
        if number_e8 is None:
            raise FieldError(name, "is missing")
        return number_e8

    def optional_number(self, name: str) -> int | None:
        """A decimal number scaled by 10^8, or None where it is absent."""
        if name not in self._values:
            return None
        text = self.text(name)
        try:
            number_e8 = parse_e8(text.strip())
        except ValueError as error:
            raise FieldError(name, str(error)) from None
        if abs(number_e8) >= MAX_E8:
            raise FieldError(name, f"{text[:64]} is beyond 90 billion")
        return number_e8

    def word(self, name: str, words: tuple[str, ...], default: str | None = None) -> str:
        """One of some words."""
        word = self.text(name, default).lower()
        if word not in words or word == "unknown":
            offered = ", ".join(known for known in words if known != "unknown")
            raise FieldError(name, f"{word[:64]!r} is not offered; it can be {offered}")
        return word

    def time_us(self, name: str = "at_us") -> int:
        """A time in microseconds, or 0: for `at_us` the time the log receives the request."""
        text = self.text(name, "0")
        if not text.isdigit() or int(text) > _INT64_MAX:
            raise FieldError(name, f"{text[:64]!r} is not a number of microseconds")
        return int(text)

    def flag(self, name: str) -> bool:
        """Whether something is wanted: true or false, in CSV as a word."""
        value = self._values.pop(name, False)
        if isinstance(value, bool):
            return value
        if isinstance(value, str) and value.lower() in ("true", "false"):
            return value.lower() == "true"
        raise FieldError(name, f"must be true or false, not {value!r}")

    def post_only(self) -> PostOnly:
        """true or reject, reprice, or none."""
        if not self.has("post_only"):
            return "none"
        value = self._values["post_only"]
        if value is True or (isinstance(value, str) and value.lower() == "true"):
            del self._values["post_only"]
            return "reject"
        return cast(PostOnly, self.word("post_only", ("reject", "reprice")))

    def link(self) -> tuple[LinkType, str]:
        """The list of an order: `{"type": "oco", "id": "7"}`, in CSV `oco:7`; none and "" for no list."""
        value = self._values.pop("link", None)
        if value is None:
            return "none", ""
        if isinstance(value, str):
            kind, _, number = value.partition(":")
            value = {"type": kind, "id": number}
        kinds = get_args(LinkType)[2:]
        # A parent, as answers show it, is for accounts to name.
        names = set(value) - {"parent"} if isinstance(value, dict) else set()
        if names != {"type", "id"} or value["type"] not in kinds:
            raise FieldError("link", f"must have a type ({', '.join(kinds)}) and an id")
        if not value["id"]:
            raise FieldError("link", "must have an id that is not empty")
        return value["type"], str(value["id"])

    def has(self, name: str) -> bool:
        """Whether the line gives the field and it was not taken yet."""
        return name in self._values

    def finish(self) -> None:
        """Raises FieldError when something is left that was not understood."""
        for name in self._values:
            raise FieldError(name, "is no field of this type")


def message_of(path: str, line: int, values: Mapping[str, Any], defaults: Mapping[str, str]) -> Said:
    """Record name and message of a line; `defaults` fill what it leaves out. Raises BadLine."""
    try:
        return parse(values, defaults)
    except FieldError as error:
        raise BadLine(path, line, error.field, error.text) from None


def parse(values: Mapping[str, Any], defaults: Mapping[str, str] | None = None) -> Said:
    """Record name and message of a line without its place in a file. Raises FieldError."""
    fields = Fields(values, defaults or {})
    kind = fields.word("type", tuple(_PARSERS), "new_order")
    said = _PARSERS[kind](fields)
    fields.finish()
    return said


def _new_order(fields: Fields) -> Said:
    return "NewOrder", NewOrder(
        account=fields.text("account"),
        client_order_id=fields.text("client_order_id"),
        symbol=fields.text("symbol"),
        side=cast(Side, fields.word("side", get_args(Side))),
        order_type=cast(OrderType, fields.word("order_type", get_args(OrderType), "limit")),
        quantity=fields.number("quantity"),
        limit_price=fields.optional_number("limit_price"),
        time_in_force=cast(TimeInForce, fields.word("time_in_force", get_args(TimeInForce), "day")),
        instructions=_instructions(fields),
        entered_us=fields.time_us(),
        entered_by=fields.text("entered_by", ""),
        door="kafka",
    )


def _instructions(fields: Fields) -> OrderInstructions | None:
    """What an order carries beyond its type; None where nothing is given."""
    usual = defaults("NewOrder", "instructions")
    given: dict[str, Any] = {name: fields.optional_number(name) for name in _NUMBERS}
    given |= {name: fields.flag(name) for name in _FLAGS}
    given |= {name: fields.word(name, words) for name, words in _WORDS.items() if fields.has(name)}
    given["expire_at_us"] = fields.time_us("expire_at_us")
    given["post_only"] = fields.post_only()
    given["stp_group"] = fields.text("stp_group", "")
    given["link_type"], given["link_id"] = fields.link()
    used = {name: value for name, value in given.items() if value is not None and value != usual[name]}
    return cast(OrderInstructions, {**usual, **used}) if used else None


def _cancel_order(fields: Fields) -> Said:
    return "CancelOrder", CancelOrder(
        account=fields.text("account"),
        order=fields.text("order"),
        client_order_id=fields.text("client_order_id", ""),
        symbol=fields.text("symbol", ""),
        entered_us=fields.time_us(),
        entered_by=fields.text("entered_by", ""),
        door="kafka",
    )


def _replace_order(fields: Fields) -> Said:
    return "ReplaceOrder", ReplaceOrder(
        account=fields.text("account"),
        order=fields.text("order"),
        client_order_id=fields.text("client_order_id", ""),
        symbol=fields.text("symbol", ""),
        quantity=fields.optional_number("quantity"),
        limit_price=fields.optional_number("limit_price"),
        changes=_changes(fields),
        entered_us=fields.time_us(),
        entered_by=fields.text("entered_by", ""),
        door="kafka",
    )


def _changes(fields: Fields) -> OrderChanges | None:
    """What a replace changes beyond quantity and limit price; None where nothing is given."""
    forces = get_args(TimeInForce)
    changes = OrderChanges(
        stop_price=fields.optional_number("stop_price"),
        display_quantity=fields.optional_number("display_quantity"),
        time_in_force=cast(TimeInForce, fields.word("time_in_force", forces))
        if fields.has("time_in_force")
        else None,
        expire_at_us=fields.time_us("expire_at_us") if fields.has("expire_at_us") else None,
    )
    return None if all(value is None for value in changes.values()) else changes


def _cancel_all_after(fields: Fields) -> Said:
    timeout_ms = fields.text("timeout_ms")
    if not timeout_ms.isdigit() or len(timeout_ms) > 9:
        raise FieldError("timeout_ms", f"{timeout_ms[:64]!r} is not a number of milliseconds")
    return "CancelAllAfter", CancelAllAfter(
        account=fields.text("account"),
        client_order_id=fields.text("client_order_id", ""),
        timeout_ms=int(timeout_ms),
        entered_us=fields.time_us(),
        entered_by=fields.text("entered_by", ""),
        door="kafka",
    )


def _mass_cancel(fields: Fields) -> Said:
    """Of an account; without one, of all accounts in a symbol, which is an operator's control."""
    if not fields.has("account"):
        if fields.has("side"):
            raise FieldError("account", "is missing: a side is canceled for one account only")
        return "CancelSymbol", _control(fields)
    return "MassCancel", MassCancel(
        account=fields.text("account"),
        client_order_id=fields.text("client_order_id", ""),
        symbol=fields.text("symbol", ""),
        side=cast(Side, fields.word("side", get_args(Side)) if fields.has("side") else "unknown"),
        entered_us=fields.time_us(),
        entered_by=fields.text("entered_by", ""),
        door="kafka",
    )


def _quote(fields: Fields) -> Said:
    return "Quote", Quote(
        symbol=fields.text("symbol"),
        bid=fields.optional_number("bid") or 0,
        bid_size=fields.optional_number("bid_size") or 0,
        ask=fields.optional_number("ask") or 0,
        ask_size=fields.optional_number("ask_size") or 0,
        last=fields.optional_number("last") or 0,
        last_size=fields.optional_number("last_size") or 0,
        venue=fields.text("venue", "file"),
        at_us=fields.time_us(),
    )


def _control_line(fields: Fields) -> Said:
    sessions = get_args(Session)[1:]
    action = fields.word("action", (*sessions, "uncross", "band", "expire_day", *_STATES))
    control = _control(fields)
    if action in sessions:
        return "SetSession", cast(SetSession, {**control, "session": action})
    if action == "band":
        prices = {name: fields.optional_number(name) or 0 for name in ("low", "high")}
        return "SetTradingBand", cast(SetTradingBand, {**control, **prices})
    if action in ("uncross", "expire_day"):
        return {"uncross": "Uncross", "expire_day": "ExpireDay"}[action], control
    return "SetSymbolState", cast(
        SetSymbolState, {**control, "state": _STATES[action], "cancel_orders": False}
    )


def _control(fields: Fields) -> dict[str, Any]:
    """What every control of a symbol has."""
    return {
        "symbol": fields.text("symbol"),
        "control_id": fields.text("control_id", ""),
        "entered_us": fields.time_us(),
        "entered_by": fields.text("entered_by", ""),
        "door": "kafka",
    }


_PARSERS: dict[str, Callable[[Fields], Said]] = {
    "new_order": _new_order,
    "cancel_order": _cancel_order,
    "replace_order": _replace_order,
    "mass_cancel": _mass_cancel,
    "cancel_all_after": _cancel_all_after,
    "quote": _quote,
    "control": _control_line,
}
