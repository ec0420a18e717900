"""I9: an order with a date expires in the first cycle of its lane that is not before it.

All that a cycle of a lane says of its orders has one time, and what was due is said first. So an order that
expires, or still lives, although an earlier cycle of its lane was not before its date, was forgotten then.
Should a worker's time go back (a clock that was far ahead), the lane's cycles are told apart anew.
"""

from app.verify.findings import Findings
from app.verify.records import Message, Place, Seen

_LAPSED = "MATCHING_EXPIRED"


class _Cycles:
    """The time of a lane's present cycle, and of the one before it."""

    __slots__ = ("before_us", "now_us")

    def __init__(self) -> None:
        self.before_us = self.now_us = 0

    def hear(self, at_us: int) -> None:
        if at_us > self.now_us:
            self.before_us = self.now_us
        elif at_us < self.now_us:
            self.before_us = 0
        self.now_us = at_us


class Deadlines:
    """Follows the orders that end by time, and the time of each lane."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._cycles: dict[int, _Cycles] = {}
        # By order_id: when it expires, and the record that says so.
        self._due: dict[str, tuple[int, Place]] = {}

    def change(self, seen: Seen) -> None:
        """Takes what matching said of an order that changed."""
        event = seen.message
        cycles = self._cycles.get(seen.partition)
        if cycles is None:
            cycles = self._cycles[seen.partition] = _Cycles()
        cycles.hear(event["at_us"])
        due_us = _expires_us(event)
        if not due_us:
            self._due.pop(event["order_id"], None)
            return
        if event["event"] == "expired" and event["reason"] == _LAPSED:
            self._hold(due_us, cycles, seen.place, event["order_id"], "expires")
        if event["leaves_quantity"]:
            self._due[event["order_id"]] = due_us, seen.place
        else:
            self._due.pop(event["order_id"], None)

    def finish(self) -> None:
        """Holds those that live against the cycles that there were."""
        for order_id, (due_us, place) in self._due.items():
            self._hold(due_us, self._cycles[place[1]], place, order_id, "lives")

    def _hold(self, due_us: int, cycles: _Cycles, place: Place, order_id: str, what: str) -> None:
        self._findings.check("I9")
        if due_us <= cycles.before_us:
            late_us = cycles.before_us - due_us
            text = f"order {order_id} {what} although its lane had a cycle {late_us} us after its date"
            self._findings.wrong("I9", text, [place], order_id)


def _expires_us(event: Message) -> int:
    """When an order expires by time; 0: never."""
    if event["time_in_force"] != "gtd":
        return 0
    instructions = event.get("instructions")
    return int(instructions["expire_at_us"]) if instructions else 0
