"""The repository in order: layers, documents that say what the code says, short functions, no leftovers."""

import ast
import gc
import importlib.metadata
import json
import re
import statistics
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from itertools import chain
from pathlib import Path
from typing import NamedTuple, get_args

import pytest

from app.pipeline import INPUTS, OUTSIDE, STEPS
from app.settings import ROOT, Settings
from schemas.reasons import EXPLANATIONS, Reason
from schemas.topics import ROWS_OF_TABLE, TOPICS, changelog_name
from tables.orders import TRANSITIONS
from tests.docs import PARTS, diagrams, documents, made, parts_of, tables

LAYERS = ("app", "agents", "tables", "schemas")
AGAIN = "run `.venv/bin/python -m tests.docs` and look at what changed"
LINES_MAX = 60
MEDIAN_MAX = 10
AGENT_LINES_MAX = 60


@cache
def modules(*tops: str) -> dict[Path, ast.Module]:
    """Every module of packages, parsed.

    Nothing is collected meanwhile: garbage of former tests may have Python log a traceback, for which 3.11
    parses, too, and one parse within another is a SystemError there (gh-106905).
    """
    paths = [path for top in tops for path in sorted((ROOT / top).rglob("*.py"))]
    gc.disable()
    try:
        return {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}
    finally:
        gc.enable()


@cache
def tracked() -> dict[str, str]:
    """Every text file of the next commit, by its path: what git knows, and what it does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip(
            f"only git tells which files are the project's, and this is no clone: {listed.stderr.strip()}"
        )
    found = {}
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            found[name] = (ROOT / name).read_bytes().decode("utf-8", errors="replace")
    return found


def document(name: str) -> str:
    """Text of a document."""
    return (ROOT / name).read_text(encoding="utf-8")


# Layers.


def test_import_contracts_are_kept() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    outcome = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_imports_point_one_way_everywhere() -> None:
    """Also within functions and under TYPE_CHECKING, and nothing that is shipped imports a test."""
    for path, module in modules(*LAYERS).items():
        own = LAYERS.index(path.relative_to(ROOT).parts[0])
        forbidden = {*LAYERS[:own], "tests"}
        wrong = {name for name in _imported(module) if name.partition(".")[0] in forbidden}
        assert not wrong, f"{path.relative_to(ROOT)} imports {', '.join(sorted(wrong))}"


def _imported(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


# Documents.


@pytest.mark.parametrize("path", documents(), ids=lambda path: path.name)
def test_what_is_made_from_the_code_says_what_the_code_says(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert made(text) == text, f"{path.name} is behind the code: {AGAIN}"


def test_everything_that_can_be_made_is_in_a_document() -> None:
    used = {name for path in documents() for name in parts_of(path.read_text(encoding="utf-8"))}
    assert used == set(PARTS)


def test_every_setting_is_documented() -> None:
    text = document("docs/settings.md")
    missing = [name for name in Settings.model_fields if f"`OMS_{name.upper()}`" not in text]
    assert not missing, AGAIN


def test_every_setting_that_a_document_names_exists() -> None:
    # Read by the tests and by one command, and no setting of a process.
    others = {"JARS", "KEEP_HOME", "API_KEY"}
    known = {name.upper() for name in Settings.model_fields} | others
    for path in documents():
        named = set(re.findall(r"\bOMS_([A-Z0-9_]+[A-Z0-9])", path.read_text(encoding="utf-8")))
        assert named <= known, f"{path.name}: {named - known}"


def test_every_reason_is_documented_with_its_meaning() -> None:
    text = document("docs/reasons.md")
    for reason in get_args(Reason):
        assert f"| `{reason}` | {EXPLANATIONS[reason].meaning} |" in text, reason


def test_every_metric_is_documented() -> None:
    text = document("docs/metrics.md")
    assert len(tables.declared()) > 20
    for metric in tables.declared():
        assert f"| `{metric.name}` |" in text, metric.name


def test_metrics_are_found_wherever_they_are_declared() -> None:
    """What the libraries know after an import of the metrics' modules is what was read from the sources."""
    from prometheus_client import REGISTRY

    import app.cache.metrics
    import app.gateway.metrics
    import app.lanes.metrics
    import app.market.metrics
    import app.storage.metrics  # noqa: F401

    known = {family.name for family in REGISTRY.collect() if family.name.startswith("oms_")}
    read = {metric.name.removesuffix("_total") for metric in tables.declared()}
    assert {name.removesuffix("_total") for name in known} <= read


def test_every_metric_that_a_document_names_exists() -> None:
    known = {metric.name for metric in tables.declared()}
    for path in documents():
        named = set(re.findall(r"`(oms_[a-z0-9_]+)", path.read_text(encoding="utf-8")))
        assert named <= known, f"{path.name}: {named - known}"


def test_every_topic_and_changelog_is_documented() -> None:
    names = [topic.name() for topic in TOPICS.values()]
    names += [changelog_name("oms", table) for table in ROWS_OF_TABLE]
    for name in names:
        assert f"| `{name}` |" in document("docs/kafka.md"), name
        assert f"| `{name}` |" in document("ARCHITECTURE.md"), name


