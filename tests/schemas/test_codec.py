"""Messages to bytes and back, and what hostile bytes get."""

import json
from decimal import Decimal, localcontext
from io import BytesIO
from typing import Any

import pytest
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from hypothesis import example, given, settings
from hypothesis import strategies as st

from schemas.codec import HEADER, Codec, DecodeError, record_names, schema, schema_text
from tests.schemas.samples import ALL_IDS, DECIMAL_MAX, messages, sample

CODEC = Codec(ALL_IDS)
FOREIGN = 1000
# OrderInstructions as they are when nothing is used.
DEFAULTS = {
    field["name"]: field["default"]
    for field in next(f for f in schema("NewOrder")["fields"] if f["name"] == "instructions")["type"][1][
        "fields"
    ]
}


def order_schema(**changed: Any) -> dict[str, Any]:
    """NewOrder's schema with some fields' types replaced."""
    fields = [{**f, "type": changed.get(f["name"], f["type"])} for f in schema("NewOrder")["fields"]]
    return {**schema("NewOrder"), "fields": fields}


def refusal(text: str) -> str:
    """Why records of a writer's schema are refused."""
    codec = Codec(ALL_IDS)
    codec.learn(FOREIGN, text)
    with pytest.raises(DecodeError) as caught:
        codec.decode(b"\0" + FOREIGN.to_bytes(4, "big") + b"\0" * 8)
    assert caught.value.reason == "DECODE_WRONG_RECORD"
    return caught.value.text


def written(writer: dict[str, Any], message: dict[str, Any]) -> bytes:
    """Framed bytes as a foreign producer writes them."""
    out = BytesIO()
    schemaless_writer(out, parse_schema(writer, named_schemas={}), message)
    return b"\0" + FOREIGN.to_bytes(4, "big") + out.getvalue()


@pytest.mark.parametrize("record", record_names())
def test_what_is_written_is_read(record: str) -> None:
    value = CODEC.encode(record, sample(record))
    assert CODEC.decode(value) == (record, sample(record))
    assert value[:HEADER] == b"\0" + ALL_IDS[record].to_bytes(4, "big")


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(record_names()).flatmap(lambda r: st.tuples(st.just(r), messages(r))))
def test_any_message_of_any_record_survives(pair: tuple[str, dict[str, Any]]) -> None:
    record, message = pair
    assert CODEC.decode(CODEC.encode(record, message)) == (record, message)


@pytest.mark.parametrize("record", record_names())
def test_the_wire_is_standard_avro(record: str) -> None:
    """Another Avro reader, with the schema as registered, sees decimals and symbols."""
    parsed = parse_schema(schema(record), named_schemas={})
    body = BytesIO(CODEC.encode(record, sample(record))[HEADER:])
    seen = schemaless_reader(body, parsed, None)
    again = BytesIO()
    schemaless_writer(again, parsed, seen)
    assert again.getvalue() == CODEC.encode(record, sample(record))[HEADER:]
    assert not body.read()


@pytest.mark.parametrize("record", record_names())
def test_every_truncation_and_every_trailing_byte_is_refused(record: str) -> None:
    value = CODEC.encode(record, sample(record))
    for end in range(HEADER, len(value)):
        with pytest.raises(DecodeError):
            CODEC.decode(value[:end])
    with pytest.raises(DecodeError, match="1 bytes follow the record"):
        CODEC.decode(value + b"\0")


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(sorted(ALL_IDS.values())), st.binary(max_size=200))
@example(ALL_IDS["BookUpdate"], b"\0\0\0" + b"\xff" * 9 + b"\x01")
def test_random_bytes_are_a_message_or_refused(schema_id: int, body: bytes) -> None:
    try:
        record, message = CODEC.decode(b"\0" + schema_id.to_bytes(4, "big") + body)
    except DecodeError:
        return
    assert CODEC.decode(CODEC.encode(record, message)) == (record, message)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(record_names()), st.data())
def test_a_flipped_byte_gives_a_message_or_a_refusal(record: str, data: st.DataObject) -> None:
    value = bytearray(CODEC.encode(record, sample(record)))
    value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    try:
        CODEC.decode(bytes(value))
    except DecodeError:
        pass
    except KeyError:
        assert int.from_bytes(value[1:HEADER], "big") not in ALL_IDS.values()


@pytest.mark.parametrize("value", [None, b"", b"\0", b"\0\0\0\0\1", b'{"account": "A"}'])
def test_what_is_not_framed_is_named_so(value: bytes | None) -> None:
    with pytest.raises(DecodeError) as caught:
        CODEC.decode(value)
    assert caught.value.reason == "DECODE_NOT_FRAMED"


def test_an_id_not_seen_yet_is_asked_for() -> None:
    codec = Codec({})
    value = CODEC.encode("CancelOrder", sample("CancelOrder"))
    with pytest.raises(KeyError):
        codec.decode(value)
    codec.learn(Codec.schema_id(value), schema_text("CancelOrder"))
    assert codec.decode(value) == ("CancelOrder", sample("CancelOrder"))


