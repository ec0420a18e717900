"""Reference data: the instruments, and the price that limits and reservations use for each.

Both are read whole from compacted topics by every worker and shared by its lanes. What was said of
an instrument may change, but for three things that live orders and topics hang on: its currency,
multiplier and lane.
"""

from bisect import bisect_right
from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Any, get_args

from schemas.ids import valid_client_order_id
from schemas.messages import InstrumentStatus
from schemas.numbers import MAX_E8, format_e8
from schemas.partitioning import lane_of
from tables.instrument_rules import Allocation, InstrumentRules, Prevention

_FIXED = ("currency", "multiplier_e8", "lane")


class Instrument:
    """One instrument, compiled from its message; numbers scaled by 10^8.

    `ticks` is a tuple of (from_price_e8, tick_size_e8) from the lowest price up. Raises ValueError
    naming the field when the message makes no sense.
    """

    __slots__ = (
        "_froms",
        "_tick_e8",
        "band_bps",
        "currency",
        "lane",
        "lot_size_e8",
        "max_quote_age_ms",
        "multiplier_e8",
        "rules",
        "status",
        "symbol",
        "ticks",
    )

    def __init__(self, message: Mapping[str, Any]) -> None:
        self.symbol: str = message["symbol"]
        self.currency: str = message["currency"]
        self.ticks = tuple((step["from_price"], step["tick_size"]) for step in message["ticks"])
        self.lot_size_e8: int = message["lot_size"]
        self.multiplier_e8: int = message["multiplier"]
        self.status: InstrumentStatus = message["status"]
        self.lane: int | None = message["lane"]
        self.band_bps: int = message["band_bps"]
        self.max_quote_age_ms: int = message["max_quote_age_ms"]
        self.rules = _rules(message, self.ticks)
        self._refuse_nonsense()
        self._froms = [from_price_e8 for from_price_e8, _ in self.ticks]
        # Most tick tables have one step: asked without a search.
        self._tick_e8 = self.ticks[0][1] if len(self.ticks) == 1 else 0

    def _refuse_nonsense(self) -> None:
        for field, text in (("symbol", self.symbol), ("currency", self.currency)):
            if not valid_client_order_id(text) or "|" in text:
                raise ValueError(
                    f"{field} must be 1 to 64 printable ASCII characters without |, not {text!r}"
                )
        for field, value_e8 in (("lot_size", self.lot_size_e8), ("multiplier", self.multiplier_e8)):
            if not 0 < value_e8 <= MAX_E8:
                raise ValueError(
                    f"{field} of {self.symbol} must be above 0 and at most {format_e8(MAX_E8)}, "
                    f"not {format_e8(value_e8)}"
                )
        if self.status not in ("active", "delisted"):
            raise ValueError(f"status of {self.symbol} must be active or delisted, not {self.status}")
        for field, number in (
            ("lane", self.lane or 0),
            ("band_bps", self.band_bps),
            ("max_quote_age_ms", self.max_quote_age_ms),
        ):
            if number < 0:
                raise ValueError(f"{field} of {self.symbol} must be 0 or more, not {number}")
        self._refuse_ticks()
        self._refuse_rules()

    def _refuse_rules(self) -> None:
        rules = self.rules
        for field, value_e8 in (
            ("min_price", rules.min_price),
            ("max_price", rules.max_price),
            ("pro_rata_min", rules.pro_rata_min),
        ):
            if not 0 <= value_e8 <= MAX_E8:
                text = f"0 (none) to {format_e8(MAX_E8)}, not {format_e8(value_e8)}"
                raise ValueError(f"{field} of {self.symbol} must be {text}")
        if rules.max_price and rules.max_price < rules.min_price:
            raise ValueError(f"max_price of {self.symbol} must be 0 (none) or at least min_price")
        for field, chosen, offered in (
            ("stp", rules.stp, get_args(Prevention)),
            ("allocation", rules.allocation, get_args(Allocation)),
        ):
            if chosen not in offered:
                raise ValueError(
                    f"{field} of {self.symbol} must be one of {', '.join(offered)}, not {chosen}"
                )
        for field, number in (
            ("static_collar_bps", rules.static_collar_bps),
            ("dynamic_collar_bps", rules.dynamic_collar_bps),
        ):
            if number < 0:
                raise ValueError(f"{field} of {self.symbol} must be 0 (none) or more, not {number}")

    def _refuse_ticks(self) -> None:
        if not self.ticks or self.ticks[0][0] != 0:
            raise ValueError(f"ticks of {self.symbol} must begin with a step from_price 0")
        below_e8 = -1
        for from_price_e8, tick_e8 in self.ticks:
            if not below_e8 < from_price_e8 <= MAX_E8 or not 0 < tick_e8 <= MAX_E8:
                raise ValueError(
                    f"ticks of {self.symbol} must rise in from_price and have a tick_size above 0, not "
                    f"from_price {format_e8(from_price_e8)} tick_size {format_e8(tick_e8)}"
                )
            below_e8 = from_price_e8

    def tick_at(self, price_e8: int) -> int:
        """Tick size, scaled by 10^8, that holds at a price."""
        return self._tick_e8 or self.ticks[bisect_right(self._froms, price_e8) - 1][1]

    def on_tick(self, price_e8: int) -> bool:
        """Whether a price above 0 is a multiple of the tick size that holds at it."""
        return price_e8 % (self._tick_e8 or self.tick_at(price_e8)) == 0


