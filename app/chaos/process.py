"""A process of the run: started again whenever it ends, unless it is held down; its deaths are kept."""

import asyncio
import dataclasses
import signal
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import psutil

from app.local.program import Child, Program, ended

_POLL_S = 0.03
# While Kafka is away, workers that start in vain take the CPU that its own start needs.
_PAUSE_FIRST_S, _PAUSE_MAX_S = 0.2, 8.0
_SETTLED_S = 15.0


class Death(NamedTuple):
    """When a process ended (seconds since the epoch), and its code, negative for a signal."""

    at: float
    code: int


class Process:
    """Keeps a program running. `say` hears of ends that nobody asked for."""

    def __init__(self, program: Program, home: Path, say: Callable[[str], None]) -> None:
        # What it leaves when the run ends is thrown away: no need to end politely.
        self.program = dataclasses.replace(program, death_signal=signal.SIGKILL)
        self.child: Child | None = None
        self.deaths: list[Death] = []
        self._home = home
        self._say = say
        self._wanted = False
        self._asked = False
        self._env_once: Mapping[str, str] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def name(self) -> str:
        """The program's name."""
        return self.program.name

    @property
    def runs(self) -> bool:
        """Whether there is a process now."""
        return self.child is not None and self.child.code is None

    def up(self, env_once: Mapping[str, str] | None = None) -> None:
        """Starts it and keeps it running; `env_once` is for the first start only."""
        self._env_once = env_once or {}
        self._wanted = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._keep())

    async def down(self, polite: bool = True) -> None:
        """Ends it (its stop signal, or kill -9) and does not start it again."""
        self._wanted = False
        await self._end(polite)
        # Someone else may want it up again meanwhile.
        while self._task is not None and not self._task.done() and not self._wanted:
            await asyncio.wait({self._task}, timeout=_POLL_S)

    async def kill(self) -> None:
        """kill -9 of the process and what it started; it starts again."""
        await self._end(polite=False)

    def send(self, number: signal.Signals) -> None:
        """Sends a signal; what comes of it is its own affair."""
        if self.child is not None:
            self._asked = self._asked or number in (signal.SIGTERM, signal.SIGINT)
            self.child.signal(number)

    def resume(self) -> None:
        """Continues it, should it be stopped."""
        self.send(signal.SIGCONT)

    @property
    def frozen(self) -> bool:
        """Whether it is stopped, as by SIGSTOP."""
        try:
            return self.runs and psutil.Process(self._pid()).status() == psutil.STATUS_STOPPED
        except psutil.NoSuchProcess:
            return False

    async def ready(self, limit_s: float) -> str:
        """ "" once it does its work, or what it waits for when the limit is over."""
        end_s = time.monotonic() + limit_s
        while True:
            waiting = await self.program.waiting() if self.runs else f"{self.name} does not run"
            if not waiting or time.monotonic() > end_s:
                return waiting
            await asyncio.sleep(0.1)

    async def stops(self, limit_s: float) -> bool:
        """Whether it stops itself within the limit, as by SIGSTOP."""
        end_s = time.monotonic() + limit_s
        while True:
            if self.frozen or time.monotonic() > end_s:
                return self.frozen
            await asyncio.sleep(_POLL_S)

    async def dies(self, limit_s: float) -> Death | None:
        """Its next end, if it comes within the limit."""
        known, end_s = len(self.deaths), time.monotonic() + limit_s
        while len(self.deaths) == known:
            if time.monotonic() > end_s:
                return None
            await asyncio.sleep(_POLL_S)
        return self.deaths[-1]

    def _pid(self) -> int:
        assert self.child is not None
        return self.child.pid

    async def _end(self, polite: bool) -> None:
        child = self.child
        if child is None or child.code is not None:
            return
        self._asked = True
        if polite:
            child.signal(self.program.stop_signal)
            if await child.ends_within(self.program.stop_s):
                return
        # It may wait for descendants, which must not hold up the proxies of this loop.
        await asyncio.to_thread(child.kill)

    async def _keep(self) -> None:
        pause_s = _PAUSE_FIRST_S
        while self._wanted:
            env = {**self.program.env, **self._env_once}
            self._env_once = {}
            self._asked = False
            child = self.child = Child(dataclasses.replace(self.program, env=env), self._home)
            while not await child.ends_within(60):
                pass
            assert child.code is not None
            self.deaths.append(Death(time.time(), child.code))
            if not self._asked:
                self._say(f"{self.name} {ended(child.code)}")
            await asyncio.to_thread(child.kill)
            if time.time() - child.started_at > _SETTLED_S:
                pause_s = _PAUSE_FIRST_S
            if self._wanted and not self._asked:
                await asyncio.sleep(pause_s)
                pause_s = min(_PAUSE_MAX_S, pause_s * 2)
