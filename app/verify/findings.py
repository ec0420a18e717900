"""What was checked, and what was found wrong."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from app.verify.records import Place

RULES = {
    "I1": "every request and control has exactly one answer",
    "I2": "one terminal state per order, nothing after it",
    "I3": "fills sum to cum <= quantity; quantity = cum + leaves + canceled",
    "I4": "a trade has two sides, equal in quantity, at the maker's price",
    "I5": "trade ids unique, sequences gapless per symbol",
    "I6": "price-time priority: a naive book makes the same trades",
    "I7": "changelogs = events = book updates: books, live orders, assets, limits, halts",
    "I8": "positions = fills and movements; reserved = need of live orders",
    "I9": "nothing older than its cause, nothing forgotten that was due",
    "I10": "no limit, lot, tick, band, halt or suspension breached; no fill after a kill switch",
    "I11": "REST, stream, Redis and topics agree",
    "I12": "the group has taken every record",
    "storage": "PostgreSQL holds what the topics hold",
}
SHOWN_MAX = 10


@dataclass(frozen=True)
class Violation:
    """One breach: which invariant, in words, of which order, and where the records are that show it."""

    invariant: str
    text: str
    places: tuple[Place, ...] = ()
    order_id: str = ""


@dataclass
class Findings:
    """Counts per invariant; of the violations of each, the first ten are kept whole."""

    checked: dict[str, int] = field(default_factory=dict)
    violations: dict[str, int] = field(default_factory=dict)
    shown: list[Violation] = field(default_factory=list)
    # What could not be compared, and why.
    notes: list[str] = field(default_factory=list)

    def check(self, invariant: str, count: int = 1) -> None:
        """Counts what was checked."""
        self.checked[invariant] = self.checked.get(invariant, 0) + count

    def wrong(
        self, invariant: str, text: str, places: Iterable[Place | None] = (), order_id: str = ""
    ) -> None:
        """Keeps a violation."""
        count = self.violations[invariant] = self.violations.get(invariant, 0) + 1
        if count <= SHOWN_MAX:
            shown = tuple(place for place in places if place is not None)
            self.shown.append(Violation(invariant, text, shown, order_id))

    def red(self) -> set[str]:
        """Invariants that were breached."""
        return set(self.violations)