def test_every_topic_that_a_document_names_exists() -> None:
    known = {topic.name() for topic in TOPICS.values()}
    for path in documents():
        named = set(re.findall(r"oms\.[a-z-]+\.v\d+", path.read_text(encoding="utf-8")))
        assert named <= known, f"{path.name}: {named - known}"


def test_every_field_of_every_record_is_documented() -> None:
    text = document("docs/kafka.md")
    for topic in TOPICS.values():
        for record in topic.records:
            section = text.partition(f"#### {record.__name__}\n")[2].partition("\n#")[0]
            missing = [field for field in record.__annotations__ if f"| `{field}` |" not in section]
            assert not missing, f"{record.__name__}: {missing}; {AGAIN}"


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads(document("pyproject.toml"))["project"]
    section = document("ARCHITECTURE.md").partition("## Dependencies\n")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| ")]
    told = {name.strip() for cell in cells[1:] for name in cell.split(",")}
    wanted = [*project["dependencies"], *chain.from_iterable(project["optional-dependencies"].values())]
    assert {re.split(r"[\[=;<> ]", line)[0] for line in wanted} == told - {"---"}


def test_every_make_target_is_in_the_readme() -> None:
    makefile = document("Makefile")
    (declared,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    for target in declared.split():
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), f"{target} is no target"
        assert f"`make {target}`" in document("README.md"), target


def test_an_order_becomes_a_trade_within_the_first_forty_lines_of_the_readme() -> None:
    head = "\n".join(document("README.md").splitlines()[:40])
    for words in ("make run", "make test", "/api/v1/orders", "event=accepted", "event=trade", "trade_id="):
        assert words in head, words
    assert "![" not in head


_LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(#[^)\s]*)?\)")


def test_links_between_documents_lead_somewhere() -> None:
    for path in documents():
        for file, anchor in _LINK.findall(path.read_text(encoding="utf-8")):
            target = (path.parent / file).resolve() if file else path
            assert target.exists(), f"{path.name} links to {file}"
            if anchor:
                assert anchor[1:] in _anchors(target), f"{path.name} links to {file}{anchor}"


def _anchors(path: Path) -> set[str]:
    """Anchors of a document's headings, as GitHub makes them."""
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def _blocks(language: str) -> list[tuple[str, str]]:
    fence = re.compile(rf"^```{language}\n(.*?)^```", re.DOTALL | re.MULTILINE)
    return [(path.name, code) for path in documents() for code in fence.findall(path.read_text("utf-8"))]


def test_examples_in_python_and_json_can_be_read() -> None:
    assert len(_blocks("python")) >= 4
    for name, code in _blocks("python"):
        compile(code, name, "exec")
    for _, code in _blocks("json"):
        json.loads(code.replace("{…}", "{}").replace(", …", ""))


def test_the_worked_checksum_of_a_book_is_right() -> None:
    (code,) = [code for _, code in _blocks("python") if "crc32" in code]
    exec(compile(code, "docs/kafka.md", "exec"), {})


def test_every_command_that_a_document_names_exists() -> None:
    import typer

    from app.cli import cli

    commands = set(getattr(typer.main.get_command(cli), "commands", {}))
    for path in documents():
        named = set(re.findall(r"(?:`|\n +|bin/|\$ )oms ([a-z][a-z-]+)", path.read_text(encoding="utf-8")))
        assert named <= commands, f"{path.name}: {named - commands}"


# Pictures.


class Arrow(NamedTuple):
    """An arrow of a Mermaid flowchart."""

    source: str
    style: str
    target: str


def made_part(name: str) -> str:
    """A made part of ARCHITECTURE.md."""
    after = document("ARCHITECTURE.md").partition(f"<!-- made: {name} -->")[2]
    return after.partition("<!-- made end -->")[0]


def picture(name: str) -> list[Arrow]:
    """Arrows of a made picture of ARCHITECTURE.md."""
    text = made_part(name)
    arrow = re.compile(r"^    (\w+) (-->|-\.->|==.*==>) (\w+)$", re.MULTILINE)
    return [Arrow(*found) for found in arrow.findall(text)]


def test_the_picture_of_the_pipeline_is_the_pipeline() -> None:
    hears = {(diagrams.node(topic), f"{step.name}_agent") for step in STEPS for topic in step.hears}
    says = {(f"{step.name}_agent", diagrams.node(topic)) for step in STEPS for topic in step.says}
    passes = {("risk_agent", "matching_agent")}
    arrows = picture("pipeline")
    assert {(arrow.source, arrow.target) for arrow in arrows} == hears | says | passes
    assert len(arrows) == len(hears | says | passes)


def test_one_arrow_points_back_and_is_dashed() -> None:
    assert [arrow for arrow in picture("pipeline") if arrow.style == "-.->"] == [
        Arrow("executions", "-.->", "accounts_agent")
    ]


def test_lanes_take_what_the_steps_hear() -> None:
    heard = {topic for step in STEPS for topic in step.hears}
    assert set(INPUTS) == heard
    said = {topic for step in STEPS for topic in step.says}
    assert set(OUTSIDE) == heard - said


def test_the_picture_of_an_orders_life_is_its_table() -> None:
    text = made_part("life")
    drawn = set(re.findall(r"^    (\w+) --> (\w+): (\w+)$", text, re.MULTILINE))
    table = {(before, after, step) for before, steps in TRANSITIONS.items() for step, after in steps.items()}
    assert drawn == table


def test_the_tree_is_what_is_on_disk() -> None:
    text = made_part("tree")
    drawn: list[Path] = []
    parents: list[str] = []
    for indent, name in re.findall(r"^( *)(\w+)/", text, re.MULTILINE):
        parents[len(indent) // 2 :] = [name]
        drawn.append(ROOT.joinpath(*parents))
    assert drawn == list(diagrams.packages()), AGAIN
    assert {path.name for path in drawn if path.parent == ROOT} == {*LAYERS, "tests"}


# Code.


class Function(NamedTuple):
    """A function and how many lines it has, docstring not counted."""

    lines: int
    where: str


def functions() -> list[Function]:
    """Every function of the four layers, the longest first."""
    found = [
        Function(_lines(node), f"{path.relative_to(ROOT)}:{node.lineno} {node.name}")
        for path, module in modules(*LAYERS).items()
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return sorted(found, reverse=True)


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = node.body[0]
    documented = ast.get_docstring(node, clean=False) is not None
    docstring = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
    return (node.end_lineno or 0) - node.lineno + 1 - docstring


def test_functions_are_short() -> None:
    found = functions()
    long = [function for function in found if function.lines > LINES_MAX]
    assert not long, "\n".join(f"{function.lines} lines: {function.where}" for function in long)
    assert statistics.median(function.lines for function in found) < MEDIAN_MAX


def test_every_module_says_what_it_is() -> None:
    missing = [
        str(path.relative_to(ROOT))
        for path, module in modules(*LAYERS, "tests").items()
        if module.body and not ast.get_docstring(module)
    ]
    assert not missing


def test_every_public_name_says_what_it_is() -> None:
    """Classes and functions of the four layers whose names have no underscore."""
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    missing = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path, module in modules(*LAYERS).items()
        for node in module.body
        if isinstance(node, kinds) and not node.name.startswith("_") and not ast.get_docstring(node)
    ]
    assert not missing


def test_an_agent_fits_on_a_screen_and_decides_nothing() -> None:
    agents = {step.agent.__module__.rpartition(".")[2] for step in STEPS}
    for path, module in modules("agents").items():
        assert len(path.read_text(encoding="utf-8").splitlines()) < AGENT_LINES_MAX, path.name
        if path.stem in agents:
            (agent,) = [node for node in module.body if isinstance(node, ast.AsyncFunctionDef)]
            assert agent.name == path.stem


# What must not stay. Written in parts, or this file would be found by its own search.
_LEFTOVERS = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")
_PLACES = re.compile(r"(?<![\w.$~}/-])/(?:work|root|ho" + r"me/\w+|Us" + r"ers/\w+|tmp)/\w")
# Texts of others, unchanged, and the licence that they came with.
_OTHERS = ("tests/deploy/compose-spec/",)


def _own() -> dict[str, str]:
    return {name: text for name, text in tracked().items() if not name.startswith(_OTHERS)}


@pytest.mark.parametrize(("what", "pattern"), [("leftover", _LEFTOVERS), ("path", _PLACES)])
def test_nothing_is_left_that_belongs_to_a_workplace(what: str, pattern: re.Pattern[str]) -> None:
    found = [
        f"{name}:{number}: {line.strip()}"
        for name, text in _own().items()
        for number, line in enumerate(text.splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, f"{what}: " + "\n".join(found)


@pytest.mark.parametrize(
    "line", ["# TO" + "DO later", "x = '/ho" + "me/alice/data'", "/tm" + "p/x", "/wo" + "rk/main"]
)
def test_the_search_for_leftovers_finds_them(line: str) -> None:
    assert _LEFTOVERS.search(line) or _PLACES.search(line)


def test_no_folder_of_data_or_build_is_left_in_the_tree() -> None:
    """What a run makes lies in `var`, ignored; a stray folder would be committed one day."""
    wanted = {"app", "agents", "tables", "schemas", "tests", "docs", "deploy", ".ci"}
    assert {name.split("/")[0] for name in tracked() if "/" in name} <= wanted


def test_pinned_versions_are_those_installed() -> None:
    """Else the tests passed with something that a fresh clone does not get."""
    for line in tomllib.loads(document("pyproject.toml"))["project"]["dependencies"]:
        name, _, version = re.sub(r"\[.*\]", "", line).partition("==")
        assert version == importlib.metadata.version(name), line
