"""The command on a terminal."""

import os
import pty
import subprocess
import sys

from app.settings import ROOT


def test_a_terminal_gets_a_bar_and_what_cannot_be_verified_ends_with_two():
    """Nothing answers at port 1: the bar is begun, then the reason is told."""
    parent, child = pty.openpty()
    env = {"OMS_KAFKA": "127.0.0.1:1", "OMS_REGISTRY": "http://127.0.0.1:1", "TERM": "xterm"}
    command = [sys.executable, "-m", "app.cli", "verify"]
    done = subprocess.run(command, cwd=ROOT, env=env, stdout=child, stderr=child, timeout=60, check=False)
    os.close(child)
    told = os.read(parent, 65_536).decode()
    os.close(parent)
    assert done.returncode == 2, told
    assert "Check OMS_KAFKA" in told
    assert "0 of 1 records" in told
