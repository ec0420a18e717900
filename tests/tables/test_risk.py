"""Risk: at which price and size one may trade, held against the latest quote."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from schemas.codec import schema_text
from schemas.numbers import format_e8, parse_e8
from schemas.reasons import Reason
from schemas.records import Record, Said
from tables.instructions import NOTHING
from tables.reference import Instruments
from tables.risk import Risk
from tests.tables.words import (
    HOUR_US,
    NOON_US,
    cleared_cancel,
    cleared_order,
    cleared_replace,
    cleared_status_request,
    instrument,
    quote,
    symbol_control,
)

SECOND_US = 1_000_000


@pytest.fixture
def instruments() -> Instruments:
    instruments = Instruments()
    instruments.put(instrument("AAPL", lot_size="10", band_bps=1000, max_quote_age_ms=5000))
    instruments.put(instrument("OPEN", band_bps=0))
    return instruments


@pytest.fixture
def risk(instruments: Instruments) -> Risk:
    return Risk(0, instruments)


def refusal(said: list[Said] | None) -> tuple[Reason, str]:
    """Reason and text of a refusal's event."""
    assert said is not None
    return said[0][1]["reason"], said[0][1]["text"]


def prices(said: list[Said]) -> dict[str, str]:
    """Reference prices by symbol."""
    return {message["symbol"]: format_e8(message["price"]) for _, message in said}


# Orders and replaces


@pytest.mark.parametrize("price", ["90", "100", "110"])
def test_an_order_within_the_band_passes_on(risk: Risk, price: str) -> None:
    risk.apply(quote("AAPL", "99.5", "100.5"), NOON_US)
    assert risk.apply(cleared_order(f"buy 10 AAPL {price}"), NOON_US) is None


@pytest.mark.parametrize("side", ["buy", "sell"])
@pytest.mark.parametrize("price", ["89.99", "110.01"])
def test_an_order_outside_the_band_is_refused_on_either_side(risk: Risk, side: str, price: str) -> None:
    risk.apply(quote("AAPL", "99.5", "100.5"), NOON_US)
    said = risk.apply(cleared_order(f"{side} 10 AAPL {price}"), NOON_US)
    assert refusal(said) == ("RISK_PRICE_BAND", f"low=90 high=110 asked={price}")


def test_an_instrument_without_a_band_needs_no_quote(risk: Risk) -> None:
    assert risk.apply(cleared_order("buy 1 OPEN 100000"), NOON_US) is None


def test_without_a_quote_there_is_nothing_to_hold_the_price_against(risk: Risk) -> None:
    said = risk.apply(cleared_order("buy 10 AAPL 100"), NOON_US)
    assert refusal(said) == ("RISK_NO_QUOTE", "symbol=AAPL")


def test_a_quote_is_stale_past_its_age_by_the_log(risk: Risk) -> None:
    risk.apply(quote("AAPL", "99.5", "100.5", at_us=1), NOON_US + 9 * SECOND_US)
    order = cleared_order("buy 10 AAPL 100")
    assert risk.apply(order, NOON_US + 5 * SECOND_US) is None
    said = risk.apply(order, NOON_US + 5 * SECOND_US + 1)
    assert refusal(said) == ("RISK_STALE_QUOTE", "age_ms=5000 max_ms=5000")


def test_an_age_of_zero_is_any_age(risk: Risk) -> None:
    risk.apply(quote("AAPL", "99.5", "100.5"), NOON_US)
    risk.apply(symbol_control("SetPriceBand", band_bps=-1, max_quote_age_ms=0), NOON_US)
    assert risk.apply(cleared_order("buy 10 AAPL 100"), NOON_US + HOUR_US) is None


@pytest.mark.parametrize(
    ("words", "reason", "text"),
    [
        ("buy 10 NOPE 100", "RISK_UNKNOWN_SYMBOL", "symbol=NOPE"),
        ("buy 15 AAPL 100", "RISK_OFF_LOT", "lot_size=10 asked=15"),
        ("buy 10 AAPL 100.001", "RISK_OFF_TICK", "tick_size=0.01 asked=100.001"),
    ],
)
def test_a_size_or_price_off_its_step_is_refused(risk: Risk, words: str, reason: Reason, text: str) -> None:
    risk.apply(quote("AAPL", "99.5", "100.5"), NOON_US)
    assert refusal(risk.apply(cleared_order(words), NOON_US)) == (reason, text)


