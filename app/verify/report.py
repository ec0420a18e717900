"""The outcome of a verification for people and for scripts."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from app.resources import shown
from app.verify.check import Outcome
from app.verify.findings import RULES, Findings, Violation
from app.verify.records import Place, Seen

GREEN, RED = "green", "red"


def verdict(findings: Findings) -> str:
    """`green` when no invariant was breached."""
    return RED if findings.violations else GREEN


def as_dict(outcome: Outcome) -> dict[str, Any]:
    """All of it, decimals as strings."""
    findings = outcome.findings
    ends: dict[str, list[int]] = {}
    for (short, _), end in sorted(outcome.snapshot.items()):
        ends.setdefault(short, []).append(end)
    return {
        "verdict": verdict(findings),
        "seconds": round(outcome.seconds, 1),
        "invariants": {
            name: {
                "rule": rule,
                "checked": findings.checked.get(name, 0),
                "violations": findings.violations.get(name, 0),
            }
            for name, rule in RULES.items()
            if name in findings.checked or name in findings.violations
        },
        "violations": [
            violation_as_dict(violation, outcome.records, outcome.histories) for violation in findings.shown
        ],
        "notes": findings.notes,
        "totals": outcome.totals,
        "snapshot": ends,
    }


def violation_as_dict(
    violation: Violation,
    records: Mapping[Place, Seen],
    histories: Mapping[str, list[Seen]] | None = None,
) -> dict[str, Any]:
    """A violation with the records that show it, and the events of its order."""
    history = (histories or {}).get(violation.order_id, [])
    return {
        "invariant": violation.invariant,
        "text": violation.text,
        "order_id": violation.order_id,
        "records": [_found(place, records) for place in violation.places],
        "history": [_record(seen) for seen in history],
    }


def _found(place: Place, records: Mapping[Place, Seen]) -> dict[str, Any]:
    seen = records.get(place)
    return dict(zip(_PLACE, place, strict=True)) if seen is None else _record(seen)


_PLACE = ("topic", "partition", "offset")


def _record(seen: Seen) -> dict[str, Any]:
    """A record with its place, its message as JSON has it."""
    place = dict(zip(_PLACE, seen.place, strict=True))
    if seen.error:
        return {**place, "error": seen.error, "bytes": (seen.value or b"")[:64].hex()}
    if not seen.kind:
        return {**place, "kind": "", "message": None}
    message = shown(seen.kind, seen.message)
    printable = {name: value.hex() if isinstance(value, bytes) else value for name, value in message.items()}
    return {**place, "kind": seen.kind, "message": printable}


def show(outcome: Outcome, console: Console) -> None:
    """Prints the table, the totals, and each violation with the records that show it."""
    result = as_dict(outcome)
    table = Table(title="oms verify")
    for column in ("", "invariant", "checked", "violations"):
        table.add_column(column, justify="right" if column in ("checked", "violations") else "left")
    for name, line in result["invariants"].items():
        color = "red" if line["violations"] else "green"
        count = f"[{color}]{line['violations']:,}[/]"
        table.add_row(name, line["rule"], f"{line['checked']:,}", count)
    console.print(table)
    for name, value in result["totals"].items():
        console.print(f"{name.replace('_', ' ')}: {_words(value)}", highlight=False)
    for violation in result["violations"]:
        show_violation(violation, console)
    for note in result["notes"]:
        console.print(f"[yellow]{escape(note)}[/]", highlight=False)
    color = "red" if result["verdict"] == RED else "green"
    console.print(f"[{color}]{result['verdict']}[/] after {result['seconds']} s", highlight=False)


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_words(number)}" for name, number in value.items())
    return f"{value:,}" if isinstance(value, int) else str(value)


def show_violation(violation: dict[str, Any], console: Console) -> None:
    """Prints a violation with its records, each on a line."""
    console.print(f"\n[red]{violation['invariant']}[/] {escape(violation['text'])}", highlight=False)
    for record in violation["records"]:
        console.print(f"   {_line(record)}", highlight=False, markup=False)
    places = [(record["topic"], record["partition"], record["offset"]) for record in violation["records"]]
    for record in violation["history"]:
        if (record["topic"], record["partition"], record["offset"]) not in places:
            console.print(f"   history: {_line(record)}", highlight=False, markup=False)


# What says nothing is left out of a line.
_NOTHING = (None, "", "0", 0, "NONE", "unknown")


def _line(record: dict[str, Any]) -> str:
    place = f"{record['topic']}-{record['partition']}@{record['offset']}"
    if "error" in record:
        return f"{place} {record['error']} bytes={record['bytes']}"
    if "message" not in record:
        return place
    message = record["message"]
    if message is None:
        return f"{place} no value"
    words = [f"{name}={value}" for name, value in message.items() if value not in _NOTHING]
    return f"{place} {record['kind']} {' '.join(words)}"
