"""The engine by itself: dictionaries of commands in, dictionaries of happenings out.

What `oms match` reads and the differential test compares; the names are those of docs/matching.md. All
prices and quantities are integers scaled by 10^8, None where there is none.
"""

from collections.abc import Mapping
from typing import Any

from tables.engine import checks, lists, rows
from tables.engine.checking import check_market
from tables.engine.checks import Asked
from tables.engine.market import Market
from tables.engine.orders import KINDS, PLACES, PLAIN_FORCES, SESSIONS, Happening, Instructions, Order, used
from tables.instrument_rules import InstrumentRules

Words = dict[str, Any]


class Engine:
    """Markets of every symbol, or of those for which there are rules."""

    def __init__(self, instruments: Mapping[str, InstrumentRules] | None = None) -> None:
        self._instruments = instruments
        self._markets: dict[str, Market] = {}
        self._live: dict[str, Order] = {}

    def apply(self, command: Mapping[str, Any], at_us: int) -> list[Words]:
        """Takes one command; what happened, in order."""
        said = self._apply(command, at_us)
        self._let_go(command.get("symbol"))
        return said

    def refused(self, command: Mapping[str, Any]) -> None:
        """Takes note of a new order that was refused before it came here: others may be linked to it."""
        market = self._market(command["symbol"])
        if market is not None:
            lists.refused(market, order_of(command))
            market.lists_changed.clear()

    def wake(self, symbol: str, at_us: int) -> list[Words]:
        """What time alone made happen in a market until now."""
        market = self._markets.get(symbol)
        if market is None or at_us < market.wake_us:
            return []
        said = told(symbol, market.wake(at_us), {})
        self._let_go(symbol)
        return said

    def _let_go(self, symbol: str | None) -> None:
        """Nobody writes a changelog here; what it would carry must not pile up."""
        for market in self._markets.values() if symbol is None else (self._markets.get(symbol),):
            if market is not None:
                market.changed.clear()
                market.lists_changed.clear()

    def _apply(self, command: Mapping[str, Any], at_us: int) -> list[Words]:
        kind = command["type"]
        if kind == "new_order":
            return self._new(command, at_us)
        if kind == "cancel_order":
            return self._cancel(command, at_us)
        if kind == "replace_order":
            return self._replace(command, at_us)
        if kind == "mass_cancel":
            return self._mass_cancel(command, at_us)
        market = self._market(command["symbol"])
        if market is None:
            return []
        if kind == "quote":
            prices = [command.get(name) or 0 for name in ("bid", "ask", "last")]
            return told(market.symbol, market.quote(prices[0], prices[1], prices[2], at_us), command)
        return told(market.symbol, _control(market, command, at_us), command)

    def _market(self, symbol: str) -> Market | None:
        market = self._markets.get(symbol)
        if market is None:
            if self._instruments is None:
                rules: InstrumentRules | None = InstrumentRules(symbol)
            else:
                rules = self._instruments.get(symbol)
            if rules is None:
                return None
            market = self._markets[symbol] = Market(symbol, rules, self._live)
        return market

    def _new(self, command: Mapping[str, Any], at_us: int) -> list[Words]:
        symbol = command["symbol"]
        market = self._markets.get(symbol) or self._market(symbol)
        order = order_of(command)
        if market is None:
            order.leaves_e8 = 0
            return [_order_words("rejected", order, "rejected", "RISK_UNKNOWN_SYMBOL")]
        given = command.get("limit_price") is not None, command.get("stop_price") is not None
        reason = checks.invalid(order, given[0], given[1], market.rules, at_us)
        return told(symbol, market.new(order, at_us, reason), command)

    def _find(self, command: Mapping[str, Any]) -> Order | None:
        order = self._live.get(command["account"] + "\0" + command["order"])
        return order if order is not None and order.symbol == command["symbol"] else None

    def _cancel(self, command: Mapping[str, Any], at_us: int) -> list[Words]:
        market = self._market(command["symbol"])
        if market is None:
            return [_unknown("cancel_rejected", command)]
        said = market.cancel(self._find(command), at_us, "MATCHING_CANCELED_BY_REQUEST")
        return told(market.symbol, said, command)

    def _replace(self, command: Mapping[str, Any], at_us: int) -> list[Words]:
        market = self._market(command["symbol"])
        if market is None:
            return [_unknown("replace_rejected", command)]
        asked = Asked()
        asked.quantity_e8 = command.get("quantity")
        asked.limit_price_e8 = command.get("limit_price")
        asked.stop_price_e8 = command.get("stop_price")
        asked.display_e8 = command.get("display_quantity")
        asked.time_in_force = command.get("time_in_force")
        asked.expire_at_us = command.get("expire_at_us")
        client_order_id = command.get("client_order_id")
        if client_order_id:
            asked.client_order_id = client_order_id
            asked.alias = command["account"] + "\0" + client_order_id
        # What was due before must be told of the order under its former name.
        due = told(market.symbol, market.wake(at_us), {}) if at_us >= market.wake_us else []
        said = market.replace(self._find(command), asked, at_us, checked=False)
        return due + told(market.symbol, said, command)

    def _mass_cancel(self, command: Mapping[str, Any], at_us: int) -> list[Words]:
        symbol = command.get("symbol")
        symbols = sorted(self._markets) if symbol is None else [symbol]
        account, side = command.get("account"), command.get("side")
        words: list[Words] = []
        for name in symbols:
            market = self._market(name)
            if market is not None:
                said = market.mass_cancel(account or "", side or "", at_us)
                words += told(name, said, command)
        return words

    def resting(self) -> list[Words]:
        """Every live order, symbols by name, in listing order, with its state."""
        return [
            _resting_words(order)
            for symbol in sorted(self._markets)
            for order in self._markets[symbol].listing()
        ]

    def depth(self, symbol: str) -> tuple[list[tuple[int, int, int]], list[tuple[int, int, int]]]:
        """Displayed (price, quantity, orders) of bids and asks, best first."""
        market = self._markets.get(symbol)
        if market is None:
            return [], []
        bids, asks = market.bids.depth(), market.asks.depth()
        return [(*level,) for level in bids], [(*level,) for level in asks]

    def check(self) -> None:
        """Asserts what must be true between two commands."""
        for market in self._markets.values():
            check_market(market)

    def rows(self) -> list[tuple[str, Words]]:
        """(record name, row) of everything, as a changelog would have it."""
        return rows.of_markets(self._markets)

    def restore(self, records: list[tuple[str, Words]]) -> None:
        """Takes such rows, in any order, into an empty engine."""
        for kind, row in records:
            if kind == "BookRow":
                market = self._market(row["symbol"])
                assert market is not None, f"no rules for {row['symbol']}"
                rows.restore_market(market, row)
        rows.restore_lists(self._markets, [row for kind, row in records if kind == "ListRow"])
        orders = [rows.order_of(row) for kind, row in records if kind == "BookOrderRow"]
        rows.restore_orders(self._markets, orders)
        for order in orders:
            for alias in order.extra.aliases or () if order.extra is not None else ():
                self._live[alias] = order


