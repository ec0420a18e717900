"""From three Kafka producers, REST and a WebSocket through every process to PostgreSQL, and verified."""

import itertools
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.client import connect

from app.local.postgres import LocalPostgres
from app.settings import Settings
from app.topics import prepare
from schemas.codec import Codec
from tests.conftest import run
from tests.e2e.producers import by_aiokafka, by_confluent, by_java
from tests.e2e.system import ADMIN_KEY, System, eventually, system

E8 = 10**8
_DESKS = itertools.count(1)


@pytest.fixture(scope="module")
def oms(
    kafka: str, registry_url: str, postgres_server: LocalPostgres, redis_url: str, home: Path
) -> Iterator[System]:
    """The running system, one for all tests here."""
    settings = Settings(
        data_dir=home,
        kafka=kafka,
        registry=registry_url,
        postgres=run(postgres_server.create("e2e")),
        redis=f"{redis_url.removesuffix('/0')}/15",
        topic_prefix="e2e",
        app_id="e2e-app",
    )
    with system(settings) as started:
        yield started


@dataclass(frozen=True)
class Desk:
    """An instrument and two funded accounts of one test."""

    symbol: str
    buyer: str
    seller: str


@pytest.fixture
def desk(oms: System) -> Desk:
    """A fresh desk."""
    number = next(_DESKS)
    made = Desk(f"ACME{number}", f"BUYER{number}", f"SELLER{number}")
    instrument = {
        "symbol": made.symbol,
        "currency": "USD",
        "ticks": [{"from_price": "0", "tick_size": "0.01"}],
        "lot_size": "1",
        "band_bps": 0,
    }
    assert oms.rest.post("/instruments", json=instrument).status_code == 201
    for account in (made.buyer, made.seller):
        assert oms.rest.post("/accounts", json={"account": account, "status": "active"}).is_success
        cash = {"currency": "USD", "amount": "100000"}
        assert oms.rest.post(f"/accounts/{account}/cash", json=cash).is_success
    holding = {"symbol": made.symbol, "quantity": "1000"}
    assert oms.rest.post(f"/accounts/{made.seller}/holdings", json=holding).is_success
    return made


def order(desk: Desk, name: str, side: str, quantity: int, price: str) -> dict[str, Any]:
    """A limit order of the side's account, as a message of ours."""
    return {
        "account": desk.buyer if side == "buy" else desk.seller,
        "client_order_id": name,
        "symbol": desk.symbol,
        "side": side,
        "order_type": "limit",
        "quantity": quantity * E8,
        "limit_price": int(Decimal(price).scaleb(8)),
        "time_in_force": "gtc",
        "entered_us": 0,
        "entered_by": "",
        "door": "kafka",
    }


def test_orders_of_three_kafka_clients_and_of_rest_trade_and_are_seen_everywhere(
    oms: System, desk: Desk, jars: Path
) -> None:
    settings = oms.settings
    codec = Codec(run(prepare(settings)))
    stream = oms.gateway.replace("http", "ws") + f"/api/v1/stream?api_key={ADMIN_KEY}"
    with connect(stream) as socket:
        socket.send(json.dumps({"subscribe": ["trades", "book"], "symbols": [desk.symbol]}))
        by_confluent(settings, order(desk, "c-1", "sell", 10, "10.00"))
        run(by_aiokafka(settings, codec, order(desk, "a-1", "sell", 10, "10.01")))
        by_java(settings, jars, codec, order(desk, "j-1", "sell", 10, "10.02"))
        eventually(lambda: len(oms.get("/orders", account=desk.seller, status="new")["items"]) == 3)
        taken = oms.rest.post(
            "/orders",
            params={"wait": "terminal", "timeout_ms": 10_000},
            json={
                "account": desk.buyer,
                "client_order_id": "r-1",
                "symbol": desk.symbol,
                "side": "buy",
                "order_type": "limit",
                "quantity": "25",
                "limit_price": "10.05",
            },
        )
        assert taken.status_code in (200, 201), taken.text
        assert (taken.json()["status"], taken.json()["average_price"]) == ("filled", "10.008")
        trades: list[dict[str, Any]] = []
        while len(trades) < 3:
            message = json.loads(socket.recv(timeout=20))
            if message.get("channel") == "trades" and message.get("type") == "update":
                trades.append(message["data"])
    assert [(t["price"], t["quantity"]) for t in trades] == [("10", "10"), ("10.01", "10"), ("10.02", "5")]
    eventually(lambda: len(oms.get("/trades", symbol=desk.symbol)["items"]) == 3)
    bought = {"USD": "99749.8", desk.symbol: "25"}
    eventually(
        lambda: {p["asset"]: p["total"] for p in oms.get("/positions", account=desk.buyer)["items"]} == bought
    )
    book = oms.get(f"/books/{desk.symbol}")
    assert (book["bids"], [level[:2] for level in book["asks"]]) == ([], [["10.02", "5"]])
    assert_verified(oms)


