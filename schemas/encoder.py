"""Avro encoders compiled from our own schemas: the bytes of fastavro at a ninth of its cost.

fastavro walks the schema for every message, a third of a microsecond a field, and that was half of a
worker's time. What lanes say is flat (strings, numbers, enums, decimals, or an optional record of these),
so for such a record a function is generated that joins the parts in order; values that come again (prices,
quantities, symbols, the time of a cycle) are looked up. An optional record may be left out of a message.
Records with arrays or maps are left to fastavro. A property test holds the bytes equal to fastavro's.
"""

from collections.abc import Callable, Mapping
from typing import Any

from schemas.wire import expand, optional_records_at_the_end

Json = Any
Encode = Callable[[Mapping[str, Any]], bytes]

# Looked-up values are forgotten together when there are so many: memory stays bounded.
MEMO_MAX = 65_536
_PAIR = 1 << 14
_LOW = _PAIR - 1
# Two bytes that others follow, and the last one or two, by their 14 bits.
_PAIRS = [bytes((bits & 0x7F | 0x80, bits >> 7 | 0x80)) for bits in range(_PAIR)]
_LAST = [bytes((bits,)) if bits < 0x80 else bytes((bits & 0x7F | 0x80, bits >> 7)) for bits in range(_PAIR)]
_INT_MAX, _LONG_MAX = (1 << 31) - 1, (1 << 63) - 1
# Numbers from 0 that are encoded beforehand.
_SMALL = 8_192
# Strings and times that come again and again; others are encoded each time.
REPEATED = frozenset(
    (
        "at_us",
        "entered_us",
        "finished_us",
        "account",
        "symbol",
        "asset",
        "currency",
        "entered_by",
        "text",
        "trade_id",
        "request_id",
        "entry_id",
    )
)


class NotFlat(Exception):
    """The record has a part that only fastavro encodes."""


class _Memo(dict[Any, bytes]):
    """Encoded values by value; computes what it does not know, and forgets all when full."""

    def __init__(self, encode: Callable[[Any], bytes]) -> None:
        super().__init__()
        self._encode = encode

    def __missing__(self, value: Any) -> bytes:
        encoded = self._encode(value)
        if len(self) >= MEMO_MAX:
            self.clear()
        self[value] = encoded
        return encoded


class _Symbols(dict[Any, bytes]):
    """Encoded numbers of an enum's symbols."""

    def __init__(self, enum: str, symbols: list[str]) -> None:
        super().__init__({symbol: zigzag(number) for number, symbol in enumerate(symbols)})
        self._enum = enum

    def __missing__(self, symbol: object) -> bytes:
        raise ValueError(f"{symbol!r} is no symbol of {self._enum}")


def zigzag(value: int) -> bytes:
    """Avro's int and long: zigzag, then seven bits a byte, least first; here two bytes at a time."""
    rest = (value << 1) ^ (value >> 63)
    out = b""
    while rest >= _PAIR:
        out += _PAIRS[rest % _PAIR]
        rest >>= 14
    return out + _LAST[rest]


def _int(value: Any) -> bytes:
    if type(value) is not int or not -_INT_MAX - 1 <= value <= _INT_MAX:
        raise ValueError(f"{value!r} is no int of 32 bits")
    return zigzag(value)


def _long(value: Any) -> bytes:
    # Offsets, counts and times, which are most of all: as `zigzag`, without a loop.
    if type(value) is int and _SMALL <= value < 1 << 55:
        rest = value << 1
        if rest < 1 << 28:
            return _PAIRS[rest & _LOW] + _LAST[rest >> 14]
        if rest < 1 << 42:
            return _PAIRS[rest & _LOW] + _PAIRS[rest >> 14 & _LOW] + _LAST[rest >> 28]
        return _PAIRS[rest & _LOW] + _PAIRS[rest >> 14 & _LOW] + _PAIRS[rest >> 28 & _LOW] + _LAST[rest >> 42]
    if type(value) is not int or not -_LONG_MAX - 1 <= value <= _LONG_MAX:
        raise ValueError(f"{value!r} is no int of 64 bits")
    return zigzag(value)


def _decimal(value: Any) -> bytes:
    if type(value) is not int:
        raise TypeError(f"{value!r} is no int scaled by 10^8")
    body = value.to_bytes((value.bit_length() + 8) >> 3, "big", signed=True)
    return zigzag(len(body)) + body


def _text(value: str) -> bytes:
    body = value.encode()
    return zigzag(len(body)) + body


_GIVEN: dict[str, Any] = {
    "join": b"".join,
    "lengths": _Memo(zigzag),
    "int": _int,
    "long": _long,
    "times": _Memo(_long),
    "small": [zigzag(value) for value in range(_SMALL)],
    "decimals": _Memo(_decimal),
    "texts": _Memo(_text),
    "booleans": {False: b"\0", True: b"\1"},
}
_LOOKED_UP = {"decimal": "decimals", "boolean": "booleans"}


def compiled(schema: Json, header: bytes) -> Encode:
    """The encoder of a flat record of ours; `header` goes first. Raises NotFlat."""
    given = {**_GIVEN, "header": header}
    before: list[str] = []
    expanded = expand(schema)
    fields, absent = expanded["fields"], optional_records_at_the_end(expanded)
    parts = [_part(field["type"], field["name"], i, before, given) for i, field in enumerate(fields)]
    lines = ["def encode(m):", *before]
    if absent:
        # What almost no message has must cost the others nothing.
        first = len(fields) - absent
        there = " or ".join(f"{field['name']!r} in m" for field in fields[first:])
        lines.append(
            f"if not ({there}): return join((header, {', '.join(parts[:first])}, {bytes(absent)!r}))"
        )
    lines.append(f"return join((header, {', '.join(parts)},))")
    exec("\n ".join(lines), given)
    encode: Encode = given["encode"]
    return encode


def _part(node: Json, name: str, index: int, before: list[str], given: dict[str, Any]) -> str:
    """Expression for a field's bytes; what must be computed first is added to `before`."""
    value = f"m[{name!r}]"
    kind = node if isinstance(node, str) else "union" if isinstance(node, list) else node["type"]
    if isinstance(node, dict) and node.get("logicalType") == "decimal":
        kind = "decimal"
    if kind == "enum":
        given[f"enum{index}"] = _Symbols(node["name"], node["symbols"])
        return f"enum{index}[{value}]"
    if kind in _LOOKED_UP:
        return f"{_LOOKED_UP[kind]}[{value}]"
    if kind == "long" and name in REPEATED:
        return f"times[{value}]"
    if kind in ("int", "long"):
        return f"(small[{value}] if -1 < {value} < {_SMALL} else {kind}({value}))"
    if kind == "string" and name in REPEATED:
        return f"texts[{value}]"
    if kind == "string":
        before.append(f"f{index} = {value}.encode()")
        return f"lengths[len(f{index})], f{index}"
    if kind == "union" and len(node) == 2 and node[0] == "null":
        if isinstance(node[1], dict) and node[1]["type"] == "record":
            # The branch's number, zigzag, goes first.
            given[f"record{index}"] = compiled(node[1], b"\2")
            return f"b'\\0' if m.get({name!r}) is None else record{index}({value})"
        inner: list[str] = []
        part = _part(node[1], name, index, inner, given)
        if not inner:
            # The branch's number, zigzag: 0 for null, 1 for the value.
            return f"b'\\0' if {value} is None else b'\\2' + {part}"
    raise NotFlat(f"{name}: {kind}")
