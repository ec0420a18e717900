"""The timed loop of the engine. Compiled with it, as the tables around it are in a worker."""

from collections.abc import Sequence

from tables.engine.market import Market
from tables.engine.orders import Order
from tests.bench.others import Told

SYMBOL = "AAPL"


def run_engine(market: Market, commands: Sequence[Told]) -> None:
    """The engine's step: an order made and entered, or canceled; what happened is told, and dropped."""
    live = market.live
    for name, side, price_e8, quantity_e8 in commands:
        if side:
            market.new(Order(SYMBOL, name, "ACC", name, side, "limit", "gtc", quantity_e8, price_e8), 0)
        else:
            market.cancel(live[name], 0, "MATCHING_CANCELED_BY_REQUEST")
