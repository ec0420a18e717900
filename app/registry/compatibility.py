"""Whether bytes written with one schema can be read with another: Avro's schema resolution, asked beforehand.

Source: Apache Avro 1.12 specification, "Schema Resolution" and "Aliases". fastavro resolves but does not
answer this question ahead of data; Apache's own Python checker does not look at decimals. Stricter than
the specification in one point: a logical type is part of the type, so a decimal is never read as plain
bytes or text (nor of another scale), and milliseconds never as microseconds: Avro would hand over the
number unconverted. Every violation begins with the path of the field: `NewOrder.legs[].price`.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, get_args

from app.registry.avro import InvalidSchema, Json, Schema

Level = Literal[
    "NONE",
    "BACKWARD",
    "BACKWARD_TRANSITIVE",
    "FORWARD",
    "FORWARD_TRANSITIVE",
    "FULL",
    "FULL_TRANSITIVE",
]
LEVELS: tuple[str, ...] = get_args(Level)

# Comparing is exponential in the worst case (unions that differ within unions); ours take hundreds of steps.
_STEPS_MAX = 50_000

Names = Mapping[str, Json]
Pair = tuple[str, str]

# Writer's type -> the reader's types it is promoted to.
_PROMOTIONS = {
    "int": ("long", "float", "double"),
    "long": ("float", "double"),
    "float": ("double",),
    "string": ("bytes",),
    "bytes": ("string",),
}


def violations(new: Schema, former: Sequence[tuple[int, Schema]], level: str) -> list[str]:
    """Why a new schema may not follow the former ones, given as (version, schema), oldest first.

    BACKWARD: the new one reads what the last wrote; FORWARD: the last reads what the new one writes; FULL:
    both; ..._TRANSITIVE: not the last only, but all.
    """
    if level == "NONE":
        return []
    asked = former if level.endswith("_TRANSITIVE") else former[-1:]
    found = []
    for version, schema in asked:
        if level.startswith(("BACKWARD", "FULL")):
            whys = unreadable(new, schema)
            found += [f"the new schema cannot read version {version}: {why}" for why in whys]
        if level.startswith(("FORWARD", "FULL")):
            whys = unreadable(schema, new)
            found += [f"version {version} cannot read the new schema: {why}" for why in whys]
    return found


def unreadable(reader: Schema, writer: Schema) -> list[str]:
    """Why the reader cannot read whatever the writer may write; empty when it can.

    Raises InvalidSchema for a pair that is too entangled to compare.
    """
    if reader.identity == writer.identity:
        return []
    name = reader.root.get("name", "") if isinstance(reader.root, dict) else ""
    try:
        return list(
            _Check(reader.named, writer.named).types(reader.root, writer.root, name.rpartition(".")[2])
        )
    except RecursionError:
        raise InvalidSchema("the schema is nested too deep to be compared with another") from None


class _Check:
    """One question about a reader and a writer."""

    def __init__(self, reader: Names, writer: Names, asked: frozenset[Pair] = frozenset()) -> None:
        self._reader = reader
        self._writer = writer
        self._asked = set(asked)
        self._steps = [_STEPS_MAX]

    def types(self, reader: Json, writer: Json, path: str) -> Iterator[str]:
        """Violations of one pair of types."""
        self._steps[0] -= 1
        if self._steps[0] < 0:
            raise InvalidSchema("the schema has too many unions within unions to be compared with another")
        reader = self._reader.get(reader, reader) if isinstance(reader, str) else reader
        writer = self._writer.get(writer, writer) if isinstance(writer, str) else writer
        if isinstance(writer, list):
            for branch in writer:
                yield from self.types(reader, branch, path)
        elif isinstance(reader, list):
            yield from self._union(reader, writer, path)
        elif _kind(reader) != _kind(writer):
            if not _promoted(reader, writer):
                yield _differ(reader, writer, path)
        elif _other_logical(reader, writer):
            yield _differ(reader, writer, path)
        else:
            yield from self._same_kind(reader, writer, path)

    def _union(self, reader: list[Json], writer: Json, path: str) -> Iterator[str]:
        """The reader's branches: one that fits is enough; else the violations of the one that is meant."""
        meant = None
        for branch in reader:
            fork = self._fork()
            found = list(fork.types(branch, writer, path))
            if not found:
                self._asked = fork._asked
                return
            branch = self._reader.get(branch, branch) if isinstance(branch, str) else branch
            if _kind(branch) == _kind(writer) and _same_name(branch, writer):
                meant = found
        yield from meant or [_differ(reader, writer, path)]

    def _fork(self) -> "_Check":
        """A check for a branch that may fail: what it assumes of recursive types must not outlive it."""
        fork = _Check(self._reader, self._writer, frozenset(self._asked))
        fork._steps = self._steps
        return fork

    def _same_kind(self, reader: Json, writer: Json, path: str) -> Iterator[str]:
        kind = _kind(reader)
        if kind == "array":
            yield from self.types(reader["items"], writer["items"], f"{path}[]")
        elif kind == "map":
            yield from self.types(reader["values"], writer["values"], f"{path}{{}}")
        elif kind in ("record", "error", "enum", "fixed"):
            if not _same_name(reader, writer):
                yield (
                    f"{path}: {kind} {writer['name']} is read as {reader['name']}; keep the name, "
                    "or give the old one as an alias"
                )
            elif kind == "enum":
                yield from _symbols(reader, writer, path)
            elif kind == "fixed":
                if reader["size"] != writer["size"]:
                    yield _differ(reader, writer, path)
            else:
                yield from self._fields(reader, writer, path)

    def _fields(self, reader: Json, writer: Json, path: str) -> Iterator[str]:
        pair = (reader["name"], writer["name"])
        if pair in self._asked:
            return
        self._asked.add(pair)
        theirs = {field["name"]: field for field in writer["fields"]}
        for field in reader["fields"]:
            place = f"{path}.{field['name']}"
            names = (field["name"], *field.get("aliases", ()))
            written = next((theirs[name] for name in names if name in theirs), None)
            if written is not None:
                yield from self.types(field["type"], written["type"], place)
            elif "default" not in field:
                yield f"{place}: the writer has no such field, and the reader has no default for it"


