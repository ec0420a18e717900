"""Starts every part of the system in order, keeps them running, and ends them in reverse.

Order: Kafka, PostgreSQL, Redis -> registry -> topics, schemas, demo data -> workers, storage, cache ->
gateway -> market data. Each stage waits until the one before it does its work.
"""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import psutil

from app.local import demo_key, home, kafka, leftovers, postgres, redis
from app.local.first_trade import life_of_a_filled_order
from app.local.kafka import LocalKafka
from app.local.keeper import Keeper
from app.local.own import oms
from app.local.part import Part
from app.local.ports import HOST, Ports
from app.local.postgres import LocalPostgres
from app.local.program import LocalError, Program
from app.local.redis import LocalRedis
from app.local.screen import Screen
from app.settings import Settings

READY_S = 90.0
GIVEN_READY_S = 15.0
# Whether a server answers: "" or what is missing.
CHECKS = {"kafka": kafka.waiting, "postgres": postgres.waiting, "redis": redis.waiting}


@dataclass(frozen=True)
class Options:
    """What `oms up` was asked for."""

    workers: int = 1
    market: bool = True
    fresh: bool = False


class Supervisor:
    """One local system in the data folder of the settings."""

    def __init__(self, settings: Settings, options: Options, screen: Screen) -> None:
        self.home = settings.data_dir.resolve()
        self._asked = settings
        self._options = options
        self._screen = screen
        self._ports = Ports(self.home)
        self._secrets = home.Secrets(self.home)
        self._endpoints: dict[str, str] = {}
        self._stages: list[list[Keeper]] = []
        self._began = time.time()
        self._ready = False

    async def run(self) -> None:
        """Starts all, stays until SIGINT, SIGTERM or SIGHUP, ends all. Raises LocalError."""
        stopping = asyncio.Event()
        self._listen(stopping)
        starting = asyncio.create_task(self._start())
        stop = asyncio.create_task(stopping.wait())
        try:
            await asyncio.wait({starting, stop}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                await stop
            else:
                starting.cancel()
                await asyncio.gather(starting, return_exceptions=True)
        finally:
            await self._end()

    def _listen(self, stopping: asyncio.Event) -> None:
        def asked() -> None:
            if stopping.is_set():
                self._screen.say("killing what still runs")
                for keeper in self._keepers():
                    keeper.kill()
            stopping.set()

        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            asyncio.get_running_loop().add_signal_handler(number, asked)

    async def _start(self) -> None:
        self._clear_up()
        await self._start_servers()
        await self._start_registry()
        settings = self.settings()
        await self._step("topics and schemas", lambda: _prepare(settings))
        await self._step("demo accounts and instruments", lambda: _seed(settings))
        await self._start_processes()
        await self._start_gateway()
        if self._options.market:
            await self._stage([self._own("market", ["market", "demo"])])
        # Said first: `oms up --detach` returns once the state says ready, and repeats what was printed.
        self._screen.ready(self.state(), time.time() - self._began)
        self._ready = True
        self._write_state()
        if self._options.market:
            self._screen.life(await life_of_a_filled_order(self.settings()))

    def _clear_up(self) -> None:
        ended = leftovers.clean(self.home)
        if ended:
            self._screen.say(f"ended what a former run left: {', '.join(ended)}")
        if self._options.fresh:
            home.empty(self.home)
            self._secrets = home.Secrets(self.home)
            self._screen.say("removed all data (--fresh)")
        self._write_state()

    async def _start_servers(self) -> None:
        """Those that a setting names are only checked."""
        for name, waiting in CHECKS.items():
            url = getattr(self._asked, name)
            if url:
                self._endpoints[name] = url
                await self._step(f"{name} as set", partial(_reached, url, waiting))
        parts = self._local_parts()
        await asyncio.gather(*(part.prepare(self._screen.progress) for part in parts))
        for part in parts:
            self._endpoints[part.name] = part.url
        await self._stage([part.program() for part in parts])

    def _local_parts(self) -> list[Part]:
        parts: list[Part] = []
        if not self._asked.kafka:
            ports = self._ports.take("kafka"), self._ports.take("kafka-controller")
            parts.append(LocalKafka(self.home, self.home / "jars", *ports))
        if not self._asked.postgres:
            password = self._secrets.made("postgres_password")
            parts.append(LocalPostgres(self.home, password, self._ports.take("postgres")))
        if not self._asked.redis:
            parts.append(LocalRedis(self.home, self._ports.take("redis")))
        return parts

    async def _start_registry(self) -> None:
        if self._asked.registry:
            self._endpoints["registry"] = self._asked.registry
            return
        port = self._ports.take("registry", self._asked.registry_port)
        self._endpoints["registry"] = f"http://{_reachable(self._asked.registry_host)}:{port}"
        env = {**self._env(), "OMS_REGISTRY_PORT": str(port)}
        await self._stage([oms("registry", ["registry"], env, self._endpoints["registry"])])

    async def _start_processes(self) -> None:
        workers = [self._own(f"worker-{i + 1}", ["worker"]) for i in range(self._options.workers)]
        await self._stage([*workers, self._own("storage", ["storage"]), self._own("cache", ["cache"])])

    async def _start_gateway(self) -> None:
        port = self._ports.take("gateway", self._asked.gateway_port)
        url = f"http://{_reachable(self._asked.gateway_host)}:{port}"
        self._endpoints["gateway"] = url
        admin_key = self._asked.admin_key or self._secrets.made("admin_key")
        env = {**self._env(), "OMS_GATEWAY_PORT": str(port), "OMS_ADMIN_KEY": admin_key}
        await self._stage([oms("gateway", ["gateway"], env, url)])
        await self._step("demo API key", lambda: demo_key.ensure(url, admin_key, self._secrets))

    def _own(self, name: str, arguments: list[str]) -> Program:
        """A process that serves its metrics on a port of its own."""
        port = self._ports.take(f"{name}-metrics")
        env = {**self._env(), "OMS_METRICS_PORT": str(port)}
        return oms(name, arguments, env, f"http://{_reachable(self._asked.metrics_host)}:{port}")

    def _env(self) -> dict[str, str]:
        """How a process of ours finds the others."""
        found = {f"OMS_{name.upper()}": url for name, url in self._endpoints.items()}
        return {**found, "OMS_DATA_DIR": str(self.home), "PYTHONUNBUFFERED": "1"}

    def settings(self) -> Settings:
        """The settings that the processes get."""
        return self._asked.model_copy(update={**self._endpoints, "data_dir": self.home})

    async def _stage(self, programs: list[Program]) -> None:
        """Starts programs side by side and returns when all are ready."""
        began = time.monotonic()
        stage = [Keeper(program, self.home, self._screen.say, self._write_state) for program in programs]
        self._stages.append(stage)

        async def started(keeper: Keeper) -> None:
            name = keeper.program.name
            with self._screen.step(name):
                await keeper.until_ready(READY_S)
            where = self._endpoints.get(name) or keeper.program.ready_url.removesuffix("/readyz")
            self._screen.done(name, postgres.without_password(where), time.monotonic() - began)

        await _all([started(keeper) for keeper in stage])

    async def _step(self, name: str, work: Callable[[], Awaitable[str]]) -> None:
        """Does what must be done once; `work` gives what it did, in words."""
        began = time.monotonic()
        with self._screen.step(name):
            said = await work()
        self._screen.done(name, said, time.monotonic() - began)

    async def _end(self) -> None:
        """Ends all stages, last first; the processes of a stage side by side."""
        if self._stages:
            self._screen.say("stopping")
        for stage in reversed(self._stages):
            await asyncio.gather(*(keeper.stop() for keeper in stage))
        leftovers.clean(self.home)
        with suppress(FileNotFoundError):
            (self.home / "state.json").unlink()
        self._screen.say("stopped; data stay in " + str(self.home))

    def _keepers(self) -> list[Keeper]:
        return [keeper for stage in self._stages for keeper in stage]

    def state(self) -> dict[str, object]:
        """What state.json says."""
        return {
            "pid": os.getpid(),
            "started": psutil.Process().create_time(),
            "ready": self._ready,
            "endpoints": dict(self._endpoints),
            "admin_key": self._asked.admin_key or self._secrets.get("admin_key"),
            "demo_key": self._secrets.get("demo_key"),
            "processes": [keeper.describe() for keeper in self._keepers()],
        }

    def _write_state(self) -> None:
        home.write_private(self.home / "state.json", self.state())


async def _all(works: list[Awaitable[None]]) -> None:
    """Waits for all; the first failure is raised, and the others are not waited for."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _reached(url: str, waiting: Callable[[str], Awaitable[str]]) -> str:
    """The address of a server that a setting names, when it answers. Raises LocalError."""
    shown = postgres.without_password(url)
    end = time.monotonic() + GIVEN_READY_S
    while missing := await waiting(url):
        if time.monotonic() >= end:
            raise LocalError(f"{shown} does not answer: {missing}. Check the setting; unset, it is local")
        await asyncio.sleep(0.5)
    return shown


def _reachable(host: str) -> str:
    """The address by which this machine reaches a server that listens on `host`."""
    return HOST if host in ("0.0.0.0", "::", "") else host


async def _prepare(settings: Settings) -> str:
    from app.topics import prepare

    return f"{len(await prepare(settings))} schemas"


async def _seed(settings: Settings) -> str:
    from app.market.seed import seed

    return f"{len(await seed(settings))} records written"
