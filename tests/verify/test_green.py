"""Histories in which everything went well: nothing is found wrong."""

from tests.verify.history import History


def test_a_day_in_which_everything_happens_is_green():
    findings = History().verify()
    assert findings.shown == []
    assert findings.notes == []


def test_every_invariant_was_checked():
    assert set(History().verify().checked) == {f"I{n}" for n in range(1, 11)}


def test_partitions_may_be_read_in_any_order():
    history = History()
    history.records.sort(
        key=lambda seen: (seen.short not in ("instruments", "control"), seen.short, seen.partition)
    )
    assert history.verify().shown == []
