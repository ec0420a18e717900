"""`oms up --detach`: a supervisor that outlives the terminal, and its words until it is ready."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from app.local import home
from app.local.program import LocalError, turn_over

_POLL_S = 0.1


def start(folder: Path, arguments: list[str], say: Callable[[str], None]) -> None:
    """Starts `oms up ARGUMENTS` and returns when all is ready. Raises LocalError when it ends before."""
    with home.held(folder):
        log = folder / "log" / "up.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        turn_over(log)
        (folder / "state.json").unlink(missing_ok=True)
    with log.open("ab") as output:
        supervisor = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "up", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _follow(supervisor, folder, log, say)
    except KeyboardInterrupt:
        supervisor.terminate()
        supervisor.wait()
        raise


def _follow(
    supervisor: "subprocess.Popen[bytes]", folder: Path, log: Path, say: Callable[[str], None]
) -> None:
    """Repeats what the supervisor prints until it is ready."""
    with log.open(encoding="utf-8", errors="replace") as lines:
        while True:
            code = supervisor.poll()
            state = home.read_state(folder)
            ready = bool(state.get("ready")) and state.get("pid") == supervisor.pid
            for line in lines:
                say(line.rstrip("\n"))
            if code is not None:
                raise LocalError(f"the system did not start; see {log}")
            if ready:
                return
            time.sleep(_POLL_S)
