"""Accounts: who may trade, with which money, and what became of every request.

The rules:
- An order is (account, client_order_id). While it is remembered the same body again gets the same answer
  (its rejection, its final status, or its status as matching knows it) and another body is refused.
  `tables/limits.py` has the checks of a new order and their order.
- What an order needs at worst is reserved before it leaves for risk and matching: cash at its limit
  price for a buy, the quantity for a sell. After each execution exactly what is left needs is reserved,
  so a better price frees its gain at once; a finished order holds nothing.
- A replace reserves what both its outcomes need until its answer comes, see `limits.replace_costs_e8`.
- A refusal that names no order of its own (unknown account or order, malformed or taken id) says
  order_id NONE and version 0: the order that has the id, if any, is untouched.
- CancelAllAfter is answered by a MassCancelReport of its own, and by a second one (request_offset -1) with
  the cancels when its time has come.
- A suspended account may cancel, a closed one may do nothing.
- An execution that does not fit what was reserved is a fault of the system: AssertionError ends the
  worker before it can be committed.

A lane asks `end_cycle` before `changed_rows`: a Position counts in its asset's row.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from schemas.ids import body_hash, order_id, printable, valid_client_order_id
from schemas.reasons import Reason
from schemas.records import Record, Row, Said
from tables.account_answers import mass_cancel_report, orderless, refused, repeat, taken, unknown_account
from tables.account_checks import check
from tables.account_controls import AccountControls
from tables.account_orders import AccountOrder
from tables.changes import Changes
from tables.controls import ControlIds, Refusal, control_report
from tables.dead_man import DeadMen
from tables.holdings import Account, Ledger
from tables.instructions import MARKET_LIKE, carried, fingerprint, protection_e8
from tables.limits import (
    bounded_e8,
    refuse_account,
    refuse_funds,
    refuse_increase,
    refuse_instrument,
    refuse_late,
    refuse_order,
    refuse_size,
    replace_costs_e8,
)
from tables.order_memory import ENTRY_TOLERANCE_US, OrderMemory
from tables.reference import Instruments, ReferencePrices
from tables.replacement import Replacement, refuse_replacement, refuse_unreplaceable
from tables.settlement import Settlement

Message = Mapping[str, Any]


class Accounts:
    """The accounts of a lane with their holdings and orders."""

    def __init__(
        self,
        lane: int,
        instruments: Instruments,
        references: ReferencePrices,
        window_us: int,
        market_protection_bps: int,
    ) -> None:
        self.lane = lane
        self._instruments = instruments
        self._references = references
        self._protection_bps = market_protection_bps
        self._changes = Changes()
        self._ledger = Ledger(self._changes)
        self._orders = OrderMemory(self._changes, window_us)
        self._control_ids = ControlIds(self._changes, window_us)
        self._controls = AccountControls(self._ledger, instruments, self._changes, self._control_ids)
        self._settlement = Settlement(self._ledger, self._orders, instruments, self._changes)
        self._dead_men = DeadMen(self._changes)
        self._alias_rows: list[Message] = []
        self._apply = {
            "NewOrder": self._enter,
            "CancelOrder": self._cancel,
            "ReplaceOrder": self._replace,
            "MassCancel": self._mass_cancel,
            "CancelAllAfter": self._cancel_all_after,
            "Execution": self._settle,
            "SetAccount": self._control,
            "SetLimits": self._control,
            "MoveCash": self._control,
            "MoveHolding": self._control,
        }

    def apply(self, record: Record, at_us: int) -> list[Said]:
        """Takes a request, an execution or an account's control; says what follows, in that order."""
        return self._apply[record.kind](record, at_us)

    def end_cycle(self, at_us: int) -> list[Said]:
        """Cancels of accounts whose time is over; one Position per asset that changed.

        Forgets some of what is remembered no longer.
        """
        self._orders.forget_old()
        self._control_ids.forget_old()
        said: list[Said] = []
        for account, request_id in self._dead_men.fired(at_us):
            said += _cancel_dead(account, request_id, at_us)
        return said + self._ledger.positions(at_us)

    def due_us(self) -> int:
        """When `end_cycle` must be asked again although nothing came; 0: never."""
        return self._dead_men.due_us()

    def _enter(self, record: Record, at_us: int) -> list[Said]:
        message, logged_us = record.message, record.logged_us
        client_order_id = message["client_order_id"]
        self._orders.heard(logged_us)
        if not valid_client_order_id(client_order_id):
            refusal = Refusal("ACCOUNTS_INVALID_CLIENT_ORDER_ID", f"length={len(client_order_id)}")
            return [orderless("rejected", record, at_us, refusal)]
        account = self._ledger.accounts.get(message["account"])
        if account is None:
            return [orderless("rejected", record, at_us, unknown_account(message))]
        known = self._orders.find(account, client_order_id, logged_us)
        order = self._order(account, record)
        if known is not None:
            return [repeat(known, order, record, at_us)]
        account.link(order)
        unfunded = self._hold(order, message, at_us)
        if unfunded is not None:
            return [self._reject(order, unfunded, record, at_us)]
        account.enter(order)
        self._changes.touch(order)
        return [order.cleared(record.offset)]

    def _order(self, account: Account, record: Record) -> AccountOrder:
        """The order that a NewOrder describes; numbers that cannot be counted are 0 in it."""
        message = record.message
        symbol, side, order_type = message["symbol"], message["side"], message["order_type"]
        quantity_e8, limit_price_e8 = bounded_e8(message["quantity"]), bounded_e8(message["limit_price"])
        time_in_force = message["time_in_force"]
        instructions = carried(message.get("instructions"))
        body = body_hash(
            *(symbol, side, order_type, quantity_e8, limit_price_e8, time_in_force),
            *fingerprint(instructions),
        )
        if order_type in MARKET_LIKE or (order_type == "pegged" and not limit_price_e8):
            limit_price_e8 = self._protection_e8(symbol, side, order_type, instructions)
        entered_us = message["entered_us"]
        if not -ENTRY_TOLERANCE_US <= entered_us - record.logged_us <= ENTRY_TOLERANCE_US:
            entered_us = record.logged_us
        client_order_id = message["client_order_id"]
        return AccountOrder(
            account,
            client_order_id,
            order_id(account.account, client_order_id, entered_us),
            body,
            printable(symbol),
            side,
            order_type,
            time_in_force,
            quantity_e8,
            limit_price_e8,
            entered_us,
            printable(message["entered_by"]),
            message["door"],
            instructions,
        )

    def _protection_e8(self, symbol: str, side: str, order_type: str, instructions: Message | None) -> int:
        """The worst price of an order without a limit price of its own; 0: there is none to reckon from."""
        reference_e8 = self._references.get(symbol) or 0
        price_e8 = protection_e8(side, order_type, instructions, reference_e8, self._protection_bps)
        instrument = self._instruments.get(symbol)
        if order_type != "pegged" or not price_e8 or instrument is None:
            return price_e8
        # Its protection is a limit at which it may stand, so it is on tick; never worse than the protection.
        off_e8 = price_e8 % instrument.tick_at(price_e8)
        return (
            price_e8 - off_e8
            if side == "buy"
            else price_e8 + (off_e8 and instrument.tick_at(price_e8) - off_e8)
        )

    def _hold(self, order: AccountOrder, message: Message, at_us: int) -> Refusal | None:
        """Reserves what a new order needs, or says why not."""
        instrument = self._instruments.get(order.symbol)
        refusal = refuse_order(order, instrument, message, at_us)
        if instrument is None or refusal is not None:
            return refusal
        need_e8 = order.need_e8(instrument.multiplier_e8)
        asked_e8 = order.quantity_e8 - order.awaited_e8()
        refusal = refuse_increase(order, asked_e8) or refuse_funds(order, instrument, need_e8)
        if refusal is None:
            self._ledger.hold(order, self._ledger.held_by(order, instrument.currency), need_e8)
        return refusal

    def _reject(self, order: AccountOrder, refusal: Refusal, record: Record, at_us: int) -> Said:
        """Rejects a new order and remembers that, so that a repeat gets the same answer."""
        order.text = refusal.text
        self._orders.finish(order, "rejected", refusal.reason, at_us)
        return order.event("rejected", record.offset, at_us, refusal.reason, refusal.text)

    def _named(self, record: Record) -> AccountOrder | Refusal:
        """The order that a cancel or replace names."""
        message = record.message
        self._orders.heard(record.logged_us)
        account = self._ledger.accounts.get(message["account"])
        if account is None:
            return unknown_account(message)
        order = self._orders.find(account, message["order"], record.logged_us)
        if order is None:
            return Refusal("ACCOUNTS_UNKNOWN_ORDER", f"order={printable(message['order'])}")
        return order

    def _cancel(self, record: Record, at_us: int) -> list[Said]:
        order = self._named(record)
        if isinstance(order, Refusal):
            return [orderless("cancel_rejected", record, at_us, order)]
        refusal = refuse_late(order)
        if refusal is not None:
            return [refused("cancel_rejected", order, record, at_us, refusal)]
        request_id = printable(record.message["client_order_id"])
        return [order.cleared_cancel(record.offset, request_id, "MATCHING_CANCELED_BY_REQUEST")]

    def _replace(self, record: Record, at_us: int) -> list[Said]:
        order = self._named(record)
        if isinstance(order, Refusal):
            return [orderless("replace_rejected", record, at_us, order)]
        message = record.message
        refusal = refuse_late(order) or refuse_account(order.account)
        asked = Replacement.of(order, message)
        if refusal is None:
            refusal = self._refuse_replace(order, record, asked, at_us)
        if refusal is None:
            # A stop that moves takes its protection along.
            if asked.moves_stop(order):
                asked.limit_price_e8 = self._protection_e8(
                    order.symbol, order.side, order.order_type, asked.instructions
                )
            refusal = self._hold_replace(order, asked)
        if refusal is not None:
            return [refused("replace_rejected", order, record, at_us, refusal)]
        new_id = message["client_order_id"]
        if new_id:
            self._orders.name(order, new_id, at_us)
        self._changes.touch(order)
        return [
            order.cleared_replace(
                record.offset, new_id, asked.quantity_e8, asked.limit_price_e8, asked.changes
            )
        ]

    def _refuse_replace(
        self, order: AccountOrder, record: Record, asked: Replacement, at_us: int
    ) -> Refusal | None:
        """Why a replace of a live order cannot be asked of matching, money aside."""
        if order.replacing_e8 is not None:
            return Refusal("ACCOUNTS_PENDING_REPLACE", f"order={order.client_order_id}")
        return (
            refuse_unreplaceable(order, asked)
            or self._refuse_new_id(order, record)
            or refuse_replacement(order, record.message, asked, at_us)
        )

    def _refuse_new_id(self, order: AccountOrder, record: Record) -> Refusal | None:
        """Refuses a new id that is malformed or that an order of the account has or had."""
        new_id = record.message["client_order_id"]
        if not new_id:
            return None
        if not valid_client_order_id(new_id):
            return Refusal("ACCOUNTS_INVALID_CLIENT_ORDER_ID", f"length={len(new_id)}")
        known = self._orders.find(order.account, new_id, record.logged_us)
        return None if known is None else taken(new_id, known)

    def _hold_replace(self, order: AccountOrder, asked: Replacement) -> Refusal | None:
        """Reserves what a replace needs in addition, or says why not."""
        quantity_e8 = asked.quantity_e8 or order.quantity_e8
        limit_price_e8 = asked.limit_price_e8 or order.limit_price_e8
        instrument = self._instruments.get(order.symbol)
        refusal = refuse_instrument(order.symbol, instrument)
        if instrument is None or refusal is not None:
            return refusal
        refusal = refuse_size(order.account, instrument, quantity_e8, limit_price_e8)
        if refusal is not None:
            return refusal
        more_e8 = replace_costs_e8(order, quantity_e8, limit_price_e8, instrument.multiplier_e8)
        refusal = refuse_increase(order, quantity_e8 - order.quantity_e8)
        if refusal is None and more_e8:
            refusal = refuse_funds(order, instrument, more_e8)
        if refusal is None:
            held = self._ledger.held_by(order, instrument.currency)
            self._ledger.hold(order, held, order.reserved_e8 + more_e8)
            order.replacing_e8 = more_e8
        return refusal

    def _mass_cancel(self, record: Record, at_us: int) -> list[Said]:
        message = record.message
        self._orders.heard(record.logged_us)
        account = self._ledger.accounts.get(message["account"])
        refusal = self._refuse_mass_cancel(account, message)
        if account is None or refusal is not None:
            return [mass_cancel_report(record, at_us, 0, refusal)]
        symbol, side = message["symbol"], message["side"]
        orders = [
            order
            for order in _by_entry(account)
            if (not symbol or order.symbol == symbol) and (side == "unknown" or order.side == side)
        ]
        report = mass_cancel_report(record, at_us, len(orders), None)
        request_id = printable(message["client_order_id"])
        cancels = _cleared_cancels(orders, record.offset, request_id, "MATCHING_MASS_CANCELED")
        return [report, *cancels]

    def _cancel_all_after(self, record: Record, at_us: int) -> list[Said]:
        message = record.message
        account = self._ledger.accounts.get(message["account"])
        request = record._replace(message={**message, "symbol": "", "side": "unknown"})
        refusal = self._refuse_mass_cancel(account, request.message)
        if account is not None and refusal is None:
            refusal = self._dead_men.set(account, message, printable(message["client_order_id"]), at_us)
        if account is None or refusal is not None:
            return [mass_cancel_report(request, at_us, 0, refusal)]
        kind, report = mass_cancel_report(request, at_us, 0, None)
        return [(kind, {**report, "text": f"cancel_at_us={account.cancel_at_us}"})]

    def _refuse_mass_cancel(self, account: Account | None, message: Message) -> Refusal | None:
        if account is None:
            return unknown_account(message)
        if account.status == "closed":
            return refuse_account(account)
        if message["symbol"] and self._instruments.get(message["symbol"]) is None:
            return refuse_instrument(printable(message["symbol"]), None)
        return None

    def _control(self, record: Record, at_us: int) -> list[Said]:
        refusal = self._controls.apply(record, at_us)
        said = [control_report(record, at_us, refusal)]
        if refusal is None and record.kind == "SetAccount" and record.message["cancel_orders"]:
            orders = _by_entry(self._ledger.accounts[record.message["account"]])
            said += _cleared_cancels(orders, -1, "", "MATCHING_KILL_SWITCH")
        return said

    def _settle(self, record: Record, at_us: int) -> list[Said]:
        return self._settlement.apply(record.message, at_us)

    def changed_rows(self) -> Iterator[Row]:
        """Rows changed since the last call, of a key the last one counts; read whole, after `end_cycle`."""
        return self._changes.rows()

    def restore(self, kind: str, row: Message) -> None:
        """Takes one live row of the changelog, in any order."""
        if kind == "AccountOrderRow":
            self._orders.restore(self._ledger.open(row["account"]), row)
        elif kind == "AssetRow":
            self._ledger.restore_asset(row)
        elif kind == "AccountRow":
            self._ledger.restore_account(row)
        elif row["client_order_id"]:
            self._alias_rows.append(row)
        else:
            self._control_ids.restore(row)

    def restored(self) -> None:
        """Ends the restoring; raises AssertionError when the rows do not fit each other."""
        for row in self._alias_rows:
            self._orders.restore_alias(self._ledger.open(row["account"]), row)
        self._alias_rows.clear()
        for account in self._ledger.accounts.values():
            if account.cancel_at_us:
                self._dead_men.remember(account)
            self._restore_excluded(account)
        self.check()

    def _restore_excluded(self, account: Account) -> None:
        """Finds out whom a fill of another has ended: they live, would need something, and hold nothing."""
        for members in account.exclusive.values():
            for order in members.values():
                instrument = self._instruments.get(order.symbol)
                need_e8 = 0 if instrument is None else order.need_e8(instrument.multiplier_e8)
                order.excluded = need_e8 + (order.replacing_e8 or 0) > 0 and not order.reserved_e8

    def check(self) -> None:
        """Raises AssertionError unless every asset holds exactly what its live orders need."""
        check(self._ledger, self._instruments)


def _by_entry(account: Account) -> list[AccountOrder]:
    """Live orders by their time of entry; of one microsecond, by client_order_id."""
    return sorted(account.live.values(), key=lambda order: (order.entered_us, order.client_order_id))


def _cancel_dead(account: Account, request_id: str, at_us: int) -> list[Said]:
    """The end of every order of an account that was not heard of in time, and its report."""
    orders = _by_entry(account)
    who = {"account": account.account, "client_order_id": request_id, "symbol": "", "side": "unknown"}
    record = Record("CancelAllAfter", {**who, "entered_by": "", "door": "system"}, -1, at_us)
    kind, report = mass_cancel_report(record, at_us, len(orders), None)
    said: Said = kind, {**report, "reason": "MATCHING_CANCEL_ALL_AFTER"}
    return [said, *_cleared_cancels(orders, -1, request_id, "MATCHING_CANCEL_ALL_AFTER")]


def _cleared_cancels(
    orders: Iterable[AccountOrder], request_offset: int, request_id: str, reason: Reason
) -> list[Said]:
    return [order.cleared_cancel(request_offset, request_id, reason) for order in orders]
