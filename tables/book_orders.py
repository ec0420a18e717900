"""Orders of the pipeline: made from their ClearedOrder, and what is said of them to everyone and to accounts.

A happening of the engine has an order with its state at that moment; here it becomes an OrderEvent for
everyone and, where it changes what the account has reserved, an Execution.
"""

from collections.abc import Mapping
from sys import intern
from typing import Any

from schemas.messages import ExecutionType, OrderEventType
from schemas.numbers import average_price_e8, format_e8
from schemas.records import Said
from tables.engine.checks import Asked
from tables.engine.orders import LIMIT, PLAIN_FORCES, Happening, Instructions, Order, order_happening, used
from tables.engine.rows import instructions_of, instructions_row
from tables.instructions import MARKET_LIKE

Message = Mapping[str, Any]

# Their limit price is a protection, which is between the account and matching.
_PROTECTED = frozenset(("market", "stop", "trailing_stop", "market_if_touched"))


def order_of(message: Message, symbol: str) -> Order:
    """A new order from its ClearedOrder; `symbol` is the market's own text of it."""
    order = Order(
        symbol,
        message["order_id"],
        # Many orders share these words; each record brought its own copy.
        intern(message["account"]),
        message["client_order_id"],
        message["side"],
        message["order_type"],
        message["time_in_force"],
        message["quantity"],
        message["limit_price"],
    )
    order.entered_by = intern(message["entered_by"])
    order.door = message["door"]
    instructions = message.get("instructions")
    if instructions is not None:
        order.extra = instructions_of(instructions)
    elif order.order_type not in ("limit", "market") or order.time_in_force not in PLAIN_FORCES:
        order.extra = Instructions()
    return order


def asked_of(message: Message) -> Asked:
    """What a ClearedReplace asks for; quantity and price of 0 stay."""
    asked = Asked()
    asked.client_order_id = message["request_id"]
    asked.quantity_e8 = message["quantity"] or None
    if message.get("order_type") in MARKET_LIKE:
        asked.protection_e8 = message["limit_price"]
    else:
        asked.limit_price_e8 = message["limit_price"] or None
    changes = message.get("changes")
    if changes is not None:
        asked.stop_price_e8 = changes["stop_price"]
        asked.display_e8 = changes["display_quantity"]
        asked.time_in_force = changes["time_in_force"]
        asked.expire_at_us = changes["expire_at_us"]
    return asked


def event(happening: Happening, request_offset: int, request_id: str, at_us: int) -> Said:
    """The OrderEvent of an order's happening."""
    name, order, status, version, quantity_e8, limit_e8, cum_e8, leaves_e8, notional_e16, reason, text = (
        happening
    )
    if reason == "MATCHING_NO_LIQUIDITY":
        text = f"limit={format_e8(limit_e8)} left={format_e8(quantity_e8 - cum_e8)}"
    if order.order_type != "limit" and not _shows_limit(name, order):
        limit_e8 = 0
    message = {
        "event": name,
        "status": status,
        "account": order.account,
        "client_order_id": order.client_order_id,
        "order_id": order.order_id,
        "symbol": order.symbol,
        "side": order.side,
        "order_type": order.order_type,
        "time_in_force": order.time_in_force,
        "version": version,
        "quantity": quantity_e8,
        "limit_price": limit_e8,
        "cum_quantity": cum_e8,
        "leaves_quantity": leaves_e8,
        "average_price": average_price_e8(notional_e16, cum_e8) if cum_e8 else 0,
        "last_quantity": 0,
        "last_price": 0,
        "trade_id": "",
        "reason": reason,
        "text": text,
        "request_offset": request_offset,
        "request_id": request_id,
        "entered_by": order.entered_by,
        "door": order.door,
        "at_us": at_us,
    }
    if order.extra is not None:
        message["instructions"] = said_instructions(order.extra)
    return "OrderEvent", message


