"""Every order type, instruction, session and allocation once, as docs/matching.md tells it."""

from collections.abc import Callable
from typing import Any

import pytest

from tables.engine import Engine
from tables.instrument_rules import InstrumentRules
from tests.naive.desk import AnyEngine, Desk

SECOND_US = 1_000_000

EngineClass = Callable[..., AnyEngine]


def ruled(engine: EngineClass, **rules: object) -> Desk:
    """A desk at a market with rules."""
    return Desk(engine({"S": InstrumentRules("S", **rules)}))  # type: ignore[arg-type]


# Order types.


def test_a_market_order_stops_at_its_protection(desk: Desk) -> None:
    desk.sell("a", 2, 100)
    desk.sell("b", 2, 105)
    said = desk.buy("m", 4, 102, order_type="market")
    assert said == ["accepted m", "2 @ 100: a m", "canceled m NO_LIQUIDITY"]


def test_market_to_limit_rests_at_the_best_price_it_met(desk: Desk) -> None:
    desk.sell("a", 2, 100)
    desk.sell("b", 2, 101)
    assert desk.buy("m", 5, order_type="market_to_limit")[1:] == ["2 @ 100: a m"]
    assert desk.ladder() == "3@100 | 2@101"
    assert desk.engine.resting()[0]["limit_price"] == 100


def test_market_to_limit_without_another_side_is_canceled(desk: Desk) -> None:
    assert desk.buy("m", 5, order_type="market_to_limit")[1:] == ["canceled m NO_LIQUIDITY"]


def test_a_trailing_stop_follows_up_and_never_down(desk: Desk) -> None:
    desk.quote(last=100)
    desk.sell("s", 5, order_type="trailing_stop", trail_amount=4)
    desk.quote(last=110)
    assert desk.quote(last=107) == []
    desk.buy("b", 9, 90)
    assert desk.quote(last=106) == ["triggered s", "5 @ 90: b s"]


def test_a_trailing_stop_by_percent_keeps_its_distance_exactly(desk: Desk) -> None:
    desk.buy("s", 5, order_type="trailing_stop", trail_percent=250_000_000)
    desk.quote(last=1001)
    assert desk.engine.resting()[0]["stop_price"] == 1001 + 25


def test_market_if_touched_waits_for_the_better_price(desk: Desk) -> None:
    desk.sell("a", 5, 100)
    desk.quote(last=100)
    assert desk.buy("t", 5, order_type="market_if_touched", stop_price=98) == ["accepted t"]
    assert desk.quote(ask=98) == ["triggered t", "5 @ 100: a t"]


def test_a_new_stop_that_is_due_triggers_at_once(desk: Desk) -> None:
    desk.quote(last=100)
    said = desk.buy("s", 5, order_type="stop", stop_price=99)
    assert said == ["accepted s", "triggered s", "canceled s NO_LIQUIDITY"]


def test_a_peg_follows_the_best_bid_of_others(desk: Desk) -> None:
    desk.buy("p", 5, 101, order_type="pegged", peg="bid", peg_offset=-1)
    assert desk.ladder() == " | "
    desk.buy("a", 5, 99)
    assert desk.ladder() == "5@99 5@98 | "
    desk.buy("b", 5, 105)
    assert desk.ladder() == "5@105 5@101 5@99 | "
    desk.cancel("b")
    desk.cancel("a")
    assert desk.ladder() == " | "
    assert desk.live() == ["p"]


# Instructions.


def test_hidden_orders_trade_after_all_that_is_shown_at_their_price(desk: Desk) -> None:
    desk.sell("h", 5, 100, hidden=True)
    desk.sell("ice", 6, 100, display_quantity=2)
    assert desk.ladder() == " | 2@100"
    said = desk.buy("t", 9, 100)[1:]
    assert said == ["2 @ 100: ice t", "2 @ 100: ice t", "2 @ 100: ice t", "3 @ 100: h t"]


