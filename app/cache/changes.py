"""What a batch of records changes in Redis, as commands. No I/O: what Redis had before is an argument.

The layout; every value is JSON, decimals as strings, times as RFC 3339 in UTC:

| key | value |
|---|---|
| `order:{order_id}` | the order in its latest state; a finished one for an hour more |
| `client:{account}:{client_order_id}` | its order_id, as long; an id that was replaced, for a day |
| `orders:live:{account}` | set of the order_ids of live orders |
| `quote:{symbol}`, `book:{symbol}`, `reference:{symbol}`, `instrument:{symbol}` | the latest of each |
| `session:{symbol}`, `auction:{symbol}` | the latest session, the latest indication of a call |
| `instruments` | set of symbols |
| `position:{account}` | hash: asset -> cash or holding |

| channel | message |
|---|---|
| `orders.{account}` | every OrderEvent |
| `trades.{symbol}` | every Trade |
| `quotes.{symbol}` | the latest Quote of a batch |
| `books.{symbol}` | every BookUpdate that continues the book |
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

from app.cache.books import BookImage, update_json
from app.cache.orders import Command, Json, OrderChanges
from app.reader import Read
from app.resources import shown

# Where the latest message of a symbol lies.
_KEYS = {
    "Quote": "quote",
    "ReferencePrice": "reference",
    "Instrument": "instrument",
    "SessionChange": "session",
    "AuctionIndication": "auction",
}


def symbols_of(batch: Iterable[Read]) -> list[str]:
    """Symbols whose books a batch changes."""
    return list(dict.fromkeys(read.message["symbol"] for read in batch if read.kind == "BookUpdate"))


class Changes:
    """What a batch changes.

    `orders` are the orders of `orders_of` as Redis has them, `books` the images of at least the books of
    `symbols_of`, which are brought up to date. `fresh` says which records subscribers have not seen yet.
    """

    def __init__(
        self,
        batch: Iterable[Read],
        orders: Mapping[str, Json],
        books: Mapping[str, BookImage],
        fresh: Callable[[Read], bool],
    ) -> None:
        self._orders = OrderChanges(orders)
        self._books = books
        self._changed_books: dict[str, None] = {}
        self._latest: dict[tuple[str, str], Mapping[str, Any]] = {}
        self._owned: dict[str, dict[str, Mapping[str, Any]]] = {}
        self._quotes: dict[str, Json] = {}
        self._published: list[Command] = []
        for read in batch:
            self._take(read, fresh(read))

    def _take(self, read: Read, fresh: bool) -> None:
        kind, message = read.kind, read.message
        if kind == "OrderEvent":
            self._orders.take(message)
            if fresh:
                self._publish(f"orders.{message['account']}", shown(kind, message))
        elif kind == "Trade":
            if fresh:
                self._publish(f"trades.{message['symbol']}", shown(kind, message))
        elif kind == "BookUpdate":
            self._book_update(message, fresh)
        elif kind == "Position":
            self._owned.setdefault(message["account"], {})[message["asset"]] = message
        elif kind in _KEYS:
            self._latest[kind, message["symbol"]] = message
            if kind == "Quote" and fresh:
                self._quotes[message["symbol"]] = message

    def _book_update(self, update: Mapping[str, Any], fresh: bool) -> None:
        symbol = update["symbol"]
        self._changed_books[symbol] = None
        if self._books[symbol].take(update) and fresh:
            self._publish(f"books.{symbol}", update_json(update))

    def _publish(self, channel: str, message: Json) -> None:
        self._published.append(("PUBLISH", channel, orjson.dumps(message)))

    def commands(self, now_s: float) -> list[Command]:
        """All writes, then all messages to subscribers."""
        commands = self._orders.commands(now_s)
        for symbol in self._changed_books:
            commands.append(("SET", f"book:{symbol}", orjson.dumps(self._books[symbol].as_json())))
        for (kind, symbol), message in self._latest.items():
            commands.append(("SET", f"{_KEYS[kind]}:{symbol}", orjson.dumps(shown(kind, message))))
        symbols = [symbol for kind, symbol in self._latest if kind == "Instrument"]
        if symbols:
            commands.append(("SADD", "instruments", *symbols))
        for account, owned in self._owned.items():
            values = [(asset, orjson.dumps(shown("Position", message))) for asset, message in owned.items()]
            commands.append(("HSET", f"position:{account}", *(word for pair in values for word in pair)))
        for symbol, quote in self._quotes.items():
            self._publish(f"quotes.{symbol}", shown("Quote", quote))
        return commands + self._published
