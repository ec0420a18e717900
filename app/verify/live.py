"""A live verification on a terminal, as lines, or as one JSON object a line."""

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

from rich.console import Console
from rich.live import Live
from rich.table import Table

from app.verify.check import Progress
from app.verify.findings import RULES, Violation
from app.verify.follow import OnStatus, OnViolation, Status
from app.verify.records import Place, Seen
from app.verify.report import GREEN, RED, show_violation, violation_as_dict

_LINE_S = 10.0
_PER_S = 4


class Telling(NamedTuple):
    """Where a live verification tells how it goes."""

    progress: Progress
    on_status: OnStatus
    on_violation: OnViolation


@contextmanager
def on_terminal(console: Console) -> Iterator[Telling]:
    """A table that stands still, violations above it."""
    with Live(console=console, refresh_per_second=_PER_S, transient=True) as live:

        def progress(stage: str, done: int, total: int) -> None:
            if stage != "following":
                live.update(f"{stage}: {done:,} of {total:,} records")

        yield Telling(
            progress,
            lambda status: live.update(_drawn(status)),
            lambda violation, records: show_violation(violation_as_dict(violation, records), console),
        )


@contextmanager
def as_lines(console: Console) -> Iterator[Telling]:
    """A line every ten seconds and at each change of the verdict, violations as they come."""
    yield Telling(
        lambda stage, done, total: None,
        _paced(lambda status: console.print(_line(status), highlight=False, markup=False)),
        lambda violation, records: show_violation(violation_as_dict(violation, records), console),
    )


@contextmanager
def as_json(write: Callable[[str], None]) -> Iterator[Telling]:
    """Objects with `type` status or violation."""

    def violation(found: Violation, records: Mapping[Place, Seen]) -> None:
        write(json.dumps({"type": "violation", "at": _now(), **violation_as_dict(found, records)}))

    def status(now: Status) -> None:
        write(json.dumps({"type": "status", "at": _now(), "verdict": _verdict(now), **_figures(now)}))

    yield Telling(lambda stage, done, total: None, _paced(status), violation)


def _paced(say: OnStatus) -> OnStatus:
    """Says a status every ten seconds, and whenever verdict or trouble differ from the last."""
    said_s, last = 0.0, ("", "")

    def status(now: Status) -> None:
        nonlocal said_s, last
        this = (_verdict(now), now.trouble)
        if this != last or time.monotonic() - said_s >= _LINE_S:
            said_s, last = time.monotonic(), this
            say(now)

    return status


def _verdict(status: Status) -> str:
    return RED if status.violations else GREEN


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _figures(status: Status) -> dict[str, Any]:
    complete_s = status.complete_s
    return {
        "records": status.records,
        "records_per_second": round(status.per_second),
        "orders": status.orders,
        "live_orders": status.live_orders,
        "trades": status.trades,
        "behind": status.behind,
        "complete_seconds_ago": None if complete_s is None else round(complete_s, 1),
        "violations": dict(status.violations),
        "trouble": status.trouble,
    }


def _words(status: Status) -> Iterator[tuple[str, str]]:
    yield "records", f"{status.records:,}, {status.per_second:,.0f}/s"
    yield "orders", f"{status.orders:,}, of which {status.live_orders:,} live"
    yield "trades", f"{status.trades:,}"
    yield "behind", f"{status.behind:,} offsets" if status.behind else "nothing"
    if status.complete_s is not None:
        yield "complete", f"as of {status.complete_s:.1f} s ago"
    if status.trouble:
        yield "trouble", status.trouble


def _line(status: Status) -> str:
    words = ", ".join(f"{name} {text}" for name, text in _words(status))
    broken = " ".join(f"{name}:{count}" for name, count in sorted(status.violations.items()))
    return f"{_now()} {_verdict(status)} {broken}{' ' if broken else ''}{words}"


def _drawn(status: Status) -> Table:
    verdict = _verdict(status)
    table = Table(title=f"oms verify --follow: [{'red' if verdict == RED else 'green'}]{verdict}[/]")
    table.add_column("")
    table.add_column("", overflow="fold")
    for name, text in _words(status):
        table.add_row(name, text)
    for name, count in sorted(status.violations.items()):
        table.add_row(f"[red]{name}[/]", f"[red]{count:,}[/] {RULES[name]}")
    table.caption = "Ctrl-C ends with the verdict"
    return table
