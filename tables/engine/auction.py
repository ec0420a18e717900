"""The uncross of a call phase: at which price, how much, and who trades with whom."""

from typing import TYPE_CHECKING

from tables.engine import lists, taking
from tables.engine.book import BookSide
from tables.engine.lists import OrderList
from tables.engine.orders import NO_LIMIT, Order

if TYPE_CHECKING:
    from tables.engine.market import Market


def indicate(market: "Market") -> None:
    """Says what an uncross would do now, if that is news."""
    price_e8, quantity_e8, imbalance_e8 = equilibrium(market)
    now = (price_e8, quantity_e8, imbalance_e8)
    if now != market.indicative:
        market.indicative = now
        market.said.append(("indicative", market.symbol, price_e8, quantity_e8, imbalance_e8))


def equilibrium(market: "Market") -> tuple[int, int, int]:
    """Price, volume and imbalance (buys less sells) of an uncross; all 0 where nothing can trade."""
    bids, asks = market.bids, market.asks
    if not (bids.unpriced or asks.unpriced) and (
        not bids.keys or not asks.keys or bids.best_e8() < asks.best_e8()
    ):
        return 0, 0, 0
    buys, sells = _quantities(market, bids), _quantities(market, asks)
    reference_e8 = _reference_e8(market)
    prices = _candidates(market, reference_e8)
    bought_e8 = _from_best(prices[::-1], buys, 1)
    sold_e8 = _from_best(prices, sells, -1)
    best: tuple[int, int, int, int] | None = None
    imbalance_e8 = 0
    for price_e8 in prices:
        buy_e8, sell_e8 = bought_e8[price_e8], sold_e8[price_e8]
        away_e8 = abs(price_e8 - reference_e8) if reference_e8 else 0
        rank = (-min(buy_e8, sell_e8), abs(buy_e8 - sell_e8), away_e8, price_e8)
        if best is None or rank < best:
            best = rank
            imbalance_e8 = buy_e8 - sell_e8
    if best is None or not best[0]:
        return 0, 0, 0
    return best[3], -best[0], imbalance_e8


def _reference_e8(market: "Market") -> int:
    if market.last_e8:
        return market.last_e8
    if market.bid_e8 and market.ask_e8:
        return (market.bid_e8 + market.ask_e8) // 2
    return 0


def _candidates(market: "Market", reference_e8: int) -> list[int]:
    """Prices in the book within the band, rising; without any, the reference."""
    found = {level.price_e8 for level in market.bids} | {level.price_e8 for level in market.asks}
    prices = sorted(found) if found else [reference_e8]
    high_e8 = market.high_e8 or NO_LIMIT
    return [price_e8 for price_e8 in prices if price_e8 and market.low_e8 <= price_e8 <= high_e8]


def _quantities(market: "Market", side: BookSide) -> list[tuple[int, int]]:
    """Worst price and leaves of every order that takes part, the most willing first."""
    if market.linked:
        return [(_worst_e8(order), order.leaves_e8) for order in _taking_part(side)]
    found = [(_worst_e8(order), order.leaves_e8) for order in side.unpriced.values()]
    for level in side:
        quantity_e8 = level.quantity_e8
        if level.special:
            quantity_e8 = sum([order.leaves_e8 for order in level.by_priority()])
        found.append((level.price_e8, quantity_e8))
    found.sort(reverse=side.sign > 0)
    return found


def _worst_e8(order: Order) -> int:
    """The worst price at which an order trades in an uncross."""
    if order.price_e8 or order.limit_price_e8:
        return order.price_e8 or order.limit_price_e8
    return NO_LIMIT if order.sign > 0 else 0


def _from_best(prices: list[int], quantities: list[tuple[int, int]], sign: int) -> dict[int, int]:
    """What trades at each price, which come from the hardest to meet on."""
    found: dict[int, int] = {}
    at, total_e8 = 0, 0
    for price_e8 in prices:
        while at < len(quantities) and quantities[at][0] * sign >= price_e8 * sign:
            total_e8 += quantities[at][1]
            at += 1
        found[price_e8] = total_e8
    return found


def uncross(market: "Market") -> int:
    """Trades all that crosses at one price; returns the price, 0 where nothing traded.

    Where a fill cancels an order of the other side, because its list excludes that, others may cross still:
    they trade at a price of their own, of which the last is returned.
    """
    price_e8 = 0
    while True:
        linked, trades = market.linked, market.trades
        now_e8 = _uncross_once(market)
        if market.trades > trades:
            market.static_e8 = price_e8 = now_e8
        if not now_e8 or not linked:
            return price_e8


def _uncross_once(market: "Market") -> int:
    """Pairs what crosses at the best price; returns that, 0 where nothing crosses."""
    price_e8, volume_e8, _ = equilibrium(market)
    if not volume_e8:
        return 0
    buys, sells = _willing(market, market.bids, price_e8), _willing(market, market.asks, price_e8)
    buy_at = sell_at = 0
    while buy_at < len(buys) and sell_at < len(sells):
        buy, sell = buys[buy_at], sells[sell_at]
        # A fill before may have canceled either, see `lists.filled`.
        if buy.leaves_e8 and sell.leaves_e8:
            _pair(market, buy, sell, price_e8)
        buy_at += not buy.leaves_e8
        sell_at += not sell.leaves_e8
    return price_e8


def _willing(market: "Market", side: BookSide, price_e8: int) -> list[Order]:
    sign = side.sign
    orders = side.orders() if not market.linked else _taking_part(side)
    return [order for order in orders if _worst_e8(order) * sign >= price_e8 * sign]


def _taking_part(side: BookSide) -> list[Order]:
    """The orders of a side by priority; of those that exclude each other the first."""
    found: list[Order] = []
    seen: list[OrderList] = []
    for order in side.orders():
        exclusive = lists.exclusive_list(order)
        if exclusive is None or exclusive not in seen:
            found.append(order)
            if exclusive is not None:
                seen.append(exclusive)
    return found


def _pair(market: "Market", buy: Order, sell: Order, price_e8: int) -> None:
    maker, taker = (buy, sell) if buy.entry < sell.entry else (sell, buy)
    if lists.meet(market, maker, taker):
        return
    quantity_e8 = min(buy.leaves_e8, sell.leaves_e8)
    for order in (buy, sell):
        _give(market.side_of(order), order, order.leaves_e8 - quantity_e8)
    taking.record(market, maker, taker, price_e8, quantity_e8, "unknown")


def _give(side: BookSide, order: Order, leaves_e8: int) -> None:
    """Leaves an order so much; an iceberg shows its next part where it stands."""
    shown_e8 = leaves_e8 if order.extra is None else min(order.extra.display_e8, leaves_e8)
    side.show(order, shown_e8, leaves_e8)
    if not leaves_e8:
        side.remove(order)
