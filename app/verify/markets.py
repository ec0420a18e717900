"""What verifying must know of instruments: lane, currency and multiplier, none of which may change."""

from typing import NamedTuple

from app.verify.records import Message
from schemas.numbers import ONE
from schemas.partitioning import lane_of


class Market(NamedTuple):
    """The fixed facts of an instrument."""

    lane: int | None
    currency: str
    multiplier_e8: int


class Markets:
    """Instruments by symbol, for `partitions` lanes."""

    def __init__(self, partitions: int) -> None:
        self.partitions = partitions
        self._markets: dict[str, Market] = {}

    def take(self, message: Message) -> None:
        """Takes an Instrument; of one that changed, its fixed facts as first said."""
        market = Market(message["lane"], message["currency"], message["multiplier"])
        self._markets.setdefault(message["symbol"], market)

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
