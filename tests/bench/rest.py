"""What `POST /orders?wait=accepted` adds to the Kafka path: one order at a time, the two in turn."""

import asyncio
import statistics
import time

import httpx
from aiokafka import AIOKafkaConsumer, TopicPartition

from app.local.own import oms
from app.local.ports import HOST, any_free
from app.local.postgres import LocalPostgres
from app.local.program import Child
from app.local.redis import LocalRedis
from app.settings import Settings
from app.topics import prepare
from app.writer import TopicWriter
from schemas.codec import Codec
from schemas.numbers import format_e8
from tests.bench.latency import percentile
from tests.bench.system import Bench, Measured
from tests.bench.workload import requests, setup

KEY = "bench-admin"


async def report(bench: Bench, runs: int, orders: int) -> dict[str, float]:
    """`runs` times `orders` orders on each path; prints the medians of p50."""
    settings = bench.settings("rest")
    codec = Codec(await prepare(settings))
    async with (
        LocalPostgres(bench.home, "bench", durable=False) as postgres,
        LocalRedis(bench.home) as redis,
        TopicWriter(settings) as writer,
    ):
        await writer.send_many(setup(settings.partitions))
        worker = Measured(settings, ["-m", "app.cli", "worker"])
        gateway, url = _gateway(settings, postgres.url, redis.url)
        try:
            await worker.ready()
            await gateway.until_ready(30)
            found = [await _run(settings, codec, writer, url, orders, run) for run in range(runs + 1)]
        finally:
            await gateway.stop()
            await worker.stop()
    # The first run warms up both paths.
    kafka = statistics.median(percentile(run[0], 0.5) for run in found[1:])
    rest = statistics.median(percentile(run[1], 0.5) for run in found[1:])
    print(
        f"one at a time   Kafka p50 {kafka:.1f} ms, REST ?wait=accepted p50 {rest:.1f} ms: "
        f"+{rest - kafka:.1f} ms   [want <= +5]"
    )
    return {"kafka_p50": kafka, "rest_p50": rest}


def _gateway(settings: Settings, postgres: str, redis: str) -> tuple[Child, str]:
    port = any_free()
    url = f"http://{HOST}:{port}"
    env = {
        "OMS_DATA_DIR": str(settings.data_dir),
        "OMS_KAFKA": settings.kafka,
        "OMS_REGISTRY": settings.registry,
        "OMS_POSTGRES": postgres,
        "OMS_REDIS": redis,
        "OMS_TOPIC_PREFIX": settings.topic_prefix,
        "OMS_APP_ID": settings.app_id,
        "OMS_GATEWAY_PORT": str(port),
        "OMS_ADMIN_KEY": KEY,
    }
    return Child(oms("gateway", ["gateway"], env, url), settings.data_dir), url


async def _run(
    settings: Settings, codec: Codec, writer: TopicWriter, url: str, count: int, run: int
) -> tuple[list[float], list[float]]:
    """Milliseconds on the Kafka path and over REST."""
    said = (dict(message) for kind, message in requests(10**9, seed=1000 + run) if kind == "NewOrder")
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka, isolation_level="read_committed", fetch_max_wait_ms=100
    )
    await consumer.start()
    consumer.assign([TopicPartition(settings.topic("events"), lane) for lane in range(settings.partitions)])
    await consumer.seek_to_end()
    by_kafka, by_rest = [], []
    async with httpx.AsyncClient(base_url=f"{url}/api/v1", headers={"X-API-Key": KEY}) as client:
        for _ in range(count):
            message = next(said)
            began_s = time.perf_counter()
            await writer.send("NewOrder", message)
            await _event(consumer, codec, message["client_order_id"])
            by_kafka.append((time.perf_counter() - began_s) * 1000)
            by_rest.append(await _post(client, next(said)))
            await asyncio.sleep(0.01)
    await consumer.stop()
    return by_kafka, by_rest


async def _event(consumer: AIOKafkaConsumer, codec: Codec, client_order_id: str) -> None:
    while True:
        for records in (await consumer.getmany(timeout_ms=1000)).values():
            for record in records:
                _, message = codec.decode(record.value)
                if message.get("client_order_id") == client_order_id:
                    return


async def _post(client: httpx.AsyncClient, message: dict[str, object]) -> float:
    body = {
        name: message[name]
        for name in ("account", "client_order_id", "symbol", "side", "order_type", "time_in_force")
    }
    for name in ("quantity", "limit_price"):
        body[name] = format_e8(message[name])  # type: ignore[arg-type]
    began_s = time.perf_counter()
    answer = await client.post("/orders", params={"wait": "accepted", "timeout_ms": 5000}, json=body)
    assert answer.status_code in (200, 201), answer.text
    return (time.perf_counter() - began_s) * 1000
