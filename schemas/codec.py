"""Messages to bytes and back: Confluent framing (a zero byte, a 4-byte schema id) round an Avro body.

Bytes from outside are hostile until decoded, and so are the schemas that they name (schemas.wire compiles
those): whatever fails becomes a DecodeError with a reason, and bytes after the record are refused.
"""

import json
from collections.abc import Iterable, Mapping
from functools import cache, partial
from importlib.resources import files
from io import BytesIO
from types import MappingProxyType
from typing import Any

from fastavro import schemaless_reader, schemaless_writer

from schemas import decoder, encoder
from schemas.decoder import Decode, NotCompiled
from schemas.encoder import Encode, NotFlat
from schemas.reasons import Reason
from schemas.wire import Decoding, Encoding, default, expand

NAMESPACE = "oms"
HEADER = 5
_TEXT_MAX = 300

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


@cache
def schema(record: str) -> Json:
    """The schema of a record name, read from its text; not to be changed."""
    return json.loads(schema_text(record))


@cache
def defaults(record: str, within: str = "") -> Mapping[str, Any]:
    """The default of every field of a record that has one, as it is in messages.

    With `within`, those of the optional record in that field: `defaults("NewOrder", "instructions")`.
    """
    fields = expand(schema(record))["fields"]
    if within:
        fields = next(field["type"][1]["fields"] for field in fields if field["name"] == within)
    return MappingProxyType({field["name"]: default(field) for field in fields if "default" in field})


@cache
def _encoding(record: str) -> Encoding:
    return Encoding(schema(record))


@cache
def _record_by_name() -> dict[str, str]:
    """Record name of every name and alias that a writer's schema may have, with and without namespace."""
    known: dict[str, str] = {}
    for record in record_names():
        for name in (f"{NAMESPACE}.{record}", *schema(record).get("aliases", ())):
            known[name] = known[name.rpartition(".")[2]] = record
    return known


class _Writer:
    """A writer's schema: the record of ours that it is and how to read it, or why it is refused."""

    __slots__ = ("finish", "quick", "record", "refusal", "wire")

    def __init__(self, text: str) -> None:
        self.refusal = ""
        self.quick: Decode | None = None
        try:
            theirs = json.loads(text)
            self.record = _record_of(theirs)
            decoding = Decoding(theirs, schema(self.record))
            self.wire, self.finish = decoding.wire, decoding.finish
            if theirs == schema(self.record):
                self.quick = _decoder(self.record)
        except Exception as error:
            # Whatever a hostile schema makes fail, RecursionError too.
            self.refusal = f"schema refused: {error}"[:_TEXT_MAX]

    def read(self, value: bytes) -> tuple[str, dict[str, Any]]:
        """Record name and message of bytes framed with this schema's id; raises DecodeError."""
        if self.quick is not None:
            try:
                return self.record, self.quick(value)
            except Exception:
                # Not the common case, or wrong: fastavro reads it, or tells what is wrong.
                pass
        return self._read(value)

    def _read(self, value: bytes) -> tuple[str, dict[str, Any]]:
        """By fastavro, whatever the record and its writer's schema."""
        if self.refusal:
            raise DecodeError("DECODE_WRONG_RECORD", self.refusal)
        body = BytesIO(value)
        body.seek(HEADER)
        try:
            message: dict[str, Any] = self.finish(schemaless_reader(body, self.wire, None))
        except Exception as error:
            # EOFError, UnicodeDecodeError, IndexError, OverflowError and more: bytes of outsiders.
            raise DecodeError("DECODE_FAILED", f"{type(error).__name__}: {error}"[:_TEXT_MAX]) from None
        rest = len(value) - body.tell()
        if rest:
            raise DecodeError("DECODE_FAILED", f"{rest} bytes follow the record")
        return self.record, message


def _record_of(theirs: Json) -> str:
    """Our record that a writer's schema is, by its name. Raises ValueError."""
    name = str(theirs.get("name", "")) if isinstance(theirs, dict) else ""
    if "." not in name and isinstance(theirs, dict) and theirs.get("namespace"):
        name = f"{theirs['namespace']}.{name}"
    known = _record_by_name()
    record = known.get(name) or known.get(name.rpartition(".")[2])
    if record is None:
        raise ValueError(f"{name or 'a schema that is no record'} is not a record of this system")
    return record


@cache
def _decoder(record: str) -> Decode | None:
    """How framed bytes of our own schema become messages in the common case; None: only by fastavro."""
    try:
        return decoder.compiled(schema(record), HEADER)
    except NotCompiled:
        return None


def _header(schema_id: int) -> bytes:
    return b"\0" + schema_id.to_bytes(4, "big")


def _is_header(start: bytes) -> bool:
    return len(start) == HEADER and start[0] == 0


def _encoder(record: str, header: bytes) -> Encode:
    """How messages of a record become framed bytes: compiled where it is flat, else by fastavro."""
    try:
        return encoder.compiled(schema(record), header)
    except NotFlat:
        return partial(by_fastavro, record, header)


def by_fastavro(record: str, header: bytes, message: Mapping[str, Any]) -> bytes:
    """The framed bytes of a message of any record of ours."""
    encoding = _encoding(record)
    out = BytesIO(header)
    out.seek(HEADER)
    schemaless_writer(out, encoding.wire, encoding.prepare(message))
    return out.getvalue()


class Codec:
    """Encodes records of ours and decodes whatever schema of them a producer registered.

    `ids` gives the registered schema id of every record name that is written. A schema id that was
    not seen yet raises KeyError from `decode`: fetch its schema, `learn` it, decode again.
    """

    def __init__(self, ids: Mapping[str, int]) -> None:
        self._writers: dict[int, _Writer] = {}
        self._by_header: dict[bytes, _Writer] = {}
        for record, schema_id in ids.items():
            self.learn(schema_id, schema_text(record))
        self._encoders = {record: _encoder(record, _header(schema_id)) for record, schema_id in ids.items()}

    def encode(self, record: str, message: Mapping[str, Any]) -> bytes:
        """The framed bytes of a message; raises when a field is missing or of another type."""
        return self._encoders[record](message)

    def encoder(self, record: str) -> Encode:
        """What `encode` calls for the messages of one record."""
        return self._encoders[record]

    @staticmethod
    def schema_id(value: bytes | None) -> int:
        """The schema id of framed bytes; raises DecodeError when they are not framed."""
        if value is None or len(value) <= HEADER or value[0] != 0:
            raise DecodeError("DECODE_NOT_FRAMED", "value must begin with a zero byte and a 4-byte schema id")
        return int.from_bytes(value[1:HEADER], "big")

    def learn(self, schema_id: int, text: str) -> None:
        """Takes a writer's schema (JSON) for an id; one that is no record of ours is remembered as such."""
        self._writers[schema_id] = self._by_header[_header(schema_id)] = _Writer(text)

    def decode(self, value: bytes | None) -> tuple[str, dict[str, Any]]:
        """Record name and message of framed bytes.

        Raises DecodeError for bytes that are no record of ours, KeyError for an id not learned yet.
        """
        writer = self._by_header.get(value[:HEADER]) if value else None
        if writer is None or len(value) == HEADER:  # type: ignore[arg-type]
            writer = self._writers[self.schema_id(value)]
        return writer.read(value)  # type: ignore[arg-type]

    def unknown(self, values: Iterable[bytes | None]) -> list[int]:
        """The schema ids among those of framed bytes that were not learned yet."""
        headers = {value[:HEADER] for value in values if value} - self._by_header.keys()
        return sorted(int.from_bytes(header[1:], "big") for header in headers if _is_header(header))
