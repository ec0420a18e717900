"""What `oms verify` takes for many orders: seconds, and the most memory it has at once."""

import asyncio
import os
import subprocess
import sys
import time
from itertools import islice

from app.settings import Settings
from app.topics import prepare
from app.writer import Stream, TopicWriter
from tests.bench.steady import steady
from tests.bench.system import Bench, Measured, environment
from tests.bench.workload import setup

_LIVE = 1000
_CHUNK = 2000
# So far the requests may be ahead of the worker.
_AHEAD = 50_000


async def report(bench: Bench, orders: int) -> dict[str, float]:
    """Has a worker make the topics of so many orders through a steady book, then verifies them once."""
    settings = bench.settings("verify")
    await prepare(settings)
    worker = Measured(settings, ["-m", "app.cli", "worker"])
    try:
        await worker.ready(60)
        await _trade(settings, worker, orders)
        # Still there: what it has under way is waited for.
        return await asyncio.to_thread(_verify, settings, orders)
    finally:
        await worker.stop()


async def _trade(settings: Settings, worker: Measured, orders: int) -> None:
    async with TopicWriter(settings) as writer:
        await writer.send_many(setup(settings.partitions))
        stream, said, sent = Stream(writer), steady(orders, _LIVE), 0
        while chunk := list(islice(said, _CHUNK)):
            await stream.post(chunk)
            sent += len(chunk)
            await worker.until_taken(sent - _AHEAD)
        await stream.finish()
        await worker.until_taken(sent)


def _verify(settings: Settings, orders: int) -> dict[str, float]:
    """Runs the command; raises RuntimeError when it is not green."""
    began_s = time.monotonic()
    argv = [sys.executable, "-m", "app.cli", "verify"]
    process = subprocess.Popen(argv, env=environment(settings), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    text = process.stdout.read()
    # Of this process alone, which Popen's own wait does not tell.
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds, cpu_s, memory = time.monotonic() - began_s, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024
    if process.returncode:
        raise RuntimeError(f"oms verify ended with {process.returncode}:\n{text}")
    print(
        f"verify          {orders / seconds:>12,.0f} orders/s   {orders:,} orders in {seconds:.1f} s "
        f"({cpu_s:.1f} s CPU), at most {memory / 1e6:.0f} MB   [want a million in minutes]"
    )
    return {"orders_per_s": orders / seconds, "seconds": seconds, "cpu_s": cpu_s, "bytes_most": memory}
