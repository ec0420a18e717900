"""Every order type and instruction at its account: what is refused, reserved, and changed by a replace."""

from typing import Any

import pytest

from schemas.codec import defaults
from schemas.numbers import ONE, format_e8
from schemas.records import Record, Said
from tables.instructions import NOTHING
from tests.tables.test_accounts import Bank, bank, refusal
from tests.tables.words import (
    HOUR_US,
    NOON_US,
    _record,
    _who,
    cancel_order,
    e8,
    execution,
    fill,
    mass_cancel,
    move_holding,
    new_order,
    replace_order,
    set_limits,
)

__all__ = ["bank"]

NUMBERS = ("stop_price", "trail_amount", "trail_percent", "peg_offset", "display_quantity", "min_quantity")


def carrying(**given: Any) -> dict[str, Any]:
    """Instructions; numbers as decimal strings."""
    return {**NOTHING, **{name: e8(v) if name in NUMBERS else v for name, v in given.items()}}


def order(words: str, order_type: str = "limit", id: str = "c1", tif: str = "gtc", **given: Any) -> Record:
    """A NewOrder that carries something; `words` as for `new_order`, price `none` for none."""
    changes: dict[str, Any] = {
        "order_type": order_type,
        "time_in_force": tif,
        "instructions": carrying(**given),
    }
    if words.endswith("none"):
        words, changes["limit_price"] = words.replace("none", "1"), None
    return new_order(id, words, **changes)


def replace(**given: Any) -> Record:
    """A ReplaceOrder of c1 that changes more than quantity and price."""
    none = dict.fromkeys(("stop_price", "display_quantity", "time_in_force", "expire_at_us"))
    quantity = given.pop("quantity", None)
    changes = {name: e8(value) if name in NUMBERS else value for name, value in given.items()}
    return replace_order("c1", quantity, changes=none | changes)


def test_the_instructions_in_which_nothing_is_used_are_the_schema_s_defaults() -> None:
    assert dict(NOTHING) == dict(defaults("NewOrder", "instructions"))


def test_an_order_that_names_instructions_but_uses_none_is_a_plain_one(bank: Bank) -> None:
    cleared = bank.answer(order("buy 10 AAPL 100"))
    assert cleared.get("instructions") is None
    assert bank.answer(new_order("c1", "buy 10 AAPL 100"))["order_id"] == cleared["order_id"]


