"""The fast engine beside the naive one: the same commands to both, and the shortest that tell them apart.

`docs/matching.md` says who is wrong. Both engines' own `check` runs after every command, so that a list of
commands may fail in three ways: they disagree, one of them is not whole, or one of them raises.
"""

from collections.abc import Callable, Mapping
from typing import Any

from app.naive import Engine as NaiveEngine
from schemas.codec import Codec, record_names
from tables.engine import Engine
from tables.engine.rows import order_row
from tables.instrument_rules import InstrumentRules
from tests.tables.desk import Desk, restored
from tests.tables.pipeline_records import Records, instruments_of

Step = tuple[dict[str, Any], int]
Rules = Mapping[str, InstrumentRules]

CODEC = Codec({record: number for number, record in enumerate(record_names(), 1)})


def comparable(happening: Mapping[str, Any]) -> dict[str, Any]:
    """A happening without its text, which is for people."""
    words = {name: value for name, value in happening.items() if name != "text"}
    if "limit_price" in words:
        words["limit_price"] = words["limit_price"] or None
    return words


class TwoEngines:
    """The fast and the naive engine; `apply` raises AssertionError where they part."""

    def __init__(self, rules: Rules) -> None:
        self.fast = Engine(rules)
        self.naive = NaiveEngine(rules)

    def apply(self, step: Step) -> list[dict[str, Any]]:
        """Gives a command to both, holds both answers and all that they keep against each other."""
        said = self.hear(step)
        self.compare(step[0].get("symbol"))
        return said

    def hear(self, step: Step) -> list[dict[str, Any]]:
        """Gives a command to both, and holds their answers against each other."""
        command, at_us = step
        fast = [comparable(happening) for happening in self.fast.apply(command, at_us)]
        naive = [comparable(happening) for happening in self.naive.apply(command, at_us)]
        assert fast == naive, f"they say\nfast  {fast}\nnaive {naive}"
        return fast

    def compare(self, symbol: str | None) -> None:
        """Holds all live orders against each other and, of a symbol, the depth; both must be whole."""
        here, there = self.fast.resting(), self.naive.resting()
        for mine, its in zip(here, there, strict=True):
            assert comparable(mine) == comparable(its), f"they keep\nfast  {mine}\nnaive {its}"
        self.fast.check()
        self.naive.check()
        if symbol is not None:
            assert self.fast.depth(symbol) == self.naive.depth(symbol)


class Restored:
    """An engine, and another that is made anew from its rows now and then; they must say the same."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.lives = Engine(rules)
        self.restored = Engine(rules)

    def apply(self, step: Step) -> list[dict[str, Any]]:
        """Gives a command to both, holds both answers and all live orders against each other."""
        said = self.hear(step)
        assert self.lives.resting() == self.restored.resting()
        return said

    def hear(self, step: Step) -> list[dict[str, Any]]:
        """Gives a command to both, and holds their answers against each other."""
        here, there = (engine.apply(*step) for engine in (self.lives, self.restored))
        assert here == there, f"they say\nlives    {here}\nrestored {there}"
        return here

    def restore(self) -> None:
        """What a crash after a commit leaves: the rows, as bytes, in no order in particular."""
        self.restored = Engine(self.rules)
        self.restored.restore([_through_bytes(kind, row) for kind, row in reversed(self.lives.rows())])
        self.restored.check()


class RestoredMatching:
    """A desk, and another that is made anew from the changelog now and then; they must say the same."""

    def __init__(self, rules: Rules) -> None:
        self.records = Records(rules)
        self.lives = Desk("", instruments_of(rules))
        self.restored = restored(self.lives)

    def apply(self, step: Step) -> None:
        """Gives a command's record to both, and holds all that they say and keep against each other."""
        for record, at_us in self.records.of(step):
            before = len(self.lives.said), len(self.restored.said)
            for desk in (self.lives, self.restored):
                desk.take(record, at_us)
            here, there = self.lives.said[before[0] :], self.restored.said[before[1] :]
            assert here == there, f"they say\nlives    {here}\nrestored {there}"
            assert [CODEC.encode(*each) for each in here] == [CODEC.encode(*each) for each in there]
            symbol = record.message["symbol"]
            resting = [
                [order_row(order) for order in desk.matching.resting(symbol)]
                for desk in (self.lives, self.restored)
            ]
            assert resting[0] == resting[1], f"they keep\nlives    {resting[0]}\nrestored {resting[1]}"
            assert self.lives.matching.watched == self.restored.matching.watched

    def cycle(self) -> None:
        """Ends a cycle: book updates differ in which are snapshots alone, rows in nothing."""
        here, there = (
            [(update["symbol"], update["sequence"], update["checksum"]) for update in desk.cycle()]
            for desk in (self.lives, self.restored)
        )
        assert here == there
        assert self.lives.rows == self.restored.rows

    def restore(self) -> None:
        """What a crash after a commit leaves: the rows, as bytes, in no order in particular."""
        self.cycle()
        self.restored = restored(self.lives)
        self.restored.matching.check()


def _through_bytes(kind: str, row: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    _, read = CODEC.decode(CODEC.encode(kind, row))
    # Keys that the pipeline does not have.
    return kind, dict(read) | {"aliases": row.get("aliases")}


def failure(steps: list[Step], rules: Rules) -> str:
    """Why a list of commands fails; empty: it does not."""
    engines = TwoEngines(rules)
    for number, step in enumerate(steps):
        try:
            engines.apply(step)
        except Exception as error:
            return f"command {number}: {type(error).__name__}: {error}"
    return ""


def shrunk(steps: list[Step], fails: Callable[[list[Step]], bool]) -> list[Step]:
    """A short list that still fails: parts are left out as long as it fails without them."""
    size = len(steps) // 2
    while size:
        start = 0
        while start < len(steps):
            without = steps[:start] + steps[start + size :]
            if fails(without):
                steps = without
            else:
                start += size
        size //= 2
    return steps
