"""What an order may carry beyond type, price and time in force: what goes with what, and the price that it
may trade at at worst.

An order's instructions are a dict as in `schemas.messages.OrderInstructions`, None for almost all. The rules
of what goes with what are those of docs/matching.md; each refusal names the field first, as in
`field=display_quantity most=100 asked=200`.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from schemas.ids import CLIENT_ORDER_ID_MAX, valid_client_order_id
from schemas.numbers import MAX_E8, ONE, format_e8
from tables.controls import Refusal

Instructions = Mapping[str, Any]

BPS = 10_000

ORDER_TYPES = (
    *("limit", "market", "market_to_limit", "stop", "stop_limit", "trailing_stop"),
    *("market_if_touched", "pegged"),
)
TIMES_IN_FORCE = ("day", "gtc", "ioc", "fok", "gtd", "at_open", "at_close", "auction", "crossing")
# Their limit_price is no client's word but their protection: the worst price they may trade at.
MARKET_LIKE = frozenset({"market", "market_to_limit", "stop", "trailing_stop", "market_if_touched"})
# They wait for a price; they need stop_price, all but the trailing one.
TRIGGERED = frozenset({"stop", "stop_limit", "trailing_stop", "market_if_touched"})
# They look at quotes.
QUOTED = TRIGGERED | {"pegged"}
RESTING = ("day", "gtc", "gtd")

_PLAIN = ("limit", "market", "market_to_limit")
_AUCTIONS = ("at_open", "at_close", "auction")
_AT_ONCE = ("ioc", "fok")
# Order instructions in which nothing is used.
NOTHING: Instructions = {
    "stop_price": 0,
    "trail_amount": 0,
    "trail_percent": 0,
    "peg": "none",
    "peg_offset": 0,
    "expire_at_us": 0,
    "display_quantity": 0,
    "hidden": False,
    "min_quantity": 0,
    "all_or_none": False,
    "post_only": "none",
    "reduce_only": False,
    "stp": "unset",
    "stp_group": "",
    "link_id": "",
    "link_type": "none",
    "link_parent": "",
}
# What a request may say of them: the parent of a list is for accounts to name, see `Account.link`.
_ASKED = tuple(name for name in NOTHING if name != "link_parent")
_DECIMALS = ("stop_price", "trail_amount", "trail_percent", "display_quantity", "min_quantity")
_NAMES = ("stp_group", "link_id")
_ENUMS = ("peg", "post_only", "stp", "link_type")


def carried(instructions: Instructions | None) -> dict[str, Any] | None:
    """The instructions as they may be kept: None where nothing is used, numbers and texts within bounds."""
    if instructions is None or all(instructions[name] == NOTHING[name] for name in _ASKED):
        return None
    return {**NOTHING, **{name: _kept(name, instructions[name]) for name in _ASKED}}


def _kept(name: str, value: Any) -> Any:
    if name in _NAMES:
        return value if valid_client_order_id(value) else ""
    if name in _ENUMS:
        return NOTHING[name] if value == "unknown" else value
    if name == "expire_at_us" or isinstance(value, bool):
        return value
    return value if -MAX_E8 <= value <= MAX_E8 else 0


def fingerprint(instructions: Instructions | None) -> tuple[object, ...]:
    """What tells the body of an order with instructions from another; empty for none."""
    return () if instructions is None else tuple(instructions[name] for name in _ASKED)


def refuse_instructions(
    order_type: str, time_in_force: str, quantity_e8: int, asked: Instructions | None, at_us: int
) -> Refusal | None:
    """Refuses fields that the type or time in force cannot have, and values out of range.

    `asked` is as the request has it, `quantity_e8` is within bounds.
    """
    if asked is None and order_type in _PLAIN and time_in_force != "gtd":
        return None
    said = {**NOTHING, **(asked or {})}
    for wrong in _wrong(order_type, time_in_force, quantity_e8, said, at_us):
        return Refusal("ACCOUNTS_INVALID_INSTRUCTION", f"field={wrong}")
    return None


def _wrong(
    order_type: str, time_in_force: str, quantity_e8: int, said: Instructions, at_us: int
) -> Iterator[str]:
    """What is wrong, the field first."""
    yield from _out_of_range(said)
    yield from _wrong_time(order_type, time_in_force, said["expire_at_us"], at_us)
    yield from _wrong_prices(order_type, said)
    yield from _wrong_display(order_type, time_in_force, quantity_e8, said)
    yield from _wrong_minimum(order_type, time_in_force, quantity_e8, said)
    if said["post_only"] != "none" and (order_type != "limit" or time_in_force in _AT_ONCE):
        yield f"post_only not with order_type={order_type} time_in_force={time_in_force}"
    if (said["link_type"] == "none") != (not said["link_id"]):
        yield f"{'link_type' if said['link_id'] else 'link_id'} missing"


def _out_of_range(said: Instructions) -> Iterator[str]:
    for name in _ENUMS:
        if said[name] == "unknown":
            yield f"{name} unknown"
    for name in _DECIMALS:
        if not 0 <= said[name] <= MAX_E8:
            yield f"{name} least=0 most={format_e8(MAX_E8)}"
    if not -MAX_E8 <= said["peg_offset"] <= MAX_E8:
        yield f"peg_offset least={format_e8(-MAX_E8)} most={format_e8(MAX_E8)}"
    for name in _NAMES:
        if said[name] and not valid_client_order_id(said[name]):
            yield f"{name} must be up to {CLIENT_ORDER_ID_MAX} printable ASCII characters"


def _wrong_time(order_type: str, time_in_force: str, expire_at_us: int, at_us: int) -> Iterator[str]:
    if time_in_force == "gtd" and expire_at_us <= at_us:
        yield f"expire_at_us above={at_us} asked={expire_at_us}"
    if time_in_force != "gtd" and expire_at_us:
        yield f"expire_at_us not with time_in_force={time_in_force}"
    if (
        (order_type in TRIGGERED and time_in_force in _AUCTIONS)
        or (order_type == "market" and time_in_force == "gtd")
        or (order_type == "pegged" and time_in_force not in RESTING)
    ):
        yield f"time_in_force={time_in_force} not with order_type={order_type}"


def _wrong_prices(order_type: str, said: Instructions) -> Iterator[str]:
    trails = (said["trail_amount"] > 0) + (said["trail_percent"] > 0)
    if order_type in TRIGGERED:
        if not said["stop_price"] and order_type != "trailing_stop":
            yield f"stop_price missing for order_type={order_type}"
    elif said["stop_price"]:
        yield f"stop_price not with order_type={order_type}"
    if order_type == "trailing_stop" and trails != 1:
        yield f"trail_amount one of trail_amount and trail_percent, not {trails}"
    if order_type != "trailing_stop" and trails:
        name = "trail_amount" if said["trail_amount"] else "trail_percent"
        yield f"{name} not with order_type={order_type}"
    if said["trail_percent"] >= 100 * ONE:
        yield f"trail_percent below=100 asked={format_e8(said['trail_percent'])}"
    if order_type == "pegged" and said["peg"] == "none":
        yield "peg missing for order_type=pegged"
    for name in ("peg", "peg_offset"):
        if order_type != "pegged" and said[name] not in ("none", 0):
            yield f"{name} not with order_type={order_type}"


def _wrong_display(
    order_type: str, time_in_force: str, quantity_e8: int, said: Instructions
) -> Iterator[str]:
    display_e8, hidden = said["display_quantity"], said["hidden"]
    where = f"order_type={order_type} time_in_force={time_in_force}"
    if display_e8:
        if order_type not in ("limit", "stop_limit") or time_in_force in _AT_ONCE or hidden:
            yield f"display_quantity not with {where} hidden={str(hidden).lower()}"
        if display_e8 > quantity_e8 or display_e8 * 1000 < quantity_e8:
            least, most = format_e8(-(-quantity_e8 // 1000)), format_e8(quantity_e8)
            yield f"display_quantity least={least} most={most} asked={format_e8(display_e8)}"
    if hidden and (order_type not in ("limit", "stop_limit", "pegged") or time_in_force in _AT_ONCE):
        yield f"hidden not with {where}"


def _wrong_minimum(
    order_type: str, time_in_force: str, quantity_e8: int, said: Instructions
) -> Iterator[str]:
    minimum_e8, whole = said["min_quantity"], said["all_or_none"]
    if minimum_e8 > quantity_e8:
        yield f"min_quantity most={format_e8(quantity_e8)} asked={format_e8(minimum_e8)}"
    if minimum_e8 and whole:
        yield "all_or_none not with min_quantity"
    if not minimum_e8 and not whole:
        return
    name = "all_or_none" if whole else "min_quantity"
    if said["post_only"] != "none" or said["display_quantity"]:
        yield f"{name} not with {'display_quantity' if said['display_quantity'] else 'post_only'}"
    if time_in_force in (*_AUCTIONS, "fok") or order_type == "pegged":
        yield f"{name} not with order_type={order_type} time_in_force={time_in_force}"


def worst_price_e8(side: str, reference_e8: int, protection_bps: int) -> int:
    """How bad a price a market order may trade at: the reference price give or take the protection.

    Rounded away from the reference, at least 10^-8 and at most what can be counted.
    """
    if side == "buy":
        return min(MAX_E8, -(-reference_e8 * (BPS + protection_bps) // BPS))
    return max(1, reference_e8 * (BPS - protection_bps) // BPS)


def protection_e8(
    side: str, order_type: str, instructions: Instructions | None, reference_e8: int, protection_bps: int
) -> int:
    """The worst price of an order that has no limit price of its own; 0: there is nothing to reckon it from.

    From the stop price, where there is one; a trailing stop without one begins a trail's distance from the
    reference price. Both only ever move for the better. A pegged order is protected from the reference price.
    """
    said = instructions or NOTHING
    base_e8: int = said["stop_price"] or reference_e8
    if order_type == "trailing_stop" and not said["stop_price"] and reference_e8:
        away_e8 = said["trail_amount"] or reference_e8 * said["trail_percent"] // (100 * ONE)
        base_e8 = reference_e8 + away_e8 if side == "buy" else max(1, reference_e8 - away_e8)
    return worst_price_e8(side, base_e8, protection_bps) if base_e8 else 0
