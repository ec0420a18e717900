"""The parts of the documents that are made from the code; `python -m tests.docs` writes them anew.

A made part stands between `<!-- made: NAME -->` and `<!-- made end -->`; what is round it is written by
hand. tests/test_tidy.py compares every document with what the code says now.
"""

import re
from collections.abc import Callable
from pathlib import Path

from app.settings import ROOT
from tests.docs import diagrams, tables
from tests.match import documents as matching

PARTS: dict[str, Callable[[], str]] = {
    "commands": tables.commands,
    "dead-letters": tables.dead_letters,
    "fix-scenarios": matching.scenarios,
    "match-example": matching.example,
    "metrics": tables.metrics,
    "pipeline": diagrams.pipeline,
    "life": diagrams.life,
    "sinks": diagrams.sinks,
    "problems": tables.problems,
    "reasons": tables.reasons,
    "records": tables.records,
    "routes": tables.routes,
    "bodies": tables.bodies,
    "rows": tables.rows,
    "settings": tables.settings,
    "statuses": matching.statuses,
    "stream-requests": tables.stream_requests,
    "topics": tables.topics,
    "tree": diagrams.tree,
}
_PART = re.compile(r"(<!-- made: (?P<name>[a-z-]+) -->\n).*?(<!-- made end -->)", re.DOTALL)


def documents() -> list[Path]:
    """Every document of the project."""
    return [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]


def made(text: str) -> str:
    """The document with its made parts as the code says now. Raises KeyError for a part that nobody makes."""
    return _PART.sub(lambda part: f"{part[1]}{PARTS[part['name']]()}\n{part[3]}", text)


def parts_of(text: str) -> list[str]:
    """Names of the made parts of a document."""
    return [part["name"] for part in _PART.finditer(text)]
