"""The schema registry: Confluent's REST interface over a compacted topic. `run` is the process.

Reading order: api (what is asked), service (the rules), compatibility and avro (what a schema is and what
may follow it), state (what the log says), kafka_log (how it is written).
"""

import asyncio
import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from app.settings import Settings

if TYPE_CHECKING:
    from uvicorn import Server

    from app.registry.kafka_log import SchemaLog

log = logging.getLogger(__name__)

FIRST_PORT = 8081
_PORTS = 100


def run(settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT. Raises SystemExit with one line when it cannot go on."""
    from aiokafka.errors import KafkaError

    from app.logs import configure
    from app.registry.kafka_log import LogError

    configure(settings)
    with _listen(settings.registry_host, settings.registry_port) as listener:
        try:
            asyncio.run(_serve(settings, listener))
        except (LogError, KafkaError) as error:
            raise SystemExit(f"registry: {error}") from error


def _listen(host: str, port: int) -> socket.socket:
    """A bound socket; port 0: the first free one from 8081. Raises SystemExit when the port is taken."""
    for candidate in [port] if port else [*range(FIRST_PORT, FIRST_PORT + _PORTS), 0]:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, candidate))
            # Others who look for a free port see that this one is taken from here on.
            listener.listen(128)
        except OSError as error:
            listener.close()
            if port:
                raise SystemExit(
                    f"registry: {host}:{port}: {error.strerror}; set OMS_REGISTRY_PORT"
                ) from error
        else:
            return listener
    raise AssertionError("port 0 is always free")


async def _serve(settings: Settings, listener: socket.socket) -> None:
    import uvicorn

    from app.registry.api import build
    from app.registry.kafka_log import SchemaLog
    from app.registry.service import Service
    from app.registry.state import State

    class Server(uvicorn.Server):
        """Leaves signals to us: uvicorn would let them end the process, which is no clean exit."""

        @contextmanager
        def capture_signals(self) -> Iterator[None]:
            yield

    state = State()
    schemas = SchemaLog(settings.endpoint("kafka"), settings.registry_topic, settings.replication, state)
    app = build(Service(state, schemas))
    server = Server(
        uvicorn.Config(
            app,
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=5,
        )
    )
    starting = asyncio.create_task(schemas.start())

    def stop() -> None:
        server.should_exit = True
        starting.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop)
    try:
        await starting
        host, port = listener.getsockname()[:2]
        log.info("registry on http://%s:%d, schemas in topic %s", host, port, settings.registry_topic)
        await _serve_while_following(server, listener, schemas)
    except asyncio.CancelledError:
        if not server.should_exit:
            raise
    finally:
        await schemas.stop()


async def _serve_while_following(server: "Server", listener: socket.socket, schemas: "SchemaLog") -> None:
    """Answers until the server is told to stop; stops it and raises when the log cannot be followed."""
    following = asyncio.create_task(schemas.follow())
    following.add_done_callback(lambda _: setattr(server, "should_exit", True))
    await server.serve(sockets=[listener])
    following.cancel()
    with suppress(asyncio.CancelledError):
        await following