def test_the_protection_price_of_a_market_order_need_not_be_on_tick(risk: Risk) -> None:
    risk.apply(quote("AAPL", "99.5", "100.5"), NOON_US)
    assert risk.apply(cleared_order("buy 10 AAPL 104.99999999", order_type="market"), NOON_US) is None


def test_a_refused_order_is_rejected_for_all_and_for_its_account(risk: Risk) -> None:
    said = risk.apply(cleared_order("buy 10 AAPL 100", request_offset=42), NOON_US)
    assert said is not None
    (event_kind, event), (execution_kind, execution) = said
    assert (event_kind, event["event"], event["status"]) == ("OrderEvent", "rejected", "rejected")
    assert (event["version"], event["leaves_quantity"], event["request_offset"]) == (1, 0, 42)
    assert (execution_kind, execution["execution_type"]) == ("Execution", "rejected")
    assert (execution["reason"], execution["leaves_quantity"]) == ("RISK_NO_QUOTE", 0)
    assert execution["text"] == event["text"] != ""


def test_a_refused_replace_tells_the_order_as_its_account_knew_it(risk: Risk) -> None:
    risk.apply(quote("AAPL", "99.5", "100.5"), NOON_US)
    said = risk.apply(cleared_replace("AAPL", price="111", request_id="c2"), NOON_US)
    assert said is not None
    (_, event), (_, execution) = said
    assert (event["event"], event["status"], event["version"]) == ("replace_rejected", "partially_filled", 3)
    assert [format_e8(event[f"{name}_quantity"]) for name in ("cum", "leaves")] == ["10", "20"]
    assert (event["client_order_id"], event["request_id"]) == ("c1b", "c2")
    assert (execution["execution_type"], execution["client_order_id"]) == ("replace_rejected", "c1")
    assert execution["reason"] == "RISK_PRICE_BAND"


def test_what_a_replace_leaves_is_not_asked(risk: Risk) -> None:
    assert risk.apply(cleared_replace("AAPL", quantity="20"), NOON_US) is None
    assert refusal(risk.apply(cleared_replace("AAPL", quantity="25"), NOON_US))[0] == "RISK_OFF_LOT"
    assert refusal(risk.apply(cleared_replace("AAPL", price="100"), NOON_US))[0] == "RISK_NO_QUOTE"


@pytest.mark.parametrize(("state", "reason"), [("halted", "RISK_HALTED"), ("closed", "RISK_CLOSED")])
def test_while_not_open_only_cancels_pass(risk: Risk, state: str, reason: Reason) -> None:
    assert risk.apply(symbol_control("SetSymbolState", "OPEN", state=state), NOON_US) is None
    assert refusal(risk.apply(cleared_order("buy 1 OPEN 100"), NOON_US)) == (reason, f"state={state}")
    assert refusal(risk.apply(cleared_replace("OPEN", quantity="5"), NOON_US)) == (reason, f"state={state}")
    assert risk.apply(cleared_cancel("OPEN"), NOON_US) is None
    assert risk.apply(cleared_status_request("OPEN"), NOON_US) is None
    risk.apply(symbol_control("SetSymbolState", "OPEN", state="open"), NOON_US)
    assert risk.apply(cleared_order("buy 1 OPEN 100"), NOON_US) is None


def test_an_event_of_risk_has_every_field_of_its_schema(risk: Risk) -> None:
    for record in (cleared_order("buy 10 AAPL 100"), cleared_replace("AAPL", price="100")):
        for kind, message in risk.apply(record, NOON_US) or []:
            fields = {field["name"] for field in json.loads(schema_text(kind))["fields"]}
            assert set(message) | {"instructions", "terms"} == fields | {"instructions", "terms"}


# Quotes and reference prices


