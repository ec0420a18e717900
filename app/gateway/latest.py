"""What the gateway reads from Redis: the latest orders, books, quotes and positions, as the cache wrote them.

Rule: Redis may be lost at any time. A question that it cannot answer gives None (or raises Problem
NOT_READY where there is no other source), never a wrong answer.
"""

import logging
from collections.abc import Sequence
from typing import Any

import orjson
from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.gateway.problems import Problem

log = logging.getLogger(__name__)

_TIMEOUT_S = 0.5
Json = dict[str, Any]


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()


class Latest:
    """Questions to Redis."""

    def __init__(self, url: str) -> None:
        self.redis: Redis = Redis.from_url(
            url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S, protocol=2
        )

    async def stop(self) -> None:
        """Ends all connections."""
        await self.redis.aclose()

    async def alive(self) -> bool:
        """Whether Redis answers."""
        try:
            return bool(await self.redis.ping())
        except (RedisError, OSError):
            return False

    async def many(self, keys: Sequence[str]) -> list[Json | None]:
        """The JSON values of keys; None where there is none. Raises Problem NOT_READY."""
        try:
            values = await self.redis.mget(keys) if keys else []
        except (RedisError, OSError) as error:
            log.warning("Redis does not answer: %s", error)
            raise Problem("NOT_READY", "Redis does not answer") from None
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
            order_id = await self.redis.get(f"client:{account}:{client_order_id}")
        except (RedisError, OSError):
            return None
        order = await self.order(_text(order_id)) if order_id else None
        # The account and id may hold colons: what was found must be what was asked for.
        return order if order is not None and order["account"] == account else None

    async def live_orders(self, account: str) -> list[Json]:
        """The live orders of an account; raises Problem NOT_READY."""
        try:
            order_ids = await self.redis.smembers(f"orders:live:{account}")
        except (RedisError, OSError):
            raise Problem("NOT_READY", "Redis does not answer") from None
        orders = await self.many([f"order:{_text(order_id)}" for order_id in sorted(order_ids)])
        return [order for order in orders if order is not None]

    async def positions(self, account: str) -> list[Json] | None:
        """Cash and holdings of an account; None: not there, or Redis is away."""
        try:
            values = await self.redis.hvals(f"position:{account}")
        except (RedisError, OSError):
            return None
        found = [orjson.loads(value) for value in values]
        return sorted(found, key=lambda position: (position["kind"], position["asset"])) or None
