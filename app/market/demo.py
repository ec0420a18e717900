"""The market process: generated quotes at a modest rate, and demo traders that make the book live.

It beats twice a second: a batch of quotes, then what the traders do about them. Few large batches cost
the lanes less than many small ones. When Kafka or the registry goes away, a new session begins as soon
as they are back; a worker's restart is only waited for, since every request gets its answer.
"""

import asyncio
import logging
import signal
import time
from collections.abc import Callable
from contextlib import suppress

import uvloop
from aiokafka.errors import KafkaError

from app import metrics
from app.logs import configure
from app.lookup import read_instruments, read_reference_prices
from app.market import metrics as m
from app.market.demo_instruments import PROFILES
from app.market.prices import Market
from app.market.seed import DEMO_ACCOUNTS, MAKER_ACCOUNTS, seed
from app.market.traders import Traders
from app.reader import TopicReader
from app.settings import Settings
from app.submit.controls import ControlsError
from app.writer import TopicWriter
from schemas.records import Said
from schemas.registry import RegistryError

log = logging.getLogger("oms.market")

RATE = 25.0
_BEAT_S = 0.5
_TAKES_PER_S = 1.0
_RETRY_S = 1.0
_SEED_WAIT_S = 60.0


class Demo:
    """The demo market; `ready` says "" while it trades, else what it waits for."""

    def __init__(self, settings: Settings, *, rate: float = RATE, seed: int = 1) -> None:
        self._settings = settings
        self._rate = rate
        self._seed = seed
        self.ready = "starting"

    async def run(self) -> None:
        """Trades until cancelled, in as many sessions as it takes."""
        while True:
            try:
                await seed(self._settings, _SEED_WAIT_S)
                await self._session()
            except (KafkaError, RegistryError, ControlsError) as error:
                self.ready = f"waits: {error}"
                log.warning("session ends, the next begins in %g s: %s", _RETRY_S, error)
            finally:
                m.UP.set(0)
            await asyncio.sleep(_RETRY_S)

    async def _session(self) -> None:
        settings = self._settings
        known = await read_instruments(settings)
        instruments = {symbol: known[symbol] for symbol in PROFILES if symbol in known}
        market = Market(
            instruments.values(),
            PROFILES,
            seed=self._seed,
            rate=self._rate,
            start_e8=await read_reference_prices(settings),
        )
        session = f"demo-{time.time_ns() // 1_000_000:x}"
        # A trader is no member of both groups, so that makers do not meet themselves.
        traders = Traders(instruments, MAKER_ACCOUNTS, DEMO_ACCOUNTS, seed=self._seed, session=session)
        async with TopicWriter(settings) as writer, TopicReader(settings, ["events"], "end") as reader:
            await _send(writer, traders.open())
            log.info("session %s: %d instruments, %g quotes/s", session, len(instruments), self._rate)
            self.ready = ""
            m.UP.set(1)
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(_listen(reader, traders))
                    group.create_task(self._beat(writer, market, traders))
            except ExceptionGroup as failed:
                raise failed.exceptions[0] from None

    async def _beat(self, writer: TopicWriter, market: Market, traders: Traders) -> None:
        owed = 0.0
        while True:
            began = time.monotonic()
            owed += self._rate * _BEAT_S
            quotes = [market.next_quote(time.time_ns() // 1000) for _ in range(int(owed))]
            owed -= len(quotes)
            for quote in quotes:
                traders.saw(quote)
            await writer.send_many([("Quote", quote) for quote in quotes])
            m.QUOTES.inc(len(quotes))
            await _send(writer, traders.requests(time.monotonic(), _TAKES_PER_S * _BEAT_S))
            await asyncio.sleep(max(0.0, _BEAT_S - (time.monotonic() - began)))


async def _send(writer: TopicWriter, requests: list[Said]) -> None:
    await writer.send_many(requests)
    for kind, _ in requests:
        m.REQUESTS.labels(kind).inc()


async def _listen(reader: TopicReader, traders: Traders) -> None:
    async for batch in reader.batches():
        for read in batch:
            if read.error is None:
                traders.heard(read.kind, read.message, time.monotonic())


async def serve(settings: Settings, demo: Demo, note: Callable[[str], None] = lambda text: None) -> None:
    """Runs the demo and its metrics until SIGTERM or SIGINT; `note` is told where the metrics are."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    runner = await metrics.serve(settings.metrics_host, settings.metrics_port, lambda: demo.ready)
    note(f"http://{runner.addresses[0][0]}:{runner.addresses[0][1]}/metrics")
    trading = asyncio.create_task(demo.run())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((trading, stopping), return_when=asyncio.FIRST_COMPLETED)
    if trading.done():
        trading.result()
    trading.cancel()
    stopping.cancel()
    with suppress(asyncio.CancelledError):
        await trading
    await runner.cleanup()


def run_demo(settings: Settings, *, rate: float = RATE, seed: int = 1) -> None:
    """Blocks until stopped; exit code 0 after SIGTERM or SIGINT."""
    configure(settings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(settings, Demo(settings, rate=rate, seed=seed)))
