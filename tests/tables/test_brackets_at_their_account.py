"""A bracket at its account: its exits need what its entry bought, no more, and no sooner."""

from typing import Any

import pytest

from schemas.records import Record
from tests.tables.test_accounts import WINDOW_US, Bank, bank, refusal
from tests.tables.test_instructions import order
from tests.tables.test_oco_at_its_account import cleared
from tests.tables.words import NOON_US, execution, fill, new_order, replace_order

__all__ = ["bank"]

# What alice has of MSFT: nothing.
BUY, SELL, STOP = "buy 40 MSFT 100", "sell 40 MSFT 110", "sell 40 MSFT none"


def part(id: str, words: str, order_type: str = "limit", **given: Any) -> Record:
    """A NewOrder of alice's bracket."""
    return order(words, order_type, id, **{"link_type": "bracket", "link_id": "7", **given})


def bracket(bank: Bank) -> None:
    """An entry of 40 and two exits, of which alice has nothing yet."""
    cleared(bank, part("in", BUY), part("up", SELL), part("down", STOP, "stop", stop_price="90"))


def test_exits_are_taken_before_there_is_anything_to_sell(bank: Bank) -> None:
    bracket(bank)
    assert bank.cycle() == {"alice USD": "10000/4000 v2"}


def test_exits_hold_at_once_what_the_entry_buys(bank: Bank) -> None:
    bracket(bank)
    bank.say(fill("in", "15 @ 100", "25"))
    assert bank.cycle()["alice MSFT"] == "15/15 v1"
    assert bank.answer(new_order("c1", "sell 1 MSFT 110"))["reason"] == "ACCOUNTS_INSUFFICIENT_HOLDING"
    bank.say(fill("in", "25 @ 99", version=3))
    assert bank.cycle()["alice MSFT"] == "40/40 v2"
    bank.say(fill("up", "40 @ 110"), execution("down", "canceled", reason="MATCHING_LINKED"))
    assert bank.cycle()["alice MSFT"] == "0/0 v3"


def test_the_first_names_no_parent_and_the_others_name_it(bank: Bank) -> None:
    said = bank.say(part("in", BUY), part("up", SELL))
    (_, entry), (_, exit) = said
    assert entry["instructions"]["link_parent"] == ""
    assert exit["instructions"]["link_parent"] == entry["order_id"]


def test_a_refused_entry_stays_the_parent(bank: Bank) -> None:
    refused = bank.answer(part("in", "buy 1000 MSFT 100"))
    assert refused["reason"] == "ACCOUNTS_INSUFFICIENT_CASH"
    [(_, exit)] = bank.say(part("up", SELL))
    # Matching knows no such order, and refuses whoever waits for it.
    assert exit["instructions"]["link_parent"] == refused["order_id"]
    bank.say(execution("up", "rejected", version=1, reason="MATCHING_LINK_ENDED"))
    assert bank.cycle() == {}


def test_a_client_cannot_name_a_parent(bank: Bank) -> None:
    [(_, entry)] = bank.say(part("in", BUY, link_parent="0123456789abcdef0123"))
    assert entry["instructions"]["link_parent"] == ""


@pytest.mark.parametrize("end", ["canceled", "expired", "rejected"])
def test_exits_of_an_entry_that_ended_unfilled_hold_nothing(bank: Bank, end: str) -> None:
    bracket(bank)
    bank.say(fill("in", "15 @ 100", "25"))
    bank.say(execution("in", end, version=3))
    assert bank.cycle()["alice MSFT"] == "15/0 v1"
    bank.say(*(execution(name, "canceled", reason="MATCHING_LINKED") for name in ("up", "down")))
    bank.cycle()


def test_an_exit_falls_to_what_an_entry_that_became_smaller_bought(bank: Bank) -> None:
    bracket(bank)
    bank.say(execution("in", "replaced", "30", quantity="30", price="100", reason="MATCHING_SELF_TRADE"))
    bank.say(fill("in", "30 @ 100", version=3))
    assert bank.cycle()["alice MSFT"] == "30/30 v1"
    for name in ("up", "down"):
        bank.say(execution(name, "replaced", "30", quantity="30", price="110", reason="MATCHING_LINKED"))
    bank.say(fill("up", "30 @ 110", version=3))
    assert bank.cycle()["alice MSFT"] == "0/0 v2"


