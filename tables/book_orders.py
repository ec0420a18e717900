"""An order as matching keeps it: a book entry, its owner's words, its state, and what is said of it."""

from collections.abc import Mapping
from sys import intern
from typing import Any

from schemas.messages import Door, ExecutionType, OrderEventType, OrderStatus, OrderType, Side, TimeInForce
from schemas.numbers import average_price_e8
from schemas.reasons import Reason
from schemas.records import Said
from tables.book import Entry
from tables.orders import TRANSITIONS, Step


class Order(Entry):
    """A live order. `quantity_e8` is `cum_quantity_e8` + `leaves_e8` until it ends.

    `entry_id` is the client_order_id under which it was entered, empty while that is still its name.
    `logged` says whether the changelog has a row of it.
    """

    __slots__ = (
        "account",
        "client_order_id",
        "cum_notional_e16",
        "cum_quantity_e8",
        "door",
        "entered_by",
        "entry_id",
        "logged",
        "order_type",
        "quantity_e8",
        "status",
        "symbol",
        "time_in_force",
        "version",
    )

    def __init__(self, message: Mapping[str, Any], symbol: str) -> None:
        """A new order from its ClearedOrder."""
        quantity_e8: int = message["quantity"]
        self.order_id = message["order_id"]
        self.side: Side = message["side"]
        self.limit_price_e8 = message["limit_price"]
        self.leaves_e8 = self.quantity_e8 = quantity_e8
        self.arrival = 0
        self.level = self.older = self.newer = None
        self.symbol = symbol
        # Many orders share these words; each record brought its own copy.
        self.account = intern(message["account"])
        self.entered_by = intern(message["entered_by"])
        self.client_order_id: str = message["client_order_id"]
        self.entry_id = ""
        self.order_type: OrderType = message["order_type"]
        self.time_in_force: TimeInForce = message["time_in_force"]
        self.cum_quantity_e8 = 0
        self.cum_notional_e16 = 0
        self.status: OrderStatus = "pending_new"
        self.version = 0
        self.door: Door = message["door"]
        self.logged = False

    @classmethod
    def from_row(cls, row: Mapping[str, Any], symbol: str) -> "Order":
        """A resting order from its BookOrderRow."""
        order = cls(row, symbol)
        order.entry_id = row["entry_id"]
        order.cum_quantity_e8 = row["cum_quantity"]
        order.cum_notional_e16 = row["cum_notional"]
        order.leaves_e8 = order.quantity_e8 - order.cum_quantity_e8
        order.arrival = row["arrival"]
        order.version = row["version"]
        order.status = "partially_filled" if order.cum_quantity_e8 else "new"
        order.logged = True
        return order

    def row(self) -> dict[str, Any]:
        """Its BookOrderRow."""
        return {
            "symbol": self.symbol,
            "account": self.account,
            "client_order_id": self.client_order_id,
            "entry_id": self.entry_id,
            "order_id": self.order_id,
            "side": self.side,
            "order_type": self.order_type,
            "time_in_force": self.time_in_force,
            "quantity": self.quantity_e8,
            "limit_price": self.limit_price_e8,
            "cum_quantity": self.cum_quantity_e8,
            "cum_notional": self.cum_notional_e16,
            "arrival": self.arrival,
            "version": self.version,
            "entered_by": self.entered_by,
            "door": self.door,
        }

    def move(self, step: Step) -> None:
        """The next status and version; raises KeyError for a step that its status does not allow."""
        self.status = TRANSITIONS[self.status][step]
        self.version += 1

    def fill(self, quantity_e8: int, price_e8: int) -> None:
        """Counts a fill that `leaves_e8` knows of already."""
        self.cum_quantity_e8 += quantity_e8
        self.cum_notional_e16 += quantity_e8 * price_e8
        self.move("partially_filled" if self.leaves_e8 else "filled")

    def amend(self, quantity_e8: int, price_e8: int, request_id: str) -> None:
        """Takes a replace: total quantity (at least what was filled), price, and a new name unless empty."""
        self.quantity_e8 = quantity_e8
        self.leaves_e8 = quantity_e8 - self.cum_quantity_e8
        self.limit_price_e8 = price_e8
        if request_id:
            self.entry_id = self.entry_id or self.client_order_id
            self.client_order_id = request_id
        self.move("replaced" if self.leaves_e8 else "closed")

    def may_rest(self) -> bool:
        """Whether what is left of it waits in the book."""
        return self.order_type != "market" and self.time_in_force in ("gtc", "day")

    def event(
        self,
        event: OrderEventType,
        request_offset: int,
        at_us: int,
        reason: Reason = "NONE",
        request_id: str = "",
        text: str = "",
        trade_id: str = "",
        last_quantity_e8: int = 0,
        last_price_e8: int = 0,
    ) -> Said:
        """An OrderEvent with its state as it is now."""
        cum_e8 = self.cum_quantity_e8
        return "OrderEvent", {
            "event": event,
            "status": self.status,
            "account": self.account,
            "client_order_id": self.client_order_id,
            "order_id": self.order_id,
            "symbol": self.symbol,
            "side": self.side,
            "order_type": self.order_type,
            "time_in_force": self.time_in_force,
            "version": self.version,
            "quantity": self.quantity_e8,
            "limit_price": 0 if self.order_type == "market" else self.limit_price_e8,
            "cum_quantity": cum_e8,
            "leaves_quantity": self.leaves_e8,
            "average_price": average_price_e8(self.cum_notional_e16, cum_e8) if cum_e8 else 0,
            "last_quantity": last_quantity_e8,
            "last_price": last_price_e8,
            "trade_id": trade_id,
            "reason": reason,
            "text": text,
            "request_offset": request_offset,
            "request_id": request_id,
            "entered_by": self.entered_by,
            "door": self.door,
            "at_us": at_us,
        }

    def execution(
        self,
        execution_type: ExecutionType,
        request_offset: int,
        reason: Reason = "NONE",
        request_id: str = "",
        last_quantity_e8: int = 0,
        last_price_e8: int = 0,
    ) -> Said:
        """An Execution for its account, with its state as it is now."""
        return "Execution", {
            "account": self.account,
            "client_order_id": self.entry_id or self.client_order_id,
            "execution_type": execution_type,
            "last_quantity": last_quantity_e8,
            "last_price": last_price_e8,
            "leaves_quantity": self.leaves_e8,
            "quantity": self.quantity_e8,
            "limit_price": self.limit_price_e8,
            "request_id": request_id,
            "reason": reason,
            "version": self.version,
            "request_offset": request_offset,
            "text": "",
        }


def unknown_event(event: OrderEventType, message: Mapping[str, Any], at_us: int) -> Said:
    """The refusal of a cancel or replace of an order that is not in the book.

    Its status is rejected, as FIX 4.3 D7a has it for an unknown order; version 0 says that it is no
    state of the order, which may have ended while the request was on its way.
    """
    return "OrderEvent", {
        "event": event,
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


def unknown_execution(execution_type: ExecutionType, message: Mapping[str, Any]) -> Said:
    """Tells an account that an order it named is not in the book."""
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
