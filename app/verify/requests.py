"""I1: every request and control has exactly one answer.

What becomes of a record of orders or control, one of three and once:
- in the lane of its account or symbol: an answer on events
- in another lane: one copy, marked as forwarded, in the right lane
- undecodable, or marked as forwarded and still in a wrong lane: one dead letter with its bytes

An event names the request it answers by its offset; the partition is the lane of the account, or the
event's own where accounts refused it, for then the account may be any text. Also I9: no answer is older
than its request.
"""

from array import array
from collections.abc import Callable, Iterator
from hashlib import blake2b

from app.verify.findings import Findings
from app.verify.markets import Markets
from app.verify.records import Message, Place, Seen, Snapshot
from schemas.ids import order_id, printable
from schemas.numbers import format_e8
from schemas.partitioning import lane_of
from schemas.topics import TOPICS

ANSWERS = {
    "NewOrder": frozenset({"accepted", "rejected", "order_status"}),
    "CancelOrder": frozenset({"canceled", "cancel_rejected"}),
    "ReplaceOrder": frozenset({"replaced", "replace_rejected"}),
}
_ANSWERING = frozenset().union(*ANSWERS.values()) - {"canceled"}
_CONTROLS = frozenset(record.__name__ for record in TOPICS["control"].records)
# A worker may have refused the bytes of a record that can be read now.
_MAY_BE_REFUSED = frozenset({"DECODE_UNKNOWN_SCHEMA", "DECODE_REGISTRY_UNAVAILABLE", "DECODE_TOO_LARGE"})
_KINDS = ("", "NewOrder", "CancelOrder", "ReplaceOrder", "MassCancel", "other")
_TERMS = ("account", "client_order_id", "symbol", "side", "order_type", "time_in_force", "quantity")

ANSWER, LETTER, COPY = "an answer", "a dead letter", "a forwarded copy"
# Of a symbol whose own lane was perhaps not known when the control came.
EITHER = "an answer or a forwarded copy"
_ANSWER_TOPICS = ("events", "dead-letters", "orders", "control")

Key = tuple[str, int, int]
OnControl = Callable[[Seen, Seen], None]
_Waiting = dict[tuple[str, bytes], list[Seen]]


def answers_request(event: Message) -> bool:
    """Whether an OrderEvent answers a request, rather than tells what else happened to an order."""
    if event["event"] == "canceled":
        return bool(event["reason"] == "MATCHING_CANCELED_BY_REQUEST")
    return event["event"] in _ANSWERING


