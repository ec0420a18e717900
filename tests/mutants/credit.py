"""Mutants of accounts and risk: memory of ids, reservations, settlement, limits, bands, kill switches."""

from typing import Any

from schemas.records import Record, Said
from tables import accounts, risk
from tables.account_orders import AccountOrder
from tables.accounts import Accounts
from tables.controls import ControlIds
from tables.holdings import Ledger
from tables.order_memory import OrderMemory
from tables.risk import Risk
from tables.settlement import Settlement
from tests.mutants.break_ import Mutants, Patches, each, nth, twice, without

mutant = Mutants("accounts and risk")


@mutant("skips deduplication: a repeated order is entered again", "I2")
def no_deduplication(patches: Patches) -> None:
    patches.unchecked()

    def make(original: Any) -> Any:
        def enter(table: Any, record: Record, at_us: int) -> list[Said]:
            find = table._orders.find
            table._orders.find = lambda *arguments: None
            try:
                return list(original(table, record, at_us))
            finally:
                table._orders.find = find

        return enter

    def applying(original: Any) -> Any:
        entering = make(original)

        def apply(table: Any, record: Record, at_us: int) -> list[Said]:
            apply_now = entering if record.kind == "NewOrder" else original
            return list(apply_now(table, record, at_us))

        return apply

    patches(Accounts, "apply", applying)


@mutant("applies a control a second time", "I1")
def control_twice(patches: Patches) -> None:
    patches(ControlIds, "repeats", lambda original: lambda *arguments: False)


@mutant("answers a request twice", "I1")
def answered_twice(patches: Patches) -> None:
    patches.saying(
        Accounts,
        "apply",
        twice("OrderEvent", lambda m: m["event"] == "rejected" and m["client_order_id"] == "big"),
    )


@mutant("answers a refused request not at all", "I1")
def not_answered(patches: Patches) -> None:
    patches.saying(Accounts, "apply", without("OrderEvent", lambda m: m["event"] == "cancel_rejected"))


@mutant("reports a control not at all", "I1")
def not_reported(patches: Patches) -> None:
    patches.saying(Accounts, "apply", without("ControlReport", lambda m: m["control_id"] == "one more"))


@mutant("answers for another account", "I1")
def other_account(patches: Patches) -> None:
    patches.saying(
        Accounts,
        "apply",
        each("OrderEvent", lambda m: {**m, "account": "carol"}, lambda m: m["client_order_id"] == "big"),
    )


@mutant("accepts other terms than were asked for", "I1")
def other_terms(patches: Patches) -> None:
    patches.unchecked()
    patches.saying(
        Accounts,
        "apply",
        each(
            "ClearedOrder",
            lambda m: {**m, "quantity": m["quantity"] * 2},
            lambda m: m["client_order_id"] == "t8",
        ),
    )


@mutant("gives an order another order_id", "I1")
def other_order_id(patches: Patches) -> None:
    def make(original: Any) -> Any:
        return lambda account, client_order_id, entered_us: original(
            account, client_order_id + "?", entered_us
        )

    patches(accounts, "order_id", make)


@mutant("forgets a release: a canceled order keeps its cash", "I8")
def no_release(patches: Patches) -> None:
    patches.unchecked()

    def make(original: Any) -> Any:
        def free(settlement: Any, order: Any, execution: Any, instrument: Any) -> None:
            if execution["execution_type"] not in ("canceled", "expired"):
                original(settlement, order, execution, instrument)

        return free

    patches(Settlement, "_free", make)


@mutant("releases nothing when a fill was cheaper", "I8")
def no_better_price(patches: Patches) -> None:
    patches.unchecked()

    def make(original: Any) -> Any:
        def free(settlement: Any, order: Any, execution: Any, instrument: Any) -> None:
            if execution["execution_type"] != "fill" or order.finished_us == 0:
                original(settlement, order, execution, instrument)

        return free

    patches(Settlement, "_free", make)


@mutant("reserves too little", "I8")
def reserves_too_little(patches: Patches) -> None:
    def make(original: Any) -> Any:
        return lambda order, multiplier_e8: original(order, multiplier_e8) // 2

    patches(AccountOrder, "need_e8", make)


@mutant("orders of which one may trade hold what each of them needs", "I8")
def shares_nothing(patches: Patches) -> None:
    patches.unchecked()
    patches(AccountOrder, "others_hold_e8", lambda original: lambda order: 0)


@mutant("exits of a bracket hold nothing of what its entry bought", "I8")
def exits_hold_nothing(patches: Patches) -> None:
    patches.unchecked()
    patches(Settlement, "_hold_for_exits", lambda original: lambda *arguments: None)


@mutant("exits of a bracket hold what its entry is yet to buy", "I8")
def exits_hold_all(patches: Patches) -> None:
    patches.unchecked()
    patches(AccountOrder, "awaited_e8", lambda original: lambda order: 0)
    patches(accounts, "refuse_funds", lambda original: lambda *arguments: None)


@mutant("reserves nothing for what a replace asks for in addition", "I8")
def replaces_for_nothing(patches: Patches) -> None:
    """And takes what it needs when the answer comes."""
    patches.unchecked()
    patches(accounts, "replace_costs_e8", lambda original: lambda *arguments: 0)

    def make(original: Any) -> Any:
        def free(settlement: Any, order: Any, execution: Any, instrument: Any) -> None:
            if execution["execution_type"] != "replaced":
                before_e8 = order.reserved_e8
                order.reserved_e8 = 10**30
                original(settlement, order, execution, instrument)
                held = settlement._ledger.held_by(order, instrument.currency)
                held.reserved_e8 += 10**30 - before_e8

        return free

    patches(Settlement, "_free", make)


