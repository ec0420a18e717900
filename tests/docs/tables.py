"""Tables of settings, reasons, metrics, topics, records, routes, problems and commands."""

import ast
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import typer
from pydantic.fields import FieldInfo

from app.cli import cli
from app.gateway import server
from app.gateway.entry import StreamRequest
from app.gateway.problems import KINDS
from app.settings import ROOT, Settings
from schemas.codec import schema
from schemas.numbers import format_e8
from schemas.reasons import EXPLANATIONS
from schemas.topics import CHANGELOG_CONFIG, ROWS_OF_TABLE, TOPICS, changelog_name, subject
from schemas.wire import default

Json = Any
_DAY_MS = 86_400_000


def table(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    rows = [columns, ["---"] * len(columns), *lines]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


# Settings.


def settings() -> str:
    """Every setting with its environment variable."""
    fields = Settings.model_fields.items()
    lines = [
        (f"`OMS_{name.upper()}`", _default(field), _bounds(field), field.description or "")
        for name, field in fields
    ]
    return table(("variable", "default", "range", "meaning"), lines)


def _default(field: FieldInfo) -> str:
    if isinstance(field.default, Path):
        return f"`{field.default.relative_to(ROOT)}` in the project"
    return f"`{field.default}`" if field.default != "" else ""


def _bounds(field: FieldInfo) -> str:
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    found = [
        f"{sign} {getattr(limit, name)}"
        for limit in field.metadata
        for name, sign in signs.items()
        if hasattr(limit, name)
    ]
    return ", ".join(found)


# Reasons.


def reasons() -> str:
    """Every reason but those of dead letters."""
    return _reasons(lambda reason: not reason.startswith(("DECODE_", "LANE_")))


def dead_letters() -> str:
    """Reasons of dead letters."""
    return _reasons(lambda reason: reason.startswith(("DECODE_", "LANE_")))


def _reasons(wanted: Any) -> str:
    lines = [
        (f"`{reason}`", explanation.meaning, explanation.remedy)
        for reason, explanation in EXPLANATIONS.items()
        if wanted(reason)
    ]
    return table(("reason", "meaning", "what to do"), lines)


# Metrics.


class Metric(NamedTuple):
    """A metric as it is declared in the code; a counter's name with its `_total`."""

    process: str
    name: str
    kind: str
    labels: tuple[str, ...]
    help: str


PROCESS_OF_PACKAGE = {"lanes": "worker"}
_KINDS = ("Counter", "Gauge", "Histogram", "Summary")


def declared() -> list[Metric]:
    """Every metric that is declared anywhere in `app`."""
    return [metric for path in sorted((ROOT / "app").rglob("*.py")) for metric in _declared_in(path)]


def _declared_in(path: Path) -> Iterator[Metric]:
    package = path.parent.name if path.parent.name != "app" else path.stem
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _KINDS:
            yield from _metric(PROCESS_OF_PACKAGE.get(package, package), node.func.id.lower(), node.args)


def _metric(process: str, kind: str, arguments: list[ast.expr]) -> Iterator[Metric]:
    """The metric of a call such as `Counter("oms_x_total", "What it counts.", ["label"])`."""
    if len(arguments) < 2 or not all(isinstance(word, ast.Constant) for word in arguments[:2]):
        # collections.Counter, for one.
        return
    name, text, *rest = (ast.literal_eval(word) for word in arguments[:3])
    if kind == "counter" and not name.endswith("_total"):
        name += "_total"
    yield Metric(process, name, kind, tuple(rest[0]) if rest else (), text)


def metrics() -> str:
    """Every metric with its process."""
    lines = [(f"`{m.name}`", m.process, m.kind, ", ".join(m.labels), m.help) for m in declared()]
    return table(("metric", "process", "kind", "labels", "meaning"), lines)


# Topics and records.


def topics() -> str:
    """Every topic: its key, its records, how long it keeps them."""
    lines: list[tuple[str, ...]] = [
        (
            f"`{topic.name()}`",
            topic.key if topic.key != "lane" else "the writer's lane",
            ", ".join(record.__name__ for record in topic.records),
            _kept(topic.config),
            topic.doc,
        )
        for topic in TOPICS.values()
    ]
    for name, classes in ROWS_OF_TABLE.items():
        records = ", ".join(row.__name__ for row in classes)
        doc = f"Rows of the table {name}, for its recovery only."
        lines.append(
            (f"`{changelog_name('oms', name)}`", "as the state", records, _kept(CHANGELOG_CONFIG), doc)
        )
    return table(("topic", "lane of", "records", "kept", "carries"), lines)


def _kept(config: Mapping[str, str]) -> str:
    if config["cleanup.policy"] == "compact":
        return "last per key"
    retention_ms = int(config["retention.ms"])
    return "for ever" if retention_ms < 0 else f"{retention_ms / _DAY_MS:g} d"


def records() -> str:
    """Fields of every record, topic by topic."""
    parts = []
    for topic in TOPICS.values():
        parts.append(f"### `{topic.name()}`\n\n{topic.doc}")
        parts += [_record(topic.name(), record.__name__) for record in topic.records]
    return "\n\n".join(parts)


def rows() -> str:
    """Rows of the changelogs and what they are."""
    lines = [
        (f"`{changelog_name('oms', name)}`", row.__name__, schema(row.__name__)["doc"])
        for name, classes in ROWS_OF_TABLE.items()
        for row in classes
    ]
    return table(("changelog", "row", "is"), lines)


def _record(topic: str, record: str) -> str:
    described = schema(record)
    lines = []
    for field in described["fields"]:
        lines.append((f"`{field['name']}`", _type(field["type"]), _absent(field), _field_doc(field)))
        if record in ("NewOrder", "ReplaceOrder") and field["name"] in ("instructions", "changes"):
            # Told once, where they are asked for.
            lines += [
                (f"`{field['name']}.{part['name']}`", _type(part["type"]), _absent(part), _field_doc(part))
                for part in field["type"][1]["fields"]
            ]
    shown = table(("field", "type", "default", "meaning"), lines)
    named = f"Subject `{subject(topic, record)}`."
    return f"#### {record}\n\n{described['doc']} {named}\n\n{shown}"


def _type(kind: Json) -> str:
    if isinstance(kind, list):
        return " or ".join(_type(branch) for branch in kind)
    if isinstance(kind, str):
        return kind
    if kind.get("logicalType") == "decimal":
        return "decimal"
    if kind["type"] == "array":
        return f"array of {_type(kind['items'])}"
    if kind["type"] == "enum":
        # Reasons have a page of their own.
        many = len(kind["symbols"]) > 12
        return kind["name"] if many else f"{kind['name']}: {', '.join(kind['symbols'])}"
    return f"{kind['name']} ({', '.join(field['name'] for field in kind['fields'])})"


def _absent(field: Json) -> str:
    if "default" not in field:
        return "required"
    if _type(field["type"]) == "decimal":
        return format_e8(default(field))
    return _value(field["default"])


def _value(value: Json) -> str:
    """A default as readers write it."""
    return "empty" if value == "" else value if isinstance(value, str) else json.dumps(value)


def _field_doc(field: Json) -> str:
    also = field.get("aliases", ())
    return f"{field['doc']} Also: {', '.join(f'`{name}`' for name in also)}." if also else field["doc"]


# The gateway.


def _operations() -> Iterator[tuple[str, str, Json]]:
    spec = server.create(Settings()).openapi()
    for path, operations in spec["paths"].items():
        for method, operation in operations.items():
            yield method.upper(), path, operation


def routes() -> str:
    """Every route with its query parameters and answers."""
    lines = []
    for method, path, operation in _operations():
        asked = [f"`{p['name']}`" for p in operation.get("parameters", ()) if p["in"] == "query"]
        does = operation.get("description", "").split("\n")[0]
        done = [status for status in operation["responses"] if status.startswith("2")]
        lines.append((f"`{method} {path}`", does, ", ".join(asked), ", ".join(sorted(done))))
    return table(("route", "does", "query", "success"), lines)


def bodies() -> str:
    """Fields of every request body."""
    spec = server.create(Settings()).openapi()
    shapes = spec["components"]["schemas"]
    names = [name for name in shapes if name.endswith("Body") and name != "TickBody"]
    return "\n\n".join(_body(name, shapes[name]) for name in names)


def stream_requests() -> str:
    """Fields of every request over the stream."""
    spec = StreamRequest.model_json_schema(mode="validation", by_alias=False)
    shapes = {"StreamRequest": spec} | spec["$defs"]
    names = [name for name in shapes if not name.endswith("Body")]
    return "\n\n".join(_body(name, shapes[name]) for name in names)


def _body(name: str, shape: Json) -> str:
    required = shape.get("required", ())
    lines = [
        (
            f"`{field}`",
            _json_type(described),
            "required" if field in required else _json_default(described),
            described.get("description", ""),
        )
        for field, described in shape["properties"].items()
    ]
    shown = table(("field", "type", "default", "meaning"), lines)
    return f"**{name}**: {shape.get('description', '')}\n\n{shown}"


def _json_type(described: Json) -> str:
    if "enum" in described:
        return ", ".join(described["enum"])
    if "anyOf" in described:
        branches = [_json_type(branch) for branch in described["anyOf"] if branch.get("type") != "null"]
        return "decimal" if any(b.get("format") == "decimal" for b in described["anyOf"]) else branches[0]
    if described.get("type") == "array":
        return f"array of {_json_type(described['items'])}"
    if "$ref" in described:
        return str(described["$ref"].rpartition("/")[2])
    return str(described.get("type", "decimal"))


def _json_default(described: Json) -> str:
    value = described.get("default")
    if isinstance(value, int) and _json_type(described) == "decimal":
        return format_e8(value)
    return "" if value is None else _value(value)


def problems() -> str:
    """Every problem of the gateway's own."""
    lines = [(f"`{code}`", str(kind.status), kind.title, kind.next) for code, kind in KINDS.items()]
    return table(("code", "status", "means", "what to do"), lines)


# The command line.


def commands() -> str:
    """Every command with what it does."""
    return table(("command", "does"), list(_commands(typer.main.get_command(cli), "oms")))


def _commands(command: Any, name: str) -> Iterator[tuple[str, str]]:
    children: Mapping[str, Any] = getattr(command, "commands", {})
    if name != "oms" and (not children or command.invoke_without_command):
        yield f"`{name}`", command.get_short_help_str(200)
    for child, below in children.items():
        yield from _commands(below, f"{name} {child}")
