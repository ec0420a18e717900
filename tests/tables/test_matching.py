"""Matching, told in short words: enter, enter, expect. Ladders show the book before and after."""

from zlib import crc32

import pytest

from schemas.numbers import ONE
from tests.tables.desk import Desk, restored


@pytest.fixture
def desk() -> Desk:
    return Desk()


# Trading


def test_an_order_that_crosses_nothing_rests(desk: Desk) -> None:
    assert desk.new("a", "buy", 5, 100) == ["accepted a new 0/5"]
    assert desk.new("b", "sell", 5, 101) == ["accepted b new 0/5"]
    assert desk.ladder() == ["sell 101: b 5", "buy 100: a 5"]


def test_a_trade_is_at_the_makers_price_not_the_takers(desk: Desk) -> None:
    desk.new("a", "sell", 5, 100)
    assert desk.new("b", "buy", 5, 103) == [
        "accepted b new 0/5",
        "trade b filled 5@100 5/5",
        "trade a filled 5@100 5/5",
    ]
    assert desk.last("Trade") == {
        "trade_id": "AAPL-1",
        "symbol": "AAPL",
        "sequence": 1,
        "price": 100 * ONE,
        "quantity": 5 * ONE,
        "aggressor_side": "buy",
        "maker_account": "account of a",
        "maker_client_order_id": "a",
        "maker_order_id": "id of a",
        "taker_account": "account of b",
        "taker_client_order_id": "b",
        "taker_order_id": "id of b",
        "at_us": 2,
    }
    assert desk.ladder() == []


def test_the_rest_of_a_taker_rests_at_its_own_price(desk: Desk) -> None:
    desk.new("a", "sell", 2, 100)
    desk.new("b", "buy", 5, 103)
    assert desk.ladder() == ["buy 103: b 3"]


def test_partial_fill_keeps_time_priority(desk: Desk) -> None:
    desk.new("a", "sell", 5, 100)
    desk.new("b", "sell", 5, 100)
    desk.new("c", "buy", 2, 100)
    assert desk.ladder() == ["sell 100: a 3, b 5"]
    assert desk.new("d", "buy", 4, 100)[1:] == [
        "trade d partially_filled 3@100 3/4",
        "trade a filled 3@100 5/5",
        "trade d filled 1@100 4/4",
        "trade b partially_filled 1@100 1/5",
    ]
    assert desk.ladder() == ["sell 100: b 4"]


def test_a_sweep_takes_level_by_level_and_stops_at_its_limit(desk: Desk) -> None:
    for name, price in (("a", 100), ("b", 101), ("c", 102)):
        desk.new(name, "sell", 1, price)
    assert desk.new("d", "buy", 5, 101)[1:] == [
        "trade d partially_filled 1@100 1/5",
        "trade a filled 1@100 1/1",
        "trade d partially_filled 1@101 2/5",
        "trade b filled 1@101 1/1",
    ]
    assert desk.ladder() == ["sell 102: c 1", "buy 101: d 3"]


def test_trade_ids_count_without_gaps_per_symbol(desk: Desk) -> None:
    for name, price in (("a", 100), ("b", 101), ("c", 102)):
        desk.new(name, "sell", 1, price)
    desk.new("d", "buy", 2, 102)
    desk.new("e", "buy", 1, 102)
    assert [m["trade_id"] for kind, m in desk.said if kind == "Trade"] == ["AAPL-1", "AAPL-2", "AAPL-3"]


def test_books_of_two_symbols_do_not_meet(desk: Desk) -> None:
    desk.new("a", "sell", 1, 100)
    desk.symbol = "MSFT"
    assert desk.new("b", "buy", 1, 100) == ["accepted b new 0/1"]
    desk.new("c", "sell", 1, 100)
    assert desk.last("Trade")["trade_id"] == "MSFT-1"