WRONG: list[tuple[str, str, str, dict[str, Any], str]] = [
    ("buy 10 AAPL none", "stop", "gtc", {}, "stop_price missing for order_type=stop"),
    ("buy 10 AAPL 100", "stop_limit", "gtc", {}, "stop_price missing for order_type=stop_limit"),
    ("buy 10 AAPL 100", "limit", "gtc", {"stop_price": "1"}, "stop_price not with order_type=limit"),
    (
        "buy 10 AAPL none",
        "trailing_stop",
        "gtc",
        {},
        "trail_amount one of trail_amount and trail_percent, not 0",
    ),
    (
        *("buy 10 AAPL none", "trailing_stop", "gtc"),
        {"trail_amount": "1", "trail_percent": "1"},
        "trail_amount one of trail_amount and trail_percent, not 2",
    ),
    (
        "buy 10 AAPL none",
        "trailing_stop",
        "gtc",
        {"trail_percent": "100"},
        "trail_percent below=100 asked=100",
    ),
    ("buy 10 AAPL 100", "limit", "gtc", {"trail_percent": "1"}, "trail_percent not with order_type=limit"),
    ("buy 10 AAPL 100", "pegged", "gtc", {}, "peg missing for order_type=pegged"),
    ("buy 10 AAPL 100", "limit", "gtc", {"peg": "mid"}, "peg not with order_type=limit"),
    ("buy 10 AAPL 100", "limit", "gtc", {"peg_offset": "-1"}, "peg_offset not with order_type=limit"),
    (
        *("buy 10 AAPL 100", "pegged", "ioc", {"peg": "bid"}),
        "time_in_force=ioc not with order_type=pegged",
    ),
    ("buy 10 AAPL 100", "limit", "gtd", {}, f"expire_at_us above={NOON_US} asked=0"),
    ("buy 10 AAPL 100", "limit", "day", {"expire_at_us": 1}, "expire_at_us not with time_in_force=day"),
    (
        "buy 10 AAPL 100",
        "limit",
        "gtc",
        {"display_quantity": "11"},
        "display_quantity least=0.01 most=10 asked=11",
    ),
    (
        *("buy 10 AAPL 100", "limit", "gtc", {"display_quantity": "0.009"}),
        "display_quantity least=0.01 most=10 asked=0.009",
    ),
    (
        *("buy 10 AAPL 100", "limit", "ioc", {"display_quantity": "1"}),
        "display_quantity not with order_type=limit time_in_force=ioc hidden=false",
    ),
    (
        "buy 10 AAPL 100",
        "limit",
        "fok",
        {"hidden": True},
        "hidden not with order_type=limit time_in_force=fok",
    ),
    ("buy 10 AAPL 100", "limit", "gtc", {"min_quantity": "11"}, "min_quantity most=10 asked=11"),
    (
        *("buy 10 AAPL 100", "limit", "gtc", {"min_quantity": "1", "all_or_none": True}),
        "all_or_none not with min_quantity",
    ),
    (
        *("buy 10 AAPL 100", "limit", "gtc", {"all_or_none": True, "post_only": "reject"}),
        "all_or_none not with post_only",
    ),
    (
        *("buy 10 AAPL 100", "limit", "at_close", {"min_quantity": "1"}),
        "min_quantity not with order_type=limit time_in_force=at_close",
    ),
    (
        *("buy 10 AAPL 100", "limit", "ioc", {"post_only": "reprice"}),
        "post_only not with order_type=limit time_in_force=ioc",
    ),
    ("buy 10 AAPL 100", "limit", "gtc", {"link_type": "oco"}, "link_id missing"),
    ("buy 10 AAPL 100", "limit", "gtc", {"link_id": "L"}, "link_type missing"),
    ("buy 10 AAPL 100", "limit", "gtc", {"stp": "unknown"}, "stp unknown"),
    ("buy 10 AAPL 100", "limit", "gtc", {"min_quantity": "-1"}, "min_quantity least=0 most=90000000000"),
    (
        *("buy 10 AAPL 100", "limit", "gtc", {"stp_group": "x" * 65}),
        "stp_group must be up to 64 printable ASCII characters",
    ),
    (
        *("buy 10 AAPL none", "stop", "at_open", {"stop_price": "90"}),
        "time_in_force=at_open not with order_type=stop",
    ),
]


@pytest.mark.parametrize(("words", "order_type", "tif", "given", "text"), WRONG)
def test_a_field_that_does_not_go_with_the_type_is_refused_by_name(
    bank: Bank, words: str, order_type: str, tif: str, given: dict[str, Any], text: str
) -> None:
    bank.references.put({"symbol": "AAPL", "price": e8("100"), "at_us": 0})
    answer = bank.answer(order(words, order_type, tif=tif, **given))
    assert refusal(answer) == ("rejected", "ACCOUNTS_INVALID_INSTRUCTION", f"field={text}")


# What an order needs at worst: words, type, instructions, the worst price and what is reserved of 10,000 USD.
WORST: list[tuple[str, str, dict[str, Any], str, str]] = [
    ("buy 10 AAPL 100", "limit", {"display_quantity": "2"}, "100", "1000"),
    ("buy 10 AAPL 100", "stop_limit", {"stop_price": "99"}, "100", "1000"),
    ("buy 10 AAPL none", "market_to_limit", {}, "105", "1050"),
    ("buy 10 AAPL none", "stop", {"stop_price": "120"}, "126", "1260"),
    ("buy 10 AAPL none", "market_if_touched", {"stop_price": "80"}, "84", "840"),
    ("buy 10 AAPL none", "trailing_stop", {"stop_price": "120", "trail_amount": "9"}, "126", "1260"),
    ("buy 10 AAPL none", "trailing_stop", {"trail_amount": "20"}, "126", "1260"),
    ("buy 10 AAPL none", "trailing_stop", {"trail_percent": "20"}, "126", "1260"),
    ("buy 10 AAPL none", "pegged", {"peg": "mid"}, "105", "1050"),
    ("buy 10 AAPL 98", "pegged", {"peg": "ask", "peg_offset": "-1"}, "98", "980"),
]


