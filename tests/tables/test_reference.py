"""Instruments and reference prices: what is refused, and what is answered."""

from typing import Any

import pytest

from schemas.numbers import parse_e8
from schemas.partitioning import lane_of
from tables.instrument_rules import InstrumentRules
from tables.reference import Instruments, ReferencePrices
from tests.tables.words import instrument


def test_an_instrument_is_found_by_its_symbol() -> None:
    instruments = Instruments()
    put = instruments.put(instrument("AAPL"))
    assert instruments.get("AAPL") is put
    assert instruments.get("MSFT") is None
    assert list(instruments.all()) == [put]


def test_a_later_message_replaces_the_former() -> None:
    instruments = Instruments()
    instruments.put(instrument("AAPL"))
    instruments.put(instrument("AAPL", status="delisted", lot_size="10"))
    found = instruments.get("AAPL")
    assert found is not None
    assert (found.status, found.lot_size_e8) == ("delisted", parse_e8("10"))


def test_ticks_of_a_table_hold_from_their_price_up() -> None:
    ladder = Instruments().put(instrument(ticks=[("0", "0.0001"), ("1", "0.01"), ("100", "0.05")]))
    on = {text: ladder.on_tick(parse_e8(text)) for text in ("0.0001", "0.99995", "1", "1.005", "99.99")}
    assert on == {"0.0001": True, "0.99995": False, "1": True, "1.005": False, "99.99": True}
    assert not ladder.on_tick(parse_e8("100.01"))
    assert ladder.on_tick(parse_e8("100.05"))


def test_a_single_tick_holds_at_every_price() -> None:
    flat = Instruments().put(instrument(ticks=[("0", "0.25")]))
    assert flat.on_tick(parse_e8("7.75"))
    assert not flat.on_tick(parse_e8("7.8"))


@pytest.mark.parametrize(
    ("field", "changes"),
    [
        ("symbol", {"symbol": ""}),
        ("symbol", {"symbol": "A|B"}),
        ("symbol", {"symbol": "A\0"}),
        ("currency", {"currency": ""}),
        ("lot_size", {"lot_size": "0"}),
        ("lot_size", {"lot_size": "-1"}),
        ("multiplier", {"multiplier": "0"}),
        ("ticks", {"ticks": []}),
        ("ticks", {"ticks": [("1", "0.01")]}),
        ("ticks", {"ticks": [("0", "0")]}),
        ("ticks", {"ticks": [("0", "0.01"), ("5", "0.1"), ("5", "0.2")]}),
        ("status", {"status": "unknown"}),
        ("lane", {"lane": -1}),
        ("band_bps", {"band_bps": -1}),
        ("max_quote_age_ms", {"max_quote_age_ms": -1}),
        ("min_price", {"min_price": -1}),
        ("max_price", {"min_price": 2, "max_price": 1}),
        ("pro_rata_min", {"pro_rata_min": 10**30}),
        ("stp", {"stp": "unknown"}),
        ("allocation", {"allocation": "unknown"}),
        ("static_collar_bps", {"static_collar_bps": -1}),
        ("dynamic_collar_bps", {"dynamic_collar_bps": -1}),
        ("currency", {"symbol": "USD"}),
    ],
)
def test_nonsense_is_refused_with_its_field(field: str, changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=field):
        Instruments().put(instrument(**changes))


def test_an_instrument_has_the_rules_that_matching_needs() -> None:
    rules = (
        Instruments().put(instrument(stp="unset", allocation="pro_rata", max_price=5, odd_lots=True)).rules
    )
    assert rules == InstrumentRules(
        *("AAPL", ((0, 1_000_000),), 100_000_000, True), max_price=5, stp="none", allocation="pro_rata"
    )


@pytest.mark.parametrize("changes", [{"currency": "EUR"}, {"multiplier": "2"}, {"lane": 2}])
def test_what_live_orders_hang_on_cannot_change(changes: dict[str, Any]) -> None:
    instruments = Instruments()
    first = instruments.put(instrument("AAPL"))
    with pytest.raises(ValueError, match=next(iter(changes))):
        instruments.put(instrument("AAPL", **changes))
    assert instruments.get("AAPL") is first


@pytest.mark.parametrize("symbol", ["USD", "EUR"])
def test_a_name_is_an_instrument_or_a_currency_never_both(symbol: str) -> None:
    instruments = Instruments()
    instruments.put(instrument("AAPL"))
    instruments.put(instrument("SAP", currency="EUR"))
    with pytest.raises(ValueError, match="names both"):
        instruments.put(instrument(symbol, currency="GBP"))
    with pytest.raises(ValueError, match="names both"):
        instruments.put(instrument("MSFT", currency="AAPL"))


def test_a_symbol_has_its_own_lane_or_that_of_murmur2() -> None:
    instruments = Instruments()
    instruments.put(instrument("AAPL", lane=3))
    instruments.put(instrument("MSFT"))
    assert instruments.lane_of_symbol("AAPL", 4) == 3
    assert instruments.lane_of_symbol("AAPL", 3) == lane_of("AAPL", 3)
    assert instruments.lane_of_symbol("MSFT", 4) == lane_of("MSFT", 4)
    assert instruments.lane_of_symbol("nobody", 4) == lane_of("nobody", 4)


def test_the_latest_reference_price_counts() -> None:
    prices = ReferencePrices()
    assert prices.get("AAPL") is None
    prices.put({"symbol": "AAPL", "price": 5, "at_us": 1})
    prices.put({"symbol": "AAPL", "price": 7, "at_us": 2})
    assert prices.get("AAPL") == 7


@pytest.mark.parametrize("price", [0, -1, 10**30])
def test_a_reference_price_that_is_none_is_refused(price: int) -> None:
    with pytest.raises(ValueError, match="price of 'AAPL'"):
        ReferencePrices().put({"symbol": "AAPL", "price": price, "at_us": 1})
