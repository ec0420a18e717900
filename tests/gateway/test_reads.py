"""Lists and latest values: from PostgreSQL and Redis, paged, scoped, and with either away."""

from collections.abc import Callable
from typing import Any

import httpx
import orjson
import psycopg
from redis import Redis

from app.cache.writer import READY
from app.gateway.problems import KINDS
from tests.gateway.conftest import ADMIN_KEY, Start, client_of

MakeKey = Callable[[str, str, list[str]], str]
Database = psycopg.Connection[Any]


def store_order(database: Database, order_id: str, minute: int, **more: Any) -> None:
    """A stored order, entered in a minute of a day."""
    at = f"2026-11-20T10:{minute:02d}:00Z"
    row = {
        "order_id": order_id,
        "account": "A1",
        "client_order_id": f"c-{order_id}",
        "symbol": "AAPL",
        "side": "buy",
        "order_type": "limit",
        "time_in_force": "day",
        "status": "new",
        "version": 1,
        "quantity": "10.5",
        "limit_price": "187.12",
        "cum_quantity": 0,
        "leaves_quantity": "10.5",
        "average_price": 0,
        "reason": "NONE",
        "text": "",
        "entered_by": "alice",
        "door": "rest",
        "updated_at": at,
        "entered_at": at,
        "entry_id": f"c-{order_id}",
    } | more
    insert(database, "orders", row)


def store_trade(database: Database, sequence: int, maker: str, taker: str) -> None:
    """A stored trade of AAPL."""
    row = {
        "partition": 0,
        "log_offset": sequence,
        "trade_id": f"AAPL-{sequence}",
        "symbol": "AAPL",
        "sequence": sequence,
        "price": "187.12",
        "quantity": "3",
        "aggressor_side": "buy",
        "maker_account": maker,
        "maker_client_order_id": f"m{sequence}",
        "maker_order_id": f"M{sequence}",
        "taker_account": taker,
        "taker_client_order_id": f"t{sequence}",
        "taker_order_id": f"T{sequence}",
        "at": "2026-11-20T10:00:00.000001Z",
    }
    insert(database, "trades", row)


def insert(database: Database, table: str, row: dict[str, Any]) -> None:
    """Inserts a row, as storage would."""
    names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
    database.execute(f"INSERT INTO {table} ({names}) VALUES ({marks})".encode(), list(row.values()))


