"""Latency from order to event (two transactions) at a steady rate, beside the one-hop floor.

One process sends and reads, so both times come from one clock. The floor is the same records through
the same producer and consumer without a worker in between.
"""

import asyncio
import statistics
import time

from aiokafka import AIOKafkaConsumer, TopicPartition

from app.settings import Settings
from app.topics import prepare
from app.writer import TopicWriter
from schemas.codec import Codec
from tests.bench.system import Bench, Measured
from tests.bench.workload import requests, setup

WARM_UP = 0.2
BROKER_WARM_UP_S = 100


def percentile(values: list[float], share: float) -> float:
    """The value below which `share` of all values are."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def steady(settings: Settings, rate: int, seconds: float, topic: str) -> list[float]:
    """Milliseconds from send to the first record about each request in `topic`, warm-up left out."""
    codec = Codec(await prepare(settings))
    sent: dict[tuple[str, str], float] = {}
    latencies: list[float] = []
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka, isolation_level="read_committed", fetch_max_wait_ms=100
    )
    await consumer.start()
    consumer.assign([TopicPartition(settings.topic(topic), lane) for lane in range(settings.partitions)])
    await consumer.seek_to_end()
    for partition in consumer.assignment():
        await consumer.position(partition)

    async def read() -> None:
        while True:
            fetched = await consumer.getmany(timeout_ms=500)
            now_s = time.perf_counter()
            for record in (r for records in fetched.values() for r in records):
                _, message = codec.decode(record.value)
                began_s = sent.pop((message.get("account", ""), message.get("client_order_id", "")), None)
                if began_s is not None:
                    latencies.append((now_s - began_s) * 1000)

    reading = asyncio.create_task(read())
    async with TopicWriter(settings) as writer:
        await _send(writer, sent, rate, seconds)
        await asyncio.sleep(1.0)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    await consumer.stop()
    return latencies[int(len(latencies) * WARM_UP) :]


async def _send(writer: TopicWriter, sent: dict[tuple[str, str], float], rate: int, seconds: float) -> None:
    began_s = time.perf_counter()
    sending: set[asyncio.Task[object]] = set()
    orders = (said for said in requests(10**9, seed=int(time.time())) if said[0] == "NewOrder")
    for number in range(int(rate * seconds)):
        rest_s = began_s + number / rate - time.perf_counter()
        if rest_s > 0:
            await asyncio.sleep(rest_s)
        kind, message = next(orders)
        sent[message["account"], message["client_order_id"]] = time.perf_counter()
        task: asyncio.Task[object] = asyncio.ensure_future(writer.send(kind, message))
        sending.add(task)
        task.add_done_callback(sending.discard)
    await asyncio.gather(*sending)


class Way:
    """A system with one worker for all its lanes, and what was measured on it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.worker: Measured | None = None
        self.runs: list[list[float]] = []

    async def start(self) -> None:
        await prepare(self.settings)
        async with TopicWriter(self.settings) as writer:
            await writer.send_many(setup(self.settings.partitions))
        self.worker = Measured(self.settings, ["-m", "app.cli", "worker"])
        await self.worker.ready()

    def median(self, share: float) -> float:
        """Of the percentile of each run."""
        return statistics.median(percentile(run, share) for run in self.runs)


async def report(bench: Bench, runs: int, rate: int, seconds: float) -> dict[str, float]:
    """Interleaved runs of one lane, of the usual number of lanes and of the floor; prints medians."""
    floor = Way(bench.settings("floor"))
    await prepare(floor.settings)
    lanes_of_each = sorted({1, floor.settings.partitions})
    ways = [Way(bench.settings(f"latency-{lanes}", partitions=lanes)) for lanes in lanes_of_each]
    try:
        for way in ways:
            await way.start()
            # A fresh JVM compiles for a minute and a half, with a quarter of one of the cores measured.
            await steady(way.settings, rate, BROKER_WARM_UP_S / len(ways), "events")
        for _ in range(runs):
            for way in ways:
                way.runs.append(await steady(way.settings, rate, seconds, "events"))
            floor.runs.append(await steady(floor.settings, rate, seconds / 2, "orders"))
    finally:
        for way in ways:
            if way.worker is not None:
                await way.worker.stop()
    result = {"floor_p50": floor.median(0.5), "floor_p99": floor.median(0.99)}
    for way in ways:
        lanes, p50, p99 = way.settings.partitions, way.median(0.5), way.median(0.99)
        result |= {f"p50_of_{lanes}": p50, f"p99_of_{lanes}": p99}
        print(
            f"order to event  at {rate}/s, {lanes} lanes of one worker: p50 {p50:.1f} ms, p99 {p99:.1f} ms   "
            f"one hop: p50 {result['floor_p50']:.1f} ms, p99 {result['floor_p99']:.1f} ms   "
            f"[want p50 <= 40, p99 <= 100]"
        )
    return result
