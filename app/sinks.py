"""What the sinks have in common: a process with metrics and health round one piece of work."""

import asyncio
import logging
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import uvloop
from prometheus_client import Gauge

from app import logs, metrics
from app.reader import TopicReader
from app.settings import Settings

log = logging.getLogger(__name__)

_PAUSE_S_MAX = 2.0
_LAG_S = 1.0
_CANCEL_S = 3.0


class Health:
    """What the process waits for, shown at /readyz; "" when it does its work."""

    def __init__(self) -> None:
        self.waiting = "start"


Work = Callable[[Settings, Health], Awaitable[None]]


def run(settings: Settings, work: Work) -> None:
    """Does the work until SIGTERM or SIGINT. Raises SystemExit(1), its cause in the log, when it fails."""
    logs.configure(settings)
    if not uvloop.run(_run(settings, work)):
        raise SystemExit(1)


async def _run(settings: Settings, work: Work) -> bool:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    health = Health()
    server = await metrics.serve(settings.metrics_host, settings.metrics_port, lambda: health.waiting)
    working = asyncio.ensure_future(work(settings, health))
    stopping = asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        while not working.done():
            # Once should do, but see app.reader: a cancellation may get lost in a library.
            working.cancel()
            await asyncio.wait({working}, timeout=_CANCEL_S)
        (outcome,) = await asyncio.gather(working, return_exceptions=True)
        if isinstance(outcome, Exception):
            log.error("ends: %s: %s", type(outcome).__name__, outcome, exc_info=outcome)
        return not isinstance(outcome, Exception)
    finally:
        await server.cleanup()


class LagMeter:
    """Shows once a second how far a reader is behind, by topic."""

    def __init__(self, reader: TopicReader, gauge: Gauge) -> None:
        self._reader = reader
        self._gauge = gauge
        self._due_s = 0.0

    async def measure(self) -> None:
        """Measures, if a second has passed."""
        if time.monotonic() >= self._due_s:
            self._due_s = time.monotonic() + _LAG_S
            for short, lag in (await self._reader.lag()).items():
                self._gauge.labels(short).set(lag)


async def attempts() -> AsyncIterator[None]:
    """Turns of an attempt that is made until it succeeds, with longer and longer pauses in between."""
    pause_s = 0.1
    while True:
        yield
        await asyncio.sleep(pause_s)
        pause_s = min(_PAUSE_S_MAX, pause_s * 2)
