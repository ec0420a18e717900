"""Stops, trailing stops and orders if touched: which prices trigger them, and how they trail.

`rise_at_e8` and `fall_at_e8` of a market bound the prices that may trigger anything: as long as prices
stay between them, no order has to be asked.
"""

from typing import TYPE_CHECKING, Final

from tables.engine import entering, lists
from tables.engine.orders import LIMIT, MARKET, NO_LIMIT, Order, order_happening

if TYPE_CHECKING:
    from tables.engine.market import Market

PERCENT_E8: Final = 100 * 100_000_000


def watch(market: "Market", order: Order) -> None:
    """Takes account of an order that came among the triggers."""
    extra = order.extra
    if extra is None:
        return
    if order.order_type == "trailing_stop":
        market.trailing[order.entry] = order
        if not extra.stop_e8 and market.last_e8:
            trail(market, order, market.last_e8)
    ask_last(market, order)


def ask_last(market: "Market", order: Order) -> None:
    """Has the known last be held against an order that came among the triggers, or was replaced there."""
    _bound(market, order)
    market.fresh.append(order)


def restore(market: "Market", order: Order) -> None:
    """Takes an order back that was among the triggers, as it was."""
    market.triggers[order.entry] = order
    if order.order_type == "trailing_stop":
        market.trailing[order.entry] = order
    _bound(market, order)


def rises(order: Order) -> bool:
    """Whether it triggers when prices rise to its stop, rather than fall to it."""
    return (order.sign > 0) != (order.order_type == "market_if_touched")


def _bound(market: "Market", order: Order) -> None:
    extra = order.extra
    if extra is not None and extra.stop_e8:
        if rises(order):
            market.rise_at_e8 = min(market.rise_at_e8, extra.stop_e8)
        else:
            market.fall_at_e8 = max(market.fall_at_e8, extra.stop_e8)


def trail(market: "Market", order: Order, price_e8: int) -> None:
    """Moves the stop of a trailing stop after a price, never away from it."""
    extra = order.extra
    if extra is None:
        return
    away_e8 = extra.trail_amount_e8 or price_e8 * extra.trail_percent_e8 // PERCENT_E8
    stop_e8 = extra.stop_e8
    # On a tick it is further away still, so what is no nearer now will not be then.
    if order.sign < 0:
        moved_e8 = price_e8 - away_e8
        if moved_e8 <= stop_e8:
            return
        moved_e8 = market.rules.down(moved_e8)
        if moved_e8 <= stop_e8:
            return
    else:
        moved_e8 = price_e8 + away_e8
        if stop_e8 and moved_e8 >= stop_e8:
            return
        moved_e8 = market.rules.up(moved_e8)
        if stop_e8 and moved_e8 >= stop_e8:
            return
    extra.stop_e8 = moved_e8
    market.changed.append(order)
    _bound(market, order)


def look(market: "Market") -> bool:
    """Looks at the prices since the last look; has what triggered enter. Returns whether anything did."""
    prices = market.prices
    if not market.triggers:
        prices.clear()
        market.fresh.clear()
        return False
    market.prices = []
    triggered: list[Order] = []
    for buys_e8, sells_e8 in prices:
        if reaches(market, buys_e8, sells_e8):
            triggered += _triggered(market, buys_e8, sells_e8)
        _trail_all(market, buys_e8, sells_e8)
    for order in market.fresh:
        if order.entry in market.triggers and reached(order, market.last_e8, market.last_e8):
            market.take_out(order)
            triggered.append(order)
    market.fresh.clear()
    if triggered:
        _release(market, triggered)
    return bool(triggered)


def reaches(market: "Market", buys_e8: int, sells_e8: int) -> bool:
    """Whether a price may trigger anything."""
    high_e8 = max(buys_e8, sells_e8)
    low_e8 = min(buys_e8 or sells_e8, sells_e8 or buys_e8)
    return high_e8 >= market.rise_at_e8 or low_e8 <= market.fall_at_e8


def reached(order: Order, buys_e8: int, sells_e8: int) -> bool:
    """Whether an order triggers at a price, 0 for none."""
    price_e8 = buys_e8 if order.sign > 0 else sells_e8
    stop_e8 = 0 if order.extra is None else order.extra.stop_e8
    if not price_e8 or not stop_e8:
        return False
    return price_e8 >= stop_e8 if rises(order) else price_e8 <= stop_e8


def _triggered(market: "Market", buys_e8: int, sells_e8: int) -> list[Order]:
    """Takes the orders that a price triggers out."""
    found: list[Order] = []
    market.rise_at_e8, market.fall_at_e8 = NO_LIMIT, 0
    for order in market.triggers.values():
        if reached(order, buys_e8, sells_e8):
            found.append(order)
        else:
            _bound(market, order)
    for order in found:
        market.take_out(order)
    return found


def _trail_all(market: "Market", buys_e8: int, sells_e8: int) -> None:
    for order in market.trailing.values():
        price_e8 = buys_e8 if order.sign > 0 else sells_e8
        if price_e8:
            trail(market, order, price_e8)


def _release(market: "Market", orders: list[Order]) -> None:
    """Tells of all that triggered, by entry, then has those that still live enter."""
    orders.sort(key=_entry)
    for order in orders:
        if order.extra is not None:
            order.extra.triggered = True
        order.kind = LIMIT if order.order_type == "stop_limit" else MARKET
        order.price_e8 = order.limit_price_e8 if order.kind == LIMIT else 0
        order.move("triggered")
        market.said.append(order_happening("triggered", order))
    market.triggered = orders
    for order in orders:
        if order.leaves_e8:
            entering.enter(market, order)
            lists.work_off(market)
    market.triggered = []


def _entry(order: Order) -> int:
    return order.entry