@pytest.mark.parametrize(("words", "order_type", "given", "worst", "reserved"), WORST)
def test_what_an_order_needs_at_worst_is_reserved_and_all_of_it_freed_with_the_last_fill(
    bank: Bank, words: str, order_type: str, given: dict[str, Any], worst: str, reserved: str
) -> None:
    bank.references.put({"symbol": "AAPL", "price": e8("100"), "at_us": 0})
    cleared = bank.answer(order(words, order_type, **given))
    assert format_e8(cleared["limit_price"]) == worst
    assert bank.cycle()["alice USD"] == f"10000/{reserved} v2"
    bank.say(fill("c1", "4 @ 80", leaves="6", version=3), fill("c1", f"6 @ {worst}", version=4))
    spent = 4 * 80 * ONE + 6 * e8(worst)
    assert bank.cycle()["alice USD"] == f"{format_e8(10_000 * ONE - spent)}/0 v3"


def test_a_sell_s_protection_lies_below(bank: Bank) -> None:
    bank.references.put({"symbol": "AAPL", "price": e8("100"), "at_us": 0})
    made = [
        bank.answer(order("sell 10 AAPL none", kind, id=kind, **given))
        for kind, given in (
            ("stop", {"stop_price": "80"}),
            ("trailing_stop", {"trail_amount": "20"}),
            ("pegged", {"peg": "bid"}),
        )
    ]
    assert [format_e8(cleared["limit_price"]) for cleared in made] == ["76", "76", "95"]
    assert bank.cycle()["alice AAPL"] == "50/30 v2"


def test_a_peg_s_protection_is_on_tick(bank: Bank) -> None:
    bank.references.put({"symbol": "AAPL", "price": e8("100.01"), "at_us": 0})
    bought = bank.answer(order("buy 1 AAPL none", "pegged", id="b", peg="mid"))
    sold = bank.answer(order("sell 1 AAPL none", "pegged", id="s", peg="mid"))
    assert [format_e8(m["limit_price"]) for m in (bought, sold)] == ["105.01", "95.01"]


def test_what_has_no_price_to_be_protected_from_is_refused(bank: Bank) -> None:
    for kind, given in (
        ("pegged", {"peg": "mid"}),
        ("trailing_stop", {"trail_amount": "1"}),
        ("market_to_limit", {}),
    ):
        answer = bank.answer(order("buy 1 AAPL none", kind, id=kind, **given))
        assert answer["reason"] == "ACCOUNTS_NO_REFERENCE_PRICE"
    assert bank.say(order("buy 1 AAPL none", "stop", stop_price="90"))[0][0] == "ClearedOrder"


def test_a_price_of_its_own_is_for_types_that_have_one(bank: Bank) -> None:
    answer = bank.answer(order("buy 10 AAPL 100", "stop", stop_price="99"))
    assert refusal(answer) == ("rejected", "ACCOUNTS_INVALID_LIMIT_PRICE", "order_type=stop asked=100")


def test_the_same_instructions_are_the_same_order_and_others_another(bank: Bank) -> None:
    first = order("buy 10 AAPL 100", display_quantity="2", stp="cancel_oldest")
    cleared = bank.answer(first)
    assert cleared["instructions"] == first.message["instructions"]
    assert bank.say(first)[0][0] == "ClearedStatusRequest"
    for other in (order("buy 10 AAPL 100", display_quantity="2"), new_order("c1", "buy 10 AAPL 100")):
        assert bank.answer(other)["reason"] == "ACCOUNTS_DUPLICATE_ORDER"


