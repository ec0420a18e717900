"""I6: a naive book replays the commands and must say what matching said.

The cleared topic's order within a partition is the order in which matching saw the commands; what risk
refused is known by the refusal, which the log has before every later word of matching. Controls of a
symbol are another topic, whose place among the commands a cycle decides, so they are taken where their
effects are: an order canceled by the operator or expired leaves the book there, and where the control's
report is, none that it meant may be left.

A symbol is replayed until something differs; from there on its books cannot be compared, and it is not.
"""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from app.verify.findings import Findings
from app.verify.records import Message, Place, Seen, Snapshot
from schemas.numbers import format_e8

_BY_CONTROL = frozenset({"MATCHING_CANCELED_BY_OPERATOR", "MATCHING_END_OF_DAY"})
_OWED = frozenset({"NONE", "MATCHING_CANCELED_BY_REQUEST"})
_NOT_FILLED = (0, 0)


class Said(NamedTuple):
    """What matching says of an order, as far as it is compared."""

    event: str
    order_id: str
    request_offset: int
    last_quantity_e8: int
    last_price_e8: int
    leaves_e8: int

    def __str__(self) -> str:
        fill = f" {format_e8(self.last_quantity_e8)} at {format_e8(self.last_price_e8)}"
        at = fill if self.last_quantity_e8 else ""
        return f"{self.event}{at} of {self.order_id} leaving {format_e8(self.leaves_e8)}"


class Resting:
    """An order in the book, or on its way into it."""

    __slots__ = ("cum_e8", "leaves_e8", "limit_price_e8", "order_id", "rank", "side", "time_in_force")

    def __init__(self, command: Message) -> None:
        self.order_id: str = command["order_id"]
        self.side: str = command["side"]
        self.limit_price_e8: int = command["limit_price"]
        self.time_in_force: str = command["time_in_force"]
        self.leaves_e8: int = command["quantity"]
        self.cum_e8 = 0
        # (price, age), larger is to trade first.
        self.rank = (0, 0)


class NaiveBook:
    """Two sorted lists, the order to trade first at the end of each."""

    def __init__(self) -> None:
        self.orders: dict[str, Resting] = {}
        self._sides: dict[str, list[tuple[tuple[int, int], str]]] = {"buy": [], "sell": []}
        self._arrivals = 0

    def apply(self, kind: str, command: Message) -> list[Said]:
        """What matching must say to a command."""
        if kind == "ClearedOrder":
            return self._new(command)
        offset, order = command["request_offset"], self.orders.get(command["order_id"])
        if kind == "ClearedCancel":
            return self._cancel(command, order)
        if kind == "ClearedReplace":
            return self._replace(command, order)
        if order is None:
            return []
        return [Said("order_status", order.order_id, offset, *_NOT_FILLED, order.leaves_e8)]

    def _new(self, command: Message) -> list[Said]:
        order, offset = Resting(command), command["request_offset"]
        said = [Said("accepted", order.order_id, offset, *_NOT_FILLED, order.leaves_e8)]
        if command["time_in_force"] != "fok" or self._available(order) >= order.leaves_e8:
            said += self._trade(order, offset)
        if not order.leaves_e8:
            return said
        if command["order_type"] == "market" or command["time_in_force"] in ("ioc", "fok"):
            return [*said, Said("canceled", order.order_id, offset, *_NOT_FILLED, 0)]
        self._rest(order)
        return said

    def _crossed(self, taker: Resting) -> Iterator[Resting]:
        """Orders that it may trade with, in their priority."""
        buys = taker.side == "buy"
        for _, order_id in reversed(self._sides["sell" if buys else "buy"]):
            maker = self.orders[order_id]
            beyond = taker.limit_price_e8 - maker.limit_price_e8
            if (beyond if buys else -beyond) < 0:
                return
            yield maker

    def _available(self, taker: Resting) -> int:
        return sum(maker.leaves_e8 for maker in self._crossed(taker))

    def _trade(self, taker: Resting, offset: int) -> list[Said]:
        said: list[Said] = []
        done: list[Resting] = []
        for maker in self._crossed(taker):
            if not taker.leaves_e8:
                break
            quantity_e8, price_e8 = min(maker.leaves_e8, taker.leaves_e8), maker.limit_price_e8
            for order, by in ((taker, offset), (maker, -1)):
                order.leaves_e8 -= quantity_e8
                order.cum_e8 += quantity_e8
                said.append(Said("trade", order.order_id, by, quantity_e8, price_e8, order.leaves_e8))
            if not maker.leaves_e8:
                done.append(maker)
        for maker in done:
            self.remove(maker)
        return said

    def _rest(self, order: Resting) -> None:
        self._arrivals += 1
        price = order.limit_price_e8 if order.side == "buy" else -order.limit_price_e8
        order.rank = (price, -self._arrivals)
        self.orders[order.order_id] = order
        insort(self._sides[order.side], (order.rank, order.order_id))

    def remove(self, order: Resting) -> None:
        """Takes an order off the book."""
        del self.orders[order.order_id]
        side = self._sides[order.side]
        del side[bisect_left(side, (order.rank, order.order_id))]

    def _cancel(self, command: Message, order: Resting | None) -> list[Said]:
        order_id, offset = command["order_id"], command["request_offset"]
        if order is None:
            owed = command["reason"] in _OWED
            return [Said("cancel_rejected", order_id, offset, *_NOT_FILLED, 0)] if owed else []
        self.remove(order)
        return [Said("canceled", order_id, offset, *_NOT_FILLED, 0)]

    def _replace(self, command: Message, order: Resting | None) -> list[Said]:
        order_id, offset = command["order_id"], command["request_offset"]
        if order is None:
            return [Said("replace_rejected", order_id, offset, *_NOT_FILLED, 0)]
        quantity_e8 = command["quantity"] or order.cum_e8 + order.leaves_e8
        leaves_e8 = max(0, quantity_e8 - order.cum_e8)
        price_e8 = command["limit_price"] or order.limit_price_e8
        keeps = price_e8 == order.limit_price_e8 and 0 < leaves_e8 <= order.leaves_e8
        if not keeps:
            self.remove(order)
        order.leaves_e8, order.limit_price_e8 = leaves_e8, price_e8
        said = [Said("replaced", order_id, offset, *_NOT_FILLED, leaves_e8)]
        if not keeps:
            said += self._trade(order, offset)
            if order.leaves_e8:
                self._rest(order)
        return said