def test_an_account_may_trade_with_itself(desk: Desk) -> None:
    desk.accounts = {"a": "one", "b": "one"}
    desk.new("a", "sell", 1, 100)
    desk.new("b", "buy", 1, 100)
    assert (desk.last("Trade")["maker_account"], desk.last("Trade")["taker_account"]) == ("one", "one")


def test_average_price_is_over_all_fills_rounded_half_to_even(desk: Desk) -> None:
    desk.new("a", "sell", 1, 1)
    desk.new("b", "sell", 2, 2)
    desk.new("c", "buy", 3, 2)
    taker = [m for kind, m in desk.said if kind == "OrderEvent" and m["client_order_id"] == "c"]
    assert [m["average_price"] for m in taker] == [0, ONE, 166_666_667]


# What may not rest


def test_market_order_trades_within_its_protection_and_never_rests(desk: Desk) -> None:
    desk.new("a", "sell", 1, 100)
    desk.new("b", "sell", 1, 105)
    assert desk.market("m", "buy", 3, 102)[1:] == [
        "trade m partially_filled 1@100 1/3",
        "trade a filled 1@100 1/1",
        "canceled m canceled 1/3 MATCHING_NO_LIQUIDITY",
    ]
    assert desk.last("OrderEvent")["text"] == "limit=102 left=2"
    assert desk.ladder() == ["sell 105: b 1"]


def test_a_market_order_shows_no_limit_price_but_tells_its_account_the_protection(desk: Desk) -> None:
    desk.market("m", "sell", 3, 90)
    assert {m["limit_price"] for kind, m in desk.said if kind == "OrderEvent"} == {0}
    assert desk.last("Execution")["limit_price"] == 90 * ONE


def test_the_rest_of_an_ioc_is_canceled_not_expired_and_does_not_rest(desk: Desk) -> None:
    desk.new("a", "sell", 1, 100)
    assert desk.new("i", "buy", 3, 100, "ioc")[-1] == "canceled i canceled 1/3 MATCHING_NO_LIQUIDITY"
    assert desk.ladder() == []


def test_an_ioc_that_is_filled_is_not_canceled(desk: Desk) -> None:
    desk.new("a", "sell", 3, 100)
    assert desk.new("i", "buy", 3, 100, "ioc")[-2:] == [
        "trade i filled 3@100 3/3",
        "trade a filled 3@100 3/3",
    ]


def test_a_fok_that_cannot_be_filled_is_accepted_then_canceled_and_trades_nothing(desk: Desk) -> None:
    desk.new("a", "sell", 2, 100)
    desk.new("b", "sell", 5, 102)
    assert desk.new("f", "buy", 3, 101, "fok") == [
        "accepted f new 0/3",
        "canceled f canceled 0/3 MATCHING_NOT_FILLABLE",
    ]
    assert desk.last("OrderEvent")["text"] == "available=2 asked=3"
    assert desk.ladder() == ["sell 102: b 5", "sell 100: a 2"]


def test_a_fok_is_filled_over_several_levels(desk: Desk) -> None:
    desk.new("a", "sell", 2, 100)
    desk.new("b", "sell", 5, 102)
    desk.new("f", "buy", 3, 102, "fok")
    assert desk.ladder() == ["sell 102: b 4"]


def test_a_market_fok_counts_only_what_is_within_its_protection(desk: Desk) -> None:
    desk.new("a", "sell", 2, 100)
    desk.new("b", "sell", 5, 102)
    assert desk.market("f", "buy", 3, 101, "fok")[-1] == "canceled f canceled 0/3 MATCHING_NOT_FILLABLE"


# Cancel


def test_cancel_takes_an_order_off(desk: Desk) -> None:
    desk.new("a", "buy", 5, 100)
    assert desk.cancel("a") == ["canceled a canceled 0/5 MATCHING_CANCELED_BY_REQUEST"]
    event, execution = desk.last("OrderEvent"), desk.last("Execution")
    assert (event["request_id"], event["request_offset"], event["leaves_quantity"]) == ("a-x", 2, 0)
    assert (execution["execution_type"], execution["leaves_quantity"], execution["version"]) == (
        "canceled",
        0,
        2,
    )
    assert desk.ladder() == []


