"""What a crashed supervisor left running: found by the records of `run/NAME.json`, never by a name.

Rule: a process is ours only if its id, start time and command are the recorded ones; an id that the
system gave to another program since is left alone.
"""

import json
import os
import signal
import time
from contextlib import suppress
from pathlib import Path

import psutil

_START_TOLERANCE_S = 2.0
_POLITE_S = 15.0


def record(home: Path, name: str, pid: int, argv: list[str]) -> Path:
    """Writes the record of a process just started; remove it when the process has ended."""
    folder = home / "run"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    with suppress(psutil.NoSuchProcess):
        started = psutil.Process(pid).create_time()
        path.write_text(json.dumps({"pid": pid, "started": started, "argv": argv}), encoding="utf-8")
    return path


def find(home: Path) -> dict[str, psutil.Process]:
    """Recorded processes that still run, by name."""
    found = {}
    for path in sorted((home / "run").glob("*.json")):
        process = _same_process(json.loads(path.read_text(encoding="utf-8") or "{}"))
        if process:
            found[path.stem] = process
    return found


def clean(home: Path) -> list[str]:
    """Ends every recorded process that still runs and drops the records; gives their names."""
    found = find(home)
    for process in found.values():
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(list(found.values()), timeout=_POLITE_S)
    for process in alive:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=5)
    for path in (home / "run").glob("*.json"):
        path.unlink(missing_ok=True)
    return list(found)


def same(pid: int, started: float) -> psutil.Process | None:
    """The process of that id if it started at that time (seconds since the epoch), else None."""
    try:
        process = psutil.Process(pid)
        if abs(process.create_time() - started) > _START_TOLERANCE_S:
            return None
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    except psutil.NoSuchProcess:
        return None


def _same_process(recorded: dict[str, object]) -> psutil.Process | None:
    pid, started, argv = recorded.get("pid"), recorded.get("started"), recorded.get("argv")
    if not (isinstance(pid, int) and isinstance(started, float) and isinstance(argv, list)):
        return None
    process = same(pid, started)
    return process if process and _runs(process, argv) else None


def _runs(process: psutil.Process, argv: list[str]) -> bool:
    """Whether a process runs the command: its words, or (some change those, as Redis does) its program."""
    try:
        return process.cmdline()[-len(argv) :] == argv or process.exe() == os.path.realpath(argv[0])
    except psutil.Error:
        return False


def descendants(pid: int) -> list[psutil.Process]:
    """Every process below one, whatever group it leads."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def end(processes: list[psutil.Process], limit_s: float = 5.0) -> None:
    """Kills processes and returns when none of them runs any more, or at the limit."""
    for process in processes:
        with suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            process.kill()
    deadline = time.monotonic() + limit_s
    for process in processes:
        wait_gone(process, deadline - time.monotonic())


def wait_gone(process: psutil.Process, limit_s: float) -> bool:
    """Whether a process, ours or not, ends within the limit."""
    end = time.monotonic() + limit_s
    while _runs_on(process):
        if time.monotonic() >= end:
            return False
        time.sleep(0.05)
    return True


def _runs_on(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
