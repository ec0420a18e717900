"""What the gateway reads from PostgreSQL: lists, history, accounts, and API keys, which it also writes.

Rule: while PostgreSQL is away, every question raises Problem NOT_READY after two seconds at most.
Lists are newest first and paged by keyset: a page's cursor holds the sort key of its last row.
"""

import logging
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, LiteralString, NamedTuple

import orjson
from psycopg import AsyncConnection, DataError, Error, OperationalError
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from app.gateway.auth import Caller
from app.gateway.problems import Problem, invalid

log = logging.getLogger(__name__)

_WAIT_S = 2.0
_STATEMENT_MS = 10_000
Row = dict[str, Any]

ORDER_COLUMNS: LiteralString = (
    "order_id, account, client_order_id, symbol, side, order_type, time_in_force, status, version, quantity,"
    " limit_price, cum_quantity, leaves_quantity, average_price, reason, text, entered_by, door, updated_at,"
    " entered_at, instructions"
)
EVENT_COLUMNS: LiteralString = (
    "event, status, account, client_order_id, order_id, symbol, side, order_type, time_in_force, version,"
    " quantity, limit_price, cum_quantity, leaves_quantity, average_price, last_quantity, last_price,"
    " trade_id, reason, text, request_offset, request_id, entered_by, door, at,"
    " instructions"
)
TRADE_COLUMNS: LiteralString = (
    "trade_id, symbol, sequence, price, quantity, aggressor_side, maker_account, maker_client_order_id,"
    " maker_order_id, taker_account, taker_client_order_id, taker_order_id, at"
)


class Page(NamedTuple):
    """Rows of a list, and the cursor of the next page; None: there is no more."""

    rows: list[Row]
    next_cursor: str | None


class Filter(NamedTuple):
    """A condition of a list and its parameters."""

    condition: LiteralString
    values: Sequence[Any]


def to_json(row: Mapping[str, Any]) -> Row:
    """A row as a JSON-able resource; what an order carries stands beside its other fields."""
    resource = {name: _shown(value) for name, value in row.items()}
    return resource | (resource.pop("instructions", None) or {})


def _shown(value: Any) -> Any:
    if isinstance(value, Decimal):
        text = f"{value:f}"
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value


def _cursor(row: Row, keys: Iterable[str]) -> str:
    values = [value.isoformat() if isinstance(value := row[key], datetime) else value for key in keys]
    return urlsafe_b64encode(orjson.dumps(values)).decode().rstrip("=")


def _after(cursor: str, kinds: Sequence[type]) -> list[Any]:
    """The sort key in a cursor; raises Problem INVALID_FIELD."""
    try:
        values = orjson.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
        pairs = list(zip(values, kinds, strict=True))
        return [datetime.fromisoformat(value) if kind is datetime else kind(value) for value, kind in pairs]
    except (ValueError, TypeError):
        raise invalid("cursor", "is no cursor of this list; take `next_cursor` as it was given") from None


