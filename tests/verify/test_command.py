"""The command on a terminal."""

import os
import pty
import subprocess
import sys
from typing import Any

import typer
from typer.testing import CliRunner

from app.cli import cli
from app.settings import ROOT
from app.verify.findings import RULES


def test_a_terminal_gets_a_bar_and_what_cannot_be_verified_ends_with_two() -> None:
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


def test_the_document_tells_of_every_invariant_and_option() -> None:
    text = (ROOT / "docs" / "verify.md").read_text(encoding="utf-8")
    for invariant in RULES:
        assert f"| {invariant} | " in text, invariant
    commands: Any = typer.main.get_command(cli)
    for parameter in commands.commands["verify"].params:
        if parameter.name not in ("grace", "help"):
            assert parameter.opts[0] in text, parameter.opts[0]


def test_an_address_or_key_that_is_none_is_refused_with_the_next_step() -> None:
    for arguments, told in (
        (["--gateway", "127.0.0.1:8000", "--api-key", "k"], "--gateway must be a URL such as"),
        (["--gateway", "http://127.0.0.1:1"], "--gateway needs --api-key"),
    ):
        result = CliRunner().invoke(cli, ["verify", *arguments], env={"OMS_API_KEY": "", "OMS_ADMIN_KEY": ""})
        assert result.exit_code == 2
        assert told in result.stderr
