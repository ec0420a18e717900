"""What matching engines get wrong: one test for each known class of errors, told as a ladder."""

import pytest

from tests.naive.desk import Desk


def test_a_trade_has_the_makers_price_not_the_takers(desk: Desk) -> None:
    desk.sell("a", 5, 100)
    assert desk.buy("b", 5, 107) == ["accepted b", "5 @ 100: a b"]


def test_the_best_price_after_a_cancel_is_the_next_one(desk: Desk) -> None:
    desk.sell("a", 5, 100)
    desk.sell("b", 5, 102)
    desk.cancel("a")
    assert desk.ladder() == " | 5@102"
    assert desk.buy("c", 5, 101) == ["accepted c"]
    assert desk.buy("d", 5, 102) == ["accepted d", "5 @ 102: b d"]


def test_a_cancel_in_the_middle_of_a_level_keeps_the_others_order(desk: Desk) -> None:
    for name in "abc":
        desk.sell(name, 5, 100)
    desk.cancel("b")
    assert desk.buy("t", 10, 100)[1:] == ["5 @ 100: a t", "5 @ 100: c t"]


def test_a_partial_fill_keeps_time_priority(desk: Desk) -> None:
    desk.sell("a", 5, 100)
    desk.sell("b", 5, 100)
    desk.buy("t", 2, 100)
    assert desk.ladder() == " | 8@100(2)"
    assert desk.buy("u", 4, 100)[1:] == ["3 @ 100: a u", "1 @ 100: b u"]


def test_cancel_and_replace_of_a_finished_order_are_refused(desk: Desk) -> None:
    desk.sell("a", 5, 100)
    desk.buy("b", 5, 100)
    assert desk.cancel("a") == ["cancel_rejected a UNKNOWN_ORDER"]
    assert desk.replace("b", quantity=9) == ["replace_rejected b UNKNOWN_ORDER"]
    assert desk.fields("side", "status", "limit_price", "quantity") == [(None, "rejected", None, 0)]


def test_a_replace_that_crosses_trades(desk: Desk) -> None:
    desk.sell("a", 5, 100)
    desk.buy("b", 8, 99)
    assert desk.replace("b", limit_price=101) == ["replaced b", "5 @ 100: a b"]
    assert desk.ladder() == "3@101 | "


def test_the_rest_of_an_ioc_order_never_rests(desk: Desk) -> None:
    desk.sell("a", 5, 100)
    said = desk.buy("b", 8, 100, time_in_force="ioc")
    assert said == ["accepted b", "5 @ 100: a b", "canceled b NO_LIQUIDITY"]
    assert desk.fields("status", "cum_quantity", "leaves_quantity")[-1] == ("canceled", 5, 0)
    assert desk.ladder() == " | "


def test_a_sweep_stops_at_its_limit(desk: Desk) -> None:
    for price in (100, 101, 102):
        desk.sell(f"s{price}", 5, price)
    assert desk.buy("b", 20, 101)[1:] == ["5 @ 100: s100 b", "5 @ 101: s101 b"]
    assert desk.ladder() == "10@101 | 5@102"


def test_an_id_is_free_again_once_its_order_is_finished(desk: Desk) -> None:
    desk.sell("a", 5, 100)
    assert desk.sell("a", 5, 101) == ["rejected a DUPLICATE_ORDER"]
    desk.replace("a", client_order_id="a2", account="a")
    assert desk.sell("a2", 1, 101, account="a") == ["rejected a2 DUPLICATE_ORDER"]
    assert desk.sell("a", 1, 101) == ["rejected a DUPLICATE_ORDER"]
    assert desk.cancel("a") == ["canceled a2 CANCELED_BY_REQUEST"]
    assert desk.sell("a", 5, 101) == ["accepted a"]
    assert desk.sell("a2", 1, 101, account="a") == ["accepted a2"]


def test_no_trade_has_a_quantity_of_zero(desk: Desk) -> None:
    assert desk.sell("z", 0, 100) == ["rejected z INVALID_QUANTITY"]
    desk.sell("a", 5, 100)
    desk.replace("a", quantity=2)
    desk.buy("b", 2, 100)
    assert desk.fields("price", "quantity")[-1] == (100, 2)
    assert desk.buy("c", 1, 100) == ["accepted c"]


def test_a_cascade_of_stops_is_worked_off_to_its_end(desk: Desk) -> None:
    """Each stop's trade triggers the next; all of it belongs to the command that began it."""
    for price in (100, 99, 98, 97):
        desk.buy(f"b{price}", 1, price)
    for name, price in (("x", 99), ("w", 100), ("y", 98)):
        desk.sell(name, 1, stop_price=price, order_type="stop")
    assert desk.sell("t", 1) == [
        "accepted t",
        "1 @ 100: b100 t",
        "triggered w",
        "1 @ 99: b99 w",
        "triggered x",
        "1 @ 98: b98 x",
        "triggered y",
        "1 @ 97: b97 y",
    ]


