"""Batches into a real PostgreSQL, without Kafka."""

from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

from app import latest
from app.local.postgres import LocalPostgres
from app.reader import Read
from app.settings import Settings
from app.storage import TOPICS
from app.storage.reports import report, totals
from app.storage.schema import migrate
from app.storage.writer import Displaced, Writer
from app.verify import orders as verified
from schemas.numbers import ONE
from schemas.topics import TOPIC_OF_RECORD
from tests.conftest import run
from tests.flow import START_US, Said, accepted, event, filled, position, round_trips, trade
from tests.sink_process import until

_SETTINGS = Settings(topic_prefix="w")


@pytest.fixture
def database(postgres_server: LocalPostgres, request: pytest.FixtureRequest) -> str:
    """URL of a database with our tables, of this test alone."""
    url = run(postgres_server.create(f"writer_{abs(hash(request.node.name))}"))
    migrate(url)
    return url


@pytest.fixture
async def writer(database: str) -> AsyncIterator[Writer]:
    async with await AsyncConnection.connect(database, autocommit=True) as connection:
        yield await opened(connection)


async def opened(connection: AsyncConnection[Any]) -> Writer:
    writer = Writer(connection, _SETTINGS, TOPICS)
    await writer.open()
    return writer


def reads(*said: Said, at: int = 0, lane: int = 0) -> list[Read]:
    """What is said as records of one lane, from offset `at` on in each topic."""
    return [
        Read(TOPIC_OF_RECORD[kind].short, lane, at + n, START_US, None, b"", kind, dict(message), None)
        for n, (kind, message) in enumerate(said)
    ]


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(query).fetchall()


async def test_rows_and_positions_are_written_together(writer: Writer, database: str) -> None:
    await writer.write(reads(*round_trips(range(20))))
    assert totals(database) == {
        "orders": {"filled": 40},
        "order_events": 80,
        "trades": 20,
        "quantity_e8": 200 * ONE,
        "notional_e16": 20 * 10 * ONE * 18_712_000_000,
    }
    places = rows(database, "SELECT topic, next_offset FROM kafka_positions ORDER BY topic")
    assert [topic for topic, _ in places] == ["w.events.v1", "w.positions.v1", "w.trades.v1"]


async def test_an_older_state_in_a_later_batch_is_ignored(writer: Writer, database: str) -> None:
    await writer.write(reads(filled("1"), position("A", "AAPL", 2, 20)))
    await writer.write(reads(accepted("1"), position("A", "AAPL", 1, 10), at=10))
    assert rows(database, "SELECT status, version FROM orders") == [("filled", 2)]
    assert rows(database, "SELECT version, total::int FROM positions") == [(2, 20)]
    assert rows(database, "SELECT count(*) FROM order_events") == [(2,)]


async def test_a_rejection_is_replaced_by_the_order_entered_again_and_never_back(
    writer: Writer, database: str
) -> None:
    rejected = "OrderEvent", event("1", "rejected", "rejected", 1, reason="ACCOUNTS_INVALID_QUANTITY")
    await writer.write(reads(rejected))
    await writer.write(reads(accepted("1", at_us=START_US + 7), at=1))
    await writer.write(reads(rejected, at=2))
    assert rows(database, "SELECT status, entered_at = updated_at FROM orders") == [("new", True)]


async def test_an_order_keeps_its_entry_through_later_batches(writer: Writer, database: str) -> None:
    await writer.write(reads(accepted("1")))
    replaced = event("2", "replaced", "new", 2, order_id=accepted("1")[1]["order_id"])
    await writer.write(reads(("OrderEvent", replaced), at=1))
    query = "SELECT client_order_id, entry_id, updated_at > entered_at FROM orders"
    assert rows(database, query) == [("2", "1", True)]


async def test_a_triggered_order_that_rests_is_at_its_new_version(writer: Writer, database: str) -> None:
    await writer.write(reads(accepted("1")))
    triggered = event("1", "triggered", "new", 2, order_id=accepted("1")[1]["order_id"])
    await writer.write(reads(("OrderEvent", triggered), at=1))
    assert rows(database, "SELECT status, version FROM orders") == [("new", 2)]


def test_what_changes_an_order_is_what_the_verifier_says() -> None:
    assert verified.CHANGES | {"rejected"} == latest.CHANGES


async def test_a_record_that_the_database_does_not_take_spares_its_neighbours(
    writer: Writer, database: str
) -> None:
    with psycopg.connect(database) as connection:
        connection.execute("ALTER TABLE trades ALTER trade_id TYPE varchar(8)")
    await writer.write(reads(trade(1), trade(2, trade_id="AAPL-much-too-long"), trade(3)))
    assert rows(database, "SELECT trade_id FROM trades ORDER BY 1") == [("AAPL-1",), ("AAPL-3",)]
    ((offset, reason),) = rows(database, "SELECT log_offset, text FROM dead_letters")
    assert offset == 1
    assert "too long" in reason
    assert rows(database, "SELECT next_offset FROM kafka_positions") == [(3,)]


