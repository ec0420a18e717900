"""`make simulate`: ten thousand histories of lanes without Kafka; or one, told; or planted bugs, found."""

import argparse
import os
import random
import re
import sys

from tests.simulation.bugs import BUGS
from tests.simulation.history import Outcome
from tests.simulation.plan import Plan
from tests.simulation.run import MUST_HAPPEN, Report, find, replay, run_many

_PATIENCE = 20_000


def _told(plan: Plan, outcome: Outcome) -> None:
    """A history to be read: what was planned, what happened when, what was wrong."""
    settings = " ".join(f"{name}={value}" for name, value in plan.settings) or "the usual settings"
    print(f"  {plan.workers} workers, {len(plan.requests)} requests, {len(plan.faults)} faults, {settings}")
    for fault in plan.faults:
        print(f"  fault {fault}")
    for at_s, text in outcome.trace:
        print(f"  {at_s:9.4f} s  {text}")
    for text in outcome.wrong:
        print(f"  WRONG: {text}")


def _many(first: int, histories: int, jobs: int, bug: str) -> int:
    print(f"{histories} histories from seed {first} in {jobs} processes", flush=True)
    report = None
    for report in run_many(first, histories, jobs, bug):
        if sys.stderr.isatty():
            print(f"\r{report.histories} in {report.seconds:.0f} s", end="", file=sys.stderr, flush=True)
    assert report is not None, "no histories were asked for"
    _summary(report)
    for seed in sorted(report.failures)[:1]:
        print(f"\nseed {seed}, made short; again: python -m tests.simulation --seed {seed}")
        _told(*replay(seed, bug))
    return 0 if report.green else 1


def _summary(report: Report) -> None:
    per_minute = report.histories / report.seconds * 60
    print(f"\n{report.histories} histories in {report.seconds:.1f} s, {per_minute:,.0f} a minute")
    for name, count in sorted(report.sometimes.items(), key=lambda item: (item[0] not in MUST_HAPPEN, item)):
        print(f"  {count:8} × {name}")
    for seed, wrong in sorted(report.failures.items()):
        print(f"seed {seed}: {wrong[0]}")
    if report.missing:
        print(f"too weak: never {' and never '.join(report.missing)}; play more histories")
    print("green" if report.green else "RED")


def _bugs(names: list[str], first: int) -> int:
    """A table of planted bugs: histories and seconds until found, what is left when made short."""
    missed = 0
    print("| bug | what it does | histories | seconds | made short | and what was wrong |")
    print("| --- | --- | --- | --- | --- | --- |", flush=True)
    for name in names:
        found = find(name, first, _PATIENCE)
        if found is None:
            missed += 1
            print(f"{name}: NOT FOUND in {_PATIENCE} histories", flush=True)
            continue
        short = f"{len(found.plan.requests)} requests, {len(found.plan.faults)} faults"
        what = (BUGS[name].__doc__ or "").strip()
        wrong = re.sub(r"\s*[\[({].*", "", found.outcome.wrong[0])[:90]
        print(
            f"| `{name}` | {what} | {found.histories} | {found.seconds:.1f} | {short} | {wrong} |",
            flush=True,
        )
        if len(names) == 1:
            _told(found.plan, found.outcome)
    return 1 if missed else 0


def main() -> int:
    """Exit status 0: all green, or every planted bug found."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--histories", type=int, default=10_000, help="how many")
    parser.add_argument("--first", type=int, help="seed of the first; else chance gives it")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--seed", type=int, help="tell the history of this seed; a failing one is made short")
    parser.add_argument("--bug", choices=sorted(BUGS), default="", help="plant a bug, and find it")
    parser.add_argument("--bugs", action="store_true", help="plant each bug in turn, and find it")
    asked = parser.parse_args()
    if asked.seed is not None:
        plan, outcome = replay(asked.seed, asked.bug)
        _told(plan, outcome)
        return 1 if outcome.wrong else 0
    first = random.SystemRandom().randrange(1 << 40) if asked.first is None else asked.first
    if asked.bug or asked.bugs:
        return _bugs([asked.bug] if asked.bug else list(BUGS), first)
    return _many(first, asked.histories, asked.jobs, asked.bug)


if __name__ == "__main__":
    raise SystemExit(main())