def test_an_event_shows_no_protection_but_what_the_order_carries(bank: Bank) -> None:
    bank.say(order("buy 10 AAPL none", "stop", stop_price="90"), fill("c1", "10 @ 90"))
    event = bank.answer(cancel_order("c1"))
    assert (event["limit_price"], event["instructions"]["stop_price"]) == (0, e8("90"))


def test_rows_give_back_what_an_order_carries(bank: Bank) -> None:
    bank.say(order("buy 10 AAPL 100", display_quantity="2", link_type="oco", link_id="L"))
    again = Bank()
    for row in bank.accounts.changed_rows():
        if row.kind == "AccountOrderRow" and row.row is not None:
            again.accounts.restore(row.kind, row.row)
            restored = again.accounts._ledger.accounts["alice"].live["c1"]
            assert restored.row() == row
            assert restored.instructions is not None
            assert restored.instructions["link_id"] == "L"


# Reduce-only


def test_a_reduce_only_sell_needs_free_holding_even_with_leave_to_sell_short(bank: Bank) -> None:
    bank.say(set_limits("alice", allow_short=True), order("sell 30 AAPL 100", id="a", reduce_only=True))
    answer = bank.answer(order("sell 21 AAPL 100", id="b", reduce_only=True))
    assert refusal(answer) == ("rejected", "ACCOUNTS_REDUCE_ONLY", "free=20 asked=21 symbol=AAPL")
    assert bank.say(order("sell 20 AAPL 100", id="d", reduce_only=True))[0][0] == "ClearedOrder"


def test_a_reduce_only_buy_needs_a_short_that_no_other_covers(bank: Bank) -> None:
    bank.say(set_limits("alice", allow_short=True), new_order("s", "sell 80 AAPL 10"))
    assert bank.answer(order("buy 1 AAPL 10", id="a", reduce_only=True))["reason"] == "ACCOUNTS_REDUCE_ONLY"
    bank.say(fill("s", "80 @ 10"), order("buy 20 AAPL 10", id="b", reduce_only=True))
    answer = bank.answer(order("buy 11 AAPL 10", id="d", reduce_only=True))
    assert refusal(answer) == ("rejected", "ACCOUNTS_REDUCE_ONLY", "free=10 asked=11 symbol=AAPL")
    assert bank.say(order("buy 10 AAPL 10", id="e", reduce_only=True))[0][0] == "ClearedOrder"
    bank.say(fill("b", "20 @ 10"))
    assert bank.answer(replace_order("e", "11"))["reason"] == "ACCOUNTS_REDUCE_ONLY"


# Replaces


def test_a_stop_that_moves_takes_its_protection_along(bank: Bank) -> None:
    bank.say(order("buy 10 AAPL none", "stop", stop_price="100"))
    cleared = bank.answer(replace(stop_price="120"))
    assert (format_e8(cleared["limit_price"]), cleared["changes"]["stop_price"]) == ("126", e8("120"))
    assert cleared["instructions"]["stop_price"] == e8("100")
    assert bank.cycle()["alice USD"] == "10000/1260 v2"
    terms = {"instructions": carrying(stop_price="120"), "time_in_force": "gtc"}
    bank.say(execution("c1", "replaced", "10", quantity="10", limit_price="126", terms=terms))
    bank.say(fill("c1", "10 @ 126", version=3))
    assert bank.answer(cancel_order("c1"))["instructions"]["stop_price"] == e8("120")


def test_a_replace_of_the_stop_that_is_refused_frees_what_it_held(bank: Bank) -> None:
    bank.say(order("buy 10 AAPL none", "stop", stop_price="100"), replace(stop_price="120"))
    bank.say(execution("c1", "replace_rejected", "10", version=1))
    assert bank.cycle()["alice USD"] == "10000/1050 v2"


