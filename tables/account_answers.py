"""What accounts answer to requests that go no further."""

from collections.abc import Mapping
from typing import Any

from schemas.ids import printable
from schemas.messages import OrderEventType
from schemas.records import Record, Said
from tables.account_orders import AccountOrder
from tables.controls import Refusal
from tables.limits import bounded_e8

Message = Mapping[str, Any]


def unknown_account(message: Message) -> Refusal:
    """The refusal of a request for an account that is not there."""
    return Refusal("ACCOUNTS_UNKNOWN_ACCOUNT", f"account={printable(message['account'])}")


def taken(id: str, known: AccountOrder) -> Refusal:
    """The refusal of an id that an order has or had."""
    text = f"client_order_id={id} order_id={known.order_id} status={known.status}"
    return Refusal("ACCOUNTS_DUPLICATE_ORDER", text)


def repeat(known: AccountOrder, order: AccountOrder, record: Record, at_us: int) -> Said:
    """The answer to a NewOrder whose id is remembered."""
    if order.body != known.body or order.client_order_id != known.client_order_id:
        return orderless("rejected", record, at_us, taken(order.client_order_id, known))
    if not known.finished_us:
        return known.cleared_status_request(record.offset)
    return _final(known, record.offset, at_us)


def final_status(order: AccountOrder | None, execution: Message, at_us: int) -> Said:
    """The answer to a NewOrder that was repeated while its order ended; `execution` is its status_unknown.

    It may come so late that the order is remembered no longer, or that a new one has its id.
    """
    request_offset = execution["request_offset"]
    if order is not None and order.finished_us:
        return _final(order, request_offset, at_us)
    refusal = Refusal("ACCOUNTS_UNKNOWN_ORDER", f"order={execution['client_order_id']} is forgotten")
    asked = {"order": execution["client_order_id"], "client_order_id": "", "symbol": ""}
    who = {"account": execution["account"], "entered_by": "", "door": "unknown"}
    kind, event = orderless(
        "order_status", Record("Execution", asked | who, request_offset, at_us), at_us, refusal
    )
    return kind, {**event, "status": "unknown"}


def _final(order: AccountOrder, request_offset: int, at_us: int) -> Said:
    """The same rejection again, or how the order ended."""
    event: OrderEventType = "rejected" if order.status == "rejected" else "order_status"
    return order.event(event, request_offset, at_us, order.reason, order.text)


def refused(event: OrderEventType, order: AccountOrder, record: Record, at_us: int, refusal: Refusal) -> Said:
    """The refusal of a cancel or replace, with the order it names as it is."""
    request_id = printable(record.message["client_order_id"])
    return order.event(event, record.offset, at_us, refusal.reason, refusal.text, request_id)


def orderless(event: OrderEventType, record: Record, at_us: int, refusal: Refusal) -> Said:
    """A refusal that names no order: order_id NONE, version 0 (FIX 4.3 D7a), and what the request said."""
    message = record.message
    enters = event == "rejected"
    return "OrderEvent", {
        "event": event,
        "status": "rejected",
        "account": printable(message["account"]),
        "client_order_id": printable(message["client_order_id" if enters else "order"]),
        "order_id": "NONE",
        "symbol": printable(message["symbol"]),
        "side": message["side"] if enters else "unknown",
        "order_type": message["order_type"] if enters else "unknown",
        "time_in_force": message["time_in_force"] if enters else "unknown",
        "version": 0,
        "quantity": bounded_e8(message["quantity"]) if enters else 0,
        "limit_price": bounded_e8(message["limit_price"]) if enters else 0,
        "cum_quantity": 0,
        "leaves_quantity": 0,
        "average_price": 0,
        "last_quantity": 0,
        "last_price": 0,
        "trade_id": "",
        "reason": refusal.reason,
        "text": refusal.text,
        "request_offset": record.offset,
        "request_id": "" if enters else printable(message["client_order_id"]),
        "entered_by": printable(message["entered_by"]),
        "door": message["door"],
        "at_us": at_us,
    }


def mass_cancel_report(record: Record, at_us: int, orders: int, refusal: Refusal | None) -> Said:
    """The one answer to a MassCancel."""
    message = record.message
    return "MassCancelReport", {
        "account": printable(message["account"]),
        "request_id": printable(message["client_order_id"]),
        "symbol": printable(message["symbol"]),
        "side": message["side"],
        "outcome": "applied" if refusal is None else "rejected",
        "reason": "NONE" if refusal is None else refusal.reason,
        "text": "" if refusal is None else refusal.text,
        "orders": orders,
        "request_offset": record.offset,
        "entered_by": printable(message["entered_by"]),
        "door": message["door"],
        "at_us": at_us,
    }