def test_cancel_of_a_partly_filled_order_cancels_what_is_left(desk: Desk) -> None:
    desk.new("a", "buy", 5, 100)
    desk.new("b", "sell", 2, 100)
    assert desk.cancel("a") == ["canceled a canceled 2/5 MATCHING_CANCELED_BY_REQUEST"]


@pytest.mark.parametrize("end", ["filled", "canceled", "never was"])
def test_cancel_or_replace_of_a_finished_order_is_not_acknowledged(desk: Desk, end: str) -> None:
    if end != "never was":
        desk.new("a", "buy", 5, 100)
    if end == "filled":
        desk.new("b", "sell", 5, 100)
    if end == "canceled":
        desk.cancel("a")
    assert desk.cancel("a") == ["cancel_rejected a rejected MATCHING_UNKNOWN_ORDER"]
    assert desk.last("OrderEvent")["request_offset"] == desk.offset
    assert desk.replace("a", 9, 101) == ["replace_rejected a rejected MATCHING_UNKNOWN_ORDER"]
    event, execution = desk.last("OrderEvent"), desk.last("Execution")
    assert (event["order_id"], event["version"], event["text"]) == ("id of a", 0, "order_id=id of a")
    assert (execution["execution_type"], execution["request_offset"]) == ("replace_rejected", desk.offset)
    assert desk.ladder() == []


@pytest.mark.parametrize("reason", ["MATCHING_MASS_CANCELED", "MATCHING_KILL_SWITCH"])
def test_a_mass_cancel_gives_its_reason_and_says_nothing_of_orders_that_ended(
    desk: Desk, reason: str
) -> None:
    desk.new("a", "buy", 5, 100)
    assert desk.cancel("a", reason) == [f"canceled a canceled 0/5 {reason}"]
    assert desk.last("Execution")["reason"] == reason
    said = len(desk.said)
    assert desk.cancel("a", reason) == []
    assert len(desk.said) == said


# Replace


def test_less_quantity_at_the_same_price_keeps_priority(desk: Desk) -> None:
    desk.new("a", "buy", 5, 100)
    desk.new("b", "buy", 5, 100)
    assert desk.replace("a", 3) == ["replaced a new 0/3"]
    assert desk.ladder() == ["buy 100: a 3, b 5"]


def test_more_quantity_loses_priority(desk: Desk) -> None:
    desk.new("a", "buy", 5, 100)
    desk.new("b", "buy", 5, 100)
    assert desk.replace("a", 6) == ["replaced a new 0/6"]
    assert desk.ladder() == ["buy 100: b 5, a 6"]


def test_another_price_and_back_loses_priority(desk: Desk) -> None:
    desk.new("a", "buy", 5, 100)
    desk.new("b", "buy", 5, 100)
    desk.replace("a", price=99)
    assert desk.ladder() == ["buy 100: b 5", "buy 99: a 5"]
    desk.replace("a", price=100)
    assert desk.ladder() == ["buy 100: b 5, a 5"]


def test_a_replace_that_changes_only_the_name_keeps_priority(desk: Desk) -> None:
    desk.new("a", "buy", 5, 100)
    desk.new("b", "buy", 5, 100)
    assert desk.replace("a", 5, 100, "a2") == ["replaced a2 new 0/5"]
    assert desk.ladder() == ["buy 100: a2 5, b 5"]


def test_a_crossing_replace_trades_as_taker_before_it_rests(desk: Desk) -> None:
    desk.new("s", "sell", 2, 102)
    desk.new("a", "buy", 5, 100)
    assert desk.replace("a", price=103) == [
        "replaced a new 0/5",
        "trade a partially_filled 2@102 2/5",
        "trade s filled 2@102 2/2",
    ]
    assert desk.ladder() == ["buy 103: a 3"]
    assert desk.last("Trade")["aggressor_side"] == "buy"


