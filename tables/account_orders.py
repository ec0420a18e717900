"""An order as its account knows it.

The account hears of an order only by its executions, so of an order that rests it knows that it is
there (`new`, version 1), not when matching took it.
"""

from collections.abc import Mapping
from sys import intern
from typing import TYPE_CHECKING, Any

from schemas.messages import Door, OrderEventType, OrderStatus, OrderType, Side, TimeInForce
from schemas.numbers import average_price_e8, notional_e8
from schemas.reasons import Reason
from schemas.records import Row, Said
from tables.holdings import Account, Exclusive
from tables.instructions import MARKET_LIKE

if TYPE_CHECKING:
    from tables.order_memory import Alias


class AccountOrder:
    """One order; `reserved_e8` is cash for a buy, holding for a sell, what `replacing_e8` holds included.

    `limit_price_e8` of a market order, and of others without one of their own, is the worst price it may
    trade at. `instructions` are None for almost all. `replacing_e8` is None unless a
    replace is under way. `sum_e16` is the sum of price_e8 x quantity_e8 of its fills.
    """

    __slots__ = (
        "account",
        "aliases",
        "body",
        "changed",
        "client_order_id",
        "cum_quantity_e8",
        "door",
        "entered_by",
        "entered_us",
        "excluded",
        "finished_us",
        "instructions",
        "latest_id",
        "limit_price_e8",
        "order_id",
        "order_type",
        "quantity_e8",
        "reason",
        "replacing_e8",
        "reserved_e8",
        "side",
        "status",
        "sum_e16",
        "symbol",
        "text",
        "time_in_force",
        "version",
    )

    def __init__(
        self,
        account: Account,
        client_order_id: str,
        order_id: str,
        body: int,
        symbol: str,
        side: Side,
        order_type: OrderType,
        time_in_force: TimeInForce,
        quantity_e8: int,
        limit_price_e8: int,
        entered_us: int,
        entered_by: str,
        door: Door,
        instructions: dict[str, Any] | None = None,
    ) -> None:
        self.account = account
        self.client_order_id = client_order_id
        self.order_id = order_id
        self.body = body
        # Many orders share these words; each record brought its own copy.
        self.symbol = intern(symbol)
        self.entered_by = intern(entered_by)
        self.side: Side = side
        self.order_type: OrderType = order_type
        self.time_in_force: TimeInForce = time_in_force
        self.quantity_e8 = quantity_e8
        self.limit_price_e8 = limit_price_e8
        self.cum_quantity_e8 = 0
        self.sum_e16 = 0
        self.reserved_e8 = 0
        self.replacing_e8: int | None = None
        self.status: OrderStatus = "new"
        self.reason: Reason = "NONE"
        self.text = ""
        self.version = 1
        self.latest_id = ""
        self.aliases: dict[str, Alias] | None = None
        self.finished_us = 0
        self.entered_us = entered_us
        self.door: Door = door
        self.changed = False
        # A fill of one of the `others` ended it, of which its own execution has not come.
        self.excluded = False
        self.instructions = instructions

    @classmethod
    def from_row(cls, account: Account, row: Mapping[str, Any]) -> "AccountOrder":
        """The order of an AccountOrderRow."""
        order = cls(
            account,
            row["client_order_id"],
            row["order_id"],
            row["body"],
            row["symbol"],
            row["side"],
            row["order_type"],
            row["time_in_force"],
            row["quantity"],
            row["limit_price"],
            row["entered_us"],
            row["entered_by"],
            row["door"],
            row.get("instructions"),
        )
        order.cum_quantity_e8 = row["cum_quantity"]
        order.sum_e16 = row["cum_notional"]
        order.reserved_e8 = row["reserved"]
        order.replacing_e8 = row["replacing"]
        order.status = row["status"]
        order.reason = row["reason"]
        order.text = row["text"]
        order.version = row["version"]
        order.latest_id = row["latest_id"]
        order.finished_us = row["finished_us"]
        return order

    def key(self) -> str:
        """Key of its row."""
        return f"order|{self.account.account}|{self.client_order_id}"

    def row(self) -> Row:
        """Its AccountOrderRow."""
        return Row(
            self.key(),
            "AccountOrderRow",
            self._with_instructions(
                {
                    "account": self.account.account,
                    "client_order_id": self.client_order_id,
                    "order_id": self.order_id,
                    "body": self.body,
                    "symbol": self.symbol,
                    "side": self.side,
                    "order_type": self.order_type,
                    "time_in_force": self.time_in_force,
                    "quantity": self.quantity_e8,
                    "limit_price": self.limit_price_e8,
                    "cum_quantity": self.cum_quantity_e8,
                    "cum_notional": self.sum_e16,
                    "reserved": self.reserved_e8,
                    "status": self.status,
                    "reason": self.reason,
                    "version": self.version,
                    "latest_id": self.latest_id,
                    "replacing": self.replacing_e8,
                    "finished_us": self.finished_us,
                    "entered_us": self.entered_us,
                    "entered_by": self.entered_by,
                    "door": self.door,
                    "text": self.text,
                }
            ),
        )

    def _with_instructions(self, message: dict[str, Any]) -> dict[str, Any]:
        """The message, and what the order carries where it carries anything."""
        if self.instructions is not None:
            message["instructions"] = self.instructions
        return message

    def exclusive(self) -> Exclusive | None:
        """The orders of which at most one may trade, if it is one of them: an OCO, a bracket's exits."""
        instructions = self.instructions
        if instructions is None or not instructions["link_id"]:
            return None
        kind, parent_id = instructions["link_type"], instructions["link_parent"]
        if kind == "oco" or (kind == "bracket" and parent_id):
            return self.symbol, instructions["link_id"], parent_id
        return None

    def waiting_list(self) -> tuple[str, str] | None:
        """Symbol and id of its list, where that has a parent for which the others wait."""
        instructions = self.instructions
        if instructions is None or not instructions["link_id"]:
            return None
        if instructions["link_type"] not in ("oto", "bracket"):
            return None
        return self.symbol, instructions["link_id"]

    def exits(self) -> "list[AccountOrder]":
        """The live children of a bracket's entry."""
        found = self.waiting_list()
        if found is None:
            return []
        return list(self.account.exclusive.get((*found, self.order_id), {}).values())

    def others(self) -> "list[AccountOrder]":
        """The other live orders of those of which at most one may trade."""
        exclusive = self.exclusive()
        members = {} if exclusive is None else self.account.exclusive.get(exclusive, {})
        return [order for order in members.values() if order is not self]

    def others_hold_e8(self) -> int:
        """What those others hold of the asset that it holds: each of them, so the most."""
        return max([order.reserved_e8 for order in self.others() if order.side == self.side], default=0)

    def shared_e8(self) -> int:
        """What it may hold in addition because one of those others holds that anyway."""
        # Asked of every new order, of which almost none carries anything.
        if self.instructions is None:
            return 0
        return max(0, self.others_hold_e8() - self.reserved_e8)

    def leaves_e8(self) -> int:
        """Quantity still open; 0 once finished."""
        return 0 if self.finished_us else self.quantity_e8 - self.cum_quantity_e8

    def need_e8(self, multiplier_e8: int) -> int:
        """What its open quantity must hold: cash for a buy, holding for a sell."""
        leaves_e8 = self.quantity_e8 - self.cum_quantity_e8
        if self.side == "sell":
            return leaves_e8 if self.instructions is None else leaves_e8 - self.awaited_e8()
        return notional_e8(self.limit_price_e8, leaves_e8, multiplier_e8)

    def awaited_e8(self) -> int:
        """What of a bracket's exit need not be held, for its entry is yet to buy that, or never will.

        Matching lets no exit sell more than its entry bought (docs/matching.md, Lists).
        """
        instructions = self.instructions
        if instructions is None or self.side != "sell" or instructions["link_type"] != "bracket":
            return 0
        entry = self.account.parents.get((self.symbol, instructions["link_id"]))
        if entry is None or entry.side != "buy" or entry.order_id != instructions["link_parent"]:
            return 0
        if entry.finished_us and entry.status != "filled":
            return self.quantity_e8 - self.cum_quantity_e8
        return max(0, self.quantity_e8 - entry.cum_quantity_e8)

    def average_price_e8(self) -> int:
        """Average price of its fills; 0: none."""
        return average_price_e8(self.sum_e16, self.cum_quantity_e8)

    def cleared(self, request_offset: int) -> Said:
        """Its ClearedOrder."""
        return "ClearedOrder", self._with_instructions(
            {
                "account": self.account.account,
                "client_order_id": self.client_order_id,
                "order_id": self.order_id,
                "symbol": self.symbol,
                "side": self.side,
                "order_type": self.order_type,
                "quantity": self.quantity_e8,
                "limit_price": self.limit_price_e8,
                "time_in_force": self.time_in_force,
                "request_offset": request_offset,
                "entered_us": self.entered_us,
                "entered_by": self.entered_by,
                "door": self.door,
            }
        )

    def cleared_cancel(self, request_offset: int, request_id: str, reason: Reason) -> Said:
        """A ClearedCancel of it."""
        return "ClearedCancel", {
            "account": self.account.account,
            "client_order_id": self.client_order_id,
            "order_id": self.order_id,
            "symbol": self.symbol,
            "request_id": request_id,
            "reason": reason,
            "request_offset": request_offset,
        }

    def cleared_replace(
        self,
        request_offset: int,
        request_id: str,
        quantity_e8: int,
        limit_price_e8: int,
        changes: Mapping[str, Any] | None,
    ) -> Said:
        """A ClearedReplace of it, with what it is now; 0: unchanged."""
        return "ClearedReplace", self._with_instructions(
            {
                "account": self.account.account,
                "client_order_id": self.client_order_id,
                "order_id": self.order_id,
                "symbol": self.symbol,
                "request_id": request_id,
                "quantity": quantity_e8,
                "limit_price": limit_price_e8,
                "request_offset": request_offset,
                "latest_id": self.latest_id or self.client_order_id,
                "side": self.side,
                "order_type": self.order_type,
                "time_in_force": self.time_in_force,
                "status": self.status,
                "version": self.version,
                "current_quantity": self.quantity_e8,
                "current_limit_price": self.limit_price_e8,
                "cum_quantity": self.cum_quantity_e8,
                "average_price": self.average_price_e8(),
                "entered_by": self.entered_by,
                "door": self.door,
                "changes": changes,
            }
        )

    def cleared_status_request(self, request_offset: int) -> Said:
        """A ClearedStatusRequest for it."""
        return "ClearedStatusRequest", {
            "account": self.account.account,
            "client_order_id": self.client_order_id,
            "order_id": self.order_id,
            "symbol": self.symbol,
            "request_offset": request_offset,
        }

    def event(
        self,
        event: OrderEventType,
        request_offset: int,
        at_us: int,
        reason: Reason = "NONE",
        text: str = "",
        request_id: str = "",
    ) -> Said:
        """An OrderEvent with its state as the account knows it."""
        return "OrderEvent", self._with_instructions(
            {
                "event": event,
                "status": self.status,
                "account": self.account.account,
                "client_order_id": self.latest_id or self.client_order_id,
                "order_id": self.order_id,
                "symbol": self.symbol,
                "side": self.side,
                "order_type": self.order_type,
                "time_in_force": self.time_in_force,
                "version": self.version,
                "quantity": self.quantity_e8,
                "limit_price": 0 if self.order_type in MARKET_LIKE else self.limit_price_e8,
                "cum_quantity": self.cum_quantity_e8,
                "leaves_quantity": self.leaves_e8(),
                "average_price": self.average_price_e8(),
                "last_quantity": 0,
                "last_price": 0,
                "trade_id": "",
                "reason": reason,
                "text": text,
                "request_offset": request_offset,
                "request_id": request_id,
                "entered_by": self.entered_by,
                "door": self.door,
                "at_us": at_us,
            }
        )
