"""Replace: what may be changed, what keeps the place, and what becomes of the order."""

from typing import TYPE_CHECKING, Final

from tables.engine import checks, entering, lists, pegs, triggers
from tables.engine.checks import Asked
from tables.engine.orders import (
    BOOK,
    CALLS,
    CONTINGENT,
    LIMIT,
    MARKET,
    PEGGED,
    TO_LIMIT,
    TRIGGER,
    TRIGGERS,
    Happening,
    Instructions,
    Order,
    order_happening,
)

if TYPE_CHECKING:
    from tables.engine.market import Market

LASTING: Final = ("day", "gtc", "gtd")


def replace(market: "Market", order: Order | None, asked: Asked, at_us: int) -> list[Happening]:
    """Replaces fields of a live order of a market in which anything may be, or refuses to."""
    market.begin(at_us)
    if order is None or not order.leaves_e8:
        market.said.append(("unknown", "replace_rejected"))
        return market.refused()
    reason = _refusal(market, order, asked, at_us)
    if reason:
        market.said.append(order_happening("replace_rejected", order, reason))
        return market.refused()
    _apply(market, order, asked)
    lists.work_off(market)
    return market.finish()


def _refusal(market: "Market", order: Order, asked: Asked, at_us: int) -> str:
    reason = checks.session_refusal(market.session, "")
    if reason:
        return reason
    if changes_nothing(order, asked):
        return "MATCHING_NOTHING_TO_REPLACE"
    if not _replaceable(market, order, asked):
        return "MATCHING_NOT_REPLACEABLE"
    if asked.alias and asked.alias in market.live and asked.client_order_id != order.client_order_id:
        return "MATCHING_DUPLICATE_ORDER"
    quantity_e8, rules = asked.quantity_e8, market.rules
    if quantity_e8 is not None:
        if quantity_e8 <= 0 or (quantity_e8 % rules.lot_size and not rules.odd_lots):
            return "MATCHING_INVALID_QUANTITY"
        if quantity_e8 > lists.most_e8(order):
            return "MATCHING_INVALID_QUANTITY"
        if quantity_e8 <= order.cum_quantity_e8:
            return ""
    limit_e8, stop_e8 = asked.limit_price_e8, asked.stop_price_e8
    if limit_e8 is not None and not checks.valid_price(limit_e8, rules):
        return "MATCHING_INVALID_PRICE"
    if stop_e8 is not None and stop_e8 <= 0:
        return "MATCHING_INVALID_PRICE"
    if _invalid(order, asked, market, at_us):
        return "MATCHING_INVALID_INSTRUCTION"
    if limit_e8 is not None and order.kind == LIMIT and market.refuses(order, limit_e8):
        return "MATCHING_PRICE_BAND"
    if limit_e8 is not None and _may_not_trade(market, order, limit_e8):
        return "MATCHING_POST_ONLY"
    return ""


def changes_nothing(order: Order, asked: Asked) -> bool:
    """Whether an order is as a replace would have it."""
    extra = order.extra
    display_e8 = stop_e8 = expire_at_us = 0
    if extra is not None:
        display_e8, stop_e8, expire_at_us = extra.display_e8, extra.stop_e8, extra.expire_at_us
    return not (
        (asked.client_order_id and asked.client_order_id != order.client_order_id)
        or _differs(asked.quantity_e8, order.quantity_e8)
        or _moves(asked.limit_price_e8, order.limit_price_e8)
        or _moves(asked.stop_price_e8, stop_e8)
        or _differs(asked.display_e8, display_e8)
        or _differs(asked.expire_at_us, expire_at_us)
        or (asked.time_in_force is not None and asked.time_in_force != order.time_in_force)
    )


def _differs(asked: int | None, present: int) -> bool:
    return asked is not None and asked != present


def _moves(asked: int | None, present: int) -> bool:
    """Whether a price differs; 0 is none for the order, and a wrong price for who asks."""
    return asked is not None and (asked != present or not asked)


def _replaceable(market: "Market", order: Order, asked: Asked) -> bool:
    """Whether the order has what is to be changed; what is as asked for already does not count."""
    extra = order.extra
    display_e8 = 0 if extra is None else extra.display_e8
    stop_e8 = 0 if extra is None else extra.stop_e8
    if not order.price_e8 and extra is not None and extra.place == BOOK:
        return False
    if order.order_type == "market" and market.session in CALLS:
        return False
    if _moves(asked.limit_price_e8, order.limit_price_e8) and (
        order.order_type in checks.MARKET_LIKE or order.kind in (MARKET, TO_LIMIT)
    ):
        return False
    if _moves(asked.stop_price_e8, stop_e8) and order.kind != TRIGGER:
        return False
    if _differs(asked.display_e8, display_e8) and (
        order.order_type not in ("limit", "stop_limit") or (extra is not None and extra.hidden)
    ):
        return False
    force = asked.time_in_force
    if force is None or force == order.time_in_force:
        return True
    return force in LASTING and order.time_in_force in LASTING


def _invalid(order: Order, asked: Asked, market: "Market", at_us: int) -> bool:
    extra = order.extra
    quantity_e8 = order.quantity_e8 if asked.quantity_e8 is None else asked.quantity_e8
    display_e8 = asked.display_e8
    if extra is not None:
        display_e8 = extra.display_e8 if display_e8 is None else display_e8
        if extra.min_quantity_e8 > quantity_e8:
            return True
        if display_e8 and (extra.all_or_none or extra.min_quantity_e8):
            return True
    if display_e8 and (
        order.time_in_force in ("ioc", "fok") or checks.invalid_part(display_e8, quantity_e8, market.rules)
    ):
        return True
    force = asked.time_in_force or order.time_in_force
    if force == "gtd" and order.order_type == "market":
        return True
    expire_at_us = asked.expire_at_us
    if expire_at_us is None:
        present_us = 0 if extra is None else extra.expire_at_us
        return force == "gtd" and not present_us
    return expire_at_us <= at_us if force == "gtd" else expire_at_us != 0


