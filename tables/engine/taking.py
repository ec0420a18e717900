"""Trading as taker where anything may be in the book: icebergs, hidden orders, own orders, collars, pro rata.

A taker meets the other side by priority, at the maker's price, within its limit and the band. What it
asks of lists is queued; `market.collared` says that a collar stopped it.
"""

from typing import TYPE_CHECKING, Final

from tables.engine import lists
from tables.engine.book import BookSide, Level
from tables.engine.lists import ENTER, Action, OrderList
from tables.engine.orders import (
    CONTINGENT,
    LIMIT,
    Order,
    order_happening,
    trade_happening,
)

if TYPE_CHECKING:
    from tables.engine.market import Market

BPS: Final = 10_000


def take(market: "Market", taker: Order) -> None:
    """Trades a taker with the book until it has all, or the book has nothing more for it."""
    side = market.against(taker)
    limit_key = side.key_of(market.worst_e8(taker))
    rules = market.rules
    collars = rules.static_collar_bps or rules.dynamic_collar_bps
    pro_rata = rules.allocation == "pro_rata"
    while taker.leaves_e8:
        level = side.best
        if level is None or level.key < limit_key:
            return
        if collars and outside(market, level.price_e8, market.last_e8, market.static_e8):
            market.collared = True
            return
        if pro_rata and level.oldest is not None:
            _take_pro_rata(market, taker, side, level)
        else:
            _take_next(market, taker, side, level)


def outside(market: "Market", price_e8: int, last_e8: int, static_e8: int) -> bool:
    """Whether a price is outside the collars around the last price and the static reference, 0 for none."""
    rules = market.rules
    static_bps, dynamic_bps = rules.static_collar_bps, rules.dynamic_collar_bps
    if static_bps and static_e8 and abs(price_e8 - static_e8) * BPS > static_e8 * static_bps:
        return True
    return bool(dynamic_bps and last_e8 and abs(price_e8 - last_e8) * BPS > last_e8 * dynamic_bps)


def _take_next(market: "Market", taker: Order, side: BookSide, level: Level) -> None:
    """Trades with the first order of a level, displayed before hidden."""
    maker = level.oldest
    if maker is None:
        maker = level.hidden_oldest
    if maker is None or kept_apart(market, maker, taker, level.price_e8):
        return
    extra = maker.extra
    shown_e8 = maker.leaves_e8 if extra is not None and extra.hidden else maker.shown_e8()
    fill(market, side, maker, taker, min(shown_e8, taker.leaves_e8))
    if maker.leaves_e8 and not shown_left(maker):
        side.refresh(maker, market.next_arrival())


def shown_left(maker: Order) -> bool:
    """Whether a resting order needs no new part to show."""
    extra = maker.extra
    return extra is None or extra.hidden or not extra.display_e8 or extra.shown_e8 > 0


def fill(market: "Market", side: BookSide, maker: Order, taker: Order, quantity_e8: int) -> None:
    """Trades a quantity with a maker in the book, at its price; it leaves the book when filled."""
    price_e8 = maker.price_e8
    leaves_e8 = maker.leaves_e8 - quantity_e8
    side.show(maker, maker.shown_e8() - quantity_e8, leaves_e8)
    if not leaves_e8:
        side.remove(maker)
    taker.leaves_e8 -= quantity_e8
    record(market, maker, taker, price_e8, quantity_e8, taker.side)


def record(
    market: "Market", maker: Order, taker: Order, price_e8: int, quantity_e8: int, aggressor_side: str
) -> None:
    """Counts and tells a trade of two orders whose leaves know of it already."""
    value_e16 = price_e8 * quantity_e8
    for order in (taker, maker):
        order.cum_quantity_e8 += quantity_e8
        order.cum_notional_e16 += value_e16
        order.move("partially_filled" if order.leaves_e8 else "filled")
        if not order.leaves_e8:
            market.drop(order)
    market.trades += 1
    market.last_e8, market.last_us = price_e8, market.at_us
    market.static_e8 = market.static_e8 or price_e8
    market.prices.append((price_e8, price_e8))
    market.said.append(trade_happening(maker, taker, market.trades, price_e8, quantity_e8, aggressor_side))
    lists.filled(market, maker)
    lists.filled(market, taker)


# Self-trade prevention.


def prevention(market: "Market", taker: Order) -> str:
    """What a taker does when it meets an order of its owner."""
    extra = taker.extra
    if extra is not None and extra.stp:
        return extra.stp
    return market.rules.stp


def same_owner(one: Order, other: Order) -> bool:
    """Whether two orders are of one account, or of accounts of one group."""
    if one.account == other.account:
        return True
    a, b = one.extra, other.extra
    return a is not None and b is not None and a.stp_group != "" and a.stp_group == b.stp_group


