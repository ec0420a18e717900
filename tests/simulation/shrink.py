"""Makes a failing history short: fewer faults, fewer requests, nothing that is not needed to fail."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.simulation.plan import Plan

# Without a request or a fault, everything after it comes at other moments: each is tried with some of those.
_CHANCES = 6

Fails = Callable[[Plan], bool]


def shrink(plan: Plan, fails: Fails, tries_max: int = 600) -> Plan:
    """A plan that fails as well, of which nothing more can be left out; at most so many are played."""
    left = tries_max

    def failing(candidate: Plan) -> Plan | None:
        nonlocal left
        for chance in range(_CHANCES):
            if left <= 0:
                return None
            left -= 1
            moment = replace(candidate, seed=candidate.seed + 1_000_003 * chance)
            if fails(moment):
                return moment
        return None

    shorter: Plan | None = plan
    while shorter is not None:
        plan = shorter
        shorter = next((found for each in _shorter(plan) if (found := failing(each)) is not None), None)
    return plan


def _shorter(plan: Plan) -> Iterator[Plan]:
    """The same with less, the largest step first."""
    requests, faults = plan.requests, plan.faults
    size = len(requests) // 2
    while size:
        for begin in range(0, len(requests), size):
            yield replace(plan, requests=requests[:begin] + requests[begin + size :])
        size //= 2
    for number in range(len(faults)):
        yield replace(plan, faults=faults[:number] + faults[number + 1 :])
    if plan.workers > 1:
        yield replace(plan, workers=plan.workers - 1)
    if plan.wrong_clocks:
        yield replace(plan, wrong_clocks=0.0)
    if plan.settings:
        yield replace(plan, settings=())
    if plan.batch_records < 100 or plan.read_records < 1000:
        yield replace(plan, batch_records=100, read_records=1000)
