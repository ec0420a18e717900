"""The schedule of a run: which fault begins when, made up front from the seed.

Faults come in four tracks that run side by side, so that a worker dies while a broker restarts; within a
track one ends before the next begins. Each track goes through all of its kinds before any comes again. A
fault that takes longer than planned moves those behind it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from app.lanes.crash_points import POINTS


class Span(NamedTuple):
    """From, to; seconds."""

    low: float
    high: float


class Kind(NamedTuple):
    """A kind of fault: how long its state is held, and about how long it takes beside that; seconds."""

    name: str
    track: str
    about: str
    hold: Span = Span(0, 0)
    rest_s: float = 5.0
    nodes_min: int = 1


# The wire's poison, each by its name.
POISONS = {
    "random-bytes": "random bytes come as records",
    "truncated": "orders come with their end cut off",
    "trailing-bytes": "orders come with bytes after their end",
    "unknown-schema": "records come with a schema id that nobody knows",
    "wrong-partition": "orders come in partitions of other accounts",
    "megabyte": "records of a megabyte come",
}

_PLACES = {
    "before-outputs": "with an empty transaction open",
    "between-outputs-and-offsets": "after it sent outputs, before its offsets are confirmed",
    "before-commit": "after outputs and offsets, before it commits",
    "after-commit": "right after a commit",
    "recovery": "when its lanes are read and not open yet",
    "rebalance": "when its lanes were just revoked",
}
_CRASHES = tuple(
    Kind(f"worker-crash-{point}", "workers", f"a worker dies {_PLACES[point]}", rest_s=9.0)
    for point in POINTS
)
_POISONS = tuple(Kind(f"poison-{name}", "poison", about, rest_s=1.0) for name, about in POISONS.items())
KINDS: tuple[Kind, ...] = (
    Kind("worker-zombie", "workers", "a worker stops before a commit, is replaced, goes on", rest_s=14.0),
    *_CRASHES,
    Kind("worker-kill", "workers", "kill -9 of a worker at any time"),
    Kind("worker-term", "workers", "SIGTERM to a worker"),
    Kind("worker-freeze", "workers", "SIGSTOP beyond the session timeout, then SIGCONT", Span(1, 3), 5.0),
    Kind("workers-churn", "workers", "a worker joins and leaves every few seconds", Span(6, 10), 2.0),
    Kind("worker-clock-step", "workers", "a worker's clock steps", Span(4, 7), 6.0),
    Kind("broker-restart", "brokers", "SIGTERM to a broker, then its start", Span(0, 2), 8.0),
    Kind("broker-kill", "brokers", "kill -9 of a broker, then its start", Span(0, 3), 8.0),
    Kind(
        "broker-leader-kill",
        "brokers",
        "kill -9 of a lane's leader, until another one leads",
        Span(6, 9),
        8.0,
        3,
    ),
    Kind("brokers-majority-down", "brokers", "two of three brokers killed", Span(7, 9), 9.0, 3),
    Kind("link-cut", "brokers", "connections of a worker cut and refused", Span(1, 6), 2.0),
    Kind("link-delay", "brokers", "every packet of a worker delayed", Span(4, 8), 1.0),
    Kind("link-half-open", "brokers", "a worker is heard and hears nothing", Span(2, 7), 2.0),
    Kind("broker-disk-full", "brokers", "a broker's disk is full", Span(3, 5), 8.0),
    Kind("gateway-kill", "around", "kill -9 between produce and answer, the client retries", rest_s=6.0),
    Kind("storage-kill", "around", "kill -9 of storage with a transaction open", rest_s=5.0),
    Kind("postgres-restart", "around", "PostgreSQL restarts", Span(0, 2), 3.0),
    Kind("postgres-kill", "around", "kill -9 of PostgreSQL", Span(0, 2), 3.0),
    Kind("postgres-disk-full", "around", "PostgreSQL's disk is full", Span(3, 5), 4.0),
    Kind("redis-kill", "around", "kill -9 of Redis", Span(0, 3), 2.0),
    Kind("redis-flush", "around", "all of Redis is deleted", rest_s=1.0),
    Kind("registry-down", "around", "the registry is away", Span(3, 6), 2.0),
    Kind("registry-down-at-start", "around", "a worker starts while the registry is away", Span(3, 6), 5.0),
    *_POISONS,
)
KIND = {kind.name: kind for kind in KINDS}
TRACKS = ("workers", "brokers", "around", "poison")
# What a run must have met to count; see app.chaos.sometimes.
FIRST = {"workers": ("worker-zombie", "worker-crash-before-commit"), "around": ("storage-kill",)}
_GAP = {"workers": Span(1, 4), "brokers": Span(3, 7), "around": Span(2, 5), "poison": Span(6, 12)}
_BEGIN_S = 2.0


@dataclass(frozen=True)
class Fault:
    """One fault of a schedule. What `target` and `value` mean depends on its kind (app.chaos.faults)."""

    at_s: float
    name: str
    hold_s: float
    target: int
    value: float

    def line(self) -> str:
        """As it is printed."""
        held = f", held {self.hold_s:.1f} s" if self.hold_s else ""
        return f"{self.at_s:6.1f} s  {self.name}  target {self.target}, value {self.value:.3f}{held}"


@dataclass(frozen=True)
class Options:
    """What `oms chaos` was asked for. `rate` is requests a second; `only` and `without` name kinds."""

    seed: int
    minutes: float
    nodes: int = 1
    workers: int = 3
    rate: int = 100
    only: tuple[str, ...] = ()
    without: tuple[str, ...] = ()


class PlanError(Exception):
    """There can be no such schedule; the text says why."""


def kinds(options: Options) -> list[Kind]:
    """The kinds that the options allow. Raises PlanError."""
    unknown = [name for name in (*options.only, *options.without) if name not in KIND]
    if unknown:
        raise PlanError(f"no fault is named {', '.join(unknown)}; there are: {', '.join(KIND)}")
    wanted = options.only or tuple(KIND)
    found = [
        kind
        for kind in KINDS
        if kind.name in wanted and kind.name not in options.without and kind.nodes_min <= options.nodes
    ]
    if not found:
        raise PlanError(f"no fault is left for --nodes {options.nodes}: change --only or --without")
    return found


def schedule(options: Options) -> list[Fault]:
    """The faults of a run in the order of their times; the same options give the same. Raises PlanError."""
    allowed = kinds(options)
    faults: list[Fault] = []
    for track in TRACKS:
        deck = [kind for kind in allowed if kind.track == track]
        faults += _track(Random(f"{options.seed} {track}"), deck, track, options)
    return sorted(faults, key=lambda fault: fault.at_s)


def _track(chance: Random, deck: Sequence[Kind], track: str, options: Options) -> Iterator[Fault]:
    at_s, end_s = _BEGIN_S + chance.uniform(0, 2), options.minutes * 60
    for kind in _cards(chance, deck, FIRST.get(track, ())):
        hold_s = round(chance.uniform(*kind.hold), 1)
        fault = Fault(
            round(at_s, 1), kind.name, hold_s, chance.randrange(1, 1_000_000), round(chance.random(), 3)
        )
        if at_s >= end_s:
            return
        yield fault
        at_s += hold_s + kind.rest_s + chance.uniform(*_GAP[track])


def _cards(chance: Random, deck: Sequence[Kind], first: Sequence[str]) -> Iterator[Kind]:
    """All kinds in a random order, those of `first` before the others; then all again, for ever."""
    begin = [kind for kind in deck if kind.name in first]
    while deck:
        rest = [kind for kind in deck if kind not in begin]
        for part in (begin, rest):
            yield from chance.sample(part, len(part))
        begin = []
