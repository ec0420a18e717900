"""The data folder: who holds it, what runs in it, and its keys.

Rule: a supervisor holds the lock of the folder as long as it lives, so whether a system is up is a
fact of the kernel and not of a file that a crash left.
"""

import fcntl
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from app.local import leftovers
from app.local.program import LocalError

# What a fresh start removes; jars, ports and logs stay.
_DATA = ("kafka", "postgres", "redis", "keys.json", "state.json")


class AlreadyUp(LocalError):
    """Another supervisor holds the data folder."""


@contextmanager
def held(home: Path) -> Iterator[None]:
    """Holds the data folder for a block. Raises AlreadyUp, LocalError."""
    try:
        home.mkdir(parents=True, exist_ok=True)
        lock = (home / "lock").open("a")
    except OSError as error:
        raise LocalError(
            f"{home} cannot be written ({error.strerror}): set OMS_DATA_DIR to a folder of yours"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = read_state(home).get("pid", "?")
            raise AlreadyUp(
                f"a local system is already up in {home} (supervisor {pid}): "
                "`oms status` shows it, `oms down` ends it"
            ) from None
        yield


def is_held(home: Path) -> bool:
    """Whether a supervisor is alive in the data folder."""
    try:
        with held(home):
            return False
    except AlreadyUp:
        return True


def read_state(home: Path) -> dict[str, Any]:
    """What the supervisor wrote last; empty when nothing was."""
    try:
        state: dict[str, Any] = json.loads((home / "state.json").read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return state


def write_private(path: Path, content: dict[str, Any]) -> None:
    """Replaces a file of keys at once; only its owner may read it."""
    beside = path.with_suffix(".new")
    with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(content, file, indent=1)
    beside.replace(path)


class Secrets:
    """Keys and passwords of the local system, made once and kept in `keys.json`."""

    def __init__(self, home: Path) -> None:
        self._path = home / "keys.json"
        try:
            self._known: dict[str, str] = json.loads(self._path.read_text(encoding="utf-8"))
        except (FileNotFoundError, ValueError):
            self._known = {}

    def get(self, name: str) -> str:
        """The secret of that name, or ""."""
        return self._known.get(name, "")

    def made(self, name: str) -> str:
        """The secret of that name, made now if there is none."""
        return self.get(name) or self.keep(name, secrets.token_urlsafe(24))

    def keep(self, name: str, value: str) -> str:
        """Remembers a secret and gives it back."""
        self._known[name] = value
        write_private(self._path, self._known)
        return value


def empty(home: Path) -> None:
    """Removes all data of the local system, and nothing else."""
    for name in _DATA:
        path = home / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def stop(home: Path, limit_s: float = 60.0) -> list[str]:
    """Ends the supervisor and all it started, or what a crash left of them; gives what was ended."""
    ended = []
    state = read_state(home)
    if is_held(home):
        process = leftovers.same(state.get("pid", 0), state.get("started", 0.0))
        if process is None:
            raise LocalError(f"the supervisor of {home} is just starting or ending: try again in a moment")
        process.terminate()
        if not leftovers.wait_gone(process, limit_s):
            process.kill()
            leftovers.wait_gone(process, 5.0)
        ended.append("supervisor")
    with held(home):
        ended += leftovers.clean(home)
        (home / "state.json").unlink(missing_ok=True)
    return ended
