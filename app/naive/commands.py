"""Commands of one market: new, replace, cancel, mass cancel, quote, control."""

from collections.abc import Callable, Mapping
from copy import copy
from math import inf
from typing import Any

from app.naive import rules as checks
from app.naive.lists import OrderList
from app.naive.market import Market
from app.naive.order import (
    CALLS,
    CLOSED,
    CONTINUOUS,
    HALT,
    MARKET_LIKE,
    TRIGGERS,
    Order,
    order_of,
    unknown,
)
from app.naive.rules import rounded
from app.naive.sessions import change_session, takes, uncross_and_stay, waits
from app.naive.steps import activate, work_off
from app.naive.trading import enter, would_trade, yields

Command = Mapping[str, Any]
_SHUT = {HALT: "MATCHING_HALTED", CLOSED: "MATCHING_CLOSED"}
_LASTING = ("day", "gtc", "gtd")


# New orders.


def new_order(market: Market, command: Command, at_us: int) -> None:
    """Accepts or rejects."""
    order = order_of(command)
    reason = _refusal(market, order, at_us)
    if reason:
        reject(market, order, reason)
        return
    market.accept(order)
    linked = market.list_of(order)
    if linked and linked.holds() and not linked.is_parent(order):
        market.put(order, "held")
    else:
        activate(market, order)


def reject(market: Market, order: Order, reason: str) -> None:
    """Says that an order was refused, with what it asked for."""
    order.ended = "rejected"
    market.say("rejected", order, reason)
    refuse_children(market, order)


def refuse_children(market: Market, order: Order) -> None:
    """Where an order was refused for which others were to wait, they are refused as well."""
    if order.link_type in ("oto", "bracket") and order.link_id and not order.parent:
        over = OrderList(order.link_type, over=True, parent=order.name)
        market.lists.setdefault((order.account, order.link_id), over)


def _refusal(market: Market, order: Order, at_us: int) -> str:
    """The first reason not to accept; "": none."""
    if (order.account, order.client_order_id) in market.ids:
        return "MATCHING_DUPLICATE_ORDER"
    if market.session in _SHUT:
        return _SHUT[market.session]
    if not takes(order, market.session):
        return "MATCHING_TIME_IN_FORCE"
    if checks.quantity_is_wrong(market.rules, order):
        return "MATCHING_INVALID_QUANTITY"
    wrong = _wrong_values(market, order, at_us) or _wrong_list(market, order)
    return wrong or _wrong_post_only(market, order)


def _wrong_values(market: Market, order: Order, at_us: int) -> str:
    """Checks 4 to 6, which replaced orders must pass, too."""
    if checks.price_is_wrong(market.rules, order, market.on_tick):
        return "MATCHING_INVALID_PRICE"
    if checks.instruction_is_wrong(market.rules, order, at_us):
        return "MATCHING_INVALID_INSTRUCTION"
    waits_for_trigger = order.order_type == "stop_limit" and not order.triggered
    return "MATCHING_PRICE_BAND" if market.refuses(order) and not waits_for_trigger else ""


def _wrong_list(market: Market, order: Order) -> str:
    linked = market.list_of(order)
    if linked and linked.type != order.link_type:
        return "MATCHING_LINK"
    if order.parent and (linked is None or linked.parent != order.parent):
        return "MATCHING_LINK_ENDED"
    return "MATCHING_LINK_ENDED" if linked and linked.over else ""


def _wrong_post_only(market: Market, order: Order) -> str:
    """Also reprices an order that may be."""
    linked = market.list_of(order)
    if not order.post_only or market.session != CONTINUOUS or (linked and linked.holds()):
        return ""
    if waits(order, market.session) or yields(market, order):
        return ""
    return "MATCHING_POST_ONLY"


# Cancels.


def cancel_order(market: Market, command: Command, at_us: int) -> None:
    """Cancels a live order."""
    order = _meant(market, command)
    if order is None:
        market.happenings.append(unknown("cancel_rejected", command))
    else:
        market.cancel(order, "MATCHING_CANCELED_BY_REQUEST")


def _meant(market: Market, command: Command) -> Order | None:
    order = market.ids.get((command["account"], command["order"]))
    return order if order and order.symbol == market.symbol else None


def mass_cancel(market: Market, command: Command, at_us: int) -> None:
    """Cancels all that the command names."""
    for order in market.live():
        if command.get("account") in (None, order.account) and command.get("side") in (None, order.side):
            market.cancel(order, "MATCHING_MASS_CANCELED")


# Replaces.

# The fields that may change, and their names in an order.
_REPLACEABLE = (
    "client_order_id",
    "quantity",
    "limit_price",
    "stop_price",
    "display_quantity",
    "time_in_force",
    "expire_at_us",
)


def replace_order(market: Market, command: Command, at_us: int) -> None:
    """Changes a live order, or refuses to."""
    order = _meant(market, command)
    if order is None:
        market.happenings.append(unknown("replace_rejected", command))
        return
    changes = {name: command[name] for name in _REPLACEABLE if command.get(name) is not None}
    changes = {name: value for name, value in changes.items() if value != getattr(order, name)}
    wanted = copy(order)
    for name, value in changes.items():
        setattr(wanted, name, value)
    if command.get("protection"):
        # Of an order without a limit: its account moves that with the stop.
        wanted.limit_price = command["protection"]
    if wanted.time_in_force != "gtd" and "expire_at_us" not in changes:
        wanted.expire_at_us = 0
    reason = _replace_refusal(market, order, wanted, changes, at_us)
    if reason:
        market.say("replace_rejected", order, reason)
    else:
        _replace(market, order, wanted)


