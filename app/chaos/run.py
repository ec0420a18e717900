"""One run: start, faults under load, quiet, verdict."""

import asyncio
import json
import logging
import os
import shutil
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from app.chaos import disk, segments, sometimes
from app.chaos.clients import Producer, RestClient, change_sessions, lost, produce, quote
from app.chaos.faults import Faults
from app.chaos.plan import FIRST, KIND, TRACKS, Fault, Options, schedule
from app.chaos.sometimes import Seen
from app.chaos.special import LIFE_US_MAX
from app.chaos.system import NotReady, System
from app.chaos.watcher import Watcher
from app.chaos.workload import Flow, accounts, instruments
from app.local.program import Program
from app.logs import FORMAT
from app.settings import Settings
from app.submit.controls import apply_controls
from app.writer import TopicWriter

GREEN, RED, WEAK = "green", "red", "weak"
_QUIET_S = 90.0
_GRACE_S = 60
_VERIFY_S = 600.0
_COMPARED = ("--storage", "--redis", "--gateway", "local")
_FAULT_S = 120.0
_AGAIN_MAX = 2


@dataclass
class Done:
    """A fault that was done: when, seconds since the start, how long it took, and what came of it."""

    at_s: float
    planned_s: float
    name: str
    took_s: float
    outcome: str


