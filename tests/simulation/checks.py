"""What must be true of a history when it is over, from the log as readers of committed records see it.

All invariants of `oms verify`; nothing of an aborted transaction is visible, and nothing of a lane outside
one; the tables of live lanes are what their changelogs restore.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Any

from app.lanes.lane import FORWARDED
from app.pipeline import STEPS
from app.verify.findings import Violation
from app.verify.records import Seen
from app.verify.verifier import Verifier
from schemas.codec import DecodeError
from schemas.records import Row
from schemas.topics import TOPICS, changelog_name
from tables.engine import rows
from tables.reference import ReferencePrices
from tests.simulation.broker import Place, Stored
from tests.simulation.setting import CODEC, instruments
from tests.simulation.world import World

_OUTSIDE = ("orders", "control", "quotes", "instruments")
_FIRST = {"instruments": 0, "control": 1}


# Records of the ground, by place.
_KNOWN: dict[Place, list[Seen]] = {}


def _visible(entries: list[Stored | None]) -> list[Stored]:
    return [entry for entry in entries if entry is not None and entry.visible]


class Seer:
    """Reads a world's log as the verifier wants it."""

    def __init__(self, world: World) -> None:
        self._world = world
        settings = world.settings
        self._shorts = {settings.topic(short): short for short in TOPICS}
        for step in STEPS:
            self._shorts[changelog_name(settings.app_id, step.name)] = f"{step.name}-changelog"

    def history(self) -> tuple[list[Seen], list[Seen]]:
        """Records in the order in which they were written, instruments and controls first; the changelogs."""
        ordered: list[tuple[tuple[int, int], Seen]] = []
        changelogs: list[Seen] = []
        for place, log in self._world.broker.logs.items():
            short = self._shorts[place[0]]
            seen = self._seen(short, place, log.entries)
            if short.endswith("-changelog"):
                changelogs += seen
                continue
            rank, latest_us = _FIRST.get(short, 2), 0
            for record in seen:
                # Writers' clocks may disagree, a partition keeps its order all the same.
                latest_us = max(latest_us, record.timestamp_us)
                ordered.append(((rank, latest_us), record))
        ordered.sort(key=lambda entry: entry[0])
        return [record for _, record in ordered], changelogs

    def _seen(self, short: str, place: Place, entries: list[Stored | None]) -> list[Seen]:
        """Visible records; what every history begins with is decoded once."""
        start = self._world.ground.length(place)
        known = _KNOWN.get(place)
        if known is None:
            known = _KNOWN[place] = self._decoded(short, _visible(entries[:start]))
        return known + self._decoded(short, _visible(entries[start:]))

    def _decoded(self, short: str, records: list[Stored]) -> list[Seen]:
        if short not in _OUTSIDE:
            return [
                _seen(short, record, *(("", {}) if record.value is None else CODEC.decode(record.value)))
                for record in records
            ]
        return [_from_outside(short, record) for record in records]


def _from_outside(short: str, record: Stored) -> Seen:
    try:
        return _seen(short, record, *CODEC.decode(record.value))
    except (DecodeError, KeyError) as error:
        reason = error.reason if isinstance(error, DecodeError) else "DECODE_UNKNOWN_SCHEMA"
        return _seen(short, record, "", {}, reason)


def _seen(short: str, record: Stored, kind: str, message: dict[str, Any], error: str = "") -> Seen:
    forwarded = FORWARDED in record.headers
    place = (short, record.partition, record.offset, record.timestamp * 1000)
    return Seen(*place, kind, message, error, record.key, record.value, forwarded)


def check(world: World) -> tuple[list[str], dict[str, Any]]:
    """What is wrong, in words, and the totals of orders and trades."""
    wrong = list(world.wrong)
    history, changelogs = Seer(world).history()
    verifier = Verifier(world.settings.partitions)
    for seen in history:
        verifier.take(seen)
    verifier.mark()
    for seen in changelogs:
        verifier.take(seen)
    findings = verifier.finish()
    wrong += [_told(violation) for violation in findings.shown]
    # Nothing moves any more: what was not compared was not checked.
    wrong += findings.notes
    wrong += _torn(world)
    wrong += _rows_that_differ(world)
    _count(world, history)
    return wrong, verifier.totals.as_dict()


