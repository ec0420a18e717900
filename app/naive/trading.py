"""An order enters: it trades as taker, then what is left rests, waits or is canceled."""

from collections.abc import Iterator
from itertools import groupby

from app.naive.lists import OrderList
from app.naive.market import Market
from app.naive.order import AT_ONCE, CONTINUOUS, MARKET_LIKE, OPPOSITE, VOLATILITY, Order
from app.naive.rules import rounded
from app.naive.sessions import change_session, takes

NO_LIQUIDITY, NOT_FILLABLE = "MATCHING_NO_LIQUIDITY", "MATCHING_NOT_FILLABLE"


def enter(market: Market, order: Order) -> None:
    """Lets an order in that is in no place; what lists make of it stays queued."""
    if not takes(order, market.session):
        market.cancel(order, "MATCHING_TIME_IN_FORCE")
    elif market.refuses(order):
        market.cancel(order, "MATCHING_PRICE_BAND")
    elif market.session != CONTINUOUS:
        _join_call(market, order)
    elif order.post_only and not yields(market, order):
        market.cancel(order, "MATCHING_POST_ONLY")
    else:
        _take(market, order)


def _join_call(market: Market, order: Order) -> None:
    if order.required:
        market.put(order, "contingent")
    else:
        market.rest(order)


def yields(market: Market, order: Order) -> bool:
    """Makes a post-only order passive, if its instruction allows; False: it would trade."""
    if not would_trade(market, order):
        return True
    best = market.opposite(order)[0].price or 0
    away = rounded(market.rules, best - 1 if order.side == "buy" else best + 1, order.side)
    if order.post_only == "reject" or away <= 0:
        return False
    order.limit_price = away
    return True


def would_trade(market: Market, order: Order) -> bool:
    """Whether the other side's best price is within a limit order's limit."""
    makers = market.opposite(order)
    return bool(makers) and order.within(makers[0].price or 0, order.limit_price)


def _take(market: Market, taker: Order) -> None:
    """In continuous trading: the book, then contingent orders, then the rest."""
    if taker.order_type == "market_to_limit" and not taker.converted:
        bound = bound_on_entering(market, taker)
        if bound is None:
            market.cancel(taker, NO_LIQUIDITY)
            return
        market.convert(taker, bound)
    needed = taker.leaves if taker.time_in_force == "fok" else taker.required
    if needed and available(market, taker, taker.bound) < needed:
        _do_without(market, taker)
        return
    collided = _trade_with_book(market, taker) or _trade_with_contingent(market, taker)
    if not taker.ended:
        _treat_rest(market, taker, collided)


def _do_without(market: Market, taker: Order) -> None:
    if taker.time_in_force in AT_ONCE or taker.order_type in MARKET_LIKE:
        market.cancel(taker, NOT_FILLABLE)
    else:
        market.put(taker, "contingent")


def _treat_rest(market: Market, taker: Order, collided: bool) -> None:
    if taker.time_in_force in AT_ONCE or taker.order_type in MARKET_LIKE:
        market.cancel(taker, "MATCHING_COLLAR" if collided else NO_LIQUIDITY)
    else:
        market.rest(taker)
    if collided:
        change_session(market, VOLATILITY, "MATCHING_COLLAR")


# What an order could have.


def bound_on_entering(market: Market, order: Order) -> int | None:
    """The worst price that an order would trade at if it entered now; None: any, or none to be had."""
    if order.order_type != "market_to_limit" or order.converted:
        return order.bound
    makers = market.opposite(order)
    return market.limit_for(order, makers[0].price or 0) if makers else None


def available(market: Market, taker: Order, bound: int | None) -> int:
    """What the book would give a taker at once, no worse than a bound."""
    total = 0
    static, last = market.static, market.last
    for price, level in groupby(_found_by(market, taker), key=lambda found: found[0].price or 0):
        if not reaches(market, taker, price, bound) or market.collides(price, static, last):
            break
        quantity, ends = _available_at(market, taker, [maker for maker, counts in level if counts])
        total += quantity
        if ends:
            break
        if quantity:
            static, last = price if static is None else static, price
    return total


def _found_by(market: Market, taker: Order) -> Iterator[tuple[Order, bool]]:
    """The makers that are still there when the taker comes to them, by priority, and whether they count."""
    pro_rata = market.rules.allocation == "pro_rata"
    mine = market.exclusive(taker)
    # Lists of which one has traded by then.
    traded: list[OrderList] = []
    for maker in market.opposite(taker):
        theirs = market.exclusive(maker)
        if theirs in traded:
            continue
        if theirs and theirs is mine:
            return
        if market.prevents(taker, maker):
            yield maker, True
        elif pro_rata and (mine or theirs):
            yield maker, False
        else:
            yield maker, True
            traded += [linked for linked in (mine, theirs) if linked]


