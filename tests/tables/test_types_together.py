"""Accounts, risk and matching together: random orders of every type, executions that come late, a restore.

What accounts hold is checked after every record (`Accounts.check`), and every execution fits its order, or
an AssertionError ends the test. What matching says is what the verifier's book says, command by command. In
the end nothing lives and nothing is held.
"""

from collections.abc import Mapping
from random import Random
from typing import Any

import pytest

from app.verify.book import Book, MarketRules, compared
from schemas.codec import Codec
from schemas.numbers import ONE
from schemas.records import Record, Row, Said
from tables.accounts import Accounts
from tables.instructions import NOTHING, ORDER_TYPES, TIMES_IN_FORCE, TRIGGERED
from tables.matching import Matching
from tables.reference import Instruments, ReferencePrices
from tables.risk import Risk
from tests.schemas.samples import ALL_IDS
from tests.tables.words import instrument

CODEC = Codec(ALL_IDS)
ACCOUNTS = ("A", "B", "C", "D")
STAMP = {"entered_us": 0, "entered_by": "", "door": "kafka"}
SESSIONS = (
    *("pre_open", "opening_auction", "volatility_auction", "closing_auction", "halt", "closed"),
    *("continuous",) * 12,
)


class Lane:
    """The three tables of a lane; executions wait until they are let in."""

    def __init__(self, seed: int, linked: float = 0.1, brackets: bool = False) -> None:
        self.chance = Random(seed)
        # How often an order belongs to a list; whether to one that buys first, then sells.
        self.linked, self.brackets = linked, brackets
        self.entries: set[tuple[str, str]] = set()
        self.instruments, self.references = Instruments(), ReferencePrices()
        self.instruments.put(instrument("S", band_bps=0))
        rules = MarketRules()
        rules.take(instrument("S", band_bps=0))
        self.book = Book("S", rules)
        self.at_us, self.offset = 1_700_000_000_000_000, 0
        self.rows: dict[tuple[int, str], Row] = {}
        self.late: list[Record] = []
        self.said: list[Said] = []
        self.open()

    def open(self) -> None:
        """Tables as the rows have them."""
        self.accounts = Accounts(0, self.instruments, self.references, 10**12, 500)
        self.risk = Risk(0, self.instruments)
        self.matching = Matching(0, self.instruments)
        self.risk.watched = self.matching.watched
        self.tables = (self.accounts, self.risk, self.matching)
        for (number, _), row in self.rows.items():
            assert row.row is not None
            self.tables[number].restore(row.kind, CODEC.decode(CODEC.encode(row.kind, row.row))[1])
        for table in self.tables:
            table.restored()

    def say(self, kind: str, **message: Any) -> None:
        """One record, and all that follows from it but the executions."""
        self.at_us += 1000
        self.offset += 1
        waiting = [Record(kind, STAMP | message, self.offset, self.at_us)]
        if self.chance.random() < 0.4:
            waiting = self._executions() + waiting
        while waiting:
            waiting += self._work(waiting.pop(0))
            self.accounts.check()
            self.matching.check()
            self._check_nobody_is_short()

    def _check_nobody_is_short(self) -> None:
        """But those who may be."""
        for account in self.accounts._ledger.accounts.values():
            for holding in () if account.allow_short else account.holdings.values():
                assert 0 <= holding.reserved_e8 <= holding.total_e8, holding.row().row

    def settle(self) -> None:
        """Lets every execution in."""
        for record in self._executions():
            self._work(record)
        self.accounts.check()

    def _executions(self) -> list[Record]:
        late, self.late = self.late, []
        return late

    def _work(self, record: Record) -> list[Record]:
        said = self._through(record)
        for table in self.tables:
            said += table.end_cycle(self.at_us)
        following = []
        for kind, message in said:
            read = Record(kind, CODEC.decode(CODEC.encode(kind, message))[1], self.offset, self.at_us)
            self.said.append((kind, read.message))
            if kind == "ReferencePrice":
                self.references.put(message)
            if kind == "Execution":
                self.late.append(read)
            elif kind.startswith("Cleared"):
                following.append(read)
        tables: tuple[Accounts | Risk | Matching, ...] = self.tables
        for number, each in enumerate(tables):
            for row in each.changed_rows():
                if row.row is None:
                    self.rows.pop((number, row.key), None)
                else:
                    self.rows[number, row.key] = row
        return following

    def _through(self, record: Record) -> list[Said]:
        if record.kind in self.accounts._apply:
            return self.accounts.apply(record, self.at_us)
        said = self.risk.apply(record, self.at_us)
        if said is not None:
            return said
        passed = [*self.risk.ahead, record]
        self.risk.ahead.clear()
        return [words for each in passed for words in self._matched(each)]

    def _matched(self, record: Record) -> list[Said]:
        """What matching says, which must be what the verifier's book says."""
        said = [*self.matching.begin_cycle(self.at_us), *self.matching.apply(record, self.at_us)]
        expected = self.book.wake(self.at_us)
        if record.kind.startswith("Cleared"):
            expected += self.book.apply(record.kind, record.message, self.at_us)
        elif any(kind == "ControlReport" for kind, _ in said):
            expected += self.book.control(record.kind, record.message, self.at_us)
        for kind, message in said:
            if kind == "QuoteTaken":
                expected += self.book.quote(message)
        assert [compared(message) for kind, message in said if kind == "OrderEvent"] == expected, record
        return said

    def price(self, low: float = 9.5, high: float = 10.5) -> int:
        """A price on tick."""
        return round(self.chance.uniform(low, high) * 100) * ONE // 100

    def some(self, *values: Any) -> Any:
        """One of some values."""
        return self.chance.choice(values)