def _symbols(reader: Json, writer: Json, path: str) -> Iterator[str]:
    unknown = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
    if unknown and "default" not in reader:
        yield (
            f"{path}: enum {reader['name']} of the reader lacks {', '.join(unknown)} "
            "and has no default to read them as"
        )


def _promoted(reader: Json, writer: Json) -> bool:
    """Whether the writer's type is widened to the reader's; a logical type on either side forbids it."""
    wider = _PROMOTIONS.get(_kind(writer), ())
    return _kind(reader) in wider and not _logical(reader) and not _logical(writer)


def _kind(schema: Json) -> str:
    return schema if isinstance(schema, str) else str(schema["type"])


def _logical(schema: Json) -> tuple[object, ...] | None:
    """The logical type as far as it says how to read the value; None: there is none."""
    if not isinstance(schema, dict) or "logicalType" not in schema:
        return None
    if schema["logicalType"] == "decimal":
        # On anything but bytes it is a mere note.
        sized = schema["type"] in ("bytes", "fixed")
        return ("decimal", schema["precision"], schema.get("scale", 0)) if sized else None
    return (schema["logicalType"],)


def _other_logical(reader: Json, writer: Json) -> bool:
    ours, theirs = _logical(reader), _logical(writer)
    if ours == theirs:
        return False
    # A note added to a plain number changes nothing; a decimal is never plain bytes.
    return bool(ours and theirs) or "decimal" in ((ours or ("",))[0], (theirs or ("",))[0])


def _same_name(reader: Json, writer: Json) -> bool:
    """Whether two types have one name (namespaces aside), or the reader's alias is the writer's name."""
    if not isinstance(reader, dict) or "name" not in reader:
        return True
    name: str = writer["name"]
    return reader["name"].rpartition(".")[2] == name.rpartition(".")[2] or name in reader.get("aliases", ())


def _differ(reader: Json, writer: Json, path: str) -> str:
    return f"{path or 'schema'}: {_described(writer)} is written, {_described(reader)} is read"


def _described(schema: Json) -> str:
    """A type in a few words: `decimal(38, 8)`, `enum oms.Side`, `[null, long]`."""
    if isinstance(schema, list):
        return f"[{', '.join(map(_described, schema))}]"
    logical = _logical(schema)
    if logical:
        return (
            f"{logical[0]}({logical[1]}, {logical[2]})"
            if len(logical) > 1
            else f"{_kind(schema)} {logical[0]}"
        )
    if not isinstance(schema, dict):
        return str(schema)
    size = f"({schema['size']})" if schema["type"] == "fixed" else ""
    return f"{schema['type']}{size} {schema.get('name', '')}".rstrip()
