"""What is between a record on the wire and its message: one pair of functions per schema, made once.

The wire is standard Avro. fastavro decodes (and encodes what schemas.encoder leaves to it), with a schema
reduced to what the bytes are: decimals are bytes, enums are numbers, names are ours. Generated functions do
the rest: scaled integers, symbols, aliases, defaults. That is a third faster than logical types and schema
resolution in fastavro, which builds its tables anew for every record; it takes symbols numbered -1, and
skips fields beyond the end.

A schema from outside is hostile until compiled. Refused: nesting beyond 32 levels and so every type that
contains itself (reading one overflows the stack of the process); more than 10,000 parts; values that take no
bytes (a few bytes of them unfold into millions); a field that is ours but of another type or scale.
Stricter than Avro: text is not promoted to bytes or back, numbers only from int to long. More lenient: names
of enums and inner records do not matter, only those of fields.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import Any

from fastavro import parse_schema

from schemas.numbers import SCALE

Json = Any
Message = dict[str, Any]

_DEPTH_MAX = 32
_PARTS_MAX = 10_000
_PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
# 38 digits, the precision of every decimal, fit in 16 bytes. Longer ones would be numbers that break
# whoever prints them.
_DECIMAL_BYTES_MAX = 16
_INT_MAX = 2**31 - 1


class _Symbols(dict[Any, Any]):
    """Symbol of a number or number of a symbol; what is missing is an error that names the enum."""

    def __init__(self, enum: str, symbols: Mapping[Any, Any]) -> None:
        super().__init__(symbols)
        self._enum = enum

    def __missing__(self, key: object) -> Any:
        raise ValueError(f"{key!r} is no symbol of {self._enum}")


def expand(schema: Json) -> Json:
    """The schema with every name replaced by what it stands for. Raises ValueError for what is refused."""
    return _Expansion().of(schema, "", 0)


class _Expansion:
    """One schema on its way to a tree without names."""

    def __init__(self) -> None:
        self._named: dict[str, tuple[Json, str]] = {}
        self._parts = 0

    def of(self, node: Json, namespace: str, depth: int) -> Json:
        """The tree of a node."""
        self._parts += 1
        if depth > _DEPTH_MAX or self._parts > _PARTS_MAX:
            raise ValueError(f"it is nested deeper than {_DEPTH_MAX} levels or has over {_PARTS_MAX} parts")
        if isinstance(node, list):
            return [branch if branch == "null" else self.of(branch, namespace, depth + 1) for branch in node]
        kind = node["type"] if isinstance(node, dict) else node
        if isinstance(kind, dict | list):
            return self.of(kind, namespace, depth + 1)
        if kind == "null":
            raise ValueError("a value that is always null takes no bytes; make the field optional instead")
        if kind in _PRIMITIVES:
            return node
        if kind in ("array", "map"):
            key = "items" if kind == "array" else "values"
            return {"type": kind, key: self.of(node[key], namespace, depth + 1)}
        if kind in ("record", "enum", "fixed"):
            return self._definition(node, namespace, depth)
        known = self._named.get(f"{namespace}.{kind}") or self._named.get(kind)
        if known is None:
            raise ValueError(f"type {json.dumps(kind)[:80]} is not known")
        return self.of(*known, depth)

    def _definition(self, node: Json, namespace: str, depth: int) -> Json:
        name = node["name"]
        if "." not in name:
            namespace = node.get("namespace", namespace)
            name = f"{namespace}.{name}"
        namespace = name.rpartition(".")[0]
        self._named[name] = (node, namespace)
        if node["type"] == "enum":
            return node
        if node["type"] == "fixed":
            if type(node["size"]) is not int or node["size"] < 1:
                raise ValueError(f"fixed {name} takes no bytes, or its size is no number")
            return node
        if not node["fields"]:
            raise ValueError(f"record {name} has no fields, so it takes no bytes")
        fields = [{**f, "type": self.of(f["type"], namespace, depth + 1)} for f in node["fields"]]
        return {**node, "fields": fields}


def _is_decimal(node: Json) -> bool:
    return isinstance(node, dict) and node.get("logicalType") == "decimal"


def _kind(node: Json) -> str:
    """Our word for a type: its Avro name, `decimal` or `optional`."""
    if isinstance(node, list):
        return "optional"
    if _is_decimal(node):
        return "decimal"
    return str(node["type"] if isinstance(node, dict) else node)


def _inner(node: Json) -> Json:
    """The one type of an optional one; itself where it is none."""
    if not isinstance(node, list):
        return node
    branches = [branch for branch in node if branch != "null"]
    if len(branches) != 1:
        raise ValueError("a union must be of null and one type")
    return branches[0]


class _Wire:
    """Schemas as fastavro gets them: no logical types, no enums, names of our own making."""

    def __init__(self) -> None:
        self._numbers = count()

    def of(self, node: Json) -> Json:
        """The reduced schema of an expanded one."""
        kind = _kind(node)
        if kind == "optional":
            return [branch if branch == "null" else self.of(branch) for branch in node]
        if kind == "decimal":
            return "bytes" if node["type"] == "bytes" else self.of({**node, "logicalType": ""})
        if kind == "array":
            return {"type": "array", "items": self.of(node["items"])}
        if kind == "map":
            return {"type": "map", "values": self.of(node["values"])}
        if kind == "fixed":
            return {"type": "fixed", "name": self._name(), "size": node["size"]}
        if kind == "record":
            return self.record((field["name"], self.of(field["type"])) for field in node["fields"])
        return "int" if kind == "enum" else kind

    def record(self, fields: Iterable[tuple[str, Json]]) -> Json:
        """A reduced record of fields, given by name and reduced type."""
        reduced = [{"name": name, "type": node} for name, node in fields]
        return {"type": "record", "name": self._name(), "fields": reduced}

    def _name(self) -> str:
        return f"r{next(self._numbers)}"


class Encoding:
    """How a record of ours is written: `prepare(message)` is what fastavro writes with `wire`."""

    __slots__ = ("prepare", "wire")

    def __init__(self, schema: Json) -> None:
        ours = expand(schema)
        self.wire = parse_schema(_Wire().of(ours), named_schemas={})
        self.prepare = _Source().preparation(ours)


class Decoding:
    """How records of some writer's schema are read: `finish` makes a message, in place, of what fastavro
    reads with `wire`.

    Raises ValueError, KeyError or TypeError for a writer's schema that cannot be read as ours.
    """

    __slots__ = ("finish", "wire")

    def __init__(self, writer: Json, ours: Json) -> None:
        wire, self.finish = _Source().reading(expand(writer), expand(ours))
        self.wire = parse_schema(wire, named_schemas={})


def optional_records_at_the_end(record: Json) -> int:
    """How many of an expanded record's last fields are optional records: almost no message has those."""
    return next(
        number
        for number, field in enumerate(reversed(record["fields"]))
        if not _is_optional_record(field["type"])
    )


