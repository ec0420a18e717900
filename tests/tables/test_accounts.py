"""Accounts: who may trade, what is held for orders, and the one answer to every request."""

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from schemas.codec import Codec, record_names, schema_text
from schemas.ids import DAY_US, order_id
from schemas.numbers import format_e8, parse_e8
from schemas.reasons import Reason
from schemas.records import Record, Said
from tables.account_orders import AccountOrder
from tables.accounts import Accounts
from tables.holdings import Account
from tests.tables.words import (
    HOUR_US,
    NOON_US,
    cancel_order,
    execution,
    fill,
    instrument,
    market,
    mass_cancel,
    move_cash,
    move_holding,
    new_order,
    replace_order,
    set_account,
    set_limits,
)

WINDOW_US = 24 * HOUR_US


class Bank:
    """Accounts with what tests ask of them; alice has 10,000 USD and 50 AAPL, bob the same."""

    def __init__(self, window_us: int = WINDOW_US) -> None:
        self.instruments, self.references = market("AAPL", "MSFT")
        self.accounts = Accounts(0, self.instruments, self.references, window_us, 500)
        for name in ("alice", "bob"):
            self.say(set_account(name), move_cash(name, "10000"), move_holding(name, "50"))
        self.accounts.end_cycle(NOON_US)
        list(self.accounts.changed_rows())

    def say(self, *records: Record) -> list[Said]:
        """What is said to these, each at the time of its log."""
        said = [words for record in records for words in self.accounts.apply(record, record.logged_us)]
        self.accounts.check()
        return said

    def restored(self) -> "Bank":
        """A bank whose accounts know of alice what her rows say."""
        alice = self.accounts._ledger.accounts["alice"]
        rows = [alice.row(), *(order.row() for order in (*alice.live.values(), *alice.finished.values()))]
        rows += [asset.row() for asset in (*alice.cash.values(), *alice.holdings.values())]
        other = Bank()
        other.accounts = Accounts(0, self.instruments, self.references, WINDOW_US, 500)
        for row in rows:
            other.accounts.restore(row.kind, row.row or {})
        other.accounts.restored()
        return other

    def answer(self, record: Record) -> Mapping[str, Any]:
        """The one message said to a record."""
        [(_, message)] = self.say(record)
        return message

    def cycle(self, at_us: int = NOON_US) -> dict[str, str]:
        """Positions at the end of a cycle, as `total/reserved vVersion` by asset."""
        positions = [position for _, position in self.accounts.end_cycle(at_us)]
        return {
            f"{p['account']} {p['asset']}": "{}/{} v{}".format(
                format_e8(p["total"]), format_e8(p["reserved"]), p["version"]
            )
            for p in positions
        }


@pytest.fixture
def bank() -> Bank:
    return Bank()


def refusal(message: Mapping[str, Any]) -> tuple[str, Reason, str]:
    """Event, reason and text of an answer."""
    return message["event"], message["reason"], message["text"]


# New orders


def test_a_new_order_leaves_for_its_symbol_with_what_it_needs_reserved(bank: Bank) -> None:
    [(kind, cleared)] = bank.say(new_order("c1", "buy 10 AAPL 100.5", offset=42))
    assert (kind, cleared["order_id"]) == ("ClearedOrder", order_id("alice", "c1", NOON_US))
    assert (cleared["request_offset"], cleared["entered_us"]) == (42, NOON_US)
    assert bank.cycle() == {"alice USD": "10000/1005 v2"}


def test_a_sell_reserves_the_holding(bank: Bank) -> None:
    bank.say(new_order("c1", "sell 50 AAPL 100"))
    assert bank.cycle() == {"alice AAPL": "50/50 v2"}


def test_a_market_order_reserves_for_its_worst_price(bank: Bank) -> None:
    bank.references.put({"symbol": "AAPL", "price": parse_e8("100"), "at_us": 0})
    bought = bank.answer(new_order("c1", "buy 10 AAPL market"))
    sold = bank.answer(new_order("c2", "sell 10 AAPL market"))
    assert [format_e8(m["limit_price"]) for m in (bought, sold)] == ["105", "95"]
    assert bank.cycle() == {"alice USD": "10000/1050 v2", "alice AAPL": "50/10 v2"}


