"""The demo's instruments: reference data, and how the generator moves their prices.

Ticks, lots and start prices are configured, not sourced: round figures near what the names once cost.
"""

from typing import NamedTuple, cast

from schemas.codec import defaults
from schemas.messages import Instrument, TickStep
from schemas.numbers import parse_e8


class Profile(NamedTuple):
    """One demo instrument. Prices, ticks and lots are decimal strings.

    `volatility` is per year of 365 days, `beta` how far it follows the market's common move,
    `spread_ticks` the usual width, `size_lots` the usual quantity at the best price.
    """

    symbol: str
    name: str
    asset_class: str
    sector: str
    price: str
    lot_size: str
    volatility: float
    beta: float
    spread_ticks: float
    size_lots: int


PROFILES: dict[str, Profile] = {
    profile.symbol: profile
    for profile in (
        Profile("AAPL", "Apple", "equity", "Information Technology", "230", "1", 0.28, 1.1, 2, 300),
        Profile("MSFT", "Microsoft", "equity", "Information Technology", "420", "1", 0.25, 1.0, 4, 150),
        Profile("NVDA", "NVIDIA", "equity", "Information Technology", "140", "1", 0.50, 1.7, 1, 800),
        Profile("AMZN", "Amazon", "equity", "Consumer Discretionary", "200", "1", 0.32, 1.2, 2, 250),
        Profile("GOOGL", "Alphabet", "equity", "Communication Services", "175", "1", 0.30, 1.1, 2, 300),
        Profile("META", "Meta Platforms", "equity", "Communication Services", "560", "1", 0.36, 1.3, 8, 100),
        Profile("TSLA", "Tesla", "equity", "Consumer Discretionary", "340", "1", 0.60, 1.8, 5, 200),
        Profile("JPM", "JPMorgan Chase", "equity", "Financials", "245", "1", 0.22, 0.9, 3, 150),
        Profile("XOM", "Exxon Mobil", "equity", "Energy", "118", "1", 0.24, 0.6, 1, 400),
        Profile("BTC-USD", "Bitcoin", "crypto", "", "95000", "0.0001", 0.55, 1.0, 150, 5_000),
        Profile("ETH-USD", "Ether", "crypto", "", "3300", "0.001", 0.70, 1.3, 20, 8_000),
        Profile("SOL-USD", "Solana", "crypto", "", "240", "0.01", 0.90, 1.5, 4, 10_000),
    )
}

_EQUITY_TICKS = (("0", "0.0001"), ("1", "0.01"))
_CRYPTO_TICKS = (("0", "0.01"),)
_BAND_BPS = {"equity": 1000, "crypto": 1500}
# The demo quotes each symbol every fraction of a second; ten seconds of silence means the feed is gone.
_MAX_QUOTE_AGE_MS = 10_000


def demo_instruments(partitions: int) -> dict[str, Instrument]:
    """Reference data of the demo's instruments by symbol, their lanes spread evenly over `partitions`."""
    return {
        profile.symbol: _instrument(profile, lane=i % partitions)
        for i, profile in enumerate(PROFILES.values())
    }


def _instrument(profile: Profile, lane: int) -> Instrument:
    steps = _EQUITY_TICKS if profile.asset_class == "equity" else _CRYPTO_TICKS
    fields = {
        "symbol": profile.symbol,
        "name": profile.name,
        "asset_class": profile.asset_class,
        "currency": "USD",
        "ticks": [TickStep(from_price=parse_e8(low), tick_size=parse_e8(tick)) for low, tick in steps],
        "lot_size": parse_e8(profile.lot_size),
        "multiplier": parse_e8("1"),
        "sector": profile.sector,
        "status": "active",
        "lane": lane,
        "band_bps": _BAND_BPS[profile.asset_class],
        "max_quote_age_ms": _MAX_QUOTE_AGE_MS,
        "at_us": 0,
    }
    return cast(Instrument, {**defaults("Instrument"), **fields})


def tick_at(ticks: list[TickStep], price_e8: int) -> int:
    """Tick size of a tick table at a price."""
    tick_e8 = ticks[0]["tick_size"]
    for step in ticks:
        if step["from_price"] > price_e8:
            break
        tick_e8 = step["tick_size"]
    return tick_e8
