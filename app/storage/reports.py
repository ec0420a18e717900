"""What PostgreSQL holds, told: reports for people and scripts, and totals to compare with the topics."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal, NamedTuple, TypedDict

import psycopg
from psycopg import Connection
from psycopg.rows import dict_row

Report = Literal["orders", "trades", "positions", "daily"]

# Reports begin with the newest, the largest or the first by name, and end after so many rows.
ROWS_MAX = 1000

_QUERIES: dict[str, str] = {
    "orders": "SELECT * FROM v_order_status ORDER BY symbol, status LIMIT %s",
    "trades": "SELECT at, trade_id, symbol, aggressor_side, quantity, price, maker_account, taker_account"
    " FROM trades ORDER BY at DESC, partition DESC, log_offset DESC LIMIT %s",
    "positions": "SELECT account, asset, kind, total, reserved, total - reserved AS free, at"
    " FROM positions ORDER BY account, kind, asset LIMIT %s",
    "daily": "SELECT * FROM v_daily_volume ORDER BY day DESC, notional DESC LIMIT %s",
}


class Table(NamedTuple):
    """A report: its columns, and rows of texts and numbers (decimals as strings, times as RFC 3339)."""

    columns: list[str]
    rows: list[dict[str, Any]]


class Totals(TypedDict):
    """Counts and exact sums over all rows: sums of quantity_e8 and of price_e8 x quantity_e8 (so `_e16`)."""

    orders: dict[str, int]
    order_events: int
    trades: int
    quantity_e8: int
    notional_e16: int


def report(postgres_url: str, name: Report, limit: int = ROWS_MAX) -> Table:
    """A report by its name, of at most `limit` rows. Raises psycopg.OperationalError without a server."""
    with _read_only(postgres_url) as connection, connection.cursor(row_factory=dict_row) as cursor:
        cursor.execute(_QUERIES[name], (limit,))
        columns = [column.name for column in cursor.description or ()]
        return Table(columns, [{key: _shown(value) for key, value in row.items()} for row in cursor])


def totals(postgres_url: str) -> Totals:
    """Orders by status, and how many events and trades of which sums, at one moment."""
    with _read_only(postgres_url) as connection:
        orders = connection.execute("SELECT status, count(*) FROM orders GROUP BY status ORDER BY status")
        by_status = dict(orders.fetchall())
        events = connection.execute("SELECT count(*) FROM order_events").fetchone()
        trades = connection.execute(
            "SELECT count(*), trunc(coalesce(sum(quantity), 0) * 1e8),"
            " trunc(coalesce(sum(price * quantity), 0) * 1e16) FROM trades"
        ).fetchone()
    assert events is not None
    assert trades is not None
    return {
        "orders": by_status,
        "order_events": events[0],
        "trades": trades[0],
        "quantity_e8": int(trades[1]),
        "notional_e16": int(trades[2]),
    }


def _read_only(postgres_url: str) -> Connection[Any]:
    """A connection in one read-only transaction that sees one moment."""
    connection = psycopg.connect(postgres_url, connect_timeout=5, application_name="oms storage report")
    connection.read_only = True
    connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    return connection


def _shown(value: Any) -> Any:
    if isinstance(value, Decimal):
        digits = f"{value:f}"
        return digits.rstrip("0").rstrip(".") if "." in digits else digits
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return value.isoformat() if isinstance(value, date) else value
