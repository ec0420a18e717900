"""The cache's one writer and its lease, on a real Redis."""

import pytest
from redis.asyncio import Redis

from app.cache import TOPICS
from app.cache.writer import LEASE, Displaced, Writer
from app.reader import TopicReader
from app.settings import Settings
from tests.flow import Log


async def test_a_lease_that_ran_out_is_taken_again_unless_another_took_it(settings: Settings) -> None:
    async with (
        Log(settings),
        Redis.from_url(settings.redis) as redis,
        TopicReader(settings, TOPICS, "end") as reader,
    ):
        await redis.flushdb()
        writer = Writer(redis)
        assert await writer.take_over(reader)
        name = await redis.get(LEASE)
        await redis.delete(LEASE)
        await writer.write([], caught_up=False)
        assert await redis.get(LEASE) == name
        assert not await Writer(redis).take_over(reader)
        await redis.set(LEASE, "another")
        with pytest.raises(Displaced):
            await writer.write([], caught_up=False)
