"""Reduce-only orders: they must never open a position or turn one round.

The filter keeps each account's net position from the trades it has seen. A new reduce-only order is
refused when it and the account's other live ones of its side exceed what there is to reduce; after every
line those that then exceed it, by the time they came, are canceled.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

Happening = Mapping[str, Any]
# Symbol and account.
Key = tuple[str, str]
REASON = "MATCHING_REDUCE_ONLY"
_ENDS_OR_CHANGES = frozenset(("canceled", "expired", "replaced"))


@dataclass(slots=True, eq=False)
class _Order:
    """What must be known of a live reduce-only order, and every id that it goes by."""

    key: Key
    side: str
    leaves: int
    ids: list[str] = field(default_factory=list)


class ReduceOnly:
    """Net positions, and which reduce-only orders are live."""

    def __init__(self) -> None:
        self._positions: dict[Key, int] = {}
        # By account and id.
        self._orders: dict[tuple[str, str], _Order] = {}
        self._reducing: dict[Key, list[_Order]] = {}
        # Where something has changed since `exceeding` was asked last.
        self.changed: set[Key] = set()

    def refusal(self, command: Mapping[str, Any]) -> dict[str, Any] | None:
        """The rejection of a reduce-only order that would exceed what there is to reduce."""
        key, side, quantity = (command["symbol"], command["account"]), command["side"], command["quantity"]
        others = sum(order.leaves for order in self._reducing.get(key, ()) if order.side == side)
        if others + quantity <= self._reducible(key, side):
            return None
        return {
            "event": "rejected",
            "symbol": command["symbol"],
            "account": command["account"],
            "client_order_id": command["client_order_id"],
            "side": side,
            "status": "rejected",
            "limit_price": command.get("limit_price"),
            "quantity": quantity,
            "cum_quantity": 0,
            "leaves_quantity": 0,
            "reason": REASON,
        }

    def _reducible(self, key: Key, side: str) -> int:
        position = self._positions.get(key, 0)
        return max(0, position if side == "sell" else -position)

    def hear(self, happenings: list[dict[str, Any]], command: Mapping[str, Any]) -> None:
        """Takes what a command made happen."""
        for happening in happenings:
            event = happening["event"]
            if event == "trade":
                self._trade(happening["symbol"], happening["quantity"], happening["maker"])
                self._trade(happening["symbol"], happening["quantity"], happening["taker"])
            elif event == "accepted":
                if command.get("reduce_only"):
                    self._accept(happening)
            elif self._orders and event in _ENDS_OR_CHANGES:
                self._change(happening, command)

    def _accept(self, event: Happening) -> None:
        key, name = (event["symbol"], event["account"]), event["client_order_id"]
        order = _Order(key, event["side"], event["leaves_quantity"], [name])
        self._orders[event["account"], name] = order
        self._reducing.setdefault(key, []).append(order)

    def _trade(self, symbol: str, quantity: int, party: Happening) -> None:
        key = (symbol, party["account"])
        signed = quantity if party["side"] == "buy" else -quantity
        self._positions[key] = self._positions.get(key, 0) + signed
        if key in self._reducing:
            self.changed.add(key)
            order = self._orders.get((party["account"], party["client_order_id"]))
            if order is not None:
                self._left(order, party["leaves_quantity"])

    def _change(self, event: Happening, command: Mapping[str, Any]) -> None:
        account, name = event["account"], event["client_order_id"]
        order = self._orders.get((account, name))
        if order is None and event["event"] == "replaced" and name == command.get("client_order_id"):
            # A new id, of the order that the command means.
            order = self._orders.get((account, command.get("order", "")))
            if order is not None:
                self._orders[account, name] = order
                order.ids.append(name)
        if order is not None:
            self.changed.add(order.key)
            self._left(order, event["leaves_quantity"])

    def _left(self, order: _Order, leaves: int) -> None:
        order.leaves = leaves
        if leaves:
            return
        for name in order.ids:
            del self._orders[order.key[1], name]
        reducing = self._reducing[order.key]
        reducing.remove(order)
        if not reducing:
            del self._reducing[order.key]

    def exceeding(self) -> Iterator[dict[str, Any]]:
        """Cancels for orders that exceed what there is to reduce, each as it stands when it is asked for."""
        while self.changed:
            key = self.changed.pop()
            for side in ("buy", "sell"):
                room = self._reducible(key, side)
                for order in [order for order in self._reducing.get(key, ()) if order.side == side]:
                    if order.leaves > room:
                        yield _cancel(order)
                    # Nothing, of one that was canceled meanwhile.
                    room -= order.leaves


def _cancel(order: _Order) -> dict[str, Any]:
    symbol, account = order.key
    return {"type": "cancel_order", "symbol": symbol, "account": account, "order": order.ids[0]}
