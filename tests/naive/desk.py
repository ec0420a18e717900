"""A desk at one market: orders in few words, answers as short sentences. Prices and quantities as they are.

desk.sell("a", 5, 100)            ->  ["accepted a"]
desk.buy("b", 7, 101)             ->  ["accepted b", "5 @ 100: a b"]     maker, then taker
desk.cancel("b")                  ->  ["canceled b CANCELED_BY_REQUEST"]
"""

from collections.abc import Mapping
from typing import Any, Protocol


class AnyEngine(Protocol):
    """What both engines are to a test."""

    def apply(self, command: Mapping[str, Any], at_us: int) -> list[dict[str, Any]]:
        """What a command made happen."""

    def resting(self) -> list[dict[str, Any]]:
        """Every live order."""

    def depth(self, symbol: str) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
        """Displayed depth."""

    def check(self) -> None:
        """Asserts what must be true."""


class Desk:
    """Commands to an engine, checked after each; accounts are the letters of the ids' beginnings."""

    def __init__(self, engine: AnyEngine, symbol: str = "S") -> None:
        self.engine, self.symbol = engine, symbol
        self.at_us = 0
        self.happenings: list[dict[str, Any]] = []

    def do(self, kind: str, **fields: Any) -> list[str]:
        """One command; what happened, in short."""
        command = {"type": kind, "symbol": self.symbol, **fields}
        self.at_us = command.pop("at_us", self.at_us + 1)
        self.happenings = self.engine.apply(command, self.at_us)
        self.engine.check()
        return [short(happening) for happening in self.happenings]

    def _new(
        self, side: str, name: str, quantity: int, price: int | None, fields: dict[str, Any]
    ) -> list[str]:
        order_type = fields.pop("order_type", "market" if price is None else "limit")
        order = {"client_order_id": name, "side": side, "quantity": quantity, "order_type": order_type}
        if price is not None:
            order["limit_price"] = price
        return self.do("new_order", **{"account": name, **order, **fields})

    def buy(self, name: str, quantity: int, price: int | None = None, **fields: Any) -> list[str]:
        """A buy; of the account of its own name unless another is named."""
        return self._new("buy", name, quantity, price, fields)

    def sell(self, name: str, quantity: int, price: int | None = None, **fields: Any) -> list[str]:
        """A sell."""
        return self._new("sell", name, quantity, price, fields)

    def cancel(self, name: str, account: str = "") -> list[str]:
        """Cancels an order."""
        return self.do("cancel_order", account=account or name, order=name)

    def replace(self, name: str, account: str = "", **fields: Any) -> list[str]:
        """Replaces an order."""
        return self.do("replace_order", account=account or name, order=name, **fields)

    def control(self, action: str, **fields: Any) -> list[str]:
        """What an operator does."""
        return self.do("control", action=action, **fields)

    def quote(self, bid: int | None = None, ask: int | None = None, last: int | None = None) -> list[str]:
        """A quote of elsewhere."""
        return self.do("quote", bid=bid, ask=ask, last=last)

    def ladder(self) -> str:
        """The displayed book: bids, best first, then asks, best first."""
        bids, asks = self.engine.depth(self.symbol)
        return " ".join(_level(*bid) for bid in bids) + " | " + " ".join(_level(*ask) for ask in asks)

    def live(self) -> list[str]:
        """Ids of the live orders in listing order."""
        return [order["client_order_id"] for order in self.engine.resting()]

    def fields(self, *names: str) -> list[tuple[Any, ...]]:
        """Fields of the last command's happenings that have them all."""
        with_all = [happening for happening in self.happenings if set(names) <= happening.keys()]
        return [tuple(happening[name] for name in names) for happening in with_all]


def _level(price: int, quantity: int, orders: int) -> str:
    return f"{quantity}@{price}" + (f"({orders})" if orders > 1 else "")


def short(happening: Mapping[str, Any]) -> str:
    """A happening in short."""
    event = happening["event"]
    if event in ("trade", "self_trade_prevented"):
        maker, taker = (happening[role]["client_order_id"] for role in ("maker", "taker"))
        mark = ":" if event == "trade" else " prevented:"
        return f"{happening['quantity']} @ {happening['price']}{mark} {maker} {taker}"
    if event == "indicative":
        return f"indicative {happening['quantity']} @ {happening['price']} {happening['imbalance']:+}"
    what = happening["session"] if event == "session" else happening["client_order_id"]
    reason = happening["reason"].removeprefix("MATCHING_")
    return f"{event} {what}" + ("" if reason == "NONE" else f" {reason}")
