"""The members of an OCO at their account: never two of them trade, so they share what they hold."""

from typing import Any

import pytest

from schemas.records import Record
from tests.tables.test_accounts import Bank, bank, refusal
from tests.tables.test_instructions import order
from tests.tables.words import execution, fill, new_order, replace_order, set_limits

__all__ = ["bank"]


def member(id: str, words: str, order_type: str = "limit", **given: Any) -> Record:
    """A NewOrder of alice's OCO."""
    return order(words, order_type, id, **{"link_type": "oco", "link_id": "7", **given})


def cleared(bank: Bank, *orders: Record) -> None:
    """Has orders be taken."""
    for each in orders:
        [(kind, message)] = bank.say(each)
        assert kind == "ClearedOrder", message


def test_a_take_profit_and_a_stop_hold_one_holding(bank: Bank) -> None:
    cleared(
        bank, member("up", "sell 50 AAPL 110"), member("down", "sell 50 AAPL none", "stop", stop_price="90")
    )
    assert bank.cycle() == {"alice AAPL": "50/50 v2"}
    assert bank.answer(new_order("c1", "sell 1 AAPL 110"))["reason"] == "ACCOUNTS_INSUFFICIENT_HOLDING"


def test_buys_hold_the_cash_of_the_dearest(bank: Bank) -> None:
    cleared(
        bank, member("a", "buy 60 AAPL 100"), member("b", "buy 60 AAPL 110"), member("c", "buy 60 AAPL 90")
    )
    assert bank.cycle() == {"alice USD": "10000/6600 v2"}
    refused = bank.answer(member("d", "buy 101 AAPL 100"))
    text = "free=10000 asked=10100 currency=USD"
    assert refusal(refused) == ("rejected", "ACCOUNTS_INSUFFICIENT_CASH", text)


def test_other_lists_other_symbols_and_other_sides_share_nothing(bank: Bank) -> None:
    cleared(
        bank,
        member("a", "buy 10 AAPL 100"),
        member("b", "buy 10 AAPL 100", link_id="8"),
        member("c", "buy 10 MSFT 100"),
        member("d", "sell 10 AAPL 120"),
        order("buy 10 AAPL 100", id="e", link_type="oto", link_id="9"),
        order("buy 10 AAPL 100", id="f", link_type="oto", link_id="9"),
    )
    assert bank.cycle() == {"alice USD": "10000/5000 v2", "alice AAPL": "50/10 v2"}


def test_a_fill_of_one_frees_what_the_others_hold(bank: Bank) -> None:
    cleared(
        bank, member("a", "sell 40 AAPL 110"), member("b", "sell 50 AAPL 120"), member("c", "buy 10 AAPL 90")
    )
    bank.cycle()
    bank.say(fill("a", "10 @ 110", "30"))
    assert bank.cycle() == {"alice USD": "11100/0 v3", "alice AAPL": "40/30 v3"}
    late = bank.answer(replace_order("b", "20"))
    text = "another order of its list was filled"
    assert refusal(late) == ("replace_rejected", "ACCOUNTS_TOO_LATE", text)
    bank.say(*(execution(name, "canceled", reason="MATCHING_LINKED") for name in "bc"))
    bank.say(fill("a", "30 @ 110", version=3))
    assert bank.cycle() == {"alice USD": "14400/0 v4", "alice AAPL": "10/0 v4"}


def test_an_end_without_a_fill_leaves_the_others_what_they_need(bank: Bank) -> None:
    cleared(bank, member("a", "sell 50 AAPL 110"), member("b", "sell 20 AAPL 120"))
    bank.say(execution("a", "rejected", version=1, reason="RISK_HALTED"))
    assert bank.cycle() == {"alice AAPL": "50/20 v2"}
    # Its cancel may be under way; as long as it may trade it holds what it needs.
    bank.say(fill("b", "20 @ 120"))
    assert bank.cycle() == {"alice USD": "12400/0 v2", "alice AAPL": "30/0 v3"}


def test_a_replace_costs_what_it_needs_beyond_what_is_held_anyway(bank: Bank) -> None:
    cleared(bank, member("a", "sell 40 AAPL 110"), member("b", "sell 10 AAPL 120"))
    [(kind, _)] = bank.say(replace_order("b", "50"))
    assert kind == "ClearedReplace"
    assert bank.cycle() == {"alice AAPL": "50/50 v2"}
    assert bank.answer(replace_order("a", "51"))["reason"] == "ACCOUNTS_INSUFFICIENT_HOLDING"
    bank.say(execution("b", "replace_rejected", "10", reason="MATCHING_POST_ONLY"))
    assert bank.cycle() == {"alice AAPL": "50/40 v3"}


def test_reduce_only_members_reduce_the_same(bank: Bank) -> None:
    cleared(
        bank,
        member("a", "sell 50 AAPL 110", reduce_only=True),
        member("b", "sell 50 AAPL 120", reduce_only=True),
    )
    refused = bank.answer(member("c", "sell 51 AAPL 130", reduce_only=True))
    assert refusal(refused) == ("rejected", "ACCOUNTS_REDUCE_ONLY", "free=50 asked=51 symbol=AAPL")
    assert bank.answer(order("sell 1 AAPL 130", id="d", reduce_only=True))["reason"] == "ACCOUNTS_REDUCE_ONLY"


def test_reduce_only_does_not_count_on_what_another_holds_short(bank: Bank) -> None:
    bank.say(set_limits(control_id="short", allow_short=True))
    cleared(bank, member("a", "sell 60 AAPL 110"))
    refused = bank.answer(member("b", "sell 60 AAPL 120", reduce_only=True))
    assert refusal(refused) == ("rejected", "ACCOUNTS_REDUCE_ONLY", "free=50 asked=60 symbol=AAPL")


def test_an_order_that_costs_nothing_can_be_replaced(bank: Bank) -> None:
    cleared(bank, member("a", "buy 0.00000001 AAPL 0.01"), member("b", "sell 1 AAPL 200"))
    [(kind, _)] = bank.say(replace_order("a", "0.00000002"))
    assert kind == "ClearedReplace"


@pytest.mark.parametrize("filled", [False, True])
def test_what_is_shared_is_restored(bank: Bank, filled: bool) -> None:
    cleared(bank, member("a", "sell 50 AAPL 110"), member("b", "sell 30 AAPL 120"))
    if filled:
        bank.say(fill("a", "10 @ 110", "40"))
    restored = bank.restored()
    restored.say(fill("a", "40 @ 110" if filled else "50 @ 110", version=3))
    assert restored.cycle()["alice AAPL"].startswith("0/0 ")
