"""Risk: at which price and size one may trade, held against the latest quote.

The checks of a cleared order or replace, in this order; the first that fails is the reason:

1. instrument known, then open (not halted, not closed)
2. quantity a multiple of the lot, unless odd lots are taken (a replace that leaves the quantity: not asked)
3. stop price, then limit price on tick (protection prices and what a replace leaves: not asked)
4. with a band: a quote, not older than the instrument allows, and the price within the band on both
   sides of the reference price. The protection price of a market or market-to-limit order is held against
   the band too: keep market_protection_bps within the bands. Orders that wait for a trigger are not: they
   are meant for another price than today's, and their limit or protection bounds them when it comes.

Cancels and status requests always pass. A quote passes on to matching while its market needs quotes (the
symbol is `watched`); the latest one goes ahead of what may begin that: an order that looks at quotes, a
change of session, an uncross. The reference price is the mid of bid and ask, else the last trade. A quote
that makes none (negative, crossed, one side only) or is of an unknown symbol is left out as if it had not
come, and counted. A quote's age is the cycle's time less the log's time of it.
"""

from collections.abc import Iterator, Mapping, Set
from heapq import heappop, heappush
from typing import Any, get_args

from schemas.ids import DAY_US, printable
from schemas.messages import Session
from schemas.numbers import MAX_E8, format_e8
from schemas.reasons import Reason
from schemas.records import Record, Row, Said
from tables.changes import Changes
from tables.controls import ControlIds, Refusal, control_report, malformed_id
from tables.instructions import MARKET_LIKE, QUOTED, TRIGGERED
from tables.quotes import OWN, SymbolRisk, reference_price_e8
from tables.reference import Instrument, Instruments
from tables.risk_answers import rejected, replace_rejected

Message = Mapping[str, Any]

BPS = 10_000
PUBLISH_EVERY_US = 1_000_000
# A band or age beyond these is a slip of the keyboard.
BAND_BPS_MAX = 1_000_000
QUOTE_AGE_MS_MAX = 7 * 86_400_000
_SESSIONS = get_args(Session)[1:]