def test_all_or_none_waits_for_all_of_it(desk: Desk) -> None:
    desk.sell("a", 3, 100)
    desk.buy("all", 5, 100, all_or_none=True)
    assert desk.ladder() == " | 3@100"
    assert desk.sell("b", 2, 100) == ["accepted b", "3 @ 100: a all", "2 @ 100: b all"]


def test_all_or_none_is_offered_what_a_taker_has_left(desk: Desk) -> None:
    desk.buy("all", 5, 101, all_or_none=True)
    desk.buy("b", 2, 100)
    assert desk.sell("t", 9, 100)[1:] == ["2 @ 100: b t", "5 @ 101: all t"]
    assert desk.ladder() == " | 2@100"


def test_minimum_quantity_rests_once_it_is_reached(desk: Desk) -> None:
    desk.sell("a", 3, 100)
    desk.buy("m", 9, 100, min_quantity=4)
    assert desk.ladder() == " | 3@100"
    assert desk.sell("b", 1, 100)[1:] == ["3 @ 100: a m", "1 @ 100: b m"]
    assert desk.ladder() == "5@100 | "


def test_post_only_never_takes(desk: Desk) -> None:
    desk.sell("a", 3, 100, hidden=True)
    assert desk.buy("p", 3, 100, post_only=True) == ["rejected p POST_ONLY"]
    assert desk.buy("q", 3, 104, post_only="reprice") == ["accepted q"]
    assert desk.fields("limit_price") == [(99,)]
    assert desk.replace("q", limit_price=100) == ["replace_rejected q POST_ONLY"]


def test_self_trade_prevention_by_group_and_by_instrument(engine: EngineClass) -> None:
    desk = ruled(engine, stp="cancel_oldest")
    desk.sell("a", 3, 100, stp_group="g")
    desk.sell("b", 3, 100)
    said = desk.buy("t", 3, 100, stp_group="g")
    assert said[1:] == ["3 @ 100 prevented: a t", "canceled a SELF_TRADE", "3 @ 100: b t"]


def test_a_peg_never_trades_beyond_a_limit_that_a_replace_gave_it(desk: Desk) -> None:
    desk.quote(bid=100, ask=105)
    desk.control("opening_auction")
    desk.sell("p", 5, 104, order_type="pegged", peg="ask", peg_offset=-1)
    assert desk.ladder() == " | 5@104"
    desk.replace("p", limit_price=107)
    assert desk.ladder() == " | 5@107"
    desk.buy("b", 5, 105)
    assert desk.control("continuous") == ["session continuous"]
    # Not with a contingent order either, which is looked at before pegs are.
    desk.cancel("b")
    desk.buy("c", 8, 104, all_or_none=True)
    desk.sell("q", 3, 104, order_type="pegged", peg="ask", peg_offset=-1)
    assert desk.replace("q", limit_price=106, quantity=9) == ["replaced q"]
    assert desk.ladder() == " | 9@106 5@107"


def test_a_peg_that_a_band_parked_comes_back_with_the_session(desk: Desk) -> None:
    desk.quote(bid=100, ask=102)
    desk.buy("p", 5, order_type="pegged", peg="bid")
    desk.control("halt")
    desk.control("band", low=0, high=90)
    assert desk.ladder() == " | "
    desk.control("band", low=0, high=0)
    desk.control("continuous")
    assert desk.ladder() == "5@100 | "


def test_market_to_limit_gets_a_limit_on_tick_from_an_uncross(engine: EngineClass) -> None:
    desk = ruled(engine, ticks=((0, 10),))
    desk.quote(last=105)
    desk.control("opening_auction")
    desk.sell("s", 5, order_type="market")
    desk.buy("m", 9, order_type="market_to_limit")
    desk.control("continuous")
    assert desk.ladder() == "4@100 | "


