"""What `oms up` shows: a line per step with its time, progress while one runs, and at the end how to go on.

On a terminal a spinner names what is waited for; elsewhere only whole lines are printed.
"""

import os
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.status import Status
from rich.table import Table

from app.local.doctor import Finding
from app.local.postgres import without_password

_JAR = re.compile(r"^(?P<number>\d+) (?P<name>\S+) (?P<size>[\d.]+) MB$")
# Descriptors and jars that jgo loads for Kafka's dependencies.
_FILES = 261
_PLAIN_EVERY_S = 3.0


class Screen:
    """Lines to the terminal, or to a log when there is none."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._running: list[str] = []
        self._status: Status | None = None
        self._last_progress = 0.0

    def say(self, text: str) -> None:
        """Prints a line as it is."""
        self._console.print(text, markup=False, soft_wrap=True)

    def progress(self, line: str) -> None:
        """Shows how far a download is, from a line of app.local.jars."""
        match = _JAR.match(line)
        if not match:
            self.say(line)
            return
        text = f"Kafka's jars: {match['number']} of {_FILES} files, {match['name']}"
        if self._console.is_terminal:
            self._show(text)
        elif time.monotonic() - self._last_progress > _PLAIN_EVERY_S:
            self._last_progress = time.monotonic()
            self.say(text)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Shows that something is being waited for."""
        self._running.append(name)
        self._show_running()
        try:
            yield
        finally:
            self._running.remove(name)
            self._show_running()

    def done(self, name: str, what: str, took_s: float) -> None:
        """Prints what is ready, where, and how long it took."""
        self.say(f"  {name:<30} {took_s:5.1f} s  {what}")

    def ready(self, state: dict[str, Any], took_s: float) -> None:
        """Prints addresses, keys and what to try."""
        self._end_status()
        self.say("")
        for name, value in addresses(state).items():
            self.say(f"  {name:<20} {value}")
        self.say(f"\nReady in {took_s:.1f} s. Try:\n")
        for title, command in commands(state):
            self.say(f"  # {title}\n  {command}\n")
        self.say(
            f"`{oms()} status` shows processes and lag (with --json also the passwords left out above); "
            f"`{oms()} down` or Ctrl-C ends all."
        )

    def life(self, lines: list[str]) -> None:
        """Prints what happened to one order."""
        if lines:
            self.say("\nAn order becomes a trade:\n")
        for line in lines:
            self.say(f"  {line}")

    def _show_running(self) -> None:
        if self._running:
            self._show("waiting for " + ", ".join(self._running))
        else:
            self._end_status()

    def _show(self, text: str) -> None:
        if not self._console.is_terminal:
            return
        if self._status is None:
            self._status = self._console.status(text)
            self._status.start()
        self._status.update(text)

    def _end_status(self) -> None:
        if self._status:
            self._status.stop()
            self._status = None


def addresses(state: dict[str, Any]) -> dict[str, str]:
    """Addresses and keys by the names that users have for them; passwords are in `oms status --json`."""
    endpoints = state["endpoints"]
    gateway = endpoints.get("gateway", "")
    return {
        "REST and WebSocket": f"{gateway}/api/v1",
        "API reference": f"{gateway}/docs",
        "schema registry": endpoints.get("registry", ""),
        "Kafka": endpoints.get("kafka", ""),
        "PostgreSQL": without_password(endpoints.get("postgres", "")),
        "Redis": without_password(endpoints.get("redis", "")),
        "demo API key": state["demo_key"],
        "admin API key": state["admin_key"],
    }


def _table(*columns: str) -> Table:
    """A table that never cuts off what someone may want to copy."""
    table = Table(pad_edge=False, box=SIMPLE)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def commands(state: dict[str, Any]) -> list[tuple[str, str]]:
    """Three commands to copy: an order by REST, one by a Kafka producer, and what happens to them."""
    url = f"{state['endpoints'].get('gateway', '')}/api/v1/orders?wait=terminal"
    order = (
        '{"account": "DEMO-1", "client_order_id": "\'$RANDOM\'", "symbol": "AAPL", '
        '"side": "buy", "order_type": "market", "quantity": "10"}'
    )
    headers = f"-H 'X-API-Key: {state['demo_key']}' -H 'Content-Type: application/json'"
    curl = f"curl -s {headers} '{url}' -d '{order}'"
    return [
        ("an order by REST, answered when it is filled", curl),
        (
            "an order by a Kafka producer",
            f"{oms()} submit --via kafka --account DEMO-2 --symbol AAPL --side sell --quantity 10",
        ),
        ("what happens to orders, live", f"{oms()} watch events"),
    ]


def oms() -> str:
    """How to call `oms` from here: by its name where that finds this one, else by its path."""
    ours = Path(sys.executable).with_name("oms")
    found = shutil.which("oms")
    if found and Path(found).samefile(ours):
        return "oms"
    return os.path.relpath(ours) if ours.is_relative_to(Path.cwd()) else str(ours)


def show_status(found: dict[str, Any]) -> None:
    """Prints what app.local.status found."""
    console = Console(highlight=False)
    state = "ready" if found["ready"] else "up, not ready" if found["up"] else "down: start it with `oms up`"
    console.print(f"{state} ({found['data_dir']})", markup=False)
    table = _table("endpoint", "address", "state")
    for name, endpoint in found["endpoints"].items():
        table.add_row(name, without_password(endpoint["url"]), endpoint["problem"] or "ok")
    console.print(table)
    if found["up"]:
        keys = f"demo API key {found['demo_key']}, admin API key {found['admin_key']}"
        console.print(keys, markup=False, soft_wrap=True)
    if found["processes"]:
        console.print(_processes(found["processes"]))
    if found["leftovers"]:
        console.print(f"left by a killed run: {', '.join(found['leftovers'])}; `oms down` ends them")
    if found["lag"]:
        console.print(_lag(found["lag"]), markup=False)


def _processes(processes: list[dict[str, Any]]) -> Table:
    table = _table("process", "pid", "up", "restarts", "state", "log")
    for process in processes:
        table.add_row(
            process["name"],
            str(process["pid"]),
            f"{process['up_s']:.0f} s",
            str(process["restarts"]),
            process["problem"] or _ready(process),
            process["log"],
        )
    return table


def _ready(process: dict[str, Any]) -> str:
    """`ready`, and what the worker had to read for it; while it reads, its `problem` says how far it is."""
    rows = process.get("recovery", {}).get("rows", 0)
    return f"ready, recovered {rows} rows" if rows else "ready"


def _lag(lag: dict[str, Any]) -> str:
    if "problem" in lag:
        return f"lag unknown: {lag['problem']}"
    behind = ", ".join(f"{topic} {count}" for topic, count in lag["topics"].items() if count)
    return f"group {lag['group']} is {lag['total']} offsets behind{': ' if behind else ''}{behind}"


def show_findings(findings: list[Finding]) -> None:
    """Prints what app.local.doctor found."""
    table = _table("", "check", "found", "mend")
    for finding in findings:
        table.add_row(finding.verdict, finding.check, finding.found, finding.mend)
    Console(highlight=False).print(table)
