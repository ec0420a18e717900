"""All invariants over one stream of records.

Rule: records of one partition come in their order, partitions in any (the nearer to their true order, the
less waits in memory), but instruments first, and controls before what they caused.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from app.verify.books import Books
from app.verify.deadlines import Deadlines
from app.verify.entry import Entries
from app.verify.fills import Fills
from app.verify.findings import Findings
from app.verify.latest import Latest
from app.verify.limits import Limits
from app.verify.markets import Markets
from app.verify.money import Money
from app.verify.numbers import Numbers, number_of
from app.verify.orders import CHANGES, TERMINAL, Order, Orders
from app.verify.records import CHANGELOG, CHANGELOGS, Seen, Snapshot, Source
from app.verify.replay import CONTROLS, Replay
from app.verify.requests import Requests
from app.verify.rows import Rows
from app.verify.totals import REPORTS, Totals
from schemas.ids import DAY_US

SKEW_US = 1_000_000
_FROM_OUTSIDE = ("orders", "control")


class Verifier:
    """Takes records, then tells what was wrong: `findings`, `totals`."""

    def __init__(
        self,
        partitions: int,
        prefix: str = "oms",
        snapshot: Snapshot | None = None,
        skew_us: int = SKEW_US,
        window_us: int = DAY_US,
        *,
        with_latest: bool = False,
    ) -> None:
        self.snapshot = snapshot = Snapshot() if snapshot is None else snapshot
        self.findings = Findings()
        self.markets = Markets(partitions)
        self.totals = Totals(self.markets)
        self.orders = Orders(self.findings, skew_us)
        self.requests = Requests(
            self.findings, self.markets, snapshot, prefix, skew_us, self._control_was_reported, window_us
        )
        self.fills = Fills(self.findings, snapshot, self._paired)
        self.replay = Replay(self.findings, snapshot, self.markets)
        self.money = Money(self.findings, self.markets, snapshot)
        self.limits = Limits(self.findings, self.markets, snapshot, skew_us)
        self.entries = Entries(self.findings, self.markets, skew_us, self.money.taken)
        self.deadlines = Deadlines(self.findings)
        self.books = Books(self.findings)
        self.rows = Rows(self.findings)
        # What can be asked for at a door, when one is to be asked.
        self.latest = Latest(self.books) if with_latest else None
        # Orders that risk or matching rejected, as their symbol's lane says.
        self._refusals = Numbers()
        self._take: dict[str, Callable[[Seen], None]] = {
            "OrderEvent": self._event,
            "MassCancelReport": self.requests.mass_cancel_report,
            "ControlReport": self.requests.control_report,
            "DeadLetter": self.requests.dead_letter,
            "Trade": self._trade,
            "ClearedOrder": self._cleared,
            "ClearedReplace": self._cleared,
            "ClearedCancel": self._cleared,
            "ClearedStatusRequest": self._cleared,
            "QuoteTaken": self.replay.word,
            "Position": self.money.position,
            "BookUpdate": self.books.update,
            "Instrument": self.markets.take,
            "Quote": self.entries.quote,
        }

    def take(self, seen: Seen) -> None:
        """Takes the next record."""
        self.totals.records[seen.short] += 1
        if seen.kind in REPORTS:
            self.totals.reports[seen.kind, seen.partition] += 1
        if seen.short in _FROM_OUTSIDE:
            if seen.kind == "SetLimits" and seen.message["allow_short"]:
                self.money.may_short(seen.message["account"])
            if _changes_market(seen) and seen.partition in self.markets.lanes(seen.message["symbol"]):
                self.replay.expect_control(seen.message["symbol"])
            self.requests.request(seen)
        elif seen.short in CHANGELOGS:
            (self.books if seen.short == CHANGELOG else self.rows).row(seen)
        elif seen.error and seen.short == "quotes":
            # Whoever sends quotes may send anything; it becomes a dead letter.
            return
        elif seen.error:
            text = f"a record of {seen.short}, which lanes write, cannot be read: {seen.error}"
            self.findings.wrong("I1", text, [seen.place])
        else:
            take = self._take.get(seen.kind)
            if take is not None:
                take(seen)
            if self.latest is not None:
                self.latest.take(seen)

    def _cleared(self, seen: Seen) -> None:
        self.replay.cleared(seen)
        self.money.touch(seen.message["account"], seen.place)
        self.limits.cleared(seen)
        self.entries.cleared(seen)
        # Its word may have been read first, and those after it, too.
        if seen.message["order_id"] not in self.orders.live:
            self.money.ended(seen.message["order_id"])

    def _trade(self, seen: Seen) -> None:
        self.totals.trade(seen.message)
        if self.fills.trade(seen) and seen.message["aggressor_side"] != "unknown":
            self.money.trade(seen, seen.message["aggressor_side"])

    def _paired(self, trade: Seen, taker_side: str) -> None:
        """Where nobody is the aggressor, only the events tell who bought."""
        if trade.message["aggressor_side"] == "unknown":
            self.money.trade(trade, taker_side)

    def _event(self, seen: Seen) -> None:
        event = seen.message
        self.totals.event(seen.partition, event)
        self.requests.event(seen)
        self.limits.heard(seen.partition, event["at_us"])
        self.entries.heard(seen.partition, event["at_us"])
        self.entries.event(seen)
        self.money.touch(event["account"], seen.place)
        self.books.touch(event["symbol"])
        if event["event"] in CHANGES:
            self._change(seen)
        elif event["event"] == "rejected":
            self._reject(seen)
        else:
            self._repeat(seen)

    def _change(self, seen: Seen) -> None:
        """An order changed: what matching said, unless the order's history forbids it."""
        event = seen.message
        order = self.orders.change(seen)
        if event["symbol"] in self.orders.broken:
            self.replay.stop(event["symbol"], "the history of one of its orders is broken (I2)")
        if order is None:
            return
        if event["event"] == "trade":
            self.fills.side(seen)
        if order.status in TERMINAL:
            self.totals.order(event, order.entry_id)
            self.money.ended(event["order_id"])
        self.limits.event(seen, order)
        self.deadlines.change(seen)
        self.replay.word(seen)

    def _reject(self, seen: Seen) -> None:
        event = seen.message
        self.money.ended(event["order_id"])
        if not event["version"]:
            return
        if self.orders.reject(seen):
            self.totals.order(event, event["client_order_id"])
        # Accounts answer a repeat as the first request was answered: in a partition of their own, which may
        # be read earlier, or behind the first.
        if seen.partition not in self.markets.lanes(event["symbol"]):
            return
        by_risk = event["reason"].startswith("RISK_")
        if (by_risk or event["reason"].startswith("MATCHING_")) and self._refusals.add(
            number_of(event["order_id"])
        ):
            (self.replay.refused if by_risk else self.replay.word)(seen)

    def _repeat(self, seen: Seen) -> None:
        """A refusal of a cancel or replace, or a status: by matching when only matching can say it."""
        event = seen.message
        self.orders.repeat(seen)
        if event["event"] == "order_status":
            by_matching = event["status"] not in TERMINAL
        else:
            by_matching = event["reason"].startswith("MATCHING_")
        if by_matching:
            self.replay.word(seen)
        elif event["event"] == "replace_rejected" and event["reason"].startswith("RISK_"):
            self.replay.refused(seen)

    def _control_was_reported(self, control: Seen, report: Seen) -> None:
        """A control was answered; what was applied has effects."""
        if _changes_market(control):
            self.replay.control(control.message, control.kind, report)
        if report.message["outcome"] != "applied":
            return
        message, kind = control.message, control.kind
        self.rows.control(message, kind, report)
        if "account" in message:
            self.money.control(message, kind, report)
            self.limits.account_control(message, kind, report)
            return
        self.limits.symbol_control(message, kind, report)
        self.entries.band(message, kind, report)

    # The end.

    def mark(self) -> None:
        """The changelogs are read from here on, see `Books` and `Rows`."""
        self.books.mark()
        self.rows.mark()

    def move(self, ends: Mapping[Source, int]) -> None:
        """Takes `ends` as the snapshot: what they have is to be complete from now on."""
        self.snapshot.move(ends)
        self.money.settle()

    def overdue(self) -> None:
        """Reports what of the snapshot is not complete although it should be, each once."""
        self.requests.overdue()
        self.fills.overdue()
        self.replay.overdue()
        self.money.overdue(self.orders.live)

    def waiting(self) -> Iterator[Any]:
        """What of the snapshot is not complete yet, and may become so on a running system."""
        yield from self.requests.waiting()
        yield from self.fills.waiting()
        yield from self.replay.waiting()
        yield from self.money.waiting()

    def finish(self) -> Findings:
        """What was wrong in all; to be asked once, after the last record."""
        live = self.orders.live
        self.requests.finish()
        self.fills.overdue()
        self.replay.overdue()
        self.money.finish(live)
        self.limits.finish(live)
        self.entries.finish()
        self.deadlines.finish()
        symbols = {order.symbol for order in live.values()} | self.replay.symbols()
        naive = {symbol: self.replay.book(symbol) for symbol in symbols}
        self.books.finish(live, naive, self.fills.sequences)
        self.rows.finish(live, self.money.held, self.money.positions(), self.money.moving)
        for order_id, order in live.items():
            self.totals.order(_state(order_id, order), order.entry_id)
        return self.findings


def _changes_market(control: Seen) -> bool:
    """Whether a control does something to orders."""
    return control.kind in CONTROLS or bool(
        control.kind == "SetSymbolState" and control.message["cancel_orders"]
    )


def _state(order_id: str, order: Order) -> dict[str, Any]:
    """A live order with the names of an event."""
    return {
        "order_id": order_id,
        "account": order.account,
        "symbol": order.symbol,
        "side": order.side,
        "status": order.status,
        "version": order.version,
        "quantity": order.quantity_e8,
        "cum_quantity": order.cum_e8,
    }
