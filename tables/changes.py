"""What changed since the changelog was last written: each thing once, in its last state."""

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
    """Collects changed things; rows are built only when asked for, once per thing."""

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

    def rows(self) -> list[Row]:
        """Rows changed since the last call; of a key, the last one said."""
        rows: dict[str, Row] = {}
        for kept in self._kept:
            kept.changed = False
            row = kept.row()
            rows[row.key] = row
        self._kept.clear()
        return list(rows.values())