class _Log:
    """Of every record of a partition: its kind, and the place of what became of it; 9 bytes each."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._kinds = bytearray()
        self._answers = array("q")

    def put(self, offset: int, kind: str) -> None:
        """Notes a record; offsets only grow."""
        missing = offset - self._first - len(self._kinds)
        if missing > 0:
            self._kinds += bytes(missing)
            self._answers.extend([0] * missing)
        self._kinds.append(_KINDS.index(kind) if kind in _KINDS else len(_KINDS) - 1)
        self._answers.append(0)

    def kind(self, offset: int) -> str:
        """Kind of the record; empty where there is none (yet)."""
        place = offset - self._first
        return _KINDS[self._kinds[place]] if 0 <= place < len(self._kinds) else ""

    def became(self, offset: int) -> Place | None:
        """Where the answer of a record is, if it was answered."""
        packed = self._answers[offset - self._first]
        if not packed:
            return None
        packed, topic = divmod(packed - 1, 4)
        at, partition = divmod(packed, 1024)
        return _ANSWER_TOPICS[topic], partition, at

    def answered(self, offset: int, by: Place) -> None:
        """Notes where the answer of a record is."""
        short, partition, at = by
        packed = (at * 1024 + partition) * 4 + _ANSWER_TOPICS.index(short)
        self._answers[offset - self._first] = packed + 1


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
    ) -> None:
        self._findings = findings
        self._markets = markets
        self._snapshot = snapshot
        self._short_of = {topic.name(prefix): short for short, topic in TOPICS.items()}
        self._skew_us = skew_us
        self._on_control = on_control
        self._logs: dict[tuple[str, int], _Log] = {}
        self._unanswered: dict[Key, tuple[Seen, str]] = {}
        self._early: dict[Key, list[tuple[Seen, str]]] = {}
        # Records in a wrong lane without their copy, and copies without their original, by topic and bytes.
        self._misrouted: _Waiting = {}
        self._copies: _Waiting = {}
        # Cancels that name a MassCancel which was not read yet.
        self._mass_cancels: list[tuple[Key, Seen]] = []

    # What is read.

    def request(self, seen: Seen) -> None:
        """Takes a record of orders or control, readable or not."""
        source = (seen.short, seen.partition)
        log = self._logs.get(source)
        if log is None:
            log = self._logs[source] = _Log(seen.offset)
        log.put(seen.offset, seen.kind or "other")
        self._findings.check("I1")
        expected = self._expected(seen)
        self._unanswered[seen.place] = (seen, expected)
        if seen.forwarded and expected in (ANSWER, EITHER):
            original = _pair(seen, self._misrouted, self._copies)
            if original is not None:
                self._became(original.place, seen, COPY)
        elif expected in (COPY, EITHER):
            copy = _pair(seen, self._copies, self._misrouted)
            if copy is not None:
                self._became(seen.place, copy, COPY)
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

    def event(self, seen: Seen) -> None:
        """Takes an OrderEvent."""
        event = seen.message
        offset = event["request_offset"]
        if answers_request(event):
            if offset < 0:
                self._findings.wrong(
                    "I1", f"{event['event']} names no request", [seen.place], event["order_id"]
                )
            else:
                self._became(("orders", self._partition(seen), offset), seen, ANSWER)
        elif event["reason"] == "MATCHING_MASS_CANCELED":
            key = ("orders", lane_of(event["account"], self._markets.partitions), offset)
            log = self._logs.get(key[:2])
            if log is None or log.kind(offset) != "MassCancel":
                self._mass_cancels.append((key, seen))

    def _partition(self, seen: Seen) -> int:
        event = seen.message
        if event["reason"].startswith("ACCOUNTS_"):
            return seen.partition
        return lane_of(event["account"], self._markets.partitions)

    def mass_cancel_report(self, seen: Seen) -> None:
        """Takes a MassCancelReport; accounts says it in the lane of the request."""
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
            self._findings.wrong(
                "I1", f"a record of {short}, which lanes write, became a dead letter", [seen.place]
            )

    # What becomes of what.

    def _became(self, key: Key, answer: Seen, how: str) -> None:
        waiting = self._unanswered.get(key)
        if waiting is not None:
            del self._unanswered[key]
            request, expected = waiting
            self._logs[key[:2]].answered(key[2], answer.place)
            self._settle(request, expected, answer, how)
            return
        log = self._logs.get(key[:2])
        if log is None or not log.kind(key[2]):
            self._early.setdefault(key, []).append((answer, how))
            return
        places = [key, log.became(key[2]), answer.place]
        text = f"{_named(key)} has {how} although it was answered before"
        self._findings.wrong("I1", text, places, answer.message.get("order_id", ""))

    def _settle(self, request: Seen, expected: str, answer: Seen, how: str) -> None:
        """Holds a request against the one answer it has."""
        wrong = self._misfit(request, expected, answer, how)
        order = answer.message.get("order_id", "")
        if wrong:
            text = f"{request.kind or 'record'} {_named(request.place)}: {wrong}"
            self._findings.wrong("I1", text, [request.place, answer.place], order)
        self._findings.check("I9")
        at_us = answer.message.get("at_us", answer.timestamp_us)
        if at_us + self._skew_us < request.timestamp_us:
            text = f"{_named(request.place)} is answered {request.timestamp_us - at_us} us before it came"
            self._findings.wrong("I9", text, [request.place, answer.place], order)
        if request.short == "control" and answer.kind == "ControlReport":
            self._on_control(request, answer)

    def _misfit(self, request: Seen, expected: str, answer: Seen, how: str) -> str:
        """What is wrong with the answer of a request; empty when nothing is."""
        if how != expected and (expected is not EITHER or how is LETTER):
            refused = how is LETTER and expected is not COPY and answer.message["reason"] in _MAY_BE_REFUSED
            return "" if refused else f"it needs {expected} and has {how}"
        if how is LETTER:
            same = answer.message["value"] == request.value and answer.message["key"] == request.key
            return "" if same else "its dead letter has other bytes"
        return "" if how is COPY else _misfit(request, answer)

    # The end.

    def waiting(self) -> Iterator[Key]:
        """Records of the snapshot of which nothing became yet."""
        return (key for key in self._unanswered if self._snapshot.has(key))

    def finish(self) -> None:
        """Reports what had no answer, and what answers nothing."""
        for key in self.waiting():
            request, expected = self._unanswered[key]
            text = f"{request.kind or 'record'} {_named(key)} has no answer: it needs {expected}"
            self._findings.wrong("I1", text, [key])
        for key, answers in self._early.items():
            for answer, how in answers:
                if self._snapshot.has(answer.place):
                    text = f"{how} for {_named(key)}, where no request is"
                    self._findings.wrong("I1", text, [answer.place], answer.message.get("order_id", ""))
        for copies in self._copies.values():
            for copy in copies:
                if self._snapshot.has(copy.place):
                    self._findings.wrong("I1", "a forwarded copy of no record in a wrong lane", [copy.place])
        self._finish_mass_cancels()

    def _finish_mass_cancels(self) -> None:
        for key, seen in self._mass_cancels:
            log = self._logs.get(key[:2])
            if self._snapshot.has(seen.place) and (log is None or log.kind(key[2]) != "MassCancel"):
                text = f"canceled by a mass cancel at {_named(key)}, where none is"
                self._findings.wrong("I9", text, [seen.place], seen.message["order_id"])


def _named(key: Key) -> str:
    short, partition, offset = key
    return f"{short}-{partition}@{offset}"


def _pair(seen: Seen, waiting: _Waiting, keep: _Waiting) -> Seen | None:
    """The record with the same bytes that waits for this one; if none does, this one is kept."""
    key = (seen.short, blake2b(seen.value or b"", digest_size=16).digest())
    others = waiting.get(key)
    if not others:
        keep.setdefault(key, []).append(seen)
        return None
    other = others.pop(0)
    if not others:
        del waiting[key]
    return other


def _misfit(request: Seen, answer: Seen) -> str:
    """What an answer says otherwise than its request; empty when it fits."""
    if request.kind in _CONTROLS:
        return _control_misfit(request, answer)
    asked, said = request.message, answer.message
    if printable(asked["account"]) != said["account"]:
        return f"the answer is of account {said['account']}, not {asked['account']}"
    if request.kind == "MassCancel":
        return _id_misfit(asked, said) if answer.kind == "MassCancelReport" else f"answered by {answer.kind}"
    if answer.kind != "OrderEvent" or said["event"] not in ANSWERS[request.kind]:
        return f"answered by {said.get('event', answer.kind)}"
    if request.kind != "NewOrder":
        return _id_misfit(asked, said)
    return _terms_misfit(request, said) if said["event"] == "accepted" else ""


def _control_misfit(control: Seen, answer: Seen) -> str:
    asked, said = control.message, answer.message
    if answer.kind != "ControlReport" or said["control"] != control.kind:
        return f"answered by {answer.kind} {said.get('control', '')}"
    if printable(asked["control_id"]) != said["control_id"]:
        return f"the answer has control_id {said['control_id']}, not {asked['control_id']}"
    return ""


def _id_misfit(asked: Message, said: Message) -> str:
    if printable(asked["client_order_id"]) == said["request_id"]:
        return ""
    return f"the answer has request_id {said['request_id']}, not {asked['client_order_id']}"


def _terms_misfit(request: Seen, accepted: Message) -> str:
    """What an accepted order has otherwise than it was asked for."""
    asked = request.message
    for term in _TERMS:
        if asked[term] != accepted[term]:
            return f"accepted with {term} {accepted[term]}, asked {asked[term]}"
    limit_e8 = asked["limit_price"] or 0
    if limit_e8 != accepted["limit_price"]:
        return f"accepted with limit_price {format_e8(accepted['limit_price'])}, asked {format_e8(limit_e8)}"
    account, client_order_id = asked["account"], asked["client_order_id"]
    days = (asked["entered_us"], request.timestamp_us)
    if all(order_id(account, client_order_id, day_us) != accepted["order_id"] for day_us in days):
        return f"order_id {accepted['order_id']} is not made of its account, client_order_id and day"
    return ""
