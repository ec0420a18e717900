"""Other order books in Python that really match, on the same commands: what is installed of them, no more.

None of them is a dependency: `pip install --target DIR orderly-chaos cython-orderbook lightmatchingengine
pyorderbook`, then `PYTHONPATH=DIR python -m tests.bench.book`. Each gets its orders in its own words within
the timed step, as ours does, and says of trades what it says. `orderly-chaos` is C++ behind ctypes,
`cython-orderbook` compiled Cython, the others are Python.
"""

from collections.abc import Callable, Sequence
from decimal import Decimal
from importlib import import_module
from typing import Any

# A command: name, side, price and quantity; the cancel of one where the side is empty.
Told = tuple[str, str, int, int]
Run = Callable[[Sequence[Told]], None]
LOT = 100_000_000
TICK = 1_000_000


def orderly_chaos() -> Run:
    """C++ behind ctypes; ids are integers, trades go to a callback."""
    book_of = import_module("orderly_chaos").LimitOrderBook
    trades: list[Any] = []
    book = book_of(on_trade=trades.append)
    ids: dict[str, int] = {}

    def run(commands: Sequence[Told]) -> None:
        for name, side, price_e8, quantity_e8 in commands:
            if side:
                number = ids[name] = len(ids) + 1
                enter = book.limit_buy if side == "buy" else book.limit_sell
                enter(number, quantity_e8 // LOT, price_e8 // TICK)
            else:
                book.cancel(ids[name])

    return run


def cython_orderbook() -> Run:
    """Compiled Cython; prices are Decimals."""
    module = import_module("cython_orderbook.orderbook")
    book = module.OrderBook()
    ids: dict[str, str] = {}

    def run(commands: Sequence[Told]) -> None:
        for name, side, price_e8, quantity_e8 in commands:
            if side:
                which = module.OrderSide.BID if side == "buy" else module.OrderSide.ASK
                order = module.Order(
                    side=which, price=Decimal(price_e8 // TICK), original_quantity=quantity_e8 // LOT
                )
                ids[name] = order.order_id
                book.add_limit_order(order)
            else:
                book.cancel_order(ids[name])

    return run


def lightmatchingengine() -> Run:
    """Python; gives its own ids."""
    module = import_module("lightmatchingengine.lightmatchingengine")
    engine = module.LightMatchingEngine()
    ids: dict[str, int] = {}

    def run(commands: Sequence[Told]) -> None:
        for name, side, price_e8, quantity_e8 in commands:
            if side:
                which = module.Side.BUY if side == "buy" else module.Side.SELL
                order, _ = engine.add_order("X", price_e8 // TICK, quantity_e8 // LOT, which)
                ids[name] = order.order_id
            else:
                engine.cancel_order(ids[name], "X")

    return run


def pyorderbook() -> Run:
    """Python; prices are Decimals, ids are UUIDs."""
    module = import_module("pyorderbook")
    book = module.Book()
    orders: dict[str, Any] = {}

    def run(commands: Sequence[Told]) -> None:
        for name, side, price_e8, quantity_e8 in commands:
            if side:
                make = module.bid if side == "buy" else module.ask
                order = orders[name] = make("X", price_e8 // TICK, quantity_e8 // LOT)
                book.match(order)
            else:
                book.cancel(orders[name])

    return run


def installed() -> dict[str, Callable[[], Run]]:
    """Those that can be imported here, by name."""
    found: dict[str, Callable[[], Run]] = {}
    for make in (orderly_chaos, cython_orderbook, lightmatchingengine, pyorderbook):
        try:
            make()
        except ImportError:
            continue
        found[make.__name__] = make
    return found
