"""Matching: one price-time book per symbol, and what its orders, their owners and onlookers are told.

The rules:
- Better price first, then older first; a trade is at the maker's price, never beyond the taker's.
- A new order is accepted first, then trades, and what is left rests (limit with GTC or DAY) or is
  canceled: the rest of a market or IOC order, and at once the whole of a FOK that cannot be filled in
  full. A market order's `limit_price` is its protection: the worst price it may trade at.
- Replacing with less quantity at the same price keeps the order's place; another price or more quantity
  loses it, and trades first with what it crosses. Down to no more than what was filled, the order is
  filled, at that quantity (FIX 4.2 D11).
- `request_offset` of an event names the request of the same account that caused it: a taker's trades
  carry that of its order or replace, a maker's -1, for another's request caused them.
- A cancel of an order that is not in the book is refused to whoever asked for it. Of a mass cancel or
  a kill switch nobody is told so: what they wanted is so already.
- A control of a symbol that comes here was found valid by risk; it is applied and reported here.

A lane asks `end_cycle` before `changed_rows`: an update of a book counts in the book's row.
"""

from collections.abc import Callable, Mapping
from typing import Any, Literal

from schemas.numbers import format_e8
from schemas.reasons import Reason
from schemas.records import Record, Row, Said
from tables.book_orders import Order, unknown_event, unknown_execution
from tables.markets import Market
from tables.reference import Instruments

_Ending = Literal["canceled", "expired"]

# A cancel for one of these was asked for by someone, who is owed an answer.
_ASKED_FOR = ("NONE", "MATCHING_CANCELED_BY_REQUEST")