@pytest.mark.parametrize(
    ("words", "changes", "reason", "text"),
    [
        ("buy 10 AAPL 100", {"side": "unknown"}, "ACCOUNTS_INVALID_SIDE", "side=unknown"),
        ("buy 10 AAPL 100", {"order_type": "unknown"}, "ACCOUNTS_INVALID_ORDER_TYPE", "order_type=unknown"),
        (
            "buy 10 AAPL 100",
            {"time_in_force": "unknown"},
            "ACCOUNTS_INVALID_TIME_IN_FORCE",
            "time_in_force=unknown",
        ),
        ("buy 10 NOPE 100", {}, "ACCOUNTS_UNKNOWN_SYMBOL", "symbol=NOPE"),
        ("buy 0 AAPL 100", {}, "ACCOUNTS_INVALID_QUANTITY", "above=0 most=90000000000 asked=0"),
        ("buy -1 AAPL 100", {}, "ACCOUNTS_INVALID_QUANTITY", "above=0 most=90000000000 asked=-1"),
        (
            "buy 10 AAPL 100",
            {"quantity": 10**60_000},
            "ACCOUNTS_INVALID_QUANTITY",
            "above=0 most=90000000000 asked=out of range",
        ),
        ("buy 10 AAPL 0", {}, "ACCOUNTS_INVALID_LIMIT_PRICE", "above=0 most=90000000000 asked=0"),
        (
            "buy 10 AAPL 100",
            {"limit_price": None},
            "ACCOUNTS_INVALID_LIMIT_PRICE",
            "above=0 most=90000000000 asked=none",
        ),
        (
            "buy 10 AAPL 100",
            {"order_type": "market"},
            "ACCOUNTS_INVALID_LIMIT_PRICE",
            "order_type=market asked=100",
        ),
        ("buy 10 AAPL market", {}, "ACCOUNTS_NO_REFERENCE_PRICE", "symbol=AAPL"),
        ("buy 1001 AAPL 1", {}, "ACCOUNTS_MAX_QUANTITY", "limit=1000 asked=1001"),
        ("buy 1000 AAPL 8.01", {}, "ACCOUNTS_MAX_NOTIONAL", "limit=8000 asked=8010"),
        (
            "buy 100 AAPL 60.01",
            {},
            "ACCOUNTS_INSUFFICIENT_CASH",
            "free=6000 asked=6001 currency=USD",
        ),
        ("sell 51 AAPL 100", {}, "ACCOUNTS_INSUFFICIENT_HOLDING", "free=50 asked=51 symbol=AAPL"),
        ("sell 1 MSFT 100", {}, "ACCOUNTS_INSUFFICIENT_HOLDING", "free=0 asked=1 symbol=MSFT"),
    ],
)
def test_a_refusal_says_why_with_its_values(
    bank: Bank, words: str, changes: dict[str, Any], reason: Reason, text: str
) -> None:
    bank.say(set_limits("alice", "1000", "8000"), move_cash("alice", "-4000"))
    bank.cycle()
    rejected = bank.answer(new_order("c1", words, **changes))
    assert refusal(rejected) == ("rejected", reason, text)
    assert (rejected["status"], rejected["version"], rejected["leaves_quantity"]) == ("rejected", 1, 0)
    assert bank.cycle() == {}


def test_what_is_exactly_covered_and_exactly_at_the_limit_passes(bank: Bank) -> None:
    bank.say(set_limits("alice", "100", "10000"))
    assert bank.say(new_order("c1", "buy 100 AAPL 100"))[0][0] == "ClearedOrder"
    assert bank.say(new_order("c2", "sell 50 AAPL 100"))[0][0] == "ClearedOrder"


def test_the_first_check_that_fails_is_the_reason(bank: Bank) -> None:
    """An order wrong in everything, mended one thing at a time, is told each in the documented order."""
    bank.instruments.put(instrument("OLD", status="delisted"))
    wrong: dict[str, Any] = {
        "side": "unknown",
        "order_type": "unknown",
        "time_in_force": "unknown",
        "symbol": "NOPE",
        "quantity": 0,
        "limit_price": None,
    }
    bank.say(set_account("alice", "suspended"), set_limits("alice", "200", "100"))
    mends: list[Callable[[], object]] = [
        lambda: bank.say(set_account("alice", "active")),
        lambda: wrong.update(side="buy"),
        lambda: wrong.update(order_type="limit"),
        lambda: wrong.update(time_in_force="day"),
        lambda: wrong.update(symbol="OLD"),
        lambda: wrong.update(symbol="AAPL"),
        lambda: wrong.update(quantity=parse_e8("300")),
        lambda: wrong.update(limit_price=parse_e8("100")),
        lambda: wrong.update(quantity=parse_e8("150")),
        lambda: bank.say(set_limits("alice")),
    ]
    reasons = []
    for number in range(len(mends) + 1):
        reasons.append(bank.answer(new_order(f"c{number}", **wrong))["reason"])
        if number < len(mends):
            mends[number]()
    assert reasons == [
        "ACCOUNTS_SUSPENDED",
        "ACCOUNTS_INVALID_SIDE",
        "ACCOUNTS_INVALID_ORDER_TYPE",
        "ACCOUNTS_INVALID_TIME_IN_FORCE",
        "ACCOUNTS_UNKNOWN_SYMBOL",
        "ACCOUNTS_INSTRUMENT_NOT_ACTIVE",
        "ACCOUNTS_INVALID_QUANTITY",
        "ACCOUNTS_INVALID_LIMIT_PRICE",
        "ACCOUNTS_MAX_QUANTITY",
        "ACCOUNTS_MAX_NOTIONAL",
        "ACCOUNTS_INSUFFICIENT_CASH",
    ]


@pytest.mark.parametrize("client_order_id", ["", "x" * 65, "tab\t", "nul\0", "é"])
def test_a_malformed_id_is_refused_and_not_remembered(bank: Bank, client_order_id: str) -> None:
    rejected = bank.answer(new_order(client_order_id))
    assert rejected["reason"] == "ACCOUNTS_INVALID_CLIENT_ORDER_ID"
    assert (rejected["order_id"], rejected["version"]) == ("NONE", 0)
    assert "\0" not in rejected["client_order_id"]
    assert list(bank.accounts.changed_rows()) == []


def test_an_unknown_account_is_refused_and_not_remembered(bank: Bank) -> None:
    rejected = bank.answer(new_order(account="carol\0"))
    assert refusal(rejected) == ("rejected", "ACCOUNTS_UNKNOWN_ACCOUNT", "account=carol?")
    assert (rejected["order_id"], rejected["version"]) == ("NONE", 0)
    assert list(bank.accounts.changed_rows()) == []


def test_an_account_that_may_sell_short_may_owe_a_holding(bank: Bank) -> None:
    bank.say(set_limits("alice", allow_short=True), new_order("c1", "sell 60 AAPL 100"))
    bank.say(fill("c1", "60 @ 100"))
    assert bank.cycle() == {"alice AAPL": "-10/0 v2", "alice USD": "16000/0 v2"}


