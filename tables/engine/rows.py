"""Rows of a market for a changelog, and back: what must be known to go on as if nothing had happened."""

from collections.abc import Mapping
from typing import Any

from tables.engine import triggers
from tables.engine.checking import check_uncrossed
from tables.engine.lists import OrderList
from tables.engine.market import Market
from tables.engine.orders import (
    BOOK,
    CONTINGENT,
    HELD,
    LIMIT,
    MARKET,
    PARKED,
    PEGGED,
    PLACES,
    PLAIN_FORCES,
    TRIGGER,
    TRIGGERS,
    Instructions,
    Order,
)

Row = dict[str, Any]

_INSTRUCTIONS = (
    ("stop_price", "stop_price_e8"),
    ("trail_amount", "trail_amount_e8"),
    ("trail_percent", "trail_percent_e8"),
    ("peg_offset", "peg_offset_e8"),
    ("expire_at_us", "expire_at_us"),
    ("display_quantity", "display_e8"),
    ("hidden", "hidden"),
    ("min_quantity", "min_quantity_e8"),
    ("all_or_none", "all_or_none"),
    ("reduce_only", "reduce_only"),
    ("stp_group", "stp_group"),
    ("link_id", "link_id"),
    ("link_parent", "parent_id"),
)
# Enums whose "nothing" has a name on the wire, and is empty here.
_ENUMS = (("peg", "none"), ("post_only", "none"), ("stp", "unset"), ("link_type", "none"))


def instructions_of(message: Mapping[str, Any]) -> Instructions:
    """Instructions from their record."""
    extra = Instructions()
    for field, attribute in _INSTRUCTIONS:
        setattr(extra, attribute, message[field])
    for field, nothing in _ENUMS:
        setattr(extra, field, "" if message[field] == nothing else message[field])
    extra.stop_e8 = extra.stop_price_e8
    return extra


def instructions_row(extra: Instructions) -> Row:
    """The record of instructions."""
    row: Row = {field: getattr(extra, attribute) for field, attribute in _INSTRUCTIONS}
    for field, nothing in _ENUMS:
        row[field] = getattr(extra, field) or nothing
    return row


def market_row(market: Market) -> Row | None:
    """The MarketState; None for a market in which nothing happened yet that must be known."""
    price_e8, quantity_e8, imbalance_e8 = market.indicative
    row: Row = {
        "session": market.session,
        "low": market.low_e8,
        "high": market.high_e8,
        "last": market.last_e8,
        "last_us": market.last_us,
        "bid": market.bid_e8,
        "ask": market.ask_e8,
        "static_reference": market.static_e8,
        "limit_since_us": max(market.limit_since_us, 0),
        "entries": market.arrivals,
        "indicative_price": price_e8,
        "indicative_quantity": quantity_e8,
        "indicative_imbalance": imbalance_e8,
        "interrupted": market.interrupted or "continuous",
    }
    return row


def book_row(market: Market, updates: int) -> Row:
    """The BookRow."""
    return {
        "symbol": market.symbol,
        "trades": market.trades,
        "updates": updates,
        "arrivals": market.arrivals,
        "market": market_row(market),
    }


def order_row(order: Order) -> Row:
    """The BookOrderRow; `state` only of an order that does not simply rest where it came to rest first."""
    extra = order.extra
    row: Row = {
        "symbol": order.symbol,
        "account": order.account,
        "client_order_id": order.client_order_id,
        "entry_id": order.entry_id,
        "order_id": order.order_id,
        "side": order.side,
        "order_type": order.order_type,
        "time_in_force": order.time_in_force,
        "quantity": order.quantity_e8,
        "limit_price": order.limit_price_e8,
        "cum_quantity": order.cum_quantity_e8,
        "cum_notional": order.cum_notional_e16,
        "arrival": order.arrival,
        "version": order.version,
        "entered_by": order.entered_by,
        "door": order.door,
    }
    if extra is not None:
        row["instructions"] = instructions_row(extra)
        row["state"] = {
            "place": PLACES[extra.place],
            "entry": order.entry,
            "shown": extra.shown_e8,
            "stop": extra.stop_e8,
            "triggered": extra.triggered,
            "price": order.price_e8,
        }
    elif order.entry != order.arrival or not order.price_e8:
        row["state"] = {
            "place": "book",
            "entry": order.entry,
            "shown": 0,
            "stop": 0,
            "triggered": False,
            "price": order.price_e8,
        }
    return row


def list_row(symbol: str, found: OrderList) -> Row:
    """The ListRow."""
    return {
        "symbol": symbol,
        "account": found.account,
        "link_id": found.link_id,
        "link_type": found.link_type,
        "parent": found.parent_id,
        "stage": found.stage,
        "parent_quantity": found.parent_quantity_e8,
    }