async def test_hostile_text_and_numbers_are_rows_like_any_other(writer: Writer, database: str) -> None:
    hostile = accepted("nul\0" + "x" * 10_000, account="é" * 9000, quantity=10**50, text="\0" * 3)
    await writer.write(reads(hostile, accepted("2")))
    assert rows(database, "SELECT count(*) FROM orders") == [(2,)]
    assert rows(database, "SELECT count(*) FROM dead_letters") == [(0,)]


async def test_a_writer_that_was_overtaken_writes_nothing(writer: Writer, database: str) -> None:
    async with await AsyncConnection.connect(database, autocommit=True) as connection:
        other = await opened(connection)
        await other.write(reads(accepted("1")))
        with pytest.raises(Displaced):
            await writer.write(reads(accepted("1"), accepted("2")))
    assert rows(database, "SELECT count(*) FROM order_events") == [(1,)]


async def test_the_lock_is_one_process_alone_until_its_connection_ends(database: str) -> None:
    async with await AsyncConnection.connect(database, autocommit=True) as standby:
        async with await AsyncConnection.connect(database, autocommit=True) as first:
            assert await Writer(first, _SETTINGS, TOPICS).lock()
            assert not await Writer(standby, _SETTINGS, TOPICS).lock()
            assert await Writer(standby, Settings(topic_prefix="other"), TOPICS).lock()
        await until(Writer(standby, _SETTINGS, TOPICS).lock)


def control(kind: str, **fields: Any) -> Said:
    common = {"account": "A", "control_id": "", "entered_us": 0, "entered_by": "ops", "door": "rest"}
    return kind, common | fields


def outcome(kind: str, offset: int, outcome: str) -> Said:
    return "ControlReport", {
        "control": kind,
        "account": "A",
        "symbol": "",
        "control_id": "",
        "outcome": outcome,
        "reason": "NONE",
        "text": "",
        "control_offset": offset,
        "entered_by": "ops",
        "door": "rest",
        "at_us": START_US + offset,
    }


async def test_accounts_are_as_the_applied_controls_left_them(writer: Writer, database: str) -> None:
    account = {"name": "Alice\0", "cancel_orders": False}
    limits = {"max_order_notional": 0, "allow_short": True}
    # The answers may be read before what they answer.
    await writer.write(
        reads(
            outcome("SetAccount", 0, "applied"),
            outcome("SetLimits", 1, "applied"),
            outcome("SetLimits", 2, "rejected"),
            outcome("SetAccount", 3, "applied"),
        )
    )
    await writer.write(
        reads(
            control("SetAccount", status="active", **account),
            control("SetLimits", max_order_quantity=5 * ONE, **limits),
            control("SetLimits", max_order_quantity=9 * ONE, **limits),
            control("SetAccount", status="suspended", **account),
            control("SetAccount", status="closed", **account),  # not answered yet
        )
    )
    query = "SELECT account, name, status, max_order_quantity::int, max_order_notional::int, allow_short"
    assert rows(database, f"{query} FROM accounts") == [("A", "Alice\ufffd", "suspended", 5, 0, True)]


async def test_balances_are_the_cash(writer: Writer, database: str) -> None:
    await writer.write(
        reads(position("A", "USD", 1, 100, kind="cash", reserved=30 * ONE), position("A", "AAPL", 1, 5))
    )
    assert rows(database, "SELECT account, currency, free::int FROM balances") == [("A", "USD", 70)]


async def test_reports_show_decimals_and_times_as_text(writer: Writer, database: str) -> None:
    await writer.write(reads(*round_trips(range(2), symbols=1)))
    (day,) = report(database, "daily").rows
    assert (day["symbol"], day["trades"], day["quantity"], day["notional"]) == ("S0", 2, "20", "3742.4")
    (latest, _) = report(database, "trades").rows
    assert (latest["trade_id"], latest["at"]) == ("S0-2", "2026-09-10T00:26:40.000002Z")
    assert report(database, "trades", 1).rows == [latest]
    assert [row["total"] for row in report(database, "positions").rows] == ["2", "2"]
    assert report(database, "orders").rows == [
        {
            "symbol": "S0",
            "status": "filled",
            "orders": 4,
            "quantity": "40",
            "cum_quantity": "40",
            "leaves_quantity": "0",
        }
    ]


def test_a_report_cannot_write(database: str) -> None:
    from app.storage.reports import _read_only

    with _read_only(database) as connection, pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        connection.execute("DELETE FROM orders")