def _is_optional_record(node: Json) -> bool:
    return isinstance(node, list) and len(node) == 2 and node[0] == "null" and _kind(node[1]) == "record"


class _Source:
    """Generates functions. Only names of our own schemas and numbers get into the source text."""

    def __init__(self) -> None:
        self._given: dict[str, Any] = {"from_bytes": int.from_bytes, "wrong": _wrong}
        self._wire = _Wire()
        self._numbers = count()

    def _give(self, value: object) -> str:
        name = f"c{next(self._numbers)}"
        self._given[name] = value
        return name

    def _function(self, lines: list[str]) -> Any:
        source = "def made(m):\n " + "\n ".join(lines)
        exec(source, self._given)
        return self._given.pop("made")

    # Writing.

    def preparation(self, record: Json) -> Callable[[Mapping[str, Any]], Message]:
        """A function from a message to what fastavro writes."""
        pairs = []
        for field in record["fields"]:
            name, node = field["name"], field["type"]
            # An optional record may be left out of a message.
            value = f"m.get({name!r})" if _is_optional_record(node) else f"m[{name!r}]"
            pairs.append(f"{name!r}: {self._written(node, value)}")
        made: Callable[[Mapping[str, Any]], Message] = self._function([f"return {{{', '.join(pairs)}}}"])
        return made

    def _written(self, node: Json, value: str) -> str:
        """Expression that turns the message's value into fastavro's."""
        kind = _kind(node)
        if kind == "decimal":
            # Most events have many zeros.
            encoded = "v.to_bytes((v.bit_length() + 8) >> 3, 'big', signed=True)"
            return f"({encoded} if (v := {value}) != 0 else b'\\0')"
        if kind == "enum":
            numbers = {symbol: number for number, symbol in enumerate(node["symbols"])}
            return f"{self._give(_Symbols(node['name'], numbers))}[{value}]"
        if kind == "optional":
            inner = _inner(node)
            if _kind(inner) == "record":
                return f"(None if {value} is None else {self._give(self.preparation(inner))}({value}))"
            # Naming the branch saves fastavro from trying them.
            branch = self._wire.of(inner)
            assert isinstance(branch, str), "only plain types are optional in our schemas"
            return f"(None if (v := {value}) is None else ({branch!r}, {self._written(inner, 'v')}))"
        if kind == "array" and _kind(node["items"]) == "record":
            return f"[{self._give(self.preparation(node['items']))}(item) for item in {value}]"
        return value

    # Reading.

    def reading(self, writer: Json, ours: Json) -> tuple[Json, Callable[[Message], Message]]:
        """The reduced schema of a writer's record, and a function from what it gives to our message."""
        wire, lines = self._record(writer, ours)
        finish: Callable[[Message], Message] = self._function([*lines, "return m"])
        return wire, finish

    def _record(self, writer: Json, ours: Json) -> tuple[Json, list[str]]:
        theirs = {field["name"]: field["type"] for field in writer["fields"]}
        if len(theirs) != len(writer["fields"]):
            raise ValueError(f"record {writer['name']} has a field twice")
        # What we do not know is read, because only so its end is found, and dropped.
        read = {name: (f"_{i}", self._wire.of(node)) for i, (name, node) in enumerate(theirs.items())}
        lines = []
        for field in ours["fields"]:
            name = field["name"]
            found = next((n for n in (name, *field.get("aliases", ())) if n in theirs), None)
            if found is not None:
                wire, converting = self._field(theirs.pop(found), field["type"], name)
                read[found] = (name, wire)
                lines += converting
            elif "default" in field:
                lines.append(f"m[{name!r}] = {default(field)!r}")
            else:
                raise ValueError(f"field {name} is missing")
        lines += [f"del m[{name!r}]" for name, _ in read.values() if name.startswith("_")]
        return self._wire.record(read.values()), lines

    def _field(self, writer: Json, ours: Json, name: str) -> tuple[Json, list[str]]:
        """Reduced type of a field and the lines that put its value right."""
        wire, lines = self._value(_inner(writer), _inner(ours), name)
        if not isinstance(writer, list):
            return wire, lines
        wire = [branch if branch == "null" else wire for branch in writer]
        if "null" not in writer:
            return wire, lines
        if isinstance(ours, list):
            return wire, [f"if m[{name!r}] is not None:", *(f" {line}" for line in lines)] if lines else []
        return wire, [f"if m[{name!r}] is None: wrong({name!r}, 'must not be null')", *lines]

    def _value(self, writer: Json, ours: Json, name: str) -> tuple[Json, list[str]]:
        kind = _kind(ours)
        if not _readable(writer, ours):
            raise ValueError(f"field {name} must be {_described(ours)}, not {_described(writer)}")
        lines = []
        if kind == "decimal":
            lines = [
                f"v = m[{name!r}]",
                f"if not 0 < len(v) <= {_DECIMAL_BYTES_MAX}: wrong({name!r}, 'must have 1 to 16 bytes')",
                f"m[{name!r}] = from_bytes(v, 'big', signed=True)",
            ]
        elif kind == "enum":
            lines = [f"m[{name!r}] = {self._give(_symbols_read(writer, ours))}[m[{name!r}]]"]
        elif kind == "int":
            lines = [
                f"if not {-_INT_MAX - 1} <= m[{name!r}] <= {_INT_MAX}: wrong({name!r}, 'must fit 32 bits')"
            ]
        elif kind == "array" and _kind(ours["items"]) == "record":
            items, converting = self._record(writer["items"], ours["items"])
            finish = self._give(self._function(converting or ["pass"]))
            return {"type": "array", "items": items}, [f"for item in m[{name!r}]: {finish}(item)"]
        elif kind == "record":
            inner, converting = self._record(writer, ours)
            return inner, [f"{self._give(self._function(converting or ['pass']))}(m[{name!r}])"]
        return self._wire.of(writer), lines


