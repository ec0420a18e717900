"""I10 at the book's door: lot, tick, price band and quote of what matching took in.

A cleared order or replace is paired with the word of matching that took it (`accepted`, `replaced`), whose
time is that of the cycle, then held against the terms of the instrument in force around it. What the cycle
saw of the quotes is in no topic, but bounded: it was a quote that the log had by then, and not older than
the instrument allows. So a price is right when one of those quotes makes it so, and wrong when none does.
Overrides of the band are exact: their reports and the words are of one lane, in order.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from app.verify.findings import Findings
from app.verify.markets import Markets, Terms
from app.verify.records import Message, Place, Seen
from schemas.numbers import MAX_E8, format_e8

_BPS = 10_000
_OWN = -1
_COMMANDS = frozenset({"ClearedOrder", "ClearedReplace"})
_TAKES = frozenset({"accepted", "replaced"})
_ANSWERS = _TAKES | {"rejected", "replace_rejected"}
# Quotes are kept for so long, or for as long as a band's quote age.
_KEPT_US = 10_000_000

# Protection prices need not be on tick; what waits for a trigger is meant for another price than today's.
_ON_TICK = frozenset({"limit", "stop_limit"})
_BANDED = frozenset({"limit", "market", "market_to_limit"})

_Key = tuple[str, int]


def reference_e8(quote: Message) -> int:
    """The mid of bid and ask rounded down, else the last trade; 0 for a quote that makes no price."""
    bid_e8, ask_e8, last_e8 = quote["bid"], quote["ask"], quote["last"]
    if not all(0 <= price_e8 <= MAX_E8 for price_e8 in (bid_e8, ask_e8, last_e8)):
        return 0
    if bid_e8 and ask_e8:
        return int((bid_e8 + ask_e8) // 2) if bid_e8 <= ask_e8 else 0
    return int(last_e8)


class _Quotes:
    """Prices that quotes of a symbol made: the recent ones with the log's time, of the rest the span."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self.prices: list[int] = []
        self.span: tuple[int, int] | None = None
        self.kept_us = _KEPT_US

    def put(self, at_us: int, price_e8: int) -> None:
        self.times.append(max(at_us, self.times[-1]) if self.times else at_us)
        self.prices.append(price_e8)
        if len(self.times) > 1024 and self.times[len(self.times) // 2] < at_us - self.kept_us:
            self._forget(len(self.times) // 2)

    def _forget(self, count: int) -> None:
        old = self.prices[:count]
        low, high = self.span or (old[0], old[0])
        self.span = min(low, *old), max(high, *old)
        del self.times[:count], self.prices[:count]


class _Entered(NamedTuple):
    """A command, the word that took it, and the override of the band then in force."""

    command: Seen
    word: Seen
    band: Message | None


class Entries:
    """Pairs commands with words, and judges them once the quotes of their time were heard."""

    def __init__(
        self, findings: Findings, markets: Markets, skew_us: int, on_taken: Callable[[Message, Message], None]
    ) -> None:
        """`on_taken` hears each command that matching took, and what it said."""
        self._on_taken = on_taken
        self._findings = findings
        self._markets = markets
        self._skew_us = skew_us
        self._commands: dict[_Key, Seen] = {}
        self._words: dict[_Key, tuple[Seen, Message | None]] = {}
        self._quotes: dict[str, _Quotes] = {}
        self._quoted = False
        # Where quotes of a lane begin, if what came before was deleted.
        self._first_quote: dict[int, int] = {}
        self._bands: dict[str, Seen] = {}
        self._to_judge: list[deque[_Entered]] = [deque() for _ in range(markets.partitions)]
        # Commands that were not judged in full.
        self.skipped = 0

    def quote(self, seen: Seen) -> None:
        """Takes a Quote; one in a wrong lane is nobody's until it was forwarded."""
        self._quoted = True
        if seen.partition not in self._markets.lanes(seen.message["symbol"]):
            return
        if seen.partition not in self._first_quote:
            self._first_quote[seen.partition] = seen.timestamp_us if seen.offset else 0
        price_e8 = reference_e8(seen.message)
        if price_e8:
            symbol = seen.message["symbol"]
            quotes = self._quotes.get(symbol)
            if quotes is None:
                quotes = self._quotes[symbol] = _Quotes()
            quotes.put(seen.timestamp_us, price_e8)

    def band(self, control: Message, kind: str, report: Seen) -> None:
        """Takes an applied control of a symbol."""
        if kind == "SetPriceBand":
            self._bands[control["symbol"]] = report._replace(message=control)

    def cleared(self, seen: Seen) -> None:
        """Takes a ClearedOrder or ClearedReplace."""
        if seen.kind not in _COMMANDS:
            return
        key = (seen.message["order_id"], seen.message["request_offset"])
        early = self._words.pop(key, None)
        if early is None:
            self._commands[key] = seen
        else:
            self._pair(seen, *early)

    def event(self, seen: Seen) -> None:
        """Takes a word of matching, or a refusal of risk."""
        event = seen.message
        if event["event"] not in _ANSWERS or event["reason"].startswith("ACCOUNTS_"):
            return
        if event["event"] == "replaced" and event["reason"] != "NONE":
            # Matching made it smaller by itself.
            return
        key = (event["order_id"], event["request_offset"])
        command = self._commands.pop(key, None)
        report = self._bands.get(event["symbol"])
        band = None if report is None or report.partition != seen.partition else report.message
        if command is not None:
            self._pair(command, seen, band)
        else:
            self._words[key] = seen, band

    def _pair(self, command: Seen, word: Seen, band: Message | None) -> None:
        if word.message["event"] in _TAKES:
            self._on_taken(command.message, word.message)
            self._to_judge[word.partition].append(_Entered(command, word, band))

    def heard(self, lane: int, at_us: int) -> None:
        """Everything that the lane heard and said before this time was read: judges what it took before."""
        waiting = self._to_judge[lane]
        while waiting and waiting[0].word.message["at_us"] + 2 * self._skew_us < at_us:
            self._judge(waiting.popleft())

    def finish(self) -> None:
        """Judges what waits."""
        for waiting in self._to_judge:
            while waiting:
                self._judge(waiting.popleft())
        if self.skipped:
            text = f"I10: {self.skipped} commands were not held against quotes or terms: gone, or not read"
            self._findings.notes.append(text)

    # One command.

    def _judge(self, entered: _Entered) -> None:
        command, word = entered.command.message, entered.word.message
        self._findings.check("I10")
        terms = self._markets.terms(command["symbol"], word["at_us"], self._skew_us)
        if terms is None:
            self.skipped += 1
            return
        reasons = [self._breach(entered, each) for each in terms] or [f"{command['symbol']} is unknown"]
        if all(reasons):
            text = f"{word['event']} {word['client_order_id']} of {word['account']}: {reasons[-1]}"
            places: list[Place] = [entered.command.place, entered.word.place]
            self._findings.wrong("I10", text, places, word["order_id"])

    def _breach(self, entered: _Entered, terms: Terms) -> str:
        """What is wrong with a command under some terms; of a replace 0 is what is left as it was."""
        command = entered.command.message
        quantity_e8, price_e8 = command["quantity"], command["limit_price"]
        if quantity_e8 % terms.lot_e8 and not terms.odd_lots:
            return f"quantity {format_e8(quantity_e8)} is no multiple of the lot {format_e8(terms.lot_e8)}"
        if not price_e8:
            return ""
        tick_e8 = terms.tick_e8(price_e8)
        if command["order_type"] in _ON_TICK and (not tick_e8 or price_e8 % tick_e8):
            return f"price {format_e8(price_e8)} is off tick {format_e8(tick_e8)}"
        return self._off_band(entered, terms, price_e8) if command["order_type"] in _BANDED else ""

    def _off_band(self, entered: _Entered, terms: Terms, price_e8: int) -> str:
        band_bps, age_ms = terms.band_bps, terms.max_quote_age_ms
        if entered.band is not None:
            band_bps = band_bps if entered.band["band_bps"] == _OWN else entered.band["band_bps"]
            age_ms = age_ms if entered.band["max_quote_age_ms"] == _OWN else entered.band["max_quote_age_ms"]
        if not band_bps:
            return ""
        symbol, at_us = entered.command.message["symbol"], entered.word.message["at_us"]
        early_us = at_us - age_ms * 1000 - self._skew_us if age_ms else 0
        lane = entered.word.partition
        if not self._quoted or early_us < self._first_quote.get(lane, 0):
            self.skipped += 1
            return ""
        quotes = self._quotes.get(symbol) or _Quotes()
        quotes.kept_us = max(quotes.kept_us, age_ms * 1000 + 10 * self._skew_us)
        # The log's times of one partition only grow; the latest quote is most often the one.
        low = bisect_right(quotes.times, early_us - 1)
        high = bisect_right(quotes.times, at_us + self._skew_us)
        if any(
            abs(price_e8 - quotes.prices[n]) * _BPS <= quotes.prices[n] * band_bps
            for n in range(high - 1, low - 1, -1)
        ):
            return ""
        if not age_ms and quotes.span is not None and _spans(quotes.span, price_e8, band_bps):
            return ""
        seen = quotes.prices[low:high]
        if not seen:
            return f"price {format_e8(price_e8)} was taken without a quote" + (age_ms > 0) * " young enough"
        text = f"price {format_e8(price_e8)} is over {band_bps} bps from"
        return f"{text} {format_e8(min(seen))} to {format_e8(max(seen))}, the quotes of its time"


def _spans(span: tuple[int, int], price_e8: int, band_bps: int) -> bool:
    """Whether a price between the lowest and the highest may have the price in its band."""
    low_e8, high_e8 = span
    return low_e8 * (_BPS - band_bps) <= price_e8 * _BPS <= high_e8 * (_BPS + band_bps)
