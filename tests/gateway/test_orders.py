"""Entering, changing and looking up orders."""

import json
from collections.abc import Callable

import httpx
import pytest

from app.resources import rfc3339
from schemas.ids import order_id
from tests.gateway.conftest import Start, client_of, order, until
from tests.gateway.worker import ScriptedWorker

JSON = {"Content-Type": "application/json"}


def test_an_order_is_answered_once_kafka_has_it(alice: httpx.Client, worker: ScriptedWorker) -> None:
    answer = alice.post("/orders", json=order("mute-1"))
    assert answer.status_code == 202
    entered = answer.json()
    assert entered["status"] == "pending_new"
    assert (entered["quantity"], entered["limit_price"]) == ("10", "187.12")
    assert answer.headers["location"] == f"/api/v1/orders/{entered['order_id']}"
    assert alice.get(f"/orders/{entered['order_id']}").json() == entered
    assert alice.get("/orders/by-client-id/A1/mute-1").json() == entered


def test_the_request_says_who_entered_it_and_by_which_door(
    alice: httpx.Client, worker: ScriptedWorker
) -> None:
    entered = alice.post("/orders", json=order("who-1"), params={"wait": "accepted"}).json()
    request = worker.last("NewOrder")
    assert (request["entered_by"], request["door"]) == ("alice", "rest")
    assert entered["order_id"] == order_id("A1", "who-1", request["entered_us"])
    assert entered["updated_at"] == rfc3339(request["entered_us"])


def test_waiting_for_accepted_answers_201_with_the_state_reached(alice: httpx.Client) -> None:
    answer = alice.post("/orders", json=order("rest-1"), params={"wait": "accepted"})
    assert answer.status_code == 201
    assert (answer.json()["status"], answer.json()["version"]) == ("new", 1)


def test_waiting_for_terminal_answers_with_the_fill(alice: httpx.Client) -> None:
    answer = alice.post("/orders", json=order("fill-1"), params={"wait": "terminal"})
    assert answer.status_code == 201
    filled = answer.json()
    assert (filled["status"], filled["cum_quantity"], filled["leaves_quantity"]) == ("filled", "10", "0")
    assert filled["average_price"] == "187.12"


def test_a_wait_that_is_over_answers_202_with_what_is_known(alice: httpx.Client) -> None:
    resting = alice.post("/orders", json=order("rest-2"), params={"wait": "terminal", "timeout_ms": 300})
    assert (resting.status_code, resting.json()["status"]) == (202, "new")
    silent = alice.post("/orders", json=order("mute-2"), params={"wait": "accepted", "timeout_ms": 100})
    assert (silent.status_code, silent.json()["status"]) == (202, "pending_new")


def test_a_refused_order_is_a_problem_with_the_reason_as_code(alice: httpx.Client) -> None:
    answer = alice.post("/orders", json=order("reject-1"), params={"wait": "accepted"})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["code"] == "ACCOUNTS_INSUFFICIENT_CASH"
    assert problem["detail"] == "free=1 asked=2"
    assert problem["next"].startswith("Deposit")
    assert problem["order"]["status"] == "rejected"


def test_a_refusal_that_no_sink_has_by_order_id_can_still_be_looked_up(admin: httpx.Client) -> None:
    entered = admin.post("/orders", json=order("early-1", account="NOBODY")).json()
    assert until(lambda: admin.get(f"/orders/{entered['order_id']}").json()["status"] == "rejected")
    refused = admin.get("/orders/by-client-id/NOBODY/early-1").json()
    assert (refused["order_id"], refused["reason"]) == (entered["order_id"], "ACCOUNTS_UNKNOWN_ACCOUNT")


def test_the_same_post_again_is_the_same_order(alice: httpx.Client) -> None:
    first = alice.post("/orders", json=order("twice-1"), params={"wait": "accepted"})
    again = alice.post("/orders", json=order("twice-1"), params={"wait": "accepted"})
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["order_id"] == again.json()["order_id"]


def test_a_client_order_id_is_made_when_none_is_sent(alice: httpx.Client) -> None:
    body = order("") | {"client_order_id": None}
    first, second = (alice.post("/orders", json=body).json() for _ in range(2))
    assert first["client_order_id"] != second["client_order_id"]
    assert len(first["client_order_id"]) == 32


def test_cancel_answers_with_the_canceled_order(alice: httpx.Client) -> None:
    entered = alice.post("/orders", json=order("cancel-1"), params={"wait": "accepted"}).json()
    answer = alice.delete(f"/orders/{entered['order_id']}", params={"wait": "accepted"})
    assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
    assert alice.get(f"/orders/{entered['order_id']}").json()["status"] == "canceled"
    late = alice.delete(f"/orders/{entered['order_id']}", params={"wait": "accepted"})
    assert (late.status_code, late.json()["code"]) == (422, "ACCOUNTS_TOO_LATE")


def test_an_order_just_entered_can_be_canceled_by_either_id(alice: httpx.Client) -> None:
    entered = alice.post("/orders", json=order("cancel-2")).json()
    assert alice.delete(f"/orders/{entered['order_id']}").status_code == 202
    alice.post("/orders", json=order("cancel/3"))
    answer = alice.delete("/orders/by-client-id/A1/cancel/3", params={"wait": "accepted"})
    assert (answer.status_code, answer.json()["status"]) == (200, "canceled")


def test_cancel_of_an_order_unknown_to_the_pipeline_is_refused_by_it(alice: httpx.Client) -> None:
    answer = alice.delete("/orders/by-client-id/A1/nobody", params={"wait": "accepted"})
    assert (answer.status_code, answer.json()["code"]) == (422, "ACCOUNTS_UNKNOWN_ORDER")
    assert alice.delete("/orders/NOSUCHORDER").json()["code"] == "UNKNOWN_ORDER"


