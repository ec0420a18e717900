"""Sessions of a market: what changes of session do, and the limit state that leads to a pause.

`limit_since_us` is kept through the pause: session and time together say which of the two it is.
"""

from typing import TYPE_CHECKING, Final

from tables.engine import auction, entering
from tables.engine.orders import AUCTIONS, LIMIT, NOWHERE, OPENINGS, PEGGED, TO_LIMIT, Order

if TYPE_CHECKING:
    from tables.engine.market import Market

LIMIT_STATE_US: Final = 15_000_000
PAUSE_US: Final = 300_000_000


def change(market: "Market", session: str, reason: str) -> None:
    """Changes the session; the present one named again is only said."""
    before = market.session
    if session != before:
        left = market.interrupted if before == "halt" else before
        if session != "halt" and session != left:
            _leave(market, left, session)
        market.interrupted = before if session == "halt" else ""
        market.session = session
        market.limit_since_us = -1
        market.indicative = (0, 0, 0)
        market.prices.clear()
    market.said.append(("session", market.symbol, session, reason))
    if session != before:
        _join(market, session)
        if session == "continuous" and market.last_e8:
            market.prices.append((market.last_e8, market.last_e8))


def _leave(market: "Market", left: str, session: str) -> None:
    """Uncrosses, and ends what was only for the session that is left."""
    uncrosses = session in ("continuous", "closed") or left in AUCTIONS
    price_e8 = auction.uncross(market) if uncrosses else 0
    for order in _in_book(market):
        if not order.leaves_e8:
            continue
        if uncrosses and not order.price_e8 and order.kind != TO_LIMIT:
            market.end(order, "canceled", "MATCHING_NO_LIQUIDITY")
        elif _was_for(order.time_in_force, left, session):
            market.end(order, "expired", "MATCHING_EXPIRED")
        elif uncrosses and not order.price_e8:
            _end_unpriced(market, order, price_e8)


def _was_for(force: str, left: str, session: str) -> bool:
    """Whether orders of a time in force end when a session is left for another, which is no halt."""
    if force == "at_open":
        return left in OPENINGS and session not in OPENINGS
    if force == "auction":
        return left in AUCTIONS
    return force == "at_close" and left == "closing_auction"


def _in_book(market: "Market") -> list[Order]:
    orders = market.bids.orders() + market.asks.orders()
    orders.sort(key=_entry)
    return orders


def end_unpriced(market: "Market", price_e8: int) -> None:
    """After an uncross: market orders end, market-to-limit orders get their limit."""
    for order in _in_book(market):
        if not order.price_e8:
            _end_unpriced(market, order, price_e8)


def _end_unpriced(market: "Market", order: Order, price_e8: int) -> None:
    if order.kind != TO_LIMIT or not price_e8:
        market.end(order, "canceled", "MATCHING_NO_LIQUIDITY")
        return
    market.take_out(order)
    protection_e8 = order.limit_price_e8
    if protection_e8:
        price_e8 = min(price_e8, protection_e8) if order.sign > 0 else max(price_e8, protection_e8)
    # Without a price in the book, the reference is the uncross price, wherever it is.
    price_e8 = market.rules.down(price_e8) if order.sign > 0 else market.rules.up(price_e8)
    order.kind = LIMIT
    order.limit_price_e8 = order.price_e8 = price_e8
    market.rest(order)


def _join(market: "Market", session: str) -> None:
    """Has what waited for a session join it, and crossing orders end."""
    if session not in AUCTIONS:
        return
    for entry in sorted(market.parked):
        order = market.parked[entry]
        force = order.time_in_force
        if order.kind != PEGGED and (force == "auction" or session == "closing_auction"):
            market.take_out(order)
            entering.enter(market, order)
    waiting = [
        order for order in market.triggered if order.extra is not None and order.extra.place == NOWHERE
    ]
    crossing = [order for order in market.listing() + waiting if order.time_in_force == "crossing"]
    crossing.sort(key=_entry)
    for order in crossing:
        if order.leaves_e8:
            market.end(order, "expired", "MATCHING_EXPIRED")


def limit_state_ends_us(market: "Market") -> int:
    """When the present limit state becomes a pause, or the pause ends."""
    due_us = market.limit_since_us + LIMIT_STATE_US
    return due_us if market.session == "continuous" else due_us + PAUSE_US


def end_limit_state(market: "Market") -> None:
    """Has a limit state become a pause, or trading begin again after it, where that is due."""
    since_us = market.limit_since_us
    if since_us < 0 or market.at_us < limit_state_ends_us(market):
        return
    if market.session == "continuous":
        change(market, "volatility_auction", "MATCHING_LIMIT_STATE")
        market.limit_since_us = since_us
    else:
        change(market, "continuous", "NONE")


def look_at_limit_state(market: "Market") -> None:
    """Begins or ends the limit state, as the best prices are at the end of a command."""
    high_e8, low_e8 = market.high_e8, market.low_e8
    if market.session != "continuous" or not (high_e8 or low_e8):
        market.limit_since_us = -1
        return
    at_limit = bool(
        (high_e8 and market.bids.best_e8() == high_e8) or (low_e8 and market.asks.best_e8() == low_e8)
    )
    if not at_limit:
        market.limit_since_us = -1
    elif market.limit_since_us < 0:
        market.limit_since_us = market.at_us


def _entry(order: Order) -> int:
    return order.entry
