"""The uncross: one price for all, and the trades at it."""

from collections.abc import Iterator
from typing import NamedTuple

from app.naive.market import Market
from app.naive.order import Order


class Equilibrium(NamedTuple):
    """What an uncross would do at a price; imbalance is buys less sells."""

    price: int
    volume: int
    imbalance: int


def equilibrium(market: Market) -> Equilibrium | None:
    """The price of largest volume, least imbalance, nearest to the reference, lowest; None: no trade."""
    if not market.book["buy"] or not market.book["sell"]:
        return None
    found = [one for one in _outcomes(market) if one.volume]
    reference = _reference(market)

    def merit(one: Equilibrium) -> tuple[int, int, int, int]:
        far = abs(one.price - reference) if reference is not None else 0
        return (-one.volume, abs(one.imbalance), far, one.price)

    return min(found, key=merit) if found else None


def _reference(market: Market) -> int | None:
    bid, ask = market.quote["buy"], market.quote["sell"]
    if market.last is not None:
        return market.last
    return (bid + ask) // 2 if bid is not None and ask is not None else None


def _outcomes(market: Market) -> Iterator[Equilibrium]:
    """What every candidate price would do, from the lowest to the highest."""
    buys, sells = market.book["buy"], market.book["sell"]
    candidates = {order.price for order in (*buys, *sells) if order.price is not None}
    reference = _reference(market)
    if not candidates and reference is not None:
        candidates = {reference}
    # Sells join from their bound on, buys leave above theirs.
    buys, sells = _taking_part(market, buys), _taking_part(market, sells)
    bounded_sells = sorted((order.bound or 0, order.leaves) for order in sells)
    bounded_buys = sorted((order.bound, order.leaves) for order in buys if order.bound is not None)
    bought, sold = sum(order.leaves for order in buys), 0
    leaving = joining = 0
    for price in sorted(candidates):
        while leaving < len(bounded_buys) and bounded_buys[leaving][0] < price:
            bought -= bounded_buys[leaving][1]
            leaving += 1
        while joining < len(bounded_sells) and bounded_sells[joining][0] <= price:
            sold += bounded_sells[joining][1]
            joining += 1
        if market.in_band(price):
            yield Equilibrium(price, min(bought, sold), bought - sold)


def uncross(market: Market) -> int | None:
    """Trades all that can trade at the best price; that price, None: no trade.

    Again, while an order that a fill ended on the other side leaves some that could.
    """
    price = None
    while best := equilibrium(market):
        trades = market.trades
        _trade_at(market, best.price)
        if market.trades > trades:
            price = market.static = best.price
    return price


def _trade_at(market: Market, price: int) -> None:
    both = (_taking_part(market, market.book[side]) for side in ("buy", "sell"))
    buys, sells = (_able(orders, price) for orders in both)
    while buys and sells:
        maker, taker = sorted((buys[0], sells[0]), key=lambda order: order.entry)
        if market.excludes(maker, taker):
            market.cancel(taker, "MATCHING_LINKED")
        else:
            market.fill(maker, taker, price, min(maker.leaves, taker.leaves), "unknown")
            for order in (maker, taker):
                order.show()
        buys, sells = ([order for order in side if not order.ended] for side in (buys, sells))


def _taking_part(market: Market, orders: list[Order]) -> list[Order]:
    """Of orders by priority those that take part: of a list of which only one may trade the first."""
    found: list[Order] = []
    for order in orders:
        linked = market.exclusive(order)
        if not linked or all(market.exclusive(other) is not linked for other in found):
            found.append(order)
    return found


def _able(orders: list[Order], price: int) -> list[Order]:
    return [order for order in orders if order.within(price, order.bound)]


def indicate(market: Market) -> None:
    """Says what an uncross would do now, if that is news."""
    best = equilibrium(market)
    said = (best.price, best.volume, best.imbalance) if best else (None, 0, 0)
    if said != market.indicated:
        market.indicated = said
        names = ("price", "quantity", "imbalance")
        happening = {"event": "indicative", "symbol": market.symbol}
        market.happenings.append(happening | dict(zip(names, said, strict=True)))
