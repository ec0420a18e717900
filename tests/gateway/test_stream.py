"""The WebSocket stream: a snapshot, then updates; scope; gaps; slow clients."""

import json
import socket
from collections.abc import Callable
from typing import Any

import httpx
import orjson
import psycopg
import pytest
from redis import Redis
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from app.cache.writer import READY
from tests.gateway.conftest import ADMIN_KEY, Start, until
from tests.gateway.test_reads import store_trade

MakeKey = Callable[[str, str, list[str]], str]


def stream(gateway: str, key: str = "", **options: Any) -> ClientConnection:
    """A connection with the key in a header."""
    url = gateway.replace("http", "ws") + "/api/v1/stream"
    headers = {"X-API-Key": key} if key else {}
    client: ClientConnection = connect(url, additional_headers=headers, compression=None, **options)
    return client


def send(client: ClientConnection, **message: Any) -> None:
    """Sends a command."""
    client.send(json.dumps(message))


def heard(client: ClientConnection) -> dict[str, Any]:
    """The next message."""
    message: dict[str, Any] = json.loads(client.recv(timeout=10))
    return message


def refused(client: ClientConnection) -> dict[str, Any]:
    """The problem in the next message."""
    message = heard(client)
    assert message["type"] == "error"
    problem: dict[str, Any] = message["problem"]
    return problem


@pytest.fixture
def cache(redis: Redis) -> Redis:
    """Redis as the cache leaves it when it has caught up."""
    redis.set(READY, "1")
    return redis


def book(sequence: int, *bids: list[Any]) -> dict[str, Any]:
    """A book of AAPL."""
    return {"symbol": "AAPL", "sequence": sequence, "bids": bids, "asks": [], "at": "2026-11-21T10:00:00Z"}


def test_a_book_comes_whole_and_then_as_gapless_updates(
    gateway: str, alice_key: str, cache: Redis, symbol: str
) -> None:
    cache.set("book:AAPL", orjson.dumps(book(7, ["187.1", "5", 1])))
    with stream(gateway, alice_key) as client:
        send(client, subscribe=["book"], symbols=["AAPL"])
        snapshot = heard(client)
        assert (snapshot["type"], snapshot["channel"], snapshot["symbol"]) == ("snapshot", "book", "AAPL")
        assert (snapshot["sequence"], snapshot["data"]["bids"]) == (7, [["187.1", "5", 1]])
        for sequence in (6, 7, 8):
            cache.publish("books.AAPL", orjson.dumps(book(sequence, ["187.1", str(sequence), 1])))
        update = heard(client)
        assert (update["type"], update["sequence"]) == ("update", 8)
        assert update["data"]["bids"] == [["187.1", "8", 1]]


def test_a_missed_book_update_is_told_and_mended_by_a_snapshot(
    gateway: str, alice_key: str, cache: Redis, symbol: str
) -> None:
    cache.set("book:AAPL", orjson.dumps(book(7)))
    with stream(gateway, alice_key) as client:
        send(client, subscribe=["book"], symbols=["AAPL"])
        assert heard(client)["sequence"] == 7
        cache.set("book:AAPL", orjson.dumps(book(10, ["1", "1", 1])))
        cache.publish("books.AAPL", orjson.dumps(book(10)))
        assert heard(client) == {"type": "gap", "channel": "book", "symbol": "AAPL"}
        snapshot = heard(client)
        assert (snapshot["type"], snapshot["sequence"]) == ("snapshot", 10)
        cache.publish("books.AAPL", orjson.dumps(book(11)))
        assert heard(client)["sequence"] == 11


def test_own_orders_come_live_first_and_then_by_event(gateway: str, alice_key: str, cache: Redis) -> None:
    order = {"order_id": "O1", "account": "A1", "status": "new", "version": 1}
    cache.set("order:O1", orjson.dumps(order))
    cache.sadd("orders:live:A1", "O1")
    with stream(gateway, alice_key) as client:
        send(client, subscribe=["orders"])
        snapshot = heard(client)
        assert (snapshot["account"], snapshot["data"]) == ("A1", [order])
        event = order | {"event": "canceled", "status": "canceled", "version": 2}
        cache.publish("orders.A1", orjson.dumps(event))
        update = heard(client)
        assert (update["channel"], update["data"]) == ("orders", event)
        assert update["sequence"] > snapshot["sequence"]


