"""PostgreSQL against the topics: the same events, trades, orders, positions, reports and dead letters.

What is appended is compared up to where the topics were read, by offsets: counts and sums. Orders and
positions keep only their latest state, so they are compared when the store is no further. The sum of 31-bit
hashes of (order_id, status, version, cum_quantity) tells that each order is in the same state. The store
is a moment behind the topics: what differs is asked for again, until the grace is over.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from psycopg import AsyncConnection

from app.settings import Settings
from app.verify.records import Source
from app.verify.totals import OrderSums, TradeSums
from app.verify.verifier import Verifier
from schemas.numbers import ONE, format_e8, parse_e8

_PAUSE_S = 0.3
_ORDERS = """
SELECT symbol, status, count(*), sum(quantity)::text, sum(cum_quantity)::text,
       sum(('x' || substr(md5(order_id || ' ' || status || ' ' || version || ' '
           || trim_scale(cum_quantity)::text), 1, 8))::bit(32)::bigint & 2147483647)
FROM orders GROUP BY symbol, status
"""
_TRADES = """
SELECT symbol, count(*), sum(quantity)::text, trim_scale(sum(price * quantity))::text
FROM trades WHERE log_offset < (%s::bigint[])[partition + 1] GROUP BY symbol
"""
_EVENTS = """
SELECT partition, count(*), sum(last_quantity)::text
FROM order_events WHERE log_offset < (%s::bigint[])[partition + 1] GROUP BY partition
"""
_REPORTS = """
SELECT 'ControlReport', partition, count(*)
FROM control_reports WHERE log_offset < (%s::bigint[])[partition + 1] GROUP BY partition
UNION ALL
SELECT 'MassCancelReport', partition, count(*)
FROM mass_cancel_reports WHERE log_offset < (%s::bigint[])[partition + 1] GROUP BY partition
UNION ALL
SELECT 'SelfTradePrevented', partition, count(*)
FROM self_trades_prevented WHERE log_offset < (%s::bigint[])[partition + 1] GROUP BY partition
UNION ALL
SELECT 'DeadLetter', found_partition, count(*) FROM dead_letters
WHERE found_in = 'dead-letters' AND found_offset < (%s::bigint[])[found_partition + 1]
GROUP BY found_partition
"""
_POSITIONS = "SELECT account, kind, asset, total::text, reserved::text, version FROM positions"

Row = tuple[Any, ...]


class _Difference(NamedTuple):
    """A line of a table: what the store has, and what the topics say."""

    name: str
    stored: str
    known: str


async def compare(settings: Settings, verifier: Verifier, ends: Mapping[Source, int], grace_s: float) -> None:
    """Compares; what differs is reported to the verifier's findings. Raises psycopg's errors."""
    deadline_s = time.monotonic() + grace_s
    async with await AsyncConnection.connect(settings.endpoint("postgres"), autocommit=True) as connection:
        while True:
            store = _Store(connection, settings, verifier, ends)
            await store.compare()
            if not store.different or time.monotonic() > deadline_s:
                break
            await asyncio.sleep(_PAUSE_S)
    findings = verifier.findings
    findings.check("storage", store.compared)
    findings.notes += store.notes
    for each in store.different:
        findings.wrong("storage", f"table {each.name}: {each.stored}, the topics {each.known}", [])


class _Store:
    """What the tables hold, as one database transaction sees it."""

    def __init__(
        self,
        connection: AsyncConnection[Any],
        settings: Settings,
        verifier: Verifier,
        ends: Mapping[Source, int],
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._verifier = verifier
        self._ends = ends
        self.compared = 0
        self.different: list[_Difference] = []
        self.notes: list[str] = []

    async def compare(self) -> None:
        """Compares every table."""
        async with self._connection.transaction():
            await self._connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            positions = await self._positions()
            await self._events()
            await self._trades()
            await self._reports()
            for short, table, compare in (
                ("events", "orders", self._orders),
                ("positions", "positions", self._assets),
            ):
                if any(
                    positions.get(source, 0) > end for source, end in self._ends.items() if source[0] == short
                ):
                    self.notes.append(f"storage: {table} moved meanwhile and were not compared")
                else:
                    await compare()

    async def _positions(self) -> dict[Source, int]:
        """What the store reads next."""
        rows = await self._rows("SELECT topic, partition, next_offset FROM kafka_positions")
        short_of = {self._settings.topic(short): short for short, _ in self._ends}
        return {(short_of[topic], lane): offset for topic, lane, offset in rows if topic in short_of}

    async def _events(self) -> None:
        rows = await self._rows(_EVENTS, self._offsets("events"))
        stored = {f"events-{row[0]}": (row[1], parse_e8(row[2])) for row in rows}
        known = {f"events-{lane}": tuple(sums) for lane, sums in self._verifier.totals.events.items()}
        self._hold("order_events", stored, known, _count_and_quantity)

    async def _trades(self) -> None:
        rows = await self._rows(_TRADES, self._offsets("trades"))
        stored = {row[0]: (row[1], parse_e8(row[2]), _e16(row[3])) for row in rows}
        known = {symbol: _traded(sums) for symbol, sums in self._verifier.totals.trades.items()}
        self._hold("trades", stored, known, _count_and_quantity)

    async def _reports(self) -> None:
        events = self._offsets("events")
        rows = await self._rows(_REPORTS, events, events, events, self._offsets("dead-letters"))
        stored = {f"{kind}-{lane}": (count, 0) for kind, lane, count in rows}
        counts = self._verifier.totals.reports.items()
        known = {f"{kind}-{lane}": (count, 0) for (kind, lane), count in counts}
        self._hold("of reports and dead letters", stored, known, _count)

    async def _orders(self) -> None:
        rows = await self._rows(_ORDERS)
        stored = {
            f"{row[0]} {row[1]}": (row[2], parse_e8(row[3]), parse_e8(row[4]), int(row[5])) for row in rows
        }
        orders = self._verifier.totals.orders.items()
        known = {f"{symbol} {status}": _entered(sums) for (symbol, status), sums in orders}
        self._hold("orders", stored, known, _count_and_states)

    async def _assets(self) -> None:
        rows = await self._rows(_POSITIONS)
        stored = {" ".join(row[:3]): (1, parse_e8(row[3]), parse_e8(row[4]), row[5]) for row in rows}
        positions = self._verifier.money.positions().items()
        known = {
            " ".join(asset): (1, *(seen.message[name] for name in ("total", "reserved", "version")))
            for asset, seen in positions
        }
        self._hold("positions", stored, known, _owned)

    def _hold(self, table: str, stored: Mapping[str, Row], known: Mapping[str, Row], show: Any) -> None:
        for name in sorted({*stored, *known}):
            self.compared += 1
            has, should = stored.get(name), known.get(name)
            if has != should and (has or (0,))[0] + (should or (0,))[0]:
                self.different.append(_Difference(f"{table}, {name}", show(has), show(should)))

    async def _rows(self, statement: str, *values: Any) -> list[Row]:
        found = await self._connection.execute(statement.encode(), values)
        return await found.fetchall()

    def _offsets(self, short: str) -> list[int]:
        return [self._ends.get((short, lane), 0) for lane in range(self._settings.partitions)]


def _e16(text: str) -> int:
    """A sum of price x quantity (16 decimals) scaled by 10^16."""
    whole, _, fraction = text.partition(".")
    return int(whole) * ONE * ONE + int(fraction.ljust(16, "0") or 0)


def _traded(sums: TradeSums) -> Row:
    return sums.count, sums.quantity_e8, sums.notional_e16


def _entered(sums: OrderSums) -> Row:
    return sums.count, sums.quantity_e8, sums.cum_e8, sums.states


def _count(row: Row | None) -> str:
    return "nothing" if row is None else f"{row[0]} rows"


def _count_and_quantity(row: Row | None) -> str:
    return "nothing" if row is None else f"{row[0]} rows, quantity {format_e8(row[1])}"


def _count_and_states(row: Row | None) -> str:
    if row is None:
        return "nothing"
    return f"{row[0]} rows, quantity {format_e8(row[1])}, filled {format_e8(row[2])}, states {row[3]:x}"


def _owned(row: Row | None) -> str:
    if row is None:
        return "nothing"
    return f"{format_e8(row[1])}, reserved {format_e8(row[2])}, version {row[3]}"