@pytest.mark.parametrize(("minutes", "taken"), [(-5, True), (5, True), (-5.01, False), (5.01, False)])
def test_the_time_of_entry_is_the_clients_within_five_minutes_of_the_log(
    bank: Bank, minutes: float, taken: bool
) -> None:
    entered_us = NOON_US + int(minutes * 60_000_000)
    cleared = bank.answer(new_order(entered_us=entered_us))
    assert cleared["entered_us"] == (entered_us if taken else NOON_US)


# The same id again


def test_the_same_order_again_asks_matching_for_its_status(bank: Bank) -> None:
    bank.say(new_order("c1"))
    bank.cycle()
    [(kind, request)] = bank.say(new_order("c1", offset=9, door="rest", entered_us=NOON_US + 1))
    assert (kind, request["client_order_id"], request["request_offset"]) == ("ClearedStatusRequest", "c1", 9)
    assert bank.cycle() == {}


def test_a_finished_order_again_is_answered_with_its_final_status(bank: Bank) -> None:
    bank.say(new_order("c1", "buy 10 AAPL 100"), fill("c1", "4 @ 99", "6"))
    bank.say(execution("c1", "canceled", version=3, reason="MATCHING_END_OF_DAY"))
    again = bank.answer(new_order("c1", "buy 10 AAPL 100", offset=9))
    assert (again["event"], again["status"], again["reason"]) == (
        "order_status",
        "canceled",
        "MATCHING_END_OF_DAY",
    )
    assert (format_e8(again["cum_quantity"]), format_e8(again["average_price"])) == ("4", "99")
    assert (again["leaves_quantity"], again["version"], again["request_offset"]) == (0, 3, 9)


def test_a_rejected_order_again_gets_the_same_rejection(bank: Bank) -> None:
    first = bank.answer(new_order("c1", "sell 51 AAPL 100"))
    bank.say(move_holding("alice", "100"))
    again = bank.answer(new_order("c1", "sell 51 AAPL 100", offset=9))
    assert again == {**first, "request_offset": 9}


def test_an_order_that_risk_rejected_again_gets_the_same_reason_and_values(bank: Bank) -> None:
    bank.say(new_order("c1"), execution("c1", "rejected", version=1, reason="RISK_HALTED", text="why"))
    again = bank.answer(new_order("c1"))
    assert refusal(again) == ("rejected", "RISK_HALTED", "why")
    assert again["version"] == 1
    assert bank.cycle() == {"alice USD": "10000/0 v2"}


def test_another_body_is_a_duplicate_and_the_live_order_is_untouched(bank: Bank) -> None:
    cleared = bank.answer(new_order("c1", "buy 10 AAPL 100"))
    bank.cycle()
    rejected = bank.answer(new_order("c1", "buy 11 AAPL 100"))
    text = f"client_order_id=c1 order_id={cleared['order_id']} status=new"
    assert refusal(rejected) == ("rejected", "ACCOUNTS_DUPLICATE_ORDER", text)
    assert (rejected["order_id"], rejected["version"]) == ("NONE", 0)
    assert bank.cycle() == {}
    assert bank.say(new_order("c1", "buy 10 AAPL 100"))[0][0] == "ClearedStatusRequest"


def test_a_repeat_is_answered_although_the_account_was_suspended_since(bank: Bank) -> None:
    bank.say(new_order("c1"), set_account("alice", "suspended"))
    assert bank.say(new_order("c1"))[0][0] == "ClearedStatusRequest"


def test_a_status_asked_for_while_the_order_ended_is_its_final_one(bank: Bank) -> None:
    bank.say(new_order("c1"), new_order("c1", offset=9), fill("c1", "10 @ 100"))
    status = bank.answer(execution("c1", "status_unknown", request_offset=9))
    assert (status["event"], status["status"], status["request_offset"]) == ("order_status", "filled", 9)


def test_the_final_status_has_the_limit_that_the_order_ended_with(bank: Bank) -> None:
    bank.say(new_order("c1", "buy 10 AAPL 100"), fill("c1", "10 @ 99", limit_price="99.5"))
    assert bank.answer(new_order("c1", "buy 10 AAPL 100"))["limit_price"] == 9_950_000_000


def test_a_status_that_comes_after_its_order_is_forgotten_says_so(bank: Bank) -> None:
    bank.say(new_order("c1"), new_order("c1", offset=9), fill("c1", "10 @ 100"))
    bank.say(new_order("c1", logged_us=NOON_US + 2 * WINDOW_US))
    status = bank.answer(execution("c1", "status_unknown", request_offset=9))
    assert refusal(status) == ("order_status", "ACCOUNTS_UNKNOWN_ORDER", "order=c1 is forgotten")
    assert (status["status"], status["order_id"], status["request_offset"]) == ("unknown", "NONE", 9)


def test_an_order_is_remembered_until_its_replace_is_answered(bank: Bank) -> None:
    bank.say(new_order("c1"), replace_order("c1", "5"), execution("c1", "canceled"))
    late_us = NOON_US + 9 * WINDOW_US
    assert bank.answer(new_order("c1", logged_us=late_us))["event"] == "order_status"
    bank.cycle()
    bank.say(execution("c1", "replace_rejected", version=0))
    bank.say(cancel_order("nothing", logged_us=late_us + HOUR_US))
    bank.cycle()
    assert [row.key for row in bank.accounts.changed_rows() if row.row is None] == ["order|alice|c1"]


