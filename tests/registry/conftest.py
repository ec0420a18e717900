"""A registry in the test's own loop, on a topic of its own of the real broker."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from app.registry.kafka_log import SchemaLog
from app.registry.service import Service
from app.registry.state import State

_TOPICS = itertools.count(1)


class Running:
    """A registry without its web server."""

    def __init__(self, kafka: str, topic: str) -> None:
        self.state = State()
        self.log = SchemaLog(kafka, topic, 1, self.state)
        self.service = Service(self.state, self.log)


Open = Callable[[], AbstractAsyncContextManager[Running]]


@pytest.fixture
def topic() -> str:
    """Name of a topic that no other test has."""
    return f"_schemas-{next(_TOPICS)}"


@pytest.fixture
def registry(kafka: str, topic: str) -> Open:
    """Opens a registry on the test's topic; opened twice, the second takes over from the first."""

    @asynccontextmanager
    async def opened() -> AsyncIterator[Running]:
        running = Running(kafka, topic)
        await running.log.start()
        following = asyncio.create_task(running.log.follow())
        try:
            yield running
        finally:
            following.cancel()
            await running.log.stop()

    return opened