def test_a_crossing_replace_that_is_filled_leaves_the_book(desk: Desk) -> None:
    desk.new("s", "sell", 9, 102)
    desk.new("a", "buy", 5, 100)
    assert desk.replace("a", price=102)[-2:] == [
        "trade a filled 5@102 5/5",
        "trade s partially_filled 5@102 5/9",
    ]
    assert desk.ladder() == ["sell 102: s 4"]


@pytest.mark.parametrize("quantity", [1, 2])
def test_replace_to_no_more_than_was_filled_fills_the_order_at_that_quantity(
    desk: Desk, quantity: int
) -> None:
    desk.new("a", "buy", 5, 100)
    desk.new("b", "sell", 2, 100)
    assert desk.replace("a", quantity) == ["replaced a filled 2/2"]
    execution = desk.last("Execution")
    assert (execution["quantity"], execution["leaves_quantity"]) == (2 * ONE, 0)
    assert desk.ladder() == []
    assert desk.cancel("a") == ["cancel_rejected a rejected MATCHING_UNKNOWN_ORDER"]


def test_replace_of_a_partly_filled_order_counts_the_new_total(desk: Desk) -> None:
    desk.new("a", "buy", 5, 100)
    desk.new("b", "sell", 2, 100)
    assert desk.replace("a", 4, 99) == ["replaced a partially_filled 2/4"]
    assert desk.ladder() == ["buy 99: a 2"]


def test_a_replace_renames_the_order_and_its_account_hears_the_id_it_entered(desk: Desk) -> None:
    desk.new("a", "buy", 5, 100)
    desk.replace("a", 4, request_id="a2")
    desk.replace("a", 3, request_id="a3")
    event, execution = desk.last("OrderEvent"), desk.last("Execution")
    assert (event["client_order_id"], event["request_id"], event["version"]) == ("a3", "a3", 3)
    assert (execution["client_order_id"], execution["request_id"]) == ("a", "a3")
    desk.new("b", "sell", 1, 100)
    assert desk.last("Trade")["maker_client_order_id"] == "a3"
    assert desk.last("Execution")["client_order_id"] == "a"


# What is said to whom


def test_both_accounts_hear_of_every_fill(desk: Desk) -> None:
    desk.new("a", "sell", 5, 100)
    desk.new("b", "buy", 2, 100)
    executions = [m for kind, m in desk.said if kind == "Execution"]
    assert executions[0] == {
        "account": "account of b",
        "client_order_id": "b",
        "execution_type": "fill",
        "last_quantity": 2 * ONE,
        "last_price": 100 * ONE,
        "leaves_quantity": 0,
        "quantity": 2 * ONE,
        "limit_price": 100 * ONE,
        "request_id": "",
        "reason": "NONE",
        "version": 2,
        "request_offset": 2,
        "text": "",
    }
    assert (executions[1]["account"], executions[1]["leaves_quantity"]) == ("account of a", 3 * ONE)
    assert len(executions) == 2


def test_a_maker_does_not_carry_the_offset_of_anothers_request(desk: Desk) -> None:
    desk.new("a", "sell", 5, 100)
    desk.new("b", "buy", 2, 100)
    offsets = {
        (kind, m["client_order_id"]): m["request_offset"]
        for kind, m in desk.said
        if kind == "Execution" or (kind == "OrderEvent" and m["event"] == "trade")
    }
    assert offsets == {
        ("OrderEvent", "b"): 2,
        ("OrderEvent", "a"): -1,
        ("Execution", "b"): 2,
        ("Execution", "a"): -1,
    }


