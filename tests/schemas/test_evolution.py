"""Old bytes with new schemas, new bytes with old ones, and names as others write them."""

import json
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_writer

from app.registry.avro import parse
from app.registry.compatibility import violations
from schemas.codec import Codec, DecodeError, record_names, schema, schema_text
from schemas.wire import Decoding
from tests.schemas.samples import ALL_IDS, sample

HISTORY = Path(str(files("schemas"))) / "history"
DECIMAL = {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 8}
FOREIGN = 1000


def stem(record: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in record).lstrip("_")


def history(record: str) -> list[tuple[int, str]]:
    """Every version of a record's schema that ever was, oldest first."""
    paths = sorted((HISTORY / stem(record)).glob("*.avsc"), key=lambda path: int(path.stem))
    return [(int(path.stem), path.read_text(encoding="utf-8")) for path in paths]


VERSIONS = [(record, version, text) for record in record_names() for version, text in history(record)]


@pytest.mark.parametrize("record", record_names())
def test_the_newest_version_in_the_history_is_the_schema(record: str) -> None:
    versions = history(record)
    last = versions[-1][0] if versions else 0
    folder = f"schemas/history/{stem(record)}"
    assert [number for number, _ in versions] == list(range(1, last + 1)), f"{folder} has a gap"
    assert versions, f"{record} has no history: cp schemas/avsc/{stem(record)}.avsc {folder}/1.avsc"
    assert json.loads(versions[-1][1]) == schema(record), (
        f"schemas/avsc/{stem(record)}.avsc changed: keep its former versions, and add the new one: "
        f"cp schemas/avsc/{stem(record)}.avsc {folder}/{last + 1}.avsc"
    )


def test_no_record_with_a_history_has_gone() -> None:
    """What was ever written may be replayed."""
    assert {path.name for path in HISTORY.iterdir()} == set(map(stem, record_names()))


@pytest.mark.parametrize("record", record_names())
def test_every_version_can_follow_all_former_ones(record: str) -> None:
    versions = [(number, parse(text)) for number, text in history(record)]
    for i, (_, newer) in enumerate(versions):
        assert violations(newer, versions[:i], "FULL_TRANSITIVE") == []


@pytest.mark.parametrize(("record", "version", "text"), VERSIONS)
def test_bytes_of_every_version_are_read_today_and_back(record: str, version: int, text: str) -> None:
    """By the codec itself, which resolves schemas on its own."""
    Decoding(json.loads(text), schema(record))
    Decoding(schema(record), json.loads(text))


def changed(record: str, **fields: Any) -> dict[str, Any]:
    """A record's schema with fields added."""
    added = [{"name": name, **rest} for name, rest in fields.items()]
    return {**schema(record), "fields": [*schema(record)["fields"], *added]}


def without_defaults(record: str) -> dict[str, Any]:
    """A record's schema as it may have been before every field with a default was added."""
    return {**schema(record), "fields": [f for f in schema(record)["fields"] if "default" not in f]}


def encoded(writer: dict[str, Any], message: dict[str, Any]) -> bytes:
    """Framed bytes as a producer with that schema writes them; decimals in the message are bytes."""
    plain = json.loads(json.dumps(writer).replace('"logicalType": "decimal", ', ""))
    out = BytesIO()
    schemaless_writer(out, parse_schema(plain, named_schemas={}), message)
    return b"\0" + FOREIGN.to_bytes(4, "big") + out.getvalue()


