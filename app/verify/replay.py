"""I6: a naive book replays the commands and must say what matching said.

The cleared topic's order within a partition is the order in which matching saw the commands; what risk
refused is known by the refusal, which the log has before every later word of matching. Controls of a
symbol are another topic, whose place among the commands a cycle decides, so each is taken where its
effects begin: at the first order that it ends, or at its report when it ended none.

A symbol is replayed until something differs; from there on its books cannot be compared, and it is not.
"""

from collections import deque
from collections.abc import Iterator

from app.verify.book import Book, Said
from app.verify.findings import Findings
from app.verify.markets import Markets
from app.verify.records import Place, Seen, Snapshot

# What a control does, by the reason of an order that it ends, and by the control's name.
_BY_CONTROL = {"MATCHING_CANCELED_BY_OPERATOR": "cancel", "MATCHING_END_OF_DAY": "expire_day"}
_SWEEPS = {"CancelSymbol": "cancel", "SetSymbolState": "cancel", "ExpireDay": "expire_day"}


class _Symbol:
    """The replay of one symbol: commands and words of matching that wait for each other."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.commands: deque[Seen] = deque()
        self.words: deque[Seen] = deque()
        self.expected: deque[Said] = deque()
        self.command: Seen | None = None
        # What the control under way does, until its report.
        self.control = ""
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
        """Takes what matching said: an OrderEvent, or the report of a control that ended orders."""
        replay = self._symbol(seen.message["symbol"])
        replay.words.append(seen)
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
            if seen.kind == "QuoteTaken":
                replay.words.popleft()
                self._take_quote(replay, seen)
                continue
            if not replay.expected:
                action = _action(seen)
                if action and replay.control != action:
                    replay.control = action
                    replay.expected.extend(replay.book.control(action, seen.message["at_us"]))
                elif not action and not self._next(replay, seen.message["at_us"]):
                    return
            replay.words.popleft()
            self._compare(replay, seen)

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
        report = seen.kind == "ControlReport"
        expected = replay.expected.popleft() if replay.expected else None
        if report:
            replay.control = ""
        said = None if report else _said(seen)
        if said != expected:
            told = f"reported {seen.message['control']}" if report else f"said {said}"
            right = "nothing more" if expected is None else expected
            self._differs(replay, seen, f"matching {told}, a naive book says {right}")

    def _differs(self, replay: _Symbol, seen: Seen, text: str) -> None:
        replay.stopped = "it differs"
        places = [seen.place if replay.command is None else replay.command.place, seen.place]
        order_id = seen.message.get("order_id", "")
        symbol = seen.message["symbol"]
        self._findings.wrong("I6", f"{symbol}: {text}; not replayed from here on", places, order_id)

    def waiting(self) -> Iterator[Place]:
        """Commands of the snapshot of which matching must still speak, and words without a command."""
        for replay in self._symbols.values():
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
            left += self._unheard(replay)
        return left

    def _unheard(self, replay: _Symbol) -> list[Place]:
        """Commands of the snapshot that matching should have spoken of."""
        unheard = []
        for command in replay.commands:
            if not self._snapshot.has(command.place):
                break
            # Each as if it were the next: the first that matching owes a word for is enough.
            if not self._was_refused(command) and not replay.book.is_silent(command.kind, command.message):
                unheard.append(command.place)
        return unheard


def _action(seen: Seen) -> str:
    """What the control does that a word tells of; "" for the word of a command."""
    if seen.kind == "ControlReport":
        return _SWEEPS[seen.message["control"]]
    return _BY_CONTROL.get(seen.message["reason"], "")


def _said(seen: Seen) -> Said:
    event = seen.message
    fill = event["last_quantity"], event["last_price"]
    return Said(event["event"], event["order_id"], *fill, event["leaves_quantity"])
