"""A worker's clock may be wrong: nothing is told to have happened before its cause."""

from typing import Any

from app.settings import Settings
from tests.bench.workload import MID_E8, ONE
from tests.lanes.test_lanes import order
from tests.lanes.workers import read_all, set_up, until_answered, workers, write

AHEAD_S, BEHIND_S = 20, -20


async def test_time_goes_on_from_worker_to_worker_whatever_their_clocks_say(settings: Settings) -> None:
    async with workers(settings) as running:
        await set_up(settings)
        behind = await running.start(OMS_CLOCK_STEP=f"{BEHIND_S}@0")
        await write(settings, [order("first")])
        await until_answered(settings, 1)
        await behind.kill()
        ahead = await running.start(OMS_CLOCK_STEP=f"{AHEAD_S}@0")
        await write(settings, [order("second")])
        await until_answered(settings, 2)
        await ahead.kill()
        await running.start()
        taker = order("taker", "BENCH-002", side="sell", quantity=2 * ONE, limit_price=MID_E8 - ONE)
        await write(settings, [taker])
        await until_answered(settings, 3)
        told_all = [read.message for read in await read_all(settings, "events") if read.kind == "OrderEvent"]
        orders = {read.message["client_order_id"]: read for read in await read_all(settings, "orders")}

    def told(name: str, event: str) -> Any:
        return next(e["at_us"] for e in told_all if (e["client_order_id"], e["event"]) == (name, event))

    asked_us = orders["first"].timestamp_us
    assert told("first", "accepted") >= asked_us
    assert told("second", "accepted") > asked_us + (AHEAD_S - 5) * 1_000_000
    assert told("second", "trade") >= told("second", "accepted")