@pytest.mark.parametrize("refused", [False, True])
def test_pegs_follow_other_ticks_with_the_next_command(engine: EngineClass, refused: bool) -> None:
    desk = ruled(engine, ticks=((0, 1),))
    desk.quote(bid=103, ask=110)
    desk.buy("p", 5, order_type="pegged", peg="bid")
    assert desk.ladder() == "5@103 | "
    market, other = desk.engine._markets["S"], InstrumentRules("S", ticks=((0, 5),))  # type: ignore[attr-defined]
    if isinstance(desk.engine, Engine):
        market.take_rules(other)
    else:
        market.rules = other
    if refused:
        desk.cancel("nobody")
    else:
        desk.quote(bid=103, ask=110)
    assert desk.ladder() == "5@100 | "


# Lists.


def test_one_cancels_other_at_the_first_fill(desk: Desk) -> None:
    link = {"type": "oco", "id": "1"}
    desk.sell("a", 5, 105, account="me", link=link)
    desk.sell("b", 5, account="me", order_type="stop", stop_price=95, link=link)
    assert desk.buy("t", 1, 105)[1:] == ["1 @ 105: a t", "canceled b LINKED"]
    assert desk.sell("c", 5, 106, account="me", link=link) == ["rejected c LINK_ENDED"]
    assert desk.sell("d", 5, 106, account="me", link={"type": "oto", "id": "1"}) == ["rejected d LINK"]


def two_of_a_list(desk: Desk, sign: int = 1) -> dict[str, str]:
    """Two sells of an OCO at 101 and 102, and another's at 103."""
    link = {"type": "oco", "id": "1"}
    desk.sell("a", 5, 101, account="me", link=link)
    desk.sell("b", 5, 102, account="me", link=link)
    desk.sell("c", 5, 103)
    return link


def test_one_sweep_takes_one_of_those_that_exclude_each_other(desk: Desk) -> None:
    two_of_a_list(desk)
    said = desk.buy("t", 12, 103)
    assert said == ["accepted t", "5 @ 101: a t", "canceled b LINKED", "5 @ 103: c t"]


def test_what_a_fill_excludes_is_not_available_to_fill_or_kill(desk: Desk) -> None:
    two_of_a_list(desk)
    assert desk.buy("t", 11, 103, time_in_force="fok")[1:] == ["canceled t NOT_FILLABLE"]
    said = desk.buy("u", 10, 103, time_in_force="fok")
    assert said[1:] == ["5 @ 101: a u", "canceled b LINKED", "5 @ 103: c u"]


def test_a_taker_of_a_list_finds_its_others_only_first(desk: Desk) -> None:
    link = {"type": "oco", "id": "1"}
    desk.sell("a", 5, 101)
    desk.sell("b", 5, 102, account="me", link=link)
    said = desk.buy("t", 10, 102, account="me", link=link, time_in_force="fok")
    assert said[1:] == ["canceled t NOT_FILLABLE", "canceled b LINKED"]
    desk.cancel("a")
    desk.sell("c", 5, 101, account="me", link={"type": "oco", "id": "2"})
    desk.sell("d", 5, 102)
    said = desk.buy("u", 10, 102, account="me", link={"type": "oco", "id": "2"}, time_in_force="fok")
    assert said[1:] == ["canceled u NOT_FILLABLE", "canceled c LINKED"]


def test_orders_of_a_list_that_meet_do_not_trade(desk: Desk) -> None:
    link = {"type": "oco", "id": "1"}
    desk.sell("a", 5, 101, account="me", link=link)
    desk.sell("b", 5, 102)
    assert desk.buy("t", 8, 102, account="me", link=link)[1:] == ["canceled t LINKED", "canceled a LINKED"]
    link = {"type": "oco", "id": "2"}
    desk.control("opening_auction")
    desk.sell("c", 5, 100, account="me", link=link)
    desk.buy("u", 5, 101, account="me", link=link)
    assert desk.control("continuous") == [
        "canceled u LINKED",
        "session continuous",
        "canceled c LINKED",
    ]


def test_pro_rata_keeps_orders_of_a_list_apart(engine: EngineClass) -> None:
    desk = ruled(engine, allocation="pro_rata", lot_size=1)
    link = {"type": "oco", "id": "1"}
    desk.sell("a", 5, 101)
    desk.sell("b", 5, 101, account="me", link=link)
    assert desk.buy("t", 8, 101, account="me", link=link)[1:] == ["canceled t LINKED", "canceled b LINKED"]