@mutant("creates cash: rounds what a seller gets up", "I8")
def cash_created(patches: Patches) -> None:
    def make(original: Any) -> Any:
        return lambda ledger, asset, amount_e8: original(
            ledger, asset, amount_e8 + (asset.kind == "cash" and amount_e8 > 0)
        )

    patches(Ledger, "move", make)


@mutant("destroys a holding: a buyer gets less than was traded", "I8")
def holding_destroyed(patches: Patches) -> None:
    def make(original: Any) -> Any:
        return lambda ledger, asset, amount_e8: original(
            ledger, asset, amount_e8 - (asset.kind == "holding" and amount_e8 > 0)
        )

    patches(Ledger, "move", make)


@mutant("tells a wrong position", "I7", "I8")
def wrong_position(patches: Patches) -> None:
    patches.saying(
        Accounts,
        "end_cycle",
        each("Position", lambda m: {**m, "total": m["total"] + 1}, lambda m: m["account"] == "emil"),
    )


@mutant("tells a position twice", "I8")
def position_twice(patches: Patches) -> None:
    patches.saying(Accounts, "end_cycle", twice("Position", lambda m: m["version"] == 3))


@mutant("applies a movement and says that it was refused", "I8")
def refused_but_moved(patches: Patches) -> None:
    patches.saying(
        Accounts,
        "apply",
        each(
            "ControlReport", lambda m: {**m, "outcome": "rejected"}, lambda m: m["control_id"] == "one more"
        ),
    )


@mutant("does not check cash", "I10")
def no_cash_check(patches: Patches) -> None:
    patches.unchecked()
    patches.ignoring(accounts, "refuse_funds", "ACCOUNTS_INSUFFICIENT_CASH")


@mutant("does not check holdings", "I10")
def no_holding_check(patches: Patches) -> None:
    patches.ignoring(accounts, "refuse_funds", "ACCOUNTS_INSUFFICIENT_HOLDING")


@mutant("does not check the maximum quantity", "I10")
def no_quantity_limit(patches: Patches) -> None:
    _no_limit(patches, "ACCOUNTS_MAX_QUANTITY")


@mutant("does not check the maximum notional", "I10")
def no_notional_limit(patches: Patches) -> None:
    _no_limit(patches, "ACCOUNTS_MAX_NOTIONAL")


def _no_limit(patches: Patches, reason: str) -> None:
    """New orders ask tables.limits itself, replaces ask it by its name in tables.accounts."""
    from tables import limits

    for owner in (accounts, limits):
        patches.ignoring(owner, "refuse_size", reason)


@mutant("does not check the status of an account", "I10")
def no_status_check(patches: Patches) -> None:
    from tables import limits

    for owner in (accounts, limits):
        patches.ignoring(owner, "refuse_account", "ACCOUNTS_SUSPENDED")


@mutant("does not check the lot", "I10")
def no_lot_check(patches: Patches) -> None:
    patches.ignoring(risk, "_off", "RISK_OFF_LOT")


@mutant("does not check the tick", "I10")
def no_tick_check(patches: Patches) -> None:
    patches.ignoring(risk, "_off", "RISK_OFF_TICK")


@mutant("does not check the price band", "I10")
def no_band(patches: Patches) -> None:
    patches.ignoring(risk, "_refuse_price", "RISK_PRICE_BAND")


@mutant("does not check the age of a quote", "I10")
def no_age(patches: Patches) -> None:
    patches.ignoring(risk, "_refuse_price", "RISK_STALE_QUOTE")


@mutant("ignores the operator's band", "I10")
def no_override(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def refuse(symbol_risk: Any, *arguments: Any) -> Any:
            symbol_risk.band_bps = -1
            return original(symbol_risk, *arguments)

        return refuse

    patches(risk, "_refuse_price", make)


@mutant("ignores a halt", "I10")
def no_halt(patches: Patches) -> None:
    patches.ignoring(Risk, "_refuse", "RISK_HALTED")


@mutant("a kill switch cancels nothing, and an order of the account is filled after it", "I10")
def no_kill(patches: Patches) -> None:
    patches.saying(
        Accounts, "apply", without("ClearedCancel", lambda m: m["reason"] == "MATCHING_KILL_SWITCH")
    )


@mutant("a kill switch forgets one of two accounts' orders", "I10")
def half_killed(patches: Patches) -> None:
    once = nth(1)
    patches.saying(
        Accounts,
        "apply",
        without("ClearedCancel", lambda m: m["reason"] == "MATCHING_KILL_SWITCH" and once()),
    )


@mutant("a mass cancel forgets an order, and says that it did not", "I1")
def mass_cancel_unreported(patches: Patches) -> None:
    patches.saying(Accounts, "apply", without("MassCancelReport", lambda m: m["orders"] > 1))


@mutant("forgets finished orders at once: a repeat is entered again", "I2")
def no_memory(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def find(memory: Any, account: Any, id: str, logged_us: int) -> Any:
            found = original(memory, account, id, logged_us)
            return None if found is not None and found.finished_us else found

        return find

    patches(OrderMemory, "find", make)
