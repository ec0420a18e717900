"""A sink as its own process, to be waited for, killed and started again."""

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from app.local.own import oms
from app.local.ports import HOST, any_free
from app.local.program import Child
from app.settings import Settings


class SinkProcess:
    """`oms NAME` with the settings, its log below `home`."""

    def __init__(self, name: str, settings: Settings, home: Path) -> None:
        port = any_free()
        self.url = f"http://{HOST}:{port}"
        env = {
            "OMS_KAFKA": settings.kafka,
            "OMS_REGISTRY": settings.registry,
            "OMS_POSTGRES": settings.postgres,
            "OMS_REDIS": settings.redis,
            "OMS_TOPIC_PREFIX": settings.topic_prefix,
            "OMS_APP_ID": settings.app_id,
            "OMS_METRICS_PORT": str(port),
            "OMS_DATA_DIR": str(settings.data_dir),
        }
        self.program = oms(name, [name], env, self.url)
        self.child = Child(self.program, home)

    async def ready(self, limit_s: float = 30.0) -> None:
        """Returns when it has caught up."""
        await self.child.until_ready(limit_s)

    async def waits_for(self, words: str, limit_s: float = 40.0) -> None:
        """Returns when it says that it waits for something."""

        async def said() -> bool:
            return words in await self.program.waiting()

        await until(said, limit_s)

    def kill(self) -> None:
        """kill -9."""
        self.child.kill()

    async def stop(self) -> int | None:
        """Asks it to end; its exit code."""
        self.child.signal(signal.SIGTERM)
        await until(self.ended)
        code = self.child.code
        self.kill()
        return code

    async def ended(self) -> bool:
        """Whether it runs no more."""
        return self.child.code is not None


async def until(true: Callable[[], Awaitable[bool]], limit_s: float = 40.0) -> None:
    """Returns when it is true."""
    end = time.monotonic() + limit_s
    while not await true():
        assert time.monotonic() < end, f"still not true after {limit_s:g} s"
        await asyncio.sleep(0.02)