class Risk:
    """Quotes, trading states and bands of a lane's symbols."""

    def __init__(self, lane: int, instruments: Instruments, window_us: int = DAY_US) -> None:
        self.lane = lane
        self.quotes_ignored = 0
        self._instruments = instruments
        self._changes = Changes()
        self._control_ids = ControlIds(self._changes, window_us)
        self._symbols: dict[str, SymbolRisk] = {}
        self._due: list[tuple[int, str]] = []
        # Symbols whose markets need every quote; matching's own, once they have met.
        self.watched: Set[str] = frozenset()
        # What must go to matching ahead of the record that passes on now.
        self.ahead: list[Record] = []
        self._apply = {
            "Quote": self._quote,
            "ClearedOrder": self._order,
            "ClearedReplace": self._replace,
            "ClearedCancel": _pass_on,
            "ClearedStatusRequest": _pass_on,
            "SetSymbolState": self._control,
            "SetPriceBand": self._control,
            "CancelSymbol": self._control,
            "ExpireDay": self._control,
            "SetSession": self._control,
            "Uncross": self._control,
            "SetTradingBand": self._control,
        }

    def apply(self, record: Record, at_us: int) -> list[Said] | None:
        """Takes a quote, a cleared request or a symbol's control.

        None: the record passes on to matching, which answers it; else what is said instead.
        """
        return self._apply[record.kind](record, at_us)

    def end_cycle(self, at_us: int) -> list[Said]:
        """Reference prices that changed, of each symbol at most one a second; forgets old control ids."""
        self._control_ids.forget_old()
        said: list[Said] = []
        while self._due and self._due[0][0] <= at_us:
            risk = self._symbols[heappop(self._due)[1]]
            risk.due = False
            if risk.price_e8 != risk.published_e8:
                said.append(risk.publish(at_us))
                self._changes.touch(risk)
        return said

    def _symbol(self, symbol: str) -> SymbolRisk:
        risk = self._symbols.get(symbol)
        if risk is None:
            risk = self._symbols[symbol] = SymbolRisk(symbol)
        return risk

    def _quote(self, record: Record, at_us: int) -> list[Said] | None:
        quote = record.message
        bid_e8, ask_e8, last_e8 = quote["bid"], quote["ask"], quote["last"]
        price_e8 = reference_price_e8(bid_e8, ask_e8, last_e8)
        if not price_e8 or self._instruments.get(quote["symbol"]) is None:
            self.quotes_ignored += 1
            return []
        risk = self._symbol(quote["symbol"])
        risk.bid_e8, risk.ask_e8, risk.last_e8 = bid_e8, ask_e8, last_e8
        risk.price_e8 = price_e8
        risk.quoted_us = record.logged_us
        self._changes.touch(risk)
        self._schedule(risk)
        return None if risk.symbol in self.watched else []

    def _send_quote_ahead(self, symbol: str) -> None:
        """Has matching hear the latest quote before a record that makes its market need quotes."""
        risk = self._symbols.get(symbol)
        if symbol in self.watched or risk is None or not risk.price_e8:
            return
        quote = {"symbol": symbol, "bid": risk.bid_e8, "ask": risk.ask_e8, "last": risk.last_e8}
        self.ahead.append(Record("Quote", quote, -1, risk.quoted_us))

    def _schedule(self, risk: SymbolRisk) -> None:
        """Has a changed reference price published once its second has passed."""
        if not risk.due and risk.price_e8 != risk.published_e8:
            risk.due = True
            heappush(self._due, (risk.reference_us + PUBLISH_EVERY_US, risk.symbol))

    def _order(self, record: Record, at_us: int) -> list[Said] | None:
        order = record.message
        instructions = order.get("instructions")
        refusal = self._refuse(order, 0 if instructions is None else instructions["stop_price"], at_us)
        if refusal is not None:
            return rejected(order, refusal, at_us)
        if order["order_type"] in QUOTED or self._has_collar(order["symbol"]):
            self._send_quote_ahead(order["symbol"])
        return None

    def _has_collar(self, symbol: str) -> bool:
        instrument = self._instruments.get(symbol)
        return instrument is not None and instrument.rules.dynamic_collar_bps != 0

    def _replace(self, record: Record, at_us: int) -> list[Said] | None:
        replace = record.message
        changes = replace.get("changes")
        refusal = self._refuse(replace, (changes and changes["stop_price"]) or 0, at_us)
        return None if refusal is None else replace_rejected(replace, refusal, at_us)

    def _refuse(self, request: Message, stop_price_e8: int, at_us: int) -> Refusal | None:
        """Why a cleared order or replace may not trade; quantity and prices of 0 are left as they were."""
        symbol, price_e8 = request["symbol"], request["limit_price"]
        instrument = self._instruments.get(symbol)
        if instrument is None:
            return Refusal("RISK_UNKNOWN_SYMBOL", f"symbol={symbol}")
        risk = self._symbol(symbol)
        if risk.state != "open":
            return Refusal("RISK_HALTED" if risk.state == "halted" else "RISK_CLOSED", f"state={risk.state}")
        lot_e8 = instrument.lot_size_e8
        if request["quantity"] % lot_e8 and not instrument.rules.odd_lots:
            return _off("RISK_OFF_LOT", "lot_size", lot_e8, request["quantity"])
        order_type = request["order_type"]
        own_e8 = 0 if order_type in MARKET_LIKE else price_e8
        for asked_e8 in (stop_price_e8, own_e8):
            if asked_e8 and not instrument.on_tick(asked_e8):
                return _off("RISK_OFF_TICK", "tick_size", instrument.tick_at(asked_e8), asked_e8)
        if not price_e8 or order_type in TRIGGERED:
            return None
        return _refuse_price(risk, instrument, price_e8, at_us)

    def _control(self, record: Record, at_us: int) -> list[Said] | None:
        """Applies a valid control of a symbol and passes it on; matching has its part to do, and reports."""
        refusal = self._refuse_control(record)
        if refusal is not None:
            return [control_report(record, at_us, refusal)]
        message = record.message
        symbol = message["symbol"]
        if record.kind == "SetSymbolState":
            self._symbol(symbol).state = message["state"]
        elif record.kind == "SetPriceBand":
            risk = self._symbol(symbol)
            risk.band_bps, risk.max_quote_age_ms = message["band_bps"], message["max_quote_age_ms"]
        elif record.kind in ("SetSession", "Uncross"):
            self._send_quote_ahead(symbol)
        self._changes.touch(self._symbol(symbol))
        self._control_ids.add(symbol, message["control_id"], at_us)
        return None

    def _refuse_control(self, record: Record) -> Refusal | None:
        message = record.message
        symbol, control_id = message["symbol"], message["control_id"]
        wrong = malformed_id(control_id) or _malformed(record.kind, message)
        if wrong:
            return Refusal("RISK_INVALID_CONTROL", wrong)
        if self._instruments.get(symbol) is None:
            return Refusal("RISK_UNKNOWN_SYMBOL", f"symbol={printable(symbol)}")
        if self._control_ids.repeats(symbol, control_id, record.logged_us):
            return Refusal("RISK_DUPLICATE_CONTROL", f"control_id={control_id}")
        return None

    def changed_rows(self) -> Iterator[Row]:
        """Rows changed since the last call, of a key the last one counts; read whole, after `end_cycle`."""
        return self._changes.rows()

    def restore(self, kind: str, row: Message) -> None:
        """Takes one live row of the changelog, in any order."""
        if kind == "RiskRow":
            self._symbols[row["symbol"]] = SymbolRisk.from_row(row)
        else:
            self._control_ids.restore(row)

    def restored(self) -> None:
        """Ends the restoring: prices that were waiting to be published wait again."""
        for risk in self._symbols.values():
            self._schedule(risk)


