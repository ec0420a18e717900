"""Accounts under random requests, controls and a symbol side that answers late.

Whatever comes in whatever order: every request has exactly one answer, live orders hold exactly what
they may still cost, nothing is sold that is not held, cash and holdings are conserved, and a lane
restored from its changelog says what the one before it would have said.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.numbers import notional_e8
from schemas.records import Record, Said
from tables.account_orders import AccountOrder
from tables.accounts import Accounts
from tables.holdings import Account
from tables.limits import replace_costs_e8
from tests.tables.symbol_side import RiskAndMatching, SymbolSide
from tests.tables.words import (
    HOUR_US,
    NOON_US,
    cancel_order,
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

ANSWERS = {
    "NewOrder": {"accepted", "rejected", "order_status"},
    "CancelOrder": {"canceled", "cancel_rejected"},
    "ReplaceOrder": {"replaced", "replace_rejected"},
    "MassCancel": {"MassCancelReport"},
}
ACCOUNTS = ("ann", "bob", "shorty")
# Products that round, ones that do not, and one that cash does not cover.
QUANTITIES = st.sampled_from([1, 2, 3, 50, 100_000_001, 250_000_000, 10**12])
PRICES = st.sampled_from([33_333_333, 50_000_000, 66_666_667, 100_000_000, 150_000_001])
IDS = st.sampled_from(["c0", "c1", "c2", "c3", "c4"])
WHO = st.sampled_from(ACCOUNTS)

Action = tuple[Any, ...]


def action(kind: str) -> st.SearchStrategy[Action]:
    """Actions of a kind."""
    sides, symbols = st.sampled_from(["buy", "sell"]), st.sampled_from(["AAPL", "HALF"])
    tif = st.sampled_from(["gtc", "gtc", "gtc", "ioc"])
    parts: dict[str, tuple[st.SearchStrategy[Any], ...]] = {
        "enter": (WHO, IDS, sides, QUANTITIES, symbols, PRICES, tif),
        "enter at market": (WHO, IDS, sides, QUANTITIES, symbols),
        "replace": (WHO, IDS, st.none() | QUANTITIES, st.none() | PRICES, st.just("") | IDS),
        "cancel": (WHO, IDS),
        "mass cancel": (WHO,),
        "status": (WHO, st.sampled_from(["active", "active", "suspended"]), st.booleans()),
        "cash": (WHO, st.sampled_from([-200_000_000, -1, 1, 300_000_000])),
        "match": (st.integers(1, 6), st.sampled_from([False] * 9 + [True])),
        "settle": (st.integers(1, 9),),
        "wait": (st.sampled_from([1, 30]),),
        "cycle": (),
    }
    return st.tuples(st.just(kind), *parts[kind])


KINDS = {
    "enter": 12,
    "enter at market": 2,
    "replace": 6,
    "cancel": 2,
    "mass cancel": 1,
    "status": 1,
    "cash": 1,
    "match": 6,
    "settle": 4,
    "wait": 1,
    "cycle": 3,
}
actions = st.sampled_from([kind for kind, weight in KINDS.items() for _ in range(weight)]).flatmap(action)
scripts = st.lists(actions, min_size=30, max_size=70)


class World:
    """Accounts and a symbol side, driven by actions; remembers what was said and what must be answered."""

    def __init__(self, with_matching: bool = False) -> None:
        any_price: dict[str, Any] = {"lot_size": "0.00000001", "ticks": [("0", "0.00000001")], "band_bps": 0}
        self.instruments, self.references = market("AAPL", **any_price)
        self.instruments.put(instrument("HALF", multiplier="0.5", **any_price))
        self.references.put({"symbol": "AAPL", "price": 66_666_667, "at_us": 0})
        self.accounts = self._empty()
        self.symbol_side = RiskAndMatching(self.instruments) if with_matching else SymbolSide()
        self.now_us = NOON_US
        self.said: list[Said] = []
        self.requests: dict[int, str] = {}
        self.answers: Counter[tuple[int, str]] = Counter()
        self.deposited = 0
        self.positions: dict[tuple[str, str], Mapping[str, Any]] = {}
        self.rows: dict[str, tuple[str, Mapping[str, Any]]] = {}
        for name in ACCOUNTS:
            self._hear(set_account(name))
            self._hear(set_limits(name, allow_short=name == "shorty"))
            self._deposit(name, 400_000_000)
            self._hear(move_holding(name, "3"))
        self.end_cycle()

    def _empty(self) -> Accounts:
        return Accounts(0, self.instruments, self.references, 24 * HOUR_US, 500)

    def _hear(self, record: Record) -> list[Said]:
        offset = len(self.requests)
        record = record._replace(offset=offset, logged_us=self.now_us)
        if record.kind != "Execution":
            self.requests[offset] = record.kind
        said = self.accounts.apply(record, self.now_us)
        self.accounts.check()
        for kind, message in said:
            if kind.startswith("Cleared"):
                self.symbol_side.waiting.append((kind, message))
            elif kind in ("OrderEvent", "MassCancelReport"):
                self.answers[message["request_offset"], message.get("event", kind)] += 1
        self.said += said
        return said

    def _deposit(self, name: str, amount: int) -> None:
        [(_, report)] = self._hear(move_cash(name, amount))
        self.deposited += amount if report["outcome"] == "applied" else 0

    def act(self, action: Action) -> None:
        """Does one action."""
        match action:
            case ("enter", name, id, side, quantity, symbol, price, tif):
                terms = {"quantity": quantity, "limit_price": price, "time_in_force": tif}
                self._hear(new_order(id, f"{side} 1 {symbol} 1", account=name, **terms))
            case ("enter at market", name, id, side, quantity, symbol):
                words = f"{side} 1 {symbol} market"
                self._hear(new_order(id, words, account=name, quantity=quantity))
            case ("replace", name, id, quantity, price, new_id):
                terms = {"quantity": quantity, "limit_price": price, "client_order_id": new_id}
                self._hear(replace_order(id, account=name, **terms))
            case ("cancel", name, id):
                self._hear(cancel_order(id, account=name))
            case ("mass cancel", name):
                self._hear(mass_cancel(account=name))
            case ("status", name, status, kill):
                self._hear(set_account(name, status, cancel_orders=kill))
            case ("cash", name, amount):
                self._deposit(name, amount)
            case ("match", count, refuse):
                self.match(count, refuse)
            case ("settle", count):
                self.settle(count)
            case ("wait", hours):
                self.now_us += hours * HOUR_US
            case ("cycle",):
                self.end_cycle()

    def match(self, count: int, refuse: bool = False) -> None:
        """Has the symbol side take that many requests at most."""
        for _ in range(min(count, len(self.symbol_side.waiting))):
            self.symbol_side.step(refuse)

    def settle(self, count: int) -> None:
        """Has accounts hear that many executions at most."""
        for _ in range(min(count, len(self.symbol_side.executions))):
            self._hear(Record("Execution", self.symbol_side.executions.popleft(), 0, self.now_us))

    def end_cycle(self) -> None:
        """Ends a cycle: positions are told without a gap, rows go to the changelog."""
        for said in self.accounts.end_cycle(self.now_us):
            position = said[1]
            key = position["account"], position["asset"]
            before = self.positions.get(key, {"version": 0})
            assert position["version"] == before["version"] + 1
            may_owe = position["kind"] == "holding" and position["account"] == "shorty"
            assert may_owe or 0 <= position["reserved"] <= position["total"]
            self.positions[key] = position
            self.said.append(said)
        for row in self.accounts.changed_rows():
            if row.row is None:
                self.rows.pop(row.key, None)
            else:
                self.rows[row.key] = (row.kind, row.row)

    def restore(self) -> None:
        """Has a new lane take over from the changelog."""
        self.accounts = self._empty()
        for kind, row in reversed(self.rows.values()):
            self.accounts.restore(kind, dict(row))
        self.accounts.restored()

    def drain(self) -> None:
        """Delivers all that is under way."""
        while self.symbol_side.waiting or self.symbol_side.executions:
            self.match(len(self.symbol_side.waiting))
            self.settle(len(self.symbol_side.executions))
        self.end_cycle()


def run(script: list[Action], restore_after: int = -1, with_matching: bool = False) -> World:
    """The world after a script; after one of its actions a restored lane takes over."""
    world = World(with_matching)
    for number, action in enumerate(script):
        world.act(action)
        if number == restore_after:
            world.end_cycle()
            world.restore()
    world.drain()
    return world


quick = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(scripts, st.booleans())
def test_every_request_has_exactly_one_answer(script: list[Action], with_matching: bool) -> None:
    world = run(script, with_matching=with_matching)
    answered = Counter(world.answers)
    for _, offset, event in world.symbol_side.answers:
        answered[offset, event] += 1
    for offset, kind in world.requests.items():
        events = {event: count for (at, event), count in answered.items() if at == offset}
        if kind in ANSWERS:
            assert sum(events.values()) == 1, f"{kind} at {offset} was answered {events}"
            assert set(events) <= ANSWERS[kind]


@quick
@given(scripts, st.booleans())
def test_cash_and_holdings_are_conserved(script: list[Action], with_matching: bool) -> None:
    world = run(script, with_matching=with_matching)
    totals: Counter[str] = Counter()
    for (_, asset), position in world.positions.items():
        totals[asset] += position["total"]
    assert totals["USD"] == world.deposited
    assert (totals["AAPL"], totals["HALF"]) == (3 * 300_000_000, 0)


@quick
@given(scripts, st.integers(0, 69))
def test_a_restored_lane_says_what_the_one_before_it_would_have_said(
    script: list[Action], restore_after: int
) -> None:
    script.insert(restore_after, ("cycle",))
    undisturbed, restored = run(script), run(script, min(restore_after, len(script) - 1))
    assert restored.said == undisturbed.said
    assert restored.positions == undisturbed.positions


@given(
    quantity=st.integers(1, 500),
    price=st.integers(1, 400_000_000),
    new_quantity=st.integers(1, 500),
    new_price=st.integers(1, 400_000_000),
    filled_before=st.integers(0, 499),
    filled_meanwhile=st.integers(0, 499),
)
@settings(max_examples=300, deadline=None)
def test_a_replace_holds_enough_whatever_is_filled_meanwhile(
    quantity: int, price: int, new_quantity: int, new_price: int, filled_before: int, filled_meanwhile: int
) -> None:
    terms: tuple[Any, ...] = ("AAPL", "buy", "limit", "gtc", quantity, price, NOON_US, "", "kafka")
    order = AccountOrder(Account("ann"), "c1", "ORDER-C1", 0, *terms)
    order.cum_quantity_e8 = cum = filled_before % quantity
    held = order.need_e8(10**8) + replace_costs_e8(order, new_quantity, new_price, 10**8)
    fill = filled_meanwhile % (quantity - cum)
    left = held - notional_e8(price, fill)
    assert notional_e8(new_price, max(0, new_quantity - cum - fill)) <= left
