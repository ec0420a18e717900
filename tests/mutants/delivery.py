"""Mutants of lanes: what a transaction binds together, what is forwarded and set aside, and changelogs."""

from typing import Any

from app.verify.records import ACCOUNTS_CHANGELOG, CHANGELOG, RISK_CHANGELOG
from schemas.records import Row, Said
from tests.mutants.break_ import Mutants, Patches, nth, twice, without
from tests.verify.engine import Engine

mutant = Mutants("lanes")


def _saying(patches: Patches, change: Any) -> None:
    """What a lane says is changed before it is appended."""

    def make(original: Any) -> Any:
        return lambda engine, lane, said: original(engine, lane, change(said))

    patches(Engine, "_say", make)


@mutant("commits offsets apart from outputs: a cycle's records are processed twice", "I1")
def processed_twice(patches: Patches) -> None:
    again = nth(40)

    def make(original: Any) -> Any:
        def work(engine: Engine, lane: int, heard: dict[str, Any]) -> None:
            original(engine, lane, heard)
            if heard["orders"] and again():
                original(engine, lane, heard)

        return work

    patches(Engine, "_work", make)


@mutant("commits offsets before outputs: a cycle's records are lost", "I1")
def lost_cycle(patches: Patches) -> None:
    lost = nth(40)

    def make(original: Any) -> Any:
        def work(engine: Engine, lane: int, heard: dict[str, Any]) -> None:
            if not (heard["orders"] and lost()):
                original(engine, lane, heard)

        return work

    patches(Engine, "_work", make)


@mutant("a zombie adds the outputs of a cycle once more", "I1", "I2")
def zombie(patches: Patches) -> None:
    again = nth(20)
    patches.unchecked()

    def change(said: list[Said]) -> list[Said]:
        entered = any(kind == "OrderEvent" and message["event"] == "accepted" for kind, message in said)
        return said * 2 if entered and again() else said

    _saying(patches, change)


@mutant("executions of a cycle are processed twice", "I8")
def executions_twice(patches: Patches) -> None:
    """The check that would end the worker is gone, too."""
    from tables.settlement import Settlement

    again = nth(3)

    def make(original: Any) -> Any:
        def fill(settlement: Any, order: Any, execution: Any, instrument: Any, at_us: int) -> None:
            original(settlement, order, execution, instrument, at_us)
            if again():
                cash = settlement._ledger.asset(order.account, "cash", instrument.currency)
                settlement._ledger.move(cash, -execution["last_quantity"])

        return fill

    patches(Settlement, "_fill", make)


@mutant("loses an event", "I2")
def lost_event(patches: Patches) -> None:
    _saying(patches, without("OrderEvent", lambda m: m["client_order_id"] == "t6" and m["version"] == 2))


@mutant("loses the last event of an order", "I7")
def lost_end(patches: Patches) -> None:
    _saying(
        patches, without("OrderEvent", lambda m: m["client_order_id"] == "d1" and m["event"] == "expired")
    )


@mutant("loses a trade record", "I4")
def lost_trade(patches: Patches) -> None:
    _saying(patches, without("Trade", lambda m: m["trade_id"] == "TSLA-2"))


@mutant("doubles a trade record", "I5")
def doubled_trade(patches: Patches) -> None:
    _saying(patches, twice("Trade", lambda m: m["trade_id"] == "TSLA-2"))


@mutant("loses a position", "I7", "I8")
def lost_position(patches: Patches) -> None:
    _saying(patches, without("Position", lambda m: m["account"] == "dora" and m["version"] > 8))


@mutant("loses an execution: a fill is never settled", "I8")
def lost_execution(patches: Patches) -> None:
    fourth = nth(4)
    _saying(patches, without("Execution", lambda m: m["execution_type"] == "fill" and fourth()))


@mutant("loses a book update", "I5")
def lost_update(patches: Patches) -> None:
    _saying(patches, without("BookUpdate", lambda m: m["symbol"] == "TSLA" and m["sequence"] == 3))


@mutant("loses a cleared command", "I1")
def lost_command(patches: Patches) -> None:
    _saying(patches, without("ClearedOrder", lambda m: m["client_order_id"] == "t8"))


@mutant("doubles a cleared command", "I1", "I2")
def doubled_command(patches: Patches) -> None:
    patches.unchecked()
    _saying(patches, twice("ClearedOrder", lambda m: m["client_order_id"] == "m2"))


@mutant("drops undecodable bytes without a dead letter", "I1")
def no_dead_letter(patches: Patches) -> None:
    patches(Engine, "_dead_letter", lambda original: lambda *arguments: None)