def test_more_than_the_entry_is_not_needed_for_matching_does_not_sell_it(bank: Bank) -> None:
    cleared(bank, part("in", BUY), part("up", "sell 60 MSFT 110"))
    bank.say(fill("in", "40 @ 100"))
    assert bank.cycle()["alice MSFT"] == "40/40 v1"


def test_what_comes_after_the_entry_was_filled_needs_what_is_free(bank: Bank) -> None:
    cleared(bank, part("in", BUY))
    bank.say(fill("in", "40 @ 100"))
    cleared(bank, new_order("c1", "sell 30 MSFT 110"))
    refused = bank.answer(part("up", SELL))
    text = "free=10 asked=40 symbol=MSFT"
    assert refusal(refused) == ("rejected", "ACCOUNTS_INSUFFICIENT_HOLDING", text)
    cleared(bank, part("less", "sell 10 MSFT 110"))


def test_reduce_only_exits_need_nothing_to_reduce_yet(bank: Bank) -> None:
    cleared(bank, part("in", BUY), part("up", SELL, reduce_only=True))
    refused = bank.answer(order("sell 1 MSFT 110", id="c", reduce_only=True))
    assert refusal(refused)[1] == "ACCOUNTS_REDUCE_ONLY"


def test_children_of_an_oto_need_what_they_sell(bank: Bank) -> None:
    cleared(bank, part("in", BUY, link_type="oto"))
    refused = bank.answer(part("up", SELL, link_type="oto"))
    assert refused["reason"] == "ACCOUNTS_INSUFFICIENT_HOLDING"


def test_a_larger_exit_needs_the_difference(bank: Bank) -> None:
    bracket(bank)
    refused = bank.answer(replace_order("up", "41"))
    assert refusal(refused) == (
        "replace_rejected",
        "ACCOUNTS_INSUFFICIENT_HOLDING",
        "free=0 asked=1 symbol=MSFT",
    )
    bank.say(fill("in", "40 @ 100"))
    [(kind, _)] = bank.say(replace_order("up", "20"))
    assert kind == "ClearedReplace"
    bank.say(execution("up", "replaced", "20", quantity="20", price="110"))
    assert bank.cycle()["alice MSFT"] == "40/40 v1"


def test_a_bracket_is_restored(bank: Bank) -> None:
    bracket(bank)
    bank.say(fill("in", "15 @ 100", "25"))
    bank.cycle()
    other = bank.restored()
    other.say(fill("in", "25 @ 100", version=3))
    assert other.cycle()["alice MSFT"].startswith("40/40 ")
    other.say(fill("down", "10 @ 90", "30"))
    last = other.restored()
    assert refusal(last.answer(replace_order("up", "20")))[1] == "ACCOUNTS_TOO_LATE"
    last.say(fill("down", "30 @ 90", version=3), execution("up", "canceled", reason="MATCHING_LINKED"))
    assert last.cycle()["alice MSFT"].startswith("0/0 ")


def test_an_entry_is_remembered_as_long_as_an_exit_lives(bank: Bank) -> None:
    bracket(bank)
    bank.say(fill("in", "40 @ 100"))
    bank.say(new_order("c1", "buy 1 AAPL 100", logged_us=NOON_US + 3 * WINDOW_US))
    bank.cycle()
    alice = bank.accounts._ledger.accounts["alice"]
    assert "in" in alice.finished
    assert alice.parents
    bank.say(fill("up", "40 @ 110"), execution("down", "canceled", reason="MATCHING_LINKED"))
    bank.say(new_order("c2", "buy 1 AAPL 100", logged_us=NOON_US + 6 * WINDOW_US))
    bank.cycle()
    assert not alice.parents
