"""Avro decoders compiled from our own schemas: what fastavro reads, at a third of its cost.

fastavro walks the schema for every record. For a record of strings, numbers, enums, decimals and optional
parts of these a function is generated that reads the fields one after the other; values that come again
are looked up by their bytes, length included. It knows the common case only: for anything else (a string
above 63 bytes, a symbol that we do not know, bytes that are no such record) it raises, whatever the error,
and fastavro reads the record, or says what is wrong with it. A property test holds the two equal.
"""

from collections.abc import Callable
from typing import Any

from schemas.encoder import MEMO_MAX, REPEATED, zigzag
from schemas.wire import expand

Json = Any
Decode = Callable[[bytes], dict[str, Any]]

_DECIMAL_BYTES_MAX = 16
# Of each byte of eight the bit that says that another one follows; of a number that has eight bytes.
_TOP_BITS, _ENDS_AT_EIGHT = 0x8080_8080_8080_8080, 0x0080_8080_8080_8080
_INT_MAX, _UNSIGNED_MAX = (1 << 31) - 1, (1 << 64) - 1
# Bytes of a short string or decimal with its length, by its first byte, which is the length in zigzag.
_EXTENTS = {length << 1: length + 1 for length in range(64)}


class NotCompiled(Exception):
    """The record has a part that only fastavro reads."""


def wrong() -> None:
    """Leaves it to fastavro."""
    raise ValueError("not the common case")


class _Memo(dict[bytes, Any]):
    """Values by their bytes with the length in front; computes what it does not know, forgets when full."""

    def __init__(self, decode: Callable[[bytes], Any]) -> None:
        super().__init__()
        self._decode = decode

    def __missing__(self, framed: bytes) -> Any:
        value = self._decode(framed[1:])
        if len(self) >= MEMO_MAX:
            self.clear()
        self[framed] = value
        return value


def _decimal(body: bytes) -> int:
    if not 0 < len(body) <= _DECIMAL_BYTES_MAX:
        wrong()
    return int.from_bytes(body, "big", signed=True)


def _long_at(value: bytes, at: int) -> tuple[int, int]:
    """A long in zigzag, and where the next field begins."""
    word = int.from_bytes(value[at : at + 8], "little")
    if word & _TOP_BITS == _ENDS_AT_EIGHT:
        # A time has eight bytes, of seven bits each: pairs of them are joined, then pairs of pairs.
        word &= ~_TOP_BITS
        word = word & 0x007F_007F_007F_007F | (word & 0x7F00_7F00_7F00_7F00) >> 1
        word = word & 0x0000_3FFF_0000_3FFF | (word & 0x3FFF_0000_3FFF_0000) >> 2
        word = word & 0x0000_0000_0FFF_FFFF | (word & 0x0FFF_FFFF_0000_0000) >> 4
        return (word >> 1) ^ -(word & 1), at + 8
    number = shift = 0
    while True:
        byte = value[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
        shift += 7
        if shift > 63:
            wrong()
    if number > _UNSIGNED_MAX:
        wrong()
    return (number >> 1) ^ -(number & 1), at


def _int_at(value: bytes, at: int) -> tuple[int, int]:
    number, at = _long_at(value, at)
    if not -_INT_MAX - 1 <= number <= _INT_MAX:
        wrong()
    return number, at


_GIVEN: dict[str, Any] = {
    "extents": _EXTENTS,
    "texts": _Memo(bytes.decode),
    "decimals": _Memo(_decimal),
    "booleans": {0: False, 1: True},
    "long_at": _long_at,
    "int_at": _int_at,
    "wrong": wrong,
}


def compiled(schema: Json, header: int) -> Decode:
    """The decoder of framed records of a schema of ours, after so many bytes. Raises NotCompiled."""
    return _Source(header).function(expand(schema))


class _Source:
    """Writes a function's source. Only names of our own schemas and numbers get into it."""

    def __init__(self, header: int) -> None:
        self._given = dict(_GIVEN)
        self._lines = [f"p = {header}"]
        self._count = 0

    def function(self, record: Json) -> Decode:
        """The function for a record."""
        made = self._record(record, "")
        lines = [*self._lines, "if p != len(v): wrong()", f"return {made}"]
        exec("def decode(v):\n " + "\n ".join(lines), self._given)
        decode: Decode = self._given["decode"]
        return decode

    def _record(self, record: Json, indent: str) -> str:
        """Adds the lines that read a record's fields; gives the expression that makes its message."""
        pairs = [
            f"{field['name']!r}: {self._field(field['type'], field['name'], indent)}"
            for field in record["fields"]
        ]
        return f"{{{', '.join(pairs)}}}"

    def _field(self, node: Json, name: str, indent: str) -> str:
        """Adds the lines that read a field; gives the name or expression of its value."""
        self._count += 1
        value = f"f{self._count}"
        if isinstance(node, list):
            return self._optional(node, name, value, indent)
        kind = node if isinstance(node, str) else node["type"]
        if isinstance(node, dict) and node.get("logicalType") == "decimal":
            kind = "decimal"
        if kind == "record":
            return self._record(node, indent)
        self._lines += [indent + line for line in self._read(kind, node, name, value)]
        return value

    def _read(self, kind: str, node: Json, name: str, value: str) -> list[str]:
        if kind in ("string", "decimal"):
            taken = "decimals[v[p:e]]" if kind == "decimal" else "texts[v[p:e]]"
            if kind == "string" and name not in REPEATED:
                taken = "v[p + 1:e].decode()"
            return ["e = p + extents[v[p]]", f"{value} = {taken}", "p = e"]
        if kind in ("int", "long"):
            return [
                f"{value} = v[p]",
                f"if {value} < 128: {value} = ({value} >> 1) ^ -({value} & 1); p += 1",
                # Offsets and counts have two or three bytes.
                f"elif v[p + 1] < 128: n = {value} & 127 | v[p + 1] << 7; "
                f"{value} = (n >> 1) ^ -(n & 1); p += 2",
                f"elif v[p + 2] < 128: n = {value} & 127 | (v[p + 1] & 127) << 7 | v[p + 2] << 14; "
                f"{value} = (n >> 1) ^ -(n & 1); p += 3",
                f"else: {value}, p = {kind}_at(v, p)",
            ]
        if kind == "boolean":
            return [f"{value} = booleans[v[p]]", "p += 1"]
        if kind == "enum":
            # The first 64 by the byte of their number, the others by their two bytes.
            symbols = {
                number << 1 if number < 64 else zigzag(number): s for number, s in enumerate(node["symbols"])
            }
            self._given[f"enum_{value}"] = symbols
            return [
                "n = v[p]",
                f"if n < 128: {value} = enum_{value}[n]; p += 1",
                f"else: {value} = enum_{value}[v[p:p + 2]]; p += 2",
            ]
        raise NotCompiled(f"{name}: {kind}")

    def _optional(self, node: Json, name: str, value: str, indent: str) -> str:
        """Null or a value, in that order."""
        if len(node) != 2 or node[0] != "null":
            raise NotCompiled(f"{name}: {node}")
        self._lines += [
            f"{indent}{value} = v[p]",
            f"{indent}p += 1",
            f"{indent}if {value} == 0: {value} = None",
        ]
        self._lines += [f"{indent}elif {value} != 2: wrong()", f"{indent}else:"]
        inner = self._field(node[1], name, indent + " ")
        self._lines.append(f"{indent} {value} = {inner}")
        return value