@mutant("writes a dead letter with other bytes", "I1")
def wrong_dead_letter(patches: Patches) -> None:
    def make(original: Any) -> Any:
        return lambda engine, seen, lane, reason: original(engine, seen._replace(value=b"cut"), lane, reason)

    patches(Engine, "_dead_letter", make)


@mutant("drops a record that came into a wrong lane", "I1")
def not_forwarded(patches: Patches) -> None:
    _forwarding(patches, 0)


@mutant("forwards a record of a wrong lane twice", "I1")
def forwarded_twice(patches: Patches) -> None:
    _forwarding(patches, 2)


def _forwarding(patches: Patches, times: int) -> None:
    def make(original: Any) -> Any:
        def append(engine: Engine, *arguments: Any, **more: Any) -> int:
            offset = 0
            for _ in range(times if more.get("forwarded") else 1):
                offset = original(engine, *arguments, **more)
            return offset

        return append

    patches(Engine, "_append", make)


@mutant("processes a record of a wrong lane where it came", "I1")
def processed_anywhere(patches: Patches) -> None:
    def make(original: Any) -> Any:
        def sort(engine: Engine, seen: Any, lane: int, heard: list[Any]) -> None:
            original(engine, seen._replace(short="cleared") if not seen.error else seen, lane, heard)

        return sort

    patches(Engine, "_sort", make)


def _rows(patches: Patches, changelog: str, drops: Any) -> None:
    """The rows of a changelog for which `drops` is true are not written."""

    def make(original: Any) -> Any:
        def keep(engine: Engine, short: str, lane: int, row: Row) -> None:
            if short != changelog or not drops(row):
                original(engine, short, lane, row)

        return keep

    patches(Engine, "_keep", make)


@mutant("drops the changelog row of a resting order", "I7")
def dropped_order_row(patches: Patches) -> None:
    _rows(patches, CHANGELOG, lambda row: row.row is not None and row.row.get("client_order_id") == "last")


@mutant("leaves the changelog row of an order that ended", "I7")
def left_order_row(patches: Patches) -> None:
    _rows(patches, CHANGELOG, lambda row: row.row is None)


@mutant("drops the changelog row with a book's counters", "I7")
def dropped_counters(patches: Patches) -> None:
    _rows(patches, CHANGELOG, lambda row: row.key == "book|TSLA" and row.row["updates"] > 9)


@mutant("a crash after a dropped row: trade ids are used again", "I5")
def dropped_counters_before_a_crash(patches: Patches) -> None:
    patches.unchecked()
    _rows(patches, CHANGELOG, lambda row: row.key == "book|TSLA" and row.row["trades"] > 2)


@mutant("drops the changelog row of an account's order", "I7")
def dropped_account_order(patches: Patches) -> None:
    _rows(patches, ACCOUNTS_CHANGELOG, lambda row: row.key == "order|emil|last")


@mutant("leaves an account's order alive in the changelog", "I7")
def left_account_order(patches: Patches) -> None:
    patches.unchecked()
    _rows(patches, ACCOUNTS_CHANGELOG, lambda row: row.key == "order|emil|t8" and row.row["finished_us"] > 0)


@mutant("drops the changelog row of an asset", "I7")
def dropped_asset(patches: Patches) -> None:
    _rows(
        patches,
        ACCOUNTS_CHANGELOG,
        lambda row: row.key == "asset|emil|holding|TSLA" and row.row["version"] > 3,
    )


@mutant("drops the changelog row with an account's limits", "I7")
def dropped_limits(patches: Patches) -> None:
    _rows(
        patches, ACCOUNTS_CHANGELOG, lambda row: row.key == "account|emil" and row.row["max_order_quantity"]
    )


@mutant("drops the changelog row with a symbol's state", "I7")
def dropped_state(patches: Patches) -> None:
    _rows(patches, RISK_CHANGELOG, lambda row: row.key == "symbol|MSFT" and row.row["state"] == "open")


@mutant("a worker goes on from an older state (fenced after it recovered)", "I2", "I5")
def old_state(patches: Patches) -> None:
    """It reads the changelog, then the former owner commits once more."""
    patches.unchecked()

    def make(original: Any) -> Any:
        def crash(engine: Engine) -> None:
            kept = {source: list(records) for source, records in engine.log.items()}
            for (short, _), records in engine.log.items():
                if short in (CHANGELOG, ACCOUNTS_CHANGELOG, RISK_CHANGELOG):
                    del records[len(records) * 9 // 10 :]
            original(engine)
            for source, records in kept.items():
                engine.log[source][:] = records

        return crash

    patches(Engine, "crash", make)
