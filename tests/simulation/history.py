"""Plays histories, and tells whether they went right."""

import re
from collections import Counter
from typing import NamedTuple

from tests.simulation.checks import check
from tests.simulation.ground import ground
from tests.simulation.loop import Deadlock
from tests.simulation.plan import Plan
from tests.simulation.world import World


class Outcome(NamedTuple):
    """What was wrong in a history, what happened in it, and how many requests workers made to the broker."""

    wrong: tuple[str, ...]
    sometimes: Counter[str]
    asked: int
    trace: tuple[tuple[float, str], ...] = ()


def kinds(outcome: Outcome) -> set[str]:
    """What sorts of things went wrong: an invariant, or how a sentence begins."""
    found = set()
    for text in outcome.wrong:
        word = re.match(r"I\d+|row|not quiet", text)
        found.add(word[0] if word else re.sub(r"\d+", "#", text)[:40])
    return found


# Figures that no fault may change, where requests come to each book in one order whatever happens.
_FIXED = ("orders", "filled_quantity", "trades", "traded_quantity", "notional", "orders_hash", "trades_hash")


def play(plan: Plan, *, traced: bool = False) -> Outcome:
    """Plays a plan; the edges must be replaced."""
    world = World(plan, ground(), traced=traced)
    try:
        world.play()
        wrong, totals = check(world)
    except (AssertionError, Deadlock, KeyError) as error:
        # A verifier or a table that cannot even read it is an answer, too.
        wrong, totals = [*world.wrong, f"{type(error).__name__}: {error}"], {}
    if plan.fixed and totals and not wrong:
        expected = _undisturbed(plan)
        wrong += [
            f"{name} is {totals[name]}, without faults {expected[name]}"
            for name in _FIXED
            if totals[name] != expected[name]
        ]
    return Outcome(tuple(wrong), world.sometimes, world.asked, tuple(world.trace))


def _undisturbed(plan: Plan) -> dict[str, object]:
    """Totals of the same requests with one worker and no fault."""
    calm = Plan(seed=plan.seed, workers=1, requests=plan.requests)
    wrong, totals = check(World(calm, ground()).play())
    assert not wrong, f"without any fault: {wrong}"
    return totals
