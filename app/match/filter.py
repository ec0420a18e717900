"""The filter: lines of commands in, lines of what happened out, through either engine."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from app.match.lines import Command, Csv, LineError, from_json, is_csv
from app.match.reduce_only import REASON, ReduceOnly
from app.match.risk import RiskChecks
from app.match.show import shown, shown_book

Depth = list[tuple[int, int, int]]
Happenings = list[dict[str, Any]]
_BOM = b"\xef\xbb\xbf"


class MatchingEngine(Protocol):
    """What both engines are to the filter."""

    def apply(self, command: Mapping[str, Any], at_us: int) -> Happenings:
        """What a command made happen, in order."""

    def refused(self, command: Mapping[str, Any]) -> None:
        """Takes note of a new order that was refused before it came there."""

    def wake(self, symbol: str, at_us: int) -> Happenings:
        """What time alone made happen in a market until now."""

    def resting(self) -> Happenings:
        """Every live order."""

    def depth(self, symbol: str) -> tuple[Depth, Depth]:
        """Displayed (price, quantity, orders), best first."""


class Filter:
    """One file through one engine.

    `only` are the events to show (all when empty; the others are counted in `seq` too); with `books` the
    displayed depth of its symbol follows every line.
    """

    def __init__(
        self,
        engine: MatchingEngine,
        *,
        risk: RiskChecks | None = None,
        only: frozenset[str] = frozenset(),
        books: bool = False,
    ) -> None:
        self._engine, self._risk = engine, risk
        self._only, self._books = only, books
        self._reduce_only = ReduceOnly()
        self._read: Callable[[bytes], Command] | None = None
        self._symbols: set[str] = set()
        self.lines = self._seq = self._at_us = 0

    def take(self, line: bytes) -> list[bytes]:
        """What the next line made happen, as lines of JSON. Raises LineError; the next line may come then."""
        self.lines += 1
        line = line.rstrip(b"\r\n")
        if self.lines == 1:
            line = line.removeprefix(_BOM)
        if not line or line.isspace():
            return []
        if self._read is None:
            self._read = from_json
            if is_csv(line):
                self._read = Csv(line)
                return []
        command = self._read(line)
        said = self._say(self._happenings(command))
        if self._books:
            said += self._depths(command)
        return said

    def _happenings(self, command: Command) -> Happenings:
        at_us = command.get("at_us", self._at_us + 1)
        if at_us < self._at_us:
            raise LineError("at_us", f"{at_us} is before {self._at_us}, the time of the line before")
        self._at_us = at_us
        if not command.get("reduce_only"):
            return self._decided(command, at_us)
        # It is judged by what there is to reduce now.
        due = self._engine.wake(command["symbol"], at_us)
        self._reduce_only.hear(due, {})
        return due + self._decided(command, at_us)

    def _decided(self, command: Command, at_us: int) -> Happenings:
        """What a command makes happen, or why the filter refuses it; then what must not stay as it is."""
        refused = self._refusal(command, at_us)
        if refused is not None:
            self._engine.refused(command)
            return [refused]
        happenings = self._engine.apply(command, at_us)
        reduce_only = self._reduce_only
        reduce_only.hear(happenings, command)
        if not reduce_only.changed:
            return happenings
        for cancel in reduce_only.exceeding():
            caused = self._engine.apply(cancel, at_us)
            reduce_only.hear(caused, cancel)
            for happening in caused:
                if happening.get("reason") == "MATCHING_CANCELED_BY_REQUEST":
                    happening["reason"] = REASON
            happenings += caused
        return happenings

    def _refusal(self, command: Command, at_us: int) -> dict[str, Any] | None:
        """What the filter itself has against a new order."""
        kind = command["type"]
        if self._risk is not None and kind == "quote":
            self._risk.quote(command, at_us)
        if kind != "new_order":
            return None
        if self._risk is not None and (refused := self._risk.refusal(command, at_us)):
            return refused
        return self._reduce_only.refusal(command) if command.get("reduce_only") else None

    def _say(self, happenings: Happenings) -> list[bytes]:
        line, seq, only = self.lines, self._seq, self._only
        self._seq += len(happenings)
        return [
            shown(happening, line, number)
            for number, happening in enumerate(happenings, seq + 1)
            if not only or happening["event"] in only
        ]

    def _depths(self, command: Command) -> Iterator[bytes]:
        """The book of the command's symbol, of all where it names none."""
        symbol = command.get("symbol")
        self._symbols |= {symbol} if symbol else set()
        for name in [symbol] if symbol else sorted(self._symbols):
            self._seq += 1
            yield shown_book(name, self._engine.depth(name), self.lines, self._seq)

    def resting(self) -> Iterator[bytes]:
        """Every live order at the end, as lines of JSON; their line is the last."""
        yield from self._say(self._engine.resting())
