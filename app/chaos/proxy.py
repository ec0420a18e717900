"""A TCP proxy between one worker and one broker, which can be cut, slow, or deaf on one side.

`half-open` passes what the worker sends and keeps back what the broker answers: requests are carried out, and
nobody hears of it. What was kept back goes through when the link is well again, as TCP would have it.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

from app.local.ports import HOST

Mode = Literal["open", "cut", "delay", "half-open"]
_CHUNK = 256 * 1024


class Link:
    """Listens on `port`, passes on to `target`. What becomes of packets may be `set` at any time."""

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self.target = target
        self.mode: Mode = "open"
        self._delay_s = 0.0
        self._answers = asyncio.Event()
        self._answers.set()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begins to listen."""
        self._server = await asyncio.start_server(self._accept, HOST, self.port)

    async def stop(self) -> None:
        """Closes everything."""
        if self._server is not None:
            self._server.close()
        self._close_all()
        await asyncio.gather(*self._open, return_exceptions=True)

    def set(self, mode: Mode, delay_s: float = 0.0) -> None:
        """Changes what becomes of packets from now on; `cut` also ends what is connected."""
        self.mode = mode
        self._delay_s = delay_s if mode == "delay" else 0.0
        if mode == "half-open":
            self._answers.clear()
        else:
            self._answers.set()
        if mode == "cut":
            self._close_all()

    def _close_all(self) -> None:
        for task in self._open:
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            if self.mode != "cut":
                await self._pass(reader, writer)
        except asyncio.CancelledError:
            # Cut, or the end of the run; asyncio's own callback would log it as an error.
            pass
        finally:
            self._open.discard(task)
            _abort(writer)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(HOST, self.target)
        except OSError:
            return
        ways = [
            asyncio.ensure_future(self._pump(reader, far_writer, lambda: True)),
            asyncio.ensure_future(self._pump(far_reader, writer, self._answers.is_set)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            _abort(far_writer)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, may: Callable[[], bool]
    ) -> None:
        with suppress(OSError):
            while chunk := await reader.read(_CHUNK):
                if self._delay_s:
                    await asyncio.sleep(self._delay_s)
                if not may():
                    await self._answers.wait()
                writer.write(chunk)
                await writer.drain()


def _abort(writer: asyncio.StreamWriter) -> None:
    with suppress(OSError, RuntimeError):
        writer.transport.abort()
