"""Runs mutants, and tells what caught them."""

from collections.abc import Iterable
from typing import NamedTuple

from app.settings import ROOT
from app.verify.findings import Findings
from tests.mutants import credit, day, delivery, special, trading
from tests.mutants.break_ import Mutant, patched

DOCUMENT = ROOT / "docs" / "mutants.md"
MUTANTS: tuple[Mutant, ...] = (
    *delivery.mutant.all,
    *trading.mutant.all,
    *special.mutant.all,
    *credit.mutant.all,
)


class Caught(NamedTuple):
    """What became of a mutant: every invariant that was red, and the first words of those expected."""

    mutant: Mutant
    red: tuple[str, ...]
    words: str

    @property
    def rightly(self) -> bool:
        """Whether every invariant that must be red is."""
        return self.mutant.expected <= set(self.red)


def told(mutant: Mutant, findings: Findings) -> Caught:
    """What a mutant's findings say."""
    first = next((v.text for v in findings.shown if v.invariant in mutant.expected), "nothing")
    return Caught(mutant, tuple(sorted(findings.red(), key=_number)), first)


def _number(invariant: str) -> tuple[int, str]:
    digits = invariant.removeprefix("I")
    return (int(digits) if digits.isdigit() else 99, invariant)


def run(mutant: Mutant) -> Caught:
    """Makes the day as the mutant would, and verifies it."""
    with patched(mutant.spoil):
        records = day.made()
    return told(mutant, day.verified(records).finish())


def run_all(mutants: Iterable[Mutant] = MUTANTS) -> list[Caught]:
    """What became of each."""
    return [run(mutant) for mutant in mutants]


def line(caught: Caught) -> str:
    """A line of the document's table."""
    expected = ", ".join(sorted(caught.mutant.expected, key=_number))
    more = ", ".join(name for name in caught.red if name not in caught.mutant.expected) or "–"
    cells = (caught.mutant.name, expected, more, caught.words.replace("|", "\\|"))
    return f"| {' | '.join(cells)} |"
