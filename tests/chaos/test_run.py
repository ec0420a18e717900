"""`oms chaos` as a user runs it: a short run with a fixed seed, and what is left when it is killed."""

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

# Brokers stay up: what they cost in time belongs to longer runs.
FAULTS = ("worker-zombie", "worker-crash-before-commit", "storage-kill", "poison-truncated", "gateway-kill")
REQUIRED = (
    "rebalance with orders in flight",
    "partial fill across a crash",
    "aborted transaction",
    "fenced producer",
    "zombie refused",
    "dead letter",
    "storage killed in a batch",
)


def command(home: Path, jars: Path, *arguments: str) -> subprocess.Popen[str]:
    """`oms chaos` with its folder at `home`."""
    return subprocess.Popen(
        [sys.executable, "-m", "app.cli", "chaos", "--home", str(home), "--workers", "2", *arguments],
        env={**os.environ, "OMS_DATA_DIR": str(jars.parent)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_short_run_with_a_fixed_seed_is_green(tmp_path: Path, jars: Path) -> None:
    chosen = [word for name in FAULTS for word in ("--only", name)]
    required = [word for name in REQUIRED for word in ("--require", name)]
    run = command(tmp_path, jars, "--seed", "4", "--minutes", "0.3", "--json", *chosen, *required)
    out, err = run.communicate(timeout=280)
    assert run.returncode == 0, err[-6000:]
    found = json.loads(out)
    assert found["verdict"] == "green"
    assert set(found["faults_by_kind"]) >= {*FAULTS[:3]}
    assert found["verify"]["totals"]["trades"] > 50
    assert {name for name in REQUIRED if not found["seen"][name]} == set()
    assert json.loads(next((tmp_path / "reports").iterdir()).read_text(encoding="utf-8")) == found
    assert leftovers.find(tmp_path / "system") == {}


@pytest.mark.parametrize(("how", "code"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_nothing_is_left_running_when_a_run_is_ended(
    tmp_path: Path, jars: Path, how: signal.Signals, code: int
) -> None:
    run = command(tmp_path, jars, "--minutes", "1")
    try:
        started: dict[str, psutil.Process] = {}
        end_s = time.monotonic() + 180
        while not {"kafka-1", "postgres", "registry"} <= set(started):
            assert run.poll() is None, run.communicate()
            assert time.monotonic() < end_s, f"only {set(started)} started"
            time.sleep(0.1)
            started |= leftovers.find(tmp_path / "system")
    finally:
        run.send_signal(how)
        run.communicate(timeout=60)
    assert run.returncode == code
    left = [name for name, process in started.items() if not leftovers.wait_gone(process, 30)]
    assert left == []
