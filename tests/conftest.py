"""Real Kafka, PostgreSQL, Redis and schema registry for every test that asks, started once per run.

They live in a temporary folder and end with the run, also when it is killed. The jars of Kafka are
those of the data folder (`make test` fetches them). Each test with `settings` has topics, a group, a
database and a Redis database of its own.
"""

import asyncio
import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import hypothesis
import pytest
from aiokafka.admin import AIOKafkaAdminClient
from redis import Redis

from app.local.kafka import LocalKafka
from app.local.own import oms
from app.local.part import Part
from app.local.ports import HOST, any_free
from app.local.postgres import LocalPostgres
from app.local.program import Child
from app.local.redis import LocalRedis
from app.settings import ROOT, Settings

T = TypeVar("T")
Started = TypeVar("Started", bound=Part)

# On a developer's machine every run tries other examples, and prints how to replay one that fails. CI tries
# the same ones each time: whether a change lands must not depend on luck.
hypothesis.settings.register_profile("ci", derandomize=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("ci")

_TESTS = itertools.count(1)
# Redis has 16; the first is for those who ask for the server itself.
_REDIS_DATABASES = 15


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end in the main thread, beside the loops of pytest-asyncio."""
    loop = asyncio.new_event_loop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()


@pytest.fixture(scope="session")
def jars() -> Path:
    """Cache of Kafka's jars: of this project, unless OMS_JARS names another."""
    return Path(os.environ.get("OMS_JARS", ROOT / "var" / "jars"))


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """Folder for data and logs of this run's servers; kept when the run is asked to (OMS_KEEP_HOME=1)."""
    folder = Path(tempfile.mkdtemp(prefix="oms-test-"))
    yield folder
    if not os.environ.get("OMS_KEEP_HOME"):
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def start() -> Iterator[Callable[[Started], Started]]:
    """Starts a part; all that it started end with the run, last first."""
    parts: list[Part] = []

    def begin(part: Started) -> Started:
        run(part.start())
        parts.append(part)
        return part

    yield begin
    for part in reversed(parts):
        run(part.stop())


@pytest.fixture(scope="session")
def kafka(home: Path, jars: Path, start: Callable[[LocalKafka], LocalKafka]) -> str:
    """Bootstrap address of a real broker."""
    return start(LocalKafka(home, jars)).url


@pytest.fixture(scope="session")
def postgres_server(home: Path, start: Callable[[LocalPostgres], LocalPostgres]) -> LocalPostgres:
    """A PostgreSQL server; `await postgres_server.create(name)` makes a database and gives its URL."""
    return start(LocalPostgres(home, "test", durable=False))


@pytest.fixture(scope="session")
def postgres(postgres_server: LocalPostgres) -> str:
    """URL of an empty database, shared by the run."""
    return postgres_server.url


@pytest.fixture(scope="session")
def redis_url(home: Path, start: Callable[[LocalRedis], LocalRedis]) -> str:
    """URL of a Redis server's database 0."""
    return start(LocalRedis(home)).url


@pytest.fixture(scope="session")
def registry_url(home: Path, kafka: str) -> Iterator[str]:
    """URL of our schema registry, as its own process on the real broker."""
    port = any_free()
    url = f"http://{HOST}:{port}"
    env = {"OMS_KAFKA": kafka, "OMS_REGISTRY_PORT": str(port), "OMS_DATA_DIR": str(home)}
    child = Child(oms("registry", ["registry"], env, url), home)
    try:
        run(child.until_ready(30))
        yield url
    finally:
        run(child.stop())


@pytest.fixture
def settings(
    kafka: str, registry_url: str, postgres_server: LocalPostgres, redis_url: str, tmp_path: Path
) -> Iterator[Settings]:
    """Settings of a system of the test's own on the run's servers; its topics are deleted after it."""
    number = next(_TESTS)
    name = f"t{number}"
    redis = f"{redis_url.removesuffix('/0')}/{1 + number % _REDIS_DATABASES}"
    with Redis.from_url(redis) as former:
        former.flushdb()
    yield Settings(
        data_dir=tmp_path,
        kafka=kafka,
        registry=registry_url,
        postgres=run(postgres_server.create(name)),
        redis=redis,
        topic_prefix=name,
        app_id=f"{name}-app",
    )
    run(_delete_topics(kafka, name))


async def _delete_topics(kafka: str, name: str) -> None:
    """Else a long run ends with thousands of partitions, and a broker out of files."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        ours = [
            topic for topic in await admin.list_topics() if topic.startswith((f"{name}.", f"{name}-app-"))
        ]
        if ours:
            await admin.delete_topics(ours)
    finally:
        await admin.close()
