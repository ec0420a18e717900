"""A day at the exchange in which everything happens once, and ways to falsify it."""

from collections.abc import Callable
from functools import cache
from typing import Any

from app.verify.findings import Findings
from app.verify.records import CHANGELOGS, Seen, Snapshot
from app.verify.verifier import Verifier
from schemas.records import Record
from tables.instructions import NOTHING
from tests.tables.words import (
    cancel_order,
    instrument,
    mass_cancel,
    move_cash,
    move_holding,
    new_order,
    quote,
    replace_order,
    set_account,
    set_limits,
    symbol_control,
)
from tests.verify.engine import LANES, Engine

Wanted = Callable[[Seen], bool]


class Day:
    """Sends in the words of tests/tables/words.py; each call is a moment of its own."""

    def __init__(self) -> None:
        self.engine = Engine()

    def send(self, record: Record, **where: Any) -> int:
        offset = self.engine.send(record, **where)
        self.engine.run()
        return offset

    def pause(self) -> None:
        """Longer than clocks may differ."""
        self.engine.now_us += 5_000_000

    def order(self, name: str, words: str, **changes: Any) -> int:
        return self.send(new_order(name, words, **changes))

    def carrying(self, name: str, words: str, order_type: str = "", **changes: Any) -> int:
        """An order with instructions; of another type than its words say where one is given."""
        carried = {word: changes.pop(word) for word in list(changes) if word in NOTHING}
        kind = {"order_type": order_type} if order_type else {}
        return self.order(name, words, instructions={**NOTHING, **carried}, **kind, **changes)


def opened(day: Day) -> None:
    """Instruments with a quote, and accounts that may trade."""
    for symbol in ("AAPL", "MSFT"):
        day.engine.instrument(instrument(symbol, max_quote_age_ms=0))
        day.send(quote(symbol, "99.99", "100.01"))
    for account in ("alice", "bob", "carol"):
        day.send(set_account(account, control_id=f"open {account}"))
        day.send(set_limits(account, "1000", "200000", control_id=f"limits of {account}"))
        day.send(move_cash(account, "1000000", control_id=f"cash of {account}"))
        for symbol in ("AAPL", "MSFT"):
            day.send(move_holding(account, "1000", symbol, control_id=f"{symbol} of {account}"))


def _traded(day: Day) -> None:
    """Makers at two prices, takers of every kind."""
    day.order("s1", "sell 10 AAPL 100", account="bob")
    day.order("s2", "sell 10 AAPL 100", account="carol")
    day.order("s3", "sell 10 AAPL 100.05", account="bob", time_in_force="day")
    day.order("b1", "buy 5 AAPL 100")
    day.order("b2", "buy 12 AAPL 100.05")
    day.order("ioc", "buy 9 AAPL 100", time_in_force="ioc")
    day.order("fok", "buy 900 AAPL 100.05", time_in_force="fok")
    day.order("mkt", "buy 3 AAPL market", time_in_force="ioc")
    day.order("m1", "buy 10 MSFT 100", account="bob")
    day.order("m2", "sell 4 MSFT 99.99")


def _changed(day: Day) -> None:
    """Replaces that keep and lose priority, cancels, refusals, repeats."""
    day.order("r1", "buy 10 AAPL 99", account="carol")
    day.order("r2", "buy 10 AAPL 99")
    day.send(replace_order("r1", "5", account="carol", client_order_id="r1b"))
    day.send(replace_order("r2", None, "99.5", client_order_id="r2b"))
    day.order("hit", "sell 12 AAPL 99", account="bob")
    day.send(cancel_order("r1b", account="carol"))
    day.send(cancel_order("nobody's", client_order_id="x2"))
    day.send(cancel_order("r2b", client_order_id="x3"))
    day.send(replace_order("m1", "0", account="bob", client_order_id="r3"))
    day.order("m1", "buy 10 MSFT 100", account="bob")
    day.order("b1", "buy 5 AAPL 100")
    day.order("b1", "buy 6 AAPL 100")
    day.order("off", "buy 1 AAPL 99.999")
    day.order("off", "buy 1 AAPL 99.999")
    day.order("big", "buy 1001 AAPL 99")
    day.order("minus", "buy -1 AAPL 99")
    day.order("u1", "buy 1 AAPL 99", account="nobody")


