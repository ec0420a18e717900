"""I4 and I5: a trade is one record and two events of two orders; ids are unique and sequences gapless."""

from collections.abc import Callable, Iterator

from app.verify.findings import Findings
from app.verify.records import Message, Place, Seen, Snapshot
from schemas.numbers import format_e8

OnPair = Callable[[Seen, str], None]


class Fills:
    """Pairs trades with the events of their two sides, whichever is read first."""

    def __init__(self, findings: Findings, snapshot: Snapshot, on_pair: OnPair) -> None:
        """`on_pair` hears each trade with the side of its taker."""
        self._on_pair = on_pair
        self._findings = findings
        self._snapshot = snapshot
        # Of each symbol, the last sequence and where it is.
        self.sequences: dict[str, tuple[int, Place]] = {}
        self._trades: dict[str, Seen] = {}
        self._sides: dict[str, list[Seen]] = {}
        self._overdue: set[str] = set()

    def trade(self, seen: Seen) -> bool:
        """Takes a Trade; says whether its id is new."""
        trade = seen.message
        self._findings.check("I5")
        last, place = self.sequences.get(trade["symbol"], (0, None))
        sequence, trade_id = trade["sequence"], trade["trade_id"]
        if trade_id != f"{trade['symbol']}-{sequence}":
            self._findings.wrong("I5", f"trade {trade_id} has sequence {sequence}", [seen.place])
        if sequence <= last:
            text = f"trade {trade_id} comes after {trade['symbol']}-{last}: its id was used before"
            self._findings.wrong("I5", text, [place, seen.place])
            return False
        if sequence > last + 1:
            text = f"trade {trade_id} follows {trade['symbol']}-{last}: {sequence - last - 1} are missing"
            self._findings.wrong("I5", text, [place, seen.place])
        self.sequences[trade["symbol"]] = (sequence, seen.place)
        self._trades[trade_id] = seen
        self._pair(trade_id)
        return True

    def side(self, seen: Seen) -> None:
        """Takes a trade event."""
        trade_id = seen.message["trade_id"]
        self._sides.setdefault(trade_id, []).append(seen)
        self._pair(trade_id)

    def _pair(self, trade_id: str) -> None:
        sides = self._sides.get(trade_id, ())
        trade = self._trades.get(trade_id)
        if trade is not None and len(sides) == 2:
            del self._trades[trade_id], self._sides[trade_id]
            self._findings.check("I4")
            taker = trade.message["taker_order_id"]
            side = next((s.message["side"] for s in sides if s.message["order_id"] == taker), "unknown")
            self._on_pair(trade, side)
            wrong = _mismatch(trade.message, [side.message for side in sides])
            if wrong:
                places = [trade.place, *(side.place for side in sides)]
                self._findings.wrong("I4", f"trade {trade_id}: {wrong}", places, sides[0].message["order_id"])

    def waiting(self) -> Iterator[Place]:
        """Trades and sides of the snapshot that are not complete."""
        for trade in self._trades.values():
            if self._snapshot.has(trade.place):
                yield trade.place
        for sides in self._sides.values():
            yield from (side.place for side in sides if self._snapshot.has(side.place))

    def overdue(self) -> None:
        """Reports trades of the snapshot without two sides, and events of trades that are no record, once."""
        for trade_id, trade in self._trades.items():
            sides = self._sides.get(trade_id, [])
            if self._snapshot.has(trade.place) and trade_id not in self._overdue:
                self._overdue.add(trade_id)
                places = [trade.place, *(side.place for side in sides)]
                order_id = trade.message["taker_order_id"]
                self._findings.wrong("I4", f"trade {trade_id} has {len(sides)} sides", places, order_id)
        for trade_id, sides in self._sides.items():
            if trade_id in self._trades or trade_id in self._overdue:
                continue
            if any(self._snapshot.has(side.place) for side in sides):
                self._overdue.add(trade_id)
                text = f"{len(sides)} events of trade {trade_id}, which is no record or had two sides before"
                places = [side.place for side in sides]
                self._findings.wrong("I4", text, places, sides[0].message["order_id"])


def _mismatch(trade: Message, sides: list[Message]) -> str:
    """What is wrong between a trade and its two sides; empty when nothing is."""
    by_order = {side["order_id"]: side for side in sides}
    taker, maker = by_order.get(trade["taker_order_id"]), by_order.get(trade["maker_order_id"])
    if taker is None or maker is None or taker is maker:
        return f"its sides are {', '.join(by_order)}"
    for side in sides:
        if (side["last_quantity"], side["last_price"]) != (trade["quantity"], trade["price"]):
            told = f"{format_e8(side['last_quantity'])} at {format_e8(side['last_price'])}"
            return f"{_terms(trade)}, but order {side['order_id']} was filled {told}"
    aggressor = trade["aggressor_side"]
    if aggressor not in (taker["side"], "unknown") or {taker["side"], maker["side"]} != {"buy", "sell"}:
        return f"aggressor {aggressor}, taker {taker['side']}, maker {maker['side']}"
    # In an uncross nobody is the aggressor, and all trade at one price; a peg has a price of its own.
    at_limit = aggressor != "unknown" and maker["order_type"] in ("limit", "stop_limit")
    if at_limit and maker["limit_price"] != trade["price"]:
        return f"{_terms(trade)}, but the maker's limit is {format_e8(maker['limit_price'])}"
    return (
        _foreign(trade, taker, "taker")
        or _foreign(trade, maker, "maker")
        or _beyond(trade, taker, "taker")
        or _beyond(trade, maker, "maker")
    )


def _foreign(trade: Message, side: Message, role: str) -> str:
    told = (trade["symbol"], trade[f"{role}_account"], trade[f"{role}_client_order_id"])
    found = (side["symbol"], side["account"], side["client_order_id"])
    return "" if told == found else f"its {role} is {told}, the event says {found}"


def _beyond(trade: Message, side: Message, role: str) -> str:
    """A limit is never passed; what protects a market order is checked by I6."""
    limit_e8, price_e8 = side["limit_price"], trade["price"]
    if not limit_e8 or (price_e8 <= limit_e8 if side["side"] == "buy" else price_e8 >= limit_e8):
        return ""
    return f"{_terms(trade)}, beyond the {role}'s limit {format_e8(limit_e8)}"


def _terms(trade: Message) -> str:
    return f"{format_e8(trade['quantity'])} at {format_e8(trade['price'])}"
