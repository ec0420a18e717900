"""API keys: who may do what, how often, and what happens when they cannot be checked."""

from collections.abc import Callable

import httpx
import psycopg

from app.gateway.auth import hash_of
from app.settings import Settings
from tests.gateway.conftest import ADMIN_KEY, Start, client_of, order

MakeKey = Callable[[str, str, list[str]], str]


def test_without_a_valid_key_nothing_is_told(gateway: str) -> None:
    for headers in ({}, {"X-API-Key": "wrong"}, {"Authorization": "Basic abc"}):
        answer = httpx.get(f"{gateway}/api/v1/orders", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHORIZED")
        assert answer.headers["www-authenticate"] == "Bearer"


def test_a_key_is_taken_as_bearer_too(gateway: str, alice_key: str) -> None:
    answer = httpx.get(f"{gateway}/api/v1/orders", headers={"Authorization": f"Bearer {alice_key}"})
    assert answer.status_code == 200


def test_only_the_hash_of_a_key_is_stored(gateway_settings: Settings, alice_key: str) -> None:
    with psycopg.connect(gateway_settings.postgres) as connection:
        rows = connection.execute("SELECT key_hash FROM api_keys WHERE name = 'alice'").fetchall()
    assert rows == [(hash_of(alice_key),)]
    assert alice_key not in rows[0][0]


def test_a_read_only_key_may_not_trade(gateway: str, key_of: MakeKey) -> None:
    with client_of(gateway, key_of("rita", "read_only", ["A1"])) as rita:
        assert rita.get("/orders").status_code == 200
        for answer in (rita.post("/orders", json=order("ro-1")), rita.delete("/orders?account=A1")):
            assert (answer.status_code, answer.json()["code"]) == (403, "FORBIDDEN")


def test_a_trader_may_not_administer(alice: httpx.Client) -> None:
    for path in ("/accounts", "/keys", "/quotes", "/instruments"):
        answer = alice.post(path, json={})
        assert answer.status_code in {400, 403}
        assert answer.json()["code"] in {"FORBIDDEN", "INVALID_FIELD"}
    assert alice.get("/keys").json()["code"] == "FORBIDDEN"
    assert alice.post("/end-of-day").json()["code"] == "FORBIDDEN"


def test_a_revoked_key_is_refused(gateway: str, admin: httpx.Client, key_of: MakeKey) -> None:
    key = key_of("eve", "trader", ["*"])
    with client_of(gateway, key) as eve:
        assert eve.get("/orders").status_code == 200
        assert admin.delete("/keys/eve").status_code == 204
        assert eve.get("/orders").json()["code"] == "UNAUTHORIZED"
    assert admin.delete("/keys/eve").json()["code"] == "UNKNOWN_KEY"


def test_names_of_keys_are_unique_because_the_audit_trail_shows_them(
    admin: httpx.Client, alice_key: str
) -> None:
    answer = admin.post("/keys", json={"name": "alice", "role": "trader", "accounts": ["A2"]})
    assert (answer.status_code, answer.json()["code"]) == (409, "NAME_TAKEN")


def test_too_many_requests_are_told_to_wait(start_gateway: Start, worker: object) -> None:
    url = start_gateway("gateway-limited", GATEWAY_REQUESTS_PER_S="3")
    with client_of(url, ADMIN_KEY) as client:
        answers = [client.get("/instruments") for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert answers[-1].json()["code"] == "RATE_LIMITED"
        assert answers[-1].headers["retry-after"] == "1"


def test_without_postgres_unknown_keys_cannot_be_checked_but_the_admin_key_works(
    start_gateway: Start, worker: object
) -> None:
    url = start_gateway("gateway-no-postgres", POSTGRES="postgresql://nobody@127.0.0.1:9/none")
    with client_of(url, "some-key") as stranger:
        assert stranger.get("/instruments").json()["code"] == "NOT_READY"
    with client_of(url, ADMIN_KEY) as admin:
        assert admin.get("/instruments").status_code == 200
        assert admin.get("/orders").json()["code"] == "NOT_READY"
        entered = admin.post("/orders", json=order("no-postgres"), params={"wait": "accepted"}).json()
        assert admin.get(f"/orders/{entered['order_id']}").json()["status"] == "new"
    assert httpx.get(f"{url}/readyz").json() == {
        "status": "ok",
        "kafka": True,
        "postgres": False,
        "redis": True,
    }
