"""Messages as JSON resources: decimals as strings, times as RFC 3339 in UTC with microseconds.

Rule: names are those of the Avro fields, but a time `x_us` is shown as `x_at` (`at_us` as `at`).
"""

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from schemas.codec import defaults, schema_text
from schemas.messages import NewOrder, OrderEvent
from schemas.numbers import format_e8

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)

Show = Callable[[Any], Any]


def rfc3339(at_us: int) -> str:
    """`2026-11-21T12:00:00.000001Z` of microseconds since the epoch."""
    return (_EPOCH + timedelta(microseconds=at_us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> datetime:
    """The moment of an RFC 3339 text; raises ValueError when it is none or names no zone."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("a time must name its zone, as in 2026-11-21T12:00:00Z")
    return moment.astimezone(UTC)


def shown_name(field: str) -> str:
    """Name of an Avro field in JSON."""
    if field == "at_us":
        return "at"
    return f"{field.removesuffix('_us')}_at" if field.endswith("_us") else field


def _same(value: Any) -> Any:
    return value


def _optional(show: Show) -> Show:
    return lambda value: None if value is None else show(value)


def _show_of(kind: Any, named: dict[str, Any]) -> Show:
    """How to show a value of an Avro type."""
    if isinstance(kind, list):
        return _optional(_show_of(next(branch for branch in kind if branch != "null"), named))
    if isinstance(kind, str):
        kind = named.get(kind.rpartition(".")[2], kind)
    if isinstance(kind, dict):
        if kind.get("logicalType") == "decimal":
            return format_e8
        if kind["type"] == "array":
            show = _show_of(kind["items"], named)
            return lambda items: [show(item) for item in items]
        if kind["type"] == "record":
            named[kind["name"]] = kind
            fields = _fields(kind, named)
            return lambda item: {shown: show(item[name]) for name, shown, show in fields}
    return _same


def _fields(schema: Mapping[str, Any], named: dict[str, Any]) -> list[tuple[str, str, Show]]:
    return [
        (
            field["name"],
            shown_name(field["name"]),
            rfc3339 if field["name"].endswith("_us") else _show_of(field["type"], named),
        )
        for field in schema["fields"]
    ]


@cache
def _fields_of(record: str) -> list[tuple[str, str, Show]]:
    return _fields(json.loads(schema_text(record)), {})


# Optional records whose fields are shown beside the others, those that are used.
FLAT = frozenset({"instructions", "changes"})


def shown(record: str, message: Mapping[str, Any]) -> dict[str, Any]:
    """A message of a record name as a JSON-able resource; what may be left out of it is shown as null."""
    left_out = _may_be_left_out(record)
    resource = {
        name: show(message.get(field) if field in left_out else message[field])
        for field, name, show in _fields_of(record)
        if field not in FLAT
    }
    for field in FLAT & left_out:
        resource |= flat(message.get(field))
    return resource


def flat(carried: Mapping[str, Any] | None) -> dict[str, Any]:
    """What an order carries beyond its type, or what a replace changes, as JSON: what is used, and no more.

    The names are those of requests: the list is `link` with type and id, and with the order_id of its parent
    where the order waits for one.
    """
    if carried is None:
        return {}
    usual = defaults("NewOrder", "instructions")
    used = {
        name: format_e8(value) if name in _DECIMALS else value
        for name, value in carried.items()
        if value is not None and (value != usual.get(name) or "link_id" not in carried)
    }
    link = {"type": used.pop("link_type", "none"), "id": used.pop("link_id", "")}
    if parent := used.pop("link_parent", ""):
        link["parent"] = parent
    return used | {"link": link} if link["id"] else used


_DECIMALS = frozenset(
    ("stop_price", "trail_amount", "trail_percent", "peg_offset", "display_quantity", "min_quantity")
)


@cache
def _may_be_left_out(record: str) -> frozenset[str]:
    """Fields that are null unless a message has them."""
    fields = json.loads(schema_text(record))["fields"]
    return frozenset(field["name"] for field in fields if field.get("default", "") is None)


# What an order is, out of what an event says of it.
ORDER_FIELDS = (
    "order_id",
    "account",
    "client_order_id",
    "symbol",
    "side",
    "order_type",
    "time_in_force",
    "status",
    "version",
    "quantity",
    "limit_price",
    "cum_quantity",
    "leaves_quantity",
    "average_price",
    "reason",
    "text",
    "entered_by",
    "door",
)


def order_of_event(event: Mapping[str, Any]) -> dict[str, Any]:
    """The order as an OrderEvent (decimals as integers) left it."""
    resource = shown("OrderEvent", event)
    order = {name: resource[name] for name in ORDER_FIELDS}
    order["limit_price"] = resource["limit_price"] if event["limit_price"] else None
    order["updated_at"] = resource["at"]
    return order | flat(event.get("instructions"))


def order_just_entered(message: NewOrder, order_id: str) -> dict[str, Any]:
    """The order between its entry and the first word of the pipeline about it."""
    event: OrderEvent = {
        "event": "unknown",
        "status": "pending_new",
        "account": message["account"],
        "client_order_id": message["client_order_id"],
        "order_id": order_id,
        "symbol": message["symbol"],
        "side": message["side"],
        "order_type": message["order_type"],
        "time_in_force": message["time_in_force"],
        "version": 0,
        "quantity": message["quantity"],
        "limit_price": message["limit_price"] or 0,
        "cum_quantity": 0,
        "leaves_quantity": message["quantity"],
        "average_price": 0,
        "last_quantity": 0,
        "last_price": 0,
        "trade_id": "",
        "reason": "NONE",
        "text": "",
        "request_offset": -1,
        "request_id": "",
        "entered_by": message["entered_by"],
        "door": message["door"],
        "at_us": message["entered_us"],
        "instructions": message.get("instructions"),
    }
    return order_of_event(event) | {"entered_at": rfc3339(message["entered_us"])}
