"""Messages to bytes and back: Confluent framing (a zero byte, a 4-byte schema id) round an Avro body.

Bytes from outside are hostile until decoded, and so are the schemas that they name (schemas.wire compiles
those): whatever fails becomes a DecodeError with a reason, and bytes after the record are refused.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache, partial
from importlib.resources import files
from io import BytesIO
from itertools import groupby
from operator import itemgetter
from types import MappingProxyType
from typing import Any

from fastavro import schemaless_reader, schemaless_writer

from schemas.encoder import Encode, NotFlat, compiled, zigzag
from schemas.reasons import Reason
from schemas.wire import Decoding, Encoding, default, expand, plain

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

    __slots__ = ("full", "nulls", "plain", "record", "refusal", "told")

    def __init__(self, text: str) -> None:
        self.refusal = ""
        try:
            theirs = json.loads(text)
            self.record = _record_of(theirs)
            theirs, ours = expand(theirs), schema(self.record)
            without, self.nulls, self.told = plain(theirs)
            self.full = Decoding(theirs, ours)
            self.plain = Decoding(without, ours) if self.nulls else self.full
        except Exception as error:
            # Whatever a hostile schema makes fail, RecursionError too.
            self.refusal = f"schema refused: {error}"[:_TEXT_MAX]


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


_header_of = itemgetter(slice(0, HEADER))


def _encoder(record: str, header: bytes) -> Encode:
    """How messages of a record become framed bytes: compiled where it is flat, else by fastavro."""
    try:
        return compiled(schema(record), header)
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
        self._writers = {schema_id: _Writer(schema_text(record)) for record, schema_id in ids.items()}
        self._encoders = {
            record: _encoder(record, b"\0" + schema_id.to_bytes(4, "big"))
            for record, schema_id in ids.items()
        }

    def encode(self, record: str, message: Mapping[str, Any]) -> bytes:
        """The framed bytes of a message; raises when a field is missing or of another type."""
        return self._encoders[record](message)

    @staticmethod
    def schema_id(value: bytes | None) -> int:
        """The schema id of framed bytes; raises DecodeError when they are not framed."""
        if value is None or len(value) <= HEADER or value[0] != 0:
            raise DecodeError("DECODE_NOT_FRAMED", "value must begin with a zero byte and a 4-byte schema id")
        return int.from_bytes(value[1:HEADER], "big")

    def learn(self, schema_id: int, text: str) -> None:
        """Takes a writer's schema (JSON) for an id; one that is no record of ours is remembered as such."""
        self._writers[schema_id] = _Writer(text)

    def decode(self, value: bytes | None) -> tuple[str, dict[str, Any]]:
        """Record name and message of framed bytes.

        Raises DecodeError for bytes that are no record of ours, KeyError for an id not learned yet.
        """
        writer = self._writers[self.schema_id(value)]
        if writer.refusal:
            raise DecodeError("DECODE_WRONG_RECORD", writer.refusal)
        body = BytesIO(value)  # type: ignore[arg-type]
        body.seek(HEADER)
        decoding = writer.plain
        try:
            message: dict[str, Any] = schemaless_reader(body, decoding.wire, None)
            rest = value[body.tell() :]  # type: ignore[index]
            if rest != writer.nulls and writer.nulls:
                body.seek(HEADER)
                decoding = writer.full
                message = schemaless_reader(body, decoding.wire, None)
                rest = value[body.tell() :] + writer.nulls  # type: ignore[index]
            message = decoding.finish(message)
        except Exception as error:
            # EOFError, UnicodeDecodeError, IndexError, OverflowError and more: bytes of outsiders.
            raise DecodeError("DECODE_FAILED", f"{type(error).__name__}: {error}"[:_TEXT_MAX]) from None
        if rest != writer.nulls:
            more = len(rest) - len(writer.nulls)
            raise DecodeError("DECODE_FAILED", f"{more} bytes follow the record")
        return writer.record, message

    def decode_own(self, values: Sequence[bytes]) -> list[tuple[str, dict[str, Any]]]:
        """Record names and messages of values that our own writers wrote, in order.

        A third cheaper than `decode`: what follows each other with one schema is read as one Avro array.
        Only for topics that nobody else writes, since a value cut short would be completed by the next
        one. Raises DecodeError when that leaves bytes over, KeyError for an id not learned yet.
        """
        decoded: list[tuple[str, dict[str, Any]]] = []
        for header, run in groupby(values, key=_header_of):
            writer = self._writers[self.schema_id(header + b"\0")]
            if writer.refusal:
                raise DecodeError("DECODE_WRONG_RECORD", writer.refusal)
            alike, decoding, cut = list(run), writer.full, None
            if writer.nulls and writer.told:
                length = len(writer.nulls)
                if all({value[-i] for value in alike} == {0} for i in range(1, length + 1)):
                    decoding, cut = writer.plain, -length
            bodies = [value[HEADER:cut] for value in alike]
            array = b"".join((zigzag(len(bodies)), *bodies, b"\0"))
            stream = BytesIO(array)
            try:
                messages = schemaless_reader(stream, decoding.many, None)
                decoded += [(writer.record, decoding.finish(message)) for message in messages]
            except Exception as error:
                raise DecodeError("DECODE_FAILED", f"{type(error).__name__}: {error}"[:_TEXT_MAX]) from None
            if len(messages) != len(bodies) or stream.tell() != len(array):
                raise DecodeError("DECODE_FAILED", f"{len(bodies)} values are not {writer.record}s")
        return decoded
