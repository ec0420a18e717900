"""What an execution does to its order and to what the account has.

After each execution an order holds exactly what its open quantity needs, and nothing once finished. A fill
of an OCO's member, or of a bracket's exit, ends the others: they hold nothing from then on, though their own
executions follow. What a bracket's entry buys its exits hold at once, so that nobody sells it meanwhile.
Buyer and seller of a trade move the same amounts. Executions of an order come in the order in which
they happened; one that does not fit what was reserved is a fault of the system, not of a client.
"""

from collections.abc import Mapping
from typing import Any

from schemas.messages import OrderStatus
from schemas.numbers import notional_e8
from schemas.records import Said
from tables.account_answers import final_status
from tables.account_orders import AccountOrder
from tables.changes import Changes
from tables.holdings import Ledger
from tables.order_memory import OrderMemory
from tables.reference import Instrument, Instruments

Message = Mapping[str, Any]

# Reasons for which matching itself makes an order smaller.
_DECREMENTS = ("MATCHING_SELF_TRADE", "MATCHING_LINKED")
_ENDS: dict[str, OrderStatus] = {"canceled": "canceled", "expired": "expired", "rejected": "rejected"}


class Settlement:
    """Applies executions to the orders and assets of a ledger."""

    def __init__(
        self, ledger: Ledger, orders: OrderMemory, instruments: Instruments, changes: Changes
    ) -> None:
        self._ledger = ledger
        self._orders = orders
        self._instruments = instruments
        self._changes = changes

    def apply(self, execution: Message, at_us: int) -> list[Said]:
        """Settles one Execution; says the answer to a request, where it is one.

        Raises AssertionError for an execution that does not fit what the account knows.
        """
        account = self._ledger.accounts.get(execution["account"])
        if account is None:
            raise _unfit(execution, None)
        client_order_id, execution_type = execution["client_order_id"], execution["execution_type"]
        order = account.live.get(client_order_id) or account.finished.get(client_order_id)
        if execution_type == "status_unknown":
            return [final_status(order, execution, at_us)]
        instrument = None if order is None else self._instruments.get(order.symbol)
        if order is None or instrument is None:
            raise _unfit(execution, order)
        if execution_type == "fill" and not order.finished_us:
            self._fill(order, execution, instrument, at_us)
        else:
            self._settle_other(order, execution, instrument, at_us)
        if order.instructions is not None:
            self._hold_for_exits(order, instrument)
        return []

    def _fill(self, order: AccountOrder, execution: Message, instrument: Instrument, at_us: int) -> None:
        """Takes what a fill costs from one asset of the account and adds what it brings to the other."""
        quantity_e8, price_e8 = execution["last_quantity"], execution["last_price"]
        leaves_e8 = order.quantity_e8 - order.cum_quantity_e8 - quantity_e8
        buys = order.side == "buy"
        worse = price_e8 > order.limit_price_e8 if buys else price_e8 < order.limit_price_e8
        stale = execution["version"] <= order.version
        if quantity_e8 <= 0 or worse or stale or leaves_e8 < 0 or leaves_e8 != execution["leaves_quantity"]:
            raise _unfit(execution, order)
        order.cum_quantity_e8 += quantity_e8
        order.sum_e16 += quantity_e8 * price_e8
        order.version = execution["version"]
        cost_e8 = notional_e8(price_e8, quantity_e8, instrument.multiplier_e8)
        ledger, account = self._ledger, order.account
        cash = ledger.asset(account, "cash", instrument.currency)
        holding = ledger.asset(account, "holding", order.symbol)
        ledger.move(cash, -cost_e8 if buys else cost_e8)
        ledger.move(holding, quantity_e8 if buys else -quantity_e8)
        if order.instructions is not None:
            self._exclude_others(order, instrument)
        if leaves_e8:
            order.status = "partially_filled"
            self._changes.touch(order)
        else:
            self._finish(order, "filled", execution, at_us)
        self._free(order, execution, instrument)

    def _exclude_others(self, order: AccountOrder, instrument: Instrument) -> None:
        """Has those that the order excludes hold nothing, while it is still among those that hold."""
        others = order.others()
        for side in ("buy", "sell"):
            members = [each for each in (order, *others) if each.side == side]
            if members:
                held = self._ledger.held_by(members[0], instrument.currency)
                amounts_e8 = [each.reserved_e8 if each is order else 0 for each in members]
                self._ledger.hold_together(members, held, amounts_e8)
        for other in others:
            other.excluded = True
            self._changes.touch(other)

    def _hold_for_exits(self, entry: AccountOrder, instrument: Instrument) -> None:
        """Has the exits of a bracket hold what its entry has bought, and nothing where it ended unfilled."""
        sells = [order for order in entry.exits() if order.side == "sell"]
        if not sells:
            return
        needed_e8 = [
            0 if order.excluded else order.need_e8(instrument.multiplier_e8) + (order.replacing_e8 or 0)
            for order in sells
        ]
        for order, need_e8 in zip(sells, needed_e8, strict=True):
            if need_e8 != order.reserved_e8:
                self._changes.touch(order)
        holding = self._ledger.asset(entry.account, "holding", entry.symbol)
        self._ledger.hold_together(sells, holding, needed_e8)

    def _settle_other(
        self, order: AccountOrder, execution: Message, instrument: Instrument, at_us: int
    ) -> None:
        """Takes an end or the answer to a replace, and frees what is needed no longer."""
        execution_type, reason = execution["execution_type"], execution["reason"]
        if execution_type in _ENDS and not order.finished_us:
            order.version = execution["version"]
            order.text = execution["text"]
            self._finish(order, _ENDS[execution_type], execution, at_us)
        elif reason in _DECREMENTS and execution_type == "replaced" and not order.finished_us:
            self._decremented(order, execution, instrument)
        elif order.replacing_e8 is None:
            raise _unfit(execution, order)
        elif execution_type == "replaced" and not order.finished_us:
            self._replaced(order, execution, at_us)
        elif execution_type == "replace_rejected":
            order.replacing_e8 = None
        else:
            raise _unfit(execution, order)
        self._changes.touch(order)
        self._free(order, execution, instrument)

    def _finish(self, order: AccountOrder, status: OrderStatus, execution: Message, at_us: int) -> None:
        """Takes an order's end, and the limit that it had then: post-only ones may have been repriced."""
        if order.order_type == "limit":
            order.limit_price_e8 = execution["limit_price"]
        self._orders.finish(order, status, execution["reason"], at_us)

    def _free(self, order: AccountOrder, execution: Message, instrument: Instrument) -> None:
        """Has an order hold what it needs now, which is never more than it held."""
        needed_e8 = 0
        if not order.finished_us and not order.excluded:
            needed_e8 = order.need_e8(instrument.multiplier_e8) + (order.replacing_e8 or 0)
        if needed_e8 > order.reserved_e8:
            raise _unfit(execution, order)
        self._ledger.hold(order, self._ledger.held_by(order, instrument.currency), needed_e8)

    def _decremented(self, order: AccountOrder, execution: Message, instrument: Instrument) -> None:
        """Takes the lower quantity that self-trade prevention left, or a bracket's entry to its exit.

        A replace under way names a total quantity, reckoned from what the order was: until its answer comes
        it keeps what is now needed no longer.
        """
        before_e8 = order.need_e8(instrument.multiplier_e8)
        order.quantity_e8, order.version = execution["quantity"], execution["version"]
        leaves_e8 = order.quantity_e8 - order.cum_quantity_e8
        freed_e8 = before_e8 - order.need_e8(instrument.multiplier_e8)
        if leaves_e8 <= 0 or leaves_e8 != execution["leaves_quantity"] or freed_e8 < 0:
            raise _unfit(execution, order)
        if order.replacing_e8 is not None:
            order.replacing_e8 += freed_e8

    def _replaced(self, order: AccountOrder, execution: Message, at_us: int) -> None:
        """Takes the terms that an order has now; with nothing left it is filled."""
        order.quantity_e8, order.limit_price_e8 = execution["quantity"], execution["limit_price"]
        order.version = execution["version"]
        order.replacing_e8 = None
        terms = execution.get("terms")
        if terms is not None:
            order.instructions, order.time_in_force = terms["instructions"], terms["time_in_force"]
        leaves_e8 = order.quantity_e8 - order.cum_quantity_e8
        if leaves_e8 < 0 or leaves_e8 != execution["leaves_quantity"]:
            raise _unfit(execution, order)
        if execution["request_id"]:
            self._orders.renamed(order, execution["request_id"], at_us)
        if not leaves_e8:
            self._orders.finish(order, "filled", "NONE", at_us)


def _unfit(execution: Message, order: AccountOrder | None) -> AssertionError:
    known = "no such order" if order is None else order.row().row
    return AssertionError(f"execution {dict(execution)} does not fit its order: {known}")