def _told(violation: Violation) -> str:
    places = ", ".join(f"{short}-{lane}@{offset}" for short, lane, offset in violation.places)
    return f"{violation.invariant} {violation.text} [{places}]"


def _torn(world: World) -> Iterator[str]:
    """What lanes wrote is in a transaction, and visible only when that was committed."""
    outside = {world.settings.topic(short) for short in _OUTSIDE}
    for (topic, lane), log in world.broker.logs.items():
        if log.open:
            yield f"{topic}-{lane} has an open transaction in the end"
        if topic not in outside and any(entry and entry.transaction is None for entry in log.entries):
            yield f"{topic}-{lane} has a record of no transaction"


# Tables.


def _rows_that_differ(world: World) -> Iterator[str]:
    """Rows of live tables that are not those of the tables that the changelogs restore."""
    for number in range(world.settings.partitions):
        lane = world.live_lane(number)
        for step in STEPS if lane is not None else ():
            table, again = lane.tables[step.name], _restored(world, number, step)
            if step.name == "matching":
                # A market in which nothing has happened needs no row: it is as a new one.
                for symbol in table._markets:
                    again._known(symbol)
            live, restored = rows_of(step.name, table), rows_of(step.name, again)
            for key in sorted(live.keys() | restored.keys()):
                if live.get(key) != restored.get(key):
                    yield (
                        f"row {key} of {step.name} in lane {number} is {live.get(key)}, "
                        f"its changelog has {restored.get(key)}"
                    )


def _restored(world: World, number: int, step: Any) -> Any:
    """A table from its changelog; one of which no row was written is new."""
    rows: dict[bytes, bytes] = {}
    log = world.broker.log((changelog_name(world.settings.app_id, step.name), number))
    for entry in log.entries:
        if entry is None or not entry.visible or entry.key is None:
            continue
        if entry.value is None:
            rows.pop(entry.key, None)
        else:
            rows[entry.key] = entry.value
    table = step.table(number, world.settings, instruments(), ReferencePrices())
    for kind, row in map(CODEC.decode, rows.values()):
        table.restore(kind, row)
    table.restored()
    return table


def rows_of(name: str, table: Any) -> dict[str, Any]:
    """Every row that a table stands for, by key: what it would write if all of it had changed."""
    return {row.key: (row.kind, row.row) for row in _ROWS[name](table)}


def _account_rows(table: Any) -> Iterable[Row]:
    for account in table._ledger.accounts.values():
        yield account.row()
        kept = (account.cash, account.holdings, account.live, account.finished, account.aliases)
        for thing in chain.from_iterable(things.values() for things in kept):
            yield thing.row()
    yield from _control_rows(table)


def _control_rows(table: Any) -> Iterable[Row]:
    return (applied.row() for applied in table._control_ids._applied.values())


def _risk_rows(table: Any) -> Iterable[Row]:
    yield from (risk.row() for risk in table._symbols.values())
    yield from _control_rows(table)


def _matching_rows(table: Any) -> Iterable[Row]:
    for symbol, market in table._markets.items():
        yield Row(symbol, "BookRow", market.row())
        for key, found in market.core.lists.items():
            yield Row(str(key), "ListRow", rows.list_row(symbol, found))
    for order in table._live.values():
        yield Row(order.order_id, "BookOrderRow", rows.order_row(order))


_ROWS = {"accounts": _account_rows, "risk": _risk_rows, "matching": _matching_rows}


# What happened by the way.


def _count(world: World, history: list[Seen]) -> None:
    """Orders that were partly filled when a worker was killed, and went on."""
    for seen in history:
        if seen.kind == "OrderEvent":
            killed_us = world.partly_filled.get(seen.message["order_id"])
            if killed_us is not None and seen.message["at_us"] > killed_us:
                world.sometimes["partial fill across a crash"] += 1
        elif seen.forwarded:
            world.sometimes["request forwarded"] += 1
        elif seen.kind == "DeadLetter":
            world.sometimes["dead letter"] += 1
