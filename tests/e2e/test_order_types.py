"""Every order type by REST and Kafka, through every process to events, storage and book, over a kill -9."""

import json
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from app.local.postgres import LocalPostgres
from app.settings import Settings
from tests.conftest import run
from tests.e2e.system import System, eventually, system

SYMBOL, MAKER, TAKER, SWING = "TYPES", "MAKER", "TAKER", "SWING"
HOUR_US = 3_600_000_000

Json = dict[str, Any]
NUMBERS = (
    *("quantity", "limit_price", "stop_price", "trail_amount", "trail_percent", "peg_offset"),
    *("display_quantity", "min_quantity"),
)

# Orders that wait: what each has beside symbol and client_order_id. All are entered with bid 9.90, ask 10.10.
WAITING: dict[str, Json] = {
    "iceberg": {"side": "sell", "quantity": "100", "limit_price": "10.00", "display_quantity": "10"},
    "hidden": {"side": "sell", "quantity": "10", "limit_price": "10.01", "hidden": True},
    "post-only": {"side": "buy", "quantity": "5", "limit_price": "9.00", "post_only": True},
    "stop": {"side": "buy", "quantity": "5", "order_type": "stop", "stop_price": "10.05"},
    "stop-limit": {
        "side": "sell",
        "quantity": "5",
        "order_type": "stop_limit",
        "stop_price": "5.00",
        "limit_price": "4.90",
    },
    "trailing": {"side": "sell", "quantity": "5", "order_type": "trailing_stop", "trail_amount": "3"},
    "trailing-percent": {
        "side": "sell",
        "quantity": "5",
        "order_type": "trailing_stop",
        "trail_percent": "50",
        "stop_price": "2",
    },
    "touched": {"side": "buy", "quantity": "5", "order_type": "market_if_touched", "stop_price": "5.00"},
    "pegged": {
        "side": "buy",
        "quantity": "5",
        "order_type": "pegged",
        "peg": "bid",
        "peg_offset": "-0.05",
        "limit_price": "9.95",
    },
    "all-or-none": {"side": "buy", "quantity": "1000", "limit_price": "9.50", "all_or_none": True},
    "minimum": {"side": "buy", "quantity": "900", "limit_price": "9.40", "min_quantity": "800"},
    "gtd": {"side": "buy", "quantity": "5", "limit_price": "8.00", "time_in_force": "gtd"},
    "at-close": {"side": "buy", "quantity": "5", "limit_price": "8.00", "time_in_force": "at_close"},
    "auction": {"side": "buy", "quantity": "5", "limit_price": "8.00", "time_in_force": "auction"},
    "crossing": {"side": "buy", "quantity": "5", "limit_price": "8.00", "time_in_force": "crossing"},
    "oco-1": {"side": "buy", "quantity": "5", "limit_price": "7.00", "link": {"type": "oco", "id": "O"}},
    "oco-2": {"side": "buy", "quantity": "5", "limit_price": "6.00", "link": {"type": "oco", "id": "O"}},
    "oto-1": {"side": "buy", "quantity": "5", "limit_price": "7.00", "link": {"type": "oto", "id": "T"}},
    "oto-2": {"side": "sell", "quantity": "5", "limit_price": "20.00", "link": {"type": "oto", "id": "T"}},
    "bracket-1": {
        "side": "buy",
        "quantity": "5",
        "limit_price": "7.00",
        "link": {"type": "bracket", "id": "B"},
    },
    "bracket-2": {
        "side": "sell",
        "quantity": "5",
        "limit_price": "20.00",
        "link": {"type": "bracket", "id": "B"},
    },
    "bracket-3": {
        "side": "sell",
        "quantity": "5",
        "order_type": "stop",
        "stop_price": "3.00",
        "link": {"type": "bracket", "id": "B"},
    },
    "reduce-only": {"side": "sell", "quantity": "5", "limit_price": "30.00", "reduce_only": True},
    "prevented": {"side": "sell", "quantity": "5", "limit_price": "30.00", "stp": "cancel_newest"},
}
# The others come by Kafka, as lines of a file.
BY_KAFKA = (
    "hidden",
    "trailing-percent",
    "minimum",
    "auction",
    "oco-2",
    "bracket-3",
    "prevented",
    "stop-limit",
)


