"""I6: a naive book replays the commands and must say what matching said.

The cleared topic's order within a partition is the order in which matching saw the commands; what risk
refused is known by the refusal, which the log has before every later word of matching. Controls of a
symbol are another topic, whose place among the commands a cycle decides: a cycle takes them first, and each
is reported after its effects. So as long as a control is not reported, words are held back; then it is taken
before those that the report's cycle has said. A quote that was needed for it comes before it.

A symbol is replayed until something differs; from there on its books cannot be compared, and it is not.
"""

from collections import deque
from collections.abc import Iterator

from app.verify.book import Book, Said, compared
from app.verify.findings import Findings
from app.verify.markets import Markets
from app.verify.records import Message, Place, Seen, Snapshot

# Controls that change a market.
CONTROLS = frozenset({"CancelSymbol", "ExpireDay", "SetSession", "Uncross", "SetTradingBand"})
# What ends orders only, and the reasons of their ends: told apart more closely than by the time of a cycle.
_SWEEPS = frozenset({"CancelSymbol", "SetSymbolState", "ExpireDay"})
_SWEPT = frozenset(
    {"MATCHING_CANCELED_BY_OPERATOR", "MATCHING_END_OF_DAY", "MATCHING_LINKED", "MATCHING_EXPIRED"}
)
# A record that stands for a control, before its effects.
_APPLIED = "applied control"
_HELD_MAX = 10_000