def _control(market: Market, command: Mapping[str, Any], at_us: int) -> list[Happening]:
    action = command["action"]
    if action in SESSIONS:
        return market.set_session(action, at_us)
    if action == "uncross":
        return market.uncross(at_us)
    if action == "band":
        return market.set_band(command.get("low") or 0, command.get("high") or 0, at_us)
    assert action == "expire_day", f"action must be a session, uncross, band or expire_day, not {action}"
    return market.expire_day(at_us)


def order_of(command: Mapping[str, Any]) -> Order:
    """The order that a new_order asks for, its values unchecked."""
    get = command.get
    account, client_order_id = command["account"], command["client_order_id"]
    order_type, force = command["order_type"], get("time_in_force") or "day"
    order = Order(
        command["symbol"],
        account + "\0" + client_order_id,
        account,
        client_order_id,
        command["side"],
        order_type,
        force,
        command["quantity"],
        get("limit_price") or 0,
    )
    # A plain order has seven fields and some of three; one that has more may be anything.
    fields = 7 + ("limit_price" in command) + ("time_in_force" in command) + ("at_us" in command)
    if len(command) > fields or order_type not in ("limit", "market") or force not in PLAIN_FORCES:
        order.extra = instructions_of(command, order)
    return order


def instructions_of(command: Mapping[str, Any], order: Order) -> Instructions | None:
    """What a new_order carries beyond a plain order; None where that is nothing."""
    get = command.get
    extra = Instructions()
    extra.stop_price_e8 = extra.stop_e8 = get("stop_price") or 0
    extra.trail_amount_e8 = get("trail_amount") or 0
    extra.trail_percent_e8 = get("trail_percent") or 0
    extra.peg = get("peg") or ""
    extra.peg_offset_e8 = get("peg_offset") or 0
    extra.expire_at_us = get("expire_at_us") or 0
    extra.display_e8 = get("display_quantity") or 0
    extra.hidden = bool(get("hidden"))
    extra.min_quantity_e8 = get("min_quantity") or 0
    extra.all_or_none = bool(get("all_or_none"))
    post_only = get("post_only")
    extra.post_only = "reject" if post_only is True else post_only or ""
    extra.reduce_only = bool(get("reduce_only"))
    extra.stp = get("stp") or ""
    extra.stp_group = get("stp_group") or ""
    link = get("link")
    if link:
        extra.link_type, extra.link_id = link["type"], link.get("id") or ""
        parent = link.get("parent")
        if parent and extra.link_type != "oco":
            extra.parent_id = order.account + "\0" + parent
    plain = order.order_type in ("limit", "market") and order.time_in_force in PLAIN_FORCES
    return None if plain and not used(extra) else extra