@pytest.fixture(scope="module")
def oms(
    kafka: str, registry_url: str, postgres_server: LocalPostgres, redis_url: str, home: Path
) -> Iterator[System]:
    """The running system with an instrument and two funded accounts."""
    settings = Settings(
        data_dir=home,
        kafka=kafka,
        registry=registry_url,
        postgres=run(postgres_server.create("e2e_types")),
        redis=f"{redis_url.removesuffix('/0')}/14",
        topic_prefix="e2e-types",
        app_id="e2e-types-app",
    )
    with system(settings) as started:
        instrument = {
            "symbol": SYMBOL,
            "currency": "USD",
            "ticks": [{"from_price": "0", "tick_size": "0.01"}],
            "lot_size": "1",
            "band_bps": 0,
        }
        assert started.rest.post("/instruments", json=instrument).status_code == 201
        for account in (MAKER, TAKER):
            assert started.rest.post("/accounts", json={"account": account}).is_success
            cash = {"currency": "USD", "amount": "100000"}
            assert started.rest.post(f"/accounts/{account}/cash", json=cash).is_success
            holding = {"symbol": SYMBOL, "quantity": "1000"}
            assert started.rest.post(f"/accounts/{account}/holdings", json=holding).is_success
        quote(started, "9.90", "10.10")
        yield started


def asked(oms: System, method: str, path: str, **request: Any) -> Any:
    """The answer of the gateway; sent again, as it says, while the machine has no room for it."""
    while True:
        answer = oms.rest.request(method, path, **request)
        if answer.status_code != 503:
            return answer
        time.sleep(float(answer.headers.get("Retry-After", 1)))


def quote(oms: System, bid: str, ask: str) -> None:
    """Sends a quote."""
    assert asked(oms, "POST", "/quotes", json={"symbol": SYMBOL, "bid": bid, "ask": ask}).status_code == 202


def body(name: str, account: str = MAKER, **fields: Any) -> Json:
    """An order as REST and files take it."""
    fields = {"order_type": "limit", "time_in_force": "gtc", **fields}
    if name == "gtd":
        fields["expire_at_us"] = 4_000_000_000 * 1_000_000
    return {"account": account, "client_order_id": name, "symbol": SYMBOL, **fields}


def enter(oms: System, order: Json, wait: str = "accepted") -> Json:
    """The order as REST says it is; it must not be refused."""
    answer = asked(oms, "POST", "/orders", params={"wait": wait, "timeout_ms": 20_000}, json=order)
    assert answer.status_code in (200, 201), (order, answer.text)
    entered: Json = answer.json()
    return entered


def refused(oms: System, order: Json) -> str:
    """The code of the problem that an order gets."""
    answer = asked(oms, "POST", "/orders", params={"wait": "accepted", "timeout_ms": 20_000}, json=order)
    assert answer.status_code == 422, answer.text
    return str(answer.json()["code"])


def live(oms: System) -> dict[str, Json]:
    """Live orders of the maker in PostgreSQL, by client_order_id, without when they were touched last."""
    items = oms.get("/orders", account=MAKER, status="live", limit=200)["items"]
    return {o["client_order_id"]: {k: v for k, v in o.items() if k != "updated_at"} for o in items}


def carries(order: Json, fields: Json) -> bool:
    """Whether an order is shown with what it was entered with."""
    told = {name: "reject" if name == "post_only" else value for name, value in fields.items()}
    if "link" in told:
        order = {**order, "link": {name: order["link"][name] for name in ("type", "id")}}
    return all(
        Decimal(order[name]) == Decimal(value) if name in NUMBERS else order[name] == value
        for name, value in told.items()
    )


def events(oms: System, order: Json) -> list[str]:
    """What happened to an order, as PostgreSQL has it."""
    return [event["event"] for event in oms.get(f"/orders/{order['order_id']}/events")["items"]]


def control(oms: System, action: str, **fields: Any) -> None:
    """A control of the instrument that must be applied."""
    answer = asked(oms, "POST", f"/instruments/{SYMBOL}/{action}", json=fields)
    assert answer.status_code == 200, answer.text


