"""Every mutant is caught by the invariant that it breaks, and the document says so."""

import pytest

from app.verify.records import CHANGELOGS
from tests.mutants import day
from tests.mutants.break_ import Mutant
from tests.mutants.proof import DOCUMENT, MUTANTS, line, run


def test_the_day_that_mutants_spoil_is_green() -> None:
    findings = day.verified(day.made()).finish()
    assert findings.shown == []
    assert findings.notes == []


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_caught_and_the_document_says_by_what(mutant: Mutant) -> None:
    caught = run(mutant)
    assert caught.rightly, f"{mutant.name}: red is {caught.red}, and must have {sorted(mutant.expected)}"
    again = "run `.venv/bin/python -m tests.mutants` and look at what changed"
    assert line(caught) in DOCUMENT.read_text(encoding="utf-8"), again


def test_mutants_leave_no_trace() -> None:
    assert day.verified(day.made()).finish().shown == []


@pytest.mark.parametrize("name", CHANGELOGS)
def test_a_changelog_that_lost_everything_is_missed(name: str) -> None:
    """One that is empty must not be taken for one that was not compared."""
    left = [seen for seen in day.made() if seen.short != name]
    assert day.verified(left).finish().red() == {"I7"}


def test_there_are_many_and_each_has_a_name_of_its_own() -> None:
    assert len({mutant.name for mutant in MUTANTS}) == len(MUTANTS) >= 60