def test_an_uncross_goes_on_where_a_fill_took_the_other_side_away(desk: Desk) -> None:
    link = {"type": "oco", "id": "1"}
    desk.control("opening_auction")
    desk.buy("xb", 10, 105, account="me", link=link)
    desk.sell("xs", 200, 90, account="me", link=link)
    desk.buy("t", 100, 104)
    desk.sell("s", 5, 89)
    desk.sell("s2", 50, 103)
    assert desk.control("continuous") == [
        *("5 @ 90: xb s", "canceled xs LINKED"),
        *("5 @ 103: xb s2", "45 @ 103: t s2", "session continuous"),
    ]
    assert desk.ladder() == "55@104 | "


def test_pro_rata_gives_to_one_of_a_list(engine: EngineClass) -> None:
    desk = ruled(engine, allocation="pro_rata", lot_size=1)
    link = {"type": "oco", "id": "1"}
    desk.sell("a", 5, 101, account="me", link=link)
    desk.sell("b", 5, 101, account="me", link=link)
    desk.sell("c", 10, 101)
    # Who of a list trades first is not known before, so neither is counted on.
    assert desk.buy("t", 11, 101, time_in_force="fok")[1:] == ["canceled t NOT_FILLABLE"]
    said = desk.buy("u", 10, 101)
    assert said[1:] == [
        *("3 @ 101: a u", "canceled b LINKED", "5 @ 101: c u"),
        *("1 @ 101: a u", "1 @ 101: c u"),
    ]


def test_a_collar_ends_what_is_available_also_where_nobody_counts(engine: EngineClass) -> None:
    desk = ruled(engine, allocation="pro_rata", lot_size=1, dynamic_collar_bps=1000)
    desk.sell("a", 5, 90, account="me", link={"type": "oco", "id": "1"})
    desk.sell("b", 5, 105)
    desk.quote(last=101)
    assert desk.buy("t", 5, 105, min_quantity=1, time_in_force="ioc")[1:] == ["canceled t NOT_FILLABLE"]


def test_an_uncross_takes_one_of_those_that_exclude_each_other(desk: Desk) -> None:
    desk.control("opening_auction")
    two_of_a_list(desk)
    assert desk.buy("t", 12, 103)[1:] == ["indicative 10 @ 103 +2"]
    assert desk.control("uncross") == [
        *("5 @ 103: a t", "canceled b LINKED", "5 @ 103: c t"),
        *("session opening_auction", "indicative 0 @ None +0"),
    ]


def test_the_children_of_a_bracket_exclude_each_other_after_one_ended(desk: Desk) -> None:
    link = {"type": "bracket", "id": "1"}
    desk.buy("in", 5, 100, account="me", link=link)
    desk.sell("t", 5, 100)
    desk.sell("x", 5, 101, account="me", link=link, stp_group="g")
    desk.sell("y", 5, 102, account="me", link=link)
    desk.sell("z", 5, 103, account="me", link=link)
    # Prevention ends the first; the others are still there until the taker is done, but not for both.
    said = desk.buy("u", 12, 103, stp="cancel_oldest", stp_group="g")
    assert said[1:] == [
        *("5 @ 101 prevented: x u", "canceled x SELF_TRADE"),
        *("5 @ 102: y u", "canceled z LINKED"),
    ]


def test_a_bracket_is_held_until_its_parent_is_filled(desk: Desk) -> None:
    link = {"type": "bracket", "id": "1"}
    desk.buy("in", 5, 100, account="me", link=link)
    desk.sell("up", 5, 105, account="me", link=link)
    desk.sell("down", 5, account="me", order_type="stop", stop_price=95, link=link)
    assert desk.ladder() == "5@100 | "
    desk.sell("t", 5, 100)
    assert desk.ladder() == " | 5@105"
    assert desk.quote(last=95) == ["triggered down", "canceled down NO_LIQUIDITY", "canceled up LINKED"]


