"""Records as rows: which table a record goes to, and its values as PostgreSQL reads them in a COPY.

Rules: columns are the message's fields (app.resources gives the names), after the place of the
record where the table keeps every record. Whatever a foreign producer put into a text or a number fits
the column: a NUL becomes U+FFFD, a text of more than 256 characters (64 kB where it is not indexed) is
cut, a number beyond 38 digits is the largest there is.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from operator import itemgetter
from typing import Any

from app.latest import changes_order, rank
from app.reader import Read
from app.resources import FLAT, ORDER_FIELDS, flat, shown, shown_name
from schemas.codec import schema_text
from schemas.topics import TOPICS

Row = tuple[Any, ...]
Convert = Callable[[Any], Any]

# Tables that keep every record, under its place.
APPENDED = {
    "OrderEvent": "order_events",
    "Trade": "trades",
    "MassCancelReport": "mass_cancel_reports",
    "ControlReport": "control_reports",
    "SelfTradePrevented": "self_trades_prevented",
}
# Tables that keep the latest record of a key; whether a row is later than the one that is there.
LATER = {
    "orders": "(excluded.version, excluded.status <> 'rejected', excluded.updated_at)"
    " > (t.version, t.status <> 'rejected', t.updated_at)",
    "positions": "excluded.version > t.version",
    "instruments": "true",
}
KEYS = {"orders": ("order_id",), "positions": ("account", "asset", "kind"), "instruments": ("symbol",)}
# An order keeps what it was entered with, but for a rejected one that was entered again.
KEPT = frozenset({"entered_at", "entry_id"})
CONTROLS = {record.__name__ for record in TOPICS["control"].records}

_PLACE = ("partition", "log_offset")
_LONG = frozenset({"text", "name"})
_TEXT_MAX = 256
_LONG_MAX = 65_536
_NUMBER_MAX = 10**38 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_US = 253_402_300_799_999_999  # the end of the year 9999


def text(value: str, at_most: int = _TEXT_MAX) -> str:
    """A text that PostgreSQL takes and can index."""
    if len(value) > at_most:
        value = f"{value[:at_most]}…"
    return value.replace("\0", "\ufffd")


def number(value_e8: int) -> str:
    """A decimal in PostgreSQL's words: 18_712_000_000 is `18712000000e-8`."""
    return f"{max(-_NUMBER_MAX, min(value_e8, _NUMBER_MAX))}e-8"


def moment(at_us: int) -> str:
    """A time in PostgreSQL's words."""
    return (_EPOCH + timedelta(microseconds=max(0, min(at_us, _LAST_US)))).isoformat()


def _price(value_e8: int) -> str | None:
    """A limit price, of which a market order has none."""
    return number(value_e8) if value_e8 else None


def _carried(value: Mapping[str, Any] | None) -> str | None:
    """What an order carries beyond its type, as it is shown; null where it carries nothing."""
    used = flat(value)
    return json.dumps(used).replace("\\u0000", "\\ufffd") if used else None


def _long(value: str) -> str:
    return text(value, _LONG_MAX)


def _same(value: Any) -> Any:
    return value


def _convert(field: Mapping[str, Any]) -> Convert:
    """How a field of a message becomes a value."""
    name, kind = field["name"], field["type"]
    if name.endswith("_us"):
        return moment
    if name == "limit_price":
        return _price
    if isinstance(kind, dict) and kind.get("logicalType") == "decimal":
        return number
    if kind == "string":
        return _long if name in _LONG else text
    return _carried if name in FLAT else _same


@cache
def _fields(record: str) -> tuple[tuple[str, str, Convert], ...]:
    """Field, column and conversion of each field of a record."""
    fields = json.loads(schema_text(record))["fields"]
    return tuple((field["name"], shown_name(field["name"]), _convert(field)) for field in fields)


def _values(record: str, message: Mapping[str, Any]) -> Row:
    # An optional record may be left out.
    return tuple(
        convert(message.get(field) if field in FLAT else message[field])
        for field, _, convert in _fields(record)
    )


def _columns(record: str) -> tuple[str, ...]:
    return tuple(column for _, column, _ in _fields(record))


# An order out of the values of its event; it is entered with it, unless an earlier event is known.
_EVENT_COLUMNS = _columns("OrderEvent")
_order_of = itemgetter(
    *map(_EVENT_COLUMNS.index, (*ORDER_FIELDS, "instructions", "at", "at", "client_order_id"))
)