def prevented(market: "Market", maker: Order, taker: Order, price_e8: int) -> bool:
    """Keeps two orders of one owner from trading, if so asked; returns whether they met so."""
    how = prevention(market, taker)
    if how == "none" or not same_owner(maker, taker):
        return False
    quantity_e8 = min(maker.leaves_e8, taker.leaves_e8)
    market.said.append(("self_trade_prevented", price_e8, quantity_e8, *_sides(maker), *_sides(taker)))
    if how == "decrement":
        _decrement(market, maker, quantity_e8)
        _decrement(market, taker, quantity_e8)
        return True
    if how != "cancel_newest":
        market.end(maker, "canceled", "MATCHING_SELF_TRADE")
    if how != "cancel_oldest":
        market.end(taker, "canceled", "MATCHING_SELF_TRADE")
    return True


def kept_apart(market: "Market", maker: Order, taker: Order, price_e8: int) -> bool:
    """Whether a taker does not trade with the maker that it met, for they exclude each other or are of one
    owner; and what becomes of both then.
    """
    return lists.meet(market, maker, taker) or prevented(market, maker, taker, price_e8)


def _sides(order: Order) -> tuple[Order, str, int, int]:
    return order, order.status, order.cum_quantity_e8, order.leaves_e8


def _decrement(market: "Market", order: Order, quantity_e8: int) -> None:
    """Makes an order smaller where it is; one with nothing left is canceled."""
    leaves_e8 = order.leaves_e8 - quantity_e8
    if not leaves_e8:
        market.end(order, "canceled", "MATCHING_SELF_TRADE")
        return
    order.quantity_e8 -= quantity_e8
    if order.level is not None:
        market.side_of(order).show(order, min(order.shown_e8(), leaves_e8), leaves_e8)
    else:
        order.leaves_e8 = leaves_e8
    order.move("replaced")
    market.said.append(order_happening("replaced", order, "MATCHING_SELF_TRADE"))
    market.changed.append(order)


# Pro rata.


def _take_pro_rata(market: "Market", taker: Order, side: BookSide, level: Level) -> None:
    """One round of a level's displayed orders."""
    for maker in level.displayed():
        if taker.leaves_e8:
            kept_apart(market, maker, taker, level.price_e8)
    makers = level.displayed()
    if not makers or not taker.leaves_e8:
        return
    for maker, quantity_e8 in zip(makers, _shares(market, makers, taker.leaves_e8), strict=True):
        # A fill before may have canceled either, see `lists.filled`.
        if quantity_e8 and maker.leaves_e8 and taker.leaves_e8:
            fill(market, side, maker, taker, quantity_e8)
    for maker in makers:
        if maker.leaves_e8 and not shown_left(maker):
            side.refresh(maker, market.next_arrival())


def _shares(market: "Market", makers: list[Order], wanted_e8: int) -> list[int]:
    """What each displayed order of a level gives, by priority."""
    shown = [maker.shown_e8() for maker in makers]
    if wanted_e8 >= sum(shown):
        return shown
    rules = market.rules
    shares = [0] * len(shown)
    first = 0
    if rules.top_order:
        shares[0] = min(shown[0], wanted_e8)
        first = 1
    rest_e8, total_e8 = wanted_e8 - shares[0], sum(shown[first:])
    left_e8 = rest_e8
    for at in range(first, len(shown)):
        share_e8 = rest_e8 * shown[at] // total_e8
        share_e8 -= share_e8 % rules.lot_size
        if share_e8 >= rules.pro_rata_min:
            shares[at] = share_e8
            left_e8 -= share_e8
    for at in range(len(shown)):
        more_e8 = min(left_e8, shown[at] - shares[at])
        shares[at] += more_e8
        left_e8 -= more_e8
    return shares


# Requirements.


