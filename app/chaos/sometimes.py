"""What a run must have met to count: a run in which nothing hard happened proves nothing.

Counted by the faults themselves, by the watcher of the topics, from the workers' logs, and from the brokers'
files.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from app.chaos.process import Death
from app.chaos.watcher import Fills, Wait

# Required unless a run names others.
REQUIRED = (
    "rebalance with orders in flight",
    "partial fill across a crash",
    "aborted transaction",
    "fenced producer",
)
# With nothing but kill -9, no producer lives on to be fenced.
REQUIRED_OF_KILLS = REQUIRED[:3]
# Every other one, so that a report shows those that a run did not meet, too.
OTHERS = (
    "zombie refused",
    "zombie joined again",
    "dead letter",
    "record forwarded",
    "order sent again",
    "order asked for again at the gateway",
    "storage killed in a batch",
    "another leader",
    "minority asked",
    "disk full",
)
KNOWN = (*REQUIRED, *OTHERS)

_OPENED = re.compile(
    r"^(?P<at>[-0-9T:.]+)Z INFO oms\.lanes lanes \[(?P<lanes>[0-9, ]*)\] open in (?P<took>[0-9.]+) s",
    re.MULTILINE,
)
_FENCED = re.compile(r"worker ends: .*(?:ProducerFenced|InvalidProducerEpoch|InvalidProducerIdMapping)")


class Seen:
    """Counters by name, of `KNOWN`."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter(dict.fromkeys(KNOWN, 0))

    def count(self, name: str, times: int = 1) -> None:
        """Counts."""
        assert name in self.counts, name
        self.counts[name] += times

    def missing(self, required: Iterable[str]) -> list[str]:
        """Those that were never met."""
        return [name for name in required if not self.counts[name]]


class Opening(NamedTuple):
    """When a worker had opened lanes (seconds since the epoch), which, and how long that took."""

    at: float
    lanes: frozenset[int]
    took_s: float


def openings(log: str) -> list[Opening]:
    """The openings that a worker's log tells of, oldest first."""
    return [
        Opening(
            datetime.fromisoformat(f"{found['at']}+00:00").timestamp(),
            frozenset(int(lane) for lane in found["lanes"].split(",") if lane.strip()),
            float(found["took"]),
        )
        for found in _OPENED.finditer(log)
    ]


def fenced(log: str) -> int:
    """How often a worker ended because Kafka refused its producer."""
    return len(_FENCED.findall(log))


def rebalances_in_flight(opened: Iterable[Opening], waits: Sequence[Wait]) -> int:
    """Openings of lanes while some request waited for its answer, from before until after."""
    return sum(
        any(wait.begin < opening.at - opening.took_s and opening.at < wait.end for wait in waits)
        for opening in opened
    )


def fills_across_crashes(
    opened: Mapping[str, Sequence[Opening]], deaths: Mapping[str, Sequence[Death]], fills: Sequence[Fills]
) -> int:
    """Orders that were filled in part, then saw the worker of their lane die, then were filled on."""
    crossed = set()
    for name, died in deaths.items():
        for death in died:
            if death.code == 0:
                continue
            before = [opening for opening in opened.get(name, ()) if opening.at < death.at]
            lanes = before[-1].lanes if before else frozenset()
            crossed |= {fill for fill in fills if fill.lane in lanes and fill.first < death.at < fill.second}
    return len(crossed)


def read_log(path: Path) -> str:
    """A process's log, or nothing where it never wrote one."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return ""