@pytest.mark.parametrize(
    ("bid", "ask", "last", "price"),
    [
        ("99", "101", "120", "100"),
        ("0.00000001", "0.00000002", "0", "0.00000001"),
        ("100", "100", "0", "100"),
        ("99", "0", "98", "98"),
        ("0", "0", "98", "98"),
    ],
)
def test_the_reference_price_is_the_mid_else_the_last_trade(
    risk: Risk, bid: str, ask: str, last: str, price: str
) -> None:
    risk.apply(quote("AAPL", bid, ask, last), NOON_US)
    assert prices(risk.end_cycle(NOON_US)) == {"AAPL": price}


@pytest.mark.parametrize(
    "nonsense",
    [
        quote("AAPL", "101", "100"),
        quote("AAPL", "-1", "100"),
        quote("AAPL", "99", "100", "-1"),
        quote("AAPL", "99", "0"),
        quote("AAPL", "0", "0"),
        quote("AAPL", 10**5000, 10**5001),
        quote("NOPE", "99", "101"),
    ],
)
def test_a_quote_that_makes_no_price_is_left_out_and_counted(risk: Risk, nonsense: Record) -> None:
    risk.apply(quote("AAPL", "99", "101"), NOON_US)
    before = list(risk.changed_rows())
    assert risk.apply(nonsense, NOON_US) == []
    assert (risk.quotes_ignored, list(risk.changed_rows())) == (1, [])
    assert prices(risk.end_cycle(NOON_US)) == {"AAPL": "100"}
    assert len(before) == 1


def test_a_reference_price_is_published_at_most_once_a_second_and_the_latest_is(risk: Risk) -> None:
    published = []
    for tenth in range(25):
        at_us = NOON_US + tenth * SECOND_US // 10
        risk.apply(quote("AAPL", str(100 + tenth), str(100 + tenth)), at_us)
        published += [(tenth, price) for price in prices(risk.end_cycle(at_us)).values()]
    assert published == [(0, "100"), (10, "110"), (20, "120")]
    assert prices(risk.end_cycle(NOON_US + 3 * SECOND_US)) == {"AAPL": "124"}
    assert risk.end_cycle(NOON_US + 9 * SECOND_US) == []


def test_a_price_that_is_back_where_it_was_is_not_published_again(risk: Risk) -> None:
    risk.apply(quote("AAPL", "100", "100"), NOON_US)
    risk.end_cycle(NOON_US)
    for price in ("101", "100"):
        risk.apply(quote("AAPL", price, price), NOON_US)
    assert risk.end_cycle(NOON_US + 2 * SECOND_US) == []
    risk.apply(quote("AAPL", "101", "101"), NOON_US)
    assert prices(risk.end_cycle(NOON_US + 3 * SECOND_US)) == {"AAPL": "101"}


# Controls


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (symbol_control("SetSymbolState", "NOPE", state="open"), "RISK_UNKNOWN_SYMBOL"),
        (symbol_control("CancelSymbol", "NOPE"), "RISK_UNKNOWN_SYMBOL"),
        (symbol_control("ExpireDay", "NOPE"), "RISK_UNKNOWN_SYMBOL"),
        (symbol_control("SetSymbolState", state="unknown"), "RISK_INVALID_CONTROL"),
        (symbol_control("SetPriceBand", band_bps=-2, max_quote_age_ms=0), "RISK_INVALID_CONTROL"),
        (symbol_control("SetPriceBand", band_bps=0, max_quote_age_ms=-2), "RISK_INVALID_CONTROL"),
        (symbol_control("ExpireDay", control_id="k\0"), "RISK_INVALID_CONTROL"),
    ],
)
def test_a_control_that_makes_no_sense_is_refused_here(risk: Risk, record: Record, reason: Reason) -> None:
    [(kind, report)] = risk.apply(record, NOON_US) or []
    assert (kind, report["outcome"], report["reason"]) == ("ControlReport", "rejected", reason)
    assert (report["control"], report["account"]) == (record.kind, "")
    assert list(risk.changed_rows()) == []


