"""What the gateway reads from Redis: the latest orders, books, quotes and positions, as the cache wrote them.

Rule: Redis may be lost at any time, and is not asked while the cache fills it. A question that it cannot
answer gives None (or raises Problem NOT_READY where there is no other source), never a wrong answer.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.cache.writer import READY
from app.gateway.problems import Problem
from app.reader import end_if_canceled

log = logging.getLogger(__name__)

_TIMEOUT_S = 0.5
Json = dict[str, Any]


class Latest:
    """Questions to Redis."""

    def __init__(self, url: str) -> None:
        self._redis: Redis = Redis.from_url(
            url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S, protocol=2
        )

    async def stop(self) -> None:
        """Ends all connections."""
        await self._redis.aclose()

    async def alive(self) -> bool:
        """Whether Redis answers."""
        try:
            return bool(await self._redis.ping())
        except (RedisError, OSError):
            return False

    async def many(self, keys: Sequence[str]) -> list[Json | None]:
        """The JSON values of keys; None where there is none. Raises Problem NOT_READY."""
        values = await self._ask(lambda pipeline: pipeline.mget(keys)) if keys else []
        return [None if value is None else orjson.loads(value) for value in values]

    async def one(self, key: str) -> Json | None:
        """The JSON value of a key; raises Problem NOT_READY."""
        return (await self.many([key]))[0]

    async def order(self, order_id: str) -> Json | None:
        """An order as last cached; None: not there, or Redis is away."""
        try:
            return await self.one(f"order:{order_id}")
        except Problem:
            return None

    async def order_of_client(self, account: str, client_order_id: str) -> Json | None:
        """An order as last cached by its client's id; None: not there, or Redis is away."""
        try:
            order_id = await self._ask(lambda pipeline: pipeline.get(f"client:{account}:{client_order_id}"))
        except Problem:
            return None
        order = await self.order(order_id.decode()) if order_id else None
        # The account and id may hold colons: what was found must be what was asked for.
        return order if order is not None and order["account"] == account else None

    async def live_orders(self, account: str) -> list[Json]:
        """The live orders of an account; raises Problem NOT_READY."""
        order_ids = await self._ask(lambda pipeline: pipeline.smembers(f"orders:live:{account}"))
        orders = await self.many([f"order:{order_id.decode()}" for order_id in sorted(order_ids)])
        return [order for order in orders if order is not None]

    async def positions(self, account: str) -> list[Json] | None:
        """Cash and holdings of an account; None: not there, or Redis is away."""
        try:
            values = await self._ask(lambda pipeline: pipeline.hvals(f"position:{account}"))
        except Problem:
            return None
        found = [orjson.loads(value) for value in values]
        return sorted(found, key=lambda position: (position["kind"], position["asset"])) or None

    async def _ask(self, question: Callable[[Any], Any]) -> Any:
        """The answer to one command, if Redis is there and filled. Raises Problem NOT_READY."""
        pipeline = self._redis.pipeline(transaction=False)
        pipeline.exists(READY)
        question(pipeline)
        try:
            ready, answer = await pipeline.execute()
            end_if_canceled()
        except (RedisError, OSError) as error:
            end_if_canceled()
            log.warning("Redis does not answer: %s", error)
            raise Problem("NOT_READY", "Redis does not answer") from None
        if not ready:
            raise Problem("NOT_READY", "the cache is being filled from the topics")
        return answer
