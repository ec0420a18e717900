"""A day in which nothing goes wrong is green, whatever the order in which it is read."""

import ast
from pathlib import Path

from app import verify
from tests.verify.history import History

OURS = ("app", "agents", "tables", "schemas", "tests")


def test_a_day_in_which_everything_happens_is_green():
    findings = History().verify()
    assert findings.shown == []
    assert findings.notes == []


def test_every_invariant_was_checked():
    assert set(History().verify().checked) == {f"I{n}" for n in range(1, 11)}


def test_partitions_may_be_read_in_any_order():
    history = History()
    history.records.sort(
        key=lambda seen: (seen.short not in ("instruments", "control"), seen.short, seen.partition)
    )
    assert history.verify().shown == []


def test_nothing_is_shared_with_the_engine_but_schemas_and_settings():
    """The naive book of docs/matching.md was written apart from the engine, for this."""
    allowed = ("app.verify", "app.naive", "app.settings", "app.resources", "schemas")
    folder = Path(verify.__file__).parent
    for file in folder.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] in OURS:
                assert str(node.module).startswith(allowed), f"{file.name} imports {node.module}"
