"""Changes of session: uncross, what is left over, what waited for it."""

from app.naive.auction import uncross
from app.naive.market import Market
from app.naive.order import AT_ONCE, AUCTIONS, CALLS, CLOSED, CLOSING, CONTINUOUS, HALT, OPENINGS, Order


def change_session(market: Market, session: str, reason: str = "NONE") -> None:
    """Leads a market into a session; the caller works off what lists make of it."""
    if session != market.session:
        left = market.interrupted if market.session == HALT else market.session
        _leave(market, left, session)
        market.interrupted = left
        market.session = session
        market.looks, market.fresh = [], []
        market.indicated = (None, 0, 0)
        market.limit_since_us = market.pause_until_us = None
        _say(market, reason)
        _join(market)
    else:
        _say(market, reason)


def _say(market: Market, reason: str = "NONE") -> None:
    market.happenings.append(
        {"event": "session", "symbol": market.symbol, "session": market.session, "reason": reason}
    )


def _leave(market: Market, left: str, session: str) -> None:
    """`left` is the session that ends, also where a halt came between."""
    if session in (HALT, left):
        return
    uncrosses = session in (CONTINUOUS, CLOSED) or left in AUCTIONS
    price = uncross(market) if uncrosses else None
    for order in _resting(market):
        if uncrosses and order.price is None and order.order_type != "market_to_limit":
            market.cancel(order, "MATCHING_NO_LIQUIDITY")
        elif _is_over(order, left, session):
            market.expire(order, "MATCHING_EXPIRED")
        elif uncrosses and order.price is None:
            _give_limit(market, order, price)


def _resting(market: Market) -> list[Order]:
    return sorted((*market.book["buy"], *market.book["sell"]), key=lambda order: order.entry)


def _is_over(order: Order, left: str, session: str) -> bool:
    """Whether an order's time in force ends between two sessions."""
    if order.time_in_force == "at_open":
        return left in OPENINGS and session not in OPENINGS
    if order.time_in_force == "auction":
        return left in AUCTIONS
    return order.time_in_force == "at_close" and left == CLOSING


def _give_limit(market: Market, order: Order, price: int | None) -> None:
    """What becomes of a market-to-limit order that is left over."""
    if price is None:
        market.cancel(order, "MATCHING_NO_LIQUIDITY")
        return
    market.remove(order)
    market.convert(order, price)
    market.rest(order)


def _join(market: Market) -> None:
    """What waited for the session that began, and what must not see it."""
    for order in list(market.places["parked"]):
        if order.order_type != "pegged" and not waits(order, market.session):
            market.remove(order)
            market.rest(order)
    if market.session in AUCTIONS:
        crossing = [order for order in market.live() if order.time_in_force == "crossing"]
        for order in sorted(crossing, key=lambda order: order.entry):
            market.expire(order, "MATCHING_EXPIRED")
    if market.session == CONTINUOUS and market.last is not None:
        market.looks = [{"buy": market.last, "sell": market.last}]


def waits(order: Order, session: str) -> bool:
    """Whether an order is parked until a later session."""
    if order.time_in_force == "at_close":
        return session != CLOSING
    return order.time_in_force == "auction" and session not in AUCTIONS


def takes(order: Order, session: str) -> bool:
    """Whether a session takes new orders of this time in force."""
    if order.time_in_force == "at_open":
        return session in OPENINGS
    return session == CONTINUOUS or order.time_in_force not in (*AT_ONCE, "crossing")


def uncross_and_stay(market: Market) -> None:
    """The operator's uncross: in a call phase, which goes on; elsewhere nothing."""
    if market.session not in CALLS:
        return
    price = uncross(market)
    for order in _resting(market):
        if order.price is None and order.order_type != "market_to_limit":
            market.cancel(order, "MATCHING_NO_LIQUIDITY")
        elif order.price is None:
            _give_limit(market, order, price)
    _say(market)
