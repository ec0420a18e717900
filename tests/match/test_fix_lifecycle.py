"""FIX's life-cycle scenarios through the engines; docs/fix-lifecycle.md says what they are."""

from collections.abc import Callable

import pytest

from app.naive import Engine as NaiveEngine
from tables.engine import Engine as FastEngine
from tests.match.fix_lifecycle import Handler, run
from tests.match.fix_scenarios import SCENARIOS, Scenario
from tests.naive.desk import AnyEngine

RUN = [scenario for scenario in SCENARIOS if not scenario.missing]


@pytest.mark.parametrize("engine", [NaiveEngine, FastEngine], ids=["naive", "fast"])
@pytest.mark.parametrize("scenario", RUN, ids=lambda scenario: scenario.id)
def test_an_order_lives_as_the_scenario_says(scenario: Scenario, engine: Callable[[], AnyEngine]) -> None:
    outcome = run(scenario, engine())
    assert not outcome.wrong
    assert outcome.rows > outcome.skipped


def test_every_scenario_runs_or_says_why_not() -> None:
    assert len(SCENARIOS) == len({scenario.id for scenario in SCENARIOS}) == 36
    assert len(RUN) == 25
    assert all(bool(scenario.steps) != bool(scenario.missing) for scenario in SCENARIOS)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("partially_filled 10000 2000 8000 2000", "partially_filled 10000 2000 8001 2000"),
        ("out X trade filled", "out X trade partially_filled"),
        ("        out X new new 10000 0 10000 0\n", ""),
    ],
)
def test_a_scenario_that_says_otherwise_fails(right: str, wrong: str) -> None:
    scenario = SCENARIOS[0]
    assert right in scenario.steps
    changed = scenario._replace(steps=scenario.steps.replace(right, wrong))
    assert run(changed, NaiveEngine()).wrong


def test_a_step_that_the_life_cycle_has_not_is_noticed() -> None:
    handler = Handler(NaiveEngine())
    handler.receive("new", "X", "5")
    handler.answer("X new new 5 0 5 0")
    with pytest.raises(AssertionError, match="no step"):
        handler._move("closed", {"client_order_id": "X", "status": "filled", "cum_quantity": 0})