def _may_not_trade(market: "Market", order: Order, limit_e8: int) -> bool:
    """Whether a post-only order in the book would trade at another limit."""
    extra = order.extra
    if extra is None or not extra.post_only or extra.place != BOOK or market.session != "continuous":
        return False
    return entering.would_trade(market, order, limit_e8)


def _apply(market: "Market", order: Order, asked: Asked) -> None:
    """Changes the order, tells of it, and has it lose its place if it must."""
    quantity_e8 = order.quantity_e8 if asked.quantity_e8 is None else asked.quantity_e8
    quantity_e8 = max(quantity_e8, order.cum_quantity_e8)
    leaves_e8 = quantity_e8 - order.cum_quantity_e8
    limit_e8 = order.limit_price_e8 if asked.limit_price_e8 is None else asked.limit_price_e8
    limit_e8 = asked.protection_e8 or limit_e8
    extra = _extra_for(order, asked)
    place = BOOK if extra is None else extra.place
    if asked.client_order_id and asked.client_order_id != order.client_order_id:
        order.rename(asked.client_order_id)
        if extra is not None and asked.alias:
            extra.aliases = [*(extra.aliases or []), asked.alias]
            market.live[asked.alias] = order
    if not leaves_e8:
        market.take_out(order)
        _tell(market, order, quantity_e8, order.limit_price_e8, 0)
        market.drop(order)
        lists.changed(market, order)
        return
    kept = _keeps_place(order, asked, limit_e8, leaves_e8)
    if order.kind == PEGGED:
        market.pegged_by = pegs.NOTHING
    if place == BOOK and not kept:
        market.take_out(order)
    _change_extra(market, order, extra, asked)
    if place == BOOK and kept:
        shown_e8 = 0
        if extra is not None and extra.display_e8:
            shown_e8 = min(order.shown_e8(), extra.display_e8, leaves_e8)
        market.side_of(order).show(order, shown_e8, leaves_e8)
    _tell(market, order, quantity_e8, limit_e8, leaves_e8)
    if place == BOOK and not kept:
        # A peg comes back where it stood, or at a limit that is stricter, and moves when all pegs do.
        if order.kind == PEGGED:
            if _beyond(order, limit_e8):
                order.price_e8 = market.rules.down(limit_e8) if order.sign > 0 else market.rules.up(limit_e8)
            market.rest(order)
        else:
            entering.enter(market, order)
    elif place == TRIGGERS:
        triggers.ask_last(market, order)


def _extra_for(order: Order, asked: Asked) -> Instructions | None:
    """The order's instructions, made where it gets its first."""
    if order.extra is None and (asked.display_e8 or asked.time_in_force == "gtd" or asked.alias):
        order.extra = Instructions()
        order.extra.place = BOOK
    return order.extra


def _beyond(peg: Order, limit_e8: int) -> bool:
    """Whether a peg stands where a limit, 0 for none, does not let it."""
    return limit_e8 > 0 and peg.price_e8 * peg.sign > limit_e8 * peg.sign


def _keeps_place(order: Order, asked: Asked, limit_e8: int, leaves_e8: int) -> bool:
    if leaves_e8 > order.leaves_e8:
        return False
    if _beyond(order, limit_e8) if order.kind == PEGGED else limit_e8 != order.limit_price_e8:
        return False
    if asked.display_e8 is None:
        return True
    present_e8 = 0 if order.extra is None else order.extra.display_e8
    return not present_e8 or 0 < asked.display_e8 <= present_e8


def _change_extra(market: "Market", order: Order, extra: Instructions | None, asked: Asked) -> None:
    if asked.time_in_force is not None:
        order.time_in_force = asked.time_in_force
    if extra is None:
        return
    if asked.stop_price_e8 is not None:
        extra.stop_price_e8 = extra.stop_e8 = asked.stop_price_e8
    if asked.display_e8 is not None and asked.display_e8 != extra.display_e8:
        _change_display(order, extra, asked.display_e8)
    if asked.expire_at_us is not None:
        extra.expire_at_us = asked.expire_at_us
    if order.time_in_force != "gtd":
        extra.expire_at_us = 0
    market.set_expiry(order)


def _change_display(order: Order, extra: Instructions, display_e8: int) -> None:
    """Shows more or less of an order at a time; what a level counts of it stays right."""
    level = order.level
    if level is not None and bool(extra.display_e8) != bool(display_e8):
        level.special += 1 if display_e8 else -1
        extra.shown_e8 = order.leaves_e8
    extra.display_e8 = display_e8


def _tell(market: "Market", order: Order, quantity_e8: int, limit_e8: int, leaves_e8: int) -> None:
    order.quantity_e8, order.leaves_e8 = quantity_e8, leaves_e8
    if order.kind == LIMIT:
        order.price_e8 = limit_e8
    order.limit_price_e8 = limit_e8
    order.move("replaced" if leaves_e8 else "closed")
    market.said.append(order_happening("replaced", order))
    market.changed.append(order)


__all__ = ["CONTINGENT", "replace"]