def told(symbol: str, said: list[Happening], command: Mapping[str, Any]) -> list[Words]:
    """What happened in a market, in words."""
    words: list[Words] = []
    for happening in said:
        event = happening[0]
        if event == "trade":
            words.append(_trade_words(symbol, happening))
        elif event == "self_trade_prevented":
            words.append(_prevented_words(symbol, happening))
        elif event == "session":
            words.append({"event": event, "symbol": symbol, "session": happening[2], "reason": happening[3]})
        elif event == "indicative":
            words.append(_indicative_words(happening))
        elif event == "unknown":
            words.append(_unknown(happening[1], command))
        else:
            words.append(_happening_words(happening))
    return words


def _happening_words(happening: Happening) -> Words:
    event, order, status, _, quantity_e8, limit_e8, cum_e8, leaves_e8, _, reason, text = happening
    return {
        "event": event,
        "symbol": order.symbol,
        "account": order.account,
        "client_order_id": order.client_order_id,
        "side": order.side,
        "status": status,
        "limit_price": limit_e8 or None,
        "quantity": quantity_e8,
        "cum_quantity": cum_e8,
        "leaves_quantity": leaves_e8,
        "reason": reason,
        "text": text,
    }


def _order_words(event: str, order: Order, status: str, reason: str) -> Words:
    return {
        "event": event,
        "symbol": order.symbol,
        "account": order.account,
        "client_order_id": order.client_order_id,
        "side": order.side,
        "status": status,
        "limit_price": order.limit_price_e8 or None,
        "quantity": order.quantity_e8,
        "cum_quantity": order.cum_quantity_e8,
        "leaves_quantity": order.leaves_e8,
        "reason": reason,
        "text": "",
    }


def _unknown(event: str, command: Mapping[str, Any]) -> Words:
    """The refusal of a cancel or replace of an order that is not live."""
    return {
        "event": event,
        "symbol": command["symbol"],
        "account": command["account"],
        "client_order_id": command["order"],
        "side": None,
        "status": "rejected",
        "limit_price": None,
        "quantity": 0,
        "cum_quantity": 0,
        "leaves_quantity": 0,
        "reason": "MATCHING_UNKNOWN_ORDER",
        "text": "",
    }


def _trade_words(symbol: str, happening: Happening) -> Words:
    _, number, price_e8, quantity_e8, side, taker, status, _, _, _, cum_e8, leaves_e8, _ = happening[:13]
    maker, maker_status, _, _, _, maker_cum_e8, maker_leaves_e8, _ = happening[13:]
    return {
        "event": "trade",
        "trade_id": f"{symbol}-{number}",
        "symbol": symbol,
        "price": price_e8,
        "quantity": quantity_e8,
        "aggressor_side": side,
        "maker": _side_words(maker, maker_status, maker_cum_e8, maker_leaves_e8),
        "taker": _side_words(taker, status, cum_e8, leaves_e8),
    }


def _side_words(order: Order, status: str, cum_e8: int, leaves_e8: int) -> Words:
    return {
        "account": order.account,
        "client_order_id": order.client_order_id,
        "side": order.side,
        "cum_quantity": cum_e8,
        "leaves_quantity": leaves_e8,
        "status": status,
    }


def _prevented_words(symbol: str, happening: Happening) -> Words:
    _, price_e8, quantity_e8, maker, maker_status, maker_cum_e8, maker_leaves_e8 = happening[:7]
    taker, status, cum_e8, leaves_e8 = happening[7:]
    return {
        "event": "self_trade_prevented",
        "symbol": symbol,
        "price": price_e8,
        "quantity": quantity_e8,
        "maker": _side_words(maker, maker_status, maker_cum_e8, maker_leaves_e8),
        "taker": _side_words(taker, status, cum_e8, leaves_e8),
    }


def _indicative_words(happening: Happening) -> Words:
    event, symbol, price_e8, quantity_e8, imbalance_e8 = happening
    return {
        "event": event,
        "symbol": symbol,
        "price": price_e8 or None,
        "quantity": quantity_e8,
        "imbalance": imbalance_e8,
    }


def _resting_words(order: Order) -> Words:
    extra = order.extra
    words = _order_words("resting", order, order.status, "NONE")
    del words["reason"], words["text"]
    words["order_type"] = order.order_type
    words["time_in_force"] = order.time_in_force
    words["place"] = PLACES[0 if extra is None else extra.place]
    words["price"] = order.price_e8 or None if words["place"] == "book" else None
    words["shown_quantity"] = order.shown_e8() if words["place"] == "book" else 0
    words["stop_price"] = extra.stop_e8 or None if extra is not None else None
    return words


__all__ = ["KINDS", "Engine", "instructions_of", "order_of"]
