"""Happenings as lines of JSON: decimals as their shortest text, null where there is none."""

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from orjson import dumps

from schemas.numbers import format_e8

Happening = Mapping[str, Any]
Shown = dict[str, Any]


@lru_cache(maxsize=1 << 16)
def decimal(value_e8: int | None) -> str | None:
    """The text of a scaled integer."""
    return None if value_e8 is None else format_e8(value_e8)


def _order(happening: Happening, line: int, seq: int) -> Shown:
    return {
        "line": line,
        "seq": seq,
        "event": happening["event"],
        "symbol": happening["symbol"],
        "account": happening["account"],
        "client_order_id": happening["client_order_id"],
        "side": happening["side"],
        "status": happening["status"],
        "limit_price": decimal(happening["limit_price"]),
        "quantity": decimal(happening["quantity"]),
        "cum_quantity": decimal(happening["cum_quantity"]),
        "leaves_quantity": decimal(happening["leaves_quantity"]),
        "reason": happening["reason"],
    }


def _party(party: Happening) -> Shown:
    return {
        "account": party["account"],
        "client_order_id": party["client_order_id"],
        "cum_quantity": decimal(party["cum_quantity"]),
        "leaves_quantity": decimal(party["leaves_quantity"]),
        "status": party["status"],
    }


def _trade(happening: Happening, line: int, seq: int) -> Shown:
    return {
        "line": line,
        "seq": seq,
        "event": "trade",
        "trade_id": happening["trade_id"],
        "symbol": happening["symbol"],
        "price": decimal(happening["price"]),
        "quantity": decimal(happening["quantity"]),
        "aggressor_side": happening["aggressor_side"],
        "maker": _party(happening["maker"]),
        "taker": _party(happening["taker"]),
    }


def _prevented(happening: Happening, line: int, seq: int) -> Shown:
    return {
        "line": line,
        "seq": seq,
        "event": "self_trade_prevented",
        "symbol": happening["symbol"],
        "price": decimal(happening["price"]),
        "quantity": decimal(happening["quantity"]),
        "maker": _party(happening["maker"]),
        "taker": _party(happening["taker"]),
    }


def _session(happening: Happening, line: int, seq: int) -> Shown:
    said = {name: happening[name] for name in ("event", "symbol", "session", "reason")}
    return {"line": line, "seq": seq, **said}


def _indicative(happening: Happening, line: int, seq: int) -> Shown:
    numbers = {name: decimal(happening[name]) for name in ("price", "quantity", "imbalance")}
    return {"line": line, "seq": seq, "event": "indicative", "symbol": happening["symbol"], **numbers}


def _resting(happening: Happening, line: int, seq: int) -> Shown:
    shown = _order({**happening, "reason": "NONE"}, line, seq)
    del shown["reason"]
    shown |= {name: happening[name] for name in ("order_type", "time_in_force", "place")}
    return shown | {name: decimal(happening[name]) for name in ("price", "shown_quantity", "stop_price")}


SHOW: dict[str, Callable[[Happening, int, int], Shown]] = {
    **dict.fromkeys(
        (
            "accepted",
            "rejected",
            "triggered",
            "canceled",
            "cancel_rejected",
            "replaced",
            "replace_rejected",
            "expired",
        ),
        _order,
    ),
    "trade": _trade,
    "self_trade_prevented": _prevented,
    "session": _session,
    "indicative": _indicative,
    "resting": _resting,
}
EVENTS = (*SHOW, "book")


def shown(happening: Happening, line: int, seq: int) -> bytes:
    """A happening as a line of JSON without its end."""
    return dumps(SHOW[happening["event"]](happening, line, seq))


def shown_book(symbol: str, depth: Any, line: int, seq: int) -> bytes:
    """The displayed depth of a symbol as a line of JSON: [price, quantity, orders], best first."""
    bids, asks = ([[decimal(price), decimal(quantity), n] for price, quantity, n in side] for side in depth)
    book = {"line": line, "seq": seq, "event": "book", "symbol": symbol, "bids": bids, "asks": asks}
    return dumps(book)
