"""Orders over the stream: the checks and answers of REST, by request_id."""

import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

from tests.gateway.conftest import ADMIN_KEY, Start, client_of, order
from tests.gateway.test_stream import heard, send, stream
from tests.gateway.worker import ScriptedWorker

MakeKey = Callable[[str, str, list[str]], str]


def until(condition: Callable[[], bool], limit_s: float = 30.0) -> None:
    """Returns once a condition is true; fails when it is not in time."""
    end_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end_s, "it never became true"
        time.sleep(0.05)


def ask(client: ClientConnection, request_id: str, **message: Any) -> dict[str, Any]:
    """The answer to one request."""
    send(client, request_id=request_id, **message)
    answer = heard(client)
    assert answer["request_id"] == request_id
    return answer


def problem(client: ClientConnection, request_id: str, **message: Any) -> dict[str, Any]:
    """The problem that answers one request."""
    answer = ask(client, request_id, **message)
    assert answer["type"] == "error", answer
    found: dict[str, Any] = answer["problem"]
    return found


def test_an_order_lives_and_ends_over_the_stream(
    gateway: str, alice_key: str, worker: ScriptedWorker
) -> None:
    with stream(gateway, alice_key) as client:
        entered = ask(client, "r1", new_order=order("ws-1"), wait="accepted")
        assert (entered["type"], entered["status"], entered["data"]["status"]) == ("answer", 201, "new")
        request = worker.last("NewOrder")
        assert (request["entered_by"], request["door"]) == ("alice", "ws")
        again = ask(client, "r2", new_order=order("ws-1"), wait="accepted")
        assert (again["status"], again["data"]["order_id"]) == (200, entered["data"]["order_id"])
        changes = {"account": "A1", "order": "ws-1", "quantity": 5, "limitPrice": 187.1}
        replaced = ask(client, "r3", replace=changes, wait="accepted")
        assert (replaced["status"], replaced["data"]["quantity"]) == (200, "5")
        assert replaced["data"]["limit_price"] == "187.1"
        canceled = ask(client, "r4", cancel={"order_id": entered["data"]["order_id"]}, wait="accepted")
        assert (canceled["status"], canceled["data"]["status"]) == (200, "canceled")


def test_without_a_wait_and_when_it_is_over_the_status_is_202(gateway: str, alice_key: str) -> None:
    with stream(gateway, alice_key) as client:
        assert ask(client, "r1", new_order=order("mute-ws-1"))["status"] == 202
        late = ask(client, "r2", new_order=order("mute-ws-2"), wait="accepted", timeout_ms=50)
        assert (late["status"], late["data"]["status"]) == (202, "pending_new")
        filled = ask(client, "r3", new_order=order("fill-ws-1"), wait="terminal")
        assert (filled["status"], filled["data"]["status"]) == (201, "filled")


def test_a_mass_cancel_is_answered_by_its_report(
    gateway: str, alice_key: str, worker: ScriptedWorker
) -> None:
    with stream(gateway, alice_key) as client:
        answer = ask(client, "r1", mass_cancel={"account": "A1", "side": "sell"}, wait="accepted")
        assert (answer["status"], answer["data"]["outcome"]) == (200, "applied")
        assert (worker.last("MassCancel")["side"], worker.last("MassCancel")["door"]) == ("sell", "ws")
        wrong = problem(client, "r2", mass_cancel={"account": "A1"}, wait="terminal")
        assert wrong["errors"][0]["field"] == "wait"


def test_a_dead_man_switch_is_set_over_the_stream(
    gateway: str, alice_key: str, worker: ScriptedWorker
) -> None:
    with stream(gateway, alice_key) as client:
        switch = {"account": "A1", "timeout_ms": 0}
        answer = ask(client, "r1", cancel_all_after=switch, wait="accepted")
        assert (answer["status"], answer["data"]["outcome"]) == (200, "applied")
        assert (worker.last("CancelAllAfter")["timeout_ms"], worker.last("CancelAllAfter")["door"]) == (
            0,
            "ws",
        )


def mass_cancels(worker: ScriptedWorker) -> list[tuple[str, str]]:
    """Account and door of every mass cancel in the log."""
    return [(r.message["account"], r.message["door"]) for r in list(worker.heard) if r.kind == "MassCancel"]


def test_orders_end_with_the_connection_where_that_was_asked_for(
    gateway: str, alice_key: str, worker: ScriptedWorker
) -> None:
    before = len(mass_cancels(worker))
    with stream(gateway, alice_key) as client:
        answer = ask(client, "r1", cancel_on_disconnect={"account": "A1"})
        assert (answer["status"], answer["data"]) == (200, {"account": "A1", "enabled": True})
        others = problem(client, "r2", cancel_on_disconnect={"account": "B1"})
        assert others["code"] == "FORBIDDEN_ACCOUNT"
    until(lambda: mass_cancels(worker)[before:] == [("A1", "ws")])
    with stream(gateway, alice_key) as client:
        ask(client, "r1", cancel_on_disconnect={"account": "A1"})
        ask(client, "r2", cancel_on_disconnect={"account": "A1", "enabled": False})
    with stream(gateway, alice_key) as client:
        ask(client, "r1", mass_cancel={"account": "A1", "symbol": "AAPL"}, wait="accepted")
    assert len(mass_cancels(worker)) == before + 2


