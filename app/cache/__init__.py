"""`oms cache`: the latest orders, books, quotes and positions in Redis, and every change to its subscribers.

Redis may be flushed or killed at any moment: what it lost is written again from the topics, from where
Redis still is (app.cache.writer). `app.cache.changes` has the layout of keys and channels. A second
process waits for the first one's lease to end. Filling an empty Redis reads the compacted topics, books
and events whole, but of the quotes only the last ones.
"""

import asyncio
import logging
import time
from contextlib import suppress

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from app import sinks
from app.cache.metrics import LAG
from app.cache.writer import Displaced, Writer
from app.reader import TopicReader
from app.settings import Settings

log = logging.getLogger(__name__)

TOPICS = ("events", "trades", "quotes", "books", "positions", "reference-prices", "instruments")

_BATCH_MAX = 5000
# Below what a person or a request notices, and a tenth of the CPU of a batch per record.
_PACE_S = 0.005
_TIMEOUT_S = 5.0
_AGAIN_S = 0.3


def run(settings: Settings) -> None:
    """Runs the cache process until SIGTERM or SIGINT."""
    sinks.run(settings, _work)


async def _work(settings: Settings, health: sinks.Health) -> None:
    # A connection that was lost must be seen here: a retry could write into an emptied Redis.
    redis: Redis = Redis.from_url(
        settings.endpoint("redis"),
        socket_timeout=_TIMEOUT_S,
        socket_connect_timeout=_TIMEOUT_S,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
    writer = Writer(redis)
    health.waiting = "Kafka"
    async with redis, TopicReader(settings, TOPICS, "end", batch_max=_BATCH_MAX) as reader:
        try:
            await _keep_following(writer, reader, health)
        finally:
            with suppress(RedisError, OSError):
                await writer.give_up()


async def _keep_following(writer: Writer, reader: TopicReader, health: sinks.Health) -> None:
    while True:
        try:
            await _follow(writer, reader, health)
        except (RedisError, OSError, Displaced) as error:
            health.waiting = "Redis"
            log.warning("begins again from where Redis is: %s", error)
            await asyncio.sleep(_AGAIN_S)


async def _follow(writer: Writer, reader: TopicReader, health: sinks.Health) -> None:
    """Writes what the topics have and get, until Redis is lost or is not as it was left."""
    while not await writer.take_over(reader):
        health.waiting = "the cache process that is writing now, as its standby"
        await asyncio.sleep(_AGAIN_S)
    health.waiting = "the end of what the topics held at the start"
    meter = sinks.LagMeter(reader, LAG)
    async for batch in reader.batches():
        began_s = time.monotonic()
        await writer.write(batch, await reader.caught_up())
        if health.waiting and await reader.caught_up():
            health.waiting = ""
            log.info("has caught up")
        await meter.measure()
        if len(batch) < _BATCH_MAX:
            await asyncio.sleep(max(0.0, began_s + _PACE_S - time.monotonic()))