def test_every_order_type_over_a_kill_9(oms: System, tmp_path: Path) -> None:
    eventually(lambda: enter_waiting(oms, tmp_path))
    before = eventually(lambda: orders if (orders := live(oms)).keys() == WAITING.keys() else None)
    for name, fields in WAITING.items():
        assert carries(before[name], fields), (name, before[name])
    shown = [["10", "10", 1]]
    assert oms.get(f"/books/{SYMBOL}")["asks"][:1] == shown, "ten of the iceberg, nothing of the hidden"

    oms.children["worker"].kill()
    oms.start("worker", "worker")

    for name, fields in WAITING.items():
        again = enter(oms, body(name, **fields))
        assert {k: v for k, v in again.items() if k in before[name] and k != "entered_at"} == {
            k: v for k, v in before[name].items() if k != "entered_at"
        }
    trade_and_trigger(oms, before)
    replace_and_auction(oms, before)
    prevent_and_refuse(oms)
    buy_and_sell_from_cash(oms)
    cancel_by_side_and_by_silence(oms)
    oms.cli("verify", "--storage")


def enter_waiting(oms: System, tmp_path: Path) -> bool:
    """Enters every waiting order, once the reference price of the first quote is known."""
    probe = body("probe", TAKER, side="sell", quantity="1", order_type="trailing_stop", trail_amount="9")
    answer = asked(
        oms, "POST", "/orders", params={"wait": "accepted"}, json={**probe, "client_order_id": None}
    )
    if answer.status_code == 422:
        assert answer.json()["code"] == "ACCOUNTS_NO_REFERENCE_PRICE"
        return False
    lines = [json.dumps({"type": "new_order", **body(name, **WAITING[name])}) for name in BY_KAFKA]
    for name, fields in WAITING.items():
        if name not in BY_KAFKA:
            enter(oms, body(name, **fields))
    # A bracket's third comes after its first.
    (tmp_path / "orders.jsonl").write_text("\n".join(lines))
    oms.cli("submit", str(tmp_path / "orders.jsonl"), "--wait", "accepted")
    return True


def trade_and_trigger(oms: System, before: dict[str, Json]) -> None:
    """A market-to-limit order takes the iceberg and the hidden one; what follows from its trades."""
    first = enter(
        oms, body("mtl", TAKER, side="buy", quantity="105", order_type="market_to_limit"), "accepted"
    )
    assert first["order_type"] == "market_to_limit"
    eventually(lambda: oms.get(f"/orders/{first['order_id']}")["cum_quantity"] == "100")
    assert oms.get(f"/orders/{first['order_id']}")["leaves_quantity"] == "5", "its limit is the best price"
    quote(oms, "9.90", "10.06")
    stop = before["stop"]
    eventually(lambda: "triggered" in events(oms, stop))
    eventually(lambda: oms.get(f"/orders/{stop['order_id']}")["status"] in ("filled", "canceled"))
    quote(oms, "4.00", "10.10")
    eventually(lambda: "triggered" in events(oms, before["stop-limit"]))
    eventually(lambda: "triggered" in events(oms, before["trailing"]))
    quote(oms, "9.90", "10.10")


def replace_and_auction(oms: System, before: dict[str, Json]) -> None:
    """Fields of other types are replaced; an auction trades at one price."""

    def patch(name: str, **fields: Any) -> Json:
        path = f"/orders/by-client-id/{MAKER}/{name}"
        answer = asked(oms, "PATCH", path, params={"wait": "accepted", "timeout_ms": 20_000}, json=fields)
        assert answer.status_code == 200, answer.text
        patched: Json = answer.json()
        return patched

    assert patch("touched", stop_price="6.00")["stop_price"] == "6"
    assert patch("gtd", time_in_force="gtc")["time_in_force"] == "gtc"
    eventually(lambda: "expire_at_us" not in live(oms)["gtd"])
    assert patch("oco-1", quantity="6", limit_price="7.01")["quantity"] == "6"
    control(oms, "session", session="opening_auction")
    eventually(lambda: oms.get(f"/orders/{before['crossing']['order_id']}")["status"] == "expired")
    buy = enter(
        oms, body("open-buy", TAKER, side="buy", quantity="12", limit_price="11", time_in_force="at_open")
    )
    sell = enter(
        oms, body("open-sell", side="sell", quantity="7", limit_price="10.50", time_in_force="at_open")
    )
    control(oms, "uncross")
    control(oms, "session", session="continuous")
    for order in (buy, sell):
        eventually(lambda order=order: oms.get(f"/orders/{order['order_id']}")["status"] == "filled")


