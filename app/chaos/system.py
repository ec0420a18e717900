"""The system under fault: every part a process of the run, workers behind links that can fail.

Each worker has a listener of its own at each broker, advertised as the port of a proxy (app.chaos.proxy):
what happens to one worker's connections happens to no other's. Clients, sinks and registry connect directly.
"""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

from app.chaos.disk import Disk
from app.chaos.process import Process
from app.chaos.proxy import Link
from app.local import kafka
from app.local.kafka import ClusterNode, Door, Node
from app.local.own import oms
from app.local.part import quiet
from app.local.ports import HOST, any_free
from app.local.postgres import LocalPostgres
from app.local.program import LocalError
from app.local.redis import LocalRedis
from app.settings import Settings
from app.topics import prepare

ADMIN_KEY = "chaos-admin"
SESSION_S = 3.0
_READY_S = 120.0
_BROKER_MB, _POSTGRES_MB = 256, 256


class NotReady(Exception):
    """A part does not do its work in time; the text says which and why."""


class System:
    """Brokers, PostgreSQL, Redis, registry, workers and one spare, storage, cache, gateway."""

    def __init__(
        self, home: Path, jars: Path, nodes: int, workers: int, say: Callable[[str], None], disks: bool
    ) -> None:
        self.home = home
        self.partitions = Settings(_env_file=None).partitions
        names = [f"worker-{i + 1}" for i in range(workers)]
        self._say = say
        self._links: dict[str, list[Link]] = {name: [] for name in (*names, "spare")}
        self._taken: set[int] = set()
        self._brokers = self._make_brokers(nodes, jars)
        self._postgres = LocalPostgres(home, "chaos", self._port())
        self._redis = LocalRedis(home, self._port())
        self._registry = self._port()
        self._gateway = self._port()
        self.brokers: list[Process] = []
        self.workers: list[Process] = []
        self.disks: dict[str, Disk] = {}
        if disks:
            self.disks["postgres"] = Disk(home / "postgres", _POSTGRES_MB)
            for broker in self._brokers:
                self.disks[broker.name] = Disk(home / broker.name, _BROKER_MB)
        self._parts: dict[str, Process] = {}
        self.settings = Settings(
            _env_file=None,
            data_dir=home,
            kafka=",".join(broker.url for broker in self._brokers),
            registry=f"http://{HOST}:{self._registry}",
            postgres=self._postgres.url,
            redis=self._redis.url,
            gateway=f"http://{HOST}:{self._gateway}",
            topic_prefix="oms",
            app_id="oms",
            replication=nodes,
        )

    def _make_brokers(self, count: int, jars: Path) -> list[ClusterNode]:
        nodes = []
        for number in range(count):
            doors = []
            for name, links in self._links.items():
                link = Link(self._port(), self._port())
                links.append(link)
                doors.append(Door(name.replace("-", "").upper(), link.target, link.port))
            nodes.append(Node(number + 1, self._port(), self._port(), tuple(doors)))
        return kafka.cluster(self.home, jars, nodes)

    def _port(self) -> int:
        """A free port that no other part of this run has; many are taken before the first is used."""
        while (port := any_free()) in self._taken:
            continue
        self._taken.add(port)
        return port

    # -- parts ---------------------------------------------------------------------------------

    def __getitem__(self, name: str) -> Process:
        """A part by its name, as in `worker-1`, `kafka-2`, `storage`."""
        return self._parts[name]

    @property
    def processes(self) -> Iterable[Process]:
        """Every part."""
        return self._parts.values()

    @property
    def spare(self) -> Process:
        """The worker that joins and leaves."""
        return self._parts["spare"]

    def links(self, worker: str) -> list[Link]:
        """A worker's connections, one link per broker."""
        return self._links[worker]

    def data_of(self, number: int) -> Path:
        """Folder of a broker's logs, counted from 0."""
        return self.home / self._brokers[number].name / "data"

    def url_of(self, number: int) -> str:
        """Bootstrap address of one broker alone, counted from 0."""
        return self._brokers[number].url

    def env(self, **more: str) -> dict[str, str]:
        """The environment of a process of ours; nothing of another system may be in it."""
        settings = self.settings
        return {
            "OMS_DATA_DIR": str(self.home),
            "OMS_KAFKA": settings.kafka,
            "OMS_REGISTRY": settings.registry,
            "OMS_POSTGRES": settings.postgres,
            "OMS_REDIS": settings.redis,
            "OMS_GATEWAY": settings.gateway,
            "OMS_TOPIC_PREFIX": settings.topic_prefix,
            "OMS_APP_ID": settings.app_id,
            "OMS_PARTITIONS": str(settings.partitions),
            "OMS_REPLICATION": str(settings.replication),
            "OMS_REGISTRY_TOPIC": settings.registry_topic,
            "OMS_ADMIN_KEY": ADMIN_KEY,
            "OMS_SESSION_TIMEOUT_S": f"{SESSION_S:g}",
            "OMS_CRASH_AT": "",
            "OMS_CLOCK_STEP": "",
            "PYTHONUNBUFFERED": "1",
            **more,
        }

    # -- life ----------------------------------------------------------------------------------

    async def start(self) -> None:
        """Starts all but the spare. Raises NotReady, LocalError."""
        for disk in self.disks.values():
            if missing := disk.mount():
                raise LocalError(f"{disk.path} cannot be mounted: {missing}; use --without broker-disk-full")
        await asyncio.gather(
            *(part.prepare(quiet) for part in (*self._brokers, self._postgres, self._redis)),
            *(link.start() for links in self._links.values() for link in links),
        )
        for broker in self._brokers:
            self.brokers.append(self._add(Process(broker.program(), self.home, self._say)))
        self._add(Process(self._postgres.program(), self.home, self._say))
        self._add(Process(self._redis.program(), self.home, self._say))
        self._add(self._own("registry", "registry", "OMS_REGISTRY_PORT", self._registry))
        await self._up([*(broker.name for broker in self.brokers), "postgres", "redis"])
        await self._up(["registry"])
        await prepare(self.settings, _READY_S)
        for name in self._links:
            addresses = ",".join(f"{HOST}:{link.port}" for link in self._links[name])
            process = self._own(name, "worker", "OMS_METRICS_PORT", self._port(), OMS_KAFKA=addresses)
            self._add(process)
            if name != "spare":
                self.workers.append(process)
        for name in ("storage", "cache"):
            self._add(self._own(name, name, "OMS_METRICS_PORT", self._port()))
        self._add(self._own("gateway", "gateway", "OMS_GATEWAY_PORT", self._gateway))
        await self._up([*(worker.name for worker in self.workers), "storage", "cache", "gateway"])

    def _add(self, process: Process) -> Process:
        self._parts[process.name] = process
        return process

    def _own(self, name: str, command: str, variable: str, port: int, **env: str) -> Process:
        environment = self.env(**env, **{variable: str(port)})
        return Process(oms(name, [command], environment, f"http://{HOST}:{port}"), self.home, self._say)

    async def _up(self, names: Iterable[str]) -> None:
        wanted = [self._parts[name] for name in names]
        for process in wanted:
            process.up()
        await self._all_ready(wanted)

    async def heal(self) -> None:
        """Ends every fault: links open, disks empty, everything up but the spare. Raises NotReady."""
        for disk in self.disks.values():
            disk.empty()
        for links in self._links.values():
            for link in links:
                link.set("open")
        await self.spare.down()
        for process in self.processes:
            if process is not self.spare:
                process.resume()
                process.up()
        await self._all_ready([process for process in self.processes if process is not self.spare])

    async def _all_ready(self, processes: Iterable[Process]) -> None:
        async def ready(process: Process) -> None:
            if waiting := await process.ready(_READY_S):
                assert process.child is not None
                late = f"{process.name} is not ready after {_READY_S:g} s: {waiting}"
                raise NotReady(f"{late}. {process.child.last_words()}")

        await asyncio.gather(*(ready(process) for process in processes))

    async def stop(self) -> None:
        """Ends everything at once: its data are not needed any more."""
        await asyncio.gather(*(process.down(polite=False) for process in self.processes))
        await asyncio.gather(*(link.stop() for links in self._links.values() for link in links))
