"""`oms verify --follow`: verifies a live system until it is told to stop, then like any verification.

What a record breaks by itself is known at once. What may still come is known at a checkpoint: once the group
has taken all that the topics had at one moment, and the outputs were read, everything of that moment must be
complete. So a worker that is away makes a lag, which is shown, and no violation. Changelogs, doors and
storage are compared at the end.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from aiokafka.errors import KafkaError

from app.settings import Settings
from app.verify import lag
from app.verify.check import Check, Outcome, Progress
from app.verify.findings import Violation
from app.verify.log import CannotVerify
from app.verify.records import Place, Seen, Source

_PAUSE_S = 0.25
# The group's positions are asked for so often.
_ASK_S = 1.0
_SETTLE_S = 0.5
_AWAY_S = 2.0


class Status(NamedTuple):
    """Where a live verification is.

    `behind`: offsets that the group has not taken of the last moment that is checked; `complete_s`: how long
    ago the last moment was that is complete in every way (None: none yet).
    """

    records: int
    per_second: float
    violations: Mapping[str, int]
    orders: int
    live_orders: int
    trades: int
    behind: int
    complete_s: float | None
    trouble: str = ""


OnStatus = Callable[[Status], None]
OnViolation = Callable[[Violation, Mapping[Place, Seen]], None]


class Follow(Check):
    """Reads on until `stop` is called; tells statuses several times a second, and violations as they come."""

    def __init__(
        self,
        settings: Settings,
        grace_s: float,
        progress: Progress,
        on_status: OnStatus,
        on_violation: OnViolation,
    ) -> None:
        super().__init__(settings, grace_s, progress)
        self._on_status = on_status
        self._on_violation = on_violation
        self._stopping = asyncio.Event()
        self._told = 0
        self._complete_s: float | None = None
        self._behind_now = 0
        self._window: list[tuple[float, int]] = []

    def stop(self) -> None:
        """Ends the following; what is under way is waited for, then the verdict is made."""
        self._stopping.set()

    @property
    def stopping(self) -> bool:
        """Whether it was told to stop."""
        return self._stopping.is_set()

    async def _verify(self) -> Outcome:
        await self._begin()
        while not self._stopping.is_set():
            try:
                await self._checkpoint()
                await self._tell_violations()
            except (KafkaError, CannotVerify) as error:
                self._tell_status(str(error) or type(error).__name__)
                await self._pause(_AWAY_S)
        snapshot = await self._reader.ends()
        self._verifier.move(snapshot)
        return await self._end(snapshot)

    async def _checkpoint(self) -> None:
        """Reads on until the group has taken all there is now; what is missing then is missing for good."""
        began_s, ends = time.monotonic(), await self._reader.ends()
        inputs = {source: end for source, end in ends.items() if source[0] in lag.INPUTS}
        while await self._is_behind(inputs):
            await self._go_on(_ASK_S)
            if self._stopping.is_set():
                return
        await self._go_on(_SETTLE_S)
        self._verifier.move(ends)
        self._verifier.overdue()
        self._complete_s = began_s

    async def _is_behind(self, inputs: Mapping[Source, int]) -> bool:
        behind = await self._behind(inputs, await lag.committed(self._settings))
        self._behind_now = sum(behind.values())
        return bool(behind)

    async def _go_on(self, seconds: float) -> None:
        """Reads and tells for some time; at least once, and the last time at its end."""
        until_s = time.monotonic() + seconds
        while True:
            last = time.monotonic() >= until_s or self._stopping.is_set()
            await self._read_new()
            await self._tell_violations()
            self._tell_status()
            if last:
                return
            await self._pause(_PAUSE_S)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            return

    def _tell_status(self, trouble: str = "") -> None:
        now_s, verifier = time.monotonic(), self._verifier
        self._window = [*self._window[-20:], (now_s, self._count)]
        since_s, before = self._window[0]
        totals = verifier.totals
        live = len(verifier.orders.live)
        self._on_status(
            Status(
                records=self._count,
                per_second=(self._count - before) / max(now_s - since_s, 0.001),
                violations=dict(verifier.findings.violations),
                orders=live + sum(sums.count for sums in totals.orders.values()),
                live_orders=live,
                trades=sum(sums.count for sums in totals.trades.values()),
                behind=self._behind_now,
                complete_s=None if self._complete_s is None else now_s - self._complete_s,
                trouble=trouble,
            )
        )

    async def _tell_violations(self) -> None:
        """Those that are kept whole and were not told yet, each with its records."""
        shown = self._verifier.findings.shown
        while self._told < len(shown):
            violation = shown[self._told]
            self._on_violation(violation, await self._reader.fetch(violation.places))
            self._told += 1