def _readable(writer: Json, ours: Json) -> bool:
    """Whether a value of the writer's type can be a value of ours, as far as the type itself says."""
    theirs, kind = _kind(writer), _kind(ours)
    if kind == "decimal":
        return theirs == kind and writer["type"] == "bytes" and writer.get("scale", 0) == SCALE
    if kind == "long":
        # Milliseconds would silently become microseconds.
        note = writer.get("logicalType", "") if isinstance(writer, dict) else ""
        return theirs in ("int", "long") and not note.endswith(("-millis", "-nanos"))
    if kind == "array":
        return theirs == kind and _kind(writer["items"]) == _kind(ours["items"])
    return theirs == kind


def _symbols_read(writer: Json, ours: Json) -> _Symbols:
    """Our symbol for each number of the writer's; what we do not know is our default, if there is one."""
    known = {symbol: symbol for symbol in ours["symbols"]}
    read = {i: known.get(s, ours.get("default")) for i, s in enumerate(writer["symbols"])}
    return _Symbols(ours["name"], {i: symbol for i, symbol in read.items() if symbol is not None})


def default(field: Json) -> Any:
    """A field's default, as it is in messages; a schema gives a decimal's as the text of its bytes."""
    value = field["default"]
    if _kind(_inner(field["type"])) == "decimal" and value is not None:
        return int.from_bytes(value.encode("latin-1"), "big", signed=True)
    return value


def _described(node: Json) -> str:
    if _is_decimal(node):
        return f"decimal of scale {node.get('scale', 0)} in {node['type']}"
    note = node.get("logicalType", "") if isinstance(node, dict) else ""
    return f"{_kind(node)} {note}".rstrip()


def _wrong(field: str, why: str) -> None:
    raise ValueError(f"{field} {why}")