@pytest.mark.parametrize("kind", ["oto", "bracket"])
def test_a_parent_that_was_refused_leaves_no_child_active(desk: Desk, kind: str) -> None:
    link = {"type": kind, "id": "1"}
    desk.sell("s", 5, 105)
    said = desk.buy("in", 5, 105, account="me", link=link, post_only="reject")
    assert said == ["rejected in POST_ONLY"]
    assert desk.sell("up", 5, 110, account="me", link=link) == ["rejected up LINK_ENDED"]
    # Of a child that was refused, nobody hears.
    other = {"type": kind, "id": "2"}
    desk.buy("in 2", 5, 100, account="me", link=other)
    desk.sell("up 2", 0, 110, account="me", link=other)
    desk.sell("down 2", 5, 110, account="me", link=other)
    assert desk.sell("t", 5, 100)[1:] == ["5 @ 100: in 2 t"]
    assert desk.ladder() == " | 5@105 5@110"


def test_an_oco_goes_on_without_a_member_that_was_refused(desk: Desk) -> None:
    link = {"type": "oco", "id": "1"}
    desk.sell("a", 0, 105, account="me", link=link)
    assert desk.sell("b", 5, 106, account="me", link=link) == ["accepted b"]


def test_a_child_waits_for_the_parent_that_it_names_and_for_no_other(desk: Desk) -> None:
    link = {"type": "oto", "id": "1"}
    assert desk.sell("x", 5, 110, account="me", link=link | {"parent": "in"}) == ["rejected x LINK_ENDED"]
    desk.buy("in", 5, 100, account="me", link=link)
    assert desk.sell("y", 5, 110, account="me", link=link | {"parent": "z"}) == ["rejected y LINK_ENDED"]
    assert desk.sell("up", 5, 110, account="me", link=link | {"parent": "in"}) == ["accepted up"]
    assert desk.ladder() == "5@100 | "


def test_exits_that_name_their_entry_are_never_larger_than_what_it_filled(desk: Desk) -> None:
    link = {"type": "bracket", "id": "1"}
    named = link | {"parent": "in"}
    desk.buy("in", 10, 100, account="me", link=link)
    desk.sell("up", 10, 110, account="me", link=named)
    desk.sell("part", 4, 111, account="me", link=named)
    desk.sell("free", 9, 112, account="me", link=link)
    desk.replace("in", quantity=6, account="me")
    assert desk.sell("t", 6, 100) == ["accepted t", "6 @ 100: in t", "replaced up LINKED"]
    assert desk.ladder() == " | 6@110 4@111 9@112"
    assert desk.replace("up", quantity=7, account="me") == ["replace_rejected up INVALID_QUANTITY"]
    assert desk.replace("part", quantity=6, account="me") == ["replaced part"]
    assert desk.replace("free", quantity=12, account="me") == ["replaced free"]
    assert desk.sell("late", 8, 113, account="me", link=named) == ["accepted late", "replaced late LINKED"]
    assert desk.ladder() == " | 6@110 6@111 12@112 6@113"


def test_children_end_with_their_parent(desk: Desk) -> None:
    link = {"type": "oto", "id": "1"}
    desk.buy("in", 5, 100, account="me", link=link)
    desk.sell("up", 5, 105, account="me", link=link)
    assert desk.cancel("in", "me") == ["canceled in CANCELED_BY_REQUEST", "canceled up LINKED"]


# Sessions.


def test_an_auction_prefers_volume_then_balance_then_the_reference(desk: Desk) -> None:
    desk.quote(last=103)
    desk.control("opening_auction")
    assert desk.buy("a", 5, 104) == ["accepted a"]
    assert desk.sell("b", 5, 100)[1:] == ["indicative 5 @ 104 +0"]
    assert desk.sell("c", 2, 102)[1:] == ["indicative 5 @ 100 +0"]
    assert desk.buy("d", 2, 102)[1:] == ["indicative 7 @ 102 +0"]
    assert desk.control("uncross") == [
        "5 @ 102: a b",
        "2 @ 102: c d",
        "session opening_auction",
        "indicative 0 @ None +0",
    ]
    assert desk.fields("aggressor_side") == [("unknown",), ("unknown",)]


