"""Orders beyond plain limits: each kind by its name, as changes of a plain order that rests."""

from collections.abc import Callable, Mapping
from random import Random
from typing import Any

from schemas.numbers import ONE
from tables.instructions import NOTHING

Order = Mapping[str, Any]

# So long lives an order with a date: some end while nothing else happens, some while workers are down.
LIFE_US_MAX = 12_000_000
_LIFE_US_MIN = 1_000_000


def _carrying(order: Order, changes: Mapping[str, Any] | None = None, **instructions: Any) -> dict[str, Any]:
    return {**order, **(changes or {}), "instructions": {**NOTHING, **instructions}}


def _beyond(order: Order, middle_e8: int) -> int:
    """The order's price mirrored at the middle: where the other side is."""
    return 2 * middle_e8 - int(order["limit_price"])


def _triggered(kind: str) -> Callable[[Order, int, Random], dict[str, Any]]:
    def make(order: Order, middle_e8: int, chance: Random) -> dict[str, Any]:
        changes: dict[str, Any] = {"order_type": kind, "limit_price": None, "time_in_force": "gtc"}
        far_e8 = order["limit_price"] if kind == "market_if_touched" else _beyond(order, middle_e8)
        if kind == "stop_limit":
            changes["limit_price"] = _beyond(order, middle_e8)
        return _carrying(order, changes, stop_price=far_e8)

    return make


def _trailing(order: Order, middle_e8: int, chance: Random) -> dict[str, Any]:
    trail = {"trail_amount": ONE // 10} if chance.random() < 0.5 else {"trail_percent": ONE // 5}
    return _carrying(
        order, {"order_type": "trailing_stop", "limit_price": None, "time_in_force": "gtc"}, **trail
    )


def _pegged(order: Order, middle_e8: int, chance: Random) -> dict[str, Any]:
    peg = chance.choice(("bid", "ask", "mid"))
    return _carrying(order, {"order_type": "pegged"}, peg=peg)


def _prevented(order: Order, middle_e8: int, chance: Random) -> dict[str, Any]:
    """Crosses, also with orders of its own account."""
    way = chance.choice(("cancel_newest", "cancel_oldest", "cancel_both", "decrement"))
    return _carrying(order, {"limit_price": _beyond(order, middle_e8)}, stp=way)


_TIMES = ("at_close", "auction", "crossing")

# By name, so that a test can say that each came.
KINDS: dict[str, Callable[[Order, int, Random], dict[str, Any]]] = {
    "iceberg": lambda order, middle_e8, chance: _carrying(
        order, {"quantity": 40 * ONE}, display_quantity=4 * ONE
    ),
    "hidden": lambda order, middle_e8, chance: _carrying(order, hidden=True),
    "post-only": lambda order, middle_e8, chance: _carrying(
        order, {"limit_price": _beyond(order, middle_e8)}, post_only=chance.choice(("reject", "reprice"))
    ),
    "stop": _triggered("stop"),
    "stop-limit": _triggered("stop_limit"),
    "touched": _triggered("market_if_touched"),
    "trailing": _trailing,
    "pegged": _pegged,
    "all-or-none": lambda order, middle_e8, chance: _carrying(order, all_or_none=True),
    "minimum": lambda order, middle_e8, chance: _carrying(
        order, {"quantity": 20 * ONE}, min_quantity=10 * ONE
    ),
    # Its time counts from when it is sent.
    "gtd": lambda order, middle_e8, chance: _carrying(
        order, {"time_in_force": "gtd"}, expire_at_us=chance.randrange(_LIFE_US_MIN, LIFE_US_MAX)
    ),
    "time": lambda order, middle_e8, chance: {**order, "time_in_force": chance.choice(_TIMES)},
    "to-limit": lambda order, middle_e8, chance: {
        **order,
        "order_type": "market_to_limit",
        "limit_price": None,
    },
    "prevented": _prevented,
    "reduce-only": lambda order, middle_e8, chance: _carrying(order, reduce_only=True),
}


def special(order: Order, middle_e8: int, now_us: int, chance: Random) -> dict[str, Any]:
    """An order of some special kind, made of a plain one that rests, to be sent now."""
    made = KINDS[chance.choice(tuple(KINDS))](order, middle_e8, chance)
    if made["time_in_force"] == "gtd":
        made["instructions"]["expire_at_us"] += now_us
    return made


def linked(orders: list[dict[str, Any]], chance: Random) -> list[dict[str, Any]]:
    """Three orders as a list of its own: all of one account and symbol, each linked."""
    first = orders[0]
    shared = {name: first[name] for name in ("account", "symbol")}
    link = {"link_id": first["client_order_id"], "link_type": chance.choice(("oco", "oto", "bracket"))}
    return [_carrying(order, shared, **link) for order in orders]
