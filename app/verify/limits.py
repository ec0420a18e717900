"""I10: no command breaches a limit, and nothing enters a suspended account or a halted symbol.

When a control took effect is told by its report, when a command was cleared by the log's time of its
record: both are the time of the cycle. What is nearer than the allowance for clocks is not judged: then
any state in force around the command makes it right. Symbols are exact: reports of halts and what enters
the book are words of one lane, in order.

A kill switch cannot stop what matching does before it hears of it; but accounts must have sent a cancel for
every order, so an order that trades later without one, or that lives on, breaches it.
"""

from collections import deque
from typing import NamedTuple

from app.verify.findings import Findings
from app.verify.markets import Markets
from app.verify.orders import TERMINAL, Order
from app.verify.records import Message, Place, Seen, Snapshot
from schemas.numbers import format_e8
from schemas.partitioning import lane_of

_ENTERS = frozenset({"accepted", "replaced"})


class _State(NamedTuple):
    """Status and limits of an account from a time on; limits of 0 are none."""

    from_us: int
    status: str
    max_quantity_e8: int
    max_notional_e8: int
    by: Place | None


class Limits:
    """Follows controls, and judges commands once every control of their time was heard."""

    def __init__(self, findings: Findings, markets: Markets, snapshot: Snapshot, skew_us: int) -> None:
        self._findings = findings
        self._markets = markets
        self._snapshot = snapshot
        self._skew_us = skew_us
        self._states: dict[str, list[_State]] = {}
        self._killed: dict[str, tuple[int, Place]] = {}
        # Orders of killed accounts for which a cancel was sent.
        self._canceled: set[str] = set()
        self._closed: dict[str, Seen] = {}
        self._to_judge: list[deque[Seen]] = [deque() for _ in range(markets.partitions)]

    # Accounts.

    def account_control(self, control: Message, kind: str, report: Seen) -> None:
        """Takes an applied control of an account."""
        if kind not in ("SetAccount", "SetLimits"):
            return
        states = self._states.setdefault(control["account"], [_State(0, "unknown", 0, 0, None)])
        state = states[-1]._replace(from_us=report.message["at_us"], by=report.place)
        if kind == "SetLimits":
            state = state._replace(
                max_quantity_e8=control["max_order_quantity"], max_notional_e8=control["max_order_notional"]
            )
        else:
            state = state._replace(status=control["status"])
            if control["cancel_orders"]:
                self._killed[control["account"]] = (report.message["at_us"], report.place)
        states.append(state)

    def cleared(self, seen: Seen) -> None:
        """Takes a record of cleared; what enters or replaces is judged later."""
        if seen.kind == "ClearedCancel" and seen.message["reason"] == "MATCHING_KILL_SWITCH":
            self._canceled.add(seen.message["order_id"])
        if seen.kind not in ("ClearedOrder", "ClearedReplace"):
            return
        lane = lane_of(seen.message["account"], self._markets.partitions)
        self._to_judge[lane].append(seen)

    def heard(self, lane: int, at_us: int) -> None:
        """Everything that the lane said before this time was heard: judges what it cleared before."""
        waiting = self._to_judge[lane]
        while waiting and waiting[0].timestamp_us + 2 * self._skew_us < at_us:
            self._judge(waiting.popleft())

    def _judge(self, seen: Seen) -> None:
        self._findings.check("I10")
        reasons = [self._breach(seen, state) for state in self._in_force(seen)]
        if all(reasons):
            by = self._in_force(seen)[-1].by
            text = f"{seen.kind} of {seen.message['account']} was cleared: {reasons[-1]}"
            self._findings.wrong("I10", text, [by, seen.place], seen.message["order_id"])
        terms = self._markets.terms(seen.message["symbol"], seen.timestamp_us, self._skew_us)
        if terms and all(each.status != "active" for each in terms):
            text = f"{seen.kind} was cleared although {seen.message['symbol']} is {terms[-1].status}"
            self._findings.wrong("I10", text, [seen.place], seen.message["order_id"])

    def _in_force(self, seen: Seen) -> list[_State]:
        """States of its account around the time when it was cleared."""
        states = self._states.get(seen.message["account"], [_State(0, "unknown", 0, 0, None)])
        # The log's time of a cycle is cut to milliseconds.
        early, late = seen.timestamp_us - self._skew_us, seen.timestamp_us + 1000 + self._skew_us
        first = max((i for i, state in enumerate(states) if state.from_us <= early), default=0)
        return [
            state for i, state in enumerate(states) if i >= first and (i == first or state.from_us <= late)
        ]

    def _breach(self, seen: Seen, state: _State) -> str:
        """Which limit a command breaches; empty when none."""
        command = seen.message
        quantity_e8, price_e8 = command["quantity"], command["limit_price"]
        if seen.kind == "ClearedReplace":
            quantity_e8 = quantity_e8 or command["current_quantity"]
            price_e8 = price_e8 or command["current_limit_price"]
        if state.status != "active":
            return f"its account is {state.status}"
        if state.max_quantity_e8 and quantity_e8 > state.max_quantity_e8:
            return f"quantity {format_e8(quantity_e8)}, limit {format_e8(state.max_quantity_e8)}"
        notional_e8 = self._markets.notional_e8(command["symbol"], price_e8, quantity_e8)
        if state.max_notional_e8 and notional_e8 > state.max_notional_e8:
            return f"notional {format_e8(notional_e8)}, limit {format_e8(state.max_notional_e8)}"
        return ""

    # Symbols.

    def symbol_control(self, control: Message, kind: str, report: Seen) -> None:
        """Takes an applied control of a symbol."""
        if kind != "SetSymbolState":
            return
        if control["state"] == "open":
            self._closed.pop(control["symbol"], None)
        else:
            self._closed[control["symbol"]] = report

    def event(self, seen: Seen, order: Order) -> None:
        """Takes a word of matching about an order."""
        event = seen.message
        if event["event"] == "trade":
            self._after_kill(seen, order)
        if event["status"] in TERMINAL:
            self._canceled.discard(event["order_id"])
        report = self._closed.get(event["symbol"])
        enters = event["event"] in _ENTERS and event["reason"] == "NONE"
        if report is not None and enters and report.partition == seen.partition:
            text = f"{event['event']} although {event['symbol']} is not open"
            self._findings.wrong("I10", text, [report.place, seen.place], event["order_id"])

    def _after_kill(self, seen: Seen, order: Order) -> None:
        """A fill of an order that a kill switch should have ended, and that nobody canceled."""
        event = seen.message
        killed_us, place = self._killed.get(order.account, (0, seen.place))
        late = event["at_us"] > killed_us + self._skew_us > order.accepted_us + 2 * self._skew_us
        if killed_us and late and event["order_id"] not in self._canceled:
            text = f"a fill of {event['order_id']} after the kill switch of {order.account}"
            self._findings.wrong("I10", text, [place, seen.place], event["order_id"])

    # The end.

    def finish(self, live: dict[str, Order]) -> None:
        """Judges what waits, and looks for orders that outlived a kill switch."""
        for waiting in self._to_judge:
            while waiting:
                self._judge(waiting.popleft())
        for order_id, order in live.items():
            killed_us, place = self._killed.get(order.account, (0, order.place))
            if order.accepted_us + self._skew_us < killed_us and self._snapshot.has(place):
                text = f"order {order_id} of {order.account} outlived its kill switch"
                self._findings.wrong("I10", text, [place, order.place], order_id)