def fill_event(
    order: Order,
    status: str,
    version: int,
    quantity_e8: int,
    limit_e8: int,
    cum_e8: int,
    leaves_e8: int,
    notional_e16: int,
    request_offset: int,
    trade: Message,
) -> Said:
    """The OrderEvent of one order of a Trade, in its state after it."""
    if order.order_type != "limit" and not _shows_limit("trade", order):
        limit_e8 = 0
    message = {
        "event": "trade",
        "status": status,
        "account": order.account,
        "client_order_id": order.client_order_id,
        "order_id": order.order_id,
        "symbol": order.symbol,
        "side": order.side,
        "order_type": order.order_type,
        "time_in_force": order.time_in_force,
        "version": version,
        "quantity": quantity_e8,
        "limit_price": limit_e8,
        "cum_quantity": cum_e8,
        "leaves_quantity": leaves_e8,
        "average_price": average_price_e8(notional_e16, cum_e8),
        "last_quantity": trade["quantity"],
        "last_price": trade["price"],
        "trade_id": trade["trade_id"],
        "reason": "NONE",
        "text": "",
        "request_offset": request_offset,
        "request_id": "",
        "entered_by": order.entered_by,
        "door": order.door,
        "at_us": trade["at_us"],
    }
    if order.extra is not None:
        message["instructions"] = said_instructions(order.extra)
    return "OrderEvent", message


def _shows_limit(name: str, order: Order) -> bool:
    """Whether a limit price is the client's own, not the protection of an order without one."""
    if order.order_type == "market_to_limit":
        return order.kind == LIMIT and name != "accepted"
    return order.order_type not in _PROTECTED


def said_instructions(extra: Instructions) -> dict[str, Any] | None:
    """Instructions as they are said; None where none are used."""
    return instructions_row(extra) if used(extra) else None


def order_state(name: OrderEventType, order: Order, request_offset: int, at_us: int) -> Said:
    """An OrderEvent of an order as it is now."""
    return event(order_happening(name, order), request_offset, "", at_us)


def execution(
    execution_type: str,
    order: Order,
    version: int,
    quantity_e8: int,
    limit_e8: int,
    leaves_e8: int,
    request_offset: int,
    reason: str,
    request_id: str,
    last_quantity_e8: int,
    last_price_e8: int,
) -> Said:
    """An Execution for an order's account, with the order in the state given."""
    return "Execution", {
        "account": order.account,
        "client_order_id": order.entry_id or order.client_order_id,
        "execution_type": execution_type,
        "last_quantity": last_quantity_e8,
        "last_price": last_price_e8,
        "leaves_quantity": leaves_e8,
        "quantity": quantity_e8,
        "limit_price": limit_e8,
        "request_id": request_id,
        "reason": reason,
        "version": version,
        "request_offset": request_offset,
        "text": "",
    }


def with_terms(said: Said, order: Order) -> Said:
    """What is said, with the terms that the order has now where it is the Execution of its replace."""
    kind, message = said
    if kind != "Execution" or message["execution_type"] != "replaced" or message["reason"] != "NONE":
        return said
    instructions = None if order.extra is None else said_instructions(order.extra)
    terms = {"instructions": instructions, "time_in_force": order.time_in_force}
    return kind, {**message, "terms": terms}


def unknown_event(name: str, message: Message, at_us: int) -> Said:
    """The refusal of a cancel or replace of an order that is not live.

    Its status is rejected, as FIX 4.3 D7a has it for an unknown order; version 0 says that it is no
    state of the order, which may have ended while the request was on its way.
    """
    return "OrderEvent", {
        "event": name,
        "status": "rejected",
        "account": message["account"],
        "client_order_id": message["client_order_id"],
        "order_id": message["order_id"],
        "symbol": message["symbol"],
        "side": "unknown",
        "order_type": "unknown",
        "time_in_force": "unknown",
        "version": 0,
        "quantity": 0,
        "limit_price": 0,
        "cum_quantity": 0,
        "leaves_quantity": 0,
        "average_price": 0,
        "last_quantity": 0,
        "last_price": 0,
        "trade_id": "",
        "reason": "MATCHING_UNKNOWN_ORDER",
        "text": f"order_id={message['order_id']}",
        "request_offset": message["request_offset"],
        "request_id": message["request_id"],
        "entered_by": "",
        "door": "unknown",
        "at_us": at_us,
    }


def unknown_execution(execution_type: ExecutionType, message: Message) -> Said:
    """Tells an account that an order it named is not live."""
    return "Execution", {
        "account": message["account"],
        "client_order_id": message["client_order_id"],
        "execution_type": execution_type,
        "last_quantity": 0,
        "last_price": 0,
        "leaves_quantity": 0,
        "quantity": 0,
        "limit_price": 0,
        "request_id": "",
        "reason": "MATCHING_UNKNOWN_ORDER",
        "version": 0,
        "request_offset": message["request_offset"],
        "text": "",
    }