def test_an_id_is_remembered_for_the_window_after_its_order_ended(bank: Bank) -> None:
    bank.say(new_order("c1"), execution("c1", "canceled", logged_us=NOON_US + HOUR_US))
    last_us = NOON_US + HOUR_US + WINDOW_US - 1
    assert bank.answer(new_order("c1", logged_us=last_us))["event"] == "order_status"
    cleared = bank.answer(new_order("c1", logged_us=last_us + 1))
    assert cleared["order_id"] == order_id("alice", "c1", last_us)


def test_an_id_is_remembered_until_its_day_is_over_however_short_the_window() -> None:
    bank = Bank(window_us=0)
    bank.say(new_order("c1"), execution("c1", "canceled"))
    day_over_us = (NOON_US // DAY_US + 1) * DAY_US
    for logged_us in (NOON_US + 1, day_over_us - 1, day_over_us + 299_999_999):
        assert bank.answer(new_order("c1", logged_us=logged_us))["event"] == "order_status"
    logged_us = day_over_us + 300_000_000
    first, second = order_id("alice", "c1", NOON_US), order_id("alice", "c1", logged_us - 300_000_000)
    assert bank.answer(new_order("c1", logged_us=logged_us))["order_id"] != first != second


def test_old_ids_leave_the_changelog_once_requests_have_come_after_them(bank: Bank) -> None:
    bank.say(new_order("c1"), replace_order("c1", "5", client_order_id="c2"))
    bank.say(execution("c1", "replaced", "5", quantity="5", limit_price="100", request_id="c2"))
    bank.say(execution("c1", "canceled", version=3))
    later_us = NOON_US + 2 * WINDOW_US
    bank.cycle(later_us)
    assert all(row.row is not None for row in bank.accounts.changed_rows())
    bank.say(cancel_order("nothing", logged_us=later_us))
    bank.cycle(later_us)
    rows = list(bank.accounts.changed_rows())
    assert [(row.key, row.row) for row in rows] == [("order|alice|c1", None), ("alias|alice|c2", None)]


def test_a_cycle_forgets_a_bounded_number_of_ids(bank: Bank) -> None:
    bank.say(*(new_order(f"c{number}", "sell 51 AAPL 1") for number in range(2500)))
    bank.cycle()
    list(bank.accounts.changed_rows())
    bank.say(cancel_order("nothing", logged_us=NOON_US + 2 * WINDOW_US))
    gone = []
    for _ in range(4):
        bank.cycle()
        gone.append(len(list(bank.accounts.changed_rows())))
    assert gone == [1000, 1000, 500, 0]


def test_more_ids_are_forgotten_than_come_however_many_a_cycle_takes(bank: Bank) -> None:
    remembered = []
    for day in range(6):
        at_us = NOON_US + 2 * day * WINDOW_US
        orders = (new_order(f"c{day}-{n}", "sell 51 AAPL 1", logged_us=at_us) for n in range(2500))
        bank.say(*orders)
        bank.cycle(at_us)
        rows = list(bank.accounts.changed_rows())
        remembered.append(sum(1 if row.row is not None else -1 for row in rows))
    assert remembered == [2500, 0, 0, 0, 0, 0]


# Fills


def test_a_fill_moves_cash_and_holding_and_frees_a_better_price_at_once(bank: Bank) -> None:
    bank.say(new_order("c1", "buy 10 AAPL 100"), fill("c1", "4 @ 99", "6"))
    assert bank.cycle() == {"alice USD": "9604/600 v2", "alice AAPL": "54/0 v2"}
    bank.say(fill("c1", "6 @ 100", version=3))
    assert bank.cycle() == {"alice USD": "9004/0 v3", "alice AAPL": "60/0 v3"}


def test_a_seller_gets_what_the_buyer_pays(bank: Bank) -> None:
    bank.say(new_order("c1", "sell 10 AAPL 100"), new_order("c2", "buy 10 AAPL 101", account="bob"))
    bank.say(fill("c1", "3 @ 100.333", "7"), fill("c2", "3 @ 100.333", "7", account="bob"))
    assert bank.cycle() == {
        "alice AAPL": "47/7 v2",
        "bob USD": "9699.001/707 v2",
        "alice USD": "10300.999/0 v2",
        "bob AAPL": "53/0 v2",
    }


def test_both_sides_of_a_trade_may_be_the_same_account(bank: Bank) -> None:
    bank.say(new_order("c1", "sell 10 AAPL 100"), new_order("c2", "buy 10 AAPL 100"))
    bank.say(fill("c2", "10 @ 100"), fill("c1", "10 @ 100"))
    assert bank.cycle() == {"alice AAPL": "50/0 v2", "alice USD": "10000/0 v2"}


def test_rounding_never_reserves_less_than_the_rest_costs(bank: Bank) -> None:
    """0.00000003 at 0.5: 1.5 units of 10^-8 round down to 1, two fills cost 0 and 1."""
    tiny = "0.00000003"
    bank.say(new_order("c1", f"buy {tiny} AAPL 0.5"))
    assert bank.cycle() == {"alice USD": "10000/0.00000001 v2"}
    bank.say(fill("c1", "0.00000001 @ 0.5", "0.00000002"))
    assert bank.cycle()["alice USD"] == "10000/0.00000001 v3"
    bank.say(fill("c1", "0.00000002 @ 0.5", version=3))
    assert bank.cycle()["alice USD"] == "9999.99999999/0 v4"


@pytest.mark.parametrize("execution_type", ["canceled", "expired", "rejected"])
def test_an_order_that_ends_holds_nothing(bank: Bank, execution_type: str) -> None:
    bank.say(new_order("c1", "buy 10 AAPL 100"), execution("c1", execution_type))
    assert bank.cycle() == {"alice USD": "10000/0 v2"}


@pytest.mark.parametrize(
    "record",
    [
        fill("nobody", "1 @ 100"),
        fill("c1", "1 @ 100", account="nobody"),
        fill("c1", "1 @ 100", "8"),
        fill("c1", "11 @ 100", "-1"),
        fill("c1", "0 @ 100", "10"),
        fill("c1", "1 @ 100.01", "9"),
        fill("c1", "1 @ 100", "9", version=1),
        execution("c1", "replaced", "10", quantity="10", limit_price="100"),
        execution("c1", "replace_rejected", "10"),
        execution("c1", "unknown"),
        execution("done", "replace_rejected"),
        execution("done", "replaced"),
        execution("nobody", "canceled"),
        fill("done", "1 @ 100"),
        execution("done", "canceled"),
    ],
)
def test_an_execution_that_does_not_fit_ends_the_worker(bank: Bank, record: Record) -> None:
    bank.say(new_order("c1", "buy 10 AAPL 100"), new_order("done"), execution("done", "canceled"))
    with pytest.raises(AssertionError, match="does not fit"):
        bank.say(record)


def test_positions_come_once_per_cycle_and_asset(bank: Bank) -> None:
    bank.say(*(new_order(f"c{number}", "buy 1 AAPL 100") for number in range(5)))
    assert bank.cycle() == {"alice USD": "10000/500 v2"}
    assert bank.cycle() == {}


# Cancels


def test_a_cancel_of_a_live_order_goes_to_matching(bank: Bank) -> None:
    cleared = bank.answer(new_order("c1"))
    [(kind, cancel)] = bank.say(cancel_order("c1", offset=9))
    assert kind == "ClearedCancel"
    assert (cancel["order_id"], cancel["symbol"]) == (cleared["order_id"], "AAPL")
    assert (cancel["request_id"], cancel["request_offset"]) == ("x1", 9)
    assert cancel["reason"] == "MATCHING_CANCELED_BY_REQUEST"


def test_a_cancel_of_an_unknown_order_names_no_order(bank: Bank) -> None:
    refused = bank.answer(cancel_order("c1", offset=9))
    assert refusal(refused) == ("cancel_rejected", "ACCOUNTS_UNKNOWN_ORDER", "order=c1")
    assert (refused["order_id"], refused["version"], refused["status"]) == ("NONE", 0, "rejected")
    assert (refused["client_order_id"], refused["request_id"], refused["request_offset"]) == ("c1", "x1", 9)
    assert bank.say(new_order("c1"))[0][0] == "ClearedOrder"


def test_a_cancel_of_a_finished_order_is_too_late_and_changes_nothing(bank: Bank) -> None:
    bank.say(new_order("c1", "buy 10 AAPL 100"), fill("c1", "10 @ 99"))
    refused = bank.answer(cancel_order("c1"))
    assert refusal(refused) == ("cancel_rejected", "ACCOUNTS_TOO_LATE", "status=filled")
    assert (refused["status"], refused["version"], format_e8(refused["cum_quantity"])) == ("filled", 2, "10")


def test_a_suspended_account_may_cancel_but_not_enter_or_replace(bank: Bank) -> None:
    bank.say(new_order("c1"), set_account("alice", "suspended"))
    assert bank.say(cancel_order("c1"))[0][0] == "ClearedCancel"
    assert refusal(bank.answer(new_order("c2"))) == ("rejected", "ACCOUNTS_SUSPENDED", "status=suspended")
    refused = bank.answer(replace_order("c1", "5"))
    assert refusal(refused) == ("replace_rejected", "ACCOUNTS_SUSPENDED", "status=suspended")


def test_a_closed_account_may_not_cancel_either(bank: Bank) -> None:
    bank.say(new_order("c1"), set_account("alice", "closed"))
    assert refusal(bank.answer(cancel_order("c1"))) == (
        "cancel_rejected",
        "ACCOUNTS_SUSPENDED",
        "status=closed",
    )
    [(kind, report)] = bank.say(mass_cancel())
    assert (kind, report["outcome"], report["reason"]) == (
        "MassCancelReport",
        "rejected",
        "ACCOUNTS_SUSPENDED",
    )


def test_a_mass_cancel_reports_its_number_then_cancels_in_order_of_entry(bank: Bank) -> None:
    for number, words in enumerate(["buy 1 AAPL 9", "buy 1 MSFT 9", "sell 1 AAPL 9", "buy 2 AAPL 9"]):
        bank.say(new_order(f"c{number}", words, entered_us=NOON_US - number))
    (_, report), *cancels = bank.say(mass_cancel(symbol="AAPL", side="buy", offset=9))
    assert (report["orders"], report["outcome"], report["request_id"]) == (2, "applied", "m1")
    assert [cancel["client_order_id"] for _, cancel in cancels] == ["c3", "c0"]
    assert {cancel["request_offset"] for _, cancel in cancels} == {9}
    assert {cancel["reason"] for _, cancel in cancels} == {"MATCHING_MASS_CANCELED"}
    assert len(bank.say(mass_cancel())) == 5


def test_a_mass_cancel_of_what_is_not_there_is_refused(bank: Bank) -> None:
    reports = [bank.answer(mass_cancel(account="carol")), bank.answer(mass_cancel(symbol="NOPE"))]
    assert [(report["outcome"], report["reason"]) for report in reports] == [
        ("rejected", "ACCOUNTS_UNKNOWN_ACCOUNT"),
        ("rejected", "ACCOUNTS_UNKNOWN_SYMBOL"),
    ]


# Replaces


def test_a_replace_reserves_the_difference_and_goes_to_matching(bank: Bank) -> None:
    bank.say(new_order("c1", "buy 10 AAPL 100"), fill("c1", "4 @ 100", "6"))
    bank.cycle()
    [(kind, replace)] = bank.say(replace_order("c1", "20", "101", client_order_id="c2", offset=9))
    assert (kind, replace["client_order_id"], replace["request_id"]) == ("ClearedReplace", "c1", "c2")
    assert (format_e8(replace["quantity"]), format_e8(replace["limit_price"])) == ("20", "101")
    assert (format_e8(replace["current_quantity"]), format_e8(replace["cum_quantity"])) == ("10", "4")
    assert (replace["version"], replace["status"], replace["latest_id"]) == (2, "partially_filled", "c1")
    assert bank.cycle() == {"alice USD": "9600/1616 v3"}


def test_what_a_replace_leaves_is_sent_as_zero(bank: Bank) -> None:
    bank.say(new_order("c1", "buy 10 AAPL 100"))
    replace = bank.answer(replace_order("c1", price="99"))
    assert (replace["quantity"], format_e8(replace["limit_price"])) == (0, "99")


def test_the_answer_to_a_replace_settles_the_reservation(bank: Bank) -> None:
    bank.say(new_order("c1", "buy 10 AAPL 100"), replace_order("c1", "20", "90"))
    bank.say(execution("c1", "replaced", "20", quantity="20", limit_price="90"))
    assert bank.cycle() == {"alice USD": "10000/1800 v2"}
    bank.say(replace_order("c1", "50"), execution("c1", "replace_rejected", "20", reason="RISK_HALTED"))
    assert bank.cycle() == {"alice USD": "10000/1800 v3"}
    bank.say(replace_order("c1", "5"), execution("c1", "replaced", "5", 3, quantity="5", limit_price="90"))
    assert bank.cycle() == {"alice USD": "10000/450 v4"}


def test_fills_at_the_old_price_never_outrun_a_replace_to_a_lower_one(bank: Bank) -> None:
    """49 of 50 at 100 are filled before 101 at 98.03 is granted: 4,900 paid and 5,097.56 still needed."""
    bank.say(new_order("c1", "buy 50 AAPL 100"))
    refused = bank.answer(replace_order("c1", "102", "98.03"))
    assert refused["reason"] == "ACCOUNTS_INSUFFICIENT_CASH"
    bank.say(replace_order("c1", "101", "98.03"))
    bank.say(fill("c1", "49 @ 100", "1"))
    bank.say(execution("c1", "replaced", "52", 3, quantity="101", limit_price="98.03"))
    assert bank.cycle() == {"alice USD": "5100/5097.56 v2", "alice AAPL": "99/0 v2"}


def test_a_replace_to_no_more_than_was_filled_ends_the_order_as_filled(bank: Bank) -> None:
    bank.say(new_order("c1", "buy 10 AAPL 100"), fill("c1", "4 @ 100", "6"), replace_order("c1", "3"))
    bank.say(execution("c1", "replaced", "0", 3, quantity="4", limit_price="100"))
    assert bank.cycle() == {"alice USD": "9600/0 v2", "alice AAPL": "54/0 v2"}
    assert refusal(bank.answer(cancel_order("c1")))[1:] == ("ACCOUNTS_TOO_LATE", "status=filled")


@pytest.mark.parametrize(
    ("order", "changes", "reason", "text"),
    [
        ("c9", {"quantity": "5"}, "ACCOUNTS_UNKNOWN_ORDER", "order=c9"),
        ("done", {"quantity": "5"}, "ACCOUNTS_TOO_LATE", "status=canceled"),
        ("busy", {"quantity": "5"}, "ACCOUNTS_PENDING_REPLACE", "order=busy"),
        ("market", {"quantity": "5"}, "ACCOUNTS_NOT_REPLACEABLE", "order_type=market"),
        ("c1", {}, "ACCOUNTS_NOTHING_TO_REPLACE", "order=c1"),
        ("c1", {"quantity": "10", "price": "100"}, "ACCOUNTS_NOTHING_TO_REPLACE", "order=c1"),
        ("c1", {"quantity": "0"}, "ACCOUNTS_INVALID_QUANTITY", "above=0 most=90000000000 asked=0"),
        ("c1", {"price": "-1"}, "ACCOUNTS_INVALID_LIMIT_PRICE", "above=0 most=90000000000 asked=-1"),
        ("c1", {"quantity": "21"}, "ACCOUNTS_MAX_QUANTITY", "limit=20 asked=21"),
        ("c1", {"quantity": "20", "price": "101"}, "ACCOUNTS_MAX_NOTIONAL", "limit=2000 asked=2020"),
        ("c1", {"quantity": "20"}, "ACCOUNTS_INSUFFICIENT_CASH", "free=500 asked=1000 currency=USD"),
    ],
)
def test_a_replace_is_refused_with_its_values(
    bank: Bank, order: str, changes: dict[str, str], reason: Reason, text: str
) -> None:
    bank.references.put({"symbol": "AAPL", "price": parse_e8("100"), "at_us": 0})
    bank.say(new_order("done"), execution("done", "canceled"), new_order("market", "sell 1 AAPL market"))
    bank.say(new_order("busy", "sell 1 AAPL 100"), replace_order("busy", "2"))
    bank.say(
        move_cash("alice", "-8500"), new_order("c1", "buy 10 AAPL 100"), set_limits("alice", "20", "2000")
    )
    bank.cycle()
    refused = bank.answer(replace_order(order, **changes))
    assert refusal(refused) == ("replace_rejected", reason, text)
    assert bank.cycle() == {}


@pytest.mark.parametrize("taken", ["c1", "c2", "done", "c3"])
def test_a_replace_may_not_take_an_id_that_an_order_has_or_had(bank: Bank, taken: str) -> None:
    bank.say(new_order("c1"), new_order("c2"), new_order("done"), execution("done", "canceled"))
    bank.say(replace_order("c2", "5", client_order_id="c3"), execution("c2", "replace_rejected", "10"))
    refused = bank.answer(replace_order("c1", "5", client_order_id=taken))
    assert refusal(refused)[:2] == ("replace_rejected", "ACCOUNTS_DUPLICATE_ORDER")
    if taken == "c3":
        assert refusal(bank.answer(new_order("c3")))[:2] == ("rejected", "ACCOUNTS_DUPLICATE_ORDER")


def test_an_order_is_found_by_the_id_that_a_replace_gave_it(bank: Bank) -> None:
    bank.say(new_order("c1"), replace_order("c1", "5", client_order_id="c2"))
    bank.say(execution("c1", "replaced", "5", quantity="5", limit_price="100", request_id="c2"))
    cancel = bank.answer(cancel_order("c2"))
    assert (cancel["client_order_id"], cancel["order_id"]) == ("c1", order_id("alice", "c1", NOON_US))
    bank.say(execution("c1", "canceled", version=3))
    assert bank.answer(cancel_order("c2"))["client_order_id"] == "c2"


def test_an_id_is_free_once_the_window_since_its_replacing_has_passed(bank: Bank) -> None:
    """A market maker that gives its order a new id all day must not fill the memory with them."""
    bank.say(new_order("c1"))
    for number, hour in ((2, 0), (3, 30)):
        new_id, logged_us = f"c{number}", NOON_US + hour * HOUR_US
        bank.say(replace_order("c1", str(number), client_order_id=new_id, logged_us=logged_us))
        terms = {"quantity": str(number), "limit_price": "100", "request_id": new_id}
        bank.say(execution("c1", "replaced", str(number), number, logged_us=logged_us, **terms))
    late_us = NOON_US + 53 * HOUR_US
    assert bank.say(cancel_order("c2", logged_us=late_us))[0][0] == "ClearedCancel"
    bank.say(cancel_order("c3", logged_us=late_us + 2 * HOUR_US))
    list(bank.accounts.changed_rows())
    bank.cycle()
    gone = [row.key for row in bank.accounts.changed_rows() if row.row is None]
    assert gone == ["alias|alice|c2"]
    assert bank.say(cancel_order("c3", logged_us=NOON_US + 500 * HOUR_US))[0][0] == "ClearedCancel"


@pytest.mark.parametrize("end", ["filled", "canceled"])
def test_an_order_that_ends_under_a_replace_holds_nothing(bank: Bank, end: str) -> None:
    bank.say(new_order("c1", "buy 10 AAPL 100"), replace_order("c1", "20"), cancel_order("c1"))
    bank.say(fill("c1", "10 @ 100") if end == "filled" else execution("c1", "canceled"))
    assert bank.say(execution("c1", "replace_rejected", reason="MATCHING_UNKNOWN_ORDER", version=0)) == []
    assert bank.cycle()["alice USD"] == ("9000/0 v2" if end == "filled" else "10000/0 v2")


# Controls


def test_a_control_is_answered_once(bank: Bank) -> None:
    [(kind, report)] = bank.say(move_cash("alice", "5", control_id="k1", offset=3, entered_by="ops"))
    assert kind == "ControlReport"
    assert (report["control"], report["control_id"], report["outcome"]) == ("MoveCash", "k1", "applied")
    assert (report["account"], report["symbol"], report["control_offset"]) == ("alice", "", 3)
    assert report["entered_by"] == "ops"
    assert bank.cycle() == {"alice USD": "10005/0 v2"}


def test_a_control_id_is_applied_once_per_account_within_the_window(bank: Bank) -> None:
    bank.say(move_cash("alice", "5", control_id="k1"), move_cash("bob", "5", control_id="k1"))
    again = bank.answer(move_cash("alice", "5", control_id="k1", logged_us=NOON_US + WINDOW_US - 1))
    assert (again["outcome"], again["reason"], again["text"]) == (
        "rejected",
        "ACCOUNTS_DUPLICATE_CONTROL",
        "control_id=k1",
    )
    assert bank.cycle() == {"alice USD": "10005/0 v2", "bob USD": "10005/0 v2"}
    later = bank.answer(move_cash("alice", "5", control_id="k1", logged_us=NOON_US + WINDOW_US))
    assert later["outcome"] == "applied"


def test_a_refused_control_may_be_sent_again(bank: Bank) -> None:
    withdrawal = move_cash("alice", "-10001", control_id="k1")
    assert bank.answer(withdrawal)["reason"] == "ACCOUNTS_INSUFFICIENT_CASH"
    bank.say(move_cash("alice", "1"))
    assert bank.answer(withdrawal)["outcome"] == "applied"


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (move_cash("carol", "5"), "ACCOUNTS_UNKNOWN_ACCOUNT"),
        (set_limits("carol"), "ACCOUNTS_UNKNOWN_ACCOUNT"),
        (move_cash("alice", "0"), "ACCOUNTS_INVALID_CONTROL"),
        (move_cash("alice", 10**5000), "ACCOUNTS_INVALID_CONTROL"),
        (move_cash("alice", "5", currency=""), "ACCOUNTS_INVALID_CONTROL"),
        (move_cash("alice", "5", currency="U|D"), "ACCOUNTS_INVALID_CONTROL"),
        (move_cash("alice", "5", currency="AAPL"), "ACCOUNTS_INVALID_CONTROL"),
        (move_cash("alice", "5", control_id="k\0"), "ACCOUNTS_INVALID_CONTROL"),
        (move_cash("alice", "-9001"), "ACCOUNTS_INSUFFICIENT_CASH"),
        (move_holding("alice", "1", "NOPE"), "ACCOUNTS_UNKNOWN_SYMBOL"),
        (move_holding("alice", "0"), "ACCOUNTS_INVALID_CONTROL"),
        (move_holding("alice", "-41"), "ACCOUNTS_INSUFFICIENT_HOLDING"),
        (set_limits("alice", "-1"), "ACCOUNTS_INVALID_CONTROL"),
        (set_limits("alice", notional="-1"), "ACCOUNTS_INVALID_CONTROL"),
        (set_account("alice", "unknown"), "ACCOUNTS_INVALID_CONTROL"),
        (set_account("a|b"), "ACCOUNTS_INVALID_CONTROL"),
    ],
)
def test_a_control_that_makes_no_sense_changes_nothing(bank: Bank, record: Record, reason: Reason) -> None:
    bank.say(new_order("c1", "buy 10 AAPL 100"), new_order("c2", "sell 10 AAPL 100"))
    bank.cycle()
    list(bank.accounts.changed_rows())
    report = bank.answer(record)
    assert (report["outcome"], report["reason"]) == ("rejected", reason)
    assert "\0" not in report["control_id"]
    assert bank.cycle() == {}
    assert list(bank.accounts.changed_rows()) == []


