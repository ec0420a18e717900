"""Puts the stand-ins in the place of the edges, by the names under which modules of app.lanes have them."""

import asyncio
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import app.lanes.changelog
import app.lanes.manager
import app.lanes.reference  # noqa: F401
from tests.simulation.clients import SimProducer, SimReader, world
from tests.simulation.loop import Died, current_process


def die(reason: str, error: BaseException | None = None, code: int = 71) -> NoReturn:
    """Ends the process that runs, as app.lanes.fatal does."""
    process = current_process()
    world().died(process, reason, error)
    raise Died


class _Time:
    """The module `time` in virtual time."""

    @staticmethod
    def monotonic() -> float:
        return asyncio.get_running_loop().time()

    perf_counter = monotonic

    @staticmethod
    def time_ns() -> int:
        return _Clock.now_us() * 1000


class _Clock:
    """app.lanes.clock in virtual time, as the process that asks has it."""

    @staticmethod
    def now_us() -> int:
        return world().now_us() + current_process().ahead_us


class _Collector:
    """The modules `gc` and `app.garbage`: a history is short, and what it leaves is dropped as a whole."""

    @staticmethod
    def disable() -> None:
        return

    enable = collect = give_back = disable


class _Metric:
    """A metric that counts nothing."""

    def labels(self, *_: Any) -> "_Metric":
        return self

    def inc(self, *_: Any) -> None:
        return

    set = observe = inc


class _Metrics:
    """app.lanes.metrics; they are of the process, and slow for what is simulated."""

    def __getattr__(self, name: str) -> _Metric:
        metric = _Metric()
        setattr(self, name, metric)
        return metric


def hand_over_as_parsed(_: Any) -> None:
    """Records are what they are here."""


async def read_as_parsed(
    consumer: SimReader, partitions: Iterable[Any], wait_s: float
) -> dict[Any, list[Any]]:
    """The reader waits by itself."""
    return await consumer.getmany(*partitions, timeout_ms=int(wait_s * 1000))


STAND_INS: dict[str, Any] = {
    "hand_over_as_parsed": hand_over_as_parsed,
    "read_as_parsed": read_as_parsed,
    "die": die,
    "time": _Time(),
    "clock": _Clock(),
    "gc": _Collector(),
    "garbage": _Collector(),
    "metrics": _Metrics(),
    "LaneProducer": SimProducer,
    "AIOKafkaConsumer": SimReader,
}


@contextmanager
def edges_replaced() -> Iterator[None]:
    """While it lasts, no module of app.lanes has an edge to the world."""
    replaced = []
    for name, module in list(sys.modules.items()):
        # Faust's consumer is not simulated, and the two modules below are what is replaced.
        if not name.startswith("app.lanes.") or name.endswith((".faust_app", ".fatal", ".clock")):
            continue
        for attribute, stand_in in STAND_INS.items():
            if attribute in vars(module):
                replaced.append((module, attribute, vars(module)[attribute]))
                setattr(module, attribute, stand_in)
    try:
        yield
    finally:
        for module, attribute, former in replaced:
            setattr(module, attribute, former)
