"""Messages for tests of tables, written as people say them: decimals as strings."""

from typing import Any

from schemas.codec import defaults
from schemas.numbers import parse_e8
from schemas.records import Record
from tables.reference import Instruments, ReferencePrices

NOON_US = 1_800_014_400_000_000  # 2027-01-15T12:00:00Z
HOUR_US = 3_600_000_000


def e8(value: str | int) -> int:
    """A decimal string scaled by 10^8; an integer is scaled already."""
    return parse_e8(value) if isinstance(value, str) else value


def instrument(symbol: str = "AAPL", **changes: Any) -> dict[str, Any]:
    """An Instrument message; ticks as pairs of strings."""
    fields: dict[str, Any] = {
        **defaults("Instrument"),
        "symbol": symbol,
        "name": "",
        "asset_class": "equity",
        "currency": "USD",
        "ticks": [("0", "0.01")],
        "lot_size": "1",
        "multiplier": "1",
        "sector": "",
        "status": "active",
        "lane": None,
        "band_bps": 1000,
        "max_quote_age_ms": 10_000,
        "at_us": 0,
    } | changes
    ticks = [{"from_price": e8(start), "tick_size": e8(size)} for start, size in fields["ticks"]]
    return fields | {"ticks": ticks} | {name: e8(fields[name]) for name in ("lot_size", "multiplier")}


def market(*symbols: str, **changes: Any) -> tuple[Instruments, ReferencePrices]:
    """Instruments of these symbols, and no reference price yet."""
    instruments = Instruments()
    for symbol in symbols:
        instruments.put(instrument(symbol, **changes))
    return instruments, ReferencePrices()


def _who(message: dict[str, Any]) -> dict[str, Any]:
    return message | {"entered_us": 0, "entered_by": "", "door": "kafka"}


def _record(kind: str, message: dict[str, Any], changes: dict[str, Any]) -> Record:
    offset, logged_us = changes.pop("offset", 7), changes.pop("logged_us", NOON_US)
    return Record(kind, message | changes, offset, logged_us)


def new_order(client_order_id: str = "c1", words: str = "buy 10 AAPL 100", **changes: Any) -> Record:
    """A NewOrder; `words` are side, quantity, symbol, and a limit price or `market`."""
    side, quantity, symbol, price = words.split()
    message = {
        "account": "alice",
        "client_order_id": client_order_id,
        "symbol": symbol,
        "side": side,
        "order_type": "market" if price == "market" else "limit",
        "quantity": e8(quantity),
        "limit_price": None if price == "market" else e8(price),
        "time_in_force": "gtc",
    }
    return _record("NewOrder", _who(message), changes)


def cancel_order(order: str = "c1", **changes: Any) -> Record:
    """A CancelOrder with the id `x1`."""
    message = {"account": "alice", "order": order, "client_order_id": "x1", "symbol": ""}
    return _record("CancelOrder", _who(message), changes)


def replace_order(
    order: str = "c1", quantity: str | None = None, price: str | None = None, **changes: Any
) -> Record:
    """A ReplaceOrder that gives no new id."""
    message = {
        "account": "alice",
        "order": order,
        "client_order_id": "",
        "symbol": "",
        "quantity": None if quantity is None else e8(quantity),
        "limit_price": None if price is None else e8(price),
    }
    return _record("ReplaceOrder", _who(message), changes)


def mass_cancel(**changes: Any) -> Record:
    """A MassCancel of everything, with the id `m1`."""
    message = {"account": "alice", "client_order_id": "m1", "symbol": "", "side": "unknown"}
    return _record("MassCancel", _who(message), changes)


def set_account(account: str = "alice", status: str = "active", **changes: Any) -> Record:
    """A SetAccount without control_id."""
    message = {"account": account, "control_id": "", "status": status, "name": "", "cancel_orders": False}
    return _record("SetAccount", _who(message), changes)


def set_limits(account: str = "alice", quantity: str = "0", notional: str = "0", **changes: Any) -> Record:
    """A SetLimits without control_id."""
    message = {
        "account": account,
        "control_id": "",
        "max_order_quantity": e8(quantity),
        "max_order_notional": e8(notional),
        "allow_short": False,
    }
    return _record("SetLimits", _who(message), changes)