def prevent_and_refuse(oms: System) -> None:
    """Self-trade prevention, post-only, trading band and instructions that do not go together."""
    own = body("own", side="buy", quantity="1", limit_price="30", stp="cancel_oldest", time_in_force="ioc")
    asked(oms, "POST", "/orders", params={"wait": "terminal", "timeout_ms": 20_000}, json=own)
    eventually(lambda: not live(oms).keys() & {"reduce-only", "prevented"})
    control(oms, "trading-band", low="1", high="15")
    assert (
        refused(oms, body("far", TAKER, side="buy", quantity="1", limit_price="16")) == "MATCHING_PRICE_BAND"
    )
    control(oms, "trading-band", low="0", high="0")
    enter(oms, body("best", TAKER, side="sell", quantity="1", limit_price="12"))
    taking = body("taking", side="buy", quantity="1", limit_price="12", post_only=True)
    assert refused(oms, taking) == "MATCHING_POST_ONLY"
    both = body("both", side="buy", quantity="1", limit_price="12", hidden=True, display_quantity="1")
    assert refused(oms, both) == "ACCOUNTS_INVALID_INSTRUCTION"
    more = body("more", side="sell", quantity="100000", limit_price="50", reduce_only=True)
    assert refused(oms, more) == "ACCOUNTS_REDUCE_ONLY"


def buy_and_sell_from_cash(oms: System) -> None:
    """A bracket of an account that has nothing to sell: its exits hold what its entry buys."""
    assert asked(oms, "POST", "/accounts", json={"account": SWING}).is_success
    cash = {"currency": "USD", "amount": "1000"}
    assert asked(oms, "POST", f"/accounts/{SWING}/cash", json=cash).is_success
    link = {"link": {"type": "bracket", "id": "swing"}}
    entry = enter(oms, body("in", SWING, side="buy", quantity="5", limit_price="11", **link))
    up = enter(oms, body("up", SWING, side="sell", quantity="5", limit_price="13", **link))
    assert up["link"] == {"type": "bracket", "id": "swing", "parent": entry["order_id"]}
    stop = {"order_type": "stop", "stop_price": "1"}
    down = enter(oms, body("down", SWING, side="sell", quantity="5", **stop, **link))
    enter(oms, body("part", TAKER, side="sell", quantity="2", limit_price="11", time_in_force="ioc"))
    eventually(lambda: held_by_swing(oms) == ("2", "2"))
    other = body("other", SWING, side="sell", quantity="1", limit_price="13")
    assert refused(oms, other) == "ACCOUNTS_INSUFFICIENT_HOLDING"
    enter(oms, body("rest", TAKER, side="sell", quantity="3", limit_price="11", time_in_force="ioc"))
    eventually(lambda: held_by_swing(oms) == ("5", "5"))
    enter(oms, body("takes", TAKER, side="buy", quantity="6", limit_price="13", time_in_force="ioc"))
    eventually(lambda: held_by_swing(oms) == ("0", "0"))
    eventually(lambda: oms.get(f"/orders/{up['order_id']}")["status"] == "filled")
    eventually(lambda: oms.get(f"/orders/{down['order_id']}")["reason"] == "MATCHING_LINKED")


def held_by_swing(oms: System) -> tuple[str, str]:
    """Total and reserved of what it has of the instrument."""
    found = [p for p in oms.get("/positions", account=SWING)["items"] if p["asset"] == SYMBOL]
    return (found[0]["total"], found[0]["reserved"]) if found else ("0", "0")


def cancel_by_side_and_by_silence(oms: System) -> None:
    """A mass cancel of one side; then the dead-man switch, with nothing else going on in the lane."""
    assert asked(oms, "DELETE", "/orders", params={"account": MAKER, "side": "sell"}).status_code == 202
    eventually(lambda: {order["side"] for order in live(oms).values()} == {"buy"})
    waits = {"wait": "accepted", "timeout_ms": 20_000}
    for account in (MAKER, TAKER):
        switch = {"account": account, "timeout_ms": 1500}
        report = asked(oms, "POST", "/orders/cancel-all-after", params=waits, json=switch)
        assert report.status_code == 200, report.text
    eventually(lambda: not live(oms))
    canceled = oms.get("/orders", account=MAKER, status="canceled", limit=200)["items"]
    assert "MATCHING_CANCEL_ALL_AFTER" in {order["reason"] for order in canceled}
    eventually(
        lambda: (
            {p["reserved"] for a in (MAKER, TAKER) for p in oms.get("/positions", account=a)["items"]}
            == {"0"}
        )
    )
