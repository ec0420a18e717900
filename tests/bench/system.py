"""A broker and a registry of the benchmark's own, and worker processes pinned to one core."""

import asyncio
import os
import re
import sys
import tempfile
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from app.local.kafka import LocalKafka
from app.local.own import oms
from app.local.ports import HOST, any_free
from app.local.program import Child
from app.settings import ROOT, Settings

# The measured process has one core; broker, load and everything else run wherever there is time.
MEASURED = {0}
REST = set(range(os.cpu_count() or 1))


@dataclass(frozen=True)
class Bench:
    """Where the broker and the registry are."""

    home: Path
    kafka: str
    registry: str

    def settings(self, name: str, **more: Any) -> Settings:
        """Settings of a system of its own on them: topics and group named after `name`."""
        return Settings(
            _env_file=None,
            data_dir=self.home,
            kafka=self.kafka,
            registry=self.registry,
            topic_prefix=name,
            app_id=f"{name}-app",
            **more,
        )


@asynccontextmanager
async def bench() -> AsyncIterator[Bench]:
    """A real broker and registry in a temporary folder, ended afterwards."""
    os.sched_setaffinity(0, REST)
    with tempfile.TemporaryDirectory(prefix="oms-bench-", ignore_cleanup_errors=True) as folder:
        home = Path(folder)
        async with LocalKafka(home, Path(os.environ.get("OMS_JARS", ROOT / "var" / "jars"))) as kafka:
            port = any_free()
            url = f"http://{HOST}:{port}"
            env = {"OMS_KAFKA": kafka.url, "OMS_REGISTRY_PORT": str(port), "OMS_DATA_DIR": folder}
            registry = Child(oms("registry", ["registry"], env, url), home)
            try:
                await registry.until_ready(30)
                yield Bench(home, kafka.url, url)
            finally:
                await registry.stop()


def environment(settings: Settings, **more: str) -> dict[str, str]:
    """What a process needs to belong to the system of the settings, and what else is set for it."""
    return {
        **os.environ,
        "OMS_DATA_DIR": str(settings.data_dir),
        "OMS_KAFKA": settings.kafka,
        "OMS_REGISTRY": settings.registry,
        "OMS_TOPIC_PREFIX": settings.topic_prefix,
        "OMS_APP_ID": settings.app_id,
        "OMS_PARTITIONS": str(settings.partitions),
        **more,
    }


class Measured:
    """A process on the measured core: `oms worker`, or a module of this package, of the code in `home`."""

    def __init__(self, settings: Settings, argv: list[str], home: Path = ROOT, **env: str) -> None:
        self.port = any_free()
        self.log = Path(settings.data_dir) / f"{settings.app_id}.log"
        variables = environment(settings, OMS_METRICS_PORT=str(self.port), **env)
        with self.log.open("wb") as log:
            self._process = psutil.Popen(
                [sys.executable, *argv], cwd=home, env=variables, stdout=log, stderr=log
            )
        self._process.cpu_affinity(list(MEASURED))

    def cpu_s(self) -> float:
        """CPU seconds used so far."""
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def rss(self) -> int:
        """Resident bytes."""
        return int(self._process.memory_info().rss)

    async def ready(self, limit_s: float = 30.0) -> None:
        """Waits for `/readyz`."""
        end_s = time.monotonic() + limit_s
        while time.monotonic() < end_s:
            with suppress(OSError):
                if await asyncio.to_thread(_get, f"http://{HOST}:{self.port}/readyz"):
                    return
            if self._process.poll() is not None:
                break
            await asyncio.sleep(0.02)
        raise RuntimeError(f"worker is not ready; see {self.log}:\n{self.log.read_text()[-2000:]}")

    def metric(self, name: str, labels: str = "[^}]*") -> float:
        """Sum over all labels of a metric, or over those of a pattern."""
        text = _get(f"http://{HOST}:{self.port}/metrics")
        return sum(float(v) for v in re.findall(rf"^{name}(?:{{{labels}}})? ([0-9.e+-]+)$", text, re.M))

    def taken(self) -> float:
        """Requests that a worker has taken since its start."""
        return self.metric("oms_lane_records_total", 'topic="orders"')

    async def until_taken(self, requests: int) -> None:
        """Waits until a worker has taken so many requests since its start; raises when it has ended."""
        while True:
            if await asyncio.to_thread(self.taken) >= requests:
                return
            await asyncio.sleep(0.1)

    async def stop(self) -> None:
        """SIGTERM, then SIGKILL."""
        self._process.terminate()
        for _ in range(100):
            if self._process.poll() is not None:
                return
            await asyncio.sleep(0.05)
        self._process.kill()
        self._process.wait()


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return str(answer.read().decode())