def move_cash(account: str, amount: str | int, currency: str = "USD", **changes: Any) -> Record:
    """A MoveCash without control_id."""
    message = {
        "account": account,
        "control_id": "",
        "currency": currency,
        "amount": e8(amount),
        "text": "",
    }
    return _record("MoveCash", _who(message), changes)


def move_holding(account: str, quantity: str, symbol: str = "AAPL", **changes: Any) -> Record:
    """A MoveHolding without control_id."""
    message = {"account": account, "control_id": "", "symbol": symbol, "quantity": e8(quantity), "text": ""}
    return _record("MoveHolding", _who(message), changes)


def execution(
    client_order_id: str, execution_type: str, leaves: str = "0", version: int = 2, **changes: Any
) -> Record:
    """An Execution of an order of alice."""
    numbers = ("last_quantity", "last_price", "quantity", "limit_price")
    message = {
        "account": "alice",
        "client_order_id": client_order_id,
        "execution_type": execution_type,
        "leaves_quantity": e8(leaves),
        "request_id": "",
        "reason": "NONE",
        "version": version,
        "request_offset": 7,
        "text": "",
    } | {name: e8(changes.pop(name, 0)) for name in numbers}
    return _record("Execution", message, changes)


def fill(client_order_id: str, words: str, leaves: str = "0", version: int = 2, **changes: Any) -> Record:
    """A fill; `words` are quantity and price, as in `4 @ 99.5`."""
    quantity, _, price = words.split()
    return execution(
        client_order_id, "fill", leaves, version, last_quantity=quantity, last_price=price, **changes
    )


def cleared_order(words: str = "buy 10 AAPL 100", **changes: Any) -> Record:
    """A ClearedOrder of alice's c1; `words` as for `new_order`."""
    side, quantity, symbol, price = words.split()
    message = {
        "account": "alice",
        "client_order_id": "c1",
        "order_id": "ORDER-C1",
        "symbol": symbol,
        "side": side,
        "order_type": "limit",
        "quantity": e8(quantity),
        "limit_price": e8(price),
        "time_in_force": "gtc",
        "request_offset": 7,
    }
    return _record("ClearedOrder", _who(message), changes)


def cleared_replace(symbol: str, quantity: str = "0", price: str = "0", **changes: Any) -> Record:
    """A ClearedReplace of alice's c1, now c1b, of which 10 of 30 are filled at 100."""
    message = {
        "account": "alice",
        "client_order_id": "c1",
        "order_id": "ORDER-C1",
        "symbol": symbol,
        "request_id": "",
        "quantity": e8(quantity),
        "limit_price": e8(price),
        "request_offset": 7,
        "latest_id": "c1b",
        "side": "buy",
        "order_type": "limit",
        "time_in_force": "gtc",
        "status": "partially_filled",
        "version": 3,
        "current_quantity": e8("30"),
        "current_limit_price": e8("100"),
        "cum_quantity": e8("10"),
        "average_price": e8("100"),
        "entered_by": "",
        "door": "kafka",
    }
    return _record("ClearedReplace", message, changes)


def cleared_cancel(symbol: str) -> Record:
    """A ClearedCancel of alice's c1."""
    message = {
        "account": "alice",
        "client_order_id": "c1",
        "order_id": "ORDER-C1",
        "symbol": symbol,
        "request_id": "",
        "reason": "NONE",
        "request_offset": 7,
    }
    return _record("ClearedCancel", message, {})


def cleared_status_request(symbol: str) -> Record:
    """A ClearedStatusRequest for alice's c1."""
    message = {
        "account": "alice",
        "client_order_id": "c1",
        "order_id": "ORDER-C1",
        "symbol": symbol,
        "request_offset": 7,
    }
    return _record("ClearedStatusRequest", message, {})


def quote(symbol: str, bid: str | int, ask: str | int, last: str = "0", **changes: Any) -> Record:
    """A Quote."""
    sizes = {"bid_size": e8("1"), "ask_size": e8("1"), "last_size": 0}
    message = {"symbol": symbol, "bid": e8(bid), "ask": e8(ask), "last": e8(last), "venue": "", "at_us": 0}
    return _record("Quote", message | sizes, changes)


def symbol_control(kind: str, symbol: str = "AAPL", **changes: Any) -> Record:
    """A control of a symbol without control_id; `changes` has what its kind asks for."""
    return _record(kind, _who({"symbol": symbol, "control_id": ""}), changes)