def test_every_event_says_who_entered_the_order(desk: Desk) -> None:
    desk.new("a", "sell", 5, 100)
    desk.cancel("a")
    assert (desk.last("OrderEvent")["entered_by"], desk.last("OrderEvent")["door"]) == (
        "trader of a",
        "kafka",
    )


def test_the_status_of_a_resting_order_repeats_its_version(desk: Desk) -> None:
    desk.new("a", "sell", 5, 100)
    desk.new("b", "buy", 2, 100)
    assert desk.status("a") == ["order_status a partially_filled 2/5"]
    event = desk.last("OrderEvent")
    assert (event["version"], event["request_offset"], event["last_quantity"]) == (2, 3, 0)


def test_the_account_is_told_when_the_order_asked_about_is_not_in_the_book(desk: Desk) -> None:
    assert desk.status("a") == []
    execution = desk.last("Execution")
    assert (execution["execution_type"], execution["request_offset"]) == ("status_unknown", 1)
    assert (execution["account"], execution["client_order_id"]) == ("account of a", "a")


# Controls


def test_end_of_day_expires_day_orders_only_in_their_priority(desk: Desk) -> None:
    desk.new("a", "buy", 5, 99, "day")
    desk.new("b", "buy", 5, 100, "day")
    desk.new("c", "buy", 5, 100, "gtc")
    desk.new("d", "sell", 5, 101, "day")
    assert desk.control("ExpireDay") == [
        "expired b expired 0/5 MATCHING_END_OF_DAY",
        "expired a expired 0/5 MATCHING_END_OF_DAY",
        "expired d expired 0/5 MATCHING_END_OF_DAY",
    ]
    assert desk.ladder() == ["buy 100: c 5"]
    assert desk.last("Execution")["execution_type"] == "expired"
    assert desk.last("ControlReport") == {
        "control": "ExpireDay",
        "account": "",
        "symbol": "AAPL",
        "control_id": "c1",
        "outcome": "applied",
        "reason": "NONE",
        "text": "orders=3",
        "control_offset": 5,
        "entered_by": "ops",
        "door": "rest",
        "at_us": 5,
    }


def test_cancel_symbol_cancels_every_resting_order(desk: Desk) -> None:
    desk.new("a", "buy", 5, 99)
    desk.new("d", "sell", 5, 101)
    assert desk.control("CancelSymbol") == [
        "canceled a canceled 0/5 MATCHING_CANCELED_BY_OPERATOR",
        "canceled d canceled 0/5 MATCHING_CANCELED_BY_OPERATOR",
    ]
    assert desk.last("OrderEvent")["request_offset"] == -1
    assert [kind for kind, _ in desk.said][-3:] == ["OrderEvent", "Execution", "ControlReport"]
    assert desk.ladder() == []


@pytest.mark.parametrize("state", ["halted", "closed"])
def test_a_halt_cancels_resting_orders_only_when_told_to(desk: Desk, state: str) -> None:
    desk.new("a", "buy", 5, 99)
    assert desk.control("SetSymbolState", state=state, cancel_orders=False) == []
    assert desk.ladder() == ["buy 99: a 5"]
    assert len(desk.control("SetSymbolState", state=state, cancel_orders=True)) == 1
    assert desk.ladder() == []
    assert [m["control"] for kind, m in desk.said if kind == "ControlReport"] == ["SetSymbolState"] * 2


def test_every_control_has_one_report_also_for_a_symbol_without_orders(desk: Desk) -> None:
    desk.control("CancelSymbol")
    desk.control("ExpireDay")
    desk.control("SetPriceBand", band_bps=1, max_quote_age_ms=0)
    assert [m["control"] for kind, m in desk.said if kind == "ControlReport"] == [
        "CancelSymbol",
        "ExpireDay",
        "SetPriceBand",
    ]
    assert desk.cycle() == []


# Book updates