def test_stops_of_one_price_enter_in_the_order_of_their_entry(desk: Desk) -> None:
    desk.sell("a", 5, 100)
    desk.sell("b", 5, 101)
    desk.buy("y", 2, stop_price=100, order_type="stop")
    desk.buy("x", 2, stop_price=99, order_type="stop")
    said = desk.buy("t", 1, 100)
    assert said[2:] == ["triggered y", "triggered x", "2 @ 100: a y", "2 @ 100: a x"]


def test_an_iceberg_refreshes_at_the_back_and_never_crosses(desk: Desk) -> None:
    desk.sell("ice", 9, 100, display_quantity=3)
    desk.sell("a", 3, 100)
    assert desk.ladder() == " | 6@100(2)"
    assert desk.buy("t", 8, 100)[1:] == ["3 @ 100: ice t", "3 @ 100: a t", "2 @ 100: ice t"]
    assert desk.ladder() == " | 1@100"
    desk.sell("late", 1, 100)
    assert desk.buy("u", 2, 100)[1:] == ["1 @ 100: ice u", "1 @ 100: late u"]
    assert desk.ladder() == " | 3@100"


def test_a_stop_triggers_once(desk: Desk) -> None:
    desk.buy("s", 5, 101, stop_price=100, order_type="stop_limit")
    assert desk.quote(last=100) == ["triggered s"]
    assert desk.quote(last=100) == []
    assert desk.ladder() == "5@101 | "
    assert desk.sell("t", 2, 100)[1:] == ["2 @ 101: s t"]


def test_nothing_that_could_trade_is_left_over_after_an_auction(desk: Desk) -> None:
    desk.control("opening_auction")
    desk.buy("a", 5, 101)
    desk.buy("m", 4)
    desk.sell("b", 6, 99)
    said = desk.control("continuous")
    assert said == ["4 @ 99: m b", "2 @ 99: a b", "session continuous"]
    assert desk.ladder() == "3@101 | "


def test_a_market_order_that_an_auction_leaves_is_canceled(desk: Desk) -> None:
    desk.control("opening_auction")
    desk.buy("m", 9)
    desk.sell("b", 4, 99)
    said = desk.control("continuous")
    assert said == ["4 @ 99: m b", "canceled m NO_LIQUIDITY", "session continuous"]


@pytest.mark.parametrize(
    ("stp", "said", "ladder"),
    [
        ("cancel_newest", ["canceled t SELF_TRADE"], " | 5@100 4@101"),
        ("cancel_oldest", ["canceled own SELF_TRADE", "4 @ 101: a t"], "4@101 | "),
        ("cancel_both", ["canceled own SELF_TRADE", "canceled t SELF_TRADE"], " | 4@101"),
        ("decrement", ["canceled own SELF_TRADE", "replaced t SELF_TRADE", "3 @ 101: a t"], " | 1@101"),
    ],
)
def test_a_prevented_self_trade_leaves_the_book_right(
    desk: Desk, stp: str, said: list[str], ladder: str
) -> None:
    desk.sell("own", 5, 100, account="me")
    desk.sell("a", 4, 101)
    assert desk.buy("t", 8, 101, account="me", stp=stp) == [
        "accepted t",
        "5 @ 100 prevented: own t",
        *said,
    ]
    assert desk.ladder() == ladder


def test_a_fill_or_kill_order_never_fills_in_part(desk: Desk) -> None:
    desk.sell("ice", 9, 100, display_quantity=1)
    desk.sell("own", 5, 100, account="me")
    said = desk.buy("t", 3, 100, time_in_force="fok", account="me", stp="cancel_newest")
    assert said == ["accepted t", "canceled t NOT_FILLABLE"]
    desk.buy("u", 9, 100, time_in_force="fok", account="me", stp="cancel_oldest")
    assert desk.fields("taker")[-1][0]["status"] == "filled"
    assert desk.ladder() == " | "


def test_no_price_is_too_high_for_a_market_order_or_a_stop(desk: Desk) -> None:
    highest = 90 * 10**17
    desk.sell("a", 5, highest)
    desk.sell("c", 5, highest)
    desk.buy("s", 1, order_type="stop", stop_price=highest)
    assert desk.buy("b", 1) == [
        "accepted b",
        f"1 @ {highest}: a b",
        "triggered s",
        f"1 @ {highest}: a s",
    ]