def test_orders_of_other_accounts_are_refused(gateway: str, alice_key: str, cache: Redis) -> None:
    with stream(gateway, alice_key) as client:
        send(client, subscribe=["orders"], accounts=["B1"])
        assert refused(client)["code"] == "FORBIDDEN_ACCOUNT"
        send(client, subscribe=["quotes"], symbols=["NOPE"])
        assert refused(client)["code"] == "UNKNOWN_SYMBOL"
        send(client, subscribe=["weather"])
        assert refused(client)["errors"][0]["field"] == "subscribe.0"
        client.send("no json")
        assert refused(client)["code"] == "INVALID_JSON"


def test_trades_hide_the_parties_that_are_not_ones_own(
    gateway: str, alice_key: str, cache: Redis, symbol: str, database: psycopg.Connection[Any]
) -> None:
    store_trade(database, 1, "A1", "B1")
    with stream(gateway, alice_key) as client:
        send(client, subscribe=["trades"], symbols=["AAPL"])
        snapshot = heard(client)
        assert snapshot["sequence"] == 1
        assert [trade["taker_account"] for trade in snapshot["data"]] == [None]
        trade = snapshot["data"][0] | {"sequence": 2, "maker_account": "B1", "taker_account": "A1"}
        cache.publish("trades.AAPL", orjson.dumps(trade))
        update = heard(client)
        assert (update["data"]["maker_account"], update["data"]["taker_account"]) == (None, "A1")


def test_every_symbol_can_be_asked_for_at_once_and_left_again(
    gateway: str, alice_key: str, cache: Redis, symbol: str
) -> None:
    with stream(gateway, alice_key) as client:
        send(client, subscribe=["quotes"], symbols=["*"])
        symbols = {heard(client)["symbol"]}
        assert symbols
        send(client, unsubscribe=["quotes"], symbols=["*"])
        send(client, subscribe=["book"], symbols=["AAPL"])
        while heard(client)["channel"] != "book":
            pass
        cache.publish("quotes.AAPL", orjson.dumps({"symbol": "AAPL", "at": "2026"}))
        cache.publish("books.AAPL", orjson.dumps(book(1)))
        assert heard(client)["channel"] == "book"


def test_the_key_may_come_in_the_query_or_in_the_first_message(gateway: str, alice_key: str) -> None:
    url = gateway.replace("http", "ws") + f"/api/stream?api_key={alice_key}"
    with connect(url) as client:
        send(client, subscribe=[])
        client.ping().wait(5)
    with stream(gateway) as client:
        send(client, api_key=alice_key)
        send(client, subscribe=["weather"])
        assert refused(client)["code"] == "INVALID_FIELD"


def test_without_a_valid_key_the_stream_closes(gateway: str) -> None:
    with stream(gateway, "wrong") as client:
        assert refused(client)["code"] == "UNAUTHORIZED"
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=5)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401


def test_a_slow_client_is_disconnected_and_others_are_not(
    start_gateway: Start, worker: object, cache: Redis, symbol: str
) -> None:
    url = start_gateway("gateway-slow", GATEWAY_STREAM_BACKLOG="20")
    text = "x" * 50_000
    with stream(url, ADMIN_KEY, max_queue=1) as slow, stream(url, ADMIN_KEY) as quick:
        slow.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for client in (slow, quick):
            send(client, subscribe=["quotes"], symbols=["AAPL"])
            assert heard(client)["type"] == "snapshot"
        for number in range(400):
            cache.publish("quotes.AAPL", orjson.dumps({"symbol": "AAPL", "at": str(number), "venue": text}))
            assert heard(quick)["data"]["at"] == str(number)
        assert until(lambda: _metric(url, "oms_gateway_stream_dropped_total") == 1)
        assert until(lambda: _metric(url, "oms_gateway_stream_clients") == 1)


def test_when_redis_goes_away_clients_are_told_and_get_a_snapshot_on_its_return(
    gateway: str, alice_key: str, cache: Redis, symbol: str
) -> None:
    with stream(gateway, alice_key) as client:
        send(client, subscribe=["book"], symbols=["AAPL"])
        assert heard(client)["type"] == "snapshot"
        cache.set("book:AAPL", orjson.dumps(book(5)))
        assert cache.client_kill_filter(_type="pubsub") >= 1
        assert heard(client)["type"] == "gap"
        snapshot = heard(client)
        assert (snapshot["type"], snapshot["sequence"]) == ("snapshot", 5)
        cache.publish("books.AAPL", orjson.dumps(book(6)))
        assert heard(client)["sequence"] == 6


def _metric(gateway: str, name: str) -> float:
    lines = httpx.get(f"{gateway}/metrics").text.splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(f"{name} ")))
