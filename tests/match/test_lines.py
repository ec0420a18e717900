"""Lines of commands: exact numbers, every field known, errors that name theirs."""

import json
from typing import Any

import pytest

from app.match.lines import Csv, LineError, from_json, is_csv
from schemas.numbers import ONE

ORDER = {
    "type": "new_order",
    "symbol": "S",
    "account": "a",
    "client_order_id": "1",
    "side": "buy",
    "order_type": "limit",
    "quantity": "5",
}


def line(**changes: Any) -> bytes:
    """An order with some fields changed; None leaves one out."""
    values = {name: value for name, value in {**ORDER, **changes}.items() if value is not None}
    return json.dumps(values).encode()


@pytest.mark.parametrize(
    ("number", "value_e8"),
    [
        ('"10.05"', 1_005_000_000),
        ("10.05", 1_005_000_000),
        ("10", 10 * ONE),
        ("1e3", 1000 * ONE),
        ('"1e-8"', 1),
        ("0.00000001", 1),
        ("89999999999.12345678", 8_999_999_999_912_345_678),
        ("12345678.12345678", 1_234_567_812_345_678),
        ("-3.5", -350_000_000),
    ],
)
def test_numbers_are_exact(number: str, value_e8: int) -> None:
    text = line(limit_price="PRICE").replace(b'"PRICE"', number.encode())
    assert from_json(text)["limit_price"] == value_e8


def test_a_number_that_no_float_holds_is_not_rounded() -> None:
    """The nearest float of this one ends in 7."""
    text = line().replace(b'"5"', b"89999999999.00000001")
    assert from_json(text)["quantity"] == 8_999_999_999_900_000_001


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"type": None}, "type", "missing"),
        ({"type": "order"}, "type", "must be one of"),
        ({"type": ["new_order"]}, "type", "must be one of"),
        ({"symbol": None}, "symbol", "missing"),
        ({"symbol": ""}, "symbol", "printable"),
        ({"account": "a\0b"}, "account", "printable"),
        ({"account": 1.5}, "account", "text"),
        ({"quantity": "five"}, "quantity", "no"),
        ({"quantity": "1.000000001"}, "quantity", "8 decimals"),
        ({"quantity": 90_000_000_001}, "quantity", "beyond"),
        ({"quantity": 10**30}, "quantity", "out of range"),
        ({"quantity": True}, "quantity", "decimal number"),
        ({"quantity": [1]}, "quantity", "decimal number"),
        ({"side": "long"}, "side", "must be one of buy, sell"),
        ({"side": {}}, "side", "must be one of"),
        ({"order_type": "iceberg"}, "order_type", "must be one of"),
        ({"time_in_force": "DAY"}, "time_in_force", "must be one of"),
        ({"hidden": "yes"}, "hidden", "true or false"),
        ({"post_only": "maybe"}, "post_only", "true or false"),
        ({"expire_at_us": 1.5}, "expire_at_us", "whole number"),
        ({"at_us": -1}, "at_us", "whole number"),
        ({"link": "oco"}, "", ""),
        ({"link": {"type": "both", "id": "1"}}, "link", "must be one of oco"),
        ({"link": {"id": "1"}}, "link", "must be one of oco"),
        ({"link": {"type": "oco", "id": "1", "x": 1}}, "link", "type and id"),
        ({"price": "5"}, "price", "no field of new_order"),
    ],
)
def test_what_is_not_understood_is_refused_by_its_field(
    changes: dict[str, Any], field: str, words: str
) -> None:
    if not field:
        # A list without id is understood; the engine rejects it.
        assert from_json(line(**changes))["link"] == {"type": "oco", "id": ""}
        return
    with pytest.raises(LineError) as error:
        from_json(line(**changes))
    assert error.value.field == field
    assert words in error.value.text


@pytest.mark.parametrize(
    "text", [b"{", b"[1]", b'"x"', b"NaN", b'{"type": NaN}', b'{"a": 1e999}', b"\xff", b"{}" * 600_000]
)
def test_what_is_no_object_of_json_is_refused_whole(text: bytes) -> None:
    with pytest.raises(LineError) as error:
        from_json(text)
    assert error.value.field == ""


def test_a_band_must_make_sense() -> None:
    control = {"type": "control", "symbol": "S", "action": "band", "low": "9", "high": "8"}
    with pytest.raises(LineError, match="low: must be"):
        from_json(json.dumps(control).encode())
    with pytest.raises(LineError, match="low: goes with the action band"):
        from_json(json.dumps({**control, "action": "halt"}).encode())


def test_null_is_as_if_the_field_were_not_there() -> None:
    assert from_json(b'{"type": "mass_cancel", "symbol": null, "side": "buy"}') == {
        "type": "mass_cancel",
        "side": "buy",
    }


def test_csv_has_the_same_fields() -> None:
    header = b"type,symbol,account,client_order_id,side,order_type,quantity,hidden,link,at_us"
    assert is_csv(header)
    read = Csv(header)
    assert read(b'new_order,"S,1",a,7,sell,market,2.5,true,oto:9,12') == {
        "type": "new_order",
        "symbol": "S,1",
        "account": "a",
        "client_order_id": "7",
        "side": "sell",
        "order_type": "market",
        "quantity": 250_000_000,
        "hidden": True,
        "link": {"type": "oto", "id": "9"},
        "at_us": 12,
    }
    assert read(b"quote,S,,,,,,,,") == {"type": "quote", "symbol": "S"}


@pytest.mark.parametrize(
    ("header", "row", "field"),
    [
        (b"type,symbol,colour", b"", "colour"),
        (b"type,symbol,symbol", b"", "symbol"),
        (b"type,symbol,bid", b"quote,S", ""),
        (b"type,symbol,bid", b"quote,S,x", "bid"),
        (b"type,symbol,bid", b"mass_cancel,S,1", "bid"),
        (b"type,symbol,bid", b'quote,"S,1', ""),
        (b"type,symbol,bid", b"quote,\xff,1", ""),
    ],
)
def test_bad_csv_is_refused_by_its_field(header: bytes, row: bytes, field: str) -> None:
    with pytest.raises(LineError) as error:
        Csv(header)(row)
    assert error.value.field == field