def test_what_waits_for_an_auction_joins_it_and_ends_with_it(desk: Desk) -> None:
    desk.buy("c", 5, 100, time_in_force="at_close")
    desk.buy("x", 5, 99, time_in_force="crossing")
    assert desk.ladder() == "5@99 | "
    assert desk.control("closing_auction") == ["session closing_auction", "expired x EXPIRED"]
    assert desk.ladder() == "5@100 | "
    assert desk.sell("i", 1, 100, time_in_force="ioc") == ["rejected i TIME_IN_FORCE"]
    assert desk.control("closed") == ["expired c EXPIRED", "session closed"]
    assert desk.sell("d", 1, 100) == ["rejected d CLOSED"]


def test_a_halt_keeps_the_auction_that_it_interrupts(desk: Desk) -> None:
    desk.control("pre_open")
    desk.buy("o", 5, 100, time_in_force="at_open")
    desk.sell("s", 2, 99)
    assert desk.control("halt") == ["session halt"]
    assert desk.buy("n", 5, 100) == ["rejected n HALTED"]
    assert desk.control("continuous") == ["2 @ 99: o s", "expired o EXPIRED", "session continuous"]


def test_orders_expire_by_time_and_at_the_end_of_the_day(desk: Desk) -> None:
    desk.buy("g", 5, 100, time_in_force="gtd", expire_at_us=50)
    desk.buy("d", 5, 101)
    desk.buy("c", 5, 99, time_in_force="gtc")
    assert desk.quote() == []
    desk.at_us = 49
    assert desk.quote() == ["expired g EXPIRED"]
    assert desk.control("expire_day") == ["expired d END_OF_DAY"]
    assert desk.live() == ["c"]


def test_a_mass_cancel_names_orders_by_priority(desk: Desk) -> None:
    for name, price in (("a", 99), ("b", 101), ("c", 100)):
        desk.buy(name, 5, price, account="me")
    desk.sell("s", 5, 110, account="me")
    desk.buy("u", 5, account="me", order_type="stop", stop_price=120)
    said = desk.do("mass_cancel", account="me", side="buy")
    assert said == [f"canceled {name} MASS_CANCELED" for name in "bcau"]
    assert desk.live() == ["s"]


# Bands and collars.


def test_no_trade_outside_the_band(desk: Desk) -> None:
    desk.sell("a", 5, 100)
    desk.sell("b", 5, 111)
    desk.control("band", low=90, high=110)
    assert desk.buy("x", 5, 111) == ["rejected x PRICE_BAND"]
    assert desk.buy("m", 9)[1:] == ["5 @ 100: a m", "canceled m NO_LIQUIDITY"]
    desk.buy("y", 5, 105)
    assert desk.control("band", low=90, high=104) == ["canceled y PRICE_BAND"]


def test_a_limit_state_becomes_an_auction_after_15_seconds(desk: Desk) -> None:
    desk.control("band", low=90, high=110)
    desk.buy("a", 5, 110, at_us=1_000)
    assert desk.do("quote", at_us=15_000_999) == []
    assert desk.do("quote", at_us=15_001_000) == ["session volatility_auction LIMIT_STATE"]


def paused(desk: Desk) -> None:
    """A pause from second 15 on: the limit state began at 0."""
    desk.control("band", low=90, high=110, at_us=0)
    desk.buy("a", 5, 110, at_us=0)
    assert desk.do("quote", at_us=15 * SECOND_US) == ["session volatility_auction LIMIT_STATE"]


def test_trading_begins_again_five_minutes_after_the_pause_did(desk: Desk) -> None:
    paused(desk)
    assert desk.sell("b", 3, 105) == ["accepted b", "indicative 3 @ 105 +2"]
    assert desk.do("quote", at_us=315 * SECOND_US - 1) == []
    assert desk.do("quote", at_us=315 * SECOND_US) == ["3 @ 105: a b", "session continuous"]


