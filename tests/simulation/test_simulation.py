"""Histories of lanes without Kafka: green as they are, red with a bug, the same for the same seed."""

import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest

import app.lanes.lane
import app.lanes.manager
from app.settings import ROOT
from tests.simulation.bugs import BUGS
from tests.simulation.history import play
from tests.simulation.plan import plan
from tests.simulation.run import MUST_HAPPEN, Report, find, run, simulating

HISTORIES = 200
# Found within a few histories; `python -m tests.simulation --bugs` plants the others, too.
QUICK = ("late-seek", "offsets-apart", "refused-batch-committed", "revoked-in-the-middle", "row-dropped")


def test_whatever_dies_every_history_is_right_and_all_that_must_happen_happens() -> None:
    report = run(range(1, HISTORIES + 1))
    assert report.failures == {}
    assert report.missing == []


@pytest.mark.parametrize("bug", QUICK)
def test_a_planted_bug_is_found(bug: str) -> None:
    with simulating(bug):
        assert any(play(plan(seed)).wrong for seed in range(1, 100))
    with simulating():
        assert not play(plan(1)).wrong, "the bug stayed"


def test_fencing_after_recovery_is_found_and_made_short() -> None:
    found = find("fenced-last", first=600, histories=2000, tries_max=100)
    assert found is not None
    before = plan(found.seed)
    assert found.outcome.wrong
    assert len(found.plan.requests) + len(found.plan.faults) < len(before.requests) + len(before.faults)
    assert found.outcome.trace


def test_what_is_made_short_has_nothing_that_it_does_not_need() -> None:
    found = find("row-dropped", first=2, histories=100)
    assert found is not None
    assert found.plan.faults == ()
    with simulating("row-dropped"):
        assert play(found.plan).wrong
        assert not play(replace(found.plan, requests=())).wrong


_AGAIN = """
from tests.simulation.history import play
from tests.simulation.plan import plan
from tests.simulation.run import simulating
with simulating():
    print([play(plan(seed), traced=True).trace for seed in range(1, 6)])
"""


def test_a_seed_is_the_same_history_in_every_process() -> None:
    with simulating():
        here = [play(plan(seed), traced=True).trace for seed in range(1, 6)]
    there = subprocess.run(
        [sys.executable, "-c", _AGAIN], cwd=ROOT, capture_output=True, text=True, check=True, timeout=120
    )
    assert there.stdout.strip() == str(here)


def test_a_run_in_which_nothing_happened_is_too_weak() -> None:
    weak = Report(1, {}, Counter(dict.fromkeys(MUST_HAPPEN[1:], 1)), 1.0)
    assert weak.missing == [MUST_HAPPEN[0]]
    assert not weak.green


def test_the_edges_are_themselves_again_afterwards() -> None:
    def edges() -> list[object]:
        return [vars(app.lanes.lane)["time"], *map(vars(app.lanes.manager).get, ("LaneProducer", "die"))]

    before = edges()
    with simulating(next(iter(BUGS))):
        assert edges()[1] is not before[1]
    assert edges() == before
