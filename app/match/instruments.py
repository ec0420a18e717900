"""The instruments file: the rules of each symbol, JSON lines or CSV, names as in the record Instrument."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from app.files import BadLine, RowFile
from schemas.numbers import MAX_E8, ONE, parse_e8
from tables.instrument_rules import Allocation, InstrumentRules, Prevention

_PREVENTIONS = ("none", "cancel_newest", "cancel_oldest", "cancel_both", "decrement")
# Fields of the record Instrument that matching has no use for.
_OTHERS = ("name", "asset_class", "currency", "multiplier", "sector", "status", "lane", "at_us")
_BPS_MAX = 1_000_000


class MatchInstrument(NamedTuple):
    """What matching must know of an instrument, and what risk."""

    rules: InstrumentRules
    band_bps: int
    max_quote_age_ms: int

    def message(self) -> dict[str, Any]:
        """Its record Instrument, as far as risk asks for it."""
        rules = self.rules
        return {
            "symbol": rules.symbol,
            "currency": "-",
            "ticks": [{"from_price": begin, "tick_size": tick} for begin, tick in rules.ticks],
            "lot_size": 1 if rules.odd_lots else rules.lot_size,
            "multiplier": ONE,
            "status": "active",
            "lane": None,
            "band_bps": self.band_bps,
            "max_quote_age_ms": self.max_quote_age_ms,
        }


def read_instruments(path: Path) -> dict[str, MatchInstrument]:
    """Every instrument of a file by symbol. Raises BadLine at the first line that makes no sense."""
    found: dict[str, MatchInstrument] = {}
    rows = RowFile(path)
    for row in rows:
        if isinstance(row, BadLine):
            raise row
        fields = _Fields(str(path), row.line, row.values)
        instrument = _instrument(fields)
        if instrument.rules.symbol in found:
            raise fields.bad("symbol", f"{instrument.rules.symbol} is there twice")
        found[instrument.rules.symbol] = instrument
    rows.close()
    if not found:
        raise BadLine(str(path), 1, "", "holds no instrument")
    return found


class _Fields:
    """The fields of a line; all that are not taken were not understood."""

    def __init__(self, path: str, line: int, values: Mapping[str, Any]) -> None:
        self._path, self._line = path, line
        self._values = {name: value for name, value in values.items() if value not in (None, "")}
        for name in _OTHERS:
            self._values.pop(name, None)

    def bad(self, field: str, text: str) -> BadLine:
        """What is wrong with a field."""
        return BadLine(self._path, self._line, field, text)

    def take(self, name: str, default: Any = None) -> Any:
        """A value as it is; each once."""
        return self._values.pop(name, default)

    def decimal(self, name: str, default: int, least: int = 0) -> int:
        """A decimal as an integer scaled by 10^8."""
        value = self.take(name)
        return default if value is None else self.e8(name, value, least)

    def e8(self, name: str, value: Any, least: int) -> int:
        """One decimal."""
        try:
            value_e8 = parse_e8(str(value))
        except ValueError as error:
            raise self.bad(name, str(error)) from None
        if not least <= value_e8 <= MAX_E8:
            raise self.bad(
                name, f"must be {'above' if least else 'at least'} 0 and not beyond {MAX_E8 // ONE}"
            )
        return value_e8

    def word(self, name: str, words: tuple[str, ...]) -> str:
        """One of some words; the first where it is absent."""
        value = self.take(name, words[0])
        if value not in words:
            raise self.bad(name, f"must be one of {', '.join(words)}, not {value!r}")
        return str(value)

    def flag(self, name: str) -> bool:
        """True or false."""
        value = self.take(name, False)
        if value not in (True, False, "true", "false"):
            raise self.bad(name, f"must be true or false, not {value!r}")
        return value in (True, "true")

    def whole(self, name: str, most: int) -> int:
        """A whole number; 0 where it is absent."""
        value = str(self.take(name, 0))
        if not (value.isascii() and value.isdigit() and int(value) <= most):
            raise self.bad(name, f"must be a whole number up to {most}, not {value!r}")
        return int(value)

    def end(self) -> None:
        """Refuses what is left over."""
        for name in self._values:
            raise self.bad(name, "is no field of an instrument")


def _instrument(fields: _Fields) -> MatchInstrument:
    symbol = fields.take("symbol")
    if not isinstance(symbol, str):
        raise fields.bad("symbol", "is missing")
    instrument = MatchInstrument(
        rules=InstrumentRules(
            symbol=symbol,
            ticks=_ticks(fields),
            lot_size=fields.decimal("lot_size", 1, least=1),
            odd_lots=fields.flag("odd_lots"),
            min_price=fields.decimal("min_price", 0),
            max_price=fields.decimal("max_price", 0),
            stp=cast(Prevention, fields.word("stp", _PREVENTIONS)),
            allocation=cast(Allocation, fields.word("allocation", ("price_time", "pro_rata"))),
            pro_rata_min=fields.decimal("pro_rata_min", 0),
            top_order=fields.flag("top_order"),
            static_collar_bps=fields.whole("static_collar_bps", _BPS_MAX),
            dynamic_collar_bps=fields.whole("dynamic_collar_bps", _BPS_MAX),
        ),
        band_bps=fields.whole("band_bps", _BPS_MAX),
        max_quote_age_ms=fields.whole("max_quote_age_ms", 7 * 86_400_000),
    )
    fields.end()
    return instrument


def _ticks(fields: _Fields) -> tuple[tuple[int, int], ...]:
    """`tick_size` for all prices, or `ticks`: [{"from_price": "0", "tick_size": "0.01"}, ...]."""
    steps = fields.take("ticks")
    if steps is None:
        return ((0, fields.decimal("tick_size", 1, least=1)),)
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise fields.bad("ticks", "must be a list of objects with from_price and tick_size")
    ticks = tuple(
        (fields.e8("ticks", step.get("from_price"), 0), fields.e8("ticks", step.get("tick_size"), 1))
        for step in steps
    )
    begins = [begin for begin, _ in ticks]
    if begins[:1] != [0] or begins != sorted(set(begins)):
        raise fields.bad("ticks", "must begin at from_price 0 and go up")
    return ticks
