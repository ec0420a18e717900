"""`python -m tests.recovery`: how long orders wait when workers die, go and come; what changelogs grow to.

Each figure is the median of several runs on a real broker, printed beside what is wanted. `changelogs` is one
long run, to be asked for by its name; its exit status is 1 when their size is not bounded.
"""

import argparse
import asyncio
import json
import logging
import os
import statistics
from collections.abc import Callable
from contextlib import suppress

from app.local.program import LocalError
from app.settings import Settings
from tests.bench.system import Bench, bench
from tests.lanes.workers import Workers, set_up, workers
from tests.recovery import changelogs, scenarios
from tests.recovery.probe import Probe

PARTS = ("failover", "scale", "changelogs")
USUAL = ("failover", "scale")
Figures = dict[str, float]


async def failover(settings: Settings, session_s: float) -> Figures:
    """Two workers share the lanes; one is killed, or told to end, under load."""
    found: Figures = {}
    for name, act in (("kill", scenarios.killed), ("term", scenarios.stopped)):
        async with workers(settings) as running:
            first, second = (running.begin(OMS_SESSION_TIMEOUT_S=str(session_s)) for _ in range(2))
            await first.ready(300)
            await second.ready(300)
            async with Probe(settings) as probe:
                found[f"{name}_quiet_s"] = (await scenarios.quiet(probe)).wait_s
                found[f"{name}_s"] = (await act(running, probe, first)).wait_s
    return found


async def scale(settings: Settings, session_s: float) -> Figures:
    """One worker, then two, three, and two again, under load."""
    found: Figures = {}
    async with workers(settings) as running:
        await _start(running, session_s)
        async with Probe(settings) as probe:
            before = await scenarios.rebalances(running.all[:1])
            for name in _STEPS:
                if name == "3to2":
                    span = await scenarios.stopped(running, probe, running.all[1])
                else:
                    worker = running.begin(OMS_SESSION_TIMEOUT_S=str(session_s))
                    span = await scenarios.joined(running, probe, worker)
                # The first worker is there all the time.
                seen = await scenarios.rebalances(running.all[:1])
                found[f"{name}_s"], found[f"{name}_rebalances"] = span.wait_s, seen - before
                before = seen
        found["pause_s"] = await scenarios.pause_s(running.all)
    return found


async def _start(running: Workers, session_s: float) -> None:
    worker = running.begin(OMS_SESSION_TIMEOUT_S=str(session_s))
    await worker.ready(300)


async def medians(runs: int, measure: Callable[[int], "asyncio.Future[Figures]"]) -> Figures:
    """The median of each figure over the runs."""
    found = [await measure(run) for run in range(runs)]
    return {name: statistics.median(each[name] for each in found) for name in found[0]}


async def measured(system: Bench, part: str, runs: int, session_s: float) -> Figures:
    """The figures of a part, each run with topics of its own."""
    act = {"failover": failover, "scale": scale}[part]

    async def one(run: int) -> Figures:
        settings = system.settings(f"{part}{run}")
        async with workers(settings):
            await set_up(settings)
        return await act(settings, session_s)

    return await medians(runs, lambda run: asyncio.ensure_future(one(run)))


def said(part: str, found: Figures, session_s: float) -> str:
    """The figures of a part for a person."""
    if part == "failover":
        return (
            f"kill -9         longest wait {found['kill_s']:.2f} s   [want <= {session_s + 3:g}: "
            f"session timeout {session_s:g} s + 3 s]\n"
            f"SIGTERM         longest wait {found['term_s']:.2f} s   [want <= 3]   "
            f"(calm: {found['term_quiet_s']:.2f} s)"
        )
    steps = ", ".join(
        f"{name.replace('to', ' to ')}: {found[f'{name}_s']:.2f} s "
        f"({found[f'{name}_rebalances']:.0f} rebalance{'s' * (found[f'{name}_rebalances'] != 1)})"
        for name in _STEPS
    )
    return (
        f"workers         longest wait {steps}   [want the pause of 1 rebalance]   "
        f"kept lanes paused for at most {found['pause_s']:.1f} s"
    )


_STEPS = ("1to2", "2to3", "3to2")


async def main(arguments: argparse.Namespace) -> dict[str, Figures]:
    """Runs the parts one after the other."""
    found: dict[str, Figures] = {}
    async with bench() as system:
        for part in arguments.parts:
            if part == "changelogs":
                found[part] = await changelogs.report(
                    system, arguments.orders, arguments.days, arguments.live, arguments.segment
                )
                continue
            found[part] = await measured(system, part, arguments.runs, arguments.session)
            print(said(part, found[part], arguments.session), flush=True)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.recovery", description=__doc__)
    parser.add_argument("parts", nargs="*", default=USUAL, help=f"of {', '.join(PARTS)}")
    parser.add_argument("--runs", type=int, default=3, help="runs, of which the median counts")
    parser.add_argument("--session", type=float, default=6.0, help="session timeout of the workers, seconds")
    parser.add_argument("--orders", type=int, default=10_000_000, help="orders that pass the changelogs")
    parser.add_argument("--days", type=int, default=10, help="days of the orders' log, all alike")
    parser.add_argument("--live", type=int, default=1000, help="orders that rest at any time, at most")
    parser.add_argument("--segment", type=int, default=0, help="MiB of a changelog's segment; 0: as ever")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON at the end")
    asked = parser.parse_args()
    if asked.days < 2:
        parser.error("--days must be 2 or more: one half of them is held against the other")
    logging.getLogger("aiokafka").setLevel(logging.ERROR)
    print(f"{os.cpu_count()} cores, medians of {asked.runs} runs", flush=True)
    try:
        with suppress(KeyboardInterrupt):
            result = asyncio.run(main(asked))
            if asked.json:
                print(json.dumps(result, indent=2))
            if not result.get("changelogs", {}).get("bounded", True):
                raise SystemExit(1)
    except LocalError as error:
        raise SystemExit(str(error)) from error
