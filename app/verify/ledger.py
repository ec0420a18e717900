"""What was asked, in 25 bytes per record: kind, fingerprint, time, and where the answer is.

A million requests that wait for a slow worker so cost 25 MB, not a gigabyte. Of those at the front that
are all answered, only the kind is kept: one byte, enough to know a second answer.
"""

from array import array
from collections.abc import Iterator
from typing import NamedTuple

from app.verify.records import Message, Place, Seen
from schemas.ids import order_id, printable

# What must become of a record.
ANSWER, LETTER, COPY = "an answer", "a dead letter", "a forwarded copy"
# Of a symbol whose own lane was perhaps not known when the control came.
EITHER = "an answer or a forwarded copy"

_EXPECTED = (ANSWER, LETTER, COPY, EITHER)
_KINDS = ("", "NewOrder", "CancelOrder", "ReplaceOrder", "MassCancel", "control", "CancelAllAfter")
_ANSWER_TOPICS = ("events", "dead-letters", "orders", "control")
_PARTITIONS_MAX = 1024
# Records at the front are forgotten so many at a time.
_FORGET = 32_768
# Words of the schema: an entry time is taken as it is only within 5 minutes of the log's.
_ENTRY_TOLERANCE_US = 300_000_000
_TERMS = ("client_order_id", "symbol", "side", "order_type", "quantity")


class Print(NamedTuple):
    """Fingerprints that a request and its answer have in common: 24 bits of account, 40 of the rest."""

    account: int
    terms: int

    @classmethod
    def of(cls, account: str, *terms: object) -> "Print":
        """Fingerprints of an account and other words."""
        return cls(hash(account) & 0xFFFFFF, hash(terms) & 0xFFFFFFFFFF)


class Asked(NamedTuple):
    """One record of orders or control."""

    kind: str
    expected: str
    print: Print
    logged_us: int


def asked(seen: Seen, expected: str) -> Asked:
    """What a record asks for."""
    message = seen.message
    if seen.error or expected is LETTER:
        return Asked("", expected, Print.of("", seen.key, seen.value), seen.timestamp_us)
    if seen.short == "control":
        control = Print.of("", seen.kind, printable(message["control_id"]))
        return Asked("control", expected, control, seen.timestamp_us)
    account = printable(message["account"])
    if seen.kind == "NewOrder":
        fingerprint = Print.of(account, *_order_terms(message), _order_id(seen))
    else:
        fingerprint = Print.of(account, printable(message["client_order_id"]))
    return Asked(seen.kind, expected, fingerprint, seen.timestamp_us)


def answered(answer: Seen) -> Print:
    """The fingerprints of an answer, made as those of its request."""
    told = answer.message
    if answer.kind == "DeadLetter":
        return Print.of("", told["key"], told["value"])
    if answer.kind == "ControlReport":
        return Print.of("", told["control"], told["control_id"])
    if answer.kind == "OrderEvent" and told["event"] == "accepted":
        return Print.of(told["account"], *_order_terms(told), told["order_id"])
    return Print.of(told["account"], told["request_id"])


def _order_terms(message: Message) -> tuple[object, ...]:
    """What an order asks for; a post-only order may be accepted at another price if it says so."""
    instructions = message.get("instructions") or {}
    repriced = instructions.get("post_only") == "reprice"
    time_in_force = message["time_in_force"]
    # At once or not at all: that is fill or kill.
    if instructions.get("all_or_none") and time_in_force == "ioc":
        time_in_force = "fok"
    price_e8 = 0 if repriced else message["limit_price"] or 0
    return (*(message[term] for term in _TERMS), time_in_force, price_e8)


def _order_id(seen: Seen) -> str:
    message, logged_us = seen.message, seen.timestamp_us
    entered_us = message["entered_us"]
    if abs(entered_us - logged_us) > _ENTRY_TOLERANCE_US:
        entered_us = logged_us
    return order_id(message["account"], message["client_order_id"], entered_us)


class Ledger:
    """The records of one partition of orders or control, by offset from `first` on."""

    def __init__(self, first: int) -> None:
        self._first = first
        self._codes = bytearray()
        self._prints = array("Q")
        self._times = array("q")
        self._answers = array("q")
        # Before this one, every record is answered; before the other, only its kind is kept.
        self._done = 0
        self._kept = 0
        self._since = 0

    def put(self, offset: int, asked: Asked) -> None:
        """Notes a record; offsets only grow."""
        missing = offset - self._first - len(self._codes)
        self._codes += bytes(missing)
        for column in (self._prints, self._times, self._answers):
            column.extend([0] * missing)
        self._codes.append(_KINDS.index(asked.kind) * len(_EXPECTED) + _EXPECTED.index(asked.expected) + 1)
        self._prints.append(asked.print.account << 40 | asked.print.terms)
        self._times.append(asked.logged_us)
        self._answers.append(0)

    def asked(self, offset: int) -> Asked | None:
        """The record at an offset; None where there is none, or none yet."""
        place = offset - self._first
        if not 0 <= place < len(self._codes) or not self._codes[place]:
            return None
        kind, expected = divmod(self._codes[place] - 1, len(_EXPECTED))
        if place < self._kept:
            return Asked(_KINDS[kind], _EXPECTED[expected], Print(0, 0), 0)
        account, terms = divmod(self._prints[place - self._kept], 1 << 40)
        logged_us = self._times[place - self._kept]
        return Asked(_KINDS[kind], _EXPECTED[expected], Print(account, terms), logged_us)

    def is_answered(self, offset: int) -> bool:
        """Whether a record that there is was answered."""
        place = offset - self._first
        return place < self._kept or bool(self._answers[place - self._kept])

    def answer(self, offset: int) -> Place | None:
        """Where the answer of a record is, if it was answered and that is not forgotten."""
        place = offset - self._first
        packed = self._answers[place - self._kept] if place >= self._kept else 0
        if not packed:
            return None
        packed, topic = divmod(packed - 1, len(_ANSWER_TOPICS))
        at, partition = divmod(packed, _PARTITIONS_MAX)
        return _ANSWER_TOPICS[topic], partition, at

    def became(self, offset: int, answer: Place) -> None:
        """Notes where the answer of a record is."""
        short, partition, at = answer
        packed = (at * _PARTITIONS_MAX + partition) * len(_ANSWER_TOPICS) + _ANSWER_TOPICS.index(short)
        self._answers[offset - self._first - self._kept] = packed + 1
        self._since += 1
        if self._since >= _FORGET:
            self._forget()

    def _advance(self) -> None:
        while self._done < len(self._codes) and (
            not self._codes[self._done] or self._answers[self._done - self._kept]
        ):
            self._done += 1

    def _forget(self) -> None:
        """Forgets what is answered at the front."""
        self._since = 0
        self._advance()
        answered = self._done - self._kept
        for column in (self._prints, self._times, self._answers):
            del column[:answered]
        self._kept = self._done

    def unanswered(self) -> Iterator[int]:
        """Offsets of records without an answer."""
        self._advance()
        for place in range(self._done, len(self._codes)):
            if self._codes[place] and not self._answers[place - self._kept]:
                yield place + self._first
