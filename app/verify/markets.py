"""What verifying must know of instruments: what is fixed, and what was in force at which time.

Lane, currency and multiplier never change. Ticks, lot, status, band and quote age may; every state that
the topic still has is kept with the log's time of it. The topic is compacted: what held before the oldest
state that is left cannot be known, and is not judged.
"""

from collections import defaultdict
from typing import NamedTuple

from app.verify.book import MarketRules
from app.verify.records import Message, Seen
from schemas.numbers import ONE
from schemas.partitioning import lane_of

# Workers follow reference data beside their lanes: one may be so far behind.
FOLLOWED_WITHIN_US = 10_000_000


class Terms(NamedTuple):
    """What may change of an instrument, from a time on; ticks as (from_price, tick_size), lowest first."""

    from_us: int
    status: str
    lot_e8: int
    ticks: tuple[tuple[int, int], ...]
    band_bps: int
    max_quote_age_ms: int
    odd_lots: bool

    def tick_e8(self, price_e8: int) -> int:
        """Tick size that holds at a price; 0 where the table has none."""
        return next((size for start, size in reversed(self.ticks) if start <= price_e8), 0)


class Market(NamedTuple):
    """The fixed facts of an instrument, and its terms in the order in which they came."""

    lane: int | None
    currency: str
    multiplier_e8: int
    terms: list[Terms]


class Markets:
    """Instruments by symbol, for `partitions` lanes."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self._markets: dict[str, Market] = {}
        self._rules: defaultdict[str, MarketRules] = defaultdict(MarketRules)

    def take(self, seen: Seen) -> None:
        """Takes an Instrument; of one that changed, its fixed facts as first said."""
        message = seen.message
        market = self._markets.get(message["symbol"])
        if market is None:
            market = Market(message["lane"], message["currency"], message["multiplier"], [])
            self._markets[message["symbol"]] = market
        market.terms.append(_terms(seen.timestamp_us, message))
        self._rules[message["symbol"]].take(message)

    def terms(self, symbol: str, at_us: int, skew_us: int) -> list[Terms] | None:
        """Terms of which a worker used one at a time; none of a symbol that is unknown, None: long gone."""
        market = self._markets.get(symbol)
        if market is None:
            return []
        known, late_us = market.terms, at_us + skew_us
        first = max(
            (n for n, each in enumerate(known) if each.from_us <= at_us - FOLLOWED_WITHIN_US), default=0
        )
        return [each for each in known[first:] if each.from_us <= late_us] or None

    def rules(self, symbol: str) -> MarketRules:
        """The rules by which a symbol is matched, as they were said last."""
        return self._rules[symbol]

    def lanes(self, symbol: str) -> set[int]:
        """Lanes in which a record of the symbol is right: its own; before it was known, murmur2's."""
        market = self._markets.get(symbol)
        plain = lane_of(symbol, self.partitions)
        if market is None or market.lane is None or market.lane >= self.partitions:
            return {plain}
        return {plain, market.lane}

    def currency(self, symbol: str) -> str:
        """Currency of a symbol; empty when it is unknown."""
        market = self._markets.get(symbol)
        return "" if market is None else market.currency

    def notional_e8(self, symbol: str, price_e8: int, quantity_e8: int) -> int:
        """Price x quantity x multiplier, rounded down to 10^-8."""
        market = self._markets.get(symbol)
        multiplier_e8 = ONE if market is None else market.multiplier_e8
        return price_e8 * quantity_e8 * multiplier_e8 // (ONE * ONE)


def _terms(from_us: int, message: Message) -> Terms:
    ticks = tuple(sorted((step["from_price"], step["tick_size"]) for step in message["ticks"]))
    return Terms(
        from_us,
        message["status"],
        message["lot_size"],
        ticks,
        message["band_bps"],
        message["max_quote_age_ms"],
        message.get("odd_lots", False),
    )
