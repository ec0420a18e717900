"""What is done to workers under load, and the figures of it: seconds, by name."""

import asyncio
import re
import signal
import time

import httpx

from app.local.own import metrics_of
from tests.lanes.workers import Worker, Workers
from tests.recovery.probe import Probe, Span

_CALM_S = 1.0


async def quiet(probe: Probe) -> Span:
    """A calm second before anything happens."""
    began_s = time.monotonic()
    await asyncio.sleep(_CALM_S)
    return await probe.until_answered(began_s)


async def killed(running: Workers, probe: Probe, worker: Worker) -> Span:
    """kill -9 of a worker that has lanes; another one is there to take them."""
    return await _after(probe, worker.kill())


async def stopped(running: Workers, probe: Probe, worker: Worker) -> Span:
    """SIGTERM of a worker that has lanes; another one is there to take them."""

    async def end() -> None:
        worker.send(signal.SIGTERM)
        assert await worker.ended() == 0, worker.text()

    return await _after(probe, end())


async def joined(running: Workers, probe: Probe, worker: Worker) -> Span:
    """A worker that was just started gets lanes."""
    return await _after(probe, worker.ready(60))


async def _after(probe: Probe, happens: object) -> Span:
    """What orders met that were sent from just before something until a calm second after it."""
    began_s = time.monotonic() - 0.2
    await happens  # type: ignore[misc]
    await asyncio.sleep(_CALM_S)
    await probe.until_answered(began_s)
    # Those sent meanwhile may have waited as well.
    await asyncio.sleep(_CALM_S / 2)
    return await probe.until_answered(began_s)


async def pause_s(some: list[Worker]) -> float:
    """The longest pause of a rebalance that workers which still run report: an upper bound by its bucket."""
    longest = 0.0
    for worker in some:
        if worker.process.poll() is None:
            async with httpx.AsyncClient(timeout=10) as client:
                longest = max(longest, longest_of((await client.get(f"{worker.url}/metrics")).text))
    return longest


def longest_of(text: str) -> float:
    """The bound of the highest bucket of `oms_rebalance_pause_seconds` that has anything; 0: none has."""
    buckets = re.findall(r'^oms_rebalance_pause_seconds_bucket\{le="([^"]+)"\} ([0-9.]+)$', text, re.M)
    counts = [(float(bound), float(count)) for bound, count in buckets]
    total = max((count for _, count in counts), default=0.0)
    return next((bound for bound, count in counts if count == total), 0.0) if total else 0.0


async def rebalances(some: list[Worker]) -> int:
    """The most rebalances that a worker which still runs has seen."""
    seen = [await metrics_of(worker.url) for worker in some if worker.process.poll() is None]
    return round(max(found.get("oms_rebalances_total", 0.0) for found in seen))


async def recovery_of(worker: Worker) -> dict[str, float]:
    """What a worker's metrics say of its last recovery."""
    found = await metrics_of(worker.url)
    return {name: value for name, value in found.items() if name.startswith("oms_recovery_")}
