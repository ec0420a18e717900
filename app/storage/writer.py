"""Writes batches into PostgreSQL: rows and Kafka position in one transaction, by one process at a time.

Rules: a session-level advisory lock makes every other storage process wait as a standby; the lock and
the rows share a connection, so who lost the one cannot write the other. Each transaction compares the
stored positions with those that this writer left: should anyone else have written, nothing is. A commit
whose outcome is unknown needs no care, for the next start reads the position that counts.
"""

import time
from collections.abc import Mapping
from typing import Any

from psycopg import AsyncConnection, AsyncCursor, DataError
from psycopg.sql import SQL, Composed, Identifier

from app.reader import Place, Read
from app.settings import Settings
from app.storage.metrics import BATCH_SECONDS, ROWS
from app.storage.rows import COLUMNS, KEPT, KEYS, LATER, Row, Rows


class Displaced(Exception):
    """Another process has written meanwhile."""


class Writer:
    """Writes through `connection` (autocommit) for the topics `shorts`; `positions` is what is read next."""

    def __init__(self, connection: AsyncConnection[Any], settings: Settings, shorts: tuple[str, ...]) -> None:
        self._connection = connection
        self._topic_of = settings.topic
        self._short_of = {settings.topic(short): short for short in shorts}
        self._lock = f"oms storage {settings.topic_prefix}"
        self.positions: dict[Place, int] = {}

    async def lock(self) -> bool:
        """Tries to become the one writer; the lock is held until the connection ends."""
        found = await self._connection.execute(
            "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))", (self._lock,)
        )
        return (await found.fetchone()) == (True,)

    async def open(self) -> None:
        """Prepares the session and reads the positions."""
        # A crash of the server may undo the last commits, but their positions with them: they are read again.
        await self._connection.execute("SET synchronous_commit = off")
        for table in LATER:
            await self._connection.execute(
                SQL("CREATE TEMP TABLE {} (LIKE {}) ON COMMIT DELETE ROWS").format(
                    _staged(table), Identifier(table)
                )
            )
        self.positions = await self._stored()

    async def write(self, batch: list[Read]) -> None:
        """Writes a batch; a record whose row PostgreSQL does not take goes to the dead letters.

        Raises Displaced, and psycopg's OperationalError when the connection is lost.
        """
        began_s = time.monotonic()
        rows = Rows(self._topic_of, batch)
        try:
            await self._commit(rows, batch)
        except DataError as error:
            if len(batch) > 1:
                # One of them spoils the transaction: half by half it is found, the others get their rows.
                await self.write(batch[: len(batch) // 2])
                await self.write(batch[len(batch) // 2 :])
                return
            rows = Rows(self._topic_of)
            rows.refuse(batch[0], "UNKNOWN", f"PostgreSQL does not take the row: {error}")
            await self._commit(rows, batch)
        BATCH_SECONDS.observe(time.monotonic() - began_s)

    async def _commit(self, rows: Rows, batch: list[Read]) -> None:
        """One transaction: rows and positions."""
        after = {(read.short, read.partition): read.offset + 1 for read in batch}
        async with self._connection.transaction(), self._connection.cursor() as cursor:
            await self._advance(cursor, after)
            for table, appended in rows.appended.items():
                await _copy(cursor, Identifier(table), table, appended)
            for table, latest in rows.latest.items():
                if latest:
                    await _copy(cursor, _staged(table), table, list(latest.values()))
                    await cursor.execute(_UPSERTS[table])
        self.positions.update(after)
        for table, appended in rows.appended.items():
            ROWS.labels(table).inc(len(appended))
        for table, latest in rows.latest.items():
            ROWS.labels(table).inc(len(latest))

    async def _advance(self, cursor: AsyncCursor[Any], after: Mapping[Place, int]) -> None:
        if await self._stored() != self.positions:
            raise Displaced("another storage process has written meanwhile")
        await cursor.executemany(
            "INSERT INTO kafka_positions (topic, partition, next_offset) VALUES (%s, %s, %s)"
            " ON CONFLICT (topic, partition) DO UPDATE SET next_offset = excluded.next_offset",
            [(self._topic_of(short), lane, offset) for (short, lane), offset in after.items()],
        )

    async def _stored(self) -> dict[Place, int]:
        """Positions as the database has them, locked until the end of the transaction."""
        found = await self._connection.execute(
            "SELECT topic, partition, next_offset FROM kafka_positions WHERE topic = ANY(%s) FOR UPDATE",
            (list(self._short_of),),
        )
        return {(self._short_of[topic], lane): offset async for topic, lane, offset in found}


def _staged(table: str) -> Identifier:
    """The session's own table where the latest rows of a batch wait for their upsert."""
    return Identifier(f"{table}_batch")


async def _copy(cursor: AsyncCursor[Any], into: Identifier, table: str, rows: list[Row]) -> None:
    columns = SQL(", ").join(map(Identifier, COLUMNS[table]))
    async with cursor.copy(SQL("COPY {} ({}) FROM STDIN").format(into, columns)) as copy:
        for row in rows:
            await copy.write_row(row)


def _upsert(table: str) -> Composed:
    """Takes the rows of the batch that are later than those that are there."""
    columns = [Identifier(column) for column in COLUMNS[table]]
    changes = [_change(column) for column in COLUMNS[table] if column not in KEYS[table]]
    return SQL(
        "INSERT INTO {table} AS t ({columns}) SELECT {columns} FROM {staged}"
        " ON CONFLICT ({key}) DO UPDATE SET {changes} WHERE {later}"
    ).format(
        table=Identifier(table),
        columns=SQL(", ").join(columns),
        staged=_staged(table),
        key=SQL(", ").join(map(Identifier, KEYS[table])),
        changes=SQL(", ").join(changes),
        later=SQL(LATER[table]),
    )


def _change(column: str) -> Composed:
    rule = "{0} = excluded.{0}"
    if column in KEPT:
        rule = "{0} = CASE WHEN t.status = 'rejected' THEN excluded.{0} ELSE t.{0} END"
    return SQL(rule).format(Identifier(column))


_UPSERTS = {table: _upsert(table) for table in LATER}