def of_markets(markets: Mapping[str, Market]) -> list[tuple[str, Row]]:
    """(record name, row) of everything; further keys of orders ride along under `aliases`."""
    rows: list[tuple[str, Row]] = []
    for market in markets.values():
        rows.append(("BookRow", book_row(market, 0)))
        rows += [("ListRow", list_row(market.symbol, found)) for found in market.lists.values()]
        for order in market.listing():
            aliases = None if order.extra is None else order.extra.aliases
            rows.append(("BookOrderRow", order_row(order) | {"aliases": aliases}))
    return rows


def restore_market(market: Market, row: Mapping[str, Any]) -> None:
    """Takes what a market knows from its BookRow."""
    market.trades = row["trades"]
    market.arrivals = row["arrivals"]
    state = row.get("market")
    if state is None:
        return
    market.session = state["session"]
    market.interrupted = state["interrupted"] if state["session"] == "halt" else ""
    market.low_e8, market.high_e8 = state["low"], state["high"]
    market.last_e8, market.last_us = state["last"], state["last_us"]
    market.bid_e8, market.ask_e8 = state["bid"], state["ask"]
    market.static_e8 = state["static_reference"]
    market.limit_since_us = state["limit_since_us"] or -1
    market.indicative = (
        state["indicative_price"],
        state["indicative_quantity"],
        state["indicative_imbalance"],
    )


def restore_lists(markets: Mapping[str, Market], rows: list[Row]) -> None:
    """Takes lists from their ListRows; members find them by themselves."""
    for row in rows:
        found = OrderList(row["account"], row["link_id"], row["link_type"], row["parent"])
        found.stage = row["stage"]
        found.parent_quantity_e8 = row["parent_quantity"]
        markets[row["symbol"]].lists[found.account, found.link_id] = found


def order_of(row: Mapping[str, Any]) -> Order:
    """A live order from its BookOrderRow."""
    order = Order(
        row["symbol"],
        row["order_id"],
        row["account"],
        row["client_order_id"],
        row["side"],
        row["order_type"],
        row["time_in_force"],
        row["quantity"],
        row["limit_price"],
    )
    order.entry_id = row["entry_id"]
    order.cum_quantity_e8 = row["cum_quantity"]
    order.cum_notional_e16 = row["cum_notional"]
    order.leaves_e8 = order.quantity_e8 - order.cum_quantity_e8
    order.arrival = order.entry = row["arrival"]
    order.version = row["version"]
    order.status = "partially_filled" if order.cum_quantity_e8 else "new"
    order.entered_by, order.door = row["entered_by"], row["door"]
    order.logged = True
    if row.get("instructions") is not None:
        order.extra = instructions_of(row["instructions"])
        order.extra.place = BOOK
        order.extra.aliases = row.get("aliases")
    elif order.order_type not in ("limit", "market") or order.time_in_force not in PLAIN_FORCES:
        order.extra = Instructions()
        order.extra.place = BOOK
    state = row.get("state")
    if state is not None:
        _restore_state(order, state)
    return order


def _restore_state(order: Order, state: Mapping[str, Any]) -> None:
    order.entry = state["entry"]
    order.price_e8 = state["price"]
    extra = order.extra
    if extra is not None:
        extra.place = PLACES.index(state["place"])
        extra.shown_e8, extra.stop_e8 = state["shown"], state["stop"]
        extra.triggered = state["triggered"]
        if extra.triggered:
            order.kind = LIMIT if order.order_type == "stop_limit" else MARKET
    if order.order_type == "market_to_limit" and order.price_e8:
        order.kind = LIMIT


def restore_orders(markets: Mapping[str, Market], orders: list[Order]) -> None:
    """Puts restored orders where they were, once their markets and lists are known; asserts what can be."""
    orders.sort(key=_arrival)
    for order in orders:
        market = markets[order.symbol]
        assert order.leaves_e8 > 0, f"{order.order_id} rests with nothing open"
        assert order.arrival <= market.arrivals, f"{order.order_id} came after {market.arrivals}"
        market.live[order.order_id] = order
        _restore_place(market, order)
    for market in markets.values():
        check_uncrossed(market)
        market.bids.changes()
        market.asks.changes()
        market.changed.clear()
        market.fresh.clear()
        market.settle()


def _restore_place(market: Market, order: Order) -> None:
    extra = order.extra
    place = BOOK if extra is None else extra.place
    if place == BOOK:
        shown_e8 = 0 if extra is None else extra.shown_e8
        market.rest(order, order.arrival)
        if extra is not None and extra.display_e8 and order.level is not None:
            market.side_of(order).show(order, shown_e8, order.leaves_e8)
    elif place == TRIGGERS:
        triggers.restore(market, order)
    elif place in (CONTINGENT, PARKED, HELD):
        market.put(order, place)
    if extra is None:
        return
    if order.kind == PEGGED:
        market.pegs[order.entry] = order
    if order.time_in_force == "gtd":
        market.set_expiry(order)
    if extra.link_type:
        found = market.lists[order.account, extra.link_id]
        found.members[order.entry] = order
        extra.list = found
        market.joined[order.account, extra.link_id] = found


def _arrival(order: Order) -> int:
    return order.arrival


__all__ = ["TRIGGER", "book_row", "list_row", "order_of", "order_row", "restore_market", "restore_orders"]