def test_a_refusal_of_the_pipeline_has_its_reason_and_the_order(gateway: str, alice_key: str) -> None:
    with stream(gateway, alice_key) as client:
        refused = problem(client, "r1", new_order=order("reject-ws-1"), wait="accepted")
        assert (refused["code"], refused["status"]) == ("ACCOUNTS_INSUFFICIENT_CASH", 422)
        assert refused["order"]["client_order_id"] == "reject-ws-1"
        unknown = problem(client, "r2", cancel={"account": "A1", "order": "nobody"}, wait="accepted")
        assert unknown["code"] == "ACCOUNTS_UNKNOWN_ORDER"


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({"new_order": order("x", quantity="1.123456789")}, "new_order.quantity"),
        ({"new_order": order("x", stop="1")}, "new_order.stop"),
        ({"replace": {"order_id": "O", "quantity": True}}, "replace.quantity"),
        ({"cancel": {}}, "cancel"),
        ({"cancel": {"account": "A1"}}, "cancel"),
        ({"cancel": {"order_id": "O", "account": "A1", "order": "o"}}, "cancel"),
        ({"mass_cancel": {"account": "A1", "symbl": "AAPL"}}, "mass_cancel.symbl"),
        ({"new_order": order("x"), "cancel": {"order_id": "O"}}, "message"),
        ({}, "message"),
        ({"new_order": order("x"), "wait": "filled"}, "wait"),
        ({"new_order": order("x"), "timeout_ms": 60_000}, "timeout_ms"),
    ],
)
def test_a_wrong_field_is_named(gateway: str, alice_key: str, message: dict[str, Any], field: str) -> None:
    with stream(gateway, alice_key) as client:
        wrong = problem(client, "r1", **message)
        assert (wrong["code"], wrong["errors"][0]["field"]) == ("INVALID_FIELD", field)


def test_a_request_id_is_required_and_not_used_twice_at_once(gateway: str, alice_key: str) -> None:
    with stream(gateway, alice_key) as client:
        send(client, new_order=order("ws-2"))
        answer = heard(client)
        assert (answer["request_id"], answer["problem"]["errors"][0]["field"]) == (None, "request_id")
        send(client, request_id="r1", new_order=order("mute-ws-3"), wait="accepted", timeout_ms=2000)
        twice = problem(client, "r1", new_order=order("ws-3"))
        assert twice["errors"][0]["field"] == "request_id"
        assert heard(client)["status"] == 202


def test_a_key_may_do_over_the_stream_what_it_may_by_rest(
    gateway: str, key_of: MakeKey, alice: httpx.Client
) -> None:
    entered = alice.post("/orders", json=order("ws-scope"), params={"wait": "accepted"}).json()
    with stream(gateway, key_of("ws-bob", "trader", ["B1"])) as bob:
        assert problem(bob, "r1", new_order=order("ws-4"))["code"] == "FORBIDDEN_ACCOUNT"
        assert problem(bob, "r2", cancel={"order_id": entered["order_id"]})["code"] == "UNKNOWN_ORDER"
        by_client = {"account": "A1", "order": "ws-scope"}
        assert problem(bob, "r3", cancel=by_client)["code"] == "FORBIDDEN_ACCOUNT"
        assert problem(bob, "r4", replace=by_client | {"quantity": "1"})["code"] == "FORBIDDEN_ACCOUNT"
        assert problem(bob, "r5", mass_cancel={"account": "A1"})["code"] == "FORBIDDEN_ACCOUNT"
    with stream(gateway, key_of("ws-eve", "read_only", ["A1"])) as eve:
        assert problem(eve, "r1", new_order=order("ws-5"))["code"] == "FORBIDDEN"


def test_a_revoked_key_ends_the_connection_at_its_next_request(gateway: str, key_of: MakeKey) -> None:
    with stream(gateway, key_of("ws-gone", "trader", ["A1"])) as client:
        assert ask(client, "r1", new_order=order("ws-6"))["status"] == 202
        with client_of(gateway, ADMIN_KEY) as admin:
            assert admin.delete("/keys/ws-gone").status_code == 204
        send(client, request_id="r2", new_order=order("ws-7"))
        assert heard(client)["problem"]["code"] == "UNAUTHORIZED"
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=10)
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401


def test_requests_over_the_stream_count_with_those_by_rest(start_gateway: Start, worker: object) -> None:
    url = start_gateway("gateway-ws-limits", GATEWAY_REQUESTS_PER_S="2")
    with stream(url, ADMIN_KEY) as client:
        for number in range(6):
            send(client, request_id=str(number), new_order=order(f"ws-limit-{number}"))
        problems = [answer["problem"] for answer in (heard(client) for _ in range(6)) if "problem" in answer]
    assert problems
    assert {(found["code"], found["retry_after_s"]) for found in problems} == {("RATE_LIMITED", 1)}


def test_requests_reach_the_log_in_the_order_in_which_they_were_sent(
    gateway: str, alice_key: str, worker: ScriptedWorker
) -> None:
    names = [f"ws-row-{number:03d}" for number in range(300)]
    with stream(gateway, alice_key) as client:
        for name in names:
            send(client, request_id=name, new_order=order(name))
        assert {heard(client)["status"] for _ in names} == {202}
        assert ask(client, "last", new_order=order("ws-row-end"), wait="accepted")["status"] == 201
    sent = [read.message["client_order_id"] for read in worker.heard if read.kind == "NewOrder"]
    assert [name for name in sent if name.startswith("ws-row-0") or name in names] == names


def test_what_is_no_json_is_said_to_be(gateway: str, alice_key: str) -> None:
    with stream(gateway, alice_key) as client:
        client.send(json.dumps({"request_id": "r1"})[:-1] + ', "request_id": "r2"}')
        assert heard(client)["problem"]["code"] == "INVALID_JSON"
