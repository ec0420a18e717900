"""PostgreSQL against the topics: the same events, trades and orders, by counts, sums and states.

Events and trades are compared up to where the topics were read, by their offsets, once the store has come
that far. Orders keep only their latest state, so they are compared when the store is no further. The sum of
31-bit hashes of (order_id, status, version, cum_quantity) tells that each order is in the same state.
"""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from psycopg import AsyncConnection

from app.settings import Settings
from app.verify.findings import Findings
from app.verify.records import Source
from app.verify.totals import OrderSums, Totals, TradeSums
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

Row = tuple[Any, ...]


async def compare(settings: Settings, verifier: Verifier, ends: Mapping[Source, int], grace_s: float) -> None:
    """Compares; what differs is reported to the verifier's findings. Raises psycopg's errors."""
    url = settings.endpoint("postgres")
    async with await AsyncConnection.connect(url, autocommit=True) as connection:
        positions = await _caught_up(connection, settings, verifier.totals, ends, grace_s)
        async with connection.transaction():
            await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            store = _Store(connection, verifier.findings, settings.partitions)
            await store.compare_events(verifier.totals, ends)
            await store.compare_trades(verifier.totals, ends)
            if all(
                positions.get(("events", lane), 0) <= ends["events", lane]
                for lane in range(settings.partitions)
            ):
                await store.compare_orders(verifier.totals)
            else:
                verifier.findings.notes.append("storage: orders moved meanwhile and were not compared")


async def _caught_up(
    connection: AsyncConnection[Any],
    settings: Settings,
    totals: Totals,
    ends: Mapping[Source, int],
    grace_s: float,
) -> dict[Source, int]:
    """What the store reads next, once it has as many events as were read, or the grace is over."""
    deadline_s = time.monotonic() + grace_s
    wanted = sum(count for count, _ in totals.events.values())
    while True:
        rows = await _rows(connection, _EVENTS, [_offsets(ends, "events", settings.partitions)])
        if sum(row[1] for row in rows) >= wanted or time.monotonic() > deadline_s:
            break
        await asyncio.sleep(_PAUSE_S)
    stored = await _rows(connection, "SELECT topic, partition, next_offset FROM kafka_positions", [])
    return {("events", lane): offset for topic, lane, offset in stored if topic == settings.topic("events")}


class _Store:
    """The tables of one database transaction."""

    def __init__(self, connection: AsyncConnection[Any], findings: Findings, partitions: int) -> None:
        self._connection = connection
        self._findings = findings
        self._partitions = partitions

    async def compare_events(self, totals: Totals, ends: Mapping[Source, int]) -> None:
        """order_events: count and filled quantity of each partition."""
        rows = await _rows(self._connection, _EVENTS, [_offsets(ends, "events", self._partitions)])
        stored = {f"events-{row[0]}": (row[1], parse_e8(row[2])) for row in rows}
        known = {f"events-{lane}": tuple(sums) for lane, sums in totals.events.items()}
        self._compare("order_events", stored, known, _count_and_quantity)

    async def compare_trades(self, totals: Totals, ends: Mapping[Source, int]) -> None:
        """trades: count, quantity and notional of each symbol."""
        rows = await _rows(self._connection, _TRADES, [_offsets(ends, "trades", self._partitions)])
        stored = {row[0]: (row[1], parse_e8(row[2]), _e16(row[3])) for row in rows}
        known = {symbol: _traded(sums) for symbol, sums in totals.trades.items()}
        self._compare("trades", stored, known, _count_and_quantity)

    async def compare_orders(self, totals: Totals) -> None:
        """orders: count, quantities and states of each symbol and status."""
        rows = await _rows(self._connection, _ORDERS, [])
        stored = {
            f"{row[0]} {row[1]}": (row[2], parse_e8(row[3]), parse_e8(row[4]), int(row[5])) for row in rows
        }
        known = {f"{symbol} {status}": _entered(sums) for (symbol, status), sums in totals.orders.items()}
        self._compare("orders", stored, known, _count_and_states)

    def _compare(self, table: str, stored: Mapping[str, Row], known: Mapping[str, Row], show: Any) -> None:
        for name in sorted({*stored, *known}):
            self._findings.check("storage")
            has, should = stored.get(name), known.get(name)
            if has != should and (has or (0,))[0] + (should or (0,))[0]:
                text = f"table {table}, {name}: {show(has)}, the topics {show(should)}"
                self._findings.wrong("storage", text, [])


async def _rows(connection: AsyncConnection[Any], statement: str, values: list[Any]) -> list[Row]:
    found = await connection.execute(statement.encode(), values)
    return await found.fetchall()


def _offsets(ends: Mapping[Source, int], short: str, partitions: int) -> list[int]:
    return [ends[short, lane] for lane in range(partitions)]


def _e16(text: str) -> int:
    """A sum of price x quantity (16 decimals) scaled by 10^16."""
    whole, _, fraction = text.partition(".")
    return int(whole) * ONE * ONE + int(fraction.ljust(16, "0") or 0)


def _traded(sums: TradeSums) -> Row:
    return sums.count, sums.quantity_e8, sums.notional_e16


def _entered(sums: OrderSums) -> Row:
    return sums.count, sums.quantity_e8, sums.cum_e8, sums.states


def _count_and_quantity(row: Row | None) -> str:
    return "nothing" if row is None else f"{row[0]} rows, quantity {format_e8(row[1])}"


def _count_and_states(row: Row | None) -> str:
    if row is None:
        return "nothing"
    return f"{row[0]} rows, quantity {format_e8(row[1])}, filled {format_e8(row[2])}, states {row[3]:x}"