def test_what_is_due_happens_when_it_is_due_however_late_the_next_command(desk: Desk) -> None:
    """One command brings about that b expired in the pause, what c traded at its end, and the next pause."""
    paused(desk)
    desk.sell("b", 3, 105, time_in_force="gtd", expire_at_us=100 * SECOND_US)
    desk.sell("c", 1, 106)
    assert desk.do("quote", at_us=340 * SECOND_US) == [
        "expired b EXPIRED",
        "indicative 1 @ 106 +4",
        "1 @ 106: a c",
        "session continuous",
        "session volatility_auction LIMIT_STATE",
    ]


def test_a_market_order_that_waits_cannot_become_good_till_date(desk: Desk) -> None:
    desk.control("opening_auction")
    desk.sell("a", 8, min_quantity=4, time_in_force="day")
    desk.control("continuous")
    said = desk.replace("a", time_in_force="gtd", expire_at_us=10**9)
    assert said == ["replace_rejected a INVALID_INSTRUCTION"]


def test_what_was_due_before_a_replace_names_the_order_as_it_was_then(desk: Desk) -> None:
    paused(desk)
    desk.sell("b", 3, 105)
    said = desk.replace("a", quantity=6, client_order_id="a2", at_us=315 * SECOND_US)
    assert said[0] == "3 @ 105: a b"
    assert "replaced a2" in said


def test_an_order_that_expires_in_time_ends_the_limit_state(desk: Desk) -> None:
    desk.control("band", low=90, high=110, at_us=0)
    desk.buy("a", 5, 110, at_us=0, time_in_force="gtd", expire_at_us=14 * SECOND_US)
    assert desk.do("quote", at_us=20 * SECOND_US) == ["expired a EXPIRED"]


@pytest.mark.parametrize("action", ["halt", "opening_auction"])
def test_a_control_of_the_session_ends_the_pause(desk: Desk, action: str) -> None:
    paused(desk)
    desk.control(action)
    assert desk.do("quote", at_us=900 * SECOND_US) == []


def test_the_same_session_named_again_leaves_the_pause_as_it_is(desk: Desk) -> None:
    paused(desk)
    desk.control("volatility_auction")
    assert desk.do("quote", at_us=315 * SECOND_US) == ["session continuous"]


def test_a_collar_begins_an_auction_instead_of_the_trade(engine: EngineClass) -> None:
    desk = ruled(engine, dynamic_collar_bps=500)
    desk.sell("a", 5, 100)
    desk.sell("b", 5, 106)
    said = desk.buy("t", 8, 106)
    assert said == [
        "accepted t",
        "5 @ 100: a t",
        "session volatility_auction COLLAR",
        "indicative 3 @ 106 -2",
    ]


# Rules of an instrument.


def test_pro_rata_shares_with_minimum_and_top_order(engine: EngineClass) -> None:
    desk = ruled(engine, allocation="pro_rata", pro_rata_min=3, top_order=True)
    for name, quantity in (("top", 10), ("a", 60), ("b", 30), ("c", 10)):
        desk.sell(name, quantity, 100)
    said = desk.buy("t", 40, 100)
    # 30 among 100: 18, 9, 3; of the last a part too small with a taker of 35: 25 x 10 // 100 is 2.
    assert said[1:] == ["10 @ 100: top t", "18 @ 100: a t", "9 @ 100: b t", "3 @ 100: c t"]
    assert desk.buy("u", 10, 100)[1:] == ["10 @ 100: a u"]


@pytest.mark.parametrize(
    ("quantity", "price", "reason"),
    [
        (15, 100, "INVALID_QUANTITY"),
        (10, 103, "INVALID_PRICE"),
        (10, 5, "INVALID_PRICE"),
        (10, 1000, "INVALID_PRICE"),
    ],
)
def test_rules_of_the_instrument_are_held(
    engine: EngineClass, quantity: int, price: int, reason: str
) -> None:
    desk = ruled(engine, ticks=((0, 1), (50, 5)), lot_size=10, min_price=10, max_price=500)
    assert desk.buy("a", quantity, price) == [f"rejected a {reason}"]
    assert desk.buy("b", 10, 11) == ["accepted b"]


