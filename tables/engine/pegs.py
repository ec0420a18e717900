"""Pegged orders: where they should stand, and how they get there."""

from typing import TYPE_CHECKING, Final

from tables.engine import entering, lists
from tables.engine.book import BookSide
from tables.engine.orders import BOOK, PARKED, PEGGED, Order

if TYPE_CHECKING:
    from tables.engine.market import Market

# What no market is pegged by: the pegs must be looked at.
NOTHING: Final = (-1, -1, -1, -1)


def references(market: "Market") -> tuple[int, int]:
    """Best bid and ask for pegs, 0 for none: the better of the quote's and that of orders not pegged."""
    bid_e8, ask_e8 = _displayed_e8(market.bids), _displayed_e8(market.asks)
    if market.ask_e8 and (not ask_e8 or market.ask_e8 < ask_e8):
        ask_e8 = market.ask_e8
    return max(bid_e8, market.bid_e8), ask_e8


def _displayed_e8(side: BookSide) -> int:
    keys = side.keys
    for at in range(len(keys) - 1, -1, -1):
        level = side.levels[keys[at]]
        order = level.oldest
        while order is not None and order.kind == PEGGED:
            order = order.newer
        if order is not None:
            return level.price_e8
    return 0


def target_e8(market: "Market", order: Order, best: tuple[int, int]) -> int:
    """The price at which a pegged order should stand by the given bid and ask; 0: it has none."""
    extra = order.extra
    if extra is None:
        return 0
    bid_e8, ask_e8 = best
    if extra.peg == "mid":
        reference_e8 = (bid_e8 + ask_e8) // 2 if 0 < bid_e8 < ask_e8 else 0
    else:
        reference_e8 = bid_e8 if extra.peg == "bid" else ask_e8
    if not reference_e8:
        return 0
    price_e8 = reference_e8 + extra.peg_offset_e8
    if order.sign > 0:
        price_e8 = min(price_e8, order.limit_price_e8 or price_e8, market.high_e8 or price_e8)
        return market.rules.down(price_e8) if price_e8 > 0 else 0
    price_e8 = max(price_e8, order.limit_price_e8, market.low_e8)
    return market.rules.up(price_e8) if price_e8 > 0 else 0


def move(market: "Market") -> bool:
    """Moves every pegged order to where it should stand; returns whether any moved."""
    if not market.pegs:
        return False
    best = references(market)
    by = (*best, market.low_e8, market.high_e8)
    if by == market.pegged_by:
        return False
    moving: list[tuple[int, int]] = []
    for entry, order in market.pegs.items():
        place = BOOK if order.extra is None else order.extra.place
        if place in (BOOK, PARKED):
            price_e8 = target_e8(market, order, best)
            if price_e8 != order.price_e8:
                moving.append((entry, price_e8))
    market.pegged_by = NOTHING if moving else by
    for entry, price_e8 in sorted(moving):
        found = market.pegs.get(entry)
        if market.session != "continuous":
            break
        if found is not None:
            _move(market, found, price_e8)
    return bool(moving)


def park(market: "Market", order: Order) -> None:
    """Takes a pegged order out of the book until it has somewhere to stand."""
    market.pegged_by = NOTHING
    market.take_out(order)
    order.price_e8 = 0
    market.put(order, PARKED)


def _move(market: "Market", order: Order, price_e8: int) -> None:
    if not price_e8:
        park(market, order)
        return
    market.take_out(order)
    order.price_e8 = price_e8
    entering.trade(market, order)
    lists.work_off(market)
