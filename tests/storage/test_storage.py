"""`oms storage` as a process, between a real Kafka and a real PostgreSQL, both of which fail."""

import asyncio
import json
import os
import random
from functools import partial
from pathlib import Path

import psycopg

from app.local.postgres import LocalPostgres
from app.settings import Settings
from app.storage.reports import Totals, totals
from schemas.numbers import ONE
from tests.flow import Log, accepted, round_trips, trade
from tests.sink_process import SinkProcess, until


def expected(trips: int) -> Totals:
    """Totals of so many `round_trips`."""
    return {
        "orders": {"filled": 2 * trips},
        "order_events": 4 * trips,
        "trades": trips,
        "quantity_e8": trips * 10 * ONE,
        "notional_e16": trips * 10 * ONE * 18_712_000_000,
    }


def count(url: str, table: str) -> int:
    with psycopg.connect(url) as connection:
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        assert row is not None
        return int(row[0])


async def holds(url: str, trips: int) -> None:
    """Returns when all orders of so many round trips are there and finished."""

    async def filled() -> bool:
        return totals(url) == expected(trips)

    await until(filled, 60)


async def test_kills_of_storage_and_crashes_of_postgresql_lose_and_double_nothing(
    settings: Settings, tmp_path: Path
) -> None:
    chance = random.Random(3)
    rounds, trips_of_round = 6, 1500
    async with LocalPostgres(tmp_path / "own", "test") as postgres, Log(settings) as log:
        own = settings.model_copy(update={"postgres": postgres.url})
        storage = SinkProcess("storage", own, tmp_path)
        await storage.ready()
        for number in range(rounds):
            written = count(postgres.url, "order_events")
            for start in range(number * trips_of_round, (number + 1) * trips_of_round, 500):
                await log.say(*round_trips(range(start, start + 500)))
            await until(partial(_more, postgres.url, written), 30)
            await asyncio.sleep(chance.uniform(0.0, 0.3))
            if number % 2:
                await _crash(postgres)
            else:
                storage.kill()
                storage = SinkProcess("storage", own, tmp_path)
        await holds(postgres.url, rounds * trips_of_round)
        await until(lambda: _positions_are(postgres.url, rounds * trips_of_round // 8 + 1))
        assert await storage.stop() == 0
        assert totals(postgres.url) == expected(rounds * trips_of_round)
        assert count(postgres.url, "dead_letters") == 0


async def _more(url: str, than: int) -> bool:
    return count(url, "order_events") > than


async def _crash(postgres: LocalPostgres) -> None:
    """kill -9 of the server and all its backends, then a start."""
    assert postgres._child is not None
    postgres._child.kill()
    await postgres.start()


async def _positions_are(url: str, sequence: int) -> bool:
    """Whether both accounts have of each of 8 symbols what the last round trips left, or one less."""
    with psycopg.connect(url) as connection:
        found = connection.execute("SELECT version, total FROM positions").fetchall()
    return len(found) == 16 and all(
        version == total and version in (sequence - 1, sequence) for version, total in found
    )


async def test_a_second_process_waits_and_takes_over_from_the_first_ones_position(
    settings: Settings, tmp_path: Path
) -> None:
    async with Log(settings) as log:
        first = SinkProcess("storage", settings, tmp_path / "1")
        await first.ready()
        second = SinkProcess("storage", settings, tmp_path / "2")
        await second.waits_for("standby")
        await log.say(*round_trips(range(100)))
        await holds(settings.postgres, 100)
        await second.waits_for("standby")
        first.kill()
        await log.say(*round_trips(range(100, 150)))
        await holds(settings.postgres, 150)
        await second.ready()
        assert await second.stop() == 0


async def test_a_poison_record_is_kept_as_a_dead_letter_and_the_rest_goes_on(
    settings: Settings, tmp_path: Path
) -> None:
    async with Log(settings) as log:
        async with log.producer.transaction():
            await log.bytes("OrderEvent", b"junk", "A", 1)
            await log.bytes("OrderEvent", b"\0\x7f\xff\xff\xff?", "A", 1)
            await log.bytes("OrderEvent", log.codec.encode(*trade(1)), "A", 1)
            await log.bytes("OrderEvent", log.codec.encode(*accepted("1"))[:-3], "A", 1)
        await log.say(accepted("1"))
        storage = SinkProcess("storage", settings, tmp_path)
        await storage.ready()
        assert totals(settings.postgres)["orders"] == {"new": 1}
        with psycopg.connect(settings.postgres) as connection:
            letters = connection.execute(
                "SELECT log_offset, reason, value FROM dead_letters ORDER BY log_offset"
            ).fetchall()
        assert [(offset, reason) for offset, reason, _ in letters] == [
            (0, "DECODE_NOT_FRAMED"),
            (1, "DECODE_UNKNOWN_SCHEMA"),
            (2, "DECODE_WRONG_RECORD"),
            (3, "DECODE_FAILED"),
        ]
        assert letters[0][2] == b"junk"
        assert await storage.stop() == 0


async def test_an_aborted_transaction_leaves_no_row(settings: Settings, tmp_path: Path) -> None:
    async with Log(settings) as log:
        await log.producer.begin_transaction()
        await log.bytes("OrderEvent", log.codec.encode(*accepted("1")), "A")
        await log.producer.abort_transaction()
        await log.say(accepted("2"))
        storage = SinkProcess("storage", settings, tmp_path)
        await storage.ready()
        assert count(settings.postgres, "order_events") == 1
        await storage.stop()


async def test_another_kafka_than_before_is_refused_instead_of_skipped(
    settings: Settings, tmp_path: Path
) -> None:
    async with Log(settings) as log:
        await log.say(accepted("1"))
        storage = SinkProcess("storage", settings, tmp_path)
        await storage.ready()
        await storage.stop()
        with psycopg.connect(settings.postgres) as connection:
            connection.execute("UPDATE kafka_positions SET next_offset = 1000")
        storage = SinkProcess("storage", settings, tmp_path)
        await until(storage.ended)
        assert storage.child.code == 1
        assert "If this is another Kafka than before" in storage.child.last_words()
        storage.kill()


async def test_the_command_line_prints_reports_as_json(settings: Settings, tmp_path: Path) -> None:
    async with Log(settings) as log:
        await log.say(*round_trips(range(3), symbols=1))
        storage = SinkProcess("storage", settings, tmp_path)
        await storage.ready()
        await storage.stop()
    command = await asyncio.create_subprocess_exec(
        *storage.program.argv, "report", "daily", "--json",
        env={**os.environ, **storage.program.env},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    printed, _ = await command.communicate()
    assert [(row["symbol"], row["trades"]) for row in json.loads(printed)] == [("S0", 3)]
