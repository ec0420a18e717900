"""What operators do: accounts, cash, instruments, ends of day, quotes."""

import httpx
import pytest

from schemas.partitioning import lane_of
from tests.gateway.worker import ScriptedWorker

TICKS = [{"from_price": "0", "tick_size": "0.01"}]


def test_a_control_is_answered_with_its_report(admin: httpx.Client, worker: ScriptedWorker) -> None:
    answer = admin.post("/accounts", json={"account": "A9", "name": "Nine", "cancelOrders": True})
    assert answer.status_code == 200
    report = answer.json()
    assert (report["control"], report["account"], report["outcome"]) == ("SetAccount", "A9", "applied")
    control = worker.last("SetAccount")
    assert (control["status"], control["cancel_orders"], control["entered_by"]) == ("active", True, "admin")
    assert report["control_id"] == control["control_id"] != ""


def test_limits_cash_and_holdings_are_exact(admin: httpx.Client, worker: ScriptedWorker) -> None:
    limits = {"max_order_quantity": "1000", "max_order_notional": "0.00000001"}
    assert admin.put("/accounts/A9/limits", json=limits).status_code == 200
    assert worker.last("SetLimits")["max_order_notional"] == 1
    assert admin.post("/accounts/A9/cash", json={"currency": "USD", "amount": "100.5"}).status_code == 200
    assert worker.last("MoveCash")["amount"] == 10_050_000_000
    assert admin.post("/accounts/A9/holdings", json={"symbol": "AAPL", "quantity": 7}).status_code == 200
    assert worker.last("MoveHolding")["quantity"] == 700_000_000


def test_a_refused_control_is_a_problem_with_its_report(admin: httpx.Client) -> None:
    answer = admin.post("/accounts/A9/cash", json={"currency": "USD", "amount": "-5"})
    assert answer.status_code == 422
    assert answer.json()["code"] == "ACCOUNTS_INSUFFICIENT_CASH"
    assert answer.json()["report"]["outcome"] == "rejected"


def test_an_instrument_is_there_when_the_answer_says_so(admin: httpx.Client, worker: object) -> None:
    body = {
        "symbol": "NEW1",
        "currency": "USD",
        "ticks": [{"from_price": "0", "tick_size": "0.0001"}, {"fromPrice": "1", "tickSize": "0.01"}],
        "lot_size": "1",
        "lane": 2,
    }
    assert admin.post("/instruments", json=body).status_code == 201
    found = admin.get("/instruments/NEW1").json()
    assert found["ticks"][1] == {"from_price": "1", "tick_size": "0.01"}
    assert (found["lane"], found["multiplier"], found["status"]) == (2, "1", "active")
    assert "NEW1" in [item["symbol"] for item in admin.get("/instruments").json()["items"]]
    again = admin.post("/instruments", json={key: body[key] for key in body if key != "lane"})
    assert (again.status_code, again.json()["lane"]) == (200, 2)
    moved = admin.post("/instruments", json=body | {"lane": 3})
    assert (moved.status_code, moved.json()["code"]) == (409, "LANE_CHANGE")


@pytest.mark.parametrize(
    "change",
    [
        {"ticks": []},
        {"ticks": [{"from_price": "1", "tick_size": "0.01"}]},
        {"ticks": [{"from_price": "0", "tick_size": "0"}]},
        {"lot_size": "0"},
        {"symbol": "A|B"},
    ],
)
def test_an_instrument_without_a_tick_for_every_price_is_refused(
    admin: httpx.Client, change: dict[str, object]
) -> None:
    body = {
        "symbol": "NEW2",
        "currency": "USD",
        "ticks": [{"from_price": "0", "tick_size": "0.01"}],
        "lot_size": "1",
    }
    assert admin.post("/instruments", json=body | change).json()["code"] == "INVALID_FIELD"


def test_a_symbols_controls_go_to_the_lane_of_the_instrument(
    admin: httpx.Client, worker: ScriptedWorker
) -> None:
    lane = (lane_of("LANE1", 4) + 1) % 4
    body = {"symbol": "LANE1", "currency": "USD", "ticks": TICKS, "lot_size": "1", "lane": lane}
    assert admin.post("/instruments", json=body).status_code == 201
    for path, control in (
        ("state", {"state": "halted"}),
        ("band", {"band_bps": 500, "max_quote_age_ms": -1}),
        ("cancel-orders", None),
        ("expire-day", {"control_id": "eod-1"}),
    ):
        assert admin.post(f"/instruments/LANE1/{path}", json=control).status_code == 200
        assert worker.heard[-1].partition == lane
    assert worker.last("ExpireDay")["control_id"] == "eod-1"
    assert admin.post("/instruments/NOPE/state", json={"state": "open"}).json()["code"] == "UNKNOWN_SYMBOL"


def test_end_of_day_reports_every_symbol(admin: httpx.Client, symbol: str) -> None:
    items = admin.post("/end-of-day").json()["items"]
    assert {item["symbol"] for item in items} >= {symbol}
    assert {item["outcome"] for item in items} == {"applied"}


def test_a_quote_is_sent_as_given(admin: httpx.Client, worker: object) -> None:
    answer = admin.post("/quotes", json={"symbol": "AAPL", "bid": "187.10", "askSize": 3})
    assert answer.status_code == 202
    assert (answer.json()["bid"], answer.json()["ask_size"], answer.json()["ask"]) == ("187.1", "3", "0")
