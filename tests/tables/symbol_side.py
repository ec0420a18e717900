"""The other side of accounts for tests: slow to hear, and either a simple matcher or the real one.

Cleared requests wait until `step` takes one; what it answers to requests is in `answers`, the
executions for accounts are in `executions`, both in the order in which they happened.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any

from schemas.records import Record
from tables.matching import Matching
from tables.reference import Instruments
from tables.risk import Risk
from tests.tables.words import NOON_US

Message = Mapping[str, Any]
Order = dict[str, Any]


class SymbolSide:
    """Resting orders by order_id, matched by price, then age."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[str, Message]] = deque()
        self.executions: deque[dict[str, Any]] = deque()
        self.answers: list[tuple[str, int, str]] = []
        self._resting: dict[str, Order] = {}

    def step(self, refuse: bool) -> None:
        """Takes the oldest waiting request; `refuse`: as risk would."""
        kind, message = self.waiting.popleft()
        order = self._resting.get(message["order_id"])
        if kind == "ClearedOrder":
            self._enter(message, refuse)
        elif kind == "ClearedCancel":
            self._cancel(order, message)
        elif kind == "ClearedReplace":
            self._replace(order, message, refuse)
        elif order is None:
            self._execute(self._stranger(message), "status_unknown", message)
        else:
            self._answer("order_status", message)

    def _answer(self, event: str, message: Message) -> None:
        self.answers.append((message["account"], message["request_offset"], event))

    @staticmethod
    def _stranger(message: Message) -> Order:
        return dict(message) | {"quantity": 0, "cum": 0, "limit_price": 0, "version": 0}

    def _execute(self, order: Order, execution_type: str, request: Message, **changes: Any) -> None:
        ended = execution_type in ("canceled", "rejected")
        self.executions.append(
            {
                "account": order["account"],
                "client_order_id": order["client_order_id"],
                "execution_type": execution_type,
                "last_quantity": 0,
                "last_price": 0,
                "leaves_quantity": 0 if ended else order["quantity"] - order["cum"],
                "quantity": order["quantity"],
                "limit_price": order["limit_price"],
                "request_id": request.get("request_id", ""),
                "reason": request.get("reason", "NONE"),
                "version": order["version"],
                "request_offset": request["request_offset"],
                "text": "",
            }
            | changes
        )

    def _enter(self, message: Message, refuse: bool) -> None:
        order = dict(message) | {"cum": 0, "version": 1}
        self._answer("rejected" if refuse else "accepted", message)
        if refuse:
            self._execute(order, "rejected", message, reason="RISK_HALTED")
            return
        self._match(order, message)
        if order["cum"] < order["quantity"]:
            if order["order_type"] == "market" or order["time_in_force"] == "ioc":
                self._end(order, message)
            else:
                self._resting[order["order_id"]] = order

    def _end(self, order: Order, message: Message) -> None:
        self._resting.pop(order["order_id"], None)
        order["version"] += 1
        self._execute(order, "canceled", message)

    def _match(self, taker: Order, request: Message) -> None:
        sign = 1 if taker["side"] == "buy" else -1
        others = [
            maker
            for maker in self._resting.values()
            if maker["symbol"] == taker["symbol"]
            and maker["side"] != taker["side"]
            and sign * maker["limit_price"] <= sign * taker["limit_price"]
        ]
        for maker in sorted(others, key=lambda maker: sign * maker["limit_price"]):
            quantity = min(order["quantity"] - order["cum"] for order in (taker, maker))
            if not quantity:
                return
            for order in (taker, maker):
                order["cum"] += quantity
                order["version"] += 1
                fill = {"last_quantity": quantity, "last_price": maker["limit_price"]}
                self._execute(order, "fill", request, request_id="", **fill)
            if maker["cum"] == maker["quantity"]:
                del self._resting[maker["order_id"]]

    def _cancel(self, order: Order | None, message: Message) -> None:
        asked_for = message["reason"] == "MATCHING_CANCELED_BY_REQUEST"
        if asked_for:
            self._answer("cancel_rejected" if order is None else "canceled", message)
        if order is not None:
            self._end(order, message)

    def _replace(self, order: Order | None, message: Message, refuse: bool) -> None:
        refuse = refuse or order is None
        self._answer("replace_rejected" if refuse else "replaced", message)
        if order is None or refuse:
            self._execute(order or self._stranger(message), "replace_rejected", message)
            return
        del self._resting[order["order_id"]]
        order["quantity"] = max(order["cum"], message["quantity"] or order["quantity"])
        order["limit_price"] = message["limit_price"] or order["limit_price"]
        order["version"] += 1
        self._execute(order, "replaced", message)
        self._match(order, message)
        if order["cum"] < order["quantity"]:
            self._resting[order["order_id"]] = order


class RiskAndMatching(SymbolSide):
    """The real risk and matching in place of the simple matcher."""

    def __init__(self, instruments: Instruments) -> None:
        super().__init__()
        self._risk = Risk(0, instruments)
        self._matching = Matching(0, instruments)

    def step(self, refuse: bool) -> None:
        """Takes the oldest waiting request; nothing is halted here, so `refuse` counts for nothing."""
        kind, message = self.waiting.popleft()
        record = Record(kind, dict(message), 0, NOON_US)
        said = self._risk.apply(record, NOON_US)
        for said_kind, words in self._matching.apply(record, NOON_US) if said is None else said:
            if said_kind == "Execution":
                self.executions.append(dict(words))
            elif said_kind == "OrderEvent" and _answers(words):
                self._answer(words["event"], words)


def _answers(event: Message) -> bool:
    """Whether an event answers a request: not a trade, and not the cancel of an order that did not ask."""
    asked_for = event["event"] != "canceled" or event["reason"] == "MATCHING_CANCELED_BY_REQUEST"
    return bool(asked_for and event["event"] != "trade")
