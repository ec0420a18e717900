"""What changed since the changelog was last written: each thing once, in its last state."""

from collections.abc import Iterator
from typing import Protocol

from schemas.records import Row


class Kept(Protocol):
    """Something with a row in a changelog; `changed` is the business of `Changes`."""

    changed: bool

    def row(self) -> Row:
        """Its row as it is now."""
        ...


class _Gone:
    """A key whose row goes."""

    __slots__ = ("changed", "key", "kind")

    def __init__(self, key: str, kind: str) -> None:
        self.key = key
        self.kind = kind
        self.changed = True

    def row(self) -> Row:
        return Row(self.key, self.kind, None)


class Changes:
    """Collects changed things; rows are built only when asked for, once per thing.

    One after the other, so that each is written while it is still in the processor's cache.
    """

    def __init__(self) -> None:
        self._kept: list[Kept] = []

    def touch(self, kept: Kept) -> None:
        """Has the thing's row written next time."""
        if not kept.changed:
            kept.changed = True
            self._kept.append(kept)

    def forget(self, key: str, kind: str) -> None:
        """Has the row of a key taken away; a thing touched later may have the key again."""
        self._kept.append(_Gone(key, kind))

    def rows(self) -> Iterator[Row]:
        """Rows changed since the last call, to be read whole; of a key, the last one counts."""
        changed, self._kept = self._kept, []
        for kept in changed:
            kept.changed = False
            yield kept.row()
