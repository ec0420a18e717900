"""What the gateway says when Kafka does not confirm."""

import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from tests.gateway.conftest import ADMIN_KEY, Start, client_of, order


@contextmanager
def frozen_kafka(home: Path) -> Iterator[None]:
    """The broker stands still, as on a machine that swaps or a network that is cut."""
    pid = json.loads((home / "run" / "kafka.json").read_text(encoding="utf-8"))["pid"]
    os.kill(pid, signal.SIGSTOP)
    try:
        while psutil.Process(pid).status() != psutil.STATUS_STOPPED:
            time.sleep(0.01)
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_an_unconfirmed_order_is_unknown_and_the_same_post_is_safe(
    start_gateway: Start, worker: object, home: Path
) -> None:
    url = start_gateway("gateway-outage", GATEWAY_CONFIRM_S="1")
    body = order("outage-1")
    with client_of(url, ADMIN_KEY) as client:
        assert client.post("/orders", json=order("outage-0"), params={"wait": "accepted"}).status_code == 201
        with frozen_kafka(home):
            answer = client.post("/orders", json=body)
            assert (answer.status_code, answer.json()["code"]) == (504, "OUTCOME_UNKNOWN")
            unknown = answer.json()
            assert unknown["lookup"] == f"/api/v1/orders/{unknown['order_id']}"
            assert unknown["client_order_id"] == "outage-1"
            assert _until_code(client, "NOT_READY") < 10
            assert httpx.get(f"{url}/readyz").status_code == 503
        _until_ready(url)
        answer = client.post("/orders", json=body, params={"wait": "accepted"})
        assert answer.status_code in {200, 201}
        assert answer.json()["order_id"] == unknown["order_id"]


def _until_code(client: httpx.Client, code: str) -> float:
    """Seconds until a POST is answered with the code."""
    began = time.monotonic()
    while client.post("/orders", json=order("outage-2")).json().get("code") != code:
        assert time.monotonic() - began < 30
    return time.monotonic() - began


def _until_ready(url: str) -> None:
    began = time.monotonic()
    while httpx.get(f"{url}/readyz").status_code != 200:
        assert time.monotonic() - began < 30
        time.sleep(0.1)
