"""What is an Avro schema, and when two texts are the same one."""

import json
from typing import Any

import pytest

from app.registry.avro import InvalidSchema, Reference, Schema, parse
from schemas.codec import record_names, schema, schema_text


def record(*fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": "R", "fields": list(fields), **more}


def field(kind: Any, name: str = "f", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **more}


def enum(*symbols: object, **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "E", "symbols": symbols, **more}


def why_not(node: Any) -> str:
    with pytest.raises(InvalidSchema) as caught:
        parse(json.dumps(node))
    return str(caught.value)


@pytest.mark.parametrize("name", record_names())
def test_our_own_schemas_are_valid_and_stand_alone(name: str) -> None:
    found = parse(schema_text(name))
    assert found.text == schema_text(name)
    assert parse(json.dumps(found.root)).identity == found.identity


@pytest.mark.parametrize("name", record_names())
def test_another_way_of_writing_is_the_same_schema(name: str) -> None:
    """As a Java producer writes it: one line, other order of attributes, short names within the namespace."""
    turned = json.dumps(turn(schema(name))).replace('"oms.', '"')
    assert turned != schema_text(name)
    assert parse(turned).identity == parse(schema_text(name)).identity


def turn(node: Any) -> Any:
    """The same JSON with the attributes of every object in reverse order."""
    if isinstance(node, dict):
        return {key: turn(node[key]) for key in reversed(list(node))}
    return [turn(item) for item in node] if isinstance(node, list) else node


def test_a_primitive_in_an_object_is_the_primitive() -> None:
    assert parse('{"type": "string"}').identity == parse(' "string" ').identity


@pytest.mark.parametrize(
    "other",
    [
        record(field("int", doc="Now with words.")),
        record(field("int", aliases=["g"])),
        record(field("int", default=0)),
        record(field("long")),
        record(field("int"), namespace="n"),
    ],
)
def test_what_evolution_is_made_of_makes_another_schema(other: Any) -> None:
    assert parse(json.dumps(other)).identity != parse(json.dumps(record(field("int")))).identity


@pytest.mark.parametrize(
    ("node", "said"),
    [
        (5, "expected a type, found 5"),
        (None, "expected a type, found null"),
        ("strin", "type strin is not known"),
        ({"a": 1}, "type must be"),
        ({"type": "array"}, "array without items"),
        ({"type": "map"}, "map without values"),
        ({"type": "record", "name": "R"}, "R: a record needs a list of fields"),
        ({"type": "record", "fields": []}, "record needs a"),
        ({"type": "enum", "name": "1E", "symbols": ["A"]}, "enum needs a"),
        ({"type": "record", "name": "int", "fields": []}, "int is the name of a primitive type"),
        ({"type": "record", "name": "R", "namespace": "a..b", "fields": []}, "not a valid namespace"),
        (record({"name": "f"}), "R: a field needs a name and a type"),
        (record(field("int", "a-b")), "R.a-b: a name has"),
        (record(field("int"), field("long")), "R.f: a field is named twice: f"),
        (record(field("int"), field("int", "g", aliases=["f"])), "R.g: a field is named twice: f"),
        (record(field("int", aliases="g")), "R.f: aliases must be a list"),
        (record(field("Unknown")), "R.f: type Unknown is not known"),
        (record(field({"type": "array", "items": "Nope"})), "R.f[]: type Nope is not known"),
        (record(field(["int", "int"])), "R.f: the union has a type twice"),
        (record(field(["int", ["null"]])), "R.f: a union may not stand in a union"),
        (
            record(field({"type": "enum", "name": "E", "symbols": ["A", "A"]})),
            "R.f: the enum has a symbol twice",
        ),
        (
            record(field({"type": "enum", "name": "E", "symbols": [1]})),
            "R.f: an enum needs a list of symbols",
        ),
        (
            record(field({"type": "enum", "name": "E", "symbols": ["A"], "default": "B"})),
            'default "B" is none',
        ),
        (record(field({"type": "fixed", "name": "F", "size": -1})), "R.f: fixed needs a size"),
        (record(field({"type": "fixed", "name": "F", "size": "4"})), "R.f: fixed needs a size"),
        (record(field({"type": "record", "name": "R", "fields": []})), "R.f: type R is defined twice"),
        (record(field({"type": "bytes", "logicalType": "decimal"})), "R.f: a decimal needs a precision"),
        (
            record(field({"type": "bytes", "logicalType": "decimal", "precision": 2, "scale": 3})),
            "not precision 2 and scale 3",
        ),
        (record(field("int", default="x")), "Default value <x> must match schema type: int"),
        (record(field(["null", "int"], default="x")), "Default value"),
    ],
)
def test_what_is_no_schema_is_refused_with_its_place(node: Any, said: str) -> None:
    assert said in why_not(node)


@pytest.mark.parametrize("text", ["", "{", "nul", "[" * 100_000, '"' + "x" * 2_000_000 + '"'])
def test_what_is_no_json_or_too_much_of_it_is_refused(text: str) -> None:
    with pytest.raises(InvalidSchema):
        parse(text)


def test_deep_nesting_is_refused() -> None:
    node: Any = "int"
    for _ in range(100):
        node = {"type": "array", "items": node}
    assert "nested deeper than" in why_not(node)


def resolver(**texts: Any) -> Any:
    def resolve(reference: Reference) -> Schema:
        return parse(json.dumps(texts[reference.subject]), [], resolve)

    return resolve


def test_a_reference_is_written_out_where_it_is_met() -> None:
    money = {"type": "record", "name": "shop.Money", "fields": [field("long", "cents")]}
    order = {
        "type": "record",
        "name": "shop.Order",
        "fields": [field("Money", "price"), field("Money", "fee")],
    }
    found = parse(json.dumps(order), [Reference("shop.Money", "money", 1)], resolver(money=money))
    assert found.root["fields"][0]["type"]["fields"] == [field("long", "cents")]
    assert found.root["fields"][1]["type"] == "shop.Money"
    assert set(found.named) == {"shop.Money", "shop.Order"}


def test_a_schema_with_a_reference_is_not_the_one_without() -> None:
    """Its text cannot be read alone, so it must not share the id."""
    money = {"type": "record", "name": "Money", "fields": [field("long", "cents")]}
    whole = parse(json.dumps(record(field(money))))
    parts = parse(json.dumps(record(field("Money"))), [Reference("Money", "money", 1)], resolver(money=money))
    assert whole.root == parts.root
    assert whole.identity != parts.identity
