"""What an agent is handed: the records of one lane and cycle that are for it, and its table."""

from collections.abc import Iterable
from typing import Generic, TypeVar

from schemas.records import Record, Said

Table = TypeVar("Table")


class Batch(Generic[Table]):
    """Records of one lane and cycle, in the order of their topic's log, and the lane's table.

    What the agent says is kept until the lane commits the cycle: it leaves as a whole, together with
    the changed rows and the input offsets, or not at all. `at_us` is the cycle's time.
    """

    __slots__ = ("at_us", "passed", "records", "said", "table")

    def __init__(self, table: Table, records: list[Record], at_us: int) -> None:
        self.table = table
        self.records = records
        self.at_us = at_us
        self.said: list[Said] = []
        self.passed: list[Record] = []

    def say(self, said: Iterable[Said]) -> None:
        """Emits messages; each record name has one topic."""
        self.said.extend(said)

    def pass_on(self, record: Record) -> None:
        """Hands a record to the next agent of the lane, within the cycle and its transaction."""
        self.passed.append(record)
