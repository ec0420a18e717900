"""The typed classes, the schema files and the topics say the same."""

import types
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest

from schemas import messages, reasons
from schemas.codec import record_names, schema
from schemas.topics import ROWS_OF_TABLE, TOPIC_OF_RECORD
from schemas.wire import expand

CLASSES = {
    name: value
    for name, value in vars(messages).items()
    if isinstance(value, type) and hasattr(value, "__required_keys__")
}
INNER = {
    "BookLevel",
    "TickStep",
    "OrderInstructions",
    "OrderChanges",
    "OrderTerms",
    "OrderState",
    "MarketState",
}


def type_of(node: Any) -> Any:
    """The Python type of an Avro one, as messages.py writes it."""
    if isinstance(node, list):
        return type_of(next(branch for branch in node if branch != "null")) | None
    if isinstance(node, str):
        return {"string": str, "int": int, "long": int, "boolean": bool, "bytes": bytes}[node]
    if node.get("logicalType") == "decimal":
        assert (node["precision"], node["scale"]) == (38, 8)
        return int
    if node["type"] == "enum":
        return Literal[tuple(node["symbols"])]
    if node["type"] == "array":
        return list[type_of(node["items"])]  # type: ignore[misc]
    return CLASSES[node["name"]]


def inner_record(node: Any) -> Any:
    """The record within a field's type, if there is one."""
    if isinstance(node, list):
        node = next(branch for branch in node if branch != "null")
    if isinstance(node, dict) and node["type"] == "array":
        node = node["items"]
    return node if isinstance(node, dict) and node["type"] == "record" else None


def enums(node: Any) -> list[Any]:
    """Every enum within an expanded schema."""
    if isinstance(node, list):
        return [found for branch in node for found in enums(branch)]
    if not isinstance(node, dict):
        return []
    if node["type"] == "enum":
        return [node]
    inner = [field["type"] for field in node.get("fields", ())] + [node.get("items", "null")]
    return [found for part in inner for found in enums(part)]


def same(ours: Any, theirs: Any) -> bool:
    """Whether two annotations are one type; literals by their order too, which is the number on the wire."""
    if get_origin(ours) is Literal:
        return get_args(ours) == get_args(theirs)
    if get_origin(ours) in (types.UnionType, list):
        return all(map(same, get_args(ours), get_args(theirs)))
    return bool(ours == theirs)


def test_there_is_a_class_for_every_schema_and_a_schema_for_every_class() -> None:
    assert set(CLASSES) == set(record_names()) | INNER


@pytest.mark.parametrize("record", record_names())
def test_a_class_has_the_fields_of_its_schema_in_order(record: str) -> None:
    fields = {field["name"]: field["type"] for field in expand(schema(record))["fields"]}
    hints = get_type_hints(CLASSES[record])
    assert list(hints) == list(fields)
    for name, node in fields.items():
        assert same(type_of(node), hints[name]), name


@pytest.mark.parametrize("record", record_names())
def test_inner_records_are_the_classes_too(record: str) -> None:
    for field in expand(schema(record))["fields"]:
        node = inner_record(field["type"])
        if node is not None:
            hints = get_type_hints(CLASSES[node["name"]])
            assert list(hints) == [inner["name"] for inner in node["fields"]]
            assert all(same(type_of(inner["type"]), hints[inner["name"]]) for inner in node["fields"])
            assert all(inner["doc"].endswith(".") for inner in node["fields"])


@pytest.mark.parametrize("record", record_names())
def test_every_enum_is_its_literal_and_has_a_default_for_what_is_not_known_yet(record: str) -> None:
    for enum in enums(expand(schema(record))):
        literal = getattr(messages, enum["name"], None) or getattr(reasons, enum["name"])
        assert tuple(enum["symbols"]) == get_args(literal), enum["name"]
        assert enum["default"].lower() == "unknown", enum["name"]


@pytest.mark.parametrize("record", record_names())
def test_every_field_is_documented(record: str) -> None:
    assert schema(record)["doc"]
    assert all(field.get("doc", "").endswith(".") for field in schema(record)["fields"])


def test_every_record_has_one_topic_or_changelog() -> None:
    rows = {row.__name__ for classes in ROWS_OF_TABLE.values() for row in classes}
    assert set(TOPIC_OF_RECORD) | rows == set(record_names())
    assert not set(TOPIC_OF_RECORD) & rows
