"""Our own processes as programs: `oms worker`, `oms gateway`, ..., each with its port and its `/readyz`."""

import asyncio
import sys
from dataclasses import dataclass
from urllib.parse import urlsplit

from app.local.program import Program

_TIMEOUT_S = 2.0


def oms(name: str, arguments: list[str], env: dict[str, str], url: str, stop_s: float = 10.0) -> Program:
    """The process `oms ARGUMENTS`; `url` is where it serves `/readyz`."""
    return Program(
        name,
        [sys.executable, "-m", "app.cli", *arguments],
        env=env,
        stop_s=stop_s,
        waiting=Readyz(f"{url}/readyz"),
        ready_url=f"{url}/readyz",
    )


@dataclass(frozen=True)
class Readyz:
    """Asks a process whether it does its work; the answer is "" or what it waits for."""

    url: str

    async def __call__(self) -> str:
        try:
            status, body = await asyncio.wait_for(_get(self.url), _TIMEOUT_S)
        except (OSError, TimeoutError, ValueError) as error:
            return f"{self.url} does not answer yet ({type(error).__name__})"
        return "" if status == 200 else body.strip() or f"{self.url} answered {status}"


async def metrics_of(url: str) -> dict[str, float]:
    """Values without labels at `url`/metrics by name; empty when the process does not answer."""
    try:
        _, body = await asyncio.wait_for(_get(f"{url}/metrics"), _TIMEOUT_S)
    except (OSError, TimeoutError, ValueError):
        return {}
    lines = (line.split() for line in body.splitlines() if not line.startswith("#") and "{" not in line)
    return {line[0]: float(line[1]) for line in lines if len(line) == 2}


async def _get(url: str) -> tuple[int, str]:
    """Status and body of a GET: enough HTTP for a health check, without a client's weight in every poll."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        writer.write(f"GET {parts.path} HTTP/1.0\r\nHost: {parts.netloc}\r\n\r\n".encode())
        head, _, body = (await reader.read()).decode(errors="replace").partition("\r\n\r\n")
        status = head.split(maxsplit=2)[1:2]
        # A process that is just ending closes the connection without a word.
        return int(status[0] if status else ""), body
    finally:
        writer.close()