class _Symbol:
    """The replay of one symbol: commands and words of matching that wait for each other."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.commands: deque[Seen] = deque()
        self.words: deque[Seen] = deque()
        self.expected: deque[Said] = deque()
        self.command: Seen | None = None
        # Controls that were read and not reported yet.
        self.controls = 0
        self.stopped = ""


class Replay:
    """Replays every symbol; `refused` are requests that risk refused and no command was met of yet."""

    def __init__(self, findings: Findings, snapshot: Snapshot, markets: Markets) -> None:
        self._markets = markets
        self._findings = findings
        self._snapshot = snapshot
        self._symbols: dict[str, _Symbol] = {}
        self._refused: set[tuple[str, int]] = set()

    def book(self, symbol: str) -> Book | None:
        """The replayed book of a symbol, None when its replay stopped."""
        replay = self._symbols.get(symbol)
        return None if replay is None or replay.stopped else replay.book

    def symbols(self) -> set[str]:
        """Every symbol that a command or word named."""
        return set(self._symbols)

    def _symbol(self, symbol: str) -> _Symbol:
        replay = self._symbols.get(symbol)
        if replay is None:
            replay = self._symbols[symbol] = _Symbol(Book(symbol, self._markets.rules(symbol)))
        return replay

    def cleared(self, seen: Seen) -> None:
        """Takes a record of cleared."""
        replay = self._symbol(seen.message["symbol"])
        replay.commands.append(seen)
        if replay.words:
            self._go_on(replay)

    def refused(self, seen: Seen) -> None:
        """Takes a refusal by risk: the command will not reach matching."""
        self._refused.add((seen.message["account"], seen.message["request_offset"]))

    def word(self, seen: Seen) -> None:
        """Takes what matching said: an OrderEvent, or that it took a quote."""
        replay = self._symbol(seen.message["symbol"])
        replay.words.append(seen)
        if not replay.controls or len(replay.words) > _HELD_MAX:
            self._go_on(replay)

    def expect_control(self, symbol: str) -> None:
        """A control of the symbol was read: its effects, then its report will come."""
        self._symbol(symbol).controls += 1

    def control(self, control: Message, kind: str, report: Seen) -> None:
        """Takes a control that was reported, with what it did, unless it was refused."""
        replay = self._symbol(control["symbol"])
        replay.controls = max(0, replay.controls - 1)
        if report.message["outcome"] == "applied":
            effects: deque[Seen] = deque()
            while replay.words and _is_effect(replay.words[-1], kind, report):
                effects.appendleft(replay.words.pop())
            message = {**control, "control": kind, "at_us": report.message["at_us"]}
            replay.words.append(report._replace(kind=_APPLIED, message=message))
            replay.words.extend(effects)
            replay.words.append(report)
        self._go_on(replay)

    def stop(self, symbol: str, why: str) -> None:
        """Replays a symbol no further, for its history is broken already."""
        replay = self._symbol(symbol)
        if not replay.stopped:
            replay.stopped = why
            self._findings.notes.append(f"I6: {symbol} is replayed no further: {why}")

    def _go_on(self, replay: _Symbol) -> None:
        """Compares as far as both commands and words are there."""
        while replay.words:
            if replay.stopped:
                replay.words.clear()
                replay.commands.clear()
                return
            seen = replay.words[0]
            if seen.kind == _APPLIED:
                self._apply_control(replay)
            elif seen.kind == "QuoteTaken":
                self._take_quote(replay, replay.words.popleft())
            elif not self._expects(replay, seen):
                return
            else:
                self._compare(replay, replay.words.popleft())

    def _apply_control(self, replay: _Symbol) -> None:
        """Applies the control in front, after the quote that was needed for it and what follows from that."""
        control = replay.words.popleft()
        first = replay.words[0]
        if first.kind == "QuoteTaken":
            self._take_quote(replay, replay.words.popleft())
        elif replay.expected:
            self._compare(replay, replay.words.popleft())
        else:
            kind, message = control.message["control"], control.message
            replay.command = control
            replay.expected.extend(replay.book.control(kind, message, message["at_us"]))
            return
        replay.words.appendleft(control)

    def _expects(self, replay: _Symbol, seen: Seen) -> bool:
        """Whether a word can be compared; what was due came before the command that was next."""
        if seen.kind == "ControlReport" or replay.expected:
            return True
        due = replay.book.wake(_at_us(seen))
        if due:
            # Nothing but time caused it: what shows it is the first word of the cycle.
            replay.command = seen
            replay.expected.extend(due)
            return True
        return self._next(replay, _at_us(seen))

    def _next(self, replay: _Symbol, at_us: int) -> bool:
        """Applies commands until one makes matching speak; whether there was one."""
        while replay.commands:
            command = replay.commands.popleft()
            if not self._was_refused(command):
                replay.command = command
                replay.expected.extend(replay.book.apply(command.kind, command.message, at_us))
                if replay.expected:
                    return True
        return False

    def _was_refused(self, command: Seen) -> bool:
        if command.kind not in ("ClearedOrder", "ClearedReplace"):
            return False
        request = (command.message["account"], command.message["request_offset"])
        if request in self._refused:
            self._refused.remove(request)
            return True
        return False

    def _take_quote(self, replay: _Symbol, seen: Seen) -> None:
        """What follows from a quote is said after it."""
        if replay.expected:
            self._differs(replay, seen, f"matching took a quote, a naive book says {replay.expected[0]}")
        else:
            replay.expected.extend(replay.book.quote(seen.message))

    def _compare(self, replay: _Symbol, seen: Seen) -> None:
        self._findings.check("I6")
        expected = replay.expected.popleft() if replay.expected else None
        report = seen.kind == "ControlReport"
        said = None if report else compared(seen.message)
        if said != expected:
            told = f"reported {seen.message['control']}" if report else f"said {said}"
            right = "nothing more" if expected is None else expected
            self._differs(replay, seen, f"matching {told}, a naive book says {right}")

    def _differs(self, replay: _Symbol, seen: Seen, text: str) -> None:
        replay.stopped = "it differs"
        cause = seen if replay.command is None else replay.command
        places = list(dict.fromkeys((cause.place, seen.place)))
        order_id = seen.message.get("order_id", "")
        symbol = seen.message["symbol"]
        self._findings.wrong("I6", f"{symbol}: {text}; not replayed from here on", places, order_id)

    def waiting(self) -> Iterator[Place]:
        """Commands of the snapshot of which matching must still speak, and words without a command."""
        for replay in self._symbols.values():
            # A control that is not reported by now was not applied before what was said.
            self._go_on(replay)
            if replay.stopped:
                continue
            if replay.expected and replay.command is not None and self._snapshot.has(replay.command.place):
                yield replay.command.place
            yield from (seen.place for seen in replay.words if self._snapshot.has(seen.place))
            if not replay.words and not replay.expected:
                self._drop_silent(replay)
                if replay.commands and self._snapshot.has(replay.commands[0].place):
                    yield replay.commands[0].place

    def _drop_silent(self, replay: _Symbol) -> None:
        """Drops commands in front that matching need not speak of; nothing before them can change that."""
        while replay.commands:
            command = replay.commands[0]
            if not self._was_refused(command) and not replay.book.is_silent(command.kind, command.message):
                return
            replay.commands.popleft()

    def overdue(self) -> None:
        """Reports words of the snapshot without commands, and commands without words."""
        for symbol, replay in self._symbols.items():
            self._go_on(replay)
            places = [] if replay.stopped else self._left(replay)
            if places:
                text = f"{symbol}: {len(places)} commands and words of matching without the other"
                self._findings.wrong("I6", text, places[:3])
                replay.stopped = "it is incomplete"

    def _left(self, replay: _Symbol) -> list[Place]:
        left = [seen.place for seen in replay.words if self._snapshot.has(seen.place)]
        if replay.expected and replay.command is not None and self._snapshot.has(replay.command.place):
            left.append(replay.command.place)
        if not replay.words and not replay.expected:
            self._drop_silent(replay)
            # What comes after the first may be owed no word: nobody knows.
            left += [command.place for command in [*replay.commands][:1] if self._snapshot.has(command.place)]
        return left


def _at_us(seen: Seen) -> int:
    return int(seen.message["at_us"])


def _is_effect(seen: Seen, kind: str, report: Seen) -> bool:
    """Whether a word is what a control caused: said in its cycle, before its report."""
    if seen.kind == "ControlReport" or _at_us(seen) != _at_us(report):
        return False
    return kind not in _SWEEPS or seen.message.get("reason") in _SWEPT
