"""I1: every request and control has exactly one answer.

What becomes of a record of orders or control, one of three and once:
- in the lane of its account or symbol: an answer on events
- in another lane: one copy, marked as forwarded, in the right lane
- undecodable, or marked as forwarded and still in a wrong lane: one dead letter with its bytes

An event names the request it answers by its offset; the partition is the lane of the account, or the
event's own where accounts refused it, for then the account may be any text. Also I9: no answer is older
than its request.
"""

from collections.abc import Callable, Iterator
from hashlib import blake2b

from app.verify.findings import Findings
from app.verify.ledger import ANSWER, COPY, EITHER, LETTER, Asked, Ledger, answered, asked
from app.verify.markets import Markets
from app.verify.numbers import number_of
from app.verify.records import Message, Place, Seen, Snapshot, Source
from schemas.ids import DAY_US
from schemas.partitioning import lane_of
from schemas.topics import TOPICS

ANSWERS = {
    "NewOrder": frozenset({"accepted", "rejected", "order_status"}),
    "CancelOrder": frozenset({"canceled", "cancel_rejected"}),
    "ReplaceOrder": frozenset({"replaced", "replace_rejected"}),
}
_ANSWERING = frozenset().union(*ANSWERS.values()) - {"canceled"}
_REPORTS = {
    "MassCancel": "MassCancelReport",
    "CancelAllAfter": "MassCancelReport",
    "control": "ControlReport",
}
# A worker may have refused the bytes of a record that can be read now.
_MAY_BE_REFUSED = frozenset({"DECODE_UNKNOWN_SCHEMA", "DECODE_REGISTRY_UNAVAILABLE", "DECODE_TOO_LARGE"})

OnControl = Callable[[Seen, Seen], None]
_Waiting = dict[tuple[str, bytes], list[Place]]


def answers_request(event: Message) -> bool:
    """Whether an OrderEvent answers a request, rather than tells what else happened to an order."""
    if event["event"] == "canceled":
        return bool(event["reason"] == "MATCHING_CANCELED_BY_REQUEST")
    if event["event"] == "replaced":
        # Self-trade prevention and the entry of a bracket make orders smaller, too.
        return bool(event["reason"] == "NONE")
    return event["event"] in _ANSWERING


