"""Controls of accounts: opened, suspended, limited, paid in and out.

Each is answered by one ControlReport. Checks in this order: control_id well formed, account known
(SetAccount opens it), control_id not applied before, then the control's own values. Only what was
applied is remembered, so a refused control may be sent again.
"""

from collections.abc import Mapping
from typing import Any

from schemas.ids import printable, valid_client_order_id
from schemas.numbers import MAX_E8, format_e8
from schemas.records import Record
from tables.changes import Changes
from tables.controls import ControlIds, Refusal, malformed_id
from tables.holdings import Account, Ledger
from tables.limits import refuse_instrument, shown
from tables.reference import Instruments

Message = Mapping[str, Any]

CURRENCY_MAX = 16


def _invalid(text: str) -> Refusal:
    return Refusal("ACCOUNTS_INVALID_CONTROL", text)


def _refuse_amount(field: str, amount_e8: int) -> Refusal | None:
    if amount_e8 != 0 and -MAX_E8 <= amount_e8 <= MAX_E8:
        return None
    return _invalid(f"{field} must be up to {format_e8(MAX_E8)} either way and not 0, not {shown(amount_e8)}")


class AccountControls:
    """Applies controls to the accounts of a ledger."""

    def __init__(
        self, ledger: Ledger, instruments: Instruments, changes: Changes, control_ids: ControlIds
    ) -> None:
        self._ledger = ledger
        self._instruments = instruments
        self._changes = changes
        self._ids = control_ids
        self._apply = {
            "SetAccount": self._set_account,
            "SetLimits": self._set_limits,
            "MoveCash": self._move_cash,
            "MoveHolding": self._move_holding,
        }

    def apply(self, record: Record, at_us: int) -> Refusal | None:
        """Applies a control, or says why not."""
        message = record.message
        refusal = self._refuse_identity(record)
        if refusal is None:
            refusal = self._apply[record.kind](message)
        if refusal is None:
            self._ids.add(message["account"], message["control_id"], at_us)
        return refusal

    def _refuse_identity(self, record: Record) -> Refusal | None:
        message = record.message
        account_id, control_id = message["account"], message["control_id"]
        wrong = malformed_id(control_id)
        if wrong:
            return _invalid(wrong)
        if account_id not in self._ledger.accounts and record.kind != "SetAccount":
            return Refusal("ACCOUNTS_UNKNOWN_ACCOUNT", f"account={printable(account_id)}")
        if self._ids.repeats(account_id, control_id, record.logged_us):
            return Refusal("ACCOUNTS_DUPLICATE_CONTROL", f"control_id={control_id}")
        return None

    def _known(self, message: Message) -> Account:
        return self._ledger.accounts[message["account"]]

    def _set_account(self, message: Message) -> Refusal | None:
        account_id, status = message["account"], message["status"]
        if not valid_client_order_id(account_id) or "|" in account_id:
            return _invalid("account must be 1 to 64 printable ASCII characters without |")
        if status not in ("active", "suspended", "closed"):
            return _invalid(f"status must be active, suspended or closed, not {status}")
        account = self._ledger.open(account_id)
        account.status = status
        # A control that only changes the status need not repeat the name.
        account.name = printable(message["name"]) or account.name
        self._changes.touch(account)
        return None

    def _set_limits(self, message: Message) -> Refusal | None:
        for field in ("max_order_quantity", "max_order_notional"):
            if not 0 <= message[field] <= MAX_E8:
                return _invalid(
                    f"{field} must be 0 (no limit) to {format_e8(MAX_E8)}, not {shown(message[field])}"
                )
        account = self._known(message)
        account.max_order_quantity_e8 = message["max_order_quantity"]
        account.max_order_notional_e8 = message["max_order_notional"]
        account.allow_short = message["allow_short"]
        self._changes.touch(account)
        return None

    def _move_cash(self, message: Message) -> Refusal | None:
        account, currency, amount_e8 = self._known(message), message["currency"], message["amount"]
        if not (currency.isascii() and currency.isalnum() and len(currency) <= CURRENCY_MAX):
            return _invalid(f"currency must be 1 to {CURRENCY_MAX} letters and digits")
        if self._instruments.get(currency) is not None:
            return _invalid(f"currency {currency} is an instrument; use MoveHolding")
        free_e8 = self._ledger.free_e8(account, "cash", currency)
        refusal = _refuse_amount("amount", amount_e8)
        if refusal is None and amount_e8 < 0 and -amount_e8 > free_e8:
            text = f"free={format_e8(free_e8)} asked={format_e8(-amount_e8)} currency={currency}"
            refusal = Refusal("ACCOUNTS_INSUFFICIENT_CASH", text)
        if refusal is None:
            self._ledger.move(self._ledger.asset(account, "cash", currency), amount_e8)
        return refusal

    def _move_holding(self, message: Message) -> Refusal | None:
        account, symbol, quantity_e8 = self._known(message), message["symbol"], message["quantity"]
        if self._instruments.get(symbol) is None:
            return refuse_instrument(printable(symbol), None)
        free_e8 = self._ledger.free_e8(account, "holding", symbol)
        refusal = _refuse_amount("quantity", quantity_e8)
        if refusal is None and quantity_e8 < 0 and -quantity_e8 > free_e8:
            text = f"free={format_e8(free_e8)} asked={format_e8(-quantity_e8)} symbol={symbol}"
            refusal = Refusal("ACCOUNTS_INSUFFICIENT_HOLDING", text)
        if refusal is None:
            self._ledger.move(self._ledger.asset(account, "holding", symbol), quantity_e8)
        return refusal