def test_a_symbol_beyond_the_enum_is_refused() -> None:
    """fastavro alone reads number -1 as the last symbol: a buy would become a sell."""
    value = CODEC.encode("NewOrder", {**sample("NewOrder"), "side": "sell"})
    at = value.index(b"\x08AAPL\x08AAPL\x08AAPL") + 15
    assert value[at] == 4
    for number in (b"\x01", b"\x03", b"\x06"):
        with pytest.raises(DecodeError, match="no symbol of Side"):
            CODEC.decode(value[:at] + number + value[at + 1 :])


@pytest.mark.parametrize("number", [0, 1, -1, 127, 128, -128, -129, 10**8, DECIMAL_MAX, -DECIMAL_MAX])
def test_decimals_are_written_as_fastavro_writes_them(number: int) -> None:
    value = CODEC.encode("ReferencePrice", {"symbol": "", "price": number, "at_us": 0})
    out = BytesIO()
    with localcontext() as exact:
        exact.prec = 38
        price = Decimal(number).scaleb(-8)
        schemaless_writer(out, schema("ReferencePrice"), {"symbol": "", "price": price, "at_us": 0})
    assert value[HEADER:] == out.getvalue()
    assert CODEC.decode(value)[1]["price"] == number


@pytest.mark.parametrize("length", [0, 17, 4000])
def test_a_decimal_of_no_or_too_many_bytes_is_refused(length: int) -> None:
    """Python refuses to print numbers of more than 4,300 digits: one would stop whoever logs it."""
    body = BytesIO()
    fields = [{"name": n, "type": t} for n, t in (("s", "string"), ("p", "bytes"), ("t", "long"))]
    schemaless_writer(
        body, {"type": "record", "name": "r", "fields": fields}, {"s": "A", "p": b"\x01" * length, "t": 0}
    )
    with pytest.raises(DecodeError, match="price must have 1 to 16 bytes"):
        CODEC.decode(b"\0" + ALL_IDS["ReferencePrice"].to_bytes(4, "big") + body.getvalue())


@pytest.mark.parametrize("wrong", [None, "1", 1.5])
def test_what_is_no_scaled_integer_is_not_written(wrong: object) -> None:
    with pytest.raises((TypeError, AttributeError)):
        CODEC.encode("NewOrder", {**sample("NewOrder"), "quantity": wrong})


def test_a_missing_field_is_not_written_even_with_a_default() -> None:
    message = sample("NewOrder")
    del message["door"]
    with pytest.raises(KeyError, match="door"):
        CODEC.encode("NewOrder", message)


def test_an_optional_record_may_be_left_out_and_costs_one_byte() -> None:
    """Almost no order carries instructions, and none should pay for those of others."""
    for record, name in (("NewOrder", "instructions"), ("ReplaceOrder", "changes"), ("BookRow", "market")):
        message = {**sample(record), name: None}
        bare = {field: value for field, value in message.items() if field != name}
        value = CODEC.encode(record, bare)
        assert value == CODEC.encode(record, message)
        assert CODEC.decode(value) == (record, message)
        assert value[-1:] == b"\0"


def test_an_optional_record_must_be_complete() -> None:
    message = sample("NewOrder")
    del message["instructions"]["stp"]
    with pytest.raises(KeyError, match="stp"):
        CODEC.encode("NewOrder", message)


def test_an_unknown_symbol_is_not_written() -> None:
    with pytest.raises(ValueError, match="'short' is no symbol of Side"):
        CODEC.encode("NewOrder", {**sample("NewOrder"), "side": "short"})


def test_a_refusal_is_a_new_exception_each_time() -> None:
    """One raised again and again would gather tracebacks for ever."""
    codec = Codec({})
    codec.learn(FOREIGN, "{}")
    errors = []
    for _ in range(2):
        with pytest.raises(DecodeError) as caught:
            codec.decode(b"\0" + FOREIGN.to_bytes(4, "big") + b"x")
        errors.append(caught.value)
    assert errors[0] is not errors[1]


# Schemas from outside.


@pytest.mark.parametrize("text", ["", "5", "[]", '"string"', "{}", '{"type": "record"}', "[" * 5000])
def test_what_is_no_record_schema_is_refused(text: str) -> None:
    assert refusal(text)


def test_another_system_s_record_is_refused_by_name() -> None:
    theirs = {"type": "record", "name": "Customer", "fields": [{"name": "a", "type": "int"}]}
    assert "Customer is not a record of this system" in refusal(json.dumps(theirs))


def decimal(scale: int, kind: str = "bytes") -> dict[str, Any]:
    return {"type": kind, "logicalType": "decimal", "precision": 20, "scale": scale}


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (decimal(2), "decimal of scale 2 in bytes"),
        ("string", "not string"),
        ("bytes", "not bytes"),
        ("double", "not double"),
        ("long", "not long"),
        ({**decimal(8), "type": "fixed", "name": "F", "size": 8}, "in fixed"),
        (["null", "string"], "not string"),
        ([decimal(8), "string"], "a union must be of null and one type"),
    ],
)
def test_a_number_that_is_no_decimal_of_ours_is_refused(kind: Any, said: str) -> None:
    text = refusal(json.dumps(order_schema(quantity=kind)))
    assert said in text


