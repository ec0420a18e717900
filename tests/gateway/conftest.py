"""A gateway process on real Kafka, PostgreSQL and Redis, once for all tests of this folder."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from redis import Redis

from app.local.own import oms
from app.local.ports import HOST, any_free
from app.local.postgres import LocalPostgres
from app.local.program import Child
from app.settings import Settings
from app.storage.schema import migrate
from tests.conftest import run
from tests.gateway.worker import ScriptedWorker

ADMIN_KEY = "admin-key-of-the-tests"


@pytest.fixture(scope="session")
def gateway_settings(
    kafka: str, registry_url: str, postgres_server: LocalPostgres, redis_url: str, home: Path
) -> Settings:
    """Settings of the gateway under test."""
    postgres = run(postgres_server.create("gateway"))
    migrate(postgres)
    return Settings(
        data_dir=home,
        kafka=kafka,
        registry=registry_url,
        postgres=postgres,
        redis=redis_url,
        topic_prefix="gateway",
        app_id="gateway-app",
        admin_key=ADMIN_KEY,
    )


@pytest.fixture(scope="session")
def worker(gateway_settings: Settings) -> Iterator[ScriptedWorker]:
    """Answers what the gateway sends."""
    started = ScriptedWorker(gateway_settings)
    started.start()
    yield started
    started.stop()


def env_of(settings: Settings, port: int, **more: str) -> dict[str, str]:
    """The environment that makes a process run with these settings."""
    given = {
        "DATA_DIR": str(settings.data_dir),
        "KAFKA": settings.kafka,
        "REGISTRY": settings.registry,
        "POSTGRES": settings.postgres,
        "REDIS": settings.redis,
        "TOPIC_PREFIX": settings.topic_prefix,
        "APP_ID": settings.app_id,
        "ADMIN_KEY": settings.admin_key,
        "GATEWAY_PORT": str(port),
        # Some of these requests are never answered, by script.
        "GATEWAY_AGE_MAX_S": "60",
        "GATEWAY_IN_FLIGHT_MIN": "10000",
        **more,
    }
    return {f"OMS_{name}": value for name, value in given.items()}


Start = Callable[..., str]


@pytest.fixture(scope="session")
def start_gateway(gateway_settings: Settings, home: Path) -> Iterator[Start]:
    """Starts a gateway with settings of its own (`STREAM_BACKLOG="10"`); gives its URL."""
    children = []

    def start(name: str, ready: bool = True, **more: str) -> str:
        port = any_free()
        url = f"http://{HOST}:{port}"
        child = Child(oms(name, ["gateway"], env_of(gateway_settings, port, **more), url), home)
        children.append(child)
        if ready:
            run(child.until_ready(60))
        return url

    yield start
    for child in children:
        run(child.stop())
        assert child.code == 0, child.last_words(40)


@pytest.fixture(scope="session")
def gateway(worker: ScriptedWorker, start_gateway: Start) -> str:
    """URL of the gateway."""
    return start_gateway("gateway")


@pytest.fixture
def admin(gateway: str) -> Iterator[httpx.Client]:
    """A client with the admin key, which exists without a database."""
    with client_of(gateway, ADMIN_KEY) as client:
        yield client


def client_of(gateway: str, key: str) -> httpx.Client:
    """A client with a key."""
    return httpx.Client(base_url=f"{gateway}/api/v1", headers={"X-API-Key": key}, timeout=20)


@pytest.fixture(scope="session")
def key_of(gateway: str) -> Callable[[str, str, list[str]], str]:
    """Makes a key of a name, role and scope."""

    def make(name: str, role: str, accounts: list[str]) -> str:
        body = {"name": name, "role": role, "accounts": accounts}
        with client_of(gateway, ADMIN_KEY) as admin:
            return str(admin.post("/keys", json=body).raise_for_status().json()["api_key"])

    return make


@pytest.fixture(scope="session")
def alice_key(key_of: Callable[[str, str, list[str]], str]) -> str:
    """The key of a trader with the account A1."""
    return key_of("alice", "trader", ["A1"])


@pytest.fixture
def alice(gateway: str, alice_key: str) -> Iterator[httpx.Client]:
    """A client of a trader with the account A1."""
    with client_of(gateway, alice_key) as client:
        yield client


@pytest.fixture(scope="session")
def symbol(gateway: str) -> str:
    """An instrument that exists."""
    body = {
        "symbol": "AAPL",
        "currency": "USD",
        "ticks": [{"from_price": "0", "tick_size": "0.01"}],
        "lot_size": "1",
    }
    with client_of(gateway, ADMIN_KEY) as admin:
        assert admin.post("/instruments", json=body).status_code in {200, 201}
    return "AAPL"


@pytest.fixture
def redis(gateway_settings: Settings) -> Iterator["Redis"]:
    """The cache, empty before and after."""
    client = Redis.from_url(gateway_settings.redis)
    client.flushdb()
    yield client
    client.flushdb()
    client.close()


@pytest.fixture
def database(gateway_settings: Settings) -> Iterator[psycopg.Connection[Any]]:
    """The store, with empty tables of orders and trades."""
    with psycopg.connect(gateway_settings.postgres, autocommit=True) as connection:
        connection.execute("TRUNCATE orders, order_events, trades, positions, controls, control_reports")
        yield connection


def order(client_order_id: str, **more: Any) -> dict[str, Any]:
    """The body of a limit order of A1."""
    return {
        "account": "A1",
        "client_order_id": client_order_id,
        "symbol": "AAPL",
        "side": "buy",
        "quantity": "10",
        "limit_price": "187.12",
    } | more


def until(condition: Callable[[], bool], limit_s: float = 10) -> bool:
    """Whether a condition comes true within the limit."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return False
