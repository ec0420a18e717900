"""Avro schemas as the registry compares them: valid, self-contained, every name written in full.

Rule: two texts that differ only in white space, order of attributes, or where the namespace is written
are the same schema (a Java producer writes ours in its own way, and must get our id). Documentation,
aliases and other attributes do count: they are what evolution is made of. fastavro alone is not enough as
a judge: it takes fields named twice, unions in unions and sizes that are no numbers.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from fastavro import parse_schema

Json = Any

PRIMITIVES = frozenset({"null", "boolean", "int", "long", "float", "double", "bytes", "string"})
TEXT_MAX = 1024 * 1024
_DEPTH_MAX = 64
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_FULL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*")


class InvalidSchema(Exception):
    """The text is no Avro schema; the message names the place and what is wrong there."""


class Reference(NamedTuple):
    """A type that a schema takes from another subject."""

    name: str
    subject: str
    version: int


@dataclass(frozen=True)
class Schema:
    """A valid schema.

    `text` is what was registered; `root` is the same with full names and references written out;
    `named` has every named type by its full name; equal `identity` means equal schema.
    """

    text: str
    root: Json
    named: Mapping[str, Json]
    identity: str


Resolve = Callable[[Reference], Schema]


def parse(text: str, references: Sequence[Reference] = (), resolve: Resolve | None = None) -> Schema:
    """The schema of a JSON text. Raises InvalidSchema; `resolve` finds the schemas that it refers to."""
    if len(text) > TEXT_MAX:
        raise InvalidSchema(f"the schema has {len(text)} characters, at most {TEXT_MAX} are taken")
    try:
        node = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidSchema(f"the schema is not JSON: {error}") from error
    outside: dict[str, Json] = {}
    for reference in references if resolve else ():
        outside.update(resolve(reference).named)  # type: ignore[misc]
    parser = _Parser(outside)
    root = parser.schema(node, "", "", 0)
    _check_defaults(root)
    identity = json.dumps([root, sorted(references)], sort_keys=True, separators=(",", ":"))
    return Schema(text, root, parser.named, identity)


def _check_defaults(root: Json) -> None:
    """Raises InvalidSchema for a default that does not fit its type."""
    try:
        parse_schema(root, named_schemas={})
    except Exception as error:
        raise InvalidSchema(str(error) or type(error).__name__) from error


class _Parser:
    """Reads one schema; `named` grows with the types met, `outside` are those of references."""

    def __init__(self, outside: Mapping[str, Json]) -> None:
        self.named: dict[str, Json] = {}
        self._outside = outside

    def schema(self, node: Json, namespace: str, path: str, depth: int) -> Json:
        """The node with full names; `path` is where it stands, for messages."""
        if depth > _DEPTH_MAX:
            raise InvalidSchema(f"{path}: nested deeper than {_DEPTH_MAX} levels")
        if isinstance(node, str):
            return self._named_elsewhere(node, namespace, path)
        if isinstance(node, list):
            return self._union(node, namespace, path, depth)
        if not isinstance(node, dict):
            raise InvalidSchema(f"{path or 'schema'}: expected a type, found {json.dumps(node)[:80]}")
        kind = node.get("type")
        if not isinstance(kind, str):
            raise InvalidSchema(
                f"{path or 'schema'}: type must be the name of a type, not {json.dumps(kind)[:80]}"
            )
        if kind in PRIMITIVES:
            _check_decimal(node, path)
            return kind if len(node) == 1 else dict(node)
        if kind in ("array", "map"):
            return self._container(node, "items" if kind == "array" else "values", namespace, path, depth)
        if kind in ("record", "error", "enum", "fixed"):
            return self._definition(node, namespace, path, depth)
        return self._named_elsewhere(kind, namespace, path)

    def _named_elsewhere(self, name: str, namespace: str, path: str) -> str | Json:
        if name in PRIMITIVES:
            return name
        full = name if "." in name or not namespace else f"{namespace}.{name}"
        for candidate in (full, name):
            if candidate in self.named:
                return candidate
            if candidate in self._outside:
                # Written out where it is met first, so that the root stands alone.
                return self._adopt(self._outside[candidate])
        raise InvalidSchema(
            f"{path or 'schema'}: type {full} is not known: define it before, or refer to its subject"
        )

    def _adopt(self, node: Json) -> Json:
        """A type of a reference, already with full names, and the types within."""
        if isinstance(node, str):
            if node in PRIMITIVES or node in self.named:
                return node
            return self._adopt(self._outside[node])
        if isinstance(node, list):
            return [self._adopt(branch) for branch in node]
        adopted = dict(node)
        if "name" in node:
            self.named[node["name"]] = adopted
        for key in ("items", "values"):
            if key in node:
                adopted[key] = self._adopt(node[key])
        if "fields" in node:
            adopted["fields"] = [{**field, "type": self._adopt(field["type"])} for field in node["fields"]]
        return adopted

    def _union(self, branches: list[Json], namespace: str, path: str, depth: int) -> Json:
        read = [self.schema(branch, namespace, path, depth + 1) for branch in branches]
        kinds = []
        for branch in read:
            if isinstance(branch, list):
                raise InvalidSchema(f"{path}: a union may not stand in a union")
            kinds.append(branch if isinstance(branch, str) else branch.get("name", branch["type"]))
        if len(set(kinds)) != len(kinds):
            raise InvalidSchema(f"{path}: the union has a type twice: {', '.join(kinds)}")
        return read

    def _container(self, node: Json, key: str, namespace: str, path: str, depth: int) -> Json:
        if key not in node:
            raise InvalidSchema(f"{path or 'schema'}: {node['type']} without {key}")
        return {
            **node,
            key: self.schema(node[key], namespace, path + ("[]" if key == "items" else "{}"), depth + 1),
        }

    def _definition(self, node: Json, namespace: str, path: str, depth: int) -> Json:
        full, inner_namespace = _full_name(node, namespace, path)
        if full in self.named or full in self._outside:
            raise InvalidSchema(f"{path or full}: type {full} is defined twice")
        out = {key: value for key, value in node.items() if key != "namespace"}
        out["name"] = full
        if "aliases" in node:
            out["aliases"] = sorted(
                alias if "." in alias or not inner_namespace else f"{inner_namespace}.{alias}"
                for alias in _aliases(node, path or full)
            )
        self.named[full] = out
        place = path or full.rpartition(".")[2]
        if node["type"] == "enum":
            _check_symbols(node, place)
        elif node["type"] == "fixed":
            _check_size(node, place)
        else:
            out["fields"] = self._fields(node, inner_namespace, place, depth)
        return out

    def _fields(self, node: Json, namespace: str, path: str, depth: int) -> list[Json]:
        fields = node.get("fields")
        if not isinstance(fields, list):
            raise InvalidSchema(f"{path}: a record needs a list of fields")
        seen: set[str] = set()
        read = []
        for field in fields:
            if not isinstance(field, dict) or not isinstance(field.get("name"), str) or "type" not in field:
                raise InvalidSchema(f"{path}: a field needs a name and a type: {json.dumps(field)[:80]}")
            place = f"{path}.{field['name']}"
            names = {field["name"], *_aliases(field, place)}
            if not _NAME.fullmatch(field["name"]):
                raise InvalidSchema(f"{place}: a name has letters, digits and _, and begins with no digit")
            if names & seen:
                raise InvalidSchema(f"{place}: a field is named twice: {', '.join(sorted(names & seen))}")
            seen |= names
            out = {**field, "type": self.schema(field["type"], namespace, place, depth + 1)}
            if "aliases" in field:
                out["aliases"] = sorted(names - {field["name"]})
            read.append(out)
        return read


def _full_name(node: Json, namespace: str, path: str) -> tuple[str, str]:
    """Full name and namespace of a named type."""
    name = node.get("name")
    if not isinstance(name, str) or not _FULL_NAME.fullmatch(name):
        raise InvalidSchema(
            f"{path or 'schema'}: {node['type']} needs a valid name, not {json.dumps(name)[:80]}"
        )
    if "." not in name:
        own = node.get("namespace", namespace)
        if not isinstance(own, str) or (own and not _FULL_NAME.fullmatch(own)):
            raise InvalidSchema(f"{path or name}: {json.dumps(own)[:80]} is not a valid namespace")
        name = f"{own}.{name}" if own else name
    if name in PRIMITIVES:
        raise InvalidSchema(f"{path or name}: {name} is the name of a primitive type")
    return name, name.rpartition(".")[0]


def _aliases(node: Json, path: str) -> list[str]:
    aliases = node.get("aliases", [])
    if not isinstance(aliases, list) or not all(
        isinstance(alias, str) and _FULL_NAME.fullmatch(alias) for alias in aliases
    ):
        raise InvalidSchema(f"{path}: aliases must be a list of names")
    return aliases


def _check_symbols(node: Json, path: str) -> None:
    symbols = node.get("symbols")
    if not isinstance(symbols, list) or not all(isinstance(s, str) and _NAME.fullmatch(s) for s in symbols):
        raise InvalidSchema(f"{path}: an enum needs a list of symbols, each a name")
    if len(set(symbols)) != len(symbols):
        raise InvalidSchema(f"{path}: the enum has a symbol twice")
    if "default" in node and node["default"] not in symbols:
        raise InvalidSchema(
            f"{path}: the enum's default {json.dumps(node['default'])[:80]} is none of its symbols"
        )


def _check_size(node: Json, path: str) -> None:
    size = node.get("size")
    if type(size) is not int or not 0 <= size < 2**31:
        raise InvalidSchema(f"{path}: fixed needs a size in bytes, not {json.dumps(size)[:80]}")
    _check_decimal(node, path)


def _check_decimal(node: Json, path: str) -> None:
    """Raises InvalidSchema for a decimal without sense; on types other than bytes and fixed it is a note."""
    if node.get("logicalType") != "decimal" or node["type"] not in ("bytes", "fixed"):
        return
    precision, scale = node.get("precision"), node.get("scale", 0)
    if type(precision) is not int or type(scale) is not int or not 0 <= scale <= precision or precision < 1:
        raise InvalidSchema(
            f"{path or 'schema'}: a decimal needs a precision above 0 and a scale from 0 to it, "
            f"not precision {json.dumps(precision)[:20]} and scale {json.dumps(scale)[:20]}"
        )
