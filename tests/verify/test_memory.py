"""What is kept compactly, and forgotten, changes no answer."""

import random

from app.verify import ledger
from app.verify.numbers import Numbers, number_of
from app.verify.records import Snapshot
from tests.verify.history import History


def test_numbers_are_a_set() -> None:
    rng, numbers = random.Random(1), Numbers()
    known: set[int] = set()
    for _ in range(20_000):
        number = rng.randrange(1, 2**64) if rng.random() < 0.7 else rng.choice([*known][:50] or [1])
        assert (number in numbers) == (number in known)
        assert numbers.add(number) == (number not in known)
        known.add(number)


def test_numbers_of_texts_are_never_zero_and_differ() -> None:
    assert len({number_of(str(n)) for n in range(1000)} - {0}) == 1000


def test_a_second_answer_is_red_although_the_first_is_forgotten(monkeypatch):
    monkeypatch.setattr(ledger, "_FORGET", 1)
    history = History()
    answer = history.event("accepted", "s1")
    last = history.last(lambda s: s.kind == "OrderEvent" and s.partition == answer.partition)
    history.add(answer, after=last)
    findings = history.verify()
    assert findings.red() >= {"I1", "I2"}
    assert "although it was answered before" in findings.shown[0].text
    assert History().verify().shown == []


def test_what_is_overdue_is_told_once_and_what_came_late_is_not() -> None:
    """A first snapshot ends before the answer that is missing is due; a later one has it all."""
    history = History()
    missing = history.event("cancel_rejected", "nobody's", which=-1)
    history.drop(missing)
    verifier = history.verifier(Snapshot({(s.short, s.partition): 0 for s in history.records}))
    verifier.overdue()
    assert verifier.findings.shown == []
    ends = {(s.short, s.partition): 0 for s in history.records}
    for seen in history.records:
        ends[seen.short, seen.partition] = max(ends[seen.short, seen.partition], seen.offset + 1)
    verifier.move(ends)
    for _ in range(2):
        verifier.overdue()
        assert [found.invariant for found in verifier.findings.shown] == ["I1"]
    assert verifier.finish().violations == {"I1": 1}


def test_positions_are_held_against_all_that_moved_before_the_snapshot() -> None:
    """Moving it on folds what came later: the sums are the same as without."""
    history = History()
    ends = {(s.short, s.partition): 0 for s in history.records}
    verifier = history.verifier(Snapshot(ends))
    for seen in history.records:
        ends[seen.short, seen.partition] = max(ends[seen.short, seen.partition], seen.offset + 1)
    assert len(verifier.money.moving) > 2
    verifier.move(ends)
    assert not verifier.money.moving
    verifier.overdue()
    findings = verifier.finish()
    assert findings.shown == []
    assert findings.notes == []
    assert findings.checked["I8"] > 8