def test_the_first_update_is_a_snapshot_and_the_next_has_what_changed(desk: Desk) -> None:
    desk.new("a", "buy", 5, 100)
    desk.new("s", "sell", 5, 101)
    [first] = desk.cycle()
    desk.new("b", "buy", 1, 100)
    desk.cancel("s")
    [second] = desk.cycle()
    assert (first["snapshot"], first["sequence"]) == (True, 1)
    assert (second["snapshot"], second["sequence"]) == (False, 2)
    assert second["bids"] == [{"price": 100 * ONE, "quantity": 6 * ONE, "orders": 2}]
    assert second["asks"] == [{"price": 101 * ONE, "quantity": 0, "orders": 0}]


def test_no_update_when_nothing_looks_different(desk: Desk) -> None:
    desk.new("a", "buy", 5, 100)
    desk.cycle()
    desk.new("b", "buy", 1, 99)
    desk.cancel("b")
    assert desk.cycle() == []
    assert desk.cycle() == []


def test_every_five_hundredth_update_is_a_snapshot(desk: Desk) -> None:
    desk.new("z", "sell", 1, 101)
    desk.cycle()
    snapshots = []
    for number in range(2, 1003):
        if number % 2:
            desk.cancel(f"o{number - 1}")
        else:
            desk.new(f"o{number}", "buy", 1, 99)
        [update] = desk.cycle()
        if update["snapshot"]:
            snapshots.append((update["sequence"], len(update["bids"]), len(update["asks"])))
    assert snapshots == [(500, 1, 1), (1000, 1, 1)]


def test_checksum_is_the_crc32_of_the_ten_best_levels_as_documented(desk: Desk) -> None:
    for price in range(80, 100):
        desk.new(f"b{price}", "buy", 1, price)
    desk.new("b99b", "buy", 2, 99)
    [update] = desk.cycle()
    bids = ",".join(f"{price * ONE}:{(3 if price == 99 else 1) * ONE}" for price in range(99, 89, -1))
    assert update["checksum"] == crc32(f"{bids}|".encode())
    desk.new("s", "sell", 4, 100)
    [update] = desk.cycle()
    assert update["checksum"] == crc32(f"{bids}|{100 * ONE}:{4 * ONE}".encode())
    desk.cancel("s")
    [update] = desk.cycle()
    assert update["checksum"] == crc32(f"{bids}|".encode())


# Rows


def test_rows_are_the_books_counters_and_its_resting_orders(desk: Desk) -> None:
    desk.new("a", "buy", 5, 100, "day")
    desk.new("b", "sell", 2, 100)
    desk.replace("a", 4, request_id="a2")
    desk.cycle()
    assert {key: row.row for key, row in desk.rows.items()} == {
        "book|AAPL": {
            "symbol": "AAPL",
            "trades": 1,
            "updates": 1,
            "arrivals": 2,
            "market": {
                "session": "continuous",
                "interrupted": "continuous",
                "low": 0,
                "high": 0,
                "last": 100 * ONE,
                "last_us": 2,
                "bid": 0,
                "ask": 0,
                "static_reference": 100 * ONE,
                "limit_since_us": 0,
                "entries": 2,
                "indicative_price": 0,
                "indicative_quantity": 0,
                "indicative_imbalance": 0,
            },
        },
        "id of a": {
            "symbol": "AAPL",
            "account": "account of a",
            "client_order_id": "a2",
            "entry_id": "a",
            "order_id": "id of a",
            "side": "buy",
            "order_type": "limit",
            "time_in_force": "day",
            "quantity": 4 * ONE,
            "limit_price": 100 * ONE,
            "cum_quantity": 2 * ONE,
            "cum_notional": 200 * ONE * ONE,
            "arrival": 1,
            "version": 3,
            "entered_by": "trader of a",
            "door": "kafka",
        },
    }


def test_an_order_that_came_and_went_within_a_cycle_leaves_no_row(desk: Desk) -> None:
    desk.new("a", "buy", 5, 100)
    desk.new("b", "sell", 5, 100)
    desk.new("c", "buy", 5, 99)
    desk.cancel("c")
    assert [row.key for row in desk.matching.changed_rows()] == ["book|AAPL"]


