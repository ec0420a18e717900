"""Prometheus asks every process; the dashboard asks for metrics and labels that exist."""

import itertools
import json
import re
from typing import Any

import yaml

from app.settings import ROOT
from tests.deploy.test_compose import OURS
from tests.docs.tables import Metric, declared

DASHBOARD = json.loads((ROOT / "deploy" / "grafana" / "dashboards" / "oms.json").read_text(encoding="utf-8"))
PROVISIONING = ROOT / "deploy" / "grafana" / "provisioning"
DOCUMENTED = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
METRICS: dict[str, Metric] = {metric.name: metric for metric in declared()}

_NAME = re.compile(r"\b(?:oms|process)_\w+")
_LABELS = re.compile(r"by \(([^)]*)\)")
_SELECTED = re.compile(r"\{(\w+)!?=")
# Prometheus and its client give these.
_GIVEN = {"le", "job", "instance"}


def metric_of(name: str) -> str:
    """The metric of a series: that of a histogram without `_bucket`."""
    return re.sub(r"_(bucket|sum|count)$", "", name)


def _asked(expression: str) -> list[str]:
    return [metric_of(name) for name in _NAME.findall(expression)]


def test_every_metric_of_the_dashboard_is_documented() -> None:
    for expression in EXPRESSIONS:
        assert _asked(expression), expression
        for name in _asked(expression):
            assert f"`{name}`" in DOCUMENTED, f"{name} of {expression}"


def test_every_label_of_the_dashboard_exists() -> None:
    for expression in EXPRESSIONS:
        labels = {name.strip() for found in _LABELS.findall(expression) for name in found.split(",")}
        labels |= set(_SELECTED.findall(expression))
        known = {label for name in _asked(expression) if name in METRICS for label in METRICS[name].labels}
        assert labels - _GIVEN <= known, expression


def test_buckets_are_asked_of_histograms_only() -> None:
    for expression in EXPRESSIONS:
        for name in re.findall(r"(oms_\w+)_bucket", expression):
            assert METRICS[name].kind == "histogram"


def test_the_dashboard_shows_what_operators_are_told_to_watch() -> None:
    shown = {name for expression in EXPRESSIONS for name in _asked(expression)}
    wanted = {
        "oms_lane_records_total",
        "oms_lane_cycle_records",
        "oms_lane_commit_seconds",
        "oms_lanes_open",
        "oms_lane_dead_letters_total",
        "oms_lane_waiting_bytes",
        "oms_gateway_request_seconds",
        "oms_storage_lag_records",
    }
    assert wanted <= shown


def test_no_panel_covers_another() -> None:
    for one, other in itertools.combinations((panel["gridPos"] for panel in DASHBOARD["panels"]), 2):
        apart_x = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        apart_y = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert apart_x or apart_y, (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in DASHBOARD["panels"])


def test_the_dashboard_asks_the_datasource_that_is_provisioned() -> None:
    text = (PROVISIONING / "datasources" / "prometheus.yml").read_text(encoding="utf-8")
    provisioned = {source["uid"] for source in yaml.safe_load(text)["datasources"]}
    assert {panel["datasource"]["uid"] for panel in DASHBOARD["panels"]} <= provisioned


def _targets(job: dict[str, Any]) -> list[tuple[str, int]]:
    """Host and port of everything that a job asks."""
    given = [target.split(":") for config in job.get("static_configs", ()) for target in config["targets"]]
    found = [(name, config["port"]) for config in job.get("dns_sd_configs", ()) for name in config["names"]]
    return [*((host, int(port)) for host, port in given), *found]


def test_prometheus_asks_every_process_where_it_serves() -> None:
    text = (ROOT / "deploy" / "prometheus.yml").read_text(encoding="utf-8")
    asked = {target for job in yaml.safe_load(text)["scrape_configs"] for target in _targets(job)}
    serving = set()
    for name, service in OURS.items():
        if "healthcheck" in service:
            part = name if name in ("gateway", "registry") else "metrics"
            serving.add((name, int(service["environment"][f"OMS_{part.upper()}_PORT"])))
    assert asked == serving
