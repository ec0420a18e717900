"""What accounts refuse of an order before it costs anything, and what it then costs.

The checks of a new order, in this order; the first that fails is the reason:

1. client_order_id 1 to 64 printable ASCII characters; account known (neither refusal is remembered)
2. an order of that client_order_id is remembered: answered as that one, or refused as a duplicate
3. account active
4. side, order type, time in force offered
5. instrument known, then active
6. quantity, then limit price within what can be counted
7. instructions that go with the type and time in force (`tables/instructions.py`)
8. an order without a limit price: a stop or reference price to protect it from
9. quantity, then notional within the account's limits
10. reduce-only: no more than what is free (sell), or than the short that no other such buy covers (buy)
11. free cash (buy) or free holding (sell, unless the account may sell short)

What other members of its OCO hold of the same asset is free to an order, see `tables/holdings.py`. The exit
of a bracket that buys first needs no more than its entry has bought so far.

Whatever a message says is bounded before it is kept, hashed, multiplied or printed: a decimal of 60,000
digits is a valid message.
"""

from collections.abc import Mapping
from typing import Any

from schemas.numbers import MAX_E8, ONE, format_e8, notional_e8
from tables.account_orders import AccountOrder
from tables.controls import Refusal
from tables.holdings import Account, Ledger
from tables.instructions import ORDER_TYPES, TIMES_IN_FORCE, refuse_instructions
from tables.reference import Instrument

_SIDES = ("buy", "sell")
_PRICED = ("limit", "stop_limit")
_RANGE = f"above=0 most={format_e8(MAX_E8)}"


def bounded_e8(value_e8: int | None) -> int:
    """The number as it may be kept and echoed: 0 for one that is absent or beyond what can be counted."""
    return value_e8 if value_e8 is not None and -MAX_E8 <= value_e8 <= MAX_E8 else 0


def shown(value_e8: int | None) -> str:
    """The number as decimal text for a refusal."""
    if value_e8 is None:
        return "none"
    return format_e8(value_e8) if -MAX_E8 <= value_e8 <= MAX_E8 else "out of range"


def refuse_account(account: Account) -> Refusal | None:
    """Refuses an account that may not enter or replace."""
    if account.status == "active":
        return None
    return Refusal("ACCOUNTS_SUSPENDED", f"status={account.status}")


def refuse_late(order: AccountOrder) -> Refusal | None:
    """Refuses to change an order that is finished, or that belongs to a closed account."""
    if order.finished_us:
        return Refusal("ACCOUNTS_TOO_LATE", f"status={order.status}")
    if order.excluded:
        return Refusal("ACCOUNTS_TOO_LATE", "another order of its list was filled")
    if order.account.status == "closed":
        return refuse_account(order.account)
    return None


def refuse_terms(order: AccountOrder) -> Refusal | None:
    """Refuses terms that are not offered."""
    if order.side not in _SIDES:
        return Refusal("ACCOUNTS_INVALID_SIDE", f"side={order.side}")
    if order.order_type not in ORDER_TYPES:
        return Refusal("ACCOUNTS_INVALID_ORDER_TYPE", f"order_type={order.order_type}")
    if order.time_in_force not in TIMES_IN_FORCE:
        return Refusal("ACCOUNTS_INVALID_TIME_IN_FORCE", f"time_in_force={order.time_in_force}")
    return None


def refuse_instrument(symbol: str, instrument: Instrument | None) -> Refusal | None:
    """Refuses an instrument that is unknown or not active."""
    if instrument is None:
        return Refusal("ACCOUNTS_UNKNOWN_SYMBOL", f"symbol={symbol}")
    if instrument.status != "active":
        return Refusal("ACCOUNTS_INSTRUMENT_NOT_ACTIVE", f"symbol={symbol} status={instrument.status}")
    return None


def refuse_quantity(asked_e8: int) -> Refusal | None:
    """Refuses a quantity that is not above 0 or cannot be counted."""
    if 0 < asked_e8 <= MAX_E8:
        return None
    return Refusal("ACCOUNTS_INVALID_QUANTITY", f"{_RANGE} asked={shown(asked_e8)}")


def refuse_limit_price(asked_e8: int | None) -> Refusal | None:
    """Refuses a limit price that is not above 0 or cannot be counted."""
    if asked_e8 is not None and 0 < asked_e8 <= MAX_E8:
        return None
    return Refusal("ACCOUNTS_INVALID_LIMIT_PRICE", f"{_RANGE} asked={shown(asked_e8)}")


def refuse_price(order: AccountOrder, message: Mapping[str, Any]) -> Refusal | None:
    """Refuses an order without the limit price that it needs, and one with a price that it may not have."""
    asked_e8, order_type = message["limit_price"], order.order_type
    if order_type in _PRICED or (order_type == "pegged" and asked_e8 is not None):
        return refuse_limit_price(asked_e8)
    if asked_e8:
        text = f"order_type={order_type} asked={shown(asked_e8)}"
        return Refusal("ACCOUNTS_INVALID_LIMIT_PRICE", text)
    return None


