"""The uncross of a call phase: at which price, how much, and who trades with whom."""

from typing import TYPE_CHECKING

from tables.engine import lists, taking
from tables.engine.book import BookSide, Level
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
    no_buys, no_sells = _excluded(market, bids), _excluded(market, asks)
    low_e8, high_e8 = _reach(market, bool(no_buys or no_sells))
    buys, sells = _quantities(bids, low_e8, no_buys), _quantities(asks, high_e8, no_sells)
    reference_e8 = _reference_e8(market)
    prices = _candidates(market, low_e8, high_e8, reference_e8)
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


def _reach(market: "Market", excluding: bool) -> tuple[int, int]:
    """Two prices of which the best is neither below nor above: what is beyond trades less, or leaves more.

    Nothing but orders without a price sells below the best ask, nor buys above the best bid. Those do, until
    the other side has as much as they want: a price further away only leaves more of that. So a command costs
    what crosses, not what the book has.
    """
    bids, asks = market.bids, market.asks
    if (bids.unpriced or asks.unpriced) and (excluding or market.low_e8 or market.high_e8):
        return 0, NO_LIMIT
    low_e8 = _beyond(bids, asks, 0) if asks.unpriced else asks.best_e8() or NO_LIMIT
    high_e8 = _beyond(asks, bids, NO_LIMIT) if bids.unpriced else bids.best_e8()
    return low_e8, high_e8


def _beyond(side: BookSide, other: BookSide, end_e8: int) -> int:
    """The price of a side that does not cross, and at which it has what the other sells or buys at any."""
    wanted_e8 = sum([order.leaves_e8 for order in other.unpriced.values()])
    for level in side:
        wanted_e8 -= _leaves_e8(level)
        if wanted_e8 <= 0 and (other.best is None or level.key < side.key_of(other.best.price_e8)):
            return level.price_e8
    return end_e8


def _leaves_e8(level: Level) -> int:
    """What the orders of a level have, shown or not."""
    if not level.special:
        return level.quantity_e8
    return sum([order.leaves_e8 for order in level.by_priority()])


def _candidates(market: "Market", low_e8: int, high_e8: int, reference_e8: int) -> list[int]:
    """Prices in the book between two and within the band, rising; without any, the reference."""
    found = {level.price_e8 for level in _up_to(market.bids, low_e8)}
    found |= {level.price_e8 for level in _up_to(market.asks, high_e8)}
    prices = sorted(found) if found else [reference_e8]
    low_e8, high_e8 = max(low_e8, market.low_e8), min(high_e8, market.high_e8 or NO_LIMIT)
    return [price_e8 for price_e8 in prices if price_e8 and low_e8 <= price_e8 <= high_e8]


def _up_to(side: BookSide, worst_e8: int) -> list[Level]:
    """The levels of a side that are no worse than a price, the best first."""
    last = side.key_of(worst_e8)
    found: list[Level] = []
    for level in side:
        if level.key < last:
            break
        found.append(level)
    return found


def _quantities(side: BookSide, worst_e8: int, excluded: list[Order]) -> list[tuple[int, int]]:
    """Worst prices no worse than one, and what takes part at each, the most willing first."""
    found = [(_worst_e8(order), order.leaves_e8) for order in side.unpriced.values()]
    found += [(level.price_e8, _leaves_e8(level)) for level in _up_to(side, worst_e8)]
    found += [(_worst_e8(order), -order.leaves_e8) for order in excluded]
    found.sort(reverse=side.sign > 0)
    return found


def _excluded(market: "Market", side: BookSide) -> list[Order]:
    """Of the orders of a side that exclude each other, all but the first by priority."""
    found: list[Order] = []
    for linked in market.joined.values():
        if len(linked.members) > 1 and linked.exclusive():
            resting = [order for order in linked.members.values() if _rests(side, order)]
            found += sorted(resting, key=_priority)[1:]
    return found


def _rests(side: BookSide, order: Order) -> bool:
    return order.sign == side.sign and (order.level is not None or side.unpriced.get(order.arrival) is order)


def _priority(order: Order) -> tuple[int, bool, bool, int]:
    """Where an order comes on its side: the smaller, the earlier."""
    hidden = order.extra is not None and order.extra.hidden
    return -order.sign * _worst_e8(order), order.level is not None, hidden, order.arrival


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
        linked, trades = bool(market.joined), market.trades
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
    excluded = [order.arrival for order in _excluded(market, side)]
    return [
        order
        for order in side.orders()
        if _worst_e8(order) * sign >= price_e8 * sign and order.arrival not in excluded
    ]


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
