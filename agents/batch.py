"""What an agent is handed: the records of one lane and cycle that are for it, and its table."""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from schemas.records import Record, Said

Table = TypeVar("Table")


class Batch(Generic[Table]):
    """Records of one lane and cycle, in the order of their topic's log, to be heard once; the lane's table.

    What the agent says is kept until the lane commits the cycle: it leaves as a whole, together with
    the changed rows and the input offsets, or not at all. `at_us` is the cycle's time. `say` emits messages,
    each record name to its one topic; said soon after they were made, they are still in the processor's
    cache when they are encoded.
    """

    __slots__ = ("at_us", "passed", "records", "say", "table")

    def __init__(
        self, table: Table, records: Iterable[Record], at_us: int, say: Callable[[Iterable[Said]], None]
    ) -> None:
        self.table = table
        self.records = records
        self.at_us = at_us
        self.say = say
        self.passed: list[Record] = []

    def pass_on(self, record: Record) -> None:
        """Hands a record to the next agent of the lane, within the cycle and its transaction."""
        self.passed.append(record)
