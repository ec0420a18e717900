"""Orders that enter: accepted, traded as takers, and put where what is left of them belongs."""

from typing import TYPE_CHECKING, Final

from schemas.numbers import format_e8
from tables.engine import checks, lists, pegs, sessions, taking
from tables.engine.orders import (
    AUCTIONS,
    CONTINGENT,
    LIMIT,
    OPENINGS,
    PARKED,
    PEGGED,
    TO_LIMIT,
    TRIGGER,
    TRIGGERS,
    Happening,
    Order,
    order_happening,
)

if TYPE_CHECKING:
    from tables.engine.market import Market

MARKET_TO_LIMIT_NONE: Final = "MATCHING_NO_LIQUIDITY"


def new(market: "Market", order: Order, at_us: int, reason: str) -> list[Happening]:
    """A new order, through every step; `reason`: why its own values are refused, if they are."""
    market.begin(at_us)
    reason = checks.refuse(market, order, reason)
    if reason:
        order.move("rejected")
        order.leaves_e8 = 0
        market.said.append(order_happening("rejected", order, reason))
        lists.refused(market, order)
        return market.refused()
    order.entry = market.next_arrival()
    order.move("accepted")
    market.live[order.order_id] = order
    market.said.append(order_happening("accepted", order))
    if order.time_in_force == "gtd":
        market.set_expiry(order)
    elif order.time_in_force == "ioc" and order.extra is not None and order.extra.all_or_none:
        order.time_in_force = "fok"
    if order.kind == PEGGED:
        market.pegs[order.entry] = order
    if not lists.join(market, order):
        enter(market, order)
    lists.work_off(market)
    return market.finish()


def enter(market: "Market", order: Order) -> None:
    """Has an order that is nowhere trade, and what is left of it rest, wait or end."""
    if order.kind == TRIGGER:
        market.put(order, TRIGGERS)
        return
    if order.kind == PEGGED:
        market.pegged_by = pegs.NOTHING
    force = order.time_in_force
    if force == "at_close" or force == "auction":
        calls = ("closing_auction",) if force == "at_close" else AUCTIONS
        if market.session not in calls:
            market.put(order, PARKED)
            return
    elif force == "at_open" and market.session not in OPENINGS:
        market.end(order, "canceled", "MATCHING_TIME_IN_FORCE")
        return
    if order.kind == PEGGED:
        order.price_e8 = pegs.target_e8(market, order, pegs.references(market))
        if not order.price_e8:
            market.put(order, PARKED)
            return
    if order.kind == LIMIT and market.refuses(order, order.limit_price_e8):
        market.end(order, "canceled", "MATCHING_PRICE_BAND")
    elif market.session != "continuous":
        _rest_in_call(market, order)
    elif _ready(market, order):
        trade(market, order)


def _rest_in_call(market: "Market", order: Order) -> None:
    if order.time_in_force in ("ioc", "fok", "crossing"):
        market.end(order, "canceled", "MATCHING_TIME_IN_FORCE")
    elif order.needs_e8():
        market.put(order, CONTINGENT)
    else:
        market.rest(order)


def _ready(market: "Market", order: Order) -> bool:
    """Sees to post-only and market-to-limit orders; returns whether the order goes on."""
    if order.kind == TO_LIMIT:
        best_e8 = market.against(order).best_e8()
        if not best_e8:
            market.end(order, "canceled", MARKET_TO_LIMIT_NONE)
            return False
        set_limit(market, order, best_e8)
    extra = order.extra
    if extra is not None and extra.post_only and would_trade(market, order, order.limit_price_e8):
        limit_e8 = repriced_e8(market, order) if extra.post_only == "reprice" else 0
        if limit_e8 <= 0:
            market.end(order, "canceled", "MATCHING_POST_ONLY")
            return False
        order.limit_price_e8 = order.price_e8 = limit_e8
    return True


def set_limit(market: "Market", order: Order, price_e8: int) -> None:
    """Makes a market-to-limit order a limit order, not worse than its protection and the band."""
    order.limit_price_e8 = order.price_e8 = _limit_e8(market, order, price_e8)
    order.kind = LIMIT


