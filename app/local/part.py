"""A part of the local system that comes from a package: Kafka, PostgreSQL, Redis."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from app.local.program import Child, Program

READY_S = 60.0


def quiet(_: str) -> None:
    """Takes progress that nobody watches."""


class Part(ABC):
    """Its data, log and record lie below `home`; `url` is its address. `async with` runs it for a block."""

    name: str
    url: str

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self._child: Child | None = None

    @abstractmethod
    async def prepare(self, say: Callable[[str], None]) -> None:
        """What must be done once before its program can start. Raises LocalError."""

    @abstractmethod
    def program(self) -> Program:
        """What to run."""

    async def start(self) -> Self:
        """Starts it and returns when it is ready. Raises LocalError."""
        await self.prepare(quiet)
        self._child = Child(self.program(), self.home)
        try:
            await self._child.until_ready(READY_S)
        except BaseException:
            self._child.kill()
            raise
        return self

    async def stop(self) -> None:
        """Ends it; its data stay."""
        if self._child:
            await self._child.stop()
            self._child = None

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