class Matching:
    """The books of a lane's symbols."""

    def __init__(self, lane: int, instruments: Instruments) -> None:
        """Made like the other tables of a lane; matching needs no word of either: risk saw to them."""
        self._markets: dict[str, Market] = {}
        # Changed since changed_rows was asked last; an order's None says that its row must go.
        self._changed_markets: dict[str, Market] = {}
        self._changed_orders: dict[str, Order | None] = {}
        self._restoring: list[Order] = []

    def apply(self, record: Record, at_us: int) -> list[Said]:
        """Takes a cleared request or a control of a symbol; says what happened, in that order."""
        return _HANDLERS[record.kind](self, record, at_us)

    def end_cycle(self, at_us: int) -> list[Said]:
        """One BookUpdate for every book that looks different now."""
        updates = [market.update(at_us) for market in self._changed_markets.values()]
        return [update for update in updates if update is not None]

    def changed_rows(self) -> list[Row]:
        """Rows that changed since the last call; an order that came and went in between leaves none."""
        rows = [
            Row(f"book|{symbol}", "BookRow", market.row()) for symbol, market in self._changed_markets.items()
        ]
        for order_id, order in self._changed_orders.items():
            if order is not None:
                order.logged = True
            rows.append(Row(order_id, "BookOrderRow", None if order is None else order.row()))
        self._changed_markets.clear()
        self._changed_orders.clear()
        return rows

    def restore(self, kind: str, row: Mapping[str, Any]) -> None:
        """Takes a row of the changelog, in any order."""
        symbol = row["symbol"]
        market = self._markets.get(symbol) or self._markets.setdefault(symbol, Market(symbol))
        if kind == "BookRow":
            market.restore(row)
        else:
            self._restoring.append(Order.from_row(row, market.symbol))

    def restored(self) -> None:
        """Puts the restored orders into their books, oldest first; asserts that they can be true."""
        self._restoring.sort(key=lambda order: order.arrival)
        for order in self._restoring:
            self._markets[order.symbol].restore_order(order)
        self._restoring.clear()
        for market in self._markets.values():
            market.restored()

    def check(self) -> None:
        """Asserts what must be true of every book and order between two records; for tests."""
        for market in self._markets.values():
            market.check()

    def resting(self, symbol: str) -> list[Order]:
        """Every resting order of a symbol: bids, then asks, best price first, oldest first."""
        market = self._markets.get(symbol)
        return [] if market is None else market.book.by_priority()

    def _market(self, symbol: str) -> Market:
        """The market of a symbol, from now on counted as changed."""
        market = self._markets.get(symbol)
        if market is None:
            market = self._markets[symbol] = Market(symbol)
        self._changed_markets[symbol] = market
        return market

    def _find(self, message: Mapping[str, Any]) -> Order | None:
        market = self._markets.get(message["symbol"])
        return None if market is None else market.book.entries.get(message["order_id"])

    def _new(self, record: Record, at_us: int) -> list[Said]:
        message = record.message
        market, offset = self._market(message["symbol"]), message["request_offset"]
        order = Order(message, market.symbol)
        order.move("accepted")
        said = [order.event("accepted", offset, at_us)]
        if order.time_in_force == "fok":
            available_e8 = market.book.available(order.side, order.limit_price_e8, order.leaves_e8)
            if available_e8 < order.leaves_e8:
                text = f"available={format_e8(available_e8)} asked={format_e8(order.leaves_e8)}"
                return said + _end(order, "canceled", "MATCHING_NOT_FILLABLE", offset, at_us, text=text)
        self._match(market, order, offset, at_us, said)
        if order.leaves_e8:
            if order.may_rest():
                market.rest(order)
                self._remember(order)
            else:
                text = f"limit={format_e8(order.limit_price_e8)} left={format_e8(order.leaves_e8)}"
                said += _end(order, "canceled", "MATCHING_NO_LIQUIDITY", offset, at_us, text=text)
        return said

    def _match(self, market: Market, taker: Order, offset: int, at_us: int, said: list[Said]) -> None:
        """Trades an order that is not in the book with what it crosses."""
        for maker, quantity_e8 in market.book.take(taker.side, taker.limit_price_e8, taker.leaves_e8):
            price_e8 = maker.limit_price_e8
            market.trades += 1
            trade_id = f"{market.symbol}-{market.trades}"
            taker.leaves_e8 -= quantity_e8
            taker.fill(quantity_e8, price_e8)
            maker.fill(quantity_e8, price_e8)
            said += (
                _trade(maker, taker, market.trades, trade_id, quantity_e8, at_us),
                taker.event("trade", offset, at_us, "NONE", "", "", trade_id, quantity_e8, price_e8),
                maker.event("trade", -1, at_us, "NONE", "", "", trade_id, quantity_e8, price_e8),
                taker.execution("fill", offset, "NONE", "", quantity_e8, price_e8),
                maker.execution("fill", -1, "NONE", "", quantity_e8, price_e8),
            )
            self._remember(maker)

    def _remember(self, order: Order) -> None:
        """Has the row of an order that rests written, or taken away once it ended."""
        if order.leaves_e8:
            self._changed_orders[order.order_id] = order
        elif order.logged:
            self._changed_orders[order.order_id] = None
        else:
            self._changed_orders.pop(order.order_id, None)

    def _cancel(self, record: Record, at_us: int) -> list[Said]:
        message = record.message
        reason: Reason = message["reason"]
        order = self._find(message)
        if order is None:
            return [unknown_event("cancel_rejected", message, at_us)] if reason in _ASKED_FOR else []
        if reason == "NONE":
            reason = "MATCHING_CANCELED_BY_REQUEST"
        return self._end_resting(
            order, "canceled", reason, message["request_offset"], at_us, message["request_id"]
        )

    def _end_resting(
        self, order: Order, how: _Ending, reason: Reason, offset: int, at_us: int, request_id: str = ""
    ) -> list[Said]:
        self._market(order.symbol).book.remove(order)
        said = _end(order, how, reason, offset, at_us, request_id)
        self._remember(order)
        return said

    def _replace(self, record: Record, at_us: int) -> list[Said]:
        message = record.message
        order = self._find(message)
        if order is None:
            return [
                unknown_event("replace_rejected", message, at_us),
                unknown_execution("replace_rejected", message),
            ]
        market = self._market(order.symbol)
        offset, request_id = message["request_offset"], message["request_id"]
        kept = market.amend(order, message["quantity"], message["limit_price"], request_id)
        said = [
            order.event("replaced", offset, at_us, request_id=request_id),
            order.execution("replaced", offset, request_id=request_id),
        ]
        if not kept and order.leaves_e8:
            self._match(market, order, offset, at_us, said)
            if order.leaves_e8:
                market.rest(order)
        self._remember(order)
        return said

    def _tell_status(self, record: Record, at_us: int) -> list[Said]:
        order = self._find(record.message)
        if order is None:
            return [unknown_execution("status_unknown", record.message)]
        return [order.event("order_status", record.message["request_offset"], at_us)]

    def _set_symbol_state(self, record: Record, at_us: int) -> list[Said]:
        """Whether new orders pass is risk's business; the resting ones are canceled when that is wanted."""
        if record.message["cancel_orders"]:
            return self._cancel_symbol(record, at_us)
        return [_control_report(record, "", at_us)]

    def _set_price_band(self, record: Record, at_us: int) -> list[Said]:
        """The band is risk's; resting orders stay, whatever their price."""
        return [_control_report(record, "", at_us)]

    def _cancel_symbol(self, record: Record, at_us: int) -> list[Said]:
        orders = self.resting(record.message["symbol"])
        return self._end_all(orders, "canceled", "MATCHING_CANCELED_BY_OPERATOR", record, at_us)

    def _expire_day(self, record: Record, at_us: int) -> list[Said]:
        orders = [order for order in self.resting(record.message["symbol"]) if order.time_in_force == "day"]
        return self._end_all(orders, "expired", "MATCHING_END_OF_DAY", record, at_us)

    def _end_all(
        self, orders: list[Order], how: _Ending, reason: Reason, record: Record, at_us: int
    ) -> list[Said]:
        """Ends resting orders for a control, in their priority, and reports it."""
        said: list[Said] = []
        for order in orders:
            said += self._end_resting(order, how, reason, -1, at_us)
        said.append(_control_report(record, f"orders={len(orders)}", at_us))
        return said


def _end(
    order: Order,
    how: _Ending,
    reason: Reason,
    offset: int,
    at_us: int,
    request_id: str = "",
    text: str = "",
) -> list[Said]:
    """Ends what is left of an order that is not in the book, or no longer."""
    order.leaves_e8 = 0
    order.move(how)
    return [order.event(how, offset, at_us, reason, request_id, text), order.execution(how, offset, reason)]


def _trade(maker: Order, taker: Order, sequence: int, trade_id: str, quantity_e8: int, at_us: int) -> Said:
    return "Trade", {
        "trade_id": trade_id,
        "symbol": taker.symbol,
        "sequence": sequence,
        "price": maker.limit_price_e8,
        "quantity": quantity_e8,
        "aggressor_side": taker.side,
        "maker_account": maker.account,
        "maker_client_order_id": maker.client_order_id,
        "maker_order_id": maker.order_id,
        "taker_account": taker.account,
        "taker_client_order_id": taker.client_order_id,
        "taker_order_id": taker.order_id,
        "at_us": at_us,
    }


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
    "SetSymbolState": Matching._set_symbol_state,
    "SetPriceBand": Matching._set_price_band,
    "CancelSymbol": Matching._cancel_symbol,
    "ExpireDay": Matching._expire_day,
}