@pytest.mark.parametrize("end", ["filled", "canceled", "expired", "closed", "filled as taker"])
def test_the_row_of_an_order_that_ended_goes(desk: Desk, end: str) -> None:
    desk.new("a", "buy", 5, 100, "day")
    desk.new("b", "sell", 1, 100)
    desk.new("c", "sell", 9, 102)
    desk.cycle()
    if end == "filled":
        desk.new("d", "sell", 4, 100)
    elif end == "canceled":
        desk.cancel("a")
    elif end == "expired":
        desk.control("ExpireDay")
    elif end == "closed":
        desk.replace("a", 1)
    else:
        desk.replace("a", price=102)
    assert "id of a" in desk.rows
    desk.cycle()
    assert "id of a" not in desk.rows


def test_nothing_changed_gives_no_rows(desk: Desk) -> None:
    desk.new("a", "buy", 5, 100)
    desk.cycle()
    desk.status("a")
    desk.cancel("unknown")
    assert list(desk.matching.changed_rows()) == []


def test_a_restored_book_goes_on_as_if_nothing_had_happened(desk: Desk) -> None:
    desk.new("a", "buy", 5, 100)
    desk.new("b", "buy", 5, 100)
    desk.new("c", "sell", 2, 100)
    desk.cycle()
    other = restored(desk)
    assert other.ladder() == desk.ladder() == ["buy 100: a 3, b 5"]
    assert other.new("d", "sell", 4, 100) == desk.new("d", "sell", 4, 100)
    assert other.last("Trade")["trade_id"] == "AAPL-3"
    [here], [there] = desk.cycle(), other.cycle()
    assert (here["snapshot"], there["snapshot"]) == (False, True)
    assert (here["sequence"], here["checksum"]) == (there["sequence"], there["checksum"])


def test_a_restored_order_keeps_its_names_fills_and_status(desk: Desk) -> None:
    desk.new("s", "sell", 1, 98)
    desk.new("a", "buy", 5, 100)
    desk.new("c", "sell", 1, 100)
    desk.replace("a", request_id="a2")
    desk.cycle()
    other = restored(desk)
    for side in (desk, other):
        side.said.clear()
        assert side.status("a") == ["order_status a2 partially_filled 2/5"]
        side.new("d", "sell", 1, 100)
        side.cancel("a")
    assert other.said == desk.said
    assert desk.last("OrderEvent")["average_price"] == 9_933_333_333
    assert desk.last("Execution")["client_order_id"] == "a"


def test_a_restored_book_that_looks_the_same_has_no_update(desk: Desk) -> None:
    desk.new("a", "buy", 5, 100)
    desk.cycle()
    other = restored(desk)
    other.new("b", "buy", 1, 100)
    other.cancel("b")
    assert other.cycle() == []


def test_a_restored_book_that_does_not_change_says_nothing(desk: Desk) -> None:
    desk.new("a", "buy", 5, 100)
    desk.cycle()
    other = restored(desk)
    assert other.cycle() == []
    assert list(other.matching.changed_rows()) == []


def test_rows_that_cannot_be_true_are_not_restored(desk: Desk) -> None:
    desk.new("a", "buy", 5, 100)
    desk.new("b", "sell", 5, 101)
    desk.cycle()
    for wrong, word in (
        ({"limit_price": 101 * ONE}, "crossed"),
        ({"cum_quantity": 5 * ONE}, "nothing open"),
        ({"arrival": 3}, "came after"),
    ):
        rows = dict(desk.rows)
        row = desk.rows["id of a"]
        desk.rows["id of a"] = row._replace(row=dict(row.row or {}) | wrong)
        with pytest.raises(AssertionError, match=word):
            restored(desk)
        desk.rows = rows
