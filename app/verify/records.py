"""A record as it was read from its topic."""

from collections.abc import Mapping
from typing import Any, NamedTuple

Message = Mapping[str, Any]
# Short topic ("events"), partition, offset.
Place = tuple[str, int, int]
# Short topic, partition.
Source = tuple[str, int]

# The changelogs of matching, accounts and risk.
CHANGELOG = "matching-changelog"
ACCOUNTS_CHANGELOG = "accounts-changelog"
RISK_CHANGELOG = "risk-changelog"
CHANGELOGS = (CHANGELOG, ACCOUNTS_CHANGELOG, RISK_CHANGELOG)


class Seen(NamedTuple):
    """One record; `kind` is "" and `message` empty where `error` (a reason) says why it has none."""

    short: str
    partition: int
    offset: int
    timestamp_us: int
    kind: str
    message: Message
    error: str = ""
    key: bytes | None = None
    value: bytes | None = None
    forwarded: bool = False

    @property
    def place(self) -> Place:
        """Where it is."""
        return self.short, self.partition, self.offset


class Snapshot:
    """Where each topic ended when verifying began: what is missing for later records is not missed."""

    def __init__(self, ends: Mapping[Source, int] | None = None) -> None:
        self._ends = dict(ends or {})

    def move(self, ends: Mapping[Source, int]) -> None:
        """Takes a later moment as the one when verifying began."""
        self._ends = dict(ends)

    def has(self, place: Place) -> bool:
        """Whether a record was there when verifying began; without ends, every record was."""
        short, partition, offset = place
        return offset < self._ends.get((short, partition), offset + 1)
