"""The fast book against the naive one, and a restored book against the one that lived on.

Random commands go to all of them. What they say must be the same: tuple by tuple from the naive book,
byte by byte from the restored one, but for which book updates are snapshots. A reader follows the
book by its updates alone and must see what is there.
"""

from typing import Any

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from schemas.numbers import ONE
from schemas.records import Said
from tests.tables.desk import CODEC, Desk, restored
from tests.tables.naive_book import NaiveBook

SIDES = st.sampled_from(["buy", "sell"])
AWAY = st.integers(0, 2)
PRICES = st.integers(97, 103)
QUANTITIES = st.integers(1, 6)
FORCES = st.sampled_from(["gtc", "day", "ioc", "fok"])
KINDS = st.sampled_from(["limit", "limit", "market"])
UNCHANGED = st.just(0)
# Books that are emptied all the time stay thin: most draws end nothing.
ENDS = st.sampled_from(["nothing"] * 14 + ["day", "halted", "closed"])


def told(said: list[Said]) -> list[tuple[Any, ...]]:
    """What was said, in the naive book's words."""
    words: list[tuple[Any, ...]] = []
    for kind, message in said:
        if kind == "Trade":
            makers, takers = (
                message[f"{role}_order_id"].removeprefix("id of ") for role in ("maker", "taker")
            )
            words.append(("trade", makers, takers, message["price"] // ONE, message["quantity"] // ONE))
        elif kind == "OrderEvent" and message["event"] != "trade":
            words.append((message["event"], message["order_id"].removeprefix("id of "), *values(message)))
    return words


def values(event: Any) -> tuple[int, ...]:
    if event["event"] in ("canceled", "expired"):
        return (event["cum_quantity"] // ONE,)
    if event["event"] == "replaced":
        return (event["quantity"] // ONE, event["limit_price"] // ONE)
    return ()


class Reader:
    """Someone who knows a book only from its updates."""

    def __init__(self) -> None:
        self.sequence = 0
        self.levels: dict[tuple[str, int], tuple[int, int]] = {}

    def hear(self, update: dict[str, Any]) -> None:
        assert update["sequence"] == self.sequence + 1
        assert update["snapshot"] or self.sequence, "the first update must be a snapshot"
        self.sequence = update["sequence"]
        if update["snapshot"]:
            self.levels.clear()
        for side in ("bids", "asks"):
            for level in update[side]:
                self.levels[side, level["price"]] = (level["quantity"], level["orders"])
        self.levels = {key: level for key, level in self.levels.items() if level[1]}


class TwoBooks(RuleBasedStateMachine):
    names = Bundle("names")

    def __init__(self) -> None:
        super().__init__()
        self.naive = NaiveBook()
        self.desk = Desk()
        self.other = restored(self.desk)
        self.reader = Reader()
        self.count = 0

    def both(self, command: str, *args: Any, **kwargs: Any) -> list[tuple[Any, ...]]:
        """Sends a command to the living and to the restored desk; returns what was said."""
        before = len(self.desk.said), len(self.other.said)
        for desk in (self.desk, self.other):
            getattr(desk, command)(*args, **kwargs)
        said = self.desk.said[before[0] :]
        encoded, others = ([CODEC.encode(*s) for s in part] for part in (said, self.other.said[before[1] :]))
        assert encoded == others
        return told(said)

    def enter(self, side: str, kind: str, force: str, price: int, quantity: int) -> str:
        self.count += 1
        name = f"o{self.count}"
        expected = self.naive.new(name, side, kind, force, price, quantity)
        assert self.both("new", name, side, quantity, price, force, kind) == expected
        return name

    @rule(target=names, side=SIDES, away=AWAY, quantity=QUANTITIES, day=st.booleans())
    def rest(self, side: str, away: int, quantity: int, day: bool) -> str:
        price = 99 - away if side == "buy" else 101 + away
        return self.enter(side, "limit", "day" if day else "gtc", price, quantity)

    @rule(target=names, side=SIDES, kind=KINDS, force=FORCES, price=PRICES, lots=st.integers(1, 15))
    def trade(self, side: str, kind: str, force: str, price: int, lots: int) -> str:
        return self.enter(side, kind, force, price, lots)

    @rule(name=names)
    def cancel(self, name: str) -> None:
        assert self.both("cancel", name) == self.naive.cancel(name)

    @rule(name=names, quantity=UNCHANGED | QUANTITIES, price=UNCHANGED | PRICES, renamed=st.booleans())
    def replace(self, name: str, quantity: int, price: int, renamed: bool) -> None:
        request_id = f"{name} by {self.desk.offset}" if renamed else ""
        expected = self.naive.replace(name, quantity, price, renamed)
        assert self.both("replace", name, quantity, price, request_id) == expected

    @rule(name=names)
    def status(self, name: str) -> None:
        rests = self.naive.find(name) is not None
        assert self.both("status", name) == ([("order_status", name)] if rests else [])

    @rule(what=ENDS)
    def end(self, what: str) -> None:
        if what == "day":
            assert self.both("control", "ExpireDay") == self.naive.end("expired", day_only=True)
        elif what != "nothing":
            said = self.both("control", "SetSymbolState", state=what, cancel_orders=True)
            assert said == self.naive.end("canceled", day_only=False)

    @rule()
    def cycle(self) -> None:
        here, there = self.desk.cycle(), self.other.cycle()
        faces = [[(u["sequence"], u["checksum"]) for u in updates] for updates in (here, there)]
        assert faces[0] == faces[1]
        assert {k: r.row for k, r in self.desk.rows.items()} == {k: r.row for k, r in self.other.rows.items()}
        for update in here:
            self.reader.hear(update)
        assert self.reader.levels == self.depth()

    @rule()
    def restore(self) -> None:
        """What a crash after a commit leaves: the rows, and nothing else."""
        self.cycle()
        self.other = restored(self.desk)

    def depth(self) -> dict[tuple[str, int], tuple[int, int]]:
        levels: dict[tuple[str, int], tuple[int, int]] = {}
        for order in self.naive.orders:
            key = ("bids" if order.side == "buy" else "asks", order.price * ONE)
            quantity, orders = levels.get(key, (0, 0))
            levels[key] = (quantity + order.leaves * ONE, orders + 1)
        return levels

    @invariant()
    def the_same_orders_rest_in_the_same_priority(self) -> None:
        expected = [(o.name, o.leaves) for o in self.naive.queue("buy") + self.naive.queue("sell")]
        for desk in (self.desk, self.other):
            resting = desk.matching.resting(desk.symbol)
            assert [(o.order_id.removeprefix("id of "), o.leaves_e8 // ONE) for o in resting] == expected


TestTwoBooks = TwoBooks.TestCase
TestTwoBooks.settings = settings(max_examples=120, stateful_step_count=80, deadline=None)
