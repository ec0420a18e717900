"""What follows from what happened: list actions, triggers, contingent orders, pegs, until nothing does."""

from app.naive.auction import indicate
from app.naive.market import Market
from app.naive.order import CALLS, CONTINUOUS, TRIGGERS, VOLATILITY, Order
from app.naive.rules import rounded
from app.naive.sessions import change_session, takes, waits
from app.naive.trading import available, bound_on_entering, enter

LIMIT_STATE_US = 15_000_000
PAUSE_US = 300_000_000
_100_PERCENT = 100 * 10**8


# Orders that become active, and what lists cause.


def activate(market: Market, order: Order) -> None:
    """An accepted or released order goes where it belongs."""
    market.fit(order)
    if order.order_type in TRIGGERS:
        _arm(market, order)
    elif not takes(order, market.session):
        market.cancel(order, "MATCHING_TIME_IN_FORCE")
    elif waits(order, market.session):
        market.put(order, "parked")
    elif order.order_type == "pegged":
        _enter_at(market, order, target(market, order))
    else:
        enter(market, order)


def _arm(market: Market, order: Order) -> None:
    if order.order_type == "trailing_stop" and order.stop_price is None and market.last is not None:
        trail(market, order, market.last)
    market.put(order, "triggers")
    market.fresh.append(order)


def work_off(market: Market) -> None:
    """Does what lists have caused, first come first served."""
    while market.queue:
        what, subject, cause = market.queue.popleft()
        if what == "cancel":
            for order in subject.live():
                if order is not cause:
                    market.cancel(order, "MATCHING_LINKED")
        elif what == "release":
            for order in subject.live():
                if order.place == "held":
                    market.remove(order)
                    activate(market, order)
        elif not cause.ended:
            market.remove(cause)
            enter(market, cause)


# A, B, C.


def consequences(market: Market) -> None:
    """Triggers, then contingent orders, then pegs; from the start again after each that did something."""
    while market.session == CONTINUOUS:
        if not (trigger(market) or take_contingent(market) or move_pegs(market)):
            return


def trigger(market: Market) -> bool:
    """A: stops look at the prices since the last look."""
    for order in (hit := _hit(market)):
        order.triggered = True
        market.say("triggered", order)
    for order in hit:
        if not order.ended:
            market.remove(order)
            enter(market, order)
            work_off(market)
    return bool(hit)


def _hit(market: Market) -> list[Order]:
    looks, fresh, hit = market.looks, market.fresh, set[Order]()
    market.looks, market.fresh = [], []
    for look in looks:
        for order in market.places["triggers"]:
            price = look[order.side]
            if price is None or order in hit:
                continue
            if fires(order, price):
                hit.add(order)
            elif order.order_type == "trailing_stop":
                trail(market, order, price)
    if market.last is not None:
        waiting = (order for order in fresh if order.place == "triggers")
        hit |= {order for order in waiting if fires(order, market.last)}
    return sorted(hit, key=lambda order: order.entry)


def fires(order: Order, price: int) -> bool:
    """Whether a price triggers an order."""
    if order.stop_price is None:
        return False
    rising = (order.side == "buy") != (order.order_type == "market_if_touched")
    return price >= order.stop_price if rising else price <= order.stop_price


def trail(market: Market, order: Order, price: int) -> None:
    """Moves a trailing stop after a price, never back; a stop at or below 0 is none yet."""
    distance = order.trail_amount or price * order.trail_percent // _100_PERCENT
    if order.side == "sell":
        stop = rounded(market.rules, price - distance, "buy")
        best = stop if order.stop_price is None else max(order.stop_price, stop)
    else:
        stop = rounded(market.rules, price + distance, "sell")
        best = stop if order.stop_price is None else min(order.stop_price, stop)
    order.stop_price = best if best > 0 else None


def take_contingent(market: Market) -> bool:
    """B: the first that can have what it requires enters."""
    for order in market.places["contingent"]:
        if order.order_type == "market_to_limit" and not market.opposite(order):
            continue
        if available(market, order, bound_on_entering(market, order)) >= order.required:
            market.remove(order)
            enter(market, order)
            work_off(market)
            return True
    return False


def move_pegs(market: Market) -> bool:
    """C: pegs go where their references are."""
    wanted = [(order, target(market, order)) for order in market.pegged if order.place != "held"]
    moves = [(order, price) for order, price in wanted if price != order.price]
    for order, price in moves:
        if market.session == CONTINUOUS and not order.ended:
            market.remove(order)
            _enter_at(market, order, price)
            work_off(market)
    return bool(moves)


def _enter_at(market: Market, order: Order, price: int | None) -> None:
    order.price = price
    if price is None:
        market.put(order, "parked")
    else:
        enter(market, order)


def target(market: Market, order: Order) -> int | None:
    """Where a pegged order should be now; None: nowhere."""
    references = {"bid": market.reference("buy"), "ask": market.reference("sell"), "mid": market.middle()}
    reference = references[order.peg]
    if reference is None:
        return None
    price = reference + order.peg_offset
    bounds = (order.limit_price, market.high if order.side == "buy" else market.low)
    prices = [price, *(bound for bound in bounds if bound)]
    price = rounded(market.rules, min(prices) if order.side == "buy" else max(prices), order.side)
    return price if price > 0 else None


# The beginning and the end of every command.


def begin(market: Market, at_us: int) -> None:
    """What time alone does: each thing when it is due, as if a command had come then."""
    while (due_us := _next_due_us(market)) is not None and due_us <= at_us:
        _fall_due(market, due_us)
        finish(market, due_us)


def _next_due_us(market: Market) -> int | None:
    dues = [order.expire_at_us for order in market.timed]
    if market.limit_since_us is not None:
        dues.append(market.limit_since_us + LIMIT_STATE_US)
    if market.pause_until_us is not None:
        dues.append(market.pause_until_us)
    return min(dues, default=None)


def _fall_due(market: Market, due_us: int) -> None:
    if market.limit_since_us is not None and due_us == market.limit_since_us + LIMIT_STATE_US:
        change_session(market, VOLATILITY, "MATCHING_LIMIT_STATE")
        market.pause_until_us = due_us + PAUSE_US
    elif market.pause_until_us == due_us:
        change_session(market, CONTINUOUS)
    work_off(market)
    due = [order for order in market.timed if order.expire_at_us == due_us]
    for order in sorted(due, key=lambda order: order.entry):
        market.expire(order, "MATCHING_EXPIRED")
    work_off(market)


def finish(market: Market, at_us: int) -> None:
    """What a command brings about beyond itself."""
    work_off(market)
    consequences(market)
    if market.session in CALLS:
        indicate(market)
    if not _at_limit(market):
        market.limit_since_us = None
    elif market.limit_since_us is None:
        market.limit_since_us = at_us


def _at_limit(market: Market) -> bool:
    bid, ask = market.best("buy"), market.best("sell")
    if market.session != CONTINUOUS:
        return False
    at_high = bid is not None and market.high != 0 and bid.price == market.high
    return at_high or (ask is not None and market.low != 0 and ask.price == market.low)
