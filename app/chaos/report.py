"""What many runs found, as tables for a document."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from app.chaos.kills import differences
from app.chaos.plan import KINDS
from app.chaos.sometimes import KNOWN

BEGIN, END = "<!-- chaos: report -->", "<!-- chaos: end -->"
Report = dict[str, Any]


class ReportError(Exception):
    """A file that is no report, or no document for one; the text says which and what to do."""


def read(path: Path) -> Report:
    """A report that a run wrote. Raises ReportError."""
    try:
        found: Report = json.loads(path.read_text(encoding="utf-8"))
        _ = found["verdict"], found["options"]["seed"], found["faults_by_kind"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ReportError(f"{path} is no report of `oms chaos` ({error!r}): give files it wrote") from None
    return found


def tables(reports: Sequence[Report]) -> str:
    """A table of runs, one of what they met, one of faults by kind; one of runs with nothing but kills."""
    scheduled = [report for report in reports if not report.get("kills")]
    killed = [report for report in reports if report.get("kills")]
    parts = [_scheduled(scheduled)] if scheduled else []
    if killed:
        parts.append(_table(_KILLS_COLUMNS, (_kills(report) for report in killed)))
    return "\n\n".join(parts)


def _scheduled(reports: Sequence[Report]) -> str:
    ordered = sorted(reports, key=lambda report: (report["options"]["nodes"], report["options"]["seed"]))
    faults = Counter[str]()
    for report in ordered:
        faults.update(report["faults_by_kind"])
    about = {kind.name: kind.about for kind in KINDS}
    green = sum(report["verdict"] == "green" for report in ordered)
    return "\n\n".join(
        (
            f"{green} of {len(ordered)} runs green, {faults.total():,} faults.",
            _table(_RUN_COLUMNS, (_run(report) for report in ordered)),
            _table(
                ("met", "times", "in runs"),
                (
                    (name, f"{sum(counts):,}", str(sum(count > 0 for count in counts)))
                    for name in KNOWN
                    for counts in [[report["seen"].get(name, 0) for report in ordered]]
                ),
            ),
            _table(
                ("fault", "times", "what it is"),
                ((f"`{name}`", f"{faults[name]:,}", about[name]) for name in about),
            ),
        )
    )


_RUN_COLUMNS = (
    "seed",
    "brokers",
    "workers",
    "minutes of faults",
    "faults",
    "orders",
    "trades",
    "longest pause, s",
    "aborted transactions",
    "fenced producers",
    "verdict",
)


def _run(report: Report) -> tuple[str, ...]:
    options, totals = report["options"], report["verify"].get("totals", {})
    seen = report["seen"]
    return (
        str(options["seed"]),
        str(options["nodes"]),
        str(options["workers"]),
        f"{options['minutes']:g}",
        str(len(report["faults"])),
        f"{totals.get('orders', {}).get('all', 0):,}",
        f"{totals.get('trades', 0):,}",
        str(report["longest_pause_s"]),
        f"{seen.get('aborted transaction', 0):,}",
        f"{seen.get('fenced producer', 0):,}",
        report["verdict"],
    )


_KILLS_COLUMNS = (
    "kill -9 in one run",
    "seed",
    "workers",
    "orders",
    "trades",
    "orders undisturbed",
    "trades undisturbed",
    "the same totals",
    "verdict",
)


def _kills(report: Report) -> tuple[str, ...]:
    disturbed, undisturbed = report["verify"].get("totals", {}), report["undisturbed"]
    counts = [
        f"{count:,}"
        for totals in (disturbed, undisturbed)
        for count in (totals.get("orders", {}).get("all", 0), totals.get("trades", 0))
    ]
    same = "no" if differences(undisturbed, disturbed) else "yes"
    options = report["options"]
    head = (str(report["kills"]), str(options["seed"]), str(options["workers"]))
    return (*head, *counts, same, report["verdict"])


def _table(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [columns, ["---"] * len(columns), *lines]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def into_document(path: Path, text: str) -> None:
    """Replaces what stands between the marks of a document. Raises ReportError."""
    try:
        document = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ReportError(f"{path} cannot be read: {error.strerror}") from None
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ReportError(f"{path} has no place for the tables: put {BEGIN} and {END} into it")
    path.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")
