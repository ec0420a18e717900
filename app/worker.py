"""`oms worker`: one process of lanes. Start more of them and lanes move."""

import asyncio
import logging
import signal
import time

import uvloop

from app import garbage, metrics
from app.lanes.decode import Decoder
from app.lanes.fatal import Watchdog, die
from app.lanes.faust_app import AgentInbox, LaneApp, new_app
from app.lanes.manager import LaneManager
from app.lanes.reference import ReferenceReader
from app.logs import configure
from app.pipeline import STEPS
from app.settings import Settings
from app.topics import prepare
from schemas.codec import Codec
from schemas.registry import Registry

log = logging.getLogger("oms.worker")


def build(settings: Settings, decoder: Decoder, reference: ReferenceReader) -> LaneApp:
    """The Faust app with its agents wired as app/pipeline.py says, and the lanes behind it."""
    app = new_app(settings)
    inboxes = {step.name: AgentInbox() for step in STEPS}
    heard: set[str] = set()
    for step in STEPS:
        # Topics that two agents hear are subscribed to once; lanes hand each agent its own records.
        names = [settings.topic(short) for short in step.hears if short not in heard]
        heard.update(step.hears)
        app.agent(app.lane_topic(names, inboxes[step.name]), name=f"oms.{step.name}")(step.agent)
    app.lanes = LaneManager(settings, decoder, reference, inboxes)
    return app


async def serve(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT; what goes wrong ends the process (crash-only)."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    started_s = time.monotonic()
    async with Registry(settings.endpoint("registry")) as registry:
        decoder = Decoder(Codec(await prepare(settings)), registry)
        reference = ReferenceReader(settings, decoder)
        await reference.start()
        app = build(settings, decoder, reference)
        runner = await metrics.serve(
            settings.metrics_host,
            settings.metrics_port,
            lambda: app.lanes.waiting(),
        )
        watchdog = Watchdog(settings.cycle_timeout_s)
        watchdog.start()
        beating = asyncio.create_task(_beat(watchdog))
        garbage.tune()
        await app.start()
        log.info("worker started in %.2f s", time.monotonic() - started_s)
        await _until_stopped(app, reference, stop)
        log.info("worker stops: cycles finish, lanes are handed over")
        async with asyncio.timeout(settings.cycle_timeout_s):
            await app.stop()
        await reference.stop()
        await runner.cleanup()
        beating.cancel()


async def _beat(watchdog: Watchdog) -> None:
    """Shows that the loop is alive, also while the worker waits for its group and its lanes."""
    while True:
        watchdog.seen()
        await asyncio.sleep(1.0)


async def _until_stopped(app: LaneApp, reference: ReferenceReader, stop: asyncio.Event) -> None:
    while not stop.is_set():
        if app.crashed or app.should_stop:
            die(f"Faust ended: {app.crash_reason!r}")
        if reference.task is not None and reference.task.done():
            die("the reader of instruments and reference prices ended", reference.task.exception())
        try:
            await asyncio.wait_for(stop.wait(), 1.0)
        except TimeoutError:
            continue


def run(settings: Settings) -> None:
    """Blocks until stopped; exit code 0 after SIGTERM or SIGINT."""
    configure(settings)
    # Faust says much about every rebalance; what matters is said by oms.lanes.
    for name in ("faust", "mode", "app.lanes.faust_app"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        try:
            runner.run(serve(settings))
        except Exception as error:
            die(f"start failed: {error}", error)
