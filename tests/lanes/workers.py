"""Real worker processes for tests, and what their topics say."""

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from app.local.ports import HOST, any_free
from app.reader import Read, TopicReader
from app.settings import Settings
from app.topics import prepare
from app.writer import TopicWriter
from schemas.records import Said
from tests.bench.workload import setup

ANSWERS = {
    "accepted",
    "rejected",
    "canceled",
    "cancel_rejected",
    "replaced",
    "replace_rejected",
    "order_status",
}


class Worker:
    """`oms worker` as its own process."""

    def __init__(self, settings: Settings, name: str, **env: str) -> None:
        self.url = f"http://{HOST}:{(port := any_free())}"
        self.log = Path(settings.data_dir) / f"{name}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "worker"],
                env={
                    **os.environ,
                    "OMS_DATA_DIR": str(settings.data_dir),
                    "OMS_KAFKA": settings.kafka,
                    "OMS_REGISTRY": settings.registry,
                    "OMS_TOPIC_PREFIX": settings.topic_prefix,
                    "OMS_APP_ID": settings.app_id,
                    "OMS_METRICS_PORT": str(port),
                    "OMS_SESSION_TIMEOUT_S": "2",
                    "OMS_HEARTBEAT_S": "0.3",
                    **env,
                },
                stdout=log,
                stderr=log,
            )

    async def ready(self, limit_s: float = 30) -> None:
        """Waits until its lanes are open."""
        end_s = time.monotonic() + limit_s
        while time.monotonic() < end_s and self.process.poll() is None:
            with suppress(OSError):
                await asyncio.to_thread(urllib.request.urlopen, f"{self.url}/readyz", timeout=2)
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"worker is not ready:\n{self.text()}")

    def send(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        self.process.send_signal(number)

    async def ended(self, limit_s: float = 20) -> int:
        """Its exit code, once it has ended."""
        return await asyncio.to_thread(self.process.wait, limit_s)

    async def kill(self) -> None:
        """kill -9."""
        self.process.kill()
        await self.ended()

    def text(self) -> str:
        """What it logged."""
        return self.log.read_text(errors="replace")[-4000:]


@asynccontextmanager
async def workers(settings: Settings) -> AsyncIterator["Workers"]:
    """Starts workers on request, and ends what still runs."""
    running = Workers(settings)
    await prepare(settings)
    try:
        yield running
    finally:
        for worker in running.all:
            if worker.process.poll() is None:
                worker.process.kill()
                worker.process.wait()


class Workers:
    """Every worker that a test started."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.all: list[Worker] = []

    async def start(self, **env: str) -> Worker:
        """A worker whose lanes are open."""
        worker = self.begin(**env)
        await worker.ready()
        return worker

    def begin(self, **env: str) -> Worker:
        """A worker that just starts."""
        worker = Worker(self.settings, f"worker-{len(self.all) + 1}", **env)
        self.all.append(worker)
        return worker


async def write(settings: Settings, said: Iterable[Said]) -> None:
    """Writes requests, controls or reference data."""
    async with TopicWriter(settings) as writer:
        await writer.send_many(said)


async def set_up(settings: Settings) -> None:
    """Instruments and accounts of the benchmark's workload."""
    await write(settings, setup(settings.partitions))


async def read_all(settings: Settings, short: str) -> list[Read]:
    """All committed records of a topic as of now."""
    found: list[Read] = []
    async with TopicReader(settings, [short]) as reader:
        async for batch in reader.batches():
            found += batch
            if await reader.caught_up():
                return found
    raise AssertionError("the reader ended")


async def answers(settings: Settings) -> Counter[tuple[str, int]]:
    """How often each request, named by account and offset, was answered."""
    return Counter(
        (record.message["account"], record.message["request_offset"])
        for record in await read_all(settings, "events")
        if record.kind == "OrderEvent" and is_answer(record.message)
    )


def is_answer(event: dict[str, Any]) -> bool:
    """Whether an event answers the request at its offset; an order's own end after its entry does not."""
    return (
        event["event"] in ANSWERS
        and event["request_offset"] >= 0
        and event["reason"] not in ("MATCHING_NO_LIQUIDITY", "MATCHING_NOT_FILLABLE")
    )


async def until_answered(settings: Settings, count: int, limit_s: float = 60) -> Counter[tuple[str, int]]:
    """Waits for so many answered requests; all of them, whether answered once or more often."""
    end_s = time.monotonic() + limit_s
    while len(found := await answers(settings)) < count:
        assert time.monotonic() < end_s, f"{len(found)} of {count} requests answered"
        await asyncio.sleep(0.5)
    return found