def _rules(message: Mapping[str, Any], ticks: tuple[tuple[int, int], ...]) -> InstrumentRules:
    """What matching must know of an instrument; fields that are not given are not used."""
    names = [field.name for field in fields(InstrumentRules) if field.name not in ("symbol", "ticks")]
    given = {name: message[name] for name in names if name in message}
    if given.get("stp") == "unset":
        given["stp"] = "none"
    return InstrumentRules(message["symbol"], ticks, **given)


class Instruments:
    """Every instrument by symbol."""

    def __init__(self) -> None:
        self._by_symbol: dict[str, Instrument] = {}
        self._currencies: set[str] = set()

    def put(self, message: Mapping[str, Any]) -> Instrument:
        """Adds or changes an instrument from its message.

        Raises ValueError naming the field when a value makes no sense, when a fixed one would change, or
        when the symbol is also a currency: positions name both in one field.
        """
        instrument = Instrument(message)
        symbol, currency = instrument.symbol, instrument.currency
        known = self._by_symbol.get(symbol)
        for field in _FIXED if known is not None else ():
            if getattr(known, field) != getattr(instrument, field):
                raise ValueError(
                    f"{field.removesuffix('_e8')} of {symbol} cannot change once set; use a new symbol"
                )
        if symbol == currency or symbol in self._currencies or currency in self._by_symbol:
            raise ValueError(
                f"{symbol} or {currency} names both an instrument and a currency (symbol, currency)"
            )
        self._by_symbol[symbol] = instrument
        self._currencies.add(currency)
        return instrument

    def get(self, symbol: str) -> Instrument | None:
        """The instrument of a symbol, None where there is none."""
        return self._by_symbol.get(symbol)

    def all(self) -> Collection[Instrument]:
        """Every instrument, in the order they became known."""
        return self._by_symbol.values()

    def lane_of_symbol(self, symbol: str, partitions: int) -> int:
        """Partition of a symbol's topics among `partitions`.

        The instrument's own lane where it has one that exists; else, and for symbols unknown, murmur2.
        """
        instrument = self._by_symbol.get(symbol)
        if instrument is None or instrument.lane is None or instrument.lane >= partitions:
            return lane_of(symbol, partitions)
        return instrument.lane


class ReferencePrices:
    """Latest reference price of every symbol."""

    def __init__(self) -> None:
        self._by_symbol: dict[str, int] = {}

    def put(self, message: Mapping[str, Any]) -> None:
        """Takes a ReferencePrice message; raises ValueError for a price that is none."""
        price_e8 = message["price"]
        if not 0 < price_e8 <= MAX_E8:
            raise ValueError(
                f"price of {message['symbol']!r} must be above 0 and at most {format_e8(MAX_E8)}, "
                f"not {format_e8(price_e8)}"
            )
        self._by_symbol[message["symbol"]] = price_e8

    def get(self, symbol: str) -> int | None:
        """Reference price of a symbol scaled by 10^8, None where there is none."""
        return self._by_symbol.get(symbol)