def available_e8(market: "Market", taker: Order, wanted_e8: int, worst_e8: int) -> int:
    """How much the book has for a taker up to a price, by priority; may stop counting once it is enough."""
    side = market.against(taker)
    limit_key = side.key_of(worst_e8)
    own = prevention(market, taker)
    rules = market.rules
    collars = bool(rules.static_collar_bps or rules.dynamic_collar_bps)
    last_e8, static_e8 = market.last_e8, market.static_e8
    excluded = _Excluded(market, taker, own) if market.joined else None
    found_e8 = 0
    keys = side.keys
    for at in range(len(keys) - 1, -1, -1):
        if found_e8 >= wanted_e8 or keys[at] < limit_key:
            break
        level = side.levels[keys[at]]
        price_e8 = level.price_e8
        if collars and outside(market, price_e8, last_e8, static_e8):
            break
        before_e8 = found_e8
        if own == "none" and not level.special and excluded is None:
            found_e8 += level.quantity_e8
        else:
            displayed, hidden = level.displayed(), level.hidden()
            if excluded is not None:
                displayed, hidden = excluded.without(displayed), excluded.without(hidden)
            quantity_e8, ends = _available_at(market, displayed, hidden, taker, own)
            found_e8 += quantity_e8
            if ends or (excluded is not None and excluded.taker_ends):
                break
        if found_e8 > before_e8:
            last_e8, static_e8 = price_e8, static_e8 or price_e8
    return found_e8


class _Excluded:
    """Makers that a taker does not find any more, because a fill before canceled them: with lists only.

    Of an exclusive list the first by priority counts. Under pro rata none of them does, since who trades
    first is not known beforehand; a taker that excludes others finds nothing there.
    """

    __slots__ = ("gone", "of_taker", "own", "pro_rata", "taker", "taker_ends")

    def __init__(self, market: "Market", taker: Order, own: str) -> None:
        self.taker: Order = taker
        self.own: str = own
        self.pro_rata: bool = market.rules.allocation == "pro_rata"
        self.gone: list[OrderList] = []
        self.of_taker: OrderList | None = lists.exclusive_list(taker)
        # It meets an order of its own list, and is canceled.
        self.taker_ends: bool = False

    def without(self, makers: list[Order]) -> list[Order]:
        """Those of the next makers by priority that are found."""
        found: list[Order] = []
        for maker in makers:
            exclusive = lists.exclusive_list(maker)
            if self.taker_ends or (exclusive is not None and exclusive in self.gone):
                continue
            if exclusive is not None and exclusive is self.of_taker:
                self.taker_ends = True
                continue
            if self.own != "none" and same_owner(maker, self.taker):
                # It does not trade, so it cancels nobody.
                found.append(maker)
                continue
            if self.pro_rata and (exclusive is not None or self.of_taker is not None):
                continue
            found.append(maker)
            if exclusive is not None:
                self.gone.append(exclusive)
            if self.of_taker is not None and self.of_taker not in self.gone:
                self.gone.append(self.of_taker)
        return found


def _available_at(
    market: "Market", displayed: list[Order], hidden: list[Order], taker: Order, own: str
) -> tuple[int, bool]:
    """What the makers of one level have, and whether an own order ends the walk among them."""
    found_e8 = 0
    if own not in ("none", "cancel_oldest"):
        for at, maker in enumerate(displayed):
            if same_owner(maker, taker):
                if market.rules.allocation == "pro_rata":
                    return 0, True
                return sum([before.shown_e8() for before in displayed[:at]]), True
    for maker in displayed + hidden:
        if own != "none" and same_owner(maker, taker):
            if own != "cancel_oldest":
                return found_e8, True
        else:
            found_e8 += maker.leaves_e8
    return found_e8, False


def offer(market: "Market", taker: Order) -> None:
    """Offers what the book left of a taker to contingent orders of the other side."""
    extra = taker.extra
    if not market.contingent or (extra is not None and extra.post_only):
        return
    worst_e8, sign = market.worst_e8(taker), taker.sign
    found: list[tuple[int, int]] = []
    for entry, order in market.contingent.items():
        price_e8 = order.price_e8
        if order.sign != sign and order.kind == LIMIT and price_e8 * sign <= worst_e8 * sign:
            found.append((price_e8 * sign, entry))
    for _, entry in sorted(found):
        maker = market.contingent.get(entry)
        if not taker.leaves_e8:
            return
        if maker is not None and maker.needs_e8() <= taker.leaves_e8:
            if outside(market, maker.price_e8, market.last_e8, market.static_e8):
                market.collared = True
                return
            if not kept_apart(market, maker, taker, maker.price_e8):
                _trade_contingent(market, maker, taker)


def _trade_contingent(market: "Market", maker: Order, taker: Order) -> None:
    quantity_e8 = min(maker.leaves_e8, taker.leaves_e8)
    maker.leaves_e8 -= quantity_e8
    taker.leaves_e8 -= quantity_e8
    if not maker.leaves_e8:
        market.take_out(maker)
    record(market, maker, taker, maker.price_e8, quantity_e8, taker.side)
    if maker.leaves_e8 and not maker.needs_e8():
        market.take_out(maker)
        market.actions.append(Action(ENTER, maker, None))


__all__ = ["CONTINGENT", "available_e8", "fill", "offer", "outside", "prevented", "record", "take"]
