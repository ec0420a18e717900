"""What can be asked for at a door: the latest state of every order, trade, position, book and quote.

While doors are asked (from `record` on), every state is kept with its number (an order's version, a book's
sequence, ...), so that an answer is right when it is one of them, however much moves meanwhile. Orders that
ended are kept as long as they are among the last ones, trades likewise.
"""

from collections import OrderedDict, deque

from app.verify.books import Books
from app.verify.contents import (
    Told,
    book_of_levels,
    order_of_event,
    position_of_message,
    quote_of_message,
    trade_of_message,
)
from app.verify.orders import CHANGES, TERMINAL
from app.verify.records import Place, Seen

# Kind ("order", "position", "book", "quote", "trades"), and what it is of.
Key = tuple[str, str]
ENDED_MAX = 200
TRADES_MAX = 50
# A door shows so many levels of a book at most.
DEPTH_MAX = 1000


class Known:
    """The states of a thing since doors are asked, the first number among them, and its last record."""

    __slots__ = ("account", "at_us", "ended", "first", "place", "states")

    def __init__(self, account: str = "") -> None:
        self.states: dict[int | tuple[object, ...], Told] = {}
        self.first = -1
        self.place: Place = ("", 0, 0)
        self.account = account
        self.at_us = 0
        self.ended = False

    @property
    def last(self) -> Told:
        """Its latest state."""
        return self.states[next(reversed(self.states))]


class Latest:
    """Takes the records that change what a door shows; `books` follows the updates before this does."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._recording = False
        self.known: dict[Key, Known] = {}
        self._ended: OrderedDict[str, None] = OrderedDict()
        self.trades: dict[str, deque[Told]] = {}
        self.trade_places: dict[str, Place] = {}
        # Of each account, orders that lived since doors are asked.
        self.lived: dict[str, set[str]] = {}

    def take(self, seen: Seen) -> None:
        """Takes a record that changes a state."""
        message = seen.message
        if seen.kind == "OrderEvent":
            self._order(seen)
        elif seen.kind == "Trade":
            tail = self.trades.setdefault(message["symbol"], deque(maxlen=TRADES_MAX))
            tail.append(trade_of_message(message))
            self.trade_places[message["symbol"]] = seen.place
        elif seen.kind == "Position":
            key = ("position", f"{message['account']}|{message['kind']}|{message['asset']}")
            self._put(key, position_of_message(message), seen, message["account"])
        elif seen.kind == "BookUpdate":
            told = self._book(message["symbol"], message["sequence"])
            if told is not None:
                self._put(("book", message["symbol"]), told, seen)
        elif seen.kind == "Quote":
            self._put(("quote", message["symbol"]), quote_of_message(message), seen)

    def _order(self, seen: Seen) -> None:
        event = seen.message
        if event["event"] not in CHANGES and (event["event"] != "rejected" or not event["version"]):
            return
        order_id, account = event["order_id"], event["account"]
        known = self._put(("order", order_id), order_of_event(event), seen, account)
        known.ended = event["status"] in TERMINAL
        known.at_us = event["at_us"]
        if known.ended:
            self._ended[order_id] = None
            if len(self._ended) > ENDED_MAX and not self._recording:
                self.known.pop(("order", self._ended.popitem(last=False)[0]), None)
        elif self._recording:
            self.lived.setdefault(account, set()).add(order_id)

    def _put(self, key: Key, told: Told, seen: Seen, account: str = "") -> Known:
        known = self.known.get(key)
        if known is None:
            known = self.known[key] = Known(account)
        if not self._recording:
            known.states.clear()
        # What has no number is known by what it says.
        name: int | tuple[object, ...] = told.content if told.number is None else told.number
        known.states.pop(name, None)
        known.states[name] = told
        known.place = seen.place
        return known

    def _book(self, symbol: str, sequence: int) -> Told | None:
        """A book with its levels, which nobody asks for before states are kept."""
        if not self._recording:
            return Told(sequence, ())
        levels = self._books.levels(symbol, DEPTH_MAX)
        return None if levels is None else book_of_levels(sequence, *levels)

    def record(self) -> None:
        """From now on every state is kept."""
        self._recording = True
        self.lived = {}
        for (kind, name), known in list(self.known.items()):
            last: Told | None = known.last
            if kind == "book":
                last = self._book(name, known.last.number or 0)
            if last is None:
                del self.known[kind, name]
                continue
            known.states = {last.content if last.number is None else last.number: last}
            known.first = last.number or 0
            if kind == "order" and not known.ended:
                self.lived.setdefault(known.account, set()).add(name)

    def names(self, kind: str) -> list[str]:
        """What is known of a kind."""
        return [name for known, name in self.known if known == kind]

    def live(self, account: str) -> set[str]:
        """Orders of an account that live now."""
        return {name for name in self.lived.get(account, ()) if not self.known["order", name].ended}