def test_what_is_free_may_be_taken_out(bank: Bank) -> None:
    bank.say(new_order("c1", "buy 10 AAPL 100"), move_cash("alice", "-9000"), move_holding("alice", "-50"))
    assert bank.cycle() == {"alice USD": "1000/1000 v2", "alice AAPL": "0/0 v2"}


def test_the_kill_switch_cancels_every_order_of_the_account(bank: Bank) -> None:
    bank.say(new_order("c1"), new_order("c2", "sell 1 AAPL 100"), new_order("c3", account="bob"))
    (_, report), *cancels = bank.say(set_account("alice", "suspended", cancel_orders=True))
    assert report["outcome"] == "applied"
    assert [(c["client_order_id"], c["reason"], c["request_offset"]) for _, c in cancels] == [
        ("c1", "MATCHING_KILL_SWITCH", -1),
        ("c2", "MATCHING_KILL_SWITCH", -1),
    ]


def test_a_status_alone_leaves_the_name(bank: Bank) -> None:
    bank.say(set_account("alice", name="Alice"), set_account("alice", "suspended"))
    [row] = [row for row in bank.accounts.changed_rows() if row.kind == "AccountRow"]
    assert row.row is not None
    assert (row.row["name"], row.row["status"]) == ("Alice", "suspended")


