"""Matching: the markets of a lane, and what their orders, their owners and onlookers are told.

The rules of trading are those of docs/matching.md, which the engine (`tables/engine`) follows. Here:
- A cleared request or a control of a symbol becomes a command of its market; what happened there becomes
  events for everyone, executions for accounts, trades, and rows for the changelog.
- `request_offset` of an event names the request of the same account that caused it: what happens to the
  order of a request carries that of the request, what it causes for others -1.
- A cancel of an order that is not live is refused to whoever asked for it. Of a mass cancel or a kill
  switch nobody is told so: what they wanted is so already.
- A control of a symbol that comes here was found valid by risk; it is applied and reported here.
- A quote is taken where the market needs it (`watched`), and said as it was taken.
- Values of plain orders were found valid by accounts and risk; those of others are looked at again.
- What time alone brings about (`due_us`) is said at the beginning of a cycle, before a status can be asked.

A lane asks `end_cycle` before `changed_rows`: an update of a book counts in the book's row.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from schemas.reasons import Reason
from schemas.records import Record, Row, Said
from tables.book_orders import (
    asked_of,
    event,
    execution,
    fill_event,
    order_of,
    order_state,
    unknown_event,
    unknown_execution,
    with_terms,
)
from tables.engine import checks, rows
from tables.engine.checking import check_market
from tables.engine.market import NEVER_US
from tables.engine.orders import CALLS, Happening, Order
from tables.instrument_rules import InstrumentRules
from tables.markets import Market
from tables.reference import Instruments

# A cancel for one of these was asked for by someone, who is owed an answer.
_ASKED_FOR = ("NONE", "MATCHING_CANCELED_BY_REQUEST")
# Events that end an order, and so what its account has reserved.
_ENDS = ("canceled", "expired", "rejected")
# Events that answer a request of their order.
_ANSWERS = ("canceled", "replaced", "replace_rejected")
_WITH_LIMIT = ("limit", "stop_limit")


class Matching:
    """The books of a lane's symbols."""

    def __init__(self, lane: int, instruments: Instruments) -> None:
        """Made like the other tables of a lane; an instrument's rules are taken as they are when needed."""
        self._instruments = instruments
        self._markets: dict[str, Market] = {}
        self._live: dict[str, Order] = {}
        # Symbols whose markets need every quote.
        self.watched: set[str] = set()
        # Symbols of whose markets time alone will change something, and when.
        self._due_us: dict[str, int] = {}
        # Changed since changed_rows was asked last; an order's None says that its row must go.
        self._changed_markets: dict[str, Market] = {}
        self._changed_orders: dict[str, Order | None] = {}
        self._restoring: list[Order] = []
        self._restoring_lists: list[dict[str, Any]] = []

    def apply(self, record: Record, at_us: int) -> list[Said]:
        """Takes a cleared request, a control of a symbol or a quote; says what happened, in that order."""
        return _HANDLERS[record.kind](self, record, at_us)

    def due_us(self) -> int:
        """When an order may expire, or a limit state or a pause be over; 0: nothing is due ever."""
        return min(self._due_us.values(), default=0)

    def begin_cycle(self, at_us: int) -> list[Said]:
        """Says what was due until now; a record of the same market would have brought it about as well."""
        said: list[Said] = []
        for symbol in [symbol for symbol, due_us in self._due_us.items() if due_us <= at_us]:
            market = self._market(symbol)
            said += self._told(market, market.core.wake(at_us), None, -1, "", at_us)
        return said

    def end_cycle(self, at_us: int) -> list[Said]:
        """One BookUpdate for every book that looks different now."""
        updates = [market.update(at_us) for market in self._changed_markets.values()]
        return [update for update in updates if update is not None]

    def changed_rows(self) -> Iterator[Row]:
        """Rows changed since the last call, to be read whole; an order that came and went leaves none."""
        markets, self._changed_markets = self._changed_markets, {}
        for symbol, market in markets.items():
            yield Row(f"book|{symbol}", "BookRow", market.row())
            yield from self._list_rows(market)
        orders, self._changed_orders = self._changed_orders, {}
        for order_id, order in orders.items():
            if order is not None:
                order.logged = True
            yield Row(order_id, "BookOrderRow", None if order is None else rows.order_row(order))

    def _list_rows(self, market: Market) -> list[Row]:
        core, changed = market.core, []
        for key, found in core.lists_changed.items():
            row = rows.list_row(core.symbol, found) if core.lists.get(key) is found else None
            changed.append(Row(f"list|{core.symbol}|{found.account}|{found.link_id}", "ListRow", row))
        core.lists_changed.clear()
        return changed

    # Restoring.

    def restore(self, kind: str, row: Mapping[str, Any]) -> None:
        """Takes a row of the changelog, in any order."""
        market = self._known(row["symbol"])
        if kind == "BookRow":
            market.restore(row)
        elif kind == "ListRow":
            self._restoring_lists.append(dict(row))
        else:
            order = rows.order_of(row)
            order.symbol = market.symbol
            self._restoring.append(order)

    def restored(self) -> None:
        """Puts the restored orders where they were, oldest first; asserts that they can be true."""
        cores = {symbol: market.core for symbol, market in self._markets.items()}
        rows.restore_lists(cores, self._restoring_lists)
        rows.restore_orders(cores, self._restoring)
        self._restoring.clear()
        self._restoring_lists.clear()
        for market in self._markets.values():
            self._watch(market)
            self._note_due(market)

    def check(self) -> None:
        """Asserts what must be true of every book and order between two records; for tests."""
        for market in self._markets.values():
            check_market(market.core)

    def resting(self, symbol: str) -> list[Order]:
        """Every live order of a symbol: bids and asks by priority, then those that are not in the book."""
        market = self._markets.get(symbol)
        return [] if market is None else market.core.listing()

    # Markets.

    def _known(self, symbol: str) -> Market:
        market = self._markets.get(symbol)
        if market is None:
            market = self._markets[symbol] = Market(symbol, None, self._live)
        instrument = self._instruments.get(symbol)
        if instrument is not market.instrument:
            market.instrument = instrument
            market.core.take_rules(InstrumentRules(symbol) if instrument is None else instrument.rules)
        return market

    def _market(self, symbol: str) -> Market:
        """The market of a symbol, from now on counted as changed; its rules are looked at once a cycle."""
        market = self._changed_markets.get(symbol)
        if market is None:
            market = self._changed_markets[symbol] = self._known(symbol)
        return market

    def _find(self, message: Mapping[str, Any]) -> Order | None:
        order = self._live.get(message["order_id"])
        return None if order is None or order.symbol != message["symbol"] else order

    def _watch(self, market: Market) -> None:
        """Keeps account of whether a market needs quotes."""
        core = market.core
        if core.triggers or core.pegs or core.session in CALLS or core.rules.dynamic_collar_bps:
            self.watched.add(core.symbol)
        else:
            self.watched.discard(core.symbol)

    def _note_due(self, market: Market) -> None:
        """Keeps account of when time alone will change a market."""
        wake_us = market.core.wake_us
        if wake_us < NEVER_US:
            self._due_us[market.symbol] = wake_us
        else:
            self._due_us.pop(market.symbol, None)

    def _remember(self, order: Order) -> None:
        """Has the row of a live order written, or taken away once it ended."""
        if order.leaves_e8:
            self._changed_orders[order.order_id] = order
        elif order.logged:
            self._changed_orders[order.order_id] = None
        else:
            self._changed_orders.pop(order.order_id, None)

    # Requests.

    def _new(self, record: Record, at_us: int) -> list[Said]:
        message = record.message
        market = self._market(message["symbol"])
        order = order_of(message, market.symbol)
        reason = ""
        if order.extra is not None:
            given = order.order_type in _WITH_LIMIT
            reason = checks.invalid(order, given, order.extra.stop_price_e8 != 0, market.core.rules, at_us)
        happened = market.core.new(order, at_us, reason)
        return self._told(market, happened, order, message["request_offset"], "", at_us)

    def _cancel(self, record: Record, at_us: int) -> list[Said]:
        message = record.message
        reason: Reason = message["reason"]
        order = self._find(message)
        market = self._known(message["symbol"])
        given = "MATCHING_CANCELED_BY_REQUEST" if reason == "NONE" else reason
        happened = market.core.cancel(order, at_us, given)
        return self._answer(market, happened, order, message, reason in _ASKED_FOR, at_us)

    def _answer(
        self,
        market: Market,
        happened: list[Happening],
        order: Order | None,
        message: Mapping[str, Any],
        asked_for: bool,
        at_us: int,
    ) -> list[Said]:
        """Says what a cancel or replace did; whoever asked for it hears that its order was not live."""
        known = [happening for happening in happened if happening[0] != "unknown"]
        refused: list[Said] = []
        if len(known) < len(happened) and asked_for:
            name = next(happening[1] for happening in happened if happening[0] == "unknown")
            refused = [unknown_event(name, message, at_us)]
            if name == "replace_rejected":
                refused.append(unknown_execution(name, message))
        if not known:
            return refused
        self._changed_markets[market.symbol] = market
        offset, request_id = message["request_offset"], message["request_id"]
        said = self._told(market, known, order, offset, request_id, at_us)
        return said + refused if refused else said

    def _replace(self, record: Record, at_us: int) -> list[Said]:
        message = record.message
        order = self._find(message)
        market = self._known(message["symbol"])
        happened = market.core.replace(order, asked_of(message), at_us, checked=True)
        said = self._answer(market, happened, order, message, True, at_us)
        if message.get("changes") is None or order is None:
            return said
        return [with_terms(words, order) for words in said]

    def _tell_status(self, record: Record, at_us: int) -> list[Said]:
        order = self._find(record.message)
        if order is None:
            return [unknown_execution("status_unknown", record.message)]
        return [order_state("order_status", order, record.message["request_offset"], at_us)]

    def _quote(self, record: Record, at_us: int) -> list[Said]:
        """Takes a quote that differs from what the market knows; a last price older than its own is none."""
        quote = record.message
        core = self._known(quote["symbol"]).core
        bid_e8, ask_e8 = quote["bid"], quote["ask"]
        last_e8 = quote["last"] if record.logged_us > core.last_us else 0
        if (bid_e8, ask_e8) == (core.bid_e8, core.ask_e8) and last_e8 in (0, core.last_e8):
            return []
        market = self._market(quote["symbol"])
        taken: Said = (
            "QuoteTaken",
            {
                "symbol": market.symbol,
                "bid": bid_e8,
                "ask": ask_e8,
                "last": last_e8,
                "at_us": at_us,
            },
        )
        happened = core.quote(bid_e8, ask_e8, last_e8, at_us)
        return [taken, *self._told(market, happened, None, -1, "", at_us)]

    # Controls.

    def _set_symbol_state(self, record: Record, at_us: int) -> list[Said]:
        """Whether new orders pass is risk's business; live ones are canceled when that is wanted."""
        if record.message["cancel_orders"]:
            return self._cancel_symbol(record, at_us)
        return [_control_report(record, "", at_us)]

    def _set_price_band(self, record: Record, at_us: int) -> list[Said]:
        """The band around quotes is risk's; resting orders stay, whatever their price."""
        return [_control_report(record, "", at_us)]

    def _cancel_symbol(self, record: Record, at_us: int) -> list[Said]:
        core = self._market(record.message["symbol"]).core
        orders = core.listing()
        happened = core.end_all(orders, "canceled", "MATCHING_CANCELED_BY_OPERATOR", at_us)
        return self._controlled(record, happened, f"orders={_ended(happened)}", at_us)

    def _expire_day(self, record: Record, at_us: int) -> list[Said]:
        happened = self._market(record.message["symbol"]).core.expire_day(at_us)
        return self._controlled(record, happened, f"orders={_ended(happened)}", at_us)

    def _set_session(self, record: Record, at_us: int) -> list[Said]:
        core = self._market(record.message["symbol"]).core
        return self._controlled(record, core.set_session(record.message["session"], at_us), "", at_us)

    def _uncross(self, record: Record, at_us: int) -> list[Said]:
        core = self._market(record.message["symbol"]).core
        return self._controlled(record, core.uncross(at_us), "", at_us)

    def _set_trading_band(self, record: Record, at_us: int) -> list[Said]:
        message = record.message
        core = self._market(message["symbol"]).core
        return self._controlled(record, core.set_band(message["low"], message["high"], at_us), "", at_us)

    def _controlled(self, record: Record, happened: list[Happening], text: str, at_us: int) -> list[Said]:
        market = self._market(record.message["symbol"])
        said = self._told(market, happened, None, -1, "", at_us)
        said.append(_control_report(record, text, at_us))
        return said

    # What is said.

    def _told(
        self,
        market: Market,
        happened: list[Happening],
        subject: Order | None,
        offset: int,
        request_id: str,
        at_us: int,
    ) -> list[Said]:
        """Says what happened; `subject` is the order of the request with the given offset and id."""
        said: list[Said] = []
        for happening in happened:
            name = happening[0]
            if name == "accepted":
                said.append(event(happening, offset, "", at_us))
            elif name == "trade":
                self._tell_trade(happening, subject, offset, at_us, said)
            elif name in _OTHERS:
                said.append(_OTHERS[name](market.symbol, happening, at_us))
            else:
                own = happening[1] is subject
                answered = request_id if own and name in _ANSWERS else ""
                self._tell_event(happening, offset if own else -1, answered, at_us, said)
                if answered:
                    request_id = ""
        if subject is not None:
            self._remember(subject)
        core = market.core
        if core.changed:
            for order in core.changed:
                self._remember(order)
            core.changed.clear()
        if core.unusual or core.triggers or self.watched:
            self._watch(market)
        if core.wake_us < NEVER_US or self._due_us:
            self._note_due(market)
        return said

    def _tell_event(
        self, happening: Happening, offset: int, request_id: str, at_us: int, said: list[Said]
    ) -> None:
        said.append(event(happening, offset, request_id, at_us))
        name, order, _, version, quantity_e8, limit_e8, _, leaves_e8, _, reason, _ = happening
        if name in _EXECUTED:
            answered = "" if name == "canceled" else request_id
            said.append(
                execution(
                    name, order, version, quantity_e8, limit_e8, leaves_e8, offset, reason, answered, 0, 0
                )
            )
        self._remember(order)

    def _tell_trade(
        self, happening: Happening, subject: Order | None, offset: int, at_us: int, said: list[Said]
    ) -> None:
        (
            _, number, price_e8, last_e8, aggressor_side,
            taker, status, version, quantity_e8, limit_e8, cum_e8, leaves_e8, notional_e16,
            maker, maker_status, maker_version, maker_quantity_e8, maker_limit_e8, maker_cum_e8,
            maker_leaves_e8, maker_notional_e16,
        ) = happening  # fmt: skip
        takers = offset if taker is subject else -1
        makers = offset if maker is subject else -1
        trade = {
            "trade_id": f"{taker.symbol}-{number}",
            "symbol": taker.symbol,
            "sequence": number,
            "price": price_e8,
            "quantity": last_e8,
            "aggressor_side": aggressor_side,
            "maker_account": maker.account,
            "maker_client_order_id": maker.client_order_id,
            "maker_order_id": maker.order_id,
            "taker_account": taker.account,
            "taker_client_order_id": taker.client_order_id,
            "taker_order_id": taker.order_id,
            "at_us": at_us,
        }
        said += (
            ("Trade", trade),
            fill_event(
                taker, status, version, quantity_e8, limit_e8, cum_e8, leaves_e8, notional_e16, takers, trade
            ),
            fill_event(
                maker, maker_status, maker_version, maker_quantity_e8, maker_limit_e8, maker_cum_e8,
                maker_leaves_e8, maker_notional_e16, makers, trade,
            ),
            execution(
                "fill", taker, version, quantity_e8, limit_e8, leaves_e8, takers, "NONE", "", last_e8,
                price_e8,
            ),
            execution(
                "fill", maker, maker_version, maker_quantity_e8, maker_limit_e8, maker_leaves_e8, makers,
                "NONE", "", last_e8, price_e8,
            ),
        )  # fmt: skip
        self._remember(maker)
        if taker is not subject:
            self._remember(taker)


