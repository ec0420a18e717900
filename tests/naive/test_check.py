"""The naive engine's `check()`: green on random histories, red on every kind of breakage."""

from collections.abc import Callable

import pytest

from app.naive import Engine
from app.naive.market import Market
from app.naive.order import Order
from tests.naive.desk import Desk
from tests.tables.random_commands import Commands, rules


@pytest.mark.parametrize("seed", range(6))
def test_it_holds_after_every_random_command(seed: int) -> None:
    engine = Engine(rules(seed) if seed % 3 else None)
    stream = Commands(seed)
    for _ in range(250):
        command, at_us = next(stream)
        engine.apply(command, at_us)
        engine.check()


def _market() -> tuple[Engine, Market, dict[str, Order]]:
    """A market with an order in every place that a check looks at."""
    engine = Engine()
    desk = Desk(engine)
    desk.buy("a", 5, 100)
    desk.buy("b", 5, 100)
    desk.buy("g", 5, 99, time_in_force="gtd", expire_at_us=10**9)
    desk.sell("ice", 9, 110, display_quantity=3)
    desk.sell("all", 17, 100, all_or_none=True)
    desk.buy("p", 5, order_type="pegged", peg="bid", peg_offset=-3)
    (market,) = engine._markets.values()
    return engine, market, {order.client_order_id: order for order in market.live()}


def _cross(market: Market, orders: dict[str, Order]) -> None:
    market.remove(orders["ice"])
    orders["ice"].limit_price = 98
    market.rest(orders["ice"])


def _swap(market: Market, orders: dict[str, Order]) -> None:
    side = market.book["buy"]
    side[0], side[1] = side[1], side[0]


BREAKAGES: dict[str, Callable[[Market, dict[str, Order]], object]] = {
    "crossed": _cross,
    "priority": _swap,
    "nothing left": lambda market, orders: setattr(orders["a"], "cum", 5),
    "shows too much": lambda market, orders: setattr(orders["ice"], "shown", 4),
    "shows nothing": lambda market, orders: setattr(orders["ice"], "shown", 0),
    "wrong place": lambda market, orders: setattr(orders["a"], "place", "parked"),
    "ended and there": lambda market, orders: setattr(orders["a"], "ended", "canceled"),
    "unknown id": lambda market, orders: market.ids.pop(("a", "a")),
    "id of nobody": lambda market, orders: market.ids.update({("a", "x"): orders["a"]}),
    "quantity not conserved": lambda market, orders: market.traded.update(buy=1),
    "expiry forgotten": lambda market, orders: market.timed.clear(),
    "peg forgotten": lambda market, orders: market.pegged.clear(),
    "peg elsewhere": lambda market, orders: market.quote.update(buy=105),
    "waits for what is there": lambda market, orders: setattr(orders["all"], "quantity", 10),
    "prices not looked at": lambda market, orders: market.looks.append({"buy": 1, "sell": 1}),
    "lists not worked off": lambda market, orders: market.queue.append(("enter", orders["a"], orders["a"])),
    "requirement in the book": lambda market, orders: setattr(orders["a"], "all_or_none", True),
}


@pytest.mark.parametrize("name", BREAKAGES)
def test_it_notices(name: str) -> None:
    engine, market, orders = _market()
    engine.check()
    BREAKAGES[name](market, orders)
    with pytest.raises(AssertionError):
        engine.check()