class Requests:
    """Pairs requests with answers, whichever is read first; `on_control` hears each control's report."""

    def __init__(
        self,
        findings: Findings,
        markets: Markets,
        snapshot: Snapshot,
        prefix: str,
        skew_us: int,
        on_control: OnControl = lambda control, report: None,
        window_us: int = DAY_US,
    ) -> None:
        self._findings = findings
        self._markets = markets
        self._snapshot = snapshot
        self._short_of = {topic.name(prefix): short for short, topic in TOPICS.items()}
        self._skew_us = skew_us
        self._on_control = on_control
        # How long the id of a control that was applied is remembered; those ids, the oldest first.
        self._window_us = min(window_us, DAY_US)
        self._applied: dict[int, tuple[int, Place]] = {}
        self._overdue: set[Place] = set()
        self._ledgers: dict[Source, Ledger] = {}
        # Controls that were not reported yet, and what answers a request that was not read yet.
        self._controls: dict[Place, Seen] = {}
        self._early: dict[Place, list[tuple[Seen, str]]] = {}
        # Records in a wrong lane without their copy, and copies without their original, by topic and bytes.
        self._misrouted: _Waiting = {}
        self._copies: _Waiting = {}
        # Cancels that name a MassCancel which was not read yet.
        self._mass_cancels: list[tuple[Place, Seen]] = []

    # What is read.

    def request(self, seen: Seen) -> None:
        """Takes a record of orders or control, readable or not."""
        self._findings.check("I1")
        expected = self._expected(seen)
        source = (seen.short, seen.partition)
        ledger = self._ledgers.get(source)
        if ledger is None:
            ledger = self._ledgers[source] = Ledger(seen.offset)
        ledger.put(seen.offset, asked(seen, expected))
        if seen.short == "control":
            self._controls[seen.place] = seen
        self._pair_copies(seen, expected)
        for answer, how in self._early.pop(seen.place, ()):
            self._became(seen.place, answer, how)

    def _expected(self, seen: Seen) -> str:
        """What must become of a record."""
        if seen.error:
            return LETTER
        account = seen.message.get("account")
        if account is not None:
            lanes = {lane_of(account, self._markets.partitions)}
        else:
            lanes = self._markets.lanes(seen.message["symbol"])
        if seen.partition in lanes:
            return ANSWER if len(lanes) == 1 else EITHER
        return LETTER if seen.forwarded else COPY

    def _pair_copies(self, seen: Seen, expected: str) -> None:
        """Pairs a record in a wrong lane with its copy in the right one, by their bytes."""
        if seen.forwarded and expected in (ANSWER, EITHER):
            original = _pair(seen, self._misrouted, self._copies)
            if original is not None:
                self._became(original, seen, COPY)
        elif expected in (COPY, EITHER):
            copy = _pair(seen, self._copies, self._misrouted)
            if copy is not None:
                self._became(seen.place, seen._replace(partition=copy[1], offset=copy[2]), COPY)

    def event(self, seen: Seen) -> None:
        """Takes an OrderEvent."""
        event = seen.message
        offset = event["request_offset"]
        if answers_request(event):
            if offset < 0:
                text = f"{event['event']} names no request"
                self._findings.wrong("I1", text, [seen.place], event["order_id"])
            else:
                self._became(("orders", self._partition(seen), offset), seen, ANSWER)
        elif event["reason"] == "MATCHING_MASS_CANCELED":
            request = ("orders", lane_of(event["account"], self._markets.partitions), offset)
            if not self._is_mass_cancel(request):
                self._mass_cancels.append((request, seen))

    def _partition(self, seen: Seen) -> int:
        event = seen.message
        if event["reason"].startswith("ACCOUNTS_"):
            return seen.partition
        return lane_of(event["account"], self._markets.partitions)

    def _asked(self, request: Place) -> Asked | None:
        ledger = self._ledgers.get(request[:2])
        return None if ledger is None else ledger.asked(request[2])

    def _is_mass_cancel(self, request: Place) -> bool:
        asked = self._asked(request)
        return asked is not None and asked.kind == "MassCancel"

    def mass_cancel_report(self, seen: Seen) -> None:
        """Takes a MassCancelReport; accounts says it in the lane of the request.

        One that a dead-man switch caused answers none.
        """
        if seen.message["request_offset"] >= 0:
            self._became(("orders", seen.partition, seen.message["request_offset"]), seen, ANSWER)

    def control_report(self, seen: Seen) -> None:
        """Takes a ControlReport; it is said in the lane of the control."""
        self._became(("control", seen.partition, seen.message["control_offset"]), seen, ANSWER)

    def dead_letter(self, seen: Seen) -> None:
        """Takes a DeadLetter."""
        letter = seen.message
        short = self._short_of.get(letter["topic"], letter["topic"])
        if short in ("orders", "control"):
            self._became((short, letter["partition"], letter["offset"]), seen, LETTER)
        elif short != "quotes":
            text = f"a record of {short}, which lanes write, became a dead letter"
            self._findings.wrong("I1", text, [seen.place])

    # What becomes of what.

    def _became(self, request: Place, answer: Seen, how: str) -> None:
        asked = self._asked(request)
        if asked is None:
            self._early.setdefault(request, []).append((answer, how))
            return
        ledger = self._ledgers[request[:2]]
        if ledger.is_answered(request[2]):
            text = f"{_named(request)} has {how} although it was answered before"
            places = [request, ledger.answer(request[2]), answer.place]
            self._findings.wrong("I1", text, places, answer.message.get("order_id", ""))
            return
        ledger.became(request[2], answer.place)
        self._settle(request, asked, answer, how)

    def _settle(self, request: Place, asked: Asked, answer: Seen, how: str) -> None:
        """Holds a request against the one answer it has."""
        order, places = answer.message.get("order_id", ""), [request, answer.place]
        wrong = _misfit(asked, answer, how)
        if wrong:
            self._findings.wrong("I1", f"{asked.kind or 'record'} {_named(request)}: {wrong}", places, order)
        self._findings.check("I9")
        early_us = 0 if how is COPY else asked.logged_us - answer.message["at_us"]
        if early_us > self._skew_us:
            text = f"{_named(request)} is answered {early_us} us before it came"
            self._findings.wrong("I9", text, places, order)
        control = self._controls.pop(request, None)
        if control is not None and answer.kind == "ControlReport":
            if answer.message["outcome"] == "applied":
                self._once(control, answer)
            self._on_control(control, answer)

    def _once(self, control: Seen, report: Seen) -> None:
        """A control's id is applied once within the window, counted to when the log received the repeat."""
        message = control.message
        if not message["control_id"]:
            return
        owner = message.get("account") or message["symbol"]
        key = number_of(f"{owner}\0{message['control_id']}")
        before_us, place = self._applied.get(key, (-self._window_us, control.place))
        if control.timestamp_us < before_us + self._window_us:
            text = f"{control.kind} {message['control_id']} of {owner} was applied twice"
            self._findings.wrong("I1", text, [place, control.place, report.place])
        self._applied.pop(key, None)
        self._applied[key] = report.message["at_us"], report.place
        oldest = next(iter(self._applied))
        if self._applied[oldest][0] + 2 * self._window_us < control.timestamp_us:
            del self._applied[oldest]

    # The end.

    def waiting(self) -> Iterator[Place]:
        """Records of the snapshot of which nothing became yet."""
        for (short, partition), ledger in self._ledgers.items():
            for offset in ledger.unanswered():
                if not self._snapshot.has((short, partition, offset)):
                    break
                yield short, partition, offset

    def overdue(self) -> None:
        """Reports what of the snapshot has no answer, each once."""
        for request in self.waiting():
            asked = self._asked(request)
            assert asked is not None
            if request not in self._overdue:
                self._overdue.add(request)
                text = f"{asked.kind or 'record'} {_named(request)} has no answer: it needs {asked.expected}"
                self._findings.wrong("I1", text, [request])

    def finish(self) -> None:
        """Reports what had no answer, and what answers nothing."""
        self.overdue()
        for request, answers in self._early.items():
            for answer, how in answers:
                if self._snapshot.has(answer.place):
                    text = f"{how} for {_named(request)}, where no request is"
                    self._findings.wrong("I1", text, [answer.place], answer.message.get("order_id", ""))
        for copies in self._copies.values():
            for copy in copies:
                if self._snapshot.has(copy):
                    self._findings.wrong("I1", "a forwarded copy of no record in a wrong lane", [copy])
        for request, seen in self._mass_cancels:
            if self._snapshot.has(seen.place) and not self._is_mass_cancel(request):
                text = f"canceled by a mass cancel at {_named(request)}, where none is"
                self._findings.wrong("I9", text, [seen.place], seen.message["order_id"])


