"""One verification: snapshot, bulk reading, grace for what is under way, doors, changelogs, evidence.

1. The ends of all topics now are the snapshot. What is missing for a later record is not missed.
2. Instruments, then controls, then everything else up to there, in bulk.
3. On a running system answers follow: everything new is read until all of the snapshot is complete and the
   group has taken it (I12), or nothing more can come, or the grace is over.
4. What is to be asked is asked and compared: Redis, REST, the stream (I11).
5. The changelogs, then what was said meanwhile, so that they can be compared with it (I7); then PostgreSQL.
6. For each violation that is shown, its records are fetched, and the events of its order.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import psycopg

from app.settings import Settings
from app.verify import lag, storage
from app.verify.agree import agree
from app.verify.cached import Cached
from app.verify.findings import Findings
from app.verify.log import CannotVerify, LogReader
from app.verify.records import CHANGELOGS, Place, Seen, Snapshot, Source
from app.verify.rest import Gateway, Stream
from app.verify.verifier import Verifier

FIRST = ("instruments", "control")
MAIN = ("orders", "cleared", "events", "trades", "positions", "books", "dead-letters", "quotes")
# Only its end matters (I12).
NOT_READ = ("executions",)
# How long to wait for outputs once the group has taken everything: their transaction may be just ending.
_SETTLE_S = 2.0
_PAUSE_S = 0.2
_HISTORY_MAX = 12
_HISTORIES_MAX = 20

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Asked:
    """What to compare with the topics; `gateway` is a URL, asked with `api_key`."""

    storage: bool = False
    redis: bool = False
    gateway: str = ""
    api_key: str = ""

    @property
    def doors(self) -> bool:
        """Whether anything is asked for latest states."""
        return self.redis or bool(self.gateway)


@dataclass
class Outcome:
    """What a verification found; `records` are those that show the violations."""

    findings: Findings
    totals: dict[str, Any]
    snapshot: Mapping[Source, int]
    seconds: float = 0.0
    records: dict[Place, Seen] = field(default_factory=dict)
    histories: dict[str, list[Seen]] = field(default_factory=dict)


class Check:
    """Verifies the system of `settings`; `progress` hears (stage, records read, records in all)."""

    def __init__(self, settings: Settings, grace_s: float, progress: Progress) -> None:
        self._settings = settings
        self._grace_s = grace_s
        self._progress = progress
        self._count = 0
        self._total = 0

    async def run(self, asked: Asked) -> Outcome:
        """Verifies, and compares what is asked for. Raises CannotVerify."""
        self._asked = asked
        began_s = time.monotonic()
        async with LogReader(self._settings, (*FIRST, *MAIN, *NOT_READ, *CHANGELOGS)) as reader:
            self._reader = reader
            self._peek = await reader.consumer()
            outcome = await self._verify()
        outcome.seconds = time.monotonic() - began_s
        return outcome

    async def _verify(self) -> Outcome:
        return await self._end(await self._begin())

    async def _begin(self) -> dict[Source, int]:
        """Reads everything up to now; the snapshot."""
        settings = self._settings
        snapshot = await self._reader.ends()
        self._total = sum(end for (short, _), end in snapshot.items() if short not in NOT_READ)
        self._verifier = Verifier(
            settings.partitions,
            settings.topic_prefix,
            Snapshot(snapshot),
            window_us=settings.order_id_window_s * 1_000_000,
            with_latest=self._asked.doors,
        )
        # Whatever a control caused must find it read.
        await self._read("reading", await self._reader.ends(), FIRST)
        await self._read("reading", snapshot, MAIN)
        return snapshot

    async def _end(self, snapshot: Mapping[Source, int]) -> Outcome:
        """Waits for what is under way, compares, and gathers the evidence."""
        inputs = {source: end for source, end in snapshot.items() if source[0] in lag.INPUTS}
        behind = await self._wait(inputs)
        if self._asked.doors:
            await self._ask_doors()
        verifier = self._verifier
        verifier.mark()
        # A transaction ends in one partition some milliseconds later than in another.
        await asyncio.sleep(_PAUSE_S)
        await self._read("changelogs", await self._reader.ends(), CHANGELOGS)
        await self._read_new()
        findings = verifier.finish()
        _report_lag(findings, inputs, behind)
        if self._asked.storage:
            await self._storage()
        outcome = Outcome(findings, verifier.totals.as_dict(), snapshot)
        await self._evidence(outcome)
        return outcome

    async def _read(self, stage: str, ends: Mapping[Source, int], shorts: tuple[str, ...]) -> None:
        take = self._verifier.take
        until = {source: end for source, end in ends.items() if source[0] in shorts}
        async for batch in self._reader.read(until):
            for seen in batch:
                take(seen)
            self._count += len(batch)
            self._progress(stage, self._count, max(self._total, self._count))

    async def _read_new(self) -> None:
        """Everything that came since the last read; control before what it caused."""
        self._ends = await self._reader.ends()
        await self._read("following", await self._reader.ends(), FIRST)
        await self._read("following", self._ends, MAIN)

    async def _wait(self, inputs: Mapping[Source, int]) -> dict[Source, int]:
        """Reads on until the snapshot is complete; what the group has not taken of it by then."""
        deadline_s = time.monotonic() + self._grace_s
        while True:
            taken = await lag.committed(self._settings)
            await self._read_new()
            behind = await self._behind(inputs, taken)
            incomplete = next(self._verifier.waiting(), None) is not None
            if (not behind and not incomplete) or time.monotonic() > deadline_s:
                return behind
            if not await self._behind({source: self._ends[source] for source in inputs}, taken):
                deadline_s = min(deadline_s, time.monotonic() + _SETTLE_S)
            await asyncio.sleep(_PAUSE_S)

    async def _behind(self, ends: Mapping[Source, int], taken: Mapping[Source, int]) -> dict[Source, int]:
        return await lag.behind(self._peek, self._settings, ends, taken)

    async def _ask_doors(self) -> None:
        latest, findings = self._verifier.latest, self._verifier.findings
        assert latest is not None
        if self._asked.redis:
            async with Cached(self._settings.endpoint("redis"), time.time_ns() // 1000) as redis:
                await agree(redis, latest, findings, self._grace_s, self._read_new)
        if self._asked.gateway:
            async with Gateway(self._asked.gateway, self._asked.api_key) as gateway:
                await agree(gateway, latest, findings, self._grace_s, self._read_new)
                await agree(Stream(gateway), latest, findings, self._grace_s, self._read_new)

    async def _storage(self) -> None:
        try:
            await storage.compare(self._settings, self._verifier, self._ends, self._grace_s)
        except psycopg.Error as error:
            raise CannotVerify(
                f"PostgreSQL cannot be compared: {error}. Check OMS_POSTGRES, or `oms status`"
            ) from error

    async def _evidence(self, outcome: Outcome) -> None:
        shown = outcome.findings.shown
        places = [place for violation in shown for place in violation.places]
        outcome.records = await self._reader.fetch(places)
        orders = {v.order_id for v in shown if v.order_id and v.order_id != "NONE"}
        few = set(sorted(orders)[:_HISTORIES_MAX])
        outcome.histories = await self._reader.histories(few, self._ends, _HISTORY_MAX)


def _report_lag(findings: Findings, inputs: Mapping[Source, int], behind: Mapping[Source, int]) -> None:
    findings.check("I12", len(inputs))
    for (short, lane), missing in behind.items():
        text = f"{short}-{lane}: the group has not taken the last {missing} offsets; is a worker running?"
        findings.wrong("I12", text, [])
