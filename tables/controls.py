"""Controls: the report that answers each, and the ids of those that were applied."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from schemas.ids import CLIENT_ORDER_ID_MAX, printable, valid_client_order_id
from schemas.reasons import Reason
from schemas.records import Record, Row, Said
from tables.changes import Changes
from tables.window import Window

# Most ids forgotten per cycle, so that no cycle is long.
FORGET_MAX = 1000


class Refusal(NamedTuple):
    """Why a request is refused: the reason and the values behind it, as in `limit=1000 asked=1200`."""

    reason: Reason
    text: str


def control_report(record: Record, at_us: int, refusal: Refusal | None) -> Said:
    """The one answer to a control: applied, or rejected with the reason."""
    message = record.message
    return "ControlReport", {
        "control": record.kind,
        "account": printable(message.get("account", "")),
        "symbol": printable(message.get("symbol", "")) if "account" not in message else "",
        "control_id": printable(message["control_id"]),
        "outcome": "applied" if refusal is None else "rejected",
        "reason": "NONE" if refusal is None else refusal.reason,
        "text": "" if refusal is None else refusal.text,
        "control_offset": record.offset,
        "entered_by": printable(message["entered_by"]),
        "door": message["door"],
        "at_us": at_us,
    }


def malformed_id(control_id: str) -> str:
    """What is wrong with a control's id, empty when nothing is; an empty id is no id."""
    if not control_id or valid_client_order_id(control_id):
        return ""
    return f"control_id must be at most {CLIENT_ORDER_ID_MAX} printable ASCII characters"


class _Applied:
    """One id of a control that was applied for an account or symbol."""

    __slots__ = ("at_us", "changed", "id", "owner")

    def __init__(self, owner: str, id: str, at_us: int) -> None:
        self.owner = owner
        self.id = id
        self.at_us = at_us
        self.changed = False

    def row(self) -> Row:
        row = {"account": self.owner, "id": self.id, "client_order_id": "", "at_us": self.at_us}
        return Row(f"control|{self.owner}|{self.id}", "AliasRow", row)


class ControlIds:
    """Ids of applied controls by account or symbol; each is remembered for the window.

    The window counts from when the control was applied to when the log received the repeat, so that a
    lane that is behind forgets nothing that waiting records may still repeat.
    """

    def __init__(self, changes: Changes, window_us: int) -> None:
        self._changes = changes
        self._window_us = window_us
        self._applied: dict[tuple[str, str], _Applied] = {}
        self._window: Window[_Applied] = Window()
        self._heard_us = 0

    def repeats(self, owner: str, control_id: str, logged_us: int) -> bool:
        """Whether a control with that id was applied within the window before `logged_us`."""
        self._heard_us = max(self._heard_us, logged_us)
        applied = self._applied.get((owner, control_id))
        return applied is not None and logged_us < applied.at_us + self._window_us

    def add(self, owner: str, control_id: str, at_us: int) -> None:
        """Remembers that the control was applied; an empty id is none."""
        if control_id:
            applied = _Applied(owner, control_id, at_us)
            self._keep(applied)
            self._changes.touch(applied)

    def _keep(self, applied: _Applied) -> None:
        self._applied[applied.owner, applied.id] = applied
        self._window.remember(applied, applied.at_us + self._window_us)

    def forget_old(self) -> None:
        """Forgets some of the ids whose window has passed."""
        for applied in self._window.due(self._heard_us, FORGET_MAX):
            if self._applied.get((applied.owner, applied.id)) is applied:
                del self._applied[applied.owner, applied.id]
                self._changes.forget(applied.row().key, "AliasRow")

    def restore(self, row: Mapping[str, Any]) -> None:
        """Takes one id from its AliasRow."""
        self._keep(_Applied(row["account"], row["id"], row["at_us"]))