def test_what_is_refused_is_answered_with_its_reason_and_neighbours_trade(oms: System, desk: Desk) -> None:
    good = {
        "account": desk.buyer,
        "symbol": desk.symbol,
        "side": "buy",
        "order_type": "limit",
        "quantity": "1",
    }
    good |= {"order_type": "limit", "limit_price": "9.00"}
    bad = {
        "ACCOUNTS_UNKNOWN_ACCOUNT": {"account": "NOBODY"},
        "ACCOUNTS_UNKNOWN_SYMBOL": {"symbol": "NONE"},
        "ACCOUNTS_INVALID_QUANTITY": {"quantity": "-1"},
        "RISK_OFF_TICK": {"limit_price": "9.001"},
        "RISK_OFF_LOT": {"quantity": "0.5"},
        "ACCOUNTS_INSUFFICIENT_CASH": {"quantity": "20000"},
        "ACCOUNTS_INSUFFICIENT_HOLDING": {"side": "sell"},
    }
    for reason, change in bad.items():
        answer = oms.rest.post("/orders", params={"wait": "accepted"}, json={**good, **change})
        assert answer.status_code == 422, (reason, answer.text)
        assert reason in answer.text
        neighbour = oms.rest.post("/orders", params={"wait": "accepted"}, json=good)
        assert neighbour.status_code in (200, 201), neighbour.text
    for change in ({"side": "sideways"}, {"quantity": "many"}, {"colour": "red"}):
        answer = oms.rest.post("/orders", json={**good, **change})
        assert answer.status_code in (400, 422), answer.text
        assert next(iter(change)) in answer.text
    assert_verified(oms)


def test_a_repeated_order_is_the_same_order_and_another_body_is_a_duplicate(oms: System, desk: Desk) -> None:
    body = {"account": desk.buyer, "client_order_id": "once", "symbol": desk.symbol, "side": "buy"}
    body |= {"order_type": "limit", "quantity": "5", "limit_price": "8.00"}
    first = oms.rest.post("/orders", params={"wait": "accepted"}, json=body)
    again = oms.rest.post("/orders", params={"wait": "accepted"}, json=body)
    assert first.json()["order_id"] == again.json()["order_id"]
    eventually(lambda: [p["reserved"] for p in oms.get("/positions", account=desk.buyer)["items"]] == ["40"])
    other = oms.rest.post("/orders", params={"wait": "accepted"}, json={**body, "quantity": "6"})
    assert other.status_code == 422
    assert "ACCOUNTS_DUPLICATE_ORDER" in other.text
    assert oms.rest.get(f"{oms.gateway}/api/orders", follow_redirects=True).is_success
    assert_verified(oms)


def test_kill_9_of_every_process_loses_and_doubles_nothing(oms: System, desk: Desk) -> None:
    body = {
        "account": desk.buyer,
        "symbol": desk.symbol,
        "side": "buy",
        "order_type": "limit",
        "quantity": "1",
    }
    for number, name in enumerate(("worker", "storage", "cache", "gateway")):
        for price in ("1.00", "2.00"):
            entered = {
                **body,
                "order_type": "limit",
                "limit_price": price,
                "client_order_id": f"{number}-{price}",
            }
            enter(oms, entered)
        oms.children[name].kill()
        oms.start(name, name)
    eventually(lambda: len(oms.get("/orders", account=desk.buyer, status="new")["items"]) == 8)
    oms.rest.delete("/orders", params={"account": desk.buyer})
    eventually(lambda: len(oms.get("/orders", account=desk.buyer, status="canceled")["items"]) == 8)
    assert_verified(oms)


def enter(oms: System, order: dict[str, str]) -> None:
    """Sends an order as a careful client does: refused while nobody answers, it comes again when told to."""
    end_s = time.monotonic() + 60
    while (answer := oms.rest.post("/orders", json=order)).status_code == 503:
        assert answer.json()["code"] == "OVERLOADED"
        assert time.monotonic() < end_s, answer.text
        time.sleep(float(answer.headers["Retry-After"]))
    assert answer.status_code == 202, answer.text


def assert_verified(oms: System) -> None:
    """Invariants hold over the topics, and PostgreSQL holds the same."""
    oms.cli("verify", "--storage")
