"""The whole system as processes of its own, on the run's Kafka, PostgreSQL, Redis and registry."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from app.local.own import oms
from app.local.ports import HOST, any_free
from app.local.program import Child
from app.settings import Settings
from app.topics import prepare
from tests.conftest import run

ADMIN_KEY = "end-to-end-admin"


class System:
    """Running processes by name, and the gateway as an HTTP client with the admin key."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.children: dict[str, Child] = {}
        self.env = {
            "OMS_DATA_DIR": str(settings.data_dir),
            "OMS_KAFKA": settings.kafka,
            "OMS_REGISTRY": settings.registry,
            "OMS_POSTGRES": settings.postgres,
            "OMS_REDIS": settings.redis,
            "OMS_TOPIC_PREFIX": settings.topic_prefix,
            "OMS_APP_ID": settings.app_id,
            "OMS_ADMIN_KEY": ADMIN_KEY,
            "OMS_SESSION_TIMEOUT_S": "3",
        }
        self.rest = httpx.Client(headers={"X-API-Key": ADMIN_KEY}, timeout=30)
        self.gateway = ""

    def start(self, name: str, command: str) -> Child:
        """Starts `oms COMMAND` and waits until it does its work."""
        port = any_free()
        url = f"http://{HOST}:{port}"
        which = "OMS_GATEWAY_PORT" if command == "gateway" else "OMS_METRICS_PORT"
        child = Child(oms(name, [command], {**self.env, which: str(port)}, url), self.settings.data_dir)
        self.children[name] = child
        run(child.until_ready(60))
        if command == "gateway":
            self.gateway = url
            self.rest.base_url = httpx.URL(f"{url}/api/v1")
        return child

    def stop(self) -> None:
        """Ends everything, last first."""
        self.rest.close()
        for child in reversed(list(self.children.values())):
            run(child.stop())

    def cli(self, *arguments: str, code: int = 0) -> Any:
        """What `oms ARGUMENTS --json` prints; it must end with `code`."""
        done = subprocess.run(
            [sys.executable, "-m", "app.cli", *arguments, "--json"],
            env={**os.environ, **self.env, "OMS_GATEWAY": self.gateway},
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert done.returncode == code, f"{done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return json.loads(done.stdout)

    def get(self, path: str, **params: Any) -> Any:
        """The body of a GET that must succeed."""
        answer = self.rest.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()


@contextmanager
def system(settings: Settings) -> Iterator[System]:
    """Worker, storage, cache and gateway; ended afterwards."""
    run(prepare(settings))
    started = System(settings)
    try:
        for name in ("worker", "storage", "cache", "gateway"):
            started.start(name, name)
        yield started
    finally:
        started.stop()


def eventually(condition: Any, limit_s: float = 60.0) -> Any:
    """The first true value of a condition; fails when there is none in time."""
    end_s = time.monotonic() + limit_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < end_s, "it never became true"
        time.sleep(0.1)
