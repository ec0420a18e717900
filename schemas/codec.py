"""Messages to bytes and back: Confluent framing (a zero byte, a 4-byte schema id) round an Avro body.

The wire is standard Avro with `decimal` logical types. Here the logical type is stripped before
fastavro sees a schema, and the bytes are read as integers scaled by 10^8: the same bytes, at a
third of the cost. Bytes from outside are hostile until decoded: whatever fastavro raises becomes a
DecodeError with a reason, bytes after the record are refused, and so is a foreign schema whose
decimals have another scale or whose few bytes could unfold into millions of items.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from io import BytesIO
from typing import Any

from fastavro import parse_schema, schemaless_reader, schemaless_writer

from schemas.numbers import SCALE
from schemas.reasons import Reason

NAMESPACE = "oms"
HEADER = 5
_SCHEMA_DEPTH_MAX = 32

Json = Any


class DecodeError(Exception):
    """Bytes that are no record of ours; `reason` says why, `text` gives the values and the next step."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(f"{reason}: {text}")
        self.reason: Reason = reason
        self.text = text


@cache
def schema_text(record: str) -> str:
    """The `.avsc` of a record name, as it is registered."""
    stem = "".join(f"_{c.lower()}" if c.isupper() else c for c in record).lstrip("_")
    return (files("schemas") / "avsc" / f"{stem}.avsc").read_text(encoding="utf-8")


@cache
def record_names() -> tuple[str, ...]:
    """Every record that has a schema, in alphabetical order."""
    folder = files("schemas") / "avsc"
    stems = sorted(entry.name.removesuffix(".avsc") for entry in folder.iterdir())
    return tuple("".join(word.title() for word in stem.split("_")) for stem in stems)


def _is_decimal(schema: Json) -> bool:
    return isinstance(schema, dict) and schema.get("logicalType") == "decimal"


