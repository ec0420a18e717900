"""Lines of order files become messages; what is not understood is refused by name."""

from typing import Any

import pytest

from app.submit.lines import FieldError, parse

ORDER = {
    "type": "new_order",
    "account": "A",
    "client_order_id": "c1",
    "symbol": "S",
    "side": "buy",
    "quantity": "1.5",
    "limit_price": "10",
}


def refused(**changes: Any) -> str:
    with pytest.raises(FieldError) as caught:
        parse({**ORDER, **changes})
    return str(caught.value)


def test_a_new_order_by_the_names_of_the_engine() -> None:
    kind, message = parse({**ORDER, "order_type": "limit", "time_in_force": "GTC", "at_us": "7"})
    assert kind == "NewOrder"
    assert message == {
        "account": "A",
        "client_order_id": "c1",
        "symbol": "S",
        "side": "buy",
        "order_type": "limit",
        "quantity": 150_000_000,
        "limit_price": 1_000_000_000,
        "time_in_force": "gtc",
        "entered_us": 7,
        "entered_by": "",
        "door": "kafka",
    }


def test_camel_case_and_short_names_mean_the_same() -> None:
    camel = {
        "type": "new_order",
        "account": "A",
        "clientOrderId": "c1",
        "symbol": "S",
        "side": "BUY",
        "orderType": "limit",
        "quantity": "1.5",
        "price": "10",
        "timeInForce": "day",
    }
    assert parse(camel) == parse(ORDER)


def test_a_line_without_type_is_a_new_order_and_takes_the_default_account() -> None:
    line = {name: value for name, value in ORDER.items() if name not in ("type", "account")}
    assert parse(line, {"account": "A"}) == parse(ORDER)
    assert parse(ORDER, {"account": "B"}) == parse(ORDER)


def test_a_market_order_has_no_price() -> None:
    _, message = parse({**ORDER, "order_type": "market", "limit_price": None})
    assert message["order_type"] == "market"
    assert message["limit_price"] is None


def test_other_types() -> None:
    assert parse({"type": "cancel_order", "account": "A", "symbol": "S", "order": "c1"})[1]["order"] == "c1"
    kind, message = parse({"type": "replace_order", "account": "A", "order": "c1", "quantity": "3"})
    assert (kind, message["quantity"], message["limit_price"]) == ("ReplaceOrder", 300_000_000, None)
    kind, message = parse({"type": "mass_cancel", "account": "A", "side": "sell"})
    assert (kind, message["side"], message["symbol"]) == ("MassCancel", "sell", "")
    kind, message = parse({"type": "quote", "symbol": "S", "bid": "1", "ask": "2"})
    assert (kind, message["bid"], message["ask"], message["last"]) == ("Quote", 10**8, 2 * 10**8, 0)


def test_what_is_for_a_whole_symbol_becomes_a_control() -> None:
    assert parse({"type": "mass_cancel", "symbol": "S"})[0] == "CancelSymbol"
    assert parse({"type": "control", "symbol": "S", "action": "expire_day"})[0] == "ExpireDay"
    states = {
        action: parse({"type": "control", "symbol": "S", "action": action})[1]["state"]
        for action in ("continuous", "halt", "closed")
    }
    assert states == {"continuous": "open", "halt": "halted", "closed": "closed"}


def test_a_misspelt_or_unknown_field_is_refused_not_passed_over() -> None:
    assert refused(limit_prise="9") == "limit_prise: is no field of this type"
    assert refused(stop_price="9") == "stop_price: is not offered yet; leave it out"
    assert parse({**ORDER, "hidden": False, "stop_price": None}) == parse(ORDER)


def test_a_field_given_twice_under_two_names_is_refused() -> None:
    assert refused(limitPrice="11") == "limitPrice: is given twice"


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"side": "hold"}, "side: 'hold' is not offered; it can be buy, sell"),
        ({"side": "unknown"}, "side: 'unknown' is not offered"),
        ({"quantity": None}, "quantity: is missing"),
        ({"quantity": "ten"}, "quantity: 'ten' is not a decimal number"),
        ({"quantity": "1.123456789"}, "quantity: '1.123456789' has more than 8 decimals"),
        ({"quantity": "1e12"}, "quantity: 1e12 is beyond 90 billion"),
        ({"quantity": True}, "quantity: must be text, not True"),
        ({"account": {"a": 1}}, "account: must be text"),
        ({"order_type": "stop"}, "order_type: 'stop' is not offered; it can be limit, market"),
        ({"type": "order"}, "type: 'order' is not offered; it can be new_order"),
        ({"at_us": "soon"}, "at_us: 'soon' is not a number of microseconds"),
        ({"at_us": "9" * 30}, "at_us: "),
    ],
)
def test_what_cannot_be_a_message_is_refused_by_its_field(changes: dict[str, Any], text: str) -> None:
    assert text in refused(**changes)


def test_what_is_wrong_but_can_be_said_is_left_to_the_pipeline() -> None:
    assert parse({**ORDER, "quantity": "-1"})[1]["quantity"] == -(10**8)
    assert parse({**ORDER, "quantity": "0"})[1]["quantity"] == 0
    assert parse({**ORDER, "order_type": "market"})[1]["limit_price"] == 10**9
    assert parse({**ORDER, "client_order_id": "x" * 99})[1]["client_order_id"] == "x" * 99


def test_numbers_keep_the_text_that_they_were_written_in() -> None:
    _, message = parse({**ORDER, "limit_price": "0.1", "quantity": "1e-8"})
    assert (message["limit_price"], message["quantity"]) == (10_000_000, 1)