@pytest.mark.parametrize(
    ("kind", "changes"),
    [
        ("SetSymbolState", {"state": "halted"}),
        ("SetPriceBand", {"band_bps": 5, "max_quote_age_ms": 0}),
        ("CancelSymbol", {}),
        ("ExpireDay", {}),
    ],
)
def test_a_control_id_passes_once_per_symbol_within_the_window(
    risk: Risk, kind: str, changes: dict[str, Any]
) -> None:
    control = symbol_control(kind, control_id="k1", **changes)
    assert risk.apply(control, NOON_US) is None
    again = risk.apply(symbol_control(kind, control_id="k1", **changes), NOON_US)
    assert refusal(again) == ("RISK_DUPLICATE_CONTROL", "control_id=k1")
    assert risk.apply(symbol_control(kind, "OPEN", control_id="k1", **changes), NOON_US) is None
    later = symbol_control(kind, control_id="k1", logged_us=NOON_US + 24 * HOUR_US, **changes)
    assert risk.apply(later, NOON_US) is None


def test_a_band_that_is_set_holds_until_set_back(risk: Risk) -> None:
    risk.apply(quote("AAPL", "100", "100"), NOON_US)
    order = cleared_order("buy 10 AAPL 102")
    assert risk.apply(order, NOON_US) is None
    risk.apply(symbol_control("SetPriceBand", band_bps=100, max_quote_age_ms=-1), NOON_US)
    assert refusal(risk.apply(order, NOON_US)) == ("RISK_PRICE_BAND", "low=99 high=101 asked=102")
    risk.apply(symbol_control("SetPriceBand", band_bps=-1, max_quote_age_ms=-1), NOON_US)
    assert risk.apply(order, NOON_US) is None


# Rows


def test_many_quotes_of_a_cycle_are_one_row(risk: Risk) -> None:
    for price in ("100", "101", "102"):
        risk.apply(quote("AAPL", price, price), NOON_US)
    risk.end_cycle(NOON_US)
    [row] = list(risk.changed_rows())
    assert row.row is not None
    assert (row.kind, format_e8(row.row["bid"]), format_e8(row.row["reference_price"])) == (
        "RiskRow",
        "102",
        "102",
    )


def test_a_restored_lane_answers_as_the_one_before_it_did(risk: Risk, instruments: Instruments) -> None:
    rows: dict[str, tuple[str, Mapping[str, Any]]] = {}
    risk.apply(quote("AAPL", "100", "100"), NOON_US)
    risk.end_cycle(NOON_US)
    risk.apply(quote("AAPL", "101", "103"), NOON_US)
    risk.apply(symbol_control("SetSymbolState", "OPEN", state="halted", control_id="k1"), NOON_US)
    risk.apply(symbol_control("SetPriceBand", band_bps=100, max_quote_age_ms=700), NOON_US)
    risk.end_cycle(NOON_US)
    for row in risk.changed_rows():
        assert row.row is not None
        rows[row.key] = (row.kind, row.row)
    restored = Risk(0, instruments)
    for kind, fields in reversed(rows.values()):
        restored.restore(kind, dict(fields))
    restored.restored()
    asked = [
        cleared_order("buy 1 OPEN 1"),
        cleared_order("buy 10 AAPL 103.02"),
        cleared_order("buy 10 AAPL 103.03"),
        symbol_control("ExpireDay", "OPEN", control_id="k1"),
    ]
    for at_us in (NOON_US, NOON_US + SECOND_US):
        assert [risk.apply(record, at_us) for record in asked] == [
            restored.apply(record, at_us) for record in asked
        ]
        assert risk.end_cycle(at_us) == restored.end_cycle(at_us)
    assert list(risk.changed_rows()) == list(restored.changed_rows())


def test_old_control_ids_leave_the_changelog(risk: Risk) -> None:
    risk.apply(symbol_control("ExpireDay", control_id="k1"), NOON_US)
    list(risk.changed_rows())
    risk.apply(symbol_control("ExpireDay", logged_us=NOON_US + 25 * HOUR_US), NOON_US)
    risk.end_cycle(NOON_US)
    assert [row.key for row in risk.changed_rows() if row.row is None] == ["control|AAPL|k1"]


# Other types, sessions, and the quotes that matching needs


def waiting(order_type: str, stop: str, words: str = "buy 10 AAPL 100", **changes: Any) -> Record:
    """A ClearedOrder that waits for a price."""
    instructions = {**NOTHING, "stop_price": parse_e8(stop)}
    return cleared_order(words, order_type=order_type, instructions=instructions, **changes)