def test_orders_are_paged_without_loss_or_repeat(alice: httpx.Client, database: Database) -> None:
    for number in range(7):
        # Two in each minute: the page must break within a tie as well.
        store_order(database, f"O{number}", number // 2)
    seen, cursor = [], None
    while True:
        page = alice.get("/orders", params={"limit": 3} | ({"cursor": cursor} if cursor else {})).json()
        seen += [item["order_id"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == ["O6", "O5", "O4", "O3", "O2", "O1", "O0"]


def test_filters_of_orders(alice: httpx.Client, database: Database) -> None:
    store_order(database, "O1", 1, status="filled", side="sell")
    store_order(database, "O2", 2, symbol="MSFT", client_order_id="new-id")
    store_order(database, "O3", 3, account="B1")

    def ids(**query: Any) -> list[str]:
        return [item["order_id"] for item in alice.get("/orders", params=query).json()["items"]]

    assert ids() == ["O2", "O1"]
    assert ids(status="live") == ["O2"]
    assert ids(status="filled,canceled") == ["O1"]
    assert ids(side="sell") == ids(symbol="AAPL") == ["O1"]
    assert ids(client_order_id="c-O2") == ids(client_order_id="new-id") == ["O2"]
    assert ids(since="2026-11-20T10:02:00Z") == ids(since="2026-11-20T11:02:00+01:00") == ["O2"]
    assert ids(until="2026-11-20T10:02:00Z") == ["O1"]


def test_a_bad_filter_is_named(alice: httpx.Client) -> None:
    for query, field in (
        ({"limit": 0}, "limit"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"since": "yesterday"}, "since"),
        ({"since": "2026-11-20T10:02:00"}, "since"),
        ({"acount": "A1"}, "acount"),
    ):
        answer = alice.get("/orders", params=query)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)
    assert alice.get("/orders", params={"symbol": "\0"}).json()["code"] == "INVALID_FIELD"


def test_an_order_comes_from_redis_and_else_from_postgres(
    alice: httpx.Client, database: Database, redis: Redis
) -> None:
    store_order(database, "O1", 1)
    stored = alice.get("/orders/O1").json()
    assert (stored["quantity"], stored["status"]) == ("10.5", "new")
    assert stored["entered_at"] == "2026-11-20T10:01:00.000000Z"
    cached = stored | {"status": "canceled", "version": 2}
    redis.set("order:O1", orjson.dumps(cached))
    assert alice.get("/orders/O1").json()["status"] == "new", "a cache that is being filled is not asked"
    redis.set(READY, "1")
    assert alice.get("/orders/O1").json() == cached
    redis.set("client:A1:c-O1", "O1")
    assert alice.get("/orders/by-client-id/A1/c-O1").json() == cached


def test_without_redis_orders_come_from_postgres_and_books_say_so(
    start_gateway: Start, worker: object, symbol: str, database: Database
) -> None:
    url = start_gateway("gateway-no-redis", REDIS="redis://127.0.0.1:9/0")
    store_order(database, "O1", 1)
    with client_of(url, ADMIN_KEY) as client:
        assert client.get("/orders/O1").json()["status"] == "new"
        assert client.get(f"/books/{symbol}").json()["code"] == "NOT_READY"
        assert client.get("/positions", params={"account": "A1"}).json()["items"] == []


def test_events_of_an_order_come_oldest_first(
    alice: httpx.Client, database: Database, gateway: str, key_of: MakeKey
) -> None:
    columns = {
        "account": "A1",
        "client_order_id": "c",
        "order_id": "O1",
        "symbol": "AAPL",
        "side": "buy",
        "order_type": "limit",
        "time_in_force": "day",
        "quantity": 1,
        "cum_quantity": 0,
        "leaves_quantity": 1,
        "average_price": 0,
        "last_quantity": 0,
        "last_price": 0,
        "trade_id": "",
        "reason": "NONE",
        "text": "",
        "request_offset": 1,
        "request_id": "",
        "entered_by": "",
        "door": "rest",
        "at": "2026-11-20T10:00:00Z",
    }
    for version, event in ((2, "canceled"), (1, "accepted")):
        place = {"partition": 0, "log_offset": version, "version": version, "event": event, "status": event}
        insert(database, "order_events", columns | place)
    items = alice.get("/orders/O1/events").json()["items"]
    assert [item["event"] for item in items] == ["accepted", "canceled"]
    with client_of(gateway, key_of("nosy", "trader", ["B1"])) as nosy:
        assert nosy.get("/orders/O1/events").json()["code"] == "UNKNOWN_ORDER"


def test_the_tape_names_no_other_accounts(
    alice: httpx.Client, admin: httpx.Client, database: Database
) -> None:
    store_trade(database, 1, "A1", "B1")
    store_trade(database, 2, "B1", "B2")
    second, first = alice.get("/trades", params={"symbol": "AAPL"}).json()["items"]
    assert (first["maker_account"], first["taker_account"], first["taker_order_id"]) == ("A1", None, None)
    assert (second["maker_account"], second["taker_account"]) == (None, None)
    assert [item["sequence"] for item in alice.get("/trades?account=A1").json()["items"]] == [1]
    assert alice.get("/trades?order_id=T2").json()["items"] == []
    assert alice.get("/trades?account=B1").json()["code"] == "FORBIDDEN_ACCOUNT"
    assert admin.get("/trades").json()["items"][0]["taker_account"] == "B2"


def test_an_account_shows_status_limits_cash_and_holdings(alice: httpx.Client, database: Database) -> None:
    report = {
        "partition": 0,
        "control": "SetAccount",
        "account": "A1",
        "symbol": "",
        "control_id": "",
        "entered_by": "",
        "door": "rest",
        "at": "2026-11-20T10:00:00Z",
    }
    body = '{"status": "active", "name": "Alice"}'
    insert(database, "controls", report | {"log_offset": 5, "body": body})
    answer = {"log_offset": 1, "outcome": "applied", "reason": "NONE", "text": "", "control_offset": 5}
    insert(database, "control_reports", report | answer)
    for kind, asset in (("holding", "AAPL"), ("cash", "USD")):
        position = {"account": "A1", "asset": asset, "kind": kind, "total": "7.50", "reserved": 0}
        insert(database, "positions", position | {"version": 1, "at": "2026-11-20T10:00:00Z"})
    account = alice.get("/accounts/A1").json()
    assert (account["status"], account["name"], account["max_order_quantity"]) == ("active", "Alice", "0")
    assert [position["asset"] for position in account["cash"]] == ["USD"]
    assert account["holdings"][0]["total"] == "7.5"
    assert [item["account"] for item in alice.get("/accounts").json()["items"]] == ["A1"]
    assert alice.get("/accounts/B1").json()["code"] == "FORBIDDEN_ACCOUNT"


def test_quotes_and_books_come_from_redis(alice: httpx.Client, symbol: str, redis: Redis) -> None:
    redis.set(READY, "1")
    assert alice.get(f"/quotes/{symbol}").json()["code"] == "NO_QUOTE"
    assert alice.get("/quotes/NOPE").json()["code"] == "UNKNOWN_SYMBOL"
    assert alice.get(f"/books/{symbol}").json()["bids"] == []
    redis.set(f"quote:{symbol}", orjson.dumps({"symbol": symbol, "bid": "1"}))
    levels = [[str(price), "1", 1] for price in range(30, 0, -1)]
    book = {"symbol": symbol, "sequence": 9, "bids": levels, "asks": [], "at": "2026-11-20T10:00:00Z"}
    redis.set(f"book:{symbol}", orjson.dumps(book))
    assert alice.get(f"/quotes/{symbol}").json()["bid"] == "1"
    assert alice.get("/quotes").json()["items"] == [{"symbol": symbol, "bid": "1"}]
    top = alice.get(f"/books/{symbol}", params={"depth": 2}).json()
    assert (top["sequence"], top["bids"]) == (9, levels[:2])
    assert len(alice.get(f"/books/{symbol}").json()["bids"]) == 20


def test_paths_without_a_version_lead_to_the_current_one(gateway: str, alice: httpx.Client) -> None:
    answer = httpx.post(f"{gateway}/api/orders?wait=accepted", json={})
    assert answer.status_code == 307
    assert answer.headers["location"] == "/api/v1/orders?wait=accepted"
    assert httpx.get(f"{gateway}/api/quotes").headers["location"] == "/api/v1/quotes"
    assert httpx.get(f"{gateway}/api/v1/nothing").json()["code"] == "NOT_FOUND"
    assert alice.put("/orders", json={}).json()["code"] == "METHOD_NOT_ALLOWED"


def test_every_problem_explains_itself(gateway: str) -> None:
    for code in (*KINDS, "RISK_PRICE_BAND"):
        explained = httpx.get(f"{gateway}/api/v1/problems/{code}").json()
        assert explained["title"]
        assert explained["next"]


def test_openapi_describes_every_route_with_problems_and_key(gateway: str) -> None:
    spec = httpx.get(f"{gateway}/openapi.json").json()
    entry = spec["paths"]["/api/v1/orders"]["post"]
    assert set(entry["responses"]) >= {"200", "201", "202", "400", "401", "422", "504"}
    assert entry["security"]
    schema = spec["components"]["schemas"]
    assert set(schema["OrderBody"]["required"]) == {"account", "symbol", "side", "quantity"}
    assert schema["Order"]["properties"]["limit_price"]["format"] == "decimal"
    text = str(spec)
    assert "HTTPValidationError" not in text
    assert all(f"#/components/schemas/{name}" in text or name for name in schema)


def test_metrics_count_requests_by_route(gateway: str, alice: httpx.Client) -> None:
    alice.get("/orders/NOPE")
    text = httpx.get(f"{gateway}/metrics").text
    assert 'oms_gateway_request_seconds_count{method="GET",route="/orders/{order_id}"' in text
    assert "oms_gateway_sent_total" in text