def read(writer: dict[str, Any], message: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """What our codec makes of a producer's record."""
    codec = Codec({})
    codec.learn(FOREIGN, json.dumps(writer))
    return codec.decode(encoded(writer, message))


def test_old_bytes_get_the_default_of_an_added_field() -> None:
    """The order of a producer that never heard of time in force, person and door."""
    old = without_defaults("NewOrder")
    assert {field["name"] for field in old["fields"]} < {
        field["name"] for field in schema("NewOrder")["fields"]
    }
    names = {field["name"] for field in old["fields"]}
    message = {**sample("NewOrder"), "quantity": b"\x01\x00"}
    record, got = read(old, {name: message[name] for name in names})
    assert record == "NewOrder"
    assert got["quantity"] == 256
    assert {name: got[name] for name in set(got) - names} == {
        "side": "unknown",
        "order_type": "limit",
        "limit_price": None,
        "time_in_force": "day",
        "entered_us": 0,
        "entered_by": "",
        "door": "unknown",
        "instructions": None,
    }


def test_instructions_of_a_producer_that_knows_but_one_get_the_defaults_of_the_others() -> None:
    """In camel case, and with an enum that has more than ours."""
    kind = {"type": "enum", "name": "Only", "symbols": ["never", "reject"]}
    fields = [{"name": "stopPrice", "type": DECIMAL}, {"name": "postOnly", "type": kind}]
    theirs = {
        **schema("NewOrder"),
        "fields": [
            *without_defaults("NewOrder")["fields"],
            {"name": "instructions", "type": {"type": "record", "name": "Carries", "fields": fields}},
        ],
    }
    plain = {"account": "A", "client_order_id": "c", "symbol": "S", "quantity": b"\x01"}
    got = read(theirs, {**plain, "instructions": {"stopPrice": b"\x05", "postOnly": "never"}})[1]
    none = {field["name"]: field["default"] for field in record_within("NewOrder", "instructions")}
    assert got["instructions"] == {
        **{name: 0 if value == "\0" else value for name, value in none.items()},
        "stop_price": 5,
        "post_only": "unknown",
    }


def record_within(record: str, name: str) -> list[dict[str, Any]]:
    """The fields of the optional record in a field."""
    node = next(field["type"] for field in schema(record)["fields"] if field["name"] == name)
    fields: list[dict[str, Any]] = node[1]["fields"]
    return fields


def test_the_default_of_a_decimal_is_a_number() -> None:
    old = {
        **schema("Instrument"),
        "fields": [f for f in schema("Instrument")["fields"] if "default" not in f],
    }
    message = {"symbol": "A", "currency": "USD", "ticks": [], "lot_size": b"\x01"}
    assert read(old, message)[1]["multiplier"] == 10**8


def test_new_bytes_are_read_with_the_old_schema() -> None:
    """A producer that is ahead of us: what we do not know yet is dropped."""
    note = {"type": ["null", "string"], "default": None, "doc": "Optional, added later."}
    new = changed("NewOrder", note=note, venues={"type": {"type": "array", "items": "string"}, "default": []})
    message = {
        **sample("NewOrder"),
        "quantity": b"\x07",
        "limit_price": None,
        "instructions": None,
        "note": "x",
        "venues": ["a", "b"],
    }
    expected = {**sample("NewOrder"), "quantity": 7, "limit_price": None, "instructions": None}
    assert read(new, message) == ("NewOrder", expected)


def test_the_old_schema_reads_new_bytes_and_the_new_schema_old_ones() -> None:
    """Both ways by the rules of Avro, as the registry asks before it takes the new one."""
    note = {"type": ["null", "string"], "default": None}
    new, old = changed("NewOrder", note=note), schema("NewOrder")
    assert violations(parse(json.dumps(new)), [(1, parse(json.dumps(old)))], "FULL") == []
    del note["default"]
    new = changed("NewOrder", note=note)
    assert violations(parse(json.dumps(new)), [(1, parse(json.dumps(old)))], "FULL") == [
        "the new schema cannot read version 1: NewOrder.note: "
        "the writer has no such field, and the reader has no default for it"
    ]


def test_a_field_renamed_through_an_alias_is_read() -> None:
    ours = schema("Trade")
    renamed = {
        **ours,
        "fields": [
            {**f, "name": "size", "aliases": ["quantity"]} if f["name"] == "quantity" else f
            for f in ours["fields"]
        ],
    }
    finish = Decoding(ours, renamed).finish
    wire = {**sample("Trade"), "aggressor_side": 1, "price": b"\x01", "size": b"\x02"}
    del wire["quantity"]
    assert finish(wire)["size"] == 2


def test_an_order_in_camel_case_is_a_new_order() -> None:
    theirs = {
        "type": "record",
        "name": "Order",
        "namespace": "com.example.trading",
        "fields": [
            {"name": "clientOrderId", "type": "string"},
            {"name": "account", "type": "string"},
            {"name": "symbol", "type": {"type": "string", "avro.java.string": "String"}},
            {
                "name": "side",
                "type": {"type": "enum", "name": "OrderSide", "symbols": ["sell", "buy", "short"]},
            },
            {"name": "orderType", "type": {"type": "enum", "name": "Kind", "symbols": ["market", "limit"]}},
            {"name": "price", "type": ["null", DECIMAL]},
            {"name": "quantity", "type": DECIMAL},
            {
                "name": "timeInForce",
                "type": {"type": "enum", "name": "Tif", "symbols": ["gtc", "day", "opg"]},
            },
            {"name": "strategy", "type": "string"},
        ],
    }
    message = {
        "clientOrderId": "c-1",
        "account": "A-1",
        "symbol": "AAPL",
        "side": "sell",
        "orderType": "limit",
        "price": (187 * 10**8).to_bytes(5, "big"),
        "quantity": (3 * 10**8).to_bytes(5, "big"),
        "timeInForce": "gtc",
        "strategy": "momentum",
    }
    record, got = read(theirs, message)
    assert record == "NewOrder"
    assert got == {
        "account": "A-1",
        "client_order_id": "c-1",
        "symbol": "AAPL",
        "side": "sell",
        "order_type": "limit",
        "quantity": 3 * 10**8,
        "limit_price": 187 * 10**8,
        "time_in_force": "gtc",
        "entered_us": 0,
        "entered_by": "",
        "door": "unknown",
        "instructions": None,
    }
    assert read(theirs, {**message, "side": "short", "timeInForce": "opg", "price": None})[1] == {
        **got,
        "side": "unknown",
        "time_in_force": "unknown",
        "limit_price": None,
    }


@pytest.mark.parametrize("record", record_names())
def test_every_name_may_be_written_in_camel_case(record: str) -> None:
    """Requests come from producers of any house style."""
    if record not in ("NewOrder", "CancelOrder", "ReplaceOrder", "MassCancel"):
        return
    fields = schema(record)["fields"]
    for field in fields:
        first, *rest = field["name"].split("_")
        camel = first + "".join(word.title() for word in rest)
        assert camel == field["name"] or camel in field["aliases"], field["name"]


def test_an_optional_field_of_theirs_that_is_null_is_refused_where_ours_must_be_there() -> None:
    fields = [
        {**f, "type": ["null", "string"]} if f["name"] == "symbol" else f
        for f in schema("CancelOrder")["fields"]
    ]
    theirs = {**schema("CancelOrder"), "fields": fields}
    assert read(theirs, sample("CancelOrder")) == ("CancelOrder", sample("CancelOrder"))
    with pytest.raises(DecodeError, match="symbol must not be null"):
        read(theirs, {**sample("CancelOrder"), "symbol": None})


def test_text_is_registered_as_it_is_in_the_tree() -> None:
    assert json.loads(schema_text("NewOrder"))["name"] == "NewOrder"
    assert set(ALL_IDS) == set(record_names())
