"""`oms up` for real: everything starts, a killed worker comes back, data survive, nothing is left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil
import pytest

QUOTE = {"symbol": "AAPL", "bid": "230.00", "bid_size": "100", "ask": "230.02", "ask_size": "100"}
ORDER = {
    "account": "DEMO-1",
    "client_order_id": "up-1",
    "symbol": "AAPL",
    "side": "buy",
    "quantity": "1",
    "limit_price": "229.00",
    "time_in_force": "gtc",
}


class System:
    """The command line on a data folder of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def oms(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        mine = {key: value for key, value in os.environ.items() if not key.startswith("OMS_")}
        return subprocess.run(
            [sys.executable, "-m", "app.cli", *arguments],
            env={**mine, "OMS_DATA_DIR": str(self.home)},
            capture_output=True,
            text=True,
            check=False,
            timeout=240,
        )

    def up(self, *arguments: str) -> str:
        done = self.oms("up", "--detach", *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def status(self) -> dict[str, Any]:
        done = self.oms("status", "--json")
        assert done.stdout, done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    def pid(self, name: str) -> Any:
        return next(entry["pid"] for entry in self.status()["processes"] if entry["name"] == name)

    def until(self, true: Callable[[dict[str, Any]], bool], limit_s: float = 60.0) -> dict[str, Any]:
        end = time.monotonic() + limit_s
        while not true(found := self.status()):
            assert time.monotonic() < end, found
        return found

    def until_ready(self) -> dict[str, Any]:
        return self.until(lambda found: bool(found["ready"]))

    def running(self) -> list[str]:
        """Command lines of every process that has to do with the data folder."""
        return [
            " ".join(process.info["cmdline"])
            for process in psutil.process_iter(["cmdline", "pid"])
            if process.info["pid"] != os.getpid() and belongs(process, str(self.home))
        ]


def belongs(process: psutil.Process, home: str) -> bool:
    try:
        return home in " ".join(process.cmdline()) or process.environ().get("OMS_DATA_DIR") == home
    except psutil.Error:
        return False


@pytest.fixture(scope="module")
def system(jars: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    home = tmp_path_factory.mktemp("up")
    (home / "jars").symlink_to(jars)
    system = System(home)
    yield system
    system.oms("down")


@pytest.mark.timeout(600)
def test_the_whole_system_from_up_to_down(system: System) -> None:
    said = system.up("--no-market", "--workers", "2")
    found = system.until_ready()
    for shown in ("curl -s", "submit --via kafka", "watch events", found["demo_key"]):
        assert shown in said
    names = [process["name"] for process in found["processes"]]
    assert sorted(names[:3]) == ["kafka", "postgres", "redis"]
    assert names[3] == "registry"
    assert sorted(names[4:8]) == ["cache", "storage", "worker-1", "worker-2"]
    assert names[8:] == ["gateway"]
    assert all(endpoint["problem"] == "" for endpoint in found["endpoints"].values())
    postgres = found["endpoints"]["postgres"]["url"]
    password = urlsplit(postgres).password
    assert password
    for text in (said, system.oms("status").stdout):
        assert "oms:***@" in text
        assert password not in text
    workers = [entry for entry in found["processes"] if entry["name"].startswith("worker-")]
    assert [entry["recovery"]["seconds_left"] for entry in workers] == [0, 0]

    second = system.oms("up")
    assert second.returncode == 1
    assert "already up" in second.stderr

    worker = system.pid("worker-1")
    os.kill(worker, signal.SIGKILL)
    system.until(lambda found: system.pid("worker-1") != worker)
    assert post(system, "quotes", QUOTE, "admin_key").is_success
    placed = post(system, "orders?wait=accepted&timeout_ms=20000", ORDER)
    assert placed.json()["status"] == "new", placed.text

    os.kill(system.status()["supervisor"], signal.SIGKILL)
    end = time.monotonic() + 20
    while left := system.running():
        assert time.monotonic() < end, left
        time.sleep(0.2)
    assert not system.status()["up"]

    system.up("--no-market")
    again = system.until_ready()
    assert again["endpoints"] == found["endpoints"]
    assert again["demo_key"] == found["demo_key"]
    other = post(system, "orders?wait=accepted&timeout_ms=20000", {**ORDER, "quantity": "2"})
    assert other.json()["code"] == "ACCOUNTS_DUPLICATE_ORDER", other.text

    down = system.oms("down", "--json")
    assert json.loads(down.stdout) == {"ended": ["supervisor"]}
    assert system.running() == []


def post(system: System, path: str, body: dict[str, str], key: str = "demo_key") -> httpx.Response:
    found = system.until_ready()
    url = f"{found['endpoints']['gateway']['url']}/api/v1/{path}"
    return httpx.post(url, headers={"X-API-Key": found[key]}, json=body, timeout=30)