def test_milliseconds_are_not_read_as_microseconds() -> None:
    kind = {"type": "long", "logicalType": "timestamp-millis"}
    assert "entered_us must be long, not long timestamp-millis" in refusal(
        json.dumps(order_schema(entered_us=kind))
    )


def test_a_missing_field_without_default_is_refused_by_name() -> None:
    theirs = order_schema()
    theirs["fields"] = [field for field in theirs["fields"] if field["name"] != "quantity"]
    assert "field quantity is missing" in refusal(json.dumps(theirs))


NOTHING = {"type": "record", "name": "Nothing", "fields": []}
NULLS = {"type": "record", "name": "Nulls", "fields": [{"name": "n", "type": "null"}]}


@pytest.mark.parametrize(
    "bomb",
    [
        {"type": "array", "items": "null"},
        {"type": "map", "values": "null"},
        {"type": "array", "items": NOTHING},
        {"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}},
        {
            "type": "array",
            "items": {"type": "record", "name": "R", "fields": [{"name": "n", "type": "null"}]},
        },
        ["null", {"type": "array", "items": NOTHING}],
    ],
)
def test_values_without_bytes_are_refused(bomb: Any) -> None:
    """26 bytes would unfold into 30 million items."""
    theirs = order_schema()
    theirs["fields"] = [*theirs["fields"], {"name": "bomb", "type": bomb}]
    assert "bytes" in refusal(json.dumps(theirs))


def test_a_type_within_itself_is_refused() -> None:
    """64 KiB of it would overflow the stack, and so end the process."""
    link = {"type": "record", "name": "Link", "fields": [{"name": "next", "type": ["null", "Link"]}]}
    theirs = order_schema()
    theirs["fields"] = [*theirs["fields"], {"name": "chain", "type": link}]
    assert "nested deeper" in refusal(json.dumps(theirs))


def test_types_that_double_at_every_level_are_refused() -> None:
    kind: Any = "int"
    for level in range(30):
        inner = kind if level == 0 else f"R{level - 1}"
        fields = [{"name": "a", "type": kind}, {"name": "b", "type": inner}]
        kind = {"type": "record", "name": f"R{level}", "fields": fields}
    theirs = order_schema()
    theirs["fields"] = [*theirs["fields"], {"name": "laughs", "type": kind}]
    assert "parts" in refusal(json.dumps(theirs))


def test_an_unknown_field_is_dropped_whatever_its_type() -> None:
    extras = {
        "tags": ({"type": "map", "values": ["null", "string"]}, {"a": None, "b": "c"}),
        "legs": (
            {
                "type": "array",
                "items": {
                    "type": "record",
                    "name": "Leg",
                    "namespace": "theirs",
                    "fields": [
                        {"name": "x", "type": "double"},
                        {"name": "k", "type": {"type": "enum", "name": "K", "symbols": ["A"]}},
                    ],
                },
            },
            [{"x": 1.5, "k": "A"}],
        ),
        "more": ({"type": "array", "items": "theirs.K"}, ["A", "A"]),
        "hash": ({"type": "fixed", "name": "H", "size": 4}, b"abcd"),
        "cents": ({"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}, b"\x01"),
    }
    theirs = order_schema()
    plain = {"quantity": b"\x05", "limit_price": None, "instructions": None}
    theirs["fields"] = [
        *({"name": name, "type": kind} for name, (kind, _) in extras.items()),
        *theirs["fields"],
    ]
    bytes_only = json.loads(json.dumps(theirs).replace('"logicalType": "decimal", ', ""))
    message = {**sample("NewOrder"), **plain, **{name: value for name, (_, value) in extras.items()}}
    codec = Codec({})
    codec.learn(FOREIGN, json.dumps(theirs))
    assert codec.decode(written(bytes_only, message)) == (
        "NewOrder",
        {**sample("NewOrder"), "quantity": 5, "limit_price": None, "instructions": None},
    )


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["type", "items", "fields", "name", "symbols", "size", "values", "logicalType"]
                ),
                inner | st.sampled_from(["record", "array", "enum", "fixed", "map", "bytes"]),
            )
        ),
        max_leaves=12,
    )
)
def test_any_json_in_place_of_a_type_is_read_or_refused(kind: Any) -> None:
    theirs = order_schema()
    theirs["fields"] = [*theirs["fields"], {"name": "more", "type": kind}]
    codec = Codec({})
    codec.learn(FOREIGN, json.dumps(theirs))
    with pytest.raises(DecodeError):
        codec.decode(b"\0" + FOREIGN.to_bytes(4, "big") + b"\xff" * 3)