def _pass_on(record: Record, at_us: int) -> None:
    return None


def _malformed(kind: str, message: Message) -> str:
    """What is wrong with the values of a control, empty when nothing is."""
    if kind == "SetSymbolState" and message["state"] not in ("open", "halted", "closed"):
        return f"state must be open, halted or closed, not {message['state']}"
    if kind == "SetPriceBand":
        for field, most in (("band_bps", BAND_BPS_MAX), ("max_quote_age_ms", QUOTE_AGE_MS_MAX)):
            if not OWN <= message[field] <= most:
                return f"{field} must be {OWN} (the instrument's own) to {most}, not {message[field]}"
    if kind == "SetSession" and message["session"] not in _SESSIONS:
        return f"session must be one of {', '.join(_SESSIONS)}, not {message['session']}"
    return _malformed_band(message) if kind == "SetTradingBand" else ""


def _malformed_band(message: Message) -> str:
    low_e8, high_e8 = message["low"], message["high"]
    for field, value_e8 in (("low", low_e8), ("high", high_e8)):
        if not 0 <= value_e8 <= MAX_E8:
            return f"{field} must be 0 (none) to {format_e8(MAX_E8)}"
    if high_e8 and high_e8 < low_e8:
        return f"high must be 0 (none) or at least low, not low={format_e8(low_e8)} high={format_e8(high_e8)}"
    return ""


def _off(reason: Reason, name: str, step_e8: int, asked_e8: int) -> Refusal:
    return Refusal(reason, f"{name}={format_e8(step_e8)} asked={format_e8(asked_e8)}")


def _refuse_price(risk: SymbolRisk, instrument: Instrument, price_e8: int, at_us: int) -> Refusal | None:
    """Refuses a price outside the band, and any price while there is no good quote to hold it against."""
    band_bps = instrument.band_bps if risk.band_bps == OWN else risk.band_bps
    if not band_bps:
        return None
    reference_e8 = risk.price_e8
    if not reference_e8:
        return Refusal("RISK_NO_QUOTE", f"symbol={risk.symbol}")
    age_ms_max = instrument.max_quote_age_ms if risk.max_quote_age_ms == OWN else risk.max_quote_age_ms
    age_us = at_us - risk.quoted_us
    if age_ms_max and age_us > age_ms_max * 1000:
        return Refusal("RISK_STALE_QUOTE", f"age_ms={age_us // 1000} max_ms={age_ms_max}")
    if abs(price_e8 - reference_e8) * BPS <= reference_e8 * band_bps:
        return None
    low_e8 = max(0, -(-reference_e8 * (BPS - band_bps) // BPS))
    high_e8 = reference_e8 * (BPS + band_bps) // BPS
    text = f"low={format_e8(low_e8)} high={format_e8(high_e8)} asked={format_e8(price_e8)}"
    return Refusal("RISK_PRICE_BAND", text)
