"""Many histories, in as many processes as there are cores."""

import gc
import logging
import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

from tests.simulation.bugs import BUGS
from tests.simulation.ground import ground
from tests.simulation.history import Outcome, kinds, play
from tests.simulation.plan import Plan, plan
from tests.simulation.shrink import shrink
from tests.simulation.stand_ins import edges_replaced

# A run in which one of these never happened was too weak to show anything.
MUST_HAPPEN = (
    "rebalance with orders in flight",
    "partial fill across a crash",
    "aborted transaction",
    "fenced producer",
    "zombie write refused",
)
FAILURES_MAX = 10
_CHUNK = 50


class Report(NamedTuple):
    """What became of some histories; `failures` by seed."""

    histories: int
    failures: dict[int, tuple[str, ...]]
    sometimes: Counter[str]
    seconds: float

    @property
    def missing(self) -> list[str]:
        """What never happened."""
        return [name for name in MUST_HAPPEN if not self.sometimes[name]]

    @property
    def green(self) -> bool:
        """Whether nothing was wrong, and the histories were strong enough to say so."""
        return not self.failures and not self.missing


@contextmanager
def simulating(bug: str = "") -> Iterator[None]:
    """While it lasts, histories can be played; lanes say nothing, and have a bug if one is named."""
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    collecting = gc.isenabled()
    # What dead workers leave is dropped between histories: a collection within one would be work for nothing,
    # and one over all that was there before.
    gc.disable()
    gc.freeze()
    try:
        with edges_replaced():
            # What histories begin with has no bug; it is made once.
            ground()
            with BUGS[bug]() if bug else nullcontext():
                yield
    finally:
        logging.disable(disabled)
        gc.unfreeze()
        if collecting:
            gc.enable()


def run(seeds: range, bug: str = "") -> Report:
    """Plays the histories of some seeds in this process."""
    failures: dict[int, tuple[str, ...]] = {}
    sometimes: Counter[str] = Counter()
    began_s = time.perf_counter()
    with simulating(bug):
        for seed in seeds:
            outcome = play(plan(seed))
            sometimes.update(outcome.sometimes)
            if outcome.wrong:
                failures[seed] = outcome.wrong
            # While it is still in the processor's cache: a quarter of the time less than after fifty.
            gc.collect()
    return Report(len(seeds), failures, sometimes, time.perf_counter() - began_s)


def run_many(first: int, histories: int, jobs: int, bug: str = "") -> Iterator[Report]:
    """Reports of all histories up to now, again and again; ends early when enough of them failed."""
    end, began_s = first + histories, time.perf_counter()
    chunks = [range(begin, min(begin + _CHUNK, end)) for begin in range(first, end, _CHUNK)]
    total = Report(0, {}, Counter(), 0.0)
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        for part in pool.imap_unordered(_Run(bug), chunks):
            total = Report(
                total.histories + part.histories,
                total.failures | part.failures,
                total.sometimes + part.sometimes,
                time.perf_counter() - began_s,
            )
            yield total
            if len(total.failures) >= FAILURES_MAX:
                return


class _Run:
    """`run` with a bug, for another process."""

    def __init__(self, bug: str) -> None:
        self._bug = bug

    def __call__(self, seeds: range) -> Report:
        return run(seeds, self._bug)


def _short(failing: Plan, outcome: Outcome, tries_max: int) -> Plan:
    """A shorter plan with a failure of the same kind."""
    return shrink(failing, lambda candidate: bool(kinds(play(candidate)) & kinds(outcome)), tries_max)


class Found(NamedTuple):
    """A failing history, made short."""

    seed: int
    histories: int
    seconds: float
    plan: Plan
    outcome: Outcome


def find(bug: str, first: int, histories: int, tries_max: int = 600) -> Found | None:
    """The first of so many histories that fails with a bug, made short in so many tries; or None."""
    began_s = time.perf_counter()
    with simulating(bug):
        for seed in range(first, first + histories):
            outcome = play(plan(seed))
            if outcome.wrong:
                seconds = time.perf_counter() - began_s
                short = _short(plan(seed), outcome, tries_max)
                return Found(seed, seed - first + 1, seconds, short, play(short, traced=True))
    return None


def replay(seed: int, bug: str = "") -> tuple[Plan, Outcome]:
    """The history of a seed with its trace; a failing one is made short first."""
    with simulating(bug):
        chosen = plan(seed)
        outcome = play(chosen)
        if outcome.wrong:
            chosen = _short(chosen, outcome, 600)
        return chosen, play(chosen, traced=True)