def _named(place: Place) -> str:
    short, partition, offset = place
    return f"{short}-{partition}@{offset}"


def _pair(seen: Seen, waiting: _Waiting, keep: _Waiting) -> Place | None:
    """Where the record with the same bytes is that waits for this one; if none does, this one is kept."""
    key = (seen.short, blake2b(seen.value or b"", digest_size=16).digest())
    others = waiting.get(key)
    if not others:
        keep.setdefault(key, []).append(seen.place)
        return None
    other = others.pop(0)
    if not others:
        del waiting[key]
    return other


def _misfit(asked: Asked, answer: Seen, how: str) -> str:
    """What is wrong with the answer of a request; empty when nothing is."""
    told = answer.message
    if how != asked.expected and (asked.expected is not EITHER or how is LETTER):
        refused = how is LETTER and asked.expected is not COPY and told["reason"] in _MAY_BE_REFUSED
        return "" if refused else f"it needs {asked.expected} and has {how}"
    if how is COPY:
        return ""
    fits = answered(answer)
    if how is LETTER:
        return "" if fits == asked.print else "its dead letter has other bytes"
    if asked.kind in _REPORTS:
        right = answer.kind == _REPORTS[asked.kind]
    else:
        right = answer.kind == "OrderEvent" and told["event"] in ANSWERS[asked.kind]
    if not right:
        return f"answered by {told.get('event', answer.kind)}"
    if fits.account != asked.print.account:
        return f"the answer is of another account, {told['account']}"
    if asked.kind == "NewOrder" and told["event"] != "accepted":
        return ""
    return "" if fits.terms == asked.print.terms else "the answer is to other terms, or of another id"
