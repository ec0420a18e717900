"""Past capacity: a real worker that is made slow, a gateway before it, and more than both can do."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from websockets.asyncio.client import connect

from app.local.own import metrics_of, oms
from app.local.ports import HOST, any_free
from app.local.program import Child
from app.settings import Settings
from schemas.partitioning import lane_of
from schemas.records import Said
from tests.bench.latency import percentile
from tests.bench.workload import ACCOUNTS, SYMBOLS
from tests.gateway.conftest import ADMIN_KEY, env_of
from tests.lanes.test_lanes import order as limit_order
from tests.lanes.workers import Worker, is_answer, read_all, set_up, workers, write

# A lane that takes ten records of a topic five times a second answers at most 50 orders a second.
SLOW = {"OMS_CYCLE_FLOOR_MS": "200", "OMS_CYCLE_RECORDS_MAX": "10", "OMS_LANE_BYTES_MAX": "65536"}
LIMITS = {"GATEWAY_LATENCY_TARGET_MS": "1000", "GATEWAY_IN_FLIGHT_MIN": "10", "GATEWAY_AGE_MAX_S": "2"}
FLOOD = 1600
OFFERED = 1500


@asynccontextmanager
async def gateway(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of a gateway of the test's own."""
    url = f"http://{HOST}:{(port := any_free())}"
    env = env_of(settings.model_copy(update={"admin_key": ADMIN_KEY}), port, **LIMITS)
    child = Child(oms("gateway-overload", ["gateway"], env, url), settings.data_dir)
    try:
        await child.until_ready(60)
        limits = httpx.Limits(max_connections=100)
        headers = {"X-API-Key": ADMIN_KEY}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=60, limits=limits) as client:
            yield client
    finally:
        await child.stop()


def body(number: int, name: str) -> dict[str, str]:
    """A resting order; account and symbol of one lane, each lane in turn."""
    lane = number % 4
    account = next(a for a in ACCOUNTS if lane_of(a, 4) == lane)
    limit = {"quantity": "1", "limit_price": "90", "time_in_force": "gtc"}
    return {
        "account": account,
        "client_order_id": f"{name}-{number}",
        "symbol": SYMBOLS[lane],
        "side": "buy",
        **limit,
    }


async def post(client: httpx.AsyncClient, number: int, name: str, **query: str) -> httpx.Response:
    return await client.post("/api/v1/orders", json=body(number, name), params=query)


async def offered(client: httpx.AsyncClient, name: str) -> dict[str, int]:
    """The status of each of many more orders than can be done, sent at once over the stream, by its id."""
    url = f"{str(client.base_url).replace('http', 'ws').rstrip('/')}/api/v1/stream"
    async with connect(url, additional_headers={"X-API-Key": ADMIN_KEY}, max_queue=None) as stream:

        async def send() -> None:
            for number in range(OFFERED):
                order = body(number, name)
                asked = {"request_id": order["client_order_id"], "new_order": order}
                await stream.send(json.dumps(asked))

        sending = asyncio.create_task(send())
        answers = [json.loads(await stream.recv()) for _ in range(OFFERED)]
        await sending
    return {
        answer["request_id"]: answer["status"] if "status" in answer else answer["problem"]["status"]
        for answer in answers
    }


async def refused(client: httpx.AsyncClient, name: str) -> httpx.Response:
    """The first answer by REST that the system has no room."""
    for number in range(OFFERED):
        answer = await post(client, number, name)
        if answer.status_code == 503:
            return answer
    raise AssertionError(f"none of {OFFERED} was refused for want of room")


async def until_quiet(client: httpx.AsyncClient) -> None:
    """Waits until the gateway has no unanswered request."""
    end_s = time.monotonic() + 60
    while (await metrics_of(str(client.base_url))).get("oms_gateway_in_flight") != 0:
        assert time.monotonic() < end_s
        await asyncio.sleep(0.2)


async def test_past_capacity_some_are_refused_and_the_others_keep_their_latency(settings: Settings) -> None:
    async with workers(settings) as running, gateway(settings) as client:
        await set_up(settings)
        worker = await running.start(**SLOW)
        await until_quiet(client)
        quiet = [await post(client, number, "quiet", wait="accepted") for number in range(12)]
        assert {answer.status_code for answer in quiet} == {201}

        overload = asyncio.create_task(offered(client, "busy"))
        answer = await refused(client, "rest")
        assert (answer.status_code, answer.json()["code"]) == (503, "OVERLOADED")
        assert int(answer.headers["Retry-After"]) == answer.json()["retry_after_s"] >= 1
        statuses = await overload
        counted = Counter(statuses.values())
        # A machine that is quick enough meets the client's own rate limit as well.
        assert {202, 503} <= set(counted) <= {202, 429, 503}, counted

        await until_quiet(client)
        assert (await post(client, 0, "after", wait="accepted")).status_code == 201
        taken = {name for name, status in statuses.items() if status == 202}
        found = await accepted(settings)
        assert {name for name in found if name.startswith("busy-")} == taken
        slow = percentile([found[name] for name in taken], 0.99)
        usual = percentile([found[each.json()["client_order_id"]] for each in quiet], 0.99)
        print(f"{counted}: p99 {slow:.3f} s under overload, {usual:.3f} s before")
        assert slow <= 5 * usual, f"p99 {slow:.2f} s under overload, {usual:.2f} s before"

        await flood(settings, client, worker)


async def flood(settings: Settings, client: httpx.AsyncClient, worker: Worker) -> None:
    """A Kafka producer that sends all at once gets lag and every answer; the lanes stay as small as ever."""
    await write(settings, [kafka_order(number) for number in range(FLOOD)])
    most, codes = 0.0, set()
    end_s = time.monotonic() + 90
    while sum(name.startswith("flood-") for name in await accepted(settings)) < FLOOD:
        assert time.monotonic() < end_s
        text = (await client.get(f"{worker.url}/metrics")).text
        waiting = [line for line in text.splitlines() if line.startswith("oms_lane_waiting_bytes{")]
        most = max([most, *(float(line.split()[1]) for line in waiting)])
        codes |= {(await post(client, 0, f"beside-{time.monotonic_ns()}")).status_code}
    assert (await metrics_of(worker.url))["oms_lane_pauses_total"] > 0
    # One fetch more than the bound may have been under way.
    assert 0 < most <= 65536 + 2**20
    assert 503 in codes
    await until_quiet(client)
    assert (await post(client, 1, "after", wait="accepted")).status_code == 201


def kafka_order(number: int) -> Said:
    """As `body`, of another producer."""
    made = body(number, "flood")
    return limit_order(made["client_order_id"], made["account"], symbol=made["symbol"])


async def accepted(settings: Settings) -> dict[str, float]:
    """Seconds from entry to acceptance by client_order_id; each accepted once."""
    found: dict[str, float] = {}
    for read in await read_all(settings, "events"):
        event: dict[str, Any] = read.message
        if read.kind == "OrderEvent" and is_answer(event):
            assert event["event"] == "accepted"
            assert event["client_order_id"] not in found
            found[event["client_order_id"]] = event["at_us"] / 1e6
    for read in await read_all(settings, "orders"):
        name = read.message["client_order_id"]
        if name in found:
            found[name] -= read.message["entered_us"] / 1e6
    return found