@dataclass
class Result:
    """What a run found; `reasons` say why it is not green."""

    options: Options
    faults: list[Done] = field(default_factory=list)
    not_begun: int = 0
    left_out: str = ""
    reasons: list[str] = field(default_factory=list)
    weak: list[str] = field(default_factory=list)
    seen: dict[str, int] = field(default_factory=dict)
    verify: dict[str, Any] = field(default_factory=dict)
    dead_letters: dict[str, int] = field(default_factory=dict)
    requests: int = 0
    longest_pause_s: float = 0.0
    quiet_s: float = 0.0
    seconds: float = 0.0
    # Of `oms chaos --kills`: how many, and the totals of the undisturbed run.
    kills: int = 0
    undisturbed: dict[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """Red outweighs weak."""
        return RED if self.reasons else WEAK if self.weak else GREEN

    def as_dict(self) -> dict[str, Any]:
        """All of it, for JSON."""
        by_kind = Counter(fault.name for fault in self.faults)
        return {"verdict": self.verdict, "faults_by_kind": dict(sorted(by_kind.items())), **asdict(self)}


Load = Coroutine[Any, Any, None]


class Log:
    """Prints lines with the time since the start."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self.began_s = time.monotonic()
        self._write = write

    def __call__(self, text: str) -> None:
        self._write(f"[{self.elapsed():6.1f} s] {text}")

    def elapsed(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.began_s


class Run:
    """Runs a schedule in the folder `home`; `write` gets each line of what it does."""

    def __init__(
        self, options: Options, required: Sequence[str], home: Path, jars: Path, write: Callable[[str], None]
    ) -> None:
        self.options = options
        self.result = Result(options)
        self.seen = Seen()
        self._required = required
        self._home = home
        self._jars = jars
        self.say = Log(write)

    async def run(self) -> Result:
        """Starts, breaks, heals, verifies, ends. Raises LocalError, NotReady when it cannot even start."""
        faults, options = self._faults(), self.options
        disks = any(fault.name.endswith("disk-full") for fault in faults)
        self.say(f"{len(faults)} faults in {options.minutes * 60:g} s, seed {options.seed}")
        await self.phase(lambda: self._do_all(faults), self._load, disks)
        self.demand()
        return self.result

    def demand(self) -> None:
        """Has a run count as weak that did not meet what it must."""
        self.result.weak += [f"never met: {name}" for name in self.seen.missing(self._required)]

    async def phase(
        self, work: Callable[[], Awaitable[None]], load: Callable[[], list[Load]], disks: bool = False
    ) -> None:
        """In a fresh system of its own: does `work` while `load` goes on, then quiet and verdict."""
        fresh(self._home)
        # What client libraries say of brokers that are meant to be away is for nobody's terminal.
        logs = self._home / "log"
        logs.mkdir()
        logging.basicConfig(filename=logs / "chaos.log", format=FORMAT, force=True)
        options = self.options
        self.system = System(self._home, self._jars, options.nodes, options.workers, self.say, disks)
        try:
            self.say(f"starts {options.nodes} brokers and {options.workers} workers in {self._home}")
            await self.system.start()
            await open_market(self.system.settings)
            self.say("ready")
            await self._watched(work, load)
        finally:
            self.say("ends everything")
            await self.system.stop()
        self.result.seconds = round(self.say.elapsed(), 1)

    def _load(self) -> list[Load]:
        settings, seed = self.system.settings, self.options.seed
        return [
            produce(self.producer, Flow(seed), self.options.rate),
            quote(settings, seed),
            change_sessions(settings, seed),
            self._rest.run(),
        ]

    def _faults(self) -> list[Fault]:
        """The schedule, without what this machine cannot do."""
        faults = schedule(self.options)
        if any(fault.name.endswith("disk-full") for fault in faults):
            missing = disk.unavailable()
            if missing:
                self.result.left_out = f"full disks are left out: {missing}"
                self.say(self.result.left_out)
                faults = [fault for fault in faults if not fault.name.endswith("disk-full")]
        return faults

    async def _watched(self, work: Callable[[], Awaitable[None]], load: Callable[[], list[Load]]) -> None:
        settings, seed = self.system.settings, self.options.seed
        self.producer = Producer(settings)
        self._rest = RestClient(settings, seed)
        self._watcher = Watcher(settings)
        self._faulty = Faults(self.system, seed, self._rest, self.seen)
        watching = asyncio.create_task(self._watcher.run())
        loading = [asyncio.create_task(coroutine) for coroutine in load()]
        try:
            await work()
            await self._quiet(loading)
            if watching.done():
                # It never returns: what it did not see was not checked.
                self.result.reasons.append(f"the watcher of the topics failed: {watching.exception()!r}")
            await self._judge()
        finally:
            await ended([*loading, watching])
            await self.producer.drop()
            await self._rest.close()

    async def _do_all(self, faults: Sequence[Fault]) -> None:
        began_s, end_s = time.monotonic(), time.monotonic() + self.options.minutes * 60

        async def track(name: str) -> None:
            for fault in faults:
                if KIND[fault.name].track != name:
                    continue
                late_s = max(time.monotonic() - began_s, fault.at_s)
                if began_s + late_s >= end_s:
                    self.result.not_begun += 1
                    continue
                await asyncio.sleep(began_s + late_s - time.monotonic())
                await self._do(fault, time.monotonic() - began_s)

        await asyncio.gather(*(track(name) for name in TRACKS))
        await asyncio.sleep(max(0.0, end_s - time.monotonic()))
        await self._again(faults, began_s)

    async def _again(self, faults: Sequence[Fault], began_s: float) -> None:
        """Those that a run must have met, and that found a system that was down, on one that is up."""
        demanding = {name for names in FIRST.values() for name in names}
        missed = {fault.name: fault for fault in faults if fault.name in demanding}
        for name, fault in missed.items():
            for _ in range(_AGAIN_MAX):
                if name not in self._faulty.reached:
                    await self._heal()
                    await self._do(fault, time.monotonic() - began_s)

    async def _do(self, fault: Fault, at_s: float) -> None:
        self.say(f"{fault.name} …")
        began_s = time.monotonic()
        try:
            async with asyncio.timeout(_FAULT_S):
                outcome = await self._faulty.do(fault)
        except TimeoutError:
            outcome = f"took more than {_FAULT_S:g} s"
            self.result.reasons.append(f"{fault.name} {outcome}")
        took_s = time.monotonic() - began_s
        self.say(f"{fault.name}: {outcome} ({took_s:.1f} s)")
        self.result.faults.append(Done(round(at_s, 1), fault.at_s, fault.name, round(took_s, 1), outcome))

    async def _quiet(self, load: Sequence[asyncio.Task[Any]]) -> None:
        """Faults are over; the load goes on until all is up, then what waits is answered."""
        began_s = time.monotonic()
        self.say("quiet: faults are over")
        await self._heal()
        await asyncio.sleep(2)
        self.result.reasons += [f"a client failed: {error!r}" for error in await ended(load)]
        dated_s = time.monotonic() + LIFE_US_MAX / 1_000_000
        unanswered = await self._rest.finish(_QUIET_S)
        self.result.reasons += [f"the client of {name} got no answer from the gateway" for name in unanswered]
        await self._watcher.settled(_QUIET_S)
        # A market in which an order expires meanwhile cannot be compared.
        await asyncio.sleep(dated_s - time.monotonic())
        self.result.quiet_s = round(time.monotonic() - began_s, 1)
        self.say(f"quiet: {self._watcher.waiting} requests wait after {self.result.quiet_s:.1f} s")

    async def _heal(self) -> None:
        try:
            await self.system.heal()
        except NotReady as error:
            self.result.reasons.append(str(error))

    async def _judge(self) -> None:
        result, watcher = self.result, self._watcher
        self._count()
        result.seen = dict(self.seen.counts)
        result.dead_letters = dict(watcher.dead_letters)
        result.requests = len(self.producer.confirmed) + self._rest.answered
        result.longest_pause_s = round(
            max(watcher.longest.end - watcher.longest.begin, watcher.oldest_s()), 1
        )
        result.reasons += self._faulty.wrong + self._rest.wrong
        missing = await lost(self.system.settings, self.producer.confirmed, self._rest.entered)
        result.reasons += missing[:10]
        settings, datas = self.system.settings, map(self.system.data_of, range(self.options.nodes))
        result.reasons += segments.torn(datas, settings.topic_prefix)
        result.verify = await verified(self.system)
        result.reasons += reasons_of(result.verify)
        # After the quiet nothing moves: what was not compared was not checked.
        result.weak += [f"verify: {note}" for note in result.verify.get("notes", [])]
        self.say(f"verify: {result.verify['verdict']}; longest pause {result.longest_pause_s} s")

    def _count(self) -> None:
        """What the topics, the logs and the brokers' files tell."""
        watcher, seen = self._watcher, self.seen
        names = [*(worker.name for worker in self.system.workers), "spare"]
        logs = {name: sometimes.read_log(self._home / "log" / f"{name}.log") for name in names}
        opened = {name: sometimes.openings(log) for name, log in logs.items()}
        deaths = {name: self.system[name].deaths for name in names}
        flat = [opening for each in opened.values() for opening in each]
        seen.count("rebalance with orders in flight", sometimes.rebalances_in_flight(flat, watcher.waits))
        seen.count(
            "partial fill across a crash", sometimes.fills_across_crashes(opened, deaths, watcher.fills)
        )
        seen.count("fenced producer", sum(sometimes.fenced(log) for log in logs.values()))
        aborted = {
            abort
            for number in range(self.options.nodes)
            for abort in segments.aborts(self.system.data_of(number), self.system.settings.topic_prefix)
        }
        seen.count("aborted transaction", len(aborted))
        seen.count("dead letter", watcher.dead_letters.total())
        seen.count("record forwarded", watcher.astray)
        seen.count("order sent again", sum(times > 1 for times in watcher.entered.values()))
        asked = sum(watcher.entered[named] > 1 for named in self._rest.retried)
        seen.count("order asked for again at the gateway", asked)


async def open_market(settings: Settings) -> None:
    """Instruments and funded accounts, known to the workers. Raises ControlsError, KafkaError."""
    async with TopicWriter(settings) as writer:
        await writer.send_many(instruments(settings.partitions))
    await apply_controls(settings, list(accounts()), 60)


async def ended(tasks: Sequence[asyncio.Task[Any]]) -> list[BaseException]:
    """Cancels tasks and waits until they are over; the errors by which some ended."""
    for task in tasks:
        task.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    return [
        each
        for each in found
        if isinstance(each, BaseException) and not isinstance(each, asyncio.CancelledError)
    ]


async def verified(system: System) -> dict[str, Any]:
    """What `oms verify` says of topics, PostgreSQL and doors; a process: this loop has proxies to serve."""
    argv = [sys.executable, "-m", "app.cli", "verify", *_COMPARED, "--grace", str(_GRACE_S), "--json"]
    err = b""
    process = await asyncio.create_subprocess_exec(
        *Program("verify", argv).launched(),
        env={**os.environ, **system.env()},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_VERIFY_S):
            out, err = await process.communicate()
        found: dict[str, Any] = json.loads(out)
    except (TimeoutError, ValueError):
        with suppress(ProcessLookupError):
            process.kill()
        text = err.decode(errors="replace")[-2000:] if process.returncode is not None else "it took too long"
        return {"verdict": "unchecked", "error": text}
    return found


def reasons_of(verify: dict[str, Any]) -> list[str]:
    """Why a verification is not green; empty when it is."""
    if verify["verdict"] == GREEN:
        return []
    shown = [f"{found['invariant']}: {found['text']}" for found in verify.get("violations", [])]
    return shown or [f"verify: {verify['verdict']} {verify.get('error', '')}"]


def fresh(home: Path) -> None:
    """An empty folder for a run. It must be this command's own: what is in it is removed."""
    if home.exists():
        shutil.rmtree(home)
    home.mkdir(parents=True)