def _available_at(market: Market, taker: Order, level: list[Order]) -> tuple[int, bool]:
    """What the makers of one price would give, and whether an own order ends it there."""
    own = [maker for maker in level if market.prevents(taker, maker)]
    if not own or market.prevention(taker) == "cancel_oldest":
        return sum(maker.leaves for maker in level if maker not in own), False
    before = level[: level.index(own[0])]
    if own[0].hidden:
        return sum(maker.leaves for maker in before), True
    if market.rules.allocation == "pro_rata":
        return 0, True
    return sum(maker.shown for maker in before), True


def reaches(market: Market, taker: Order, price: int, bound: int | None) -> bool:
    """Whether a price is within a taker's bound and the band."""
    return taker.within(price, bound) and market.in_band(price)


# Trading; each of these says whether a collar stopped it.


def _trade_with_book(market: Market, taker: Order) -> bool:
    while taker.leaves and market.opposite(taker):
        maker = market.opposite(taker)[0]
        price = maker.price or 0
        if not reaches(market, taker, price, taker.bound):
            break
        if market.collides(price, market.static, market.last):
            return True
        if market.rules.allocation == "pro_rata" and not maker.hidden:
            _share_level(market, taker, price)
        elif not _kept_apart(market, taker, maker, price):
            market.fill(maker, taker, price, min(taker.leaves, maker.offers), taker.side)
            market.refresh(maker)
    return False


def _trade_with_contingent(market: Market, taker: Order) -> bool:
    if taker.required or taker.post_only:
        return False
    makers = [
        maker for maker in market.places["contingent"] if maker.side == OPPOSITE[taker.side] and maker.limited
    ]
    sign = 1 if taker.side == "buy" else -1
    for maker in sorted(makers, key=lambda maker: (sign * (maker.limit_price or 0), maker.entry)):
        price = maker.limit_price or 0
        if not reaches(market, taker, price, taker.bound) or not 0 < maker.required <= taker.leaves:
            continue
        if market.collides(price, market.static, market.last):
            return True
        if not _kept_apart(market, taker, maker, price):
            market.fill(maker, taker, price, min(taker.leaves, maker.leaves), taker.side)
            if maker.leaves:
                market.queue.append(("enter", maker, maker))
    return False


# Self-trade prevention.


def _kept_apart(market: Market, taker: Order, maker: Order, price: int) -> bool:
    """Whether two orders that met do not trade, and what becomes of them then."""
    if market.excludes(taker, maker):
        market.cancel(taker, "MATCHING_LINKED")
        return True
    if not market.prevents(taker, maker):
        return False
    _prevent(market, taker, maker, price)
    return True


def _prevent(market: Market, taker: Order, maker: Order, price: int) -> None:
    """Two orders of one owner met: what the taker's instruction makes of both."""
    quantity = min(maker.leaves, taker.leaves)
    market.say_prevented(maker, taker, price, quantity)
    instruction = market.prevention(taker)
    if instruction == "decrement":
        _decrement(market, maker, quantity)
        _decrement(market, taker, quantity)
        return
    if instruction in ("cancel_oldest", "cancel_both"):
        market.cancel(maker, "MATCHING_SELF_TRADE")
    if instruction in ("cancel_newest", "cancel_both"):
        market.cancel(taker, "MATCHING_SELF_TRADE")


def _decrement(market: Market, order: Order, quantity: int) -> None:
    if order.leaves == quantity:
        market.cancel(order, "MATCHING_SELF_TRADE")
        return
    order.quantity -= quantity
    order.shown = min(order.shown, order.leaves)
    market.say("replaced", order, "MATCHING_SELF_TRADE")


# Pro-rata allocation.


def _share_level(market: Market, taker: Order, price: int) -> None:
    """One round with the displayed orders of a price, or with the own orders among them."""
    level = [maker for maker in market.opposite(taker) if maker.price == price and not maker.hidden]
    apart = [maker for maker in level if market.excludes(taker, maker) or market.prevents(taker, maker)]
    for maker in apart:
        if taker.leaves:
            _kept_apart(market, taker, maker, price)
    if apart:
        return
    for maker, share in zip(level, _shares(market, level, taker.leaves), strict=True):
        # A fill before may have ended either.
        if share and maker.leaves and taker.leaves:
            market.fill(maker, taker, price, share, taker.side)
    for maker in level:
        market.refresh(maker)


def _shares(market: Market, level: list[Order], quantity: int) -> list[int]:
    """What each maker gets of a taker's quantity."""
    shown = [maker.shown for maker in level]
    if quantity >= sum(shown):
        return shown
    rules = market.rules
    top = min(quantity, shown[0]) if rules.top_order else 0
    others = shown[1:] if rules.top_order else shown
    rest = quantity - top
    shares = []
    for part in others:
        share = rest * part // sum(others)
        share -= share % rules.lot_size
        shares.append(share if share >= rules.pro_rata_min else 0)
    shares = [top, *shares] if rules.top_order else shares
    left = quantity - sum(shares)
    for index, part in enumerate(shown):
        more = min(left, part - shares[index])
        shares[index] += more
        left -= more
    return shares
