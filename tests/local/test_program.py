"""Real processes: how they start, end, and are found again."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from app.local import leftovers
from app.local.program import Child, LocalError, Program, run_once, turn_over

SLEEP = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEP[2],
]
# A supervisor in small: starts a child in the folder of its argument, says its pid, waits.
PARENT = f"""
import sys, time
from pathlib import Path
from app.local.program import Child, Program
child = Child(Program("sleep", {SLEEP!r}), Path(sys.argv[1]))
print(child.pid, flush=True)
time.sleep(60)
"""


def wait_until(true: object, limit_s: float = 10.0) -> None:
    end = time.monotonic() + limit_s
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end, "still not so"
        time.sleep(0.02)


def has_said_up(child: Child) -> bool:
    return child.log.read_text() == "up\n"


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def parent_with_child(home: Path) -> tuple["subprocess.Popen[str]", int]:
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, str(home)], stdout=subprocess.PIPE, text=True, env={**os.environ}
    )
    assert parent.stdout
    return parent, int(parent.stdout.readline())


async def test_kill_ends_descendants_that_lead_groups_of_their_own(tmp_path: Path) -> None:
    """As PostgreSQL's backends do, which keep its shared memory from the next server until they are gone."""
    below = "import subprocess, sys; subprocess.Popen(sys.argv[1:], start_new_session=True).wait()"
    child = Child(Program("parent", [sys.executable, "-c", below, *SLEEP]), tmp_path)
    wait_until(lambda: has_said_up(child))
    (grandchild,) = leftovers.descendants(child.pid)
    child.kill()
    assert is_gone(grandchild.pid)


async def test_stop_ends_a_process_that_ignores_sigterm_after_its_limit(tmp_path: Path) -> None:
    child = Child(Program("stubborn", STUBBORN, stop_s=0.3), tmp_path)
    wait_until(lambda: has_said_up(child))
    await child.stop()
    assert child.code == -signal.SIGKILL
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.skipif(
    sys.platform != "linux",
    reason="prctl's PR_SET_PDEATHSIG, by which a child ends with its parent, is Linux only",
)
def test_a_child_ends_with_its_killed_parent(tmp_path: Path) -> None:
    parent, pid = parent_with_child(tmp_path)
    wait_until(lambda: (tmp_path / "log" / "sleep.log").read_text() == "up\n")
    parent.kill()
    parent.wait()
    wait_until(lambda: is_gone(pid))


def test_ctrl_c_of_the_terminal_does_not_reach_a_child(tmp_path: Path) -> None:
    child = Child(Program("sleep", SLEEP), tmp_path)
    assert os.getpgid(child.pid) == child.pid != os.getpgid(0)
    child.kill()


def test_what_a_crash_left_is_found_and_ended(tmp_path: Path) -> None:
    child = Child(Program("sleep", SLEEP), tmp_path)
    wait_until(lambda: has_said_up(child))
    assert list(leftovers.find(tmp_path)) == ["sleep"]
    assert leftovers.clean(tmp_path) == ["sleep"]
    assert is_gone(child.pid)
    assert list((tmp_path / "run").iterdir()) == []


@pytest.mark.parametrize(
    "other", [{"started": 1000.0}, {"argv": ["/bin/other"]}], ids=["start time", "command"]
)
def test_a_process_that_is_not_the_recorded_one_is_left_alone(
    tmp_path: Path, other: dict[str, object]
) -> None:
    child = Child(Program("sleep", SLEEP), tmp_path)
    wait_until(lambda: has_said_up(child))
    record = tmp_path / "run" / "sleep.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), **other}))
    assert leftovers.clean(tmp_path) == []
    assert child.code is None
    child.kill()


async def test_a_program_that_fails_says_its_code_and_the_end_of_its_log(tmp_path: Path) -> None:
    failing = Program("failing", [sys.executable, "-c", "raise SystemExit('no disk')"])
    with pytest.raises(LocalError, match=r"failing ended with code 1[\s\S]*no disk"):
        await run_once(failing, tmp_path)


async def test_a_program_that_never_gets_ready_says_what_it_waits_for(tmp_path: Path) -> None:
    async def waiting() -> str:
        return "no leader yet"

    child = Child(Program("slow", SLEEP, waiting=waiting), tmp_path)
    with pytest.raises(LocalError, match=r"slow is not ready after 0\.2 s: no leader yet"):
        await child.until_ready(0.2)
    child.kill()


def test_a_log_is_turned_over_under_its_writer(tmp_path: Path) -> None:
    log = tmp_path / "some.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"before\n")
        turn_over(log)
        writer.write(b"after\n")
    assert (tmp_path / "some.log.1").read_bytes() == b"before\n"
    assert log.read_bytes() == b"after\n"