# Rows and messages


def _busy_bank() -> tuple[Bank, list[Said]]:
    """A bank that has said one of everything, and what it said."""
    bank = Bank()
    bank.references.put({"symbol": "AAPL", "price": parse_e8("100"), "at_us": 0})
    said = bank.say(
        new_order("c1", "buy 10 AAPL 100", entered_by="api-1"),
        fill("c1", "4 @ 99", "6"),
        replace_order("c1", "9", client_order_id="c2"),
        execution("c1", "replaced", "5", 3, quantity="9", limit_price="100", request_id="c2"),
        replace_order("c2", "20", client_order_id="c3"),
        new_order("c1", "buy 10 AAPL 100"),
        cancel_order("c3"),
        cancel_order("nothing"),
        replace_order("nothing", "1"),
        new_order("m1", "sell 2 AAPL market"),
        new_order("s1", "sell 999 AAPL 100"),
        new_order(""),
        mass_cancel(),
        execution("c1", "status_unknown"),
        set_limits("alice", "500", "600000", control_id="k1"),
    )
    return bank, said + bank.accounts.end_cycle(NOON_US)


# Records within a message that may be left out.
OPTIONAL = {"instructions", "changes", "terms"}


def test_all_that_is_said_and_kept_has_the_fields_of_its_schema() -> None:
    bank, said = _busy_bank()
    rows = [(row.kind, row.row) for row in bank.accounts.changed_rows() if row.row is not None]
    codec = Codec({name: number for number, name in enumerate(record_names())})
    for kind, message in [*said, *rows]:
        absent = dict.fromkeys(
            OPTIONAL & {field["name"] for field in json.loads(schema_text(kind))["fields"]}
        )
        assert codec.decode(codec.encode(kind, message)) == (kind, {**absent, **message})
    assert {kind for kind, _ in said} == {
        *("ClearedOrder", "ClearedCancel", "ClearedReplace", "ClearedStatusRequest"),
        *("OrderEvent", "MassCancelReport", "ControlReport", "Position"),
    }
    assert {kind for kind, _ in rows} == {"AccountRow", "AccountOrderRow", "AssetRow", "AliasRow"}


def test_an_order_taken_from_its_row_gives_the_same_row() -> None:
    bank, _ = _busy_bank()
    rows = [row for row in bank.accounts.changed_rows() if row.kind == "AccountOrderRow" and row.row]
    assert {row.row["latest_id"] for row in rows if row.row} == {"c2", ""}
    for row in rows:
        assert row.row is not None
        assert AccountOrder.from_row(Account("alice"), row.row).row() == row


def test_rows_that_do_not_fit_each_other_end_the_worker() -> None:
    bank, _ = _busy_bank()
    rows = [row for row in bank.accounts.changed_rows() if row.row is not None]
    for left_out in ("order|alice|c1", "account|alice", "asset|alice|cash|USD"):
        restored = Accounts(0, bank.instruments, bank.references, WINDOW_US, 500)
        for row in rows:
            if row.key != left_out and row.row is not None:
                restored.restore(row.kind, dict(row.row))
        with pytest.raises(AssertionError):
            restored.restored()
