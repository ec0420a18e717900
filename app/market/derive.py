"""Derives instruments from recorded data: tick and lot are the coarsest powers of ten that fit every value.

They are a reading of the data, not the venue's own figures; both are at most 1.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import cast

from app.files import BadLine, RowFile
from app.lookup import read_instruments
from app.market.replay import ticks
from app.settings import Settings
from app.writer import TopicWriter
from schemas.codec import defaults
from schemas.messages import Instrument, SetPriceBand, TickStep
from schemas.numbers import ONE
from schemas.records import Said

_CURRENCIES = ("USDT", "USDC", "USD", "EUR", "GBP", "JPY", "AUD", "NZD", "SGD", "CHF", "CAD", "BTC", "ETH")


class Grain:
    """The coarsest grid of one symbol's prices and sizes that was seen so far."""

    def __init__(self) -> None:
        self.tick_e8 = ONE
        self.lot_e8 = ONE

    def see(self, price_e8: int, size_e8: int) -> None:
        """Refines the grid to hold a price and a size; 0 stands for none."""
        while price_e8 % self.tick_e8:
            self.tick_e8 //= 10
        while size_e8 % self.lot_e8:
            self.lot_e8 //= 10


def quote_currency(symbol: str) -> str:
    """Currency that a symbol such as ETH/AUD, FX_BTC_JPY or BTCUSDT is quoted in; USD where none is named."""
    return next((currency for currency in _CURRENCIES if symbol.upper().endswith(currency)), "USD")


def instrument(symbol: str, grain: Grain, *, band_bps: int, max_quote_age_ms: int) -> Instrument:
    """An active instrument with a single tick size; its lane is the hash of its symbol."""
    fields = {
        "symbol": symbol,
        "name": symbol,
        "asset_class": "crypto",
        "currency": quote_currency(symbol),
        "ticks": [TickStep(from_price=0, tick_size=grain.tick_e8)],
        "lot_size": grain.lot_e8,
        "multiplier": ONE,
        "sector": "",
        "status": "active",
        "lane": None,
        "band_bps": band_bps,
        "max_quote_age_ms": max_quote_age_ms,
        "at_us": 0,
    }
    return cast(Instrument, {**defaults("Instrument"), **fields})


def instruments_of_quotes(paths: Iterable[Path], renamed: dict[str, str], prefix: str) -> list[Instrument]:
    """An instrument for each symbol in files of quotes and trades. Bad lines are passed over here."""
    grains: dict[str, Grain] = {}
    for path in paths:
        file = RowFile(path)
        for tick in ticks(file, renamed, prefix, _ignore):
            grain = grains.setdefault(tick.symbol, Grain())
            for price, size in (("bid", "bid_size"), ("ask", "ask_size"), ("last", "last_size")):
                grain.see(tick.fields.get(price, 0), tick.fields.get(size, 0))
        file.close()
    return [
        instrument(symbol, grain, band_bps=1000, max_quote_age_ms=10_000) for symbol, grain in grains.items()
    ]


def _ignore(_: BadLine) -> None:
    """The replay itself reports bad lines; here they are only passed over."""


async def create_missing(settings: Settings, instruments: Iterable[Instrument]) -> list[str]:
    """Writes the instruments whose symbols are new; returns those. Raises KafkaError, RegistryError."""
    known = await read_instruments(settings)
    missing = [instrument for instrument in instruments if instrument["symbol"] not in known]
    if missing:
        async with TopicWriter(settings) as writer:
            await writer.send_many([("Instrument", instrument) for instrument in missing])
    return [instrument["symbol"] for instrument in missing]


def open_band(symbol: str) -> Said:
    """A control that lifts the price band and the age of quotes of a symbol."""
    return _band(symbol, "open-band", 0)


def own_band(symbol: str) -> Said:
    """A control that keeps the instrument's own band: its report says that a worker knows the symbol."""
    return _band(symbol, "own-band", -1)


def _band(symbol: str, control_id: str, width: int) -> Said:
    return "SetPriceBand", SetPriceBand(
        symbol=symbol,
        control_id=f"replay-{control_id}",
        band_bps=width,
        max_quote_age_ms=width,
        entered_us=0,
        entered_by="replay",
        door="replay",
    )