@pytest.mark.parametrize(
    ("words", "order_type", "tif", "given", "asked", "reason", "text"),
    [
        *(
            ("buy 10 AAPL 100", "limit", tif, {}, {"stop_price": "1"}, "ACCOUNTS_NOT_REPLACEABLE", text)
            for tif, text in [("gtc", "field=stop_price order_type=limit time_in_force=gtc")]
        ),
        (
            *("buy 10 AAPL 100", "limit", "gtc", {}, {"time_in_force": "ioc"}),
            *("ACCOUNTS_INVALID_TIME_IN_FORCE", "time_in_force=ioc offered=day,gtc,gtd"),
        ),
        (
            *("buy 10 AAPL 100", "limit", "gtc", {}, {"time_in_force": "gtd"}),
            *("ACCOUNTS_INVALID_INSTRUCTION", f"field=expire_at_us above={NOON_US} asked=0"),
        ),
        (
            *(
                "buy 10 AAPL 100",
                "limit",
                "at_close",
                {},
                {"time_in_force": "day"},
                "ACCOUNTS_NOT_REPLACEABLE",
            ),
            "field=time_in_force order_type=limit time_in_force=at_close",
        ),
        (
            *("buy 10 AAPL 100", "limit", "gtc", {"display_quantity": "2"}, {"display_quantity": "11"}),
            *("ACCOUNTS_INVALID_INSTRUCTION", "field=display_quantity least=0.01 most=10 asked=11"),
        ),
        (
            *("buy 10 AAPL 100", "limit", "gtc", {"hidden": True}, {"display_quantity": "1"}),
            *("ACCOUNTS_NOT_REPLACEABLE", "field=display_quantity order_type=limit time_in_force=gtc"),
        ),
        (
            *("buy 10 AAPL 100", "limit", "gtc", {"display_quantity": "2"}, {"display_quantity": "2"}),
            *("ACCOUNTS_NOTHING_TO_REPLACE", "order=c1"),
        ),
    ],
)
def test_a_replace_that_the_order_cannot_have_is_refused_by_field(
    bank: Bank, words: str, order_type: str, tif: str, given: Any, asked: Any, reason: str, text: str
) -> None:
    bank.say(order(words, order_type, tif=tif, **given))
    answer = bank.answer(replace(**asked))
    assert refusal(answer) == ("replace_rejected", reason, text)


def test_an_order_gets_and_keeps_an_end(bank: Bank) -> None:
    bank.say(new_order("c1", "buy 10 AAPL 100"))
    later = NOON_US + HOUR_US
    cleared = bank.answer(replace(time_in_force="gtd", expire_at_us=later))
    assert cleared["changes"] == {
        **dict.fromkeys(("stop_price", "display_quantity")),
        "time_in_force": "gtd",
        "expire_at_us": later,
    }
    terms = {"instructions": carrying(expire_at_us=later), "time_in_force": "gtd"}
    bank.say(execution("c1", "replaced", "10", quantity="10", limit_price="100", terms=terms))
    assert bank.answer(replace(expire_at_us=later))["reason"] == "ACCOUNTS_NOTHING_TO_REPLACE"
    assert bank.say(replace(expire_at_us=later + 1))[0][0] == "ClearedReplace"


# Self-trade prevention lowers quantities


def test_a_decrement_frees_its_part(bank: Bank) -> None:
    bank.say(new_order("c1", "buy 10 AAPL 100"))
    bank.say(execution("c1", "replaced", "4", quantity="4", limit_price="100", reason="MATCHING_SELF_TRADE"))
    assert bank.cycle()["alice USD"] == "10000/400 v2"
    bank.say(fill("c1", "4 @ 100", version=3))
    assert bank.cycle()["alice USD"] == "9600/0 v3"


def test_a_decrement_while_a_replace_is_under_way_keeps_what_the_replace_may_need(bank: Bank) -> None:
    bank.say(new_order("c1", "buy 10 AAPL 100"), replace_order("c1", "20"))
    bank.say(execution("c1", "replaced", "4", quantity="4", limit_price="100", reason="MATCHING_SELF_TRADE"))
    assert bank.cycle()["alice USD"] == "10000/2000 v2"
    bank.say(execution("c1", "replaced", "20", version=3, quantity="20", limit_price="100"))
    assert bank.say(fill("c1", "20 @ 100", version=4)) == []
    assert bank.cycle()["alice USD"] == "8000/0 v3"


