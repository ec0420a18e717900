"""The engine: commands in, what happened out."""

from collections.abc import Mapping
from typing import Any

from app.naive.check import check_market
from app.naive.commands import COMMANDS, refuse_children
from app.naive.market import Ids, Market
from app.naive.order import Happening, order_event, order_of, unknown
from app.naive.rules import AnyRules, Rules
from app.naive.steps import begin, finish

Depth = list[tuple[int, int, int]]


class Engine:
    """Every market of a set of instruments; without instruments every symbol is a market.

    With `on_tick` False, limit prices between ticks are taken: whoever sends the orders has seen to that.
    """

    def __init__(self, instruments: Mapping[str, Rules] | None = None, *, on_tick: bool = True) -> None:
        self._instruments = instruments
        self._on_tick = on_tick
        self._markets: dict[str, Market] = {}
        self._ids: Ids = {}

    def apply(self, command: Mapping[str, Any], at_us: int) -> list[Happening]:
        """What a command made happen, in order; `at_us` never goes back."""
        symbol = command.get("symbol")
        if symbol is None:
            markets = [self._markets[name] for name in sorted(self._markets)]
        elif (market := self._market(symbol)) is not None:
            markets = [market]
        else:
            return self._elsewhere(command)
        happenings: list[Happening] = []
        for market in markets:
            begin(market, at_us)
            COMMANDS[command["type"]](market, command, at_us)
            finish(market, at_us)
            happenings += market.happenings
            market.happenings = []
        return happenings

    def refused(self, command: Mapping[str, Any]) -> None:
        """Takes note of a new order that was refused before it came here: others may be linked to it."""
        market = self._market(command["symbol"])
        if market is not None:
            refuse_children(market, order_of(command))

    def wake(self, symbol: str, at_us: int) -> list[Happening]:
        """What time alone made happen in a market until now."""
        market = self._market(symbol)
        if market is None:
            return []
        begin(market, at_us)
        happenings, market.happenings = market.happenings, []
        return happenings

    def _market(self, symbol: str) -> Market | None:
        if symbol not in self._markets:
            if self._instruments is not None and symbol not in self._instruments:
                return None
            rules = self._instruments[symbol] if self._instruments is not None else AnyRules()
            self._markets[symbol] = Market(symbol, rules, self._ids, self._on_tick)
        return self._markets[symbol]

    def _elsewhere(self, command: Mapping[str, Any]) -> list[Happening]:
        """The answer to a command for an instrument that is not there."""
        if command["type"] == "new_order":
            order = order_of(command)
            order.ended = "rejected"
            return [order_event("rejected", order, "RISK_UNKNOWN_SYMBOL")]
        refusals = {"cancel_order": "cancel_rejected", "replace_order": "replace_rejected"}
        event = refusals.get(command["type"])
        return [unknown(event, command)] if event else []

    def resting(self) -> list[Happening]:
        """Every live order with its state: symbols by name, then listing order."""
        return [_resting(order) for name in sorted(self._markets) for order in self._markets[name].live()]

    def depth(self, symbol: str) -> tuple[Depth, Depth]:
        """Displayed (price, quantity, orders) of bids and asks, best first."""
        market = self._market(symbol)
        return (_levels(market, "buy"), _levels(market, "sell")) if market else ([], [])

    def check(self) -> None:
        """Asserts what must be true between commands."""
        for market in self._markets.values():
            check_market(market)
        live = [order for market in self._markets.values() for order in market.live()]
        named = {(order.account, name): order for order in live for name in order.ids}
        assert named == self._ids, "the ids of live orders are not those remembered"


def _resting(order: Any) -> Happening:
    state = order_event("resting", order)
    del state["reason"]
    return state | {
        "order_type": order.order_type,
        "time_in_force": order.time_in_force,
        "place": order.place,
        "price": order.price if order.place == "book" else None,
        "shown_quantity": order.shown if order.place == "book" and not order.hidden else 0,
        "stop_price": order.stop_price,
    }


def _levels(market: Market, side: str) -> Depth:
    levels: dict[int, tuple[int, int]] = {}
    for order in market.book[side]:
        if order.price is not None and not order.hidden:
            quantity, orders = levels.get(order.price, (0, 0))
            levels[order.price] = (quantity + order.shown, orders + 1)
    return [(price, *level) for price, level in levels.items()]
