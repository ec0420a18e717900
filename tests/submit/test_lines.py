"""Lines of order files become messages; what is not understood is refused by name."""

from typing import Any

import pytest

from app.submit.lines import FieldError, parse
from app.submit.rest import call_of

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
        "instructions": None,
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
        for action in ("open", "halted", "close")
    }
    assert states == {"open": "open", "halted": "halted", "close": "closed"}


def test_the_actions_of_a_market_are_its_controls() -> None:
    for session in ("pre_open", "continuous", "halt", "closed"):
        kind, message = parse({"type": "control", "symbol": "S", "action": session})
        assert (kind, message["session"]) == ("SetSession", session)
    assert parse({"type": "control", "symbol": "S", "action": "uncross"})[0] == "Uncross"
    kind, message = parse({"type": "control", "symbol": "S", "action": "band", "low": "1"})
    assert (kind, message["low"], message["high"]) == ("SetTradingBand", 10**8, 0)


def test_what_an_order_carries_is_named_as_in_issue_lines() -> None:
    given = {
        "stop_price": "9",
        "trail_amount": "1",
        "trail_percent": "2",
        "peg": "mid",
        "peg_offset": "-1",
        "expire_at_us": "7",
        "display_quantity": "1",
        "hidden": True,
        "min_quantity": "2",
        "all_or_none": "true",
        "post_only": True,
        "reduce_only": True,
        "stp": "decrement",
        "stp_group": "g",
        "link": {"type": "oco", "id": "L"},
    }
    _, message = parse({**ORDER, **given})
    assert message["instructions"] == {
        "stop_price": 9 * 10**8,
        "trail_amount": 10**8,
        "trail_percent": 2 * 10**8,
        "peg": "mid",
        "peg_offset": -(10**8),
        "expire_at_us": 7,
        "display_quantity": 10**8,
        "hidden": True,
        "min_quantity": 2 * 10**8,
        "all_or_none": True,
        "post_only": "reject",
        "reduce_only": True,
        "stp": "decrement",
        "stp_group": "g",
        "link_type": "oco",
        "link_id": "L",
        "link_parent": "",
    }
    assert parse({**ORDER, "link": "bracket:7", "post_only": "reprice"})[1]["instructions"]["link_id"] == "7"
    assert parse(ORDER)[1]["instructions"] is None
    call = call_of("NewOrder", message)
    assert call.body is not None
    assert call.body["link"] == given["link"]
    assert (call.body["stop_price"], call.body["post_only"]) == ("9", "reject")


def test_a_replace_changes_more_than_price_and_quantity() -> None:
    line = {"type": "replace_order", "account": "A", "order": "c1"}
    given = {"stop_price": "9", "display_quantity": "0", "time_in_force": "gtd", "expire_at_us": "5"}
    _, message = parse({**line, **given})
    assert message["changes"] == {
        "stop_price": 9 * 10**8,
        "display_quantity": 0,
        "time_in_force": "gtd",
        "expire_at_us": 5,
    }
    assert parse({**line, "quantity": "1"})[1]["changes"] is None
    kind, message = parse({"type": "cancel_all_after", "account": "A", "timeout_ms": "5000"})
    assert (kind, message["timeout_ms"]) == ("CancelAllAfter", 5000)


def test_a_misspelt_or_unknown_field_is_refused_not_passed_over() -> None:
    assert refused(limit_prise="9") == "limit_prise: is no field of this type"
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
        ({"order_type": "stp"}, "order_type: 'stp' is not offered; it can be limit, market"),
        ({"peg": "last"}, "peg: 'last' is not offered; it can be bid, ask, mid"),
        ({"hidden": "maybe"}, "hidden: must be true or false"),
        ({"post_only": "no"}, "post_only: 'no' is not offered; it can be reject, reprice"),
        ({"link": "oco"}, "link: must have an id that is not empty"),
        ({"link": {"type": "all", "id": "1"}}, "link: must have a type (oco, oto, bracket) and an id"),
        ({"expire_at_us": "soon"}, "expire_at_us: 'soon' is not a number of microseconds"),
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
