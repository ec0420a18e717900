"""Writes batches into Redis: values, messages to subscribers and Kafka positions in one MULTI.

Rules: the positions are kept beside the data, so whatever Redis lost (all of it by a flush, the last
minute by a restart from its disk), what it still has says where to go on. Before every batch they are
compared with what this writer left, and watched until the MULTI is done. A lease that every batch
prolongs keeps a second cache process waiting. While an empty Redis is filled, what subscribers could
have seen before is not published again.
"""

import secrets
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import WatchError

from app.cache.books import BookImage
from app.cache.changes import Changes, symbols_of
from app.cache.metrics import BATCH_SECONDS, REBUILDS, RECORDS, REFUSED, STALE_BOOKS
from app.cache.orders import Json, orders_of
from app.reader import Place, PositionLost, Read, TopicReader

LEASE = "cache:writer"
POSITIONS = "cache:positions"
# There while Redis has all that the topics had when it was begun to be filled.
READY = "cache:ready"

_LEASE_MS = 3000
# An empty Redis gets the last quotes of each partition; a symbol silent for longer waits for its next.
_QUOTES_MAX = 20_000


class Displaced(Exception):
    """Redis is not as this writer left it: flushed, restarted, or written by another process."""


class Writer:
    """Writes through one Redis client: `take_over` first, and again after anything failed."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._name = secrets.token_hex(8).encode()
        self._positions: dict[Place, int] = {}
        self._published: dict[Place, int] = {}
        self._books: dict[str, BookImage] = {}
        self._ready = False

    async def take_over(self, reader: TopicReader) -> bool:
        """Takes the lease and sets the reader to where Redis is; False while another process has the lease.

        Raises PositionLost when Redis was filled from another Kafka.
        """
        if not await self._leased():
            return False
        before, ends = self._positions, await reader.ends()
        stored = await self._stored()
        _check(stored, ends)
        self._books.clear()
        self._ready = bool(stored) and bool(await self._redis.exists(READY))
        seen = stored if self._ready else before or ends
        for place in ends:
            known = (seen.get(place, 0), before.get(place, 0), self._published.get(place, 0))
            self._published[place] = max(known)
        self._positions = stored or await self._begin(ends)
        await reader.rewind(self._positions)
        return True

    async def write(self, batch: list[Read], caught_up: bool) -> None:
        """Writes a batch, and that Redis is complete once `caught_up`; prolongs the lease.

        Raises Displaced, and RedisError when Redis is away.
        """
        began_s = time.monotonic()
        after = self._positions | {(read.short, read.partition): read.offset + 1 for read in batch}
        async with self._redis.pipeline(transaction=True) as pipe:
            await pipe.watch(LEASE, POSITIONS)
            # A lease that ran out while Kafka or this process was slow is taken again, if nobody else wrote.
            if await pipe.get(LEASE) not in (self._name, None) or await self._stored() != self._positions:
                raise Displaced("Redis is not as this process left it")
            changes = await self._changes(batch)
            pipe.multi()  # type: ignore[no-untyped-call]
            for command in changes.commands(time.time()):
                pipe.execute_command(*command)
            if batch:
                pipe.hset(POSITIONS, mapping=_fields(after))
            if caught_up and not self._ready:
                pipe.set(READY, "1")
            pipe.set(LEASE, self._name, px=_LEASE_MS)
            try:
                await pipe.execute()
            except WatchError:
                raise Displaced("Redis was changed by another while this process wrote") from None
        self._positions = after
        self._ready = self._ready or caught_up
        if batch:
            self._count(batch, time.monotonic() - began_s)

    async def give_up(self) -> None:
        """Ends the lease, so that the next process begins at once."""
        if await self._redis.get(LEASE) == self._name:
            await self._redis.delete(LEASE)

    async def _leased(self) -> bool:
        if await self._redis.set(LEASE, self._name, px=_LEASE_MS, nx=True):
            return True
        return bool(await self._redis.get(LEASE) == self._name)

    async def _stored(self) -> dict[Place, int]:
        found: dict[Any, Any] = await self._redis.hgetall(POSITIONS)
        places = ((field.decode().rpartition(":"), int(offset)) for field, offset in found.items())
        return {(short, int(lane)): offset for (short, _, lane), offset in places}

    async def _begin(self, ends: Mapping[Place, int]) -> dict[Place, int]:
        """Begins to fill an empty Redis; where from."""
        REBUILDS.inc()
        start = {
            place: max(0, end - _QUOTES_MAX) if place[0] == "quotes" else 0 for place, end in ends.items()
        }
        await self._redis.delete(READY)
        await self._redis.hset(POSITIONS, mapping=_fields(start))
        return start

    async def _changes(self, batch: list[Read]) -> Changes:
        """What the batch changes, from what Redis has of its orders and books."""
        order_ids = orders_of(batch)
        symbols = [symbol for symbol in symbols_of(batch) if symbol not in self._books]
        keys = [f"order:{order_id}" for order_id in order_ids] + [f"book:{symbol}" for symbol in symbols]
        found: list[Any] = await self._redis.mget(keys) if keys else []
        orders: dict[str, Json] = {
            order_id: orjson.loads(value) for order_id, value in zip(order_ids, found, strict=False) if value
        }
        for symbol, value in zip(symbols, found[len(order_ids) :], strict=True):
            self._books[symbol] = BookImage.of_json(orjson.loads(value)) if value else BookImage(symbol)
        return Changes(batch, orders, self._books, self._is_fresh)

    def _is_fresh(self, read: Read) -> bool:
        return read.offset >= self._published[read.short, read.partition]

    def _count(self, batch: list[Read], took_s: float) -> None:
        BATCH_SECONDS.observe(took_s)
        STALE_BOOKS.set(sum(image.stale for image in self._books.values()))
        for (short, taken), records in Counter((read.short, read.error is None) for read in batch).items():
            (RECORDS if taken else REFUSED).labels(short).inc(records)


def _check(stored: Mapping[Place, int], ends: Mapping[Place, int]) -> None:
    for (short, lane), offset in stored.items():
        if offset > ends.get((short, lane), offset):
            raise PositionLost(
                f"Redis is at offset {offset} of {short} partition {lane}, which ends at "
                f"{ends[short, lane]}: it was filled from another Kafka. "
                "Empty it (redis-cli FLUSHDB), or set OMS_REDIS to another"
            )


def _fields(positions: Mapping[Place, int]) -> dict[Any, Any]:
    return {f"{short}:{lane}": offset for (short, lane), offset in positions.items()}
