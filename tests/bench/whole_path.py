"""Whole path: orders in, events, trades, executions and changelogs out, all in transactions.

A backlog is written, then a worker on one core drains it. Rate: requests answered over the time from
the first answer to the last, both as dated by the worker. Beside it, in the same interleaved runs, the
same step as plain Faust.
"""

import asyncio
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition

from app.reader import TopicReader
from app.settings import ROOT, Settings
from app.topics import prepare
from app.writer import TopicWriter
from tests.bench import native
from tests.bench.system import Bench, Measured
from tests.bench.workload import requests, setup


@dataclass(frozen=True)
class Run:
    """One drain: requests a second, CPU microseconds of the worker per request."""

    rate: float
    cpu_us: float
    records_per_cycle: float


async def drain(bench: Bench, name: str, count: int, argv: list[str], home: Path = ROOT) -> Run:
    """One run in topics of its own."""
    settings = bench.settings(name)
    await prepare(settings)
    async with TopicWriter(settings) as writer:
        await writer.send_many(setup(settings.partitions))
        await writer.send_many(requests(count))
    worker = Measured(settings, argv, home)
    try:
        lanes = argv[-1] == "worker"
        if lanes:
            await worker.ready()
        started_cpu_s = worker.cpu_s()
        await _settle(settings, lambda: not lanes or worker.taken() >= count)
        cpu_s = worker.cpu_s() - started_cpu_s
        cycles = worker.metric("oms_lane_cycle_records_count") if lanes else 1.0
        records = worker.metric("oms_lane_cycle_records_sum") if lanes else 0.0
    finally:
        await worker.stop()
    seconds = await _answers(settings, count)
    return Run(count / seconds, cpu_s / count * 1e6, records / max(1.0, cycles))


ANSWERS = {"accepted", "rejected", "canceled", "cancel_rejected"}


async def _settle(settings: Settings, taken: Callable[[], bool], limit_s: float = 300.0) -> None:
    """Waits until all requests are taken and the events topic stands still for a second and a half.

    Only end offsets are asked for while it grows, so that nothing but broker and worker has work to do. A
    broker that has just started lets seconds pass before the first transactions are seen.
    """
    consumer = AIOKafkaConsumer(bootstrap_servers=settings.kafka)
    await consumer.start()
    try:
        partitions = [TopicPartition(settings.topic("events"), lane) for lane in range(settings.partitions)]
        before, still_since_s, end_s = 0, time.monotonic(), time.monotonic() + limit_s
        while time.monotonic() < end_s:
            now = sum((await consumer.end_offsets(partitions)).values())
            if now != before:
                before, still_since_s = now, time.monotonic()
            elif now and time.monotonic() - still_since_s > 1.5 and taken():
                return
            await asyncio.sleep(0.25)
        raise RuntimeError(f"events of {settings.topic_prefix} still grow after {limit_s:.0f} s")
    finally:
        await consumer.stop()


async def _answers(settings: Settings, count: int) -> float:
    """Seconds from the first answer to the last; raises when a request has none."""
    first_us, last_us = 0, 0
    answered: set[tuple[str, int]] = set()
    async with TopicReader(settings, ["events"], start="beginning") as reader:
        async for batch in reader.batches():
            for record in batch:
                message = record.message
                if record.kind == "OrderEvent" and message["event"] in ANSWERS:
                    answered.add((message["account"], message["request_offset"]))
                    first_us = first_us or message["at_us"]
                    first_us, last_us = min(first_us, message["at_us"]), max(last_us, message["at_us"])
            if await reader.caught_up():
                break
    if len(answered) < count:
        raise RuntimeError(f"{len(answered)} of {count} requests answered")
    return (last_us - first_us) / 1e6


async def report(bench: Bench, runs: int, count: int, plain_count: int) -> dict[str, float]:
    """Interleaved runs; prints medians and the ratio."""
    homes, plain = native.kinds(), []
    lanes: dict[str, list[Run]] = {kind: [] for kind in homes}
    for number in range(runs):
        said = []
        for kind, home in homes.items():
            run = await drain(bench, f"{kind}{number}", count, ["-m", "app.cli", "worker"], home)
            lanes[kind].append(run)
            said.append(f"{kind} {run.rate:,.0f}/s {run.cpu_us:.1f} us ({run.records_per_cycle:.0f} records)")
            await asyncio.sleep(1)
        plain.append(await drain(bench, f"plain{number}", plain_count, ["-m", "tests.bench.plain_faust"]))
        print(f"  run {number + 1}: {'; '.join(said)}; plain Faust {plain[-1].rate:,.0f}/s", flush=True)
        await asyncio.sleep(1)
    base = statistics.median(run.rate for run in plain)
    found = {"plain": base}
    for kind, of_kind in lanes.items():
        rate = statistics.median(run.rate for run in of_kind)
        cpu_us = statistics.median(run.cpu_us for run in of_kind)
        print(
            f"whole path, {kind:<12}{rate:>12,.0f} requests/s   {cpu_us:.1f} us CPU/request   "
            f"{rate / base:.0f} x plain Faust ({base:,.0f}/s)   [want >= 20,000 and >= 20 x]"
        )
        found |= {f"{kind}_rate": rate, f"{kind}_cpu_us": cpu_us, f"{kind}_ratio": rate / base}
    return found