class Store:
    """Questions to PostgreSQL."""

    def __init__(self, url: str) -> None:
        self._pool: AsyncConnectionPool[AsyncConnection[Row]] = AsyncConnectionPool(
            url,
            open=False,
            min_size=1,
            max_size=8,
            timeout=_WAIT_S,
            reconnect_timeout=_WAIT_S,
            check=AsyncConnectionPool.check_connection,
            kwargs={
                "autocommit": True,
                "row_factory": dict_row,
                "connect_timeout": 2,
                "options": f"-c statement_timeout={_STATEMENT_MS} -c timezone=UTC",
            },
        )

    async def start(self) -> None:
        """Begins to connect; does not wait for it."""
        await self._pool.open(wait=False)

    async def stop(self) -> None:
        """Ends all connections."""
        await self._pool.close(timeout=1)

    async def rows(self, query: LiteralString, values: Sequence[Any] = ()) -> list[Row]:
        """The rows of a query. Raises Problem NOT_READY."""
        try:
            async with self._pool.connection() as connection:
                cursor = await connection.execute(query, values)
                return await cursor.fetchall() if cursor.description else []
        except (OperationalError, PoolTimeout) as error:
            log.warning("PostgreSQL does not answer: %s", error)
            raise Problem("NOT_READY", "PostgreSQL does not answer") from None
        except DataError as error:
            raise Problem("INVALID_FIELD", f"a value cannot be looked for: {error}") from None

    async def alive(self) -> bool:
        """Whether PostgreSQL answers."""
        try:
            await self.rows("SELECT 1")
        except (Problem, Error):
            return False
        return True

    async def order(self, order_id: str) -> Row | None:
        """An order by its id."""
        query: LiteralString = f"SELECT {ORDER_COLUMNS} FROM orders WHERE order_id = %s"
        return next(map(to_json, await self.rows(query, [order_id])), None)

    async def order_of_client(self, account: str, client_order_id: str) -> Row | None:
        """The latest order of an account by the id it has, or was entered under."""
        query: LiteralString = (
            f"SELECT {ORDER_COLUMNS} FROM orders WHERE account = %s"
            " AND (client_order_id = %s OR entry_id = %s) ORDER BY entered_at DESC LIMIT 1"
        )
        rows = await self.rows(query, [account, client_order_id, client_order_id])
        return next(map(to_json, rows), None)

    async def orders(self, filters: Sequence[Filter], cursor: str | None, limit: int) -> Page:
        """A page of orders, the last entered first."""
        return await self._page(
            f"SELECT {ORDER_COLUMNS} FROM orders",
            filters,
            {"entered_at": datetime, "order_id": str},
            cursor,
            limit,
        )

    async def live_orders(self, accounts: Sequence[str]) -> list[Row]:
        """Every live order of some accounts."""
        query: LiteralString = (
            f"SELECT {ORDER_COLUMNS} FROM orders WHERE account = ANY(%s)"
            " AND status NOT IN ('filled', 'canceled', 'rejected', 'expired')"
        )
        return [to_json(row) for row in await self.rows(query, [list(accounts)])]

    async def events(self, order_id: str) -> list[Row]:
        """Every event of an order, oldest first."""
        query: LiteralString = (
            f"SELECT {EVENT_COLUMNS} FROM order_events WHERE order_id = %s"
            " ORDER BY version, at, partition, log_offset"
        )
        return [to_json(row) for row in await self.rows(query, [order_id])]

    async def trades(self, filters: Sequence[Filter], cursor: str | None, limit: int) -> Page:
        """A page of trades, the latest first."""
        page = await self._page(
            f"SELECT {TRADE_COLUMNS}, partition, log_offset FROM trades",
            filters,
            {"at": datetime, "partition": int, "log_offset": int},
            cursor,
            limit,
        )
        for row in page.rows:
            del row["partition"], row["log_offset"]
        return page

    async def _page(
        self,
        select: LiteralString,
        filters: Sequence[Filter],
        keys: Mapping[LiteralString, type],
        cursor: str | None,
        limit: int,
    ) -> Page:
        names = ", ".join(keys)
        if cursor is not None:
            marks = ", ".join(["%s"] * len(keys))
            filters = [*filters, Filter(f"({names}) < ({marks})", _after(cursor, list(keys.values())))]
        where = " WHERE " + " AND ".join(condition for condition, _ in filters) if filters else ""
        order = ", ".join(f"{key} DESC" for key in keys)
        values = [value for each in filters for value in each.values]
        rows = await self.rows(f"{select}{where} ORDER BY {order} LIMIT {limit + 1:d}", values)
        more = len(rows) > limit
        rows = rows[:limit]
        return Page([to_json(row) for row in rows], _cursor(rows[-1], keys) if more else None)

    async def positions(self, accounts: Sequence[str] | None) -> list[Row]:
        """Cash and holdings of some accounts, or of all."""
        query: LiteralString = (
            "SELECT account, asset, kind, total, reserved, version, at FROM positions"
            " WHERE %s::text[] IS NULL OR account = ANY(%s) ORDER BY account, kind, asset"
        )
        return [to_json(row) for row in await self.rows(query, [accounts, accounts])]

    async def accounts(self, accounts: Sequence[str] | None) -> list[Row]:
        """Status and limits of some accounts, or of all."""
        query: LiteralString = (
            "SELECT account, status, name, max_order_quantity, max_order_notional, allow_short, updated_at"
            " FROM accounts WHERE %s::text[] IS NULL OR account = ANY(%s) ORDER BY account"
        )
        return [to_json(row) for row in await self.rows(query, [accounts, accounts])]

    async def caller(self, key_hash: str) -> Caller | None:
        """Whom an API key belongs to; None: unknown or revoked."""
        rows = await self.rows(
            "SELECT name, role, accounts FROM api_keys WHERE key_hash = %s AND revoked_at IS NULL", [key_hash]
        )
        for row in rows:
            accounts = None if "*" in row["accounts"] else frozenset(row["accounts"])
            return Caller(row["name"], row["role"], accounts)
        return None

    async def add_key(self, key_hash: str, name: str, role: str, accounts: Sequence[str]) -> bool:
        """Stores a key; False when a live key has the name."""
        rows = await self.rows(
            "INSERT INTO api_keys (key_hash, name, role, accounts) SELECT %s, %s, %s, %s"
            " WHERE NOT EXISTS (SELECT FROM api_keys WHERE name = %s AND revoked_at IS NULL)"
            " RETURNING name",
            [key_hash, name, role, list(accounts), name],
        )
        return bool(rows)

    async def revoke_key(self, name: str) -> bool:
        """Ends the key of a name; False when there is none."""
        return bool(
            await self.rows(
                "UPDATE api_keys SET revoked_at = now()"
                " WHERE name = %s AND revoked_at IS NULL RETURNING name",
                [name],
            )
        )

    async def keys(self) -> list[Row]:
        """All keys, without what could be used to guess them."""
        query: LiteralString = (
            "SELECT name, role, accounts, created_at, revoked_at FROM api_keys ORDER BY created_at, name"
        )
        return [to_json(row) for row in await self.rows(query)]
