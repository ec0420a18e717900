"""What risk says when it refuses: the event for everyone, the execution that frees the reservation."""

from collections.abc import Mapping
from typing import Any

from schemas.records import Said
from tables.controls import Refusal
from tables.instructions import MARKET_LIKE

Message = Mapping[str, Any]


def rejected(order: Message, refusal: Refusal, at_us: int) -> list[Said]:
    """The end of an order that matching never sees; `order` is its ClearedOrder."""
    event = {
        "event": "rejected",
        "status": "rejected",
        "account": order["account"],
        "client_order_id": order["client_order_id"],
        "order_id": order["order_id"],
        "symbol": order["symbol"],
        "side": order["side"],
        "order_type": order["order_type"],
        "time_in_force": order["time_in_force"],
        "version": 1,
        "quantity": order["quantity"],
        "limit_price": 0 if order["order_type"] in MARKET_LIKE else order["limit_price"],
        "cum_quantity": 0,
        "leaves_quantity": 0,
        "average_price": 0,
        "last_quantity": 0,
        "last_price": 0,
        "trade_id": "",
        "reason": refusal.reason,
        "text": refusal.text,
        "request_offset": order["request_offset"],
        "request_id": "",
        "entered_by": order["entered_by"],
        "door": order["door"],
        "at_us": at_us,
        "instructions": order.get("instructions"),
    }
    execution = _execution("rejected", order, refusal, order["quantity"], order["limit_price"], 0, 1)
    return [("OrderEvent", event), execution]


def replace_rejected(replace: Message, refusal: Refusal, at_us: int) -> list[Said]:
    """The refusal of a replace; `replace` is its ClearedReplace.

    The order's state is what its account knew when it asked: a fill since then has a higher version.
    """
    quantity_e8, cum_e8 = replace["current_quantity"], replace["cum_quantity"]
    event = {
        "event": "replace_rejected",
        "status": replace["status"],
        "account": replace["account"],
        "client_order_id": replace["latest_id"],
        "order_id": replace["order_id"],
        "symbol": replace["symbol"],
        "side": replace["side"],
        "order_type": replace["order_type"],
        "time_in_force": replace["time_in_force"],
        "version": replace["version"],
        "quantity": quantity_e8,
        "limit_price": 0 if replace["order_type"] in MARKET_LIKE else replace["current_limit_price"],
        "cum_quantity": cum_e8,
        "leaves_quantity": quantity_e8 - cum_e8,
        "average_price": replace["average_price"],
        "last_quantity": 0,
        "last_price": 0,
        "trade_id": "",
        "reason": refusal.reason,
        "text": refusal.text,
        "request_offset": replace["request_offset"],
        "request_id": replace["request_id"],
        "entered_by": replace["entered_by"],
        "door": replace["door"],
        "at_us": at_us,
        "instructions": replace.get("instructions"),
    }
    execution = _execution(
        "replace_rejected",
        replace,
        refusal,
        quantity_e8,
        replace["current_limit_price"],
        quantity_e8 - cum_e8,
        replace["version"],
    )
    return [("OrderEvent", event), execution]


def _execution(
    execution_type: str,
    request: Message,
    refusal: Refusal,
    quantity_e8: int,
    limit_price_e8: int,
    leaves_e8: int,
    version: int,
) -> Said:
    return "Execution", {
        "account": request["account"],
        "client_order_id": request["client_order_id"],
        "execution_type": execution_type,
        "last_quantity": 0,
        "last_price": 0,
        "leaves_quantity": leaves_e8,
        "quantity": quantity_e8,
        "limit_price": limit_price_e8,
        "request_id": request.get("request_id", ""),
        "reason": refusal.reason,
        "version": version,
        "request_offset": request["request_offset"],
        "text": refusal.text,
    }
