"""`oms match` as a process: pipes, exit codes, a bar on a terminal."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from app.cli import cli
from app.settings import ROOT

COMMAND = (sys.executable, "-m", "app.cli", "match")
ORDER = b'{"type": "new_order", "symbol": "S", "account": "a", "client_order_id": "1", "side": "buy", \
"order_type": "limit", "quantity": "5", "limit_price": "10"}\n'
TIMEOUT_S = 120


def match(*options: str, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """One run of the command."""
    return subprocess.run(
        (*COMMAND, *options), cwd=ROOT, input=data, capture_output=True, timeout=TIMEOUT_S, check=False
    )


def test_it_answers_each_line_of_a_pipe_at_once() -> None:
    command = (*COMMAND, "/dev/stdin")
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin
        assert process.stdout
        process.stdin.write(ORDER)
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["event"] == "accepted"
        process.stdin.write(b'{"type": "mass_cancel"}\n')
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["reason"] == "MATCHING_MASS_CANCELED"
        process.stdin.close()
        assert process.wait(TIMEOUT_S) == 0


def test_bad_lines_end_in_exit_code_1_and_strict_stops_at_the_first() -> None:
    data = b"{\n" + ORDER
    outcome = match("--book", "naive", "--book-at-end", data=data)
    assert outcome.returncode == 1
    assert [json.loads(line)["event"] for line in outcome.stdout.splitlines()] == ["accepted", "resting"]
    assert outcome.stderr.startswith(b"stdin:1: no JSON")
    strict = match("--strict", data=data)
    assert (strict.returncode, strict.stdout) == (1, b"")
    assert strict.stderr.startswith(b"stdin:1: no JSON")


def test_a_reader_that_leaves_ends_it_without_a_word(tmp_path: Path) -> None:
    """The pipe holds less than what is printed."""
    file = tmp_path / "commands.jsonl"
    file.write_bytes(match("--generate", "5000").stdout)
    assert len(file.read_bytes().splitlines()) == 5000
    command = f'"{sys.executable}" -m app.cli match "{file}" | head -1; exit ${{PIPESTATUS[0]}}'
    outcome = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, capture_output=True, timeout=TIMEOUT_S, check=False
    )
    assert outcome.returncode == 141
    assert outcome.stderr == b""
    assert json.loads(outcome.stdout)["line"] == 1


def test_a_bar_is_shown_on_a_terminal() -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        COMMAND, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=theirs
    ) as process:
        os.close(theirs)
        process.communicate(ORDER, TIMEOUT_S)
    assert process.returncode == 0
    assert b"lines" in os.read(ours, 65_536)
    os.close(ours)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--risk"], "--risk needs --instruments"),
        (["nowhere.jsonl"], "cannot read nowhere.jsonl"),
        (["--only", "fills"], "--only fills: must be one of"),
        (["--instruments", "nowhere.jsonl"], "cannot read nowhere.jsonl"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        cli(["match", *options])
    assert end.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(words)
