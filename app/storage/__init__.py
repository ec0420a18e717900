"""`oms storage`: the topics' records into PostgreSQL, each exactly once.

It reads from the positions that are stored beside the rows (app.storage.writer), so it may be killed at
any moment, and so may PostgreSQL and Kafka: it waits for them and goes on. A second process waits until
the first one's connection ends. Memory holds one batch and what the reader fetches ahead.
"""

import asyncio
import logging
import time
from typing import Any

import psycopg
from psycopg import AsyncConnection
from sqlalchemy.exc import OperationalError

from app import sinks
from app.reader import TopicReader
from app.settings import Settings
from app.storage.metrics import LAG
from app.storage.schema import migrate
from app.storage.writer import Displaced, Writer

log = logging.getLogger(__name__)

TOPICS = ("events", "trades", "positions", "instruments", "control", "dead-letters")

_BATCH_MAX = 5000
# Reports need no milliseconds: small batches wait for company, a transaction costs the same for many rows.
_PACE_S = 0.05
_STANDBY_S = 0.5
_AGAIN_S = 0.2
# A server that vanished without a word is noticed within half a minute.
_CONNECTION: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
}


def run(settings: Settings) -> None:
    """Runs the storage process until SIGTERM or SIGINT."""
    sinks.run(settings, _work)


async def _work(settings: Settings, health: sinks.Health) -> None:
    postgres = settings.endpoint("postgres")
    await _migrated(postgres, health)
    while True:
        try:
            connection = await _connected(postgres, health)
            async with connection:
                await _follow(settings, connection, health)
        except (psycopg.OperationalError, psycopg.InterfaceError, Displaced) as error:
            log.warning("begins again from the stored positions: %s", str(error).strip())
            health.waiting = "PostgreSQL"
        await asyncio.sleep(_AGAIN_S)


async def _migrated(postgres: str, health: sinks.Health) -> None:
    async for _ in sinks.attempts():
        try:
            await asyncio.to_thread(migrate, postgres)
            return
        except OperationalError as error:
            health.waiting = "PostgreSQL, for its migrations"
            log.warning("waiting for PostgreSQL: %s", error.orig)


async def _connected(postgres: str, health: sinks.Health) -> AsyncConnection:
    async for _ in sinks.attempts():
        try:
            return await AsyncConnection.connect(
                postgres, autocommit=True, application_name="oms storage", **_CONNECTION
            )
        except psycopg.OperationalError as error:
            health.waiting = "PostgreSQL"
            log.warning("waiting for PostgreSQL: %s", str(error).strip())
    raise AssertionError("waits for ever")


async def _follow(settings: Settings, connection: AsyncConnection, health: sinks.Health) -> None:
    """Writes what the topics have and get, until the connection is lost or another process writes."""
    writer = Writer(connection, settings, TOPICS)
    while not await writer.lock():
        health.waiting = "the storage process that is writing now, as its standby"
        await asyncio.sleep(_STANDBY_S)
    await writer.open()
    health.waiting = "Kafka"
    async with TopicReader(settings, TOPICS, writer.positions, batch_max=_BATCH_MAX, exact=True) as reader:
        health.waiting = "the end of what the topics held at the start"
        log.info("writes from %s", writer.positions or "the beginning")
        meter = sinks.LagMeter(reader, LAG)
        async for batch in reader.batches():
            began_s = time.monotonic()
            if batch:
                await writer.write(batch)
            if health.waiting and await reader.caught_up():
                health.waiting = ""
                log.info("has caught up")
            await meter.measure()
            if len(batch) < _BATCH_MAX:
                await asyncio.sleep(max(0.0, began_s + _PACE_S - time.monotonic()))