@pytest.mark.parametrize(
    "fields",
    [
        {"trail_amount": 1},
        {"stop_price": 90},
        {"peg": "bid"},
        {"expire_at_us": 9},
        {"time_in_force": "gtd"},
        {"display_quantity": 6},
        {"hidden": True, "time_in_force": "ioc"},
        {"min_quantity": 6},
        {"all_or_none": True, "post_only": True},
        {"link": {"type": "oco", "id": ""}},
    ],
)
def test_instructions_that_do_not_go_together_are_rejected(desk: Desk, fields: dict[str, object]) -> None:
    assert desk.buy("a", 5, 100, **fields) == ["rejected a INVALID_INSTRUCTION"]


# Replace.


def test_a_replace_keeps_or_loses_the_place(desk: Desk) -> None:
    for name in "abc":
        desk.sell(name, 5, 100)
    desk.replace("a", quantity=3)
    desk.replace("b", quantity=6)
    assert desk.buy("t", 20, 100)[1:] == ["3 @ 100: a t", "5 @ 100: c t", "6 @ 100: b t"]


def test_a_peg_that_is_replaced_to_more_rests_anew_where_it_was(desk: Desk) -> None:
    desk.quote(bid=100)
    desk.buy("p", 3, order_type="pegged", peg="bid")
    desk.sell("s", 5, 100, all_or_none=True)
    assert desk.replace("p", quantity=7) == ["replaced p", "5 @ 100: p s"]


def test_a_replace_to_what_is_filled_fills(desk: Desk) -> None:
    desk.sell("a", 5, 100)
    desk.buy("b", 3, 100)
    assert desk.replace("a", quantity=2) == ["replaced a"]
    assert desk.fields("status", "quantity", "leaves_quantity") == [("filled", 3, 0)]
    assert desk.live() == []


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({}, "NOTHING_TO_REPLACE"),
        ({"quantity": 5, "limit_price": 100}, "NOTHING_TO_REPLACE"),
        ({"stop_price": 90}, "NOT_REPLACEABLE"),
        ({"time_in_force": "ioc"}, "NOT_REPLACEABLE"),
        ({"client_order_id": "other"}, "DUPLICATE_ORDER"),
        ({"quantity": -1}, "INVALID_QUANTITY"),
        ({"limit_price": 0}, "INVALID_PRICE"),
        ({"time_in_force": "gtd"}, "INVALID_INSTRUCTION"),
    ],
)
def test_a_replace_that_is_refused_changes_nothing(desk: Desk, fields: dict[str, Any], reason: str) -> None:
    desk.sell("a", 5, 100)
    desk.sell("other", 5, 101, account="a")
    assert desk.replace("a", **fields) == [f"replace_rejected a {reason}"]
    assert desk.ladder() == " | 5@100 5@101"


def test_a_trailing_stop_that_waits_for_its_first_price_still_waits_after_a_replace(desk: Desk) -> None:
    desk.control("closing_auction")
    desk.buy("t", 1, order_type="trailing_stop", trail_amount=5)
    desk.quote(last=100)
    desk.replace("t", quantity=8)
    [waiting] = desk.engine.resting()
    assert (waiting["quantity"], waiting["stop_price"]) == (8, None)
    desk.control("continuous")
    [waiting] = desk.engine.resting()
    assert waiting["stop_price"] == 105


def test_a_display_taken_away_loses_priority_although_all_was_shown(desk: Desk) -> None:
    desk.sell("a", 1, 100, display_quantity=1)
    desk.sell("b", 1, 100)
    desk.replace("a", display_quantity=0)
    assert desk.buy("t", 1, 100) == ["accepted t", "1 @ 100: b t"]