# CancelAllAfter


def cancel_all_after(timeout_ms: int, **changes: Any) -> Record:
    message = {"account": "alice", "client_order_id": "d1", "timeout_ms": timeout_ms}
    return _record("CancelAllAfter", _who(message), changes)


def ends(said: list[Said]) -> list[tuple[str, str, str]]:
    """Kind, reason and order or request of what is said at a deadline."""
    return [
        (kind, m["reason"], m["client_order_id"] if kind == "ClearedCancel" else m["request_id"])
        for kind, m in said
        if kind in ("ClearedCancel", "MassCancelReport")
    ]


def test_orders_are_canceled_when_their_account_is_not_heard_of_in_time(bank: Bank) -> None:
    bank.say(new_order("c1", "buy 10 AAPL 100"), new_order("c2", "sell 10 AAPL 100"))
    report = bank.answer(cancel_all_after(5000))
    assert (report["outcome"], report["text"]) == ("applied", f"cancel_at_us={NOON_US + 5_000_000}")
    assert bank.accounts.due_us() == NOON_US + 5_000_000
    assert ends(bank.accounts.end_cycle(NOON_US + 4_999_999)) == []
    assert ends(bank.accounts.end_cycle(NOON_US + 5_000_000)) == [
        ("MassCancelReport", "MATCHING_CANCEL_ALL_AFTER", "d1"),
        ("ClearedCancel", "MATCHING_CANCEL_ALL_AFTER", "c1"),
        ("ClearedCancel", "MATCHING_CANCEL_ALL_AFTER", "c2"),
    ]
    assert bank.accounts.due_us() == 0
    assert ends(bank.accounts.end_cycle(NOON_US + HOUR_US)) == []


def test_a_deadline_is_renewed_ended_and_survives_its_worker(bank: Bank) -> None:
    bank.say(new_order("c1", "buy 10 AAPL 100"), cancel_all_after(5000))
    bank.say(cancel_all_after(5000, logged_us=NOON_US + 3_000_000))
    assert ends(bank.accounts.end_cycle(NOON_US + 5_000_000)) == []
    again = Bank()
    for row in bank.accounts.changed_rows():
        if row.row is not None:
            again.accounts.restore(row.kind, row.row)
    again.accounts.restored()
    assert again.accounts.due_us() == NOON_US + 8_000_000
    assert len(ends(again.accounts.end_cycle(NOON_US + 8_000_000))) == 2
    bank.say(cancel_all_after(0))
    assert bank.accounts.due_us() == 0


def test_a_deadline_out_of_range_is_refused_by_name(bank: Bank) -> None:
    report = bank.answer(cancel_all_after(86_400_001))
    assert (report["outcome"], report["reason"]) == ("rejected", "ACCOUNTS_INVALID_INSTRUCTION")
    assert report["text"] == "field=timeout_ms least=0 most=86400000 asked=86400001"
    assert bank.answer(cancel_all_after(1, account="nobody"))["reason"] == "ACCOUNTS_UNKNOWN_ACCOUNT"


def test_many_renewals_leave_one_entry(bank: Bank) -> None:
    for i in range(1000):
        bank.say(cancel_all_after(5000, logged_us=NOON_US + i))
    assert len(bank.accounts._dead_men._due) < 200
    assert bank.accounts.due_us() == NOON_US + 999 + 5_000_000


def test_what_was_mass_canceled_has_no_deadline_to_wait_for(bank: Bank) -> None:
    bank.say(new_order("c1", "buy 10 AAPL 100"), cancel_all_after(5000), mass_cancel())
    bank.say(execution("c1", "canceled"), move_holding("alice", "1"))
    assert ends(bank.accounts.end_cycle(NOON_US + 5_000_000)) == [
        ("MassCancelReport", "MATCHING_CANCEL_ALL_AFTER", "d1")
    ]
