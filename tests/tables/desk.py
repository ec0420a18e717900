"""A desk to test matching from: short words in, short words out, and an auditor that never looks away.

Prices and quantities are whole numbers here. After every record the books are checked, every message
is encoded with its schema, and the life of every order is followed: one version per change of state,
nothing after the end, quantities that add up, two equal sides to every trade.
"""

from typing import Any

from schemas.codec import Codec, record_names
from schemas.numbers import ONE, format_e8
from schemas.records import Record, Row, Said
from tables.matching import Matching
from tables.orders import TERMINAL
from tables.reference import Instruments

SYMBOL = "AAPL"
CODEC = Codec({record: number for number, record in enumerate(record_names(), 1)})
REFUSALS = ("cancel_rejected", "replace_rejected", "order_status")


class Desk:
    """Sends records to one Matching and keeps everything it said."""

    def __init__(self, symbol: str = SYMBOL, instruments: Instruments | None = None) -> None:
        self.symbol = symbol
        self.instruments = instruments or Instruments()
        self.matching = Matching(0, self.instruments)
        self.accounts: dict[str, str] = {}
        self.said: list[Said] = []
        self.rows: dict[str, Row] = {}
        self.offset = 0
        self._last: dict[str, dict[str, Any]] = {}

    # Commands, each with what happened in short words.

    def new(
        self, name: str, side: str, quantity: int, price: int, force: str = "gtc", kind: str = "limit"
    ) -> list[str]:
        return self.send(
            "ClearedOrder",
            client_order_id=name,
            side=side,
            order_type=kind,
            quantity=quantity * ONE,
            limit_price=price * ONE,
            time_in_force=force,
            entered_us=0,
            entered_by=f"trader of {name}",
            door="kafka",
            **self._names(name),
        )

    def market(self, name: str, side: str, quantity: int, protection: int, force: str = "day") -> list[str]:
        return self.new(name, side, quantity, protection, force, "market")

    def cancel(self, name: str, reason: str = "NONE") -> list[str]:
        return self.send(
            "ClearedCancel", client_order_id=name, request_id=f"{name}-x", reason=reason, **self._names(name)
        )

    def replace(self, name: str, quantity: int = 0, price: int = 0, request_id: str = "") -> list[str]:
        return self.send(
            "ClearedReplace",
            client_order_id=name,
            request_id=request_id,
            quantity=quantity * ONE,
            limit_price=price * ONE,
            **self._names(name),
        )

    def status(self, name: str) -> list[str]:
        return self.send("ClearedStatusRequest", client_order_id=name, **self._names(name))

    def control(self, kind: str, **fields: Any) -> list[str]:
        message = {
            "symbol": self.symbol,
            "control_id": "c1",
            "entered_us": 0,
            "entered_by": "ops",
            "door": "rest",
        }
        offset = self._next_offset()
        return self.take(Record(kind, message | fields, offset, 0), offset)

    def send(self, kind: str, **fields: Any) -> list[str]:
        offset = self._next_offset()
        message = {"symbol": self.symbol, "request_offset": offset} | fields
        return self.take(Record(kind, message, offset, 0), offset)

    def cycle(self) -> list[dict[str, Any]]:
        """Ends a cycle: returns its book updates, and keeps its rows as a changelog does."""
        updates = self.matching.end_cycle(self.offset)
        for record, message in updates:
            CODEC.encode(record, message)
        for row in self.matching.changed_rows():
            if row.row is None:
                # A list may be forgotten before it was ever logged.
                assert row.key in self.rows or row.kind == "ListRow", row
                self.rows.pop(row.key, None)
            else:
                CODEC.encode(row.kind, row.row)
                self.rows[row.key] = row
        return [dict(message) for _, message in updates]

    def ladder(self) -> list[str]:
        """The book drawn from the highest price down, as in `sell 101: b 5, c 3`."""
        lines: dict[tuple[str, int], list[str]] = {}
        for order in self.matching.resting(self.symbol):
            key = (order.side, order.limit_price_e8)
            lines.setdefault(key, []).append(f"{order.client_order_id} {format_e8(order.leaves_e8)}")
        drawn = sorted(lines.items(), key=lambda line: -line[0][1])
        return [f"{side} {format_e8(price)}: {', '.join(names)}" for (side, price), names in drawn]

    def last(self, record: str) -> dict[str, Any]:
        """The latest message of a record name."""
        return next(dict(message) for kind, message in reversed(self.said) if kind == record)

    def _names(self, name: str) -> dict[str, str]:
        return {"account": self.accounts.get(name, f"account of {name}"), "order_id": f"id of {name}"}

    def _next_offset(self) -> int:
        self.offset += 1
        return self.offset

    def take(self, record: Record, at_us: int) -> list[str]:
        """Hears a record; what happened in short words."""
        return self._heard(self.matching.apply(record, at_us))

    def begin_cycle(self, at_us: int) -> list[str]:
        """Begins a cycle; what was due in short words."""
        return self._heard(self.matching.begin_cycle(at_us))

    def _heard(self, said: list[Said]) -> list[str]:
        self.matching.check()
        self._audit(said)
        self.said += said
        return [short(message) for kind, message in said if kind == "OrderEvent"]

    def _audit(self, said: list[Said]) -> None:
        for kind, message in said:
            CODEC.encode(kind, message)
        for kind, message in said:
            if kind == "OrderEvent" and message["version"]:
                self._follow(dict(message))
        trades = [message for kind, message in said if kind == "Trade"]
        for kind, message in said:
            if kind == "OrderEvent" and message["event"] == "trade":
                trade = next(t for t in trades if t["trade_id"] == message["trade_id"])
                assert (message["last_price"], message["last_quantity"]) == (
                    trade["price"],
                    trade["quantity"],
                )
                assert message["order_id"] in (trade["maker_order_id"], trade["taker_order_id"])
        assert sum(m.get("event") == "trade" for _, m in said) == 2 * len(trades)

    def _follow(self, event: dict[str, Any]) -> None:
        """Holds an event against the one before it of the same order."""
        before = self._last.get(event["order_id"], {"version": 0, "status": "pending_new", "cum_quantity": 0})
        if event["event"] in REFUSALS:
            assert (event["version"], event["status"]) == (before["version"], before["status"])
            return
        assert event["version"] == before["version"] + 1, event
        assert before["status"] not in TERMINAL, f"{event} after {before}"
        assert event["cum_quantity"] == before["cum_quantity"] + event["last_quantity"], event
        live = event["status"] not in TERMINAL
        assert event["leaves_quantity"] == (event["quantity"] - event["cum_quantity"] if live else 0), event
        assert (event["last_quantity"] > 0) == (event["event"] == "trade"), event
        self._last[event["order_id"]] = event


def restored(desk: Desk) -> Desk:
    """Another desk whose Matching was restored from the rows of this one's changelog."""
    other = Desk(desk.symbol, desk.instruments)
    for row in reversed(desk.rows.values()):
        assert row.row is not None
        other.matching.restore(*CODEC.decode(CODEC.encode(row.kind, row.row)))
    other.matching.restored()
    other.rows, other.offset, other._last = dict(desk.rows), desk.offset, dict(desk._last)
    return other


def short(event: Any) -> str:
    """An OrderEvent in a few words: `trade a partially_filled 3@100 3/5` (cum of quantity)."""
    words = [event["event"], event["client_order_id"], event["status"]]
    if event["trade_id"]:
        words.append(f"{format_e8(event['last_quantity'])}@{format_e8(event['last_price'])}")
    if event["version"]:
        words.append(f"{format_e8(event['cum_quantity'])}/{format_e8(event['quantity'])}")
    if event["reason"] != "NONE":
        words.append(event["reason"])
    return " ".join(words)