def test_a_stop_price_is_on_tick_and_may_be_far_away(risk: Risk) -> None:
    risk.apply(quote("AAPL", "99.5", "100.5"), NOON_US)
    assert risk.apply(waiting("stop_limit", "300", "buy 10 AAPL 310"), NOON_US) is None
    assert risk.apply(waiting("stop", "300", "buy 10 AAPL 315.001"), NOON_US) is None
    off = risk.apply(waiting("stop", "300.001"), NOON_US)
    assert refusal(off) == ("RISK_OFF_TICK", "tick_size=0.01 asked=300.001")
    off = risk.apply(waiting("stop_limit", "300", "buy 10 AAPL 300.001"), NOON_US)
    assert refusal(off) == ("RISK_OFF_TICK", "tick_size=0.01 asked=300.001")
    changes = {"stop_price": parse_e8("0.001"), "display_quantity": None}
    off = risk.apply(cleared_replace("AAPL", order_type="stop", changes=changes), NOON_US)
    assert refusal(off) == ("RISK_OFF_TICK", "tick_size=0.01 asked=0.001")


def test_a_market_to_limit_order_is_held_against_the_band_like_a_market_order(risk: Risk) -> None:
    risk.apply(quote("AAPL", "99.5", "100.5"), NOON_US)
    assert risk.apply(cleared_order("buy 10 AAPL 105.001", order_type="market_to_limit"), NOON_US) is None
    out = risk.apply(cleared_order("buy 10 AAPL 111", order_type="market_to_limit"), NOON_US)
    assert refusal(out)[0] == "RISK_PRICE_BAND"
    assert out is not None
    assert out[0][1]["limit_price"] == 0


def test_odd_lots_pass_where_they_are_taken(risk: Risk) -> None:
    risk._instruments.put(instrument("ODD", lot_size="10", band_bps=0, odd_lots=True))
    assert risk.apply(cleared_order("buy 3 ODD 100"), NOON_US) is None


def test_quotes_pass_on_only_while_their_market_needs_them(risk: Risk) -> None:
    watched: set[str] = set()
    risk.watched = watched
    assert risk.apply(quote("AAPL", "99.5", "100.5"), NOON_US) == []
    watched.add("AAPL")
    assert risk.apply(quote("AAPL", "99.5", "100.5"), NOON_US) is None
    assert risk.apply(quote("AAPL", "101", "100"), NOON_US) == []
    watched.discard("AAPL")
    assert risk.apply(quote("AAPL", "99.5", "100.5"), NOON_US) == []


def test_the_latest_quote_goes_ahead_of_what_makes_a_market_need_quotes(risk: Risk) -> None:
    assert risk.apply(waiting("stop", "90"), NOON_US) is None
    assert risk.ahead == []
    risk.apply(quote("AAPL", "99.5", "100.5", "100", logged_us=NOON_US - 5), NOON_US)
    assert risk.apply(cleared_order("buy 10 AAPL 100"), NOON_US) is None
    assert risk.ahead == []
    for record in (waiting("stop", "90"), symbol_control("SetSession", session="pre_open")):
        assert risk.apply(record, NOON_US) is None
        [sent] = risk.ahead
        assert (sent.kind, sent.logged_us) == ("Quote", NOON_US - 5)
        assert [format_e8(sent.message[name]) for name in ("bid", "ask", "last")] == ["99.5", "100.5", "100"]
        risk.ahead.clear()
    risk.watched = {"AAPL"}
    assert risk.apply(waiting("stop", "90"), NOON_US) is None
    assert risk.ahead == []


@pytest.mark.parametrize(
    ("kind", "values", "text"),
    [
        ("SetSession", {"session": "unknown"}, "session must be one of pre_open"),
        ("SetTradingBand", {"low": -1, "high": 0}, "low must be 0"),
        ("SetTradingBand", {"low": 2, "high": 1}, "high must be 0 (none) or at least low"),
    ],
)
def test_a_control_of_a_market_that_makes_no_sense_is_refused(
    risk: Risk, kind: str, values: dict[str, Any], text: str
) -> None:
    said = risk.apply(symbol_control(kind, **values), NOON_US)
    assert said is not None
    assert said[0][1]["reason"] == "RISK_INVALID_CONTROL"
    assert text in said[0][1]["text"]
