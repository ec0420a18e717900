"""Which schema can read what another writes; every violation names the field."""

import json
from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from hypothesis import given, settings
from hypothesis import strategies as st

from app.registry.avro import InvalidSchema, Schema, parse
from app.registry.compatibility import LEVELS, unreadable, violations
from schemas.wire import expand
from tests.schemas.samples import sample_of


def decimal(precision: int = 38, scale: int = 8, **more: Any) -> dict[str, Any]:
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale, **more}


def enum(*symbols: str, **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "Side", "symbols": list(symbols), **more}


def fixed(size: int, name: str = "F", **more: Any) -> dict[str, Any]:
    return {"type": "fixed", "name": name, "size": size, **more}


def array(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def mapping(values: Any) -> dict[str, Any]:
    return {"type": "map", "values": values}


def of(*fields: Any, name: str = "Order", **more: Any) -> Schema:
    """A record schema; a field is its type, or its whole description."""
    described = [f if isinstance(f, dict) and "kind" in f else {"kind": f} for f in fields]
    listed = [
        {"name": f.get("name", LETTERS[i % 26]), "type": f["kind"]} | rest(f) for i, f in enumerate(described)
    ]
    return parse(json.dumps({"type": "record", "name": name, "fields": listed, **more}))


def rest(field: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in field.items() if key not in ("name", "kind")}


PROMOTED = {
    ("int", "long"),
    ("int", "float"),
    ("int", "double"),
    ("long", "float"),
    ("long", "double"),
    ("float", "double"),
    ("string", "bytes"),
    ("bytes", "string"),
}
LETTERS = "abcdefghijklmnopqrstuvwxyz"
PRIMITIVES = ["null", "boolean", "int", "long", "float", "double", "bytes", "string"]


@pytest.mark.parametrize("written", PRIMITIVES)
@pytest.mark.parametrize("read", PRIMITIVES)
def test_primitives_are_promoted_as_avro_says(written: str, read: str) -> None:
    found = unreadable(of(read), of(written))
    if written == read or (written, read) in PROMOTED:
        assert found == []
    else:
        assert found == [f"Order.a: {written} is written, {read} is read"]


@pytest.mark.parametrize(
    ("read", "written", "said"),
    [
        # Decimals: precision and scale are the type; never plain bytes or text.
        (
            decimal(38, 8),
            decimal(38, 2),
            "Order.a: decimal(38, 2) is written, decimal(38, 8) is read",
        ),
        (
            decimal(38, 8),
            decimal(20, 8),
            "Order.a: decimal(20, 8) is written, decimal(38, 8) is read",
        ),
        (decimal(), "bytes", "Order.a: bytes is written, decimal(38, 8) is read"),
        ("bytes", decimal(), "Order.a: decimal(38, 8) is written, bytes is read"),
        (decimal(), "string", "Order.a: string is written, decimal(38, 8) is read"),
        ("string", decimal(), "Order.a: decimal(38, 8) is written, string is read"),
        (["null", decimal()], decimal(38, 2), "Order.a: decimal(38, 2) is written"),
        # Other units of time.
        (
            {"type": "long", "logicalType": "timestamp-micros"},
            {"type": "long", "logicalType": "timestamp-millis"},
            "Order.a: long timestamp-millis is written, long timestamp-micros is read",
        ),
        # Enums.
        (enum("buy"), enum("buy", "sell"), "Order.a: enum Side of the reader lacks sell and has no default"),
        (enum("buy"), "string", "Order.a: string is written, enum Side is read"),
        (enum("buy"), {**enum("buy"), "name": "Way"}, "Order.a: enum Way is read as Side; keep the name"),
        # Fixed.
        (fixed(4), fixed(5), "Order.a: fixed(5) F is written, fixed(4) F is read"),
        (fixed(4), fixed(4, "G"), "Order.a: fixed G is read as F"),
        (fixed(4), "bytes", "Order.a: bytes is written, fixed(4) F is read"),
        (fixed(4, logicalType="decimal", precision=9, scale=2), fixed(4), "Order.a: fixed"),
        # Containers.
        (
            {"type": "array", "items": "int"},
            {"type": "array", "items": "string"},
            "Order.a[]: string is written",
        ),
        (
            {"type": "map", "values": "int"},
            {"type": "map", "values": "string"},
            "Order.a{}: string is written",
        ),
        ({"type": "array", "items": "int"}, {"type": "map", "values": "int"}, "Order.a: map is written"),
        ({"type": "array", "items": "int"}, "int", "Order.a: int is written, array is read"),
        # Unions.
        ("int", ["null", "int"], "Order.a: null is written, int is read"),
        (["null", "int"], ["null", "int", "string"], "Order.a: string is written, [null, int] is read"),
        (["null", "int"], "string", "Order.a: string is written, [null, int] is read"),
        (["null", enum("buy")], ["null", enum("sell")], "Order.a: enum Side of the reader lacks sell"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_field(read: Any, written: Any, said: str) -> None:
    found = unreadable(of(read), of(written))
    assert len(found) == 1
    assert found[0].startswith(said)


@pytest.mark.parametrize(
    ("read", "written"),
    [
        (decimal(), decimal()),
        (["null", decimal()], decimal()),
        (enum("buy", default="buy"), enum("buy", "sell")),
        (enum("sell", "buy"), enum("buy")),
        ({**enum("buy"), "aliases": ["Way"]}, {**enum("buy"), "name": "Way"}),
        (fixed(4), {**fixed(4), "namespace": "elsewhere"}),
        (fixed(4, "G", aliases=["F"]), fixed(4)),
        ({"type": "array", "items": "long"}, {"type": "array", "items": "int"}),
        ({"type": "map", "values": "double"}, {"type": "map", "values": "float"}),
        (["null", "int"], "int"),
        (["null", "long"], "int"),
        (["int", "null"], ["null", "int"]),
        (["null", "int", "string"], ["null", "int"]),
        ("int", ["int"]),
        ("string", {"type": "string", "avro.java.string": "String"}),
        ("long", {"type": "long", "logicalType": "timestamp-micros"}),
    ],
)
def test_what_avro_resolves_is_readable(read: Any, written: Any) -> None:
    assert unreadable(of(read), of(written)) == []


def test_a_new_field_needs_a_default_to_read_what_lacks_it() -> None:
    assert unreadable(of("int", "int"), of("int")) == [
        "Order.b: the writer has no such field, and the reader has no default for it"
    ]
    assert unreadable(of("int", {"kind": "int", "default": 0}), of("int")) == []


def test_a_field_that_is_gone_is_not_read() -> None:
    assert unreadable(of("int"), of("int", "int")) == []


def test_a_renamed_field_is_found_by_its_alias() -> None:
    renamed = of({"kind": "int", "name": "z", "aliases": ["a"]})
    assert unreadable(renamed, of("int")) == []
    assert unreadable(of("int"), renamed) == [
        "Order.a: the writer has no such field, and the reader has no default for it"
    ]
    assert unreadable(of({"kind": "string", "name": "z", "aliases": ["a"]}), of("int")) == [
        "Order.z: int is written, string is read"
    ]


def test_a_renamed_record_needs_an_alias() -> None:
    assert unreadable(of("int", name="NewOrder"), of("int")) == [
        "NewOrder: record Order is read as NewOrder; keep the name, or give the old one as an alias"
    ]
    assert unreadable(of("int", name="NewOrder", aliases=["Order"]), of("int")) == []
    assert unreadable(of("int", name="oms.Order"), of("int", name="desk.Order")) == []


def test_every_violation_is_named_not_only_the_first() -> None:
    legs = {"type": "record", "name": "Leg", "fields": [{"name": "price", "type": decimal(38, 2)}]}
    old = of("int", {"type": "array", "items": legs}, "string")
    legs = {"type": "record", "name": "Leg", "fields": [{"name": "price", "type": decimal(38, 8)}]}
    new = of("string", {"type": "array", "items": legs}, "string", "boolean")
    assert [text.partition(":")[0] for text in unreadable(new, old)] == [
        "Order.a",
        "Order.b[].price",
        "Order.d",
    ]


def tree(*fields: Any) -> Schema:
    """A record that holds more of itself."""
    more = {"kind": ["null", {"type": "array", "items": "Order"}], "name": "more", "default": None}
    return of(*fields, more)


def test_types_within_themselves_are_compared_once() -> None:
    assert unreadable(tree("long"), tree("int")) == []
    assert unreadable(tree("int"), tree("long")) == ["Order.a: long is written, int is read"]


def doubling(leaf: str) -> Schema:
    """Twenty record types, each with two optional fields of the next: a million ways to the leaf."""
    node: Any = {"type": "record", "name": "R0", "fields": [{"name": "x", "type": leaf}]}
    for level in range(1, 20):
        halves = [{"name": "a", "type": ["null", node]}, {"name": "b", "type": ["null", node["name"]]}]
        node = {"type": "record", "name": f"R{level}", "fields": halves}
    return parse(json.dumps(node))


def test_types_that_are_met_again_and_again_are_compared_once() -> None:
    assert unreadable(doubling("long"), doubling("int")) == []


def test_a_pair_too_entangled_is_refused_instead_of_pondered() -> None:
    with pytest.raises(InvalidSchema, match="too many unions within unions"):
        unreadable(doubling("string"), doubling("int"))


# Levels.

V1 = of("int")
V2 = of("int", {"kind": "int", "default": 0})
V3 = of("int", "int")


@pytest.mark.parametrize(
    ("level", "new", "former", "fits"),
    [
        ("NONE", of("string"), [V1], True),
        ("BACKWARD", V2, [V1], True),
        ("BACKWARD", V3, [V1], False),
        ("BACKWARD", V3, [V1, V2], True),
        ("BACKWARD_TRANSITIVE", V3, [V1, V2], False),
        ("FORWARD", V3, [V1], True),
        ("FORWARD", V1, [V3], False),
        ("FORWARD", V1, [V3, V2], True),
        ("FORWARD_TRANSITIVE", V1, [V3, V2], False),
        ("FULL", V2, [V1], True),
        ("FULL", V3, [V1], False),
        ("FULL", V1, [V3], False),
        ("FULL", V3, [V1, V2], True),
        ("FULL_TRANSITIVE", V3, [V1, V2], False),
        ("FULL_TRANSITIVE", V2, [V1, V3], True),
    ],
)
def test_a_level_asks_the_right_versions_in_the_right_direction(
    level: str, new: Schema, former: list[Schema], fits: bool
) -> None:
    assert (violations(new, list(enumerate(former, 1)), level) == []) is fits


@pytest.mark.parametrize("level", LEVELS)
def test_the_first_version_fits_every_level(level: str) -> None:
    assert violations(V1, [], level) == []


def test_a_violation_says_who_cannot_read_whom() -> None:
    assert violations(of("string"), [(4, V1)], "FULL") == [
        "the new schema cannot read version 4: Order.a: int is written, string is read",
        "version 4 cannot read the new schema: Order.a: string is written, int is read",
    ]


# The answer held against fastavro, which does resolve.

NAMES = st.sampled_from("abc")
TYPES = st.recursive(
    st.sampled_from(["int", "long", "float", "double", "boolean", "string", "bytes"])
    | st.builds(
        lambda symbols, default: enum(*symbols, **({"default": symbols[0]} if default else {})),
        st.lists(st.sampled_from("XYZ"), min_size=1, max_size=3, unique=True),
        st.booleans(),
    )
    | st.builds(fixed, st.integers(1, 2)),
    lambda inner: (
        st.builds(lambda items: {"type": "array", "items": items}, inner)
        | st.builds(lambda values: {"type": "map", "values": values}, inner)
        | st.builds(lambda other: ["null", other], inner.filter(lambda node: not isinstance(node, list)))
    ),
    max_leaves=2,
)
ALIASES = st.sampled_from([(), ("a",), ("b",)])
RECORDS = st.lists(st.tuples(NAMES, TYPES, ALIASES), min_size=1, max_size=3).map(
    lambda fields: {
        "type": "record",
        "name": "Order",
        "fields": [
            {"name": name, "type": kind, **({"aliases": list(aliases)} if aliases else {})}
            for name, kind, aliases in fields
        ],
    }
)


def valid(node: Any) -> Schema | None:
    try:
        return parse(json.dumps(node))
    except InvalidSchema:
        return None


def named_twice(reader: Any, writer: Any) -> bool:
    """Whether the writer has a field by name and another by alias: fastavro takes the alias, we the name."""
    names = {field["name"] for field in writer["fields"]}
    return any(names & set(f.get("aliases", ())) and f["name"] in names for f in reader["fields"])


@settings(max_examples=300, deadline=None)
@given(RECORDS, RECORDS)
def test_what_is_said_to_be_readable_fastavro_reads(writer: Any, reader: Any) -> None:
    ours, theirs = valid(reader), valid(writer)
    if ours is None or theirs is None or unreadable(ours, theirs) or named_twice(reader, writer):
        return
    message = sample_of(expand(theirs.root))
    out = BytesIO()
    schemaless_writer(out, parse_schema(theirs.root, named_schemas={}), message)
    out.seek(0)
    schemaless_reader(
        out, parse_schema(theirs.root, named_schemas={}), parse_schema(ours.root, named_schemas={})
    )
