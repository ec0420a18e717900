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
PRICES = st.integers(95, 105)
QUANTITIES = st.integers(1, 6)
FORCES = st.sampled_from(["gtc", "gtc", "gtc", "day", "ioc", "fok"])
KINDS = st.sampled_from(["limit", "limit", "limit", "limit", "market"])


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

    @rule(target=names, side=SIDES, kind=KINDS, force=FORCES, price=PRICES, quantity=QUANTITIES)
    def new(self, side: str, kind: str, force: str, price: int, quantity: int) -> str:
        self.count += 1
        name = f"o{self.count}"
        expected = self.naive.new(name, side, kind, force, price, quantity)
        assert self.both("new", name, side, quantity, price, force, kind) == expected
        return name

    @rule(name=names)
    def cancel(self, name: str) -> None:
        assert self.both("cancel", name) == self.naive.cancel(name)

    @rule(name=names, quantity=QUANTITIES, price=PRICES, renamed=st.booleans())
    def replace(self, name: str, quantity: int, price: int, renamed: bool) -> None:
        request_id = f"{name} by {self.desk.offset}" if renamed else ""
        expected = self.naive.replace(name, quantity, price)
        assert self.both("replace", name, quantity, price, request_id) == expected

    @rule(name=names)
    def status(self, name: str) -> None:
        rests = self.naive.find(name) is not None
        assert self.both("status", name) == ([("order_status", name)] if rests else [])

    @rule()
    def expire_day(self) -> None:
        assert self.both("control", "ExpireDay") == self.naive.end("expired", day_only=True)

    @rule(state=st.sampled_from(["halted", "closed"]))
    def halt(self, state: str) -> None:
        said = self.both("control", "SetSymbolState", state=state, cancel_orders=True)
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
TestTwoBooks.settings = settings(max_examples=60, stateful_step_count=60, deadline=None)
