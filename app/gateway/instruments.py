"""Reference data as last written to `oms.instruments.v1`, kept whole in memory."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, cast

from app.gateway.problems import Problem
from app.reader import Read
from app.resources import shown
from schemas.messages import Instrument


class Instruments:
    """Every instrument by symbol; `on_change` is told of each one that is read."""

    def __init__(self) -> None:
        self.loaded = False
        self.on_change: Callable[[Mapping[str, Any]], None] = lambda _: None
        self._by_symbol: dict[str, Instrument] = {}
        self._next: dict[int, int] = {}
        self._changed = asyncio.Condition()

    async def put(self, read: Read) -> None:
        """Takes a record of the topic; one that could not be decoded counts as read."""
        if read.error is None:
            instrument = cast(Instrument, read.message)
            self._by_symbol[instrument["symbol"]] = instrument
            self.on_change(instrument)
        self._next[read.partition] = read.offset + 1
        async with self._changed:
            self._changed.notify_all()

    async def until_read(self, partition: int, offset: int) -> None:
        """Returns when the record at that place was taken."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._next.get(partition, 0) > offset)

    def get(self, symbol: str) -> Instrument | None:
        """The instrument, if there is one."""
        return self._by_symbol.get(symbol)

    def need(self, symbol: str) -> Instrument:
        """The instrument; raises Problem UNKNOWN_SYMBOL."""
        instrument = self.get(symbol)
        if instrument is None:
            raise Problem("UNKNOWN_SYMBOL", f"symbol {symbol}")
        return instrument

    def symbols(self) -> list[str]:
        """All symbols in alphabetical order."""
        return sorted(self._by_symbol)


def resource(instrument: Instrument) -> dict[str, Any]:
    """An instrument as JSON."""
    return shown("Instrument", instrument)