def _replace_refusal(
    market: Market, order: Order, wanted: Order, changes: Mapping[str, Any], at_us: int
) -> str:
    if market.session in _SHUT:
        return _SHUT[market.session]
    if not changes:
        return "MATCHING_NOTHING_TO_REPLACE"
    if not _replaceable(market, order, changes):
        return "MATCHING_NOT_REPLACEABLE"
    if "client_order_id" in changes and (order.account, wanted.client_order_id) in market.ids:
        return "MATCHING_DUPLICATE_ORDER"
    if "quantity" in changes and checks.quantity_is_wrong(market.rules, wanted):
        return "MATCHING_INVALID_QUANTITY"
    if "quantity" in changes and market.too_large(order, wanted.quantity):
        return "MATCHING_INVALID_QUANTITY"
    if wanted.quantity <= order.cum:
        return ""
    return _wrong_values(market, wanted, at_us) or _replaced_would_trade(market, order, wanted)


def _replaceable(market: Market, order: Order, changes: Mapping[str, Any]) -> bool:
    unpriced = order.order_type in MARKET_LIKE or (
        order.order_type == "market_to_limit" and not order.converted
    )
    if market.session in CALLS and (order.order_type == "market" or (order.place == "book" and unpriced)):
        return False
    forces = (order.time_in_force, changes.get("time_in_force", "day"))
    can: dict[str, bool] = {
        "limit_price": not unpriced,
        "stop_price": order.order_type in TRIGGERS and not order.triggered,
        "display_quantity": order.order_type in ("limit", "stop_limit") and not order.hidden,
        "time_in_force": all(force in _LASTING for force in forces),
    }
    return all(can.get(name, True) for name in changes)


def _replaced_would_trade(market: Market, order: Order, wanted: Order) -> str:
    moves = order.place == "book" and wanted.limit_price != order.limit_price
    if order.post_only and moves and market.session == CONTINUOUS and would_trade(market, wanted):
        return "MATCHING_POST_ONLY"
    return ""


def _replace(market: Market, order: Order, wanted: Order) -> None:
    """Makes the order what is wanted, where it is or with loss of its priority."""
    if wanted.client_order_id != order.client_order_id:
        order.client_order_id = wanted.client_order_id
        order.ids.append(order.client_order_id)
        market.ids[order.account, order.client_order_id] = order
    if wanted.quantity <= order.cum:
        order.quantity = order.cum
        market.end(order, "filled")
        market.say("replaced", order)
        market.cause(order)
        return
    kept = _keeps_place(order, wanted)
    for name in _REPLACEABLE:
        setattr(order, name, getattr(wanted, name))
    market.time(order)
    market.say("replaced", order)
    if order.place != "book":
        market.fresh += [order] if order.place == "triggers" else []
    elif kept:
        order.shown = min(order.shown, order.display_quantity or order.leaves, order.leaves)
    else:
        market.remove(order)
        if order.order_type == "pegged":
            if _beyond(order, order.limit_price):
                order.price = rounded(market.rules, order.limit_price or 0, order.side)
            market.rest(order)
        else:
            enter(market, order)


def _beyond(peg: Order, limit: int | None) -> bool:
    """Whether a peg stands where a limit does not let it."""
    return peg.price is not None and not peg.within(peg.price, limit)


def _keeps_place(order: Order, wanted: Order) -> bool:
    """Whether a replace of an order in the book leaves it where it is."""
    if order.order_type == "pegged":
        same_price = not _beyond(order, wanted.limit_price)
    else:
        same_price = wanted.limit_price == order.limit_price
    # None is the largest, also where the order was shown whole.
    display, wanted_display = (one.display_quantity or inf for one in (order, wanted))
    return same_price and wanted.quantity <= order.quantity and wanted_display <= display


# Quotes and controls.


def quote(market: Market, command: Command, at_us: int) -> None:
    """Takes the quote of another market as reference."""
    bid, ask, last = (command.get(name) or None for name in ("bid", "ask", "last"))
    market.quote = {"buy": bid, "sell": ask}
    if last is not None:
        market.last = last
    if market.session == CONTINUOUS:
        market.looks.append({"buy": last or ask, "sell": last or bid})


def control(market: Market, command: Command, at_us: int) -> None:
    """What an operator or the calendar does."""
    action = command["action"]
    if action == "uncross":
        uncross_and_stay(market)
    elif action == "band":
        _set_band(market, command.get("low") or 0, command.get("high") or 0)
    elif action == "expire_day":
        _expire_day(market)
    else:
        change_session(market, action)


def _set_band(market: Market, low: int, high: int) -> None:
    market.low, market.high = low, high
    for order in market.live():
        waits_for_trigger = order.order_type == "stop_limit" and not order.triggered
        if not market.refuses(order) or waits_for_trigger:
            continue
        if order.order_type == "pegged":
            market.remove(order)
            order.price = None
            market.put(order, "parked")
        else:
            market.cancel(order, "MATCHING_PRICE_BAND")


def _expire_day(market: Market) -> None:
    for order in market.live():
        if order.time_in_force == "day":
            market.expire(order, "MATCHING_END_OF_DAY")
    work_off(market)
    market.lists = {key: linked for key, linked in market.lists.items() if linked.live()}


COMMANDS: dict[str, Callable[[Market, Command, int], None]] = {
    "new_order": new_order,
    "cancel_order": cancel_order,
    "replace_order": replace_order,
    "mass_cancel": mass_cancel,
    "quote": quote,
    "control": control,
}
