"""A model of top-of-book quotes: seeded, correlated, with jumps, and always on tick and uncrossed.

Each symbol's price is a geometric Brownian motion driven by the market's common factor (times the
symbol's beta) and its own noise, with a jump now and then; its spread is a mean-reverting number of
ticks. Floats live here only: what leaves is scaled integers. The same seed, symbols and rate give the
same quotes, but for their times.
"""

import math
from collections.abc import Iterable
from random import Random

from app.market.demo_instruments import Profile, tick_at
from schemas.messages import Instrument, Quote
from schemas.numbers import parse_e8

_YEAR_S = 365 * 86_400.0
# Of the market as a whole: index volatility of a calm year.
_COMMON_VOLATILITY = 0.15
# A symbol jumps about once in ten minutes, by some tenths of a per cent.
_JUMPS_PER_S = 1 / 600
_JUMP_SIZE = 0.002
_SPREAD_REVERSION = 0.1
_SPREAD_NOISE = 0.35
_TRADED_SHARE = 0.2
VENUE = "generator"


class _Walk:
    """One symbol's state: its log price against the start, its spread, its last trade."""

    def __init__(self, instrument: Instrument, profile: Profile, start_e8: int) -> None:
        self.symbol = instrument["symbol"]
        self.ticks = instrument["ticks"]
        self.lot_e8 = instrument["lot_size"]
        self.start_e8 = start_e8
        self.beta = profile.beta
        common = profile.beta * _COMMON_VOLATILITY
        self.own_volatility = math.sqrt(max(profile.volatility**2 - common**2, 0.01**2))
        self.spread_mean = profile.spread_ticks
        self.size_lots = profile.size_lots
        self.own = 0.0
        self.spread = 0.0
        self.moved_at = 0
        self.last_e8 = 0
        self.last_size_e8 = 0


class Market:
    """Quotes of several symbols, one after the other, `rate` of them in a second of market time."""

    def __init__(
        self,
        instruments: Iterable[Instrument],
        profiles: dict[str, Profile],
        *,
        seed: int,
        rate: float,
        start_e8: dict[str, int] | None = None,
    ) -> None:
        """`start_e8` gives start prices where they differ from the profile's."""
        self._random = Random(seed)
        starts = start_e8 or {}
        self._walks = [
            _Walk(instrument, profile, starts.get(profile.symbol) or parse_e8(profile.price))
            for instrument in instruments
            for profile in (profiles[instrument["symbol"]],)
        ]
        step_years = 1 / rate / _YEAR_S
        self._common_step = _COMMON_VOLATILITY * math.sqrt(step_years)
        self._own_step = math.sqrt(step_years)
        self._jump_chance = _JUMPS_PER_S / rate
        self._common = 0.0
        self._count = 0

    def next_quote(self, at_us: int) -> Quote:
        """The next symbol's quote, dated `at_us`."""
        random = self._random
        self._count += 1
        self._common += self._common_step * random.gauss(0.0, 1.0)
        walk = self._walks[int(random.random() * len(self._walks))]
        self._move(walk)
        bid_e8, ask_e8 = self._prices(walk)
        if random.random() < _TRADED_SHARE:
            walk.last_e8 = bid_e8 if random.random() < 0.5 else ask_e8
            walk.last_size_e8 = self._size(walk)
        return {
            "symbol": walk.symbol,
            "bid": bid_e8,
            "bid_size": self._size(walk),
            "ask": ask_e8,
            "ask_size": self._size(walk),
            "last": walk.last_e8,
            "last_size": walk.last_size_e8,
            "venue": VENUE,
            "at_us": at_us,
        }

    def _move(self, walk: _Walk) -> None:
        """Lets the symbol's own noise catch up with the steps since its last quote."""
        random = self._random
        steps = self._count - walk.moved_at
        walk.moved_at = self._count
        walk.own += walk.own_volatility * self._own_step * math.sqrt(steps) * random.gauss(0.0, 1.0)
        if random.random() < self._jump_chance * steps:
            walk.own += random.gauss(0.0, _JUMP_SIZE)
        walk.spread += _SPREAD_NOISE * random.gauss(0.0, 1.0) - _SPREAD_REVERSION * walk.spread

    def _prices(self, walk: _Walk) -> tuple[int, int]:
        """Bid and ask on tick, at least one tick apart."""
        mid = walk.start_e8 * math.exp(walk.beta * self._common + walk.own)
        tick_e8 = tick_at(walk.ticks, int(mid))
        width_e8 = max(1, round(walk.spread_mean * math.exp(walk.spread * 0.5))) * tick_e8
        low_e8 = max(int(mid - width_e8 / 2), tick_e8)
        tick_e8 = tick_at(walk.ticks, low_e8)
        bid_e8 = low_e8 // tick_e8 * tick_e8
        ask_e8 = bid_e8 + width_e8
        tick_e8 = tick_at(walk.ticks, ask_e8)
        return bid_e8, -(-ask_e8 // tick_e8) * tick_e8

    def _size(self, walk: _Walk) -> int:
        """A quantity in whole lots, from a tenth of the usual to about ten times as much."""
        lots = walk.size_lots * 0.1 / (self._random.random() * 0.99 + 0.01)
        return max(1, int(lots)) * walk.lot_e8
