"""The process `oms registry`: starts, ends and comes back."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

Process = subprocess.Popen[bytes]
Launch = Callable[[], Process]


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found: int = server.getsockname()[1]
        return found


@pytest.fixture
def said(tmp_path: Path) -> Path:
    """What the processes of the test wrote to stderr."""
    return tmp_path / "stderr"


@pytest.fixture
def launch(kafka: str, topic: str, port: int, said: Path) -> Iterator[Launch]:
    """Starts a registry process on the test's topic and port; what is left of them ends with the test."""
    started = []

    def begin(kafka: str = kafka) -> Process:
        env = {**os.environ, "OMS_KAFKA": kafka, "OMS_REGISTRY_TOPIC": topic, "OMS_REGISTRY_PORT": str(port)}
        with said.open("ab") as stderr:
            command = [sys.executable, "-m", "app.cli", "registry"]
            started.append(subprocess.Popen(command, env=env, stderr=stderr))
        return started[-1]

    yield begin
    for process in started:
        process.kill()
        process.wait()


def until_ready(port: int) -> float:
    """Seconds until the registry answers."""
    began = time.monotonic()
    while time.monotonic() - began < 30:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", timeout=30).status_code == 200:
                return time.monotonic() - began
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("the registry did not start in 30 s")


def register(port: int, subject: str) -> int:
    answer = httpx.post(
        f"http://127.0.0.1:{port}/subjects/{subject}/versions",
        json={"schema": f'{{"type": "string", "a": "{subject}"}}'},
    )
    return int(answer.json()["id"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_a_clean_end(launch: Launch, port: int, said: Path, number: int) -> None:
    process = launch()
    until_ready(port)
    process.send_signal(number)
    assert process.wait(10) == 0
    assert "Traceback" not in said.read_text()


def test_a_signal_during_the_start_is_a_clean_end(launch: Launch, said: Path) -> None:
    process = launch()
    time.sleep(0.7)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) in (0, -signal.SIGTERM)
    assert "Traceback" not in said.read_text()


def test_what_was_answered_survives_kill_9(launch: Launch, port: int) -> None:
    process = launch()
    until_ready(port)
    assert [register(port, name) for name in "abc"] == [1, 2, 3]
    process.kill()
    process.wait()
    launch()
    until_ready(port)
    assert httpx.get(f"http://127.0.0.1:{port}/subjects").json() == ["a", "b", "c"]
    assert register(port, "b") == 2
    assert register(port, "d") == 4


def test_it_costs_next_to_nothing_at_rest(launch: Launch, port: int) -> None:
    process = psutil.Process(launch().pid)
    until_ready(port)
    time.sleep(0.5)
    before = sum(process.cpu_times()[:2])
    time.sleep(3)
    assert (sum(process.cpu_times()[:2]) - before) / 3 < 0.03


def test_a_taken_port_is_named_with_the_setting(launch: Launch, port: int, said: Path) -> None:
    with socket.create_server(("127.0.0.1", port)):
        process = launch()
        assert process.wait(20) == 1
    assert f"127.0.0.1:{port}: Address already in use; set OMS_REGISTRY_PORT" in said.read_text()
    assert "Traceback" not in said.read_text()


def test_an_absent_kafka_ends_it_with_one_line(launch: Callable[..., Process], said: Path) -> None:
    process = launch("127.0.0.1:1")
    assert process.wait(20) == 1
    assert "Traceback" not in said.read_text()
    assert "127.0.0.1" in said.read_text()