def test_replace_changes_quantity_and_price(alice: httpx.Client) -> None:
    entered = alice.post("/orders", json=order("replace-1"), params={"wait": "accepted"}).json()
    body = {"quantity": 5, "limitPrice": 187.1}
    answer = alice.patch(f"/orders/{entered['order_id']}", json=body, params={"wait": "accepted"})
    replaced = answer.json()
    assert (answer.status_code, replaced["quantity"], replaced["limit_price"]) == (200, "5", "187.1")
    assert replaced["version"] == 2


def test_mass_cancel_answers_with_its_report(alice: httpx.Client, worker: ScriptedWorker) -> None:
    query = {"account": "A1", "symbol": "AAPL", "side": "buy", "wait": "accepted"}
    answer = alice.delete("/orders", params=query)
    assert answer.status_code == 200
    assert answer.json()["orders"] >= 0
    assert worker.last("MassCancel")["side"] == "buy"


def test_a_misspelt_filter_of_a_mass_cancel_is_refused(alice: httpx.Client) -> None:
    answer = alice.delete("/orders", params={"account": "A1", "symbl": "AAPL"})
    assert answer.status_code == 400
    assert answer.json()["errors"] == [{"field": "symbl", "message": "is no field of this request"}]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"quantity": "1.123456789"}, "quantity"),
        ({"quantity": "ten"}, "quantity"),
        ({"quantity": True}, "quantity"),
        ({"limit_price": "1e999"}, "limit_price"),
        ({"side": "both"}, "side"),
        ({"account": 5}, "account"),
        ({"account": ""}, "account"),
        ({"account": "\ud800"}, "account"),
        ({"client_order_id": "x" * 65}, "client_order_id"),
        ({"client_order_id": "tab\t"}, "client_order_id"),
        ({"stop_price": "one"}, "stop_price"),
        ({"stop_prise": "1"}, "stop_prise"),
        ({"display_quantity": True}, "display_quantity"),
        ({"post_only": "sometimes"}, "post_only"),
        ({"peg": "last"}, "peg"),
        ({"limitPrice": "2"}, "limitPrice"),
        ({"time_in_force": "opg"}, "time_in_force"),
    ],
)
def test_a_wrong_field_is_named(alice: httpx.Client, change: dict[str, object], field: str) -> None:
    answer = alice.post("/orders", content=json.dumps(order("shape") | change), headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["code"] == "INVALID_FIELD"
    assert answer.json()["errors"][0]["field"] == field


@pytest.mark.parametrize(
    "body",
    [b"{", b"[1]", b"", b"\xff", b'{"quantity": NaN}', b'{"side": "buy", "side": "sell"}', b"[" * 20_000],
)
def test_what_is_no_json_object_is_refused(alice: httpx.Client, body: bytes) -> None:
    answer = alice.post("/orders", content=body, headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["code"] in {"INVALID_JSON", "INVALID_FIELD"}


def test_a_json_number_is_taken_digit_by_digit(alice: httpx.Client) -> None:
    text = '{"account":"A1","symbol":"AAPL","side":"BUY","quantity":0.1,"price":90071992.54740993}'
    answer = alice.post("/orders", content=text, headers=JSON)
    assert answer.json()["limit_price"] == "90071992.54740993"


def test_a_huge_body_is_refused(alice: httpx.Client) -> None:
    answer = alice.post("/orders", json=order("huge", symbol="x" * 70_000))
    assert (answer.status_code, answer.json()["code"]) == (413, "TOO_LARGE")


def test_without_a_broker_nothing_is_claimed_to_be_done(start_gateway: Start) -> None:
    url = start_gateway("gateway-away", ready=False, KAFKA="127.0.0.1:9")
    with client_of(url, "admin-key-of-the-tests") as client:
        _until_alive(url)
        answer = client.post("/orders", json=order("away-1"))
        assert (answer.status_code, answer.json()["code"]) == (503, "NOT_READY")
        assert httpx.get(f"{url}/livez").status_code == 200
        ready = httpx.get(f"{url}/readyz")
        assert (ready.status_code, ready.json()["kafka"]) == (503, False)


def _until_alive(url: str) -> None:
    for _ in range(200):
        try:
            httpx.get(f"{url}/livez")
        except httpx.TransportError:
            continue
        return


def test_a_key_reaches_only_the_orders_of_its_accounts(
    gateway: str, alice: httpx.Client, key_of: Callable[[str, str, list[str]], str]
) -> None:
    entered = alice.post("/orders", json=order("scope-1"), params={"wait": "accepted"}).json()
    with client_of(gateway, key_of("bob", "trader", ["B1"])) as bob:
        assert bob.post("/orders", json=order("scope-2")).json()["code"] == "FORBIDDEN_ACCOUNT"
        assert bob.get(f"/orders/{entered['order_id']}").json()["code"] == "UNKNOWN_ORDER"
        assert bob.delete(f"/orders/{entered['order_id']}").json()["code"] == "UNKNOWN_ORDER"
        assert bob.get("/orders/by-client-id/A1/scope-1").json()["code"] == "FORBIDDEN_ACCOUNT"
        assert bob.delete("/orders", params={"account": "A1"}).json()["code"] == "FORBIDDEN_ACCOUNT"
        assert bob.get("/orders", params={"account": "A1"}).json()["code"] == "FORBIDDEN_ACCOUNT"
