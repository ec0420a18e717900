"""A program that ends is started again, and why it ended is told."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from app.local.keeper import DEATHS_AT_START, Keeper
from app.local.program import LocalError, Program

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
FAILING = [sys.executable, "-c", "raise SystemExit('no such database')"]


async def until(true: Callable[[], bool], limit_s: float = 10.0) -> None:
    async with asyncio.timeout(limit_s):
        while not true():  # noqa: ASYNC110 (what is awaited is another process)
            await asyncio.sleep(0.02)


async def never() -> str:
    return "the end of time"


async def test_a_killed_process_is_started_again_and_its_death_told(tmp_path: Path) -> None:
    said: list[str] = []
    keeper = Keeper(Program("sleep", SLEEP), tmp_path, said.append, lambda: None)
    await keeper.until_ready(5)
    assert keeper.child
    first = keeper.child.pid
    os.kill(first, signal.SIGKILL)
    await until(lambda: keeper.restarts == 1 and keeper.is_ready)
    assert keeper.child.pid != first
    assert said[0].startswith("sleep was killed by SIGKILL; starts again in 0.2 s. Somebody killed it, or")
    await keeper.stop()
    assert list((tmp_path / "run").iterdir()) == []


async def test_a_repeated_death_is_told_in_full_once_and_tried_less_and_less_often(tmp_path: Path) -> None:
    said: list[str] = []
    keeper = Keeper(Program("failing", FAILING, waiting=never), tmp_path, said.append, lambda: None)
    await until(lambda: len(said) == 3)
    await keeper.stop()
    assert "no such database" in said[0]
    assert said[1:] == [
        "failing ended with code 1; starts again in 0.4 s (as before)",
        "failing ended with code 1; starts again in 0.8 s (as before)",
    ]


async def test_a_program_that_keeps_ending_fails_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.local.keeper.PAUSE_MAX_S", 0.05)
    keeper = Keeper(Program("failing", FAILING, waiting=never), tmp_path, lambda _: None, lambda: None)
    with pytest.raises(LocalError, match=r"failing keeps ending at its start[\s\S]*no such database"):
        await keeper.until_ready(20)
    assert keeper.restarts >= DEATHS_AT_START
    await keeper.stop()
