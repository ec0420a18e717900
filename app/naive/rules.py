"""An instrument's rules, and the checks of new orders: the first that fails is the reason."""

from collections.abc import Iterator, Sequence
from typing import Protocol

from app.naive.order import AT_ONCE, TRIGGERS, Order

_100_PERCENT = 100 * 10**8
_AUCTION_ONLY = ("at_open", "at_close", "auction")


class Rules(Protocol):
    """What must be known of an instrument; all numbers scaled by 10^8 but the basis points."""

    @property
    def ticks(self) -> Sequence[tuple[int, int]]:
        """(from price, tick), ascending."""

    @property
    def lot_size(self) -> int:
        """Quantities are multiples of it."""

    @property
    def odd_lots(self) -> bool:
        """Or need not be."""

    @property
    def min_price(self) -> int:
        """0: none."""

    @property
    def max_price(self) -> int:
        """0: none."""

    @property
    def stp(self) -> str:
        """Self-trade prevention of takers that name none."""

    @property
    def allocation(self) -> str:
        """price_time or pro_rata."""

    @property
    def pro_rata_min(self) -> int:
        """Shares below it are 0."""

    @property
    def top_order(self) -> bool:
        """The first of a level comes before the shares."""

    @property
    def static_collar_bps(self) -> int:
        """0: none."""

    @property
    def dynamic_collar_bps(self) -> int:
        """0: none."""


class AnyRules:
    """The rules of a market of which nothing is known."""

    ticks: Sequence[tuple[int, int]] = ((0, 1),)
    lot_size = 1
    odd_lots = False
    min_price = 0
    max_price = 0
    stp = "none"
    allocation = "price_time"
    pro_rata_min = 0
    top_order = False
    static_collar_bps = 0
    dynamic_collar_bps = 0


def tick_at(rules: Rules, price: int) -> int:
    """The tick of a price."""
    below = [tick for begin, tick in rules.ticks if begin <= price]
    return below[-1] if below else rules.ticks[0][1]


def rounded(rules: Rules, price: int, side: str) -> int:
    """A price on a tick: that of a buy rounded down, of a sell up."""
    tick = tick_at(rules, price)
    return price // tick * tick if side == "buy" else -(-price // tick) * tick


def off_lot(rules: Rules, quantity: int) -> bool:
    """Whether a quantity is no multiple of the lot, and should be."""
    return not rules.odd_lots and quantity % rules.lot_size != 0


def quantity_is_wrong(rules: Rules, order: Order) -> bool:
    """Check 3."""
    return order.quantity <= 0 or off_lot(rules, order.quantity)


def price_is_wrong(rules: Rules, order: Order, on_tick: bool) -> bool:
    """Check 4; without `on_tick`, prices may be between ticks."""
    return _limit_is_wrong(rules, order, on_tick) or _stop_is_wrong(order)


def _limit_is_wrong(rules: Rules, order: Order, on_tick: bool) -> bool:
    price = order.limit_price
    if price is None:
        return order.order_type in ("limit", "stop_limit")
    if price <= 0 or (on_tick and price % tick_at(rules, price)):
        return True
    return price < rules.min_price or (rules.max_price != 0 and price > rules.max_price)


def _stop_is_wrong(order: Order) -> bool:
    if order.stop_price is None:
        return order.order_type in ("stop", "stop_limit", "market_if_touched")
    return order.stop_price <= 0


def instruction_is_wrong(rules: Rules, order: Order, at_us: int) -> bool:
    """Check 5."""
    return any(_wrong_instructions(rules, order, at_us))


def _wrong_instructions(rules: Rules, order: Order, at_us: int) -> Iterator[bool]:
    kind, force = order.order_type, order.time_in_force
    yield from _wrong_trigger(order)
    yield (kind == "pegged") != bool(order.peg)
    yield kind != "pegged" and order.peg_offset != 0
    yield (force == "gtd") != bool(order.expire_at_us)
    yield force == "gtd" and order.expire_at_us <= at_us
    yield order.display_quantity != 0 and _display_is_wrong(rules, order)
    yield order.hidden and (kind not in ("limit", "stop_limit", "pegged") or force in AT_ONCE)
    yield not 0 <= order.min_quantity <= order.quantity
    yield order.all_or_none and order.min_quantity != 0
    yield (order.all_or_none or order.min_quantity != 0) and _requirement_is_wrong(order)
    yield bool(order.post_only) and (kind != "limit" or force in AT_ONCE)
    yield kind == "market" and force == "gtd"
    yield kind == "pegged" and force not in ("day", "gtc", "gtd")
    yield bool(order.link_type) and not order.link_id


def _wrong_trigger(order: Order) -> Iterator[bool]:
    kind = order.order_type
    trails = (order.trail_amount != 0) + (order.trail_percent != 0)
    yield trails != (kind == "trailing_stop")
    yield order.trail_amount < 0 or not 0 <= order.trail_percent < _100_PERCENT
    yield kind not in TRIGGERS and order.stop_price is not None
    yield kind in TRIGGERS and order.time_in_force in _AUCTION_ONLY


def _display_is_wrong(rules: Rules, order: Order) -> bool:
    display = order.display_quantity
    return (
        not 0 < display <= order.quantity
        or off_lot(rules, display)
        or display * 1000 < order.quantity
        or order.order_type not in ("limit", "stop_limit")
        or order.hidden
        or order.time_in_force in AT_ONCE
    )


def _requirement_is_wrong(order: Order) -> bool:
    return (
        bool(order.post_only)
        or order.display_quantity != 0
        or order.time_in_force in (*_AUCTION_ONLY, "fok")
        or order.order_type == "pegged"
    )