class _Symbol:
    """The replay of one symbol: commands and words of matching that wait for each other."""

    def __init__(self) -> None:
        self.book = NaiveBook()
        self.commands: deque[Seen] = deque()
        self.words: deque[Seen] = deque()
        self.expected: deque[Said] = deque()
        self.command: Seen | None = None
        self.stopped = ""


class Replay:
    """Replays every symbol; `refused` are requests that risk refused and no command was met of yet."""

    def __init__(self, findings: Findings, snapshot: Snapshot) -> None:
        self._findings = findings
        self._snapshot = snapshot
        self._symbols: dict[str, _Symbol] = {}
        self._refused: set[tuple[str, int]] = set()

    def book(self, symbol: str) -> NaiveBook | None:
        """The naive book of a symbol, None when its replay stopped."""
        replay = self._symbols.get(symbol)
        return None if replay is None or replay.stopped else replay.book

    def symbols(self) -> set[str]:
        """Every symbol that a command or word named."""
        return set(self._symbols)

    def _symbol(self, symbol: str) -> _Symbol:
        replay = self._symbols.get(symbol)
        if replay is None:
            replay = self._symbols[symbol] = _Symbol()
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
            if not replay.expected and not self._is_control(seen) and not self._next(replay):
                return
            replay.words.popleft()
            self._compare(replay, seen)

    @staticmethod
    def _is_control(seen: Seen) -> bool:
        return seen.kind == "ControlReport" or seen.message["reason"] in _BY_CONTROL

    def _next(self, replay: _Symbol) -> bool:
        """Applies commands until one makes matching speak; whether there was one."""
        while replay.commands:
            command = replay.commands.popleft()
            if not self._was_refused(command):
                replay.command = command
                replay.expected.extend(replay.book.apply(command.kind, command.message))
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

    def _compare(self, replay: _Symbol, seen: Seen) -> None:
        self._findings.check("I6")
        if replay.expected:
            expected = replay.expected.popleft()
            said = _said(seen)
            if said != expected:
                self._differs(replay, seen, f"matching said {said}, a naive book says {expected}")
        elif seen.kind == "ControlReport":
            self._check_swept(replay, seen)
        else:
            self._end_by_control(replay, seen)

    def _end_by_control(self, replay: _Symbol, seen: Seen) -> None:
        """An order leaves the book for a control."""
        event = seen.message
        order = replay.book.orders.get(event["order_id"])
        if order is None:
            self._differs(replay, seen, f"order {event['order_id']} {event['event']}, which does not rest")
        elif event["event"] == "expired" and order.time_in_force != "day":
            self._differs(replay, seen, f"order {order.order_id} expired, which is {order.time_in_force}")
        else:
            replay.book.remove(order)

    def _check_swept(self, replay: _Symbol, seen: Seen) -> None:
        """After a control that ends orders, none that it meant is left."""
        day_only = seen.message["control"] == "ExpireDay"
        for order in replay.book.orders.values():
            if order.time_in_force == "day" or not day_only:
                text = f"order {order.order_id} rests although {seen.message['control']} ended all such"
                self._differs(replay, seen, text)
                return

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
            if not self._was_refused(command) and not self._is_silent(replay.book, command):
                return
            replay.commands.popleft()

    @staticmethod
    def _is_silent(book: NaiveBook, command: Seen) -> bool:
        known = command.message["order_id"] in book.orders
        if command.kind == "ClearedCancel":
            return not known and command.message["reason"] not in _OWED
        return command.kind == "ClearedStatusRequest" and not known

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
            if not self._was_refused(command) and replay.book.apply(command.kind, command.message):
                unheard.append(command.place)
        return unheard


def _said(seen: Seen) -> Said:
    event = seen.message
    if seen.kind == "ControlReport":
        return Said(event["control"], "", -1, 0, 0, 0)
    return Said(
        event["event"],
        event["order_id"],
        event["request_offset"],
        event["last_quantity"],
        event["last_price"],
        event["leaves_quantity"],
    )
