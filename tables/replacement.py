"""What a replace asks of an order, and what accounts refuse of it, money aside.

The checks, in this order: the type has the field (`ACCOUNTS_NOT_REPLACEABLE`), quantity and limit price
are within what can be counted, the instructions that would result go with the type (as for a new order),
something changes. Whether a stop was triggered meanwhile is matching's to say.
"""

from collections.abc import Mapping
from typing import Any

from schemas.messages import TimeInForce
from tables.account_orders import AccountOrder
from tables.controls import Refusal
from tables.instructions import (
    MARKET_LIKE,
    NOTHING,
    RESTING,
    TRIGGERED,
    carried,
    fingerprint,
    refuse_instructions,
)
from tables.limits import refuse_limit_price, refuse_quantity

Message = Mapping[str, Any]

_CARRIED = ("stop_price", "display_quantity", "expire_at_us")


class Replacement:
    """The terms that an order would have; quantity and limit price of 0, and changes of None: unchanged."""

    __slots__ = ("changes", "instructions", "limit_price_e8", "quantity_e8", "time_in_force")

    def __init__(
        self,
        quantity_e8: int,
        limit_price_e8: int,
        changes: Message | None,
        instructions: Message,
        time_in_force: TimeInForce,
    ) -> None:
        self.quantity_e8 = quantity_e8
        self.limit_price_e8 = limit_price_e8
        self.changes = changes
        self.instructions = instructions
        self.time_in_force: TimeInForce = time_in_force

    @classmethod
    def of(cls, order: AccountOrder, message: Message) -> "Replacement":
        """What a ReplaceOrder asks of an order, unchecked."""
        changes: Message = message.get("changes") or {}
        if all(value is None for value in changes.values()):
            changes = {}
        time_in_force = changes.get("time_in_force") or order.time_in_force
        instructions = {**NOTHING, **(order.instructions or {})}
        if time_in_force != "gtd":
            instructions["expire_at_us"] = 0
        for name in _CARRIED:
            if changes.get(name) is not None:
                instructions[name] = changes[name]
        quantity_e8, limit_price_e8 = message["quantity"] or 0, message["limit_price"] or 0
        return cls(quantity_e8, limit_price_e8, changes or None, instructions, time_in_force)

    def moves_stop(self, order: AccountOrder) -> bool:
        """Whether the stop of an order without a limit price moves, and its protection with it."""
        moved = self.changes is not None and self.changes.get("stop_price")
        return bool(moved) and order.order_type in MARKET_LIKE


def refuse_unreplaceable(order: AccountOrder, asked: Replacement) -> Refusal | None:
    """Refuses a field that orders of the type have not."""
    order_type = order.order_type
    if order_type == "market":
        return Refusal("ACCOUNTS_NOT_REPLACEABLE", "order_type=market")
    changes = asked.changes or {}
    for field, given, has in (
        ("limit_price", asked.limit_price_e8, order_type not in MARKET_LIKE),
        ("stop_price", changes.get("stop_price") is not None, order_type in TRIGGERED),
        (
            "display_quantity",
            changes.get("display_quantity") is not None,
            order_type in ("limit", "stop_limit") and not asked.instructions["hidden"],
        ),
        ("time_in_force", changes.get("time_in_force") is not None, order.time_in_force in RESTING),
    ):
        if given and not has:
            text = f"field={field} order_type={order_type} time_in_force={order.time_in_force}"
            return Refusal("ACCOUNTS_NOT_REPLACEABLE", text)
    return None


def refuse_replacement(
    order: AccountOrder, message: Message, asked: Replacement, at_us: int
) -> Refusal | None:
    """Refuses values that a new order could not have, and a replace that changes nothing."""
    refusal = None
    if message["quantity"] is not None:
        refusal = refuse_quantity(message["quantity"])
    if refusal is None and message["limit_price"] is not None:
        refusal = refuse_limit_price(message["limit_price"])
    if refusal is None and asked.changes is not None:
        refusal = _refuse_changes(order, asked, at_us)
    if refusal is None and _same(order, asked):
        refusal = Refusal("ACCOUNTS_NOTHING_TO_REPLACE", f"order={order.client_order_id}")
    return refusal


def _refuse_changes(order: AccountOrder, asked: Replacement, at_us: int) -> Refusal | None:
    if asked.time_in_force not in RESTING and asked.time_in_force != order.time_in_force:
        text = f"time_in_force={asked.time_in_force} offered={','.join(RESTING)}"
        return Refusal("ACCOUNTS_INVALID_TIME_IN_FORCE", text)
    quantity_e8 = asked.quantity_e8 or order.quantity_e8
    return refuse_instructions(order.order_type, asked.time_in_force, quantity_e8, asked.instructions, at_us)


def _same(order: AccountOrder, asked: Replacement) -> bool:
    return (
        asked.quantity_e8 in (0, order.quantity_e8)
        and asked.limit_price_e8 in (0, order.limit_price_e8)
        and asked.time_in_force == order.time_in_force
        and fingerprint(carried(asked.instructions)) == fingerprint(order.instructions)
    )