def _swept(day: Day) -> None:
    """Mass cancel, end of day, halt, kill switch, and what is not for this lane or for nobody."""
    day.order("c1", "buy 1 AAPL 98", account="carol")
    day.order("c2", "buy 1 MSFT 98", account="carol")
    day.send(mass_cancel(account="carol", client_order_id="all"))
    day.order("d1", "buy 2 AAPL 98", time_in_force="day")
    day.order("d2", "buy 2 AAPL 97.5")
    day.send(symbol_control("ExpireDay", control_id="eod"))
    day.send(symbol_control("SetSymbolState", "MSFT", control_id="h", state="halted", cancel_orders=False))
    day.order("halted", "buy 1 MSFT 99")
    day.send(symbol_control("SetSymbolState", "MSFT", control_id="o", state="open", cancel_orders=True))
    day.order("k1", "buy 1 AAPL 97", account="carol")
    day.pause()
    day.send(set_account("carol", "suspended", control_id="kill", cancel_orders=True))
    day.order("late", "buy 1 AAPL 97", account="carol")
    day.send(new_order("lost", "buy 1 AAPL 96"), lane=0)
    day.engine.send_bytes(b"nonsense")
    day.order("end", "buy 3 AAPL 95", account="bob")
    day.order("end2", "sell 3 AAPL 105", account="bob")
    day.send(move_cash("bob", "1", control_id="one more"))
    day.send(move_cash("bob", "1", control_id="one more"))
    day.send(cancel_order("nobody's", client_order_id="x9"))


PARTS = (opened, _traded, _changed, _swept)


@cache
def _a_day() -> tuple[Seen, ...]:
    day = Day()
    for part in PARTS:
        part(day)
        day.pause()
    return tuple(day.engine.history())


class History:
    """The records of the day, to be falsified and verified."""

    def __init__(self) -> None:
        self.records = list(_a_day())

    def find(self, kind: str, which: int = 0, **fields: Any) -> Seen:
        """The record of a kind with these fields; of several, the one of that number."""
        found = [
            seen
            for seen in self.records
            if seen.kind == kind and all(seen.message[name] == value for name, value in fields.items())
        ]
        assert found, f"no {kind} with {fields}"
        return found[which]

    def event(self, event: str, client_order_id: str, which: int = 0) -> Seen:
        """An OrderEvent."""
        return self.find("OrderEvent", which, event=event, client_order_id=client_order_id)

    def drop(self, seen: Seen) -> None:
        """It was never written."""
        self.records.remove(seen)

    def change(self, seen: Seen, **fields: Any) -> Seen:
        """It says something else."""
        changed = seen._replace(message={**seen.message, **fields})
        self.records[self.records.index(seen)] = changed
        return changed

    def add(self, seen: Seen, after: Seen, **fields: Any) -> Seen:
        """One more record like it, right after another one of its partition."""
        more = seen._replace(
            message={**seen.message, **fields}, offset=after.offset + 1, timestamp_us=after.timestamp_us
        )
        self.records.insert(self.records.index(after) + 1, more)
        return more

    def swap(self, one: Seen, other: Seen) -> None:
        """Each says what the other said."""
        first, second = self.records.index(one), self.records.index(other)
        self.records[first] = one._replace(message=other.message)
        self.records[second] = other._replace(message=one.message)

    def last(self, wanted: Wanted) -> Seen:
        """The last record that is wanted."""
        return [seen for seen in self.records if wanted(seen)][-1]

    def verify(self, snapshot: Snapshot | None = None) -> Findings:
        """What is wrong with it."""
        return self.verifier(snapshot).finish()

    def verifier(self, snapshot: Snapshot | None = None) -> Verifier:
        """A verifier that has read everything."""
        verifier = Verifier(LANES, snapshot=snapshot)
        for seen in self.records:
            if seen.short in CHANGELOGS:
                verifier.mark()
            verifier.take(seen)
        return verifier

    def red(self) -> set[str]:
        """The invariants that are breached."""
        return self.verify().red()
