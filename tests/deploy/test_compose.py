"""docker-compose.yml against the Compose specification, and against the code that it starts."""

import json
import re
from collections.abc import Iterator
from copy import deepcopy
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from jsonschema import Draft7Validator  # type: ignore[import-untyped]

from app.cli import cli
from app.settings import ROOT, Settings

HERE = Path(__file__).parent
COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
EXAMPLE = (ROOT / "deploy" / "example.env").read_text(encoding="utf-8")
SCHEMA = json.loads((HERE / "compose-spec" / "compose-spec.json").read_text(encoding="utf-8"))

_VARIABLE = re.compile(r"\$\{(?P<name>\w+):(?P<kind>[?-])(?P<rest>[^}]*)\}")
_ONE_SHOT = "service_completed_successfully"
_HEALTHY = "service_healthy"

VALUES = dict(line.split("=", 1) for line in EXAMPLE.splitlines() if line and not line.startswith("#"))
FILE: dict[str, Any] = yaml.safe_load(_VARIABLE.sub(lambda found: VALUES[found["name"]], COMPOSE))
SERVICES: dict[str, Any] = FILE["services"]
OURS = {name: service for name, service in SERVICES.items() if service["image"].startswith("oms:")}


def _errors(document: dict[str, Any]) -> list[str]:
    return [error.message for error in Draft7Validator(SCHEMA).iter_errors(document)]


def test_the_file_is_what_the_compose_specification_allows() -> None:
    assert _errors(FILE) == []


@pytest.mark.parametrize(
    "change",
    [
        {"comand": ["worker"]},
        {"ports": "8000:8000"},
        {"depends_on": {"kafka": {"condition": "service_ready"}}},
        {"healthcheck": {"intervall": "5s"}},
    ],
)
def test_the_specification_finds_what_is_wrong_in_a_service(change: dict[str, Any]) -> None:
    broken = deepcopy(FILE)
    broken["services"]["worker"] |= change
    assert _errors(broken)


def test_every_variable_is_explained_in_the_example_file() -> None:
    assert {found["name"] for found in _VARIABLE.finditer(COMPOSE)} == set(VALUES)
    assert "${" not in _VARIABLE.sub("", COMPOSE)


def test_secrets_have_no_default_in_the_file() -> None:
    secret = {name for name in VALUES if name.endswith(("_KEY", "_PASSWORD"))}
    assert secret == {found["name"] for found in _VARIABLE.finditer(COMPOSE) if found["kind"] == "?"}


def _waits() -> Iterator[tuple[str, str, str]]:
    for name, service in SERVICES.items():
        for other, how in service.get("depends_on", {}).items():
            yield name, other, how["condition"]


def test_who_is_waited_for_says_when_it_is_there() -> None:
    for name, other, condition in _waits():
        if condition == _HEALTHY:
            assert "test" in SERVICES[other]["healthcheck"], f"{name} waits for {other}, which has no check"
        else:
            assert condition == _ONE_SHOT
            assert SERVICES[other]["restart"].startswith("on-failure"), f"{other} never completes"


def test_all_start_in_the_order_of_the_local_system() -> None:
    graph = {name: set(service.get("depends_on", ())) for name, service in SERVICES.items()}
    order = list(TopologicalSorter(graph).static_order())
    chain = ["kafka", "registry", "topics", "seed", "worker", "gateway", "market"]
    assert sorted(chain, key=order.index) == chain
    for sink, server in (("storage", "postgres"), ("cache", "redis")):
        assert {server, "topics"} <= graph[sink]


def _is_command(words: list[str]) -> bool:
    command: Any = typer.main.get_command(cli)
    for word in words:
        command = getattr(command, "commands", {}).get(word)
    return command is not None


def test_every_process_is_a_command() -> None:
    for name, service in OURS.items():
        assert _is_command(service["command"]), f"{name}: oms {' '.join(service['command'])}"
    assert not _is_command(["worker", "now"])
    assert not _is_command(["wroker"])


def test_every_process_of_the_local_system_is_there() -> None:
    wanted = {"registry", "worker", "storage", "cache", "gateway", "market demo"}
    assert wanted <= {" ".join(service["command"]) for service in OURS.values()}
    assert {"kafka", "postgres", "redis", "prometheus", "grafana"} <= set(SERVICES)


def test_every_setting_exists_and_takes_its_value() -> None:
    for name, service in OURS.items():
        given = {key.removeprefix("OMS_").lower(): value for key, value in service["environment"].items()}
        assert set(given) <= set(Settings.model_fields), name
        Settings.model_validate(given)
    ours = {name.removeprefix("OMS_").lower() for name in VALUES if name.startswith("OMS_")}
    assert ours <= set(Settings.model_fields)


def test_health_is_asked_where_the_process_serves_it() -> None:
    for name, service in OURS.items():
        if "healthcheck" not in service:
            assert service["restart"].startswith("on-failure"), f"{name} runs on without a check"
            continue
        part = name if name in ("gateway", "registry") else "metrics"
        port = service["environment"][f"OMS_{part.upper()}_PORT"]
        assert f"127.0.0.1:{port}/readyz" in service["healthcheck"]["test"][-1]
        assert service["environment"][f"OMS_{part.upper()}_HOST"] == "0.0.0.0"


def test_versions_of_images_are_fixed() -> None:
    from_lines = re.findall(r"^FROM (\S+)", (ROOT / "deploy" / "Dockerfile").read_text("utf-8"), re.MULTILINE)
    for image in [*(service["image"] for service in SERVICES.values()), *from_lines]:
        assert re.fullmatch(r"[\w./-]+:v?\d[\w.-]*", image), f"{image} has no version"


def test_only_loopback_is_published() -> None:
    for name, service in SERVICES.items():
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), f"{name} {port}"


def test_what_is_mounted_exists() -> None:
    for service in SERVICES.values():
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            assert (ROOT / source).exists() if source.startswith(".") else source in FILE["volumes"], mount


def test_a_worker_has_time_to_finish_its_cycle() -> None:
    grace_s = int(SERVICES["worker"]["stop_grace_period"].removesuffix("s"))
    assert grace_s > Settings.model_fields["cycle_timeout_s"].default


def test_the_image_has_every_package_and_nothing_is_kept_from_it() -> None:
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").split()
    for source in ("app", "agents", "tables", "schemas", "pyproject.toml", "README.md"):
        assert re.search(rf"^COPY .*\b{re.escape(source)}\b", dockerfile, re.MULTILINE), source
        assert f"!{source}" in allowed
