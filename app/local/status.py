"""What is up: every endpoint, key, process and the workers' lag, as `oms status` shows them."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import psutil

from app.local import home, kafka, leftovers, postgres, redis
from app.local.own import Readyz, metrics_of
from app.settings import Settings

_CHECK_S = 5.0
_PARTS = ("kafka", "postgres", "redis", "registry", "gateway")


async def status(settings: Settings) -> dict[str, Any]:
    """All of it: `up`, `ready`, `endpoints`, keys, `processes` and `lag` (records by topic).

    Addresses are whole, passwords included: who shows them to a person masks them. A worker has `recovery`:
    rows, rows_total, rows_per_s and seconds_left of the one under way, or of the last.
    """
    folder = settings.data_dir.resolve()
    up = home.is_held(folder)
    state = home.read_state(folder)
    endpoints = _endpoints(settings)
    found, processes = await asyncio.gather(
        _reach(endpoints), asyncio.gather(*(_process(entry) for entry in state.get("processes", []) if up))
    )
    return {
        "up": up,
        "ready": up and bool(state.get("ready")) and all(process["ready"] for process in processes),
        "supervisor": state.get("pid") if up else None,
        "data_dir": str(folder),
        "endpoints": found,
        "admin_key": state.get("admin_key", ""),
        "demo_key": state.get("demo_key", ""),
        "processes": processes,
        "leftovers": [] if up else sorted(leftovers.find(folder)),
        "lag": await _lag_or_reason(settings, found["kafka"]) if "kafka" in found else {},
    }


def _endpoints(settings: Settings) -> dict[str, str]:
    """Addresses as set, else of the local system."""
    local = settings.local.get("endpoints", {})
    return {part: url for part in _PARTS if (url := getattr(settings, part) or local.get(part, ""))}


async def _reach(endpoints: dict[str, str]) -> dict[str, dict[str, str]]:
    """Each address with "" or what it lacks."""
    checks: dict[str, Callable[[str], Awaitable[str]]] = {
        "kafka": kafka.waiting,
        "postgres": postgres.waiting,
        "redis": redis.waiting,
    }

    async def one(part: str, url: str) -> dict[str, str]:
        check = checks.get(part)
        try:
            asking = check(url) if check else Readyz(f"{url}/readyz")()
            missing = await asyncio.wait_for(asking, _CHECK_S)
        except TimeoutError:
            missing = f"no answer within {_CHECK_S:g} s"
        return {"url": url, "problem": missing}

    answers = await asyncio.gather(*(one(part, url) for part, url in endpoints.items()))
    return dict(zip(endpoints, answers, strict=True))


async def _process(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry of state.json with what is true now."""
    problem = "" if entry["ready"] else "starting"
    if not entry["pid"] or not psutil.pid_exists(entry["pid"]):
        problem = "not running; the supervisor starts it again"
    elif entry["ready_url"]:
        problem = await Readyz(entry["ready_url"])()
    up_s = round(time.time() - entry["since"], 1) if entry["since"] else 0.0
    recovery = await _recovery(entry["ready_url"]) if entry["name"].startswith("worker-") else {}
    return {**entry, "ready": not problem, "problem": problem, "up_s": up_s, **recovery}


_RECOVERY = {
    "rows": "oms_recovery_read_rows",
    "rows_total": "oms_recovery_length_rows",
    "rows_per_s": "oms_recovery_rows_per_second",
    "seconds_left": "oms_recovery_left_seconds",
}


async def _recovery(ready_url: str) -> dict[str, dict[str, int]]:
    """How far a worker's recovery is, from its metrics."""
    found = await metrics_of(ready_url.removesuffix("/readyz"))
    if not found:
        return {}
    return {"recovery": {name: round(found.get(metric, 0)) for name, metric in _RECOVERY.items()}}


async def _lag_or_reason(settings: Settings, broker: dict[str, str]) -> dict[str, Any]:
    from aiokafka.errors import KafkaError

    if broker["problem"]:
        return {"problem": broker["problem"]}
    try:
        topics = await asyncio.wait_for(lag(settings, broker["url"]), 2 * _CHECK_S)
    except (KafkaError, TimeoutError, OSError) as error:
        return {"problem": f"{type(error).__name__} {error}"}
    return {"group": settings.app_id, "total": sum(topics.values()), "topics": topics}


async def lag(settings: Settings, bootstrap: str) -> dict[str, int]:
    """Offsets between what the workers' group has committed and the end, by topic.

    Transactions leave a marker in each partition that they write, which counts as an offset here.
    """
    from aiokafka import AIOKafkaConsumer
    from aiokafka.admin import AIOKafkaAdminClient

    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        committed = await admin.list_consumer_group_offsets(settings.app_id)
    finally:
        await admin.close()
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed")
    await consumer.start()
    try:
        ends = await consumer.end_offsets(list(committed))
    finally:
        await consumer.stop()
    topics: dict[str, int] = {}
    for partition, position in committed.items():
        behind = max(0, ends[partition] - max(0, position.offset))
        topics[partition.topic] = topics.get(partition.topic, 0) + behind
    return dict(sorted(topics.items()))
