"""The worked example of docs/match.md, and a way to run lines from memory."""

from app.match.filter import Filter, MatchingEngine
from app.match.run import run

# A small market: an iceberg, a stop that a trade triggers, and an auction.
EXAMPLE = """\
{"type": "new_order", "symbol": "ACME", "account": "anna", "client_order_id": "a1", "side": "sell", \
"order_type": "limit", "quantity": "30", "limit_price": "10.00", "display_quantity": "10"}
{"type": "new_order", "symbol": "ACME", "account": "bob", "client_order_id": "b1", "side": "sell", \
"order_type": "limit", "quantity": 5, "limit_price": 10.00}
{"type": "new_order", "symbol": "ACME", "account": "carl", "client_order_id": "c1", "side": "buy", \
"order_type": "stop", "quantity": "2", "stop_price": "10"}
{"type": "new_order", "symbol": "ACME", "account": "dora", "client_order_id": "d1", "side": "buy", \
"order_type": "limit", "quantity": "12", "limit_price": "10.5", "time_in_force": "ioc"}
{"type": "cancel_order", "symbol": "ACME", "account": "bob", "order": "b2"}
"""


class Bytes:
    """A file of bytes."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, size: int, /) -> bytes:
        piece, self._data = self._data[:size], self._data[size:]
        return piece


def matched(text: str, engine: MatchingEngine) -> str:
    """What `oms match --book-at-end` prints for some lines."""
    said: list[bytes] = []

    def report(bad: Exception) -> None:
        raise bad

    run(Filter(engine), Bytes(text.encode()), said.append, name="", report=report, book_at_end=True)
    return b"".join(said).decode()
