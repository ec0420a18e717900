"""Sends generated quotes to `oms.quotes.v1` at a steady rate, from a few to tens of thousands a second."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from app.lookup import read_instruments, read_reference_prices
from app.market.demo_instruments import PROFILES, Profile
from app.market.prices import Market
from app.settings import Settings
from app.writer import Stream, TopicWriter
from schemas.messages import Instrument
from schemas.numbers import format_e8
from schemas.records import Said

_CHUNK = 2000
_TICK_S = 0.01
# Market time when quotes come as fast as possible: the price moves as if there were so many a second.
_RATE_UNPACED = 10_000.0


class MarketError(Exception):
    """What was asked of the market cannot be done; the text says what to do."""


@dataclass
class Generated:
    """What was sent, and in which time."""

    quotes: int = 0
    seconds: float = 0.0


async def generate(
    settings: Settings,
    *,
    symbols: Sequence[str] = (),
    rate: float,
    seed: int,
    seconds: float = 0.0,
    count: int = 0,
    progress: Callable[[Generated], None],
) -> Generated:
    """Sends quotes until `count` or `seconds` are reached, for ever where both are 0; `rate` 0: unpaced.

    No symbols: every demo instrument that exists. Raises MarketError, KafkaError, RegistryError.
    """
    market = await market_of(settings, symbols, rate=rate or _RATE_UNPACED, seed=seed)
    done = Generated()
    async with TopicWriter(settings) as writer:
        stream = Stream(writer)
        started = time.monotonic()
        try:
            while (not count or done.quotes < count) and (not seconds or done.seconds < seconds):
                due = _due(done, rate, count)
                if due < 1:
                    await asyncio.sleep(max(_TICK_S, (done.quotes + 1) / rate - done.seconds))
                else:
                    await stream.post(_quotes(market, due))
                    done.quotes += due
                    progress(done)
                done.seconds = time.monotonic() - started
        finally:
            await stream.finish()
    return done


def _due(done: Generated, rate: float, count: int) -> int:
    """How many quotes are to be sent now."""
    due = int(rate * done.seconds) - done.quotes if rate else _CHUNK
    return min(due, _CHUNK, count - done.quotes if count else _CHUNK)


def _quotes(market: Market, count: int) -> list[Said]:
    at_us = time.time_ns() // 1000
    return [("Quote", market.next_quote(at_us)) for _ in range(count)]


async def market_of(settings: Settings, symbols: Sequence[str], *, rate: float, seed: int) -> Market:
    """The model for some instruments as they are now; the demo's own start at the demo's prices.

    Raises MarketError for a symbol that is no instrument or has no price to start from.
    """
    known = await read_instruments(settings)
    wanted = list(symbols) or [symbol for symbol in PROFILES if symbol in known]
    missing = [symbol for symbol in wanted if symbol not in known]
    if missing or not wanted:
        raise MarketError(
            f"no instrument {', '.join(missing) or 'of the demo'}: make the demo's with `oms market seed`"
        )
    profiles = dict(PROFILES)
    if any(symbol not in PROFILES for symbol in wanted):
        prices = await read_reference_prices(settings)
        profiles |= {symbol: _profile(known[symbol], prices) for symbol in wanted if symbol not in PROFILES}
    return Market([known[symbol] for symbol in wanted], profiles, seed=seed, rate=rate)


def _profile(instrument: Instrument, prices: dict[str, int]) -> Profile:
    """An ordinary profile for an instrument that is not of the demo, from its reference price."""
    symbol = instrument["symbol"]
    if symbol not in prices:
        raise MarketError(f"{symbol} has no reference price to start from: send it a quote first")
    lot = format_e8(instrument["lot_size"])
    return Profile(symbol, symbol, "", "", format_e8(prices[symbol]), lot, 0.3, 1.0, 3, 100)
