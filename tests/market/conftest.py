"""A seeded system with a worker on the real broker, shared by the tests of this folder that need answers."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app import topics
from app.local.own import oms
from app.local.ports import HOST, any_free
from app.local.program import Child
from app.market.seed import seed
from app.settings import Settings
from tests.conftest import run


def environment(settings: Settings, **more: object) -> dict[str, str]:
    """The environment that gives a process these settings."""
    names = ("data_dir", "kafka", "registry", "topic_prefix", "app_id", "partitions")
    given = {name: getattr(settings, name) for name in names} | more
    return {f"OMS_{name.upper()}": str(value) for name, value in given.items()}


def launch(settings: Settings, name: str, *arguments: str) -> Child:
    """A process `oms ARGUMENTS` with these settings; `await child.until_ready(60)` comes next."""
    port = any_free()
    env = environment(settings, metrics_port=port)
    return Child(oms(name, list(arguments), env, f"http://{HOST}:{port}"), settings.data_dir)


@dataclass
class Trading:
    """A system that was seeded, and its worker."""

    settings: Settings
    worker: Child


@pytest.fixture(scope="session")
def desk(kafka: str, registry_url: str, home: Path) -> Iterator[Trading]:
    """A seeded system with a worker."""
    settings = Settings(
        _env_file=None,
        data_dir=home / "market",
        kafka=kafka,
        registry=registry_url,
        topic_prefix="market",
        app_id="market-app",
    )
    run(topics.prepare(settings))
    run(seed(settings))
    started = Trading(settings, launch(settings, "market-worker", "worker"))
    run(started.worker.until_ready(60))
    yield started
    run(started.worker.stop())


@pytest.fixture
def trading(desk: Trading) -> Settings:
    """Settings of the seeded system."""
    return desk.settings