def enter(lane: Lane, id: str) -> str:
    """A random order, mostly one that its type may be; its account."""
    order_type, chance = lane.some("limit", "limit", *ORDER_TYPES), lane.chance
    quantity_e8, account = lane.some(1, 5, 20, 50) * ONE, lane.some(*ACCOUNTS)
    time_in_force = lane.some("gtc", "gtc", *TIMES_IN_FORCE) if order_type == "limit" else "gtc"
    carried = dict(NOTHING)
    if time_in_force == "gtd":
        carried["expire_at_us"] = lane.at_us + lane.some(2, 60) * 1000
    if order_type == "trailing_stop":
        carried |= lane.some({"trail_amount": ONE // 5}, {"trail_percent": 2 * ONE})
    elif order_type in TRIGGERED:
        carried["stop_price"] = lane.price()
    if order_type == "pegged":
        carried |= {"peg": lane.some("bid", "ask", "mid"), "peg_offset": lane.price(-0.1, 0.1)}
    if order_type == "limit" and time_in_force == "gtc":
        carried |= lane.some(
            {},
            {"display_quantity": ONE},
            {"hidden": True},
            {"min_quantity": quantity_e8},
            {"all_or_none": True},
            {"post_only": lane.some("reject", "reprice")},
        )
    carried["reduce_only"] = chance.random() < 0.1
    carried["stp"] = lane.some("unset", "cancel_newest", "cancel_oldest", "cancel_both", "decrement")
    side = lane.some("buy", "sell")
    if lane.brackets and account in "CD":
        list_ = account, str(int(id[1:]) // 20)
        carried |= {"link_type": "bracket", "link_id": list_[1]}
        side = lane.some(*("sell",) * 5, "buy") if list_ in lane.entries else "buy"
        lane.entries.add(list_)
    elif not lane.brackets and chance.random() < lane.linked:
        carried |= {"link_type": lane.some("oco", "oco", "oto", "bracket"), "link_id": lane.some(*"123456")}
    priced = order_type in ("limit", "stop_limit")
    lane.say(
        "NewOrder",
        account=account,
        client_order_id=id,
        symbol="S",
        side=side,
        order_type=order_type,
        quantity=quantity_e8,
        time_in_force=time_in_force,
        limit_price=lane.price() if priced else None,
        instructions=carried,
    )
    return str(account)


def replace(lane: Lane, account: str, id: str) -> None:
    """A random replace."""
    changes: Mapping[str, Any] = lane.some(
        {},
        {"stop_price": lane.price()},
        {"display_quantity": ONE},
        {"time_in_force": "gtd", "expire_at_us": lane.at_us + 50_000},
    )
    none = dict.fromkeys(("stop_price", "display_quantity", "time_in_force", "expire_at_us"))
    lane.say(
        "ReplaceOrder",
        account=account,
        order=id,
        client_order_id="",
        symbol="",
        quantity=lane.some(None, ONE, 60 * ONE),
        limit_price=lane.some(None, None, lane.price()),
        changes={**none, **changes},
    )


def control(lane: Lane) -> None:
    """A random control of the market, or a dead man's switch."""
    kind, fields = lane.some(
        ("SetSession", {"session": lane.some(*SESSIONS)}),
        ("SetSession", {"session": "continuous"}),
        ("Uncross", {}),
        (
            "SetTradingBand",
            {"low": lane.some(0, lane.price(9.5, 9.8)), "high": lane.some(0, lane.price(10.2))},
        ),
        ("ExpireDay", {}),
        ("CancelAllAfter", {"account": lane.some(*ACCOUNTS), "timeout_ms": lane.some(0, 5, 50)}),
    )
    named = {"client_order_id": "d"} if "account" in fields else {"symbol": "S", "control_id": ""}
    lane.say(kind, **named, **fields)


def fund(lane: Lane, cash: int, holding: int) -> None:
    """Opens accounts that have so much."""
    for account in ACCOUNTS:
        who = {"account": account, "control_id": ""}
        lane.say("SetAccount", **who, status="active", name="", cancel_orders=False)
        limits = {"max_order_quantity": 0, "max_order_notional": 0, "allow_short": account in "AB"}
        lane.say("SetLimits", **who, **limits)
        lane.say("MoveCash", **who, currency="USD", amount=cash * ONE, text="")
        lane.say("MoveHolding", **who, symbol="S", quantity=holding * ONE, text="")


def trade(lane: Lane, cash: int, holding: int) -> None:
    """A few hundred random orders of accounts that have so much; in the end nothing lives or is held."""
    fund(lane, cash, holding)
    entered: list[tuple[str, str]] = []
    for number in range(220):
        draw = lane.chance.random()
        if number == 110:
            lane.open()
        if draw < 0.1 or not entered:
            middle_e8 = lane.price(9.8, 10.2)
            prices = {
                "bid": middle_e8 - ONE // 20,
                "ask": middle_e8 + ONE // 20,
                "last": lane.some(0, middle_e8),
            }
            lane.say("Quote", symbol="S", **prices)
            entered.append((enter(lane, f"q{number}"), f"q{number}"))
        elif draw < 0.7:
            entered.append((enter(lane, f"o{number}"), f"o{number}"))
        elif draw < 0.9:
            replace(lane, *lane.chance.choice(entered[-12:]))
        else:
            control(lane)
    lane.say("SetSession", symbol="S", control_id="", session="continuous")
    lane.settle()
    for account in ACCOUNTS:
        lane.say("MassCancel", account=account, client_order_id="m", symbol="", side="unknown")
    lane.settle()
    for left in lane.accounts._ledger.accounts.values():
        assert not left.live
        assert not any(asset.reserved_e8 for asset in (*left.cash.values(), *left.holdings.values()))


@pytest.mark.parametrize("seed", [4, 12, 16, 30])
def test_orders_that_exclude_each_other_share_what_there_is(seed: int) -> None:
    lane = Lane(seed, linked=0.6)
    trade(lane, cash=600, holding=60)
    linked = [m for _, m in lane.said if m.get("reason") == "MATCHING_LINKED"]
    assert linked


@pytest.mark.parametrize("seed", range(4))
def test_plain_orders_that_a_replace_makes_others(seed: int) -> None:
    lane = Lane(seed)
    fund(lane, cash=10**6, holding=5000)
    entered: list[tuple[str, str]] = []
    for number in range(200):
        if lane.chance.random() < 0.6 or not entered:
            who = {"account": lane.some(*ACCOUNTS), "client_order_id": f"o{number}"}
            terms = {"symbol": "S", "order_type": "limit", "time_in_force": "gtc", "instructions": None}
            numbers = {"quantity": lane.some(1, 5, 20) * ONE, "limit_price": lane.price()}
            lane.say("NewOrder", **who, **terms, **numbers, side=lane.some("buy", "sell"))
            entered.append((who["account"], who["client_order_id"]))
        else:
            replace(lane, *lane.chance.choice(entered[-12:]))
    ends = {message["event"] for kind, message in lane.said if kind == "OrderEvent"}
    assert ends >= {"accepted", "trade", "replaced", "expired"}


@pytest.mark.parametrize("seed", range(12))
def test_exits_of_a_bracket_sell_what_its_entry_bought(seed: int) -> None:
    lane = Lane(seed, brackets=True)
    trade(lane, cash=3000, holding=20)
    linked = [m for kind, m in lane.said if kind == "OrderEvent" and m["reason"] == "MATCHING_LINKED"]
    assert {m["event"] for m in linked} & {"canceled", "replaced"}
    assert any(m["last_quantity"] and _is_exit(m) for kind, m in lane.said if kind == "OrderEvent")


def _is_exit(event: Mapping[str, Any]) -> bool:
    carried = event["instructions"] or {}
    return event["side"] == "sell" and bool(carried.get("link_parent"))


@pytest.mark.parametrize("seed", range(4))
def test_accounts_hold_what_orders_of_every_type_need(seed: int) -> None:
    lane = Lane(seed)
    trade(lane, cash=10**6, holding=5000)
    refused = [message for _, message in lane.said if message.get("reason") == "MATCHING_NOT_REPLACEABLE"]
    assert all("triggered" in _life(lane, message) for message in refused if "event" in message)
    events = {message["event"] for kind, message in lane.said if kind == "OrderEvent"}
    assert events >= {"accepted", "rejected", "triggered", "trade", "canceled", "replaced", "expired"}
    assert {kind for kind, _ in lane.said} >= {"QuoteTaken", "SelfTradePrevented", "SessionChange"}


def _life(lane: Lane, event: Mapping[str, Any]) -> list[str]:
    """What happened to the order of an event."""
    order_id = event["order_id"]
    return [m["event"] for kind, m in lane.said if kind == "OrderEvent" and m["order_id"] == order_id]