def _limit_e8(market: "Market", order: Order, price_e8: int) -> int:
    if order.sign > 0:
        return market.rules.down(min(price_e8, market.worst_e8(order)))
    return market.rules.up(max(price_e8, market.worst_e8(order)))


def would_trade(market: "Market", order: Order, limit_e8: int) -> bool:
    """Whether the best price of the other side, hidden orders counted, is within a limit."""
    side = market.against(order)
    return side.best is not None and side.best.key >= side.key_of(limit_e8)


def repriced_e8(market: "Market", order: Order) -> int:
    """The limit, one tick away from the other side, at which a post-only order rests; 0 or less: none."""
    best_e8 = market.against(order).best_e8()
    return market.rules.below(best_e8) if order.sign > 0 else market.rules.above(best_e8)


def trade(market: "Market", order: Order) -> None:
    """Trades an order in continuous trading if it gets what it requires; then sees to the rest."""
    force = order.time_in_force
    need_e8 = order.leaves_e8 if force == "fok" else order.needs_e8()
    if need_e8:
        available = available_e8(market, order, need_e8)
        if available < need_e8:
            if order.may_rest():
                market.put(order, CONTINGENT)
            else:
                text = shortage(available, need_e8)
                market.end(order, "canceled", "MATCHING_NOT_FILLABLE", text)
            return
    take(market, order)
    if order.leaves_e8 and not market.collared and not order.needs_e8():
        taking.offer(market, order)
    if market.collared:
        market.collared = False
        _after_collar(market, order)
    elif order.leaves_e8:
        _leave(market, order)


def _leave(market: "Market", order: Order) -> None:
    """Rests what is left of a taker, if it may."""
    if not order.may_rest():
        market.end(order, "canceled", "MATCHING_NO_LIQUIDITY")
    elif order.needs_e8():
        market.put(order, CONTINGENT)
    else:
        market.rest(order)


def _after_collar(market: "Market", order: Order) -> None:
    """Sees to the rest of a taker that a collar stopped, and begins the auction."""
    if order.leaves_e8:
        if not order.may_rest():
            market.end(order, "canceled", "MATCHING_COLLAR")
        elif order.needs_e8():
            market.put(order, CONTINGENT)
        else:
            market.rest(order)
    sessions.change(market, "volatility_auction", "MATCHING_COLLAR")


def take(market: "Market", order: Order) -> None:
    """Trades an order with the book, whatever is in it."""
    taking.take(market, order)


def available_e8(market: "Market", order: Order, wanted_e8: int) -> int:
    """How much of a wanted quantity an order would get from the book at once."""
    return min(taking.available_e8(market, order, wanted_e8, market.worst_e8(order)), wanted_e8)


def shortage(available_e8: int, asked_e8: int) -> str:
    """The text of an order that did not find what it requires."""
    return f"available={format_e8(available_e8)} asked={format_e8(asked_e8)}"


def release_contingent(market: "Market") -> bool:
    """Has the first contingent order that can have what it requires enter; returns whether one did."""
    if not market.contingent:
        return False
    bid_e8, ask_e8 = market.bids.best_e8(), market.asks.best_e8()
    first: Order | None = None
    for order in market.contingent.values():
        # Most are too far away; that is asked first and here, since all are asked after every command.
        limit_e8 = order.price_e8 or order.limit_price_e8
        if limit_e8 > bid_e8 if order.sign < 0 else not ask_e8 or 0 < limit_e8 < ask_e8:
            continue
        if (first is None or order.entry < first.entry) and _can_have(market, order):
            first = order
    if first is None:
        return False
    market.take_out(first)
    enter(market, first)
    lists.work_off(market)
    return True


def _can_have(market: "Market", order: Order) -> bool:
    side = market.asks if order.sign > 0 else market.bids
    best, kind = side.best, order.kind
    if best is None or kind in (PEGGED, TRIGGER):
        return False
    worst_e8 = market.worst_e8(order)
    if kind == TO_LIMIT:
        worst_e8 = _limit_e8(market, order, best.price_e8)
    if best.key < side.key_of(worst_e8):
        return False
    need_e8 = order.needs_e8()
    return taking.available_e8(market, order, need_e8, worst_e8) >= need_e8
