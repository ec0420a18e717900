"""The real tables in two lanes on a log of lists: histories to verify, made in milliseconds.

A cycle does what a lane does: takes what has arrived, forwards what is in a wrong lane, sets aside what
cannot be read, asks accounts, risk and matching in turn, and appends all that was said. Outputs have
offsets in steps of ten, so that a test can put records in between.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from app.pipeline import acquaint
from app.verify.records import ACCOUNTS_CHANGELOG, CHANGELOG, CHANGELOGS, RISK_CHANGELOG, Seen
from schemas.codec import Codec, record_names
from schemas.partitioning import lane_of
from schemas.records import Record, Row, Said
from schemas.topics import TOPIC_OF_RECORD
from tables.accounts import Accounts
from tables.matching import Matching
from tables.reference import Instruments, ReferencePrices
from tables.risk import Risk
from tests.tables.words import NOON_US

CODEC = Codec({record: number for number, record in enumerate(record_names(), 1)})
LANES = 2
_ACCOUNT_CONTROLS = ("SetAccount", "SetLimits", "MoveCash", "MoveHolding")
# In the order of a lane's tables.
_CHANGELOG_OF = (ACCOUNTS_CHANGELOG, RISK_CHANGELOG, CHANGELOG)
_INPUTS = ("control", "executions", "quotes", "orders", "cleared")
_OUTSIDE = ("orders", "control", "quotes")
_STEP = 10
Tables = tuple[Accounts, Risk, Matching]
AnyTable = Accounts | Risk | Matching


class Engine:
    """Two lanes; `log` has what each topic and lane holds."""

    def __init__(self) -> None:
        self.log: dict[tuple[str, int], list[Seen]] = defaultdict(list)
        self.now_us = NOON_US
        self._instruments, self._references = Instruments(), ReferencePrices()
        self._read: dict[tuple[str, int], int] = defaultdict(int)
        self._lanes = [self._tables(lane) for lane in range(LANES)]

    def _tables(self, lane: int) -> Tables:
        accounts = Accounts(lane, self._instruments, self._references, 86_400_000_000, 500)
        risk, matching = Risk(lane, self._instruments), Matching(lane, self._instruments)
        acquaint({"risk": risk, "matching": matching})
        return accounts, risk, matching

    def instrument(self, message: dict[str, Any]) -> None:
        """Adds an instrument."""
        self._instruments.put(message)
        self._append("instruments", 0, "Instrument", message)

    def send(self, record: Record, lane: int | None = None) -> int:
        """Appends a request, control or quote, in its own lane unless another is given; its offset."""
        short, message = TOPIC_OF_RECORD[record.kind].short, dict(record.message)
        if "entered_us" in message:
            message["entered_us"] = self.now_us
        if lane is None:
            lane = self._lane(message)
        return self._append(short, lane, record.kind, message)

    def send_bytes(self, value: bytes, lane: int = 0) -> int:
        """Appends bytes to orders."""
        return self._append("orders", lane, "", {}, error="DECODE_NOT_FRAMED", value=value)

    def run(self) -> None:
        """Cycles until nothing new arrives."""
        while any(self._cycle(lane) for lane in range(LANES)):
            pass

    def wait(self, seconds: float) -> None:
        """Nothing comes meanwhile; lanes wake when something is due in a market."""
        until_us = self.now_us + round(seconds * 1_000_000)
        while (due := self._next_due())[0] <= until_us:
            self.now_us = max(self.now_us, due[0])
            self._work(due[1], defaultdict(list))
            self.run()
        self.now_us = max(self.now_us, until_us)

    def _next_due(self) -> tuple[int, int]:
        dues = [(self._lanes[lane][2].due_us() or 1 << 62, lane) for lane in range(LANES)]
        return min(dues)

    def crash(self) -> None:
        """Every lane dies between two cycles, and another worker takes it over from the changelogs."""
        for lane in range(LANES):
            self._lanes[lane] = self._tables(lane)
            tables: Sequence[AnyTable] = self._lanes[lane]
            for short, table in zip(_CHANGELOG_OF, tables, strict=True):
                live = {seen.key: seen for seen in self.log[short, lane]}
                for seen in live.values():
                    if seen.kind:
                        table.restore(seen.kind, seen.message)
                table.restored()

    def history(self) -> list[Seen]:
        """Every record: instruments, controls, the rest by time, the changelogs last."""
        everything = [seen for records in self.log.values() for seen in records]
        first = {"instruments": 0, "control": 1, **dict.fromkeys(CHANGELOGS, 3)}
        everything.sort(key=lambda seen: (first.get(seen.short, 2), seen.timestamp_us))
        return everything

    def _lane(self, message: dict[str, Any]) -> int:
        if "account" in message:
            return lane_of(message["account"], LANES)
        return self._instruments.lane_of_symbol(message["symbol"], LANES)

    def _append(
        self,
        short: str,
        lane: int,
        kind: str,
        message: dict[str, Any],
        *,
        step: int = 1,
        key: bytes | None = None,
        error: str = "",
        value: bytes | None = None,
        forwarded: bool = False,
    ) -> int:
        records = self.log[short, lane]
        offset = records[-1].offset + step if records else 0
        if kind:
            # As readers have it: with the defaults of what was not said.
            value = value or CODEC.encode(kind, message)
            message = CODEC.decode(value)[1]
        self.now_us += 1000
        seen = Seen(short, lane, offset, self.now_us, kind, message, error, key, value, forwarded)
        records.append(seen)
        return offset

    def _cycle(self, lane: int) -> bool:
        heard: dict[str, list[Record]] = {short: [] for short in _INPUTS}
        taken = 0
        for short in _INPUTS:
            records = self.log[short, lane]
            fresh = records[self._read[short, lane] :]
            self._read[short, lane] = len(records)
            taken += len(fresh)
            for seen in fresh:
                self._sort(seen, lane, heard[short])
        if taken:
            self.now_us += 1000
            self._work(lane, heard)
        return taken > 0

    def _sort(self, seen: Seen, lane: int, heard: list[Record]) -> None:
        if seen.error:
            self._dead_letter(seen, lane, seen.error)
        elif seen.short in _OUTSIDE and self._lane(dict(seen.message)) != lane:
            if seen.forwarded:
                self._dead_letter(seen, lane, "LANE_MISROUTED")
            else:
                right = self._lane(dict(seen.message))
                self._append(
                    seen.short, right, seen.kind, dict(seen.message), value=seen.value, forwarded=True
                )
        else:
            heard.append(Record(seen.kind, dict(seen.message), seen.offset, seen.timestamp_us))

    def _dead_letter(self, seen: Seen, lane: int, reason: str) -> None:
        letter = {
            "topic": f"oms.{seen.short}.v1",
            "partition": seen.partition,
            "offset": seen.offset,
            "timestamp_us": seen.timestamp_us,
            "key": seen.key,
            "value": seen.value,
            "reason": reason,
            "text": "",
            "at_us": self.now_us,
        }
        self._append("dead-letters", lane, "DeadLetter", letter, step=_STEP)

    def _work(self, lane: int, heard: dict[str, list[Record]]) -> None:
        accounts, risk, matching = self._lanes[lane]
        at_us = self.now_us
        controls = heard["control"]
        for record in (
            *(record for record in controls if record.kind in _ACCOUNT_CONTROLS),
            *heard["executions"],
            *heard["orders"],
        ):
            self._say(lane, accounts.apply(record, at_us))
        self._say(lane, accounts.end_cycle(at_us))
        passed = []
        for record in (
            *(record for record in controls if record.kind not in _ACCOUNT_CONTROLS),
            *heard["quotes"],
            *heard["cleared"],
        ):
            refusal = risk.apply(record, at_us)
            if refusal is None:
                passed += [*risk.ahead, record]
                risk.ahead.clear()
            else:
                self._say(lane, refusal)
        self._say(lane, risk.end_cycle(at_us))
        self._say(lane, matching.begin_cycle(at_us))
        for record in passed:
            self._say(lane, matching.apply(record, at_us))
        self._say(lane, matching.end_cycle(at_us))
        tables: Sequence[AnyTable] = self._lanes[lane]
        for short, table in zip(_CHANGELOG_OF, tables, strict=True):
            for row in table.changed_rows():
                self._keep(short, lane, row)

    def _keep(self, short: str, lane: int, row: Row) -> None:
        """Appends a row to its changelog."""
        value = None if row.row is None else CODEC.encode(row.kind, row.row)
        kind = "" if row.row is None else row.kind
        self._append(short, lane, kind, dict(row.row or {}), step=_STEP, key=row.key.encode(), value=value)

    def _say(self, lane: int, said: list[Said]) -> None:
        for kind, message in said:
            topic = TOPIC_OF_RECORD[kind]
            partition = lane
            if topic.key != "lane":
                key = "account" if topic.key == "account" else "symbol"
                partition = self._lane({key: message[key]})
            if kind == "ReferencePrice":
                self._references.put(message)
            self._append(topic.short, partition, kind, dict(message), step=_STEP)
