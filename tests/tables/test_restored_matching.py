"""Matching restored from its changelog at any point goes on exactly as the one that lived on.

Random commands of every order type, session, band and collar go to two desks; one of them is made anew from
the rows now and then. What they say must be the same byte by byte, but for which book updates are snapshots;
so must be their rows, the quotes they ask for and the orders they keep. `python -m tests.tables.soak` does
the same for hours.
"""

from functools import cache
from itertools import islice
from random import Random
from typing import Any

import pytest

from schemas.numbers import ONE
from tables.instructions import NOTHING
from tests.tables.desk import Desk, restored
from tests.tables.differential import RestoredMatching
from tests.tables.pipeline_records import Records, instruments_of
from tests.tables.random_commands import Commands, rules

SEEDS = range(1, 9)
SECOND_US = 1_000_000


@cache
def run(seed: int) -> frozenset[str]:
    """Has both desks hear random commands; what occurred in the one that lives, and in its changelog."""
    desks, random, logged = RestoredMatching(rules(seed)), Random(seed), set[str]()
    for step in islice(Commands(seed), 1_500):
        desks.apply(step)
        if random.random() < 0.2:
            desks.cycle()
        if random.random() < 0.1:
            desks.restore()
            rows = [dict(row.row or {}) for row in desks.lives.rows.values()]
            logged |= {(row.get("state") or {}).get("place", "") for row in rows}
            logged |= {f"list {row['stage']}" for row in rows if "stage" in row}
            logged |= {row["market"]["session"] for row in rows if "market" in row}
            logged |= {"limit state" for row in rows if "market" in row and row["market"]["limit_since_us"]}
    words = ("event", "order_type", "time_in_force", "reason", "execution_type")
    return frozenset(
        {kind for kind, _ in desks.lives.said}
        | {str(message.get(word)) for _, message in desks.lives.said for word in words}
        | logged
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_a_restored_matching_goes_on_as_if_nothing_had_happened(seed: int) -> None:
    assert run(seed) > {"accepted", "trade", "triggered"}


def test_what_was_restored_was_unusual() -> None:
    """A restore of plain books would prove little: this is what was said, and what was in the changelogs."""
    seen = frozenset[str]().union(*(run(seed) for seed in SEEDS))
    expected = {
        *("book", "triggers", "contingent", "parked", "held", "limit state"),
        *("list open", "list released", "list ended"),
        *("pre_open", "opening_auction", "continuous", "volatility_auction", "closing_auction"),
        *("halt", "closed"),
        *("limit", "market", "market_to_limit", "stop", "stop_limit", "trailing_stop"),
        *("market_if_touched", "pegged"),
        *("day", "gtc", "gtd", "ioc", "fok", "at_open", "at_close", "auction", "crossing"),
        *("accepted", "rejected", "triggered", "trade", "canceled", "cancel_rejected", "replaced"),
        *("replace_rejected", "expired"),
        *("Trade", "QuoteTaken", "SelfTradePrevented", "SessionChange", "AuctionIndication", "ControlReport"),
        *("MATCHING_LINKED", "MATCHING_SELF_TRADE", "MATCHING_COLLAR", "MATCHING_LIMIT_STATE"),
        *("MATCHING_EXPIRED", "MATCHING_END_OF_DAY", "MATCHING_PRICE_BAND", "MATCHING_POST_ONLY"),
    }
    assert seen >= expected, expected - seen


# What the random commands found.


def test_a_market_with_nothing_but_a_stop_needs_quotes() -> None:
    desk = Desk()
    _enter(desk, "a", "sell", "stop", 3, 90, stop_price=95 * ONE)
    assert desk.matching.watched == {desk.symbol}
    desk.cancel("a")
    assert desk.matching.watched == set()


def test_a_book_that_closed_crossed_is_restored() -> None:
    """The closing uncross fills the parent; what it releases rests, across what the uncross left."""
    desk = Desk()
    desk.accounts = dict.fromkeys(("parent", "child"), "one")
    desk.control("SetSession", session="opening_auction")
    linked = {"link_type": "oto", "link_id": "1"}
    _enter(desk, "parent", "buy", "limit", 1, 100, **linked)
    _enter(desk, "child", "sell", "limit", 5, 90, **linked)
    desk.new("b", "buy", 4, 95)
    desk.new("s", "sell", 1, 100)
    desk.control("SetSession", session="closed")
    desk.cycle()
    assert desk.ladder() == ["buy 95: b 4", "sell 90: child 5"]
    for other in (desk, restored(desk)):
        assert other.control("SetSession", session="continuous")[0] == "trade b filled 4@95 4/4"


# Time alone.


@pytest.mark.parametrize("seed", range(20, 24))
def test_it_does_not_matter_when_a_lane_wakes(seed: int) -> None:
    """Woken whenever something is due, and never woken, it says the same but for time and cause."""
    woken, late = (Desk("", instruments_of(rules(seed))) for _ in range(2))
    records, wakes = Records(rules(seed)), 0
    for record, at_us in (pair for step in islice(Commands(seed), 1_500) for pair in records.of(step)):
        while 0 < (due_us := woken.matching.due_us()) <= at_us:
            woken.begin_cycle(due_us)
            wakes += 1
        for desk in (woken, late):
            desk.take(record, at_us)
    at_us += 1_000 * SECOND_US
    for desk in (woken, late):
        while 0 < desk.matching.due_us() <= at_us:
            desk.begin_cycle(at_us)
    for symbol in rules(seed):
        heard = [
            [
                (kind, {**message, "at_us": 0, "request_offset": 0, "request_id": ""})
                for kind, message in desk.said
                if message.get("symbol") == symbol and kind not in ("QuoteTaken", "ControlReport")
            ]
            for desk in (woken, late)
        ]
        assert heard[0] == heard[1]
    assert wakes >= 10


def test_an_order_expires_when_nothing_is_heard_any_more() -> None:
    desk = Desk()
    _enter(desk, "a", "buy", "limit", 3, 90, force="gtd", expire_at_us=100)
    assert desk.matching.due_us() == 100
    desk.cycle()
    again = restored(desk)
    for each in (desk, again):
        assert each.matching.due_us() == 100
        assert each.begin_cycle(99) == []
        assert each.begin_cycle(103) == ["expired a expired 0/3 MATCHING_EXPIRED"]
        assert each.last("OrderEvent")["at_us"] == 103
        assert each.last("Execution")["execution_type"] == "expired"
        assert each.matching.due_us() == 0
        each.cycle()
        assert "id of a" not in each.rows


def test_a_limit_state_a_pause_and_the_reopening_need_no_record() -> None:
    desk = Desk()
    desk.control("SetTradingBand", low=90 * ONE, high=110 * ONE)
    desk.new("a", "buy", 5, 110)
    since_us = desk.offset
    desk.cycle()
    again = restored(desk)
    for each in (desk, again):
        assert each.matching.due_us() == since_us + 15 * SECOND_US
        each.begin_cycle(each.matching.due_us() + 4)
        assert each.last("SessionChange")["session"] == "volatility_auction"
        # Counted from when it was due, not from when the lane woke.
        assert each.matching.due_us() == since_us + 315 * SECOND_US
    desk.cycle()
    again = restored(desk)
    for each in (desk, again):
        each.begin_cycle(each.matching.due_us())
        assert each.last("SessionChange")["session"] == "continuous"
        # It stands at the band still.
        assert each.matching.due_us() == since_us + 330 * SECOND_US


def test_a_status_is_asked_of_what_lives_by_then() -> None:
    desk = Desk()
    _enter(desk, "a", "buy", "limit", 3, 90, force="gtd", expire_at_us=desk.offset + 2)
    desk.begin_cycle(desk.offset + 1)
    assert desk.status("a") == []


def _enter(
    desk: Desk,
    name: str,
    side: str,
    order_type: str,
    quantity: int,
    price: int,
    force: str = "gtc",
    **instructions: Any,
) -> None:
    desk.send(
        "ClearedOrder",
        account=desk.accounts.get(name, name),
        client_order_id=name,
        order_id=f"id of {name}",
        side=side,
        order_type=order_type,
        quantity=quantity * ONE,
        limit_price=price * ONE,
        time_in_force=force,
        entered_by="",
        door="kafka",
        instructions={**NOTHING, **instructions},
    )
