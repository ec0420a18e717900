"""Looks up what a topic holds at this moment: reads it from the beginning to its present end, then stops."""

from collections.abc import AsyncIterator
from typing import cast

from app.reader import Read, TopicReader
from app.settings import Settings
from schemas.messages import Instrument


async def read_to_end(settings: Settings, *shorts: str) -> AsyncIterator[Read]:
    """Every record that the topics hold now, undecodable ones left out."""
    async with TopicReader(settings, shorts) as reader:
        if await reader.caught_up():
            return
        async for batch in reader.batches():
            for read in batch:
                if read.error is None:
                    yield read
            if await reader.caught_up():
                return


async def read_instruments(settings: Settings) -> dict[str, Instrument]:
    """Every instrument by symbol, as last written."""
    return {
        read.message["symbol"]: cast(Instrument, read.message)
        async for read in read_to_end(settings, "instruments")
    }


async def read_reference_prices(settings: Settings) -> dict[str, int]:
    """The last reference price of each symbol that has one, scaled by 10^8."""
    return {
        read.message["symbol"]: read.message["price"]
        async for read in read_to_end(settings, "reference-prices")
    }
