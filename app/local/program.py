"""A program that the local system runs, and the process it becomes.

Rules: every child leads its own session, so Ctrl-C in the terminal reaches only the supervisor; it dies
with the supervisor (app.local.launch); it is recorded in `run/NAME.json` as long as it may live, so that
the next start finds what a crash left (app.local.leftovers). Start children from the main thread:
Linux ties them to the thread that started them.
"""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from app.local import leftovers

LAUNCHER = Path(__file__).with_name("launch.py")
LOG_BYTES_MAX = 32 * 1024 * 1024
_POLL_S = 0.05


class LocalError(Exception):
    """A part of the local system cannot start; the text says which, why, and what to do."""


@dataclass(frozen=True)
class Account:
    """A user of the system to run as, for a program that refuses root."""

    uid: int
    gid: int
    reach_any_path: bool = False


async def _at_once() -> str:
    return ""


@dataclass(frozen=True)
class Program:
    """What to run and how. `waiting` gives "" when it does its work, else what it waits for."""

    name: str
    argv: list[str]
    env: dict[str, str] = field(default_factory=dict)
    account: Account | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGKILL
    stop_s: float = 10.0
    waiting: Callable[[], Awaitable[str]] = _at_once
    ready_url: str = ""

    def launched(self) -> list[str]:
        """The command line, through the launcher."""
        options = ["--parent", str(os.getpid()), "--death-signal", str(int(self.death_signal))]
        if self.account:
            options += ["--uid", str(self.account.uid), "--gid", str(self.account.gid)]
            options += ["--reach-any-path"] if self.account.reach_any_path else []
        return [sys.executable, "-IS", str(LAUNCHER), *options, "--", *self.argv]


class Child:
    """A running program, with its log in `log/NAME.log` and its record in `run/NAME.json` of `home`."""

    def __init__(self, program: Program, home: Path) -> None:
        self.program = program
        self.home = home
        self.log = home / "log" / f"{program.name}.log"
        self.started_at = time.time()
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                program.launched(),
                env={**os.environ, **program.env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._record = leftovers.record(home, program.name, self._process.pid, program.argv)

    @property
    def pid(self) -> int:
        """Its process id, also that of its group."""
        return self._process.pid

    @property
    def code(self) -> int | None:
        """Exit code, negative for the signal that ended it; None while it runs."""
        return self._process.poll()

    async def until_ready(self, limit_s: float) -> None:
        """Returns when it does its work. Raises LocalError when it ends before that, or is late."""
        end = time.monotonic() + limit_s
        while True:
            if self.code is not None:
                raise LocalError(
                    f"{self.program.name} {ended(self.code)} before it was ready. {self.last_words()}"
                )
            waiting = await self.program.waiting()
            if not waiting:
                return
            if time.monotonic() >= end:
                raise LocalError(
                    f"{self.program.name} is not ready after {limit_s:g} s: {waiting}. {self.last_words()}"
                )
            await asyncio.sleep(_POLL_S)

    async def stop(self) -> None:
        """Ends it: its stop signal, then SIGKILL to its whole group after its limit."""
        if self.code is None:
            self.signal(self.program.stop_signal)
            await self.ends_within(self.program.stop_s)
        self.kill()

    async def ends_within(self, limit_s: float) -> bool:
        """Whether it ends by itself within the limit."""
        end = time.monotonic() + limit_s
        while self.code is None:
            if time.monotonic() >= end:
                return False
            await asyncio.sleep(_POLL_S)
        return True

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the process, if it still runs."""
        if self.code is None:
            self._process.send_signal(number)

    def kill(self) -> None:
        """Ends it now with its group and its descendants, and forgets its record.

        Descendants may lead groups of their own: PostgreSQL's backends do, and outlive a killed server for
        a moment, in which no new one can start on the same data.
        """
        family = leftovers.descendants(self.pid)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        leftovers.end(family)
        self._record.unlink(missing_ok=True)

    def last_words(self, lines: int = 12) -> str:
        """Where its log is, and how it ends."""
        return f"The end of {self.log}:\n{tail(self.log, lines)}"


def ended(code: int) -> str:
    """How a process ended, in words: `ended with code 1`, `was killed by SIGKILL`."""
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


def tail(log: Path, lines: int) -> str:
    """The last lines of a log, indented."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 16_384))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return "  (no log)"
    return "\n".join(f"  {line}" for line in text.splitlines()[-lines:]) or "  (empty)"


def turn_over(log: Path) -> None:
    """Moves a log's content to NAME.log.1. The writer goes on with the same file, now empty (it appends)."""
    if log.exists() and log.stat().st_size:
        with log.open("rb") as source, log.with_name(f"{log.name}.1").open("wb") as kept:
            while part := source.read(1 << 20):
                kept.write(part)
        os.truncate(log, 0)


async def run_once(program: Program, home: Path, limit_s: float = 120.0) -> None:
    """Runs a program to its end. Raises LocalError when it fails or takes longer."""
    child = Child(program, home)
    try:
        await child.ends_within(limit_s)
        if child.code != 0:
            how = f"takes longer than {limit_s:g} s" if child.code is None else ended(child.code)
            raise LocalError(f"{program.name} {how}. {child.last_words()}")
    finally:
        child.kill()
