"""Derives instruments from recorded data: tick and lot are the coarsest powers of ten that fit every value.

They are a reading of the data, not the venue's own figures; both are at most 1.
"""

from collections.abc import Iterable
from pathlib import Path

from app.files import BadLine, RowFile
from app.market.replay import ticks
from schemas.messages import Instrument, TickStep
from schemas.numbers import ONE

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
    return Instrument(
        symbol=symbol,
        name=symbol,
        asset_class="crypto",
        currency=quote_currency(symbol),
        ticks=[TickStep(from_price=0, tick_size=grain.tick_e8)],
        lot_size=grain.lot_e8,
        multiplier=ONE,
        sector="",
        status="active",
        lane=None,
        band_bps=band_bps,
        max_quote_age_ms=max_quote_age_ms,
        at_us=0,
    )


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
