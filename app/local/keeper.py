"""Keeps one program running: waits until it is ready, starts it again when it ends.

Rule: a program that ends is started again for ever, after pauses that double up to ten seconds; why it
ended is said in full once, and in one line when it repeats.
"""

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path

from app.local.program import LOG_BYTES_MAX, Child, LocalError, Program, ended, turn_over

PAUSE_FIRST_S = 0.2
PAUSE_MAX_S = 10.0
# Who lived so long is not in a loop of deaths.
SETTLED_S = 30.0
# A program that was never ready and ends so often will not be ready soon.
DEATHS_AT_START = 5
_STARTING_POLL_S = 0.05
_POLL_S = 0.25
_LOG_CHECK_S = 60.0


class Keeper:
    """One program under watch. `changed` is called when its process or its readiness changes."""

    def __init__(
        self, program: Program, home: Path, say: Callable[[str], None], changed: Callable[[], None]
    ) -> None:
        self.program = program
        self.child: Child | None = None
        self.restarts = 0
        # Whether the present process was found ready.
        self.is_ready = False
        self._home = home
        self._say = say
        self._changed = changed
        self._pause_s = PAUSE_FIRST_S
        self._last_death = ""
        self._waits_for = "it to start"
        turn_over(home / "log" / f"{program.name}.log")
        self._task = asyncio.create_task(self._keep())

    async def until_ready(self, limit_s: float) -> None:
        """Returns when it does its work. Raises LocalError when it takes too long, or keeps ending."""
        end = time.monotonic() + limit_s
        while not self.is_ready:
            if self._task.done():
                self._task.result()
            if self.restarts >= DEATHS_AT_START:
                raise LocalError(f"{self.program.name} keeps ending at its start. {self._last_words()}")
            if time.monotonic() >= end:
                late = f"{self.program.name} is not ready after {limit_s:g} s"
                raise LocalError(f"{late}: {self._waits_for}. {self._last_words()}")
            await asyncio.sleep(_STARTING_POLL_S)

    async def stop(self) -> None:
        """Ends it for good."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        if self.child:
            await self.child.stop()

    def kill(self) -> None:
        """Ends it for good, now."""
        self._task.cancel()
        if self.child:
            self.child.kill()

    def describe(self) -> dict[str, object]:
        """Its entry in state.json; times in seconds since the epoch."""
        return {
            "name": self.program.name,
            "pid": self.child.pid if self.child else None,
            "since": self.child.started_at if self.child else None,
            "restarts": self.restarts,
            "ready": self.is_ready,
            "log": str(self._home / "log" / f"{self.program.name}.log"),
            "ready_url": self.program.ready_url,
        }

    async def _keep(self) -> None:
        while True:
            self.child = Child(self.program, self._home)
            self._changed()
            await self._until_ready(self.child)
            await self._until_ended(self.child)
            self.child.kill()
            self.is_ready = False
            self._tell(self.child)
            await asyncio.sleep(self._pause_s)
            self._pause_s = min(PAUSE_MAX_S, self._pause_s * 2)
            self.restarts += 1

    async def _until_ready(self, child: Child) -> None:
        while child.code is None:
            self._waits_for = await self.program.waiting()
            if not self._waits_for:
                self.is_ready = True
                self._changed()
                return
            await asyncio.sleep(_STARTING_POLL_S)

    async def _until_ended(self, child: Child) -> None:
        """Returns when the process has ended; keeps its log from growing for ever meanwhile."""
        log_check_at = time.monotonic()
        while child.code is None:
            await asyncio.sleep(_POLL_S)
            if time.monotonic() - log_check_at > _LOG_CHECK_S:
                log_check_at = time.monotonic()
                if child.log.stat().st_size > LOG_BYTES_MAX:
                    turn_over(child.log)

    def _tell(self, child: Child) -> None:
        """Says why it ended and when it starts again."""
        assert child.code is not None
        how = ended(child.code)
        if time.time() - child.started_at > SETTLED_S:
            self._pause_s, self._last_death = PAUSE_FIRST_S, ""
        again = f"{self.program.name} {how}; starts again in {self._pause_s:g} s"
        self._say(f"{again} (as before)" if how == self._last_death else f"{again}. {_reason(child)}")
        self._last_death = how

    def _last_words(self) -> str:
        return self.child.last_words() if self.child else ""


def _reason(child: Child) -> str:
    """Where to look for why a process ended."""
    if child.code != -signal.SIGKILL:
        return child.last_words()
    # It could say nothing any more; what its log ends with has nothing to do with it.
    return f"Somebody killed it, or the kernel for want of memory (`dmesg` tells); its log is {child.log}"
