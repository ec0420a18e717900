"""Pictures in Mermaid and the tree of packages."""

import ast
from collections.abc import Iterator
from pathlib import Path

from app.cache import TOPICS as CACHED
from app.pipeline import STEPS
from app.settings import ROOT
from app.storage import TOPICS as STORED
from schemas.topics import TOPICS
from tables.orders import TERMINAL, TRANSITIONS

LAYERS = ("app", "agents", "tables", "schemas", "tests")


def node(topic: str) -> str:
    """Name of a topic's node: `reference_prices` of `reference-prices`."""
    return topic.replace("-", "_")


def pipeline() -> str:
    """Topics and agents; an arrow that points back to an earlier agent is dashed."""
    order = [step.name for step in STEPS]
    lines = ["flowchart LR"]
    used = dict.fromkeys(topic for step in STEPS for topic in (*step.hears, *step.says))
    lines += [f'    {node(topic)}[/"{TOPICS[topic].name()}"/]' for topic in used]
    lines += [f"    {name}_agent([{name}])" for name in order]
    for before, step in zip((None, *STEPS), STEPS, strict=False):
        for topic in step.hears:
            later = any(topic in other.says for other in STEPS[order.index(step.name) + 1 :])
            lines.append(f"    {node(topic)} {'-.->' if later else '-->'} {step.name}_agent")
        if not step.hears and before is not None:
            lines.append(f"    {before.name}_agent == in the same cycle ==> {step.name}_agent")
        lines += [f"    {step.name}_agent --> {node(topic)}" for topic in step.says]
    return _mermaid(lines)


def sinks() -> str:
    """Which topics the two sinks read, and where the gateway reads."""
    lines = ["flowchart LR", "    storage([storage]) --> postgres[(PostgreSQL)]"]
    lines.append("    cache([cache]) --> redis[(Redis)]")
    for topic in TOPICS:
        readers = [name for name, heard in (("storage", STORED), ("cache", CACHED)) if topic in heard]
        if readers:
            lines.append(f'    {node(topic)}[/"{TOPICS[topic].name()}"/] --> {" & ".join(readers)}')
    # app/gateway/link.py: for `?wait=` and for symbols.
    lines += ["    events & instruments --> gateway([gateway])", "    postgres & redis --> gateway"]
    return _mermaid(lines)


def life() -> str:
    """The life of an order."""
    lines = ["stateDiagram-v2", "    [*] --> pending_new"]
    for status, steps in TRANSITIONS.items():
        lines += [f"    {status} --> {following}: {step}" for step, following in steps.items()]
    lines += [f"    {status} --> [*]" for status in TRANSITIONS if status in TERMINAL]
    return _mermaid(lines)


def _mermaid(lines: list[str]) -> str:
    return "\n".join(["```mermaid", *lines, "```"])


def packages() -> Iterator[Path]:
    """Every package of the project: top level, and those below."""
    for layer in LAYERS:
        yield from sorted(path.parent for path in (ROOT / layer).rglob("__init__.py"))


def tree() -> str:
    """Every package with the first line of its docstring."""
    lines = ["```text"]
    for package in packages():
        where = package.relative_to(ROOT)
        name = "  " * (len(where.parts) - 1) + where.name + "/"
        lines.append(f"{name:<18} {_purpose(package)}".rstrip())
    return "\n".join([*lines, "```"])


def _purpose(package: Path) -> str:
    """First line of a package's docstring; empty without one."""
    text = (package / "__init__.py").read_text(encoding="utf-8")
    return (ast.get_docstring(ast.parse(text)) or "").split("\n")[0].replace("`", "")