def refuse_unprotected(order: AccountOrder) -> Refusal | None:
    """Refuses an order without a limit price for which there is no price to protect it from."""
    if order.limit_price_e8:
        return None
    return Refusal("ACCOUNTS_NO_REFERENCE_PRICE", f"symbol={order.symbol}")


def refuse_size(account: Account, instrument: Instrument, quantity_e8: int, price_e8: int) -> Refusal | None:
    """Refuses an order above the account's limits; 0 is no limit."""
    limit_e8 = account.max_order_quantity_e8
    if limit_e8 and quantity_e8 > limit_e8:
        return Refusal("ACCOUNTS_MAX_QUANTITY", f"limit={shown(limit_e8)} asked={shown(quantity_e8)}")
    limit_e8 = account.max_order_notional_e8
    if limit_e8:
        asked_e8 = notional_e8(price_e8, quantity_e8, instrument.multiplier_e8)
        if asked_e8 > limit_e8:
            text = f"limit={format_e8(limit_e8)} asked={format_e8(asked_e8)}"
            return Refusal("ACCOUNTS_MAX_NOTIONAL", text)
    return None


def refuse_order(
    order: AccountOrder, instrument: Instrument | None, message: Mapping[str, Any], at_us: int
) -> Refusal | None:
    """Checks 3 to 9 of a new order."""
    refusal = (
        refuse_account(order.account) or refuse_terms(order) or refuse_instrument(order.symbol, instrument)
    )
    if refusal is not None or instrument is None:
        return refusal
    return (
        refuse_quantity(message["quantity"])
        or refuse_price(order, message)
        or refuse_instructions(
            order.order_type, order.time_in_force, order.quantity_e8, message.get("instructions"), at_us
        )
        or refuse_unprotected(order)
        or refuse_size(order.account, instrument, order.quantity_e8, order.limit_price_e8)
    )


def refuse_increase(order: AccountOrder, more_e8: int) -> Refusal | None:
    """Refuses a reduce-only order, or so much more of one, that would do more than reduce a position."""
    if order.instructions is None or not order.instructions["reduce_only"] or more_e8 <= 0:
        return None
    account, symbol = order.account, order.symbol
    if order.side == "sell":
        free_e8 = max(0, Ledger.free_e8(account, "holding", symbol) + order.shared_e8())
    else:
        holding = account.holdings.get(symbol)
        others_e8 = sum(other.leaves_e8() for other in account.live.values() if _covers(other, order))
        free_e8 = max(0, -holding.total_e8 - others_e8 if holding is not None else 0)
    if more_e8 <= free_e8:
        return None
    text = f"free={format_e8(free_e8)} asked={format_e8(more_e8)} symbol={symbol}"
    return Refusal("ACCOUNTS_REDUCE_ONLY", text)


def _covers(other: AccountOrder, order: AccountOrder) -> bool:
    """Whether another live order covers a short that this one may not count on, then."""
    reduces = other.instructions is not None and other.instructions["reduce_only"]
    excludes = order.exclusive() is not None and other.exclusive() == order.exclusive()
    return reduces and other.side == order.side and other.symbol == order.symbol and not excludes


def refuse_funds(order: AccountOrder, instrument: Instrument, asked_e8: int) -> Refusal | None:
    """Refuses what the account's free cash (buy) or free holding (sell) does not cover."""
    account = order.account
    if order.side == "buy":
        free_e8 = Ledger.free_e8(account, "cash", instrument.currency) + order.shared_e8()
        if asked_e8 <= free_e8:
            return None
        text = f"free={format_e8(free_e8)} asked={format_e8(asked_e8)} currency={instrument.currency}"
        return Refusal("ACCOUNTS_INSUFFICIENT_CASH", text)
    free_e8 = Ledger.free_e8(account, "holding", order.symbol) + order.shared_e8()
    if account.allow_short or asked_e8 <= free_e8:
        return None
    text = f"free={format_e8(free_e8)} asked={format_e8(asked_e8)} symbol={order.symbol}"
    return Refusal("ACCOUNTS_INSUFFICIENT_HOLDING", text)


def replace_costs_e8(order: AccountOrder, quantity_e8: int, limit_price_e8: int, multiplier_e8: int) -> int:
    """What a replace must hold in addition while it is under way, whatever is filled meanwhile.

    With the new quantity Q', price P' and the old Q, P, both need no more than what the old one holds and
    - P' x (Q' - filled) - P x (Q - filled) when the price does not fall: fills only lower it;
    - P' x (Q' - Q) when it falls: fills at P pay more than their part, up to that.
    The larger of the two is right in both cases; rounded up, so that rounding never leaves a gap.
    """
    more_e8 = quantity_e8 - order.quantity_e8
    if order.side == "sell":
        return max(0, more_e8)
    open_e8 = max(0, quantity_e8 - order.cum_quantity_e8)
    old_e8 = order.need_e8(multiplier_e8)
    whole = ONE * ONE
    new_e8 = -(-limit_price_e8 * open_e8 * multiplier_e8 // whole)
    grown_e8 = -(-limit_price_e8 * more_e8 * multiplier_e8 // whole)
    return max(0, new_e8 - old_e8, grown_e8)