def _ended(happened: list[Happening]) -> int:
    return sum(happening[0] in _ENDS for happening in happened)


def _prevented(symbol: str, happening: Happening, at_us: int) -> Said:
    _, price_e8, quantity_e8, maker, _, _, _, taker, _, _, _ = happening
    return "SelfTradePrevented", {
        "symbol": symbol,
        "price": price_e8,
        "quantity": quantity_e8,
        "maker_account": maker.account,
        "maker_client_order_id": maker.client_order_id,
        "maker_order_id": maker.order_id,
        "taker_account": taker.account,
        "taker_client_order_id": taker.client_order_id,
        "taker_order_id": taker.order_id,
        "at_us": at_us,
    }


def _session(symbol: str, happening: Happening, at_us: int) -> Said:
    _, _, session, reason = happening
    return "SessionChange", {"symbol": symbol, "session": session, "reason": reason, "at_us": at_us}


def _indicative(symbol: str, happening: Happening, at_us: int) -> Said:
    _, _, price_e8, quantity_e8, imbalance_e8 = happening
    return "AuctionIndication", {
        "symbol": symbol,
        "price": price_e8,
        "quantity": quantity_e8,
        "imbalance": imbalance_e8,
        "at_us": at_us,
    }


_OTHERS: dict[str, Callable[[str, Happening, int], Said]] = {
    "self_trade_prevented": _prevented,
    "session": _session,
    "indicative": _indicative,
}
# Events of which the account must know.
_EXECUTED = frozenset((*_ENDS, "replaced", "replace_rejected"))


def _control_report(record: Record, text: str, at_us: int) -> Said:
    message = record.message
    return "ControlReport", {
        "control": record.kind,
        "account": "",
        "symbol": message["symbol"],
        "control_id": message["control_id"],
        "outcome": "applied",
        "reason": "NONE",
        "text": text,
        "control_offset": record.offset,
        "entered_by": message["entered_by"],
        "door": message["door"],
        "at_us": at_us,
    }


_HANDLERS: dict[str, Callable[[Matching, Record, int], list[Said]]] = {
    "ClearedOrder": Matching._new,
    "ClearedCancel": Matching._cancel,
    "ClearedReplace": Matching._replace,
    "ClearedStatusRequest": Matching._tell_status,
    "Quote": Matching._quote,
    "SetSymbolState": Matching._set_symbol_state,
    "SetPriceBand": Matching._set_price_band,
    "CancelSymbol": Matching._cancel_symbol,
    "ExpireDay": Matching._expire_day,
    "SetSession": Matching._set_session,
    "Uncross": Matching._uncross,
    "SetTradingBand": Matching._set_trading_band,
}