def _stripped(schema: Json, depth: int = 0) -> Json:
    """The schema without logical types; a decimal of another scale than ours is refused."""
    if depth > _SCHEMA_DEPTH_MAX:
        raise ValueError(f"schema is nested deeper than {_SCHEMA_DEPTH_MAX} levels")
    if isinstance(schema, list):
        return [_stripped(branch, depth + 1) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    if _is_decimal(schema):
        if schema.get("type") != "bytes" or schema.get("scale", 0) != SCALE:
            raise ValueError(f"a decimal must be bytes with scale {SCALE}, not {json.dumps(schema)}")
        return "bytes"
    plain = {key: value for key, value in schema.items() if key != "logicalType"}
    for key in ("type", "items", "values"):
        if key in plain:
            plain[key] = _stripped(plain[key], depth + 1)
    if "fields" in plain:
        plain["fields"] = [
            {**field, "type": _stripped(field["type"], depth + 1)} for field in plain["fields"]
        ]
    return plain


class _Decimals:
    """Where the decimals of a record are: plain ones, nullable ones, and arrays of records with some."""

    __slots__ = ("arrays", "nullable", "plain")

    def __init__(self, schema: Json) -> None:
        self.plain: list[str] = []
        self.nullable: list[str] = []
        self.arrays: list[tuple[str, _Decimals]] = []
        named: dict[str, Json] = {}
        for field in schema["fields"]:
            name, kind = field["name"], field["type"]
            if _is_decimal(kind):
                self.plain.append(name)
            elif isinstance(kind, list) and any(map(_is_decimal, kind)):
                self.nullable.append(name)
            elif isinstance(kind, dict) and kind.get("type") == "array":
                items = kind["items"]
                if isinstance(items, dict) and items.get("type") == "record":
                    named[f"{NAMESPACE}.{items['name']}"] = items
                elif items in named:
                    items = named[items]
                self.arrays.append((name, _Decimals(items)))

    def to_bytes(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """A copy of the message with decimals as bytes."""
        out = dict(message)
        for name in self.plain:
            value = out[name]
            out[name] = value.to_bytes((value.bit_length() + 8) >> 3, "big", signed=True)
        for name in self.nullable:
            value = out[name]
            if value is not None:
                out[name] = value.to_bytes((value.bit_length() + 8) >> 3, "big", signed=True)
        for name, inner in self.arrays:
            out[name] = [inner.to_bytes(item) for item in out[name]]
        return out

    def from_bytes(self, message: dict[str, Any]) -> None:
        """Turns decimals of a decoded message into integers, in place."""
        from_bytes = int.from_bytes
        for name in self.plain:
            message[name] = from_bytes(message[name], "big", signed=True)
        for name in self.nullable:
            value = message[name]
            if value is not None:
                message[name] = from_bytes(value, "big", signed=True)
        for name, inner in self.arrays:
            for item in message[name]:
                inner.from_bytes(item)


class _Ours:
    """A record of ours, ready for fastavro."""

    __slots__ = ("decimals", "name", "parsed")

    def __init__(self, record: str) -> None:
        schema = json.loads(schema_text(record))
        self.name = record
        self.decimals = _Decimals(schema)
        self.parsed = parse_schema(_stripped(schema), named_schemas={})


@cache
def _ours(record: str) -> _Ours:
    return _Ours(record)


@cache
def _record_by_alias() -> dict[str, str]:
    """Record name of every name and alias that a foreign schema may have."""
    known: dict[str, str] = {}
    for record in record_names():
        schema = json.loads(schema_text(record))
        for name in (record, f"{NAMESPACE}.{record}", *schema.get("aliases", ())):
            known[name] = record
            known[name.rpartition(".")[2]] = record
    return known


def _zero_width(schema: Json, depth: int = 0) -> bool:
    """Whether a value of the (stripped) schema may take no bytes at all."""
    if depth > _SCHEMA_DEPTH_MAX:
        return True
    if schema == "null":
        return True
    if isinstance(schema, dict):
        kind = schema.get("type")
        if kind == "record":
            return all(_zero_width(field["type"], depth + 1) for field in schema["fields"])
        if kind == "fixed":
            return bool(schema.get("size", 0) == 0)
        return _zero_width(kind, depth + 1) if isinstance(kind, (dict, list)) or kind == "null" else False
    return False


def _refuse_bombs(schema: Json, depth: int = 0) -> None:
    """Raises ValueError for arrays or maps of zero-width items: 26 bytes of one make 30 million."""
    if depth > _SCHEMA_DEPTH_MAX:
        raise ValueError(f"schema is nested deeper than {_SCHEMA_DEPTH_MAX} levels")
    if isinstance(schema, list):
        for branch in schema:
            _refuse_bombs(branch, depth + 1)
    if isinstance(schema, dict):
        for key in ("items", "values"):
            if key in schema and _zero_width(schema[key]):
                raise ValueError("an array or map may not have items of zero width")
        for inner in (schema.get("type"), schema.get("items"), schema.get("values")):
            if isinstance(inner, (dict, list)):
                _refuse_bombs(inner, depth + 1)
        for field in schema.get("fields", ()):
            _refuse_bombs(field["type"], depth + 1)


def _field_names(field: Json) -> set[str]:
    return {field["name"], *field.get("aliases", ())}


def _refuse_other_numbers(writer: Json, reader: Json) -> None:
    """Raises ValueError where a field that is a decimal to us is not a decimal to the writer.

    Avro would promote a string to our bytes, and "187.12" would be read as a number of its own.
    """
    for theirs in writer.get("fields", ()):
        ours = next((field for field in reader["fields"] if theirs["name"] in _field_names(field)), None)
        if ours is None:
            continue
        kind = ours["type"]
        wanted = _is_decimal(kind) or (isinstance(kind, list) and any(map(_is_decimal, kind)))
        branches = theirs["type"] if isinstance(theirs["type"], list) else [theirs["type"]]
        if wanted and not all(branch == "null" or _is_decimal(branch) for branch in branches):
            raise ValueError(f"field {theirs['name']} must be a decimal of scale {SCALE} in bytes")


class _Writer:
    """A writer's schema of some id: how to read it into a record of ours."""

    __slots__ = ("ours", "parsed", "reader", "refusal")

    def __init__(self, text: str) -> None:
        self.refusal: DecodeError | None = None
        try:
            schema = json.loads(text)
            name = schema.get("name", "") if isinstance(schema, dict) else ""
            if "." not in name and schema.get("namespace"):
                name = f"{schema['namespace']}.{name}"
            record = _record_by_alias().get(name) or _record_by_alias().get(name.rpartition(".")[2])
            if record is None:
                raise ValueError(f"{name or 'a schema that is no record'} is not a record of this system")
            self.ours = _ours(record)
            if schema == json.loads(schema_text(record)):
                self.parsed, self.reader = self.ours.parsed, None
                return
            stripped = _stripped(schema)
            _refuse_bombs(stripped)
            _refuse_other_numbers(schema, json.loads(schema_text(record)))
            self.parsed = parse_schema(stripped, named_schemas={})
            self.reader = self.ours.parsed
        except Exception as error:
            self.refusal = DecodeError("DECODE_WRONG_RECORD", f"schema refused: {error}")


class Codec:
    """Encodes records of ours and decodes whatever schema of them a producer registered.

    `ids` gives the registered schema id of every record name that is written. A schema id that was
    not seen yet raises KeyError from `decode`: fetch its schema, `learn` it, decode again.
    """

    def __init__(self, ids: Mapping[str, int]) -> None:
        self._headers = {record: b"\0" + schema_id.to_bytes(4, "big") for record, schema_id in ids.items()}
        self._writers = {schema_id: _Writer(schema_text(record)) for record, schema_id in ids.items()}
        self._encoders = {record: (self._headers[record], _ours(record)) for record in ids}

    def encode(self, record: str, message: Mapping[str, Any]) -> bytes:
        """The framed bytes of a message; raises when a field is missing or of another type."""
        header, ours = self._encoders[record]
        out = BytesIO(header)
        out.seek(HEADER)
        schemaless_writer(out, ours.parsed, ours.decimals.to_bytes(message))
        return out.getvalue()

    @staticmethod
    def schema_id(value: bytes | None) -> int:
        """The schema id of framed bytes; raises DecodeError when they are not framed."""
        if value is None or len(value) <= HEADER or value[0] != 0:
            raise DecodeError("DECODE_NOT_FRAMED", "value must begin with a zero byte and a 4-byte schema id")
        return int.from_bytes(value[1:HEADER], "big")

    def knows(self, schema_id: int) -> bool:
        """Whether a schema of that id was learned."""
        return schema_id in self._writers

    def learn(self, schema_id: int, text: str) -> None:
        """Takes a writer's schema (JSON) for an id; one that is no record of ours is remembered as such."""
        self._writers[schema_id] = _Writer(text)

    def decode(self, value: bytes | None) -> tuple[str, dict[str, Any]]:
        """Record name and message of framed bytes.

        Raises DecodeError for bytes that are no record of ours, KeyError for an id not learned yet.
        """
        if value is None or len(value) <= HEADER or value[0] != 0:
            raise DecodeError("DECODE_NOT_FRAMED", "value must begin with a zero byte and a 4-byte schema id")
        writer = self._writers[int.from_bytes(value[1:HEADER], "big")]
        if writer.refusal is not None:
            raise writer.refusal
        body = BytesIO(value)
        body.seek(HEADER)
        ours = writer.ours
        try:
            message: dict[str, Any] = schemaless_reader(body, writer.parsed, writer.reader)
            ours.decimals.from_bytes(message)
        except Exception as error:
            # EOFError, UnicodeDecodeError, IndexError, OverflowError and more: bytes of outsiders.
            raise DecodeError("DECODE_FAILED", f"{type(error).__name__}: {error}"[:200]) from None
        if body.tell() != len(value):
            raise DecodeError("DECODE_FAILED", f"{len(value) - body.tell()} bytes follow the record")
        return ours.name, message