COLUMNS: dict[str, tuple[str, ...]] = {
    **{table: (*_PLACE, *_columns(record)) for record, table in APPENDED.items()},
    "orders": (*ORDER_FIELDS, "instructions", "updated_at", "entered_at", "entry_id"),
    "positions": _columns("Position"),
    "instruments": _columns("Instrument"),
    "controls": (
        *_PLACE, "control", "account", "symbol", "control_id", "body", "entered_by", "door", "at",
    ),
    "dead_letters": (
        "found_in", "found_partition", "found_offset",
        "topic", "partition", "log_offset", "logged_at", "key", "value", "reason", "text", "at",
    ),
}  # fmt: skip


_STATUS = COLUMNS["orders"].index("status")
_VERSION = COLUMNS["positions"].index("version")


class Rows:
    """What a batch puts into each table: `appended` rows by table, `latest` rows by table and key.

    `topic_of` gives the full name of a topic's short one.
    """

    def __init__(self, topic_of: Callable[[str], str], batch: Iterable[Read] = ()) -> None:
        self.appended: dict[str, list[Row]] = {}
        self.latest: dict[str, dict[object, Row]] = {table: {} for table in LATER}
        self._topic_of = topic_of
        self._ranks: dict[str, tuple[int, bool, int | str]] = {}
        for read in batch:
            self._add(read)

    def _add(self, read: Read) -> None:
        kind, message = read.kind, read.message
        if read.error is not None:
            self.refuse(read, read.error.reason, read.error.text)
        elif kind in APPENDED:
            self._keep(read)
        elif kind == "Position":
            self._position(_values(kind, message))
        elif kind == "Instrument":
            row = _instrument(message)
            self.latest["instruments"][row[0]] = row
        elif kind == "DeadLetter":
            self._append("dead_letters", _dead_letter(read))
        elif kind in CONTROLS:
            self._append("controls", _control(read))

    def refuse(self, read: Read, reason: str, why: str) -> None:
        """Takes a record that cannot become a row into the dead letters."""
        at = moment(read.timestamp_us)
        found = (read.short, read.partition, read.offset)
        place = (self._topic_of(read.short), read.partition, read.offset, at)
        refusal = (read.key, read.value, reason, _long(why), at)
        self._append("dead_letters", (*found, *place, *refusal))

    def _append(self, table: str, row: Row) -> None:
        self.appended.setdefault(table, []).append(row)

    def _keep(self, read: Read) -> None:
        values = _values(read.kind, read.message)
        self._append(APPENDED[read.kind], (read.partition, read.offset, *values))
        if read.kind == "OrderEvent" and changes_order(read.message):
            self._order(read.message, _order_of(values))

    def _order(self, event: Mapping[str, Any], row: Row) -> None:
        """Keeps the order as the event left it, if that is its latest state in the batch."""
        order_id = event["order_id"]
        this, last = rank(event["version"], event["status"], event["at_us"]), self._ranks.get(order_id)
        if last is not None and this <= last:
            return
        before = self.latest["orders"].get(order_id)
        if before is not None and before[_STATUS] != "rejected":
            row = (*row[:-2], *before[-2:])
        self.latest["orders"][order_id] = row
        self._ranks[order_id] = this

    def _position(self, row: Row) -> None:
        before = self.latest["positions"].get(row[:3])
        if before is None or row[_VERSION] > before[_VERSION]:
            self.latest["positions"][row[:3]] = row


def _instrument(message: Mapping[str, Any]) -> Row:
    ticks = json.dumps(shown("Instrument", message)["ticks"])
    plain = zip(_columns("Instrument"), _values("Instrument", message), strict=True)
    return tuple(ticks if column == "ticks" else value for column, value in plain)


def _control(read: Read) -> Row:
    message = read.message
    names = (text(message.get(field, "")) for field in ("account", "symbol", "control_id"))
    body = json.dumps(shown(read.kind, message)).replace("\\u0000", "\\ufffd")
    by = (text(message["entered_by"]), message["door"], moment(read.timestamp_us))
    return (read.partition, read.offset, read.kind, *names, body, *by)


def _dead_letter(read: Read) -> Row:
    m = read.message
    place = (text(m["topic"]), m["partition"], m["offset"], moment(m["timestamp_us"]))
    refusal = (m["key"], m["value"], m["reason"], _long(m["text"]), moment(m["at_us"]))
    return (read.short, read.partition, read.offset, *place, *refusal)
